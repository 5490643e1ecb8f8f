"""Windows and their mirror images as the pretrained network reads them inside `finetuned`.

The code works on numpy arrays and on torch tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from forecast.panel.panel import Flags, Floats, Numbers
from forecast.pretrained.features import BEND, TOKEN_STEPS, Features, compute_features
from forecast.pretrained.forecasting import MAX_SQUASHED, are_counts, window_seasons
from forecast.pretrained.network import LEVELS, build_inputs
from forecast.windows.scaling import Array, array_namespace, find_device
from forecast.windows.windows import Batch

# a value this close to a whole number, as a share of the batch's scale, is one: the difference
# comes from single precision
WINDOW_ROUNDING = 1e-5
# a window whose own scale is below this share of the batch's scale counts as constant
CONSTANT = 1e-5
LEAST_UNIT = float(np.finfo(np.float64).tiny)
NETWORK_INPUTS = (
    "tokens",
    "base",
    "gated",
    "unit",
    "sign",
)  # of the network, beside the batch's columns

Run = Callable[[dict[str, Array]], Array]
"""From `NETWORK_INPUTS` to quantiles in scaled units, [batch, horizon, LEVELS]."""


@dataclass(frozen=True)
class PretrainedWindows:
    batch: Batch  # in scaled units
    past: Numbers  # [batch, whole tokens], in the target's unit, whole numbers exactly
    observed: Flags
    counts: Flags  # [batch], whether a window holds small whole numbers only
    seasons: tuple[int, ...]
    horizon: int

    @classmethod
    def from_batch(
        cls, batch: Batch, seasons: tuple[int, ...], horizon: int
    ) -> "PretrainedWindows":
        scale = _numpy(batch.scale)
        deviations = _numpy(batch.past).astype(np.float64)
        values = _numpy(batch.location) + scale * deviations
        rounded = np.round(values)
        is_whole = np.abs(values - rounded) <= WINDOW_ROUNDING * scale
        values = np.where(is_whole, rounded, values)

        missing = -values.shape[1] % TOKEN_STEPS
        blank = (0, 0), (missing, 0)
        past = np.pad(values, blank)
        observed = np.pad(_numpy(batch.mask) > 0, blank)
        observed[:, -1] |= ~observed.any(1)
        counts = are_counts(past, observed)
        return cls(batch, past, observed, counts, seasons, horizon)

    def inputs(self, mirrored: Flags) -> tuple[Features, dict[str, Array]]:
        """The arrays that the network takes, and the features they come from.

        `mirrored` [batch] says which windows are negated; windows of counts never are.
        """
        lengths = self.past.shape[1] - self.observed.argmax(1)
        seasons = window_seasons(self.seasons, lengths)
        sign = np.where(mirrored & ~self.counts, -1.0, 1.0)
        whole_tokens = -(-self.horizon // TOKEN_STEPS) * TOKEN_STEPS
        past = sign[:, None] * self.past
        features = compute_features(past, self.observed, seasons, whole_tokens)

        # a constant past has no scale of its own
        batch_scale = _numpy(self.batch.scale)[:, 0]
        constant = features.scale < CONSTANT * batch_scale
        scale = np.where(constant, batch_scale, features.scale)
        unit = np.where(constant, np.float32(1), features.unit)
        features = replace(features, scale=scale, unit=unit)
        arrays = (*build_inputs(features), sign.astype(np.float32))
        return features, dict(zip(NETWORK_INPUTS, map(self.like, arrays), strict=True))

    def quantiles(self, run: Run, mirrored: Flags) -> Array:
        """Quantiles in the target's unit at the network's levels, [batch, horizon, LEVELS]."""
        features, arrays = self.inputs(mirrored)
        scaled = run(arrays)
        xp = array_namespace(scaled)
        squashed = xp.astype(scaled, xp.float64)
        squashed = xp.clip(squashed, -MAX_SQUASHED, MAX_SQUASHED)
        scale = self.like(features.scale)[:, None, None]
        location = self.like(features.location)[:, None, None]
        deviations = BEND * xp.sinh(squashed / BEND)
        values = location + scale * deviations
        upright = arrays["sign"][:, None, None] > 0
        return xp.where(upright, values, -xp.flip(values, axis=-1))

    def at_levels(self, values: Array, levels: tuple[float, ...]) -> Array:
        """Quantiles in the batch's scaled units, at other levels, from those of `quantiles`."""
        xp = array_namespace(values)
        scale = xp.clip(self.batch.scale[..., None], min=LEAST_UNIT)
        scaled = (values - self.batch.location[..., None]) / scale
        return xp.astype(scaled, xp.float32) @ self.like(interpolate_levels(levels))

    def like(self, array: Any) -> Array:
        past = self.batch.past
        return array_namespace(past).asarray(array, device=find_device(past))


def both_ways(windows: PretrainedWindows, run: Run, levels: tuple[float, ...]) -> Array:
    """Quantiles in scaled units, [batch, horizon, levels]: the mean over both mirror images.

    Windows of counts are forecast without mirroring, and get whole numbers.
    """
    mirrored = np.ones(len(windows.past), np.bool_)
    upright = windows.quantiles(run, ~mirrored)
    reflected = windows.quantiles(run, mirrored)
    mean = (upright + reflected) / 2
    xp = array_namespace(mean)
    counts = windows.like(windows.counts)[:, None, None]
    values = xp.where(counts, xp.round(upright), mean)
    return windows.at_levels(values, levels)


@cache
def interpolate_levels(levels: tuple[float, ...]) -> Floats:
    """The matrix that turns quantiles at the network's levels into others, [LEVELS, levels]."""
    inverse = NormalDist().inv_cdf
    network_deviates = list(map(inverse, LEVELS))
    deviates = list(map(inverse, levels))
    rows = [np.interp(deviates, network_deviates, unit) for unit in np.eye(len(LEVELS))]
    return np.stack(rows).astype(np.float32)


def _numpy(array: Array) -> Any:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else array
