"""Errors of all series at common origins: how much narrower the distribution of a sum is than its summands'."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.intervals.calibration import widened
from forecast.metrics.quantiles import normal_deviates, standard_deviation, widening
from forecast.panel.panel import Flags, Integers, Numbers

STEP = 0.05  # standard deviations, in which errors are stored
NO_ERROR, UNKNOWN = 128, 0  # as they are stored
LEAST_WINDOWS = 4.0  # independent ones, from which on intervals of sums count as calibrated
PAST_SHARE = 0.75  # of the past of the longest series, that origins are spread over
# Chosen on the past of seven panels, with few windows of it: what is expected of errors beside what they show.
USUAL_OF_STEPS, USUAL_OF_SERIES = 0.7, 0.3  # correlations of neighbouring steps, and of two series
EVEN_WINDOWS = 5.0  # independent windows that say as much
MOST_SERIES = 1000  # that the correlation of steps is estimated from


@dataclass(frozen=True)
class JointErrors:
    """Errors of forecasts at common origins of the past, in standard deviations of each forecast."""

    values: NDArray[
        np.uint8
    ]  # [windows, series, horizon], oldest window first: multiples of STEP, from NO_ERROR
    stride: int  # steps between two origins

    @classmethod
    def of(cls, errors: Numbers, stride: int) -> "JointErrors":
        """From errors [windows, series, horizon], NaN where unknown."""
        steps = np.clip(NO_ERROR + np.round(np.nan_to_num(errors) / STEP), UNKNOWN + 1, 255)
        return cls(np.where(np.isnan(errors), UNKNOWN, steps).astype(np.uint8), stride)

    def at(self, series_index: Integers, horizon: int) -> tuple[Numbers, Flags]:
        """The errors of series, numbered from 1, 0 where unknown, and which are known; [windows, series, horizon]."""
        found = self.values[:, series_index - 1, :horizon]
        known = (found != UNKNOWN) & (series_index > 0)[:, None]
        return np.where(known, (found.astype(np.float64) - NO_ERROR) * STEP, 0.0), known

    @property
    def independent_windows(self) -> float:
        """How many windows that do not overlap these stand for."""
        windows, _, horizon = self.values.shape
        return 1 + (windows - 1) * min(1.0, self.stride / horizon) if windows else 0.0

    @property
    def data_weight(self) -> float:
        """The weight of what these windows say; the rest is that of what errors usually have in common."""
        return weight_of_windows(self.independent_windows)

    @cached_property
    def _known(self) -> tuple[Numbers, Flags]:
        """Errors of some series, of the same size at each step, and which are known."""
        count = self.values.shape[1]
        some = np.unique(np.linspace(0, count - 1, min(count, MOST_SERIES)).astype(np.int64))
        errors, known = self.at(some + 1, self.values.shape[2])
        size = np.sqrt((errors**2).sum((0, 1)) / np.maximum(known.sum((0, 1)), 1))
        return errors / np.where(size > 0, size, 1.0), known

    @cached_property
    def step_correlation(self) -> Numbers:
        """The correlation of the errors of a series at two steps, [horizon, horizon]; with few windows a usual one."""
        errors, known = (part.reshape(-1, part.shape[2]).astype(np.float64) for part in self._known)
        found = np.clip(errors.T @ errors / np.maximum(known.T @ known, 1), -1, 1)
        lag = np.abs(np.subtract.outer(np.arange(len(found)), np.arange(len(found))))
        correlation = self.data_weight * found + (1 - self.data_weight) * USUAL_OF_STEPS**lag
        np.fill_diagonal(correlation, 1.0)
        return np.asarray(correlation)

    @cached_property
    def series_correlation(self) -> float:
        """The mean correlation of the errors of two series at the same step; with few windows a usual one."""
        errors, known = self._known
        count = known.sum(1)
        pairs = (count * (count - 1)).sum()
        together = (errors.sum(1) ** 2 - (errors**2).sum(1)).sum()
        found = float(np.clip(together / pairs, 0, 1)) if pairs else 0.0
        return self.data_weight * found + (1 - self.data_weight) * USUAL_OF_SERIES


def weight_of_windows(windows: float) -> float:
    """The weight of what independent windows say; few of them hardly say anything."""
    return windows**2 / (windows**2 + EVEN_WINDOWS**2)


def sum_quantiles(
    quantiles: Numbers, mean: Numbers, variance: Numbers, windows: float, levels: tuple[float, ...]
) -> Numbers:
    """Quantiles of sums, [sums, levels], from sums of quantiles, which hold if all summands err alike.

    The smaller the share of that `variance` [sums], the nearer the distribution comes to a normal one around the mean
    [sums]. Quantiles widen where `windows`, independent ones, are few.
    """
    ratio = np.sqrt(np.clip(variance, 0.0, 1.0))[:, None]
    normal = standard_deviation(quantiles, levels)[:, None] * normal_deviates(levels)
    mixed = mean[:, None] + ratio * (ratio * (quantiles - mean[:, None]) + (1 - ratio) * normal)
    sizes = max(windows, 1.0) / np.maximum(
        (1 - ratio[:, 0]) ** 2, 1e-6
    )  # what is one is as wide as it is known to be
    return widened(mixed, widening(sizes, levels))


def variance_share(
    errors: Numbers,
    known: Numbers,
    squares: Numbers,
    variance: Numbers,
    deviation: Numbers,
    expected: Numbers,
    windows: float,
) -> Numbers:
    """The variance of each sum as a share of that of a sum whose summands err alike, [sums].

    `errors` [windows, sums] are sums of errors in standard deviations of the forecasts, `squares` [sums] those of their
    squares, `known` [windows, sums] those of the variances where errors are known, `variance` and `deviation` [sums]
    those of all. With few `windows` the share is shrunk to an `expected` one.
    """
    whole = np.where(deviation > 0, deviation, 1.0) ** 2
    seen = known.sum(0)
    size = np.where(
        seen > 0, squares / np.where(seen > 0, seen, 1.0), 1.0
    )  # mean square of the errors of summands
    weight = (known / np.where(variance > 0, variance, 1.0)).sum(0)
    found = (
        (errors**2).sum(0)
        / np.where(weight > 0, weight, 1.0)
        / np.where(size > 0, size, 1.0)
        / whole
    )
    found = np.where((weight > 0) & (size > 0), found, expected)
    data_weight = weight_of_windows(windows)
    common = found.sum() / expected.sum() if expected.sum() > 0 else 1.0
    return np.asarray(data_weight * found + (1 - data_weight) * expected * common**data_weight)
