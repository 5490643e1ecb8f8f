"""What a period has already when it is forecast: its observed cells, and forecasts of those that are missing."""

from dataclasses import dataclass

import numpy as np

from forecast.ensemble.joint_errors import JointErrors
from forecast.errors import UsageError
from forecast.evaluation.quantiles import bounded, standard_deviation
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor, fixed_of
from forecast.panel.panel import Flags, Integers, Numbers, Panel, series_index
from forecast.settings import OutputSettings
from forecast.totals.periods import Periods


@dataclass(frozen=True)
class Past:
    """The cells of the first period that lie before the forecast; numbers are [series of the panel] or [cells]."""

    periods: Periods
    observed: Numbers  # [series], their sum
    low: Numbers  # [series], lowest sum of the missing cells
    high: Numbers
    filled: Numbers  # [series], missing cells that were forecast earlier and are not among the cells below
    mean: Numbers  # [series], the sum of the means of these
    series: Integers  # [cells], missing cells
    step: Integers  # [cells], by how many steps each was forecast ahead, from 0
    quantiles: Numbers  # [cells, levels]
    means: Numbers  # [cells]

    def add_to(
        self,
        exact: np.ndarray,
        spread: Numbers,
        series: Integers,
        joint: JointErrors,
        index: Integers,
        levels: tuple[float, ...],
    ) -> None:
        """Add these cells to the first period of the sums of `series`, [series, periods, ...], see `sums`."""
        observed, before = self.observed[series], self.mean[series]
        exact[:, 0, 0] += observed + before
        exact[:, 0, 1] += observed
        exact[:, 0, 2] += self.filled[series]
        exact[:, 0, 3] += observed + self.low[series]
        exact[:, 0, 4] += observed + self.high[series]
        exact[:, 0, 5:] += (observed + before)[:, None]
        place = np.full(len(self.observed), -1)
        place[series] = np.arange(len(series))
        used = place[self.series] >= 0
        row, step, quantiles = place[self.series[used]], self.step[used], self.quantiles[used]
        if not len(row):
            return
        first = exact[:, 0]
        np.add.at(first[:, 0], row, self.means[used])
        np.add.at(first[:, 2], row, 1)
        np.add.at(first[:, 5:], row, quantiles)
        deviation = standard_deviation(quantiles, levels)
        errors, known = joint.at(index[row], joint.values.shape[2])
        own = np.arange(len(row)), step
        scaled, seen = errors[:, *own] * deviation, known[:, *own] * deviation**2
        parts = np.concatenate([scaled, seen, [(scaled**2).sum(0), deviation**2, deviation, deviation**2]])
        np.add.at(spread[:, 0], row, parts.T)


def past_of(
    predictor: Predictor, panel: Panel, periods: Periods, output: OutputSettings, before: Integers | None = None
) -> Past:
    """The cells of the first of some periods up to the origin of a panel, or up to position `before` of each series.

    A missing cell is forecast from the last value before the gap. Raises `UsageError` if the panel begins too late.
    """
    fitted, count = predictor.fitted, int(panel.origins.max()) + 1 - periods.first
    lengths = panel.lengths
    ends = lengths if before is None else np.minimum(before, lengths)
    starts = np.clip(lengths - count, 0, ends)
    total, missing = _observed(fitted, panel, starts, ends)
    none = np.zeros(len(panel))
    low, high, filled, mean = none.copy(), none.copy(), none.copy(), none.copy()
    if count > 0 and before is None and panel.spread is not None and (count > lengths).any():
        if fitted.to_date is None:
            problem = "this forecaster keeps too few values to say what the first period has already"
            raise UsageError(problem, cure="name the table, or fit again")
        known = series_index(fitted.history.ids, panel.ids) > 0
        stored = fitted.to_date.get(count, np.zeros((len(panel), 3)))
        total, filled, mean = total + np.where(known, stored[:, 0], 0), stored[:, 1], stored[:, 2]
    cells = _filled(predictor, panel, missing, output)
    series = cells[0]
    floor = panel.floor() if output.min is None else np.full(len(panel), output.min)
    np.add.at(low, series, floor[series])
    np.add.at(high, series, np.inf if output.max is None else output.max)
    return Past(periods, total, low, high, filled, mean, *cells)


def _observed(fitted: Fitted, panel: Panel, starts: Integers, ends: Integers) -> tuple[Numbers, Flags]:
    """[series], the sum of what was observed from some positions to others; [slots], what is missing there."""
    inside = panel.before(ends) & ~panel.before(starts)
    fixed = fixed_of(fitted, panel) if (inside & ~panel.observed).any() else None
    closed = np.zeros(len(inside), bool) if fixed is None else np.isfinite(fixed) & ~panel.observed
    values = np.where(panel.observed, panel.values, 0.0 if fixed is None else np.nan_to_num(fixed))
    values = np.where(inside & (panel.observed | closed), values, 0.0).astype(np.longdouble)
    total = np.add.reduceat(values, panel.offsets[:-1]).astype(np.float64)
    ended = np.repeat(panel.skipped, np.diff(panel.offsets))
    return total, inside & ~panel.observed & ~closed & ~ended


def _filled(
    predictor: Predictor, panel: Panel, missing: Flags, output: OutputSettings
) -> tuple[Integers, Integers, Numbers, Numbers]:
    """Series, step, quantiles and mean of each missing cell."""
    config, calibration = predictor.fitted.config, predictor.fitted.ensemble.calibration
    parts: list[tuple[Integers, Integers, Numbers, Numbers]] = []
    left, positions, floor = missing.copy(), panel.positions, panel.floor()
    left &= positions > 0  # nothing is known before the first value
    while left.any():
        slots = np.flatnonzero(left)
        series = panel.series_of_slots[slots]
        chosen, place = np.unique(series, return_index=True)
        first = positions[slots[place]]
        quantiles = bounded(predictor.quantiles(panel, chosen, first), output, floor[chosen])
        means = calibration.plain_means(quantiles, config.levels)
        row = np.searchsorted(chosen, series)
        step = positions[slots] - first[row]
        near = step < config.horizon
        row, step = row[near], step[near]
        parts.append((series[near], step, quantiles[row, step], means[row, step]))
        left[slots[near]] = False
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, len(config.levels))), np.zeros(0)
    series, step, quantiles, means = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    return series, step, quantiles, means
