"""Which steps lie in which week, month, quarter or year on any calendar, and which groups of series can be named."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from forecast.errors import UsageError
from forecast.panel.hierarchy import iterate_keys
from forecast.panel.infer import Reading, read
from forecast.panel.schema import build_calendar, time_columns
from forecast.settings import Every, SumSettings, TableSettings
from forecast.tables.reading import table_from_frame
from forecast.totals.periods import (
    Periods,
    extend_to_periods,
    find_levels,
    find_periods,
    horizon_of_next,
    key_columns,
    period_keys,
    steps_of_periods,
    whole_periods,
)
from tests.totals._sales import fitted, sales


def reading_of(times: object, **settings: object) -> Reading:
    frame = pd.DataFrame({"time": times, "value": np.arange(len(times)) % 5 + 1.0})
    return read(
        table_from_frame(frame), TableSettings(**{"time": ("time",), **settings}), horizon=5
    )


def found(
    times: object, horizon: int, every: Every, **settings: object
) -> tuple[Periods, list[str]]:
    """The periods after the last of some times, and their names as the table writes its times."""
    reading = reading_of(times, **settings)
    periods = find_periods(reading.schema, int(reading.panel.origins.max()), horizon, every)
    columns = time_columns(reading.schema, periods.times)
    return periods, columns["time"].texts()


def days(end: str, count: int = 100, freq: str = "D") -> list[str]:
    return pd.date_range(end=end, periods=count, freq=freq).strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(
    ("times", "horizon", "every", "sizes", "starts"),
    [
        (days("2024-01-10"), 60, "month", [21, 29], ["2024-01-01", "2024-02-01"]),
        (days("2024-01-31"), 28, "month", [], []),
        (days("2024-01-10"), 22, "week", [4, 7, 7], ["2024-01-14", "2024-01-21", "2024-01-28"]),
        (
            days("2024-01-10"),
            366,
            "quarter",
            [81, 91, 92, 92],
            ["2024-01-01", "2024-04-01", "2024-07-01", "2024-10-01"],
        ),
        (days("2024-01-10"), 366, "year", [356], ["2024-01-01"]),
        (
            pd.date_range(end="2024-01-10 05:00", periods=99, freq="h").astype(str),
            43,
            "day",
            [18, 24],
            ["10", "11"],
        ),
        # business days: the steps of a week end with its Friday, and its Sunday names it
        (
            days("2024-01-10", 60, "B"),
            12,
            "week",
            [2, 5, 5],
            ["2024-01-14", "2024-01-21", "2024-01-28"],
        ),
        (days("2024-01-10", 60, "B"), 15, "month", [15], ["2024-01-01"]),
        # a week counts where it starts, on a Monday that names it or six days before; 2018 and 2024 have 53 Mondays
        (days("2017-12-31", 60, "W-SUN"), 53, "year", [53], ["2018-01-01"]),
        (days("2023-12-25", 60, "W-MON"), 53, "year", [53], ["2024-01-01"]),
        (days("2024-01-08", 60, "W-MON"), 8, "month", [3, 4], ["2024-01-01", "2024-02-01"]),
        (days("2024-01-08", 60, "W-MON"), 2, "week", [1, 1], ["2024-01-15", "2024-01-22"]),
        # month ends, quarters and years
        (days("2024-01-31", 60, "ME"), 5, "quarter", [2, 3], ["2024-01-01", "2024-04-01"]),
        (days("2023-12-31", 60, "ME"), 12, "year", [12], ["2024-01-01"]),
        (
            days("2024-01-01", 60, "MS"),
            3,
            "month",
            [1, 1, 1],
            ["2024-02-01", "2024-03-01", "2024-04-01"],
        ),
        (days("2023-10-01", 60, "QS"), 5, "year", [4], ["2024-01-01"]),
        ([f"{year}" for year in range(1960, 2020)], 2, "year", [1, 1], ["2020", "2021"]),
    ],
)
def test_steps_lie_in_the_periods_of_the_calendar(
    times: list[str], horizon: int, every: Every, sizes: list[int], starts: list[str]
) -> None:
    periods, texts = found(times, horizon, every)
    assert np.diff(periods.edges).tolist() == sizes
    assert len(texts) == len(starts)
    assert all(start in text for text, start in zip(texts, starts, strict=True))


def test_the_next_steps_are_one_period_from_the_first_step_on() -> None:
    periods, texts = found(days("2024-01-10"), 30, "next 9")
    assert periods.edges.tolist() == [0, 9]
    assert [text[:10] for text in texts] == ["2024-01-11"]
    assert periods.next_horizon is None
    with pytest.raises(UsageError, match="the horizon has only 8 steps"):
        found(days("2024-01-10"), 8, "next 9")


def test_a_horizon_that_is_not_set_has_the_next_steps() -> None:
    reading = reading_of(days("2024-01-10"))
    for later in (False, True):
        assert extend_to_periods(reading, ("next 9", "horizon"), later).panel.ahead == 9
        assert extend_to_periods(reading, ("next 4",), later).panel.ahead == reading.panel.ahead
        too_many = extend_to_periods(reading, ("next 80",), later=False)
        assert too_many.panel.ahead == reading.panel.ahead


def test_the_horizon_that_reaches_the_next_end_is_named() -> None:
    periods, _ = found(days("2024-01-10"), 30, "month")
    assert periods.next_horizon == 21 + 29
    assert found(days("2024-01-10"), 21, "month")[0].next_horizon is None
    assert found(days("2024-01-10"), 5, "year")[0].next_horizon == 356


@pytest.mark.parametrize(
    ("freq", "every", "bounds"),
    [
        ("min", "year", ["2024-01-01", "2025-01-01", "2026-01-01"]),
        ("s", "week", ["2024-10-07", "2024-10-14", "2024-10-21"]),
        pytest.param(
            "s", "year", ["2024-01-01", "2025-01-01", "2026-01-01"], marks=pytest.mark.slow
        ),
    ],
)
def test_a_period_may_have_any_number_of_steps(freq: str, every: Every, bounds: list[str]) -> None:
    reading = reading_of(
        pd.date_range(end="2024-10-13 18:00", periods=99, freq=freq).strftime("%Y-%m-%dT%H:%M:%S")
    )
    schema, origin = reading.schema, int(reading.panel.origins.max())
    times = pd.to_datetime(bounds).to_numpy().astype("datetime64[s]").astype(np.int64)
    start, end, after = build_calendar(schema).positions(times).tolist()
    periods = find_periods(schema, end - 30, 29, every)
    assert (periods.first, periods.edges.tolist(), periods.next_horizon) == (start, [0, 29], None)
    name = times[0] + (6 * 86_400 if every == "week" else 0)  # a week is named by its Sunday
    assert periods.times.tolist() == [name]
    assert find_periods(schema, origin, 5, every).next_horizon == end - origin - 1
    assert horizon_of_next(schema, origin, (every,)) == after - origin - 1
    with pytest.raises(UsageError) as refused:
        whole_periods(schema, origin, 5, [every])
    assert f"{end - origin - 1:,} steps ahead" in str(refused.value.cure)


def test_hours_of_a_zone_count_by_its_clock() -> None:
    hours = pd.date_range("2024-03-01", "2024-03-30 23:00", freq="h", tz="Europe/Berlin")
    periods, texts = found(
        hours.strftime("%Y-%m-%dT%H:%M:%S%z"), 23 + 24 * 31, "week", timezone="Europe/Berlin"
    )
    assert np.diff(periods.edges)[:2].tolist() == [
        23,
        7 * 24,
    ]  # clocks are put forward on the last Sunday of March
    assert texts[0].startswith("2024-03-31T00:00:00")
    assert texts[1].startswith("2024-04-07T00:00:00")
    hours = pd.date_range("2024-10-01", "2024-10-26 23:00", freq="h", tz="Europe/Berlin")
    periods, texts = found(
        hours.strftime("%Y-%m-%dT%H:%M:%S%z"), 25 + 24 * 5, "month", timezone="Europe/Berlin"
    )
    assert np.diff(periods.edges).tolist() == [25 + 24 * 4]


def test_several_time_columns_hold_the_start() -> None:
    months = pd.date_range("2015-02-01", periods=60, freq="MS")
    frame = pd.DataFrame({"year": months.year, "month": months.month, "value": np.arange(60.0) % 7})
    reading = read(table_from_frame(frame), TableSettings(time=("year", "month")), horizon=5)
    periods = find_periods(reading.schema, int(reading.panel.origins.max()), 5, "quarter")
    columns = time_columns(reading.schema, periods.times)
    assert {name: column.texts() for name, column in columns.items()} == {
        "year": ["2020"] * 2,
        "month": ["1", "4"],
    }


@pytest.mark.parametrize("every", ["week", "month", "quarter", "year"])
@pytest.mark.parametrize("freq", ["D", "B", "h", "W-SUN", "W-WED", "W-MON"])
def test_keys_ascend_and_change_where_the_start_says(freq: str, every: Every) -> None:
    times = pd.date_range("2020-01-01", periods=3000, freq=freq)
    reading = reading_of(times.strftime("%Y-%m-%dT%H:%M:%S"))
    calendar, first = build_calendar(reading.schema), int(reading.panel.starts[0])
    keys = period_keys(calendar, first + np.arange(3000), every)
    weekly = freq.startswith("W")
    wall = times - pd.Timedelta(days=6) if freq in ("W-SUN", "W-WED") else times
    names = {
        "week": wall.to_period("W-SUN"),
        "month": wall.to_period("M"),
        "quarter": wall.to_period("Q"),
    }
    expected = names.get(every, wall.to_period("Y"))
    if weekly and every == "week":
        assert (np.diff(keys) == 1).all()
        return
    assert (np.diff(keys) >= 0).all()
    np.testing.assert_array_equal(np.diff(keys) > 0, np.diff(expected.asi8) > 0)


def test_a_period_finer_than_the_table_is_refused() -> None:
    with pytest.raises(UsageError, match="a period finer than the data"):
        found(days("2023-10-01", 60, "QS"), 4, "month")


@pytest.fixture
def reading() -> Reading:
    """Four shops of two regions, with a size in words that is once blank, and a number of tills."""
    frame = sales(4, 30)
    frame["size"] = frame["shop"].map({"000": "large", "001": "small", "002": "large", "003": ""})
    frame["tills"] = frame["shop"].map({"000": 2, "001": 2, "002": 10.5, "003": None})
    settings = TableSettings(id=("region", "shop"), target="units", static=("size", "tills"))
    return read(table_from_frame(frame), settings, horizon=5)


@pytest.mark.parametrize(
    ("by", "name", "keys"),
    [
        ("all", "all", [(), (), (), ()]),
        ("region", "region", [("n",), ("n",), ("s",), ("s",)]),
        ("shop, region", "region,shop", [("n", "000"), ("n", "002"), ("s", "001"), ("s", "003")]),
        ("size", "size", [("large",), ("large",), ("small",), ("",)]),
        ("tills", "tills", [("2",), ("10.5",), ("2",), ("",)]),
        ("tills,region", "region,tills", [("n", "2"), ("n", "10.5"), ("s", "2"), ("s", "")]),
        ("series", "series", [("n", "000"), ("n", "002"), ("s", "001"), ("s", "003")]),
    ],
)
def test_groups_are_the_values_of_id_and_static_columns(
    reading: Reading, by: str, name: str, keys: list[tuple[str, ...]]
) -> None:
    level = find_levels(SumSettings(sum_by=by, sum_every="week"), reading.schema)[0]
    assert level.name == f"{name}/week"
    assert (
        list(
            iterate_keys(reading.panel, reading.schema, level.by, reading.panel.order[[0, 2, 1, 3]])
        )
        == keys
    )


def test_each_pair_of_group_and_period_is_a_level_once(reading: Reading) -> None:
    asked = SumSettings(sum_by=("region", "all", "region"), sum_every=("week", "month", "week"))
    found = find_levels(asked, reading.schema)
    assert [level.name for level in found] == [
        "region/week",
        "region/month",
        "all/week",
        "all/month",
    ]
    assert key_columns(found, reading.schema) == ("region", "shop")
    assert key_columns(find_levels(SumSettings(sum_by="size"), reading.schema), reading.schema) == (
        "region",
        "shop",
        "size",
    )


def test_a_column_called_all_is_meant_where_there_is_one() -> None:
    frame = sales(4, 60).rename(columns={"region": "all"})
    found = fitted(frame, 7, id=("all", "shop")).totals(by="all")
    assert found["all"].unique().tolist() == ["n", "s"]


def test_the_grand_total_is_written_in_capitals_beside_a_column_called_all() -> None:
    frame = sales(4, 60).rename(columns={"region": "all"})
    found = fitted(frame, 7, id=("all", "shop")).totals(by=("ALL", "all"), every="horizon")
    assert found["level"].tolist() == ["ALL/horizon", "all/horizon", "all/horizon"]
    assert found["mean"][0] == pytest.approx(found["mean"][1:].sum(), rel=1e-6)
    assert find_levels(SumSettings(sum_by="ALL"), reading_of(range(20)).schema)[0].by == ()


def test_columns_of_a_wide_table_are_added_up() -> None:
    frame = sales(3, 60).pivot(index="day", columns="shop", values="units").reset_index()
    model = fitted(frame, 7, id=())
    steps, whole = model.totals(by="all"), model.totals(by="all", every="horizon")
    assert steps["series"].tolist() == [""] * 7
    assert steps["mean"].sum() == pytest.approx(whole["mean"].item(), rel=1e-9)
    assert model.totals(every="horizon")["mean"].sum() == pytest.approx(
        whole["mean"].item(), rel=1e-9
    )


def test_days_of_seconds_are_found_among_the_steps_near_them() -> None:
    schema = reading_of(pd.date_range("2024-01-10", periods=99, freq="s").astype(str)).schema
    starts = (
        pd.to_datetime(["2024-01-10", "2024-01-11", "2024-01-11"])
        .to_numpy("datetime64[s]")
        .astype(np.int64)
    )
    tracemalloc.start()
    first, end = steps_of_periods(schema, starts, np.ones(3, np.int64), "day")
    _, most_memory = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (end - first == 86_400).all()
    assert first[1] == first[2] == end[0]
    assert most_memory < 100e6
