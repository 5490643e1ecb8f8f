"""Baselines as models of a backtest: their points, and intervals from their own past errors."""

from collections.abc import Callable

import numpy as np

from forecast.baselines.shared.windows import forecast_baseline
from forecast.evaluation.metrics import seasonal_errors
from forecast.evaluation.origins import cut, pasts
from forecast.evaluation.past_errors import error_quantiles
from forecast.panel.panel import Numbers, Panel

Predict = Callable[[Panel], Numbers]
"""Quantiles of the values after the end of each series, [series, horizon, levels], ascending along the last axis."""

Fit = Callable[[Panel], Predict]
"""From the panel as it stood at an origin to what forecasts from it, and from later origins."""

MAX_WINDOWS, MAX_ORIGINS = 512, 24  # windows whose errors make intervals, and origins of one series among them


def fit_baseline(name: str, season: int, levels: tuple[float, ...], past: Panel) -> Predict:
    """Fit a baseline with a season in steps, 1 for none, and ascending quantile levels, 0.5 among them.

    Its quantiles are its point plus quantiles of its errors at earlier origins of the past, by horizon step, in units
    of the mean error of repeating a season in each window's past.
    """
    horizon = past.ahead
    back = max(0, int(past.lengths.max()) - horizon - 2) // 2
    count = int(np.clip(MAX_WINDOWS // len(past), 1, min(MAX_ORIGINS, back + 1)))
    shifts = np.round(np.linspace(back, 0, count)).astype(np.int64) if count > 1 else np.zeros(1, np.int64)
    windows = cut(past, past.origins - horizon - shifts[:, None])
    errors = np.zeros((horizon, len(levels)))
    if len(windows.series):
        point, unit = _points(name, season, windows.panel)
        observed, ends = np.isfinite(windows.actual), (windows.series, windows.panel.lengths)
        errors = error_quantiles(point, np.nan_to_num(windows.actual), observed, unit, levels, ends)

    def predict(panel: Panel) -> Numbers:
        point, unit = _points(name, season, panel)
        return point[..., None] + unit[:, None, None] * errors

    return predict


def _points(name: str, season: int, panel: Panel) -> tuple[Numbers, Numbers]:
    """Point forecasts [series, horizon], and the unit of errors [series], 0 where the past has none."""
    newest = np.arange(len(panel)), panel.lengths
    parts = pasts(panel, newest, int(panel.lengths.max()))
    points = [forecast_baseline(name, values, observed, panel.ahead, season) for values, observed in parts]
    lags = (season, 1)  # the second for a series that is shorter than a season
    unit, change = (seasonal_errors(panel.values, panel.observed, panel.offsets, lag) for lag in lags)
    return np.concatenate(points), np.nan_to_num(np.where(unit > 0, unit, change))
