"""Exponential smoothing that chooses its own shape, from the optional package statsmodels."""

import warnings
from itertools import product
from typing import Any

import numpy as np

from forecast.baselines.shared.gaps import recent_values
from forecast.baselines.shared.method import Mask, Method, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index
from forecast.baselines.shared.theta_lines import theta_forecast
from forecast.errors import INSTALL, Unavailable

LONG_SEASON = 24  # a season of more steps is not smoothed, but removed beforehand
MIN_VALUES = 10  # statsmodels needs at least so many values
MAX_RATIO = 10.0  # a forecast that exceeds the largest value by this factor has diverged
TRENDS = ((None, False), ("add", False), ("add", True))  # kinds of trend, and whether damped


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast by exponential smoothing in state space form, ETS (Hyndman et al. 2002).

    AICc chooses the form. The trend may be none, additive or damped; the season may be none,
    additive or, if all values are positive, multiplicative. A season of more than 24 steps is first
    removed by classical decomposition. Series that cannot be fitted are forecast by Theta. Series
    are fitted one after another, or in parallel under `joblib.parallel_config`. Raises
    `Unavailable` if statsmodels is not installed.
    """
    from joblib import Parallel, delayed

    try:
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    except ImportError:
        raise Unavailable(
            "the baseline ets needs the package statsmodels", cure=INSTALL.format("stats")
        ) from None
    values, start = recent_values(values, observed, season)
    is_long = season > LONG_SEASON
    index, divided = seasonal_index(values, start, season if is_long else 1)
    without_season = remove_season(values, index, divided)
    smoothed_season = 1 if is_long else season
    paths = Parallel()(
        delayed(_forecast)(ETSModel, row[first:], horizon, smoothed_season)
        for row, first in zip(without_season, start, strict=True)
    )
    points = restore_season(np.array(paths), index, divided)
    most = MAX_RATIO * np.abs(values).max(1, keepdims=True)
    usable = (np.abs(points) <= most).all(1, keepdims=True)
    return np.where(usable, points, theta_forecast(values, start, horizon, season))


def _forecast(model: Any, values: Values, horizon: int, season: int) -> Values:
    """Forecast by the form with the least AICc, [horizon]; NaN if none can be fitted."""
    best = np.inf
    points = np.full(horizon, np.nan)
    if len(values) < MIN_VALUES or np.ptp(values) == 0:
        return points
    kinds: list[tuple[str, str | None]] = [("add", None)]  # of error and season
    if season > 1 and len(values) >= 2 * season:
        kinds.append(("add", "add"))
        if values.min() > 0:
            kinds.append(("mul", "mul"))
    for (error, seasonal), (trend, damped) in product(kinds, TRENDS):
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            try:
                shape = model(
                    values,
                    error=error,
                    trend=trend,
                    damped_trend=damped,
                    seasonal=seasonal,
                    seasonal_periods=season if seasonal else None,
                    initialization_method="heuristic",
                )
                fitted = shape.fit(disp=False)
                ahead = np.asarray(fitted.forecast(horizon), np.float64)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                continue  # this shape cannot be fitted to this series; others can, or Theta
        if fitted.aicc < best and np.isfinite(ahead).all():
            best = fitted.aicc
            points = ahead
    return points


METHOD = Method(forecast, extra="stats", threads=False)
