"""Quantiles of a baseline's errors, by step of the horizon.

They are learned from windows spread over the whole past of the series, of which the newest count
most.
"""

from dataclasses import dataclass

import numpy as np

from forecast.metrics.quantiles import compute_width_factors, divide
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.windows.windows import WindowIndex


@dataclass(frozen=True)
class ErrorPriors:
    """Chosen on 558 fits without networks to single series, by coverage and MSIS.

    The series are those of `python -m benchmarks singles`. Growths of 0.5 and 0.75 and curve
    weights of 1 and 4 differ by less than 1 %. Without decay, MSIS is 5 % worse; without the
    symmetric prior, it is 3 % worse.
    """

    decay: float = 4.0  # age in horizons at which an error counts 1/e
    min_decay: float = 64.0  # age in steps at which it counts 1/e, at least
    # prior: errors grow with this power of the horizon step, as those of a random walk do
    growth: float = 0.5
    # weights of what is fitted to all errors, in independent windows (an amount of evidence)
    curve: float = 1.0  # of the growth curve, against the errors of a single step
    symmetric: float = 4.0  # of symmetric quantiles, against the empirical ones
    max_ratio: float = 8.0  # a larger error counts as this multiple of the usual one at its step


ERROR_PRIORS = ErrorPriors()
CORRELATION = 0.1  # assumed, between the errors of two series at the same time
MAX_ERROR_STEPS = 200  # steps of a longer horizon that are computed; the others are interpolated


def error_quantiles(
    points: Numbers,
    actual: Numbers,
    observed: Flags,
    scale: Numbers,
    levels: tuple[float, ...],
    windows: WindowIndex,
) -> Numbers:
    """Quantiles of a baseline's scaled errors by horizon step, [horizon, levels].

    The quantile of the median is 0, so that the baseline's forecast stays the median.

    A few windows are little evidence, and the farthest steps are seen by the fewest windows. So
    what all steps have in common is estimated from all of them: the shape of the distribution, and
    how errors grow along the horizon. With few independent windows the quantiles widen as those of
    a t distribution do, since their scale is estimated.

    `points`, `actual` and `observed` are [windows, horizon]; `scale` is [windows, horizon] or
    [windows, 1], and values with a scale of 0 do not count. `windows` are the series of each
    window, and the position at which its past ends, [windows] each.
    """
    series, position = windows
    horizon = points.shape[1]
    table = np.zeros((horizon, len(levels)))
    even_steps = np.linspace(0, horizon - 1, min(horizon, MAX_ERROR_STEPS))
    steps = np.unique(even_steps.astype(np.int64))
    usable = observed & (scale > 0)  # [windows, horizon]
    used = usable[:, steps]
    if not used.any():
        return table
    decay = max(ERROR_PRIORS.decay * horizon, ERROR_PRIORS.min_decay)
    recency = np.exp(-_age(windows) / decay)  # [windows]
    weights = used * recency[:, None]
    scaled_errors = divide(actual - points, scale, 0.0)
    errors = used * scaled_errors[:, steps]
    sizes = np.zeros(len(steps))
    for number, step in enumerate(steps):
        rows = used[:, number]
        seen = series[rows], position[rows]
        sizes[number] = independent_windows(seen, step + 1, decay)
    width = _mean_errors(steps, errors, weights, sizes)
    if not width.any():
        return table
    counts = weights > 0
    counts &= width > 0
    relative = divide(errors, width, 0.0)
    shape = _shape(relative[counts], weights[counts], levels, sizes.max())
    quantiles = width[:, None] * shape * compute_width_factors(sizes, levels)  # [steps, levels]
    every = np.arange(horizon)
    for level in range(len(levels)):
        table[:, level] = np.interp(every, steps, quantiles[:, level])
    return table


def independent_windows(windows: WindowIndex, length: int, decay: float = np.inf) -> float:
    """How many independent windows (an amount of evidence) some windows stand for.

    Windows of a series that lie within `length` steps count as one. Windows that are `decay` steps
    old count 1/e (effective sample size, Kish 1965).
    """
    block = _age(windows) // max(length, 1)
    blocks, sizes = independent_by_block(windows[0], block)
    weights = np.exp(-blocks * length / decay)
    total = (weights * sizes).sum()
    squares = (weights**2 * sizes).sum()
    return float(total**2 / max(squares, 1e-300))


def independent_by_block(series: Integers, block: Integers) -> tuple[Integers, Numbers]:
    """Blocks of time, and how many independent windows each block holds.

    The windows of n series in the same block count as n / (1 + (n - 1) CORRELATION) independent
    ones.
    """
    count = series.max(initial=0) + 1
    pairs = np.unique(block * count + series)  # of a block and a series
    blocks, sizes = np.unique(pairs // count, return_counts=True)
    design_effect = 1 + (sizes - 1) * CORRELATION
    return blocks, sizes / design_effect


def _age(windows: WindowIndex) -> Integers:
    """[windows], how many steps each window is older than the newest one of its series."""
    series, position = windows
    newest = np.zeros(series.max(initial=-1) + 1, np.int64)
    np.maximum.at(newest, series, position)
    return newest[series] - position


def _mean_errors(steps: Integers, errors: Numbers, weights: Numbers, sizes: Numbers) -> Numbers:
    """Mean absolute error at each step, [steps].

    It is pooled with that of nearby steps, and shrunk towards a curve: a power of the step. `sizes`
    [steps] are the independent windows that saw each step.
    """
    size = np.abs(errors)
    total = weights.sum(0)
    # a few very large errors, as of an outbreak in some series, must not decide how wide the
    # intervals of all are
    roots = (weights * np.sqrt(size)).sum(0)
    usual = divide(roots, total, 0.0) ** 2  # [steps]
    size = np.minimum(size, ERROR_PRIORS.max_ratio * usual)
    near = len(steps) // 10
    sums = _sum_neighbours((weights * size).sum(0), near)
    means = divide(sums, _sum_neighbours(total, near), 0.0)
    known = means > 0
    known &= sizes > 0
    if not known.any():
        return np.zeros(len(steps))

    sizes = np.where(known, sizes, 0.0)
    share = sizes / sizes.sum()
    level = np.log(np.where(known, means, 1.0))
    mean_level = share @ level
    step = np.log(steps + 1.0)
    step = step - share @ step
    weighted = sizes.max() * share * step
    covariance = weighted @ (level - mean_level)
    variance = weighted @ step
    slope = (covariance + ERROR_PRIORS.growth) / (variance + 1)
    curve = mean_level + slope * step
    pooled = (sizes * level + ERROR_PRIORS.curve * curve) / (sizes + ERROR_PRIORS.curve)
    return np.asarray(np.exp(pooled))


def _sum_neighbours(values: Numbers, near: int) -> Numbers:
    """Sums of values [steps] over the steps up to `near` steps away, [steps]."""
    count = len(values)
    sums = np.append(0.0, values.cumsum())
    step = np.arange(count)
    first = np.maximum(step - near, 0)
    end = np.minimum(step + near + 1, count)
    return np.asarray(sums[end] - sums[first])


def _shape(values: Numbers, weights: Numbers, levels: tuple[float, ...], size: float) -> Numbers:
    """Quantiles of relative errors, [levels], shrunk towards symmetric ones.

    The reason is that the few errors of a short past may all lie on one side. `size` is the number
    of independent windows.
    """
    middle = levels.index(0.5)
    empirical = _weighted_quantiles(values, weights, np.array(levels))
    shares = 2 * np.array(levels[middle + 1 :]) - 1  # of the errors within symmetric quantiles
    upper = _weighted_quantiles(np.abs(values), weights, shares)
    symmetric = np.concatenate([-upper[::-1], [0.0], upper])
    share = size / (size + ERROR_PRIORS.symmetric)
    shape = share * empirical + (1 - share) * symmetric
    shape[:middle] = np.minimum(shape[:middle], 0.0)
    shape[middle] = 0.0
    shape[middle:] = np.maximum(shape[middle:], 0.0)
    return shape


def _weighted_quantiles(values: Numbers, weights: Numbers, levels: Numbers) -> Numbers:
    """Quantiles of weighted values, [levels], linear between the midpoints of their weights."""
    order = np.argsort(values, kind="stable")
    weights = weights[order]
    midpoints = np.cumsum(weights) - weights / 2
    ranks = midpoints / weights.sum()
    return np.interp(levels, ranks, values[order])
