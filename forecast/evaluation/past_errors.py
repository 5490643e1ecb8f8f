"""Quantiles of a baseline's future errors, from its errors on windows of the past.

Few windows say little, and the steps far ahead were seen by the fewest. So what all steps have in common is estimated
from all of them: the shape of the distribution, and how errors grow along the horizon. With few independent windows
quantiles widen as those of a t distribution do, since their scale is not known but estimated.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecast.panel.panel import Flags, Integers, Numbers

# Chosen on 558 fits without networks to the single series of `python -m benchmarks singles`, by coverage and MSIS.
# Growths of 0.5 and 0.75 and prior weights of 1 and 4 are within 1 %; without decay MSIS is 5 % worse, without the
# symmetric prior 3 %.
DECAY, MIN_DECAY = 4.0, 64.0  # horizons, and steps at least, after which an error counts 1/e
GROWTH = 0.5  # power of the step by which errors grow where nothing is known, that of a random walk
PRIOR_WEIGHT = 1.0  # independent windows that the common curve of growth counts, beside those of a step
MAX_RATIO = 8.0  # times the usual error at a step, the most that one window counts
SYMMETRIC_WEIGHT = 4.0  # independent windows that a symmetric distribution counts, beside those of the errors
CORRELATION = 0.1  # of the errors of two series at the same time; see weights.py

MAX_STEPS = 200  # of a longer horizon that are computed; the others are interpolated


@dataclass(frozen=True)
class _Errors:
    steps: Integers  # [steps], from 0
    values: Numbers  # [windows, steps], in units of the scale of each window
    weights: Numbers  # [windows, steps], 0 where nothing counts
    effective_windows: Numbers  # [steps], independent windows


def error_quantiles(
    points: Numbers,
    actual: Numbers,
    observed: Flags,
    scale: Numbers,
    levels: tuple[float, ...],
    windows: tuple[Integers, Integers],
) -> Numbers:
    """Quantiles of a baseline's scaled errors by horizon step, [horizon, levels]; its median stays where it is.

    Points, actual values and whether they are observed are [windows, horizon]; windows of scale 0, [windows], do not
    count. `windows` are the series of each window, and the position in it at which its past ends, [windows] twice.
    """
    used = observed & (scale > 0)[:, None]
    table = np.zeros((points.shape[1], len(levels)))
    if not used.any():
        return table
    scaled = np.where(used, (actual - points) / np.where(scale > 0, scale, 1.0)[:, None], 0.0)
    errors = _weighted(scaled, used, windows)
    width = _mean_errors(errors)
    if not width.any():
        return table
    relative = errors.values / np.where(width > 0, width, 1.0)
    counts = (errors.weights > 0) & (width > 0)
    shape = _shape(relative[counts], errors.weights[counts], levels, errors.effective_windows.max())
    wider = widening(errors.effective_windows, levels)  # [steps, levels]
    for place, column in enumerate(table.T):
        column[:] = np.interp(np.arange(len(table)), errors.steps, width * shape[place] * wider[:, place])
    return table


def widening(sizes: Numbers, levels: tuple[float, ...]) -> Numbers:
    """By how much normal quantiles move out where the scale comes from few independent values [...]: [..., levels]."""
    tail = [0.75 if level == 0.5 else level for level in levels]  # the median does not move
    z = np.array([NormalDist().inv_cdf(level) for level in tail])
    factor = _t_quantiles(z, np.maximum(sizes, 1.0)[..., None] + 1) / z
    return np.asarray(np.where(np.array(levels) == 0.5, 1.0, factor))


def _t_quantiles(z: Numbers, freedom: Numbers) -> Numbers:
    """Quantiles of t distributions from those of the normal one (Abramowitz and Stegun 1964, 26.7.5).

    They are within 0.3 % from four degrees of freedom on; with two, the one at 0.995 is 4 % too small.
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return np.asarray(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))


def independent_windows(windows: tuple[Integers, Integers], length: int, decay: float = np.inf) -> float:
    """How many independent windows some windows stand for, if those of a series within `length` steps count as one.

    Of those of different series at the same time, whose errors are correlated, n count n / (1 + (n - 1) CORRELATION).
    After `decay` steps a window counts 1/e; the number is then that of Kish for values with weights.
    """
    series, age = windows[0], _age(windows) // max(length, 1)
    blocks, sizes = np.unique(np.unique(np.stack([series, age], 1), axis=0)[:, 1], return_counts=True)
    weights, sizes = np.exp(-blocks * length / decay), sizes / (1 + (sizes - 1) * CORRELATION)
    return float((weights * sizes).sum() ** 2 / np.maximum((weights**2 * sizes).sum(), 1e-300))


def _age(windows: tuple[Integers, Integers]) -> Integers:
    """[windows], steps between each window and the newest one of its series."""
    series, position = windows
    newest = np.full(int(series.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(newest, series, position)
    return np.asarray(newest[series] - position)


def _weighted(scaled: Numbers, used: Flags, windows: tuple[Integers, Integers]) -> _Errors:
    (series, position), horizon = windows, scaled.shape[1]
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, MAX_STEPS)).astype(np.int64))
    decay = max(DECAY * horizon, MIN_DECAY)
    weights = np.where(used, np.exp(-_age(windows) / decay)[:, None], 0.0)
    sizes = [independent_windows((series[used[:, step]], position[used[:, step]]), step + 1, decay) for step in steps]
    return _Errors(steps, scaled[:, steps], weights[:, steps], np.array(sizes))


def _mean_errors(errors: _Errors) -> Numbers:
    """Mean absolute error at each step, [steps], shrunk to a power of the step that fits all of them.

    That of a step is pooled with its neighbours, a tenth of the horizon to each side.
    """
    count, reach = len(errors.steps), len(errors.steps) // 10
    sums = np.stack([(errors.weights * _clipped(errors)).sum(0), errors.weights.sum(0)])
    totals, place = np.concatenate([np.zeros((2, 1)), sums.cumsum(1)], 1), np.arange(count)
    near = totals[:, np.minimum(place + reach + 1, count)] - totals[:, np.maximum(place - reach, 0)]
    means = near[0] / np.where(near[1] > 0, near[1], 1.0)
    known = (means > 0) & (errors.effective_windows > 0)
    if not known.any():
        return np.zeros(count)
    size = np.where(known, errors.effective_windows, 0.0)
    regression_weight = size * (errors.effective_windows.max() / size.sum())
    level, step = np.log(np.where(known, means, 1.0)), np.log(errors.steps + 1.0)
    mean_level = (regression_weight * level).sum() / regression_weight.sum()
    mean_step = (regression_weight * step).sum() / regression_weight.sum()
    weighted = regression_weight * (step - mean_step)
    slope = ((weighted * (level - mean_level)).sum() + GROWTH) / ((weighted * (step - mean_step)).sum() + 1)
    curve = mean_level + slope * (step - mean_step)
    return np.asarray(np.exp((size * level + PRIOR_WEIGHT * curve) / (size + PRIOR_WEIGHT)))


def _clipped(errors: _Errors) -> Numbers:
    """Sizes of the errors, those far beyond what is usual at their step made smaller, [windows, steps].

    Where series differ much, as in an outbreak, a few of them must not decide how wide the intervals of all are.
    """
    absolute, total = np.abs(errors.values), errors.weights.sum(0)
    usual = ((errors.weights * np.sqrt(absolute)).sum(0) / np.where(total > 0, total, 1.0)) ** 2  # [steps]
    return np.asarray(np.minimum(absolute, MAX_RATIO * usual))


def _shape(values: Numbers, weights: Numbers, levels: tuple[float, ...], size: float) -> Numbers:
    """Quantiles of errors, [levels], shrunk to symmetric ones: the few errors of a short past may lie on one side."""
    middle = levels.index(0.5)
    empirical = _weighted_quantiles(values, weights, levels)
    upper = _weighted_quantiles(np.abs(values), weights, tuple(2 * level - 1 for level in levels[middle + 1 :]))
    symmetric = np.concatenate([-upper[::-1], [0.0], upper])
    share = size / (size + SYMMETRIC_WEIGHT)
    shape = share * empirical + (1 - share) * symmetric
    shape = np.where(np.arange(len(levels)) < middle, np.minimum(shape, 0.0), np.maximum(shape, 0.0))
    shape[middle] = 0.0
    return np.asarray(shape)


def _weighted_quantiles(values: Numbers, weights: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Quantiles of values that count by weights, [levels], linear between the middles of their weights."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    return np.asarray(np.interp(levels, (np.cumsum(weights) - weights / 2) / weights.sum(), values))
