"""Check a job's source, its columns and its sink, without a fit and without writing anything."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.artifacts.store import Store
from forecast.errors import BadData, CannotCreate, UsageError, as_flag
from forecast.forecaster import Forecasts
from forecast.jobs import databases
from forecast.jobs.pipeline import Pipeline, in_keys
from forecast.jobs.run import sink_frame
from forecast.series.building import build_panel, calendar_of, format_positions
from forecast.series.calendar import default_horizon
from forecast.series.detection import describe, infer_schema
from forecast.series.files import load_table
from forecast.series.panel import Panel
from forecast.series.reading import table_from_frame
from forecast.series.schema import Schema
from forecast.series.table import Table
from forecast.series.writing import forecast_frame, interval_columns, refuse_clash
from forecast.settings import TableSettings


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
    try:
        return _checked(pipeline)
    except (BadData, UsageError) as error:
        raise type(error)(in_keys(error.told(as_flag))) from error


def _checked(pipeline: Pipeline) -> list[str]:
    table, schema, panel = _source(pipeline)
    lines = [f"source   {table.name}: {len(table.frame):,} rows", *describe(schema, panel)]
    sink = pipeline.sink
    _check_folder(Path(pipeline.store), pipeline.store)
    if sink.path is not None:
        _check_file(sink.path)
        lines.append(f"sink     {sink.path} can be written")
    if sink.url is not None and sink.table is not None:
        frame = _rows_of(panel, schema, pipeline.output.levels, pipeline.output.integer)
        there = databases.check_target(sink.url, sink.table, frame, [*schema.ids, schema.time, "origin"])
        lines.append(f"sink     table {sink.table} {'takes the forecasts' if there else 'will be created'}")
    return lines


def _source(pipeline: Pipeline) -> tuple[Table, Schema, Panel]:
    """The source, and how a run would read it: as the live version does, unless the file says otherwise."""
    source, defaults = pipeline.source, dict[str, Any]()
    if source.url is not None and source.sql is not None:
        table = table_from_frame(databases.read_query(source.url, source.sql), "the query of [source]")
    else:
        table, defaults = load_table(source.path or "", source.text())
    given = pipeline.table.model_copy(update=defaults)
    store = Store(pipeline.store)
    if not store.empty:
        live = Schema.model_validate(store.load()[0].config["table"])
        given = TableSettings.check({**live.knobs(), **given.model_dump(exclude_unset=True)})
    schema = infer_schema(table, given)
    horizon = pipeline.train.horizon or default_horizon(schema.calendar, schema.season)
    future = None if source.future is None else load_table(source.future, source.text())[0]
    return table, schema, build_panel(table, schema, ahead=horizon, future=future)


def _rows_of(panel: Panel, schema: Schema, levels: tuple[float, ...], integer: bool) -> pd.DataFrame:
    """Rows as a run would write them to a database, one a series, with 0 for every number."""
    refuse_clash(schema, ("model", "status"))
    columns = ["forecast", *interval_columns(levels)]
    series = np.arange(len(panel))
    times = format_positions(schema, calendar_of(schema), panel.origins + 1)
    numbers = np.zeros((len(panel), 1, len(columns)))
    frame = forecast_frame(panel, schema, times, series, numbers, columns)
    if integer:
        frame[columns] = frame[columns].astype(np.int64)
    found = Forecasts(frame.assign(model="", status=""), {}, panel, series, numbers)
    return sink_frame(found, schema, "")


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
