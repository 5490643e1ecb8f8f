"""Quantiles between levels, as the point and the intervals that a user asked for, and of errors in the past."""

from statistics import NormalDist

import numpy as np

from forecast.panel.panel import Numbers
from forecast.pretrained.network import LEVELS as LEVELS  # of networks and baselines alike

EVEN = 41  # levels that a standard deviation is computed from
WHOLE = 2.0**53  # up to here float64 holds every whole number


def interval_levels(level: float) -> tuple[float, float]:
    """Quantile levels of the central interval of `level` percent."""
    return (1 - level / 100) / 2, (1 + level / 100) / 2


def at_levels(quantiles: Numbers, have: tuple[float, ...], want: tuple[float, ...]) -> Numbers:
    """Quantiles [..., have] at the levels [..., want], linear between neighbours on the scale of normal deviates."""
    knots, columns = normal_deviates(have), []
    for level, deviate in zip(want, normal_deviates(want), strict=True):
        if level in have:
            columns.append(quantiles[..., have.index(level)])
            continue
        right = int(np.clip(np.searchsorted(have, level), 1, len(have) - 1))
        share = float(
            np.clip((deviate - knots[right - 1]) / (knots[right] - knots[right - 1]), 0, 1)
        )
        columns.append((1 - share) * quantiles[..., right - 1] + share * quantiles[..., right])
    return np.stack(columns, -1)


def mean_of(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Mean of the distribution whose quantile function runs straight between `levels`, flat beyond them, [...]."""
    edges = np.array([0.0, *levels, 1.0])
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += edges[1] / 2
    widths[-1] += (1 - edges[-2]) / 2
    return np.asarray(quantiles @ widths)


def normal_deviates(levels: tuple[float, ...]) -> Numbers:
    """Quantiles of the standard normal distribution, [levels]."""
    return np.array([NormalDist().inv_cdf(level) for level in levels])


def standard_deviation(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Standard deviation of the distribution with these quantiles [..., levels], by values at even levels, [...]."""
    even = tuple(((np.arange(EVEN) + 0.5) / EVEN).tolist())
    values = quantiles @ at_levels(np.eye(len(levels)), levels, even)
    return np.asarray(values.std(-1))


def rounded(values: Numbers, digits: int = 7, decimals: int = 4) -> Numbers:
    """Round to significant digits, those of float32, or to decimals if that is finer, so that amounts stay."""
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0.0, np.floor(np.log10(np.abs(values))))
    unit = 10.0 ** np.clip(digits - 1 - size, decimals, 300)
    small = (
        np.abs(values) < WHOLE / 10.0**decimals
    )  # others have no more decimals, and would lose digits here
    return np.asarray(
        np.where(small, np.round(np.where(small, values, 0.0) * unit) / unit, values) + 0.0
    )


def widening(sizes: Numbers, levels: tuple[float, ...]) -> Numbers:
    """By how much normal quantiles move out where the scale comes from few independent values [...]: [..., levels]."""
    tail = [0.75 if level == 0.5 else level for level in levels]  # the median does not move
    z = normal_deviates(tuple(tail))
    factor = _t_quantiles(z, np.maximum(sizes, 1.0)[..., None] + 1) / z
    return np.asarray(np.where(np.array(levels) == 0.5, 1.0, factor))


def _t_quantiles(z: Numbers, freedom: Numbers) -> Numbers:
    """Quantiles of t distributions from normal ones (Abramowitz and Stegun 1964, 26.7.5), good from 4 degrees on."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return np.asarray(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))
