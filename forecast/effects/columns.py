"""What columns known in advance, the year and the month do.

It is taken out of the past, and put into forecasts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated

import numpy as np

from forecast.artifacts.specs import SMALLEST_NORMAL, Spec, of_values
from forecast.calendar.zones import count_months, first_days
from forecast.effects.event_effects import EFFECTS_NAMED
from forecast.effects.period_days import EASTER, TRADING_DAYS, count_period_days
from forecast.panel.events import day_spans
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import MOST_CATEGORIES, Schema, build_calendar, indicators

LARGEST = 5.0  # logarithm of the largest factor, or the largest sum in deviations of the series
LONGEST = 100_000  # steps or days, of a lag or a mean
YEAR_WAVES = 3  # pairs of a sine and a cosine; more follow what happened in one year alone,
MOST_YEAR_WAVES = 12  # unless the years agree on them
YEAR = "year"  # what their effect is called
MONTH = "day of the month"
DAYS_OF_MONTH = 31
PART = 1 << 20  # slots whose effects are computed at once, about
# units are rounded to multiples of 2**-20 before they are summed: sums are exact then, and do not
# depend on the series beside
COLUMN_GRID = 2.0**20


@dataclass(frozen=True)
class ColumnEffects:
    """What columns known in advance do to the values of a table.

    Columns of the calendar follow them, which act at once and evenly: waves of the year, then
    perhaps one that the day of the month tells; or the days of months and quarters.
    """

    multiplies: bool  # whether effects are factors; otherwise they are added
    of_table: Annotated[int, Spec(low=0)]  # the number of columns that are those of the table
    season: Annotated[int, Spec(low=1)]  # steps of a day; 1 without
    year: Annotated[Numbers, of_values("year", low=1)]  # steps of each wave of the year
    month: Annotated[Numbers, of_values("31")]  # the column of the month by day; 0 without one
    lags: Annotated[Integers, Spec("lags", 0, LONGEST)]
    means: Annotated[Integers, Spec("means", 1, LONGEST)]  # in days
    # [columns], where each category has a column: 1 if the logarithm of the column acts
    logarithm: Annotated[Integers, Spec("columns", 0, 1)]
    middle: Annotated[Numbers, of_values("columns")]  # mean in the past
    unit: Annotated[
        Numbers, of_values("columns", low=SMALLEST_NORMAL)
    ]  # standard deviation in the past
    limits: Annotated[Numbers, of_values("columns 2")]  # the range that counts, in units
    knots: Annotated[Numbers, of_values("columns knots")]  # in units
    weights: Annotated[Numbers, of_values("columns terms")]  # in the order of `terms`
    # the standard deviation of the effect within a series
    typical: Annotated[Numbers, of_values("columns", low=0)]
    # the last row is for a series that was not in the fit: the unit of effects that are added, the mean
    # effect of each column in the past, which is taken off, and how strongly the series reacts
    scale: Annotated[Numbers, of_values("series+1", low=0)]
    centre: Annotated[Numbers, of_values("series+1 columns")]
    reaction: Annotated[Numbers, of_values("series+1 columns")]
    # coefficients as the past leaves them possible
    draws: Annotated[Numbers, of_values("draws columns terms")]

    @property
    def has_days(self) -> bool:
        """Whether the columns of the calendar are the days of months or quarters."""
        waves = 2 * len(self.year) + int(self.month.any())
        return len(self.knots) > self.of_table + waves

    @property
    def width(self) -> int:
        """The number of terms of a column."""
        return int(len(self.lags) + len(self.means) + self.knots.shape[1])

    @property
    def is_bend(self) -> Flags:
        """[columns * terms], whether a term changes the slope at a knot."""
        bends = np.arange(self.width) >= len(self.lags) + len(self.means)
        return np.tile(bends, len(self.knots))

    @property
    def is_flag(self) -> Flags:
        """[columns], whether a column has only zeros and ones: its variance says so."""
        of_flags = self.middle * (1 - self.middle)
        return np.asarray(np.isclose(self.unit**2, of_flags) & (self.logarithm == 0))

    @property
    def reach(self) -> int:
        """The number of steps after which a column acts last."""
        days = self.means.max(initial=0)
        return int(max(self.lags.max(initial=0), days * self.season))

    def scale_columns(self, known: Numbers) -> Numbers:
        """Columns known in advance [steps, columns], in units; 0 where blank."""
        above_zero = known > 0
        logarithms = np.log(np.where(above_zero, known, 1.0))
        acts_as_logarithm = above_zero & (self.logarithm > 0)
        values = np.where(acts_as_logarithm, logarithms, known)
        values = np.nan_to_num((values - self.middle) / self.unit)
        low, high = self.limits.T
        return np.clip(values, low, high)

    def terms(self, scaled: Numbers, first: Integers | int) -> Iterator[Numbers]:
        """What coefficients are multiplied by, [steps, columns] each.

        `first` [steps] is the first step of the same series.
        """
        step = np.arange(len(scaled))
        columns = scaled.copy()
        columns[:, self.of_table :] = 0.0
        for lag in self.lags.tolist():
            yield scaled if lag == 0 else columns[np.maximum(step - lag, first)]
        rounded = np.round(columns * COLUMN_GRID) / COLUMN_GRID
        sums = np.insert(np.cumsum(rounded, 0), 0, 0.0, axis=0)
        for days in self.means.tolist():
            oldest = np.maximum(step + 1 - days * self.season, first)
            count = step + 1 - oldest
            yield (sums[1:] - sums[oldest]) / count[:, None]
        for knot in self.knots.T:
            yield np.maximum(columns - knot, 0.0)

    def by_column(self, scaled: Numbers, first: Integers | int) -> Numbers:
        """The effect of each column on a series that reacts like all, [steps, columns]."""
        effect = np.zeros_like(scaled)
        for weights, values in zip(self.weights.T, self.terms(scaled, first), strict=True):
            effect += values * weights
        return effect

    def columns(self, known: Numbers, schema: Schema, position: Integers) -> Numbers:
        """Columns known in advance as numbers, then those of the calendar, [steps, columns].

        `known` is [steps, columns of the table], `position` [steps] the grid position.
        """
        of_calendar = columns_of_calendar(position, schema, self.year, self.month, self.has_days)
        return np.concatenate([indicators(known, schema), of_calendar], 1)

    def by_part(self, panel: Panel, schema: Schema) -> Iterator[tuple[slice, Numbers]]:
        """The effect of each column on series that react like all, [slots, columns].

        It comes with its slots, a few series at a time.
        """
        settled = panel.settled
        ends = panel.offsets[1:]
        even_starts = np.arange(0, ends[-1], PART)  # slots
        parts = np.unique(np.searchsorted(ends, even_starts, side="right"))
        for first, end in pairwise([*parts.tolist(), len(ends)]):
            slots = slice(int(panel.offsets[first]), int(panel.offsets[end]))
            series = panel.series_of_slots[slots]
            position = panel.grid_positions[slots]
            columns = self.columns(settled[slots], schema, position)
            scaled = self.scale_columns(columns)
            first_step = panel.offsets[series] - slots.start
            yield slots, self.by_column(scaled, first_step)

    def compute_factors(
        self, panel: Panel, schema: Schema, series_index: Integers
    ) -> tuple[Numbers, Numbers]:
        """The factor and the summand of columns in each slot, [slots] twice.

        `series_index` [series] is each series' row in `scale`, -1 for a new series.
        """
        row = series_index[panel.series_of_slots]
        effect = np.zeros(len(row))
        for slots, by_column in self.by_part(panel, schema):
            effect[slots] = self._in_series(by_column, row[slots])
        if self.multiplies:
            return np.exp(effect), np.zeros_like(effect)
        return np.ones_like(effect), effect * self.scale[row]

    def _in_series(self, by_column: Numbers, row: Integers) -> Numbers:
        """The effect of all columns on series of rows [steps], [steps]."""
        effects = (by_column - self.centre[row]) * self.reaction[row]
        return np.asarray(np.clip(effects.sum(1), -LARGEST, LARGEST))

    def revision(
        self, panel: Panel, schema: Schema, row: Integers, slots: Integers, origin: Integers
    ) -> tuple[Numbers, Numbers]:
        """What is known at origins changes of adjusted values: a factor and a sum, [windows, steps].

        `row` [windows] is each window's row in `scale`, `slots` [windows, reach + steps] its slots,
        `origin` [windows] the grid position of its last past slot.
        """
        flat = slots.ravel()
        position = panel.grid_positions[flat]
        repeats = slots.shape[1]
        rows = np.repeat(row, repeats)
        padded = (np.diff(slots, axis=1) == 0).sum(1)  # before the series began
        first = np.arange(len(slots)) * repeats + padded
        first = np.minimum(np.repeat(first, repeats), np.arange(len(flat)))
        effects = []
        for then in (np.repeat(origin, repeats), position):
            known = panel.known_at(flat, np.minimum(then, position))
            scaled = self.scale_columns(self.columns(known, schema, position))
            effects.append(self._in_series(self.by_column(scaled, first), rows))
        change = (effects[0] - effects[1]).reshape(slots.shape)[:, self.reach :]
        if self.multiplies:
            return np.exp(change), np.zeros_like(change)
        return np.ones_like(change), change * self.scale[row][:, None]


def columns_by_name(schema: Schema) -> dict[str, slice]:
    """Which of the `indicators` belong to each column of the table."""
    places = {}
    first = 0
    for name in schema.known:
        count = len(schema.categories.get(name, "1"))
        if count <= MOST_CATEGORIES:
            places[name] = slice(first, first + count)
            first += count
    return places


def hide_monotone_columns(panel: Panel, schema: Schema) -> Panel:
    """A panel that does not show columns whose effect has a sign, which only the effect keeps."""
    if not schema.signs:
        return panel
    known = panel.known.copy()
    known[:, [schema.known.index(name) for name in schema.signs]] = 0.0
    return replace(panel, known=known)


def split_year(year: float, count: int) -> Numbers:
    """The steps of so many waves of a year of `year` steps; none if that is 0."""
    return year / np.arange(1, 1 + count * (year > 0))


def waves_of_year(position: Integers, year: Numbers) -> Numbers:
    """Waves of the year at grid positions [steps], [steps, 2 * waves]."""
    angle = 2 * np.pi / year * position[:, None]
    return np.concatenate([np.sin(angle), np.cos(angle)], 1)


def columns_of_calendar(
    position: Integers, schema: Schema, year: Numbers, month: Numbers, has_days: bool
) -> Numbers:
    """Days of the periods, or waves of the year and the day's value in `month`, [steps, columns]."""
    if has_days:
        return count_period_days(position, schema)
    waves = waves_of_year(position, year)
    if not month.any():
        return waves
    return np.column_stack([waves, month[days_of_month(position, schema)]])


def days_of_month(position: Integers, schema: Schema) -> Integers:
    """The day of the month at grid positions [steps], from 0."""
    days, _ = day_spans(build_calendar(schema), position)
    return days - first_days(count_months(days))


def describe_columns(effects: ColumnEffects, schema: Schema) -> str:
    """List how much columns typically change values, the strongest first, and those without effect.

    The changes are in percent, or in standard deviations of the values where they are added. Of a
    column of zeros and ones, it is the change in a step with 1 after steps with 0.
    """
    places = columns_by_name(schema)
    if len(effects.year):
        places[YEAR] = slice(effects.of_table, effects.of_table + 2 * len(effects.year))
    if effects.month.any():
        places[MONTH] = slice(-1, None)
    if effects.has_days:
        places[TRADING_DAYS] = slice(effects.of_table, -1)
        places[EASTER] = slice(-1, None)
    sizes = {name: float(np.linalg.norm(effects.typical[own])) for name, own in places.items()}
    names = sorted(sizes, key=lambda name: -sizes[name])
    texts = []
    for name in names[:EFFECTS_NAMED]:
        size = sizes[name]
        if size > 0:
            sign = ""
            column = places[name].start
            if name in schema.known and effects.is_flag[column]:
                size = _effect_of_one(effects, column)
                name = f"{name}=1"
                sign = "+"
            percent = np.expm1(size) * 100
            text = (
                f"{percent:{sign}.2g} %" if effects.multiplies else f"{size:{sign}.1g} deviations"
            )
            texts.append(f"{name} {text}")
    without = [name for name in names if sizes[name] == 0 and name in schema.known]
    lines = [f"typical effect: {', '.join(texts)}"] if texts else []
    if without:
        lines.append(f"no effect: {', '.join(without[:EFFECTS_NAMED])}")
    return "; ".join(lines)


def _effect_of_one(effects: ColumnEffects, column: int) -> float:
    """The effect that a column has in a step where it is 1 after steps where it was 0."""
    known = np.zeros((effects.reach + 2, len(effects.weights)))
    known[-1, column] = 1.0
    effect = effects.by_column(effects.scale_columns(known), 0)[:, column]
    return float(effect[-1] - effect[-2])
