"""Make a panel ready for networks and baselines: target transformed, covariates standardised, windows indexed."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from forecast.events.effects import Adjustment, Effects, ordinary_panel
from forecast.events.kinds import stand_ins, touched
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import ScalingName
from forecast.windows.covariates import Statistics, make_columns
from forecast.windows.transforms import apply_power, transformed, undo_power
from forecast.windows.windows import WindowIndex, Windows


@dataclass(frozen=True)
class Transform:
    """What is done to the target before networks and baselines see it, and undone in forecasts."""

    power: float  # exponent, see `fit_power`
    effects: Effects | None = None  # of events, which are taken out first
    fixed: Numbers | None = None  # [slots of the panel], the values of closed slots, see `fixed_values`


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
    bound: Numbers | None = None  # [slots], what stands in for stock-outs in a past, as the panel's values; NaN, None

    @cached_property
    def closed(self) -> Numbers | None:
        """[slots], the values of closed slots, transformed as those of the panel, NaN for others; None if none is.

        What an event closed is a gap in the past: no season of summands fits it.
        """
        if self.adjustment is None or self.adjustment.fixed is None:
            return None
        fixed = self.adjustment.fixed
        known, shut = fixed > 0 if self.power == 0.0 else np.isfinite(fixed), touched(self.panel, self.schema, "closed")
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
        """Steps that the networks forecast."""
        return self.arrays.horizon

    def windows(self, lookback: int, scaling: ScalingName = "standard") -> Windows:
        """The windows with this lookback and scaling, as arrays of numpy."""
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
    """Make a panel ready; `ids` are those of the fit."""
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    index = series_index(ids, panel.ids)
    ordinary, moved = ordinary_panel(panel, schema, transform.effects, index, transform.fixed)
    changed, power = transformed(ordinary, transform.power), transform.power
    arrays = Windows(changed, columns, horizon, lags, index)
    bound = None if moved is None else moved.bounds(panel)
    if bound is not None:
        found = stand_ins(ordinary, bound, lags[0] if lags else 1)
        known = found > 0 if power == 0.0 else np.isfinite(found)
        bound = np.where(known, apply_power(found, known, power), np.nan)
        arrays = arrays.with_stand_ins(bound)
    return Inputs(changed, schema, lags, levels, len(ids), index, arrays, power, panel.counts(), moved, bound)
