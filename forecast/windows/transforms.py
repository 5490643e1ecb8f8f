"""Transforms of the target, the same for all series of a panel, fitted once and undone exactly."""

from dataclasses import replace

import numpy as np

from forecast.errors import Setting, UsageError, Words
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.settings import TransformName

LEAST_SIGNED_POWER = 0.2  # towards 0 the signed power tears negative and positive values apart


def fit_power(name: TransformName, panel: Panel, season: int, before: Integers) -> float:
    """The exponent of the transform: 1 none, 0 the logarithm, between them Box-Cox.

    The exponent of `power` is the one at which spread depends least on level, over blocks of one season (Guerrero
    1993), averaged over the series. Later values only forbid a logarithm that they do not have.
    Slots of a series from `before` [series] on are held out. A UsageError where a logarithm meets a value not above 0.
    """
    if name == "none":
        return 1.0
    lowest = float(panel.values[panel.observed].min())
    if name == "log":
        if lowest <= 0:
            problem, cure = f"it needs values above zero, and the smallest is {lowest:g}", Setting("transform", "power")
            raise UsageError(problem, setting=Setting("transform", "log"), cure=Words("pass ", cure))
        return 0.0
    past = replace(panel, observed=panel.observed & panel.before(before))
    blocks = _blocks(past, max(2, season))
    if len(blocks[0]) < 2:
        return 1.0
    powers = np.linspace(0.0 if past.values[past.observed].min() > 0 else LEAST_SIGNED_POWER, 1.0, 21)
    power = float(powers[np.argmin([_unevenness(*blocks, power) for power in powers])])
    return power if lowest > 0 else max(power, LEAST_SIGNED_POWER)


def apply_power(values: Numbers, observed: Flags, power: float) -> Numbers:
    """Transform observed values, ``sign(x) |x|^power / power`` or the logarithm; the others become 0.

    A UsageError where the logarithm was fitted and a value is not above zero.
    """
    if power == 1.0:
        return values
    held = np.where(observed, values, 1.0)
    if power == 0.0 and (held <= 0).any():
        raise UsageError("this forecaster was fitted on logarithms, and the table holds values not above zero")
    moved = np.log(held) if power == 0.0 else np.sign(held) * np.abs(held) ** power / power
    return np.where(observed, moved, 0.0)


def transformed(panel: Panel, power: float) -> Panel:
    """A panel whose values are transformed, with their own spread; raises as `apply_power` does."""
    moved = replace(panel, values=apply_power(panel.values, panel.observed, power))
    return replace(moved, spread=moved.expanding_std())


def undo_power(values: Numbers, power: float) -> Numbers:
    """The inverse of `apply_power`; monotone, so that quantiles stay quantiles."""
    if power == 1.0:
        return values
    if power == 0.0:
        return np.exp(np.minimum(values, 88.0))  # 88: what float32 can hold
    return np.asarray(np.sign(values) * np.abs(values * power) ** (1 / power))


def _blocks(panel: Panel, size: int) -> tuple[Numbers, Numbers, Integers]:
    """Mean absolute value and deviation of each whole block of `size` observed values, and its series."""
    values = panel.values[panel.observed]
    counts = np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64)
    first = np.cumsum(counts) - counts
    rank = np.arange(len(values)) - np.repeat(first, counts)
    complete = rank < np.repeat(counts // size * size, counts)
    blocks = values[complete].reshape(-1, size)
    means, deviations = np.abs(blocks).mean(1), blocks.std(1)
    used = (means > 0) & (deviations > 0)
    return means[used], deviations[used], np.repeat(np.arange(len(panel)), counts // size)[used]


def _unevenness(means: Numbers, deviations: Numbers, series: Integers, power: float) -> float:
    """Coefficient of variation, over the blocks of a series, of the deviation that the transform leaves; averaged."""
    ratio, count = deviations / means ** (1 - power), np.maximum(np.bincount(series), 1)
    mean, square = np.bincount(series, ratio) / count, np.bincount(series, ratio**2) / count
    used = mean > 0
    return float(np.mean(np.sqrt(np.maximum(square[used] / mean[used] ** 2 - 1, 0))))
