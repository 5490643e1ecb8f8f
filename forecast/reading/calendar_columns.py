"""Find columns that only repeat the calendar, or number the rows: they are no series to forecast."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.parsing import ParsedTimes
from forecast.calendar.zones import DAY, Integers, wall_clock
from forecast.tables.numbers import counted_values
from forecast.tables.table import Table

MIN_ROWS = 10  # from which on equality with the calendar is no chance
ROW_NUMBER = "row number"

# names of columns of each kind, whole or as a part of the name
NAMES: dict[str, str] = {
    "year": "year yr yyyy yy jahr annee année ano año anno jaar",
    "quarter": "quarter qtr q quartal trimestre trimester kwartaal",
    "month": "month mnth mon mo mm m monat mois mes mese maand",
    "week": "week wk w isoweek weekofyear woche semaine semana settimana",
    "day": "day dd d dom mday tag jour dia día giorno dag dayofmonth",
    "day of the year": "doy yday dayofyear day yearday",
    "day of the week": "weekday wday dow wd day dayofweek wochentag",
    "weekend": "weekend isweekend wochenende",
    "hour": "hour hr hh h stunde heure hora ora uur",
    "minute": "minute min",
    ROW_NUMBER: "index idx id no nr num number row rownum rowid obs observation record rec t trend step counter seq",
}


def calendar_columns(table: Table, columns: list[str], times: ParsedTimes) -> dict[str, str]:
    """Columns of numbers that repeat the calendar of their row's time, or number the rows, and which they do.

    All cells equal the year (or the year less a constant), the month, and so on, in some numbering. So may a series, so
    that the name must fit too, but for years in full and for row numbers in the first column. Empty where no other
    column would be left.
    """
    if len(table) < MIN_ROWS:
        return {}
    wall = None if times.format.kind == "integer" else wall_clock(times.timestamps, times.format.zone)
    held: dict[str, str] = {}
    for column in columns:
        lower = column.strip().lower()
        words = {lower, re.sub(r"[\W_]+", "", lower), *re.split(r"[\W_\d]+", lower)}
        kinds = {kind for kind, names in NAMES.items() if words & set(names.split())}
        kinds |= {ROW_NUMBER} if column == table.names[0] else set()
        in_full = wall is not None and re.fullmatch(r"[12]\d{3}(\.0*)?", table.first(column)) is not None
        values = counted_values(table, column, 9) if kinds or in_full else None
        if values is None:
            continue
        if ROW_NUMBER in kinds and values[0] in (0, 1) and (np.diff(values) == 1).all():
            held[column] = ROW_NUMBER
        elif wall is not None and (kind := _kind(values, kinds, in_full, wall)):
            held[column] = kind
    return held if len(held) < len(columns) else {}


def _kind(values: Integers, kinds: set[str], in_full: bool, wall: Integers) -> str | None:
    shifts = wall.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970 - values
    if (in_full and not shifts.any()) or ("year" in kinds and shifts[0] >= 0 and not np.diff(shifts).any()):
        return "year"
    return next((kind for kind, expected in _expected(wall) if kind in kinds and (values == expected).all()), None)


def _expected(wall: Integers) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """What each kind of column holds, in each of its numberings."""
    days, months, years = (wall.astype("datetime64[s]").astype(f"datetime64[{unit}]") for unit in "DMY")
    month = (months - years.astype("datetime64[M]")).astype(np.int64)
    day_of_year = (days - years.astype("datetime64[D]")).astype(np.int64)
    day, days = (days - months.astype("datetime64[D]")).astype(np.int64), wall // DAY
    weekday = (days + 3) % 7  # Monday 0
    for start in (1, 0):
        yield "month", month + start
        yield "quarter", month // 3 + start
        yield "day of the year", day_of_year + start
        yield "hour", wall // 3600 % 24 + start
        for shift in range(7):
            yield "day of the week", (weekday + shift) % 7 + start
            yield "week", (day_of_year + 6 - (weekday - shift) % 7) // 7 + start  # from the year's first such day
    yield "day", day + 1
    yield "minute", wall // 60 % 60
    yield "weekend", (weekday >= 5).astype(np.int64)
    thursday = days - weekday + 3
    of_year = thursday.astype("datetime64[D]").astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    yield "week", (thursday - of_year) // 7 + 1  # of ISO 8601
    yield "week", day_of_year // 7 + 1  # counted from 1 January
