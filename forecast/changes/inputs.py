"""What a run forecast from: kept as the differences from what its version holds, and laid out as another run has it."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import with_schema
from forecast.inference.predictor import Predictor
from forecast.panel.panel import BY_SERIES, BY_SLOT, Flags, Ids, Integers, Panel, runs, series_index
from forecast.panel.schema import Event, Schema
from forecast.settings import OutputSettings

MAX_CELLS = 5_000_000  # numbers that a run keeps; of a larger table, those of series that are evenly spread
BLANK = {"values": 0.0, "observed": False, "spread": 0.0, "lowest": np.inf, "counted": True}  # others NaN
POINTS = {"min", "max", "point", "integer"}  # settings of the output that decide its points
# of a panel, beside its layout; known columns are kept as they were known
ARRAYS = tuple(name for name in (*BY_SLOT, *BY_SERIES[1:]) if name != "vintages")

Pairs = tuple[Integers, ...]  # the same elements, as indices into two arrays


@dataclass(frozen=True)
class Layout:
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
        pairs = {id(panel): self._pairs(panel) for panel in sources["values"]}  # all sources have the same panels
        for name, panels in sources.items():
            kind = 0 if name in BY_SERIES else -1 if name == "known" else 1
            for panel in reversed(panels):
                array = getattr(panel, name)
                array = np.ones(len(panel), bool) if array is None else array  # `counted` of older versions
                if name not in found:
                    shape = int(self.offsets[-1]) if kind else len(self.ids), *array.shape[1:]
                    found[name] = np.full(shape, BLANK.get(name, np.nan), array.dtype)
                own, its = pairs[id(panel)][kind]
                found[name][own] = array[its]
        last = self.offsets[1:] - self.ahead - 1  # the spread of the future is the last one
        found["spread"][last[:, None] + np.arange(1, self.ahead + 1)] = found["spread"][last][:, None]
        return found

    def _pairs(self, panel: Panel) -> list[Pairs]:
        """The series that a panel has as well, their slots of the past, and, where it has known columns, all slots."""
        own = np.flatnonzero((place := series_index(panel.ids, self.ids) - 1) >= 0)
        pairs: list[Pairs] = [(own, its := place[own])]
        first = np.maximum(self.starts[own], panel.starts[its])
        for ahead in (False, True)[: 1 + (panel.known.size > 0)]:
            ends = (each.starts + each.lengths + ahead * each.ahead for each in (self, panel))
            sizes = np.maximum(np.minimum(*(end[at] for end, at in zip(ends, pairs[0], strict=True))) - first, 0)
            starts = (each.offsets[at] + first - each.starts[at] for each, at in ((self, own), (panel, its)))
            pairs.append(tuple(runs(start, sizes)[1] for start in starts))
        return pairs


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
        """How the version reads a table."""
        return self.predictor.fitted.config.table


def aligned(panel: Panel, other: Panel) -> dict[str, NDArray[Any]]:
    """The arrays of another panel in the layout of a panel."""
    layout = Layout(panel.ids, panel.starts, panel.lengths, panel.ahead)
    return layout.arrays(dict.fromkeys(ARRAYS, (other,)))


def different(own: NDArray[Any], other: NDArray[Any]) -> Flags:
    """[rows], whether rows of two arrays differ; blanks are equal."""
    differs = (own != other) & ((own == own) | (other == other))
    return differs if own.ndim == 1 else np.asarray(differs.any(1))


def packed(fitted: Fitted, panel: Panel, output: OutputSettings, fallback: Ids = ()) -> bytes:
    """What a run forecast from, without what the version holds: a packed file of numpy."""
    history, count, arrays = fitted.history, len(panel), dict[str, NDArray[Any]]()
    first = np.append(history.starts, -1)[series_index(history.ids, panel.ids) - 1]
    span = panel.origins.max() - history.starts.min()
    panel = panel.tail(np.maximum(panel.origins + 1 - np.where(first < 0, panel.origins - span, first), 1))
    while not arrays or (cells := sum(array.size for array in arrays.values())) > MAX_CELLS:
        if arrays:
            panel, arrays = panel.select(np.arange(0, len(panel), cells // MAX_CELLS + 1)), {}
        for name, held in aligned(panel, history).items():
            at = np.flatnonzero(different(own := getattr(panel, name), held))
            arrays |= {name: own[at], f"{name}_at": np.diff(at, prepend=0)} if len(at) else {}
        for name, numbers in (("starts", panel.starts), ("lengths", panel.lengths), ("order", panel.order)):
            arrays[name] = np.diff(numbers, prepend=0)
    words = list(dict.fromkeys(panel.status))
    header: dict[str, Any] = {"ahead": panel.ahead, "series": count, "fallback": fallback, "words": words}
    header |= {"ids": None if panel.ids == fitted.ids else panel.ids, "output": output.model_dump(include=POINTS)}
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
    layout, events = Layout(ids, starts, lengths, header["ahead"]), map(Event.model_validate, header["events"])
    served = with_schema(predictor, fitted.config.table.model_copy(update={"dated_events": tuple(events)}))
    found: dict[str, Any] = dict(layout.arrays(dict.fromkeys(ARRAYS, (served.fitted.history,))))
    for name in arrays.keys() & found.keys():
        found[name][np.cumsum(arrays[f"{name}_at"])] = arrays[name]
    status = tuple(header["words"][code] for code in arrays["status"].tolist())
    panel = Panel(ids, order, layout.offsets, starts, layout.ahead, status=status, **found)
    output, fallback = OutputSettings.check(header["output"]), tuple(map(tuple, header["fallback"]))
    return RunInput(served, panel, output, version, header["series"], fallback)
