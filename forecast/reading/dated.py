"""Normalise a table where it enters, find its time columns, and parse them once, before anything looks at its rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.cells import WHOLE
from forecast.calendar.frequency import parse_frequency
from forecast.calendar.inference import (
    PARTS,
    TIME_NAMES,
    is_parts,
    looks_like_times,
    part_named,
    resembles_times,
)
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.patterns import ABBREVIATIONS, MONTHS, guesses, has_clock
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import DAY, Flags
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.logs import log
from forecast.panel.schema import Names, Schema
from forecast.reading.roles import AVAILABLE_AT, TARGET_NAMES, groups_rows
from forecast.settings import TableSettings
from forecast.tables.cells import MISSING, counted_values, is_whole, numeric_columns
from forecast.tables.headers import DATE_OR_FRACTION, LETTER, refuse_missing
from forecast.tables.table import Table, repeats

UNNAMED = ("", "Unnamed: 0")  # pandas reads the first as the second
INDEX = "index"
MAX_ROWS_BELOW = 20  # rows at the end that may be totals and notes
YEAR = re.compile(r"[12]\d{3}(\.0*)?")
NUMBERED = {  # names of periods, whose number is a group
    "month": re.compile(r"(?:m|month)?[ _]?0?(\d{1,2})"),
    "quarter": re.compile(r"(?:q|qtr|quarter)?[ _]?0?(\d{1,2})|(\d)(?:q|qtr)"),
}
NEARLY_ALL = (
    0.9  # of the rows have a year; parsing the times refuses the others, such as totals and notes
)
Melted = tuple[list[str], NDArray[np.int64], list[str], str, list[str], list[str]]
"""Columns to put end to end, the position of each new row's value in them, years of the rows (each once for all its
periods), the column that times come from, the ids, and all months or quarters, as the table names them."""
FINER: dict[str, Names] = {  # the parts that may follow each part of a time
    "year": ("month", "quarter", "week", "yearday"),
    **{"month": ("day",), "day": ("hour", "clock"), "yearday": ("hour", "clock")},
    **{"hour": ("minute",), "minute": ("second",)},
}
ROLES = ("time", "id", "target", "known", "past", "static")  # settings that name columns
# fields of a schema by which times are parsed
TIME_FIELDS = ("time", "time_format", "date_format", "timezone", "dst", "aggregate")


def normalised(table: Table) -> Table:
    """The table without needless row numbers, and with a row for each month or quarter."""
    return melt(_name_first_column(_without_totals(table)))


def _without_totals(table: Table) -> Table:
    """Leave out rows without a time at the end: each has a word that no other row has, or a single one has no word."""
    last_row = [str(cell).strip() for cell in table.frame.iloc[-1]]
    has_words = any(not end or LETTER.search(end) for end in last_row)
    for column, end in zip(table.names, last_row, strict=True) if has_words else ():
        if (end and not LETTER.search(end)) or not guesses(table.first(column)):
            continue  # soon: a table may have thousands of columns
        ends = [str(cell).strip() for cell in table.frame[column].iloc[-MAX_ROWS_BELOW:]][::-1]
        count = next((position for position, end in enumerate(ends) if guesses(end)), 0)
        below = np.arange(len(table)) >= len(table) - count
        if not count or not looks_like_times(
            rest := table.rows(~below), column, column.lower() in TIME_NAMES
        ):
            continue
        noted, last = np.zeros(count, bool), table.rows(below)
        wordless = [*last.texts(column)] == [""]
        for name in table.names:
            words = np.array(
                [
                    bool(LETTER.search(cell)) and cell.lower() not in MISSING
                    for cell in last.texts(name)
                ]
            )
            noted |= words & ~np.isin(last.texts(name), rest.texts(name))
            wordless &= not words.any()
        others = (name for name in table.names if name != column)
        if (noted.all() or wordless) and not any(
            looks_like_times(table, other) for other in others
        ):
            removed = f"rows without a time below the data (from {table.line(len(rest))} on)"
            log.warning("%s: left out %s", table.name, removed)
            return replace(rest, skipped="; ".join(filter(None, (table.skipped, removed))))
    return table


def _name_first_column(table: Table) -> Table:
    """Drop an unnamed first column where it numbers the rows beside times; else name it. Number bare values."""
    first, *others = table.names
    named = re.search(r"[^\W\d_]", first) is not None and first.lower() not in (*TIME_NAMES, INDEX)
    # values alone: no times, under a name that is neither a number nor a time's
    if (
        not others
        and named
        and numeric_columns(table, [first])
        and not looks_like_times(table, first)
    ):
        log.warning(
            "%s has one column, '%s': its rows are numbered as steps of a time", table.name, first
        )
        return table.numbered(INDEX)
    if first not in UNNAMED:
        return table
    numbers = (
        counted_values(table, first, 18) if len(table) > 1 and is_whole(table, first) else None
    )
    numbered = (
        numbers is not None
        and numbers.min() in (0, 1)
        and bool((np.diff(np.sort(numbers)) == 1).all())
    )
    if first and not numbered:
        return table
    steps = [bool(re.fullmatch(r"[Vv]\d+", column)) for column in others]  # after an id
    beside_steps = len(others) > 2 and not steps[0] and all(steps[1:])
    if numbered and (
        beside_steps or any(looks_like_times(table, c) or resembles_times(table, c) for c in others)
    ):
        log.warning("%s: the unnamed first column holds row numbers and was left out", table.name)
        return replace(table, frame=table.frame.drop(columns=first), numbering=None)
    label = "time" if DATE_OR_FRACTION.match(table.first(first)) else INDEX
    if label in others:
        raise BadData(
            f"{table.name}: the first column has no name, and another is called '{label}'; give it one"
        )
    reason = "numbers the rows and has no name" if numbered else "has no name"
    log.warning("%s: the first column %s; it is called '%s'", table.name, reason, label)
    return replace(
        table,
        frame=table.frame.rename(columns={first: label}),
        numbering=label if numbered else None,
    )


def melt(table: Table) -> Table:
    """Bring a table of years by months or quarters to a column of times and a column of values.

    Columns of text beside them stay, as ids; sums and other numbers of a year are left out with a warning.
    """
    for word, count in (("month", 12), ("quarter", 4)):
        layout = _by_rows(table, word, count) or _by_columns(table, word, count)
        if layout is None:
            continue
        columns, order, years, source, ids, labels = layout
        plain = [year.strip().partition(".")[0] for year in years]
        form = "{}-{:02d}" if word == "month" else "{}Q{}"
        times = [
            form.format(year, n) for year in plain for n in range(1, count + 1)
        ]  # 1990-03, or 1990Q3
        time = next(name for name in (word, "time", "period", "date_") if name not in ids)
        value = next(name for name in ("value", "y", "target", "value_") if name not in ids)
        dropped = [name for name in table.names if name not in (source, *columns, *ids)]
        left_out = f"; left out: {', '.join(dropped)}" if dropped else ""
        warning = (
            "%s: a table of years by %ss (%s to %s) is read with a row for each %s: '%s' by '%s'%s"
        )
        log.warning(warning, table.name, word, labels[0], labels[-1], word, value, time, left_out)
        return table.stacked(columns, order, ids, (time, times, source), value)
    return table


def _by_rows(table: Table, word: str, count: int) -> Melted | None:
    numbers = {
        column: number for column in table.names if (number := _number_of(column, word, count))
    }
    if sorted(numbers.values()) != list(range(1, count + 1)):
        return None
    headers, others = list(numbers), [column for column in table.names if column not in numbers]
    named = [column for column in others if column.strip().lower() in PARTS["year"].names]
    # under headers that are bare numbers the column of years must be called a year
    bare = all(header.strip().isdigit() for header in headers)
    likely = named if bare else [*named, *sorted(set(others) - set(named))]
    wrong = {
        column: sum(YEAR.fullmatch(text.strip()) is None for text in table.texts(column))
        for column in likely
    }
    few = min(max(1, (1 - NEARLY_ALL) * len(table)), (len(table) - 1) / 2)
    if (year := next((column for column in likely if wrong[column] <= few), None)) is None:
        return None
    if list(numbers.values()) != sorted(numbers.values()):
        problem = f"the {word}s by '{year}' begin with '{headers[0]}', so that it is open which year each belongs to"
        raise BadData(problem, place=table.name, cure=f"write a row for each {word}, with its year")
    others.remove(year)
    several = repeats(
        table.distinct(year)[0]
    ).any()  # rows for a year, so that whole numbers may be ids
    numeric = numeric_columns(table, others)
    texts = [name for name in others if name not in numeric and any(table.distinct(name)[1])]
    ids = [name for name in others if name in texts or (several and is_whole(table, name))]
    order = np.arange(len(table) * count).reshape(count, -1).T.ravel()
    return headers, order, table.texts(year).tolist(), year, ids, headers


def _by_columns(table: Table, word: str, count: int) -> Melted | None:
    """A column for each year, and a row for each month or quarter."""
    first, *years = table.names
    if len(table) != count or len(years) < 2 or not all(map(YEAR.fullmatch, years)):
        return None
    labels = table.texts(first).tolist()
    if [_number_of(text, word, count) for text in labels] != list(range(1, count + 1)):
        return None
    return years, np.arange(len(years) * count), years, first, [], labels


def _number_of(name: str, word: str, count: int) -> int | None:
    """Which of 12 months or 4 quarters a header names, from 1; None where it names none."""
    text = name.strip().rstrip(".").lower()
    if word == "month" and text in ("sept", *MONTHS, *ABBREVIATIONS):
        return ABBREVIATIONS.index(text[:3]) + 1
    numbered = NUMBERED[word].fullmatch(text)
    number = int(next(filter(None, numbered.groups()))) if numbered else 0
    return number if 1 <= number <= count else None


def find_time_columns(table: Table, settings: TableSettings) -> Names:
    """The column that parses as times all the way down, with the columns that hold finer parts of the time.

    Columns such as year and month, or date and hour, join where one alone repeats times within a series, and names and
    cells show which parts they hold.
    """
    named = {*settings.id, *settings.target, *settings.known, *settings.past, *settings.static}
    named |= {AVAILABLE_AT} if settings.known else set()
    columns = [column for column in table.names if column not in named]
    candidates = [
        column
        for column in columns
        if column != table.numbering and looks_like_times(table, column)
    ]
    parts = {column: part for column in columns if (part := part_named(table, column))}
    years = [column for column in columns if parts.get(column) == "year"]
    if coarse := [column for column in candidates if parts.get(column) in (None, "year")]:
        candidates = coarse  # hours and weeks that are only numbered are parts of these
    elif years and any(part in FINER["year"] for part in parts.values()):
        candidates = years[:1]
    if years and (
        dated := [c for c in candidates if c not in parts and not WHOLE.fullmatch(table.first(c))]
    ):
        candidates = dated  # these have a year
    by_name = sorted(
        (c for c in candidates if c.lower() in TIME_NAMES),
        key=lambda c: TIME_NAMES.index(c.lower()),
    )
    if by_name or len(candidates) == 1:
        return _with_finer(table, (by_name or candidates)[0], columns, parts)
    if candidates:
        cure = Words("name the one to use with ", Setting("time"))
        raise UsageError(
            f"columns {', '.join(candidates)} all hold times", place=table.name, cure=cure
        )
    nearly = [c for c in columns if c != table.numbering and resembles_times(table, c)]
    if nearly or table.numbering in columns:
        return (nearly[0] if nearly else str(table.numbering),)
    raise _no_times(table, columns)


def _no_times(table: Table, columns: list[str]) -> BadData:
    if table.text and len(columns) == 1:
        if re.fullmatch(r"[\d.,eE+-]+", columns[0]):
            problem, cure = (
                "holds data and no header",
                Words("put a line with the name of the column before it"),
            )
            return BadData(
                f"the first line, '{columns[0]}', {problem}", place=table.name, cure=cure
            )
        cure = Words(
            "a table needs a column of times too; pass ",
            Setting("delimiter"),
            " if there are several",
        )
        return BadData(f"all lines have one column, '{columns[0]}'", place=table.name, cure=cure)
    numbers = [column for column in columns if looks_like_times(table, column, named=True)]
    hint = f" ({numbers[0]} can hold numbers that are times)" if numbers else ""
    rows = Setting("layout", "rows")
    cure = Words(
        "name it with ", Setting("time"), f"{hint}, or pass ", rows, " if each row is a series"
    )
    return BadData(
        f"no column holds times (columns: {', '.join(columns[:20])})", place=table.name, cure=cure
    )


def _with_finer(table: Table, time: str, columns: list[str], parts: dict[str, str]) -> Names:
    """A time column with the columns that hold finer parts, where rows need them to differ."""
    others = [column for column in columns if column != time]
    if table.kind(time) == "datetime":
        times = table.times(time)
        clock = times.fractions or bool((times.wall % DAY).any())
    else:
        clock = any(map(has_clock, guesses(table.first(time))))
    level = parts.get(time) or (None if clock else "day")
    if level not in FINER or not any(parts.get(column) in FINER[level] for column in others):
        return (time,)
    # columns that can name series: all of text, and beside a day also each of whole numbers with them
    grouping = [c for c in others if c not in {*parts, *TARGET_NAMES} and groups_rows(table, c)]
    numbers = numeric_columns(table, grouping)
    texts = tuple(column for column in grouping if column not in numbers)
    keys = [
        texts,
        *((*texts, column) for column in numbers if level == "day" and is_whole(table, column)),
    ]
    joined: Names = (time,)
    while level in FINER and all(repeated_rows(table, (*key, *joined)).any() for key in keys):
        finer = [column for part in FINER[level] for column in others if parts.get(column) == part]
        if not finer:
            break
        joined, level = (*joined, finer[0]), parts[finer[0]]
    joined = tuple(column for column in columns if column in joined)  # as the table has them
    several, alone = (~repeated_rows(table, names) for names in (joined, (time,)))
    return joined if several.sum() > alone.sum() and is_parts(table, joined) else (time,)


def repeated_rows(table: Table, columns: Sequence[str]) -> Flags:
    """[rows], whether an earlier row has the same in all of these columns."""
    return repeats(np.zeros(len(table)), *(table.distinct(column)[0] for column in columns))


def heading_times(table: Table, names: list[str]) -> Names:
    """The time columns at the end of the columns before the forecasts: the last one, or several that go together."""
    for count in range(2, min(len(names), len(PARTS)) + 1):
        columns = tuple(names[-count:])
        if part_named(table, columns[-1]) and is_parts(table, columns):
            return columns
    return (names[-1],)


@dataclass(frozen=True)
class DatedTable:
    table: Table
    time: tuple[str, ...]  # the columns that hold the time; () where each row is a series
    times: ParsedTimes | None  # of the rows; None where each row is a series
    settings: TableSettings | Schema  # by which they were parsed
    instant: int | None = (
        None  # on the clock of the table, up to which a run knows what becomes available
    )
    vintages: "DatedTable | None" = None  # all rows, where `table` has one for each series and time

    @property
    def name(self) -> str:
        return self.table.name

    def rows(self, chosen: Flags) -> "DatedTable":
        times = None if self.times is None else self.times.rows(chosen)
        return replace(self, table=self.table.rows(chosen), times=times)

    def times_by(self, schema: Schema) -> ParsedTimes | None:
        """The times, if a schema reads the same; None where they have to be parsed by that schema."""
        if self.times is None or self.times.needs_series:
            return None
        settings = self.settings
        if self.times.format == schema.time_format and settings.dst == schema.dst:
            return self.times
        same = isinstance(settings, Schema) and all(
            getattr(settings, f) == getattr(schema, f) for f in TIME_FIELDS
        )
        return self.times if same else None


def dated_table(
    table: Table, settings: TableSettings | Schema, live: Schema | None = None
) -> DatedTable:
    """Parse the times of a table, as the settings of a fit say or as the schema of an earlier fit does.

    Years of two digits are of the century of the schema, or of that of `live`, if a fit is to follow a live version.
    """
    table = normalised(table)
    if settings.strict and table.skipped:
        raise BadData(
            table.skipped,
            place=table.name,
            cure=Words("remove them, or leave out ", Setting("strict")),
        )
    if isinstance(settings, Schema):
        time, reading = () if settings.layout == "rows" else settings.time, settings.time_settings
    else:
        settings = _with_whole_names(table, settings)
        _check_settings(table, settings)
        by_rows = settings.layout or (
            "rows" if not settings.time and _looks_like_rows(table) else None
        )
        time = () if by_rows == "rows" else settings.time or find_time_columns(table, settings)
        reading = TimeSettings.at_fit(settings, None if live is None else live.time_format.pivot)
    return DatedTable(table, time, parse_times(table, time, reading) if time else None, settings)


def _with_whole_names(table: Table, settings: TableSettings) -> TableSettings:
    """The settings for a table in which a column has commas in its name, which arrives in several pieces."""
    whole = dict[str, Names]()
    for role in ROLES:
        pieces = getattr(settings, role)
        joined = {", ".join(pieces), ",".join(pieces)} & set(table.names)
        if joined and not set(pieces) <= set(table.names):
            whole[role] = tuple(joined)
    return settings.model_copy(update=whole)


def _check_settings(table: Table, settings: TableSettings) -> None:
    """Refuse missing columns, columns with two roles, and flags that do not go together."""
    roles = {name: getattr(settings, name) for name in ROLES}
    refuse_missing(
        table,
        (*(column for columns in roles.values() for column in columns), *settings.categorical),
    )
    seen: dict[str, str] = {}
    for role, columns in roles.items():
        for column in columns:
            if column in seen:
                both = (Setting(seen[column]), " and by ", Setting(role))
                raise UsageError(
                    Words(f"column '{column}' is named by ", *both), cure="name it once"
                )
            seen[column] = role
    for column in settings.categorical:
        if seen.get(column) not in ("known", "past", "static"):
            roles_of = (Setting("known"), ", ", Setting("past"), " or ", Setting("static"))
            problem = Words("name the column with ", *roles_of, ", too")
            raise UsageError(problem, setting=Setting("categorical", column))
    if settings.freq is not None:
        parse_frequency(settings.freq)
    if settings.aggregate and not settings.freq:
        setting = Setting("aggregate", settings.aggregate)
        raise UsageError(
            Words("pass the ", Setting("freq"), " to bring the table to"), setting=setting
        )


def _looks_like_rows(table: Table) -> bool:
    """Whether each row is surely a series: ids, then columns that are only numbered, and no time column."""
    first, *others = table.names
    # under row numbers a 0, 1, 2 is a series, as pandas names the columns of an array
    numbered = r"[Vv]\d+" if first == table.numbering else r"[Vv]?\d+"
    if len(others) < 2 or not all(re.fullmatch(numbered, column) for column in others):
        return False
    return first == table.numbering or not looks_like_times(table, first)
