"""Make a panel ready for networks and baselines: covariates standardised, target transformed, windows indexed."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.errors import Setting, UsageError, Words
from forecast.events.effects import Adjustment, Effects, adjusted_panel
from forecast.events.kinds import stand_ins, touched
from forecast.panel.panel import (
    Flags,
    Floats,
    Ids,
    Integers,
    Numbers,
    Panel,
    series_index,
    steps_within,
)
from forecast.panel.schema import Names, Schema, calendar_of
from forecast.settings import ScalingName, Stored, TransformName
from forecast.windows.scaling import column_statistics
from forecast.windows.windows import Columns, WindowIndex, Windows

Pairs = tuple[tuple[float, float], ...]
LEAST_SIGNED_POWER = 0.2  # towards 0 the signed power tears negative and positive values apart


class Statistics(Stored):
    """Mean and deviation of each numeric covariate, in the order of the panel's columns; codes have (0, 1)."""

    known: Pairs = ()
    past: Pairs = ()
    static: Pairs = ()


def fit_statistics(panel: Panel, schema: Schema, before: Integers) -> Statistics:
    """Statistics over the slots of each series before `before` [series]: nothing held out, nothing of the future."""
    used, known = panel.before(before), panel.known
    if panel.vintages is not None:  # as it was known then
        known = panel.vintages.at(
            known, np.repeat(panel.starts + before - 1, np.diff(panel.offsets))
        )

    def of(values: Numbers, names: Names) -> Pairs:
        columns = zip(names, values.T, strict=True)
        numbers = (
            column if name not in schema.categories else column[:0] for name, column in columns
        )
        return tuple(
            (float(mean), float(deviation) or 1.0)
            for mean, deviation in map(column_statistics, numbers)
        )

    past, static = of(panel.past[used], schema.past), of(panel.static, schema.static)
    return Statistics(known=of(known[used], schema.known), past=past, static=static)


def make_columns(
    panel: Panel, schema: Schema, statistics: Statistics, calendar: Calendar
) -> Columns:
    """Covariates of a panel, standardised; a blank becomes the mean, an unknown category code 0."""
    first = int(panel.starts.min())
    rows, keys, span = panel.known, np.zeros(0, np.int64), 1
    if panel.vintages is not None:
        # rows for slots and origins at which a value became known; origins count from that before the first step
        since, blank = (
            np.maximum(panel.vintages.available, first - 1) - first + 1,
            panel.vintages.blanked(rows),
        )
        span = int(since.max(initial=0)) + 2
        keys, row = np.unique(panel.vintages.slot * span + since, return_inverse=True)
        slot = keys // span
        later = blank[slot]
        later[row, panel.vintages.column] = panel.vintages.value
        # a cell that stays as it was repeats the row before it
        newest = np.maximum.accumulate(
            np.where(np.isnan(later), 0, np.arange(len(keys))[:, None]), 0
        )
        later = np.where(
            slot[newest] == slot[:, None], np.take_along_axis(later, newest, 0), np.nan
        )
        rows = np.concatenate([blank, later])
    known, known_codes = _split(rows, schema.known, schema, statistics.known)
    past, past_codes = _split(panel.past, schema.past, schema, statistics.past)
    static, static_codes = _split(panel.static, schema.static, schema, statistics.static)
    last = int((panel.origins + panel.ahead).max()) if calendar.feature_names else first
    features = calendar.features(np.arange(first, last + 1))
    return Columns(
        known, past, static, known_codes, past_codes, static_codes, features, first, keys, span
    )


def category_sizes(names: Names, schema: Schema) -> tuple[int, ...]:
    """Number of codes, the unknown one included, of each categorical column among `names`."""
    return tuple(1 + len(schema.categories[name]) for name in names if name in schema.categories)


def numeric_count(names: Names, schema: Schema) -> int:
    return sum(name not in schema.categories for name in names)


def _split(
    values: Numbers, names: Names, schema: Schema, statistics: Pairs
) -> tuple[Floats, Integers]:
    coded = np.array([name in schema.categories for name in names], dtype=bool)
    mean, deviation = np.array(statistics, np.float64).reshape(-1, 2).T
    with np.errstate(over="ignore"):
        numbers = (values[:, ~coded] - mean[~coded]) / deviation[~coded]
    codes = np.nan_to_num(values[:, coded]).astype(np.int64)
    # a network extrapolates wildly from numbers far outside the range of the fit
    return np.clip(np.nan_to_num(numbers), -10, 10).astype(np.float32), codes


def fit_power(name: TransformName, panel: Panel, season: int, before: Integers) -> float:
    """The exponent of the transform: 1 none, 0 the logarithm, between them Box-Cox.

    The exponent of `power` is the one at which spread depends least on level, over blocks of one season (Guerrero
    1993), averaged over the series. Later values only forbid a logarithm that they do not have.
    Slots of a series from `before` [series] on are held out. A UsageError where a logarithm meets a value not above 0.
    """
    if name == "none":
        return 1.0
    lowest = float(panel.values[panel.observed].min())
    if name == "log":
        if lowest <= 0:
            problem, cure = (
                f"it needs values above zero, and the smallest is {lowest:g}",
                Setting("transform", "power"),
            )
            raise UsageError(
                problem, setting=Setting("transform", "log"), cure=Words("pass ", cure)
            )
        return 0.0
    past = replace(panel, observed=panel.observed & panel.before(before))
    blocks = _blocks(past, max(2, season))
    if len(blocks[0]) < 2:
        return 1.0
    powers = np.linspace(
        0.0 if past.values[past.observed].min() > 0 else LEAST_SIGNED_POWER, 1.0, 21
    )
    power = float(powers[np.argmin([_unevenness(*blocks, power) for power in powers])])
    return power if lowest > 0 else max(power, LEAST_SIGNED_POWER)


def apply_power(values: Numbers, observed: Flags, power: float) -> Numbers:
    """Transform observed values, ``sign(x) |x|^power / power`` or the logarithm; the others become 0.

    A UsageError where the logarithm was fitted and a value is not above zero.
    """
    if power == 1.0:
        return values
    held = np.where(observed, values, 1.0)
    if power == 0.0 and (held <= 0).any():
        raise UsageError(
            "this forecaster was fitted on logarithms, and the table holds values not above zero"
        )
    moved = np.log(held) if power == 0.0 else np.sign(held) * np.abs(held) ** power / power
    return np.where(observed, moved, 0.0)


def transformed(panel: Panel, power: float) -> Panel:
    """A panel whose values are transformed, with their own spread; raises as `apply_power` does."""
    moved = replace(panel, values=apply_power(panel.values, panel.observed, power))
    return replace(moved, spread=moved.expanding_std())


def undo_power(values: Numbers, power: float) -> Numbers:
    """The inverse of `apply_power`; monotone, so that quantiles stay quantiles."""
    if power == 1.0:
        return values
    if power == 0.0:
        return np.exp(np.minimum(values, 88.0))  # 88: what float32 can hold
    return np.asarray(np.sign(values) * np.abs(values * power) ** (1 / power))


def _blocks(panel: Panel, size: int) -> tuple[Numbers, Numbers, Integers]:
    """Mean absolute value and deviation of each whole block of `size` observed values, and its series."""
    values = panel.values[panel.observed]
    counts = np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64)
    complete = steps_within(counts) < np.repeat(counts // size * size, counts)
    blocks = values[complete].reshape(-1, size)
    means, deviations = np.abs(blocks).mean(1), blocks.std(1)
    used = (means > 0) & (deviations > 0)
    return means[used], deviations[used], np.repeat(np.arange(len(panel)), counts // size)[used]


def _unevenness(means: Numbers, deviations: Numbers, series: Integers, power: float) -> float:
    """Coefficient of variation, over the blocks of a series, of the deviation that the transform leaves; averaged."""
    ratio, count = deviations / means ** (1 - power), np.maximum(np.bincount(series), 1)
    mean, square = np.bincount(series, ratio) / count, np.bincount(series, ratio**2) / count
    used = mean > 0
    return float(np.mean(np.sqrt(np.maximum(square[used] / mean[used] ** 2 - 1, 0))))


@dataclass(frozen=True)
class Transform:
    power: float  # exponent, see `fit_power`
    effects: Effects | None = None  # of events, which are taken out first
    fixed: Numbers | None = (
        None  # [slots of the panel], the values of closed slots, see `fixed_values`
    )


@dataclass(frozen=True)
class Inputs:
    """A panel made ready for any network and any baseline; nothing is cut yet."""

    panel: Panel  # its values without the effects of events, and transformed
    schema: Schema
    lags: tuple[int, ...]  # season lengths whose lagged values the networks see
    levels: tuple[float, ...]  # quantile levels of the outputs
    series: int  # number of series of the fit
    series_index: Integers  # [series], see the function `series_index`
    arrays: Windows  # those of a lookback of 1, of numpy
    power: float  # exponent of the transform
    counts: Flags  # [series], see `Panel.counts`
    adjustment: Adjustment | None = None  # events and closed slots; None where there are none
    bound: Numbers | None = (
        None  # [slots], what stands in for stock-outs in a past, as the panel's values; NaN, None
    )

    @cached_property
    def closed(self) -> Numbers | None:
        """[slots], the values of closed slots, transformed as those of the panel, NaN for others; None if none is.

        What an event closed is a gap in the past: no season of summands fits it.
        """
        if self.adjustment is None or self.adjustment.fixed is None:
            return None
        fixed = self.adjustment.fixed
        known, shut = (
            fixed > 0 if self.power == 0.0 else np.isfinite(fixed),
            touched(self.panel, self.schema, "closed"),
        )
        known = known if shut is None else known & ~shut
        return np.where(known, apply_power(fixed, known, self.power), np.nan)

    def past_panel(self, closed: bool) -> Panel:
        """The panel as a past shows it: what stands in for stock-outs, and with `closed` the values of closed slots."""
        panel = self.panel
        for fixed in (self.bound, self.closed if closed else None):
            if fixed is not None:
                filled = np.isfinite(fixed)
                values = np.where(filled, fixed, panel.values)
                panel = replace(panel, values=values, observed=panel.observed | filled)
        return panel

    @property
    def horizon(self) -> int:
        return self.arrays.horizon

    def windows(self, lookback: int, scaling: ScalingName = "standard") -> Windows:
        return self.arrays.cut(lookback, scaling)

    def restored(self, values: Numbers, windows: WindowIndex) -> Numbers:
        """What follows windows, [windows, horizon, ...], in the target's own unit, events and closed slots in it."""
        values = undo_power(values, self.power)
        if self.adjustment is None:
            return values
        series, position = windows
        slot = (self.panel.offsets[series] + position)[:, None] + np.arange(self.horizon)
        return self.adjustment.put_back(values, slot)


def make_inputs(
    panel: Panel,
    schema: Schema,
    statistics: Statistics,
    *,
    transform: Transform,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    ids: Ids,
    horizon: int,
) -> Inputs:
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    index = series_index(ids, panel.ids)
    adjusted, moved = adjusted_panel(panel, schema, transform.effects, index, transform.fixed)
    changed, power = transformed(adjusted, transform.power), transform.power
    arrays = Windows(changed, columns, horizon, lags, index)
    bound = None if moved is None else moved.bounds(panel)
    if bound is not None:
        found = stand_ins(adjusted, bound, lags[0] if lags else 1)
        known = found > 0 if power == 0.0 else np.isfinite(found)
        bound = np.where(known, apply_power(found, known, power), np.nan)
        arrays = arrays.with_stand_ins(bound)
    return Inputs(
        changed, schema, lags, levels, len(ids), index, arrays, power, panel.counts(), moved, bound
    )
