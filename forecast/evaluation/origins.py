"""Rolling origins of a panel: their positions, and the past and the actual values at each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting, UsageError, Words
from forecast.events.kinds import touched
from forecast.logs import log
from forecast.panel.panel import Flags, Integers, Numbers, Panel, stacked
from forecast.panel.schema import Schema
from forecast.reading.dated import dated_table, normalised
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.windows.windows import WindowIndex

DEFAULT_ORIGINS = 8  # enough to show luck at one of them, few enough to wait for
MAX_VALUES = 4_000_000  # past values that are laid out side by side at once


@dataclass(frozen=True)
class PastsAtOrigins:
    panel: Panel  # a series for each series and origin by which it had begun, ending there; the oldest origin first
    series: Integers  # [windows]
    origin: Integers  # [windows]
    actual: Numbers  # [windows, horizon], NaN where missing


def choose_origins(
    panel: Panel, windows: int | None, step: int | None, name: str, fixed: bool = False
) -> Integers:
    """Grid positions of rolling origins, [origins, series], the oldest first.

    The newest lies a horizon before the end of each series. By default there are 8, or as many as leave half of the
    steps to the first fit, a horizon apart. The horizon is `fixed` if it is that of a fitted forecaster.
    """
    horizon, longest = panel.ahead, int(panel.lengths.max())
    step, first = step or horizon, horizon + 2  # `first`: steps of the first fit
    if longest < first + horizon:
        largest = max((longest - 2) // 2, 0)
        less = Words(
            "fit with " if fixed else "pass ",
            Setting("horizon", largest),
            " or less" if largest > 1 else "",
        )
        needed = f"needs at least {first + horizon}: {first} to fit, {horizon} to compare"
        problem = f"the longest series has {longest} steps, and a backtest with a horizon of {horizon} {needed}"
        raise BadData(problem, place=name, cure=less if largest else "add rows")
    asked = windows or DEFAULT_ORIGINS
    room = longest - horizon - (first if windows else max(first, (longest + 1) // 2))
    count = max(1, min(asked, room // step + 1))
    if count < asked:
        text = "%s: %d origins instead of %d, as the longest series has %d steps%s"
        closer = room // (asked - 1)
        cure = Words("; for all of them pass ", Setting("step", closer)) if closer > 0 else ""
        log.warning(text, name, count, asked, longest, cure)
    return panel.origins - horizon - step * np.arange(count)[::-1, None]


def cut(panel: Panel, origins: Integers) -> PastsAtOrigins:
    """Cut a panel at some origins, [origins, series]."""
    begun = [np.flatnonzero(origin >= panel.starts) for origin in origins]
    series = np.concatenate(begun)
    which = np.repeat(np.arange(len(origins)), list(map(len, begun)))
    actual = values_at(panel, series, origins[which, series] + 1, panel.ahead)
    return PastsAtOrigins(
        stacked([panel.until(origin) for origin in origins]), series, which, actual
    )


def values_at(panel: Panel, series: Integers, first: Integers, steps: int) -> Numbers:
    """Values of series [n] from grid positions `first` [n] on, [n, steps], NaN where none was observed."""
    step = first[:, None] + np.arange(steps) - panel.starts[series][:, None]
    inside = (step >= 0) & (step < panel.lengths[series][:, None])
    slot = panel.offsets[series][:, None] + np.where(inside, step, 0)
    return np.where(inside & panel.observed[slot], panel.values[slot], np.nan)


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
    """Some windows at a time, [windows, context]: whether a step lies in its series, its slot, if it was observed."""
    series, position = windows
    rows = max(1, MAX_VALUES // context)
    for low in range(0, len(series), rows):
        slot = position[low : low + rows, None] + np.arange(-context, 0)
        inside = slot >= 0
        np.maximum(slot, 0, out=slot)
        slot += panel.offsets[series[low : low + rows], None]
        yield inside, slot, inside & panel.observed[slot]


def pasts(panel: Panel, windows: WindowIndex, context: int) -> Iterator[tuple[Numbers, Flags]]:
    """The pasts of windows, 0 where nothing was observed, and whether it was, [windows, context] each."""
    for _, slot, observed in past_slots(panel, windows, context):
        yield np.where(observed, panel.values[slot], 0.0), observed


class RollingOrigin:
    """Train on all rows up to an origin, test on the horizon after it; usable as ``cv=``.

    Parameters
    ----------
    windows : number of origins
    horizon : distinct times in each test part
    step : times between two origins; default one horizon
    time : the time column or columns; default inferred
    """

    def __init__(
        self,
        windows: int = 3,
        horizon: int = 1,
        step: int | None = None,
        time: str | tuple[str, ...] | None = None,
    ) -> None:
        counts: dict[str, Any] = {
            "windows": windows,
            "horizon": horizon,
            "step": 1 if step is None else step,
        }
        for name, value in counts.items():
            if not isinstance(value, Integral) or value < 1:
                raise UsageError(
                    "a whole number of 1 or more is needed", setting=Setting(name, value)
                )
        self.windows, self.horizon, self.step, self.time = windows, horizon, step, time

    def split(
        self, X: Any, y: None = None, groups: None = None
    ) -> Iterator[tuple[Integers, Integers]]:
        """Row numbers of the training and the test part for each origin, the oldest first."""
        table = normalised(table_from_frame(X))
        if len(table) != len(X):
            raise UsageError(
                "a table of years by months has no row for each time; unfold it before it is split"
            )
        times = dated_table(table, TableSettings.check({"time": self.time})).times
        if times is None:
            raise UsageError(
                "a table with a series in each row has no rows of earlier and later times to split"
            )
        unique, rank = np.unique(times.timestamps, return_inverse=True)
        step = self.step or self.horizon
        oldest = len(unique) - self.horizon - step * (self.windows - 1)
        if oldest < 1:
            needed = f"{self.windows} origins with a horizon of {self.horizon}"
            raise UsageError(f"{needed} need more than {len(unique)} different times")
        for first in range(oldest, oldest + step * self.windows, step):
            test = (rank >= first) & (rank < first + self.horizon)
            yield np.flatnonzero(rank < first), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: None = None, groups: None = None) -> int:
        return self.windows
