"""Rows of known columns that say when they became available."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ForecastError
from forecast.panel.hierarchy import append_sums
from forecast.panel.infer import Reading, read, read_as
from forecast.panel.panel import Panel, join_panels
from forecast.panel.schema import build_calendar
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame

DAYS, AHEAD = 6, 2
DATES = [f"2024-01-{day:02}" for day in range(1, DAYS + AHEAD + 1)]

Rows = list[tuple[Any, ...]]


def table(rows: Rows, columns: str = "date,load,temp,available_at") -> Any:
    return table_from_frame(pd.DataFrame(rows, columns=columns.split(",")), "t.csv")


def main(known: Any = None) -> Rows:
    """A row for each day of the past, without a time in the last column."""
    return [(date, 1.0 + day, known, None) for day, date in enumerate(DATES[:DAYS])]


def issued(day: int, at: str, value: float | None = 5.0) -> tuple[Any, ...]:
    return (DATES[day], None, value, at)


def reading_of(rows: Rows, future: Rows | None = None, **settings: Any) -> Reading:
    given = TableSettings.check({"known": ("temp",), "target": ("load",), "freq": "D", **settings})
    columns = "date,load,temp,available_at" if future is None else "date,load,temp"
    rows = rows if future is None else [row[:3] for row in rows]
    later = (
        None
        if future is None
        else table([(row[0], *row[2:]) for row in future], "date,temp,available_at")
    )
    return read(table(rows, columns), given, horizon=AHEAD, future=later)


def ahead(panel: Panel) -> list[float | None]:
    """The first known column of the horizon, of the first series."""
    end = int(panel.offsets[1])
    return [None if np.isnan(value) else value for value in panel.known[end - AHEAD : end, 0]]


def test_a_value_is_known_from_the_first_step_that_ends_after_it_became_available() -> None:
    at = "2024-01-06 00:00:00", "2024-01-06 12:00:00", "2024-01-07 00:00:00", "2024-01-07 00:00:01"
    rows = [*main(), issued(6, at[0], 1.0), issued(6, at[1], 2.0), issued(7, at[2], 3.0)]
    panel = reading_of(rows).panel
    assert ahead(panel) == [2.0, 3.0]  # midnight is the end of 6 January
    assert ahead(panel.until(panel.origins - 1)) == [
        None,
        1.0,
    ]  # the horizon then begins on 6 January
    assert ahead(reading_of([*rows, issued(6, at[3], 9.0)]).panel) == [2.0, 3.0]


def test_rows_without_a_time_count_from_their_own_step() -> None:
    rows = [*main(known=7.0), issued(5, "2024-01-03", 4.0), issued(6, "2024-01-06", 1.0)]
    rows += [(DATES[7], None, 8.0, None)]
    panel = reading_of(rows).panel
    assert ahead(panel) == [1.0, None]  # nobody knew on 6 January what the row of 8 January says
    assert panel.known[5, 0] == 7.0
    assert ahead(panel.until(panel.origins - 2)) == [None, 4.0]


def test_a_blank_cell_means_that_the_earlier_vintage_holds() -> None:
    rows = [
        *main(),
        issued(6, "2024-01-05", 1.0),
        issued(6, "2024-01-06", None),
        issued(7, "2024-01-06", 3.0),
    ]
    assert ahead(reading_of(rows).panel) == [1.0, 3.0]


def test_vintages_may_come_in_a_table_of_their_own_with_the_same_result() -> None:
    vintages = [issued(day, f"2024-01-0{min(day, 6)}", float(day)) for day in range(1, 8)]
    apart = reading_of(main(known=7.0), vintages).panel
    together = reading_of([*main(known=7.0), *vintages]).panel
    np.testing.assert_array_equal(apart.known, together.known)
    for name, values in vars(together.vintages).items():
        np.testing.assert_array_equal(values, getattr(apart.vintages, name))


def test_a_column_without_any_vintage_is_known_at_all_origins_as_before() -> None:
    columns = "date,load,temp,promo,available_at"
    rows = [(date, 1.0 * day, 7.0, day % 2, None) for day, date in enumerate(DATES[:DAYS])]
    rows += [(date, None, None, 1, None) for date in DATES[DAYS:]]
    rows += [(date, None, 3.0, None, "2024-01-06") for date in DATES[DAYS:]]
    settings = TableSettings.check({"known": ("temp", "promo"), "target": ("load",)})
    panel = read(table(rows, columns), settings, horizon=AHEAD).panel
    assert panel.known[-AHEAD:].tolist() == [[3.0, 1.0], [3.0, 1.0]]
    assert panel.until(panel.origins - 2).known[-AHEAD:, 1].tolist() == [0.0, 1.0]
    plain = [(row[0], row[1], row[2], row[3]) for row in rows[: DAYS + AHEAD]]
    vintages = [(row[0], row[2], row[4]) for row in rows[DAYS + AHEAD :]]
    later = table(vintages, "date,temp,available_at")
    apart = read(table(plain, "date,load,temp,promo"), settings, horizon=AHEAD, future=later).panel
    np.testing.assert_array_equal(apart.known, panel.known)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("2024-01-07 00:30:00", False),  # on the clock of Berlin, as the times are
        ("2024-01-06 23:30:00+00:00", False),
        ("2024-01-06 22:30:00+00:00", True),
        ("2024-01-07 01:00:00+02:00", True),
        ("2024-01-07", True),
    ],
)
def test_times_without_a_zone_are_in_that_of_the_table(written: str, known: bool) -> None:
    dates = [f"{date} 00:00:00+01:00" for date in DATES]
    rows = [(date, 1.0, None, None) for date in dates[:DAYS]]
    rows += [(date, None, 4.0, written) for date in dates[DAYS:]]
    panel = reading_of(rows, timezone="Europe/Berlin").panel
    assert (ahead(panel) == [4.0, 4.0]) is known


def test_dates_without_a_zone_are_compared_on_the_clock_that_is_named() -> None:
    rows = [*main(), issued(6, "2024-01-06T23:30:00Z", 1.0), issued(7, "2024-01-06T22:30:00Z", 2.0)]
    with pytest.raises(
        ForecastError, match=r"t.csv row 7, column 'available_at': it has a zone.*pass timezone="
    ):
        reading_of(rows)
    assert ahead(reading_of(rows, timezone="Europe/Berlin").panel) == [None, 2.0]


def refused(rows: Rows, **settings: Any) -> tuple[str, int]:
    with pytest.raises(ForecastError) as error:
        reading_of(rows, **settings)
    return str(error.value), error.value.exit_code


def test_two_values_of_one_cell_and_time_are_refused_and_equal_ones_are_one() -> None:
    rows = [*main(), issued(6, "2024-01-06", 1.0), issued(6, "2024-01-06", 2.0)]
    text, code = refused(rows)
    assert (
        "t.csv row 8, column 'date': 2024-01-07 comes twice, first in row 7" in text
    )  # or are these two series?
    assert code == 65
    text, code = refused(main(), future=rows[DAYS:])
    assert (
        "t.csv row 2, column 'temp': row 1 has another value for the same series, time and available_at"
        in text
    )
    assert code == 65
    assert ahead(reading_of([*rows[:-1], rows[-2]]).panel) == [1.0, None]


def test_rows_of_a_time_have_one_target() -> None:
    rows = [*main(), (DATES[5], 6.0, 2.0, "2024-01-05"), issued(6, "2024-01-06")]
    assert reading_of(rows).panel.values[:DAYS].tolist() == [1, 2, 3, 4, 5, 6]
    first = [(DATES[0], None, 2.0, "2023-12-31"), *rows]  # the target stands in a later row
    assert reading_of(first).panel.values[:DAYS].tolist() == [1, 2, 3, 4, 5, 6]
    text, code = refused([*rows, (DATES[5], 6.5, 2.0, "2024-01-04")])
    assert "t.csv row 9, column 'load': row 6 has another value for the same time, 6.0" in text
    assert code == 65


def test_bad_times_are_refused_with_their_place() -> None:
    text, code = refused([*main(), issued(6, "2024-01-06"), issued(6, "2024-01-32")])
    assert code == 65
    assert "column 'available_at'" in text
    steps = [(day, 1.0 + day, None, None) for day in range(DAYS)]
    text, code = refused([*steps, (6, None, 5.0, "2024-01-06")], freq="1")
    assert "t.csv row 7, column 'available_at': the times of the table are steps" in text
    assert code == 65


def test_series_are_found_although_their_rows_repeat_and_sums_have_means() -> None:
    columns = "shop,date,units,temp,available_at"
    rows = [(shop, date, 1.0, 7.0, None) for shop in "ab" for date in DATES[:DAYS]]
    rows += [
        ("a", date, None, 2.0, at) for date in DATES[4:] for at in ("2024-01-04", "2024-01-05")
    ]
    rows += [("b", date, None, 6.0, "2024-01-05") for date in DATES[4:]]
    reading = read(
        table(rows, columns),
        TableSettings.check({"known": ("temp",), "target": ("units",)}),
        horizon=AHEAD,
    )
    panel = reading.panel
    assert reading.schema.ids == ("shop",)
    assert panel.known[panel.offsets[1:] - 1, 0].tolist() == [2.0, 6.0]
    whole = append_sums(panel, ("shop",), ((),))
    assert whole.known[-AHEAD:, 0].tolist() == [4.0, 4.0]
    assert whole.until(whole.origins - 2).known[-1, 0] == 4.0
    assert whole.until(whole.origins - 3).known[-1, 0] == 2.0  # of a alone, at the end of 3 January
    parts = join_panels([panel.until(panel.origins - 1), panel.until(panel.origins - 1)]).until(
        panel.origins[0] - 2
    )
    assert parts.known[-AHEAD:, 0].tolist() != parts.known[:AHEAD, 0].tolist()
    assert panel.select(np.array([1])).until(panel.origins[:1] - 1).known[-AHEAD:, 0].tolist() == [
        6.0,
        6.0,
    ]
    assert panel.tail(3).until(panel.origins - 2).known[3 - 2, 0] == 2.0


def test_a_table_read_by_the_schema_of_another_keeps_its_vintages() -> None:
    rows = [*main(), issued(6, "2024-01-06", 1.0), issued(7, "2024-01-06", 2.0)]
    reading = reading_of(rows)
    again = read_as(table(rows), reading.schema, horizon=AHEAD)
    np.testing.assert_array_equal(again.panel.known, reading.panel.known)
    longer = read_as(reading, reading.schema, horizon=AHEAD + 1)
    assert longer.panel.known[-3:-1, 0].tolist() == [1.0, 2.0]
    earlier = read_as(table(rows), reading.schema, horizon=AHEAD, origin="2024-01-05")
    assert ahead(earlier.panel) == [None, 1.0]  # the end of 5 January


@pytest.mark.parametrize("freq", ["B", "MS", "ME", "W-SUN", "QS", "D"])
def test_a_vintage_counts_from_the_first_origin_whose_step_has_ended(freq: str) -> None:
    dates = pd.date_range("2024-01-01", periods=30 + AHEAD, freq=freq)
    past = [(date, 1.0 + day, None, None) for day, date in enumerate(dates[:30])]
    stamps = dates[3] + pd.to_timedelta(np.arange(0, 60 * 24, 7), unit="h")
    rows = [*past, *((dates[-1], None, float(number), at) for number, at in enumerate(stamps))]
    reading = reading_of(rows, freq=freq)
    panel, calendar = reading.panel, build_calendar(reading.schema)
    ends = calendar.ends(np.arange(panel.starts[0], panel.origins[0] + 1))
    seconds = (stamps - pd.Timestamp(0)) // pd.Timedelta(seconds=1)
    origins = np.searchsorted(ends, seconds)  # the first step that ends then or later
    newest = {int(origin): float(number) for number, origin in enumerate(origins) if origin < 30}
    found = dict(
        zip(
            (panel.vintages.available - panel.starts[0]).tolist(), panel.vintages.value, strict=True
        )
    )
    assert found == newest
