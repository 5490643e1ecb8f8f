"""Cut a panel into past and future windows: a window is an index, a batch one gather."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields, replace
from operator import itemgetter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Floats, Integers, Numbers, Panel
from forecast.settings import ScalingName
from forecast.windows.scaling import Array, array_namespace, device_of, scale_windows

ROUNDING = 2.0**-22  # share of a location by which single precision may miss 0
NETWORK_BATCH = 128  # windows that go through a network at once when it forecasts

WindowIndex = tuple[Integers, Integers]
"""Windows, each as a series and the position that its past ends before, [windows] twice."""

ToArray = Callable[[NDArray[Any]], Array]
"""Copies an array of numpy to where windows are gathered."""


@dataclass(frozen=True)
class Batch:
    """The inputs of a network, in scaled units, and its targets; arrays of numpy or of torch."""

    past: Array  # [batch, lookback], 0 where missing or padded
    mask: Array  # [batch, lookback], 1 where observed
    past_covariates: Array  # [batch, lookback, past features]
    future_covariates: Array  # [batch, horizon, future features]
    static: Array  # [batch, static features]
    series: Array  # [batch], see the function `series_index`
    past_codes: Array  # of categorical columns; 0 = unknown
    future_codes: Array
    static_codes: Array
    seasonal: Array  # [batch, horizon, seasons], the value the fewest whole seasons before each step, 0 where missing
    target: Array  # [batch, horizon]
    target_mask: Array
    weight: Array  # [batch], of the window in the loss
    location: (
        Array  # [batch, 1], float64 as the values are; value = location + scale * scaled value
    )
    scale: Array

    def __len__(self) -> int:
        return len(self.past)

    def unscaled(self, scaled: Array) -> Array:
        """Quantiles in the unit of the values, [batch, horizon, levels]; a flat window is forecast flat."""
        xp = array_namespace(scaled)
        moved = xp.astype(xp.where((self.weight > 0)[:, None, None], scaled, 0.0), xp.float64)
        values = self.location[..., None] + self.scale[..., None] * moved
        return xp.where(xp.abs(values) <= ROUNDING * xp.abs(self.location[..., None]), 0.0, values)

    def padded(self, size: int) -> Self:
        """Repeat the last window up to `size`: kernels may round differently for other batch sizes."""
        if (missing := size - len(self)) <= 0:
            return self
        xp = array_namespace(self.past)
        return self.map(
            lambda array: xp.concat(
                [array, xp.broadcast_to(array[-1:], (missing, *array.shape[1:]))]
            )
        )

    def split(self, size: int) -> list[Self]:
        slices = [slice(start, start + size) for start in range(0, len(self), size)]
        return [self.map(itemgetter(part)) for part in slices]

    def map(self, change: Callable[[Array], Array]) -> Self:
        return replace(
            self, **{field.name: change(getattr(self, field.name)) for field in fields(self)}
        )


@dataclass(frozen=True)
class Columns:
    """Covariates of a panel made ready: numbers standardised and without blanks, categories as codes."""

    known: Floats  # [slots and vintages, numeric columns]
    past: Floats  # columns known only up to now, not the values of the target
    static: Floats  # [series, columns]
    known_codes: Integers  # [slots, categorical columns]
    past_codes: Integers
    static_codes: Integers
    calendar: Floats  # [grid positions, features], row 0 at grid position `first`
    first: int
    keys: Integers  # [vintages], ascending: `span` numbers for each slot, a larger one for a later origin
    span: int


class Windows:
    """All windows of a panel whose values are transformed.

    A window is a pair (series, position): its past ends before that position of the series, its future starts
    there. Nothing is cut until `batch` gathers it, in numpy, or in the arrays that `to` copies to.
    """

    def __init__(
        self,
        panel: Panel,
        columns: Columns,
        horizon: int,
        lags: tuple[int, ...],
        series_index: Integers,
    ) -> None:
        self.lookback, self.horizon = 1, horizon
        self.scaling: ScalingName = "standard"
        self.values, self.observed, self.spread = (
            panel.values,
            panel.observed,
            panel.expanding_std(),
        )
        self.visible = panel.observed  # in a past
        self.offsets, self.lengths = panel.offsets[:-1], panel.lengths
        self.known, self.known_codes = columns.known, columns.known_codes
        self.keys, self.span = columns.keys, columns.span
        self.past_columns, self.past_codes = columns.past, columns.past_codes
        self.static, self.static_codes = columns.static, columns.static_codes
        self.series_index = series_index
        self.calendar, self.grid = columns.calendar, panel.starts - columns.first
        self.steps = np.arange(horizon)
        # a step h beyond one season looks back as many whole seasons as bring it before the origin
        back = [self.steps - lag * (self.steps // lag + 1) for lag in lags]
        self.seasonal = np.stack(back) if back else np.zeros((0, horizon), np.int64)

    def with_stand_ins(self, values: Numbers) -> Self:
        """The same windows with other values, NaN where none, shown in a past: no targets, and nothing to scale by."""
        other, known = copy(self), np.isfinite(values)
        other.values, other.visible = np.where(known, values, self.values), self.observed | known
        return other

    def to(self, to_array: ToArray) -> Self:
        """The same windows, gathered where `to_array` copies the arrays."""
        other = copy(self)
        arrays = {
            name: to_array(value)
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        vars(other).update(arrays)
        return other

    def cut(self, lookback: int, scaling: ScalingName) -> Self:
        """The windows of the same arrays with another lookback and scaling; nothing is copied."""
        other = copy(self)
        other.lookback, other.scaling = lookback, scaling
        return other

    def scales(self, series: Array, position: Array) -> tuple[Array, Array, Array]:
        """Location and scale, [batch, 1], and loss weight, [batch], of windows; see `scale_windows`."""
        return self._scales(self._past(series, position))

    def _scales(self, past: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array]:
        first_slot, positions, slot, inside = past
        newest = (first_slot + array_namespace(slot).clip(positions[:, -1:], min=0))[:, 0]
        return scale_windows(
            self.values[slot], inside & self.observed[slot], self.spread[newest], self.scaling
        )

    def batch(self, series: Array, position: Array, limit: Array | None = None) -> Batch:
        """Gather windows [batch]; slots from `limit` [batch] on are no targets, by default those after the origins."""
        xp = array_namespace(self.values)
        limit = self.lengths[series] if limit is None else limit
        first_slot, positions, slot, inside = past_slots = self._past(series, position)
        mask, present = inside & self.visible[slot], inside[..., None]
        location, scale, weight = self._scales(past_slots)
        past = self._scaled(slot, mask, location, scale)
        ahead = position[:, None] + self.steps  # [batch, horizon]
        ahead_slot = first_slot + ahead
        target_mask = self.observed[ahead_slot] & (ahead < limit[:, None])
        seasonal = [
            self._lagged(first_slot, position[:, None] + back, location, scale)
            for back in self.seasonal
        ]
        known, known_ahead = (
            self._known(slots, self.grid[series] + position) for slots in (slot, ahead_slot)
        )
        empty = xp.zeros((*ahead.shape, 0), dtype=past.dtype, device=device_of(past))
        grid, last = self.grid[series][:, None], len(self.calendar) - 1
        past_calendar, future_calendar = (
            self.calendar[xp.clip(grid + steps, 0, last)] for steps in (positions, ahead)
        )
        return Batch(
            past=past,
            mask=xp.astype(mask, past.dtype),
            past_covariates=xp.concat(
                [past_calendar, self.known[known], self.past_columns[slot]], axis=-1
            )
            * present,
            future_covariates=xp.concat([future_calendar, self.known[known_ahead]], axis=-1),
            static=self.static[series],
            series=self.series_index[series],
            past_codes=xp.concat([self.known_codes[known], self.past_codes[slot]], axis=-1)
            * present,
            future_codes=self.known_codes[known_ahead],
            static_codes=self.static_codes[series],
            seasonal=xp.stack(seasonal, axis=-1) if seasonal else empty,
            target=self._scaled(ahead_slot, target_mask, location, scale),
            target_mask=xp.astype(target_mask, past.dtype),
            weight=xp.astype(weight, past.dtype),
            location=location,
            scale=scale,
        )

    def _past(self, series: Array, position: Array) -> tuple[Array, Array, Array, Array]:
        """First slot of each series, position of each step in it, its slot, and whether it lies in the series."""
        xp = array_namespace(position)
        first_slot = self.offsets[series][:, None]
        back = xp.arange(-self.lookback, 0, device=device_of(position))
        positions = position[:, None] + back  # [batch, lookback]
        return first_slot, positions, first_slot + xp.clip(positions, min=0), positions >= 0

    def _known(self, slot: Array, origin: Array) -> Array:
        """The rows of known columns for slots [batch, steps], as they were known at origins [batch], counted from 1."""
        if not len(self.keys):
            return slot
        xp, first = array_namespace(slot), slot * self.span
        newest_key = first + xp.clip(origin, 0, self.span - 1)[:, None]
        found = xp.searchsorted(self.keys, xp.reshape(newest_key, (-1,)), side="right") - 1
        found = xp.clip(xp.reshape(found, newest_key.shape), min=0)
        newest = self.keys[found]
        return xp.where((newest >= first) & (newest <= newest_key), len(self.values) + found, slot)

    def _lagged(self, first_slot: Array, positions: Array, location: Array, scale: Array) -> Array:
        slot = first_slot + array_namespace(positions).clip(positions, min=0)
        return self._scaled(
            slot, (positions >= 0) & self.visible[slot], location, scale
        )  # [batch, horizon]

    def _scaled(self, slot: Array, present: Array, location: Array, scale: Array) -> Array:
        """Values in units of their window, 0 where they are missing; float32 only after the location is subtracted."""
        xp = array_namespace(location)
        return xp.astype(xp.where(present, (self.values[slot] - location) / scale, 0.0), xp.float32)
