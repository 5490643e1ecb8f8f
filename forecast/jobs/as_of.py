"""Read the tables of a job: as its file and its live version say, and as they could be known at the time of a run."""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from forecast.calendar.spec import as_text, on_clock
from forecast.checks.fallback import SOURCE
from forecast.errors import BadData
from forecast.jobs.owner import claim_sinks
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sinks import sinks_of
from forecast.jobs.sinks.database import ids_of
from forecast.jobs.sources import source_of
from forecast.jobs.totals import check_totals
from forecast.jobs.vintages import with_kept
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.dated import DatedTable, dated_table, normalised
from forecast.reading.observations import wide_columns
from forecast.reading.reading import Reading, check_schema, infer_schema, read, read_as
from forecast.reading.vintages import has_vintages
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import load_future, settings_as_at_fit
from forecast.tables.table import Table
from forecast.tables.writing import output_columns, refuse_clash

log = logging.getLogger("forecast")


def added_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the sinks add to what [output] asks for."""
    return [column for _, sink in sinks_of(pipeline.sink) for column in sink.columns]


def reserved_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the output of a job has beside ids and times."""
    source = [SOURCE] if pipeline.checks.output.on_error == "fallback" else []
    return [*dict.fromkeys([*output_columns(pipeline.output), *added_columns(pipeline), *source])]


def check_sink(pipeline: Pipeline, schema: Schema, table: Table) -> list[str]:
    """Refuse names, types and places that the sinks do not take, before any work; returns a line for each sink."""
    refuse_clash(schema.keys, reserved_columns(pipeline))
    lines = [kind.check(sink, schema, table, pipeline.output) for kind, sink in sinks_of(pipeline.sink)]
    lines += check_totals(pipeline, schema, table)
    claim_sinks(pipeline, ids_of(schema, table) if pipeline.sink.url else ())
    return lines


def read_source(pipeline: Pipeline, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    """Read the table of a job, and the table settings that come with it, if any."""
    kind, source = source_of(pipeline.source)
    table, defaults = kind.read(source, text)
    return normalised(table), defaults


def read_future(pipeline: Pipeline, text: TextSettings) -> Table | None:
    """Read the columns that are known in advance; None if the job has none."""
    return None if pipeline.source.future is None else load_future(pipeline.source.future, text)


def text_settings(pipeline: Pipeline, fitted: Schema | None) -> TextSettings:
    """How files are read: as the pipeline says, and otherwise as an earlier fit read its own file."""
    given = pipeline.source.text()
    return given if fitted is None else settings_as_at_fit(fitted.reading, given.model_dump(exclude_defaults=True))


def table_settings(pipeline: Pipeline, fitted: Schema | None, defaults: dict[str, Any]) -> TableSettings:
    """How a fit reads the table: as the pipeline and its source say, and otherwise as an earlier fit did.

    What is inferred could change with the data: a job must not begin to forecast something else one night.
    """
    given = pipeline.table.model_copy(update=defaults)
    if fitted is None:
        return given
    return TableSettings.check({**fitted.knobs(), **given.model_dump(exclude_unset=True)})


def read_to_forecast(pipeline: Pipeline, instant: datetime, table: Table, schema: Schema) -> DatedTable:
    """Date a table for a forecast by the version of a schema, and refuse what the sink cannot take."""
    check_sink(pipeline, schema, table)
    check_schema(schema, table)
    return until(dated_table(table, schema), schema, instant, pipeline.source.unfinished)


def read_to_fit(
    pipeline: Pipeline, instant: datetime, table: Table, defaults: dict[str, Any], live: Schema | None
) -> tuple[Reading, DatedTable]:
    """Read what could be known of a table for a new fit, and refuse what the sink cannot take; also the whole table.

    `live` is the schema of the live version, if the new fit reads its table as that one did.
    """
    settings = table_settings(pipeline, live, defaults)
    if live is not None:
        check_schema(live, table)
    dated = dated_table(table, settings)
    schema, dated = infer_schema(dated, settings, reserved_columns(pipeline))
    if live is not None and schema.calendar.name != live.calendar.name:
        names = f"its frequency is {schema.calendar.name}, and that of the live version is {live.calendar.name}"
        cure = "bring the source back to it, or set freq in [table] to fit at the new frequency"
        raise BadData(f"{table.name}: {names}; {cure}")
    check_sink(pipeline, schema, table)
    known_then, train = until(dated, schema, instant, pipeline.source.unfinished), pipeline.train
    later = read_future(pipeline, text_settings(pipeline, live))
    later = later if later is not None and has_vintages(normalised(later), schema) else None
    reading = read(known_then, settings, horizon=train.horizon, lookback=train.lookback, future=later)
    return replace(reading, panel=with_kept(pipeline, reading.panel, reading.schema)), dated


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
    reading = read_as(until(dated, live, instant, pipeline.source.unfinished), live, horizon=horizon)
    return replace(reading, panel=with_kept(pipeline, reading.panel, live))


def until(dated: DatedTable, schema: Schema, instant: datetime, unfinished: str = "keep") -> DatedTable:
    """The table as it could be known at an instant: no later row, or one with blank targets for what is known ahead.

    With `unfinished` "leave out" a row is later until its period is over.
    """
    end = on_clock(instant, schema.time_format)
    if dated.times is None or end is None:
        return dated
    table, times, calendar = dated.table, dated.times.timestamps, calendar_of(schema)
    dated = replace(dated, instant=end)
    after = times > end
    late = calendar.ends(calendar.positions(times)) > end if unfinished == "leave out" else after
    if not late.any():
        return dated
    targets = [str(schema.target)] if schema.layout == "long" else wide_columns(table, schema)
    if late.all():
        why = "lies after" if after.all() else "belongs to a period that is not over at"
        raise BadData(f"{table.name}: every row {why} {as_text(instant)}, the time of the run")
    if (late & ~after).any():
        dropped = late & ~after & ~np.logical_and.reduce([table.missing(name) for name in targets])
        problem = f"values of a period that is not over at {as_text(instant)} are left out: {dropped.sum()}"
        if dropped.any():
            log.info('%s: %s; unfinished = "keep" in [source] reads them', table.name, problem)
    if not schema.known:
        return dated.rows(~late)
    frame = table.frame.copy()
    for name in (*targets, *schema.past):
        frame[name] = frame[name].where(~late, "" if table.text else np.nan)
    return replace(dated, table=replace(table, frame=frame))
