"""Measures of point forecasts; each is a plain function of arrays."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def seasonal_errors(
    values: NDArray[np.float32], observed: NDArray[np.bool_], offsets: NDArray[np.int64], season: int
) -> Values:
    """In-sample mean absolute error of repeating the value one season back, the unit of MASE.

    Parameters
    ----------
    values, observed : [slots], series stored end to end
    offsets : [series + 1]
    season : steps; 1 repeats the last value

    Returns
    -------
    [series], NaN where no two values lie a season apart
    """
    place = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
    now = np.flatnonzero((place >= season) & observed)
    now = now[observed[now - season]]
    series = np.searchsorted(offsets, now, side="right") - 1
    moved = np.abs(values[now].astype(np.float64) - values[now - season])
    count = np.bincount(series, minlength=len(offsets) - 1)
    total = np.bincount(series, moved, minlength=len(offsets) - 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mase(actual: Values, forecast: Values, scale: Values) -> float:
    """Mean absolute scaled error (Hyndman and Koehler 2006), averaged over series.

    Parameters
    ----------
    actual, forecast : [series, horizon], NaN where missing
    scale : [series], from `seasonal_errors`; a series without one (NaN or 0) does not count
    """
    error = np.abs(actual - forecast)
    seen = np.isfinite(error)
    sums, counts = np.where(seen, error, 0).sum(1), seen.sum(1)
    used = (counts > 0) & np.isfinite(scale) & (scale > 0)
    if not used.any():
        return float("nan")
    return float(np.mean(sums[used] / counts[used] / scale[used]))
