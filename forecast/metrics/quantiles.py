"""Arithmetic of quantiles: interpolation to other quantile levels, mean, deviation and rounding.

It also widens quantiles whose scale was estimated from few values.
"""

from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Numbers
from forecast.pretrained.network import LEVELS as LEVELS  # of networks and baselines alike

EVEN_LEVELS = (np.arange(41) + 0.5) / 41  # quantile levels to compute standard deviations from
LARGEST_WHOLE = 2.0**53  # up to here float64 holds every whole number


def divide(
    above: NDArray[Any], below: NDArray[Any], otherwise: Numbers | float = np.nan
) -> NDArray[np.float64]:
    """A quotient, or `otherwise` where the divisor is not above 0."""
    positive = below > 0
    divisors = np.where(positive, below, 1.0)
    return np.where(positive, above / divisors, otherwise)


def at_levels(quantiles: Numbers, have: tuple[float, ...], want: Iterable[float]) -> Numbers:
    """Quantiles at other quantile levels: from [..., have] to [..., want].

    They are interpolated linearly over the normal deviates of the quantile levels.
    """
    knots = normal_deviates(have)
    deviates = normal_deviates(want)
    weights = [np.interp(deviates, knots, knot) for knot in np.eye(len(have))]
    return quantiles @ np.array(weights)


def compute_mean(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Mean of a distribution, [...], from its quantiles [..., levels].

    Its quantile function is taken as linear between `levels` and constant beyond the outermost.
    """
    first, *_, last = levels
    edges = np.array([-first, *levels, 2 - last])
    widths = (edges[2:] - edges[:-2]) / 2
    return np.asarray(quantiles @ widths)


def normal_deviates(levels: Iterable[float]) -> Numbers:
    """Quantiles of the standard normal distribution, [levels]."""
    return np.array([NormalDist().inv_cdf(level) for level in levels])


def standard_deviation(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Standard deviation of a distribution, [...], from its quantiles [..., levels]."""
    return np.asarray(at_levels(quantiles, levels, EVEN_LEVELS).std(-1))


def round_values(values: Numbers, digits: int = 7, decimals: int = 4) -> Numbers:
    """Round to the significant digits of float32, or to `decimals` where that is finer."""
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log10(size))
    unit = 10.0 ** np.clip(digits - 1 - exponent, decimals, 300)
    small = size < LARGEST_WHOLE / 10.0**decimals  # larger ones have no more decimals
    in_units = np.where(small, values, 0.0) * unit
    result = np.round(in_units) / unit
    return np.where(small, result, values) + 0.0


def compute_width_factors(sizes: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Factors [..., levels] by which normal quantiles move outwards when their scale is estimated.

    `sizes` [...] are the numbers of independent values that the scale was estimated from. The
    widened quantiles are those of t distributions.
    """
    median = np.array(levels) == 0.5
    deviates = normal_deviates(levels) + median  # 1 in place of 0: the median does not move
    freedom = np.maximum(sizes, 1.0)[..., None] + 1
    factors = _t_quantiles(deviates, freedom) / deviates
    return np.where(median, 1.0, factors)


def _t_quantiles(z: Numbers, freedom: Numbers) -> Numbers:
    """Quantiles of t distributions from those of the normal distribution.

    This series expansion is accurate from 4 degrees of freedom on (Abramowitz and Stegun 1964,
    26.7.5).
    """
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    # by Horner's scheme
    tail = third + fourth / freedom
    tail = first + (second + tail / freedom) / freedom
    return z + tail / freedom
