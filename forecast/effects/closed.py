"""Find closed days, on which series have always held the same value, and likely errors."""

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
from forecast.effects.kinds import (
    Marks,
    compared_season,
    has_events,
    mark,
    median,
    select_effects,
    steps_a_day,
    touched_by_events,
)
from forecast.panel.events import day_spans, find_touched_slots, remove_censored_values
from forecast.panel.panel import Flags, Integers, Numbers, Panel, find_entries, runs
from forecast.panel.schema import Schema, build_calendar
from forecast.tables.table import rank

CYCLES = 8  # a closed position must have held its value in at least this many cycles
EQUAL_SHARE = 1e-12  # values that differ by less than this share of the largest value are the same
# a short series takes over closed positions that this share of the other series has
AGREED = 0.9
LEAST_SERIES = 5  # so many series must have a value on a day on which all are closed
CHANCE = 1e-3  # the share of series that may appear to have a closed position by chance
MAX_SEASON = 1_000_000  # steps
THURSDAY = 3  # the day of the week of 1970-01-01, Monday 0


@dataclass(frozen=True)
class SuspectLimits:
    """Limits beyond which a run of equal values, or a single value, looks like an error."""

    # A suspect run is at least run_length * (1 + cycle * share) steps long, where `share` is how
    # many of the other values of the series repeat the value before them.
    run_length: int = 5
    shortest_cycle: int = 12  # steps
    most_equal: float = 0.5  # if this share of the values are repeats, no run is suspect
    # an outlier is this many times as far from the values around it as any other value
    outlier_distance: int = 5
    # a series must have this many values to have an outlier, and has one outlier at most
    outlier_values: int = 100
    low: float = 0.3  # a value is low below this share of those of the four seasons around it


SUSPECT_LIMITS = SuspectLimits()

Row = tuple[str, str, str, str, tuple[str, ...]]
"""First and last day, name, kind, and the ids of the series; () where all series have it."""


@dataclass(frozen=True)
class Closed:
    """Closed positions: phases of a season at which a series always holds the same value.

    Each array has one entry for each closed position.
    """

    # the index of the series, among those of a fit or of a panel; ascending
    series: Annotated[Integers, Spec("positions", low=0, below="series")]
    season: Annotated[Integers, Spec("positions", 1, MAX_SEASON)]  # its length in steps
    # the step in the season, by the wall clock if the season is a day or a week
    phase: Annotated[Integers, Spec("positions", 0, MAX_SEASON)]
    value: Annotated[Numbers, of_values("positions")]
    # pairs of the number of a closed position and an event on which it held another value, so that
    # the event opens it
    opened: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.series)

    def select(self, series: Integers) -> "Closed":
        """Return the closed positions of some series, as positions of the new list of series.

        `series` holds the index here of each series of the new list, -1 for a new one.
        """
        owner, numbers = find_entries(series, self.series)
        return replace(self.take(numbers), series=owner)

    def take(self, numbers: Integers) -> "Closed":
        """Return some of the closed positions, given by number."""
        new_numbers = dict(zip(numbers.tolist(), range(len(numbers)), strict=True))
        opened = []
        for number, label in self.opened:
            if number in new_numbers:
                opened.append((new_numbers[number], label))
        arrays = {name: getattr(self, name)[numbers] for name in CLOSED_ARRAYS}
        return Closed(**arrays, opened=tuple(sorted(opened)))


CLOSED_ARRAYS = ("series", "season", "phase", "value")
_NO_POSITIONS = np.zeros(0, np.int64)
NONE_CLOSED = Closed(_NO_POSITIONS, _NO_POSITIONS, _NO_POSITIONS, np.zeros(0))


def find_closures(panel: Panel, schema: Schema, before: Integers) -> Closed:
    """Find positions of a season at which a series held one value in all cycles, at least eight.

    How likely this is by chance is estimated as share ** cycles * season, where `share` is how
    often the value occurs elsewhere in the series. Shorter seasons are searched first, and longer
    ones only where these leave slots open. If nothing of a series would stay open, the series
    merely repeats itself, and is left to the models. Values on which an event opens a position,
    such as Sundays before Christmas, may differ. Only slots before position `before` [series] are
    used. Series of fewer cycles take over what the others agree on.
    """
    panel = remove_censored_values(panel, schema)
    series = panel.series_of_slots
    unexplained = panel.observed & panel.before(before)
    marks = mark(panel, schema) if has_events(schema) else None
    by_season = [NONE_CLOSED]
    seasons = {*season_candidates(schema.calendar), *schema.season}
    for season in sorted(seasons - {1}):
        has_cycles = before > (CYCLES - 1) * season
        slots = np.flatnonzero(unexplained & has_cycles[series])
        if len(slots):
            phase = _phases(panel, schema, season)[slots]
            group = series[slots] * season + phase
            touched, labels = _find_touching_slots(marks, slots)
            closed, inside = _constant_groups(panel.values[slots], group, season, touched, labels)
            unexplained[slots[inside]] = False
            short_series = np.flatnonzero(~has_cycles)
            agreed = _share_closures(closed, int(has_cycles.sum()), short_series)
            by_season += [closed, drop_contradictions(agreed, panel, schema, before)]
    return _join(by_season)


def _share_closures(closed: Closed, count: int, series: Integers) -> Closed:
    """Give `series` the closed positions, with one value, of nine of ten of `count` series."""
    rows = np.stack([closed.season, closed.phase, closed.value], 1)
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    agreed = closed.take(first[counts >= AGREED * count])
    groups = [NONE_CLOSED]
    for number in series:
        owner = np.full(len(agreed), number)
        groups.append(replace(agreed, series=owner))
    return _join(groups)


def closed_now(
    closed: Closed,
    panel: Panel,
    schema: Schema,
    series_index: Integers,
    before: Integers,
    fitted: int,
) -> Closed:
    """Return the closed positions of a fit to `fitted` series that newer values do not contradict.

    New series, whose `series_index` is -1, are searched for closed positions, and take over those
    that the series of the fit agree on.
    """
    is_new = series_index < 0
    of_new = NONE_CLOSED
    if is_new.any():
        found = find_closures(panel, schema, np.where(is_new, before, 0))
        of_new = found.take(np.flatnonzero(is_new[found.series]))
    without = np.setdiff1d(np.flatnonzero(is_new), of_new.series)
    agreed = _share_closures(closed, fitted, without)
    of_fit = _join([closed.select(series_index), agreed])
    return _join([drop_contradictions(of_fit, panel, schema, before), of_new])


def drop_contradictions(closed: Closed, panel: Panel, schema: Schema, before: Integers) -> Closed:
    """Return the positions that still hold one value, and add the events that open one."""
    if not len(closed):
        return closed
    panel = remove_censored_values(panel, schema)
    position = _position_of_slots(closed, panel, schema)
    is_closed = (position >= 0) & panel.observed & panel.before(before)
    differs = panel.values != closed.value[position]
    slots = np.flatnonzero(is_closed & differs)
    if not len(slots):
        return closed
    opened = set(closed.opened)
    if has_events(schema):
        touched, labels = _find_touching_slots(mark(panel, schema), slots)
        opened |= _pairs(position[slots[touched]], labels)
        slots = np.delete(slots, touched)
    still_closed = np.setdiff1d(np.arange(len(closed)), position[slots])
    return replace(closed, opened=tuple(opened)).take(still_closed)


def fixed_values(closed: Closed, panel: Panel, schema: Schema) -> Numbers | None:
    """Return the fixed value of each slot, [slots], NaN if it is open; None if all are open.

    Slots that an event closes have the value 0.
    """
    shut = find_touched_slots(panel, schema, "closed")
    if not (len(closed) or shut.any()):
        return None
    fixed = np.full(len(panel.values), np.nan)
    if len(closed):
        position = _position_of_slots(closed, panel, schema)
        fixed = np.where(position >= 0, closed.value[position], np.nan)
        if closed.opened:
            opened = _opened_slots(closed, position, mark(panel, schema))
            fixed[opened] = np.nan
    fixed[shut] = 0.0
    return fixed


def _opened_slots(closed: Closed, position: Integers, marks: Marks) -> Integers:
    """Return the slots at closed positions that are touched by an event which opens the position.

    `position` [slots] is the number of the closed position of each slot, -1 for none.
    """
    numbers = {label: number for number, label in enumerate(marks.labels)}
    keys = []
    for number, label in closed.opened:
        if label in numbers:
            keys.append(number * len(numbers) + numbers[label])
    key_of_mark = position[marks.slot] * len(numbers) + marks.label
    return marks.slot[np.isin(key_of_mark, keys)]


def fill_closed_slots(panel: Panel, fixed: Numbers | None) -> Panel:
    """Return the panel with `fixed_values` as observed values in closed slots without a row."""
    if fixed is None:
        return panel
    closed = np.isfinite(fixed) & ~panel.observed
    values = np.where(closed, fixed, panel.values)
    return replace(panel, values=values, observed=panel.observed | closed)


def closed_groups(closed: Closed, schema: Schema) -> list[tuple[int, str, float]]:
    """List closed positions: the number of series, where in the season, and the value.

    The most frequent positions come first.
    """
    phases = defaultdict[tuple[int, int, float], list[int]](list)
    columns = [getattr(closed, name).tolist() for name in CLOSED_ARRAYS]
    for series, season, phase, value in zip(*columns, strict=True):
        phases[series, season, value].append(phase)

    groups = Counter[tuple[int, float, tuple[int, ...]]]()
    for (_, season, value), steps in phases.items():
        groups[season, value, tuple(sorted(steps))] += 1
    rows = []
    for (season, value, group), count in groups.most_common():
        rows.append((count, _describe_phases(schema.calendar, season, group), value))
    return rows


def _constant_groups(
    values: Numbers, group: Integers, season: int, touched: Integers, labels: NDArray[Any]
) -> tuple[Closed, Flags]:
    """Find groups that always hold one value, and say which values [values] lie in such groups.

    The number of a group is series * season + phase. A group is closed if it holds the same value
    in all cycles and this is unlikely by chance, given how often the series holds the value
    elsewhere. Values that events touch may differ; these events open the group. `labels` are the
    events of the values with the indices `touched`.
    """
    group_of, groups = rank(group)
    series = groups // season  # [groups]
    count = len(groups)
    free = np.ones(len(values), bool)
    free[touched] = False

    # [groups], the value of each group; if events touch all its values, the smallest of them
    value = np.full(count, np.inf)
    np.minimum.at(value, group_of[touched], values[touched])
    value[group_of[free]] = values[free]
    differs = values != value[group_of]
    cycles = np.bincount(group_of[~differs], minlength=count)
    exceptions = np.bincount(group_of[differs & free], minlength=count)
    is_constant = cycles >= CYCLES
    is_constant &= exceptions == 0
    candidate = np.flatnonzero(is_constant)

    equal = _equal_values(values, series[group_of], series[candidate], value[candidate])
    equal_elsewhere = equal - cycles[candidate]
    size = np.bincount(group_of, minlength=count)
    size_of_series = np.bincount(series, size)[series]
    elsewhere = (size_of_series - size)[candidate]
    share = np.where(elsewhere > 0, equal_elsewhere / np.maximum(elsewhere, 1), 1.0)
    chance = share ** cycles[candidate] * season
    candidate = candidate[chance < CHANCE]

    has_one_value = _have_one_value(values, group_of, series)
    has_one_value[candidate] = True
    open_values = np.bincount(series, size * ~has_one_value)
    stays_open = open_values[series] > 0  # [groups], whether something of the series does
    candidate = candidate[stays_open[candidate]]

    number = np.full(count, -1)
    number[candidate] = np.arange(len(candidate))
    position = number[group_of]  # [values]
    touched_position = position[touched]
    opens = differs[touched] & (touched_position >= 0)
    opened = _pairs(touched_position[opens], labels[opens])
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
    """Count the values of a series that equal the value of a group, [groups].

    `series_of` [values] is the series of each value; `series` and `value` are those of the groups.
    """
    used = np.isin(series_of, series)
    levels, level = np.unique(values[used], return_inverse=True)
    keys = series_of[used] * len(levels) + level.reshape(-1)
    different_keys, counts = np.unique(keys, return_counts=True)
    key = series * len(levels) + np.searchsorted(levels, value)
    return np.asarray(counts[np.searchsorted(different_keys, key)])


def _have_one_value(values: Numbers, group_of: Integers, series: Integers) -> Flags:
    """Say whether all values of a group are the same, but for rounding, [groups]."""
    low = np.full(len(series), np.inf)
    high = np.full(len(series), -np.inf)
    np.minimum.at(low, group_of, values)
    np.maximum.at(high, group_of, values)
    sizes = np.maximum(np.abs(low), np.abs(high))
    largest = np.zeros(series.max() + 1)
    np.maximum.at(largest, series, sizes)
    return np.asarray(high - low <= EQUAL_SHARE * largest[series])


def _join(groups: list[Closed]) -> Closed:
    """Join closed positions, and sort them by series."""
    opened = []
    first = 0
    for closed in groups:
        opened += [(first + number, label) for number, label in closed.opened]
        first += len(closed)
    arrays = {}
    for name in CLOSED_ARRAYS:
        of_groups = [getattr(closed, name) for closed in groups]
        arrays[name] = np.concatenate(of_groups)
    whole = Closed(**arrays, opened=tuple(opened))
    return whole.take(np.argsort(whole.series, kind="stable"))


def _phases(panel: Panel, schema: Schema, season: int) -> Integers:
    """Return the phase of each slot in a season, [slots]."""
    spec = schema.calendar
    positions = panel.grid_positions
    if not _on_clock(spec, season):
        return positions % season
    return build_calendar(schema).wall(positions) // spec.every % season


def _on_clock(spec: CalendarSpec, season: int) -> bool:
    """Whether a season is a day or a week, which follows the wall clock through clock changes."""
    return spec.kind == "seconds" and spec.every <= DAY and season * spec.every in (DAY, WEEK)


def _position_of_slots(closed: Closed, panel: Panel, schema: Schema) -> Integers:
    """Return the number of the closed position of each slot, [slots], -1 if it is open."""
    series = panel.series_of_slots
    position = np.full(len(series), -1)
    for season in np.unique(closed.season).tolist():
        numbers = np.flatnonzero(closed.season == season)
        keys = closed.series[numbers] * season + closed.phase[numbers]
        numbers = numbers[np.argsort(keys)]
        keys = np.sort(keys)
        key = series * season + _phases(panel, schema, season)
        nearest = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        inside = keys[nearest] == key
        inside &= position < 0  # a shorter season goes first
        position[inside] = numbers[nearest[inside]]
    return position


def _find_touching_slots(marks: Marks | None, slots: Integers) -> tuple[Integers, NDArray[Any]]:
    """Return which of some ascending slots events touch, as indices, and the names of the events.

    A slot that several events touch is returned once for each of them.
    """
    if marks is None:
        return _NO_POSITIONS, np.zeros(0, object)
    inside = np.isin(marks.slot, slots)
    labels = np.array(marks.labels, object)[marks.label[inside]]
    return np.searchsorted(slots, marks.slot[inside]), labels


def _describe_phases(spec: CalendarSpec, season: int, phases: tuple[int, ...]) -> str:
    """Describe phases of a season, such as 'on Sundays', 'at 22:00 to 05:00' or 'in August'."""
    if spec.kind == "months" and season * spec.every == 12:
        months = [1 + (phase * spec.every + spec.anchor) % 12 for phase in phases]
        return "in " + ", ".join(month_name[month] for month in months)

    on_clock = _on_clock(spec, season)
    days = []
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
        first_and_last = steps[[0, -1]]
        ends = [f"step {phase or season} of {season}" for phase in first_and_last]
        if on_clock:  # 1970-01-01 was at phase 0
            seconds = first_and_last * spec.every
            ends = [datetime.fromtimestamp(at, UTC).strftime(pattern) for at in seconds]
        texts.append(" to ".join(dict.fromkeys(ends)))
    return f"at {', '.join(texts)}"


def suspects(panel: Panel, schema: Schema) -> list[Row]:
    """List what looks like closed days, a stuck sensor or an error, in the order of time.

    Days on which all series look closed come first. Values that events explain are not listed.
    """
    if schema.calendar.kind == "steps":
        return []
    panel = remove_censored_values(panel, schema)
    closed = find_closures(panel, schema, panel.lengths)
    fixed = fixed_values(closed, panel, schema)
    if fixed is not None:
        panel = replace(panel, observed=panel.observed & np.isnan(fixed))
    if not panel.observed.any():
        return []

    rows = list[Row]()
    if steps_a_day(schema.calendar) == 1:  # events name whole days
        rows, panel = _zero_days(panel, schema)
    season = compared_season(schema)
    cycle = max(season, SUSPECT_LIMITS.shortest_cycle)
    never_negative = panel.find_minimum() >= 0
    steps = np.arange(1, 5) * (season if season > 1 else cycle)
    usual = _usual(panel, np.arange(len(panel.values)), steps)
    is_low = panel.values < SUSPECT_LIMITS.low * usual
    is_low &= never_negative[panel.series_of_slots]
    values = np.where(is_low, 0.0, panel.values)  # runs of low values are found as those of zeros
    first, last = _runs(replace(panel, values=values), cycle)
    offsets, in_runs = runs(first, last - first + 1)
    outliers = np.setdiff1d(_outliers(panel, season), in_runs)
    sold = np.add.reduceat(panel.values[in_runs], offsets[:-1])
    sold = np.append(sold, panel.values[outliers])
    names = ["one value"] * len(first) + ["outlier"] * len(outliers)
    first = np.append(first, outliers)
    last = np.append(last, outliers)
    series = panel.series_of_slots[first]
    is_zero = (values[first] == 0) & never_negative[series]
    first_day = _days(panel, schema, first, 0)
    last_day = _days(panel, schema, last, 1)

    series_of_event = defaultdict[tuple[str, ...], list[int]](list)
    for n, name in enumerate(names):
        words = ("zeros", "closed") if is_zero[n] else (name, "ignore")
        if is_zero[n] and sold[n] > 0:
            words = ("low", "stock_out")
        event = (first_day[n], last_day[n], *words)
        series_of_event[event].append(int(series[n]))
    for (begin, end, name, kind), numbers in sorted(series_of_event.items()):
        owners = [()] if len(numbers) == len(panel) else [panel.ids[n] for n in numbers]
        rows += [(begin, end, name, kind, ids) for ids in owners]
    return rows


def _zero_days(panel: Panel, schema: Schema) -> tuple[list[Row], Panel]:
    """List days, or longer steps, on which nearly all series are 0 at once, without a pattern.

    Usually, which is the median over the step and the same ones of the two seasons before and after
    it, at least ten times as many series are not 0, too many for chance. Steps that events touch
    are not listed. Also returns the panel without the listed steps.
    """
    position = panel.grid_positions
    first = position.min()
    step = position - first  # [slots]
    is_touched = touched_by_events(panel, select_effects(schema))
    used = panel.observed & ~is_touched
    count = np.bincount(step, used)  # [steps], of series with a value
    seen = count > 0
    not_zero = np.bincount(step, used & (panel.values != 0))
    share = not_zero / np.where(seen, count, np.nan)

    season = compared_season(schema)
    padded = np.pad(share, 2 * season, constant_values=np.nan)
    around = np.arange(len(share))[:, None] + season * np.arange(5)
    usual = median(padded[around])
    chance = (1 - usual) ** count * len(share)
    is_zero = share <= (1 - AGREED) * usual
    is_zero &= count >= LEAST_SERIES
    is_zero &= chance < CHANCE

    positions = first + np.flatnonzero(seen)
    days = day_spans(build_calendar(schema), positions)
    texts = np.stack(days).astype("datetime64[D]").astype(str)
    changes = np.diff(is_zero[seen], prepend=False, append=False)
    edges = np.flatnonzero(changes)
    spans = edges.reshape(-1, 2)
    rows: list[Row] = [
        (texts[0, begin], texts[1, end - 1], "zeros", "closed", ()) for begin, end in spans
    ]
    return rows, replace(panel, observed=panel.observed & ~is_zero[step])


def _days(panel: Panel, schema: Schema, slots: Integers, end: int) -> list[str]:
    """Return the first day (`end` 0) or the last day (`end` 1) of each slot's period, as text."""
    positions = panel.grid_positions[slots]
    days = day_spans(build_calendar(schema), positions)[end]
    return [str(day) for day in days.astype("datetime64[D]")]


def _runs(panel: Panel, cycle: int) -> tuple[Integers, Integers]:
    """Return the first and last slots of runs of one value that are unusually long."""
    slots = np.flatnonzero(panel.observed)
    values = panel.values[slots]
    series_of = panel.series_of_slots[slots]
    is_next = np.diff(values) != 0
    is_next |= np.diff(series_of) != 0
    start = np.flatnonzero(np.append(True, is_next))
    size = np.diff(np.append(start, len(slots)))  # [runs], like all arrays below
    series = series_of[start]
    value = values[start]
    is_first = np.append(True, np.diff(series) > 0)

    repeats = size - 1
    # repeated zeros are compared with repeated zeros only, other values with other values
    is_zero = value == 0
    group = 2 * series + is_zero
    repeats_elsewhere = np.bincount(group, repeats)[group] - repeats
    values_elsewhere = np.bincount(series, size)[series] - size
    share = repeats_elsewhere / np.maximum(values_elsewhere, 1)
    falls = np.append(False, np.diff(value) < 0) & ~is_first
    # a series that never falls, such as a meter reading, may rest
    has_fallen = np.bincount(series, falls)[series] > 0
    begins_later = is_first & is_zero
    is_long = size >= SUSPECT_LIMITS.run_length * (1 + cycle * share)
    suspect = is_long & has_fallen & ~begins_later
    suspect &= share < SUSPECT_LIMITS.most_equal
    first = start[suspect]
    return slots[first], slots[first + repeats[suspect]]


def _outliers(panel: Panel, season: int) -> Integers:
    """Return the slots of outliers, at most one for each series.

    An outlier is much farther from the values around it than any other value of its series.
    """
    slots = np.flatnonzero(panel.observed)
    series = panel.series_of_slots[slots]
    steps = np.array([1, season, 2 * season] if season > 1 else [1, 2, 3])
    distance = np.nan_to_num(np.abs(panel.values[slots] - _usual(panel, slots, steps)))

    order = np.lexsort((distance, series))
    is_farthest = np.append(np.diff(series) > 0, True)  # in `order`, the last of its series
    has_values = np.bincount(series)[series] >= SUSPECT_LIMITS.outlier_values
    farthest = np.flatnonzero(is_farthest & has_values)
    next_distance = distance[order[farthest - 1]]
    is_far = distance[order[farthest]] > SUSPECT_LIMITS.outlier_distance * next_distance
    is_far &= next_distance > 0
    outliers = farthest[is_far]
    return np.sort(slots[order[outliers]])


def _usual(panel: Panel, slots: Integers, steps: Integers) -> Numbers:
    """Return the median of the values so many steps before and after each slot, NaN for none."""
    series = panel.series_of_slots[slots]
    near = slots[:, None] + np.concatenate([-steps, steps])
    first = panel.offsets[series, None]
    end = panel.offsets[series + 1, None]
    inside = (near >= first) & (near < end)
    near = np.where(inside, near, 0)
    seen = inside & panel.observed[near]
    return median(np.where(seen, panel.values[near], np.nan))
