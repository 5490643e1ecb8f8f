"""Unfold a table of years by months or quarters to one row for each month or quarter."""

import logging
import re
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar.patterns import MONTHS
from forecast.calendar.split_times import PART_NAMES
from forecast.errors import BadData
from forecast.panel.observations import as_text
from forecast.tables.numbers import is_whole, numeric_columns
from forecast.tables.table import Table

YEAR = re.compile(r"[12]\d{3}(\.0*)?")
NUMBERED = re.compile(r"(?:m|month|q|qtr|quarter)?[ _]?0?(\d{1,2})|(\d)(?:q|qtr)")
NEARLY_ALL = 0.9  # of the rows have a year; the others are a total or a note, which reading the times refuses

log = logging.getLogger("forecast")


def unfold(table: Table) -> Table:
    """Make one column of times and one of values out of a table of years by months or quarters.

    Columns of text beside them stay, as ids; sums and other numbers of a year are left out, and named.

    Raises
    ------
    BadData
        If the months do not begin with January, so that their year is open.
    """
    columns = [str(column) for column in table.frame.columns]
    for count, word in ((12, "month"), (4, "quarter")):
        places = {column: place for column in columns if (place := _place_of(column, count))}
        if len(places) == count and sorted(places.values()) == list(range(1, count + 1)):
            year = _year_column(table, [column for column in columns if column not in places], list(places))
            if year is not None:
                return _by_rows(table, year, places, word)
        if len(table.frame) == count and len(columns) > 2 and all(YEAR.fullmatch(column) for column in columns[1:]):
            labels = [_place_of(text, count) for text in as_text(table, columns[0])]
            if labels == list(range(1, count + 1)):
                return _by_columns(table, columns[0], columns[1:], word)
    return table


def _place_of(name: str, count: int) -> int | None:
    """Which of 12 months or 4 quarters a header names, from 1; None where it names none."""
    text = name.strip().rstrip(".").lower()
    if count == 12 and text in ("sept", *MONTHS, *(month[:3] for month in MONTHS)):
        return next(place for place, month in enumerate(MONTHS, 1) if month[:3] == text[:3])
    found = NUMBERED.fullmatch(text)
    if not found or text[0] == "mq"[count == 12] or (count == 12 and found[2]):
        return None
    number = int(found[1] or found[2])
    return number if 1 <= number <= count else None


def _year_column(table: Table, others: list[str], headers: list[str]) -> str | None:
    """The column of years beside months; under headers that are bare numbers it must be called a year."""
    bare = all(header.strip().isdigit() for header in headers)
    found = []
    for column in others:
        named = column.strip().lower() in PART_NAMES["year"]
        if (named or not bare) and _are_years(as_text(table, column)):
            found.append((not named, column))
    return min(found)[1] if found else None


def _are_years(texts: "pd.Series[str]") -> bool:
    wrong = sum(YEAR.fullmatch(text.strip()) is None for text in texts)
    return wrong <= max(1, (1 - NEARLY_ALL) * len(texts)) and 2 * wrong < len(texts)


def _by_rows(table: Table, year: str, places: dict[str, int], word: str) -> Table:
    """Unfold a table with a row for each year."""
    headers, count = list(places), len(places)
    if list(places.values()) != sorted(places.values()):
        raise BadData(
            f"{table.name}: the {word}s by '{year}' begin with '{headers[0]}', so that it is open which year each "
            f"belongs to; write a row for each {word}, with its year"
        )
    rows = len(table.frame)
    order = np.arange(rows * count).reshape(count, rows).T.ravel()
    values = pd.concat([table.frame[header] for header in headers], ignore_index=True).take(order)
    years = as_text(table, year).str.strip().str.partition(".")[0].repeat(count)
    others = [str(column) for column in table.frame.columns if column not in (year, *places)]
    kept, dropped = _ids(table, year, others)
    ids = {name: table.frame[name].repeat(count).reset_index(drop=True) for name in kept}
    at = np.tile(np.arange(1, count + 1), rows)
    unfolded = _rebuilt(table, ids, years.to_numpy(object), at, values.reset_index(drop=True), word)
    source = np.tile(np.array(headers, object), rows)
    _say(table, headers, unfolded, word, dropped)
    return _placed(unfolded, table, np.repeat(np.arange(rows), count), year, source)


def _by_columns(table: Table, first: str, years: list[str], word: str) -> Table:
    """Unfold a table with a column for each year, and a row for each month or quarter."""
    count = len(table.frame)
    values = pd.concat([table.frame[year] for year in years], ignore_index=True)
    at = np.tile(np.arange(1, count + 1), len(years))
    named = np.repeat(np.array([year.partition(".")[0] for year in years], object), count)
    unfolded = _rebuilt(table, {}, named, at, values, word)
    _say(table, as_text(table, first).tolist(), unfolded, word, [])
    source = np.repeat(np.array(years, object), count)
    return _placed(unfolded, table, np.tile(np.arange(count), len(years)), first, source)


def _ids(table: Table, year: str, others: list[str]) -> tuple[list[str], list[str]]:
    """The columns beside the years that may be ids, and the rest."""
    numeric = dict(zip(others, numeric_columns(table, others), strict=True))
    alone = table.frame[year].is_unique
    kept = [
        name
        for name in others
        if (not numeric[name] and (as_text(table, name) != "").any()) or (not alone and is_whole(table, name))
    ]
    return kept, [name for name in others if name not in kept]


def _rebuilt(
    table: Table,
    ids: "dict[str, pd.Series]",
    years: NDArray[np.object_],
    at: NDArray[np.int64],
    values: pd.Series,
    word: str,
) -> Table:
    """The unfolded table: ids, the time, the values."""
    form = "{}-{:02d}" if word == "month" else "{}Q{}"
    times = [form.format(year, place) for year, place in zip(years, at, strict=True)]
    time = next(name for name in (word, "time", "period", "date_") if name not in ids)
    value = next(name for name in ("value", "y", "target", "value_") if name not in ids)
    frame = pd.DataFrame({**ids, time: pd.Series(times, dtype=object if not table.text else "str"), value: values})
    return replace(table, frame=frame)


def _placed(unfolded: Table, table: Table, rows: NDArray[np.int64], label: str, source: NDArray[np.object_]) -> Table:
    """The table that knows in which line and column of its source each cell stood."""
    *_, time, value = (str(column) for column in unfolded.frame.columns)
    lines = None if table.lines is None else table.lines[rows]
    return replace(unfolded, lines=lines, sources={time: np.full(len(rows), label, object), value: source})


def _say(table: Table, headers: list[str], unfolded: Table, word: str, dropped: list[str]) -> None:
    *_, time, value = (str(column) for column in unfolded.frame.columns)
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
