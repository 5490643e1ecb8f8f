"""Forecast many windows by a baseline: some at a time, those shorter than a season without one, on one scale."""

import numpy as np

from forecast.baselines import baseline_method
from forecast.baselines.shared.method import Forecast, Mask, Values

WINDOWS_AT_ONCE, VALUES_AT_ONCE = 512, 2_000_000  # what a cache holds


def forecast_baseline(name: str, past: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast each window from its own past; a window shorter than one season is forecast as if it had none.

    Parameters
    ----------
    name : of a baseline
    past, observed : [windows, context], padded on the left; the last column is the newest step
    horizon : steps
    season : steps; 1 means none

    Returns
    -------
    [windows, horizon], always finite; zeros where nothing was observed

    Raises
    ------
    UsageError
        If there is no baseline of that name.
    Unavailable
        If the baseline needs a package that is not installed.
    """
    method = baseline_method(name)
    windows, span = past.shape
    result = np.zeros((windows, horizon))
    rows = max(1, min(WINDOWS_AT_ONCE, VALUES_AT_ONCE // max(span, season, 1)))
    for low in range(0, windows, rows):
        part = slice(low, low + rows)
        seen = observed[part] & np.isfinite(past[part])
        length = np.where(seen.any(1), span - seen.argmax(1), 0)
        for chosen, steps in ((length >= season, season), ((length > 0) & (length < season), 1)):
            if chosen.any():
                columns = slice(span - int(length[chosen].max()), span)
                values = past[part][chosen, columns]
                result[part][chosen] = _scaled(method.forecast, values, seen[chosen, columns], horizon, steps)
    return result


def _scaled(forecast: Forecast, values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast from values brought to at most 1 by a power of two, which is exact, and bring the forecasts back."""
    values = np.where(observed, values, 0.0)
    _, exponent = np.frexp(np.abs(values).max(1, keepdims=True))
    points = forecast(np.ldexp(values, -exponent), observed, horizon, season)
    with np.errstate(over="ignore"):
        return np.nan_to_num(np.ldexp(points, exponent))
