"""Cut a panel into past and future windows: a window is an index, a batch one gather."""

from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from forecast.panel.panel import Floats, Integers, Numbers, Panel
from forecast.panel.scaling import scale_windows
from forecast.settings import ScalingName


@dataclass(frozen=True)
class Batch:
    """What a network sees, in scaled units, and what it is trained on.

    Attributes
    ----------
    past, mask : [batch, lookback], values (0 where missing or padded) and 1 where observed
    past_covariates : [batch, lookback, past features]
    future_covariates : [batch, horizon, future features]
    static : [batch, static features]
    series : [batch], number of each window's series among those of the fit, from 1; 0 for one that was not there
    past_codes, future_codes, static_codes : the categorical columns, as codes with 0 = unknown
    seasonal : [batch, horizon, seasons], the value one season (or the fewest whole seasons) before each step, 0 where
        missing
    target, target_mask : [batch, horizon]
    weight : [batch], weight of each window in the loss
    location, scale : [batch, 1], float64 as the values are; value = location + scale * scaled value
    """

    past: Tensor
    mask: Tensor
    past_covariates: Tensor
    future_covariates: Tensor
    static: Tensor
    series: Tensor
    past_codes: Tensor
    future_codes: Tensor
    static_codes: Tensor
    seasonal: Tensor
    target: Tensor
    target_mask: Tensor
    weight: Tensor
    location: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.past)

    def unscaled(self, scaled: Tensor) -> Tensor:
        """Quantiles in the unit of the values, [batch, horizon, levels]; what never moved is forecast not to move."""
        moved = torch.where((self.weight > 0)[:, None, None], scaled, 0.0).double()
        return self.location[..., None] + self.scale[..., None] * moved

    def padded(self, size: int) -> Self:
        """Repeat the last window up to `size`: kernels may round differently for other batch sizes."""
        short = size - len(self)
        if short <= 0:
            return self
        grown = {
            f.name: torch.cat([t, t[-1:].expand(short, *t.shape[1:])])
            for f in fields(self)
            if (t := getattr(self, f.name)) is not None
        }
        return replace(self, **grown)

    def split(self, size: int) -> list[Self]:
        """The windows in groups of `size`, fewer in the last one."""
        return [
            replace(self, **{f.name: getattr(self, f.name)[start : start + size] for f in fields(self)})
            for start in range(0, len(self), size)
        ]


@dataclass(frozen=True)
class Columns:
    """Covariates of a panel made ready: numbers standardised and without blanks, categories as codes.

    Attributes
    ----------
    known, past : [slots, numeric columns]
    known_codes, past_codes : [slots, categorical columns]
    static, static_codes : [series, columns]
    calendar : [grid positions, features], row 0 at grid position `first`
    """

    known: Floats
    past: Floats
    static: Floats
    known_codes: Integers
    past_codes: Integers
    static_codes: Integers
    calendar: Floats
    first: int


class Windows:
    """All windows of a panel, on one device.

    A window is a pair (series, position): its past ends before slot `position` of the series, its future starts
    there. Nothing is cut until `batch` gathers it.

    Parameters
    ----------
    panel : values already transformed; `panel.spread` is the deviation of each series' own past up to each slot
    columns : covariates made ready
    lookback, horizon : steps
    lags : season lengths whose lagged values the network sees
    scaling : how each window is scaled by its own past
    numbers : [series], the number of each series among those of the fit, from 1; 0 for one that was not there
    device : where the arrays lie
    """

    def __init__(
        self,
        panel: Panel,
        columns: Columns,
        lookback: int,
        horizon: int,
        lags: tuple[int, ...],
        scaling: ScalingName,
        numbers: Integers,
        device: torch.device,
    ) -> None:
        def send(array: Floats | Numbers | Integers) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.lookback, self.horizon, self.scaling, self.device = lookback, horizon, scaling, device
        self.values, self.observed = send(panel.values), torch.from_numpy(panel.observed).to(device)
        self.spread = send(panel.own_spread())
        self.offsets, self.lengths = send(panel.offsets[:-1]), send(panel.lengths)
        self.known, self.known_codes = send(columns.known), send(columns.known_codes)
        self.past, self.past_codes = send(columns.past), send(columns.past_codes)
        self.static, self.static_codes = send(columns.static), send(columns.static_codes)
        self.numbers = send(numbers)
        self.calendar, self.grid = send(columns.calendar), send(panel.starts - columns.first)
        self.back = torch.arange(-lookback, 0, device=device)
        self.steps = torch.arange(horizon, device=device)
        # a step h beyond one season looks back as many whole seasons as bring it before the origin
        self.seasonal = [self.steps - lag * (self.steps // lag + 1) for lag in lags]

    def cut(self, lookback: int, scaling: ScalingName) -> "Windows":
        """The windows of the same arrays with another lookback and scaling; nothing is copied."""
        other = copy(self)
        other.lookback, other.scaling = lookback, scaling
        other.back = torch.arange(-lookback, 0, device=self.device)
        return other

    def scales(self, series: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location and scale, [batch, 1], and loss weight, [batch], of windows; see `scale_windows`."""
        _, _, slot, inside = self._past(series, position)
        spread = self.spread[(self.offsets[series] + position - 1).clamp(min=0)]
        return scale_windows(self.values[slot], inside & self.observed[slot], spread, self.scaling)

    def batch(self, series: Tensor, position: Tensor, limit: Tensor | None = None) -> Batch:
        """Gather windows.

        Parameters
        ----------
        series, position : [batch]
        limit : [batch], slots from here on are no targets; default the origin of each series
        """
        limit = self.lengths[series] if limit is None else limit
        base, place, slot, inside = self._past(series, position)
        mask = inside & self.observed[slot]
        location, scale, weight = self.scales(series, position)
        past = self._scaled(slot, mask, location, scale)
        ahead = position[:, None] + self.steps  # [batch, horizon]
        ahead_slot = base + ahead
        target_mask = self.observed[ahead_slot] & (ahead < limit[:, None])
        seasonal = [self._lagged(base, position[:, None] + lag, location, scale) for lag in self.seasonal]
        grid = self.grid[series][:, None]
        rows = len(self.calendar)
        past_calendar = self.calendar[(grid + place).clamp(0, rows - 1)]
        future_calendar = self.calendar[(grid + ahead).clamp(0, rows - 1)]
        present = inside[..., None]
        return Batch(
            past=past,
            mask=mask.to(past.dtype),
            past_covariates=torch.cat([past_calendar, self.known[slot], self.past[slot]], -1) * present,
            future_covariates=torch.cat([future_calendar, self.known[ahead_slot]], -1),
            static=self.static[series],
            series=self.numbers[series],
            past_codes=torch.cat([self.known_codes[slot], self.past_codes[slot]], -1) * present,
            future_codes=self.known_codes[ahead_slot],
            static_codes=self.static_codes[series],
            seasonal=torch.stack(seasonal, -1) if seasonal else past.new_zeros(len(series), self.horizon, 0),
            target=self._scaled(ahead_slot, target_mask, location, scale),
            target_mask=target_mask.to(past.dtype),
            weight=weight.to(past.dtype),
            location=location,
            scale=scale,
        )

    def _past(self, series: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        base = self.offsets[series][:, None]
        place = position[:, None] + self.back  # [batch, lookback]
        return base, place, base + place.clamp(min=0), place >= 0

    def _lagged(self, base: Tensor, place: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        slot = base + place.clamp(min=0)
        return self._scaled(slot, (place >= 0) & self.observed[slot], location, scale)  # [batch, horizon]

    def _scaled(self, slot: Tensor, there: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Values in units of their window, 0 where they are missing; float32 only after the location is subtracted."""
        return torch.where(there, (self.values[slot] - location) / scale, 0.0).float()
