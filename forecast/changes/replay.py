"""What a run forecast from, stored as differences from its version, and its replay."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import with_schema
from forecast.inference.predictor import Predictor
from forecast.logs import held_back
from forecast.panel.naming import series_names
from forecast.panel.panel import (
    BY_SERIES,
    BY_SLOT,
    Flags,
    Ids,
    Integers,
    Numbers,
    Panel,
    runs,
    series_index,
)
from forecast.panel.schema import Event, Schema, calendar_of, position_texts
from forecast.settings import OutputSettings, SumSettings
from forecast.totals.periods import Level, key_columns, keys_of, levels_of, period_keys

# numbers that a run keeps; of a larger table, those of series that are evenly spread
MAX_NUMBERS = 5_000_000
# of elements that no panel has; others are NaN
BLANK = {"values": 0.0, "observed": False, "spread": 0.0, "lowest": np.inf, "counted": True}
POINTS = {"min", "max", "point", "integer"}  # settings of the output that decide its points
# of a panel, beside its layout; known columns are kept as they were known
ARRAYS = tuple(name for name in (*BY_SLOT, *BY_SERIES[1:]) if name != "vintages")
LAYOUT = ("starts", "lengths", "order")
PAST = tuple(name for name in BY_SLOT if name != "known")
# fields of a schema that make panels alike
READING = ("calendar", "ids", "layout", "known", "past", "static", "categories")

REPLAYED = "replayed"
SERIES = "series"  # what series add to sums that are new, or take that are gone
HISTORY = "revised history"
ACTUALS = "new actuals"
KNOWN = "known columns"
EVENTS = "events"
REFIT = "refit"
BOUNDS = "bounds and rounding"
INTERVALS = "interval corrections"  # which never change a point
FALLBACK = "fallback"
REST = "not reproduced"
STEPS = (SERIES, HISTORY, ACTUALS, KNOWN, EVENTS, REFIT, BOUNDS, INTERVALS, FALLBACK, REST)
"""In the order in which they are taken."""

Arrays = dict[str, NDArray[Any]]
Rows = list[dict[str, Any]]
Pairs = tuple[Integers, ...]  # the same elements, as indices into two arrays
# ids; of each forecast, the index into them and the timestamp
ForecastKeys = tuple[Ids, Integers, Integers]
Sources = Mapping[str, tuple[Panel, ...]]  # by array, the panels that have it, the first one first


@dataclass(frozen=True)
class SlotLayout:
    """Which series and slots a panel has."""

    ids: Ids
    starts: Integers  # [series], grid position of the first slot
    lengths: Integers  # [series], past slots
    ahead: int

    @property
    def offsets(self) -> Integers:
        """[series + 1], the first slot of each series."""
        ends = np.cumsum(self.lengths + self.ahead)
        return np.append(0, ends).astype(np.int64)

    def arrays(self, sources: Sources) -> Arrays:
        """Arrays of such a panel.

        Each element is that of the first panel that has its series and slot, else blank.
        """
        # all sources have the same panels
        shared = {id(panel): self._shared(panel) for panel in sources["values"]}
        arrays = Arrays()
        for name, panels in sources.items():
            for panel in reversed(panels):
                source = _array_of(panel, name)
                if name not in arrays:
                    count = len(self.ids) if name in BY_SERIES else int(self.offsets[-1])
                    shape = (count, *source.shape[1:])
                    arrays[name] = np.full(shape, BLANK.get(name, np.nan), source.dtype)
                here, there = shared[id(panel)].of(name)
                arrays[name][here] = source[there]

        last = self.offsets[1:] - self.ahead - 1
        future = last[:, None] + np.arange(1, self.ahead + 1)
        arrays["spread"][future] = arrays["spread"][last][:, None]  # that of the future is the last
        return arrays

    def _shared(self, panel: Panel) -> "_Shared":
        # [series], of the panel; -1 where it has none
        index = series_index(panel.ids, self.ids) - 1
        here = np.flatnonzero(index >= 0)
        there = index[here]
        first = np.maximum(self.starts[here], panel.starts[there])

        def slots(ahead: bool) -> Pairs:
            end = (self.starts + self.lengths + ahead * self.ahead)[here]
            other_end = (panel.starts + panel.lengths + ahead * panel.ahead)[there]
            sizes = np.maximum(np.minimum(end, other_end) - first, 0)
            own_slots = self.offsets[:-1] - self.starts  # of the grid position 0
            other_slots = panel.offsets[:-1] - panel.starts
            _, own = runs(own_slots[here] + first, sizes)
            _, others = runs(other_slots[there] + first, sizes)
            return own, others

        return _Shared((here, there), slots(ahead=False), slots(ahead=True))


class _Shared(NamedTuple):
    """What a layout and a panel have both."""

    series: Pairs
    past: Pairs  # slots up to the origin
    slots: Pairs  # with those ahead

    def of(self, name: str) -> Pairs:
        """The elements of an array."""
        if name in BY_SERIES:
            return self.series
        return self.slots if name == "known" else self.past


def _array_of(panel: Panel, name: str) -> NDArray[Any]:
    """An array of a panel; older versions have no `counted`."""
    array = getattr(panel, name)
    return np.ones(len(panel), bool) if array is None else np.asarray(array)


@dataclass(frozen=True)
class RunInput:
    """All that the points of a run's forecasts came from."""

    predictor: Predictor  # of the version, with the events of the run
    panel: Panel  # as far back as the version looks
    output: OutputSettings
    version: str
    series: int  # that the run had; the panel has fewer where there were too many
    fallback: Ids  # series that got other forecasts than those of the version

    @property
    def schema(self) -> Schema:
        return self.predictor.fitted.config.table


def aligned(panel: Panel, other: Panel) -> Arrays:
    """The arrays of another panel at the series and slots of a panel."""
    layout = SlotLayout(panel.ids, panel.starts, panel.lengths, panel.ahead)
    return layout.arrays(dict.fromkeys(ARRAYS, (other,)))


def rows_differ(array: NDArray[Any], other: NDArray[Any]) -> Flags:
    """[rows], whether rows of two arrays differ; blanks are equal."""
    differs = (array != other) & ((array == array) | (other == other))
    return differs if array.ndim == 1 else np.asarray(differs.any(1))


def packed(fitted: Fitted, panel: Panel, output: OutputSettings, fallback: Ids = ()) -> bytes:
    """What a run forecast from, without what the version holds: a packed file of numpy."""
    count = len(panel)
    panel = _as_far_back(panel, fitted.history)
    arrays = _differences(panel, fitted.history)
    size = _size(arrays)
    while size > MAX_NUMBERS and len(panel) > 1:
        panel = panel.select(np.arange(0, len(panel), size // MAX_NUMBERS + 1))
        arrays = _differences(panel, fitted.history)
        size = _size(arrays)
    words = list(dict.fromkeys(panel.status))
    events = fitted.config.table.dated_events
    header = {
        "ahead": panel.ahead,
        "series": count,
        "fallback": fallback,
        "words": words,
        "ids": None if panel.ids == fitted.ids else panel.ids,
        "output": output.model_dump(include=POINTS),
        "events": [event.model_dump(mode="json") for event in events],
    }
    codes = [words.index(word) for word in panel.status]
    arrays["status"] = np.array(codes, np.uint8)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return bytes(pa.compress(file.getvalue(), "zstd", asbytes=True))


def _size(arrays: Arrays) -> int:
    return sum(array.size for array in arrays.values())


def _as_far_back(panel: Panel, history: Panel) -> Panel:
    """The end of a panel, as far back as its version looks."""
    index = series_index(history.ids, panel.ids) - 1
    longest = panel.origins.max() - history.starts.min()
    first = np.where(index >= 0, history.starts[index], panel.origins - longest)
    return panel.tail(np.maximum(panel.origins + 1 - first, 1))


def _differences(panel: Panel, history: Panel) -> Arrays:
    """Where the arrays of a panel differ from those of the version, and what they hold there.

    And its layout.
    """
    arrays = Arrays()
    for name, held in aligned(panel, history).items():
        values = getattr(panel, name)
        rows = np.flatnonzero(rows_differ(values, held))
        if len(rows):
            arrays[name] = values[rows]
            arrays[f"{name}_at"] = np.diff(rows, prepend=0)
    for name in LAYOUT:
        arrays[name] = np.diff(getattr(panel, name), prepend=0)
    return arrays


def unpacked(data: bytes, predictor: Predictor, version: str) -> RunInput:
    """What `packed` wrote, by the version that it belongs to; raises what damaged bytes do."""
    fitted = predictor.fitted
    plain = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    with np.load(io.BytesIO(plain), allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    header = json.loads(stored["header"].tobytes())
    events = tuple(map(Event.model_validate, header["events"]))
    schema = fitted.config.table.model_copy(update={"dated_events": events})
    serving = with_schema(predictor, schema)

    ids = fitted.ids if header["ids"] is None else tuple(map(tuple, header["ids"]))
    starts, lengths, order = map(np.cumsum, (stored[name] for name in LAYOUT))
    layout = SlotLayout(ids, starts, lengths, header["ahead"])
    held = dict.fromkeys(ARRAYS, (serving.fitted.history,))
    arrays: dict[str, Any] = layout.arrays(held)
    for name in stored.keys() & arrays.keys():
        arrays[name][np.cumsum(stored[f"{name}_at"])] = stored[name]
    status = tuple(header["words"][code] for code in stored["status"].tolist())
    panel = Panel(ids, order, layout.offsets, starts, layout.ahead, status=status, **arrays)
    return RunInput(
        serving,
        panel,
        OutputSettings.check(header["output"]),
        version,
        header["series"],
        tuple(map(tuple, header["fallback"])),
    )


@dataclass(frozen=True)
class Changes:
    """How published forecasts changed from a run to a later one, at the times that both have."""

    ids: Ids
    series: Integers  # [forecasts], indices into `ids`
    times: Integers  # [forecasts], timestamps
    old: Numbers  # [forecasts], 0 of a new series
    new: Numbers  # [forecasts], 0 of a series that is gone
    both: Flags  # [forecasts], whether the series is neither
    parts: Numbers  # [STEPS, forecasts], which add up to the change

    @property
    def size(self) -> float | None:
        """The change from one cycle to the next: sum |new - old| over sum |old|.

        None where that is 0.
        """
        return self._share((self.new - self.old)[self.both])

    def steps(self) -> Rows:
        """By how much each step changed the sum of all, and its size, as a share like `size`."""
        rows = []
        for name, part in zip(STEPS, self.parts, strict=True):
            size = self._share(part)
            if name != REST or size:
                rows.append({"step": name, "change": float(part.sum()), "size": size})
        return rows

    def rows(self, names: Rows, groups: Integers) -> Rows:
        """Named sums over `groups` [forecasts], indices into the names, by step."""

        def summed(numbers: Numbers) -> list[float]:
            sums: list[float] = np.bincount(groups, numbers, len(names)).tolist()
            return sums

        change = self.new - self.old
        old = summed(self.old)
        new = summed(self.new)
        changes = summed(change)
        moved = summed(np.abs(change))
        parts = [summed(part) for part in self.parts]
        rows = []
        for row, name in enumerate(names):
            steps = {step: part[row] for step, part in zip(STEPS, parts, strict=True)}
            sums = {"old": old[row], "new": new[row], "change": changes[row], "moved": moved[row]}
            rows.append({**name, **sums, "steps": steps})
        return rows

    def _share(self, moved: Numbers) -> float | None:
        whole = float(np.abs(self.old)[self.both].sum())
        return float(np.abs(moved).sum()) / whole if whole else None


def by_step(
    old: Numbers, new: Numbers, both: Flags, points: Mapping[str, Numbers], fallback: Flags
) -> Numbers:
    """[STEPS, forecasts], the change by each step, from `points` of what `both` have."""
    parts = np.zeros((len(STEPS), len(old)))
    part_of = dict(zip(STEPS, parts, strict=True))  # its rows
    part_of[SERIES][~both] = (new - old)[~both]
    first = last = points.get(REPLAYED, old[both])
    for name in STEPS:
        if name in points:
            part_of[name][both] = points[name] - last
            last = points[name]
    part_of[REST][both] = (first - old[both]) + (new[both] - last)
    part_of[FALLBACK][fallback] = part_of[REST][fallback]
    part_of[REST][fallback] = 0.0
    return parts


def rows_of_sums(
    changes: Changes, settings: SumSettings, schema: Schema, panels: Sequence[Panel]
) -> Rows:
    """Rows by level, ids and first time; static columns are of the last panel with a series.

    Errors of `levels_of`.
    """
    levels = levels_of(settings, schema)
    calendar = calendar_of(schema)
    times, time_of = np.unique(changes.times, return_inverse=True)
    positions = calendar.positions(times)
    rows = []
    for level in levels:
        periods = _periods(level, positions, schema)  # [times]
        _, first, period_of = np.unique(periods, return_index=True, return_inverse=True)
        texts = position_texts(schema, calendar, positions[first])
        key_of = _group_keys(changes.ids, level, schema, panels)
        keys = [key_of[series] for series in changes.series]
        groups = list(zip(keys, period_of[time_of].tolist(), strict=True))
        numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
        names = []
        for key, period in numbers:
            ids = dict.fromkeys(key_columns(levels, schema), "")
            ids |= dict(zip(level.by, key, strict=True))
            names.append({"level": level.name, **ids, "time": texts[period]})
        rows_of_groups = np.array([numbers[group] for group in groups], np.int64)
        rows += changes.rows(names, rows_of_groups)
    return rows


def _periods(level: Level, positions: Integers, schema: Schema) -> Integers:
    """[positions], the period of each; the whole is one."""
    if level.every is None:
        return positions
    if level.every == "horizon":
        return np.zeros_like(positions)
    return period_keys(calendar_of(schema), positions, level.every)


def _group_keys(
    ids: Ids, level: Level, schema: Schema, panels: Sequence[Panel]
) -> list[tuple[str, ...]]:
    """The group of each series, by the last panel that has it."""
    keys = {}
    for names in ids:
        by_column = dict(zip(schema.ids, names, strict=True))
        keys[names] = tuple(by_column.get(column, "") for column in level.by)
    for panel in panels:
        of_panel = keys_of(panel, schema, np.arange(len(panel)), level.by)
        keys |= dict(zip(panel.ids, of_panel, strict=True))
    return [keys[names] for names in ids]


def replayed(
    before: RunInput, after: RunInput, keys: ForecastKeys
) -> Iterator[tuple[str, Numbers]]:
    """The points [forecasts] after each step from a run to a later one, by the name of the step.

    The first is the replay of the earlier run. Only series whose inputs a step changes are forecast
    anew; a step without any is left out, and the replay, too, where all steps are.
    """
    states = list(_states(before, after))
    inputs = [state for _, state in states]
    changed = [_changed(earlier, later) for earlier, later in pairwise(inputs)]
    if not any(series.any() for series in changed):
        return
    every = np.ones(len(before.panel), bool)
    points = np.full(len(keys[1]), np.nan)
    for (name, state), series in zip(states, [every, *changed], strict=True):
        if series.any():
            points = _points(state, series, keys, points)
            yield name, points


def _states(before: RunInput, after: RunInput) -> Iterator[tuple[str, RunInput]]:
    """What each step forecasts from.

    Where versions read a table differently, the refit takes all steps at once.
    """
    yield REPLAYED, before
    if alike(before, after):
        state = before
        for name, panel in _panels(before, after.panel, before.version == after.version):
            state = replace(state, panel=panel)
            yield name, state
        events = {"dated_events": after.schema.dated_events}
        serving = with_schema(before.predictor, before.schema.model_copy(update=events))
        yield EVENTS, replace(state, predictor=serving)
    yield REFIT, replace(after, output=before.output)
    yield BOUNDS, after


def alike(before: RunInput, after: RunInput) -> bool:
    """Whether the versions of two runs read a table into the same panel."""
    return all(getattr(before.schema, name) == getattr(after.schema, name) for name in READING)


def in_common(old: Panel, panel: Panel) -> tuple[Arrays, Flags, Flags]:
    """The arrays of an earlier panel at the slots of a later one.

    Whether it has each slot, and as past [slots].
    """
    index = series_index(old.ids, panel.ids) - 1
    series = panel.series_of_slots
    position = panel.positions + panel.starts[series]
    has_begun = (index >= 0)[series] & (position >= old.starts[index][series])
    both = has_begun & (position <= (old.origins[index] + old.ahead)[series])
    past = has_begun & (position <= np.minimum(old.origins[index], panel.origins)[series])
    return aligned(panel, old), both, past


def changed_inputs(before: RunInput, after: RunInput) -> Iterator[str]:
    """Which values of the past and of known columns a later run reads otherwise, in words."""
    panel = after.panel
    schema = after.schema
    held, both, past = in_common(before.panel, panel)
    series = panel.series_of_slots
    position = panel.positions + panel.starts[series]
    differs = (panel.observed != held["observed"]) | rows_differ(panel.values, held["values"])
    changed = {HISTORY: past & differs}
    for column, name in enumerate(schema.known):
        differs = rows_differ(panel.known[:, column], held["known"][:, column])
        changed[f"column {name}"] = both & differs
    for what, rows in changed.items():
        if not rows.any():
            continue
        ids = [panel.ids[i] for i in np.unique(series[rows])]
        whose = f" of {len(ids):,} series ({series_names(ids)})" if any(ids[0]) else ""
        ends = np.array([position[rows].min(), position[rows].max()])
        span = " to ".join(dict.fromkeys(position_texts(schema, calendar_of(schema), ends)))
        yield f"{what}: {rows.sum():,} values{whose}, {span}"


def _panels(before: RunInput, new: Panel, one_version: bool) -> Iterator[tuple[str, Panel]]:
    """The panel of a run as it takes over that of a later one."""
    old = before.panel
    index = series_index(old.ids, new.ids) - 1
    was_there = index >= 0
    ends = np.where(was_there, old.origins[index], old.origins.max())
    longest = np.minimum(np.where(was_there, old.starts[index], new.starts), new.starts)
    # of another version the new panel may hold less of the past
    first = new.starts if one_version else longest
    names = (*ARRAYS, "status")
    from_old = dict.fromkeys(names, (old, new))
    from_new = dict.fromkeys(names, (new, old))
    if before.predictor.fitted.config.reconciles:  # else no series depends on the others
        yield SERIES, _laid(new, longest, ends, from_old)
    revised = dict.fromkeys((*PAST, "static"), (new, old))
    yield HISTORY, _laid(new, first, ends, from_old | revised)
    yield ACTUALS, _laid(new, first, new.origins, from_new | {"known": (old, new)})
    yield KNOWN, new if one_version else _laid(new, first, new.origins, from_new)


def _laid(like: Panel, starts: Integers, ends: Integers, sources: Sources) -> Panel:
    """The series of a panel from `starts` to `ends`, grid positions, with the arrays of sources."""
    begun = np.flatnonzero(starts <= ends)
    series = like.select(begun)
    ahead = max(panel.ahead for panel in sources["known"])
    layout = SlotLayout(series.ids, starts[begun], (ends - starts + 1)[begun], ahead)
    arrays: dict[str, Any] = layout.arrays({name: sources[name] for name in ARRAYS})
    words: dict[tuple[str, ...], str] = {}
    for panel in reversed(sources["status"]):
        words |= dict(zip(panel.ids, panel.status, strict=True))
    status = tuple(words[ids] for ids in series.ids)
    return Panel(
        series.ids, series.order, layout.offsets, layout.starts, ahead, status=status, **arrays
    )


def _changed(before: RunInput, after: RunInput) -> Flags:
    """[series of the later state], which ones that were there before have other inputs now."""
    panel = after.panel
    old = before.panel
    every = np.ones(len(panel), bool)
    events = before.schema.dated_events != after.schema.dated_events
    bounds = any(getattr(before.output, name) != getattr(after.output, name) for name in POINTS)
    if before.version != after.version or events or bounds:
        return every
    index = series_index(old.ids, panel.ids) - 1
    differs = (old.starts[index] != panel.starts) | (old.lengths[index] != panel.lengths)
    for name, held in aligned(panel, old).items():
        rows = rows_differ(getattr(panel, name), held)
        if name not in BY_SERIES:
            rows = np.logical_or.reduceat(rows, panel.offsets[:-1])
        differs |= rows
    if before.predictor.fitted.config.reconciles:
        return every if differs.any() or old.ids != panel.ids else ~every
    return np.asarray(differs & (index >= 0))


def _points(state: RunInput, changed: Flags, keys: ForecastKeys, before: Numbers) -> Numbers:
    """The points [forecasts].

    Those of series that have not `changed`, and that get none, as before.
    """
    ids, series, timestamps = keys
    words = zip(state.panel.status, changed.tolist(), strict=True)
    status = tuple(word if is_changed else "ended" for word, is_changed in words)
    panel = replace(state.panel, status=status)
    with held_back():  # the runs have said the same
        answer = forecast(state.predictor, ForecastRequest(panel, output=state.output)).whole

    rank = np.full(len(panel) + 1, -1)  # the row of each series; the last one is of none
    rank[answer.series] = np.arange(len(answer.series))
    index = (series_index(panel.ids, ids) - 1)[series]
    times, time_of = np.unique(timestamps, return_inverse=True)
    position = calendar_of(state.schema).positions(times)[time_of]
    row = rank[index]
    step = position - 1 - panel.origins[index]
    is_forecast = (row >= 0) & (step >= 0) & (step < answer.published.shape[1])
    points = before.copy()
    points[is_forecast] = answer.published[row[is_forecast], step[is_forecast], 0]
    return points
