"""Closed days, at which series have always held one value, and what looks like errors."""

from calendar import day_name, month_name
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.specs import Spec, of_values
from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK
from forecast.events.kinds import (
    Marks,
    compared_season,
    day_spans,
    has_events,
    mark,
    median,
    touched,
    without_censored,
)
from forecast.panel.panel import Flags, Integers, Numbers, Panel, runs
from forecast.panel.schema import Schema, calendar_of
from forecast.tables.table import ranked

CYCLES = 8  # in which a position must have held one value
ROUNDING = 1e-12  # share of the largest value of a series: values that differ by less are the same
CHANCE = 1e-3  # share of the series that may do so by chance
MAX_SEASON = 1_000_000  # steps
THURSDAY = 3  # the day of the week of 1970-01-01, Monday 0


@dataclass(frozen=True)
class SuspectLimits:
    """When a run of one value, or a lone value, looks like an error."""

    # a run lasts this many times as long as equal values fill of a cycle elsewhere, and one more
    run_length: int = 5
    shortest_cycle: int = 12  # steps
    most_equal: float = 0.5  # share of a series beyond which equal values are its nature
    # an outlier lies this many times as far from the values around it as any other value
    outlier_distance: int = 5
    outlier_values: int = 100  # of a series at least, which has one outlier at most


LIMITS = SuspectLimits()

Row = tuple[str, str, str, str, tuple[str, ...]]
"""First and last day, name, kind, and the ids of the series; () where all series have it."""


@dataclass(frozen=True)
class Closed:
    """Positions of a season at which series hold one value without exception."""

    # ascending, the index of each among the series of a fit or of a panel
    series: Annotated[Integers, Spec("positions", low=0, below="series")]
    season: Annotated[Integers, Spec("positions", 1, MAX_SEASON)]  # steps
    # the step in the season, by the wall clock where it is a day or a week
    phase: Annotated[Integers, Spec("positions", 0, MAX_SEASON)]
    value: Annotated[Numbers, of_values("positions")]
    # positions by number, and an event on which they held other values
    opened: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.series)

    def of(self, series: Integers) -> "Closed":
        """The positions for other series, given by their numbers here; -1 stands for a new one."""
        low = np.searchsorted(self.series, series)
        count = np.searchsorted(self.series, series, "right") - low
        _, numbers = runs(low, count)
        owner = np.repeat(np.arange(len(series)), count)
        return replace(self.take(numbers), series=owner)

    def take(self, numbers: Integers) -> "Closed":
        """Some of the positions, by number."""
        new_numbers = dict(zip(numbers.tolist(), range(len(numbers)), strict=True))
        opened = []
        for number, label in self.opened:
            if number in new_numbers:
                opened.append((new_numbers[number], label))
        arrays = {name: getattr(self, name)[numbers] for name in ARRAYS}
        return Closed(**arrays, opened=tuple(sorted(opened)))


ARRAYS = ("series", "season", "phase", "value")
_NO_POSITIONS = np.zeros(0, np.int64)
NONE_CLOSED = Closed(_NO_POSITIONS, _NO_POSITIONS, _NO_POSITIONS, np.zeros(0))


def find_closed(panel: Panel, schema: Schema, before: Integers) -> Closed:
    """Find positions of a season at which series held one value in all of at least eight cycles.

    The share of that value elsewhere in the series, to the power of the cycles and times the
    positions of the season, says how often chance does this. Longer seasons explain what shorter
    ones leave. A series of which nothing would stay open repeats itself, and is left to the models.
    What events open, as Sundays before Christmas, is left out. Slots of a series before `before`
    [series] are used.
    """
    panel = without_censored(panel, schema)
    series = panel.series_of_slots
    unexplained = panel.observed & panel.before(before)
    marks = mark(panel, schema) if has_events(schema) else None
    by_season = [NONE_CLOSED]
    seasons = {*season_candidates(schema.calendar), *schema.season}
    for season in sorted(seasons - {1}):
        has_cycles = before > (CYCLES - 1) * season
        slots = np.flatnonzero(unexplained & has_cycles[series])
        if len(slots):
            group = series[slots] * season + _phases(panel, schema, season)[slots]
            touched, labels = _touching(marks, slots)
            closed, inside = _constant_groups(panel.values[slots], group, season, touched, labels)
            unexplained[slots[inside]] = False
            by_season.append(closed)
    return _joined(by_season)


def closed_now(
    closed: Closed, panel: Panel, schema: Schema, series_index: Integers, before: Integers
) -> Closed:
    """What a fit found, without what newer values contradict; new series are searched."""
    closed = unless_contradicted(closed.of(series_index - 1), panel, schema, before)
    is_new = series_index == 0
    if is_new.any():
        of_new = find_closed(panel, schema, np.where(is_new, before, 0))
        closed = _joined([closed, of_new])
    return closed


def unless_contradicted(closed: Closed, panel: Panel, schema: Schema, before: Integers) -> Closed:
    """The positions that still hold one value; events that open one are remembered."""
    if not len(closed):
        return closed
    panel = without_censored(panel, schema)
    position = _position_of_slots(closed, panel, schema)
    is_closed = (position >= 0) & panel.observed & panel.before(before)
    slots = np.flatnonzero(is_closed & (panel.values != closed.value[position]))
    if not len(slots):
        return closed
    opened = set(closed.opened)
    if has_events(schema):
        touched, labels = _touching(mark(panel, schema), slots)
        opened |= _pairs(position[slots[touched]], labels)
        slots = np.delete(slots, touched)
    still_closed = np.setdiff1d(np.arange(len(closed)), position[slots])
    return replace(closed, opened=tuple(opened)).take(still_closed)


def fixed_values(closed: Closed, panel: Panel, schema: Schema) -> Numbers | None:
    """[slots], the fixed value of each slot, NaN where it is open; None where all are open.

    Slots that an event closes have 0.
    """
    shut = touched(panel, schema, "closed")
    if not len(closed) and shut is None:
        return None
    fixed = np.full(len(panel.values), np.nan)
    if len(closed):
        position = _position_of_slots(closed, panel, schema)
        fixed = np.where(position >= 0, closed.value[position], np.nan)
        if closed.opened and has_events(schema):
            fixed[_opened_slots(closed, position, mark(panel, schema))] = np.nan
    if shut is not None:
        fixed[shut] = 0.0
    return fixed


def _opened_slots(closed: Closed, position: Integers, marks: Marks) -> Integers:
    """The slots at closed positions [slots] that an event of the position touches."""
    numbers = {label: number for number, label in enumerate(marks.labels)}
    keys = []
    for number, label in closed.opened:
        if label in numbers:
            keys.append(number * len(numbers) + numbers[label])
    key_of_mark = position[marks.slot] * len(numbers) + marks.label
    return marks.slot[np.isin(key_of_mark, keys)]


def with_fixed(panel: Panel, fixed: Numbers | None) -> Panel:
    """The panel, closed slots without a row having their value, one of `fixed_values`."""
    if fixed is None:
        return panel
    closed = np.isfinite(fixed) & ~panel.observed
    values = np.where(closed, fixed, panel.values)
    return replace(panel, values=values, observed=panel.observed | closed)


def closed_groups(closed: Closed, schema: Schema) -> list[tuple[int, str, float]]:
    """How many series hold one value, where, and the value; the most frequent first."""
    phases = defaultdict[tuple[int, int, float], list[int]](list)
    columns = [getattr(closed, name).tolist() for name in ARRAYS]
    for series, season, phase, value in zip(*columns, strict=True):
        phases[series, season, value].append(phase)

    groups = Counter[tuple[int, float, tuple[int, ...]]]()
    for (_, season, value), steps in phases.items():
        groups[season, value, tuple(sorted(steps))] += 1
    rows = []
    for (season, value, group), count in groups.most_common():
        rows.append((count, _named(schema.calendar, season, group), value))
    return rows


def _constant_groups(
    values: Numbers, group: Integers, season: int, touched: Integers, labels: NDArray[Any]
) -> tuple[Closed, Flags]:
    """Groups, series * season + phase, that hold one value; and [values], whether each is inside.

    One value in all cycles of a group counts where chance would hardly do that, by how often the
    series has this value elsewhere. Values that events touch may differ: these events, `labels` of
    the values `touched`, open the group.
    """
    group_of, groups = ranked(group)
    series = groups // season  # [groups]
    count = len(groups)
    free = np.ones(len(values), bool)
    free[touched] = False

    # [groups], the one value; the least where events touch all, as Sundays named closed
    value = np.full(count, np.inf)
    np.minimum.at(value, group_of[touched], values[touched])
    value[group_of[free]] = values[free]
    differs = values != value[group_of]
    cycles = np.bincount(group_of[~differs], minlength=count)
    exceptions = np.bincount(group_of[differs & free], minlength=count)
    candidate = np.flatnonzero((cycles >= CYCLES) & (exceptions == 0))

    equal = _equal_values(values, series[group_of], series[candidate], value[candidate])
    equal_elsewhere = equal - cycles[candidate]
    size = np.bincount(group_of, minlength=count)
    size_of_series = np.bincount(series, size)[series]
    elsewhere = (size_of_series - size)[candidate]
    share = np.where(elsewhere > 0, equal_elsewhere / np.maximum(elsewhere, 1), 1.0)
    chance = share ** cycles[candidate] * season
    candidate = candidate[chance < CHANCE]

    has_one_value = _equal_but_for_rounding(values, group_of, series)
    has_one_value[candidate] = True
    open_values = np.bincount(series, size * ~has_one_value)
    candidate = candidate[open_values[series[candidate]] > 0]

    number = np.full(count, -1)
    number[candidate] = np.arange(len(candidate))
    position = number[group_of]  # [values]
    opens = differs[touched] & (position[touched] >= 0)
    opened = _pairs(position[touched[opens]], labels[opens])
    closed = Closed(
        series=series[candidate],
        season=np.full(len(candidate), season),
        phase=groups[candidate] % season,
        value=value[candidate],
        opened=tuple(sorted(opened)),
    )
    return closed, position >= 0


def _pairs(positions: Integers, labels: NDArray[Any]) -> set[tuple[int, str]]:
    return set(zip(positions.tolist(), labels.tolist(), strict=True))


def _equal_values(
    values: Numbers, series_of: Integers, series: Integers, value: Numbers
) -> Integers:
    """[groups], how many values of the series of a group equal the value of the group."""
    used = np.isin(series_of, series)
    levels, level = np.unique(values[used], return_inverse=True)
    keys = series_of[used] * len(levels) + level.reshape(-1)
    different_keys, counts = np.unique(keys, return_counts=True)
    key = series * len(levels) + np.searchsorted(levels, value)
    return np.asarray(counts[np.searchsorted(different_keys, key)])


def _equal_but_for_rounding(values: Numbers, group_of: Integers, series: Integers) -> Flags:
    """[groups], whether all values of a group are the same."""
    low = np.full(len(series), np.inf)
    high = np.full(len(series), -np.inf)
    np.minimum.at(low, group_of, values)
    np.maximum.at(high, group_of, values)
    sizes = np.maximum(np.abs(low), np.abs(high))
    largest = np.zeros(int(series.max()) + 1)
    np.maximum.at(largest, series, sizes)
    return np.asarray(high - low <= ROUNDING * largest[series])


def _joined(groups: list[Closed]) -> Closed:
    """Positions in the order of the series."""
    opened: list[tuple[int, str]] = []
    first = 0
    for closed in groups:
        opened += [(first + number, label) for number, label in closed.opened]
        first += len(closed)
    arrays = {name: np.concatenate([getattr(closed, name) for closed in groups]) for name in ARRAYS}
    whole = Closed(**arrays, opened=tuple(opened))
    return whole.take(np.argsort(whole.series, kind="stable"))


def _phases(panel: Panel, schema: Schema, season: int) -> Integers:
    """[slots], the phase of a season."""
    spec = schema.calendar
    positions = panel.starts[panel.series_of_slots] + panel.positions
    if not _on_clock(spec, season):
        return positions % season
    first = int(positions.min())
    every_position = np.arange(first, int(positions.max()) + 1)
    phase = calendar_of(schema).wall(every_position) // spec.every % season
    return np.asarray(phase[positions - first])


def _on_clock(spec: CalendarSpec, season: int) -> bool:
    """Whether a season is a day or a week, which clock changes do not move."""
    return spec.kind == "seconds" and spec.every <= DAY and season * spec.every in (DAY, WEEK)


def _position_of_slots(closed: Closed, panel: Panel, schema: Schema) -> Integers:
    """[slots], the number of the closed position at which each lies, -1 for none."""
    series = panel.series_of_slots
    position = np.full(len(series), -1)
    for season in np.unique(closed.season).tolist():
        numbers = np.flatnonzero(closed.season == season)
        keys = closed.series[numbers] * season + closed.phase[numbers]
        numbers = numbers[np.argsort(keys)]
        keys = np.sort(keys)
        key = series * season + _phases(panel, schema, season)
        nearest = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        inside = (keys[nearest] == key) & (position < 0)
        position[inside] = numbers[nearest[inside]]
    return position


def _touching(marks: Marks | None, slots: Integers) -> tuple[Integers, NDArray[Any]]:
    """Which of ascending slots events touch, and the events; a slot comes once for each event."""
    if marks is None:
        return _NO_POSITIONS, np.zeros(0, object)
    inside = np.isin(marks.slot, slots)
    labels = np.array(marks.labels, object)[marks.label[inside]]
    return np.searchsorted(slots, marks.slot[inside]), labels


def _named(spec: CalendarSpec, season: int, phases: tuple[int, ...]) -> str:
    """Where in a season phases are: on Sundays, at 22:00 to 05:00, in August."""
    if spec.kind == "months" and season * spec.every == 12:
        months = [1 + (phase * spec.every + spec.anchor) % 12 for phase in phases]
        return "in " + ", ".join(month_name[month] for month in months)

    on_clock = _on_clock(spec, season)
    days: list[int] = []
    if spec.kind == "weekdays" and season == len(spec.weekdays):
        days = [spec.weekdays[phase] for phase in phases]
    elif on_clock and spec.every == DAY:
        days = sorted((phase + THURSDAY) % 7 for phase in phases)
    if days:
        return "on " + ", ".join(f"{day_name[day]}s" for day in days)

    pattern = "%H:%M" if season * spec.every == DAY else "%a %H:%M"
    texts = []
    gaps = np.flatnonzero(np.diff(phases) != 1)
    for steps in np.split(phases, gaps + 1):
        ends = [f"step {phase or season} of {season}" for phase in steps[[0, -1]]]
        if on_clock:  # 1970-01-01 was at phase 0
            seconds = steps[[0, -1]] * spec.every
            ends = [datetime.fromtimestamp(at, UTC).strftime(pattern) for at in seconds]
        texts.append(" to ".join(dict.fromkeys(ends)))
    return f"at {', '.join(texts)}"


def suspects(panel: Panel, schema: Schema) -> list[Row]:
    """What looks like closed days, a hanging sensor or an error, in the order of time.

    Nothing that events explain.
    """
    panel = without_censored(panel, schema)
    if schema.calendar.kind == "steps" or not panel.observed.any():
        return []
    fixed = fixed_values(find_closed(panel, schema, panel.lengths), panel, schema)
    if fixed is not None:
        panel = replace(panel, observed=panel.observed & np.isnan(fixed))
    if not panel.observed.any():
        return []

    season = compared_season(schema)
    first, last = _runs(panel, max(season, LIMITS.shortest_cycle))
    _, in_runs = runs(first, last - first + 1)
    outliers = np.setdiff1d(_outliers(panel, season), in_runs)
    names = ["one value"] * len(first) + ["outlier"] * len(outliers)
    first = np.append(first, outliers)
    last = np.append(last, outliers)
    series = panel.series_of_slots[first]
    never_negative = panel.lowest_seen()[series] >= 0
    is_zero = (panel.values[first] == 0) & never_negative
    first_day = _days(panel, schema, first, 0)
    last_day = _days(panel, schema, last, 1)

    series_of_event = defaultdict[tuple[str, ...], list[int]](list)
    for n, name in enumerate(names):
        words = ("zeros", "closed") if is_zero[n] else (name, "ignore")
        event = (first_day[n], last_day[n], *words)
        series_of_event[event].append(int(series[n]))
    rows: list[Row] = []
    for (begin, end, name, kind), numbers in sorted(series_of_event.items()):
        owners = [()] if len(numbers) == len(panel) else [panel.ids[n] for n in numbers]
        rows += [(begin, end, name, kind, ids) for ids in owners]
    return rows


def _days(panel: Panel, schema: Schema, slots: Integers, end: int) -> list[str]:
    """The first day (`end` 0) or the last one (1) that the period of each slot holds, as text."""
    series = panel.series_of_slots[slots]
    positions = slots - panel.offsets[series] + panel.starts[series]
    ascending, index = np.unique(positions, return_inverse=True)
    days = day_spans(calendar_of(schema), ascending)[end].astype("datetime64[D]")
    return [str(day) for day in days[index]]


def _runs(panel: Panel, cycle: int) -> tuple[Integers, Integers]:
    """First and last slot of runs of one value far longer than is usual in their series."""
    slots = np.flatnonzero(panel.observed)
    values = panel.values[slots]
    series_of = panel.series_of_slots[slots]
    is_next = (np.diff(values) != 0) | (np.diff(series_of) != 0)
    start = np.flatnonzero(np.append(True, is_next))
    size = np.diff(np.append(start, len(slots)))  # [runs], as what follows
    series = series_of[start]
    value = values[start]
    is_first = np.append(True, np.diff(series) > 0)

    repeats = size - 1
    group = 2 * series + (value == 0)  # zeros are no sign of other repeats
    repeats_elsewhere = np.bincount(group, repeats)[group] - repeats
    values_elsewhere = np.bincount(series, size)[series] - size
    share = repeats_elsewhere / np.maximum(values_elsewhere, 1)
    falls = np.append(False, np.diff(value) < 0) & ~is_first
    has_fallen = np.bincount(series, falls)[series] > 0  # what only grows may rest
    begins_later = is_first & (value == 0)
    is_long = size >= LIMITS.run_length * (1 + cycle * share)
    suspect = is_long & has_fallen & ~begins_later & (share < LIMITS.most_equal)
    first = start[suspect]
    return slots[first], slots[first + repeats[suspect]]


def _outliers(panel: Panel, season: int) -> Integers:
    """The slot of the value of each series that lies far from those around it, as no other does."""
    slots = np.flatnonzero(panel.observed)
    series = panel.series_of_slots[slots]
    steps = np.array([1, season, 2 * season] if season > 1 else [1, 2, 3])
    near = slots[:, None] + np.concatenate([-steps, steps])
    first = panel.offsets[series, None]
    end = panel.offsets[series + 1, None]
    inside = (near >= first) & (near < end)
    near = np.where(inside, near, 0)
    around = np.where(inside & panel.observed[near], panel.values[near], np.nan)
    usual = median(around)
    distance = np.nan_to_num(np.abs(panel.values[slots] - usual))

    order = np.lexsort((distance, series))
    is_farthest = np.append(np.diff(series) > 0, True)  # of its series, in this order
    has_values = np.bincount(series)[series] >= LIMITS.outlier_values
    farthest = np.flatnonzero(is_farthest & has_values)
    next_distance = distance[order[farthest - 1]]
    is_far = distance[order[farthest]] > LIMITS.outlier_distance * next_distance
    outliers = farthest[is_far & (next_distance > 0)]
    return np.sort(slots[order[outliers]])
