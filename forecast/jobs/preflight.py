"""Check a job's source, its columns and its sink, without a fit and without writing anything."""

from pathlib import Path

from forecast.artifacts.store import Store
from forecast.durable import check_folder
from forecast.ensemble.names import check_names
from forecast.jobs.as_of import check_sink, read_future, read_source, reserved_columns, table_settings, text_settings
from forecast.jobs.pipeline import Pipeline, keys_named
from forecast.jobs.totals import check_periods
from forecast.panel.schema import Schema
from forecast.reading.reading import describe, read, read_as


def check_job(pipeline: Pipeline) -> list[str]:
    """Read the source as a run would, and check that the store and the sink can be written; returns the findings."""
    with pipeline.hidden.kept_out(), keys_named():
        check_names(pipeline.train)
        store = Store(pipeline.store)  # the table is read as the live version does, unless the file says otherwise
        fitted = None if store.empty else Schema.model_validate(store.load()[0].config["table"])
        text = text_settings(pipeline, fitted)
        table, defaults = read_source(pipeline, text)
        settings = table_settings(pipeline, fitted, defaults)
        reading = read(table, settings, horizon=pipeline.train.horizon, reserved=reserved_columns(pipeline))
        if (future := read_future(pipeline, text)) is not None:
            reading = read_as(reading, reading.schema, horizon=reading.panel.ahead, future=future)
        table, schema = reading.dated.table, reading.schema
        lines = [f"source   {table.name}: {len(table):,} rows", *describe(schema, reading.panel)]
        check_periods(pipeline, schema, int(reading.panel.origins.max()), reading.panel.ahead)
        lines += [f"sink     {line}" for line in check_sink(pipeline, schema, table)]
        check_folder(Path(pipeline.store), pipeline.store)
        return [pipeline.hidden(line) for line in lines]
