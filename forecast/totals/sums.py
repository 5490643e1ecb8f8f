"""Add up forecasts over groups of series and over time, with intervals of the sums.

A large panel is added part by part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Message, Setting
from forecast.inference.forecasting import Columns, Forecasts, checked_horizon
from forecast.inference.predictor import Predictor
from forecast.intervals.interval_ends import apply_bounds, lower_bounds, unbounded_numbers
from forecast.intervals.joint_errors import (
    LEAST_WINDOWS,
    PAST_SHARE,
    JointErrors,
    sum_quantiles,
    variance_share,
)
from forecast.logs import log
from forecast.metrics.quantiles import divide, round_values, standard_deviation
from forecast.panel.hierarchy import Key, iterate_keys
from forecast.panel.panel import Flags, Integers, Numbers, Panel, series_index
from forecast.panel.schema import time_columns
from forecast.settings import Every, OutputSettings, SumSettings
from forecast.tables.writing import Column
from forecast.totals.past import PeriodPast, read_past
from forecast.totals.periods import Level, Periods, checked_levels, key_columns, whole_periods

LAST_YEAR = "last_year"  # blank where the past lacks values
# columns of a table of sums that a table of forecasts lacks
SUM_COLUMNS = ("mean", "observed", "filled", "steps", "calibrated", LAST_YEAR)
SERIES_AT_ONCE = 2048  # series that are added at once
MEAN_DIGITS = 12  # significant digits of means; later digits depend on the order of adding
# share of the mean; if the sum of medians differs from it by more, a message says so
SLIGHT = 5e-4


MEAN, OBSERVED, FILLED, LOW, HIGH, YEAR_BEFORE = range(6)
"""The columns of exact sums, in front of the quantiles."""
QUANTILES = 6  # the column of `exact` at which its quantiles begin
ADDED_BY = {
    "exact": np.add,  # [series, periods, QUANTILES + levels]
    "moments": np.add,  # [series, periods, 2 * windows + 4], see `compute_moments`
    "deviation": np.add,  # [series, horizon], standard deviations
    "is_count": np.logical_and,  # [series], whether all values are small whole numbers
    "ahead": np.logical_or,  # [series], whether something is forecast
    "has_year_before": np.logical_or,  # [series, periods], whether something was observed then
}
Summands = dict[str, np.ndarray]
"""Arrays by the names of `ADDED_BY`, of series or of groups of them."""


def compute_moments(errors: Numbers, known: Flags, deviation: Numbers, alone: Numbers) -> Numbers:
    """The moments of values, [..., 2 * windows + 4], which sums add up.

    `errors` [windows, ...] are past errors in standard deviations; `deviation` [...] is the
    standard deviation of each value, in its unit. The moments are the error in each window; the
    variance in each window in which the error is known, else 0; the sum of the squared errors; the
    variance; the standard deviation; and the variance of the sum of the steps of one series, which
    is `alone`.
    """
    scaled = errors * deviation
    variance = deviation**2
    squares = (scaled**2).sum(0)
    by_window = [*scaled, *(known * variance)]
    return np.stack([*by_window, squares, variance, deviation, alone], -1)


def of_one_value(moments: Numbers) -> Flags:
    """[...], by the moments of sums, whether only one summand of a sum is uncertain."""
    variance, deviation, _ = np.moveaxis(moments[..., -3:], -1, 0)
    return np.asarray(np.isclose(variance, deviation**2, rtol=1e-9))


@dataclass
class Groups:
    level: Level
    periods: Periods
    sums: Summands  # a row for each group
    keys: dict[Key, int] = field(default_factory=dict)

    def add(self, keys: Iterable[Key], rows: Summands) -> None:
        """Add the rows [series, ...] of series to the groups that their keys name."""
        numbers = [self.keys.setdefault(key, len(self.keys)) for key in keys]
        codes = np.array(numbers, np.int64)
        if not numbers:
            return
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        touched = codes[order][starts]
        for name, add in ADDED_BY.items():
            before = self.sums[name]
            shape = (len(self.keys), *before.shape[1:])
            sums = np.full(shape, add.identity, before.dtype)
            sums[: len(before)] = before
            added = add.reduceat(rows[name][order], starts, axis=0)
            sums[touched] = add(sums[touched], added)
            self.sums[name] = sums

    def number_groups(self) -> dict[Key, int]:
        """The keys of the groups of which something is forecast, with their numbers."""
        ahead = self.sums["ahead"]
        groups = sorted(self.keys.items())
        return {key: group for key, group in groups if ahead[group]}


def sum_columns(output: OutputSettings) -> list[str]:
    return ["forecast", "mean", *output.columns, *SUM_COLUMNS[1:]]


class Totals:
    """Sums of the forecasts of a fitted forecaster, to which a panel is added part by part.

    `joint` has the errors of all series at common origins of the past, from which the width of the
    intervals of sums is estimated.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: SumSettings,
        output: OutputSettings,
        horizon: int | None,
    ) -> None:
        self.predictor = predictor
        self.settings = settings
        self.output = output
        self.fitted = predictor.fitted
        self.schema = self.fitted.schema
        self.horizon = checked_horizon(horizon, self.fitted.config.horizon)
        self.sum_levels = checked_levels(settings, self.schema, sum_columns(output))
        shape = (0, len(self.fitted.history), self.fitted.config.horizon)
        self.joint = self.fitted.joint or JointErrors(np.zeros(shape, np.uint8), 1)
        self.groups: list[Groups] = []
        # by period: the horizon that would reach the end of the next period, which is left out
        self.left_out: dict[Every | None, int] = {}

    def add(self, forecasts: Forecasts) -> None:
        panel = forecasts.panel
        origin = panel.origin
        kinds = dict.fromkeys(level.every for level in self.sum_levels)
        pasts = {}
        whole = whole_periods(self.schema, origin, self.horizon, kinds)
        for every, periods in whole.items():
            if periods.next_horizon:
                self.left_out[every] = periods.next_horizon
            if len(periods):
                pasts[every] = read_past(self.predictor, panel, periods, every, self.output)
        if not self.groups:
            for level in self.sum_levels:
                if past := pasts.get(level.every):
                    nothing = self._start_empty(0, past)
                    self.groups.append(Groups(level, past.periods, nothing))

        index = series_index(self.fitted.history.ids, panel.ids)
        ended = np.flatnonzero(np.array(panel.status) == "ended")
        for every, past in pasts.items():
            for start in range(0, len(forecasts.series), SERIES_AT_ONCE):
                rows = slice(start, start + SERIES_AT_ONCE)
                series = forecasts.series[rows]
                summands = self._of_forecasts(forecasts, rows, past, index[series])
                self._add_past(summands, past, series, index)
                self._add_to_groups(every, panel, series, summands)
            if past.observed[ended].any() or past.has_year_before[ended].any():
                summands = self._start_empty(len(ended), past)
                self._add_past(summands, past, ended, index)
                self._add_to_groups(every, panel, ended, summands)

    def merge(self, other: Self) -> None:
        self.left_out |= other.left_out
        if not self.groups:
            self.groups = other.groups
            return
        for groups, others in zip(self.groups, other.groups, strict=False):
            groups.add(others.keys, others.sums)

    def _add_to_groups(
        self, every: Every | None, panel: Panel, series: Integers, summands: Summands
    ) -> None:
        for groups in self.groups:
            if groups.level.every == every:
                keys = iterate_keys(panel, self.schema, groups.level.by, series)
                groups.add(keys, summands)

    def _start_empty(self, count: int, past: PeriodPast) -> Summands:
        """Summands of `count` series before anything is added."""
        config = self.fitted.config
        shape = count, len(past.periods)
        return {
            "exact": np.zeros((*shape, QUANTILES + len(config.levels)), np.longdouble),
            "moments": np.zeros((*shape, 2 * len(self.joint.values) + 4)),
            "deviation": np.zeros((count, config.horizon)),
            "is_count": np.ones(count, bool),
            "ahead": np.zeros(count, bool),
            "has_year_before": np.zeros(shape, bool),
        }

    def _of_forecasts(
        self, forecasts: Forecasts, rows: slice, past: PeriodPast, index: Integers
    ) -> Summands:
        panel = forecasts.panel
        series = forecasts.series[rows]
        edges = past.periods.edges
        starts = edges[:-1]
        horizon = int(edges[-1])
        floor = panel.floor()[series]
        quantiles = apply_bounds(forecasts.shown[rows, :horizon], self.output, floor)
        means = apply_bounds(forecasts.means[rows, :horizon, None], self.output, floor)
        none = np.zeros_like(means)
        low = none + lower_bounds(self.output, floor)[:, None, None]
        ceiling = np.inf if self.output.max is None else self.output.max
        high = none + ceiling
        added = forecasts.changes  # by overrides
        change = none if added is None else added[rows, :horizon, None]
        means = means + change
        steps = np.concatenate([means, none, none, low, high, none, quantiles + change], -1)
        steps = steps.astype(np.longdouble)

        deviation = standard_deviation(quantiles, self.fitted.config.levels)
        errors, known = self.joint.at(index, horizon)
        moments = compute_moments(errors, known, deviation, none[..., 0])
        summands = self._start_empty(len(series), past)
        np.add.reduceat(steps, starts, 1, out=summands["exact"])
        np.add.reduceat(moments, starts, 1, out=summands["moments"])
        summands["moments"][..., -1] = self._variances(deviation, edges)
        summands["deviation"][:, :horizon] = deviation
        summands["is_count"] = panel.is_count()[series]
        summands["ahead"][:] = True
        return summands

    def _add_past(
        self, summands: Summands, past: PeriodPast, series: Integers, index: Integers
    ) -> None:
        """Add to the first period of some series what precedes the forecast.

        `index` has the numbers of all series of the panel among those of the fit.
        """
        first = summands["exact"][:, 0]
        first += past.observed[series][:, None]
        first[:, FILLED] = 0
        first[:, LOW] += past.low[series]
        first[:, HIGH] += past.high[series]
        summands["exact"][..., YEAR_BEFORE] = past.year_before[series]
        summands["has_year_before"][:] = past.has_year_before[series]
        row_of_series = np.full(len(index), -1)
        row_of_series[series] = np.arange(len(series))
        rows = row_of_series[past.missing.series]
        used = np.flatnonzero(rows >= 0)
        if not len(used):
            return
        rows = rows[used]
        steps = past.missing.step[used]
        quantiles = past.quantiles[used]
        np.add.at(first[:, MEAN], rows, past.means[used])
        np.add.at(first[:, FILLED], rows, 1)
        np.add.at(first[:, QUANTILES:], rows, quantiles)
        config = self.fitted.config
        deviation = standard_deviation(quantiles, config.levels)
        errors, known = self.joint.at(index[series[rows]], config.horizon)
        value = np.arange(len(rows))
        errors = errors[:, value, steps]
        known = known[:, value, steps]
        moments = compute_moments(errors, known, deviation, deviation**2)
        np.add.at(summands["moments"][:, 0], rows, moments)

    def _variances(self, deviation: Numbers, edges: Integers) -> Numbers:
        """The variance of the sum over each period, [rows, periods].

        `deviation` [rows, horizon] has the standard deviation of each step; `edges` are the steps
        at which periods begin and end. Errors of steps are correlated as in the past.
        """
        variances = np.zeros((len(deviation), len(edges) - 1))
        for period, (start, end) in enumerate(pairwise(edges)):
            steps = deviation[:, start:end]
            correlation = self.joint.step_correlation[start:end, start:end]
            variances[:, period] = (steps @ correlation * steps).sum(1)
        return variances

    @property
    def calibrated(self) -> bool:
        """Whether each interval rests on enough past errors, or is that of a single value."""
        if self.joint.independent_windows >= LEAST_WINDOWS:
            return True
        return all(of_one_value(groups.sums["moments"]).all() for groups in self.groups)

    def medians(self, groups: list[int]) -> np.ndarray:
        """The sums of the medians of the summands, [groups, periods].

        `groups` are numbers of groups of the first level of sums.
        """
        median = QUANTILES + self.fitted.config.levels.index(0.5)
        exact = self.groups[0].sums["exact"]
        return exact[groups, :, median]

    @property
    def times(self) -> Integers:
        """[rows of `columns`], the timestamp that names the period of each row."""
        times = []
        for groups in self.groups:
            count = len(groups.number_groups())
            times.append(np.tile(groups.periods.times, count))
        return np.concatenate(times)

    def columns(self, output: OutputSettings | None = None) -> Columns:
        """The table of sums, as columns, by default with the quantiles of the own output.

        These are the level of the sum, ids, time, forecast, mean, quantiles, and what the sum is
        made of.
        """
        output = output or self.output
        if not any(groups.keys for groups in self.groups):
            raise BadData("no series is left to forecast")
        labels = np.concatenate([self._labels(groups) for groups in self.groups])
        tables = [self.numbers(groups, output) for groups in self.groups]
        *numbers, observed, filled, steps, calibrated, last_year = np.concatenate(tables).T
        names = ("level", *key_columns(self.sum_levels, self.schema))
        columns: Columns = dict(zip(names, map(Column, labels.T), strict=True))
        columns |= time_columns(self.schema, self.times)
        shown = ("forecast", "mean", *output.columns)
        columns |= zip(shown, numbers, strict=True)
        return columns | {
            "observed": observed,
            "filled": filled.astype(np.int64),
            "steps": steps.astype(np.int64),
            "calibrated": calibrated.astype(bool),
            LAST_YEAR: last_year,
        }

    def _labels(self, groups: Groups) -> NDArray[np.object_]:
        """The level, ids and static columns of the sums of groups, [sums, columns]."""
        names = key_columns(self.sum_levels, self.schema)
        rows = []
        for key in groups.number_groups():
            texts = dict(zip(groups.level.by, key, strict=True))
            columns = [texts.get(name, "") for name in names]
            rows.append([groups.level.name, *columns])
        labels = np.array(rows, object).reshape(-1, 1 + len(names))
        return np.repeat(labels, len(groups.periods), 0)

    def numbers(self, groups: Groups, output: OutputSettings) -> Numbers:
        """The numbers of the sums of groups, [sums, columns].

        The columns are forecast, mean, quantiles, and those of `SUM_COLUMNS` from `observed` on.
        """
        edges = groups.periods.edges
        used = list(groups.number_groups().values())
        sums = {name: table[used] for name, table in groups.sums.items()}
        exact = sums["exact"].astype(np.float64)
        exact = exact.reshape(-1, exact.shape[2])
        mean = exact[:, MEAN]
        low = exact[:, LOW]
        high = exact[:, HIGH]
        quantiles, calibrated = self._quantiles(sums, edges, exact[:, QUANTILES:], mean)

        # each sum is clipped below to the summed bounds of its summands, not to those of the output
        unbounded = output.model_copy(update={"min": None, "max": None})
        counts = np.repeat(sums["is_count"], len(groups.periods))
        levels = self.fitted.config.levels
        numbers = unbounded_numbers(quantiles[:, None], levels, unbounded, counts, mean[:, None])
        no_floor = np.full(len(mean), -np.inf)
        numbers = apply_bounds(numbers, unbounded, no_floor)[:, 0]
        numbers = np.clip(numbers, low[:, None], high[:, None])
        mean = np.clip(significant(mean), low, high)
        point = mean if output.point == "mean" else numbers[:, 0]
        steps = np.tile(np.diff(edges), len(used))
        observed = significant(exact[:, OBSERVED])
        filled = exact[:, FILLED]
        last_year = significant(exact[:, YEAR_BEFORE])
        last_year[~sums["has_year_before"].ravel()] = np.nan
        forecast = (point, mean, *numbers[:, 1:].T)
        return np.stack([*forecast, observed, filled, steps, calibrated, last_year], 1)

    def _quantiles(
        self, sums: Summands, edges: Integers, quantiles: Numbers, mean: Numbers
    ) -> tuple[Numbers, Flags]:
        """The quantiles of sums of groups [sums, levels], and whether each is calibrated [sums].

        The variance of a sum lies between two extremes. If the errors of series were independent,
        it would be the sum of the variances of its series (`alone`). If they were perfectly
        correlated, it would be the variance of the summed deviations (`together`). The correlation
        of series in past errors (`common`) weighs the two.
        """
        joint = self.joint
        windows = len(joint.values)
        moments = sums["moments"].reshape(-1, 2 * windows + 4)
        single = of_one_value(moments)
        if not windows:  # too short a past: as if all errors were the same
            return quantiles, single
        errors, known = np.split(moments[:, : 2 * windows].T, 2)
        # see `compute_moments`; alone is the variance if the errors of series were independent
        squares, variance, deviation, alone = moments[:, 2 * windows :].T
        # the variance if the errors of series were perfectly correlated
        together = self._variances(sums["deviation"], edges).ravel()
        common = joint.series_correlation
        expected = common * together + (1 - common) * alone
        expected = divide(expected, deviation**2, expected)
        size = joint.independent_windows
        share = variance_share(errors, known, squares, variance, deviation, expected, size)
        share = np.where(single, 1.0, share)
        levels = self.fitted.config.levels
        return sum_quantiles(quantiles, mean, share, size, levels), single | self.calibrated


def significant(values: Numbers) -> Numbers:
    """Numbers rounded to the digits that do not depend on the order of adding."""
    return round_values(values, MEAN_DIGITS, -300)


def log_notes(totals: Totals) -> None:
    """Log what a reader of sums should know.

    That is which periods are left out, whether intervals are calibrated, and how far the sum of the
    medians is from the mean.
    """
    for every, needed in totals.left_out.items():
        log.info(
            "the last %s is left out, as the horizon of %d steps does not reach its end; %d would",
            every,
            totals.horizon,
            needed,
        )
    warn_of_sums(totals)
    groups = totals.groups[0]
    used = list(groups.number_groups().values())
    mean = groups.sums["exact"][used, :, MEAN].sum()
    change = totals.medians(used).sum() / mean - 1 if mean else 0.0
    if abs(change) > SLIGHT:
        text = "sums     of means, as medians do not add up: the sum of the medians is %.1f %% %s"
        log.info(text, abs(change) * 100, "lower" if change < 0 else "higher")


def warn_of_sums(totals: Totals) -> None:
    joint = totals.fitted.joint
    aggregate = totals.schema.aggregate
    if aggregate in ("mean", "last"):
        text = "the table was brought to its grid by the %s of its values, "
        text += "and sums of these are no totals; pass %s"
        log.warning(text, aggregate, Setting("aggregate", "sum"))
    if totals.calibrated:
        return
    text = "intervals of sums are not calibrated: "
    if joint is None or totals.fitted.config.plan.origins == 0:
        text += "this version does not know how errors go together; fit again%s"
        log.warning(
            text, "" if joint is None else (Message(" with a larger %s", (Setting("budget"),)))
        )
        return
    needed = int(LEAST_WINDOWS * joint.values.shape[2] / PAST_SHARE) + 1
    text += "they rest on %.1f windows of the past that do not overlap, and %d are needed; "
    text += "series of %d values have them"
    log.warning(text, joint.independent_windows, LEAST_WINDOWS, needed)
