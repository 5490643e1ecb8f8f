"""Scale each window by its own past, in numpy and torch alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.panel.panel import Numbers
from forecast.settings import ScalingName

Array = Any  # of numpy or of torch

_STANDARD = hasattr(np, "unstack")  # numpy 2.1 and newer has all functions of the standard itself

FLAT = 1e-3  # a window that moves less than this share of its series' own past counts as flat
NOISE = 1e-12  # a deviation below this share of the largest value is rounding error
NORMAL_RANGE = 1.349  # between the quartiles of a normal distribution of deviation 1


def array_namespace(array: Array) -> Any:
    """The functions for an array; for numpy they come without a package that takes longer to import than to run."""
    if _STANDARD and isinstance(array, np.ndarray):
        return np
    import array_api_compat

    return array_api_compat.array_namespace(array)


def device_of(array: Array) -> Any:
    return getattr(array, "device", "cpu")  # older arrays of numpy do not say


@dataclass(frozen=True)
class Past:
    values: Array  # [batch, lookback]
    mask: Array
    mean: Array  # [batch, 1], of the observed values
    deviation: Array
    level: Array  # mean absolute value
    zero: Array


def scale_windows(
    values: Array, mask: Array, spread: Array, scaling: ScalingName
) -> tuple[Array, Array, Array]:
    """Location and scale > 0, [batch, 1], and loss weight, [batch], of windows from their own observed past.

    `spread` [batch] is the deviation of each series' own past up to the window's end: the scale of a flat window. The
    weight is the scale relative to the level: the loss then counts errors relative to the level, as sMAPE does; 0 for
    a window without variation, which teaches nothing.
    """
    xp, kind = array_namespace(values), values.dtype
    count = xp.astype(xp.clip(xp.sum(mask, axis=1, keepdims=True), min=1), kind)
    observed = xp.where(mask, values, 0.0)
    mean = xp.sum(observed, axis=1, keepdims=True) / count
    level = xp.sum(xp.abs(observed), axis=1, keepdims=True) / count
    squares = xp.where(mask, xp.square(values - mean), 0.0)
    deviation = xp.sqrt(xp.sum(squares, axis=1, keepdims=True) / count)
    location, scale = SCALINGS[scaling](
        Past(values, mask, mean, deviation, level, xp.zeros_like(mean))
    )
    expanding = xp.astype(spread[:, None], kind)
    flat = deviation <= FLAT * expanding
    scale = xp.where(flat & (scale <= FLAT * expanding), expanding, scale)
    still = (expanding <= 0) | (scale <= 0) | ~xp.any(mask, axis=1, keepdims=True)
    location, scale = xp.where(still, mean, location), xp.where(still, 1.0, scale)
    moved = xp.where(flat, expanding, deviation)
    weight = moved / xp.clip(level + moved, min=xp.finfo(kind).smallest_normal)
    return location, scale, xp.where(still, 0.0, weight)[:, 0]


def _last(past: Past) -> tuple[Array, Array]:
    xp = array_namespace(past.values)
    steps = xp.arange(1, past.values.shape[1] + 1, device=device_of(past.values))
    newest = xp.argmax(xp.where(past.mask, steps, 0), axis=1, keepdims=True)
    last = xp.take_along_axis(past.values, newest, axis=1)
    return xp.where(xp.any(past.mask, axis=1, keepdims=True), last, 0.0), past.deviation


def _robust(past: Past) -> tuple[Array, Array]:
    xp = array_namespace(past.values)
    absent = xp.where(xp.any(past.mask, axis=1, keepdims=True), xp.nan, 0.0)
    observed = xp.where(past.mask, past.values, xp.astype(absent, past.values.dtype))
    shares = xp.asarray([0.25, 0.5, 0.75], dtype=past.values.dtype, device=device_of(past.values))
    low, median, high = xp.nanquantile(observed, shares, axis=1, keepdims=True)
    return median, xp.maximum((high - low) / NORMAL_RANGE, 0.1 * past.deviation)


SCALINGS: dict[ScalingName, Callable[[Past], tuple[Array, Array]]] = {
    "standard": lambda past: (past.mean, past.deviation),
    "robust": _robust,  # median and interquartile range
    "mean": lambda past: (past.zero, past.level),
    "last": _last,  # newest value and deviation
    "none": lambda past: (past.zero, past.zero + 1.0),
}
"""Location and scale of windows by name, [batch, 1] each."""


def column_statistics(columns: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and deviation of columns [rows, ...], whatever their unit; 0 where one does not move, NaN left out."""
    seen = np.isfinite(columns)
    count = np.maximum(seen.sum(0), 1)
    largest = np.abs(columns).max(0, where=seen, initial=np.finfo(float).tiny)
    values = np.where(seen, columns / largest, 0.0)
    mean = values.sum(0) / count
    deviation = np.sqrt((seen * (values - mean) ** 2).sum(0) / count)
    return mean * largest, deviation * largest * (deviation > NOISE)
