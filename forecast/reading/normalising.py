"""Normalise a table where it enters: its unnamed first column, a single column, and years by months."""

import logging
import re
from dataclasses import replace

import numpy as np

from forecast.calendar.inference import TIME_NAMES, looks_like_times, resembles_times
from forecast.calendar.patterns import guesses
from forecast.errors import BadData
from forecast.reading.melting import melt
from forecast.tables.cells import MISSING
from forecast.tables.headers import DATE_OR_FRACTION, LETTER
from forecast.tables.numbers import counted_values, is_whole, numeric_columns
from forecast.tables.table import Table

UNNAMED = ("", "Unnamed: 0")  # pandas reads the first as the second
INDEX = "index"
MOST_BELOW = 20  # rows at the end that may be totals and notes

log = logging.getLogger("forecast")


def normalised(table: Table) -> Table:
    """The table without needless row numbers, and with a row for each month or quarter.

    Raises BadData if the first column needs a name, or the months beside years do not begin with January.
    """
    return melt(_settle_numbering(_without_totals(table)))


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


def _settle_numbering(table: Table) -> Table:
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
