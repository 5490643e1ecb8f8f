"""Forecast a table or the series of the fit, as a whole or in parts."""

from dataclasses import replace

from forecast.engine.answer import forecast_part, new_totals
from forecast.engine.in_parts import forecast_large
from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.inference.predictor import Predictor


def forecast(predictor: Predictor, request: ForecastRequest, in_parts: bool = True) -> Forecast:
    """What comes after the series of a table, by default those of the fit.

    A large file is forecast part by part, while the parts are used; unless `in_parts`, it is read
    as a whole. Raises `UsageError` and `BadData` where the table cannot be used, or known values
    are missing for the horizon.
    """
    request.check()
    new_totals(
        predictor, request
    )  # sums that the table does not have are refused before it is read
    if isinstance(request.source, TableFile):
        large = forecast_large(predictor, request) if in_parts else None
        if large is not None:
            return large
        table, _ = request.source.load()
        request = replace(request, source=table)
    return forecast_part(predictor, request)
