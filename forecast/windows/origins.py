"""Rolling origins of a panel: the past and the actual values at each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from forecast.events.kinds import touched
from forecast.panel.panel import Flags, Integers, Numbers, Panel, stacked
from forecast.panel.schema import Schema
from forecast.windows.windows import WindowIndex

MAX_VALUES = 4_000_000  # past values that are laid out side by side at once


@dataclass(frozen=True)
class PastsAtOrigins:
    panel: Panel  # a series for each series and origin by which it had begun, ending there
    series: Integers  # [windows], by origin, the oldest first
    origin: Integers  # [windows]
    actual: Numbers  # [windows, horizon], NaN where missing


def cut(panel: Panel, origins: Integers) -> PastsAtOrigins:
    """Cut a panel at some origins, [origins, series]."""
    number, series = np.nonzero(origins >= panel.starts)
    actual = values_at(panel, series, origins[number, series] + 1, panel.ahead)
    pasts = stacked([panel.until(origin) for origin in origins])
    return PastsAtOrigins(pasts, series, number, actual)


def values_at(panel: Panel, series: Integers, first: Integers, steps: int) -> Numbers:
    """Values of series [n] from grid positions `first` [n] on, [n, steps], NaN where missing."""
    begin = first - panel.starts[series]
    step = begin[:, None] + np.arange(steps)
    inside = (step >= 0) & (step < panel.lengths[series][:, None])
    slot = panel.offsets[series][:, None] + np.where(inside, step, 0)
    observed = inside & panel.observed[slot]
    return np.where(observed, panel.values[slot], np.nan)


def bounds_at(panel: Panel, schema: Schema, series: Integers, first: Integers) -> Flags:
    """As `values_at`, for a horizon: whether a value is that of a stock-out."""
    slots = touched(panel, schema, "stock_out")
    if slots is None:
        return np.zeros((len(series), panel.ahead), bool)
    marked = replace(panel, values=slots.astype(np.float64))
    return np.asarray(values_at(marked, series, first, panel.ahead) == 1)


def past_slots(
    panel: Panel, windows: WindowIndex, context: int
) -> Iterator[tuple[Flags, Integers, Flags]]:
    """Some windows at a time, [windows, context]: steps in the series, their slots, observed."""
    series, position = windows
    rows = max(1, MAX_VALUES // context)
    for low in range(0, len(series), rows):
        chosen = slice(low, low + rows)
        slot = position[chosen, None] + np.arange(-context, 0)
        inside = slot >= 0
        np.maximum(slot, 0, out=slot)
        slot += panel.offsets[series[chosen], None]
        yield inside, slot, inside & panel.observed[slot]


def pasts(panel: Panel, windows: WindowIndex, context: int) -> Iterator[tuple[Numbers, Flags]]:
    """The pasts of windows, 0 where nothing was observed; whether it was, [windows, context]."""
    for _, slot, observed in past_slots(panel, windows, context):
        yield np.where(observed, panel.values[slot], 0.0), observed
