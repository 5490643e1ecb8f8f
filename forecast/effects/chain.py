"""Estimate effects, take them out of the past of a panel, and put them back into forecasts."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar.calendar import steps_of_a_year
from forecast.effects.closed import NONE_CLOSED, Closed, fixed_values
from forecast.effects.column_fit import fit_columns
from forecast.effects.columns import ColumnEffects
from forecast.effects.event_effects import (
    EFFECT_PRIORS,
    EventEffects,
    compute_event_factors,
    fit_events,
)
from forecast.effects.kinds import has_events, moved_levels, remove_shifts, stand_ins
from forecast.effects.newest import find_new_levels, remove_newest_outliers
from forecast.effects.period_days import has_period_days
from forecast.panel.events import find_touched_slots
from forecast.panel.panel import Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema


@dataclass(frozen=True)
class Effects:
    """What is known of a table's effects, in the order in which they are taken out."""

    closed: Closed = NONE_CLOSED  # positions in a season at which a series is constant
    events: EventEffects | None = None  # of holidays and events
    columns: ColumnEffects | None = None  # of columns known in advance, and of the year


@dataclass(frozen=True)
class Adjusted:
    """A panel without effects: value = factor * adjusted value + shift, in open slots."""

    panel: Panel  # without values in closed slots, stock-outs and where events leave hardly any
    factor: Numbers  # [slots]
    shift: Numbers  # [slots]
    # [slots], the fixed value of closed slots, such as days on which a shop is shut, NaN for open
    # slots; None if no slot is closed
    fixed: Numbers | None
    # [slots], adjusted values that stand in for those of stock-outs, which are only lower bounds,
    # NaN elsewhere; None without stock-outs
    stand_ins: Numbers | None

    def restore(self, values: Numbers, slot: Integers) -> Numbers:
        """Put effects back into adjusted values.

        `values` are [windows, horizon, ...]; `slot` [windows, horizon] says where they lie.
        """
        more_axes = (1,) * (values.ndim - slot.ndim)
        slot = slot.reshape(*slot.shape, *more_axes)
        restored = np.asarray(values * self.factor[slot] + self.shift[slot])
        if self.fixed is None:
            return restored
        fixed = self.fixed[slot]
        return np.where(np.isnan(fixed), restored, fixed)


def fit_effects(
    panel: Panel,
    schema: Schema,
    lags: tuple[int, ...],
    before: Integers,
    closed: Closed,
    earlier: ColumnEffects | None,
    with_draws: bool = False,
) -> Effects:
    """Estimate effects from values at positions before `before` [series]; `closed` is known.

    `earlier` effects of columns say whether these multiply or are added, see `fit_columns`.
    """
    fixed = fixed_values(closed, panel, schema)
    effects = Effects(closed)
    if has_events(schema):
        events = fit_events(remove_shifts(panel, schema), schema, before, fixed)
        effects = Effects(closed, events)
    year = steps_of_a_year(schema.calendar)
    if not (schema.known or year or has_period_days(schema.calendar)):
        return effects
    index = series_index(panel.ids, panel.ids)
    adjusted = remove_effects(panel, schema, effects, index, fixed)
    columns = fit_columns(adjusted.panel, schema, lags, before, year, earlier, with_draws)
    return replace(effects, columns=columns)


def remove_effects(
    panel: Panel,
    schema: Schema,
    effects: Effects,
    series_index: Integers,
    fixed: Numbers | None,
    season: int = 1,
    ends: Integers | None = None,
) -> Adjusted:
    """Take out the effects on a panel, whose closed slots have the values `fixed`.

    `series_index` [series] is each series' row in the arrays of effects, -1 for a new series. After
    a level shift, earlier values are moved to the newest level. With `ends` [series], a newest value
    before these positions that is an outlier is left out, and new levels are found.
    """
    observed = panel.observed
    if fixed is not None:
        observed = observed & np.isnan(fixed)
    changes = []
    levels = moved_levels(panel, schema)
    if levels is not None:
        changes.append(levels)
    if effects.events is not None:
        of_events = compute_event_factors(panel, schema, effects.events, series_index)
        # where events leave hardly anything of a value, it tells nothing about that without them
        observed = observed & (of_events[0] >= EFFECT_PRIORS.hidden)
        changes.append(of_events)
    if effects.columns is not None:
        changes.append(effects.columns.compute_factors(panel, schema, series_index))
    size = len(panel.values)
    whole = (panel.values, np.ones(size), np.zeros(size))
    for change in changes:
        whole = _remove(*whole, change)

    is_stock_out = find_touched_slots(panel, schema, "stock_out")
    is_bound = observed & is_stock_out
    observed = observed & ~is_stock_out
    adjusted = replace(panel, values=np.where(observed, whole[0], 0.0), observed=observed)
    if ends is not None:
        adjusted = remove_newest_outliers(adjusted, season, ends)
        new_levels = find_new_levels(adjusted, season, ends)
        if new_levels is not None:
            whole = _remove(*whole, new_levels)
            values = np.where(adjusted.observed, whole[0], 0.0)
            adjusted = replace(adjusted, values=values)
    values, factor, shift = whole
    stands_in = None
    if is_stock_out.any():
        bound = np.where(is_bound, values, np.nan)
        stands_in = stand_ins(adjusted, bound, season)
    return Adjusted(adjusted, factor, shift, fixed, stands_in)


def _remove(
    values: Numbers, factor: Numbers, shift: Numbers, change: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers, Numbers]:
    """Take one more effect out of values [slots]: value = own factor * rest + own shift.

    `factor` and `shift` turn the values into those of the panel; both follow.
    """
    own_factor, own_shift = change
    divisor = np.where(own_factor > 0, own_factor, 1.0)
    rest = (values - own_shift) / divisor
    return rest, factor * own_factor, factor * own_shift + shift
