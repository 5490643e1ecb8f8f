"""What a period has already when it is forecast: its observed values, and forecasts of those that are missing."""

from dataclasses import dataclass

import numpy as np

from forecast.errors import UsageError
from forecast.events.closed import with_fixed
from forecast.inference.fitted import Filled
from forecast.inference.predictor import Predictor, fixed_of
from forecast.intervals.interval_ends import bounded, lower_bounds
from forecast.intervals.joint_errors import JointErrors
from forecast.metrics.quantiles import standard_deviation
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.settings import OutputSettings
from forecast.totals.periods import Periods

AT_ONCE = 1 << 22  # numbers of forecasts of missing values


@dataclass(frozen=True)
class Past:
    """The values of the first period that lie before the forecast; numbers are [series of the panel] or [values]."""

    periods: Periods
    observed: Numbers  # [series], their sum
    low: Numbers  # [series], lowest sum of the missing values
    high: Numbers
    series: Integers  # [values], missing values
    step: Integers  # [values], by how many steps each was forecast ahead, from 0
    quantiles: Numbers  # [values, levels]
    means: Numbers  # [values]

    def add_to(
        self,
        exact: np.ndarray,
        moments: Numbers,
        series: Integers,
        joint: JointErrors,
        index: Integers,
        levels: tuple[float, ...],
    ) -> None:
        """Add these values to the first period of the sums of `series`, [series, periods, ...], see `sums`."""
        observed = self.observed[series]
        exact[:, 0] += observed[:, None]
        exact[:, 0, 2] -= observed
        exact[:, 0, 3] += self.low[series]
        exact[:, 0, 4] += self.high[series]
        row_of = np.full(len(self.observed), -1)
        row_of[series] = np.arange(len(series))
        used = row_of[self.series] >= 0
        row, step, quantiles = row_of[self.series[used]], self.step[used], self.quantiles[used]
        if not len(row):
            return
        first = exact[:, 0]
        np.add.at(first[:, 0], row, self.means[used])
        np.add.at(first[:, 2], row, 1)
        np.add.at(first[:, 5:], row, quantiles)
        deviation = standard_deviation(quantiles, levels)
        errors, known = joint.at(index[row], joint.values.shape[2])
        at = np.arange(len(row)), step
        scaled, seen = errors[:, *at] * deviation, known[:, *at] * deviation**2
        parts = np.concatenate(
            [scaled, seen, [(scaled**2).sum(0), deviation**2, deviation, deviation**2]]
        )
        np.add.at(moments[:, 0], row, parts.T)


def past_of(predictor: Predictor, panel: Panel, periods: Periods, output: OutputSettings) -> Past:
    """The values of the first of some periods up to the origin of a panel."""
    fitted, count = predictor.fitted, int(panel.origins.max()) + 1 - periods.first
    total, missing = to_date(predictor, panel, count)
    floor, series = lower_bounds(output, panel.floor()), missing.series
    quantiles = bounded(missing.quantiles[:, None], output, floor[series])[:, 0]
    low, high = np.zeros((2, len(panel)))
    np.add.at(low, series, floor[series])
    np.add.at(high, series, np.inf if output.max is None else output.max)
    means = fitted.ensemble.calibration.quantile_means(quantiles, fitted.config.levels)
    return Past(periods, total, low, high, series, missing.step, quantiles, means)


def to_date(predictor: Predictor, panel: Panel, count: int) -> tuple[Numbers, Filled]:
    """The sum of the last `count` steps of a panel, [series], and its missing values, forecast from those before."""
    fitted, lengths, tail = predictor.fitted, panel.lengths, panel.spread is not None
    if tail and fitted.filled is not None and count in fitted.to_date:
        return fitted.to_date[count], fitted.filled.where(fitted.filled.age < count)
    if tail and (count > lengths).any():
        problem = "this forecaster keeps too few values to say what the first period has already"
        raise UsageError(problem, cure="name the table, or fit again")
    inside, newest = panel.before(lengths), ~panel.before(lengths - count)
    known = with_fixed(panel, fixed_of(fitted, panel) if (inside & ~panel.observed).any() else None)
    begun = inside & (panel.positions > 0)  # nothing is known before the first value
    missing = begun & ~known.observed & ~np.repeat(panel.skipped, np.diff(panel.offsets))
    values = np.where(known.observed & inside & newest, known.values, 0.0).astype(np.longdouble)
    total = np.add.reduceat(values, panel.offsets[:-1])
    return total.astype(np.float64), _filled(predictor, panel, missing, missing & newest)


def _filled(predictor: Predictor, panel: Panel, missing: Flags, chosen: Flags) -> Filled:
    config, slots = predictor.fitted.config, np.flatnonzero(chosen)
    positions, series = panel.positions, panel.series_of_slots[slots]
    begins = missing & ~np.concatenate([[False], missing[:-1] & (positions[1:] > 0)])
    ahead = slots - np.flatnonzero(begins)[np.cumsum(begins)[slots] - 1] if len(slots) else slots
    step = ahead % config.horizon  # a gap longer than the horizon is forecast piece by piece
    windows, row = np.unique(slots - step, return_inverse=True)
    quantiles = np.zeros((len(slots), len(config.levels)))
    at_once = max(1, AT_ONCE // (config.horizon * len(config.levels)))
    for start in range(0, len(windows), at_once):
        some, here = windows[start : start + at_once], (row >= start) & (row < start + at_once)
        found = predictor.quantiles(panel, panel.series_of_slots[some], positions[some])
        quantiles[here] = found[row[here] - start, step[here]]
    return Filled(series, panel.lengths[series] - 1 - positions[slots], step, quantiles)
