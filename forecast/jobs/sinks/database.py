"""The table of a database: rows are added or replaced by ids, time and origin."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from forecast.jobs import databases
from forecast.jobs.kinds import DatabaseUrl, Results, SinkKeys
from forecast.panel.schema import Schema, calendar_of, time_columns_at
from forecast.reading.observations import id_codes, wide_columns
from forecast.settings import OutputSettings
from forecast.tables.frames import frame_of
from forecast.tables.table import Table
from forecast.tables.writing import output_columns

MIN_SAMPLE_ROWS = 100  # more steps than the hours of a day, so that a column of dates cannot hold them
SAMPLE_VERSION = "v-20240101T000000.000000Z-00000000"


class Settings(SinkKeys):
    """Keys of [sink] for a database."""

    columns: ClassVar[tuple[str, ...]] = ("origin", "version", "model", "status")

    url: DatabaseUrl = Field(repr=False, description="a database, as SQLAlchemy writes it")
    table: str = Field(
        description="table of that database: rows are added or replaced by ids, time and origin; may name a schema"
    )


def check(sink: Settings, schema: Schema, table: Table, output: OutputSettings) -> str:
    """Refuse names and types that the database does not take; see `databases.rehearse`."""
    exists = databases.rehearse(sink.url, sink.table, _sample(schema, table, output), _keys(schema))
    return f"table {sink.table} {'takes the forecasts' if exists else 'will be created'}"


def write(sink: Settings, results: Results) -> dict[str, Any]:
    """Write all rows in one transaction; see `databases.upsert`."""
    return {"rows": databases.upsert(sink.url, sink.table, _rows(results), _keys(results.schema))}


def _keys(schema: Schema) -> list[str]:
    return [*schema.keys, "origin"]


def _sample(schema: Schema, table: Table, output: OutputSettings) -> pd.DataFrame:
    """Rows like those to come: the ids of the table, times on its grid, and numbers that mean nothing."""
    ids = _ids(schema, table)
    rows = max(len(ids), MIN_SAMPLE_ROWS)
    calendar = calendar_of(schema)
    steps = calendar.positions(np.zeros(1, np.int64)) + np.arange(rows)
    times = _timestamps(calendar.times(steps), schema)
    columns: dict[str, Any] = {
        name: [ids[row % len(ids)][place] for row in range(rows)] for place, name in enumerate(schema.ids)
    }
    if len(schema.time) == 1:
        columns[schema.time[0]] = times
    else:
        columns |= dict(frame_of(time_columns_at(schema, calendar, steps)))
    numbers = (name for name in output_columns(output) if name not in Settings.columns)
    columns |= dict.fromkeys(numbers, 0 if output.integer else 0.0)
    return pd.DataFrame({**columns, "origin": times, "version": SAMPLE_VERSION, "model": "", "status": ""})


def _ids(schema: Schema, table: Table) -> list[tuple[str, ...]]:
    """The ids of a table's series."""
    if schema.layout == "long":
        return list(id_codes(table, schema.ids)[0])
    names = wide_columns(table, schema) if schema.layout == "wide" else table.texts(schema.ids[0]).tolist()
    return [(name,) for name in names]


def _rows(results: Results) -> pd.DataFrame:
    """The rows of the table: ids, time, numbers, then origin, version, model and status.

    Times are timestamps, with a zone where the input's have one, or whole numbers where they are steps; times in
    several columns stay as the input has them.
    """
    schema, forecasts = results.schema, results.forecasts
    calendar = calendar_of(schema)
    horizon = forecasts.quantiles.shape[1]
    origins = forecasts.panel.origins[forecasts.series]
    instants = calendar.times((origins[:, None] + 1 + np.arange(horizon)).ravel())
    frame = frame_of(forecasts.columns)
    if len(schema.time) == 1:
        frame[schema.time[0]] = _timestamps(instants, schema)
    frame["origin"] = _timestamps(np.repeat(calendar.times(origins), horizon), schema)
    frame = frame.assign(version=results.version)
    return frame[[*frame.columns.drop(["version", "model", "status"]), "version", "model", "status"]]


def _timestamps(instants: NDArray[np.int64], schema: Schema) -> "pd.Index[Any]":
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        return pd.Index(instants)
    timestamps = pd.DatetimeIndex(instants.astype("datetime64[s]"))
    return timestamps.tz_localize("UTC") if schema.time_format.zone is not None else timestamps
