"""Prepare a panel for networks and baselines: standardise columns, and transform the target."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.effects.chain import Adjusted, Effects, remove_effects
from forecast.effects.columns import hide_monotone_columns
from forecast.effects.kinds import blank_stand_ins
from forecast.errors import Setting, UsageError
from forecast.panel import panel as panels
from forecast.panel.events import find_touched_slots
from forecast.panel.panel import Flags, Floats, Ids, Integers, Numbers, Panel, column_statistics
from forecast.panel.schema import Names, Schema, build_calendar
from forecast.settings import Stored, TransformName
from forecast.windows.windows import Columns, WindowIndex, Windows

Pairs = tuple[tuple[float, float], ...]
# exponents nearer to 0 move small negative and small positive values far apart
LEAST_SIGNED_POWER = 0.2
POWERS = 21  # number of exponents that are compared
LARGEST_LOG = 88.0  # float32 can hold the exponential of this number
# standardised covariates are clipped to this many standard deviations: a network extrapolates
# wildly from numbers far outside those of its fit
FARTHEST_POWER = 10.0


class Statistics(Stored):
    """Mean and standard deviation of each covariate, in the panel's order.

    Columns of codes are not standardised: they have (0, 1).
    """

    known: Pairs = ()
    past: Pairs = ()
    static: Pairs = ()


def fit_statistics(panel: Panel, schema: Schema, before: Integers) -> Statistics:
    """Compute statistics over the slots before position `before` [series] of each series.

    Slots from there on are held out, and not used.
    """
    used = panel.before(before)
    known = panel.known
    if panel.vintages is not None:  # use the values that were known at that time
        origins = np.repeat(panel.starts + before - 1, panel.sizes)
        known = panel.vintages.at(known, origins)

    def collect(values: Numbers, names: Names) -> Pairs:
        pairs = []
        for name, column in zip(names, values.T, strict=True):
            coded = name in schema.categories
            mean, deviation = column_statistics(column[:0] if coded else column)
            pairs.append((float(mean), float(deviation) or 1.0))
        return tuple(pairs)

    known_pairs = collect(known[used], schema.known)
    past_pairs = collect(panel.past[used], schema.past)
    static_pairs = collect(panel.static, schema.static)
    return Statistics(known=known_pairs, past=past_pairs, static=static_pairs)


def make_columns(
    panel: Panel, schema: Schema, statistics: Statistics, calendar: Calendar
) -> Columns:
    """Standardise the covariates of a panel.

    Blank cells become the mean of their column, and unknown categories become code 0.
    """
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
    """Return the rows of columns known in advance, and the `keys` and `span` of `Columns`.

    There is one row for each slot, followed by one for each slot and origin with vintages.
    """
    vintages = panel.vintages
    if vintages is None:
        return panel.known, np.zeros(0, np.int64), 1
    # origins count from the one before the first step
    since = np.maximum(vintages.available, first - 1) - first + 1
    span = int(since.max(initial=0)) + 2
    keys, row = np.unique(vintages.slot * span + since, return_inverse=True)
    slot = keys // span
    blank = vintages.blank_vintages(panel.known)
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
    """Return the number of codes, including the unknown one, of each categorical column."""
    sizes = {name: 1 + len(codes) for name, codes in schema.categories.items()}
    return tuple(sizes[name] for name in names if name in sizes)


def numeric_count(names: Names, schema: Schema) -> int:
    return sum(name not in schema.categories for name in names)


def _split(
    values: Numbers, names: Names, schema: Schema, statistics: Pairs
) -> tuple[Floats, Integers]:
    """Split columns into standardised numbers and codes."""
    coded = np.array([name in schema.categories for name in names], dtype=bool)
    pairs = np.array(statistics, np.float64).reshape(-1, 2)
    mean, deviation = pairs[~coded].T
    with np.errstate(over="ignore"):
        numbers = (values[:, ~coded] - mean) / deviation
    numbers = np.clip(np.nan_to_num(numbers), -FARTHEST_POWER, FARTHEST_POWER)
    codes = np.nan_to_num(values[:, coded])
    return numbers.astype(np.float32), codes.astype(np.int64)


def fit_power(name: TransformName, panel: Panel, season: int, before: Integers) -> float:
    """Return the exponent of the transform: 1 is none, 0 the logarithm, between them is Box-Cox.

    The transform `power` uses the exponent at which the standard deviation depends least on the
    level. It is measured over blocks of one season (Guerrero 1993), averaged over the series. Slots
    from position `before` [series] on are held out; they are used only to rule out the logarithm if
    one of their values is not above 0. Raises UsageError if the user asks for the logarithm and a
    value is not above 0.
    """
    if name == "none":
        return 1.0
    lowest = float(panel.values[panel.observed].min())
    if name == "log":
        if lowest <= 0:
            raise UsageError(
                f"it needs values above zero, and the smallest is {lowest:g}",
                setting=Setting("transform", "log"),
                cure=f"pass {Setting('transform', 'power')}",
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
    """Transform observed values to ``sign(x) |x|^power / power``, or to logarithms if power is 0.

    Values that are not observed become 0. Raises UsageError if the transform is the logarithm and a
    value is not above 0.
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
    """Transform values like `apply_power`; blanks and values without a logarithm become NaN."""
    known = values > 0 if power == 0.0 else np.isfinite(values)
    return np.where(known, apply_power(values, known, power), np.nan)


def transform_values(panel: Panel, power: float) -> Panel:
    """Transform the values of a panel, and compute their expanding standard deviations.

    Raises UsageError like `apply_power`.
    """
    moved = replace(panel, values=apply_power(panel.values, panel.observed, power))
    return replace(moved, spread=moved.expanding_std())


def undo_power(values: Numbers, power: float) -> Numbers:
    """Invert `apply_power`; this is monotone, so that quantiles stay quantiles."""
    if power == 1.0:
        return values
    if power == 0.0:
        return np.exp(np.minimum(values, LARGEST_LOG))
    roots = np.abs(values * power) ** (1 / power)
    return np.sign(values) * roots


def _blocks(panel: Panel, size: int) -> tuple[Numbers, Numbers, Integers]:
    """Cut each series into whole blocks of `size` observed values, and describe the blocks.

    Returns the mean absolute value, the standard deviation and the series of each, [blocks]. Blocks
    without variation are left out.
    """
    values = panel.values[panel.observed]
    counts = panel.counts
    whole_blocks = counts // size
    in_whole_block = panels.steps_within(counts) < np.repeat(whole_blocks * size, counts)
    blocks = values[in_whole_block].reshape(-1, size)
    series = np.repeat(np.arange(len(panel)), whole_blocks)
    means = np.abs(blocks).mean(1)
    deviations = blocks.std(1)
    varies = means > 0
    varies &= deviations > 0
    return means[varies], deviations[varies], series[varies]


def _unevenness(means: Numbers, deviations: Numbers, series: Integers, power: float) -> float:
    """Return how much the standard deviations of transformed blocks differ within a series.

    This is their coefficient of variation, averaged over the series.
    """
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
    effects: Effects = field(default_factory=Effects)
    # [slots of the panel], the values of closed slots, see `fixed_values`
    fixed: Numbers | None = None
    # [series], positions before which new levels are looked for: those at which the earliest
    # windows end. None in a fit, whose windows all see the newest level, as after a `level_shift`
    ends: Integers | None = None


@dataclass(frozen=True)
class Inputs:
    """A panel prepared for any network and any baseline; no windows are cut yet."""

    panel: Panel  # its values are without the effects of events, and transformed
    schema: Schema
    lags: tuple[int, ...]  # season lengths whose lagged values the networks see
    levels: tuple[float, ...]  # quantile levels of the outputs
    series: int  # number of series of the fit
    series_index: Integers  # [series], see the function `series_index`
    arrays: Windows  # numpy arrays, with a lookback of 1 until they are cut
    power: float  # exponent of the transform
    counts: Flags  # [series], see `Panel.counts`
    effects: Effects
    adjusted: Adjusted  # the values without these effects, before the transform
    # [slots], transformed values that stand in for stock-outs in the past of a window; else NaN
    bound: Numbers | None = None

    @cached_property
    def closed(self) -> Numbers | None:
        """[slots], the transformed values of closed slots, NaN for open ones; None if all are open.

        Slots closed by an event count as open here, and are gaps in the past: an additive season
        would not fit their zeros.
        """
        if self.adjusted.fixed is None:
            return None
        by_event = find_touched_slots(self.panel, self.schema, "closed")
        fixed = np.where(by_event, np.nan, self.adjusted.fixed)
        return _applied_where_known(fixed, self.power)

    def past_panel(self, closed: bool) -> Panel:
        """Return the panel as windows show their past: with stand-ins for stock-outs.

        If `closed`, closed slots have their values, too.
        """
        panel = self.panel
        for fixed in (self.bound, self.closed if closed else None):
            if fixed is not None:
                filled = np.isfinite(fixed)
                values = np.where(filled, fixed, panel.values)
                panel = replace(panel, values=values, observed=panel.observed | filled)
        return panel

    @property
    def season(self) -> int:
        """The steps of the first season; 1 without a season."""
        return self.lags[0] if self.lags else 1

    @property
    def horizon(self) -> int:
        return self.arrays.horizon

    def restore(self, values: Numbers, windows: WindowIndex) -> Numbers:
        """Restore forecasts of windows, [windows, horizon, ...], to the unit of the target.

        The transform is inverted, and the effects of events are put back.
        """
        values = undo_power(values, self.power)
        if (revision := self._revision(windows)) is not None:
            more_axes = (1,) * (values.ndim - 2)
            factor, shift = (change.reshape(*change.shape, *more_axes) for change in revision)
            values = values * factor + shift
        return self.adjusted.restore(values, self._slots(windows, 0))

    def as_known(self, values: Numbers, windows: WindowIndex) -> Numbers:
        """Values of the panel [windows, horizon], as if columns had stayed as known at origins."""
        revision = self._revision(windows)
        if revision is None:
            return values
        factor, shift = revision
        values = (undo_power(values, self.power) - shift) / factor
        return _applied_where_known(values, self.power)

    def _revision(self, windows: WindowIndex) -> tuple[Numbers, Numbers] | None:
        """See `ColumnEffects.revision`; None if there is none."""
        effects = self.effects.columns
        if effects is None or self.panel.vintages is None:
            return None
        series, position = windows
        row = self.series_index[series]
        slots = self._slots(windows, effects.reach)
        origin = self.panel.starts[series] + position - 1
        return effects.revision(self.panel, self.schema, row, slots, origin)

    def _slots(self, windows: WindowIndex, back: int) -> Integers:
        """The slots of windows from `back` steps before their horizon on, [windows, steps].

        Before a series begins, it is its first slot.
        """
        series, position = windows
        steps = position[:, None] + np.arange(-back, self.horizon)
        slots = self.panel.offsets[series][:, None] + np.maximum(steps, 0)
        return np.asarray(slots)


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
    index = panels.series_index(ids, panel.ids)
    season = lags[0] if lags else 1
    ends = panel.lengths if transform.ends is None else transform.ends
    adjusted = remove_effects(
        panel, schema, transform.effects, index, transform.fixed, season, ends
    )
    shown = hide_monotone_columns(adjusted.panel, schema)
    columns = make_columns(shown, schema, statistics, build_calendar(schema))
    ready = transform_values(shown, power)
    arrays = Windows(ready, columns, horizon, lags, index)
    bound = adjusted.stand_ins
    if bound is not None:
        bound = _applied_where_known(bound, power)
    inputs = Inputs(
        ready,
        schema,
        lags,
        levels,
        series=len(ids),
        series_index=index,
        arrays=arrays,
        power=power,
        counts=panel.is_count(),
        effects=transform.effects,
        adjusted=adjusted,
        bound=bound,
    )
    blanks = blank_stand_ins(inputs.past_panel(closed=True), schema)
    if blanks is not None:
        bound = blanks if bound is None else np.fmax(blanks, bound)
    if bound is None:
        return inputs
    return replace(inputs, bound=bound, arrays=arrays.substitute(bound))
