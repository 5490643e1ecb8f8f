"""The past of windows, some at a time: its recent mean and largest value, its roughness, whether it rests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.windows.inputs import Inputs
from forecast.windows.origins import pasts
from forecast.windows.windows import WindowIndex

STEPS = 1024  # that recent means look back: rare sales are few in fewer
AT_REST = 0.01  # distance from the median, in deviations, up to which a value is at rest
DECAY = 0.5  # share of the past after which a value counts 1/e: half a year may be known, or eighty years
MIN_PAIRS = 4  # values a season apart from which on their differences say how rough a window is
FEW_VALUES = 4  # fewer, or fewer than a season has, do not say how far others lie
PRIOR = 2.0  # seasons of changes of the same size at each step, before any is known
TINY = 1e-6  # mean square of the differences between steps, below which there are none
LEAST_ROUGH = 0.01  # of a window's scale, below which a window is not smoother


@dataclass(frozen=True)
class Recent:
    mean: Numbers  # [windows], newer values count more
    at_rest: Numbers  # [windows], 0 where less than half of the past lies at its median, to 1 for three quarters

    @classmethod
    def of(cls, panel: Panel, windows: WindowIndex) -> Self:
        """Look back from windows of a panel, in the unit of its values."""
        means, at_rest = [np.zeros(0)], [np.zeros(0)]
        for past, observed in pasts(panel, windows, min(STEPS, int(panel.lengths.max(initial=1)))):
            count = np.maximum(observed.sum(1), 1)
            age = np.arange(observed.shape[1])[::-1]
            oldest = np.maximum(observed.shape[1] - observed.argmax(1), 1)[:, None]
            weight = np.where(observed, np.exp(-age / (DECAY * oldest)), 0.0)
            means.append((weight * past).sum(1) / np.maximum(weight.sum(1), 1e-300))
            ordered = np.sort(np.where(observed, past, np.inf), 1)
            off = past - np.take_along_axis(ordered, (count[:, None] - 1) // 2, 1)
            near = (
                np.abs(off)
                <= AT_REST * np.sqrt((np.where(observed, off, 0.0) ** 2).sum(1) / count)[:, None]
            )
            at_rest.append(np.clip(4 * (observed & near).sum(1) / count - 2, 0.0, 1.0))
        return cls(np.concatenate(means), np.concatenate(at_rest))

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Of windows that do not count as at rest."""
        return cls(np.zeros(count), np.zeros(count))

    def shift(self, means: Numbers) -> Numbers:
        """The difference from means [windows, horizon] to the recent mean, as far as a series is at rest."""
        return self.at_rest[:, None] * (self.mean[:, None] - means)


@dataclass(frozen=True)
class Pasts:
    series: Integers  # [windows], by number from 1
    span: Integers  # [windows], a number of the series and the horizon of time
    count: int  # of series
    roughness: Numbers  # [windows], NaN where unknown
    recent: Recent
    limit: Numbers  # [windows], bound of the highest quantiles


def largest(panel: Panel, windows: WindowIndex, steps: int) -> Numbers:
    """[windows], the largest value in the newest steps of each past; minus infinity where none was observed."""
    context = min(steps, int(panel.lengths.max(initial=1)))
    found = [
        np.where(observed, past, -np.inf).max(1)
        for past, observed in pasts(panel, windows, context)
    ]
    return np.concatenate([np.zeros(0), *found])


def has_few_values(inputs: Inputs, windows: WindowIndex) -> Flags:
    """[windows], whether so few values were observed in a past that equal ones do not say how far others lie."""
    (series, position), panel = windows, inputs.panel
    seen, first = np.append(0, np.cumsum(panel.observed)), panel.offsets[series]
    return np.asarray(
        seen[first + position] - seen[first] < max(FEW_VALUES, inputs.lags[0] if inputs.lags else 1)
    )


def roughness(inputs: Inputs, windows: WindowIndex, scale: Numbers, lookback: int) -> Numbers:
    """[windows], the logarithm of the mean change over a season in units of `scale`; NaN of counts and constants."""
    lag = inputs.lags[0] if inputs.lags else max(1, inputs.horizon // 2)
    pairs, totals = [np.zeros(0, np.int64)], [np.zeros(0)]
    for changes, paired in _changes(inputs, windows, lookback, lag):
        pairs.append(paired.sum(1))
        totals.append(changes.sum(1))
    count = np.concatenate(pairs)
    ratio = np.concatenate(totals) / np.maximum(count, 1) / np.where(scale > 0, scale, 1.0)
    known = (count >= MIN_PAIRS) & (scale > 0) & ~inputs.counts[windows[0]]
    return np.where(known, np.log(np.maximum(ratio, LEAST_ROUGH)), np.nan)


def step_sizes(inputs: Inputs, windows: WindowIndex, context: int) -> Numbers:
    """[windows, horizon], how much values at each step of the season change from one to the next; about 1 on average.

    The fewer seasons a past of `context` steps has, the nearer it is to 1.
    """
    season = inputs.lags[0] if inputs.lags else 1
    seasons, found = context // season - 1, [np.zeros((0, season))]
    if season == 1 or seasons < 1:
        return np.ones((len(windows[0]), inputs.horizon))
    for changes, paired in _changes(inputs, windows, seasons * season, season):
        total, count = (of.reshape(-1, seasons, season).sum(1) for of in (changes, paired))
        mean = total.sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True), 1)
        found.append(
            np.where(
                mean > 0, (total / np.where(mean > 0, mean, 1.0) + PRIOR) / (count + PRIOR), 1.0
            )
        )
    return np.concatenate(found)[:, np.arange(inputs.horizon) % season]


def step_share(errors: Numbers, sizes: Numbers) -> float:
    """How much absolute errors grow with the sizes of `step_sizes`, from 0 to 1, less what chance explains.

    Both are [windows, horizon]; NaN for no error.
    """
    used = np.isfinite(errors)
    error, apart = np.abs(errors[used]), sizes[used] - 1
    middle = float(apart.mean()) if len(apart) else 0.0
    apart = apart - middle
    squares = float((apart**2).sum())
    if len(error) < MIN_PAIRS or squares < TINY * len(error) or not error.any():
        return 0.0
    slope = float((apart * error).sum()) / squares
    rest, level = error - error.mean() - slope * apart, float(error.mean()) - slope * middle
    chance = float((rest**2).sum()) / squares / used.any(1).sum()  # errors of a window are alike
    if slope <= 0 or slope**2 <= chance:
        return 0.0
    return float(
        np.float32((1 - chance / slope**2) * (min(slope / level, 1.0) if level > 0 else 1.0))
    )


def error_unit(scale: Numbers, sizes: Numbers, share: float) -> Numbers:
    """The unit of errors, [windows, horizon]: the scale of a window, more where sizes are large, by a `step_share`."""
    return np.asarray(scale[:, None] * (1 + share * (sizes - 1)))


def _changes(
    inputs: Inputs, windows: WindowIndex, steps: int, lag: int
) -> Iterator[tuple[Numbers, Flags]]:
    """How far values lie from those `lag` steps before, 0 where one is missing, and where none is: [windows, steps]."""
    for past, observed in pasts(inputs.panel, windows, steps + lag):
        paired = observed[:, lag:] & observed[:, :-lag]
        yield np.where(paired, np.abs(past[:, lag:] - past[:, :-lag]), 0.0), paired
