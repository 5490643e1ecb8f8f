"""Store what a run forecast from, as differences from its version, and replay the run later.

The replay explains why forecasts changed: it goes from the inputs of one run to those of a later
run step by step (`REPLAY_STEPS`), and forecasts after each step.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.errors import Setting, UsageError
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import replace_schema
from forecast.inference.predictor import Predictor
from forecast.logs import held_back
from forecast.panel.hierarchy import Key, iterate_keys
from forecast.panel.panel import (
    BY_SERIES,
    BY_SLOT,
    Flags,
    Ids,
    Integers,
    Numbers,
    Panel,
    ids_at,
    series_index,
    series_names,
    steps_within,
)
from forecast.panel.schema import Event, Schema, build_calendar, position_texts
from forecast.settings import Facts, OutputSettings, SumSettings, steps_of_next
from forecast.totals.periods import Level, find_levels, key_columns, period_keys

# most numbers that a run stores; of a larger table, an evenly spaced sample of the series
MAX_REPLAYED_NUMBERS = 5_000_000
# what an element gets that no panel has, by array; NaN in the other arrays
BLANK = {"values": 0.0, "observed": False, "spread": 0.0, "lowest": np.inf, "counted": True}
POINTS = {"min", "max", "point", "integer"}  # output settings that change point forecasts
# arrays of a panel, beside its layout; vintages are left out, as a run stores the values of
# columns known in advance as it knew them, and steps at which a series has not begun
REPLAY_ARRAYS = (*BY_SLOT[:5], *BY_SERIES[1:])
LAYOUT = ("starts", "sizes", "order")
# two versions read a table into the same panel if these fields of their schemas are equal
READING_FIELDS = ("calendar", "ids", "layout", "known", "past", "static", "categories")

# the steps that lead from the inputs of a run to those of a later one
REPLAYED = "replayed"
SERIES_STEP = "series"  # what new series add to sums, and what series that are gone took away
HISTORY_STEP = "revised history"
ACTUALS = "new actuals"
KNOWN_STEP = "known columns"
EVENTS = "events"
REFIT_STEP = "refit"
BOUNDS = "bounds and rounding"
INTERVAL_STEP = "interval corrections"  # never changes a point forecast
PEOPLE = "overrides"  # what people changed of what the model says
REST = "not reproduced"
REPLAY_STEPS = (
    SERIES_STEP,
    HISTORY_STEP,
    ACTUALS,
    KNOWN_STEP,
    EVENTS,
    REFIT_STEP,
    BOUNDS,
    INTERVAL_STEP,
    PEOPLE,
    REST,
)
"""In the order in which they are taken."""

Arrays = dict[str, NDArray[Any]]
NamedArray = tuple[str, NDArray[Any]]
Rows = list[Facts]
# ids of series; for each forecast, the index of its series in them; its timestamp
ForecastKeys = tuple[Ids, Integers, Integers]


@dataclass(frozen=True)
class RunInput:
    """All inputs that determine the point forecasts of a run."""

    predictor: Predictor  # that of the version, with the events of the run
    panel: Panel  # reaches as far back as the version looks
    begins: Integers  # [series], grid positions at which the table began
    output: OutputSettings
    version: str
    series: int  # number of series in the run; the panel holds fewer if these were too many

    @property
    def schema(self) -> Schema:
        return self.predictor.fitted.schema


def slots_in(panel: Panel, ids: Ids, starts: Integers, sizes: Integers) -> Integers:
    """[slots], the slot of a panel at each slot of a layout; -1 if the panel lacks it.

    The layout has series with these ids, whose first slots lie at the grid positions `starts`
    [series], and which have `sizes` [series] slots, future slots included.
    """
    index = series_index(panel.ids, ids)
    step = steps_within(sizes) + np.repeat(starts - panel.starts[index], sizes)
    inside = np.repeat(index >= 0, sizes)
    inside &= step >= 0
    inside &= step < np.repeat(panel.sizes[index], sizes)
    slots = np.repeat(panel.first_slots[index], sizes) + step
    return np.where(inside, slots, -1)


def iterate_arrays(
    ids: Ids, starts: Integers, sizes: Integers, *panels: Panel
) -> Iterator[NamedArray]:
    """The offsets and arrays of a panel with a layout, as `slots_in` has it, one after the other.

    Each element comes from the last of `panels` that has the series and slot, else it is blank.
    """
    yield "offsets", np.append(0, np.cumsum(sizes))
    places = []
    for panel in panels:
        series = series_index(panel.ids, ids)
        places.append((panel, series, slots_in(panel, ids, starts, sizes)))
    for name in REPLAY_ARRAYS:
        source = getattr(panels[0], name)
        rows = len(ids) if name in BY_SERIES else sizes.sum()
        array = np.full((rows, *source.shape[1:]), BLANK.get(name, np.nan), source.dtype)
        for panel, series, slots in places:
            index = series if name in BY_SERIES else slots
            is_there = index >= 0
            array[is_there] = getattr(panel, name)[index[is_there]]
        yield name, array


def rows_differ(array: NDArray[Any], other: NDArray[Any]) -> Flags:
    """[rows], whether the rows of two arrays differ; NaN equals NaN."""
    differs = (array != other) & ((array == array) | (other == other))
    return differs if array.ndim == 1 else np.asarray(differs.any(1))


def pack_run(fitted: Fitted, panel: Panel, output: OutputSettings) -> bytes:
    """The inputs of a run, without what its version holds, as a compressed numpy file."""
    count = len(panel)
    begins = panel.starts
    panel = _as_far_back(panel, fitted.history)
    arrays = _differences(panel, fitted.history)
    every = sum(array.size for array in arrays.values()) // MAX_REPLAYED_NUMBERS + 1
    if every > 1:
        panel = panel.select(np.arange(0, count, every))
        arrays = _differences(panel, fitted.history)
    arrays["begins"] = begins[::every]
    events = fitted.schema.dated_events
    header = {
        "ahead": panel.ahead,
        "series": count,
        "status": panel.status,
        "regions": panel.regions,
        "ids": None if panel.ids == fitted.ids else panel.ids,
        "output": output.model_dump(include=POINTS),
        "events": [event.model_dump(mode="json") for event in events],
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return bytes(pa.compress(file.getbuffer(), "zstd", asbytes=True))


def _as_far_back(panel: Panel, history: Panel) -> Panel:
    """The newest part of a panel, which reaches as far back as its version looks."""
    index = series_index(history.ids, panel.ids)
    longest = panel.origin - history.starts.min()
    first = np.where(index >= 0, history.starts[index], panel.origins - longest)
    steps = panel.origins + 1 - first
    return panel.tail(np.maximum(steps, 1))


def _differences(panel: Panel, history: Panel) -> Arrays:
    """The layout of a panel, and its differences from the panel of the version.

    For each array that differs, these are the rows of the panel that differ (`NAME`) and where
    they are (`NAME_at`). Positions and layout are stored as first differences.
    """
    arrays = Arrays()
    for name, held in iterate_arrays(panel.ids, panel.starts, panel.sizes, history):
        values = getattr(panel, name)
        rows = np.flatnonzero(rows_differ(values, held))
        if len(rows):
            arrays[name] = values[rows]
            arrays[f"{name}_at"] = np.diff(rows, prepend=0).astype(np.int32)
    for name in LAYOUT:
        arrays[name] = np.diff(getattr(panel, name), prepend=0)
    return arrays


def unpack_run(data: bytes, predictor: Predictor, version: str) -> RunInput:
    """What `pack_run` wrote, given the version of the run.

    Damaged bytes raise whatever numpy, pyarrow, json or pydantic raise for them.
    """
    fitted = predictor.fitted
    plain = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    with np.load(io.BytesIO(plain), allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    header = json.loads(stored["header"].tobytes())
    events = tuple(map(Event.model_validate, header["events"]))
    schema = fitted.schema.model_copy(update={"dated_events": events})
    serving = replace_schema(predictor, schema)

    ids = fitted.ids if header["ids"] is None else tuple(map(tuple, header["ids"]))
    starts, sizes, order = map(np.cumsum, (stored[name] for name in LAYOUT))
    arrays: dict[str, Any] = dict(iterate_arrays(ids, starts, sizes, fitted.history))
    for name in stored.keys() & arrays.keys():
        rows = np.cumsum(stored[f"{name}_at"])
        arrays[name][rows] = stored[name]
    panel = Panel(
        ids=ids,
        order=order,
        starts=starts,
        ahead=header["ahead"],
        status=tuple(header["status"]),
        regions=tuple(header.get("regions", ())),
        **arrays,
    )
    return RunInput(
        serving,
        panel,
        stored.get("begins", starts),
        OutputSettings.check(header["output"]),
        version,
        header["series"],
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
    parts: Numbers  # [REPLAY_STEPS, forecasts], which add up to the change

    @property
    def size(self) -> float | None:
        """The relative size of the change: sum |new - old| over sum |old|, of series in both runs.

        None if sum |old| is 0.
        """
        return self._share((self.new - self.old)[self.both])

    def steps(self) -> Rows:
        """For each step, how much it changes the sum of all forecasts, and its relative size."""
        rows = []
        for name, part in zip(REPLAY_STEPS, self.parts, strict=True):
            size = self._share(part)
            if name not in (PEOPLE, REST) or size:
                rows.append({"step": name, "change": float(part.sum()), "size": size})
        return rows

    def rows(self, names: Rows, groups: Integers) -> Rows:
        """A row for each name: the old and new sum of its forecasts, and its change by step.

        `groups` [forecasts] are indices into the names. The column `moved` is the sum of absolute
        changes, in which opposite changes do not cancel.
        """

        change = self.new - self.old
        numbers = {"old": self.old, "new": self.new, "change": change, "moved": np.abs(change)}
        sums = _sum_groups(numbers, groups, len(names))
        parts = dict(zip(REPLAY_STEPS, self.parts, strict=True))
        steps = _sum_groups(parts, groups, len(names))
        rows = zip(names, sums, steps, strict=True)
        return [{**name, **row, "steps": by_step} for name, row, by_step in rows]

    def _share(self, moved: Numbers) -> float | None:
        whole = float(np.abs(self.old)[self.both].sum())
        return float(np.abs(moved).sum()) / whole if whole else None


def _sum_groups(numbers: Mapping[str, Numbers], groups: Integers, count: int) -> Rows:
    """For each of `count` groups, the sums of numbers by name."""
    sums = [np.bincount(groups, values, count).tolist() for values in numbers.values()]
    return [dict(zip(numbers, row, strict=True)) for row in zip(*sums, strict=True)]


def by_step(old: Numbers, new: Numbers, both: Flags, points: Mapping[str, Numbers]) -> Numbers:
    """[REPLAY_STEPS, forecasts], how much each step changed each forecast.

    `points` has the replayed forecasts after each step, of series in both runs.
    """
    parts = np.zeros((len(REPLAY_STEPS), len(old)))
    part_of = dict(zip(REPLAY_STEPS, parts, strict=True))  # views of the rows of `parts`
    part_of[SERIES_STEP][~both] = (new - old)[~both]
    published = old[both]
    first = last = points.get(REPLAYED, published)
    for name in REPLAY_STEPS:
        if name in points:
            part_of[name][both] = points[name] - last
            last = points[name]
    part_of[REST][both] = (first - published) + (new[both] - last)
    return parts


def rows_of_sums(
    changes: Changes, settings: SumSettings, schema: Schema, panels: Sequence[Panel]
) -> Rows:
    """A row for each sum, by level of sums, ids and first time of the period.

    The static columns of a series are those of the last panel that has it. Raises what `find_levels`
    raises.
    """
    levels = find_levels(settings, schema)
    calendar = build_calendar(schema)
    times, time_of = np.unique(changes.times, return_inverse=True)
    positions = calendar.positions(times)
    rows = []
    for level in levels:
        periods = _periods(level, positions, schema)  # [times]
        _, first, period_of = np.unique(periods, return_index=True, return_inverse=True)
        texts = position_texts(schema, positions[first])
        key_of = _group_keys(changes.ids, level, schema, panels)
        keys = [key_of[series] for series in changes.series]
        periods_of_forecasts = period_of[time_of].tolist()
        groups = list(zip(keys, periods_of_forecasts, strict=True))
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
    if steps_of_next(level.every):
        problem = "these are other steps in each of the two runs"
        setting = Setting("sum_every", level.every)
        raise UsageError(problem, setting=setting, cure="sum over the horizon: the steps of both")
    return period_keys(build_calendar(schema), positions, level.every)


def _group_keys(ids: Ids, level: Level, schema: Schema, panels: Sequence[Panel]) -> list[Key]:
    """The group key of each series, from the last panel that has the series."""
    keys = {}
    for names in ids:
        by_column = dict(zip(schema.ids, names, strict=True))
        keys[names] = tuple(by_column.get(column, "") for column in level.by)
    for panel in panels:
        of_panel = iterate_keys(panel, schema, level.by)
        keys |= dict(zip(panel.ids, of_panel, strict=True))
    return [keys[names] for names in ids]


def replay_steps(
    before: RunInput, after: RunInput, keys: ForecastKeys
) -> Iterator[tuple[str, Numbers]]:
    """The name of each step from a run to a later one, with the points [forecasts] after it.

    The first one is the replay of the earlier run. A step that changes no input is left out.
    Nothing is yielded if no step changes any.
    """
    # a state holds the inputs of a forecast after one step
    states = list(_states(before, after))
    differ = [_differ(earlier, later) for (_, earlier), (_, later) in pairwise(states)]
    if not any(differ):
        return
    points = np.full(len(keys[1]), np.nan)
    for (name, state), is_changed in zip(states, [True, *differ], strict=True):
        if is_changed:
            points = _points(state, keys, points)
            yield name, points


def _states(before: RunInput, after: RunInput) -> Iterator[tuple[str, RunInput]]:
    """The name of each step, with the inputs of a forecast after it, which are its state.

    If the two versions read a table differently, the refit comprises all steps before it.
    """
    yield REPLAYED, before
    if alike(before, after):
        state = before
        reconciles = before.predictor.fitted.config.reconciles
        for name, panel in _panels(before, after, reconciles):
            state = replace(state, panel=panel)
            yield name, state
        events = {"dated_events": after.schema.dated_events}
        schema = before.schema.model_copy(update=events)
        serving = replace_schema(before.predictor, schema)
        yield EVENTS, replace(state, predictor=serving)
    yield REFIT_STEP, replace(after, output=before.output)
    yield BOUNDS, after


def alike(before: RunInput, after: RunInput) -> bool:
    """Whether the versions of two runs read a table into panels with the same horizon."""
    same_horizon = before.panel.ahead == after.panel.ahead
    return same_horizon and before.schema.agrees(after.schema, READING_FIELDS)


def changed_inputs(before: RunInput, after: RunInput) -> Iterator[str]:
    """Sentences on values that differ from the earlier run, of the past and of known columns."""
    panel = before.panel
    schema = after.schema
    series = panel.series_of_slots
    position = panel.grid_positions
    is_there = (series_index(after.panel.ids, panel.ids) >= 0)[series]
    steps = dict(_panels(before, after, reconciles=False))
    new = steps[HISTORY_STEP]
    slots = slots_in(new, panel.ids, panel.starts, panel.sizes)
    differs = panel.observed != new.observed[slots]
    differs |= rows_differ(panel.values, new.values[slots])
    differs = np.where(slots >= 0, differs, panel.observed)  # or lost
    changed = {HISTORY_STEP: panel.before(panel.lengths) & is_there & differs}
    new = steps[KNOWN_STEP]
    slots = slots_in(new, panel.ids, panel.starts, panel.sizes)
    for column, name in enumerate(schema.known):
        rows = rows_differ(panel.known[:, column], new.known[slots, column])
        changed[f"column {name}"] = (slots >= 0) & rows
    for what, rows in changed.items():
        if not rows.any():
            continue
        ids = ids_at(panel, np.unique(series[rows]))
        whose = f" of {len(ids):,} series ({series_names(ids)})" if any(ids[0]) else ""
        yield f"{what}: {rows.sum():,} values{whose}, {times_text(position[rows], schema)}"


def times_text(positions: Integers, schema: Schema) -> str:
    """The first and the last time of grid positions, as text."""
    ends = np.array([positions.min(), positions.max()])
    return " to ".join(dict.fromkeys(position_texts(schema, ends)))


def _panels(before: RunInput, after: RunInput, reconciles: bool) -> Iterator[tuple[str, Panel]]:
    """The name of each step that changes the panel, with the panel after it.

    The panel of the earlier run becomes that of the later run. Columns known in advance change
    last.
    """
    old = before.panel
    new = after.panel
    index = series_index(old.ids, new.ids)
    was_there = index >= 0
    ends = np.where(was_there, old.origins[index], old.origin)
    # the panel of another version may reach less far back, and `old` then supplies the rest
    earliest = np.where(was_there, np.minimum(old.starts[index], new.starts), new.starts)
    if reconciles:  # else series are independent
        # new series join, up to the end of the earlier run
        yield SERIES_STEP, _overlaid(new, earliest, new, old).until(ends)
    begins = np.minimum(np.maximum(earliest, after.begins), new.starts)
    window = before.begins.min() + new.origin - old.origin  # of the source: moves as its end does
    kept = np.where(begins > window, begins, earliest)
    for name, starts in ((HISTORY_STEP, kept), (ACTUALS, begins)):
        whole = _overlaid(new, starts, old, new)
        not_yet = replace(whole, known=_overlaid(new, starts, new, old).known)
        # values up to the end of the earlier run are those of the later run, which may have
        # revised them
        yield name, not_yet.until(ends) if name == HISTORY_STEP else not_yet
    yield KNOWN_STEP, whole


def _overlaid(like: Panel, starts: Integers, *panels: Panel) -> Panel:
    """The series of `like` from grid positions on, put together from the arrays of `panels`."""
    sizes = like.sizes + like.starts - starts
    arrays: dict[str, Any] = dict(iterate_arrays(like.ids, starts, sizes, *panels))
    return replace(like, starts=starts, **arrays)


def _differ(before: RunInput, after: RunInput) -> bool:
    """Whether two states forecast from different inputs."""
    old = before.panel
    new = after.panel
    if (before.version, before.output) != (after.version, after.output):
        return True
    if before.schema.dated_events != after.schema.dated_events or old.ids != new.ids:
        return True
    for name in ("starts", "offsets", *REPLAY_ARRAYS):
        if not np.array_equal(getattr(old, name), getattr(new, name), equal_nan=True):
            return True
    return False


def _points(state: RunInput, keys: ForecastKeys, before: Numbers) -> Numbers:
    """The points [forecasts] of a state.

    Points of series that get no forecast are those of `before`.
    """
    ids, series, timestamps = keys
    panel = state.panel
    request = ForecastRequest(panel, output=state.output)
    with held_back():  # the runs have logged the same messages
        answer = forecast(state.predictor, request).whole

    # row of each series in the answer; the last element stands for a series that the panel lacks
    rank = np.full(len(panel) + 1, -1)
    rank[answer.series] = np.arange(len(answer.series))
    index = series_index(panel.ids, ids)[series]
    times, time_of = np.unique(timestamps, return_inverse=True)
    position = build_calendar(state.schema).positions(times)[time_of]
    row = rank[index]
    step = position - 1 - panel.origins[index]
    is_forecast = (step >= 0) & (step < answer.published.shape[1])
    is_forecast &= row >= 0
    points = before.copy()
    points[is_forecast] = answer.published[row[is_forecast], step[is_forecast], 0]
    return points
