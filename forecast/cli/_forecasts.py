"""Forecast by a saved forecaster; write tables of forecasts and of their sums, and say what they lack."""

from collections.abc import Callable
from dataclasses import replace
from os.path import realpath
from pathlib import Path
from typing import Any

from forecast.checks.table import without_forecast
from forecast.cli._command import Request
from forecast.cli._console import log, log_lines, steps_bar
from forecast.cli._data import load, load_later, text_settings, write
from forecast.errors import INCOMPLETE, Setting, UsageError, Words
from forecast.inference.fitted import Fitted, ranking_of
from forecast.inference.forecasting import (
    ForecastOptions,
    Forecasts,
    forecast_table,
    load_predictor,
    with_events,
)
from forecast.inference.predictor import Predictor
from forecast.panel.naming import series_names
from forecast.panel.panel import Panel
from forecast.settings import (
    AFTER_FIT,
    CheckSettings,
    OutputSettings,
    SumSettings,
    TableSettings,
    TrainSettings,
)
from forecast.tables.table import Table
from forecast.tables.writing import frame_of
from forecast.totals.paths import path_columns
from forecast.totals.periods import key_columns
from forecast.totals.sums import Totals, allocated, log_notes

Choose = Callable[
    [Panel], ForecastOptions | None
]  # says what is forecast of a panel, or raises; None is all


def sums_asked(request: Request) -> SumSettings | None:
    sums, output, file = request.sums, request.of(OutputSettings), request.totals
    if request.paths is not None and request.output is None:
        cure = Words("name a file with ", Setting("output"))
        raise UsageError(
            "they are written beside the forecasts",
            setting=Setting("paths", request.paths),
            cure=cure,
        )
    for name in ("joint", "shard"):
        if getattr(output, name) and (sums is not None or request.paths is not None):
            problem = "sums are of all series, and have intervals of their own"
            raise UsageError(problem, setting=Setting(name), cure="leave it out")
    if file is not None and sums is None:
        cure = Words("add ", Setting("sum_by"), " or ", Setting("sum_every"))
        raise UsageError("no sums are asked for", setting=Setting("totals", file), cure=cure)
    if (
        file is not None
        and request.output is not None
        and realpath(file) == realpath(request.output)
    ):
        raise UsageError(
            "the series are written there",
            setting=Setting("totals", file),
            cure="name another file",
        )
    if request.allocate and (
        sums is None or file is None or max(1, *map(len, (sums.sum_by, sums.sum_every))) > 1
    ):
        cure = Words("name one, and a file for them with ", Setting("totals"))
        raise UsageError(
            "series add up to one kind of sums", setting=Setting("allocate"), cure=cure
        )
    if request.allocate and output.point == "mean":
        raise UsageError(
            "means add up as they are", setting=Setting("allocate"), cure="leave it out"
        )
    return sums


def path_file(request: Request) -> str | None:
    asked = request.paths is not None and request.output is not None
    return str(Path(request.output).with_suffix(".paths.parquet")) if asked else None


def sums_of(predictor: Predictor, request: Request) -> Totals | None:
    sums, output = sums_asked(request), request.of(OutputSettings)
    return None if sums is None else Totals(predictor, sums, output, request.horizon)


def put_sums(totals: Totals, request: Request) -> None:
    ids = ["level", *key_columns(totals.levels, totals.schema)] if request.excel_safe else None
    write(frame_of(totals.columns()), request.totals or request.output, ids)
    log_notes(totals)


class Saved:
    """A saved forecaster that a command names, how it reads a table and a text, and what it forecasts."""

    def __init__(self, request: Request) -> None:
        where, tables = request.of(TrainSettings), request.of(TableSettings)
        self.request = request
        predictor = load_predictor(request.store, request.version, where.device, where.engine)
        changed = tables.model_dump(include=set(AFTER_FIT) & set(request.values))
        self.predictor = with_events(predictor, tables.events, changed)
        self.fitted, self.schema = self.predictor.fitted, self.predictor.fitted.config.table
        self.text = text_settings(request, self.schema.reading)

    def tables(self) -> tuple[Table | None, Table | None]:
        table = None if self.request.data is None else load(self.request.data, self.text)[0]
        return table, load_later(self.request.future, self.text)

    def forecasts(self, choose: Choose | None = None) -> Forecasts:
        table, later = self.tables()
        options: dict[str, Any] = {
            "origin": self.request.origin,
            "horizon": self.request.horizon,
            "on_panel": choose,
        }
        options["output"] = self.request.of(OutputSettings)
        with steps_bar("forecasts", "series") as self.predictor.on_windows:
            return forecast_table(self.predictor, table, future=later, **options)


def put_forecasts(
    forecasts: Forecasts, fitted: Fitted, request: Request, totals: Totals | None = None
) -> int:
    """Write forecasts to stdout or a file, their sums and paths, and report what they lack; returns the exit code."""
    schema, paths = fitted.config.table, path_file(request)
    ids = schema.ids if request.excel_safe else None
    if totals is not None:
        totals.add(forecasts)
        if request.allocate:
            forecasts = replace(forecasts, columns=allocated(forecasts, totals))
        put_sums(totals, request)
    if paths is not None:
        columns = path_columns(forecasts, fitted, request.of(OutputSettings), request.paths)
        write(map(frame_of, columns), paths, ids)
    if totals is None or request.totals is not None:
        write(frame_of(forecasts.columns), request.output, ids)
    return log_written(forecasts.skipped, fitted, request)


def log_written(skipped: dict[tuple[str, ...], str], fitted: Fitted, request: Request) -> int:
    """Report what forecasts are made of where that is asked for, and series without one; returns the exit code."""
    if request.of(OutputSettings).explain:
        log_lines(ranking_of(fitted))
    lost = without_forecast(skipped, request.of(CheckSettings).require_all)
    if lost:
        log(f"{len(lost)} series got no forecast: {series_names(lost, 10)}", "warning")
    return INCOMPLETE if lost else 0
