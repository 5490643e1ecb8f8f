"""Rolling origins of a panel: their positions, and the past and the actual values at each of them."""

import logging
from dataclasses import dataclass

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.panel.panel import Integers, Numbers, Panel, stacked

log = logging.getLogger("forecast")

DEFAULT_ORIGINS = 8  # enough to show luck at one of them, few enough to wait for


@dataclass(frozen=True)
class PastsAtOrigins:
    """The past at some origins, all in one panel, and the actual values after it."""

    panel: Panel  # a series for each series and origin by which it had begun, ending there; the oldest origin first
    series: Integers  # [windows]
    origin: Integers  # [windows]
    actual: Numbers  # [windows, horizon], NaN where missing


def choose_origins(panel: Panel, windows: int | None, step: int | None, name: str, fixed: bool = False) -> Integers:
    """Grid positions of rolling origins, [origins, series], the oldest first.

    The newest lies a horizon before the end of each series, so that all of its forecasts have an actual value. There
    are by default 8 `windows`, or as many as leave half of the steps to the first fit, one horizon apart or `step`
    steps. Messages call the table `name`; the horizon is `fixed` if it is that of a fitted forecaster. Raises `BadData`
    if the series are too short for a single origin.
    """
    horizon, longest = panel.ahead, int(panel.lengths.max())
    step, first = step or horizon, horizon + 2  # `first`: steps of the first fit
    if longest < first + horizon:
        largest = max((longest - 2) // 2, 0)
        less = Words("fit with " if fixed else "pass ", Setting("horizon", largest), " or less" if largest > 1 else "")
        needed = f"needs at least {first + horizon}: {first} to fit, {horizon} to judge"
        problem = f"the longest series has {longest} steps, and a backtest with a horizon of {horizon} {needed}"
        raise BadData(problem, place=name, cure=less if largest else "add rows")
    wanted = windows or DEFAULT_ORIGINS
    count = max(1, min(wanted, _room(longest, horizon, windows) // step + 1))
    if count < wanted:
        text = "%s: %d origins instead of %d, as the longest series has %d steps%s"
        log.warning(text, name, count, wanted, longest, _advice(longest, horizon, windows, step, fixed))
    return panel.origins - horizon - step * np.arange(count)[::-1, None]


def cut(panel: Panel, origins: Integers) -> PastsAtOrigins:
    """Cut a panel at some origins, [origins, series]."""
    begun = [np.flatnonzero(origin >= panel.starts) for origin in origins]
    series = np.concatenate(begun)
    which = np.repeat(np.arange(len(origins)), list(map(len, begun)))
    actual = values_at(panel, series, origins[which, series] + 1, panel.ahead)
    return PastsAtOrigins(stacked([panel.until(origin) for origin in origins]), series, which, actual)


def values_at(panel: Panel, series: Integers, first: Integers, steps: int) -> Numbers:
    """Values of series [n] from grid positions `first` [n] on, [n, steps], NaN where none was observed."""
    step = first[:, None] + np.arange(steps) - panel.starts[series][:, None]
    inside = (step >= 0) & (step < panel.lengths[series][:, None])
    slot = panel.offsets[series][:, None] + np.where(inside, step, 0)
    return np.where(inside & panel.observed[slot], panel.values[slot], np.nan)


def _room(longest: int, horizon: int, windows: int | None) -> int:
    """Steps over which origins can be spread."""
    return longest - horizon - (horizon + 2 if windows else max(horizon + 2, (longest + 1) // 2))


def _advice(longest: int, horizon: int, windows: int | None, step: int, fixed: bool) -> Words:
    """A smaller step or horizon with which all wanted origins fit."""
    between = (windows or DEFAULT_ORIGINS) - 1
    fitting = (fewer for fewer in range(horizon - 1, 0, -1) if _room(longest, fewer, windows) >= between * fewer)
    smaller = next(fitting, 0) if step == horizon and not fixed else 0
    closer = max(_room(longest, horizon, windows), 0) // between
    options = [Setting(name, value) for name, value in (("step", closer), ("horizon", smaller)) if value]
    words = [part for option in options for part in (option, " or ")]
    return Words("; for all of them pass ", *words[:-1]) if options else Words()
