"""Forecast a table or the series of the fit, as a whole or in parts."""

from dataclasses import replace

from forecast.engine.answer import forecast_part, new_totals
from forecast.engine.in_parts import forecast_large
from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.inference.predictor import Predictor


def forecast(predictor: Predictor, request: ForecastRequest) -> Forecast:
    """What comes after the series of a table, by default those of the fit.

    A large file is forecast part by part, while the parts are used; unless `in_parts`, it is read
    as a whole. Raises `UsageError` and `BadData` where the table cannot be used, or known values
    are missing for the horizon.
    """
    request.check()
    new_totals(predictor, request)  # sums that cannot be are refused before the table is read
    if isinstance(request.source, TableFile):
        large = forecast_large(predictor, request)
        if large is not None:
            return large
        table, _ = request.source.load()
        request = replace(request, source=table)
    return forecast_part(predictor, request)
