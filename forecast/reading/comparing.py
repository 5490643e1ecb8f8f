"""Compare a panel with the series that a fit saw: new and missing ids, levels that moved, actuals since."""

import logging
from collections.abc import Callable
from dataclasses import replace

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
SEEN = (
    "%s: the model was trained on values up to %s, so that it has seen %d of the %d steps that it forecasts after %s; "
    "a backtest measures on values that the fit has not seen"
)
SHORT = (
    "%s: %d series have a shorter past than the %d steps that a forecast looks back (%s); what is missing counts as "
    "unknown, and their forecasts are less certain"
)

Id = tuple[str, ...]


def mean_level(panel: Panel, steps: int) -> Numbers:
    """[series], the mean absolute value of each series over its last `steps`; 0 if none was observed."""
    used = panel.observed & ~panel.before(panel.lengths - steps)
    total = np.add.reduceat(np.abs(panel.values) * used, panel.offsets[:-1])
    return np.asarray(total / np.maximum(np.add.reduceat(used, panel.offsets[:-1], dtype=np.int64), 1))


class Comparison:
    """The ids of a table `name`, or of one part of it after another, beside those of a fit."""

    def __init__(self, ids: Ids, name: str) -> None:
        self.ids, self.fitted, self.name = ids, set(ids), name
        self.seen: set[Id] = set()
        self.new: list[Id] = []

    def add(self, panel: Panel) -> Panel:
        """Warn of ids that are new since the fit, and give new series their status."""
        new = [names for names in panel.ids if names not in self.fitted]
        self.seen.update(self.fitted.intersection(panel.ids))
        self.new += new
        if not new:
            return panel
        names = series_names(new, NAMED_SERIES)
        log.warning("%s: %d series were not seen at fit (%s); they are forecast anyway", self.name, len(new), names)
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

    def warn_missing(self) -> None:
        """Warn of ids that are missing since the fit, and of a small change of all ids that may be the reason."""
        if not (missing := self.missing):
            return
        none = "; none of the fit is left: is this the right table?" if len(missing) == len(self.fitted) else ""
        text = "%s: %d series of the fit are not here (%s); they get no forecast%s"
        log.warning(text, self.name, len(missing), series_names(missing, NAMED_SERIES), none)
        for change, plain in SMALL_CHANGES.items():
            new, old = ({tuple(map(plain, names)) for names in ids} for ids in (self.new, missing))
            if new & old:
                log.warning("%s: some new ids are ids of the fit %s; did an export change them?", self.name, change)
                return


def check_levels(panel: Panel, ids: Ids, level: Numbers, lookback: int, name: str, strict: bool) -> None:
    """Warn of series whose level [series of the fit] moved more than tenfold since the fit; refuse them if `strict`."""
    now = mean_level(panel, lookback)
    then = np.concatenate([[0.0], level])[series_index(ids, panel.ids)]
    both = (now > 0) & (then > 0)
    ratio = np.divide(now, then, out=np.ones_like(now), where=both)
    moved = [panel.ids[i] for i in np.flatnonzero((ratio > MAX_RATIO) | (ratio < 1 / MAX_RATIO))]
    if not moved:
        return
    names = series_names(moved, NAMED_SERIES)
    moves = "the level of %d series moved more than tenfold since the fit (%s)"
    if strict:
        cure = Words("was the unit changed? Without ", Setting("strict", True), " this is a warning")
        raise BadData(moves % (len(moved), names), place=name, cure=cure)
    log.warning(f"%s: {moves}; was the unit changed?", name, len(moved), names)


def warn_seen(panel: Panel, fitted: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn where forecasts begin before the end of the fit: the model has seen the values that it forecasts."""
    ahead = _ends(panel, fitted) - panel.origins
    if (ahead > 0).any():
        ends = np.array([panel.origins[np.argmax(ahead)], fitted.origins.max()])
        after, end = position_texts(schema, calendar_of(schema), ends)
        log.warning(SEEN, name, end, min(int(ahead.max()), horizon), horizon, after)


def warn_seen_origins(panel: Panel, fitted: Panel, origins: Integers, end: str) -> int:
    """Warn of origins of a backtest, [origins, series], that lie before the end of the fit; returns how many do."""
    seen = int((origins < _ends(panel, fitted)).any(1).sum())
    if seen:
        text = "%d of %d origins lie before %s, the end of the fit: this forecaster has seen what it is judged by"
        log.warning(text, seen, len(origins), end)
    return seen


def warn_short(panel: Panel, fitted: Panel, lookback: int, name: str) -> None:
    """Warn of series whose past is shorter than a forecast looks back, unless the fit saw no more of them."""
    before = np.concatenate([[lookback], fitted.lengths])[series_index(fitted.ids, panel.ids)]
    short = np.flatnonzero(panel.lengths < np.minimum(before, lookback))
    if len(short):
        lengths = panel.lengths[short[: NAMED_SERIES + 1]]
        named = [f"{series_name(panel.ids[i])} {length:,}".strip() for i, length in zip(short, lengths, strict=False)]
        log.warning(SHORT, name, len(short), lookback, first_names(named, NAMED_SERIES))


def actuals_after(fitted: Panel, later: Panel, horizon: int, zero: bool = False) -> tuple[Numbers, int]:
    """The actuals after the series of a fit, [series, horizon], NaN where there is none, from a table with later rows.

    Also the number of observed values that belong to other series, or do not lie after the end. If `zero`, absent rows
    are zeros, up to the newest row of the table.
    """
    actual = np.full((len(fitted), horizon), np.nan)
    if zero:  # the series have begun, whatever their first row in the table is
        actual[np.arange(horizon) < (later.origins.max() - fitted.origins)[:, None]] = 0.0
    series = later.series_of_slots
    rank = (series_index(fitted.ids, later.ids) - 1)[series]
    end = np.where(rank >= 0, fitted.origins[rank], later.origins[series])
    step = later.starts[series] + later.positions - end - 1
    used = later.observed & (step >= 0) & (step < horizon)
    actual[rank[used], step[used]] = later.values[used]
    return actual, int((later.observed & (step < 0)).sum())


def _ends(panel: Panel, fitted: Panel) -> Numbers:
    """[series], grid position at which each series of a panel ended at fit; minus infinity for a new series."""
    return np.concatenate([[-np.inf], fitted.origins])[series_index(fitted.ids, panel.ids)]
