"""Cut a panel at rolling origins, into the past and the actuals at each origin."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from forecast.panel.events import find_touched_slots
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, join_panels, series_index
from forecast.panel.schema import Schema
from forecast.windows.windows import WindowIndex

MAX_PAST_VALUES = 4_000_000  # `past_slots` yields at most about this many values at a time


@dataclass(frozen=True)
class PastsAtOrigins:
    # a window is a pair of a series and an origin at which the series had begun; the panel has one
    # series for each window, which ends at the origin
    panel: Panel
    series: Integers  # [windows], index of the series; windows are sorted by origin, then series
    origin: Integers  # [windows], index of the origin
    actual: Numbers  # [windows, horizon], the values after the origin, NaN where missing


def cut(panel: Panel, origins: Integers) -> PastsAtOrigins:
    """Cut a panel at origins, which are grid positions [origins, series]."""
    number, series = np.nonzero(origins >= panel.starts)
    first = origins[number, series] + 1
    actual = values_at(panel, series, first, panel.ahead)
    pasts = join_panels([panel.until(origin) for origin in origins])
    return PastsAtOrigins(pasts, series, number, actual)


def values_at(panel: Panel, series: Integers, first: Integers, steps: int) -> Numbers:
    """Return the values of series [n] from grid positions `first` [n] on, [n, steps].

    Missing values are NaN.
    """
    begin = first - panel.starts[series]
    step = begin[:, None] + np.arange(steps)
    inside = (step >= 0) & (step < panel.lengths[series, None])
    slot = panel.offsets[series, None] + np.where(inside, step, 0)
    observed = inside & panel.observed[slot]
    return np.where(observed, panel.values[slot], np.nan)


def find_values(panel: Panel, ids: Ids, first: Integers, steps: int) -> Numbers:
    """Return the values of series by their ids, like `values_at`.

    They are also NaN if the panel lacks the series.
    """
    index = series_index(panel.ids, ids)
    values = values_at(panel, np.maximum(index, 0), first, steps)
    values[index < 0] = np.nan
    return values


def bounds_at(panel: Panel, schema: Schema, series: Integers, first: Integers) -> Flags:
    """Say whether values are those of stock-outs, for a horizon from `first` on, like `values_at`.

    The result is [n, horizon].
    """
    slots = find_touched_slots(panel, schema, "stock_out")
    marked = replace(panel, values=slots.astype(np.float64))
    return np.asarray(values_at(marked, series, first, panel.ahead) == 1)


def past_slots(
    panel: Panel, windows: WindowIndex, context: int
) -> Iterator[tuple[Flags, Integers, Flags]]:
    """Yield the past slots of windows, some windows at a time.

    Each item has three arrays, [windows, context]: whether the step lies in the series, its slot,
    and whether its value is observed.
    """
    series, position = windows
    rows = max(1, MAX_PAST_VALUES // context)
    for low in range(0, len(series), rows):
        chosen = slice(low, low + rows)
        slot = position[chosen, None] + np.arange(-context, 0)
        inside = slot >= 0
        np.maximum(slot, 0, out=slot)
        slot += panel.offsets[series[chosen], None]
        yield inside, slot, inside & panel.observed[slot]


def pasts(panel: Panel, windows: WindowIndex, context: int) -> Iterator[tuple[Numbers, Flags]]:
    """Yield the past values of windows, and whether they are observed, [windows, context] each.

    Values that are not observed are 0.
    """
    for _, slot, observed in past_slots(panel, windows, context):
        yield np.where(observed, panel.values[slot], 0.0), observed
