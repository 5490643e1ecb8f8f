"""Find the column that holds the times of a table, or the columns that hold them together."""

import re

import numpy as np

from forecast.calendar.cells import WHOLE
from forecast.calendar.inference import TIME_NAMES, looks_like_times, resembles_times
from forecast.calendar.patterns import guesses, has_clock
from forecast.calendar.split_columns import PARTS, is_parts, part_named
from forecast.calendar.zones import DAY, Flags
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.reading.roles import AVAILABLE_AT, TARGET_NAMES, groups_rows
from forecast.settings import TableSettings
from forecast.tables.distinct import repeats
from forecast.tables.numbers import is_whole, numeric_columns
from forecast.tables.table import Table

Names = tuple[str, ...]

FINER: dict[str, Names] = {  # the parts that may follow each part of a time
    "year": ("month", "quarter", "week", "yearday"),
    **{"month": ("day",), "day": ("hour", "clock"), "yearday": ("hour", "clock")},
    **{"hour": ("minute",), "minute": ("second",)},
}


def time_columns(table: Table, settings: TableSettings) -> Names:
    """The column that parses as times all the way down, with the columns that hold finer parts of the time.

    Columns such as year and month, or date and hour, join where one alone repeats times within a series, and names and
    cells show which parts they hold.
    """
    named = {*settings.id, *settings.target, *settings.known, *settings.past, *settings.static}
    named |= {AVAILABLE_AT} if settings.known else set()
    columns = [column for column in table.names if column not in named]
    candidates = [column for column in columns if column != table.numbering and looks_like_times(table, column)]
    parts = {column: part for column in columns if (part := part_named(table, column))}
    years = [column for column in columns if parts.get(column) == "year"]
    if coarse := [column for column in candidates if parts.get(column) in (None, "year")]:
        candidates = coarse  # hours and weeks that are only numbered are parts of these
    elif years and any(part in FINER["year"] for part in parts.values()):
        candidates = years[:1]
    if years and (dated := [c for c in candidates if c not in parts and not WHOLE.fullmatch(table.first(c))]):
        candidates = dated  # these have a year
    by_name = sorted((c for c in candidates if c.lower() in TIME_NAMES), key=lambda c: TIME_NAMES.index(c.lower()))
    if by_name or len(candidates) == 1:
        return _with_finer(table, (by_name or candidates)[0], columns, parts)
    if candidates:
        cure = Words("name the one to use with ", Setting("time"))
        raise UsageError(f"columns {', '.join(candidates)} all hold times", place=table.name, cure=cure)
    nearly = [c for c in columns if c != table.numbering and resembles_times(table, c)]
    if nearly or table.numbering in columns:
        return (nearly[0] if nearly else str(table.numbering),)
    raise _no_times(table, columns)


def _no_times(table: Table, columns: list[str]) -> BadData:
    """The error for a table in which no column resembles times."""
    if table.text and len(columns) == 1:
        if re.fullmatch(r"[\d.,eE+-]+", columns[0]):
            problem, cure = "holds data and no header", Words("put a line with the name of the column before it")
            return BadData(f"the first line, '{columns[0]}', {problem}", place=table.name, cure=cure)
        cure = Words("a table needs a column of times too; pass ", Setting("delimiter"), " if there are several")
        return BadData(f"all lines have one column, '{columns[0]}'", place=table.name, cure=cure)
    numbers = [column for column in columns if looks_like_times(table, column, named=True)]
    hint = f" ({numbers[0]} can hold numbers that are times)" if numbers else ""
    rows = Setting("layout", "rows")
    cure = Words("name it with ", Setting("time"), f"{hint}, or pass ", rows, " if each row is a series")
    return BadData(f"no column holds times (columns: {', '.join(columns[:20])})", place=table.name, cure=cure)


def _with_finer(table: Table, time: str, columns: list[str], parts: dict[str, str]) -> Names:
    """A time column with the columns that hold finer parts, where rows need them to differ."""
    others = [column for column in columns if column != time]
    level = parts.get(time) or (None if _has_clock(table, time) else "day")
    if level not in FINER or not any(parts.get(column) in FINER[level] for column in others):
        return (time,)
    keys = _keys(table, [column for column in others if column not in {*parts, *TARGET_NAMES}], level == "day")
    joined: Names = (time,)
    while level in FINER and all(_repeats(table, (*key, *joined)).any() for key in keys):
        finer = [column for part in FINER[level] for column in others if parts.get(column) == part]
        if not finer:
            break
        joined, level = (*joined, finer[0]), parts[finer[0]]
    joined = tuple(column for column in columns if column in joined)  # as the table has them
    times, alone = (~_repeats(table, names) for names in (joined, (time,)))
    return joined if times.sum() > alone.sum() and is_parts(table, joined) else (time,)


def _has_clock(table: Table, column: str) -> bool:
    if table.kind(column) == "datetime":
        times = table.times(column)
        return times.fractions or bool((times.wall % DAY).any())
    return any(map(has_clock, guesses(table.first(column))))


def _keys(table: Table, columns: list[str], whole: bool) -> list[Names]:
    """Columns that can name series: all text columns, and with `whole` also each whole-number column beside them."""
    grouping = [column for column in columns if groups_rows(table, column)]
    numbers = [c for c, numeric in zip(grouping, numeric_columns(table, grouping), strict=True) if numeric]
    texts = tuple(column for column in grouping if column not in numbers)
    return [texts, *((*texts, column) for column in numbers if whole and is_whole(table, column))]


def _repeats(table: Table, columns: Names) -> Flags:
    """[rows], whether an earlier row has the same in all of these columns."""
    return repeats(np.zeros(len(table)), *(table.distinct(column)[0] for column in columns))


def resolve_names(table: Table, names: Names) -> Names:
    """The time columns that the user named; a column with commas in its name arrives in several pieces."""
    joined = [joint.join(names) for joint in (", ", ",")]
    whole = next((name for name in joined if name in table.names), None)
    return names if whole is None or set(names) <= set(table.names) else (whole,)


def heading_times(table: Table, names: list[str]) -> Names:
    """The time columns at the end of the columns before the forecasts: the last one, or several that go together."""
    for count in range(2, min(len(names), len(PARTS)) + 1):
        columns = tuple(names[-count:])
        if part_named(table, columns[-1]) and is_parts(table, columns):
            return columns
    return (names[-1],)
