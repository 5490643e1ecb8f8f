"""Hold tonight's panel against the series that fit saw: what is new, what is gone, what moved."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData
from forecast.series.naming import series_names
from forecast.series.panel import Panel

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
        text = f"{name}: the level of {len(moved)} series moved more than tenfold since the fit ({some})"
        if strict:
            raise BadData(f"{text}; was the unit changed? Without --strict this is a warning")
        log.warning("%s; was the unit changed?", text)
    words = zip(panel.ids, panel.status, strict=True)
    return replace(panel, status=tuple("new" if one not in seen and word == "ok" else word for one, word in words))


def _say_alike(new: list[tuple[str, ...]], gone: list[tuple[str, ...]], name: str) -> None:
    """Warn of new ids that are old ones but for something that is easily lost on the way."""
    for trouble, bare in LOST.items():
        lost = {tuple(map(bare, one)) for one in gone}
        if any(tuple(map(bare, one)) in lost for one in new):
            log.warning("%s: some new ids are ids of the fit %s; did they change on the way?", name, trouble)
            return
