"""The table that a job puts out: its columns, checked before any work, and the rows of a database's table."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.inference.forecasting import Forecasts
from forecast.jobs import databases
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import sha256_of_file
from forecast.panel.building import calendar_of, time_columns_at
from forecast.panel.observations import id_codes, wide_columns
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings
from forecast.tables.files import write_frame
from forecast.tables.frames import frame_of
from forecast.tables.table import Table
from forecast.tables.writing import guard_formulas, output_columns, refuse_clash

LEAST_ROWS = 100  # of a rehearsal: more steps than the hours of a day, so that a column of dates cannot hold them

A_VERSION = "v-20240101T000000.000000Z-00000000"

OWN = ("origin", "version", "model", "status")  # columns of a database's table after the numbers


def explained(pipeline: Pipeline) -> OutputSettings:
    """What the forecasts of a run hold: a database gets the columns model and status in any case."""
    explain = pipeline.output.explain or pipeline.sink.url is not None
    return pipeline.output.model_copy(
        update={"explain": explain, "excel_safe": False}
    )  # a database gets ids as they are


def reserved_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the output of a job has beside ids and times."""
    found = output_columns(pipeline.output)
    return found if pipeline.sink.url is None else [*dict.fromkeys([*found, *OWN])]


def check_sink(pipeline: Pipeline, schema: Schema, table: Table) -> bool:
    """Refuse names and types that the sink does not take, before any work.

    Returns
    -------
    Whether there is a table in a database already.

    Raises
    ------
    UsageError
        If an id or time column has the name of another column of the output, or the database refuses a name or a type;
        all such names are named.
    """
    sink = pipeline.sink
    refuse_clash(schema.keys, reserved_columns(pipeline))
    if sink.url is not None and sink.table is not None:
        keys = [*schema.keys, "origin"]
        return databases.rehearse(sink.url, sink.table, _sample(schema, table, pipeline.output), keys)
    return False


def write_sink(pipeline: Pipeline, found: Forecasts, schema: Schema, version: str) -> dict[str, Any]:
    """Write the table of the sink in one transaction, then its file; what the record says of them."""
    sink, output = pipeline.sink, dict[str, Any]()
    if sink.url is not None and sink.table is not None:
        keys = [*schema.keys, "origin"]
        rows = databases.upsert(sink.url, sink.table, sink_frame(found, schema, version), keys)
        output |= {"table": pipeline.hidden(sink.table), "rows": rows}
    if sink.path is not None:
        added = ["model", "status"] if explained(pipeline).explain and not pipeline.output.explain else []
        frame = frame_of(found.columns).drop(columns=added)
        write_frame(guard_formulas(frame, schema.ids) if pipeline.output.excel_safe else frame, sink.path)
        output |= {"path": pipeline.hidden(sink.path), "sha256": sha256_of_file(sink.path)}
    return output


def _sample(schema: Schema, table: Table, output: OutputSettings) -> pd.DataFrame:
    """Rows like those to come: the ids of the table, times of its grid, and numbers that mean nothing."""
    ids = _ids(schema, table)
    rows = max(len(ids), LEAST_ROWS)
    calendar = calendar_of(schema)
    steps = calendar.positions(np.zeros(1, np.int64)) + np.arange(rows)
    times = _stamps(calendar.times(steps), schema)
    columns: dict[str, Any] = {
        name: [ids[row % len(ids)][at] for row in range(rows)] for at, name in enumerate(schema.ids)
    }
    if len(schema.time) == 1:
        columns[schema.time[0]] = times
    else:
        columns |= dict(frame_of(time_columns_at(schema, calendar, steps)))
    columns |= dict.fromkeys((name for name in output_columns(output) if name not in OWN), 0 if output.integer else 0.0)
    return pd.DataFrame({**columns, "origin": times, "version": A_VERSION, "model": "", "status": ""})


def _ids(schema: Schema, table: Table) -> list[tuple[str, ...]]:
    """The ids of a table's series."""
    if schema.layout == "long":
        return list(id_codes(table, schema.ids)[0])
    names = wide_columns(table, schema) if schema.layout == "wide" else table.texts(schema.ids[0]).tolist()
    return [(name,) for name in names]


def sink_frame(found: Forecasts, schema: Schema, version: str) -> pd.DataFrame:
    """The rows of a database's table: ids, time, numbers, then origin, version, model and status.

    Times are timestamps, with a zone where the table's have one, or whole numbers where they are steps; those of
    several columns stay as the table has them.
    """
    calendar = calendar_of(schema)
    rows = found.quantiles.shape[1]
    origins = found.panel.origins[found.series]
    instants = calendar.times((origins[:, None] + 1 + np.arange(rows)).ravel())
    frame = frame_of(found.columns)
    if len(schema.time) == 1:
        frame[schema.time[0]] = _stamps(instants, schema)
    frame["origin"] = _stamps(np.repeat(calendar.times(origins), rows), schema)
    return frame.assign(version=version)[[*frame.columns.drop(["model", "status"]), "version", "model", "status"]]


def _stamps(instants: NDArray[np.int64], schema: Schema) -> "pd.Index[Any]":
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        return pd.Index(instants)
    stamps = pd.DatetimeIndex(instants.astype("datetime64[s]"))
    return stamps.tz_localize("UTC") if schema.time_format.zone is not None else stamps
