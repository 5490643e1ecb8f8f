"""Factors by which intervals grow or shrink, learned from the errors of a job's earlier
forecasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from forecast.intervals.calibration import adapted_share
from forecast.metrics.quantiles import divide
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.settings import INTERVALS, interval_levels

CORRECTED_SHARES = (0.5, *(share for level in INTERVALS for share in interval_levels(level)))
"""The quantiles that runs publish and keep: the median and the ends of the 80 and 95 % intervals."""


@dataclass(frozen=True)
class CorrectionPriors:
    """How many errors it takes to change intervals, and how far they may change."""

    min_values: int = 40  # with fewer actual values the factors are 1
    min_times: int = 6  # the same for times that have actual values
    smallest_factor: float = 0.5
    largest_factor: float = 3.0
    other_versions: float = 0.25  # weight of an error that another version made
    largest_score: float = 100.0  # bound of scores; the score if an interval has no width


CORRECTION_PRIORS = CorrectionPriors()


@dataclass(frozen=True)
class RawIntervals:
    """Intervals as a version forecast them, before any correction."""

    series: Integers  # [rows], index in the panel; -1 for a series that it lacks
    raw: Numbers  # [rows, 5], quantiles at the levels SHARES

    @property
    def widths(self) -> Numbers:
        """The widths of the 80 and 95 % intervals, [rows, 2]."""
        return self.raw[:, [2, 4]] - self.raw[:, [1, 3]]


@dataclass(frozen=True)
class PastIntervals(RawIntervals):
    """Intervals of earlier runs, run after run, beside the actual values."""

    run: Integers  # [rows], index of `as_of`
    time: Integers  # [rows]
    actual: Numbers  # [rows], NaN where no value has been observed yet
    as_of: tuple[str, ...]  # the times of the runs, the oldest first


def interval_factors(
    past: PastIntervals, versions: Sequence[str | None], version: str, current: RawIntervals
) -> tuple[float, float]:
    """Factors of the 80 and 95 % intervals, from errors of earlier forecasts; 1 if there are few.

    This is adaptive conformal inference (Gibbs and Candes 2021): the target share moves with what
    each time missed, and the factor is the score that this share of the newest values stayed below.
    A score is the distance of a value from the median, divided by the distance of the interval's
    end on that side. Errors of other versions get less weight (Barber et al. 2023), and are
    measured in the widths that this version would have given. Intervals without width are neither
    changed nor learned from.

    `versions` [runs] made the past intervals, and `version` the current ones. A sample of the rows
    of a large run is enough, as the errors of one time are correlated.
    """
    is_known = np.isfinite(past.actual)
    if not is_known.any():
        return 1.0, 1.0
    ratios = _width_ratios(past, [*versions, version], current)
    is_version = np.array([other == version for other in versions], bool)  # [runs]
    of_version = is_version[past.run]
    factors = []
    for number, level in enumerate(INTERVALS):
        scores = _scores(past, number) / ratios[:, number]
        usable = is_known & (past.widths[:, number] > 0)
        factor = _factor(scores[usable], past.time[usable], of_version[usable], level / 100)
        factors.append(factor)
    return factors[0], factors[1]


def factors_of_levels(factors: tuple[float, float], levels: Sequence[float]) -> Numbers:
    """The factor of each quantile level, [levels].

    Quantile levels within the 80 % interval have its factor, and those outside have that of the 95
    % interval.
    """
    inner, outer = factors
    edge = interval_levels(INTERVALS[0])[0] - 1e-9
    return np.array([inner if edge <= level <= 1 - edge else outer for level in levels])


def _scores(past: PastIntervals, number: int) -> Numbers:
    """[rows], the distance of each value from its median over that of the interval's end."""
    median = past.raw[:, 0]
    low = past.raw[:, 1 + 2 * number]
    high = past.raw[:, 2 + 2 * number]
    error = np.abs(past.actual - median)
    half_width = np.where(past.actual >= median, high - median, median - low)
    ratio = divide(error, half_width, CORRECTION_PRIORS.largest_score)
    return np.where(error == 0, 0.0, np.minimum(ratio, CORRECTION_PRIORS.largest_score))


def _factor(scores: Numbers, times: Integers, of_version: Flags, share: float) -> float:
    """The factor of an interval that is to hold a `share` of values, from scores [values]."""
    counts = np.unique(times, return_counts=True)[1]
    if len(scores) < CORRECTION_PRIORS.min_values or len(counts) < CORRECTION_PRIORS.min_times:
        return 1.0
    by_time = np.full((len(counts), counts.max()), np.nan)  # [times, most values of a time]
    filled = np.arange(by_time.shape[1]) < counts[:, None]
    by_time[filled] = scores[np.argsort(times, kind="stable")]
    share = adapted_share(by_time, np.isfinite(by_time), share)

    order = np.argsort(scores)
    other_weight = CORRECTION_PRIORS.other_versions if of_version.any() else 1.0
    weight = np.where(of_version, 1.0, other_weight)
    below = np.cumsum(weight[order])
    total = below[-1] + 1  # a new value, of weight 1, counts as above all of them
    rank = int(np.searchsorted(below, share * total))
    rank = min(rank, len(scores) - 1)
    factor = scores[order[rank]]
    return float(
        np.clip(factor, CORRECTION_PRIORS.smallest_factor, CORRECTION_PRIORS.largest_factor)
    )


def _width_ratios(
    past: PastIntervals, versions: Sequence[str | None], current: RawIntervals
) -> Numbers:
    """[rows, 2], widths that the current version would have given past intervals over their own.

    Where the version changes from one run to the next, the ratio of their mean widths shows by how
    much the versions differ. `versions` [runs + 1] ends with the current one.
    """
    ratios = np.ones((len(past.raw), 2))
    changes = np.array([before != after for before, after in pairwise(versions)], bool)
    if not changes.any():
        return ratios
    shared = np.isin(current.series, past.series)
    series = np.concatenate([past.series, current.series[shared]])
    current_run = np.full(shared.sum(), len(versions) - 1)
    run = np.concatenate([past.run, current_run])
    widths = np.concatenate([past.widths, current.widths[shared]])
    names, index = np.unique(series, return_inverse=True)
    cell = run * len(names) + index
    past_index = index[: len(past.raw)]
    shape = (len(versions), len(names))
    cells = np.prod(shape)
    for number in range(2):
        width = widths[:, number]
        total = np.bincount(cell, width, cells).reshape(shape)
        count = np.bincount(cell, width > 0, cells).reshape(shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_means = np.log(total / count)
            steps = np.diff(log_means, axis=0) * changes[:, None]  # [runs, series]
        for step in steps:
            known = np.isfinite(step)
            step[~known] = np.median(step[known]) if known.any() else 0.0
        until_now = steps[::-1].cumsum(0)[::-1]
        ratios[:, number] = np.exp(until_now[past.run, past_index])
    return ratios
