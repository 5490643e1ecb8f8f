"""Windows as the pretrained network reads them inside `finetuned`, and mirror images; numpy and torch alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from forecast.pretrained.features import BEND, TOKEN, Features, Flags, Floats, Numbers, features_of
from forecast.pretrained.forecasting import MAX_SQUASHED, are_counts, window_seasons
from forecast.pretrained.network import LEVELS, inputs_of
from forecast.windows.scaling import Array, array_namespace, device_of
from forecast.windows.windows import Batch

ROUNDING = 1e-5  # share of the batch's scale, by which single precision may miss a whole number
CONSTANT = 1e-5  # share of the batch's scale below which a window's own counts as none
TINY = float(np.finfo(np.float64).tiny)
INPUTS = (
    "tokens",
    "base",
    "gated",
    "unit",
    "sign",
)  # of the network, beside the columns of the batch

Run = Callable[
    [dict[str, Array]], Array
]  # from `INPUTS` to quantiles in scaled units, [batch, horizon, LEVELS]


@dataclass(frozen=True)
class PretrainedWindows:
    batch: Batch  # in scaled units
    past: Numbers  # [batch, whole tokens], values in the target's unit, whole numbers exactly
    observed: Flags
    counts: Flags  # [batch], whether a window holds small whole numbers only
    seasons: tuple[int, ...]
    horizon: int

    @classmethod
    def of(cls, batch: Batch, seasons: tuple[int, ...], horizon: int) -> "PretrainedWindows":
        location, scale, scaled = (
            _numpy(array) for array in (batch.location, batch.scale, batch.past)
        )
        values = location + scale * scaled.astype(np.float64)
        values = np.where(
            np.abs(values - np.round(values)) <= ROUNDING * scale, np.round(values), values
        )
        blank = (0, 0), (-values.shape[1] % TOKEN, 0)
        past, observed = np.pad(values, blank), np.pad(_numpy(batch.mask) > 0, blank)
        observed[:, -1] |= ~observed.any(1)
        return cls(batch, past, observed, are_counts(past, observed), seasons, horizon)

    def inputs(self, turned: Flags) -> tuple[Features, dict[str, Array]]:
        """What the network takes, and from which features; where `turned`, of mirror images, which counts have not."""
        seasons = window_seasons(self.seasons, self.past.shape[1] - self.observed.argmax(1))
        whole, scale = -(-self.horizon // TOKEN) * TOKEN, _numpy(self.batch.scale)[:, 0]
        sign = np.where(turned & ~self.counts, -1.0, 1.0)
        features = features_of(sign[:, None] * self.past, self.observed, seasons, whole)
        constant = features.scale < CONSTANT * scale  # a constant past has no scale of its own
        unit = np.where(constant, np.float32(1), features.unit)
        features = replace(features, scale=np.where(constant, scale, features.scale), unit=unit)
        arrays = map(self.like, (*inputs_of(features), sign.astype(np.float32)))
        return features, dict(zip(INPUTS, arrays, strict=True))

    def quantiles(self, run: Run, turned: Flags) -> Array:
        """Quantiles in the target's unit, [batch, horizon, network's levels]; where `turned`, by mirror images."""
        features, arrays = self.inputs(turned)
        scaled, upright = run(arrays), arrays["sign"][:, None, None] > 0
        location, scale, xp = (
            self.like(features.location),
            self.like(features.scale),
            array_namespace(scaled),
        )
        far = BEND * xp.sinh(
            xp.clip(xp.astype(scaled, xp.float64), -MAX_SQUASHED, MAX_SQUASHED) / BEND
        )
        values = location[:, None, None] + scale[:, None, None] * far
        return xp.where(upright, values, -xp.flip(values, axis=-1))

    def at_levels(self, values: Array, levels: tuple[float, ...]) -> Array:
        """Quantiles in the target's unit as [batch, horizon, levels] in the batch's scaled units."""
        xp, scale = array_namespace(values), self.batch.scale[..., None]
        scaled = (values - self.batch.location[..., None]) / xp.clip(scale, min=TINY)
        return xp.astype(scaled, xp.float32) @ self.like(between(levels))

    def like(self, array: Any) -> Array:
        return array_namespace(self.batch.past).asarray(array, device=device_of(self.batch.past))


def both_ways(windows: PretrainedWindows, run: Run, levels: tuple[float, ...]) -> Array:
    """[batch, horizon, levels] in scaled units: the mean of both mirror images; of counts whole numbers, upright."""
    turned = np.ones(len(windows.past), np.bool_)
    upright = windows.quantiles(run, ~turned)
    both = (upright + windows.quantiles(run, turned)) / 2
    xp = array_namespace(both)
    values = xp.where(windows.like(windows.counts)[:, None, None], xp.round(upright), both)
    return windows.at_levels(values, levels)


@cache
def between(levels: tuple[float, ...]) -> Floats:
    """What turns quantiles at the network's levels into those at others, [network's levels, levels]."""
    deviates = [[NormalDist().inv_cdf(level) for level in some] for some in (LEVELS, levels)]
    columns = [np.interp(deviates[1], deviates[0], unit) for unit in np.eye(len(LEVELS))]
    return np.stack(columns).astype(np.float32)


def _numpy(array: Array) -> Any:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else array
