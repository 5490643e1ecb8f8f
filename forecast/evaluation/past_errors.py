"""Quantiles of a baseline's future errors, from its errors on windows of the past.

Few windows say little, and the steps far ahead were seen by the fewest. So what all steps have in common is estimated
from all of them: the shape of the distribution, and how errors grow along the horizon. Where few independent windows
speak, quantiles widen as those of a t distribution do, since their scale is not known but estimated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Flags, Integers, Numbers

# Tuned on the half of the single series of `python -m benchmarks singles` that is for tuning, four times as many of
# them, with baselines alone. Memories of 3 to 8 horizons, growths of 0.3 to 0.75 and pulls of 1 to 4 are within 1 %.
MEMORY = 4.0  # horizons; an error that is so old counts 1/e
GROWTH = 0.5  # power of the step by which errors grow where nothing is known, that of a random walk
PULL = 1.0  # independent windows that the common curve of growth counts, beside those of a step
CORRELATION = 0.1  # of the errors of two series at the same time

ERROR_STEPS = 200  # steps of a longer horizon whose spread is computed; the others are interpolated


@dataclass(frozen=True)
class _Errors:
    """Errors at some steps of the horizon.

    Attributes
    ----------
    steps : [steps], from 0
    values : [windows, steps], in units of the scale of each window
    weights : [windows, steps], 0 where nothing counts
    sizes : [steps], independent windows
    """

    steps: Integers
    values: Numbers
    weights: Numbers
    sizes: Numbers


def error_quantiles(
    points: Numbers,
    actual: Numbers,
    observed: Flags,
    scale: Numbers,
    levels: tuple[float, ...],
    windows: tuple[Integers, Integers],
) -> Numbers:
    """Quantiles of a baseline's scaled errors by horizon step, [horizon, levels]; its median stays where it is.

    Parameters
    ----------
    points, actual, observed : [windows, horizon]
    scale : [windows]; windows of scale 0 do not count
    windows : the series of each, and the position in it at which its past ends, [windows] twice
    """
    horizon, middle = points.shape[1], levels.index(0.5)
    used = observed & (scale > 0)[:, None]
    table = np.zeros((horizon, len(levels)))
    if not used.any():
        return table
    scaled = np.where(used, (actual - points) / np.where(scale > 0, scale, 1.0)[:, None], 0.0)
    errors = _collected(scaled, used, windows)
    spread = _spread(errors)
    if not spread.any():
        return table
    relative = errors.values / np.where(spread > 0, spread, 1.0)
    counts = (errors.weights > 0) & (spread > 0)
    shape = _weighted_quantiles(relative[counts], errors.weights[counts], levels)
    shape = np.where(np.arange(len(levels)) < middle, np.minimum(shape, 0.0), np.maximum(shape, 0.0))
    shape[middle] = 0.0
    wider = widening(errors.sizes, levels)  # [steps, levels]
    for place, column in enumerate(table.T):
        column[:] = np.interp(np.arange(horizon), errors.steps, spread * shape[place] * wider[:, place])
    return table


def widening(sizes: Numbers, levels: tuple[float, ...]) -> Numbers:
    """By how much quantiles of a normal distribution move out where its scale comes from few values.

    Parameters
    ----------
    sizes : [...], independent values

    Returns
    -------
    [..., levels]
    """
    from scipy.special import ndtri, stdtrit  # quick to call, slow to import

    level = np.array(levels)
    tail = np.where(level == 0.5, 0.75, level)  # the median does not move
    factor = stdtrit(np.maximum(sizes, 1.0)[..., None] + 1, tail) / ndtri(tail)
    return np.asarray(np.where(level == 0.5, 1.0, factor))


def independent_windows(windows: tuple[Integers, Integers], length: int) -> float:
    """How many independent windows some windows stand for, if those of a series within `length` steps are one.

    Of those of different series at the same time, whose errors are correlated, n count n / (1 + (n - 1) CORRELATION).
    """
    series, age = windows[0], _age(windows)
    pairs = np.unique(np.stack([series, age // max(length, 1)], 1), axis=0)
    sizes = np.unique(pairs[:, 1], return_counts=True)[1]
    return float((sizes / (1 + (sizes - 1) * CORRELATION)).sum())


def _age(windows: tuple[Integers, Integers]) -> Integers:
    """[windows], steps between each window and the newest one of its series."""
    series, position = windows
    if not len(series):
        return position
    newest = np.full(int(series.max()) + 1, -1, np.int64)
    np.maximum.at(newest, series, position)
    return np.asarray(newest[series] - position)


def _collected(scaled: Numbers, used: Flags, windows: tuple[Integers, Integers]) -> _Errors:
    horizon = scaled.shape[1]
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, ERROR_STEPS)).astype(np.int64))
    weights = np.where(used, np.exp(-_age(windows) / (MEMORY * horizon))[:, None], 0.0)
    series, position = windows
    sizes = [independent_windows((series[used[:, step]], position[used[:, step]]), step + 1) for step in steps]
    return _Errors(steps, scaled[:, steps], weights[:, steps], np.array(sizes))


def _spread(errors: _Errors) -> Numbers:
    """Mean absolute error at each step, [steps]: its own, drawn to a power of the step that fits all of them.

    A step's own is pooled with those of its neighbours, a tenth of the horizon to each side.
    """
    count = len(errors.steps)
    reach = count // 10
    sums = np.stack([(errors.weights * np.abs(errors.values)).sum(0), errors.weights.sum(0)])
    totals = np.concatenate([np.zeros((2, 1)), sums.cumsum(1)], 1)
    place = np.arange(count)
    near = totals[:, np.minimum(place + reach + 1, count)] - totals[:, np.maximum(place - reach, 0)]
    own = near[0] / np.where(near[1] > 0, near[1], 1.0)
    known = (own > 0) & (errors.sizes > 0)
    if not known.any():
        return np.zeros(count)
    share = np.where(known, errors.sizes, 0.0)
    share *= errors.sizes.max() / share.sum()
    level, step = np.log(np.where(known, own, 1.0)), np.log(errors.steps + 1.0)
    mean_level, mean_step = (share * level).sum() / share.sum(), (share * step).sum() / share.sum()
    moved = share * (step - mean_step)
    slope = ((moved * (level - mean_level)).sum() + GROWTH) / ((moved * (step - mean_step)).sum() + 1)
    curve = mean_level + slope * (step - mean_step)
    size = np.where(known, errors.sizes, 0.0)
    return np.asarray(np.exp((size * level + PULL * curve) / (size + PULL)))


def _weighted_quantiles(values: Numbers, weights: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Quantiles of values that count by weights, [levels], linear between the middles of their weights."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    middles = (np.cumsum(weights) - weights / 2) / weights.sum()
    found: NDArray[np.float64] = np.interp(levels, middles, values)
    return found
