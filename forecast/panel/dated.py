"""Normalise a table that was read, find its time columns, and parse its times."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from forecast.calendar.frequency import parse_frequency
from forecast.calendar.inference import (
    TIME_NAMES,
    TIME_PARTS,
    find_part,
    is_parts,
    looks_like_times,
    resembles_times,
)
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.patterns import ABBREVIATIONS, guesses, has_clock
from forecast.calendar.spec import TimeSettings
from forecast.calendar.time_cells import WHOLE_TIME
from forecast.calendar.zones import DAY
from forecast.errors import BadData, Setting, UsageError
from forecast.logs import log
from forecast.panel.roles import AVAILABLE_AT, FULL_YEAR, MAX_REPEATED, TARGET_NAMES, groups_rows
from forecast.panel.schema import SIGNS, Names, Schema
from forecast.settings import TableSettings, holiday_columns
from forecast.tables.cells import MISSING_WORDS, counted_values, is_whole, numeric_columns
from forecast.tables.table import (
    DATE_OR_FRACTION,
    LETTER,
    Columns,
    Flags,
    Table,
    repeats,
    require_columns,
)

UNNAMED = ("", "Unnamed: 0")  # names of a first column without a name; the second is by pandas
INDEX = "index"
STEP_NAME = r"[Vv]?\d+"  # names of the columns of steps, in a table with one series in each row
FINER: dict[str, Names] = {  # the parts that may follow each part of a time
    "year": ("month", "quarter", "week", "yearday"),
    "month": ("day",),
    "day": ("hour", "clock"),
    "yearday": ("hour", "clock"),
    "hour": ("minute",),
    "minute": ("second",),
}
ROLES = ("time", "id", "target", "known", "past", "static")  # settings that name columns


def normalise(table: Table) -> Table:
    """Remove totals below the data, and give each column a name."""
    table = _drop_totals(table)
    if len(table.names) == 1:
        return _number_rows(table)
    return _name_first_column(table)


def _drop_totals(table: Table) -> Table:
    """Leave out totals and notes below the data: rows without a time at the end of the table.

    Each such row must contain a word that no row above it contains, unless it is a single row whose
    time is blank.
    """
    last_row = [str(cell).strip() for cell in table.frame.iloc[-1]]
    for column, last_cell in zip(table.names, last_row, strict=True):
        if (last_cell and not LETTER.search(last_cell)) or not guesses(table.first(column)):
            continue  # the usual case; it must be fast, as there may be thousands of columns
        # totals and notes are searched for in so many rows
        cells = table.frame[column].iloc[-20:]
        is_time = [bool(guesses(str(cell).strip())) for cell in cells]
        if is_time[-1] or not any(is_time):
            continue
        count = is_time[::-1].index(True)
        below = np.arange(len(table)) >= len(table) - count
        data = table.rows(~below)
        if not looks_like_times(data, column, column.lower() in TIME_NAMES):
            continue
        others = [name for name in table.names if name != column]
        if any(looks_like_times(table, name) for name in others):
            continue
        if _are_totals(table.rows(below), data, column):
            removed = f"rows without a time below the data (from {table.line(len(data))} on)"
            log.warning("%s: left out %s", table.name, removed)
            skipped = f"{table.skipped}; {removed}" if table.skipped else removed
            return replace(data, skipped=skipped)
    return table


def _are_totals(rows: Table, data: Table, time: str) -> bool:
    noted = np.zeros(len(rows), bool)
    has_words = False
    for name in rows.names:
        texts = rows.texts(name)
        for row, text in enumerate(texts):
            if LETTER.search(text) and text.lower() not in MISSING_WORDS:
                has_words = True
                noted[row] |= text not in data.texts(name)
    is_untimed = list(rows.texts(time)) == [""]
    return bool(noted.all()) or (is_untimed and not has_words)


def _number_rows(table: Table) -> Table:
    """Number the rows of a table that is a single column of values; the numbers are its times."""
    (name,) = table.names
    is_name = LETTER.search(name) and name.lower() not in (*TIME_NAMES, INDEX)
    if not is_name or looks_like_times(table, name) or not numeric_columns(table, [name]):
        return table
    log.warning(
        "%s has one column, '%s': its rows are numbered as steps of a time", table.name, name
    )
    return table.number_rows(INDEX)


def _name_first_column(table: Table) -> Table:
    """Give a nameless first column a name, or drop it if it numbers rows that have times."""
    first, *others = table.names
    numbered = first in UNNAMED and _numbers_rows(table, first)
    if first not in UNNAMED or (first and not numbered):
        return table
    if numbered:
        rest = replace(table, frame=table.frame.drop(columns=first), numbering=None)
        timed = (looks_like_times(rest, name) or resembles_times(rest, name) for name in others)
        has_ids = not re.fullmatch(STEP_NAME, others[0])
        if any(timed) or (has_ids and _looks_like_rows(rest)):
            log.warning(
                "%s: the unnamed first column holds row numbers and was left out", table.name
            )
            return rest
    label = "time" if DATE_OR_FRACTION.match(table.first(first)) else INDEX
    if label in others:
        raise BadData(
            f"the first column has no name, and another is called '{label}'",
            place=table.name,
            cure="give it one",
        )
    reason = "numbers the rows and has no name" if numbered else "has no name"
    log.warning("%s: the first column %s; it is called '%s'", table.name, reason, label)
    frame = table.frame.rename(columns={first: label})
    return replace(table, frame=frame, numbering=label if numbered else None)


def _numbers_rows(table: Table, column: str) -> bool:
    numbers = counted_values(table, column, 18) if is_whole(table, column) else None
    if numbers is None or len(numbers) < 2:
        return False
    steps = np.diff(np.sort(numbers))
    return bool(numbers.min() in (0, 1) and (steps == 1).all())


def find_time_columns(table: Table, settings: TableSettings) -> Names:
    """Find the column that holds the times, and any columns that hold finer parts of the time.

    Columns such as year and month, or date and hour, are joined if the first column alone repeats
    times within a series. Their names and cells must show which parts they hold.
    """
    named = {column for role in ROLES for column in getattr(settings, role)}
    if settings.known:
        named.add(AVAILABLE_AT)
    columns = [column for column in table.names if column not in named]
    unnumbered = [column for column in columns if column != table.numbering]
    parts = {column: part for column in columns if (part := find_part(table, column))}
    candidates = [column for column in unnumbered if looks_like_times(table, column)]
    candidates = _coarsest(table, candidates, parts)
    if len(candidates) > 1:
        others = [*settings.id, *(column for column in columns if column not in candidates)]
        candidates = _drop_days(table, candidates, _possible_ids(table, others, parts, "day"))
    by_name = [column for column in candidates if column.lower() in TIME_NAMES]
    by_name.sort(key=lambda column: TIME_NAMES.index(column.lower()))
    if by_name or len(candidates) == 1:
        return _add_finer_parts(table, (by_name or candidates)[0], columns, parts)
    if candidates:
        raise UsageError(
            f"columns {', '.join(candidates)} all hold times",
            place=table.name,
            cure=f"name the one to use with {Setting('time')}",
        )
    nearly = [column for column in unnumbered if resembles_times(table, column)]
    if nearly:
        return (nearly[0],)
    if table.numbering in columns:
        return (table.numbering,)
    raise _no_times(table, columns)


def _coarsest(table: Table, candidates: list[str], parts: dict[str, str]) -> list[str]:
    """Return the candidates that are not finer parts of another column's times."""
    years = [column for column in parts if parts[column] == "year"]
    coarse = [column for column in candidates if parts.get(column) in (None, "year")]
    if coarse:
        candidates = coarse  # mere numbers, such as hours or weeks, are parts of these
    elif years and any(part in FINER["year"] for part in parts.values()):
        candidates = years[:1]
    if not years:
        return candidates
    dates = [column for column in candidates if column not in parts]
    dates = [column for column in dates if not WHOLE_TIME.fullmatch(table.first(column))]
    return dates or candidates  # prefer dates, as they have a year


def _drop_days(table: Table, candidates: list[str], possible_ids: list[Names]) -> list[str]:
    """Leave out columns of dates that are the days of finer times, and repeat in each series."""
    clocks = [column for column in candidates if _has_clock(table, column)]
    dates = [column for column in candidates if column not in clocks]
    days = []
    for date, clock in product(dates, clocks):
        repeated = [repeated_rows(table, (*ids, date)).mean() for ids in possible_ids]
        if min(repeated) > MAX_REPEATED and _same_days(table, date, clock):
            days.append(date)
    return [column for column in candidates if column not in days]


def _same_days(table: Table, date: str, clock: str) -> bool:
    """Whether most rows have the same day in two columns of times."""
    try:
        times = [parse_times(table, (name,), TimeSettings()).timestamps for name in (date, clock)]
    except (BadData, UsageError):
        return False
    same = times[0] // DAY == times[1] // DAY
    return bool(same.mean() > 0.5)


def _no_times(table: Table, columns: list[str]) -> BadData:
    if table.text and len(columns) == 1:
        problem = f"all lines have one column, '{columns[0]}'"
        cure = (
            f"a table needs a column of times too; pass {Setting('delimiter')} if there are several"
        )
        if re.fullmatch(r"[\d.,eE+-]+", columns[0]):
            problem = f"the first line, '{columns[0]}', holds data and no header"
            cure = "put a line with the name of the column before it"
        return BadData(problem, place=table.name, cure=cure)
    numbers = [column for column in columns if looks_like_times(table, column, named=True)]
    hint = f" ({numbers[0]} can hold numbers that are times)" if numbers else ""
    rows = Setting("layout", "rows")
    cure = f"name it with {Setting('time')}{hint}, or pass {rows}"
    return BadData(
        f"no column holds times (columns: {', '.join(columns[:20])})",
        place=table.name,
        cure=f"{cure} if each row is a series",
    )


def _add_finer_parts(table: Table, time: str, columns: list[str], parts: dict[str, str]) -> Names:
    """Return a time column, with columns of finer parts if rows differ only by these."""
    others = [column for column in columns if column != time]
    level = parts.get(time) or (None if _has_clock(table, time) else "day")
    finer = _finer_column(others, parts, level)
    if finer is None:
        return (time,)
    keys = _possible_ids(table, others, parts, level)
    joined: Names = (time,)
    while finer and all(repeated_rows(table, (*key, *joined)).any() for key in keys):
        joined = (*joined, finer)
        finer = _finer_column(others, parts, parts[finer])
    # in the order of the table
    joined = tuple(column for column in columns if column in joined)
    repeats_joined = repeated_rows(table, joined).sum()
    repeats_alone = repeated_rows(table, (time,)).sum()
    if repeats_joined < repeats_alone and is_parts(table, joined):
        return joined
    return (time,)


def _finer_column(columns: list[str], parts: dict[str, str], level: str | None) -> str | None:
    """Return the first column with a part of the time that may follow the part `level`."""
    for part in FINER.get(level or "", ()):
        for column in columns:
            if parts.get(column) == part:
                return column
    return None


def _has_clock(table: Table, time: str) -> bool:
    if table.kind(time) != "datetime":
        return any(map(has_clock, guesses(table.first(time))))
    times = pd.DatetimeIndex(table.times(time)).tz_localize(None)
    return bool((times != times.normalize()).any())


def _possible_ids(
    table: Table, columns: list[str], parts: dict[str, str], level: str | None
) -> list[Names]:
    """Return sets of columns that can be ids of series.

    The first set is all columns of text. If the time has a day, each column of whole numbers may be
    an id, too.
    """
    candidates = [column for column in columns if column not in (*parts, *TARGET_NAMES)]
    candidates = [column for column in candidates if groups_rows(table, column)]
    numbers = numeric_columns(table, candidates)
    texts = tuple(column for column in candidates if column not in numbers)
    sets = [texts]
    if level == "day":
        sets += [(*texts, column) for column in numbers if is_whole(table, column)]
    return sets


def repeated_rows(table: Table, columns: Columns) -> Flags:
    """Say which rows have the same cells in these columns as an earlier row, [rows]."""
    codes = [table.distinct(column)[0] for column in columns]
    return repeats(np.zeros(len(table)), *codes)


def heading_times(table: Table, names: list[str]) -> Names:
    """Find the time columns of a table of forecasts.

    They are the last of the columns `names`, which precede the forecasts, that holds times, or
    several that are joined. Steps are in the last of `names`.
    """
    for count in range(2, min(len(names), len(TIME_PARTS)) + 1):
        columns = tuple(names[-count:])
        if find_part(table, columns[-1]) and is_parts(table, columns):
            return columns
    times = [name for name in names if looks_like_times(table, name)]
    return (*names, *times)[-1:]


@dataclass(frozen=True)
class DatedTable:
    table: Table
    time: Names  # the columns that hold the time; () where each row is a series
    times: ParsedTimes | None  # the times of the rows; None where each row is a series
    settings: TableSettings | Schema  # the settings or schema by which the times were parsed
    # the time up to which a run knows what has become available, on the clock of the table
    instant: int | None = None
    # the table with all vintages, if `table` has only one row for each series and time
    vintages: "DatedTable | None" = None

    @property
    def name(self) -> str:
        return self.table.name

    def rows(self, chosen: Flags) -> "DatedTable":
        times = None if self.times is None else self.times.rows(chosen)
        return replace(self, table=self.table.rows(chosen), times=times)

    def times_by(self, schema: Schema) -> ParsedTimes | None:
        """Return the times, or None if a schema would parse them differently."""
        if self.times is None or self.times.needs_series:
            return None
        settings = self.settings
        if self.times.format == schema.time_format and settings.dst == schema.dst:
            return self.times
        fields = ("time", "time_format", "date_format", "timezone", "dst", "aggregate")
        if isinstance(settings, Schema) and settings.agrees(schema, fields):
            return self.times
        return None


def dated_table(
    table: Table, settings: TableSettings | Schema, live: Schema | None = None
) -> DatedTable:
    """Parse the times of a table by the settings of a fit, or by the schema of an earlier fit.

    Years of two digits are in the century that the schema says. A fit that follows a live version
    uses the century of its schema, `live`.
    """
    table = normalise(table)
    if settings.strict and table.skipped:
        raise BadData(
            table.skipped, place=table.name, cure=f"remove them, or leave out {Setting('strict')}"
        )
    if isinstance(settings, Schema):
        time = settings.time if settings.dated else ()
        reading = settings.time_settings
    else:
        settings = _repair_names(table, settings)
        _check_settings(table, settings)
        time = _time_columns(table, settings)
        reading = TimeSettings.at_fit(settings, None if live is None else live.time_format.pivot)
    times = parse_times(table, time, reading) if time else None
    return DatedTable(table, time, times, settings)


def _time_columns(table: Table, settings: TableSettings) -> Names:
    """Return the columns that hold the time, or () if each row is a series."""
    if settings.layout == "rows":
        return ()
    if settings.time:
        return settings.time
    if settings.layout is None:
        _refuse_years_by_periods(table)
        if _looks_like_rows(table):
            return ()
    return find_time_columns(table, settings)


def _refuse_years_by_periods(table: Table) -> None:
    """Refuse a table with a row for each year and a column for each month, or the reverse."""
    headers = table.names
    periods = {"month": {*ABBREVIATIONS}, "quarter": {"q1", "q2", "q3", "q4"}}
    for period, names in periods.items():
        refused = False
        if names <= _starts(headers):
            refused = any(FULL_YEAR.fullmatch(table.first(column)) for column in headers)
        elif len(table) == len(names) and names == _starts(table.texts(headers[0])):
            refused = all(map(FULL_YEAR.fullmatch, headers[1:]))
        if refused:
            raise BadData(
                f"years by {period}s have no column of times",
                place=table.name,
                cure=f"write a row for each {period}, with its year (in pandas, DataFrame.melt)",
            )


def _starts(texts: Iterable[str]) -> set[str]:
    """Return the first three letters of each text, such as 'jan'; 'q1' has only two."""
    return {text.strip().lower()[:3] for text in texts}


def _repair_names(table: Table, settings: TableSettings) -> TableSettings:
    """Repair settings that name a column with a comma: such a name was split at the comma."""
    names = set(table.names)
    whole_names = {}
    for role in ROLES:
        pieces = getattr(settings, role)
        joined = {", ".join(pieces), ",".join(pieces)} & names
        if joined and not names.issuperset(pieces):
            whole_names[role] = tuple(joined)
    return settings.model_copy(update=whole_names)


def _check_settings(table: Table, settings: TableSettings) -> None:
    """Refuse missing columns, columns with two roles, and flags that do not go together."""
    if settings.freq is not None:
        parse_frequency(settings.freq)
    if settings.aggregate and not settings.freq:
        problem = f"pass the {Setting('freq')} to bring the table to"
        raise UsageError(problem, setting=Setting("aggregate", settings.aggregate))
    named = [(column, role) for role in ROLES for column in getattr(settings, role)]
    require_columns(table, (*(column for column, _ in named), *settings.categorical))
    require_columns(table, holiday_columns(settings.holidays))
    role_of: dict[str, str] = {}
    for column, role in named:
        if column in role_of:
            problem = (
                f"column '{column}' is named by {Setting(role_of[column])} and by {Setting(role)}"
            )
            raise UsageError(problem, cure="name it once")
        role_of[column] = role
    for column in settings.categorical:
        if role_of.get(column) not in ("known", "past", "static"):
            problem = (
                f"name the column with {Setting('known')}, {Setting('past')} or "
                f"{Setting('static')}, too"
            )
            raise UsageError(problem, setting=Setting("categorical", column))
    signed = [text.rpartition(":")[0] for text in settings.monotone]
    for text, column in zip(settings.monotone, signed, strict=True):
        if text.rpartition(":")[2] not in SIGNS or signed.count(column) > 1:
            raise UsageError(
                "it needs columns, each once, with their signs, as price:-,promo:+",
                setting=Setting("monotone", text),
            )
        if role_of.get(column) != "known" or column in settings.categorical:
            problem = f"name a column of numbers with {Setting('known')}, too"
            raise UsageError(problem, setting=Setting("monotone", text))


def _looks_like_rows(table: Table) -> bool:
    """Whether each row is surely a series: columns of ids, then columns with numbers as names."""
    first, *others = table.names
    is_numbering = first == table.numbering
    # if row numbers stand first, columns 0, 1, 2 are series: pandas names columns of arrays so
    numbered = STEP_NAME.replace("?", "") if is_numbering else STEP_NAME
    matches = [re.fullmatch(numbered, column) for column in others]
    if len(others) < 2 or not all(matches):
        return False
    return is_numbering or not looks_like_times(table, first)
