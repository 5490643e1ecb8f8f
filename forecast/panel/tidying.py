"""Tidy a table where it enters: drop or name an unnamed first column, unfold years by months."""

import logging
import re

import numpy as np

from forecast.calendar.inference import looks_like_times, resembles_times
from forecast.errors import BadData
from forecast.panel.unfolding import unfold
from forecast.tables.headers import DATE_OR_FRACTION
from forecast.tables.numbers import counted_values, is_whole
from forecast.tables.table import Table

UNNAMED = ("", "Unnamed: 0")  # pandas reads the first as the second
INDEX = "index"

log = logging.getLogger("forecast")


def tidied(table: Table) -> Table:
    """The table without row numbers, and with a row for each month or quarter; a tidy table stays as it is.

    Raises
    ------
    BadData
        If the first column needs a name, or the months of a table of years by months do not begin with January.
    """
    return unfold(_settle_numbering(table))


def _settle_numbering(table: Table) -> Table:
    """Drop a first column without a name where it numbers the rows and another column holds times; else name it."""
    columns = table.names
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
