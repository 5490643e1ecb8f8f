"""The part of a period before the origin: observed values, and forecasts of missing values."""

from dataclasses import dataclass

import numpy as np

from forecast.errors import UsageError
from forecast.inference.fitted import Filled
from forecast.inference.predictor import Predictor, fill_closed_values
from forecast.intervals.interval_ends import apply_bounds, lower_bounds
from forecast.panel.panel import Flags, Numbers, Panel
from forecast.settings import Every, OutputSettings
from forecast.totals.periods import Periods, find_year_before

MISSING_AT_ONCE = 1 << 22  # missing values are forecast in chunks of so many numbers


@dataclass(frozen=True)
class PeriodPast:
    """The values of the first period that precede the forecast.

    Arrays have an element for each series of the panel, or for each missing value.
    """

    periods: Periods
    observed: Numbers  # [series], the sum of the observed values
    low: Numbers  # [series], the lowest possible sum of the missing values
    high: Numbers
    missing: Filled
    quantiles: Numbers  # [values, levels], quantiles of the missing values, within bounds
    means: Numbers  # [values]
    year_before: Numbers  # [series, periods], observed sums; NaN where values are missing
    has_year_before: Flags  # [series, periods], whether a series had begun then


def read_past(
    predictor: Predictor,
    panel: Panel,
    periods: Periods,
    every: Every | None,
    output: OutputSettings,
) -> PeriodPast:
    """The values of the first period up to the origin of a panel, and of a year before."""
    fitted = predictor.fitted
    count = panel.origin + 1 - periods.first
    total, missing = to_date(predictor, panel, count)
    floor = lower_bounds(output, panel.floor())
    ceiling = np.inf if output.max is None else output.max
    floors = floor[missing.series]
    quantiles = apply_bounds(missing.quantiles[:, None], output, floors)[:, 0]
    means = fitted.ensemble.calibration.quantile_means(quantiles, fitted.config.levels)
    low = np.zeros(len(panel))
    high = np.zeros(len(panel))
    np.add.at(low, missing.series, floors)
    np.add.at(high, missing.series, ceiling)
    year_before, has_year_before = sum_year_before(predictor, panel, periods, every)
    return PeriodPast(
        periods,
        total,
        low,
        high,
        missing,
        quantiles,
        means,
        year_before,
        has_year_before,
    )


def sum_year_before(
    predictor: Predictor, panel: Panel, periods: Periods, every: Every | None
) -> tuple[Numbers, Flags]:
    """`Past.year_before` and `Past.has_year_before`.

    A series counts from its first to its last value. Nothing is known where a panel holds only the
    newest values of its series.
    """
    fitted = predictor.fitted
    none = np.zeros((len(panel), len(periods)), bool)
    if panel.spread is not None or fitted.schema.calendar.kind == "steps":
        return np.zeros(none.shape), none
    closed = fill_closed_values(fitted, panel)
    values = np.append(np.where(closed.observed, closed.values, np.nan), 0.0)
    begin, end = find_year_before(fitted.schema, periods, every)
    last = panel.lengths - panel.trailing_gap()
    begin, end = (np.clip(edge - panel.starts[:, None], 0, last[:, None]) for edge in (begin, end))
    slots = panel.first_slots[:, None, None] + np.stack([begin, end], -1)
    sums = np.add.reduceat(values, slots.ravel())[::2].reshape(none.shape)
    has_values = end > begin
    return np.where(has_values, sums, 0.0), has_values


def to_date(predictor: Predictor, panel: Panel, count: int) -> tuple[Numbers, Filled]:
    """The sum of the last `count` steps of a panel, [series], and forecasts of missing values.

    Missing values are forecast from the values before them, and are not part of the sum.
    """
    fitted = predictor.fitted
    lengths = panel.lengths
    if panel.spread is not None:  # the panel holds only the tails of the series of the fit
        begun = fitted.begun
        if begun is not None and count in begun.steps:
            is_later = begun.missing.age < count
            later = Filled(*(array[is_later] for array in vars(begun.missing).values()))
            return begun.sums[begun.steps == count][0], later
        if (count > lengths).any():
            problem = "this forecaster keeps too few values to say what the first period has"
            raise UsageError(f"{problem} already", cure="name the table, or fit again")
    inside = panel.before(lengths)
    newest = ~panel.before(lengths - count)
    gaps = (inside & ~panel.observed).any()
    closed = fill_closed_values(fitted, panel) if gaps else panel
    has_past = inside & (panel.positions > 0)  # the first value of a series has none before it
    skipped = np.repeat(panel.skipped, panel.sizes)
    missing = has_past & ~closed.observed & ~skipped
    values = np.where(closed.observed & inside & newest, closed.values, 0.0)
    values = values.astype(np.longdouble)
    total = np.add.reduceat(values, panel.first_slots)
    return total.astype(np.float64), _fill(predictor, panel, missing, missing & newest)


def _fill(predictor: Predictor, panel: Panel, missing: Flags, chosen: Flags) -> Filled:
    """Forecasts of the `chosen` ones of the missing slots, each from the values before its gap."""
    config = predictor.fitted.config
    slots = np.flatnonzero(chosen)
    series = panel.series_of_slots[slots]
    positions = panel.positions
    follows = missing[:-1] & (positions[1:] > 0)
    begins = missing & ~np.concatenate([[False], follows])
    gap_of_slot = np.cumsum(begins)[slots] - 1
    ahead = slots - np.append(np.flatnonzero(begins), 0)[gap_of_slot]
    step = ahead % config.horizon  # a gap longer than the horizon is forecast piece by piece
    windows, row = np.unique(slots - step, return_inverse=True)
    quantiles = np.zeros((len(slots), len(config.levels)))
    at_once = max(1, MISSING_AT_ONCE // (config.horizon * len(config.levels)))
    for start in range(0, len(windows), at_once):
        part = windows[start : start + at_once]
        here = (row >= start) & (row < start + at_once)
        forecasts = predictor.quantiles(panel, panel.series_of_slots[part], positions[part])
        quantiles[here] = forecasts[row[here] - start, step[here]]
    return Filled(series, panel.lengths[series] - 1 - positions[slots], step, quantiles)
