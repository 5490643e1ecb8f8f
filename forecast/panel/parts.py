"""Read some of the series of a long table as if the whole table had been read: all have the end of the whole."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from forecast.calendar.parsing import parse_times
from forecast.errors import BadData
from forecast.panel.building import build_panel, calendar_of, check_rows, say_gaps, with_future
from forecast.panel.dated import dated_table
from forecast.panel.detection import check_schema
from forecast.panel.grid import fill
from forecast.panel.observations import observe
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.panel.status import with_status
from forecast.tables.table import Table


def columns_read(schema: Schema) -> list[str]:
    """The columns of a long table that a forecast reads."""
    return list(dict.fromkeys([*schema.keys, str(schema.target), *schema.known, *schema.past, *schema.static]))


def last_position(tables: Iterable[Table], schema: Schema, name: str) -> int:
    """The grid position at which a table ends: the last time at which any series has a value.

    Parameters
    ----------
    tables : together the times that have a value, each at least once
    name : of the whole table

    Raises
    ------
    BadData
        If there is none.
    """
    newest: list[Any] = []
    for table in tables:
        if len(table):
            none = np.zeros(len(table), np.int64)
            newest.append(parse_times(table, schema.time, schema.time_settings, none).instants.max())
    if not newest:
        raise BadData(f"{name}: no series has a value; the target is blank in every row")
    return int(calendar_of(schema).positions(np.array([max(newest)]))[0])


def read_part(
    table: Table, schema: Schema, *, end: int, horizon: int, lookback: int, future: Table | None
) -> Panel | None:
    """The series of a part of a table, with their statuses; None where none has a value.

    Parameters
    ----------
    table : all rows of some series
    end : grid position of the last value of the whole table
    horizon, lookback : steps
    future : more rows of columns known in advance
    """
    if not len(table):
        return None
    check_schema(schema, table)
    dated = dated_table(table, schema)
    observations = observe(dated.table, schema, dated.times_by(schema))
    check_rows(dated.table, observations, schema)
    if not np.isfinite(observations.values).any():
        return None
    grid = fill(dated.table, observations, schema, calendar_of(schema), end=end)
    panel = build_panel(dated.table, schema, observations, grid, horizon)
    say_gaps(panel, schema, table.name)
    if future is not None:
        panel = with_future(panel, future, schema)
    return with_status(panel, schema, lookback)
