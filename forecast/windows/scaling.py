"""Scale each window by its own past; the functions work on arrays of numpy and of torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.settings import ScalingName

Array = Any  # of numpy or of torch

# numpy 2.1 and newer has all functions of the array API standard itself
_STANDARD = hasattr(np, "unstack")

# a window is flat if its standard deviation is below this share of that of its series' whole past
FLAT_SCALE = 1e-3
NORMAL_RANGE = 1.349  # the interquartile range of a standard normal distribution


def array_namespace(array: Array) -> Any:
    """Return the array functions for an array.

    For arrays of numpy, this avoids a package that is slow to import.
    """
    if _STANDARD and isinstance(array, np.ndarray):
        return np
    import array_api_compat

    return array_api_compat.array_namespace(array)


def find_device(array: Array) -> Any:
    return getattr(array, "device", "cpu")  # arrays of older numpy have no such attribute


@dataclass(frozen=True)
class Past:
    values: Array  # [batch, lookback]
    mask: Array  # [batch, lookback], whether each value is observed
    mean: Array  # [batch, 1], mean of the observed values; the next two are over them, too
    deviation: Array  # [batch, 1], standard deviation
    level: Array  # [batch, 1], mean absolute value
    zero: Array  # [batch, 1], zeros


def scale_windows(
    values: Array, mask: Array, spread: Array, scaling: ScalingName
) -> tuple[Array, Array, Array]:
    """Compute the location and scale of windows, [batch, 1] each, and loss weights, [batch].

    They depend on the window's own past only; the scale is above 0. `spread` [batch] is the
    standard deviation of the whole past of the series up to the end of the window's past. A flat
    window is scaled by it. The weight is the variation relative to the level plus the variation, so
    that the loss measures errors relative to the level, as sMAPE does. A window without variation
    teaches nothing, and has weight 0.
    """
    xp = array_namespace(values)
    past = _past(values, mask)
    location, scale = SCALINGS[scaling](past)
    expanding = xp.astype(spread[:, None], values.dtype)
    least = FLAT_SCALE * expanding
    flat = past.deviation <= least
    scale = xp.where(flat & (scale <= least), expanding, scale)

    unobserved = ~xp.any(mask, axis=1, keepdims=True)
    still = (expanding <= 0) | (scale <= 0) | unobserved
    location = xp.where(still, past.mean, location)
    scale = xp.where(still, 1.0, scale)

    variation = xp.where(flat, expanding, past.deviation)
    smallest = xp.finfo(values.dtype).smallest_normal
    weight = variation / xp.clip(past.level + variation, min=smallest)
    return location, scale, xp.where(still, 0.0, weight)[:, 0]


def _past(values: Array, mask: Array) -> Past:
    xp = array_namespace(values)
    observed = xp.sum(mask, axis=1, keepdims=True)
    count = xp.astype(xp.clip(observed, min=1), values.dtype)

    def mean(numbers: Array) -> Array:
        seen = xp.where(mask, numbers, 0.0)
        total = xp.sum(seen, axis=1, keepdims=True)
        return total / count

    center = mean(values)
    deviation = xp.sqrt(mean(xp.square(values - center)))
    level = mean(xp.abs(values))
    return Past(values, mask, center, deviation, level, xp.zeros_like(center))


def _last(past: Past) -> tuple[Array, Array]:
    xp = array_namespace(past.values)
    lookback = past.values.shape[1]
    steps = xp.arange(1, lookback + 1, device=find_device(past.values))
    observed_steps = xp.where(past.mask, steps, 0)
    newest = xp.argmax(observed_steps, axis=1, keepdims=True)
    last = xp.take_along_axis(past.values, newest, axis=1)
    observed = xp.any(past.mask, axis=1, keepdims=True)
    return xp.where(observed, last, 0.0), past.deviation


def _robust(past: Past) -> tuple[Array, Array]:
    xp = array_namespace(past.values)
    kind = past.values.dtype
    some = xp.any(past.mask, axis=1, keepdims=True)
    absent = xp.astype(xp.where(some, xp.nan, 0.0), kind)
    observed = xp.where(past.mask, past.values, absent)
    shares = xp.asarray([0.25, 0.5, 0.75], dtype=kind, device=find_device(past.values))
    low, median, high = xp.nanquantile(observed, shares, axis=1, keepdims=True)
    deviation = (high - low) / NORMAL_RANGE
    return median, xp.maximum(deviation, 0.1 * past.deviation)


SCALINGS: dict[ScalingName, Callable[[Past], tuple[Array, Array]]] = {
    "standard": lambda past: (past.mean, past.deviation),
    "robust": _robust,  # median and interquartile range
    "mean": lambda past: (past.zero, past.level),
    "last": _last,  # newest value and deviation
    "none": lambda past: (past.zero, past.zero + 1.0),
}
"""Location and scale of windows by name, [batch, 1] each."""
