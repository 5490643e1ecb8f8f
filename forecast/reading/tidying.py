"""Tidy a table where it enters: drop or name an unnamed first column, number a single one, unfold years by months."""

import logging
import re

import numpy as np

from forecast.calendar.inference import TIME_NAMES, looks_like_times, resembles_times
from forecast.errors import BadData
from forecast.reading.unfolding import unfold
from forecast.tables.headers import DATE_OR_FRACTION
from forecast.tables.numbers import counted_values, is_whole, numeric_columns
from forecast.tables.table import Table

UNNAMED = ("", "Unnamed: 0")  # pandas reads the first as the second
INDEX = "index"

log = logging.getLogger("forecast")


def tidied(table: Table) -> Table:
    """The table without needless row numbers, and with a row for each month or quarter; a tidy table stays as it is.

    Raises
    ------
    BadData
        If the first column needs a name, or the months of a table of years by months do not begin with January.
    """
    return unfold(_settle_numbering(table))


def _settle_numbering(table: Table) -> Table:
    """Drop a first column without a name where it numbers the rows and another column holds times; else name it.

    A table of one column that holds numbers gets one that numbers its rows.
    """
    columns = table.names
    if len(columns) == 1 and _is_bare(table, columns[0]):
        log.warning("%s has one column, '%s': its rows are numbered as steps of a time", table.name, columns[0])
        return table.numbered(INDEX)
    if columns[0] not in UNNAMED:
        return table
    first, others = columns[0], columns[1:]
    numbered = _numbers_rows(table, first)
    if numbered and others and _has_index_beside(table, others):
        log.warning("%s: the unnamed first column holds row numbers and was left out", table.name)
        return table.without(first)
    if first and not numbered:
        return table
    label = "time" if DATE_OR_FRACTION.match(table.first(first)) else INDEX
    if label in columns:
        raise BadData(f"{table.name}: the first column has no name, and another is called '{label}'; give it one")
    reason = "numbers the rows and has no name" if numbered else "has no name"
    log.warning("%s: the first column %s; it is called '%s'", table.name, reason, label)
    return table.renamed(first, label, numbered)


def _is_bare(table: Table, column: str) -> bool:
    """Whether a column holds values alone: numbers that are no times, under a name that is no number itself."""
    named = re.search(r"[^\W\d_]", column) is not None and column.lower() not in (*TIME_NAMES, INDEX)
    return named and numeric_columns(table, [column])[0] and not looks_like_times(table, column)


def _numbers_rows(table: Table, column: str) -> bool:
    """Whether a column holds 0, 1, 2 and so on, or 1, 2, 3, in any order."""
    if len(table) < 2 or not is_whole(table, column):
        return False
    numbers = counted_values(table, column, 18)
    if numbers is None:
        return False
    numbers = np.sort(numbers)
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def _has_index_beside(table: Table, others: list[str]) -> bool:
    """Whether other columns hold times or resemble them, or are an id before numbered steps."""
    if any(looks_like_times(table, column) or resembles_times(table, column) for column in others):
        return True
    steps = [bool(re.fullmatch(r"[Vv]\d+", column)) for column in others]
    return len(others) > 2 and not steps[0] and all(steps[1:])
