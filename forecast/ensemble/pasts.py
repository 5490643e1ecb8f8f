"""What the past of windows was like: its recent mean, how much of it rests at one value, its largest value."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forecast.ensemble.baseline_forecasts import pasts
from forecast.panel.panel import Panel
from forecast.windows.windows import WindowIndex

Numbers = NDArray[np.float64]

STEPS = 1024  # that it looks back: rare sales are few in fewer
AT_REST = 0.01  # distance from the median, in deviations, up to which a value rests there
MEMORY = 0.5  # share of the past after which a value counts 1/e: half a year may be known, or eighty years


@dataclass(frozen=True)
class Recent:
    """Of each window.

    Attributes
    ----------
    mean : [windows], newer values count more
    rest : [windows], 0 where less than half of the past lies at its median, up to 1 where three quarters do
    """

    mean: Numbers
    rest: Numbers

    @classmethod
    def of(cls, panel: Panel, windows: WindowIndex) -> Self:
        """Look back from windows of a panel, in the unit of its values."""
        means, rests = [np.zeros(0)], [np.zeros(0)]
        for past, observed in pasts(panel, windows, min(STEPS, int(panel.lengths.max(initial=1)))):
            count = np.maximum(observed.sum(1), 1)
            age = np.arange(observed.shape[1])[::-1]
            reach = np.maximum(observed.shape[1] - observed.argmax(1), 1)[:, None]  # to the oldest value
            weight = np.where(observed, np.exp(-age / (MEMORY * reach)), 0.0)
            means.append((weight * past).sum(1) / np.maximum(weight.sum(1), 1e-300))
            ordered = np.sort(np.where(observed, past, np.inf), 1)
            off = past - np.take_along_axis(ordered, (count[:, None] - 1) // 2, 1)
            near = np.abs(off) <= AT_REST * np.sqrt((np.where(observed, off, 0.0) ** 2).sum(1) / count)[:, None]
            rests.append(np.clip(4 * (observed & near).sum(1) / count - 2, 0.0, 1.0))
        return cls(np.concatenate(means), np.concatenate(rests))

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Of windows that do not count as at rest."""
        return cls(np.zeros(count), np.zeros(count))

    def drawn(self, means: Numbers) -> Numbers:
        """How far the means [windows, horizon] of series at rest are moved to their recent mean, if all the way."""
        return self.rest[:, None] * (self.mean[:, None] - means)


@dataclass(frozen=True)
class Pasts:
    """What calibration asks of the past of windows.

    Attributes
    ----------
    series : [windows]
    roughness : [windows], NaN where unknown, see `roughness`
    recent : their means
    limit : [windows], bound of the highest quantiles
    """

    series: NDArray[np.int64]
    roughness: Numbers
    recent: Recent
    limit: Numbers

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Of windows of one series that are neither rough, at rest nor bounded."""
        return cls(np.zeros(count, np.int64), np.full(count, np.nan), Recent.unknown(count), np.full(count, np.inf))


def largest(panel: Panel, windows: WindowIndex, steps: int) -> Numbers:
    """[windows], the largest value in the newest steps of each past; minus infinity where none was observed."""
    found = [np.zeros(0)]
    for past, observed in pasts(panel, windows, min(steps, int(panel.lengths.max(initial=1)))):
        found.append(np.where(observed, past, -np.inf).max(1))
    return np.concatenate(found)
