"""Make a panel ready for networks and baselines: columns standardised, target transformed."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.errors import Setting, UsageError, Words
from forecast.events.effects import Adjustment, Effects, adjusted_panel
from forecast.events.kinds import stand_ins, touched
from forecast.panel import panel as panels
from forecast.panel.panel import Flags, Floats, Ids, Integers, Numbers, Panel
from forecast.panel.schema import Names, Schema, calendar_of
from forecast.settings import ScalingName, Stored, TransformName
from forecast.windows.scaling import column_statistics
from forecast.windows.windows import Columns, WindowIndex, Windows

Pairs = tuple[tuple[float, float], ...]
LEAST_SIGNED_POWER = 0.2  # towards 0 the signed power tears negative and positive values apart
POWERS = 21  # exponents that are compared
LARGEST_LOG = 88.0  # whose exponential float32 can hold
FARTHEST = 10.0  # deviations: a network extrapolates wildly from numbers far outside the fit's


class Statistics(Stored):
    """Mean and deviation of each numeric covariate, in the panel's order; codes have (0, 1)."""

    known: Pairs = ()
    past: Pairs = ()
    static: Pairs = ()


def fit_statistics(panel: Panel, schema: Schema, before: Integers) -> Statistics:
    """Statistics over the slots of each series before `before` [series]: nothing held out."""
    used = panel.before(before)
    known = panel.known
    if panel.vintages is not None:  # as it was known then
        origins = np.repeat(panel.starts + before - 1, np.diff(panel.offsets))
        known = panel.vintages.at(known, origins)

    def of(values: Numbers, names: Names) -> Pairs:
        pairs = []
        for name, column in zip(names, values.T, strict=True):
            coded = name in schema.categories
            mean, deviation = column_statistics(column[:0] if coded else column)
            pairs.append((float(mean), float(deviation) or 1.0))
        return tuple(pairs)

    known_pairs = of(known[used], schema.known)
    past_pairs = of(panel.past[used], schema.past)
    static_pairs = of(panel.static, schema.static)
    return Statistics(known=known_pairs, past=past_pairs, static=static_pairs)


def make_columns(
    panel: Panel, schema: Schema, statistics: Statistics, calendar: Calendar
) -> Columns:
    """Covariates of a panel, standardised; a blank becomes the mean, an unknown category code 0."""
    first = int(panel.starts.min())
    ends = panel.origins + panel.ahead
    last = int(ends.max()) if calendar.feature_names else first
    rows, keys, span = _known_rows(panel, first)
    known, known_codes = _split(rows, schema.known, schema, statistics.known)
    past, past_codes = _split(panel.past, schema.past, schema, statistics.past)
    static, static_codes = _split(panel.static, schema.static, schema, statistics.static)
    return Columns(
        known,
        past,
        static,
        known_codes,
        past_codes,
        static_codes,
        calendar=calendar.features(np.arange(first, last + 1)),
        first=first,
        keys=keys,
        span=span,
    )


def _known_rows(panel: Panel, first: int) -> tuple[Numbers, Integers, int]:
    """Known columns of slots, then of vintages, with the keys and span of `Columns`."""
    vintages = panel.vintages
    if vintages is None:
        return panel.known, np.zeros(0, np.int64), 1
    # origins count from the one before the first step
    since = np.maximum(vintages.available, first - 1) - first + 1
    span = int(since.max(initial=0)) + 2
    keys, row = np.unique(vintages.slot * span + since, return_inverse=True)
    slot = keys // span
    blank = vintages.blanked(panel.known)
    later = blank[slot]
    later[row, vintages.column] = vintages.value

    # a cell that stays as it was repeats the row before it
    number = np.arange(len(keys))[:, None]
    set_here = np.where(np.isnan(later), 0, number)
    newest = np.maximum.accumulate(set_here, 0)
    same_slot = slot[newest] == slot[:, None]
    repeated = np.take_along_axis(later, newest, 0)
    later = np.where(same_slot, repeated, np.nan)
    return np.concatenate([blank, later]), keys, span


def category_sizes(names: Names, schema: Schema) -> tuple[int, ...]:
    """Number of codes, the unknown one included, of each categorical column among `names`."""
    sizes = {name: 1 + len(codes) for name, codes in schema.categories.items()}
    return tuple(sizes[name] for name in names if name in sizes)


def numeric_count(names: Names, schema: Schema) -> int:
    return sum(name not in schema.categories for name in names)


def _split(
    values: Numbers, names: Names, schema: Schema, statistics: Pairs
) -> tuple[Floats, Integers]:
    """Standardised numbers, and codes."""
    coded = np.array([name in schema.categories for name in names], dtype=bool)
    pairs = np.array(statistics, np.float64).reshape(-1, 2)[~coded]
    with np.errstate(over="ignore"):
        numbers = (values[:, ~coded] - pairs[:, 0]) / pairs[:, 1]
    numbers = np.clip(np.nan_to_num(numbers), -FARTHEST, FARTHEST)
    codes = np.nan_to_num(values[:, coded])
    return numbers.astype(np.float32), codes.astype(np.int64)


def fit_power(name: TransformName, panel: Panel, season: int, before: Integers) -> float:
    """The exponent of the transform: 1 none, 0 the logarithm, between them Box-Cox.

    The exponent of `power` is the one at which deviation depends least on level, over blocks of one
    season (Guerrero 1993), averaged over the series. Slots of a series from `before` [series] on
    are held out; they only forbid a logarithm that they do not have. A UsageError where a logarithm
    meets a value not above 0.
    """
    if name == "none":
        return 1.0
    lowest = float(panel.values[panel.observed].min())
    if name == "log":
        if lowest <= 0:
            raise UsageError(
                f"it needs values above zero, and the smallest is {lowest:g}",
                setting=Setting("transform", "log"),
                cure=Words("pass ", Setting("transform", "power")),
            )
        return 0.0

    past = replace(panel, observed=panel.observed & panel.before(before))
    blocks = _blocks(past, max(2, season))
    if len(blocks[0]) < 2:
        return 1.0
    least = 0.0 if past.values[past.observed].min() > 0 else LEAST_SIGNED_POWER
    powers = np.linspace(least, 1.0, POWERS)
    unevenness = [_unevenness(*blocks, power) for power in powers]
    power = float(powers[np.argmin(unevenness)])
    return power if lowest > 0 else max(power, LEAST_SIGNED_POWER)


def apply_power(values: Numbers, observed: Flags, power: float) -> Numbers:
    """Observed values as ``sign(x) |x|^power / power`` or the logarithm; the others become 0.

    A UsageError where the logarithm was fitted and a value is not above zero.
    """
    if power == 1.0:
        return values
    values = np.where(observed, values, 1.0)
    if power != 0.0:
        powers = np.abs(values) ** power
        return np.where(observed, np.sign(values) * powers / power, 0.0)
    if (values <= 0).any():
        problem = "this forecaster was fitted on logarithms"
        raise UsageError(f"{problem}, and the table holds values not above zero")
    return np.where(observed, np.log(values), 0.0)


def _applied_where_known(values: Numbers, power: float) -> Numbers:
    """As `apply_power`; NaN for blanks, and for what has no logarithm."""
    known = values > 0 if power == 0.0 else np.isfinite(values)
    return np.where(known, apply_power(values, known, power), np.nan)


def transformed(panel: Panel, power: float) -> Panel:
    """A panel whose values are transformed, with their deviations; raises as `apply_power`."""
    moved = replace(panel, values=apply_power(panel.values, panel.observed, power))
    return replace(moved, spread=moved.expanding_std())


def undo_power(values: Numbers, power: float) -> Numbers:
    """The inverse of `apply_power`; monotone, so that quantiles stay quantiles."""
    if power == 1.0:
        return values
    if power == 0.0:
        return np.exp(np.minimum(values, LARGEST_LOG))
    roots = np.abs(values * power) ** (1 / power)
    return np.asarray(np.sign(values) * roots)


def _blocks(panel: Panel, size: int) -> tuple[Numbers, Numbers, Integers]:
    """Mean absolute value and deviation of whole blocks of `size` observed values; the series."""
    values = panel.values[panel.observed]
    counts = np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64)
    in_whole_block = panels.steps_within(counts) < np.repeat(counts // size * size, counts)
    blocks = values[in_whole_block].reshape(-1, size)
    series = np.repeat(np.arange(len(panel)), counts // size)
    means = np.abs(blocks).mean(1)
    deviations = blocks.std(1)
    varies = (means > 0) & (deviations > 0)
    return means[varies], deviations[varies], series[varies]


def _unevenness(means: Numbers, deviations: Numbers, series: Integers, power: float) -> float:
    """Coefficient of variation of the deviations that the transform leaves, mean of series."""
    ratio = deviations / means ** (1 - power)
    count = np.maximum(np.bincount(series), 1)
    mean = np.bincount(series, ratio) / count
    square = np.bincount(series, ratio**2) / count
    used = mean > 0
    variance = square[used] / mean[used] ** 2 - 1
    return float(np.mean(np.sqrt(np.maximum(variance, 0))))


@dataclass(frozen=True)
class Transform:
    power: float  # exponent, see `fit_power`
    effects: Effects | None = None  # of events, which are taken out first
    fixed: Numbers | None = None  # [slots of the panel], of closed slots, see `fixed_values`


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
    bound: Numbers | None = None  # [slots], shown in a past for stock-outs, transformed, or NaN

    @cached_property
    def closed(self) -> Numbers | None:
        """[slots], the transformed values of closed slots, NaN for others; None if none is.

        What an event closed is a gap in the past: no season of summands fits it.
        """
        if self.adjustment is None or self.adjustment.fixed is None:
            return None
        fixed = self.adjustment.fixed
        by_event = touched(self.panel, self.schema, "closed")
        if by_event is not None:
            fixed = np.where(by_event, np.nan, fixed)
        return _applied_where_known(fixed, self.power)

    def past_panel(self, closed: bool) -> Panel:
        """The panel as a past shows it, stock-outs filled, with `closed` also closed slots."""
        panel = self.panel
        for fixed in (self.bound, self.closed if closed else None):
            if fixed is not None:
                filled = np.isfinite(fixed)
                values = np.where(filled, fixed, panel.values)
                panel = replace(panel, values=values, observed=panel.observed | filled)
        return panel

    @property
    def season(self) -> int:
        """Steps of the first season, 1 for none."""
        return self.lags[0] if self.lags else 1

    @property
    def horizon(self) -> int:
        return self.arrays.horizon

    def windows(self, lookback: int, scaling: ScalingName = "standard") -> Windows:
        return self.arrays.cut(lookback, scaling)

    def restored(self, values: Numbers, windows: WindowIndex) -> Numbers:
        """What follows windows, [windows, horizon, ...], in the target's unit, events in it."""
        values = undo_power(values, self.power)
        if self.adjustment is None:
            return values
        series, position = windows
        first = self.panel.offsets[series] + position
        slots = first[:, None] + np.arange(self.horizon)
        return self.adjustment.put_back(values, slots)


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
    power = transform.power
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    index = panels.series_index(ids, panel.ids)
    adjusted, adjustment = adjusted_panel(panel, schema, transform.effects, index, transform.fixed)
    ready = transformed(adjusted, power)
    arrays = Windows(ready, columns, horizon, lags, index)
    bound = None if adjustment is None else adjustment.bounds(panel)
    if bound is not None:
        shown = stand_ins(adjusted, bound, lags[0] if lags else 1)
        bound = _applied_where_known(shown, power)
        arrays = arrays.with_stand_ins(bound)
    return Inputs(
        ready,
        schema,
        lags,
        levels,
        series=len(ids),
        series_index=index,
        arrays=arrays,
        power=power,
        counts=panel.counts(),
        adjustment=adjustment,
        bound=bound,
    )
