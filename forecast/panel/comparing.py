"""Hold tonight's panel against the series that fit saw: what is new, what is gone, what moved."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.panel.building import calendar_of, position_texts
from forecast.panel.naming import series_name, series_names
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema

log = logging.getLogger("forecast")

MOVED = 10.0  # a level that moved by more than this looks like a change of unit
NAMED = 3
LOST: dict[str, Callable[[str], str]] = {
    "without their leading zeros": lambda text: text.lstrip("0"),
    "with blanks around them": str.strip,
    "in other capitals": str.casefold,
}

Ids = tuple[tuple[str, ...], ...]


def mean_level(panel: Panel) -> NDArray[np.float64]:
    """Mean absolute observed value of each series, 0 where there is none, [series]."""
    total = np.add.reduceat(np.abs(panel.values) * panel.observed, panel.offsets[:-1])
    return np.asarray(total / np.maximum(np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64), 1))


def compare(panel: Panel, ids: Ids, level: NDArray[np.float64], name: str, lookback: int, strict: bool) -> Panel:
    """Say what is new, gone or moved since the fit, and give new series their status.

    Parameters
    ----------
    ids, level : [series], those of the fit and their mean level over its last lookback
    name : of the table
    strict : refuse a level that moved tenfold

    Raises
    ------
    BadData
        If `strict` and a level moved.
    """
    seen = {one: i for i, one in enumerate(ids)}
    new = [one for one in panel.ids if one not in seen]
    gone = sorted(set(seen) - set(panel.ids))
    if new:
        log.warning(
            "%s: %d series were not seen at fit (%s); they are forecast all the same",
            name,
            len(new),
            series_names(new, NAMED),
        )
    if gone:
        none = "; none of the fit is left: is this the right table?" if len(gone) == len(seen) else ""
        some = series_names(gone, NAMED)
        log.warning("%s: %d series of the fit are not here (%s); they get no forecast%s", name, len(gone), some, none)
    _say_alike(new, gone, name)
    now = mean_level(panel.tail(lookback))
    then = np.array([level[seen[one]] if one in seen else 0.0 for one in panel.ids])
    both = (now > 0) & (then > 0)
    ratio = np.divide(now, then, out=np.ones_like(now), where=both)
    moved = [panel.ids[i] for i in np.flatnonzero((ratio > MOVED) | (ratio < 1 / MOVED))]
    if moved:
        some = series_names(moved, NAMED)
        text = f"the level of {len(moved)} series moved more than tenfold since the fit ({some})"
        if strict:
            cure = Words("was the unit changed? Without ", Setting("strict", True), " this is a warning")
            raise BadData(text, place=name, cure=cure)
        log.warning("%s: %s; was the unit changed?", name, text)
    words = zip(panel.ids, panel.status, strict=True)
    return replace(panel, status=tuple("new" if one not in seen and word == "ok" else word for one, word in words))


def say_seen(panel: Panel, fitted: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn where the forecasts begin before the end of the fit: the model has seen what it forecasts."""
    ahead = _ends(panel, fitted) - panel.origins
    if (ahead > 0).any():
        ends = np.array([panel.origins[np.argmax(ahead)], fitted.origins.max()])
        after, end = position_texts(schema, calendar_of(schema), ends)
        log.warning(
            "%s: the model was trained on values up to %s, so that it has seen %d of the %d steps that it forecasts "
            "after %s; a backtest measures on values that the fit has not seen",
            name,
            end,
            min(int(ahead.max()), horizon),
            horizon,
            after,
        )


def say_seen_origins(panel: Panel, fitted: Panel, origins: NDArray[np.int64], end: str) -> None:
    """Warn of origins of a backtest, [origins, series], that lie before the end of the fit."""
    seen = int((origins < _ends(panel, fitted)).any(1).sum())
    if seen:
        log.warning(
            "%d of %d origins lie before %s, the end of the fit: this forecaster has seen what it is judged by",
            seen,
            len(origins),
            end,
        )


def say_short(panel: Panel, fitted: Panel, lookback: int, name: str) -> None:
    """Warn of series whose past is shorter than a forecast looks back, unless the fit saw no more of them."""
    seen = dict(zip(fitted.ids, fitted.lengths.tolist(), strict=True))
    before = np.array([seen.get(one, lookback) for one in panel.ids], np.int64)
    short = np.flatnonzero(panel.lengths < np.minimum(before, lookback))
    if len(short):
        named = [f"{series_name(panel.ids[i])} {panel.lengths[i]:,}".strip() for i in short[:NAMED]]
        log.warning(
            "%s: %d series have a shorter past than the %d steps that a forecast looks back (%s); what is missing "
            "counts as unknown, and their forecasts are less certain",
            name,
            len(short),
            lookback,
            ", ".join(named) + (", ..." if len(short) > NAMED else ""),
        )


def values_after(fitted: Panel, later: Panel, horizon: int, zero: bool = False) -> tuple[NDArray[np.float64], int]:
    """What came after the series of a fit.

    Parameters
    ----------
    later : of a table with later rows
    zero : whether absent rows are zeros, up to the newest row of the table

    Returns
    -------
    The values after the end of each series of the fit, [series, horizon], NaN where there is none; and the number of
    observed values that are of other series, or not after the end.
    """
    actual, others = np.full((len(fitted), horizon), np.nan), 0
    if zero:  # the series have begun, whatever their first row in the table is
        actual[np.arange(horizon) < (later.origins.max() - fitted.origins)[:, None]] = 0.0
    rank = {one: i for i, one in enumerate(fitted.ids)}
    for i, one in enumerate(later.ids):
        own = later.slots(i)
        observed = later.observed[own]
        end = fitted.origins[rank[one]] if one in rank else later.origins[i]
        step = later.starts[i] + np.arange(own.stop - own.start) - end - 1
        others += int((observed & (step < 0)).sum())
        used = observed & (step >= 0) & (step < horizon)
        if used.any():
            actual[rank[one], step[used]] = later.values[own][used]
    return actual, others


def _ends(panel: Panel, fitted: Panel) -> NDArray[np.float64]:
    """[series], grid position at which each series of a panel ended at fit; minus infinity for a new one."""
    ends = dict(zip(fitted.ids, fitted.origins.tolist(), strict=True))
    return np.array([ends.get(one, -np.inf) for one in panel.ids])


def _say_alike(new: list[tuple[str, ...]], gone: list[tuple[str, ...]], name: str) -> None:
    """Warn of new ids that are old ones but for something that is easily lost on the way."""
    for trouble, bare in LOST.items():
        lost = {tuple(map(bare, one)) for one in gone}
        if any(tuple(map(bare, one)) in lost for one in new):
            log.warning("%s: some new ids are ids of the fit %s; did they change on the way?", name, trouble)
            return
