"""Errors of all series at common origins, which show how much narrower a sum is than its summands.

They are computed after the fit. The origins are spread over the newest three quarters of the past.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.specs import Spec
from forecast.intervals.calibration import widen
from forecast.metrics.quantiles import (
    compute_width_factors,
    divide,
    normal_deviates,
    standard_deviation,
)
from forecast.panel.panel import Flags, Integers, Numbers

ERROR_STEP = 0.05  # resolution of stored errors, in standard deviations
UNKNOWN = 0  # stored for an unknown error
NO_ERROR = 128  # stored for an error of 0
# independent windows (an amount of evidence) from which on intervals of sums count as calibrated
LEAST_WINDOWS = 4.0
PAST_SHARE = 0.75  # share of the longest series' past that origins are spread over
MOST_SERIES = 1000  # series that correlations are estimated from


@dataclass(frozen=True)
class CorrelationPriors:
    """The correlations of errors that are expected before any error is seen.

    They were chosen on the past of seven panels, with few windows of it.
    """

    steps: float = 0.7  # correlation of the errors at neighbouring steps of the horizon
    series: float = 0.3  # correlation of the errors of two series
    windows: float = 5.0  # independent windows that weigh as much as these priors


CORRELATION_PRIORS = CorrelationPriors()


@dataclass(frozen=True)
class JointErrors:
    """Errors of forecasts at common origins, in standard deviations of each forecast."""

    # oldest window first: multiples of STEP, from NO_ERROR
    values: Annotated[NDArray[np.uint8], Spec("windows series horizon")]
    stride: Annotated[int, Spec(low=1)]  # steps between two origins

    @classmethod
    def estimate(cls, errors: Numbers, stride: int) -> "JointErrors":
        """From errors [windows, series, horizon], NaN where they are unknown."""
        steps = NO_ERROR + np.round(np.nan_to_num(errors) / ERROR_STEP)
        stored = np.clip(steps, UNKNOWN + 1, 255)
        stored[np.isnan(errors)] = UNKNOWN
        return cls(stored.astype(np.uint8), stride)

    def at(self, series_index: Integers, horizon: int) -> tuple[Numbers, Flags]:
        """Errors of some series, 0 where unknown, and whether each is known.

        Both are [windows, series, horizon]. `series_index` is -1 for one that was not in the
        fit.
        """
        stored = self.values[:, series_index, :horizon]
        known = stored != UNKNOWN
        known &= (series_index >= 0)[:, None]
        steps = stored.astype(np.float64) - NO_ERROR
        errors = steps * ERROR_STEP
        return np.where(known, errors, 0.0), known

    @property
    def independent_windows(self) -> float:
        """How many windows that do not overlap (an amount of evidence) these windows stand for."""
        windows, _, horizon = self.values.shape
        if not windows:
            return 0.0
        new_share = min(1.0, self.stride / horizon)  # of a window, beside the one before
        return float(1 + (windows - 1) * new_share)

    @property
    def data_weight(self) -> float:
        """The weight of what these windows say.

        The remaining weight is that of the correlations that errors usually have.
        """
        return weight_of_windows(self.independent_windows)

    @cached_property
    def _sample(self) -> tuple[Numbers, Flags]:
        """Errors of a sample of series, scaled to mean square 1 at each step, and which are
        known.
        """
        _, count, horizon = self.values.shape
        series = np.linspace(0, count - 1, min(count, MOST_SERIES)).astype(np.int64)
        errors, known = self.at(np.unique(series), horizon)
        count = np.maximum(known.sum((0, 1)), 1)  # [horizon]
        size = np.sqrt((errors**2).sum((0, 1)) / count)
        return divide(errors, size, errors), known

    @cached_property
    def step_correlation(self) -> Numbers:
        """The correlation of the errors of a series at two steps, [horizon, horizon].

        With few windows it is shrunk towards the usual correlation.
        """
        horizon = self.values.shape[2]
        errors, known = (values.reshape(-1, horizon) for values in self._sample)
        pairs = known.T.astype(np.float64) @ known
        products = errors.T @ errors
        seen = np.clip(products / np.maximum(pairs, 1), -1, 1)
        step = np.arange(horizon)
        distance = np.abs(step[:, None] - step)
        usual = CORRELATION_PRIORS.steps**distance
        weight = self.data_weight
        correlation = weight * seen + (1 - weight) * usual
        np.fill_diagonal(correlation, 1.0)
        return np.asarray(correlation)

    @cached_property
    def series_correlation(self) -> float:
        """The mean correlation of the errors of two series at the same step.

        With few windows it is shrunk towards the usual correlation.
        """
        errors, known = self._sample
        count = known.sum(1)
        pairs = (count * (count - 1)).sum()
        squares = (errors**2).sum(1)
        products = (errors.sum(1) ** 2 - squares).sum()
        seen = divide(products, pairs, 0.0)
        seen = np.clip(seen, 0, 1)
        weight = self.data_weight
        return float(weight * seen + (1 - weight) * CORRELATION_PRIORS.series)


def weight_of_windows(windows: float) -> float:
    """The weight of what independent windows say; it is close to 0 if they are few."""
    return windows**2 / (windows**2 + CORRELATION_PRIORS.windows**2)


def sum_quantiles(
    quantiles: Numbers, mean: Numbers, variance: Numbers, windows: float, levels: tuple[float, ...]
) -> Numbers:
    """Quantiles of sums, [sums, levels].

    `quantiles` [sums, levels] are the sums of the summands' quantiles, which would be right if all
    summands had the same error. `variance` [sums] is the true variance as a share of the variance
    in that case. The smaller it is, the closer the distribution comes to a normal one around `mean`
    [sums]. Quantiles widen if `windows`, the number of independent windows, is small.
    """
    center = mean[:, None]
    ratio = np.sqrt(np.clip(variance, 0.0, 1.0))[:, None]
    deviation = standard_deviation(quantiles, levels)[:, None]
    normal = deviation * normal_deviates(levels)
    distance = ratio * (quantiles - center) + (1 - ratio) * normal
    mixed = center + ratio * distance
    # a sum of one series (ratio 1) is not widened: its own interval is calibrated already
    certain = np.maximum((1 - ratio[:, 0]) ** 2, 1e-6)
    sizes = max(windows, 1.0) / certain
    return widen(mixed, compute_width_factors(sizes, levels))


def variance_share(
    errors: Numbers,
    known: Numbers,
    squares: Numbers,
    variance: Numbers,
    deviation: Numbers,
    expected: Numbers,
    windows: float,
) -> Numbers:
    """[sums], the variance of a sum as a share of that of a sum whose summands have the same error.

    Errors are in standard deviations of the forecasts. `errors` [windows, sums] are sums of errors,
    and `squares` [sums] are sums of their squares. `known` [windows, sums] are sums of the
    variances where errors are known. `variance` and `deviation` [sums] are sums over all variances
    and standard deviations. With few `windows` the share is shrunk towards an `expected` one.
    """
    summand = divide(squares, known.sum(0), 1.0)  # mean square of the errors of summands
    windows_known = divide(known, variance, known).sum(0)
    unit = np.where(deviation > 0, deviation, 1.0)
    alike = windows_known * summand * unit**2
    seen = divide((errors**2).sum(0), alike, expected)
    total = expected.sum()
    common = seen.sum() / total if total > 0 else 1.0
    weight = weight_of_windows(windows)
    return np.asarray(weight * seen + (1 - weight) * expected * common**weight)
