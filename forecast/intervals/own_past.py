"""What a window's own past says of how certain its forecast is.

That is its recent mean and largest value, its roughness, the sizes of its changes, and whether it
is at rest. Nothing here is learned from other windows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from forecast.metrics.quantiles import divide
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.windows.inputs import Inputs
from forecast.windows.origins import pasts
from forecast.windows.windows import WindowIndex

MEAN_STEPS = 1024  # steps that recent means look back; fewer would hold too few of the rare sales
AT_REST = 0.01  # a value at most so many deviations from the median is at rest
# age, as a share of the past, at which a value counts 1/e: the past may be half a year or eighty
DECAY = 0.5
MIN_PAIRS = 4  # pairs of values a season apart that the roughness of a window needs, at least
# equal values say nothing of how far others lie if they are fewer than this, or than a season
FEW_VALUES = 4
PRIOR = 2.0  # prior: so many seasons in which the changes at all steps had the same size
LEAST_VARIANCE = 1e-6  # a variance of step sizes below this counts as none
LEAST_ROUGH = 0.01  # changes count as at least this share of a window's scale


@dataclass(frozen=True)
class Recent:
    """Recent means of windows, and how far their series are at rest."""

    mean: Numbers  # [windows], weighted mean of the past, in which newer values count more
    # [windows], how much of the past lies at its median: 0 for half of it or less, 1 for three
    # quarters or more; rare sales, most of which are 0, are at rest
    at_rest: Numbers
    median: Numbers  # [windows], of the past

    @classmethod
    def measure(cls, panel: Panel, windows: WindowIndex) -> Self:
        """From the pasts of windows of a panel, in the unit of its values."""
        steps = min(MEAN_STEPS, panel.longest)
        chunks = pasts(panel, windows, steps)
        recent = [_recent(past, observed) for past, observed in chunks]
        mean, at_rest, median = np.concatenate([np.zeros((3, 0)), *recent], 1)
        return cls(mean, at_rest, median)

    def adjust_to_rest(self, quantiles: Numbers) -> Numbers:
        """Quantiles [windows, horizon, levels] whose median is that of the past at rest.

        More than half of such a past equals its median.
        """
        middle = quantiles.shape[-1] // 2
        rest = np.broadcast_to(self.median[:, None, None], (*quantiles.shape[:2], 1))
        below = np.minimum(quantiles[..., :middle], rest)
        above = np.maximum(quantiles[..., middle + 1 :], rest)
        moved = np.concatenate([below, rest, above], -1)
        return np.where(self.at_rest[:, None, None] > 0, moved, quantiles)

    def shift(self, means: Numbers) -> Numbers:
        """The difference from means [windows, horizon] to the recent mean, times `at_rest`."""
        return self.at_rest[:, None] * (self.mean[:, None] - means)


@dataclass(frozen=True)
class Pasts:
    """What is known from the pasts of validation windows, for their calibration."""

    series: Integers  # [windows], indices of the series of the fit
    # [windows], the same number for windows of one series in the same block of time, a horizon long
    span: Integers
    count: int  # number of series
    roughness: Numbers  # [windows], see `roughness`; NaN where unknown
    sizes: Numbers  # [windows, horizon], see `step_sizes`
    recent: Recent
    limit: Numbers  # [windows, horizon], bound of the highest quantiles


def _recent(past: Numbers, observed: Flags) -> Numbers:
    """[3, windows], the recent mean, how far a window is at rest, and the median.

    They are from pasts [windows, steps].
    """
    steps = past.shape[1]
    oldest = np.maximum(steps - observed.argmax(1), 1)[:, None]
    age = np.arange(steps)[::-1]
    weight = observed * np.exp(-age / (DECAY * oldest))
    total = (weight * past).sum(1)
    mean = divide(total, weight.sum(1), 0.0)

    count = np.maximum(observed.sum(1, keepdims=True), 1)
    ordered = np.sort(np.where(observed, past, np.inf), 1)
    median = np.take_along_axis(ordered, (count - 1) // 2, 1)
    distance = np.abs(past - median)
    squares = np.where(observed, distance, 0.0) ** 2
    deviation = np.sqrt(squares.sum(1, keepdims=True) / count)
    resting = observed & (distance <= AT_REST * deviation)
    share = resting.sum(1) / count[:, 0]
    at_rest = np.clip(4 * share - 2, 0.0, 1.0)
    known_median = np.where(share > 0, median[:, 0], 0.0)
    return np.stack([mean, at_rest, known_median])


def largest(panel: Panel, windows: WindowIndex, steps: int) -> Numbers:
    """[windows], the largest value in the newest `steps` of each past.

    It is minus infinity where none was observed.
    """
    context = min(steps, panel.longest)
    chunks = pasts(panel, windows, context)
    highest = [np.where(observed, past, -np.inf).max(1) for past, observed in chunks]
    return np.concatenate([np.zeros(0), *highest])


def has_few_values(inputs: Inputs, windows: WindowIndex) -> Flags:
    """[windows], whether so few values were seen that equal ones do not show how far others lie."""
    series, position = windows
    first = inputs.panel.offsets[series]
    observed_before = np.append(0, np.cumsum(inputs.panel.observed))  # [slots + 1]
    count = observed_before[first + position] - observed_before[first]
    return np.asarray(count < max(FEW_VALUES, inputs.season))


def roughness(inputs: Inputs, windows: WindowIndex, scale: Numbers, lookback: int) -> Numbers:
    """[windows], the logarithm of the mean absolute change over a season, in units of `scale`.

    It is NaN for series of counts and for windows that are constant or too short.
    """
    lag = inputs.season if inputs.lags else max(1, inputs.horizon // 2)
    sums = [np.zeros((2, 0))]
    for changes, paired in _changes(inputs, windows, lookback, lag):
        sums.append(np.stack([changes.sum(1), paired.sum(1)]))
    total, count = np.concatenate(sums, 1)
    mean_change = divide(total, count, 0.0)
    ratio = divide(mean_change, scale, 0.0)
    rough = np.log(np.maximum(ratio, LEAST_ROUGH))
    known = count >= MIN_PAIRS
    known &= scale > 0
    known &= ~inputs.counts[windows[0]]
    return np.where(known, rough, np.nan)


def step_sizes(inputs: Inputs, windows: WindowIndex, context: int) -> Numbers:
    """[windows, horizon], relative size of the changes from one season to the next, by step.

    The sizes are about 1 on average. The fewer seasons a past of `context` steps has, the closer
    they are to 1.
    """
    season = inputs.season
    seasons = context // season - 1
    if season == 1 or seasons < 1:
        return np.ones((len(windows[0]), inputs.horizon))
    sizes = [np.zeros((0, season))]
    for changes, paired in _changes(inputs, windows, seasons * season, season):
        total = changes.reshape(-1, seasons, season).sum(1)
        count = paired.reshape(-1, seasons, season).sum(1)
        mean = divide(total.sum(1), count.sum(1), 0.0)
        relative = divide(total, mean[:, None], count)
        sizes.append((relative + PRIOR) / (count + PRIOR))
    return np.concatenate(sizes)[:, np.arange(inputs.horizon) % season]


def step_share(errors: Numbers, sizes: Numbers) -> float:
    """How strongly absolute errors grow with the sizes of `step_sizes`, from 0 to 1.

    At 0 errors do not depend on the sizes, and at 1 they are proportional to them. The part of the
    slope that chance explains is taken off. `errors` and `sizes` are [windows, horizon]; NaN means
    no error.
    """
    used = np.isfinite(errors)
    error = np.abs(errors[used])
    excess = sizes[used] - 1
    if len(error) < MIN_PAIRS or excess.var() < LEAST_VARIANCE or not error.any():
        return 0.0
    windows = int(used.any(1).sum())  # errors in one window are alike, and count as one
    slope, certainty = slope_beyond_chance(excess, error, windows)
    level = error.mean() - slope * excess.mean()
    growth = min(slope / level, 1.0) if level > 0 else 1.0
    return float(np.float32(certainty * growth))  # as it is stored


def slope_beyond_chance(x: Numbers, y: Numbers, freedom: int) -> tuple[float, float]:
    """The slope of `y` over `x`, and the share of it that chance does not explain.

    Both are 0 if the slope is not positive, or if chance explains all of it. `freedom` is the
    number of degrees of freedom.
    """
    distance = x - x.mean()
    squares = max((distance**2).sum(), 1e-300)
    slope = (distance * y).sum() / squares
    rest = y - y.mean() - slope * distance
    chance = (rest**2).sum() / freedom / squares
    if slope <= 0 or slope**2 <= chance:
        return 0.0, 0.0
    return slope, 1 - chance / slope**2


def error_unit(scale: Numbers, sizes: Numbers, share: float) -> Numbers:
    """The unit of errors, [windows, horizon].

    It is the scale of a window, larger at steps where `sizes` are large, by a `share`
    (`step_share`).
    """
    return scale[:, None] * (1 + share * (sizes - 1))


def _changes(
    inputs: Inputs, windows: WindowIndex, steps: int, lag: int
) -> Iterator[tuple[Numbers, Flags]]:
    """Absolute changes from `lag` steps before, 0 if a value is missing; and where both are there.

    Both are [windows, steps]; they come in chunks of windows.
    """
    for past, observed in pasts(inputs.panel, windows, steps + lag):
        paired = observed[:, lag:] & observed[:, :-lag]
        changes = np.abs(past[:, lag:] - past[:, :-lag])
        yield changes * paired, paired
