"""Runs of one value, and lone outliers, that a table of events might explain: as lines of such a table."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from forecast.events.closed import find_closed, fixed_values
from forecast.events.kinds import certain, compared_season, day_spans, median
from forecast.panel.panel import Flags, Integers, Panel, runs
from forecast.panel.schema import Schema, calendar_of

LONGER = 5  # times as many steps as equal values fill otherwise in a cycle, and one more, which a named run lasts
FARTHER = 5  # times as far as any other value lies an outlier from those around it
CYCLE = 12  # steps of a cycle at least
MOST_EQUAL, MOST_OUTLIERS = 0.5, 0.01  # shares of a series beyond which equal values and outliers are its nature

Row = tuple[str, str, str, str, tuple[str, ...]]
"""First and last day, name, kind, and the ids of the series; () where all series have it."""


def suspects(panel: Panel, schema: Schema) -> list[Row]:
    """What looks like closed days, a sensor that hangs, or an error, and no event says so yet; in the order of time."""
    if schema.calendar.kind == "steps" or not panel.observed.any():
        return []
    panel = certain(panel, schema)
    closed = fixed_values(find_closed(panel, schema, panel.lengths), panel, schema)
    is_open = np.ones(len(panel.values), bool) if closed is None else np.isnan(closed)
    season = compared_season(schema)
    found = defaultdict[tuple[int, int, str, str], list[int]](list)
    series, first, last = _runs(panel, panel.observed & is_open, max(season, CYCLE))
    shown = replace(panel, observed=panel.observed & is_open)
    lone = _outliers(shown, season)
    lone = np.setdiff1d(lone, runs(first, last - first + 1)[1])
    slots = np.concatenate([np.stack([first, last], 1), np.stack([lone, lone], 1)])
    owner = np.concatenate([series, panel.series_of_slots[lone]])
    position = slots - panel.offsets[owner][:, None] + panel.starts[owner][:, None]
    calendar, lowest = calendar_of(schema), panel.lowest_seen()
    for number, (one, (begin, end)) in enumerate(zip(owner.tolist(), position.tolist(), strict=True)):
        days = int(day_spans(calendar, np.array([begin]))[0][0]), int(day_spans(calendar, np.array([end]))[1][0])
        zero, run = panel.values[slots[number, 0]] == 0 <= lowest[one], number < len(series)
        name = "zeros" if zero else "one value" if run else "outlier"
        found[(*days, name, "closed" if zero else "ignore")].append(one)
    rows = list[Row]()
    for (begin, end, name, kind), some in sorted(found.items()):
        texts = [str(np.datetime64(day, "D")) for day in (begin, end)]
        owners = [()] if len(some) == len(panel) else [panel.ids[one] for one in some]
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
    group, equal = owner + zero * len(panel), size - ~zero  # a value that is not 0 equals the one before it
    count = np.bincount(owner, size, len(panel))
    count = np.append(count - np.bincount(owner, size * zero, len(panel)), count)
    elsewhere = (np.bincount(group, equal)[group] - equal) / np.maximum(count[group] - size, 1)
    falls = np.bincount(owner[1:], (np.diff(values[start]) < 0) & ~first[1:], len(panel))[owner] > 0
    begun, far = falls & ~(first & zero), size >= LONGER * (1 + cycle * elsewhere)  # what only grows may rest
    named = np.flatnonzero(begun & far & (elsewhere < MOST_EQUAL))
    return owner[named], slots[start[named]], slots[start[named] + size[named] - 1]


def _outliers(panel: Panel, season: int) -> Integers:
    """The slots of values far from those around them, where no other value of their series is nearly as far."""
    slots = np.flatnonzero(panel.observed)
    series, far = panel.series_of_slots[slots], np.zeros(len(slots))
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
