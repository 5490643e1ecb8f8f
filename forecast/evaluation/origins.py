"""Rolling origins of a panel: their positions, and the past and the actual values at each."""

import logging
from dataclasses import dataclass

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.panel.panel import Integers, Numbers, Panel, stacked

log = logging.getLogger("forecast")

DEFAULT_ORIGINS = 8  # enough to show luck at one of them, few enough to wait for


@dataclass(frozen=True)
class PastsAtOrigins:
    """The past at some origins, all in one panel, and the values that came after.

    Attributes
    ----------
    panel : a series for each series and origin by which it had begun, ending there; the oldest origin first
    series, origin : [windows], the series and the origin of each
    actual : [windows, horizon], NaN where missing
    """

    panel: Panel
    series: Integers
    origin: Integers
    actual: Numbers


def choose_origins(panel: Panel, windows: int | None, step: int | None, name: str, fixed: bool = False) -> Integers:
    """Grid positions of rolling origins, [origins, series], the oldest first.

    The newest lies a horizon before the end of each series, so that all of its forecasts have an actual value.

    Parameters
    ----------
    panel : with a horizon of future slots
    windows : number of origins; by default 8, or as many as leave half of the steps to the first fit
    step : steps between two; default one horizon
    name : of the table, for messages
    fixed : the horizon is that of a fitted forecaster

    Raises
    ------
    BadData
        If not even one fits.
    """
    horizon, longest = panel.ahead, int(panel.lengths.max())
    step, first = step or horizon, horizon + 2  # steps between two origins, and of the first fit
    if longest < first + horizon:
        largest = max((longest - 2) // 2, 0)
        raise BadData(
            f"the longest series has {longest} steps, and a backtest with a horizon of {horizon} needs at least "
            f"{first + horizon}: {first} to fit, {horizon} to judge",
            place=name,
            cure=Words(
                "fit with " if fixed else "pass ", Setting("horizon", largest), " or less" if largest > 1 else ""
            )
            if largest
            else "add rows",
        )
    wanted = windows or DEFAULT_ORIGINS
    room = _room(longest, horizon, windows)
    count = max(1, min(wanted, room // step + 1))
    if count < wanted:
        log.warning(
            "%s: %d origins instead of %d, as the longest series has %d steps%s",
            name,
            count,
            wanted,
            longest,
            _for_all(longest, horizon, windows, step, fixed),
        )
    return panel.origins - horizon - step * np.arange(count)[::-1, None]


def _room(longest: int, horizon: int, windows: int | None) -> int:
    """Steps over which origins can be spread."""
    return longest - horizon - (horizon + 2 if windows else max(horizon + 2, (longest + 1) // 2))


def _for_all(longest: int, horizon: int, windows: int | None, step: int, fixed: bool) -> Words:
    """The advice for a smaller step or horizon, with which all wanted origins fit."""
    between = (windows or DEFAULT_ORIGINS) - 1
    fitting = (fewer for fewer in range(horizon - 1, 0, -1) if _room(longest, fewer, windows) >= between * fewer)
    smaller = next(fitting, 0) if step == horizon and not fixed else 0
    closer = max(_room(longest, horizon, windows), 0) // between
    options = [Setting(name, value) for name, value in (("step", closer), ("horizon", smaller)) if value]
    if not options:
        return Words()
    return Words("; for all of them pass ", *[part for option in options for part in (option, " or ")][:-1])


def cut(panel: Panel, origins: Integers) -> PastsAtOrigins:
    """Cut a panel at some origins, [origins, series]."""
    begun = [np.flatnonzero(origin >= panel.starts) for origin in origins]
    series = np.concatenate(begun)
    which = np.repeat(np.arange(len(origins)), [len(each) for each in begun])
    step = origins[which, series, None] + 1 + np.arange(panel.ahead) - panel.starts[series, None]  # [windows, horizon]
    inside = step < panel.lengths[series, None]
    slot = panel.offsets[series, None] + np.where(inside, step, 0)
    actual = np.where(inside & panel.observed[slot], panel.values[slot], np.nan)
    return PastsAtOrigins(stacked([panel.until(origin) for origin in origins]), series, which, actual)
