"""Add up forecasts over groups of series and over time, part by part of a panel, and say how sure the sums are."""

from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.inference.forecasting import Columns, Forecasts, checked_horizon
from forecast.inference.predictor import Predictor
from forecast.intervals.interval_ends import bounded, lower_bounds, unbounded_numbers
from forecast.intervals.joint_errors import (
    LEAST_WINDOWS,
    PAST_SHARE,
    JointErrors,
    sum_quantiles,
    variance_share,
)
from forecast.logs import log
from forecast.metrics.quantiles import rounded, standard_deviation
from forecast.panel.panel import Flags, Integers, Numbers, series_index
from forecast.panel.schema import time_columns
from forecast.settings import Every, OutputSettings, SumSettings
from forecast.tables.writing import Column, interval_columns
from forecast.totals.past import Past, past_of
from forecast.totals.periods import Key, checked_levels, key_columns, keys_of, whole_periods
from forecast.totals.summands import EXACT, Groups, Summands, moments_of, of_one_value

# of a table of sums, beside those of forecasts
COLUMNS = ("mean", "observed", "filled", "steps", "calibrated")
AT_ONCE = 2048  # series
DIGITS = 12  # of means: enough to add them up, and fewer than the order of adding changes
SLIGHT = 5e-4  # share of the mean by which the sum of medians may differ without a word
ROUNDS = 20  # in which what a bound keeps from some series goes to the others


def sum_columns(output: OutputSettings) -> list[str]:
    return ["forecast", "mean", *interval_columns(output.levels), *COLUMNS[1:]]


class Totals:
    """Sums of the forecasts of a fitted forecaster, to which a panel is added part by part."""

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
        self.schema = self.fitted.config.table
        self.horizon = checked_horizon(horizon, self.fitted.config.horizon)
        self.levels = checked_levels(settings, self.schema, sum_columns(output))
        no_errors = np.zeros((0, len(self.fitted.history), self.fitted.config.horizon), np.uint8)
        self.joint = self.fitted.joint or JointErrors(no_errors, 1)
        self.groups: list[Groups] = []
        # the horizon that the next period needs, where the last one is left out
        self.left_out: dict[Every | None, int] = {}

    def blank_copy(self) -> Self:
        return type(self)(self.predictor, self.settings, self.output, self.horizon)

    def add(self, forecasts: Forecasts) -> None:
        panel = forecasts.panel
        origin = int(panel.origins.max())
        kinds = dict.fromkeys(level.every for level in self.levels)
        pasts = dict[Every | None, Past]()
        for every, periods in whole_periods(self.schema, origin, self.horizon, kinds).items():
            if periods.next_horizon:
                self.left_out[every] = periods.next_horizon
            if len(periods):
                pasts[every] = past_of(self.predictor, panel, periods, self.output)
        if not self.groups:
            for level in self.levels:
                if past := pasts.get(level.every):
                    nothing = self._of_ended(past, np.zeros(0, int))
                    self.groups.append(Groups(level, past.periods, nothing))

        ended = np.flatnonzero(np.array(panel.status) == "ended")
        for every, past in pasts.items():
            for start in range(0, len(forecasts.series), AT_ONCE):
                rows = slice(start, start + AT_ONCE)
                summands = self._of_forecasts(forecasts, rows, past)
                self._add_to_groups(every, forecasts, forecasts.series[rows], summands)
            if len(ended) and past.observed.any():
                self._add_to_groups(every, forecasts, ended, self._of_ended(past, ended))

    def merge(self, other: Self) -> None:
        self.left_out |= other.left_out
        if not self.groups:
            self.groups = other.groups
            return
        for own, added in zip(self.groups, other.groups, strict=False):
            own.add(added.keys, added.sums)

    def _add_to_groups(
        self, every: Every | None, forecasts: Forecasts, series: Integers, rows: Summands
    ) -> None:
        for groups in self.groups:
            if groups.level.every == every:
                groups.add(keys_of(forecasts.panel, self.schema, series, groups.level.by), rows)

    def _of_forecasts(self, forecasts: Forecasts, rows: slice, past: Past) -> Summands:
        panel = forecasts.panel
        config = self.fitted.config
        series = forecasts.series[rows]
        edges = past.periods.edges
        horizon = int(edges[-1])
        floor = panel.floor()[series]
        quantiles = bounded(forecasts.shown[rows, :horizon], self.output, floor)
        means = bounded(forecasts.means[rows, :horizon, None], self.output, floor)

        none = np.zeros_like(means)
        low = none + lower_bounds(self.output, floor)[:, None, None]
        high = none + (np.inf if self.output.max is None else self.output.max)
        steps = np.concatenate([means, none, none, low, high, quantiles], -1)
        exact = np.add.reduceat(steps.astype(np.longdouble), edges[:-1], axis=1)

        index = series_index(self.fitted.history.ids, panel.ids)[series]
        deviation = standard_deviation(quantiles, config.levels)
        moments = moments_of(*self.joint.at(index, horizon), deviation, none[..., 0])
        moments = np.add.reduceat(moments, edges[:-1], axis=1)
        moments[..., -1] = self._variances(deviation, edges)
        past.add_to(exact, moments, series, self.joint, index, config.levels)
        return {
            "exact": exact,
            "moments": moments,
            "deviation": np.pad(deviation, ((0, 0), (0, config.horizon - horizon))),
            "counts": panel.counts()[series],
            "ahead": np.ones(len(series), bool),
        }

    def _of_ended(self, past: Past, ended: Integers) -> Summands:
        """What series that ended add: what was observed of them."""
        config = self.fitted.config
        shape = len(ended), len(past.periods)
        exact = np.zeros((*shape, len(EXACT) + len(config.levels)), np.longdouble)
        exact[:, 0] = past.observed[ended][:, None]
        exact[:, 0, EXACT.index("filled")] = 0
        return {
            "exact": exact,
            "moments": np.zeros((*shape, 2 * len(self.joint.values) + 4)),
            "deviation": np.zeros((len(ended), config.horizon)),
            "counts": np.ones(len(ended), bool),
            "ahead": np.zeros(len(ended), bool),
        }

    def _variances(self, deviation: Numbers, edges: Integers) -> Numbers:
        """Variances of the sums of steps between edges, [rows, periods], of deviations [rows, horizon]."""
        variances = np.zeros((len(deviation), len(edges) - 1))
        for period, (start, end) in enumerate(pairwise(edges)):
            steps = deviation[:, start:end]
            correlation = self.joint.step_correlation[start:end, start:end]
            variances[:, period] = (steps @ correlation * steps).sum(1)
        return variances

    @property
    def calibrated(self) -> bool:
        """Whether all intervals rest on enough errors of the past, or are those of a single value."""
        if self.joint.independent_windows >= LEAST_WINDOWS:
            return True
        return all(of_one_value(groups.sums["moments"]).all() for groups in self.groups)

    def medians(self, groups: list[int]) -> np.ndarray:
        """The sums of the medians of what is summed, of groups of the first level, [groups, periods]."""
        median = len(EXACT) + self.fitted.config.levels.index(0.5)
        return np.asarray(self.groups[0].sums["exact"][groups, :, median])

    @property
    def starts(self) -> Integers:
        """[rows of `columns`], timestamps at which the periods start."""
        times = [np.tile(groups.periods.times, len(groups.ordered())) for groups in self.groups]
        return np.concatenate(times)

    def columns(self, levels: tuple[float, ...] | None = None) -> Columns:
        """The table of sums: level, ids, time, forecast, mean, intervals of some levels, and what they rest on."""
        output = self.output
        if levels is not None:
            output = output.model_copy(update={"levels": levels})
        parts = [self._rows(groups, output) for groups in self.groups if groups.keys]
        if not parts:
            raise BadData("no series is left to forecast")
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def _rows(self, groups: Groups, output: OutputSettings) -> Columns:
        periods = groups.periods
        by = groups.level.by
        keys = groups.ordered()
        used = list(keys.values())
        sums = {name: table[used] for name, table in groups.sums.items()}
        exact = sums["exact"].reshape(-1, sums["exact"].shape[2]).astype(np.float64)
        mean, observed, filled, low, high = exact[:, : len(EXACT)].T
        quantiles, calibrated = self._quantiles(sums, periods.edges, exact[:, len(EXACT) :], mean)

        unbounded = output.model_copy(update={"min": None, "max": None})  # as the summands are
        numbers = unbounded_numbers(
            quantiles[:, None],
            self.fitted.config.levels,
            unbounded,
            np.repeat(sums["counts"], len(periods)),
            mean[:, None],
        )
        numbers = np.clip(bounded(numbers, unbounded)[:, 0], low[:, None], high[:, None])
        mean = np.clip(significant(mean), low, high)
        if output.point == "mean":
            numbers[:, 0] = mean

        columns: dict[str, Column | NDArray[Any]] = {
            "level": Column(np.full(len(mean), groups.level.name, object))
        }
        for name in key_columns(self.levels, self.schema):
            texts = [key[by.index(name)] if name in by else "" for key in keys]
            columns[name] = Column(np.repeat(np.array(texts, object), len(periods)))
        columns |= time_columns(self.schema, np.tile(periods.times, len(used)))
        columns |= {"forecast": numbers[:, 0], "mean": mean}
        columns |= zip(interval_columns(output.levels), numbers[:, 1:].T, strict=True)
        return columns | {
            "observed": significant(observed),
            "filled": filled.astype(np.int64),
            "steps": np.tile(np.diff(periods.edges), len(used)),
            "calibrated": calibrated,
        }

    def _quantiles(
        self, sums: Summands, edges: Integers, quantiles: Numbers, mean: Numbers
    ) -> tuple[Numbers, Flags]:
        """The quantiles of sums of groups [sums, levels], and which of them rest on enough windows."""
        joint = self.joint
        windows = len(joint.values)
        moments = sums["moments"].reshape(-1, 2 * windows + 4)
        single = of_one_value(moments)
        if not windows:  # an older version, or too short a past: as if all erred as one
            return quantiles, single
        errors, known = np.split(moments[:, : 2 * windows].T, 2)
        squares, variance, deviation, alone = moments[:, 2 * windows :].T
        together = self._variances(sums["deviation"], edges).ravel()
        expected = joint.series_correlation * together + (1 - joint.series_correlation) * alone
        expected = expected / np.where(deviation > 0, deviation, 1.0) ** 2
        size = joint.independent_windows
        share = variance_share(errors, known, squares, variance, deviation, expected, size)
        share = np.where(single, 1.0, share)
        levels = self.fitted.config.levels
        return sum_quantiles(quantiles, mean, share, size, levels), single | self.calibrated


def significant(values: Numbers) -> Numbers:
    """Numbers with as many digits as do not depend on the order in which they were added up."""
    return rounded(values, DIGITS, -300)


def _joined(parts: list[Column | np.ndarray]) -> Column | np.ndarray:
    first = parts[0]
    if not isinstance(first, Column):
        return np.concatenate([np.asarray(part) for part in parts])
    values = np.concatenate([part.values for part in parts if isinstance(part, Column)])
    return Column(values, first.unit, first.zone, first.period)


def log_notes(totals: Totals) -> None:
    """Log what a reader of sums should know: periods that are left out, intervals, and that medians do not add up."""
    for every, needed in totals.left_out.items():
        log.info(
            "the last %s is left out, as the horizon of %d steps does not reach its end; %d would",
            every,
            totals.horizon,
            needed,
        )
    warn_of_sums(totals)
    groups = totals.groups[0]
    used = list(groups.ordered().values())
    mean = groups.sums["exact"][used, :, 0].sum()
    if mean and abs(change := totals.medians(used).sum() / mean - 1) > SLIGHT:
        text = "sums     of means, as medians do not add up: the sum of the medians is %.1f %% %s"
        log.info(text, abs(change) * 100, "lower" if change < 0 else "higher")


def warn_of_sums(totals: Totals) -> None:
    joint = totals.fitted.joint
    aggregate = totals.schema.aggregate
    if aggregate in ("mean", "last"):
        text = "the table was brought to its grid by the %s of its values, and sums of these are no totals; pass %s"
        log.warning(text, aggregate, Setting("aggregate", "sum"))
    if totals.calibrated:
        return
    text = "intervals of sums are not calibrated: "
    if joint is None or totals.fitted.config.plan.origins == 0:
        text += "this version does not know how errors go together; fit again%s"
        log.warning(text, "" if joint is None else Words(" with a larger ", Setting("budget")))
        return
    needed = int(LEAST_WINDOWS * joint.values.shape[2] / PAST_SHARE) + 1
    text += "they rest on %.1f windows of the past that do not overlap, and %d are needed; "
    text += "series of %d values have them"
    log.warning(text, joint.independent_windows, LEAST_WINDOWS, needed)


def allocated(forecasts: Forecasts, totals: Totals) -> Columns:
    """A table of forecasts whose medians add up to the sums of the only level; intervals grow where they must.

    What a group has too little or too much in a period is shared among its series there by their medians, or by their
    means where all medians are 0. Values of the past, missing ones too, stay as they are.
    """
    groups = totals.groups[0]
    output = totals.output
    panel = forecasts.panel
    series = forecasts.series
    floor = lower_bounds(output, panel.floor()[series])
    ceiling = np.inf if output.max is None else output.max
    if output.integer:
        floor = np.ceil(floor)
        ceiling = np.floor(ceiling)

    keys = groups.ordered()
    sums = np.asarray(totals.columns()["forecast"]).reshape(len(keys), -1)
    gaps = (sums - totals.medians(list(keys.values()))).astype(np.float64)
    rows_of = dict[Key, list[int]]()
    for row, key in enumerate(keys_of(panel, totals.schema, series, groups.level.by)):
        rows_of.setdefault(key, []).append(row)

    before = np.asarray(forecasts.columns["forecast"])
    medians = before.astype(np.float64).reshape(len(series), -1)
    for key, gaps_of_key in zip(keys, gaps, strict=True):
        rows = np.array(rows_of[key])
        for gap, (start, end) in zip(gaps_of_key, pairwise(groups.periods.edges), strict=True):
            sizes = np.abs(medians[rows, start:end])
            if not sizes.any():
                sizes = np.abs(forecasts.means[rows, start:end])
            if not sizes.any():
                sizes = np.ones_like(sizes)
            moved = _moved(medians[rows, start:end], float(gap), sizes, floor[rows, None], ceiling)
            medians[rows, start:end] = _whole(moved) if output.integer else significant(moved)

    column = medians.ravel().astype(before.dtype)
    columns = forecasts.columns | {"forecast": column}
    for name in interval_columns(output.levels):
        further = np.minimum if name.startswith("lo") else np.maximum
        columns[name] = further(np.asarray(columns[name]), column)
    return columns


def _moved(values: Numbers, gap: float, sizes: Numbers, low: Numbers, high: float) -> Numbers:
    """Values that are larger by `gap` in all, each by its share of the sizes, within bounds."""
    for _ in range(ROUNDS):
        shares = np.where(values < high if gap > 0 else values > low, sizes, 0.0)
        if not shares.any():
            break
        nearer = np.clip(values + gap * shares / shares.sum(), low, high)
        gap -= float((nearer - values).sum())
        values = nearer
    return values


def _whole(values: Numbers) -> Numbers:
    """Whole numbers with the same sum: those with the largest remainders are the next ones above."""
    below = np.floor(values + 1e-9)
    left = round(float((values - below).sum()))
    order = np.argsort((below - values).ravel(), kind="stable")
    below.ravel()[order[:left]] += 1
    return below
