"""Baselines as models of a backtest: their points, and intervals from their own past errors."""

from collections.abc import Callable
from functools import partial

import numpy as np

from forecast.baselines.shared.windows import forecast_baseline
from forecast.evaluation.origins import cut
from forecast.evaluation.past_errors import error_quantiles
from forecast.panel.panel import Flags, Numbers, Panel

Predict = Callable[[Panel], Numbers]
"""Quantiles of the values after the end of each series, [series, horizon, levels], ascending along the last axis."""

Fit = Callable[[Panel], Predict]
"""From the panel as it stood at an origin to what forecasts from it, and from later origins."""

MAX_WINDOWS, MAX_ORIGINS = 512, 24  # windows whose errors make intervals, and origins of one series among them
MAX_CELLS = 4_000_000  # past values that are laid out side by side at once


def baseline_fit(name: str, season: int, levels: tuple[float, ...]) -> Fit:
    """A baseline as a `Fit`, with a season in steps, 1 for none, and ascending quantile levels, 0.5 among them.

    Its quantiles are its point plus quantiles of its errors at earlier origins of the fitted panel, by horizon step, in
    units of the mean error of repeating a season in each window's past.
    """
    return partial(_fit, name, season, levels)


def _fit(name: str, season: int, levels: tuple[float, ...], past: Panel) -> Predict:
    horizon = past.ahead
    back = max(0, int(past.lengths.max()) - horizon - 2) // 2
    count = int(np.clip(MAX_WINDOWS // len(past), 1, min(MAX_ORIGINS, back + 1)))
    shifts = np.round(np.linspace(back, 0, count)).astype(np.int64) if count > 1 else np.zeros(1, np.int64)
    windows = cut(past, past.origins - horizon - shifts[:, None])
    if not len(windows.series):
        return partial(_predict, name, season, np.zeros((horizon, len(levels))))
    point, unit = _points(name, season, windows.panel)
    observed = np.isfinite(windows.actual)
    ends = windows.series, windows.panel.lengths
    errors = error_quantiles(point, np.nan_to_num(windows.actual), observed, unit, levels, ends)
    return partial(_predict, name, season, errors)


def _predict(name: str, season: int, errors: Numbers, panel: Panel) -> Numbers:
    point, unit = _points(name, season, panel)
    return point[..., None] + unit[:, None, None] * errors


def _points(name: str, season: int, panel: Panel) -> tuple[Numbers, Numbers]:
    """Point forecasts [series, horizon], and the unit of errors [series], 0 where the past has none."""
    longest = int(panel.lengths.max())
    at_once = max(1, MAX_CELLS // longest)
    points, units = [], []
    for low in range(0, len(panel), at_once):
        values, observed = _padded(panel, slice(low, low + at_once), longest)
        points.append(forecast_baseline(name, values, observed, panel.ahead, season))
        unit = _mean_change(values, observed, season)
        units.append(np.where(unit > 0, unit, _mean_change(values, observed, 1)))  # shorter than a season
    return np.concatenate(points), np.concatenate(units)


def _mean_change(values: Numbers, observed: Flags, lag: int) -> Numbers:
    """Mean absolute difference of values `lag` apart, [series]; 0 where there are none."""
    both = observed[:, lag:] & observed[:, :-lag]
    changes = np.where(both, np.abs(values[:, lag:] - values[:, :-lag]), 0.0)
    return np.asarray(changes.sum(1) / np.maximum(both.sum(1), 1))


def _padded(panel: Panel, part: slice, longest: int) -> tuple[Numbers, Flags]:
    """The pasts of some series, [series, longest], padded on the left."""
    ends, lengths = panel.offsets[1:][part] - panel.ahead, panel.lengths[part]
    back = np.arange(-longest, 0)
    inside = back >= -lengths[:, None]
    slot = np.where(inside, ends[:, None] + back, 0)
    observed = inside & panel.observed[slot]
    return np.where(observed, panel.values[slot], 0.0), observed
