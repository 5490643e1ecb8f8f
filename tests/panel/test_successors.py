"""A series starts with the past of the one that it replaces, or of one like it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData, UsageError
from tests.conftest import Run

DAYS = pd.date_range("2024-01-01", periods=56)  # eight weeks
HORIZON = 7
WEEK = np.tile([5.0, 6.0, 7.0, 8.0, 9.0, 20.0, 1.0], 8)
LAUNCH = "2024-02-12"  # a Monday, two weeks before the end
END = len(DAYS)


def sales(product: str, values: Any, days: Any = DAYS, shop: str = "Bonn") -> pd.DataFrame:
    return pd.DataFrame({"day": days, "shop": shop, "product": product, "units": values})


def successors(**columns: Any) -> pd.DataFrame:
    row: dict[str, Any] = {"shop": "Bonn", "product": "tea 2", "from": LAUNCH}
    return pd.DataFrame({**row, **columns}, index=[0])


@pytest.fixture
def frame() -> pd.DataFrame:
    """Tea until the launch of tea 2, which has two weeks of its own; and milk."""
    tea = sales("tea", WEEK[:42], DAYS[:42])
    return pd.concat([tea, sales("tea 2", WEEK[42:] + 1, DAYS[42:]), sales("milk", 10 * WEEK)])


def forecaster(rows: Any = None, **settings: Any) -> Forecaster:
    return Forecaster(
        **{"model": "seasonal-naive", "horizon": HORIZON, "id": ("shop", "product")} | settings,
        target="units",
        successors=rows,
    )


def of(table: pd.DataFrame, product: str) -> list[float]:
    return table.loc[table["product"] == product, "forecast"].tolist()


def past(model: Forecaster, product: str) -> list[float]:
    """The values of the newest weeks of a series as the fitted forecaster has them."""
    panel = model.fitted_.history
    series = [ids[1] for ids in panel.ids].index(product)
    values = np.where(panel.observed, panel.values, np.nan)
    return values[panel.slots(series)].tolist()


def test_a_successor_starts_with_the_past_of_the_other_which_ends(frame: pd.DataFrame) -> None:
    model = forecaster(successors(replaces="Bonn/tea", share=0.5))
    table = model.fit(frame).predict(explain=True)
    assert sorted(table["product"].unique()) == ["milk", "tea 2"]
    status = table.set_index("product")["status"].to_dict()
    assert status == {"milk": "ok", "tea 2": "successor"}
    assert of(table, "tea 2") == (WEEK[:7] + 1).tolist()  # its own values win
    assert past(model, "tea 2")[-21:] == [*(WEEK[:7] / 2), *(WEEK[:14] + 1)]


def test_a_series_without_a_value_gets_its_first_forecast(frame: pd.DataFrame) -> None:
    frame = frame[frame["product"] == "milk"]
    rows = successors(product="cream", like="Bonn/milk", share=0.5, **{"from": "2024-02-26"})
    table = forecaster(rows).fit(frame).predict(explain=True)
    assert of(table, "milk") == (10 * WEEK[:7]).tolist()  # which goes on
    assert of(table, "cream") == (5 * WEEK[:7]).tolist()
    assert set(table.loc[table["product"] == "cream", "status"]) == {"like"}


def test_later_values_of_the_predecessor_change_nothing_and_are_counted(
    frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in a forecast, nor in the past, nor in a backtest."""
    leftovers = sales("tea", 1e6, DAYS[42:50])
    rows = successors(replaces="Bonn/tea")
    model = forecaster(rows)
    clean = model.fit(frame).predict()
    tested = model.backtest(frame, windows=3).forecasts
    caplog.clear()
    both = pd.concat([frame, leftovers])
    pd.testing.assert_frame_equal(model.fit(both).predict(), clean)
    assert "8 values of 'Bonn/tea' are left out, as another series replaces it" in caplog.text
    pd.testing.assert_frame_equal(model.backtest(both, windows=3).forecasts, tested)


def test_a_forecast_from_an_origin_knows_nothing_of_what_came_later(frame: pd.DataFrame) -> None:
    """Values after the origin, of the new series and of the old one, change nothing."""
    rows = successors(replaces="Bonn/tea")
    model = forecaster(rows).fit(frame)
    later = frame.assign(units=frame["units"].where(frame["day"] < "2024-02-19", 1e3))
    at = [model.predict(data, origin="2024-02-18") for data in (frame, later)]
    pd.testing.assert_frame_equal(*at)
    assert of(at[0], "tea 2") == (WEEK[:7] + 1).tolist()


def test_before_the_first_day_the_new_series_is_0_and_from_then_on_the_old_one() -> None:
    frame = pd.concat([sales("tea", WEEK), sales("milk", 10 * WEEK)])
    rows = successors(replaces="Bonn/tea", **{"from": "2024-02-29"})  # the fourth step
    model = forecaster(rows).fit(frame)
    table = model.predict()
    assert of(table, "tea") == [*WEEK[:3], 0, 0, 0, 0]
    assert of(table, "tea 2") == [0, 0, 0, *WEEK[3:7]]
    for every in (table, model.predict(frame)):
        total = every[every["product"] != "milk"].groupby("day")["forecast"].sum()
        assert total.tolist() == WEEK[:7].tolist()
    sums = model.totals(by="shop").query("level == 'shop'")
    assert sums["forecast"].tolist() == pytest.approx((11 * WEEK[:7]).tolist(), rel=0.02)


def test_the_zeros_before_the_first_day_are_stored(tmp_path: Path) -> None:
    rows = successors(replaces="Bonn/tea", **{"from": "2024-02-29"})
    model = forecaster(rows).fit(sales("tea", WEEK))
    model.save(str(tmp_path))
    loaded = Forecaster.load(str(tmp_path))
    pd.testing.assert_frame_equal(loaded.predict(), model.predict())
    again = loaded.fit(sales("tea", WEEK)).predict()  # the rows are restored, too
    pd.testing.assert_frame_equal(again, model.predict())


def test_after_the_horizon_nothing_happens_yet(frame: pd.DataFrame) -> None:
    frame = frame[frame["product"] == "milk"]
    rows = successors(replaces="Bonn/milk", **{"from": "2025-01-01"})
    table = forecaster(rows).fit(frame).predict()
    assert set(table["product"]) == {"milk"}
    assert of(table, "milk") == (10 * WEEK[:7]).tolist()


def test_several_predecessors_are_summed() -> None:
    frame = pd.concat([sales("tea", WEEK[:42], DAYS[:42]), sales("milk", 10 * WEEK)])
    frame = pd.concat([frame, sales("herbs", 3.0, DAYS[21:42]), sales("tea 2", np.nan, DAYS[42:])])
    rows = successors().loc[[0, 0]].assign(replaces=["Bonn/tea", "Bonn/herbs"], share=[1, 0.5])
    model = forecaster(rows).fit(frame)
    assert past(model, "tea 2")[-21:-14] == (WEEK[:7] + 1.5).tolist()
    assert np.isnan(past(model, "tea 2")[-14:]).all()
    assert "tea 2" in set(model.predict()["product"])


def test_successors_of_one_series_share_it_and_count_it_once(frame: pd.DataFrame) -> None:
    """What rows without a share leave out is theirs, in equal parts."""
    names = ["tea 2", "tea 3", "tea 4"]
    new = [sales(name, np.nan, DAYS[42:]) for name in names[1:]]
    rows = successors(replaces="Bonn/tea").loc[[0, 0, 0]].assign(product=names)
    for given, shares in (("", [1 / 3] * 3), (0.5, [0.5, 0.25, 0.25])):
        model = forecaster(rows.assign(share=[given, "", ""])).fit(pd.concat([frame, *new]))
        for name, share in zip(names, shares, strict=True):
            assert past(model, name)[-21:-14] == pytest.approx(share * WEEK[:7])
    full = rows.assign(share=[0.5, 0.6, ""])
    with pytest.raises(BadData, match=r"the shares of 'Bonn/tea' add up to 1\.1"):
        forecaster(full).fit(frame)


def test_chains_work_in_any_order_of_rows() -> None:
    third = sales("tea 3", WEEK[49:] + 2, DAYS[49:])
    frame = pd.concat([sales("tea", WEEK[:42], DAYS[:42]), sales("milk", 10 * WEEK)])
    frame = pd.concat([frame, sales("tea 2", WEEK[42:49] + 1, DAYS[42:49]), third])
    first = successors(replaces="Bonn/tea")
    second = successors(product="tea 3", replaces="Bonn/tea 2", **{"from": "2024-02-19"})
    for rows in (pd.concat([first, second]), pd.concat([second, first])):
        model = forecaster(rows).fit(frame)
        assert set(model.predict()["product"]) == {"milk", "tea 3"}
        assert past(model, "tea 3")[-21:] == [*WEEK[:7], *(WEEK[:7] + 1), *(WEEK[:7] + 2)]


def test_known_columns_are_its_own_and_before_then_those_of_the_other(frame: pd.DataFrame) -> None:
    ahead = pd.date_range("2024-02-26", periods=HORIZON)
    future = pd.concat([sales(name, np.nan, ahead) for name in ("milk", "tea 2")])
    frame = pd.concat([frame, future])
    frame["price"] = np.where(frame["product"] == "tea 2", 4.0, 3.0)
    frame["brand"] = np.where(frame["product"] == "tea 2", 2, 1)
    rows = successors(replaces="Bonn/tea")
    panel = forecaster(rows, known="price", static="brand").fit(frame).fitted_.history
    series = [ids[1] for ids in panel.ids].index("tea 2")
    own = panel.known[panel.offsets[series] : panel.offsets[series + 1], 0]
    steps = 14 + HORIZON
    assert set(own[-steps:]) == {4.0}
    assert set(own[:-steps]) == {3.0}
    assert panel.static[series].tolist() == [2.0]
    without = frame[frame["product"] != "tea 2"]
    rows = successors(replaces="Bonn/tea", **{"from": "2024-02-26"})
    model = forecaster(rows, known="price", static="brand")
    with pytest.raises(BadData, match="'price' is known in advance, but has no value for 7"):
        model.fit(without).predict()
    assert model.predict(future=frame[-14:]).shape[0] == 14
    assert set(model.fitted_.history.static[:, 0]) == {1.0}  # of the other, as it has no row


def test_a_wide_table_has_names_of_columns() -> None:
    frame = pd.DataFrame({"day": DAYS, "old": WEEK, "new": np.nan, "other": 2 * WEEK})
    frame.loc[42:, "old"] = np.nan
    frame.loc[42:, "new"] = WEEK[42:] + 1
    rows = pd.DataFrame({"series": ["new"], "replaces": "old", "from": LAUNCH})
    model = Forecaster(model="seasonal-naive", horizon=HORIZON, successors=rows).fit(frame)
    table = model.predict()
    assert set(table["series"]) == {"new", "other"}
    assert table.loc[table["series"] == "new", "forecast"].tolist() == (WEEK[:7] + 1).tolist()


def test_without_its_table_a_saved_forecaster_reads_new_data_alike(frame: pd.DataFrame) -> None:
    """The rows are saved. What they need has to be in the table, unless it begins later."""
    model = forecaster(successors(replaces="Bonn/tea")).fit(frame)
    expected = model.predict()
    pd.testing.assert_frame_equal(model.predict(frame), expected)
    without = frame[frame["product"] != "tea"]
    with pytest.raises(BadData, match=r"no row of 'Bonn/tea' lies before 2024-02-12.*keep such"):
        model.predict(without)
    window = frame[frame["day"] >= LAUNCH]  # there, nothing is left to lend
    assert of(model.predict(window), "tea 2") == of(expected, "tea 2")


def test_newer_rows_need_the_table_of_the_series(frame: pd.DataFrame) -> None:
    model = forecaster().fit(frame)
    model.set_params(successors=successors(replaces="Bonn/tea"))
    assert set(model.predict(frame)["product"]) == {"milk", "tea 2"}
    with pytest.raises(UsageError, match=r"successors=: the saved forecaster lacks the past"):
        model.predict()


def test_events_of_ids_and_a_backtest_see_an_ordinary_panel(frame: pd.DataFrame) -> None:
    rows = successors(replaces="Bonn/tea")
    result = forecaster(rows).backtest(frame, windows=4, models="last")
    assert set(result.forecasts["product"]) == {"milk", "tea 2"}
    assert result.forecasts["actual"].notna().all()


BAD: list[tuple[dict[str, Any], str]] = [
    (
        {"replaces": "Bonn/te"},
        "no row of 'Bonn/te' lies before 2024-02-12, when 'Bonn/tea 2' starts",
    ),
    ({"replaces": "Bonn/tea", "from": "2024-01-01"}, "no row of 'Bonn/tea' lies before 2024-01-01"),
    (
        {"replaces": "Bonn/tea", "like": "Bonn/milk"},
        "row 1: 'Bonn/tea 2': a row has either replaces or like",
    ),
    ({"replaces": ""}, "row 1: 'Bonn/tea 2': a row has either replaces or like"),
    ({"replaces": "Bonn/tea", "from": "soon"}, "row 1, column 'from': 'soon'"),
    (
        {"replaces": "Bonn/tea", "from": "2024-02-12 10:00"},
        "column 'from': '2024-02-12 10:00.*whole days are needed",
    ),
    ({"replaces": "Bonn/tea", "share": 0}, "a share is a number from 0.001 to 1000, and this .* 0"),
    ({"like": "Bonn/tea", "share": 1e-300}, "a share is a number from 0.001 to 1000"),
    ({"like": "Bonn/tea", "share": 1e17}, "a share is a number from 0.001 to 1000"),
    ({"replaces": "Bonn/tea", "share": 1.5}, "'Bonn/tea' add up to 1.5, which is above 1"),
    ({"replaces": "Bonn/tea", "share": "half"}, "column 'share': 'half' is not a number"),
    (
        {"replaces": "Bonn/tea 2"},
        "a series cannot start with its own past: Bonn/tea 2 -> Bonn/tea 2",
    ),
    (
        {"replaces": "Bonn/tea", "shares": 1},
        "column 'shares' is neither replaces, like, from, share nor an id",
    ),
]


@pytest.mark.parametrize(("columns", "message"), BAD)
def test_a_row_that_cannot_be_used_is_refused(
    frame: pd.DataFrame, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadData, match=message):
        forecaster(successors(**columns)).fit(frame)


def test_rows_that_contradict_each_other_are_refused(frame: pd.DataFrame) -> None:
    one = successors(replaces="Bonn/tea")
    for other, message in (
        (one, "row 2: 'Bonn/tea 2': an earlier row has the same two series, or another date"),
        (
            successors(replaces="Bonn/milk", **{"from": "2024-02-13"}),
            "row 2: 'Bonn/tea 2': an earlier row has the same two series, or another date",
        ),
        (
            successors(product="tea", replaces="Bonn/tea 2"),
            "own past: Bonn/tea 2 -> Bonn/tea -> Bonn/tea 2|own past: Bonn/tea -> Bonn/tea 2",
        ),
    ):
        with pytest.raises(BadData, match=message):
            forecaster(pd.concat([one, other])).fit(frame)
    with pytest.raises(BadData, match="no column 'product'"):
        forecaster(one.drop(columns="product")).fit(frame)


def test_a_name_without_any_value_is_named(
    frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    model = forecaster(successors(replaces="Bonn/tea", product="tea 3")).fit(frame)
    text = "'Bonn/tea 3', which starts on 2024-02-12, has no row of its own; Bonn/tea goes on"
    assert text in caplog.text
    table = model.predict()
    assert set(table["product"]) == {"milk", "tea", "tea 2"}  # nothing is lost by a typing error
    np.testing.assert_array_equal(past(model, "tea"), past(forecaster().fit(frame), "tea"))
    caplog.clear()
    tomorrow = str((DAYS[-1] + pd.Timedelta(days=1)).date())
    forecaster(successors(replaces="Bonn/tea 2", product="tea 3", **{"from": tomorrow})).fit(frame)
    assert "no row of its own" not in caplog.text


def test_known_values_of_a_product_that_ended_lead_to_its_successor(frame: pd.DataFrame) -> None:
    rows = frame.assign(price=2.0)
    model = forecaster(known="price", model="theta").fit(rows)
    ahead = rows.assign(day=rows["day"] + pd.Timedelta(weeks=8)).drop(columns="units")
    needed = ahead[ahead["product"] != "tea"]
    with pytest.raises(BadData, match="if 'Bonn/tea' has ended, successors= names what follows"):
        model.predict(future=needed)


def test_no_rows_mean_no_successors(frame: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    rows = successors(replaces="Bonn/tea")[:0]
    model = forecaster(rows).fit(frame)
    assert "the table of successors holds no rows: there are no successors" in caplog.text
    pd.testing.assert_frame_equal(model.predict(), forecaster().fit(frame).predict())


def test_commands_take_a_file_and_inspect_names_its_rows(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    data = tmp_path / "sales.csv"
    frame.to_csv(data, index=False)
    words = ["--id", "shop,product", "--target", "units"]
    shown = forecast("inspect", data, *words).err + forecast("inspect", data, *words).out
    lines = [line.strip() for line in shown.splitlines()]
    start = next(at for at, line in enumerate(lines) if line.startswith("replaced 1 series"))
    assert lines[start + 1 : start + 3] == [
        "shop,product,replaces,from",
        "Bonn,tea 2,Bonn/tea,2024-02-12",
    ]
    rows = tmp_path / "successors.csv"
    rows.write_text("\n".join(lines[start + 1 : start + 3]))
    named = [*words, "--successors", rows]
    assert "replaced" not in forecast("inspect", data, *named).out
    ran = forecast("now", data, *named, "--horizon", "7", "--explain")
    assert ran.code == 0
    assert "lent     a past to Bonn/tea 2" in ran.err
    assert "Bonn,tea,2" not in ran.out
    assert ran.out.count(",successor\n") == HORIZON
    store = tmp_path / "store"
    quick = ["--model", "last", "--horizon", "7", "--artifact", store]
    assert forecast("fit", data, *named, *quick).code == 0
    for command in (["predict", data], ["predict"]):
        out = forecast(*command, "--artifact", store).out
        assert "Bonn,tea 2," in out
        assert "Bonn,tea," not in out
    backtest = ["backtest", data, *named, "--model", "last", "--horizon", "7", "--windows", "2"]
    assert forecast(*backtest).code == 0
    refused = forecast("predict", "--artifact", store, "--successors", rows)
    assert refused.code == 2
    assert "--successors: the saved forecaster lacks the past" in refused.err


def test_a_series_beside_others_that_go_on_replaces_none(forecast: Run, tmp_path: Path) -> None:
    data = tmp_path / "sales.csv"
    new = sales("tea 2", WEEK[42:], DAYS[42:])
    pd.concat([sales("tea", WEEK), new]).to_csv(data, index=False)
    ran = forecast("inspect", data, "--id", "shop,product", "--target", "units")
    assert "replaced" not in ran.out + ran.err


def test_a_job_reads_its_file_every_night(forecast: Run, tmp_path: Path) -> None:
    """A row that is ahead of the newest day, and the nights around that day, without another fit."""
    frame = pd.concat([sales("tea", WEEK), sales("milk", 10 * WEEK)])
    rows = tmp_path / "successors.csv"
    rows.write_text("shop,product,replaces,from\n")
    job = tmp_path / "job.toml"
    job.write_text(
        'store = "store"\nrefit = "never"\n[source]\npath = "sales.csv"\n[table]\n'
        'id = ["shop", "product"]\ntarget = "units"\nsuccessors = "successors.csv"\n'
        '[train]\nmodel = "seasonal-naive"\nhorizon = 7\n[sink]\npath = "out.csv"\n'
    )

    def night(day: str) -> pd.DataFrame:
        known = frame[frame["day"] < day]
        known.to_csv(tmp_path / "sales.csv", index=False)
        ran = forecast("run", job, "--as-of", day)
        assert ran.code == 0, ran.err
        return pd.read_csv(tmp_path / "out.csv")

    assert set(night("2024-02-20")["product"]) == {"milk", "tea"}
    rows.write_text("shop,product,replaces,from\nBonn,tea 2,Bonn/tea,2024-02-23\n")
    ahead = night("2024-02-21")
    assert of(ahead, "tea") == [*WEEK[2:4], 0, 0, 0, 0, 0]
    assert of(ahead, "tea 2") == [0, 0, *WEEK[[4, 5, 6, 0, 1]]]
    frame[frame["day"] < "2024-02-25"].to_csv(tmp_path / "sales.csv", index=False)
    for words in (["run", job, "--as-of", "2024-02-25"], ["run", job, "--check"]):
        ran = forecast(*words)
        assert ran.code == 65
        assert "'Bonn/tea 2', which starts on 2024-02-23, has no row of its own" in ran.err
        assert "did you mean 'Bonn/tea'?" in ran.err
    new = frame["product"].eq("tea") & (frame["day"] >= "2024-02-23")
    frame = frame.assign(product=frame["product"].mask(new, "tea 2"))
    later = night("2024-02-25")
    assert set(later["product"]) == {"milk", "tea 2"}
    assert of(later, "tea 2") == WEEK[[6, 0, 1, 2, 3, 4, 5]].tolist()


@pytest.mark.parametrize(
    ("freq", "day"), [("W-SUN", "2024-06-05"), ("MS", "2026-06-15"), ("ME", "2026-06-15")]
)
def test_a_period_that_holds_the_first_day_is_the_new_ones(freq: str, day: str) -> None:
    times = pd.date_range("2023-01-01", periods=90, freq=freq)
    labels_ends = freq != "MS"
    first = times.searchsorted(pd.Timestamp(day), "right") - (not labels_ends)
    values = np.arange(90.0) + 100
    old = sales("old", values[:first], times[:first])
    new = sales("new", values[first:], times[first:])
    rows = successors(product="new", replaces="Bonn/old", **{"from": day})
    model = forecaster(rows, model="last").fit(pd.concat([old, new]))
    assert past(model, "new") == values[-len(past(model, "new")) :].tolist()
    assert not np.isnan(past(model, "new")).any()


def test_ids_with_slashes_are_told_apart(frame: pd.DataFrame) -> None:
    """Two series of one name neither lend to each other's successor, nor end with each other."""
    two = pd.concat([sales("y/z", WEEK, shop="x"), sales("z", 10 * WEEK, shop="x/y"), frame])
    with pytest.raises(BadData, match="'x/y/z' is the name of 2 series, as ids hold slashes"):
        forecaster(successors(replaces="x/y/z")).fit(two)
    rows = successors(replaces="Bonn/tea").loc[[0, 0, 0]]
    rows = rows.assign(shop=["Bonn", "x", "x/y"], product=["tea 2", "y/z", "z"])
    rows = rows.assign(replaces=["Bonn/tea", "", ""], like=["", "Bonn/milk", "Bonn/milk"])
    table = forecaster(rows).fit(two).predict()
    assert of(table, "y/z") == WEEK[:7].tolist()
    assert of(table, "z") == (10 * WEEK[:7]).tolist()
