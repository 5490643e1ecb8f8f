"""Cut a panel into windows of past and future; a window is an index until it is gathered."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Floats, Integers, Numbers, Panel
from forecast.settings import ScalingName
from forecast.windows.scaling import Array, array_namespace, find_device, scale_windows

# `Batch.unscale` sets values to 0 that are below this share of the location: they are rounding
# errors of single precision
SCALE_ROUNDING = 2.0**-22
NETWORK_BATCH = 128  # windows that go through a network at once when it forecasts

WindowIndex = tuple[Integers, Integers]
"""Windows, each as a series and the position that its past ends before, [windows] twice."""

Holder = TypeVar("Holder")

ToArray = Callable[[NDArray[Any]], Array]
"""Copies an array of numpy to where windows are gathered."""


@dataclass(frozen=True)
class Batch:
    """The inputs and targets of a network, in scaled units, as arrays of numpy or of torch."""

    past: Array  # [batch, lookback], 0 where missing or padded
    mask: Array  # [batch, lookback], 1 where observed
    past_covariates: Array  # [batch, lookback, past features]
    future_covariates: Array  # [batch, horizon, future features]
    static: Array  # [batch, static features]
    series: Array  # [batch], see the function `series_index`
    # codes of categorical columns, shaped like the covariates above; 0 means unknown
    past_codes: Array
    future_codes: Array
    static_codes: Array
    # [batch, horizon, seasons], the newest past value a whole number of seasons earlier, 0 where
    # missing
    seasonal: Array
    target: Array  # [batch, horizon], 0 where missing
    target_mask: Array  # [batch, horizon], 1 where observed
    weight: Array  # [batch], weight of the window in the loss
    location: Array  # [batch, 1], float64; value = location + scale * scaled value
    scale: Array

    def __len__(self) -> int:
        return len(self.past)

    def unscale(self, scaled: Array) -> Array:
        """Convert scaled quantiles to the unit of the values, [batch, horizon, quantile levels].

        The quantiles of a window without variation are all equal to its location.
        """
        xp = array_namespace(scaled)
        varies = (self.weight > 0)[:, None, None]
        deviations = xp.astype(xp.where(varies, scaled, 0.0), xp.float64)
        location = self.location[..., None]
        values = location + self.scale[..., None] * deviations
        is_rounding = xp.abs(values) <= SCALE_ROUNDING * xp.abs(location)
        return xp.where(is_rounding, 0.0, values)

    def pad(self, size: int) -> Self:
        """Repeat the last window until there are `size` windows.

        Kernels may round differently for batches of other sizes.
        """
        missing = size - len(self)
        if missing <= 0:
            return self
        xp = array_namespace(self.past)

        def pad(array: Array) -> Array:
            repeated = xp.broadcast_to(array[-1:], (missing, *array.shape[1:]))
            return xp.concat([array, repeated])

        return self.map(pad)

    def split(self, size: int) -> list[Self]:
        starts = range(0, len(self), size)
        return [self.map(itemgetter(slice(start, start + size))) for start in starts]

    def map(self, change: Callable[[Array], Array]) -> Self:
        changed = {name: change(array) for name, array in vars(self).items()}
        return replace(self, **changed)


@dataclass(frozen=True)
class Columns:
    """The prepared covariates of a panel: standardised numbers without blanks, and codes."""

    known: Floats  # [slots and vintages, numeric columns], columns known in advance
    past: Floats  # [slots, numeric columns], past covariates, which do not include the target
    static: Floats  # [series, numeric columns], static covariates
    known_codes: Integers  # [slots and vintages, categorical columns]; likewise the next two
    past_codes: Integers
    static_codes: Integers
    calendar: Floats  # [grid positions, features], row 0 is at grid position `first`
    first: int
    # [vintages], ascending; the key of a vintage is slot * span + origin, where origins are counted
    # from the grid position before `first`
    keys: Integers
    span: int


def _convert_arrays(holder: Holder, to_array: ToArray) -> Holder:
    """Copy an object, and convert its arrays of numpy with `to_array`."""
    other = copy(holder)
    for name, value in vars(holder).items():
        if isinstance(value, np.ndarray):
            vars(other)[name] = to_array(value)
    return other


class PastSlots(NamedTuple):
    """Where the past of windows lies in the panel."""

    positions: Array  # [batch, lookback], position in the series; below 0 before its beginning
    slots: Array  # [batch, lookback]; the first slot of the series for positions below 0
    inside: Array  # [batch, lookback], whether the position is at least 0


class Windows:
    """All windows of a panel whose values are transformed.

    A window is a pair (series, position): its past ends before that position of the series, and its
    future starts there. `batch` gathers windows; until then, nothing is copied. They are gathered
    by numpy, or by the library of the arrays that `to` copies to.
    """

    def __init__(
        self,
        panel: Panel,
        columns: Columns,
        horizon: int,
        lags: tuple[int, ...],
        series_index: Integers,
    ) -> None:
        self.lookback = 1
        self.horizon = horizon
        self.scaling: ScalingName = "standard"
        self.values = panel.values
        self.observed = panel.observed
        self.visible = panel.observed  # [slots], whether the past of a window shows the value
        self.spread = panel.expanding_std()
        self.offsets = panel.first_slots
        self.lengths = panel.lengths
        self.columns = columns
        self.series_index = series_index
        self.grid = panel.starts - columns.first
        self.steps = np.arange(horizon)
        # a step h beyond one season looks back as many whole seasons as bring it before the origin
        self.seasonal = np.zeros((len(lags), horizon), np.int64)
        for number, lag in enumerate(lags):
            seasons_back = self.steps // lag + 1
            self.seasonal[number] = self.steps - lag * seasons_back

    def substitute(self, values: Numbers) -> Self:
        """Return windows whose past shows `values` [slots] in place of their own; NaN changes none.

        These values are never targets, and do not influence location and scale.
        """
        other = copy(self)
        stands_in = np.isfinite(values)
        other.values = np.where(stands_in, values, self.values)
        other.visible = self.observed | stands_in
        return other

    def to(self, to_array: ToArray) -> Self:
        """Return the same windows on arrays that `to_array` has converted."""
        other = _convert_arrays(self, to_array)
        other.columns = _convert_arrays(self.columns, to_array)
        return other

    def cut(self, lookback: int, scaling: ScalingName) -> Self:
        """Return windows with another lookback and scaling; they share the arrays of these."""
        other = copy(self)
        other.lookback = lookback
        other.scaling = scaling
        return other

    def scales(self, series: Array, position: Array) -> tuple[Array, Array, Array]:
        """Return location, scale and loss weight of windows; see `scale_windows`."""
        return self._scales(self._past(series, position))

    def _scales(self, past: PastSlots) -> tuple[Array, Array, Array]:
        observed = past.inside & self.observed[past.slots]
        newest = past.slots[:, -1]
        values = self.values[past.slots]
        return scale_windows(values, observed, self.spread[newest], self.scaling)

    def batch(self, series: Array, position: Array, limit: Array | None = None) -> Batch:
        """Gather windows [batch].

        Positions from `limit` [batch] on are not targets; by default, these are the positions after
        the origin of the series.
        """
        xp = array_namespace(self.values)
        past = self._past(series, position)
        mask = past.inside & self.visible[past.slots]
        inside = past.inside[..., None]
        location, scale, weight = self._scales(past)

        first_slot = self.offsets[series][:, None]
        ahead = position[:, None] + self.steps  # [batch, horizon]
        ahead_slots = first_slot + ahead
        ends = self.lengths[series] if limit is None else limit
        target_mask = self.observed[ahead_slots] & (ahead < ends[:, None])

        def rescale(slots: Array, present: Array) -> Array:
            # float32 only after the location is subtracted
            values = (self.values[slots] - location) / scale
            return xp.astype(xp.where(present, values, 0.0), xp.float32)

        empty = (len(series), self.horizon, 0)
        seasonal = [xp.zeros(empty, dtype=xp.float32, device=find_device(location))]
        for back in self.seasonal:
            lagged = position[:, None] + back
            slots = first_slot + xp.clip(lagged, min=0)
            present = (lagged >= 0) & self.visible[slots]
            seasonal.append(rescale(slots, present)[..., None])

        columns = self.columns
        origin = self.grid[series] + position  # on the calendar
        known = self._known(past.slots, origin)
        known_ahead = self._known(ahead_slots, origin)
        past_columns = [
            self._calendar(series, past.positions),
            columns.known[known],
            columns.past[past.slots],
        ]
        future_columns = [self._calendar(series, ahead), columns.known[known_ahead]]
        past_codes = [columns.known_codes[known], columns.past_codes[past.slots]]
        return Batch(
            past=rescale(past.slots, mask),
            mask=xp.astype(mask, xp.float32),
            past_covariates=xp.concat(past_columns, axis=-1) * inside,
            future_covariates=xp.concat(future_columns, axis=-1),
            static=columns.static[series],
            series=self.series_index[series],
            past_codes=xp.concat(past_codes, axis=-1) * inside,
            future_codes=columns.known_codes[known_ahead],
            static_codes=columns.static_codes[series],
            seasonal=xp.concat(seasonal, axis=-1),
            target=rescale(ahead_slots, target_mask),
            target_mask=xp.astype(target_mask, xp.float32),
            weight=xp.astype(weight, xp.float32),
            location=location,
            scale=scale,
        )

    def _past(self, series: Array, position: Array) -> PastSlots:
        xp = array_namespace(position)
        back = xp.arange(-self.lookback, 0, device=find_device(position))
        positions = position[:, None] + back
        first_slot = self.offsets[series][:, None]
        slots = first_slot + xp.clip(positions, min=0)
        return PastSlots(positions, slots, positions >= 0)

    def _calendar(self, series: Array, positions: Array) -> Array:
        """Return features of the calendar at positions of the series, [batch, steps, features]."""
        row = self.grid[series][:, None] + positions
        calendar = self.columns.calendar
        row = array_namespace(row).clip(row, 0, len(calendar) - 1)
        return calendar[row]

    def _known(self, slots: Array, origin: Array) -> Array:
        """Return the rows of columns known in advance for slots [batch, steps].

        They are the rows that were known at `origin` [batch].
        """
        keys = self.columns.keys
        span = self.columns.span
        if not len(keys):
            return slots
        xp = array_namespace(slots)
        first_key = slots * span
        since = xp.clip(origin, 0, span - 1)
        newest_key = first_key + since[:, None]
        flat_keys = xp.reshape(newest_key, (-1,))
        after = xp.searchsorted(keys, flat_keys, side="right")
        row = xp.reshape(after - 1, newest_key.shape)
        row = xp.clip(row, min=0)
        key = keys[row]
        is_vintage = (key >= first_key) & (key <= newest_key)
        return xp.where(is_vintage, len(self.values) + row, slots)
