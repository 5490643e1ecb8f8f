"""The past of windows, some at a time: its recent mean and largest value, its roughness, whether it rests."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from forecast.evaluation.origins import pasts
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.windows.inputs import Inputs
from forecast.windows.windows import WindowIndex

STEPS = 1024  # that recent means look back: rare sales are few in fewer
AT_REST = 0.01  # distance from the median, in deviations, up to which a value is at rest
DECAY = 0.5  # share of the past after which a value counts 1/e: half a year may be known, or eighty years
MIN_PAIRS = 4  # values a season apart from which on their differences say how rough a window is
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
            near = np.abs(off) <= AT_REST * np.sqrt((np.where(observed, off, 0.0) ** 2).sum(1) / count)[:, None]
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
    found = [np.where(observed, past, -np.inf).max(1) for past, observed in pasts(panel, windows, context)]
    return np.concatenate([np.zeros(0), *found])


def roughness(inputs: Inputs, windows: WindowIndex, scale: Numbers, lookback: int) -> Numbers:
    """[windows], the logarithm of the mean change over a season in units of `scale`; NaN of counts and constants."""
    lag = inputs.lags[0] if inputs.lags else max(1, inputs.horizon // 2)
    pairs, changes = [np.zeros(0, np.int64)], [np.zeros(0)]
    for past, observed in pasts(inputs.panel, windows, lookback + lag):
        paired = observed[:, lag:] & observed[:, :-lag]
        pairs.append(paired.sum(1))
        changes.append(np.where(paired, np.abs(past[:, lag:] - past[:, :-lag]), 0.0).sum(1))
    count = np.concatenate(pairs)
    ratio = np.concatenate(changes) / np.maximum(count, 1) / np.where(scale > 0, scale, 1.0)
    known = (count >= MIN_PAIRS) & (scale > 0) & ~inputs.counts[windows[0]]
    return np.where(known, np.log(np.maximum(ratio, LEAST_ROUGH)), np.nan)
