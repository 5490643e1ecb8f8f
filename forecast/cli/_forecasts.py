"""Forecast by a saved forecaster, write a table of forecasts, and say what it lacks."""

from collections.abc import Callable
from dataclasses import replace

from forecast.checks.table import without_forecast
from forecast.cli._command import Request
from forecast.cli._console import log, log_lines, steps_bar
from forecast.cli._data import load, load_later, text_settings, write
from forecast.cli._sums import put_paths, put_sums
from forecast.errors import INCOMPLETE
from forecast.inference.fitted import Fitted, ranking_of
from forecast.inference.forecasting import ForecastOptions, Forecasts, forecast_table
from forecast.inference.predictor import Predictor
from forecast.panel.naming import series_names
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import AFTER_FIT, CheckSettings, OutputSettings, TableSettings, TextSettings
from forecast.tables.table import Table
from forecast.tables.writing import frame_of
from forecast.totals.sums import Totals, allocated

Choose = Callable[[Panel], ForecastOptions | None]  # says what is forecast of a panel, or raises; None is all


def schema_as_fitted(predictor: Predictor, request: Request) -> tuple[Schema, TextSettings]:
    """How a saved forecaster reads a table, and a text."""
    changed = request.of(TableSettings).model_dump(include=set(AFTER_FIT) & set(request.values))
    schema = predictor.fitted.config.table.model_copy(update=changed)
    return schema, text_settings(request, schema.reading)


def read_as_fitted(predictor: Predictor, request: Request) -> tuple[Schema, Table | None, Table | None]:
    """How a saved forecaster reads, the table to forecast, and that of future values; None where none is named."""
    (schema, text), future = schema_as_fitted(predictor, request), request.future
    table = None if request.data is None else load(request.data, text)[0]
    return schema, table, load_later(future, text)


def predicted(predictor: Predictor, request: Request, shape: OutputSettings, choose: Choose | None = None) -> Forecasts:
    schema, table, later = read_as_fitted(predictor, request)
    origin, horizon = request.origin, request.horizon
    with steps_bar("forecasts", "series") as predictor.on_windows:
        return forecast_table(
            predictor, table, schema=schema, future=later, origin=origin, horizon=horizon, output=shape, on_panel=choose
        )


def put_forecasts(forecasts: Forecasts, fitted: Fitted, request: Request, totals: Totals | None = None) -> int:
    """Write forecasts to stdout or a file, or their sums, and report series without one; returns the exit code."""
    if totals is not None:
        totals.add(forecasts)
        if request.allocate:
            forecasts = replace(forecasts, columns=allocated(forecasts, totals))
        put_sums(totals, request)
    put_paths(forecasts, fitted, request)
    if totals is None or request.totals is not None:
        write(frame_of(forecasts.columns), request.output, fitted.config.table.ids if request.excel_safe else None)
    return log_written(forecasts.skipped, fitted, request)


def log_written(skipped: dict[tuple[str, ...], str], fitted: Fitted, request: Request) -> int:
    """Report what forecasts are made of where that is asked for, and series without one; returns the exit code."""
    if request.of(OutputSettings).explain:
        log_lines(ranking_of(fitted))
    lost = without_forecast(skipped, request.of(CheckSettings).require_all)
    if lost:
        log(f"{len(lost)} series got no forecast: {series_names(lost, 10)}", "warning")
    return INCOMPLETE if lost else 0
