"""Events of each kind act in forecasts, sums and scores, on the steps that they touch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.effects.kinds import mark
from forecast.engine.score import score
from forecast.errors import BadData, UsageError
from forecast.panel.events import find_touched_slots, merge_events, read_events
from forecast.panel.infer import Reading, read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Run

HORIZON = 14
DAYS = pd.date_range("2023-01-02", periods=220).strftime("%Y-%m-%d")
TINY: dict[str, Any] = {
    "steps": 4,
    "params": {"hidden_size": 8},
    "baselines": ("seasonal-naive", "theta"),
}
NUMBERS = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]


def demand(length: int = 220, seed: int = 0) -> np.ndarray:
    """A week with a busy weekend, and noise."""
    week = np.array([0.8, 0.9, 0.9, 1.0, 1.1, 1.3, 1.2])[np.arange(length) % 7]
    return np.asarray(np.round(100 * week + np.random.default_rng(seed).normal(0, 4, length), 1))


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"day": DAYS, "sold": demand()})


def events(kind: str, first: str, last: str | None = None, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"start": [first], "end": [last or first], "name": kind, "kind": kind, **columns}
    )


def shift(day: str, name: str = "moved") -> pd.DataFrame:
    return pd.DataFrame({"date": [day], "name": [name], "kind": ["level_shift"]})


def fitted(
    data: pd.DataFrame, table: pd.DataFrame | None, model: str = "seasonal-mean", **knobs: Any
) -> Forecaster:
    return Forecaster(model=model, horizon=HORIZON, events=table, **knobs).fit(data)


def now(
    forecast: Run, data: pd.DataFrame, table: pd.DataFrame | None, folder: Path, *words: object
) -> pd.DataFrame:
    """What `forecast now` writes."""
    data.to_csv(folder / "data.csv", index=False)
    if table is not None:
        table.to_csv(folder / "events.csv", index=False)
        words = (*words, "--events", folder / "events.csv")
    found = forecast("now", folder / "data.csv", "--horizon", HORIZON, *words)
    assert found.code == 0, found.err
    return found.frame


@pytest.mark.parametrize(
    "knobs", [{"model": "seasonal-mean"}, {"model": "segrnn", **TINY}], ids=lambda k: k["model"]
)
def test_ignored_values_are_no_more_than_blank_cells(
    frame: pd.DataFrame, knobs: dict[str, Any]
) -> None:
    """Outliers, also in the first and the last days of the series."""
    weeks = [("2023-01-02", "2023-01-05"), ("2023-05-01", "2023-05-07"), (DAYS[-2], DAYS[-1])]
    table = pd.concat([events("ignore", *week) for week in weeks])
    wild, blank = frame.copy(), frame.copy()
    inside = np.logical_or.reduce([frame["day"].between(*week) for week in weeks])
    wild.loc[inside, "sold"] = 9000
    blank.loc[inside, "sold"] = np.nan
    found = fitted(wild, table, **knobs)
    pd.testing.assert_frame_equal(
        found.predict(), fitted(blank, None, **knobs).predict(), check_exact=True
    )
    pd.testing.assert_frame_equal(found.predict(wild), found.predict(), check_exact=True)


def test_closed_days_ahead_are_0_inside_sums_too(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """The series ends on 9 August; all of the rest of the month is closed, and the days before it in July were."""
    frame.loc[frame["day"].between("2023-07-10", "2023-07-14"), "sold"] = 0
    shut = pd.concat(
        [events("closed", "2023-07-10", "2023-07-14"), events("closed", "2023-08-10", "2023-08-31")]
    )
    found = now(forecast, frame, shut, tmp_path, "--horizon", 24)
    closed = found["day"] <= "2023-08-31"
    assert (found.loc[closed, NUMBERS] == 0).all(axis=None)
    assert found.loc[~closed, "forecast"].between(70, 150).all()
    sums = now(
        forecast, frame, shut, tmp_path, "--horizon", 24, "--sum-by", "all", "--sum-every", "month"
    )
    past = frame.loc[frame["day"] >= "2023-08-01", "sold"].sum()
    assert sums[NUMBERS].iloc[0].to_numpy() == pytest.approx([past] * 5)


@pytest.mark.parametrize("model", ["seasonal-naive", "holt-winters", "segrnn"])
def test_closed_days_of_the_past_are_gaps(frame: pd.DataFrame, model: str) -> None:
    """The newest week was closed; the next one is as the week before it."""
    frame.loc[213:, "sold"] = 0
    knobs = TINY | {"baselines": ("seasonal-naive",)} if model == "segrnn" else {}
    found = fitted(frame, events("closed", DAYS[213], DAYS[-1]), model, **knobs).predict()
    assert found["day"][0] == "2023-08-10"
    np.testing.assert_allclose(found["forecast"][:7], frame["sold"][206:213], rtol=0.15)


def test_stock_outs_do_not_pull_forecasts_down(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """In 15 % of the days most of the demand could not be sold."""
    draw = np.random.default_rng(1)
    out = draw.random(len(frame)) < 0.15
    sold = frame.assign(
        sold=np.where(
            out, np.round(frame["sold"] * draw.uniform(0, 0.4, len(frame)), 1), frame["sold"]
        )
    )
    table = pd.DataFrame({"date": frame["day"][out], "name": "sold out", "kind": "stock_out"})
    true, naive, known = (
        now(forecast, *of, tmp_path)["forecast"].mean()
        for of in ((frame, None), (sold, None), (sold, table))
    )
    assert abs(known - true) < 0.25 * abs(naive - true)
    network = fitted(sold, table, "segrnn", **TINY | {"steps": 20}).predict()["forecast"].mean()
    assert abs(network - true) < 0.25 * abs(naive - true)


def test_a_table_in_which_every_day_is_sold_out_has_no_suspects(
    forecast: Run, tmp_path: Path
) -> None:
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "sold": [5.0, 7.0, 6.0] * 20}).to_csv(
        tmp_path / "sales.csv", index=False
    )
    events("stock_out", days[0], days[-1]).to_csv(tmp_path / "events.csv", index=False)
    found = forecast("inspect", tmp_path / "sales.csv", "--events", tmp_path / "events.csv")
    assert found.code == 0, found.err


def test_the_past_of_a_stock_out_is_what_was_sold_or_more(frame: pd.DataFrame) -> None:
    """The newest week sold more than weeks before in spite of empty shelves: repeating it repeats that."""
    frame.loc[213:, "sold"] *= 3
    table = events("stock_out", DAYS[213], DAYS[-1])
    found = fitted(frame, table, "seasonal-naive")
    np.testing.assert_allclose(found.predict()["forecast"][:7], frame["sold"][213:])
    frame.loc[213:, "sold"] *= 0.1
    usual = np.mean([frame["sold"][start : start + 7] for start in range(185, 213, 7)], axis=0)
    np.testing.assert_allclose(found.predict(frame)["forecast"][:7], usual)
    found = Forecaster(model="seasonal-naive", horizon=22, events=table).fit(frame)
    sums = found.totals(frame, by="all", every="month")
    assert sums["observed"][0] == pytest.approx(
        frame.loc[frame["day"] >= "2023-08-01", "sold"].sum()
    )


@pytest.mark.parametrize("model", ["seasonal-mean", "mean", "segrnn"])
def test_after_a_level_shift_forecasts_sit_at_the_new_level(
    frame: pd.DataFrame, model: str
) -> None:
    frame.loc[frame["day"] >= "2023-08-01", "sold"] *= 2
    knobs = TINY if model == "segrnn" else {}
    found = fitted(frame, shift("2023-08-01"), model, **knobs)
    ahead = found.predict()
    assert ahead["forecast"].mean() == pytest.approx(2 * demand().mean(), rel=0.06)
    # what the version keeps says the same of the shift as the whole table
    pd.testing.assert_frame_equal(found.predict(frame), ahead)


def test_levels_move_by_sums_where_values_fall_below_0_and_by_months_and_years() -> None:
    months = pd.DataFrame(
        {"month": pd.date_range("2010-01-01", periods=72, freq="MS").strftime("%Y-%m-%d")}
    )
    season = 20 * np.sin(np.arange(72) * np.pi / 6)
    months["y"] = np.round(season + np.where(months["month"] >= "2015-07-01", 300, 0), 1)
    found = (
        Forecaster(model="seasonal-mean", horizon=12, events=shift("2015-07-01"))
        .fit(months)
        .predict()
    )
    np.testing.assert_allclose(found["forecast"], 300 + season[:12], atol=0.2)
    years = pd.DataFrame({"year": range(1970, 2020), "y": 10.0 + np.arange(50) % 3})
    years.loc[years["year"] >= 2015, "y"] *= 4
    years["year"] = years["year"].astype(str) + "-01-01"
    found = Forecaster(model="mean", horizon=2, events=shift("2015-01-01")).fit(years).predict()
    np.testing.assert_allclose(found["forecast"], 44, rtol=0.05)


@pytest.mark.parametrize("moved", ["by a sum", "by a factor"])
@pytest.mark.parametrize("up", [True, False])
def test_a_season_keeps_its_size_after_a_level_moved_by_a_sum(moved: str, up: bool) -> None:
    steps = np.arange(84)
    noise = np.random.default_rng(3).normal(0, 2, 84)
    values = 100 + 30 * np.sin(steps * np.pi / 6) + noise
    after = steps >= 66
    if moved == "by a sum":
        values = values + np.where(after, 40 if up else -40, 0)
    else:
        values = values * np.where(after, 1.4 if up else 0.6, 1)
    months = pd.date_range("2010-01-01", periods=84, freq="MS").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"month": months, "y": values})
    model = Forecaster(model="pretrained", horizon=12, events=shift(months[66]))
    found = model.fit(frame[:72]).predict()
    inside = values[72:] >= found["lo_80"]
    inside &= values[72:] <= found["hi_80"]
    assert inside.mean() >= 0.6
    np.testing.assert_allclose(found["forecast"], values[72:], atol=8)


def test_a_sum_that_would_lead_below_0_is_a_factor() -> None:
    steps = np.arange(60)
    values = np.where(steps < 24, 12, 60) + 9 * np.sin(steps * np.pi / 6)
    values[54:] -= 30
    months = pd.date_range("2010-01-01", periods=60, freq="MS").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"month": months, "y": values})
    model = Forecaster(model="seasonal-mean", horizon=6, transform="log", events=shift(months[54]))
    assert (model.fit(frame).predict()["lo_95"] > 0).all()


def test_several_shifts_add_up_and_one_before_its_first_value_moves_nothing(
    frame: pd.DataFrame,
) -> None:
    for day, factor in (("2023-04-03", 3.0), ("2023-06-05", 0.5)):
        frame.loc[frame["day"] >= day, "sold"] *= factor
    table = pd.concat(
        [shift("2023-04-03"), shift("2023-06-05"), shift("2023-08-10"), shift("2022-01-01")]
    )
    found = fitted(frame, table, "mean")
    assert found.predict()["forecast"].mean() == pytest.approx(1.5 * demand().mean(), rel=0.03)
    before = found.predict(frame, origin="2023-06-04")["forecast"].mean()
    assert before == pytest.approx(3 * demand().mean(), rel=0.03)


def test_days_that_are_ignored_after_the_fit_leave_its_history_too(frame: pd.DataFrame) -> None:
    frame.loc[219, "sold"] = 9000
    model = Forecaster(model="seasonal-naive", horizon=22, season=(7,)).fit(frame)
    month = frame.loc[frame["day"] >= "2023-08-01", "sold"]
    assert model.totals(by="all", every="month")["observed"][0] == pytest.approx(month.sum())
    model.set_params(events=events("ignore", DAYS[219]))
    assert model.predict()["forecast"][6] == frame["sold"][212]
    sums = model.totals(by="all", every="month")
    assert sums["observed"][0] == pytest.approx(month[:-1].sum())
    assert sums["filled"][0] == 1


def test_closed_days_need_no_events_at_fit(
    frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    plain = fitted(frame, None)
    before = plain.predict()
    after = plain.set_params(events=events("closed", "2023-08-12")).predict()
    shut = after["day"] == "2023-08-12"
    assert (after.loc[shut, NUMBERS] == 0).all(axis=None)
    pd.testing.assert_frame_equal(after[~shut], before[~shut])
    pd.testing.assert_frame_equal(plain.predict(frame), after)
    known = fitted(frame, events("ignore", "2023-05-01"))
    known.set_params(events=events("effect", "2023-08-12")).predict()
    assert "without effect, as the past of the fit has not shown them: effect" in caplog.text


@pytest.mark.parametrize("freq", ["MS", "ME", "QS", "YS"])
def test_months_quarters_and_years_take_all_kinds_but_effects(freq: str) -> None:
    times = pd.date_range("1990-01-01", periods=40, freq=freq).strftime("%Y-%m-%d")
    data = pd.DataFrame({"time": times, "y": 50.0 + np.arange(40) % 4})
    data.loc[20, "y"], data.loc[30, "y"] = 900, 0
    day, out = (pd.Period(times[at], freq[0]).start_time.strftime("%Y-%m-%d") for at in (20, 30))
    end = (pd.Timestamp(times[-1]) + pd.Timedelta(5000, "D")).strftime("%Y-%m-%d")
    table = pd.concat(
        [
            events("ignore", day),
            events("stock_out", out),
            events("closed", "2040-01-01"),
            shift(end),
        ]
    )
    model = Forecaster(model="mean", horizon=2, events=table).fit(data)
    assert model.predict()["forecast"].between(50, 54).all()
    after = (pd.Timestamp(times[-1]) + pd.Timedelta(1, "D")).strftime("%Y-%m-%d")
    model.set_params(events=events("closed", after, "2100-12-31"))
    assert (model.predict()[NUMBERS] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("freq", "kind", "span", "hit"),
    [
        ("h", "ignore", ("2024-01-02", "2024-01-02"), range(24, 48)),
        ("D", "closed", ("2024-01-02", "2024-01-03"), [1, 2]),
        ("B", "ignore", ("2024-01-06", "2024-01-08"), [5]),  # the weekend has no slot
        ("W-SUN", "ignore", ("2024-01-08", "2024-01-08"), [1]),  # named by its last day, the 14th
        ("W-SUN", "closed", ("2024-01-08", "2024-01-13"), []),  # not the whole week
        ("W-SUN", "closed", ("2024-01-08", "2024-01-14"), [1]),
        ("MS", "stock_out", ("2024-02-29", "2024-03-01"), [1, 2]),
        ("MS", "closed", ("2024-02-01", "2024-03-30"), [1]),
        ("ME", "closed", ("2024-02-01", "2024-02-29"), [1]),
        ("QS", "ignore", ("2024-06-30", "2024-06-30"), [1]),
    ],
)
def test_a_period_is_touched_by_a_day_in_it_and_closed_as_a_whole(
    freq: str, kind: str, span: tuple[str, str], hit: Any
) -> None:
    times = pd.date_range("2024-01-01", periods=60, freq=freq)
    table = table_from_frame(pd.DataFrame({"time": times, "y": np.arange(60) % 7 + 1.0}))
    found = read(table, TableSettings().model_copy(update={"events": events(kind, *span)}))
    slots = find_touched_slots(found.panel, found.schema, kind)  # type: ignore[arg-type]
    assert np.flatnonzero(slots).tolist() == list(hit)


def test_events_with_ids_concern_their_series() -> None:
    rows = [
        pd.DataFrame({"shop": shop, "day": DAYS, "sold": demand(seed=seed)})
        for seed, shop in enumerate("ab")
    ]
    data = pd.concat(rows)
    wild = data.copy()
    wild.loc[(wild["shop"] == "a") & (wild["day"] == "2023-06-01"), "sold"] = 9000
    wild.loc[(wild["shop"] == "b") & (wild["day"] >= "2023-08-01"), "sold"] *= 3
    table = pd.concat(
        [
            events("ignore", "2023-06-01", shop="a"),
            shift("2023-08-01").assign(shop="b"),
            events("closed", "2023-08-12", shop="b"),
        ]
    )
    found = fitted(wild, table, "mean", id=("shop",)).predict()
    by_shop = found.groupby("shop")["forecast"]
    assert by_shop.max()["a"] == pytest.approx(demand().mean(), rel=0.03)
    assert by_shop.max()["b"] == pytest.approx(3 * demand(seed=1).mean(), rel=0.1)
    shut = found["forecast"] == 0
    assert found.loc[shut, ["shop", "day"]].to_numpy().tolist() == [["b", "2023-08-12"]]


def test_what_comes_after_an_origin_changes_nothing_at_it(frame: pd.DataFrame) -> None:
    """Events of every kind lie on both sides of the first origin."""
    table = pd.concat(
        [
            *(events("stock_out", day) for day in ("2023-05-06", "2023-07-08")),
            *(events("ignore", day) for day in ("2023-05-16", "2023-07-18")),
            *(events("closed", day) for day in ("2023-05-26", "2023-07-20")),
            *(shift(day) for day in ("2023-04-01", "2023-07-02", "2023-07-16")),
        ]
    )
    changed, origin = frame.copy(), DAYS[-2 * HORIZON - 1]
    changed.loc[changed["day"] > origin, "sold"] *= 5

    def forecasts(data: pd.DataFrame) -> pd.DataFrame:
        model = Forecaster(model="auto", horizon=HORIZON, events=table, **TINY)
        rows = model.backtest(data, windows=2, step=HORIZON).forecasts
        return rows[(rows["model"] == "auto") & (rows["origin"] == origin)].drop(columns="actual")

    first = forecasts(frame)
    assert len(first) == HORIZON
    pd.testing.assert_frame_equal(first, forecasts(changed), check_exact=True)
    model = fitted(frame, table)
    pd.testing.assert_frame_equal(
        model.predict(frame, origin=origin), model.predict(changed, origin=origin)
    )


def test_scores_leave_out_what_says_nothing(frame: pd.DataFrame, tmp_path: Path) -> None:
    made = pd.DataFrame(
        {"series": "sold", "day": DAYS[-4:], "forecast": [100.0, 100.0, 100.0, 100.0]}
    )
    frame.loc[216:, "sold"] = [
        900,
        60,
        160,
        110,
    ]  # an error, a stock-out below the forecast and one above, a day
    table = pd.concat([events("ignore", DAYS[216]), events("stock_out", DAYS[217], DAYS[218])])
    table.to_csv(tmp_path / "events.csv", index=False)
    settings = TableSettings.check({"events": str(tmp_path / "events.csv")})
    assert score(made, frame, settings).overall["mae"][0] == pytest.approx((60 + 10) / 2)
    model = Forecaster(model="last", horizon=4).fit(frame[:216])
    plain, known = model.score(frame[216:]), model.set_params(events=table).score(frame[216:])
    last = frame["sold"][215]
    counted = [error for error in (160 - last, abs(110 - last)) if error > 0]
    assert plain < known == pytest.approx(-np.mean(counted) / model.fitted_.naive_error[0])
    rows = fitted(frame, table).backtest(frame, windows=1, models=("last",)).forecasts
    assert np.isnan(rows.set_index("day")["actual"][DAYS[216]].to_numpy(float)).all()


def test_a_job_reads_newer_events_of_all_kinds_every_night(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "sales.csv", index=False)
    first = pd.concat([events("ignore", "2023-05-01"), events("closed", "2023-05-02")])
    first.to_csv(tmp_path / "events.csv", index=False)
    (tmp_path / "job.toml").write_text(
        'store = "store"\nrefit = "never"\n[source]\npath = "sales.csv"\n[table]\nevents = "events.csv"\n'
        '[train]\nmodel = "seasonal-mean"\nhorizon = 14\n[sink]\npath = "out.csv"\n'
    )
    assert forecast("run", tmp_path / "job.toml", "--as-of", "2023-08-10").code == 0
    before = pd.read_csv(tmp_path / "out.csv")
    later = pd.date_range("2023-08-10", periods=2).strftime("%Y-%m-%d")
    pd.concat([frame, pd.DataFrame({"day": later, "sold": [9000, 1]})]).to_csv(
        tmp_path / "sales.csv", index=False
    )
    newer = [
        first,
        events("ignore", later[0]),
        events("stock_out", later[1]),
        events("closed", "2023-08-15"),
    ]
    pd.concat(newer).to_csv(tmp_path / "events.csv", index=False)
    ran = forecast("run", tmp_path / "job.toml", "--as-of", "2023-08-12", "--log-format", "json")
    assert ran.code == 0, ran.err
    after = pd.read_csv(tmp_path / "out.csv").set_index("day")["forecast"]
    assert after["2023-08-15"] == 0
    same = before.set_index("day")["forecast"].drop("2023-08-15").loc["2023-08-12":]
    np.testing.assert_allclose(after[same.index], same, rtol=0.05)
    record = json.loads((tmp_path / "store.runs" / "run.json").read_text())
    assert (
        record["scores"] == []
    )  # of the two values one is ignored, and the other bounds a smaller demand


def test_kinds_and_spans_are_saved(frame: pd.DataFrame, tmp_path: Path) -> None:
    plain = pd.DataFrame({"date": ["2023-05-01"], "name": "fair"})
    table = pd.concat([plain.assign(kind="effect"), events("closed", "2023-06-01", "2023-06-03")])
    fitted(frame, table).save(str(tmp_path / "kinds"))
    loaded = Forecaster.load(str(tmp_path / "kinds"))
    assert [event.kind for event in loaded.events] == ["effect", "closed"]
    pd.testing.assert_frame_equal(loaded.fit(frame).predict(), fitted(frame, table).predict())


REFUSED: list[tuple[dict[str, list[str]], str]] = [
    (
        {"date": ["2023-05-01"], "kind": ["stockout"]},
        r"'kind': 'stockout' is no kind of event; did you mean 'stock_out'",
    ),
    (
        {"start": ["2023-05-03"], "end": ["2023-05-01"]},
        "column 'end': an event ends before it starts",
    ),
    (
        {"start": ["2023-05-03"]},
        "column 'start': an event has either a date, or a start and an end; this one has start",
    ),
    ({"start": ["2023-05-03"], "end": [""]}, "column 'start': .* this one has start"),
    ({"start": [""], "end": [""]}, "this one has neither"),
    (
        {"date": ["2023-05-03"], "start": ["2023-05-03"], "end": ["2023-05-04"]},
        "this one has date and start and end",
    ),
    ({"start": ["2023-05-03"], "end": ["later"]}, "column 'end': 'later'"),
    (
        {"start": ["2023-05-03 10:00"], "end": ["2023-05-04"]},
        "column 'start': .* is a time within a day",
    ),
    (
        {"start": ["2023-05-03"], "end": ["2023-05-04"], "kind": ["level_shift"]},
        "the level_shift 'x' has an end",
    ),
    (
        {
            "start": ["2023-05-01", "2023-05-03"],
            "end": ["2023-05-03", "2023-05-04"],
            "kind": ["closed", "stock_out"],
        },
        r"row 2, column 'kind': 'x' is stock_out on 2023-05-03, which is closed by row 1 \('x'\); a day of a series",
    ),
]


@pytest.mark.parametrize(("columns", "problem"), REFUSED)
def test_events_that_contradict_themselves_are_refused(
    columns: dict[str, list[str]], problem: str
) -> None:
    found = read(table_from_frame(pd.DataFrame({"day": DAYS, "sold": demand()})), TableSettings())
    table = table_from_frame(pd.DataFrame({**columns, "name": "x"}), "events.csv")
    from forecast.errors import BadData

    with pytest.raises(BadData, match=problem) as refused:
        read_events(table, found.schema, found.panel.ids)
    assert refused.value.exit_code == 65


Touched = dict[str, list[str]]


def reading(times: Any, events: dict[str, list[str]] | None = None, **settings: Any) -> Reading:
    frame = pd.DataFrame({"at": times, "y": np.arange(len(times)) % 7 + 1.0})
    table = None if events is None else table_from_frame(pd.DataFrame(events))
    how = TableSettings(**settings).model_copy(update={"events": table})
    return read(table_from_frame(frame), how, horizon=3)


def times_touched(found: Reading, times: pd.DatetimeIndex) -> Touched:
    """The times that each label touches."""
    marks = mark(found.panel, found.schema)
    days = {label: [] for label in marks.labels}
    for slot, label in zip(marks.slot, marks.label, strict=True):
        days[marks.labels[label]].append(str(times[slot]).removesuffix(" 00:00:00"))
    return {label: sorted(each) for label, each in days.items() if each}


def test_a_day_has_an_eve_and_a_day_after_it_but_not_within_an_event() -> None:
    days = pd.date_range("2024-02-20", periods=23)
    found = reading(days[:20], {"date": ["2024-03-01", "2024-03-02"], "name": ["fair", "fair"]})
    assert times_touched(found, days) == {
        "eve of fair": ["2024-02-29"],
        "fair": ["2024-03-01", "2024-03-02"],
        "day after fair": ["2024-03-03"],
    }


def test_holidays_that_move_and_observed_days_have_names_of_their_own() -> None:
    pytest.importorskip("holidays")
    days = pd.date_range("2019-06-01", periods=1003)
    found = times_touched(reading(days[:1000], holidays="US"), days)
    assert found["Thanksgiving Day"] == ["2019-11-28", "2020-11-26", "2021-11-25"]
    assert found["day after Thanksgiving Day"] == ["2019-11-29", "2020-11-27", "2021-11-26"]
    assert found["Christmas Day (observed)"] == ["2021-12-24"]


def test_on_business_days_the_eve_of_a_monday_is_a_friday() -> None:
    days = pd.bdate_range("2024-01-01", periods=63)
    found = reading(
        days[:60], {"date": ["2024-02-05", "2024-02-17"], "name": ["start", "saturday"]}
    )
    assert found.schema.calendar.kind == "weekdays"
    assert times_touched(found, days) == {
        "eve of start": ["2024-02-02"],
        "start": ["2024-02-05"],
        "day after start": ["2024-02-06"],
        "eve of saturday": ["2024-02-16"],
        "day after saturday": ["2024-02-19"],
    }


def test_hours_of_the_local_day_are_touched() -> None:
    hours = pd.date_range("2024-01-01", periods=24 * 14 + 3, freq="h", tz="America/New_York")
    found = reading(hours[: 24 * 14], {"date": ["2024-01-08"], "name": ["fair"]})
    at = times_touched(found, hours)["fair"]
    assert (at[0], at[-1], len(at)) == (
        "2024-01-08 00:00:00-05:00",
        "2024-01-08 23:00:00-05:00",
        24,
    )


@pytest.mark.parametrize(("anchor", "day"), [("W-SUN", "2024-02-11"), ("W-WED", "2024-02-07")])
def test_a_week_that_holds_an_event_is_touched(anchor: str, day: str) -> None:
    weeks = pd.date_range("2024-01-01", periods=33, freq=anchor)
    found = reading(weeks[:30], {"date": ["2024-02-06"], "name": ["fair"]})
    assert times_touched(found, weeks) == {"fair": [day]}


def of_shops() -> Reading:
    days = pd.date_range("2024-01-01", periods=30)
    shops = [("a", "x"), ("a", "y"), ("b", "x")]
    frames = [
        pd.DataFrame({"shop": shop, "item": item, "day": days, "units": 1.0})
        for shop, item in shops
    ]
    settings = TableSettings(id=("shop", "item"), target="units")
    return read(table_from_frame(pd.concat(frames)), settings, horizon=3)


def test_id_columns_say_which_series_an_event_concerns() -> None:
    found = of_shops()
    rows = {"date": ["2024-01-10", "2024-01-20"], "name": ["promo", "strike"], "shop": ["a", None]}
    events = read_events(table_from_frame(pd.DataFrame(rows)), found.schema, found.panel.ids)
    marks = mark(found.panel, found.schema.model_copy(update={"dated_events": events}))
    place, series = marks.slot % 33, marks.slot // 33
    assert set(series[place == 9]) == {0, 1}
    assert set(series[place == 19]) == {0, 1, 2}


def test_events_of_unknown_series_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    found = of_shops()
    rows = {"date": ["2024-01-10", "2024-01-11"], "name": ["promo", "promo"], "shop": ["a", "zzz"]}
    events = read_events(table_from_frame(pd.DataFrame(rows)), found.schema, found.panel.ids)
    assert len(events) == 2  # it may still come
    assert "zzz" in caplog.text


def test_a_newer_table_holds_from_its_first_day_on() -> None:
    found = of_shops()

    def events(*dates: str) -> Any:
        frame = pd.DataFrame({"date": dates, "name": "promo"})
        return read_events(table_from_frame(frame), found.schema, found.panel.ids)

    after = merge_events(events("2024-01-10", "2024-02-10"), events("2024-02-01", "2024-03-01"))
    assert [str(event.day) for event in after] == ["2024-01-10", "2024-02-01", "2024-03-01"]


REFUSED_TABLES: list[tuple[dict[str, list[str]], str]] = [
    ({"day": ["2024-01-10"], "name": ["promo"]}, "no column 'date'"),
    ({"date": ["2024-01-10"]}, "no column 'name'"),
    (
        {"date": ["2024-01-10"], "name": ["promo"], "store": ["a"]},
        "'store' is neither date, start, end, name, kind nor",
    ),
    ({"date": ["soon"], "name": ["promo"]}, "soon"),
    ({"date": ["2024-01-10 12:00"], "name": ["promo"]}, "whole days are needed"),
    ({"date": ["3"], "name": ["promo"]}, "is no date"),
    ({"date": ["2024-01-10"], "name": [""]}, "needs a name"),
    ({"date": ["2024-01-10", "2024-01-10"], "name": ["promo", "promo"]}, "comes twice"),
]


@pytest.mark.parametrize(("rows", "problem"), REFUSED_TABLES)
def test_a_table_that_is_none_of_events_is_refused(
    rows: dict[str, list[str]], problem: str
) -> None:
    found = of_shops()
    with pytest.raises(BadData, match=problem):
        read_events(
            table_from_frame(pd.DataFrame(rows), "events.csv"), found.schema, found.panel.ids
        )


def test_series_without_days_have_no_events() -> None:
    events = {"date": ["2020-01-10"], "name": ["promo"]}
    with pytest.raises(UsageError, match="events need days, and the table has steps of MS"):
        reading(pd.date_range("2020-01-01", periods=30, freq="MS"), events)
    with pytest.raises(UsageError, match="events need days, and the table has steps of 1"):
        reading(np.arange(30), events, time=("at",), freq="1")
