"""The status of each series: whether it gets a forecast, and what a reader of the forecast should know of it."""

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.panel.naming import series_names
from forecast.panel.panel import SKIPPED, Integers, Panel
from forecast.panel.schema import Schema

logger = logging.getLogger("forecast")

NAMED_SERIES = 3  # series that a warning names


def with_status(panel: Panel, schema: Schema, lookback: int | None = None) -> Panel:
    """The panel with one word for each series, the gravest that applies; without a lookback none is short or ended."""
    first = panel.offsets[:-1]
    spans, counts = observed_spans(panel)
    lowest = np.minimum.reduceat(np.where(panel.observed, panel.values, np.inf), first)
    highest = np.maximum.reduceat(np.where(panel.observed, panel.values, -np.inf), first)
    words = np.full(len(panel), "ok", object)
    words[(lowest == highest) & (counts > 1)] = "constant"
    words[(counts == 0) | ((spans - counts) / spans > schema.max_missing)] = "missing"
    if lookback is not None:
        words[(words == "ok") & (panel.lengths < lookback)] = "short"
        words[(words != "missing") & (panel.trailing_gap() > lookback)] = "ended"
    return replace(panel, status=tuple(words.tolist()))


def observed_spans(panel: Panel) -> tuple[Integers, Integers]:
    """[series], slots from the first to the last observed value (1 where there is none), and observed values."""
    counts = np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64)
    return np.maximum(panel.lengths - panel.trailing_gap(), 1), counts


def warn_status(panel: Panel, schema: Schema, name: str, before: tuple[str, ...] = (), whole: bool = True) -> None:
    """Warn of series that are constant or get no forecast, and refuse a whole panel where none is left to forecast."""
    words: NDArray[np.object_] = np.array(panel.status, object)
    new = words != np.array(before or [None] * len(words), object)
    limit = f"{schema.max_missing:.0%}"
    for word, meaning, arguments in (
        ("constant", "never change", ()),
        ("ended", "ended more than a lookback before the last time and get no forecast", ()),
        ("missing", "miss more than %s of their values (%s) and get no forecast", (limit, Setting("max_missing"))),
    ):
        series = np.flatnonzero((words == word) & new)
        if len(series):
            shown = series_names([panel.ids[i] for i in series[: NAMED_SERIES + 1]], NAMED_SERIES) or "the whole table"
            logger.warning(f"%s: %d series {meaning}: %s", name, len(series), *arguments, shown)
    if whole and np.isin(words, SKIPPED).all():
        problem = f"no series is left to forecast: each misses more than {limit} of its values or ended long ago"
        coarser = Words(", a coarser ", Setting("freq"), " with ", Setting("aggregate"))
        zero = Words(", or ", Setting("missing", "zero"), " if absent rows mean zero")
        raise BadData(problem, place=name, cure=Words("pass a higher ", Setting("max_missing"), coarser, zero))
