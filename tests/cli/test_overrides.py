"""Forecasts that people override, by `now`, `predict` and from Python."""

from collections.abc import Callable
from decimal import Decimal
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.tables.writing import write_frames
from tests.conftest import Run

ENDS = ["lo_95", "lo_80", "forecast", "hi_80", "hi_95"]
ORIGIN = pd.Timestamp("2024-06-30")


def day(step: int) -> str:
    return str((ORIGIN + pd.Timedelta(days=step)).date())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shops of two regions; the one in the south is closed on Sundays, of which day 7 is one."""
    place = tmp_path_factory.mktemp("overrides")
    random = np.random.default_rng(0)
    days = pd.date_range(end=ORIGIN, periods=140)
    weekday = np.arange(140) % 7  # the first day is a Monday
    parts = []
    for region in ("north", "south"):
        for shop in ("a", "b"):
            units = 100 + 10 * (weekday == 5) + random.normal(0, 5, 140)
            if region == "south":
                units = np.where(weekday == 6, 0.0, units)
            part = {"region": region, "shop": shop, "day": days.strftime("%Y-%m-%d")}
            parts.append(pd.DataFrame({**part, "units": units.round(2)}))
    frame = pd.concat(parts)
    frame.to_csv(place / "sales.csv", index=False)
    model = Forecaster(model="seasonal-naive", horizon=8, id=("region", "shop"), target="units")
    model.fit(frame).save(str(place / "store"))
    return place


@pytest.fixture
def predicted(folder: Path, forecast: Run, tmp_path: Path) -> Callable[..., Any]:
    def run(text: str, *words: Any) -> Any:
        file = tmp_path / "people.csv"
        file.write_text(text, encoding="utf-8")
        return forecast("predict", "--artifact", folder / "store", "--overrides", file, *words)

    return run


def plain(folder: Path, forecast: Run, *words: Any) -> pd.DataFrame:
    return table(forecast("predict", "--artifact", folder / "store", *words).frame)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index(["region", "shop", "day"])


HEAD = "region,shop,day,value,who,why\n"


@pytest.mark.parametrize(
    ("value", "factor"), [("+10%", 1.1), ("-25%", 0.75), ("*1.5", 1.5), ("0", 0.0), ("250", None)]
)
def test_an_interval_scales_with_its_point(
    predicted: Run, folder: Path, forecast: Run, value: str, factor: float | None
) -> None:
    cell = ("north", "a", day(2))
    before = plain(folder, forecast)
    after = table(predicted(f"{HEAD}north,a,{day(2)},{value},anna,").frame)
    if factor is None:
        factor = 250 / before.loc[cell, "forecast"]
    expected = before.copy()
    expected.loc[cell] = (before.loc[cell] * factor).to_numpy()
    pd.testing.assert_frame_equal(after, expected, rtol=1e-6)


def test_a_bound_moves_the_point_and_ends_that_it_passes(
    predicted: Run, folder: Path, forecast: Run
) -> None:
    before = plain(folder, forecast).loc[("north", "a", day(2))]
    between = (before["forecast"] + before["hi_80"]) / 2
    for value, moved in ((f">={between:.2f}", []), (">=900", ["hi_80", "hi_95"]), ("<=90", [])):
        after = table(predicted(f"{HEAD}north,a,{day(2)},{value},anna,").frame)
        row = after.loc[("north", "a", day(2))]
        bound = float(value[2:])
        assert row["forecast"] == pytest.approx(bound)
        assert (np.diff(row[ENDS]) >= 0).all()
        for end in moved:
            assert row[end] == bound
        kept = [end for end in ENDS if end not in ("forecast", *moved)]
        if value != "<=90":
            assert row[kept].tolist() == before[kept].tolist()
    same = table(predicted(f"{HEAD}north,a,{day(2)},<=900,anna,").frame)
    pd.testing.assert_frame_equal(same, plain(folder, forecast))


def test_blank_and_absent_ids_mean_all_series(predicted: Run, folder: Path, forecast: Run) -> None:
    before = plain(folder, forecast)["forecast"]
    after = table(predicted(f"{HEAD},b,{day(1)},*2,anna,").frame)["forecast"]
    changed = after[after != before].index
    assert {(region, shop) for region, shop, _ in changed} == {("north", "b"), ("south", "b")}
    everywhere = f"from,to,value,who\n{day(-3)},{day(2)},*2,anna\n{day(8)},{day(90)},7,ben\n"
    after = table(predicted(everywhere).frame)["forecast"]
    days = after[after != before].index.get_level_values("day")
    assert set(days) == {day(1), day(2), day(8)}
    assert (after.xs(day(8), level="day") == 7).all()


def test_closed_days_bounds_and_whole_numbers_hold(
    predicted: Run, folder: Path, forecast: Run
) -> None:
    text = f"from,to,value,who\n{day(6)},{day(7)},123.4,anna\n{day(3)},{day(3)},-5,ben\n"
    ran = predicted(text, "--integer", "--max", "110.5")
    after = table(ran.frame)["forecast"].unstack("day")
    assert (after.loc["south", day(7)] == 0).all()
    assert (after.loc["north", day(7)] == 110).all()
    assert "people.csv: beyond the bounds of forecasts, and cut there: line 2, line 3" in ran.err
    assert "override 10 of 32 forecasts, by anna, ben" in ran.err
    inside = predicted(f"from,to,value,who\n{day(3)},{day(3)},7.4,ben\n", "--integer")
    assert "cut there" not in inside.err
    assert (after[day(6)] == 110).all()
    assert (after[day(3)] == 0).all()
    assert "without effect" not in ran.err
    ran = predicted(f"{HEAD}south,,{day(7)},5,anna,")
    assert "people.csv: without effect: line 2; " in ran.err
    assert (table(ran.frame)["forecast"].unstack("day").loc["south", day(7)] == 0).all()


@pytest.mark.parametrize("words", [(), ("--quantiles", "10,50,90"), ("--point", "mean")])
def test_sums_move_by_as_much_as_their_cells(
    predicted: Run, folder: Path, forecast: Run, words: tuple[str, ...]
) -> None:
    text = f"{HEAD}north,a,{day(1)},300,anna,\n,,{day(2)},-20%,ben,\n"
    change = table(predicted(text, *words).frame)["forecast"]
    change -= plain(folder, forecast, *words)["forecast"]
    sums = ("--sum-by", "region", "--sum-every", "horizon", *words)
    before = forecast("predict", "--artifact", folder / "store", *sums).frame
    after = predicted(text, *sums).frame
    expected = change.groupby("region").sum().to_numpy()
    numbers = list(after)[list(after).index("forecast") : list(after).index("observed")]
    for name in numbers:
        assert (after[name] - before[name]).to_numpy() == pytest.approx(expected, abs=1e-3)


def test_quantiles_move_like_the_intervals_that_they_end(predicted: Run) -> None:
    text = f"{HEAD}north,a,{day(1)},300,anna,\n,,{day(2)},>=104,ben,\n"
    intervals = predicted(text, "--levels", "80").frame
    quantiles = predicted(text, "--quantiles", "10,50,90").frame
    twins = {"p10": "lo_80", "p50": "forecast", "p90": "hi_80"}
    for name, twin in twins.items():
        assert quantiles[name].tolist() == intervals[twin].tolist()


REFUSED = [
    (f"{HEAD}north,a,{day(2)},+10,anna,", "line 2: '+10' is no override, such as 120"),
    (f"{HEAD}north,a,{day(2)},,anna,", "line 2: it has no single one of value, total, lock"),
    (f"{HEAD}west,a,{day(2)},5,anna,", "line 2: there is no series west/a;"),
    (f"{HEAD}north,a,{day(0)},5,anna,", "line 2: it ends before the first forecast"),
    (f"{HEAD}north,a,{day(2)},5,,", "line 2: who is blank"),
    (f"{HEAD}north,a,{day(2)},5,anna,\n,,{day(2)},7,b,", "line 3: line 2 overrides the same forecast"),
    (f"from,to,value,who\n{day(2)},{day(1)},5,anna", "line 2: it ends before it begins"),
    (f"from,to,value,who\n{day(2)},,5,anna", "line 2, column 'to'"),
    (f"Shop,day,value,who\na,{day(2)},5,anna", "column 'Shop' is neither day, value, total, lock, spread, who"),
    (f"day,value\n{day(2)},5", "no column 'who'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_table_that_cannot_be_used_is_refused(predicted: Run, text: str, message: str) -> None:
    ran = predicted(text)
    assert ran.code == 65
    assert message in ran.err
    assert not ran.out


def test_rows_beyond_the_horizon_and_of_lost_series_are_named(
    predicted: Run, folder: Path, tmp_path: Path
) -> None:
    tonight = pd.read_csv(folder / "sales.csv")
    file = tmp_path / "tonight.csv"
    tonight[tonight["region"] + tonight["shop"] != "southb"].to_csv(file, index=False)
    text = f"{HEAD}north,a,{day(9)},5,a,\nsouth,b,{day(2)},5,a,\nnorth,a,{day(2)},5,a,\n"
    ran = predicted(text, file)
    assert ran.code == 0
    assert "people.csv: without effect: line 2, line 3; there is no forecast for this" in ran.err
    assert table(ran.frame).loc[("north", "a", day(2)), "forecast"] == 5


def test_a_table_without_rows_and_a_missing_one(
    predicted: Run, folder: Path, forecast: Run
) -> None:
    pd.testing.assert_frame_equal(table(predicted(HEAD).frame), plain(folder, forecast))
    ran = forecast("predict", "--artifact", folder / "store", "--overrides", "nowhere.csv")
    assert ran.code == 66


@pytest.mark.parametrize(
    "words", [("--what-if", "price=3"), ("--shards", "2"), ("--paths", "3", "--output", "x.csv")]
)
def test_what_shows_the_model_alone_takes_no_overrides(predicted: Run, words: Any) -> None:
    ran = predicted(HEAD, *words)
    assert ran.code == 2
    assert "overrides" in ran.err


def test_only_now_and_predict_have_the_option(forecast: Run, folder: Path) -> None:
    for command in ("fit", "backtest", "inspect"):
        assert forecast(command, folder / "sales.csv", "--overrides", "x.csv").code == 2
    people = folder / "now.csv"
    people.write_text(f"day,value,who\n{day(1)},77,anna\n")
    words = ("now", folder / "sales.csv", "--horizon", "3", "--id", "region,shop")
    found = forecast(*words, "--overrides", people).frame
    assert (found[found["day"] == day(1)]["forecast"] == 77).all()


def test_hours_steps_and_frames(panel_frame: pd.DataFrame) -> None:
    hours = pd.date_range("2024-01-01", periods=240, freq="h")
    frame = pd.DataFrame({"time": hours, "y": np.arange(240) % 24 + 50.0})
    model = Forecaster(model="seasonal-naive", horizon=48).fit(frame)
    before = model.predict()
    people = pd.DataFrame({"time": ["2024-01-11 05:00"], "value": [7.5], "who": ["anna"]})
    after = model.set_params(overrides=people).predict()
    assert after["forecast"].ne(before["forecast"]).tolist() == [i == 5 for i in range(48)]
    assert after["forecast"][5] == 7.5
    totals = model.totals(every="horizon")["forecast"][0]
    people = pd.DataFrame(
        {"from": ["2024-01-12"], "to": ["2024-01-12"], "value": "+5%", "who": "a"}
    )
    of_day = model.set_params(overrides=people).predict()["forecast"]
    assert (of_day[24:] / before["forecast"][24:]).round(6).eq(1.05).all()
    assert of_day[:24].equals(before["forecast"][:24])
    assert model.totals(every="horizon")["forecast"][0] > totals


def test_sums_of_groups_and_periods_are_published_to_the_last_digit(
    folder: Path, forecast: Run, predicted: Callable[..., Any]
) -> None:
    text = (
        "region,shop,from,to,value,total,lock,who\n"
        f"south,,{day(1)},{day(5)},,1234.56,,anna\n"
        f"south,a,{day(2)},{day(2)},7,,,anna\n"
        f"south,b,{day(3)},{day(3)},,,yes,anna\n"
        f",,{day(1)},{day(8)},,+10%,,ben\n"
        ",,,,,,,\n".replace(",,,,,,,", f"north,a,{day(1)},{day(2)},,,,")
    )
    before, after = plain(folder, forecast), table(predicted(text).frame)
    south = after.loc["south"]["forecast"]
    days = [day(step) for step in range(1, 6)]
    chosen = south[south.index.get_level_values("day").isin(days)]
    assert fsum(chosen) == pytest.approx(1234.56, rel=1e-14)
    assert sum(Decimal(str(number)) for number in chosen) == Decimal("1234.56")
    assert south[("a", day(2))] == 7
    assert south[("b", day(3))] == before.loc["south", "b", day(3)]["forecast"]
    assert after.loc["south", "a", day(7)]["forecast"] == 0  # a closed day
    model = before["forecast"].copy()
    changed = after["forecast"]
    rows = after.index.get_level_values("day").isin(days) & (
        after.index.get_level_values("region") == "south"
    )
    model[rows] = changed[rows]
    assert fsum(changed) == pytest.approx(1.1 * fsum(model), rel=1e-12)
    assert (after[ENDS].diff(axis=1).iloc[:, 1:] >= -1e-9).all().all()
    whole = predicted(text.replace("1234.56", "1234"), "--integer").frame
    assert table(whole).loc["south"]["forecast"].loc[:, days].sum() == 1234


def test_a_period_that_has_begun_counts_what_was_observed(
    folder: Path, forecast: Run, tmp_path: Path
) -> None:
    sales = pd.read_csv(folder / "sales.csv")
    sales = sales[sales["day"] <= "2024-06-25"]
    (tmp_path / "june.csv").write_text(sales.to_csv(index=False))
    (tmp_path / "people.csv").write_text("region,period,total,who\nnorth,2024-06,6000,anna\n")
    words = ("--id", "region,shop", "--horizon", 8, "--overrides", tmp_path / "people.csv")
    frame = forecast("now", tmp_path / "june.csv", *words, "--quiet").frame
    june = frame[(frame["region"] == "north") & (frame["day"] < "2024-07-01")]
    known = sales[(sales["region"] == "north") & (sales["day"] >= "2024-06-01")]
    assert fsum([*june["forecast"], known["units"].sum()]) == pytest.approx(6000, rel=1e-12)
    (tmp_path / "people.csv").write_text("region,period,total,who\nnorth,2024-07,6000,anna\n")
    refused = forecast("now", tmp_path / "june.csv", *words, "--quiet")
    assert refused.code == 65
    assert "line 2: it ends after the last forecast" in refused.err


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_sheet_that_is_filled_in_is_a_table_of_overrides(
    folder: Path, forecast: Run, tmp_path: Path, suffix: str
) -> None:
    sheet = tmp_path / f"sheet{suffix}"
    predict = ("predict", "--artifact", folder / "store")
    words = ("--sum-by", "region", "--sum-every", "horizon", "--totals", tmp_path / "sums.csv")
    written = forecast(*predict, *words, "--override-sheet", sheet)
    assert written.code == 0, written.err
    before = table(written.frame)
    rows = (
        pd.read_csv(sheet, dtype=str)
        if suffix == ".csv"
        else pd.read_excel(sheet, dtype=str, engine="calamine")
    )
    assert rows["from"][:2].str[:10].tolist() == [day(1)] * 2
    assert rows["to"][:2].str[:10].tolist() == [day(8)] * 2
    shown = rows["forecast"].astype(float)[2:].to_numpy()
    np.testing.assert_allclose(shown, before["forecast"].to_numpy())
    unchanged = forecast(*predict, "--overrides", sheet)
    assert unchanged.code == 0, unchanged.err
    pd.testing.assert_frame_equal(table(unchanged.frame), before)

    is_north = (rows["region"] == "north") & rows["shop"].isna()
    rows.loc[is_north, ["total", "who"]] = ["2000", "anna"]
    alone = (rows["region"] == "north") & (rows["shop"] == "a") & (rows["from"].str[:10] == day(2))
    rows.loc[alone, ["value", "who"]] = ["150", "anna"]
    write_frames([rows.fillna("")], str(sheet))
    after = table(forecast(*predict, "--overrides", sheet).frame)["forecast"]
    assert fsum(after.loc["north"]) == 2000
    assert after["north", "a", day(2)] == 150
    assert after.loc["south"].equals(before["forecast"].loc["south"])
