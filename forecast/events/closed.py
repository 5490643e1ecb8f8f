"""Closed days, at which series have always held one value, and runs and outliers that events might explain."""

from calendar import day_abbr, day_name, month_name
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.specs import Spec
from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, HOUR, WEEK
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
from forecast.tables.cells import MAX_VALUE
from forecast.tables.table import ranked

CYCLES = 8  # in which a position must have held one value
ROUNDING = 1e-12  # share of the largest value of a series: values that differ by less are the same
CHANCE = 1e-3  # share of the series that may do so by chance
THURSDAY = 3  # the day of the week of 1970-01-01, Monday 0
LONGER = 5  # times as many steps as equal values fill otherwise in a cycle, and one more, which a named run lasts
FARTHER = 5  # times as far as any other value lies an outlier from those around it
CYCLE = 12  # steps of a cycle at least
MAX_SEASON = 1_000_000  # steps
MOST_EQUAL, MOST_OUTLIERS = (
    0.5,
    0.01,
)  # shares of a series beyond which equal values and outliers are its nature
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
    value: Annotated[Numbers, Spec("positions", -MAX_VALUE, MAX_VALUE)]
    # positions by number, and an event on which they held other values
    opened: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.series)

    def of(self, series: Integers) -> "Closed":
        """The positions for another list of series, given by their numbers here; -1 stands for a new series."""
        low = np.searchsorted(self.series, series)
        count = np.searchsorted(self.series, series, "right") - low
        return self.take(runs(low, count)[1], np.repeat(np.arange(len(series)), count))

    def take(self, numbers: Integers, series: Integers | None = None) -> "Closed":
        """Some of the positions, by number; of other series if these are given."""
        events = defaultdict[int, list[str]](list)
        for number, label in self.opened:
            events[number].append(label)
        opened = tuple(
            (new, label)
            for new, old in enumerate(numbers.tolist())
            for label in events.get(old, ())
        )
        series = self.series[numbers] if series is None else series
        return Closed(
            series, self.season[numbers], self.phase[numbers], self.value[numbers], opened
        )


NONE_CLOSED = Closed(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
)


def find_closed(panel: Panel, schema: Schema, before: Integers) -> Closed:
    """Find the positions of a season at which series held one value in all of at least eight cycles.

    The share of that value elsewhere in the series, to the power of the cycles and times the positions of the season,
    says how often chance does this. Longer seasons explain what shorter ones leave. A series of which nothing would
    stay open repeats itself, and is left to the models. What events open, as Sundays before Christmas, is left out.
    Slots of a series before `before` [series] are used.
    """
    panel = without_censored(panel, schema)
    series, seen, found = (
        panel.series_of_slots,
        panel.observed & panel.before(before),
        [NONE_CLOSED],
    )
    marks = mark(panel, schema) if has_events(schema) else None
    for season in sorted({*season_candidates(schema.calendar), *schema.season}):
        used = np.flatnonzero(seen & (before > (CYCLES - 1) * season)[series])
        if season > 1 and len(used):
            group = series[used] * season + _phases(panel, schema, season)[used]
            group_of, groups = ranked(group)
            some, within = _constant_groups(
                panel.values[used], groups, group_of, season, _touching(marks, used)
            )
            seen[used[within]] = False
            found.append(some)
    return _joined(found)


def closed_now(
    closed: Closed, panel: Panel, schema: Schema, series_index: Integers, before: Integers
) -> Closed:
    """What a fit found for the series of a panel, without what newer values contradict; new series are searched."""
    kept = unless_contradicted(closed.of(series_index - 1), panel, schema, before)
    if series_index.all():
        return kept
    return _joined([kept, find_closed(panel, schema, np.where(series_index == 0, before, 0))])


def unless_contradicted(closed: Closed, panel: Panel, schema: Schema, before: Integers) -> Closed:
    """The positions of the series of a panel that still hold one value; events that open one are remembered."""
    if not len(closed):
        return closed
    panel = without_censored(panel, schema)
    number = _numbers(closed, panel, schema)
    other = (
        (number >= 0)
        & panel.observed
        & panel.before(before)
        & (panel.values != closed.value[number])
    )
    slots = np.flatnonzero(other)
    if not len(slots):
        return closed
    opened = set(closed.opened)
    if has_events(schema):
        marks = mark(panel, schema)
        touched, events = _touching(marks, slots)
        opened.update(zip(number[slots[touched]].tolist(), events.tolist(), strict=True))
        slots = np.setdiff1d(slots, marks.slot)
    kept = np.setdiff1d(np.arange(len(closed)), number[slots])
    return replace(closed, opened=tuple(sorted(opened))).take(kept)


def fixed_values(closed: Closed, panel: Panel, schema: Schema) -> Numbers | None:
    """[slots], the value at which each slot of a panel is fixed, NaN where none is; None where all are open.

    Slots that an event closes have 0.
    """
    shut = touched(panel, schema, "closed")
    if not len(closed):
        return None if shut is None else np.where(shut, 0.0, np.nan)
    number = _numbers(closed, panel, schema)
    fixed = np.where(number >= 0, closed.value[number], np.nan)
    if closed.opened and has_events(schema):
        marks = mark(panel, schema)
        rank = {label: at for at, label in enumerate(marks.labels)}
        keys = [
            position * len(rank) + rank[label] for position, label in closed.opened if label in rank
        ]
        fixed[marks.slot[np.isin(number[marks.slot] * len(rank) + marks.label, keys)]] = np.nan
    return fixed if shut is None else np.where(shut, 0.0, fixed)


def with_fixed(panel: Panel, fixed: Numbers | None) -> Panel:
    """The panel, closed slots without a row having their value; `fixed` is that of `fixed_values`."""
    if fixed is None:
        return panel
    closed = np.isfinite(fixed) & ~panel.observed
    return replace(
        panel, values=np.where(closed, fixed, panel.values), observed=panel.observed | closed
    )


def closed_groups(closed: Closed, schema: Schema) -> list[tuple[int, str, float]]:
    """How many series hold one value, at which positions, and the value; the most frequent first."""
    phases = defaultdict[tuple[int, int, float], list[int]](list)
    arrays = closed.series, closed.season, closed.value, closed.phase
    for series, season, value, phase in zip(*(array.tolist() for array in arrays), strict=True):
        phases[series, season, value].append(phase)
    groups = Counter(
        (season, value, tuple(sorted(steps))) for (_, season, value), steps in phases.items()
    )
    spec = schema.calendar
    return [
        (count, _named(spec, season, steps), value)
        for (season, value, steps), count in groups.most_common()
    ]


def _constant_groups(
    values: Numbers,
    groups: Integers,
    group_of: Integers,
    season: int,
    touching: tuple[Integers, NDArray[Any]],
) -> tuple[Closed, Flags]:
    """Those of the groups, series * season + phase, that hold one value; and [values], whether each lies in one.

    One value in all cycles of a group counts where chance would hardly do that, by how often the series has this value
    elsewhere. Values that events touch may differ: these events then open the group.
    """
    touched, events = touching
    count, free = len(groups), np.ones(len(values), bool)
    free[touched] = False
    value = np.full(count, np.inf)  # [groups], the one value
    np.minimum.at(
        value, group_of[touched], values[touched]
    )  # counts where events touch all, as Sundays named closed
    value[group_of[free]] = values[free]
    differs = values != value[group_of]  # [values]
    size, cycles = np.bincount(group_of, minlength=count), np.bincount(group_of, ~differs, count)
    series = groups // season  # [groups]
    candidate = np.flatnonzero(
        (cycles >= CYCLES) & (np.bincount(group_of, differs & free, count) == 0)
    )
    if not len(candidate):
        return NONE_CLOSED, np.zeros(len(values), bool)
    total = np.bincount(series, size)
    elsewhere = total[series[candidate]] - size[candidate]
    owner, asked = series[group_of], series[candidate]
    used = np.isin(owner, asked)
    known, code = np.unique(values[used], return_inverse=True)
    pairs, counts = np.unique(owner[used] * len(known) + code.reshape(-1), return_counts=True)
    pair = np.searchsorted(pairs, asked * len(known) + np.searchsorted(known, value[candidate]))
    equals = counts[pair] - cycles[candidate]  # [candidates], elsewhere in the series
    chance = np.where(elsewhere > 0, equals / np.maximum(elsewhere, 1), 1.0)
    candidate = candidate[chance ** cycles[candidate] * season < CHANCE]
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, group_of, values)
    np.maximum.at(high, group_of, values)
    largest = np.zeros(len(total))
    np.maximum.at(largest, series, np.maximum(np.abs(low), np.abs(high)))
    constant = high - low <= ROUNDING * largest[series]
    constant[candidate] = True
    held = np.bincount(series, size * constant)
    candidate = candidate[(held < total)[series[candidate]]]
    number = np.full(count, -1)
    number[candidate] = np.arange(len(candidate))
    opening = np.flatnonzero(differs[touched] & (number[group_of[touched]] >= 0))
    opened = sorted(
        set(zip(number[group_of[touched[opening]]].tolist(), events[opening].tolist(), strict=True))
    )
    seasons, phase = np.full(len(candidate), season), groups[candidate] % season
    return Closed(series[candidate], seasons, phase, value[candidate], tuple(opened)), number[
        group_of
    ] >= 0


def _joined(parts: list[Closed]) -> Closed:
    """Positions in the order of the series."""
    first = np.cumsum([0, *map(len, parts)]).tolist()
    opened = tuple(
        (start + n, label)
        for start, part in zip(first, parts, strict=False)
        for n, label in part.opened
    )
    arrays = zip(
        *((part.series, part.season, part.phase, part.value) for part in parts), strict=True
    )
    series, season, phase, value = map(np.concatenate, arrays)
    whole = Closed(series, season, phase, value, opened)
    return whole.take(np.argsort(whole.series, kind="stable"))


def _phases(panel: Panel, schema: Schema, season: int) -> Integers:
    """[slots], the phase of a season."""
    positions, spec = panel.starts[panel.series_of_slots] + panel.positions, schema.calendar
    if not _on_clock(spec, season):
        return positions % season
    first = int(positions.min())
    wall = calendar_of(schema).wall(np.arange(first, int(positions.max()) + 1))
    return np.asarray((wall // spec.every % season)[positions - first])


def _on_clock(
    spec: CalendarSpec, season: int
) -> bool:  # a day or a week, which clock changes do not move
    return spec.kind == "seconds" and spec.every <= DAY and season * spec.every in (DAY, WEEK)


def _numbers(closed: Closed, panel: Panel, schema: Schema) -> Integers:
    """[slots], the position that each slot has, by its number, -1 where it has none."""
    series = panel.series_of_slots
    number = np.full(len(series), -1)
    for season in np.unique(closed.season).tolist():
        numbers = np.flatnonzero(closed.season == season)
        keys = closed.series[numbers] * season + closed.phase[numbers]
        order = np.argsort(keys)
        key = series * season + _phases(panel, schema, season)
        at = order[np.minimum(np.searchsorted(keys[order], key), len(keys) - 1)]
        number = np.where((number < 0) & (keys[at] == key), numbers[at], number)
    return number


def _touching(marks: Marks | None, slots: Integers) -> tuple[Integers, NDArray[Any]]:
    """Which of some slots events touch, by number, and the event of each; a slot comes once for each event."""
    if marks is None:
        return np.zeros(0, np.int64), np.zeros(0, object)
    inside = np.isin(marks.slot, slots)
    return np.searchsorted(slots, marks.slot[inside]), np.array(marks.labels, object)[
        marks.label[inside]
    ]


def _named(spec: CalendarSpec, season: int, phases: tuple[int, ...]) -> str:
    """Where in a season phases are: on Sundays, at 22:00 to 05:00, in August."""
    if spec.kind == "weekdays" and season == len(spec.weekdays):
        return "on " + ", ".join(f"{day_name[spec.weekdays[phase]]}s" for phase in phases)
    if spec.kind == "months" and season * spec.every == 12:
        return "in " + ", ".join(
            month_name[1 + (phase * spec.every + spec.anchor) % 12] for phase in phases
        )
    on_clock = _on_clock(spec, season)
    if on_clock and spec.every == DAY:
        return "on " + ", ".join(
            f"{day_name[day]}s" for day in sorted((phase + THURSDAY) % 7 for phase in phases)
        )

    def step(phase: int) -> str:
        day, second = divmod(phase * spec.every, DAY)
        clock = f"{second // HOUR:02}:{second % HOUR // 60:02}"
        clock = clock if season * spec.every == DAY else f"{day_abbr[(day + THURSDAY) % 7]} {clock}"
        return clock if on_clock else f"step {phase or season} of {season}"

    runs = np.split(np.array(phases), np.flatnonzero(np.diff(phases) != 1) + 1)
    return "at " + ", ".join(
        " to ".join(dict.fromkeys(map(step, run[[0, -1]].tolist()))) for run in runs
    )


def suspects(panel: Panel, schema: Schema) -> list[Row]:
    """What looks like closed days, a sensor that hangs, or an error, and no event says so yet; in the order of time."""
    panel = without_censored(panel, schema)
    if schema.calendar.kind == "steps" or not panel.observed.any():
        return []
    closed = fixed_values(find_closed(panel, schema, panel.lengths), panel, schema)
    is_open = np.ones(len(panel.values), bool) if closed is None else np.isnan(closed)
    season = compared_season(schema)
    found = defaultdict[tuple[int, int, str, str], list[int]](list)
    shown = replace(panel, observed=panel.observed & is_open)
    if not shown.observed.any():
        return []
    series, first, last = _runs(panel, shown.observed, max(season, CYCLE))
    lone = _outliers(shown, season)
    lone = np.setdiff1d(lone, runs(first, last - first + 1)[1])
    slots = np.concatenate([np.stack([first, last], 1), np.stack([lone, lone], 1)])
    owner = np.concatenate([series, panel.series_of_slots[lone]])
    position = slots - panel.offsets[owner][:, None] + panel.starts[owner][:, None]
    calendar, lowest = calendar_of(schema), panel.lowest_seen()
    for number, (series_index, (begin, end)) in enumerate(
        zip(owner.tolist(), position.tolist(), strict=True)
    ):
        days = (
            int(day_spans(calendar, np.array([begin]))[0][0]),
            int(day_spans(calendar, np.array([end]))[1][0]),
        )
        zero, run = (
            panel.values[slots[number, 0]] == 0 <= lowest[series_index],
            number < len(series),
        )
        name = "zeros" if zero else "one value" if run else "outlier"
        found[(*days, name, "closed" if zero else "ignore")].append(series_index)
    rows = list[Row]()
    for (begin, end, name, kind), some in sorted(found.items()):
        texts = [str(np.datetime64(day, "D")) for day in (begin, end)]
        owners = [()] if len(some) == len(panel) else [panel.ids[number] for number in some]
        rows += [(texts[0], texts[1], name, kind, ids) for ids in owners]
    return rows


def _runs(panel: Panel, seen: Flags, cycle: int) -> tuple[Integers, Integers, Integers]:
    """Series, first and last slot of runs of one value that last far longer than equal values do in their series."""
    slots = np.flatnonzero(seen)
    values, series = panel.values[slots], panel.series_of_slots[slots]
    start = np.flatnonzero(np.append(True, (np.diff(values) != 0) | (np.diff(series) != 0)))
    size, owner = np.diff(np.append(start, len(slots))), series[start]
    first = np.append(True, np.diff(owner) > 0)
    zero = (values[start] == 0) & (panel.lowest_seen() >= 0)[owner]
    group, equal = (
        owner + zero * len(panel),
        size - ~zero,
    )  # a value that is not 0 equals the one before it
    count = np.bincount(owner, size, len(panel))
    count = np.append(count - np.bincount(owner, size * zero, len(panel)), count)
    elsewhere = (np.bincount(group, equal)[group] - equal) / np.maximum(count[group] - size, 1)
    falls = np.bincount(owner[1:], (np.diff(values[start]) < 0) & ~first[1:], len(panel))[owner] > 0
    has_fallen = falls & ~(first & zero)  # what only grows may rest
    long_enough = size >= LONGER * (1 + cycle * elsewhere)
    named = np.flatnonzero(has_fallen & long_enough & (elsewhere < MOST_EQUAL))
    return owner[named], slots[start[named]], slots[start[named] + size[named] - 1]


def _outliers(panel: Panel, season: int) -> Integers:
    """The slots of values far from those around them, where no other value of their series is nearly as far."""
    slots = np.flatnonzero(panel.observed)
    series = panel.series_of_slots[slots]
    steps = np.array([1, season, 2 * season] if season > 1 else [1, 2, 3])
    near = slots[:, None] + np.concatenate([-steps, steps])
    inside = (near >= panel.offsets[series][:, None]) & (near < panel.offsets[series + 1][:, None])
    near = np.where(inside, near, 0)
    around = np.where(inside & panel.observed[near], panel.values[near], np.nan)
    far = np.nan_to_num(np.abs(panel.values[slots] - median(around)))
    order = np.lexsort((-far, series))  # the farthest of each series first
    rank = np.arange(len(order)) - np.searchsorted(series[order], series[order])
    count = np.bincount(series, minlength=len(panel))[series[order]]
    after = np.append(far[order][1:], 0.0)
    gap = (far[order] > FARTHER * after) & (after > 0) & (rank + 1 <= MOST_OUTLIERS * count)
    last = np.full(len(panel), -1)
    np.maximum.at(last, series[order][gap], rank[gap])
    return np.sort(slots[order[rank <= last[series[order]]]])
