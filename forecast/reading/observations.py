"""Read the observations of a table: which series, when, how much."""

import logging
from dataclasses import dataclass

import numpy as np

from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.zones import Flags, Integers
from forecast.errors import BadData
from forecast.panel.naming import first_alike, series_name, series_names
from forecast.panel.panel import Ids, Numbers
from forecast.panel.schema import Schema
from forecast.tables.distinct import distinct, encoded, repeats
from forecast.tables.numbers import is_blank, numeric_columns, parse_columns, parse_numbers
from forecast.tables.table import Table

logger = logging.getLogger("forecast")


@dataclass(frozen=True)
class Observations:
    """The target cells of a table, blank ones included."""

    ids: Ids  # ascending
    order: Integers  # [series], those of the table in its order, as indices into `ids`
    series: Integers  # [cells], index into `ids`
    timestamps: Integers
    values: Numbers  # NaN where blank
    rows: Integers  # [cells], the row of the table
    row_timestamps: Integers  # [rows of the table]; () for a `rows` table


@dataclass(frozen=True)
class Rows:
    """Values by series and time, from the table or sums of it."""

    series: Integers  # [rows], index into the ids
    timestamps: Integers
    values: Numbers

    def select(self, rows: Flags | Integers) -> "Rows":
        """Some of the rows."""
        return Rows(self.series[rows], self.timestamps[rows], self.values[rows])

    def combined(self, how: str) -> "Rows":
        """One row for each series and time, ascending: the first, last, mean or sum of the rows in their order."""
        times = distinct(self.timestamps)
        keys = self.series * len(times) + np.searchsorted(times, self.timestamps)
        if (np.diff(keys) > 0).all():
            return self
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], self.values[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        if len(starts) < len(keys):
            ends, keys = np.append(starts[1:], len(keys)), keys[starts]
            if how in ("first", "last"):
                values = values[starts if how == "first" else ends - 1]
            else:
                values = np.add.reduceat(values, starts) / (ends - starts if how == "mean" else 1)
        return Rows(keys // max(len(times), 1), times[keys % max(len(times), 1)], values)


def observe(table: Table, schema: Schema, times: ParsedTimes | None = None) -> Observations:
    """Read the ids, times and targets of a table, whose times may have been parsed before; BadData with its place."""
    if schema.layout == "rows":
        return _rows(table, schema)
    return (_long if schema.layout == "long" else _wide)(table, schema, times)


def id_codes(table: Table, columns: tuple[str, ...]) -> tuple[Ids, Integers]:
    """The different ids of a table, ascending, and [rows] which of them each row has."""
    if not columns:
        return ((),), np.zeros(len(table), np.int64)
    keys = np.zeros(len(table), np.int64)
    parts: list[tuple[Integers, list[str]]] = []
    for column in columns:
        codes, texts = table.distinct(column)
        codes = _ranks(texts)[codes]
        parts.append((codes, sorted(texts)))
        # compressed after each column, so that the product of many cannot overflow
        keys, unique = encoded(keys * len(texts) + codes)
        keys = np.argsort(np.argsort(unique))[keys]
    first = np.empty(int(keys.max()) + 1, np.int64)
    first[keys[::-1]] = np.arange(len(table))[::-1]
    names = [[texts[code] for code in codes[first].tolist()] for codes, texts in parts]
    return tuple(zip(*names, strict=True)), keys


def wide_columns(table: Table, schema: Schema) -> list[str]:
    """The columns of a wide table that are series: those of the fit, and new ones if the fit took every numeric one."""
    columns, taken = table.names, set(schema.series)
    if schema.all_columns:
        named = {*schema.time, *schema.known, *schema.past, *schema.ignored, *taken, table.numbering}
        unnamed = [column for column in columns if column not in named]
        numeric = dict(zip(unnamed, numeric_columns(table, unnamed), strict=True))
        taken |= {column for column in unnamed if numeric[column] or is_blank(table, column)}
    return [column for column in columns if column in taken]


def _long(table: Table, schema: Schema, times: ParsedTimes | None) -> Observations:
    ids, series = id_codes(table, schema.ids)
    timestamps = (times or parse_times(table, schema.time, schema.time_settings, series)).timestamps
    blank = np.isin(series, [index for index, names in enumerate(ids) if names and not any(names)])
    if blank.any():
        text = "%s: %d rows have no id in %s; they are read as a series of their own."
        logger.warning(text, table.name, blank.sum(), ", ".join(schema.ids))
    _warn_similar_ids(table, ids)
    values = parse_numbers(table, schema.target or "")
    order = np.argsort(np.unique(series, return_index=True)[1])  # in which they come first
    return Observations(ids, order, series, timestamps, values, np.arange(len(series)), timestamps)


def _wide(table: Table, schema: Schema, times: ParsedTimes | None) -> Observations:
    series = np.zeros(len(table), np.int64)
    timestamps = (times or parse_times(table, schema.time, schema.time_settings, series)).timestamps
    columns = wide_columns(table, schema)
    if not columns:
        fitted = series_names([(name,) for name in schema.series])
        raise BadData(f"{table.name}: none of the columns that were forecast is there (at fit: {fitted})")
    count, ids = len(columns), tuple((name,) for name in sorted(columns))
    order, rows = _ranks(columns), np.repeat(np.arange(len(timestamps)), count)
    values, series = parse_columns(table, columns).reshape(-1), np.tile(order, len(timestamps))
    return Observations(ids, order, series, np.repeat(timestamps, count), values, rows, timestamps)


def _rows(table: Table, schema: Schema) -> Observations:
    """One series a row, one step a column after the first; blank cells at the end are no steps."""
    columns = table.names
    codes, names = table.distinct(columns[0])
    if len(names) < len(table):
        row = int(np.argmax(repeats(codes)))
        problem = f"id '{names[codes[row]]}' comes twice"
        raise BadData(problem, place=table.place(row, columns[0]), cure="give every row its own id")
    ids, order, count = tuple((name,) for name in sorted(names)), _ranks(names), len(columns) - 1
    _warn_similar_ids(table, ids)
    series, steps = np.repeat(order, count), np.tile(np.arange(1, count + 1), len(names))
    values, rows = parse_columns(table, columns[1:]).reshape(-1), np.repeat(np.arange(len(names)), count)
    return Observations(ids, order, series, steps, values, rows, np.zeros(0, np.int64))


def _warn_similar_ids(table: Table, ids: Ids) -> None:
    """Warn of ids that look alike."""
    if pair := first_alike(ids):
        text = "%s: ids '%s' and '%s' differ only in blanks, case or how letters are encoded; they are two series."
        logger.warning(text, table.name, *map(series_name, pair))


def _ranks(texts: list[str]) -> Integers:
    """[texts], the position of each in ascending order."""
    ranks = np.empty(len(texts), np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks
