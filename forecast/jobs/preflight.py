"""Check a job's source, its columns and its sink, without a fit and without writing anything."""

import os
from pathlib import Path
from typing import Any

from forecast.artifacts.store import Store
from forecast.calendar.calendar import default_horizon
from forecast.errors import BadData, CannotCreate, UsageError, as_flag
from forecast.jobs import databases
from forecast.jobs.pipeline import Pipeline, in_keys
from forecast.jobs.sink import check_sink, reserved_columns
from forecast.panel.building import build_panel
from forecast.panel.detection import describe, infer_schema
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.panel.tidying import tidied
from forecast.settings import TableSettings
from forecast.tables.files import load_future, load_table, settings_as_at_fit
from forecast.tables.reading import table_from_frame
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
    lines = [f"source   {table.name}: {len(table):,} rows", *describe(schema, panel)]
    sink = pipeline.sink
    there = check_sink(pipeline, schema, table)
    _check_folder(Path(pipeline.store), pipeline.store)
    if sink.path is not None:
        _check_file(sink.path)
        lines.append(f"sink     {sink.path} can be written")
    if sink.url is not None and sink.table is not None:
        lines.append(f"sink     table {sink.table} {'takes the forecasts' if there else 'will be created'}")
    return lines


def _source(pipeline: Pipeline) -> tuple[Table, Schema, Panel]:
    """The source, and how a run would read it: as the live version does, unless the file says otherwise."""
    source, defaults = pipeline.source, dict[str, Any]()
    live, reading = None, source.text()
    store = Store(pipeline.store)
    if not store.empty:
        live = Schema.model_validate(store.load()[0].config["table"])
        reading = settings_as_at_fit(live.reading, reading.model_dump(exclude_defaults=True))
    if source.url is not None and source.sql is not None:
        table = table_from_frame(databases.read_query(source.url, source.sql), "the query of [source]")
    else:
        table, defaults = load_table(source.path or "", reading)
    table = tidied(table)
    given = pipeline.table.model_copy(update=defaults)
    if live is not None:
        given = TableSettings.check({**live.knobs(), **given.model_dump(exclude_unset=True)})
    schema = infer_schema(table, given, reserved_columns(pipeline))
    horizon = pipeline.train.horizon or default_horizon(schema.calendar, schema.season)
    future = None if source.future is None else tidied(load_future(source.future, reading))
    return table, schema, build_panel(table, schema, ahead=horizon, future=future)


def _check_file(path: str) -> None:
    """Refuse a file that cannot be written or replaced."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise CannotCreate("is a folder; name a file in it", place=path)
    if target.exists() and not os.access(target, os.W_OK):
        raise CannotCreate("may not be written", place=path)
    _check_folder(target.parent, path)


def _check_folder(folder: Path, path: str) -> None:
    """Refuse a folder that is none, cannot be made, or may not be written."""
    nearest = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not nearest.is_dir():
        raise CannotCreate(f"{nearest} is a file where a folder is needed", place=path)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CannotCreate(f"the folder {nearest} may not be written", place=path)
