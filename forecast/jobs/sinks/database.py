"""Tables of a database: rows are added or replaced by ids, time and origin."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from forecast import databases
from forecast.jobs.kinds import DatabaseUrl, Results, SinkKeys
from forecast.panel.panel import Integers
from forecast.panel.schema import Names, Schema, calendar_of, time_columns_at
from forecast.reading.observations import id_codes, wide_columns
from forecast.settings import OutputSettings
from forecast.tables.table import Table
from forecast.tables.writing import frame_of, output_columns
from forecast.totals.sums import sum_columns


class Settings(SinkKeys):
    """Keys of [sink] for a database."""

    columns: ClassVar[tuple[str, ...]] = ("origin", "version", "model", "status")

    url: DatabaseUrl = Field(repr=False, description="a database, as SQLAlchemy writes it")
    table: str = Field(
        description="table of that database: rows are added or replaced by ids, time and origin; may name a schema"
    )


def check(
    sink: Settings,
    schema: Schema,
    table: Table,
    output: OutputSettings,
    ids: Names = (),
    texts: Names = (),
) -> str:
    """Refuse names and types that the database does not take."""
    rows = _sample(schema, ids_of(schema, table), output).assign(**dict.fromkeys(texts, ""))
    if ids:  # of sums
        numbers = dict.fromkeys(sum_columns(output), 0.5) | {
            "filled": 0,
            "steps": 1,
            "calibrated": True,
        }
        rows = rows.assign(**{name: "" for name in ids if name not in rows}, **numbers)
        rows.loc[0, [*ids]] = ""  # as where a column is summed over
        rows = rows[[*ids, *schema.time, *numbers, *Settings.columns[:2]]]
    exists = databases.rehearse(
        sink.url, sink.table, rows, [*(ids or schema.ids), *schema.time, "origin"]
    )
    return f"table {sink.table} {'takes the forecasts' if exists else 'will be created'}"


def write(sink: Settings, results: Results, *beside: tuple[Settings, Results]) -> dict[str, Any]:
    """Write all rows, also those of other tables of the database, in one transaction."""
    tables = ((sink, results), *beside)
    first, *others = [
        (target.table, _rows(each), [*each.schema.keys, "origin"]) for target, each in tables
    ]
    return {"rows": databases.upsert(sink.url, *first, *others)}


def _rows(results: Results) -> pd.DataFrame:
    schema, frame, columns = results.schema, results.explained, Settings.columns
    if len(schema.time) == 1:
        frame = frame.assign(**{schema.time[0]: _times(results.times, schema)})
    frame = frame.assign(origin=_times(results.origins, schema), version=results.version)
    last = [name for name in columns if name in frame]  # sums have neither model nor status
    return frame[[*frame.columns.drop(last), *last]]


def ids_of(schema: Schema, table: Table) -> list[tuple[str, ...]]:
    if schema.layout == "long":
        return list(id_codes(table, schema.ids)[0])
    names = (
        wide_columns(table, schema)
        if schema.layout == "wide"
        else table.texts(schema.ids[0]).tolist()
    )
    return [(name,) for name in names]


def _sample(schema: Schema, ids: list[tuple[str, ...]], output: OutputSettings) -> pd.DataFrame:
    """Rows like those to come: ids of the table, times on its grid, and numbers that mean nothing."""
    ids = sorted(ids, key=lambda names: max(map(len, names)))[
        -1_000:
    ]  # those with the longest texts
    # more steps than the hours of a day, so that a column of dates cannot hold them
    rows, calendar = max(len(ids), 100), calendar_of(schema)
    steps = calendar.positions(np.zeros(1, np.int64)) + np.arange(rows)
    times = _times(calendar.times(steps), schema)
    columns: dict[str, Any] = {
        name: [ids[i % len(ids)][at] for i in range(rows)] for at, name in enumerate(schema.ids)
    }
    split = len(schema.time) > 1
    columns |= (
        dict(frame_of(time_columns_at(schema, calendar, steps)))
        if split
        else {schema.time[0]: times}
    )
    numbers = (name for name in output_columns(output) if name not in Settings.columns)
    columns |= dict.fromkeys(numbers, 0 if output.integer else 0.5)
    version = "v-20240101T000000.000000Z-00000000"
    return pd.DataFrame({**columns, "origin": times, "version": version, "model": "", "status": ""})


def _times(seconds: Integers, schema: Schema) -> "pd.Index[Any]":
    """Times as timestamps, with a zone where the input's have one, or whole numbers where they are steps."""
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        return pd.Index(seconds)
    timestamps = pd.DatetimeIndex(seconds.astype("datetime64[s]"))
    return timestamps.tz_localize("UTC") if schema.time_format.zone is not None else timestamps
