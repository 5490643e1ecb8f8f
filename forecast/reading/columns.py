"""Read the covariate columns of a table as numbers or codes."""

import logging
from typing import NamedTuple

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.errors import BadData, Setting, Words
from forecast.panel.naming import series_name
from forecast.panel.panel import Ids, Integers, Numbers, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.categories import category_codes
from forecast.reading.observations import Observations, id_codes
from forecast.tables.distinct import repeats
from forecast.tables.headers import refuse_missing
from forecast.tables.numbers import parse_numbers
from forecast.tables.table import Table

logger = logging.getLogger("forecast")


class Covariates(NamedTuple):
    series: Integers | None  # [rows], index into the ids of the panel; None if the rows hold for all series
    positions: Integers  # [rows], on the grid; ascending and different where `series` is None
    values: Numbers  # [rows, columns], NaN where blank


def covariates(
    table: Table, schema: Schema, observations: Observations, calendar: Calendar, columns: tuple[str, ...]
) -> Covariates:
    """Read covariate columns from the table of `observations`."""
    if not columns:
        return Covariates(None, np.zeros(1, np.int64), np.zeros((1, 0)))
    series = observations.series if schema.layout == "long" and any(schema.ids) else None
    return _placed(table, schema, calendar, series, observations.row_timestamps, _values(table, schema, columns))


def future_covariates(
    table: Table, schema: Schema, ids: Ids, calendar: Calendar, times: ParsedTimes | None
) -> Covariates:
    """Read the columns known in advance from a table of the future of some series, whose `times` may be parsed."""
    refuse_missing(table, (*schema.time, *schema.known))
    values = _values(table, schema, schema.known)
    series, timestamps = rows_of(table, schema, ids, times)
    keys = (timestamps,) if series is None else (series, timestamps)
    if schema.on_duplicate == "error" and schema.aggregate is None and (repeated := repeats(*keys)).any():
        different = repeated & ~repeats(*keys, *values.T)
        if different.any():
            place = table.place(int(np.argmax(different)), schema.time)
            cure = Words("keep one, or pass ", Setting("on_duplicate", "last"))
            raise BadData("an earlier row has other values for this series and time", place=place, cure=cure)
    return _placed(table, schema, calendar, series, timestamps, values)


def rows_of(table: Table, schema: Schema, ids: Ids, times: ParsedTimes | None) -> tuple[Integers | None, Integers]:
    """The series of each row, as index into some ids, -1 for others, None where rows hold for all; and its time.

    A time off the grid is refused, unless rows are aggregated.
    """
    shared = schema.layout != "long" or not schema.ids or not set(schema.ids) <= set(table.names)
    names, codes = id_codes(table, () if shared else schema.ids)
    timestamps = (times or parse_times(table, schema.time, schema.time_settings, codes)).timestamps
    series = None if shared else (series_index(ids, names) - 1)[codes]
    if series is not None and (unknown := len(np.unique(codes[series < 0]))):
        warning = "%s: %d series are not in the table to forecast; their rows are left out."
        logger.warning(warning, table.name, unknown)
    off = ~calendar_of(schema).on_grid(timestamps) & (np.array(True) if series is None else series >= 0)
    if schema.aggregate is None and off.any():
        place = table.place(int(np.argmax(off)), schema.time)
        raise BadData(f"{place}: the time does not lie on the grid {schema.calendar.name}; correct it")
    return series, timestamps


def _values(table: Table, schema: Schema, columns: tuple[str, ...]) -> Numbers:
    return np.stack([column_values(table, column, schema) for column in columns], axis=1)


def _placed(
    table: Table, schema: Schema, calendar: Calendar, series: Integers | None, timestamps: Integers, values: Numbers
) -> Covariates:
    """The rows of known series at their positions on the grid."""
    rows = np.arange(len(timestamps)) if series is None else np.flatnonzero(series >= 0)
    if schema.aggregate is not None:  # the last of a period holds, by time and not by row
        rows = rows[np.argsort(timestamps[rows], kind="stable")]
    positions, values = calendar.positions(timestamps[rows]), values[rows]
    if series is not None:
        return Covariates(series[rows], positions, values)
    # of several rows the last one holds, as within one series
    positions, last = np.unique(positions[::-1], return_index=True)
    return Covariates(None, positions, values[::-1][last])


def place_values(source: Covariates, offsets: Integers, starts: Integers, lengths: Integers | None = None) -> Numbers:
    """Covariates by slot [slots, columns]; none after `lengths` slots."""
    result = np.full((int(offsets[-1]), source.values.shape[1]), np.nan)
    if not result.size:
        return result
    sizes = np.diff(offsets)
    usable = sizes if lengths is None else lengths
    if source.series is None:
        positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - starts, sizes)  # [slots]
        rank = np.minimum(np.searchsorted(source.positions, positions), len(source.positions) - 1)
        inside = (source.positions[rank] == positions) & (positions < np.repeat(starts + usable, sizes))
        return np.where(inside[:, None], source.values[rank], np.nan)
    step = source.positions - starts[source.series]
    inside = (step >= 0) & (step < usable[source.series])
    slot = (offsets[source.series] + step)[inside]
    for column, values in enumerate(source.values[inside].T):
        given = ~np.isnan(values)
        result[slot[given], column] = values[given]
    return result


def static_values(table: Table, schema: Schema, observations: Observations) -> Numbers:
    """Columns that are fixed for each series: [series, columns]."""
    result = np.full((len(observations.ids), len(schema.static)), np.nan)
    for index, column in enumerate(schema.static):
        values = column_values(table, column, schema)
        rows = np.flatnonzero(~np.isnan(values))
        result[observations.series[rows[::-1]], index] = values[rows[::-1]]  # the first value of a series stays
        wrong = rows[values[rows] != result[observations.series[rows], index]]
        if len(wrong):
            name = series_name(observations.ids[int(observations.series[wrong[0]])])
            problem = f"series '{name}' has several values in a static column"
            cure = Words("pass ", Setting("known", column), " or ", Setting("past", column), " instead")
            raise BadData(problem, place=table.place(int(wrong[0]), column), cure=cure)
    return result


def column_values(table: Table, column: str, schema: Schema) -> Numbers:
    """[rows], numbers, or codes where the schema has categories: 1 + position, 0 for others, NaN where blank."""
    if (categories := schema.categories.get(column)) is not None:
        return category_codes(table, column, categories)
    otherwise = Words("; if the column holds categories, fit with ", Setting("categorical", column))
    return parse_numbers(table, column, otherwise)
