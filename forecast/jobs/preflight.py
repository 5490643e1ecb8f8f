"""Check a job's source, its columns and its sink, without a fit and without writing anything."""

from pathlib import Path

from forecast.artifacts.store import Store
from forecast.calendar.calendar import default_horizon
from forecast.durable import check_folder
from forecast.errors import BadData, UsageError, as_flag
from forecast.jobs.pipeline import Pipeline, in_keys
from forecast.jobs.sinks import check_sink, reserved_columns
from forecast.jobs.sources import read_source
from forecast.panel.building import build_panel
from forecast.panel.detection import describe, infer_schema
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TableSettings
from forecast.tables.files import load_future, settings_as_at_fit
from forecast.tables.table import Table


def check_job(pipeline: Pipeline) -> list[str]:
    """Read the source as a run would, and look whether the store and the sink can be written.

    Returns
    -------
    What was found, as lines.

    Raises
    ------
    ForecastError
        As a run would.
    """
    with pipeline.hidden.kept_out():
        try:
            return [pipeline.hidden(line) for line in _checked(pipeline)]
        except (BadData, UsageError) as error:
            raise type(error)(in_keys(error.told(as_flag))) from error


def _checked(pipeline: Pipeline) -> list[str]:
    table, schema, panel = _source(pipeline)
    lines = [f"source   {table.name}: {len(table.frame):,} rows", *describe(schema, panel)]
    found = check_sink(pipeline, schema, table)
    check_folder(Path(pipeline.store), pipeline.store)
    return [*lines, *(f"sink     {line}" for line in found)]


def _source(pipeline: Pipeline) -> tuple[Table, Schema, Panel]:
    """The source, and how a run would read it: as the live version does, unless the file says otherwise."""
    source = pipeline.source
    live, reading = None, source.text()
    store = Store(pipeline.store)
    if not store.empty:
        live = Schema.model_validate(store.load()[0].config["table"])
        reading = settings_as_at_fit(live.reading, reading.model_dump(exclude_defaults=True))
    table, defaults = read_source(source, reading)
    given = pipeline.table.model_copy(update=defaults)
    if live is not None:
        given = TableSettings.check({**live.knobs(), **given.model_dump(exclude_unset=True)})
    schema = infer_schema(table, given, reserved_columns(pipeline))
    horizon = pipeline.train.horizon or default_horizon(schema.calendar, schema.season)
    future = None if source.future is None else load_future(source.future, reading)
    return table, schema, build_panel(table, schema, ahead=horizon, future=future)
