"""Normalise a table where it enters: its unnamed first column, a single column, and years by months."""

import logging
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.inference import TIME_NAMES, looks_like_times, resembles_times
from forecast.calendar.patterns import ABBREVIATIONS, MONTHS, guesses
from forecast.calendar.split_columns import PARTS
from forecast.errors import BadData
from forecast.tables.cells import MISSING
from forecast.tables.distinct import repeats
from forecast.tables.headers import DATE_OR_FRACTION, LETTER
from forecast.tables.numbers import counted_values, is_whole, numeric_columns
from forecast.tables.table import Table

UNNAMED = ("", "Unnamed: 0")  # pandas reads the first as the second
INDEX = "index"
MOST_BELOW = 20  # rows at the end that may be totals and notes

log = logging.getLogger("forecast")


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
        ends = [str(cell).strip() for cell in table.frame[column].iloc[-MOST_BELOW:]][::-1]
        count = next((position for position, end in enumerate(ends) if guesses(end)), 0)
        below = np.arange(len(table)) >= len(table) - count
        if not count or not looks_like_times(rest := table.rows(~below), column, column.lower() in TIME_NAMES):
            continue
        noted, last = np.zeros(count, bool), table.rows(below)
        wordless = [*last.texts(column)] == [""]
        for name in table.names:
            words = np.array([bool(LETTER.search(cell)) and cell.lower() not in MISSING for cell in last.texts(name)])
            noted |= words & ~np.isin(last.texts(name), rest.texts(name))
            wordless &= not words.any()
        others = (name for name in table.names if name != column)
        if (noted.all() or wordless) and not any(looks_like_times(table, other) for other in others):
            said = f"rows without a time below the data (from {table.line(len(rest))} on)"
            log.warning("%s: left out %s", table.name, said)
            return replace(rest, skipped="; ".join(filter(None, (table.skipped, said))))
    return table


def _name_first_column(table: Table) -> Table:
    """Drop an unnamed first column where it numbers the rows beside times; else name it. Number bare values."""
    first, *others = table.names
    if not others and _is_bare(table, first):
        log.warning("%s has one column, '%s': its rows are numbered as steps of a time", table.name, first)
        return table.numbered(INDEX)
    numbered = first in UNNAMED and _numbers_rows(table, first)
    if first not in UNNAMED or (first and not numbered):
        return table
    if numbered and _has_index_beside(table, others):
        log.warning("%s: the unnamed first column holds row numbers and was left out", table.name)
        return table.without(first)
    label = "time" if DATE_OR_FRACTION.match(table.first(first)) else INDEX
    if label in others:
        raise BadData(f"{table.name}: the first column has no name, and another is called '{label}'; give it one")
    reason = "numbers the rows and has no name" if numbered else "has no name"
    log.warning("%s: the first column %s; it is called '%s'", table.name, reason, label)
    return table.renamed(first, label, numbered)


def _is_bare(table: Table, column: str) -> bool:
    """Whether a column holds values alone: no times, under a name that is neither a number nor a time's."""
    named = re.search(r"[^\W\d_]", column) is not None and column.lower() not in (*TIME_NAMES, INDEX)
    return named and numeric_columns(table, [column])[0] and not looks_like_times(table, column)


def _numbers_rows(table: Table, column: str) -> bool:
    """Whether a column holds 0, 1, 2 and so on, or 1, 2, 3, in any order."""
    numbers = counted_values(table, column, 18) if len(table) > 1 and is_whole(table, column) else None
    return numbers is not None and numbers.min() in (0, 1) and bool((np.diff(np.sort(numbers)) == 1).all())


def _has_index_beside(table: Table, others: list[str]) -> bool:
    """Whether other columns hold times or resemble them, or are an id before numbered steps."""
    if any(looks_like_times(table, column) or resembles_times(table, column) for column in others):
        return True
    steps = [bool(re.fullmatch(r"[Vv]\d+", column)) for column in others]
    return len(others) > 2 and not steps[0] and all(steps[1:])


YEAR = re.compile(r"[12]\d{3}(\.0*)?")
NUMBERED = {  # names of periods, whose number is a group
    "month": re.compile(r"(?:m|month)?[ _]?0?(\d{1,2})"),
    "quarter": re.compile(r"(?:q|qtr|quarter)?[ _]?0?(\d{1,2})|(\d)(?:q|qtr)"),
}
NEARLY_ALL = 0.9  # of the rows have a year; parsing the times refuses the others, such as totals and notes


class _Layout(NamedTuple):
    columns: list[str]  # those to put end to end
    order: NDArray[np.int64]  # [cells], the position of each row's value in them
    years: list[str]  # of the cells, each year once for all its periods
    source: str  # the column that the times come from
    ids: list[str]
    labels: list[str]  # all months or quarters, as the table names them


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
        times = [form.format(year, n) for year in plain for n in range(1, count + 1)]  # 1990-03, or 1990Q3
        time = next(name for name in (word, "time", "period", "date_") if name not in ids)
        value = next(name for name in ("value", "y", "target", "value_") if name not in ids)
        dropped = [name for name in table.names if name not in (source, *columns, *ids)]
        left_out = f"; left out: {', '.join(dropped)}" if dropped else ""
        warning = "%s: a table of years by %ss (%s to %s) is read with a row for each %s: '%s' by '%s'%s"
        log.warning(warning, table.name, word, labels[0], labels[-1], word, value, time, left_out)
        return table.stacked(columns, order, ids, (time, times, source), value)
    return table


def _by_rows(table: Table, word: str, count: int) -> _Layout | None:
    """A row for each year."""
    numbers = {column: number for column in table.names if (number := _number_of(column, word, count))}
    if sorted(numbers.values()) != list(range(1, count + 1)):
        return None
    headers, others = list(numbers), [column for column in table.names if column not in numbers]
    year = _year_column(table, others, all(header.strip().isdigit() for header in headers))
    if year is None:
        return None
    if list(numbers.values()) != sorted(numbers.values()):
        problem = f"the {word}s by '{year}' begin with '{headers[0]}', so that it is open which year each belongs to"
        raise BadData(problem, place=table.name, cure=f"write a row for each {word}, with its year")
    others.remove(year)
    several = repeats(table.distinct(year)[0]).any()  # rows for a year, so that whole numbers may be ids
    pairs = zip(others, numeric_columns(table, others), strict=True)
    texts = [name for name, numeric in pairs if not numeric and any(table.distinct(name)[1])]
    ids = [name for name in others if name in texts or (several and is_whole(table, name))]
    order = np.arange(len(table) * count).reshape(count, -1).T.ravel()
    return _Layout(headers, order, table.texts(year).tolist(), year, ids, headers)


def _by_columns(table: Table, word: str, count: int) -> _Layout | None:
    """A column for each year, and a row for each month or quarter."""
    first, *years = table.names
    if len(table) != count or len(years) < 2 or not all(map(YEAR.fullmatch, years)):
        return None
    labels = table.texts(first).tolist()
    if [_number_of(text, word, count) for text in labels] != list(range(1, count + 1)):
        return None
    return _Layout(years, np.arange(len(years) * count), years, first, [], labels)


def _number_of(name: str, word: str, count: int) -> int | None:
    """Which of 12 months or 4 quarters a header names, from 1; None where it names none."""
    text = name.strip().rstrip(".").lower()
    if word == "month" and text in ("sept", *MONTHS, *ABBREVIATIONS):
        return ABBREVIATIONS.index(text[:3]) + 1
    numbered = NUMBERED[word].fullmatch(text)
    number = int(next(filter(None, numbered.groups()))) if numbered else 0
    return number if 1 <= number <= count else None


def _year_column(table: Table, others: list[str], bare: bool) -> str | None:
    """The column of years beside months; under headers that are bare numbers it must be called a year."""
    named = [column for column in others if column.strip().lower() in PARTS["year"].names]
    likely = named if bare else [*named, *sorted(set(others) - set(named))]
    wrong = {column: sum(YEAR.fullmatch(text.strip()) is None for text in table.texts(column)) for column in likely}
    few = min(max(1, (1 - NEARLY_ALL) * len(table)), (len(table) - 1) / 2)
    return next((column for column in likely if wrong[column] <= few), None)
