"""Measures of point forecasts; each is a plain function of arrays."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def seasonal_error(past: Values, season: int) -> float:
    """Mean absolute error of repeating the value one season back, within the past; NaN where there is none.

    Parameters
    ----------
    past : [steps], NaN where missing
    """
    if len(past) <= season:
        return float("nan")
    moves = np.abs(past[season:] - past[:-season])
    seen = moves[np.isfinite(moves)]
    return float(seen.mean()) if len(seen) else float("nan")


def mase(actual: Values, forecast: Values, scale: Values) -> float:
    """Mean absolute scaled error (Hyndman and Koehler 2006), averaged over series.

    Parameters
    ----------
    actual, forecast : [series, horizon], NaN where missing
    scale : [series], from `seasonal_error`; a series without one (NaN or 0) does not count
    """
    error = np.abs(actual - forecast)
    seen = np.isfinite(error)
    sums, counts = np.where(seen, error, 0).sum(1), seen.sum(1)
    used = (counts > 0) & np.isfinite(scale) & (scale > 0)
    if not used.any():
        return float("nan")
    return float(np.mean(sums[used] / counts[used] / scale[used]))
