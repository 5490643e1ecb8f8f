"""Forecast whole series that fit into memory: read, forecast, sum, draw paths."""

from collections.abc import Iterable

from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.inference.forecasting import (
    Columns,
    ForecastOptions,
    Forecasts,
    add_columns,
    checked_horizon,
    forecast_panel,
    forecast_table,
)
from forecast.inference.overrides import apply_overrides
from forecast.inference.predictor import Predictor
from forecast.panel.panel import Panel
from forecast.totals.paths import path_columns
from forecast.totals.sums import Totals


def forecast_part(predictor: Predictor, request: ForecastRequest) -> Forecast:
    """Answer a request whose series are forecast together: a whole table, or a part of one."""
    totals = new_totals(predictor, request)
    forecasts = _forecast(predictor, request)
    forecasts, _ = apply_overrides(forecasts, predictor.fitted, request.output, request.overrides)
    if totals is not None:
        totals.add(forecasts)
    paths: Iterable[Columns] = ()
    if request.paths is not None:
        paths = path_columns(forecasts, predictor.fitted, request.output, request.paths)
    name = getattr(request.source, "name", "the saved table")
    return Forecast(
        predictor.fitted,
        name,
        parts=(forecasts,),
        totals=totals,
        paths=paths,
        skipped=forecasts.skipped,
    )


def new_totals(predictor: Predictor, request: ForecastRequest) -> Totals | None:
    """Sums to which no series has been added yet; None if the request asks for no sums.

    Raises `UsageError` if the table cannot have such sums.
    """
    if request.sums is None:
        return None
    return Totals(predictor, request.sums, request.output, request.horizon)


def _forecast(predictor: Predictor, request: ForecastRequest) -> Forecasts:
    source = request.source
    output = request.output
    if isinstance(source, TableFile):
        raise TypeError("a file has to be loaded")
    predictor = predictor.replace_fitted(predictor.fitted)
    predictor.on_windows = request.on_series
    if isinstance(source, Panel):
        horizon = checked_horizon(request.horizon, predictor.fitted.config.horizon)
        forecasts = forecast_panel(predictor, source, horizon, output)
        return add_columns(forecasts, predictor.fitted, output)

    def on_panel(panel: Panel) -> ForecastOptions | None:
        if request.on_newest is not None:
            request.on_newest(panel.newest)
        if request.on_panel is None:
            return None
        return request.on_panel(panel)

    return forecast_table(
        predictor,
        source,
        future=request.future,
        origin=request.origin,
        horizon=request.horizon,
        output=output,
        on_panel=on_panel,
    )
