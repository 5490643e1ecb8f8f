"""Exponential smoothing that chooses its own shape, from the optional package statsmodels."""

import warnings
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from forecast.baselines.theta import seasonal_index, theta_forecast
from forecast.errors import Unavailable

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

LONG_SEASON = 24  # so many seasonal states and more are not smoothed but taken out beforehand
FEW = 10  # statsmodels starts from no fewer values
RANGE = 10.0  # a forecast further out than so many times the largest value has run away


def ets_forecast(values: Values, start: Counts, horizon: int, season: int) -> Values:
    """ETS: exponential smoothing in state space form, its shape chosen by AICc (Hyndman et al. 2002).

    Trend none, additive or damped; season none, additive or, where all values are positive, multiplicative. A season of
    more than 24 steps is taken out by classical decomposition first. Series that cannot be fitted are forecast by
    Theta. One series after another, or side by side under `joblib.parallel_config`.

    Parameters
    ----------
    values : [windows, span], without gaps from `start` on; the last column is the newest
    start : [windows], column of each window's first value
    season : steps; 1 means none

    Returns
    -------
    [windows, horizon]

    Raises
    ------
    Unavailable
        If statsmodels is not installed.
    """
    try:
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    except ImportError:
        raise Unavailable("the baseline ets needs the package statsmodels: pip install '.[stats]'") from None
    span = values.shape[1]
    index, divided = seasonal_index(values, start, season if season > LONG_SEASON else 1)
    profile = index[:, np.arange(-span, 0) % index.shape[1]]
    plain = np.where(divided[:, None], values / np.where(divided[:, None], profile, 1), values - profile)
    inner = 1 if season > LONG_SEASON else season
    series = [row[first:] for row, first in zip(plain, start, strict=True)]
    found = Parallel()(delayed(_forecast)(ETSModel, one, horizon, inner) for one in series)
    profile = index[:, np.arange(horizon) % index.shape[1]]
    forecast = np.where(divided[:, None], np.array(found) * profile, np.array(found) + profile)
    usable = (np.abs(forecast) <= RANGE * np.abs(values).max(1, keepdims=True)).all(1)
    return np.where(usable[:, None], forecast, theta_forecast(values, start, horizon, season))


def _forecast(model: Any, values: Values, horizon: int, season: int) -> Values:
    """Forecast by the shape of the least AICc, [horizon]; NaN where none can be fitted."""
    best, forecast = np.inf, np.full(horizon, np.nan)
    if len(values) < FEW or np.ptp(values) == 0:
        return forecast
    for error, trend, damped, seasonal in _shapes(values, season):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                fitted = model(
                    values,
                    error=error,
                    trend=trend,
                    damped_trend=damped,
                    seasonal=seasonal,
                    seasonal_periods=season if seasonal else None,
                    initialization_method="heuristic",
                ).fit(disp=False)
                ahead = np.asarray(fitted.forecast(horizon), np.float64)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                continue  # this shape cannot be fitted to this series; others can, or Theta
        if fitted.aicc < best and np.isfinite(ahead).all():
            best, forecast = fitted.aicc, ahead
    return forecast


def _shapes(values: Values, season: int) -> list[tuple[str, str | None, bool, str | None]]:
    """Error, trend, damped or not, and season of each model worth a trial."""
    trends: tuple[tuple[str | None, bool], ...] = ((None, False), ("add", False), ("add", True))
    kinds: list[tuple[str, str | None]] = [("add", None)]
    if season > 1 and len(values) >= 2 * season:
        kinds += [("add", "add")] + ([("mul", "mul")] if values.min() > 0 else [])
    return [(error, trend, damped, seasonal) for error, seasonal in kinds for trend, damped in trends]
