"""Read the table of a job as it could be known at the instant of a run."""

import logging
from dataclasses import replace
from datetime import datetime

import numpy as np

from forecast.errors import BadData
from forecast.jobs.instant import as_text, on_clock
from forecast.jobs.output import check_sink, reserved_columns
from forecast.jobs.pipeline import Pipeline
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.dated import DatedTable, dated_table
from forecast.reading.detection import check_schema, infer_schema
from forecast.reading.observations import wide_columns
from forecast.reading.reading import Reading, read, read_as
from forecast.settings import TableSettings
from forecast.tables.table import Table

log = logging.getLogger("forecast")


def read_to_forecast(pipeline: Pipeline, instant: datetime, table: Table, schema: Schema) -> DatedTable:
    """Date a table for a forecast by the version of a schema, and refuse what the sink cannot take."""
    check_sink(pipeline, schema, table)
    check_schema(schema, table)
    return until(dated_table(table, schema), schema, instant, pipeline.source.unfinished)


def read_to_fit(
    pipeline: Pipeline, instant: datetime, table: Table, settings: TableSettings, live: Schema | None
) -> tuple[Reading, DatedTable]:
    """Read what could be known of a table for a new fit, and refuse what the sink cannot take; also the whole table.

    `live` is the schema of the live version, if the new fit reads its table as that one did.
    """
    if live is not None:
        check_schema(live, table)
    dated = dated_table(table, settings)
    schema, dated = infer_schema(dated, settings, reserved_columns(pipeline))
    if live is not None and schema.calendar.name != live.calendar.name:
        raise BadData(
            f"{table.name}: its frequency is {schema.calendar.name}, and that of the live version is "
            f"{live.calendar.name}; bring the source back to it, or set freq in [table] to fit at the new frequency"
        )
    check_sink(pipeline, schema, table)
    known_then = until(dated, schema, instant, pipeline.source.unfinished)
    return read(known_then, settings, horizon=pipeline.train.horizon, lookback=pipeline.train.lookback), dated


def read_as_live(
    pipeline: Pipeline, instant: datetime, reading: Reading, dated: DatedTable, live: Schema, horizon: int
) -> Reading:
    """The table as the live version reads it, which may know columns in advance that `reading` does not."""
    other = reading.schema
    blanked = ("known", "layout", "target", "series", "past") if live.known or other.known else ()
    if all(getattr(live, name) == getattr(other, name) for name in ("time_format", "calendar", *blanked)):
        return reading  # nothing else decides what is left of the table
    check_schema(live, dated.table)
    if dated.times is not None and dated.times_by(live) is None:
        dated = dated_table(dated.table, live)
    return read_as(until(dated, live, instant, pipeline.source.unfinished), live, horizon=horizon)


def until(dated: DatedTable, schema: Schema, instant: datetime, unfinished: str = "keep") -> DatedTable:
    """The table as it could be known at an instant: no later row, or one with blank targets for what is known ahead.

    With `unfinished` "leave out" a row is later until its period is over.
    """
    end = on_clock(instant, schema.time_format)
    if dated.times is None or end is None:
        return dated
    table, times, calendar = dated.table, dated.times.instants, calendar_of(schema)
    after = times > end
    late = calendar.ends(calendar.positions(times)) > end if unfinished == "leave out" else after
    if not late.any():
        return dated
    if late.all():
        why = "lies after" if after.all() else "belongs to a period that is not over at"
        raise BadData(f"{table.name}: every row {why} {as_text(instant)}, the time of the run")
    if (late & ~after).any():
        log.info(
            '%s: %d rows of a period that is not over at %s are left out; unfinished = "keep" in [source] reads them',
            table.name,
            (late & ~after).sum(),
            as_text(instant),
        )
    if not schema.known:
        return dated.rows(~late)
    frame = table.frame.copy()
    targets = wide_columns(table, schema) if schema.layout == "wide" else [schema.target]
    for name in (*targets, *schema.past):
        frame[name] = frame[name].where(~late, "" if table.text else np.nan)
    return replace(dated, table=replace(table, frame=frame))
