"""The scikit-learn-style face: invariances, leaks, repeatability, scikit-learn's own tools."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.errors import ArtifactRefused, BadData, Unavailable, UsageError
from forecast.inference.forecasting import load_predictor
from forecast.models import model_class, model_names
from forecast.settings import OutputSettings, TableSettings
from forecast.tables.writing import build_frame
from tests._settings import ROLES, SMALL

SCALINGS = [
    ("gru", scaling) for scaling in ("robust", "mean", "last", "none")
]  # which come before any network


@pytest.mark.parametrize(
    ("model", "scaling"), [*((model, "standard") for model in model_names()), *SCALINGS]
)
def test_the_future_changes_nothing(panel_frame: pd.DataFrame, model: str, scaling: str) -> None:
    """Values after the origin may be anything: forecasts, and the fit of what came before, stay as they are."""
    params = SMALL["params"] if "hidden_size" in model_class(model).Params.model_fields else None
    knobs = {**SMALL, "steps": 3, "params": params}
    fitted = Forecaster(**knobs, **ROLES, model=model, scaling=scaling).fit(panel_frame)
    later = panel_frame["day"] > "2024-03-01"
    changed = panel_frame.copy()
    changed["units"] = changed["units"].where(~later, 1e6 + changed["units"] ** 2)
    changed["price"] = changed["price"].where(~later, -5.0)
    expected = fitted.predict(panel_frame, origin="2024-03-01")
    pd.testing.assert_frame_equal(
        fitted.predict(changed, origin="2024-03-01"), expected, check_exact=True
    )
    assert expected["day"].min() == "2024-03-02"


def test_held_out_values_reach_neither_weights_nor_choices_before_the_refit(
    panel_frame: pd.DataFrame,
) -> None:
    """The newest values choose among weights, but train none: statistics and windows end before them."""
    import torch

    from forecast.panel.infer import read, read_as
    from forecast.panel.schema import build_calendar
    from forecast.tables.reading import table_from_frame
    from forecast.training.devices import on_device
    from forecast.training.sampling import sampler
    from forecast.training.split import split_windows
    from forecast.windows.inputs import fit_statistics, make_columns
    from forecast.windows.windows import Windows

    def drawn(frame: pd.DataFrame) -> dict[str, torch.Tensor]:
        table = table_from_frame(frame)
        schema = read(table, TableSettings(**ROLES)).schema
        panel = read_as(table, schema, horizon=5).panel
        split = split_windows(panel.lengths, 14, 5, 7)
        assert split.held_out.all()
        statistics = fit_statistics(panel, schema, split.train_end)
        columns = make_columns(panel, schema, statistics, build_calendar(schema))
        windows = Windows(panel, columns, 5, (7,), np.arange(1, len(panel) + 1)).cut(14, "standard")
        windows = windows.to(on_device(torch.device("cpu")))
        batch = sampler(windows, split)(torch.Generator().manual_seed(0), 200, False)
        return {
            name: getattr(batch, name)
            for name in ("past", "target", "target_mask", "seasonal", "past_covariates", "scale")
        }

    newest = panel_frame.groupby("shop").cumcount(ascending=False) < 5
    changed = panel_frame.assign(
        units=panel_frame["units"].where(~newest, 1e6),
        price=panel_frame["price"].where(~newest, 1e3),
    )
    before, after = drawn(panel_frame), drawn(changed)
    for name, values in before.items():
        assert torch.equal(values, after[name]), name


def test_wide_and_long_shuffled_and_reordered_give_the_same(panel_frame: pd.DataFrame) -> None:
    long = panel_frame[["shop", "day", "units"]]
    wide = (
        long.pivot(index="day", columns="shop", values="units")
        .reset_index()
        .rename_axis(columns=None)
    )
    model = Forecaster(**SMALL).fit(long)
    expected = model.predict()
    forms = {
        "wide": wide,
        "wide, reordered": wide[["s003", "day", "s001", "s004", "s002"]],
        "shuffled": long.sample(frac=1, random_state=1),
        "reordered": long[["units", "day", "shop"]],
    }
    for name, form in forms.items():
        own = Forecaster(**SMALL).fit(form).predict().rename(columns={"series": "shop"})
        own = own.sort_values(["shop", "day"]).reset_index(drop=True)
        # the last bit of a network's products depends on the place of a series among others, on some processors
        pd.testing.assert_frame_equal(own[list(expected.columns)], expected, rtol=1e-6, obj=name)
        pd.testing.assert_frame_equal(
            model.predict(long.sample(frac=1, random_state=2))
            .sort_values(["shop", "day"])
            .reset_index(drop=True),
            expected,
        )


def test_output_follows_the_order_of_the_input(panel_frame: pd.DataFrame) -> None:
    swapped = pd.concat(
        [panel_frame[panel_frame["shop"] == one] for one in ("s003", "s001", "s004", "s002")]
    )
    forecasts = Forecaster(**SMALL).fit(swapped[["shop", "day", "units"]]).predict()
    assert list(forecasts["shop"].unique()) == ["s003", "s001", "s004", "s002"]


def test_a_new_id_is_forecast_and_said(
    panel_frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    model = Forecaster(**SMALL).fit(
        panel_frame[panel_frame["shop"] != "s004"][["shop", "day", "units"]]
    )
    found = model.predict(panel_frame[panel_frame["shop"] != "s001"], explain=True)
    assert set(found["shop"]) == {"s002", "s003", "s004"}
    assert set(found[found["shop"] == "s004"]["status"]) == {"new"}
    assert "1 series were not seen at fit (s004)" in caplog.text
    assert "1 series of the fit are not here (s001)" in caplog.text


def test_a_level_that_moved_tenfold_is_said_or_refused(
    panel_frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    plain = panel_frame[["shop", "day", "units"]]
    model = Forecaster(**SMALL).fit(plain)
    thousands = plain.assign(units=plain["units"] / 1000)
    model.predict(thousands)
    assert "was the unit changed" in caplog.text
    with pytest.raises(BadData, match="tenfold"):
        model.set_params(strict=True).predict(thousands)


def test_a_constant_series_is_forecast_as_it_is() -> None:
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=50),
            "flat": 0.1,
            "wave": np.sin(np.arange(50.0)),
        }
    )
    found = Forecaster(**SMALL).fit(frame).predict()
    flat = found[found["series"] == "flat"]
    assert (flat[["forecast", "lo_95", "hi_95"]] == 0.1).all().all()


def test_a_series_that_ended_long_ago_gets_no_forecast(
    panel_frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    gone = panel_frame[(panel_frame["shop"] != "s002") | (panel_frame["day"] < "2024-02-01")][
        ["shop", "day", "units"]
    ]
    found = Forecaster(**SMALL).fit(gone).predict()
    assert set(found["shop"]) == {"s001", "s003", "s004"}
    assert "s002" in caplog.text


def test_intervals_are_nested_around_the_forecast(panel_frame: pd.DataFrame) -> None:
    model = Forecaster(**SMALL, **ROLES).fit(panel_frame)
    found = model.predict(
        panel_frame[panel_frame["day"] < "2024-03-10"].copy(),
        origin="2024-03-01",
        levels=(10, 50, 80, 97.5, 99),
    )
    names = [
        "lo_99",
        "lo_97.5",
        "lo_80",
        "lo_50",
        "lo_10",
        "forecast",
        "hi_10",
        "hi_50",
        "hi_80",
        "hi_97.5",
        "hi_99",
    ]
    assert (np.diff(found[names].to_numpy(), axis=1) >= 0).all()


@pytest.mark.parametrize("transform", ["log", "power"])
def test_a_transform_keeps_forecasts_of_positive_series_positive(
    passengers: Path, transform: str
) -> None:
    model = Forecaster(
        steps=40, transform=transform, params={"hidden_size": 8}, baselines=("theta",)
    ).fit(pd.read_csv(passengers))
    found = model.predict(levels=(99,))
    assert (found["lo_99"] > 0).all()
    assert 0 <= model.fitted_.config.power < 1


def test_the_logarithm_of_zero_is_refused() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=30), "units": np.arange(30.0)})
    with pytest.raises(UsageError, match="pass transform='power'"):
        Forecaster(transform="log").fit(frame)


def test_known_values_are_needed_for_the_horizon(panel_frame: pd.DataFrame) -> None:
    model = Forecaster(**SMALL, known=("promo",)).fit(panel_frame)
    with pytest.raises(BadData, match=r"promo.*2024-03-21"):
        model.predict()
    days = [f"2024-03-{day}" for day in range(21, 26)]
    plans = pd.DataFrame(
        {"shop": np.repeat(["s001", "s002", "s003", "s004"], 5), "day": days * 4, "promo": 0}
    )
    quiet, busy = model.predict(future=plans), model.predict(future=plans.assign(promo=1))
    assert (quiet["forecast"] != busy["forecast"]).all()
    tonight = pd.concat([panel_frame, plans])
    pd.testing.assert_frame_equal(model.predict(tonight), quiet)


@pytest.mark.slow
def test_members_are_combined_by_the_median_and_side_by_side_is_the_same(
    panel_frame: pd.DataFrame,
) -> None:
    plain = panel_frame[["shop", "day", "units"]]
    three = Forecaster(**SMALL, members=3).fit(plain)
    assert len(three.plan_.members) == 3
    side = Forecaster(**SMALL, members=3, jobs=2).fit(plain)
    pd.testing.assert_frame_equal(side.predict(), three.predict())
    assert not three.predict()["forecast"].equals(
        Forecaster(**SMALL).fit(plain).predict()["forecast"]
    )


def test_score_is_minus_the_scaled_error_of_the_rows_after_the_end(
    panel_frame: pd.DataFrame,
) -> None:
    plain = panel_frame[["shop", "day", "units"]]
    early = plain[plain["day"] <= "2024-03-01"]
    model = Forecaster(**SMALL, season=(7,)).fit(early)
    ahead = plain[(plain["day"] > "2024-03-01") & (plain["day"] <= "2024-03-06")]
    past = early.pivot(index="day", columns="shop", values="units")
    scale = (past - past.shift(7)).abs().mean()
    error = (
        model.predict()["forecast"].to_numpy()
        - ahead.sort_values(["shop", "day"])["units"].to_numpy()
    ).reshape(4, 5)
    expected = -np.mean(np.abs(error).mean(1) / scale.to_numpy())
    assert model.score(plain) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(BadData, match="after the end of the fit"):
        model.score(early)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_in_predict_is_said(
    store: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def ask_too_much(*arguments: object) -> None:
        raise error

    forecaster = Forecaster.load(str(store), engine="torch")
    monkeypatch.setattr("forecast.inference.torch.Networks.quantiles", ask_too_much)
    with pytest.raises(Unavailable, match="out of memory; forecast fewer series at once"):
        forecaster.predict()


def test_a_short_memory_is_no_fault_of_the_artifact(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_too_much(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr("forecast.artifacts.format.load_tensors", ask_too_much)
    with pytest.raises(MemoryError):
        Forecaster.load(str(store))


def test_forecasts_that_are_not_finite_are_refused(store: Path, passengers: Path) -> None:
    forecaster = Forecaster.load(str(store), engine="torch")
    for parameter in forecaster.predictor_.backend.groups[0][0].parameters():
        parameter.data.fill_(3e38)
    with pytest.raises(ArtifactRefused, match="not finite"):
        forecaster.predict()
    with pytest.raises(BadData, match="not finite"):
        forecaster.predict(pd.read_csv(passengers))


def test_names_of_columns_of_the_forecasts_are_refused_as_ids_and_times() -> None:
    times, values = pd.date_range("2024-01-01", periods=40), np.arange(40.0)
    wide = pd.DataFrame({"series": times, "y": values, "z": values})
    with pytest.raises(
        UsageError, match="columns 'series' have the names of columns of the forecasts"
    ):
        Forecaster(model="last").fit(wide)
    with pytest.raises(UsageError, match="columns 'forecast' have the names"):
        Forecaster(model="last").fit(wide.rename(columns={"series": "forecast"}))
    long = pd.DataFrame(
        {"model": ["a"] * 40 + ["b"] * 40, "day": [*times, *times], "y": [*values, *values]}
    )
    fitted = Forecaster(model="last", id="model").fit(long)
    assert set(fitted.predict()["model"]) == {"a", "b"}
    with pytest.raises(UsageError, match="columns 'model' have the names"):
        fitted.predict(explain=True)


def test_whole_numbers_too_large_for_an_integer_are_put_out_all_the_same(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "forecast.inference.forecasting.apply_bounds",
        lambda numbers, output, floor: numbers * 0 + 1e25,
    )
    question = ForecastRequest(output=OutputSettings(integer=True))
    found = build_frame(forecast(load_predictor(str(store)), question).whole.columns)
    assert set(found["forecast"]) == {1e25}


def test_an_origin_is_a_text_a_time_or_a_step_and_a_horizon_a_whole_number() -> None:
    frame = pd.DataFrame(
        {"time": pd.date_range("2024-01-01", periods=40), "value": np.arange(40.0)}
    )
    model = Forecaster(model="last", horizon=3).fit(frame)
    expected = model.predict(frame, origin="2024-02-01")
    for origin in (
        pd.Timestamp("2024-02-01"),
        pd.Timestamp("2024-02-01").date(),
        np.datetime64("2024-02-01"),
    ):
        pd.testing.assert_frame_equal(model.predict(frame, origin=origin), expected)
    steps = Forecaster(model="last", horizon=3).fit(np.arange(40.0))
    assert steps.predict(np.arange(40.0), origin=30)["index"].tolist() == [31, 32, 33]
    for horizon in ("2", 2.5):
        with pytest.raises(UsageError, match="a whole number of steps"):
            model.predict(horizon=horizon)


def test_every_forecast_takes_the_same_words() -> None:
    day = pd.date_range("2024-01-01", periods=60)
    sold = 10.25 + np.arange(60.0) % 7
    frame = pd.DataFrame({"day": day, "sold": sold, "promo": np.arange(60) % 2})
    model = Forecaster(model="regression", horizon=5, target="sold", known="promo").fit(frame)
    words = {"origin": date(2024, 2, 24), "horizon": 3}
    numbers = {"max": 12, "integer": True, "point": "mean"}
    table = model.predict(frame, **words, **numbers, levels=None, quantiles=np.array([50, 90]))
    assert list(table) == ["series", "day", "forecast", "p50", "p90"]
    assert table["day"].tolist() == list(pd.date_range("2024-02-25", periods=3))
    assert table["forecast"].max() == 12
    sums = model.totals(frame, **words, **numbers, every="horizon", levels=80)
    assert sums[["steps", "forecast"]].to_numpy().tolist() == [[3, table["forecast"].sum()]]
    plans = model.what_if({"promo": 1}, frame, **words, **numbers)
    assert plans["forecast"].tolist() == table["forecast"].tolist()
    assert model.future_template(frame, **words)["day"].tolist() == table["day"].tolist()
    chart = str(model.plot(frame, **words, quantiles=(10, 90)).to_dict())
    assert "80 % interval" in chart
    assert "95 % interval" not in chart
    with pytest.raises(UsageError, match="unknown setting 'levls'; did you mean 'levels'"):
        model.predict(levls=80)  # type: ignore[call-arg]


def test_booleans_are_the_numbers_0_and_1() -> None:
    draw = np.random.default_rng(0)
    day, promo = pd.date_range("2024-01-01", periods=100), draw.random(100) < 0.3
    past = pd.DataFrame(
        {"day": day, "sold": 10 + draw.normal(0, 0.1, 100) + 3 * promo, "promo": promo}
    )
    ahead = pd.DataFrame(
        {"day": pd.date_range("2024-04-10", periods=3), "promo": [True, False, True]}
    )
    forecasts = []
    for kind in (bool, "boolean", int, "str"):
        model = Forecaster(model="regression", horizon=3, target="sold", known="promo")
        model.fit(past.astype({"promo": kind}))
        forecasts += [
            model.predict(future=ahead.astype({"promo": other}))
            for other in (bool, "boolean", int, float)
        ]
    for table in forecasts[1:]:
        pd.testing.assert_frame_equal(table, forecasts[0])
    assert (forecasts[0]["forecast"].round() == [13, 10, 13]).all()


def test_a_boolean_that_fit_did_not_see_is_named(caplog: pytest.LogCaptureFixture) -> None:
    day = pd.date_range("2024-01-01", periods=40)
    past = pd.DataFrame({"day": day, "sold": np.arange(40.0), "promo": [True] * 40})
    model = Forecaster(
        model="last", horizon=2, target="sold", known="promo", categorical="promo"
    ).fit(past)
    ahead = pd.DataFrame({"day": pd.date_range("2024-02-10", periods=2), "promo": [0, 1]})
    model.predict(future=ahead)
    assert "categories that fit did not see ('0')" in caplog.text


@pytest.mark.parametrize("model", ["segrnn", "trees", "regression", "pretrained"])
def test_known_values_may_lack_where_an_event_closes(model: str) -> None:
    draw, day = np.random.default_rng(1), pd.date_range("2024-01-01", periods=150)
    past = pd.DataFrame(
        {"day": day, "sold": 9 + draw.normal(size=150), "promo": draw.integers(0, 2, 150)}
    )
    events = pd.DataFrame(
        {"start": ["2024-06-01"], "end": ["2024-06-09"], "name": ["works"], "kind": ["closed"]}
    )
    plan = pd.DataFrame(
        {"day": pd.date_range("2024-05-30", periods=5), "promo": [1, 0, np.nan, np.nan, np.nan]}
    )
    how = {} if model in ("regression", "pretrained") else {"steps": 2, "members": 1}
    fitted = Forecaster(
        model=model, horizon=5, target="sold", known="promo", events=events, **how
    ).fit(past)
    table, full = fitted.predict(future=plan), fitted.predict(future=plan.fillna(0.0))
    assert table["forecast"].tolist()[2:] == [0, 0, 0]
    assert (table["forecast"][:2] > 2).all()
    assert table["forecast"][:2].to_numpy() == pytest.approx(
        full["forecast"][:2].to_numpy(), rel=0.3
    )


def test_whole_ids_come_back_as_numbers(tmp_path: Path) -> None:
    day = pd.date_range("2024-01-01", periods=60)
    frame = pd.concat(
        [pd.DataFrame({"shop": shop, "day": day, "sold": np.arange(60.0)}) for shop in (10, 9)]
    )
    model = Forecaster(model="drift", horizon=3, target="sold").fit(frame)
    model.save(str(tmp_path / "store"))
    for forecaster in (model, Forecaster.load(str(tmp_path / "store"))):
        table = forecaster.predict()
        assert table["shop"].tolist() == [10] * 3 + [9] * 3
        assert forecaster.totals(by="shop", every="horizon")["shop"].tolist() == [10, 9]
        assert forecaster.totals(by="all", every="horizon")["shop"].tolist() == [""]
    texts = (
        Forecaster(model="drift", horizon=3, target="sold")
        .fit(frame.astype({"shop": "str"}))
        .predict()
    )
    assert texts["shop"].tolist() == ["10"] * 3 + ["9"] * 3


def test_a_frame_of_arrow_and_a_matrix_of_one_column_are_read(panel_frame: pd.DataFrame) -> None:
    model = Forecaster(model="drift", horizon=3)
    arrow = model.fit(panel_frame.convert_dtypes(dtype_backend="pyarrow")).predict()
    pd.testing.assert_frame_equal(arrow, model.fit(panel_frame).predict(), check_dtype=False)
    assert any(line.startswith("layout   ") for line in model.describe())
    values = np.arange(50.0)
    pd.testing.assert_frame_equal(model.fit(values[:, None]).predict(), model.fit(values).predict())
    with pytest.raises(UsageError, match=r"not ndarray of shape \(25, 2\)"):
        model.fit(values.reshape(25, 2))


def test_values_beside_the_table_are_refused(panel_frame: pd.DataFrame) -> None:
    model = Forecaster(model="drift", horizon=3)
    with pytest.raises(UsageError, match="y=: what is forecast is a column of X"):
        model.fit(panel_frame, np.arange(len(panel_frame)))
    with pytest.raises(TypeError, match=r"Forecaster\w*.__init__\(\) got .* 'horizn'"):
        Forecaster(horizn=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("column", ["day", "shop"])
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (["x"], r"'\['x'\]' is a list or an object"),
        ({"a": 1}, "is a list or an object"),
        ("\ud800", "has half a character, which is no text"),
    ],
)
def test_a_cell_that_is_no_text_is_named(column: str, cell: Any, said: str) -> None:
    days = pd.date_range("2024-01-01", periods=9).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": days, "shop": "a", "units": 1.0}).astype({column: object})
    frame.at[3, column] = cell
    with pytest.raises(BadData, match=f"row 4, column '{column}': .*{said}"):
        Forecaster(model="last", horizon=2, id="shop", target="units").fit(frame)
