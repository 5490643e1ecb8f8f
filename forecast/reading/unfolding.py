"""Unfold a table of years by months or quarters to one row for each month or quarter."""

import logging
import re

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.patterns import MONTHS
from forecast.calendar.split_columns import PART_NAMES
from forecast.errors import BadData
from forecast.tables.distinct import repeats
from forecast.tables.numbers import is_whole, numeric_columns
from forecast.tables.table import Table

YEAR = re.compile(r"[12]\d{3}(\.0*)?")
NUMBERED = re.compile(r"(?:m|month|q|qtr|quarter)?[ _]?0?(\d{1,2})|(\d)(?:q|qtr)")
NEARLY_ALL = 0.9  # of the rows have a year; parsing the times refuses the others, such as totals and notes

log = logging.getLogger("forecast")


def unfold(table: Table) -> Table:
    """Bring a table of years by months or quarters to a column of times and a column of values.

    Columns of text beside them stay, as ids; sums and other numbers of a year are left out with a warning.
    """
    columns = table.names
    for count, word in ((12, "month"), (4, "quarter")):
        numbers = {column: number for column in columns if (number := _number_of(column, count))}
        if len(numbers) == count and sorted(numbers.values()) == list(range(1, count + 1)):
            year = _year_column(table, [column for column in columns if column not in numbers], list(numbers))
            if year is not None:
                return _by_rows(table, year, numbers, word)
        if len(table) == count and len(columns) > 2 and all(YEAR.fullmatch(column) for column in columns[1:]):
            labels = [_number_of(text, count) for text in table.texts(columns[0])]
            if labels == list(range(1, count + 1)):
                return _by_columns(table, columns[0], columns[1:], word)
    return table


def _number_of(name: str, count: int) -> int | None:
    """Which of 12 months or 4 quarters a header names, from 1; None where it names none."""
    text = name.strip().rstrip(".").lower()
    if count == 12 and text in ("sept", *MONTHS, *(month[:3] for month in MONTHS)):
        return next(number for number, month in enumerate(MONTHS, 1) if month[:3] == text[:3])
    numbered = NUMBERED.fullmatch(text)
    if not numbered or text[0] == "mq"[count == 12] or (count == 12 and numbered[2]):
        return None
    number = int(numbered[1] or numbered[2])
    return number if 1 <= number <= count else None


def _year_column(table: Table, others: list[str], headers: list[str]) -> str | None:
    """The column of years beside months; under headers that are bare numbers it must be called a year."""
    bare = all(header.strip().isdigit() for header in headers)
    candidates = []
    for column in others:
        named = column.strip().lower() in PART_NAMES["year"]
        if (named or not bare) and _are_years(table.texts(column)):
            candidates.append((not named, column))
    return min(candidates)[1] if candidates else None


def _are_years(texts: NDArray[np.object_]) -> bool:
    wrong = sum(YEAR.fullmatch(text.strip()) is None for text in texts)
    return wrong <= max(1, (1 - NEARLY_ALL) * len(texts)) and 2 * wrong < len(texts)


def _by_rows(table: Table, year: str, numbers: dict[str, int], word: str) -> Table:
    """Unfold a table with a row for each year."""
    headers, count = list(numbers), len(numbers)
    if list(numbers.values()) != sorted(numbers.values()):
        raise BadData(
            f"{table.name}: the {word}s by '{year}' begin with '{headers[0]}', so that it is open which year each "
            f"belongs to; write a row for each {word}, with its year"
        )
    rows = len(table)
    order = np.arange(rows * count).reshape(count, rows).T.ravel()
    years = [text.strip().partition(".")[0] for text in table.texts(year)]
    others = [column for column in table.names if column not in (year, *numbers)]
    ids, dropped = _ids(table, year, others)
    times = [_time(year_of, number, word) for year_of in years for number in range(1, count + 1)]
    return _stacked(table, headers, order, ids, (times, year), word, (headers, dropped))


def _by_columns(table: Table, first: str, years: list[str], word: str) -> Table:
    """Unfold a table with a column for each year, and a row for each month or quarter."""
    count = len(table)
    times = [_time(year.partition(".")[0], number, word) for year in years for number in range(1, count + 1)]
    order = np.arange(len(years) * count)
    return _stacked(table, years, order, [], (times, first), word, (table.texts(first).tolist(), []))


def _ids(table: Table, year: str, others: list[str]) -> tuple[list[str], list[str]]:
    """The columns beside the years that may be ids, and the rest."""
    numeric = dict(zip(others, numeric_columns(table, others), strict=True))
    alone = not repeats(table.distinct(year)[0]).any()
    ids = [
        name
        for name in others
        if (not numeric[name] and any(table.distinct(name)[1])) or (not alone and is_whole(table, name))
    ]
    return ids, [name for name in others if name not in ids]


def _time(year: str, number: int, word: str) -> str:
    """A month such as 1990-03, or a quarter such as 1990Q3."""
    return f"{year}-{number:02d}" if word == "month" else f"{year}Q{number}"


def _stacked(
    table: Table,
    columns: list[str],
    order: NDArray[np.int64],  # [cells], the position of each row's value in the columns put end to end
    ids: list[str],
    times: tuple[list[str], str],  # [cells], and the column that they come from
    word: str,
    shown: tuple[list[str], list[str]],  # all months or quarters as the table names them, and columns left out
) -> Table:
    """The table with ids, a time and a value in each row, and a warning that says so; `word` is month or quarter."""
    time = next(name for name in (word, "time", "period", "date_") if name not in ids)
    value = next(name for name in ("value", "y", "target", "value_") if name not in ids)
    headers, dropped = shown
    log.warning(
        "%s: a table of years by %ss (%s to %s) is read with a row for each %s: '%s' by '%s'%s",
        table.name,
        word,
        headers[0],
        headers[-1],
        word,
        value,
        time,
        f"; left out: {', '.join(dropped)}" if dropped else "",
    )
    return table.stacked(columns, order, ids, (time, *times), value)
