"""Forecast a table or the series of the fit, as a whole or in parts."""

from dataclasses import replace

from forecast.engine.answer import forecast_part, new_totals
from forecast.engine.in_parts import forecast_large
from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.inference.predictor import Predictor


def forecast(predictor: Predictor, request: ForecastRequest) -> Forecast:
    """Forecast the series of a table, by default those of the fit.

    With `in_parts` a large file is forecast part by part, each part when the caller asks for it;
    otherwise the file is read as a whole. Raises `UsageError` and `BadData` if the table cannot be
    used, or values known in advance are missing for the horizon.
    """
    request.check()
    new_totals(predictor, request)  # refuses impossible sums before the table is read
    if isinstance(request.source, TableFile):
        large = forecast_large(predictor, request)
        if large is not None:
            return large
        request = replace(request, source=request.source.load())
    return forecast_part(predictor, request)
