"""What is known of each series of a panel: how it differs from the fit, its status, and blank values of the future."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.events.kinds import touched
from forecast.logs import log
from forecast.panel.naming import first_names, series_name, series_names
from forecast.panel.panel import SKIPPED, Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, event_names, position_texts
from forecast.tables.headers import listed

MAX_RATIO = 10.0  # a level that moved by more than this looks like a change of unit
NAMED_SERIES = 3  # series that a warning names
Id = tuple[str, ...]
NAMED = 5  # columns that a message names
USER_NAMES = {"calendar": "freq", "ids": "id", "ignored": "left out", "dated_events": "events"}
"""Names that users know."""


def mean_level(panel: Panel, steps: int) -> Numbers:
    """[series], the mean absolute value of each series over its last `steps`; 0 if none was observed."""
    used = panel.observed & ~panel.before(panel.lengths - steps)
    total = np.add.reduceat(np.abs(panel.values) * used, panel.offsets[:-1])
    return np.asarray(
        total / np.maximum(np.add.reduceat(used, panel.offsets[:-1], dtype=np.int64), 1)
    )


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
        log.warning(
            "%s: %d series were not seen at fit (%s); they are forecast anyway",
            self.name,
            len(new),
            names,
        )
        words = zip(panel.ids, panel.status, strict=True)
        status = (
            "new" if word == "ok" and names not in self.fitted else word for names, word in words
        )
        return replace(panel, status=tuple(status))

    def join(self, other: "Comparison") -> None:
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
        none = (
            "; none of the fit is left: is this the right table?"
            if len(missing) == len(self.fitted)
            else ""
        )
        text = "%s: %d series of the fit are not here (%s); they get no forecast%s"
        log.warning(text, self.name, len(missing), series_names(missing, NAMED_SERIES), none)
        both = self.new, missing
        new, old = (
            {tuple(part.strip().lstrip("0").casefold() for part in names) for names in ids}
            for ids in both
        )
        if new & old:
            text = "%s: some new ids are ids of the fit but for leading zeros, blanks or capitals; were they changed?"
            log.warning(text, self.name)


def check_levels(
    panel: Panel, ids: Ids, level: Numbers, lookback: int, name: str, strict: bool
) -> None:
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
        cure = Words(
            "was the unit changed? Without ", Setting("strict", True), " this is a warning"
        )
        raise BadData(moves % (len(moved), names), place=name, cure=cure)
    log.warning(f"%s: {moves}; was the unit changed?", name, len(moved), names)


def warn_seen(panel: Panel, fitted: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn where forecasts begin before the end of the fit: the model has seen the values that it forecasts."""
    ahead = _ends(panel, fitted) - panel.origins
    if (ahead > 0).any():
        ends = np.array([panel.origins[np.argmax(ahead)], fitted.origins.max()])
        after, end = position_texts(schema, calendar_of(schema), ends)
        text = "%s: the model was trained on values up to %s, so that it has seen %d of the %d steps after %s"
        log.warning(text, name, end, min(int(ahead.max()), horizon), horizon, after)


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
        names = series_names([panel.ids[i] for i in short], NAMED_SERIES)
        text = "%s: %d series have a shorter past than the %d steps that a forecast looks back (%s): less certain"
        log.warning(text, name, len(short), lookback, names)


def actuals_after(
    fitted: Panel, later: Panel, horizon: int, zero: bool = False
) -> tuple[Numbers, int]:
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


def schema_differences(before: Schema, now: Schema) -> list[str]:
    """What differs, field by field: ``season 4, was 12``."""
    pairs = (
        (name, getattr(before, name), getattr(now, name))
        for name in Schema.model_fields
        if name != "inferred"
    )
    texts = ((field, _change(field, old, new)) for field, old, new in pairs if old != new)
    return [
        f"{USER_NAMES.get(field, field.replace('_', ' '))} {text}" for field, text in texts if text
    ]


def _change(field: str, old: Any, new: Any) -> str:
    """How one field differs; nothing where only the days of its events do."""
    if field == "dated_events":
        old, new = map(event_names, (old, new))
        if old == new:
            return ""
    if field == "calendar":
        return (
            f"{new.name}, but on another grid"
            if old.name == new.name
            else f"{new.name}, was {old.name}"
        )
    if field in ("time_format", "reading"):
        parts = zip(vars(old).items(), vars(new).values(), strict=True)
        return ", ".join(
            f"{name} {_text(value)}, was {_text(was)}"
            for (name, was), value in parts
            if was != value and name != "pivot"  # which moves with the data
        )
    if field == "categories":
        return f"of {listed(sorted(name for name in {**old, **new} if old.get(name) != new.get(name)), NAMED, '')}"
    if isinstance(old, tuple) and len(old) + len(new) > NAMED:
        pairs = (
            ("with", [name for name in new if name not in old]),
            ("without", [n for n in old if n not in new]),
        )
        changes = [f"{word} {listed(names, NAMED, '')}" for word, names in pairs if names]
        return " and ".join(changes) or "in another order"
    return f"{_text(new)}, was {_text(old)}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")) or "none"


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
    """Steps from the first to the last observed value of each series, at least 1; and its observed values."""
    counts = np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64)
    return np.maximum(panel.lengths - panel.trailing_gap(), 1), counts


def warn_status(
    panel: Panel, schema: Schema, name: str, before: tuple[str, ...] = (), whole: bool = True
) -> None:
    """Warn of series that are constant or get no forecast, and refuse a whole panel where none is left to forecast."""
    words: NDArray[np.object_] = np.array(panel.status, object)
    new = words != np.array(before or [None] * len(words), object)
    limit = f"{schema.max_missing:.0%}"
    for word, meaning, arguments in (
        ("constant", "never change", ()),
        ("ended", "ended more than a lookback before the last time and get no forecast", ()),
        (
            "missing",
            "miss more than %s of their values (%s) and get no forecast",
            (limit, Setting("max_missing")),
        ),
    ):
        series = np.flatnonzero((words == word) & new)
        if len(series):
            shown = (
                series_names([panel.ids[i] for i in series[: NAMED_SERIES + 1]], NAMED_SERIES)
                or "the whole table"
            )
            log.warning(f"%s: %d series {meaning}: %s", name, len(series), *arguments, shown)
    if whole and np.isin(words, SKIPPED).all():
        problem = f"no series is left to forecast: each misses more than {limit} of its values or ended long ago"
        coarser = Words(", a coarser ", Setting("freq"), " with ", Setting("aggregate"))
        zero = Words(", or ", Setting("missing", "zero"), " if absent rows mean zero")
        raise BadData(
            problem, place=name, cure=Words("pass a higher ", Setting("max_missing"), coarser, zero)
        )


def require_known(
    panel: Panel,
    schema: Schema,
    horizon: int,
    name: str = "the table",
    with_future: bool = False,
    saved: bool = True,
) -> None:
    """Refuse a panel without the values known in advance for the horizon of a series that gets a forecast.

    The table of that name should have them; `with_future` if it is a table of the future. Where no forecaster is
    `saved`, no other table can have them.
    """
    blank = _blank_ahead(panel, schema, horizon)
    if not blank.any():
        return
    series, _, column = np.argwhere(blank)[0].tolist()
    steps = np.flatnonzero(blank[series, :, column])
    times = first_names(
        position_texts(schema, calendar_of(schema), panel.origins[series] + 1 + steps), 3
    )
    of_series = f" of series '{series_name(panel.ids[series])}'" if any(panel.ids[series]) else ""
    in_all = f" (in all {blank.sum():,} such values, of {blank.any((1, 2)).sum():,} series)"
    template = Words("; ", Setting("future_template"), " writes the rows that are needed")
    elsewhere = (", or pass ", Setting("future"), template) if saved else ()
    cure = Words("fill in blank cells, add rows with blank targets", *elsewhere)
    raise BadData(
        f"column '{schema.known[column]}' is known in advance, but has no value for {len(steps)} of the {horizon} "
        f"steps{of_series}: {times}{in_all if blank.sum() > len(steps) else ''}",
        place=name,
        cure=Words("fill in blank cells, or add the rows", template) if with_future else cure,
    )


def warn_blank_ahead(panel: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn of values that are blank in the horizon, where the forecast goes on without them."""
    if (blank := _blank_ahead(panel, schema, horizon)).any():
        text = "%s: %d of %d values known in advance are blank in the %d steps forecast together"
        log.warning(f"{text}; their mean stands there", name, blank.sum(), blank.size, horizon)


def warn_blank(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of blank cells beside observed values, in columns known in advance."""
    blank = np.isnan(panel.known[panel.observed])  # [observed, known]
    counts = [
        f"'{column}' {count:,}"
        for column, count in zip(schema.known, blank.sum(0), strict=True)
        if count
    ]
    if counts:
        text = "%s: columns known in advance are blank beside some of the %d values (%s times), and unknown there"
        log.warning(text, name, len(blank), ", ".join(counts))


def _blank_ahead(panel: Panel, schema: Schema, horizon: int) -> Flags:
    """[series, horizon, known], whether a series that gets a forecast lacks a value; none where an event closes it."""
    slots = (panel.offsets[1:] - panel.ahead)[:, None] + np.arange(horizon if schema.known else 0)
    blank = np.isnan(panel.known[slots])
    if (shut := touched(panel, schema, "closed")) is not None:
        blank[shut[slots]] = False
    if panel.status:
        blank[panel.skipped] = False
    return np.asarray(blank)
