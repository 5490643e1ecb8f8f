"""Replay stored forecasts step by step: from what one run published to what a later one did."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from forecast.changes.inputs import ARRAYS, POINTS, Layout, RunInput, aligned, different
from forecast.inference.forecasting import forecast_panel, with_schema
from forecast.logs import held_back
from forecast.panel.naming import series_names
from forecast.panel.panel import BY_SERIES, BY_SLOT, Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.settings import SumSettings
from forecast.totals.periods import key_columns, keys_of, levels_of, period_keys

log = logging.getLogger("forecast")

REPLAYED, SERIES, HISTORY, ACTUALS, KNOWN = "replayed", "series", "revised history", "new actuals", "known columns"
EVENTS, REFIT, BOUNDS = "events", "refit", "bounds and rounding"
INTERVALS, FALLBACK, REST = "interval corrections", "fallback", "not reproduced"  # the first never change a point
STEPS = (SERIES, HISTORY, ACTUALS, KNOWN, EVENTS, REFIT, BOUNDS, INTERVALS, FALLBACK, REST)
"""In the order in which they are taken. The first is what series add to sums that are new, or take that are gone."""
PAST = tuple(name for name in BY_SLOT if name != "known")
READING = ("calendar", "ids", "layout", "known", "past", "static", "categories")  # what makes panels alike
Cells = tuple[Ids, Integers, Integers]  # ids, the series [cells] as indices into them, timestamps [cells]


@dataclass(frozen=True)
class Changes:
    """How forecasts that a run published changed to those of a later run, at the times that both have."""

    ids: Ids
    series: Integers  # [cells], indices into `ids`
    times: Integers  # [cells], timestamps
    old: Numbers  # [cells], 0 of a new series
    new: Numbers  # [cells], 0 of a series that is gone
    both: Flags  # [cells], whether the series is neither
    parts: Numbers  # [STEPS, cells], which add up to the change

    @property
    def size(self) -> float | None:
        """The change from one cycle to the next: sum |new - old| over sum |old|; None where that is 0."""
        return self._share((self.new - self.old)[self.both])

    def steps(self) -> list[dict[str, Any]]:
        """Each step: by how much it changed the sum of all, and sum |part| over what `size` is a share of."""
        rows = zip(STEPS, self.parts.sum(1).tolist(), map(self._share, self.parts), strict=True)
        return [{"step": name, "change": total, "size": size} for name, total, size in rows if name != REST or size]

    def rows(self, names: list[dict[str, Any]], groups: Integers) -> list[dict[str, Any]]:
        """Named sums over `groups` [cells], indices into the names: old, new, change, |new - old|, and the steps."""
        whole = self.old, self.new, self.new - self.old, np.abs(self.new - self.old)
        sums = np.stack([np.bincount(groups, numbers, len(names)) for numbers in (*whole, *self.parts)], 1).tolist()
        heads = ("old", "new", "change", "moved")
        found = (
            dict(zip(heads, row, strict=False)) | {"steps": dict(zip(STEPS, row[4:], strict=True))} for row in sums
        )
        return [{**name, **row} for name, row in zip(names, found, strict=True)]

    def _share(self, moved: Numbers) -> float | None:
        whole = float(np.abs(self.old)[self.both].sum())
        return float(np.abs(moved).sum()) / whole if whole else None


def parted(old: Numbers, new: Numbers, both: Flags, points: Mapping[str, Numbers], fallback: Flags) -> Numbers:
    """[STEPS, cells], the change by each step, from the `points` after it of the cells that `both` have."""
    parts = np.zeros((len(STEPS), len(old)))
    parts[0, ~both] = (new - old)[~both]
    first = last = points.get(REPLAYED, old[both])
    for name in (name for name in STEPS if name in points):
        parts[STEPS.index(name), both] = points[name] - last
        last = points[name]
    parts[-1, both] = (first - old[both]) + (new[both] - last)
    parts[STEPS.index(FALLBACK), fallback] = parts[-1, fallback]
    parts[-1, fallback] = 0.0
    return parts


def rows_of_sums(changes: Changes, settings: SumSettings, schema: Schema, panels: Sequence[Panel]) -> Any:
    """Rows by level, ids and first time; static columns are of the last panel with a series; errors of `levels_of`."""
    rows, levels, calendar = list[dict[str, Any]](), levels_of(settings, schema), calendar_of(schema)
    times, place = np.unique(changes.times, return_inverse=True)
    positions = calendar.positions(times)
    for level in levels:
        named, every = (dict(zip(schema.ids, ids, strict=True)) for ids in changes.ids), level.every
        keys = {ids: tuple(name.get(by, "") for by in level.by) for ids, name in zip(changes.ids, named, strict=True)}
        for panel in panels:
            keys |= dict(zip(panel.ids, keys_of(panel, schema, np.arange(len(panel)), level.by), strict=True))
        period = positions if every is None else 0 * positions
        if every not in (None, "horizon"):
            period = period_keys(calendar, positions, every)
        _, first, period = np.unique(period, return_index=True, return_inverse=True)
        pairs = [(keys[changes.ids[i]], at) for i, at in zip(changes.series, period[place].tolist(), strict=True)]
        numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
        texts, names = position_texts(schema, calendar, positions[first]), list[dict[str, Any]]()
        for key, at in numbers:
            ids = dict.fromkeys(key_columns(levels, schema), "") | dict(zip(level.by, key, strict=True))
            names.append({"level": level.name, **ids, "time": texts[at]})
        rows += changes.rows(names, np.array([numbers[pair] for pair in pairs], np.int64))
    return rows


def replayed(before: RunInput, after: RunInput, cells: Cells) -> Iterator[tuple[str, Numbers]]:
    """The points of cells [cells] after each step from a run to a later one, by the name of the step.

    The first is the replay of the earlier run. Only series whose inputs a step changes are forecast anew; a step
    without any is left out, and the replay, too, where all steps are.
    """
    states = list(_states(before, after))
    changes = [_changed(earlier, later) for (_, earlier), (_, later) in pairwise(states)]
    if any(changed.any() for changed in changes):
        points = np.full(len(cells[1]), np.nan)
        for (name, state), changed in zip(states, [np.ones(len(before.panel), bool), *changes], strict=True):
            if changed.any():
                yield name, (points := _points(state, changed, cells, points))


def _states(before: RunInput, after: RunInput) -> Iterator[tuple[str, RunInput]]:
    """What each step forecasts from; where versions read a table differently, the refit takes all steps at once."""
    yield REPLAYED, (state := before)
    if alike(before, after):
        for name, panel in _panels(before, after.panel, before.version == after.version):
            yield name, (state := replace(state, panel=panel))
        events = before.schema.model_copy(update={"dated_events": after.schema.dated_events})
        yield EVENTS, replace(state, predictor=with_schema(before.predictor, events))
    yield REFIT, replace(after, output=before.output)
    yield BOUNDS, after


def alike(before: RunInput, after: RunInput) -> bool:
    """Whether the versions of two runs read a table into the same panel."""
    return all(getattr(before.schema, name) == getattr(after.schema, name) for name in READING)


def changed_inputs(before: RunInput, after: RunInput) -> Iterator[str]:
    """Which values of the past and of known columns a later run reads otherwise, in words."""
    panel, old, schema = after.panel, before.panel, after.schema
    place, series, held = series_index(old.ids, panel.ids) - 1, panel.series_of_slots, aligned(panel, old)
    position = panel.positions + panel.starts[series]
    both = (place >= 0)[series] & (position >= old.starts[place][series])
    past = both & (position <= np.minimum(old.origins[place], panel.origins)[series])
    found = {HISTORY: past & ((panel.observed != held["observed"]) | different(panel.values, held["values"]))}
    both &= position <= (old.origins[place] + old.ahead)[series]
    found |= {
        f"column {name}": both & different(panel.known[:, column], held["known"][:, column])
        for column, name in enumerate(schema.known)
    }
    for what, cells in found.items():
        if cells.any():
            ids = [panel.ids[i] for i in np.unique(series[cells])]
            ends = position_texts(schema, calendar_of(schema), np.array([position[cells].min(), position[cells].max()]))
            whose = f" of {len(ids):,} series ({series_names(ids)})" if any(ids[0]) else ""
            yield f"{what}: {cells.sum():,} values{whose}, {' to '.join(dict.fromkeys(ends))}"


def _panels(before: RunInput, new: Panel, one_version: bool) -> Iterator[tuple[str, Panel]]:
    """The panel of a run as it takes over that of a later one."""
    old, place = before.panel, series_index(before.panel.ids, new.ids) - 1
    ends = np.where(place >= 0, old.origins[place], old.origins.max())
    longest = np.where(place >= 0, np.minimum(old.starts[place], new.starts), new.starts)
    first = new.starts if one_version else longest  # of another version the new panel may hold less of the past
    by_old, every = dict.fromkeys((*ARRAYS, "status"), (old, new)), dict.fromkeys((*ARRAYS, "status"), (new, old))
    if before.predictor.fitted.config.reconciles:  # else no series depends on which others there are
        yield SERIES, _laid(new, longest, ends, by_old)
    yield HISTORY, _laid(new, first, ends, by_old | dict.fromkeys((*PAST, "static"), (new, old)))
    yield ACTUALS, _laid(new, first, new.origins, every | {"known": (old, new)})
    yield KNOWN, new if one_version else _laid(new, first, new.origins, every)


def _laid(like: Panel, starts: Integers, ends: Integers, sources: dict[str, tuple[Panel, Panel]]) -> Panel:
    """The series of a panel from `starts` to `ends`, grid positions, each array from the first source that has it."""
    begun = np.flatnonzero(starts <= ends)
    some, ahead = like.select(begun), max(panel.ahead for panel in sources["known"])
    layout = Layout(some.ids, starts[begun], (ends - starts + 1)[begun], ahead)
    arrays: dict[str, Any] = dict(layout.arrays({name: sources[name] for name in ARRAYS}))
    first, second = (dict(zip(panel.ids, panel.status, strict=True)) for panel in sources["status"])
    status = tuple(first.get(ids) or second[ids] for ids in some.ids)
    return Panel(some.ids, some.order, layout.offsets, layout.starts, ahead, status=status, **arrays)


def _changed(before: RunInput, after: RunInput) -> Flags:
    """[series of the later state], which ones have other inputs than before."""
    panel, old, everything = after.panel, before.panel, np.ones(len(after.panel), bool)
    fitted, place = before.predictor.fitted, series_index(old.ids, panel.ids) - 1
    events = before.schema.dated_events != after.schema.dated_events
    bounds = any(getattr(before.output, name) != getattr(after.output, name) for name in POINTS)
    if before.version != after.version or events or bounds:
        return everything
    differ = (old.starts[place] != panel.starts) | (old.lengths[place] != panel.lengths)
    for name, held in aligned(panel, old).items():
        other = different(getattr(panel, name), held)
        differ |= other if name in BY_SERIES else np.logical_or.reduceat(other, panel.offsets[:-1])
    if fitted.config.reconciles:
        return everything if differ.any() or old.ids != panel.ids else ~everything
    return np.asarray(differ & (place >= 0))


def _points(state: RunInput, changed: Flags, cells: Cells, before: Numbers) -> Numbers:
    """The points of cells [cells]; those of series that have not `changed`, and that get none, as before."""
    ids, series, timestamps = cells
    words = zip(state.panel.status, changed.tolist(), strict=True)
    panel = replace(state.panel, status=tuple(word if forecast else "ended" for word, forecast in words))
    with held_back(log):  # the runs have said the same
        made = forecast_panel(state.predictor, panel, state.predictor.fitted.config.horizon, state.output)
    rank = np.full(len(panel) + 1, -1)
    rank[made.series] = np.arange(len(made.series))
    index = (series_index(panel.ids, ids) - 1)[series]
    times, inverse = np.unique(timestamps, return_inverse=True)
    place, step = rank[index], calendar_of(state.schema).positions(times)[inverse] - 1 - panel.origins[index]
    there, points = (place >= 0) & (step >= 0) & (step < made.published.shape[1]), before.copy()
    points[there] = made.published[place[there], step[there], 0]
    return points
