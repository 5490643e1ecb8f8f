"""Windows as the pretrained network reads them inside `finetuned`, and mirror images; numpy and torch alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from forecast.panel.arrays import Array, array_namespace, device_of
from forecast.pretrained.features import BEND, TOKEN, Features, Flags, Floats, Numbers, features_of
from forecast.pretrained.forecasting import LARGEST, are_counts, window_seasons
from forecast.pretrained.network import LEVELS, inputs_of
from forecast.windows.windows import Batch

ROUNDING = 1e-5  # share of the batch's scale, by which single precision may miss a whole number
CONSTANT = 1e-5  # share of the batch's scale below which a window's own counts as none
TINY = float(np.finfo(np.float64).tiny)
INPUTS = ("tokens", "base", "gated", "unit", "sign")  # of the network, beside the columns of the batch

Run = Callable[[dict[str, Array]], Array]
"""The network: from `INPUTS` by name to quantiles in scaled units, [batch, horizon, network's levels]."""


@dataclass(frozen=True)
class PretrainedWindows:
    """The windows of a batch as the pretrained network reads them, on its own scale."""

    batch: Batch  # in scaled units
    past: Numbers  # [batch, whole tokens], values in the target's unit, whole numbers exactly
    observed: Flags
    counts: Flags  # [batch], whether a window holds small whole numbers only
    seasons: tuple[int, ...]
    horizon: int

    @classmethod
    def of(cls, batch: Batch, seasons: tuple[int, ...], horizon: int) -> "PretrainedWindows":
        """Undo the scaling of a batch."""
        location, scale, scaled = (_numpy(array) for array in (batch.location, batch.scale, batch.past))
        values = location + scale * scaled.astype(np.float64)
        values = np.where(np.abs(values - np.round(values)) <= ROUNDING * scale, np.round(values), values)
        blank = (0, 0), (-values.shape[1] % TOKEN, 0)
        observed = np.pad(_numpy(batch.mask) > 0, blank)
        observed[:, -1] |= ~observed.any(1)
        past = np.pad(values, blank)
        return cls(batch, past, observed, are_counts(past, observed), seasons, horizon)

    def sign(self, turned: Flags) -> Array:
        """1 for each window, -1 where it is turned into its mirror image; counts have none."""
        return self.like(np.where(turned & ~self.counts, -1.0, 1.0).astype(np.float32))

    def quantiles(self, run: Run, sign: Array) -> Array:
        """Quantiles in scaled units, [batch, horizon, network's levels]; `sign` is -1 where they come from a mirror."""
        features = self._features(_numpy(sign))
        scaled = run(dict(zip(INPUTS, (*map(self.like, inputs_of(features)), sign), strict=True)))
        location, scale, xp = self.like(features.location), self.like(features.scale), array_namespace(scaled)
        far = BEND * xp.sinh(xp.clip(xp.astype(scaled, xp.float64), -LARGEST, LARGEST) / BEND)
        values = location[:, None, None] + scale[:, None, None] * far
        values = xp.where(sign[:, None, None] > 0, values, -xp.flip(values, axis=-1))
        return xp.astype((values - self.batch.location[..., None]) / self._unit(), scaled.dtype)

    def whole(self, quantiles: Array) -> Array:
        """Quantiles in scaled units, those of counts moved to the nearest whole number in the target's unit."""
        xp, location = array_namespace(quantiles), self.batch.location[..., None]
        moved = (xp.round(location + self.batch.scale[..., None] * quantiles) - location) / self._unit()
        return xp.astype(moved, quantiles.dtype)

    def like(self, array: Any) -> Array:
        """An array of numpy where the batch lies."""
        xp = array_namespace(self.batch.past)
        return xp.asarray(array, device=device_of(self.batch.past))

    def _unit(self) -> Array:
        return array_namespace(self.batch.scale).clip(self.batch.scale, min=TINY)[..., None]

    def _features(self, sign: Floats) -> Features:
        """Input features of the windows or of their mirror images."""
        seasons = window_seasons(self.seasons, self.past.shape[1] - self.observed.argmax(1))
        whole = -(-self.horizon // TOKEN) * TOKEN
        features = features_of(sign.astype(np.float64)[:, None] * self.past, self.observed, seasons, whole)
        scale = _numpy(self.batch.scale)[:, 0]
        constant = features.scale < CONSTANT * scale  # a constant past has no scale of its own
        unit = np.where(constant, np.float32(1), features.unit)
        return replace(features, scale=np.where(constant, scale, features.scale), unit=unit)


def both_ways(windows: PretrainedWindows, run: Run, levels: tuple[float, ...]) -> Array:
    """Quantiles in scaled units, [batch, horizon, levels]: the mean of windows and their mirror images.

    Counts are forecast upright, by whole numbers.
    """
    none = np.zeros(len(windows.past), np.bool_)
    upright = windows.quantiles(run, windows.sign(none))
    both = (upright + windows.quantiles(run, windows.sign(~none))) / 2
    xp = array_namespace(both)
    quantiles = xp.where(windows.like(windows.counts)[:, None, None], windows.whole(upright), both)
    return quantiles @ windows.like(between(levels))


@cache
def between(levels: tuple[float, ...]) -> Floats:
    """What turns quantiles at the network's levels into those at others, [network's levels, levels]."""
    deviates = [[NormalDist().inv_cdf(level) for level in some] for some in (LEVELS, levels)]
    columns = [np.interp(deviates[1], deviates[0], unit) for unit in np.eye(len(LEVELS))]
    return np.stack(columns).astype(np.float32)


def _numpy(array: Array) -> Any:
    """An array of any backend as one of numpy."""
    return array.detach().cpu().numpy() if hasattr(array, "detach") else array
