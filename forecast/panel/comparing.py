"""Compare the series of a panel with a fit, set their status, and find what they lack."""

from dataclasses import replace

import numpy as np

from forecast.errors import BadData, Setting
from forecast.logs import log
from forecast.panel.events import closed_now, find_touched_slots
from forecast.panel.panel import (
    Flags,
    Id,
    Ids,
    Integers,
    Numbers,
    Panel,
    first_names,
    ids_at,
    series_index,
    series_name,
    series_names,
)
from forecast.panel.schema import Schema, position_texts

MAX_LEVEL_CHANGE = 10.0  # if a level rises or falls by a larger factor, the unit may have changed
WARNED_NAMED = 3  # the number of series that a warning lists by name
STATUSES = {
    "constant": "never change",
    "ended": "ended more than a lookback before the last time and get no forecast",
    "missing": "miss more than %s of their values (%s) and get no forecast",
}
"""What warnings say about series of a status."""


def mean_level(panel: Panel, steps: int) -> Numbers:
    """Return the mean absolute value over the last `steps` of each series, [series].

    It is 0 if no value was observed.
    """
    used = panel.observed & ~panel.before(panel.lengths - steps)
    first = panel.first_slots
    total = np.add.reduceat(np.abs(panel.values) * used, first)
    counts = np.add.reduceat(used, first, dtype=np.int64)
    return total / np.maximum(counts, 1)


class Comparison:
    """Compares the ids of the table `name` with those of a fit.

    The fit ended at grid position `end`. The table may be added in several parts.
    """

    def __init__(self, ids: Ids, name: str, end: int) -> None:
        self.name = name
        self.end = end
        self.fitted = set(ids)
        self.seen: set[Id] = set()
        self.new: list[Id] = []

    def add(self, panel: Panel) -> Panel:
        """Set the status of series that are new since the fit to `new`.

        Warn of those that have values from before its end.
        """
        is_new = np.array([ids not in self.fitted for ids in panel.ids], bool)
        self.seen.update(self.fitted.intersection(panel.ids))
        self.new += ids_at(panel, np.flatnonzero(is_new))
        unseen = ids_at(panel, np.flatnonzero(is_new & (panel.starts <= self.end)))
        if unseen:
            log.warning(
                "%s: %d series were not seen at fit (%s); they are forecast anyway",
                self.name,
                len(unseen),
                series_names(unseen, WARNED_NAMED),
            )
        status = np.array(panel.status, object)
        status[is_new & (status == "ok")] = "new"
        return replace(panel, status=tuple(status.tolist()))

    def join(self, other: "Comparison") -> None:
        self.seen |= other.seen
        self.new += other.new

    @property
    def missing(self) -> list[Id]:
        """The ids of the fit that no added part holds, ascending."""
        return sorted(self.fitted - self.seen)

    def warn_of_missing_ids(self) -> None:
        """Warn of ids of the fit that are missing; perhaps their spelling has changed."""
        missing = self.missing
        if not missing:
            return
        text = "%s: %d series of the fit are not here (%s); they get no forecast%s"
        none = "" if self.seen else "; none of the fit is left: is this the right table?"
        log.warning(text, self.name, len(missing), series_names(missing, WARNED_NAMED), none)
        before = {_bare(ids) for ids in missing}
        if any(_bare(ids) in before for ids in self.new):
            text = "%s: some new ids are ids of the fit but for leading zeros, blanks or capitals"
            log.warning(f"{text}; were they changed?", self.name)


def _bare(ids: Id) -> Id:
    return tuple(part.strip().lstrip("0").casefold() for part in ids)


def check_levels(
    panel: Panel, ids: Ids, level: Numbers, lookback: int, name: str, strict: bool
) -> None:
    """Warn of series whose level changed more than tenfold since the fit, or refuse them.

    `level` [series of the fit] holds the levels at fit.
    """
    index = series_index(ids, panel.ids)
    now = mean_level(panel, lookback)
    then = np.append(level, 0.0)[index]
    far = (now > MAX_LEVEL_CHANGE * then) | (then > MAX_LEVEL_CHANGE * now)
    moved = np.flatnonzero(far & (now > 0) & (then > 0))
    if not len(moved):
        return
    names = series_names([panel.ids[series] for series in moved], WARNED_NAMED)
    moves = f"the level of {len(moved)} series moved more than tenfold since the fit ({names})"
    if strict:
        raise BadData(
            moves,
            place=name,
            cure=f"was the unit changed? Without {Setting('strict', True)} this is a warning",
        )
    log.warning("%s: %s; was the unit changed?", name, moves)


def warn_of_seen_values(
    panel: Panel, fitted: Panel, schema: Schema, horizon: int, name: str
) -> None:
    """Warn if forecasts begin before the end of the fit, since the model has seen these values."""
    ahead = _ends(panel, fitted) - panel.origins
    if (ahead > 0).any():
        origin = panel.origins[np.argmax(ahead)]
        ends = np.array([origin, fitted.origin])
        after, end = position_texts(schema, ends)
        log.warning(
            "%s: the model was trained on values up to %s, so that it has seen %d of the %d steps "
            "after %s",
            name,
            end,
            min(ahead.max(), horizon),
            horizon,
            after,
        )


def warn_seen_origins(panel: Panel, fitted: Panel, origins: Integers, end: str) -> int:
    """Warn of origins [origins, series] before the end of the fit, and return their number."""
    is_seen = (origins < _ends(panel, fitted)).any(1)
    seen = int(is_seen.sum())
    if seen:
        log.warning(
            "%d of %d origins lie before %s, the end of the fit: this forecaster has seen what it "
            "is judged by",
            seen,
            len(origins),
            end,
        )
    return seen


def actuals_after(
    fitted: Panel, later: Panel, horizon: int, zero: bool = False
) -> tuple[Numbers, int]:
    """Return the actuals that follow the series of a fit, from a table with later rows.

    They are [series, horizon], NaN where there is no value. Also returns the number of observed
    values that lie before the end of the fit, that of their series, or of all for a new one; 0 if
    the table holds the fit's own newest values, and so the past as it was. If `zero`, absent rows
    are zeros, up to the newest row of the table.
    """
    actual = np.full((len(fitted), horizon), np.nan)
    if zero:  # a series has begun in the fit, even if its first row in the table comes late
        steps = later.origin - fitted.origins
        actual[np.arange(horizon) < steps[:, None]] = 0.0
    series = later.series_of_slots
    rank = series_index(fitted.ids, later.ids)[series]
    end = np.where(rank >= 0, fitted.origins[rank], fitted.origin)
    step = later.grid_positions - end - 1
    is_fitted = later.observed & (rank >= 0)
    used = is_fitted & (step >= 0) & (step < horizon)
    actual[rank[used], step[used]] = later.values[used]
    newest = is_fitted & (step == -1 - fitted.trailing_gap()[rank])
    earlier = later.observed & (step < 0)
    return actual, 0 if newest.any() else int(earlier.sum())


def _ends(panel: Panel, fitted: Panel) -> Numbers:
    """Return the grid position at which each series ended at fit, [series].

    It is minus infinity for a new series.
    """
    ends = np.append(fitted.origins, -np.inf)
    return ends[series_index(fitted.ids, panel.ids)]


def set_status(panel: Panel, schema: Schema, lookback: int | None = None) -> Panel:
    """Set the status of each series; without a lookback, no series is `short` or `ended`."""
    spans, counts = observed_spans(panel)
    missing_share = (spans - counts) / spans
    last_slots = panel.offsets[1:] - 1
    never_changes = panel.expanding_std()[last_slots] == 0
    started = {row.ids: "successor" if row.replaces else "like" for row in schema.successions}
    status = np.array([started.get(ids, "ok") for ids in panel.ids], object)
    status[(counts == 0) | (missing_share > schema.max_missing)] = "missing"
    if lookback is not None:
        status[(status == "ok") & (panel.lengths < lookback)] = "short"
        status[(status != "missing") & (panel.trailing_gap() > lookback)] = "ended"
    status[(status == "ok") & never_changes & (counts > 1)] = "constant"
    return replace(panel, status=tuple(status.tolist()))


def observed_spans(panel: Panel) -> tuple[Integers, Integers]:
    """Return the steps from the first to the last observed value, and the number of values.

    Both are [series]; the steps are at least 1.
    """
    spans = panel.lengths - panel.trailing_gap()
    return np.maximum(spans, 1), panel.counts


def ended_before(panel: Panel, fitted: Panel | None) -> tuple[str, ...]:
    """[series], `ended` if the series had ended in the panel of a fit, else ''."""
    pairs = () if fitted is None else zip(fitted.ids, fitted.status, strict=False)
    ended = {ids for ids, word in pairs if word == "ended"}
    return tuple("ended" if ids in ended else "" for ids in panel.ids)


def warn_status(
    panel: Panel, schema: Schema, name: str, before: tuple[str, ...] = (), whole: bool = True
) -> None:
    """Warn of series that are constant or get no forecast.

    Refuse a whole panel if no series gets a forecast. Warnings of statuses that are the same as
    `before` are not repeated.
    """
    limit = f"{schema.max_missing:.0%}"
    setting = Setting("max_missing")
    status = np.array(panel.status)
    is_new = (status != np.array(before or "")) & ~closed_now(panel, schema)
    for word, text in STATUSES.items():
        changed = np.flatnonzero(is_new & (status == word))
        ids = [panel.ids[series] for series in changed]
        if ids:
            names = series_names(ids, WARNED_NAMED) or "the whole table"
            details = (limit, setting) if word == "missing" else ()
            log.warning(f"%s: %d series {text}: %s", name, len(ids), *details, names)
    if whole and panel.skipped.all():
        raise BadData(
            f"no series is left to forecast: each misses more than {limit} of its values or ended "
            "long ago",
            place=name,
            cure=f"pass a higher {setting}, a coarser {Setting('freq')} with "
            f"{Setting('aggregate')}, or {Setting('missing', 'zero')} if absent rows "
            "mean zero",
        )


def require_known(
    panel: Panel,
    schema: Schema,
    horizon: int,
    name: str = "the table",
    saved: bool = True,
) -> None:
    """Refuse a panel if a series to forecast lacks values known in advance in the horizon.

    The error names the table `name` that should have them. If no forecaster is `saved`, they cannot
    be passed to a later command.
    """
    blank = _blank_ahead(panel, schema, horizon)
    if not blank.any():
        return
    series, _, column = np.argwhere(blank)[0].tolist()
    steps = np.flatnonzero(blank[series, :, column])
    positions = panel.origins[series] + 1 + steps
    times = first_names(position_texts(schema, positions), 3)
    series_text = series_name(panel.ids[series])
    of_series = f" of series '{series_text}'" if series_text else ""
    problem = f"column '{schema.known[column]}' is known in advance, but has no value for"
    problem += f" {len(steps)} of the {horizon} steps{of_series}: {times}"
    total = blank.sum()
    if total > len(steps):
        problem += f" (in all {total:,} such values, of {blank.any((1, 2)).sum():,} series)"
    cure = (
        "fill in blank cells, add missing rows with blank targets, or pass them with "
        f"{Setting('future')}"
    )
    shorter = int(blank.any((0, 2)).argmax())
    if shorter:
        cure = f"pass {Setting('horizon', shorter)}, or {cure}"
    if saved:
        cure += f"; {Setting('future_template')} writes the rows that are needed"
    if panel.trailing_gap()[series]:
        cure += f"; if '{series_text}' has ended, {Setting('successors')} names what follows"
    raise BadData(problem, place=name, cure=cure)


def warn_blank_ahead(panel: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn of blank values in the horizon, which the forecast does without."""
    blank = _blank_ahead(panel, schema, horizon)
    if blank.any():
        log.warning(
            "%s: %d of %d values known in advance are blank in the %d steps forecast together; "
            "their mean stands there",
            name,
            blank.sum(),
            blank.size,
            horizon,
        )


def warn_blank(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of blank cells beside observed values, in columns known in advance."""
    blank = np.isnan(panel.known[panel.observed])  # [observed slots, columns]
    counts = zip(schema.known, blank.sum(0), strict=True)
    columns = ", ".join(f"'{column}' {count:,}" for column, count in counts if count)
    if columns:
        log.warning(
            "%s: columns known in advance are blank beside some of the %d values (%s times), and "
            "unknown there",
            name,
            len(blank),
            columns,
        )


def _blank_ahead(panel: Panel, schema: Schema, horizon: int) -> Flags:
    """Say where a series to forecast lacks a value known in advance, [series, horizon, columns].

    Nothing counts as lacking on days on which an event closes the series.
    """
    steps = np.arange(horizon if schema.known else 0)
    first_ahead = panel.offsets[1:] - panel.ahead
    slots = first_ahead[:, None] + steps
    blank = np.isnan(panel.known[slots])
    blank[find_touched_slots(panel, schema, "closed")[slots]] = False
    if panel.status:
        blank[panel.skipped] = False
    return np.asarray(blank)
