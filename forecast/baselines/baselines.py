"""Forecasts without learning across series: what a network has to beat, and what stands in where it does not."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forecast.baselines.autoregression import autoregression_forecast
from forecast.baselines.holt_winters import holt_winters_forecast
from forecast.baselines.smoothing import ets_forecast
from forecast.baselines.theta import by_season, theta_forecast
from forecast.errors import UsageError, did_you_mean

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

MEAN_SEASONS = 8  # seasons that seasonal-mean looks back at
LONGEST, LONGEST_SEASONS = 200, 10  # steps or seasons, the more, that theta and smoothing look back at
CHUNK = 512, 2_000_000  # windows, and values, worked on at a time: what a cache holds


def forecast_baseline(name: str, past: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast each window from its own past.

    `last` repeats the last observed value, `seasonal-naive` the last season, `drift` continues the line from the first
    observed value to the last, `seasonal-drift` repeats the last season and adds the mean change from season to
    season, `mean` is the mean of all observed values, `seasonal-mean` that of each phase over the last eight seasons
    (without a season: of the last eight steps). `theta` is the Theta method, `auto-theta` the one that chooses theta,
    `holt-winters` exponential smoothing averaged over its parameters, `ets` the same whose shape is chosen by AICc,
    `autoregression` a linear map of the last values; these five look at the last ten seasons, or 200 steps if they are
    more. Where they, `seasonal-naive` or `seasonal-drift` meet a missing value, the one the fewest whole seasons back
    stands in, else the last one observed before. A window shorter than one season is forecast as if it had none.

    Parameters
    ----------
    name : one of `BASELINES` or `AUTOMATIC`
    past, observed : [windows, span], padded on the left; the last column is the newest step
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
        If the name is one of `AUTOMATIC` and statsmodels is not installed.
    """
    check_baseline(name)
    windows, span = past.shape
    result = np.zeros((windows, horizon))
    rows = max(1, min(CHUNK[0], CHUNK[1] // max(span, season, 1)))
    for low in range(0, windows, rows):
        part = slice(low, low + rows)
        seen = observed[part] & np.isfinite(past[part])
        length = np.where(seen.any(1), span - seen.argmax(1), 0)
        for chosen, steps in ((length >= season, season), ((length > 0) & (length < season), 1)):
            if chosen.any():
                columns = slice(span - int(length[chosen].max()), span)
                values = past[part][chosen, columns]
                result[part][chosen] = _scaled(_METHODS[name], values, seen[chosen, columns], horizon, steps)
    return result


def check_baseline(name: str) -> None:
    """Refuse a baseline that does not exist.

    Raises
    ------
    UsageError
        With the nearest name.
    """
    if name not in _METHODS:
        hint = did_you_mean(name, list(_METHODS))
        raise UsageError(f"unknown baseline '{name}'{hint} (baselines: {', '.join(_METHODS)})")


def filled(values: Values, observed: Mask, season: int) -> Values:
    """Put into each gap the value the fewest whole seasons back, else the last observed one; zeros before the first."""
    if observed.all():
        return values
    windows, span = values.shape
    # columns counted from 1, so that 0 is none
    source = np.where(observed, np.arange(1, span + 1), 0)
    seasonal = np.maximum.accumulate(by_season(source, season), 1).reshape(windows, -1)[:, -span:]
    source = np.where(seasonal > 0, seasonal, np.maximum.accumulate(source, 1))
    return np.where(source > 0, np.take_along_axis(values, np.maximum(source - 1, 0), 1), 0.0)


def _scaled(method: "Method", values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Run a method on values brought to at most 1 by a power of two, which is exact, and bring its forecasts back."""
    values = np.where(observed, values, 0.0)
    _, exponent = np.frexp(np.abs(values).max(1, keepdims=True))
    forecast = method(np.ldexp(values, -exponent), observed, horizon, season)
    with np.errstate(over="ignore"):
        return np.nan_to_num(np.ldexp(forecast, exponent))


def _last(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    newest = values.shape[1] - 1 - observed[:, ::-1].argmax(1)
    return np.repeat(np.take_along_axis(values, newest[:, None], 1), horizon, 1)


def _seasonal_naive(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return filled(values, observed, season)[:, np.arange(horizon) % season - season]


def _drift(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    span = values.shape[1]
    oldest, newest = observed.argmax(1)[:, None], span - 1 - observed[:, ::-1].argmax(1)[:, None]
    first, last = np.take_along_axis(values, oldest, 1), np.take_along_axis(values, newest, 1)
    slope = (last - first) / np.maximum(newest - oldest, 1)
    line: Values = last + slope * (span - 1 - newest + np.arange(1, horizon + 1))
    return line


def _seasonal_drift(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    both = observed[:, season:] & observed[:, :-season]
    moved = np.where(both, values[:, season:] - values[:, :-season], 0.0)
    change = moved.sum(1, keepdims=True) / np.maximum(both.sum(1, keepdims=True), 1)
    repeated: Values = _seasonal_naive(values, observed, horizon, season) + change * (1 + np.arange(horizon) // season)
    return repeated


def _mean(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return np.repeat(values.sum(1, keepdims=True) / observed.sum(1, keepdims=True), horizon, 1)


def _seasonal_mean(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    counts = by_season(observed, season)[:, -MEAN_SEASONS:].sum(1)  # [windows, season]
    means = by_season(values, season)[:, -MEAN_SEASONS:].sum(1) / np.maximum(counts, 1)
    latest = _seasonal_naive(values, observed, season, season)
    return np.where(counts > 0, means, latest)[:, np.arange(horizon) % season]


def _theta(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return theta_forecast(*_recent(values, observed, season), horizon, season)


def _auto_theta(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return theta_forecast(*_recent(values, observed, season), horizon, season, best_theta=True)


def _holt_winters(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return holt_winters_forecast(*_recent(values, observed, season), horizon, season)


def _ets(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return ets_forecast(*_recent(values, observed, season), horizon, season)


def _autoregression(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return autoregression_forecast(*_recent(values, observed, season), horizon)


def _recent(values: Values, observed: Mask, season: int) -> tuple[Values, NDArray[np.int64]]:
    """The newest steps without gaps, and the column where each window begins in them."""
    longest = max(LONGEST, LONGEST_SEASONS * season)
    start = np.maximum(observed.argmax(1) - max(0, values.shape[1] - longest), 0)
    return filled(values, observed, season)[:, -longest:], start


Method = Callable[[Values, Mask, int, int], Values]

_METHODS: dict[str, Method] = {
    "last": _last,
    "seasonal-naive": _seasonal_naive,
    "drift": _drift,
    "seasonal-drift": _seasonal_drift,
    "mean": _mean,
    "seasonal-mean": _seasonal_mean,
    "theta": _theta,
    "auto-theta": _auto_theta,
    "holt-winters": _holt_winters,
    "autoregression": _autoregression,
    "ets": _ets,
}

AUTOMATIC: tuple[str, ...] = ("ets",)  # these need the extra `stats`
BASELINES: tuple[str, ...] = tuple(name for name in _METHODS if name not in AUTOMATIC)
