"""Store what a run forecast from, as differences from its version, and replay the run later.

The replay explains why forecasts changed: it goes from the inputs of one run to those of a later
run step by step (`STEPS`), and forecasts after each step.
"""

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

# most numbers that a run stores; of a larger table, an evenly spaced sample of the series
MAX_NUMBERS = 5_000_000
# what an element gets that no panel has, by array; NaN in the other arrays
BLANK = {"values": 0.0, "observed": False, "spread": 0.0, "lowest": np.inf, "counted": True}
POINTS = {"min", "max", "point", "integer"}  # output settings that change point forecasts
# arrays of a panel, beside its layout; vintages are left out, as a run stores the values of
# columns known in advance as it knew them
ARRAYS = tuple(name for name in (*BY_SLOT, *BY_SERIES[1:]) if name != "vintages")
LAYOUT = ("starts", "lengths", "order")
PAST = tuple(name for name in BY_SLOT if name != "known")
# two versions read a table into the same panel if these fields of their schemas are equal
READING = ("calendar", "ids", "layout", "known", "past", "static", "categories")

# the steps that lead from the inputs of a run to those of a later one
REPLAYED = "replayed"
SERIES = "series"  # what new series add to sums, and what series that are gone took away
HISTORY = "revised history"
ACTUALS = "new actuals"
KNOWN = "known columns"
EVENTS = "events"
REFIT = "refit"
BOUNDS = "bounds and rounding"
INTERVALS = "interval corrections"  # never changes a point forecast
FALLBACK = "fallback"
REST = "not reproduced"
STEPS = (SERIES, HISTORY, ACTUALS, KNOWN, EVENTS, REFIT, BOUNDS, INTERVALS, FALLBACK, REST)
"""In the order in which they are taken."""

Arrays = dict[str, NDArray[Any]]
Rows = list[dict[str, Any]]
Pairs = tuple[Integers, ...]  # two index arrays that select the same elements of two arrays
# ids of series; for each forecast, the index of its series in them; its timestamp
ForecastKeys = tuple[Ids, Integers, Integers]
# for each array of a panel that is put together, the panels from which its elements are taken: the
# first panel that has the series and the slot counts
Sources = Mapping[str, tuple[Panel, ...]]


@dataclass(frozen=True)
class SlotLayout:
    """Which series a panel has, and which slots of each."""

    ids: Ids
    starts: Integers  # [series], grid position of the first slot
    lengths: Integers  # [series], number of past slots
    ahead: int  # number of future slots of each series

    @property
    def offsets(self) -> Integers:
        """[series + 1], index of the first slot of each series, and of the end of the last one."""
        ends = np.cumsum(self.lengths + self.ahead)
        return np.append(0, ends).astype(np.int64)

    def arrays(self, sources: Sources) -> Arrays:
        """The arrays of a panel with this layout.

        Each element comes from the first of its sources that has the series and slot; an element
        that no source has is blank.
        """
        # the same panels are the sources of all arrays, in one order or another
        shared = {id(panel): self._shared(panel) for panel in sources["values"]}
        arrays = Arrays()
        for name, panels in sources.items():
            for panel in reversed(panels):
                source = _array_of(panel, name)
                if name not in arrays:
                    count = len(self.ids) if name in BY_SERIES else int(self.offsets[-1])
                    shape = (count, *source.shape[1:])
                    arrays[name] = np.full(shape, BLANK.get(name, np.nan), source.dtype)
                # indices of the same elements in this layout (here) and in the source (there)
                here, there = shared[id(panel)].of(name)
                arrays[name][here] = source[there]

        last = self.offsets[1:] - self.ahead - 1
        future = last[:, None] + np.arange(1, self.ahead + 1)
        # future slots have the spread of the last past slot
        arrays["spread"][future] = arrays["spread"][last][:, None]
        return arrays

    def _shared(self, panel: Panel) -> "_Shared":
        # [series], index of the series in the panel; -1 if the panel lacks it
        index = series_index(panel.ids, self.ids) - 1
        here = np.flatnonzero(index >= 0)
        there = index[here]
        first = np.maximum(self.starts[here], panel.starts[there])

        def slots(ahead: bool) -> Pairs:
            end = (self.starts + self.lengths + ahead * self.ahead)[here]
            other_end = (panel.starts + panel.lengths + ahead * panel.ahead)[there]
            sizes = np.maximum(np.minimum(end, other_end) - first, 0)
            own_slots = self.offsets[:-1] - self.starts  # slot of grid position 0
            other_slots = panel.offsets[:-1] - panel.starts
            _, own = runs(own_slots[here] + first, sizes)
            _, others = runs(other_slots[there] + first, sizes)
            return own, others

        return _Shared((here, there), slots(ahead=False), slots(ahead=True))


class _Shared(NamedTuple):
    """The elements that a layout and a panel have in common, as indices into both."""

    series: Pairs
    past: Pairs  # slots up to the origin
    slots: Pairs  # past and future slots

    def of(self, name: str) -> Pairs:
        """The common elements of the array `name`."""
        if name in BY_SERIES:
            return self.series
        return self.slots if name == "known" else self.past


def _array_of(panel: Panel, name: str) -> NDArray[Any]:
    """An array of a panel; panels of older versions lack `counted`, which is then all true."""
    array = getattr(panel, name)
    return np.ones(len(panel), bool) if array is None else np.asarray(array)


@dataclass(frozen=True)
class RunInput:
    """All inputs that determine the point forecasts of a run."""

    predictor: Predictor  # that of the version, with the events of the run
    panel: Panel  # reaches as far back as the version looks
    output: OutputSettings
    version: str
    series: int  # number of series in the run; the panel holds fewer if these were too many
    fallback: Ids  # series whose forecasts were replaced, so that the version did not make them

    @property
    def schema(self) -> Schema:
        return self.predictor.fitted.config.table


def aligned(panel: Panel, other: Panel) -> Arrays:
    """The arrays of `other` at the series and slots of `panel`; blank where `other` has none."""
    layout = SlotLayout(panel.ids, panel.starts, panel.lengths, panel.ahead)
    return layout.arrays(dict.fromkeys(ARRAYS, (other,)))


def rows_differ(array: NDArray[Any], other: NDArray[Any]) -> Flags:
    """[rows], whether the rows of two arrays differ; NaN equals NaN."""
    differs = (array != other) & ((array == array) | (other == other))
    return differs if array.ndim == 1 else np.asarray(differs.any(1))


def packed(fitted: Fitted, panel: Panel, output: OutputSettings, fallback: Ids = ()) -> bytes:
    """The inputs of a run, without what its version holds, as a compressed numpy file."""
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
    """The newest part of a panel, which reaches as far back as its version looks."""
    index = series_index(history.ids, panel.ids) - 1
    longest = panel.origins.max() - history.starts.min()
    first = np.where(index >= 0, history.starts[index], panel.origins - longest)
    return panel.tail(np.maximum(panel.origins + 1 - first, 1))


def _differences(panel: Panel, history: Panel) -> Arrays:
    """The layout of a panel, and its differences from the panel of the version.

    For each array that differs, these are the rows of the panel that differ (`NAME`) and where
    they are (`NAME_at`). Positions and layout are stored as first differences.
    """
    arrays = Arrays()
    # held: the array that the version holds, brought to the layout of the panel
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
    """What `packed` wrote, given the version of the run.

    Damaged bytes raise whatever numpy, pyarrow, json or pydantic raise for them.
    """
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
    """How published forecasts changed from a run to a later one, at the times in both runs."""

    ids: Ids
    series: Integers  # [forecasts], indices into `ids`
    times: Integers  # [forecasts], timestamps
    old: Numbers  # [forecasts], 0 for a new series
    new: Numbers  # [forecasts], 0 for a series that is gone
    both: Flags  # [forecasts], whether both runs have the series
    parts: Numbers  # [STEPS, forecasts], which add up to the change

    @property
    def size(self) -> float | None:
        """The relative size of the change: sum |new - old| over sum |old|, of series in both runs.

        None if sum |old| is 0.
        """
        return self._share((self.new - self.old)[self.both])

    def steps(self) -> Rows:
        """For each step, how much it changes the sum of all forecasts, and its relative size."""
        rows = []
        for name, part in zip(STEPS, self.parts, strict=True):
            size = self._share(part)
            if name != REST or size:
                rows.append({"step": name, "change": float(part.sum()), "size": size})
        return rows

    def rows(self, names: Rows, groups: Integers) -> Rows:
        """A row for each name: the old and new sum of its forecasts, and its change by step.

        `groups` [forecasts] are indices into the names. The column `moved` is the sum of absolute
        changes, in which opposite changes do not cancel.
        """

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
    """[STEPS, forecasts], how much each step changed each forecast.

    `points` has the replayed forecasts after each step, of series in both runs.
    """
    parts = np.zeros((len(STEPS), len(old)))
    part_of = dict(zip(STEPS, parts, strict=True))  # views of the rows of `parts`
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
    """A row for each sum, by level of sums, ids and first time of the period.

    The static columns of a series are those of the last panel that has it. Raises what `levels_of`
    raises.
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
    """[positions], the number of the period of each position; the horizon is one period."""
    if level.every is None:
        return positions
    if level.every == "horizon":
        return np.zeros_like(positions)
    return period_keys(calendar_of(schema), positions, level.every)


def _group_keys(
    ids: Ids, level: Level, schema: Schema, panels: Sequence[Panel]
) -> list[tuple[str, ...]]:
    """The group key of each series, from the last panel that has the series."""
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
    """The name of each step from a run to a later one, with the points [forecasts] after it.

    The first one is the replay of the earlier run. A step forecasts only the series whose inputs it
    changes, and is left out if it changes none. Nothing is yielded if no step changes any series.
    """
    # a state holds the inputs of a forecast after one step
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
    """The name of each step, with the inputs of a forecast after it, which are its state.

    If the two versions read a table differently, the refit comprises all steps before it.
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
    """Compare an earlier panel with a later one, slot by slot.

    Returns the arrays of the earlier panel at the slots of the later one; whether the earlier panel
    has each slot [slots]; and whether the slot belongs to the past in both panels [slots].
    """
    index = series_index(old.ids, panel.ids) - 1
    series = panel.series_of_slots
    position = panel.positions + panel.starts[series]
    has_begun = (index >= 0)[series] & (position >= old.starts[index][series])
    both = has_begun & (position <= (old.origins[index] + old.ahead)[series])
    past = has_begun & (position <= np.minimum(old.origins[index], panel.origins)[series])
    return aligned(panel, old), both, past


def changed_inputs(before: RunInput, after: RunInput) -> Iterator[str]:
    """Sentences on values that differ from the earlier run, of the past and of known columns."""
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
    """The name of each step that changes the panel, with the panel after it.

    The panel of the earlier run (`old`) becomes that of the later run (`new`) in steps, each of
    which takes some more arrays from `new`.
    """
    old = before.panel
    index = series_index(old.ids, new.ids) - 1
    was_there = index >= 0
    ends = np.where(was_there, old.origins[index], old.origins.max())
    longest = np.minimum(np.where(was_there, old.starts[index], new.starts), new.starts)
    # the panel of another version may reach less far back, and `old` then supplies the rest
    first = new.starts if one_version else longest
    names = (*ARRAYS, "status")
    # from_old prefers the earlier run, and takes only what it lacks from the later one; from_new
    # prefers the later run
    from_old = dict.fromkeys(names, (old, new))
    from_new = dict.fromkeys(names, (new, old))
    if before.predictor.fitted.config.reconciles:  # else series are independent
        # new series join, up to the end of the earlier run
        yield SERIES, _laid(new, longest, ends, from_old)
    # values up to the end of the earlier run are those of the later run, which may have revised
    # them; columns known in advance are still those of the earlier run
    revised = dict.fromkeys((*PAST, "static"), (new, old))
    yield HISTORY, _laid(new, first, ends, from_old | revised)
    # values up to the end of the later run are added, without its known columns, which come last
    yield ACTUALS, _laid(new, first, new.origins, from_new | {"known": (old, new)})
    yield KNOWN, new if one_version else _laid(new, first, new.origins, from_new)


def _laid(like: Panel, starts: Integers, ends: Integers, sources: Sources) -> Panel:
    """A panel that is put together from the arrays of `sources`.

    It has the series of `like`, each from its grid position in `starts` to that in `ends`; series
    that begin after their end are left out.
    """
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
    """[series of the later state], whether the series was there before, with other inputs."""
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
    """The points [forecasts] of a state.

    Only series that have `changed` are forecast. All other points are those of `before`, as are
    the points of series that get no forecast.
    """
    ids, series, timestamps = keys
    words = zip(state.panel.status, changed.tolist(), strict=True)
    status = tuple(word if is_changed else "ended" for word, is_changed in words)
    panel = replace(state.panel, status=status)
    with held_back():  # the runs have logged the same messages
        answer = forecast(state.predictor, ForecastRequest(panel, output=state.output)).whole

    # row of each series in the answer; the last element stands for a series that the panel lacks
    rank = np.full(len(panel) + 1, -1)
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
