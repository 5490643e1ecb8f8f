"""Add up forecasts over groups of series and over time, part by part of a panel, and say how sure the sums are."""

from collections.abc import Iterable
from dataclasses import dataclass, field
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
from forecast.totals.periods import (
    Key,
    Level,
    Periods,
    checked_levels,
    key_columns,
    keys_of,
    whole_periods,
)

COLUMNS = (
    "mean",
    "observed",
    "filled",
    "steps",
    "calibrated",
)  # of a table of sums, beside those of forecasts
AT_ONCE = 2048  # series
DIGITS = 12  # significant ones of means: enough to add them up, and less than what the order of adding changes
EXACT = ("mean", "observed", "filled", "low", "high")  # what is added up beside quantiles


# what series, or groups of them, add to their sums over some periods, and how it is added
ADDED_BY = {
    "exact": np.add,  # [series, periods, EXACT and quantiles]
    "moments": np.add,  # [series, periods, 2 * windows + 4], see `Totals._of_forecasts`
    "deviation": np.add,  # [series, horizon], standard deviations
    "counts": np.logical_and,  # [series], whether all values are counts
    "ahead": np.logical_or,  # [series], whether something is forecast
}
Summands = dict[str, np.ndarray]
SLIGHT = 5e-4  # share of the mean by which the sum of medians may differ without a word
ROUNDS = 20  # in which what a bound keeps from some series goes to the others


@dataclass
class Groups:
    level: Level
    periods: Periods
    sums: Summands  # of the groups, in the order of their keys
    keys: dict[Key, int] = field(default_factory=dict)

    def add(self, keys: Iterable[Key], rows: Summands) -> None:
        """Add rows [series, ...] to the groups of their keys."""
        codes = np.array([self.keys.setdefault(key, len(self.keys)) for key in keys], np.int64)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        at = codes[order][starts]
        for name, how in ADDED_BY.items() if len(codes) else ():
            grown = np.full((len(self.keys), *rows[name].shape[1:]), how.identity, rows[name].dtype)
            grown[: len(self.sums[name])] = self.sums[name]
            grown[at] = how(grown[at], how.reduceat(rows[name][order], starts, axis=0))
            self.sums[name] = grown

    def ordered(self) -> dict[Key, int]:
        """The groups of which something is forecast, by their keys, and their numbers."""
        return {key: group for key, group in sorted(self.keys.items()) if self.sums["ahead"][group]}


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
        self.predictor, self.settings, self.output = predictor, settings, output
        self.fitted, self.schema = predictor.fitted, predictor.fitted.config.table
        self.horizon = checked_horizon(horizon, self.fitted.config.horizon)
        self.levels = checked_levels(settings, self.schema, sum_columns(output))
        none = np.zeros((0, len(self.fitted.history), self.fitted.config.horizon), np.uint8)
        self.joint = self.fitted.joint or JointErrors(none, 1)
        self.groups: list[Groups] = []
        self.left_out: dict[
            Every | None, int | None
        ] = {}  # periods whose last one is, and the horizon that it needs

    def blank_copy(self) -> Self:
        return type(self)(self.predictor, self.settings, self.output, self.horizon)

    def add(self, forecasts: Forecasts) -> None:
        panel = forecasts.panel
        kinds = dict.fromkeys(level.every for level in self.levels)
        found = whole_periods(self.schema, int(panel.origins.max()), self.horizon, kinds)
        pasts = {
            every: past_of(self.predictor, panel, part, self.output)
            for every, part in found.items()
            if len(part)
        }
        if not self.groups:
            some = [(level, pasts[level.every]) for level in self.levels if level.every in pasts]
            self.groups = [
                Groups(level, past.periods, self._ended(past, np.zeros(0, int)))
                for level, past in some
            ]
        self.left_out |= {
            every: periods.next_horizon for every, periods in found.items() if periods.next_horizon
        }
        ended = np.flatnonzero(np.array(panel.status) == "ended")
        for every, past in pasts.items():
            for start in range(0, len(forecasts.series), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                self._put(
                    every,
                    forecasts,
                    forecasts.series[part],
                    self._of_forecasts(forecasts, part, past),
                )
            if len(ended) and past.observed.any():
                self._put(every, forecasts, ended, self._ended(past, ended))

    def merge(self, other: Self) -> None:
        self.left_out |= other.left_out
        for number, groups in enumerate(other.groups):
            if number == len(self.groups):
                self.groups.append(groups)
            else:
                self.groups[number].add(groups.keys, groups.sums)

    def _put(
        self, every: Every | None, forecasts: Forecasts, series: Integers, rows: Summands
    ) -> None:
        for groups in self.groups:
            if groups.level.every == every:
                groups.add(keys_of(forecasts.panel, self.schema, series, groups.level.by), rows)

    def _of_forecasts(self, forecasts: Forecasts, part: slice, past: Past) -> Summands:
        series, edges, levels = (
            forecasts.series[part],
            past.periods.edges,
            self.fitted.config.levels,
        )
        horizon = int(edges[-1])
        output, floor = self.output, forecasts.panel.floor()[series]
        quantiles = bounded(forecasts.shown[part, :horizon], output, floor)
        means = bounded(forecasts.means[part, :horizon, None], output, floor)[..., 0]
        deviation = standard_deviation(quantiles, levels)
        index = series_index(self.fitted.history.ids, forecasts.panel.ids)[series]
        errors, known = self.joint.at(index, horizon)
        low = np.broadcast_to(lower_bounds(output, floor)[:, None], means.shape)
        high = np.full(means.shape, np.inf if output.max is None else output.max)
        exact = np.concatenate(
            [np.stack([means, 0 * means, 0 * means, low, high], -1), quantiles], -1
        )
        variance = deviation**2
        scaled, seen = errors * deviation, known * variance
        moments = np.stack(
            [*scaled, *seen, (scaled**2).sum(0), variance, deviation, 0 * variance], -1
        )
        starts = edges[:-1]
        exact = np.add.reduceat(exact.astype(np.longdouble), starts, axis=1)
        moments = np.add.reduceat(moments, starts, axis=1)
        for period, (start, end) in enumerate(pairwise(edges)):
            within, steps = (
                deviation[:, start:end],
                self.joint.step_correlation[start:end, start:end],
            )
            moments[:, period, -1] = (within @ steps * within).sum(1)
        past.add_to(exact, moments, series, self.joint, index, levels)
        padded = np.zeros((len(series), self.fitted.config.horizon))
        padded[:, :horizon] = deviation
        parts = exact, moments, padded, forecasts.panel.counts()[series], np.ones(len(series), bool)
        return dict(zip(ADDED_BY, parts, strict=True))

    def _ended(self, past: Past, ended: Integers) -> Summands:
        """What series that ended add: what was observed of them."""
        config, shape = self.fitted.config, (len(ended), len(past.periods))
        exact = np.zeros((*shape, len(EXACT) + len(config.levels)), np.longdouble)
        exact[:, 0] = past.observed[ended][:, None]
        exact[:, 0, EXACT.index("filled")] = 0
        moments, never = (
            np.zeros((*shape, 2 * len(self.joint.values) + 4)),
            np.zeros(len(ended), bool),
        )
        parts = exact, moments, np.zeros((len(ended), config.horizon)), ~never, never
        return dict(zip(ADDED_BY, parts, strict=True))

    @property
    def calibrated(self) -> bool:
        """Whether all intervals rest on enough errors of the past, or are those of a single value."""
        enough = self.joint.independent_windows >= LEAST_WINDOWS
        return enough or all(_single(groups.sums["moments"]).all() for groups in self.groups)

    def medians(self, groups: list[int]) -> np.ndarray:
        """The sums of the medians of what is summed, of groups of the first level, [groups, periods]."""
        return np.asarray(
            self.groups[0].sums["exact"][
                groups, :, len(EXACT) + self.fitted.config.levels.index(0.5)
            ]
        )

    def gaps(self) -> dict[Key, Numbers]:
        """What the medians of the series lack of the sums of the first level, [periods] of each group."""
        groups = self.groups[0]
        keys, rows = groups.ordered(), self._rows(groups, self.output)
        sums = np.asarray(rows["forecast"]).reshape(len(keys), len(groups.periods))
        return dict(
            zip(keys, (sums - self.medians(list(keys.values()))).astype(np.float64), strict=True)
        )

    @property
    def starts(self) -> Integers:
        """[rows of `columns`], timestamps at which the periods start."""
        return np.concatenate(
            [np.tile(groups.periods.times, len(groups.ordered())) for groups in self.groups]
        )

    def columns(self, levels: tuple[float, ...] | None = None) -> Columns:
        """The table of sums: level, ids, time, forecast, mean, intervals of some levels, and what they rest on."""
        output = (
            self.output if levels is None else self.output.model_copy(update={"levels": levels})
        )
        parts = [self._rows(groups, output) for groups in self.groups if groups.keys]
        if not parts:
            raise BadData("no series is left to forecast")
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def _rows(self, groups: Groups, output: OutputSettings) -> Columns:
        periods, keys = groups.periods, groups.ordered()
        used = np.array(list(keys.values()), np.int64)
        sums = {name: table[used] for name, table in groups.sums.items()}
        exact = sums["exact"].reshape(-1, sums["exact"].shape[2]).astype(np.float64)
        mean, observed, filled, low, high = exact[:, : len(EXACT)].T
        quantiles, calibrated = self._quantiles(sums, periods.edges, exact[:, len(EXACT) :], mean)
        counts = np.repeat(sums["counts"], len(periods))
        output = output.model_copy(
            update={"min": None, "max": None}
        )  # bounds are those of the summands
        unbounded = unbounded_numbers(
            quantiles[:, None], self.fitted.config.levels, output, counts, mean[:, None]
        )
        numbers = np.clip(bounded(unbounded, output)[:, 0], low[:, None], high[:, None])
        mean = np.clip(significant(mean), low, high)
        if output.point == "mean":
            numbers[:, 0] = mean
        by, columns = groups.level.by, dict[str, Column | NDArray[Any]]()
        columns["level"] = Column(np.full(len(mean), groups.level.name, object))
        for name in key_columns(self.levels, self.schema):
            texts = [key[by.index(name)] if name in by else "" for key in keys]
            columns[name] = Column(np.repeat(np.array(texts, object), len(periods)))
        columns |= time_columns(self.schema, np.tile(periods.times, len(used)))
        shown = ["forecast", "mean", *interval_columns(output.levels)]
        columns |= dict(zip(shown, np.insert(numbers, 1, mean, axis=1).T, strict=True))
        columns |= {"observed": significant(observed), "filled": filled.astype(np.int64)}
        return columns | {
            "steps": np.tile(np.diff(periods.edges), len(used)),
            "calibrated": calibrated,
        }

    def _quantiles(
        self, sums: Summands, edges: Integers, quantiles: Numbers, mean: Numbers
    ) -> tuple[Numbers, Flags]:
        """The quantiles of sums of groups [sums, levels], and which of them rest on enough windows."""
        joint, windows, moments = self.joint, len(self.joint.values), sums["moments"]
        together, moments = np.zeros(moments.shape[:2]), moments.reshape(-1, moments.shape[2]).T
        squares, variance, deviation, alone = moments[2 * windows :]
        single = _single(moments.T)
        if (
            not windows
        ):  # an older version, or too short a past: as wide as if all summands were one
            return quantiles, single
        for period, (start, end) in enumerate(pairwise(edges)):
            part = sums["deviation"][:, start:end]
            together[:, period] = (part @ joint.step_correlation[start:end, start:end] * part).sum(
                1
            )
        expected = (
            joint.series_correlation * together.ravel() + (1 - joint.series_correlation) * alone
        )
        expected = expected / np.where(deviation > 0, deviation, 1.0) ** 2
        seen, independent = (
            (moments[:windows], moments[windows : 2 * windows], squares),
            joint.independent_windows,
        )
        share = np.where(
            single, 1.0, variance_share(*seen, variance, deviation, expected, independent)
        )
        found = sum_quantiles(quantiles, mean, share, independent, self.fitted.config.levels)
        return found, single | self.calibrated


def _single(moments: Numbers) -> Flags:
    """Which sums, by their moments [..., 2 * windows + 4], are of one value, the others being certain."""
    variance, deviation = moments[..., -3], moments[..., -2]
    return np.isclose(variance, deviation**2, rtol=1e-9)


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
        text = (
            "the last %s is left out, as the horizon of %d steps does not reach its end; %d would"
        )
        log.info(text, every, totals.horizon, needed)
    warn_of_sums(totals)
    groups = list(totals.groups[0].ordered().values())
    mean, medians = totals.groups[0].sums["exact"][groups, :, 0].sum(), totals.medians(groups).sum()
    if mean and abs(medians / mean - 1) > SLIGHT:
        text = "sums     of means, as medians do not add up: the sum of the medians is %.1f %% %s"
        log.info(text, abs(medians / mean - 1) * 100, "lower" if medians < mean else "higher")


def warn_of_sums(totals: Totals) -> None:
    joint, aggregate = totals.fitted.joint, totals.schema.aggregate
    if aggregate in ("mean", "last"):
        text = "the table was brought to its grid by the %s of its values, and sums of these are no totals; pass %s"
        log.warning(text, aggregate, Setting("aggregate", "sum"))
    if not totals.calibrated and (joint is None or totals.fitted.config.plan.origins == 0):
        text = "intervals of sums are not calibrated: this version does not know how errors go together; fit again"
        log.warning(
            "%s%s", text, "" if joint is None else Words(" with a larger ", Setting("budget"))
        )
    elif not totals.calibrated and joint is not None:
        needed = int(LEAST_WINDOWS * joint.values.shape[2] / PAST_SHARE) + 1
        text = "intervals of sums are not calibrated: they rest on %.1f windows of the past that do not overlap, and "
        text += "%d are needed; series of %d values have them"
        log.warning(text, joint.independent_windows, LEAST_WINDOWS, needed)


def allocated(forecasts: Forecasts, totals: Totals) -> Columns:
    """A table of forecasts whose medians add up to the sums of the only level; intervals grow where they must.

    What a group has too little or too much in a period is shared among its series there by their medians, or by their
    means where all medians are 0. Values of the past, missing ones too, stay as they are.
    """
    groups, output, panel, series = (
        totals.groups[0],
        totals.output,
        forecasts.panel,
        forecasts.series,
    )
    floor = lower_bounds(output, panel.floor()[series])
    high = np.inf if output.max is None else output.max
    if output.integer:
        floor, high = np.ceil(floor), np.floor(high)
    found = np.asarray(forecasts.columns["forecast"], np.float64).reshape(len(series), -1)
    rows: dict[Key, list[int]] = {}
    for row, key in enumerate(keys_of(panel, totals.schema, series, groups.level.by)):
        rows.setdefault(key, []).append(row)
    for key, gaps in totals.gaps().items():
        mine = np.array(rows[key])
        for gap, (start, end) in zip(gaps, pairwise(groups.periods.edges), strict=True):
            part, means = found[mine, start:end], np.abs(forecasts.means[mine, start:end])
            sizes = np.abs(part) if part.any() else means if means.any() else np.ones_like(means)
            part = _shared(part, float(gap), sizes, floor[mine, None], high)
            found[mine, start:end] = _whole(part) if output.integer else significant(part)
    medians = found.ravel().astype(np.asarray(forecasts.columns["forecast"]).dtype)
    columns = forecasts.columns | {"forecast": medians}
    for name in interval_columns(output.levels):
        further = np.minimum if name.startswith("lo") else np.maximum
        columns[name] = further(np.asarray(columns[name]), medians)
    return columns


def _shared(values: Numbers, gap: float, sizes: Numbers, low: Numbers, high: float) -> Numbers:
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
