"""Compare a panel with the series that a fit saw: new and missing ids, levels that moved, values that came since."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.panel.naming import first_names, series_name, series_names
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts

log = logging.getLogger("forecast")

MAX_RATIO = 10.0  # a level that moved by more than this looks like a change of unit
NAMED_SERIES = 3  # series that a warning names
SMALL_CHANGES: dict[str, Callable[[str], str]] = {
    "without their leading zeros": lambda text: text.lstrip("0"),
    "with blanks around them": str.strip,
    "in other capitals": str.casefold,
}
"""Changes that ids suffer on their way through other programs, and what makes both forms equal."""

Id = tuple[str, ...]


def mean_level(panel: Panel, steps: int | None = None) -> Numbers:
    """[series], the mean absolute value of each series, over its last `steps` if given; 0 if none was observed."""
    used = panel.observed
    if steps is not None:
        first = np.repeat(panel.offsets[1:] - panel.ahead - steps, np.diff(panel.offsets))
        used = used & (np.arange(len(used)) >= first)
    total = np.add.reduceat(np.abs(panel.values) * used, panel.offsets[:-1])
    return np.asarray(total / np.maximum(np.add.reduceat(used, panel.offsets[:-1], dtype=np.int64), 1))


class Comparison:
    """The ids of a table, or of one part of it after another, beside those of a fit.

    Parameters
    ----------
    ids : of the fit
    name : of the table
    """

    def __init__(self, ids: Ids, name: str) -> None:
        self.ids, self.fitted, self.name = ids, set(ids), name
        self.seen: set[Id] = set()
        self.new: list[Id] = []  # those that may be ids of the fit but for a small change

    def add(self, panel: Panel) -> Panel:
        """Warn of ids that are new since the fit, and give new series their status."""
        new = [names for names in panel.ids if names not in self.fitted]
        self.seen.update(self.fitted.intersection(panel.ids))
        if new:
            names = series_names(new, NAMED_SERIES)
            log.warning("%s: %d series were not seen at fit (%s); they are forecast anyway", self.name, len(new), names)
        if new and len(self.seen) < len(self.fitted):
            plain = self._plain_fitted.items()
            self.new += [names for names in new if any(_plain(names, change) in ids for change, ids in plain)]
        words = zip(panel.ids, panel.status, strict=True)
        status = ("new" if word == "ok" and names not in self.fitted else word for names, word in words)
        return replace(panel, status=tuple(status))

    def join(self, other: "Comparison") -> None:
        """Add what another comparison found in other parts."""
        self.seen |= other.seen
        self.new += other.new

    @property
    def missing(self) -> list[Id]:
        """The ids of the fit that were not added, ascending."""
        return sorted(self.fitted - self.seen)

    def say_missing(self) -> None:
        """Warn of ids that are missing since the fit."""
        missing = self.missing
        if not missing:
            return
        none = "; none of the fit is left: is this the right table?" if len(missing) == len(self.fitted) else ""
        shown = series_names(missing, NAMED_SERIES)
        log.warning(
            "%s: %d series of the fit are not here (%s); they get no forecast%s", self.name, len(missing), shown, none
        )
        for change in SMALL_CHANGES:
            plain_missing = {_plain(names, change) for names in missing}
            if any(_plain(names, change) in plain_missing for names in self.new):
                log.warning("%s: some new ids are ids of the fit %s; did an export change them?", self.name, change)
                return

    @cached_property
    def _plain_fitted(self) -> dict[str, set[Id]]:
        return {change: {_plain(names, change) for names in self.fitted} for change in SMALL_CHANGES}


def compare_ids(panel: Panel, ids: Ids, name: str) -> Panel:
    """Warn of ids that are new or missing since the fit, and give new series their status.

    Parameters
    ----------
    ids : of the fit
    name : of the table
    """
    comparison = Comparison(ids, name)
    panel = comparison.add(panel)
    comparison.say_missing()
    return panel


def check_levels(panel: Panel, ids: Ids, level: Numbers, lookback: int, name: str, strict: bool) -> None:
    """Warn of series whose level moved more than tenfold since the fit, or refuse them if `strict`.

    Parameters
    ----------
    ids, level : [series], those of the fit and their mean level over its last lookback
    name : of the table
    """
    now = mean_level(panel, lookback)
    then = np.concatenate([[0.0], level])[series_index(ids, panel.ids)]
    both = (now > 0) & (then > 0)
    ratio = np.divide(now, then, out=np.ones_like(now), where=both)
    moved = [panel.ids[i] for i in np.flatnonzero((ratio > MAX_RATIO) | (ratio < 1 / MAX_RATIO))]
    if not moved:
        return
    names = series_names(moved, NAMED_SERIES)
    if strict:
        cure = Words("was the unit changed? Without ", Setting("strict", True), " this is a warning")
        raise BadData(
            f"the level of {len(moved)} series moved more than tenfold since the fit ({names})", place=name, cure=cure
        )
    text = "%s: the level of %d series moved more than tenfold since the fit (%s); was the unit changed?"
    log.warning(text, name, len(moved), names)


def say_seen(panel: Panel, fitted: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn where forecasts begin before the end of the fit: the model has seen the values that it forecasts."""
    ahead = _ends(panel, fitted) - panel.origins
    if (ahead > 0).any():
        ends = np.array([panel.origins[np.argmax(ahead)], fitted.origins.max()])
        after, end = position_texts(schema, calendar_of(schema), ends)
        text = (
            "%s: the model was trained on values up to %s, so that it has seen %d of the %d steps that it forecasts "
            "after %s; a backtest measures on values that the fit has not seen"
        )
        log.warning(text, name, end, min(int(ahead.max()), horizon), horizon, after)


def say_seen_origins(panel: Panel, fitted: Panel, origins: Integers, end: str) -> int:
    """Warn of origins of a backtest, [origins, series], that lie before the end of the fit; returns how many do."""
    seen = int((origins < _ends(panel, fitted)).any(1).sum())
    if seen:
        log.warning(
            "%d of %d origins lie before %s, the end of the fit: this forecaster has seen what it is judged by",
            seen,
            len(origins),
            end,
        )
    return seen


def say_short(panel: Panel, fitted: Panel, lookback: int, name: str) -> None:
    """Warn of series whose past is shorter than a forecast looks back, unless the fit saw no more of them."""
    before = np.concatenate([[lookback], fitted.lengths])[series_index(fitted.ids, panel.ids)]
    short = np.flatnonzero(panel.lengths < np.minimum(before, lookback))
    if len(short):
        lengths = panel.lengths[short[: NAMED_SERIES + 1]]
        named = [f"{series_name(panel.ids[i])} {length:,}".strip() for i, length in zip(short, lengths, strict=False)]
        text = (
            "%s: %d series have a shorter past than the %d steps that a forecast looks back (%s); what is missing "
            "counts as unknown, and their forecasts are less certain"
        )
        log.warning(text, name, len(short), lookback, first_names(named, NAMED_SERIES))


def values_after(fitted: Panel, later: Panel, horizon: int, zero: bool = False) -> tuple[Numbers, int]:
    """The values that came after the series of a fit.

    Parameters
    ----------
    later : of a table with later rows
    zero : whether absent rows are zeros, up to the newest row of the table

    Returns
    -------
    The values after the end of each series of the fit, [series, horizon], NaN where there is none; and the number of
    observed values that belong to other series, or do not lie after the end.
    """
    actual, others = np.full((len(fitted), horizon), np.nan), 0
    if zero:  # the series have begun, whatever their first row in the table is
        actual[np.arange(horizon) < (later.origins.max() - fitted.origins)[:, None]] = 0.0
    for i, rank in enumerate(series_index(fitted.ids, later.ids) - 1):
        slots = later.slots(i)
        observed = later.observed[slots]
        end = fitted.origins[rank] if rank >= 0 else later.origins[i]
        step = later.starts[i] + np.arange(slots.stop - slots.start) - end - 1
        others += int((observed & (step < 0)).sum())
        used = observed & (step >= 0) & (step < horizon)
        if used.any():
            actual[rank, step[used]] = later.values[slots][used]
    return actual, others


def _ends(panel: Panel, fitted: Panel) -> Numbers:
    """[series], grid position at which each series of a panel ended at fit; minus infinity for a new series."""
    return np.concatenate([[-np.inf], fitted.origins])[series_index(fitted.ids, panel.ids)]


def _plain(names: Id, change: str) -> Id:
    """An id as it would be after a small change."""
    return tuple(map(SMALL_CHANGES[change], names))
