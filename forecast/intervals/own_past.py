"""What a window's own past says of how sure its forecast is; learns nothing from other windows.

Its recent mean and largest value, its roughness, the sizes of its changes, and whether it rests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from forecast.metrics.quantiles import divided
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.windows.inputs import Inputs
from forecast.windows.origins import pasts
from forecast.windows.windows import WindowIndex

STEPS = 1024  # that recent means look back: rare sales are few in fewer
AT_REST = 0.01  # distance from the median, in deviations, up to which a value is at rest
DECAY = 0.5  # share of the past after which a value counts 1/e: it may be half a year or eighty
MIN_PAIRS = 4  # values a season apart from which on their differences say how rough a window is
FEW_VALUES = 4  # fewer, or fewer than a season has, do not say how far others lie
PRIOR = 2.0  # seasons of changes of the same size at each step, before any is known
TINY = 1e-6  # mean square of the differences between steps, below which there are none
LEAST_ROUGH = 0.01  # of a window's scale, below which a window is not smoother


@dataclass(frozen=True)
class Recent:
    mean: Numbers  # [windows], newer values count more
    # [windows], 0 where less than half of the past lies at its median, to 1 for three quarters
    at_rest: Numbers

    @classmethod
    def of(cls, panel: Panel, windows: WindowIndex) -> Self:
        """Look back from windows of a panel, in the unit of its values."""
        steps = min(STEPS, _longest(panel))
        chunks = pasts(panel, windows, steps)
        recent = [_recent(past, observed) for past, observed in chunks]
        mean, at_rest = np.concatenate([np.zeros((2, 0)), *recent], 1)
        return cls(mean, at_rest)

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Of windows that do not count as at rest."""
        return cls(np.zeros(count), np.zeros(count))

    def shift(self, means: Numbers) -> Numbers:
        """The difference from means [windows, horizon] to the recent mean, as far as a series is at
        rest.
        """
        return self.at_rest[:, None] * (self.mean[:, None] - means)


@dataclass(frozen=True)
class Pasts:
    series: Integers  # [windows], by number from 1
    span: Integers  # [windows], a number of the series and the horizon of time
    count: int  # of series
    roughness: Numbers  # [windows], NaN where unknown
    recent: Recent
    limit: Numbers  # [windows], bound of the highest quantiles


def _recent(past: Numbers, observed: Flags) -> Numbers:
    """Recent mean and rest of pasts [windows, steps], [2, windows]."""
    steps = past.shape[1]
    oldest = np.maximum(steps - observed.argmax(1), 1)[:, None]
    age = np.arange(steps)[::-1]
    weight = observed * np.exp(-age / (DECAY * oldest))
    total = (weight * past).sum(1)
    mean = divided(total, weight.sum(1), 0.0)

    count = np.maximum(observed.sum(1, keepdims=True), 1)
    ordered = np.sort(np.where(observed, past, np.inf), 1)
    median = np.take_along_axis(ordered, (count - 1) // 2, 1)
    distance = np.abs(past - median)
    squares = np.where(observed, distance, 0.0) ** 2
    deviation = np.sqrt(squares.sum(1, keepdims=True) / count)
    resting = observed & (distance <= AT_REST * deviation)
    share = resting.sum(1) / count[:, 0]
    at_rest = np.clip(4 * share - 2, 0.0, 1.0)
    return np.stack([mean, at_rest])


def largest(panel: Panel, windows: WindowIndex, steps: int) -> Numbers:
    """[windows], the largest value in the newest steps of each past.

    Minus infinity where none was observed.
    """
    context = min(steps, _longest(panel))
    chunks = pasts(panel, windows, context)
    highest = [np.where(observed, past, -np.inf).max(1) for past, observed in chunks]
    return np.concatenate([np.zeros(0), *highest])


def has_few_values(inputs: Inputs, windows: WindowIndex) -> Flags:
    """[windows], whether so few values were observed in a past that equal ones do not say how far
    others lie.
    """
    series, position = windows
    first = inputs.panel.offsets[series]
    observed_before = np.append(0, np.cumsum(inputs.panel.observed))  # [slots + 1]
    count = observed_before[first + position] - observed_before[first]
    return np.asarray(count < max(FEW_VALUES, inputs.season))


def roughness(inputs: Inputs, windows: WindowIndex, scale: Numbers, lookback: int) -> Numbers:
    """[windows], the logarithm of the mean change over a season in units of `scale`.

    NaN of counts and constants.
    """
    lag = inputs.season if inputs.lags else max(1, inputs.horizon // 2)
    sums = [np.zeros((2, 0))]
    for changes, paired in _changes(inputs, windows, lookback, lag):
        sums.append(np.stack([changes.sum(1), paired.sum(1)]))
    total, count = np.concatenate(sums, 1)
    ratio = divided(divided(total, count, 0.0), scale, 0.0)
    rough = np.log(np.maximum(ratio, LEAST_ROUGH))
    known = (count >= MIN_PAIRS) & (scale > 0)
    known &= ~inputs.counts[windows[0]]
    return np.where(known, rough, np.nan)


def step_sizes(inputs: Inputs, windows: WindowIndex, context: int) -> Numbers:
    """[windows, horizon], how much values at each step of the season change from one to the next.

    About 1 on average.

    The fewer seasons a past of `context` steps has, the nearer it is to 1.
    """
    season = inputs.season
    seasons = context // season - 1
    if season == 1 or seasons < 1:
        return np.ones((len(windows[0]), inputs.horizon))
    sizes = [np.zeros((0, season))]
    for changes, paired in _changes(inputs, windows, seasons * season, season):
        total = changes.reshape(-1, seasons, season).sum(1)
        count = paired.reshape(-1, seasons, season).sum(1)
        mean = divided(total.sum(1), count.sum(1), 0.0)
        relative = divided(total, mean[:, None], count)
        sizes.append((relative + PRIOR) / (count + PRIOR))
    return np.concatenate(sizes)[:, np.arange(inputs.horizon) % season]


def step_share(errors: Numbers, sizes: Numbers) -> float:
    """How much absolute errors grow with the sizes of `step_sizes`, from 0 to 1, less what chance
    explains.

    Both are [windows, horizon]; NaN for no error.
    """
    used = np.isfinite(errors)
    error = np.abs(errors[used])
    excess = sizes[used] - 1
    if len(error) < MIN_PAIRS or excess.var() < TINY or not error.any():
        return 0.0
    windows = int(used.any(1).sum())  # the errors of one are alike
    slope, certainty = slope_beyond_chance(excess, error, windows)
    level = float(error.mean() - slope * excess.mean())
    growth = min(slope / level, 1.0) if level > 0 else 1.0
    return float(np.float32(certainty * growth))  # as it is stored


def slope_beyond_chance(x: Numbers, y: Numbers, freedom: int) -> tuple[float, float]:
    """The slope of `y` over `x`, and the share of it that chance does not explain.

    0 where it is not positive.
    """
    distance = x - x.mean()
    squares = max(float((distance**2).sum()), 1e-300)
    slope = float((distance * y).sum()) / squares
    rest = y - y.mean() - slope * distance
    chance = float((rest**2).sum()) / freedom / squares
    if slope <= 0 or slope**2 <= chance:
        return 0.0, 0.0
    return slope, 1 - chance / slope**2


def error_unit(scale: Numbers, sizes: Numbers, share: float) -> Numbers:
    """The unit of errors, [windows, horizon].

    The scale of a window, more where sizes are large, by a `step_share`.
    """
    return scale[:, None] * (1 + share * (sizes - 1))


def _changes(
    inputs: Inputs, windows: WindowIndex, steps: int, lag: int
) -> Iterator[tuple[Numbers, Flags]]:
    """How far values lie from those `lag` steps before, 0 where one is missing, and where none is.

    [windows, steps].
    """
    for past, observed in pasts(inputs.panel, windows, steps + lag):
        paired = observed[:, lag:] & observed[:, :-lag]
        changes = np.abs(past[:, lag:] - past[:, :-lag])
        yield changes * paired, paired


def _longest(panel: Panel) -> int:
    return int(panel.lengths.max(initial=1))
