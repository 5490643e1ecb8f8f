"""What a run forecast from, kept as the differences from what its version holds, and replayed up to a later run."""

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
from forecast.totals.periods import key_columns, keys_of, levels_of, period_keys

MAX_NUMBERS = (
    5_000_000  # numbers that a run keeps; of a larger table, those of series that are evenly spread
)
BLANK = {
    "values": 0.0,
    "observed": False,
    "spread": 0.0,
    "lowest": np.inf,
    "counted": True,
}  # others NaN
POINTS = {"min", "max", "point", "integer"}  # settings of the output that decide its points
# of a panel, beside its layout; known columns are kept as they were known
ARRAYS = tuple(name for name in (*BY_SLOT, *BY_SERIES[1:]) if name != "vintages")

Pairs = tuple[Integers, ...]  # the same elements, as indices into two arrays
REPLAYED = "replayed"
SERIES = "series"
HISTORY = "revised history"
ACTUALS = "new actuals"
KNOWN = "known columns"
EVENTS = "events"
REFIT = "refit"
BOUNDS = "bounds and rounding"
INTERVALS, FALLBACK, REST = (
    "interval corrections",
    "fallback",
    "not reproduced",
)  # the first never change a point
STEPS = (SERIES, HISTORY, ACTUALS, KNOWN, EVENTS, REFIT, BOUNDS, INTERVALS, FALLBACK, REST)
"""In the order in which they are taken. The first is what series add to sums that are new, or take that are gone."""
PAST = tuple(name for name in BY_SLOT if name != "known")
READING = (
    "calendar",
    "ids",
    "layout",
    "known",
    "past",
    "static",
    "categories",
)  # what makes panels alike
ForecastKeys = tuple[
    Ids, Integers, Integers
]  # ids; of each forecast, the index into them and the timestamp


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
        return np.concatenate([[0], np.cumsum(self.lengths + self.ahead)]).astype(np.int64)

    def arrays(self, sources: Mapping[str, tuple[Panel, ...]]) -> dict[str, NDArray[Any]]:
        """Arrays of such a panel; each element is that of the first panel that has its series and slot, else blank."""
        found = dict[str, NDArray[Any]]()
        shared = {
            id(panel): self._shared(panel) for panel in sources["values"]
        }  # all sources have the same panels
        for name, panels in sources.items():
            by = "series" if name in BY_SERIES else "slots" if name == "known" else "past"
            for panel in reversed(panels):
                array = getattr(panel, name)
                array = (
                    np.ones(len(panel), bool) if array is None else array
                )  # `counted` of older versions
                if name not in found:
                    count = len(self.ids) if by == "series" else int(self.offsets[-1])
                    found[name] = np.full(
                        (count, *array.shape[1:]), BLANK.get(name, np.nan), array.dtype
                    )
                here, there = getattr(shared[id(panel)], by)
                found[name][here] = array[there]
        last = self.offsets[1:] - self.ahead - 1  # the spread of the future is the last one
        found["spread"][last[:, None] + np.arange(1, self.ahead + 1)] = found["spread"][last][
            :, None
        ]
        return found

    def _shared(self, panel: Panel) -> "_Shared":
        here = np.flatnonzero((index := series_index(panel.ids, self.ids) - 1) >= 0)
        both = (self, here), (panel, there := index[here])
        first = np.maximum(self.starts[here], panel.starts[there])

        def slots(ahead: bool) -> Pairs:
            ends = ((of.starts + of.lengths + ahead * of.ahead)[series] for of, series in both)
            sizes = np.maximum(np.minimum(*ends) - first, 0)
            return tuple(
                runs((of.offsets[:-1] - of.starts)[series] + first, sizes)[1] for of, series in both
            )

        return _Shared((here, there), slots(ahead=False), slots(ahead=True))


class _Shared(NamedTuple):
    """What a layout and a panel have both."""

    series: Pairs
    past: Pairs  # slots up to the origin
    slots: Pairs  # with those ahead


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


def aligned(panel: Panel, other: Panel) -> dict[str, NDArray[Any]]:
    layout = SlotLayout(panel.ids, panel.starts, panel.lengths, panel.ahead)
    return layout.arrays(dict.fromkeys(ARRAYS, (other,)))


def rows_differ(array: NDArray[Any], other: NDArray[Any]) -> Flags:
    """[rows], whether rows of two arrays differ; blanks are equal."""
    differs = (array != other) & ((array == array) | (other == other))
    return differs if array.ndim == 1 else np.asarray(differs.any(1))


def packed(fitted: Fitted, panel: Panel, output: OutputSettings, fallback: Ids = ()) -> bytes:
    """What a run forecast from, without what the version holds: a packed file of numpy."""
    history = fitted.history
    count = len(panel)
    arrays = dict[str, NDArray[Any]]()
    first = np.append(history.starts, -1)[series_index(history.ids, panel.ids) - 1]
    span = panel.origins.max() - history.starts.min()
    panel = panel.tail(
        np.maximum(panel.origins + 1 - np.where(first < 0, panel.origins - span, first), 1)
    )
    while not arrays or (
        (size := sum(map(np.size, arrays.values()))) > MAX_NUMBERS and len(panel) > 1
    ):
        if arrays:
            panel = panel.select(np.arange(0, len(panel), size // MAX_NUMBERS + 1))
            arrays = {}
        for name, held in aligned(panel, history).items():
            at = np.flatnonzero(rows_differ(values := getattr(panel, name), held))
            arrays |= {name: values[at], f"{name}_at": np.diff(at, prepend=0)} if len(at) else {}
        for name, numbers in (
            ("starts", panel.starts),
            ("lengths", panel.lengths),
            ("order", panel.order),
        ):
            arrays[name] = np.diff(numbers, prepend=0)
    words = list(dict.fromkeys(panel.status))
    header: dict[str, Any] = {
        "ahead": panel.ahead,
        "series": count,
        "fallback": fallback,
        "words": words,
    }
    header |= {
        "ids": None if panel.ids == fitted.ids else panel.ids,
        "output": output.model_dump(include=POINTS),
    }
    header["events"] = [event.model_dump(mode="json") for event in fitted.config.table.dated_events]
    arrays["status"] = np.array([words.index(word) for word in panel.status], np.uint8)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(file := io.BytesIO(), allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return bytes(pa.compress(file.getvalue(), "zstd", asbytes=True))


def unpacked(data: bytes, predictor: Predictor, version: str) -> RunInput:
    """What `packed` wrote, by the version that it belongs to; raises what damaged bytes do."""
    fitted = predictor.fitted
    plain = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    with np.load(io.BytesIO(plain), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays["header"].tobytes())
    ids = fitted.ids if header["ids"] is None else tuple(map(tuple, header["ids"]))
    starts, lengths, order = (np.cumsum(arrays[name]) for name in ("starts", "lengths", "order"))
    layout = SlotLayout(ids, starts, lengths, header["ahead"])
    events = map(Event.model_validate, header["events"])
    served = with_schema(
        predictor, fitted.config.table.model_copy(update={"dated_events": tuple(events)})
    )
    found: dict[str, Any] = dict(layout.arrays(dict.fromkeys(ARRAYS, (served.fitted.history,))))
    for name in arrays.keys() & found.keys():
        found[name][np.cumsum(arrays[f"{name}_at"])] = arrays[name]
    status = tuple(header["words"][code] for code in arrays["status"].tolist())
    panel = Panel(ids, order, layout.offsets, starts, layout.ahead, status=status, **found)
    output = OutputSettings.check(header["output"])
    fallback = tuple(map(tuple, header["fallback"]))
    return RunInput(served, panel, output, version, header["series"], fallback)


@dataclass(frozen=True)
class Changes:
    """How forecasts that a run published changed to those of a later run, at the times that both have."""

    ids: Ids
    series: Integers  # [forecasts], indices into `ids`
    times: Integers  # [forecasts], timestamps
    old: Numbers  # [forecasts], 0 of a new series
    new: Numbers  # [forecasts], 0 of a series that is gone
    both: Flags  # [forecasts], whether the series is neither
    parts: Numbers  # [STEPS, forecasts], which add up to the change

    @property
    def size(self) -> float | None:
        """The change from one cycle to the next: sum |new - old| over sum |old|; None where that is 0."""
        return self._share((self.new - self.old)[self.both])

    def steps(self) -> list[dict[str, Any]]:
        """Each step: by how much it changed the sum of all, and sum |part| over what `size` is a share of."""
        rows = zip(STEPS, self.parts.sum(1).tolist(), map(self._share, self.parts), strict=True)
        return [
            {"step": name, "change": total, "size": size}
            for name, total, size in rows
            if name != REST or size
        ]

    def rows(self, names: list[dict[str, Any]], groups: Integers) -> list[dict[str, Any]]:
        """Named sums over `groups` [forecasts], indices into the names: old, new, change, |change|, and the steps."""
        whole = self.old, self.new, self.new - self.old, np.abs(self.new - self.old)
        sums = np.stack(
            [np.bincount(groups, numbers, len(names)) for numbers in (*whole, *self.parts)], 1
        ).tolist()
        named = list[dict[str, Any]]()
        for name, row in zip(names, sums, strict=True):
            heads = dict(zip(("old", "new", "change", "moved"), row, strict=False))
            named.append({**name, **heads, "steps": dict(zip(STEPS, row[4:], strict=True))})
        return named

    def _share(self, moved: Numbers) -> float | None:
        whole = float(np.abs(self.old)[self.both].sum())
        return float(np.abs(moved).sum()) / whole if whole else None


def by_step(
    old: Numbers, new: Numbers, both: Flags, points: Mapping[str, Numbers], fallback: Flags
) -> Numbers:
    """[STEPS, forecasts], the change by each step, from the `points` after it of the forecasts that `both` have."""
    parts = np.zeros((len(STEPS), len(old)))
    of = dict(zip(STEPS, parts, strict=True))  # its rows
    of[SERIES][~both] = (new - old)[~both]
    first = last = points.get(REPLAYED, old[both])
    for name in (name for name in STEPS if name in points):
        of[name][both] = points[name] - last
        last = points[name]
    of[REST][both] = (first - old[both]) + (new[both] - last)
    of[FALLBACK][fallback] = of[REST][fallback]
    of[REST][fallback] = 0.0
    return parts


def rows_of_sums(
    changes: Changes, settings: SumSettings, schema: Schema, panels: Sequence[Panel]
) -> Any:
    """Rows by level, ids and first time; static columns are of the last panel with a series; errors of `levels_of`."""
    rows = list[dict[str, Any]]()
    levels = levels_of(settings, schema)
    calendar = calendar_of(schema)
    times, inverse = np.unique(changes.times, return_inverse=True)
    positions = calendar.positions(times)
    for level in levels:
        named = (dict(zip(schema.ids, ids, strict=True)) for ids in changes.ids)
        every = level.every
        keys = {
            ids: tuple(name.get(by, "") for by in level.by)
            for ids, name in zip(changes.ids, named, strict=True)
        }
        for panel in panels:
            keys |= dict(
                zip(panel.ids, keys_of(panel, schema, np.arange(len(panel)), level.by), strict=True)
            )
        period = positions if every is None else 0 * positions
        if every not in (None, "horizon"):
            period = period_keys(calendar, positions, every)
        _, first, period = np.unique(period, return_index=True, return_inverse=True)
        pairs = [
            (keys[changes.ids[i]], at)
            for i, at in zip(changes.series, period[inverse].tolist(), strict=True)
        ]
        numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
        texts = position_texts(schema, calendar, positions[first])
        names = list[dict[str, Any]]()
        for key, at in numbers:
            ids = dict.fromkeys(key_columns(levels, schema), "") | dict(
                zip(level.by, key, strict=True)
            )
            names.append({"level": level.name, **ids, "time": texts[at]})
        rows += changes.rows(names, np.array([numbers[pair] for pair in pairs], np.int64))
    return rows


def replayed(
    before: RunInput, after: RunInput, keys: ForecastKeys
) -> Iterator[tuple[str, Numbers]]:
    """The points [forecasts] after each step from a run to a later one, by the name of the step.

    The first is the replay of the earlier run. Only series whose inputs a step changes are forecast anew; a step
    without any is left out, and the replay, too, where all steps are.
    """
    states = list(_states(before, after))
    changes = [_changed(earlier, later) for (_, earlier), (_, later) in pairwise(states)]
    if any(changed.any() for changed in changes):
        points = np.full(len(keys[1]), np.nan)
        for (name, state), changed in zip(
            states, [np.ones(len(before.panel), bool), *changes], strict=True
        ):
            if changed.any():
                yield name, (points := _points(state, changed, keys, points))


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


def in_common(old: Panel, panel: Panel) -> tuple[dict[str, NDArray[Any]], Flags, Flags]:
    """The arrays of an earlier panel at the slots of a later one; whether it has each slot, and as past [slots]."""
    index = series_index(old.ids, panel.ids) - 1
    series = panel.series_of_slots
    position = panel.positions + panel.starts[series]
    begun = (index >= 0)[series] & (position >= old.starts[index][series])
    both = begun & (position <= (old.origins[index] + old.ahead)[series])
    past = begun & (position <= np.minimum(old.origins[index], panel.origins)[series])
    return aligned(panel, old), both, past


def changed_inputs(before: RunInput, after: RunInput) -> Iterator[str]:
    """Which values of the past and of known columns a later run reads otherwise, in words."""
    panel = after.panel
    old = before.panel
    schema = after.schema
    held, both, past = in_common(old, panel)
    series = panel.series_of_slots
    position = panel.positions + panel.starts[series]
    found = {
        HISTORY: past
        & ((panel.observed != held["observed"]) | rows_differ(panel.values, held["values"]))
    }
    for column, name in enumerate(schema.known):
        found[f"column {name}"] = both & rows_differ(
            panel.known[:, column], held["known"][:, column]
        )
    for what, rows in found.items():
        if rows.any():
            ids = [panel.ids[i] for i in np.unique(series[rows])]
            ends = position_texts(
                schema, calendar_of(schema), np.array([position[rows].min(), position[rows].max()])
            )
            whose = f" of {len(ids):,} series ({series_names(ids)})" if any(ids[0]) else ""
            yield f"{what}: {rows.sum():,} values{whose}, {' to '.join(dict.fromkeys(ends))}"


def _panels(before: RunInput, new: Panel, one_version: bool) -> Iterator[tuple[str, Panel]]:
    """The panel of a run as it takes over that of a later one."""
    old = before.panel
    index = series_index(before.panel.ids, new.ids) - 1
    ends = np.where(index >= 0, old.origins[index], old.origins.max())
    longest = np.where(index >= 0, np.minimum(old.starts[index], new.starts), new.starts)
    first = (
        new.starts if one_version else longest
    )  # of another version the new panel may hold less of the past
    by_old = dict.fromkeys((*ARRAYS, "status"), (old, new))
    every = dict.fromkeys((*ARRAYS, "status"), (new, old))
    if (
        before.predictor.fitted.config.reconciles
    ):  # else no series depends on which others there are
        yield SERIES, _laid(new, longest, ends, by_old)
    yield HISTORY, _laid(new, first, ends, by_old | dict.fromkeys((*PAST, "static"), (new, old)))
    yield ACTUALS, _laid(new, first, new.origins, every | {"known": (old, new)})
    yield KNOWN, new if one_version else _laid(new, first, new.origins, every)


def _laid(
    like: Panel, starts: Integers, ends: Integers, sources: dict[str, tuple[Panel, Panel]]
) -> Panel:
    """The series of a panel from `starts` to `ends`, grid positions, each array from the first source that has it."""
    begun = np.flatnonzero(starts <= ends)
    some = like.select(begun)
    ahead = max(panel.ahead for panel in sources["known"])
    layout = SlotLayout(some.ids, starts[begun], (ends - starts + 1)[begun], ahead)
    arrays: dict[str, Any] = dict(layout.arrays({name: sources[name] for name in ARRAYS}))
    first, second = (dict(zip(panel.ids, panel.status, strict=True)) for panel in sources["status"])
    status = tuple(first.get(ids) or second[ids] for ids in some.ids)
    return Panel(
        some.ids, some.order, layout.offsets, layout.starts, ahead, status=status, **arrays
    )


def _changed(before: RunInput, after: RunInput) -> Flags:
    """[series of the later state], which ones that were there before have other inputs now."""
    panel = after.panel
    old = before.panel
    everything = np.ones(len(after.panel), bool)
    fitted = before.predictor.fitted
    index = series_index(old.ids, panel.ids) - 1
    events = before.schema.dated_events != after.schema.dated_events
    bounds = any(getattr(before.output, name) != getattr(after.output, name) for name in POINTS)
    if before.version != after.version or events or bounds:
        return everything
    differ = (old.starts[index] != panel.starts) | (old.lengths[index] != panel.lengths)
    for name, held in aligned(panel, old).items():
        other = rows_differ(getattr(panel, name), held)
        differ |= other if name in BY_SERIES else np.logical_or.reduceat(other, panel.offsets[:-1])
    if fitted.config.reconciles:
        return everything if differ.any() or old.ids != panel.ids else ~everything
    return np.asarray(differ & (index >= 0))


def _points(state: RunInput, changed: Flags, keys: ForecastKeys, before: Numbers) -> Numbers:
    """The points [forecasts]; those of series that have not `changed`, and that get none, as before."""
    ids, series, timestamps = keys
    words = zip(state.panel.status, changed.tolist(), strict=True)
    panel = replace(
        state.panel, status=tuple(word if forecast else "ended" for word, forecast in words)
    )
    with held_back():  # the runs have said the same
        made = forecast(state.predictor, ForecastRequest(panel, output=state.output)).whole
    rank = np.full(len(panel) + 1, -1)
    rank[made.series] = np.arange(len(made.series))
    index = (series_index(panel.ids, ids) - 1)[series]
    times, inverse = np.unique(timestamps, return_inverse=True)
    row = rank[index]
    step = calendar_of(state.schema).positions(times)[inverse] - 1 - panel.origins[index]
    there = (row >= 0) & (step >= 0) & (step < made.published.shape[1])
    points = before.copy()
    points[there] = made.published[row[there], step[there], 0]
    return points
