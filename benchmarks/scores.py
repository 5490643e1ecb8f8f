"""Scores of forecasts, as the M4 competition and the long-horizon papers define them; plain functions of arrays."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

COLUMNS = ("forecast", "lo_80", "hi_80", "lo_95", "hi_95")
"""The last axis of every array of forecasts."""


def smape(actual: Values, point: Values) -> Values:
    """Symmetric percentage error of each series, 0 to 200, [series]; two zeros are no error.

    Parameters
    ----------
    actual, point : [series, horizon]
    """
    size = np.abs(actual) + np.abs(point)
    error = np.divide(200 * np.abs(actual - point), size, out=np.zeros_like(size), where=size > 0)
    return np.asarray(error.mean(-1))


def scaled_error(actual: Values, point: Values, scale: Values) -> Values:
    """MASE of each series (Hyndman and Koehler 2006), [series].

    Parameters
    ----------
    actual, point : [series, horizon]
    scale : [series], in-sample mean absolute error of the seasonal naive forecast
    """
    return np.asarray(np.abs(actual - point).mean(-1) / scale)


def owa(mean_smape: float, mean_mase: float, naive2: tuple[float, float]) -> float:
    """Mean of the two ratios to sMAPE and MASE of Naive2 (Makridakis et al. 2020)."""
    return (mean_smape / naive2[0] + mean_mase / naive2[1]) / 2


def interval_score(
    actual: Values, low: Values, high: Values, scale: Values, level: float = 95.0
) -> Values:
    """Scaled interval score of each series, MSIS (Gneiting and Raftery 2007, as used in M4), [series].

    Parameters
    ----------
    actual, low, high : [series, horizon]
    scale : [series], as for `scaled_error`
    level : of the interval, in percent
    """
    alpha = 1 - level / 100
    outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    return np.asarray((high - low + 2 / alpha * outside).mean(-1) / scale)


def coverage(actual: Values, low: Values, high: Values) -> float:
    """Share of the actual values that lie in their interval, ends included; NaN where there are no intervals."""
    if np.isnan(low).any() or np.isnan(high).any():
        return float("nan")
    return float(np.mean((actual >= low) & (actual <= high)))


def seasonal_scale(values: Values, season: int) -> float:
    """In-sample mean absolute error of the seasonal naive forecast of one series, the unit of MASE and MSIS.

    Parameters
    ----------
    values : [steps], without gaps; a series that is not longer than a season has the unit 0
    """
    if len(values) <= season:
        return 0.0
    return float(np.abs(values[season:] - values[:-season]).mean())


def competition_scores(
    actual: Values, forecast: Values, scale: Values, naive2: tuple[float, float] | None = None
) -> dict[str, float]:
    """The scores of the M4 competition, each a mean over series.

    MASE and MSIS leave out series whose unit is 0, and `left_out` counts them, if there are any.

    Parameters
    ----------
    actual : [series, horizon]
    forecast : [series, horizon, columns], as `COLUMNS`
    scale : [series]
    naive2 : sMAPE and MASE of Naive2, for OWA
    """
    point, low80, high80, low95, high95 = np.moveaxis(forecast, -1, 0)
    used = scale > 0
    mean_smape = float(smape(actual, point).mean())
    mean_mase = float(scaled_error(actual[used], point[used], scale[used]).mean())
    return {
        "smape": mean_smape,
        "mase": mean_mase,
        **({} if naive2 is None else {"owa": owa(mean_smape, mean_mase, naive2)}),
        "msis": float(interval_score(actual[used], low95[used], high95[used], scale[used]).mean()),
        "coverage_80": coverage(actual, low80, high80),
        "coverage_95": coverage(actual, low95, high95),
        **({} if used.all() else {"left_out": int((~used).sum())}),
    }
