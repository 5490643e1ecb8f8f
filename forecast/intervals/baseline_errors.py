"""Quantiles of the errors that a baseline made in the past, by step of the horizon."""

import numpy as np

from forecast.metrics.quantiles import widening
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.pretrained.network import LEVELS as LEVELS  # of networks and baselines alike
from forecast.windows.windows import WindowIndex

# Chosen on 558 fits without networks to the single series of `python -m benchmarks singles`, by coverage and MSIS.
# Growths of 0.5 and 0.75 and prior weights of 1 and 4 are within 1 %; without decay MSIS is 5 % worse, without the
# symmetric prior 3 %.
DECAY, MIN_DECAY = 4.0, 64.0  # horizons, and steps at least, after which an error counts 1/e


GROWTH = 0.5  # power of the step by which errors grow where nothing is known, that of a random walk


PRIOR_WEIGHT = (
    1.0  # independent windows that the common curve of growth counts, beside those of a step
)


MAX_RATIO = 8.0  # times the usual error at a step, the most that one window counts


SYMMETRIC_WEIGHT = (
    4.0  # independent windows that a symmetric distribution counts, beside those of the errors
)


CORRELATION = 0.1  # of the errors of two series at the same time


MAX_STEPS = 200  # of a longer horizon that are computed; the others are interpolated


def error_quantiles(
    points: Numbers,
    actual: Numbers,
    observed: Flags,
    scale: Numbers,
    levels: tuple[float, ...],
    windows: WindowIndex,
) -> Numbers:
    """Quantiles of a baseline's scaled errors by horizon step, [horizon, levels]; its median stays where it is.

    Few windows say little, and the steps far ahead were seen by the fewest. So what all steps have in common is
    estimated from all of them: the shape of the distribution, and how errors grow along the horizon. With few
    independent windows quantiles widen as those of a t distribution do, since their scale is estimated.

    Points, actual values and whether they are observed are [windows, horizon], and so is the scale, or [windows, 1];
    what has a scale of 0 does not count. `windows` are the series of each window, and the position in it at which its
    past ends, [windows] twice.
    """
    (series, position), horizon = windows, points.shape[1]
    used, table = observed & (scale > 0), np.zeros((horizon, len(levels)))
    if not used.any():
        return table
    scaled = np.where(used, (actual - points) / np.where(scale > 0, scale, 1.0), 0.0)
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, MAX_STEPS)).astype(np.int64))
    decay = max(DECAY * horizon, MIN_DECAY)
    weights = np.where(used, np.exp(-_age(windows) / decay)[:, None], 0.0)[:, steps]
    seen = ((step, used[:, step]) for step in steps)
    sizes = np.array(
        [
            independent_windows((series[rows], position[rows]), step + 1, decay)
            for step, rows in seen
        ]
    )
    errors = scaled[:, steps]  # [windows, steps]
    width = _mean_errors(steps, errors, weights, sizes)
    if not width.any():
        return table
    relative, counts = errors / np.where(width > 0, width, 1.0), (weights > 0) & (width > 0)
    shape = _shape(relative[counts], weights[counts], levels, sizes.max())
    wider = widening(sizes, levels)  # [steps, levels]
    for level, column in enumerate(table.T):
        column[:] = np.interp(np.arange(horizon), steps, width * shape[level] * wider[:, level])
    return table


def independent_windows(windows: WindowIndex, length: int, decay: float = np.inf) -> float:
    """How many independent windows some windows stand for, if those of a series within `length` steps count as one.

    They count 1/e after `decay` steps (Kish 1965).
    """
    blocks, sizes = independent_by_block(windows[0], _age(windows) // max(length, 1))
    weights = np.exp(-blocks * length / decay)
    return float((weights * sizes).sum() ** 2 / np.maximum((weights**2 * sizes).sum(), 1e-300))


def independent_by_block(series: Integers, block: Integers) -> tuple[Integers, Numbers]:
    """Blocks of time, and how many independent windows each holds: n series are n / (1 + (n - 1) CORRELATION)."""
    count = int(series.max(initial=0)) + 1
    blocks, sizes = np.unique(np.unique(block * count + series) // count, return_counts=True)
    return blocks, sizes / (1 + (sizes - 1) * CORRELATION)


def _age(windows: WindowIndex) -> Integers:
    """[windows], steps between each window and the newest one of its series."""
    series, position = windows
    newest = np.full(int(series.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(newest, series, position)
    return np.asarray(newest[series] - position)


def _mean_errors(steps: Integers, errors: Numbers, weights: Numbers, sizes: Numbers) -> Numbers:
    """Mean absolute error at each step, [steps], pooled with near steps, and shrunk to a power of the step."""
    count, reach, absolute, total = len(steps), len(steps) // 10, np.abs(errors), weights.sum(0)
    # where series differ much, as in an outbreak, a few large errors must not decide how wide all intervals are
    usual = ((weights * np.sqrt(absolute)).sum(0) / np.where(total > 0, total, 1.0)) ** 2  # [steps]
    sums = np.stack([(weights * np.minimum(absolute, MAX_RATIO * usual)).sum(0), total])
    totals, row = np.concatenate([np.zeros((2, 1)), sums.cumsum(1)], 1), np.arange(count)
    near = totals[:, np.minimum(row + reach + 1, count)] - totals[:, np.maximum(row - reach, 0)]
    means = near[0] / np.where(near[1] > 0, near[1], 1.0)
    known = (means > 0) & (sizes > 0)
    if not known.any():
        return np.zeros(count)
    size = np.where(known, sizes, 0.0)
    regression_weight = size * (sizes.max() / size.sum())
    level, step = np.log(np.where(known, means, 1.0)), np.log(steps + 1.0)
    mean_level = (regression_weight * level).sum() / regression_weight.sum()
    mean_step = (regression_weight * step).sum() / regression_weight.sum()
    weighted = regression_weight * (step - mean_step)
    slope = ((weighted * (level - mean_level)).sum() + GROWTH) / (
        (weighted * (step - mean_step)).sum() + 1
    )
    curve = mean_level + slope * (step - mean_step)
    return np.asarray(np.exp((size * level + PRIOR_WEIGHT * curve) / (size + PRIOR_WEIGHT)))


def _shape(values: Numbers, weights: Numbers, levels: tuple[float, ...], size: float) -> Numbers:
    """Quantiles of errors, [levels], shrunk to symmetric ones: the few errors of a short past may lie on one side."""
    middle = levels.index(0.5)
    empirical = _weighted_quantiles(values, weights, levels)
    upper = _weighted_quantiles(
        np.abs(values), weights, tuple(2 * level - 1 for level in levels[middle + 1 :])
    )
    symmetric = np.concatenate([-upper[::-1], [0.0], upper])
    share = size / (size + SYMMETRIC_WEIGHT)
    shape = share * empirical + (1 - share) * symmetric
    shape = np.where(
        np.arange(len(levels)) < middle, np.minimum(shape, 0.0), np.maximum(shape, 0.0)
    )
    shape[middle] = 0.0
    return np.asarray(shape)


def _weighted_quantiles(values: Numbers, weights: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Quantiles of values that count by weights, [levels], linear between the middles of their weights."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    return np.asarray(np.interp(levels, (np.cumsum(weights) - weights / 2) / weights.sum(), values))
