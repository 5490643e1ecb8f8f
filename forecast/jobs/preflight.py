"""Check a job's source, its columns and its sink, without a fit and without writing anything."""

import os
from pathlib import Path

from forecast.artifacts.store import Store
from forecast.errors import BadData, CannotCreate, UsageError, as_flag
from forecast.jobs.pipeline import Pipeline, in_keys
from forecast.jobs.sink import check_sink, reserved_columns
from forecast.jobs.source import read_future, read_source, table_settings, text_settings
from forecast.panel.detection import describe
from forecast.panel.reading import Reading, read, read_as
from forecast.panel.schema import Schema


def check_job(pipeline: Pipeline) -> list[str]:
    """Read the source as a run would, and check that the store and the sink can be written.

    Returns
    -------
    What was read and checked, as lines.

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
    reading = _read(pipeline)
    table = reading.dated.table
    lines = [f"source   {table.name}: {len(table):,} rows", *describe(reading.schema, reading.panel)]
    sink = pipeline.sink
    exists = check_sink(pipeline, reading.schema, table)
    _check_folder(Path(pipeline.store), pipeline.store)
    if sink.path is not None:
        _check_file(sink.path)
        lines.append(f"sink     {sink.path} can be written")
    if sink.url is not None and sink.table is not None:
        lines.append(f"sink     table {sink.table} {'takes the forecasts' if exists else 'will be created'}")
    return lines


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


def _check_file(path: str) -> None:
    """Refuse a file that cannot be written or replaced."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise CannotCreate("is a folder; name a file in it", place=path)
    if target.exists() and not os.access(target, os.W_OK):
        raise CannotCreate("may not be written", place=path)
    _check_folder(target.parent, path)


def _check_folder(folder: Path, path: str) -> None:
    """Refuse a folder that is a file, cannot be created, or may not be written."""
    nearest = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not nearest.is_dir():
        raise CannotCreate(f"{nearest} is a file where a folder is needed", place=path)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CannotCreate(f"the folder {nearest} may not be written", place=path)
