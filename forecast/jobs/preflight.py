"""Check a job's source, its columns and its sink, without a fit and without writing anything."""

from pathlib import Path

from forecast.artifacts.store import Store
from forecast.durable import check_folder
from forecast.ensemble.names import check_names
from forecast.errors import BadData, UsageError, as_flag
from forecast.jobs.input import read_future, read_source, table_settings, text_settings
from forecast.jobs.output import check_sink, reserved_columns
from forecast.jobs.pipeline import Pipeline, in_keys
from forecast.panel.schema import Schema
from forecast.reading.detection import describe
from forecast.reading.reading import Reading, read, read_as


def check_job(pipeline: Pipeline) -> list[str]:
    """Read the source as a run would, and check that the store and the sink can be written; returns the findings."""
    with pipeline.hidden.kept_out():
        try:
            return [pipeline.hidden(line) for line in _checked(pipeline)]
        except (BadData, UsageError) as error:
            raise type(error)(in_keys(error.render(as_flag))) from error


def _checked(pipeline: Pipeline) -> list[str]:
    check_names(pipeline.train)
    reading = _read(pipeline)
    table = reading.dated.table
    lines = [f"source   {table.name}: {len(table):,} rows", *describe(reading.schema, reading.panel)]
    sinks = check_sink(pipeline, reading.schema, table)
    check_folder(Path(pipeline.store), pipeline.store)
    return [*lines, *(f"sink     {line}" for line in sinks)]


def _read(pipeline: Pipeline) -> Reading:
    """The source, as a run would read it: as the live version does, unless the file says otherwise."""
    store = Store(pipeline.store)
    fitted = None if store.empty else Schema.model_validate(store.load()[0].config["table"])
    text = text_settings(pipeline, fitted)
    table, defaults = read_source(pipeline, text)
    settings = table_settings(pipeline, fitted, defaults)
    reading = read(table, settings, horizon=pipeline.train.horizon, reserved=reserved_columns(pipeline))
    future = read_future(pipeline, text)
    return reading if future is None else read_as(reading, reading.schema, horizon=reading.panel.ahead, future=future)
