"""Take a table apart into observations: which series, when, how much."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar.times import ParsedTimes, parse_times
from forecast.calendar.zones import Flags, Integers
from forecast.errors import BadData
from forecast.panel.naming import series_name
from forecast.panel.schema import Schema
from forecast.tables.numbers import is_blank, numeric_columns, parse_columns, parse_numbers
from forecast.tables.table import Table

logger = logging.getLogger("forecast")

Numbers = NDArray[np.float64]
Ids = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Observations:
    """The cells of a table that hold a target, blank ones included.

    Attributes
    ----------
    ids : one tuple of strings per series, ascending
    order : [series], the series in the order of the table, as indices into `ids`
    series, instants, values : [cells], index into `ids`, time, target (NaN where blank)
    rows : [cells], the row of the table
    row_instants : [rows], time of each row of the table; () for a `rows` table
    """

    ids: Ids
    order: Integers
    series: Integers
    instants: Integers
    values: Numbers
    rows: Integers
    row_instants: Integers


@dataclass(frozen=True)
class Rows:
    """Values by series and time.

    Attributes
    ----------
    series, instants, values : [rows], index into the ids, time, value
    """

    series: Integers
    instants: Integers
    values: Numbers

    def select(self, rows: Flags | Integers) -> "Rows":
        """Some of the rows."""
        return Rows(self.series[rows], self.instants[rows], self.values[rows])


def observe(table: Table, schema: Schema, times: ParsedTimes | None = None) -> Observations:
    """Read the ids, times and targets of a table.

    Parameters
    ----------
    times : of the rows, where they were parsed before

    Raises
    ------
    BadData
        If a cell that is needed cannot be read, with its place.
    """
    if schema.layout == "long":
        return _long(table, schema, times)
    return _wide(table, schema, times) if schema.layout == "wide" else _rows(table, schema)


def id_codes(table: Table, columns: tuple[str, ...]) -> tuple[Ids, Integers]:
    """The different ids of a table, ascending, and [rows] which of them each row has."""
    count = len(table.frame)
    if not columns:
        return ((),), np.zeros(count, np.int64)
    keys = np.zeros(count, np.int64)
    columns_read = []
    for column in columns:
        codes, unique = pd.factorize(as_text(table, column))
        texts = np.asarray(unique, object)
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__))
        codes = np.argsort(order)[codes]
        columns_read.append((codes, texts[order]))
        # compressed after each column, so that the product of many cannot overflow
        keys = pd.factorize(keys * len(texts) + codes, sort=True)[0].astype(np.int64)
    first = np.empty(int(keys.max()) + 1, np.int64)
    first[keys[::-1]] = np.arange(count)[::-1]
    parts = [texts[codes[first]].tolist() for codes, texts in columns_read]
    return tuple(zip(*parts, strict=True)), keys


def as_text(table: Table, column: str) -> "pd.Series[str]":
    """A column as text: just as written, whole numbers without a decimal mark, '' where blank."""
    values = table.frame[column]
    if table.text:
        return values
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(float if pd.api.types.is_float_dtype(values.cat.categories.dtype) else object)
    if pd.api.types.is_float_dtype(values.dtype) and bool((values.dropna() % 1 == 0).all()):
        values = values.astype("Int64")
    return values.astype(object).where(values.notna(), "").map(_written)


def _written(value: object) -> str:
    """A value as text; a whole number among texts has no decimal mark either."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def wide_columns(table: Table, schema: Schema) -> list[str]:
    """The columns of a wide table that are series: those of the fit, and new ones if fit took them all."""
    columns, taken = [str(column) for column in table.frame.columns], set(schema.series)
    if schema.all_columns:
        named = {*schema.time, *schema.known, *schema.past, *schema.ignored, *taken, table.numbering}
        others = [column for column in columns if column not in named]
        new = {c for c, numeric in zip(others, numeric_columns(table, others), strict=True) if numeric}
        taken |= new | {column for column in others if column not in new and is_blank(table, column)}
    return [column for column in columns if column in taken]


def first_seen(codes: Integers) -> Integers:
    """The different codes in the order in which they come first."""
    unique, first = np.unique(codes, return_index=True)
    return unique[np.argsort(first)].astype(np.int64)


def _long(table: Table, schema: Schema, times: ParsedTimes | None) -> Observations:
    ids, series = id_codes(table, schema.ids)
    instants = (times or parse_times(table, schema.time, schema.time_settings, series)).instants
    blank = np.isin(series, [place for place, names in enumerate(ids) if names and not any(names)])
    if blank.any():
        logger.warning(
            "%s: %d rows have no id in %s; they are read as a series of their own.",
            table.name,
            blank.sum(),
            ", ".join(schema.ids),
        )
    _say_alike(table, ids)
    values = parse_numbers(table, schema.target or "")
    return Observations(ids, first_seen(series), series, instants, values, np.arange(len(series)), instants)


def _wide(table: Table, schema: Schema, times: ParsedTimes | None) -> Observations:
    instants = (
        times or parse_times(table, schema.time, schema.time_settings, np.zeros(len(table.frame), np.int64))
    ).instants
    columns = wide_columns(table, schema)
    if not columns:
        raise BadData(f"{table.name}: none of the columns that were forecast is there (at fit: {_some(schema.series)})")
    ids, order = _ascending(columns)
    rows, count = len(instants), len(columns)
    return Observations(
        ids=ids,
        order=order,
        series=np.tile(order, rows),
        instants=np.repeat(instants, count),
        values=parse_columns(table, columns).reshape(-1),
        rows=np.repeat(np.arange(rows), count),
        row_instants=instants,
    )


def _rows(table: Table, schema: Schema) -> Observations:
    """One series a row, one step a column after the first; blank cells at the end are no steps."""
    columns = [str(column) for column in table.frame.columns]
    names = as_text(table, columns[0])
    repeated = names.duplicated()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise BadData(f"{table.place(row, columns[0])}: id '{names.iloc[row]}' comes twice; give every row its own id")
    ids, order = _ascending(list(names))
    _say_alike(table, ids)
    count = len(columns) - 1
    steps = np.arange(1, count + 1, dtype=np.int64)
    return Observations(
        ids=ids,
        order=order,
        series=np.repeat(order, count),
        instants=np.tile(steps, len(names)),
        values=parse_columns(table, columns[1:]).reshape(-1),
        rows=np.repeat(np.arange(len(names)), count),
        row_instants=np.zeros(0, np.int64),
    )


def _say_alike(table: Table, ids: Ids) -> None:
    """Warn of ids that differ only in the blanks around them."""
    bare: dict[tuple[str, ...], tuple[str, ...]] = {}
    for one in ids:
        other = bare.setdefault(tuple(part.strip() for part in one), one)
        if other != one:
            logger.warning(
                "%s: ids '%s' and '%s' differ only in blanks; they are read as two series.",
                table.name,
                series_name(other),
                series_name(one),
            )
            return


def _ascending(names: list[str]) -> tuple[Ids, Integers]:
    """Ids in ascending order, and the place of each name there."""
    place = np.empty(len(names), np.int64)
    place[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return tuple((name,) for name in sorted(names)), place


def combine(keys: Integers, values: Numbers, how: str) -> tuple[Integers, Numbers]:
    """Bring the values of each key to one, in the order in which they stand.

    Parameters
    ----------
    keys, values : [cells]
    how : first, last, mean or sum

    Returns
    -------
    keys, values : [different keys], ascending by key
    """
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1)) if len(keys) else np.zeros(0, np.int64)
    if len(starts) == len(keys):
        return keys, values
    ends = np.append(starts[1:], len(keys))
    if how in ("first", "last"):
        return keys[starts], values[starts if how == "first" else ends - 1]
    sums = np.add.reduceat(values, starts)
    return keys[starts], sums / (ends - starts) if how == "mean" else sums


def repeats(series: Integers, instants: Integers) -> Flags:
    """[cells], whether an earlier cell belongs to the same series and time."""
    order = np.lexsort((np.arange(len(series)), instants, series))
    same = (np.diff(series[order]) == 0) & (np.diff(instants[order]) == 0)
    flags = np.zeros(len(series), bool)
    flags[order[1:][same]] = True
    return flags


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
