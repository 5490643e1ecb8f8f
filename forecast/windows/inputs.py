"""Make a panel ready for networks and baselines: target transformed, covariates standardised, windows indexed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forecast.events.effects import Adjustment, Effects, ordinary_panel
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import ScalingName
from forecast.windows.covariates import Statistics, make_columns
from forecast.windows.transforms import apply_power, transformed, undo_power
from forecast.windows.windows import WindowIndex, Windows


@dataclass(frozen=True)
class Transform:
    """What is done to the target before networks and baselines see it, and undone in forecasts.

    Attributes
    ----------
    power : exponent, see `fit_power`
    effects : of events, which are taken out first; None where there are none
    fixed : [slots of the panel], the values of closed slots, see `fixed_values`; None where none is
    """

    power: float
    effects: Effects | None = None
    fixed: Numbers | None = None


@dataclass(frozen=True)
class Inputs:
    """A panel made ready for any network and any baseline; nothing is cut yet.

    Attributes
    ----------
    panel : its values without the effects of events, and transformed
    schema : how the table was read
    lags : season lengths whose lagged values the networks see
    levels : quantile levels of the outputs
    series : number of series of the fit
    series_index : [series], see `series_index`
    arrays : the windows, those of a lookback of 1, as arrays of numpy
    power : exponent of the transform
    counts : [series], see `Panel.counts`
    adjustment : what events do to the values, and closed slots; None where there are none
    """

    panel: Panel
    schema: Schema
    lags: tuple[int, ...]
    levels: tuple[float, ...]
    series: int
    series_index: Integers
    arrays: Windows
    power: float
    counts: Flags
    adjustment: Adjustment | None = None

    @cached_property
    def closed(self) -> Numbers | None:
        """[slots], the values of closed slots, transformed as those of the panel, NaN for others; None if none is."""
        if self.adjustment is None or self.adjustment.fixed is None:
            return None
        fixed = self.adjustment.fixed
        known = fixed > 0 if self.power == 0.0 else np.isfinite(fixed)
        return np.where(known, apply_power(fixed, known, self.power), np.nan)

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
    """Make a panel ready.

    Parameters
    ----------
    transform : of the target
    ids : of the series of the fit
    horizon : steps that the networks forecast
    """
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    index = series_index(ids, panel.ids)
    ordinary, moved = ordinary_panel(panel, schema, transform.effects, index, transform.fixed)
    changed = transformed(ordinary, transform.power)
    arrays = Windows(changed, columns, 1, horizon, lags, "standard", index)
    return Inputs(changed, schema, lags, levels, len(ids), index, arrays, transform.power, panel.counts(), moved)
