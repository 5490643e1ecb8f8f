"""Keep what each run of a job knew in advance, in files beside its store, so that later fits know it, too."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from forecast.artifacts.format import Arrays, dump_arrays, load_arrays
from forecast.artifacts.store import runs_folder
from forecast.calendar.spec import as_text
from forecast.durable import make_directory, remove_quietly, replace_file
from forecast.jobs.pipeline import Pipeline
from forecast.panel.panel import Panel, Vintages, joined, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.observations import slots_of
from forecast.reading.vintages import added

log = logging.getLogger("forecast")

FOLDER, SUFFIX = "vintages", ".safetensors"
MOST = 4_000  # runs whose values stay


def keep(pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime) -> None:
    """Write the known values of the horizon of a run that differ from those of earlier runs.

    Nothing is written as of a time before that of the newest run: what was known then can no longer be said.
    """
    if pipeline.source.vintages == "off" or not schema.known:
        return
    folder, calendar = runs_folder(pipeline.store) / FOLDER, calendar_of(schema)
    path = folder / f"{as_text(instant).replace(':', '')}{SUFFIX}"
    files = sorted(file for file in folder.glob(f"*{SUFFIX}") if file != path)
    if files and files[-1].name > path.name:
        return
    origin, before = int(panel.origins.max()), np.full(panel.known.shape, np.nan)
    for found in _read(files[-panel.ahead :], panel, schema):  # as many as steps reach into this horizon
        before[found.slot, found.column] = found.value
    shown = np.arange(1 if schema.layout == "wide" else len(panel))  # in a wide table a value holds for all series
    slots = ((panel.offsets[1:] - panel.ahead)[shown, None] + np.arange(panel.ahead)).ravel()
    rows, columns = np.nonzero(~np.isnan(panel.known[slots]) & (panel.known[slots] != before[slots]))
    slot = slots[rows]
    facts = {
        "zone": schema.time_format.zone,
        "ids": [panel.ids[i] for i in shown],
        "columns": {name: schema.categories.get(name) for name in schema.known},
    }
    arrays = {
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        "origin": calendar.times(np.array([origin])),
        "series": panel.series_of_slots[slot],
        "time": calendar.times((panel.starts[panel.series_of_slots] + panel.positions)[slot]),
        "column": columns,
        "value": panel.known[slot, columns],
    }
    make_directory(folder)
    replace_file(path, dump_arrays(arrays))
    for file in files[: -MOST + 1]:
        remove_quietly(file)


def with_kept(pipeline: Pipeline, panel: Panel, schema: Schema) -> Panel:
    """A panel to fit to, whose known columns are as earlier runs knew them; those of before are as they are now."""
    used, folder = schema.known and pipeline.source.vintages == "keep", runs_folder(pipeline.store) / FOLDER
    kept = _read(sorted(folder.glob(f"*{SUFFIX}")) if used else [], panel, schema)
    found = [part for part in kept if len(part) and part.available[0] < panel.origins.max()]
    if not found:
        return panel
    log.info("known    what %d earlier runs kept is used; before them, columns have the values of now", len(found))
    values = joined(found)
    return added(panel, values, np.arange(len(values), dtype=np.float64), strict=False)


def _read(files: list[Path], panel: Panel, schema: Schema) -> Iterator[Vintages]:
    """What files keep of a panel, each of one origin; a file that cannot be read is named and left out."""
    for file in files:
        try:
            yield _vintages(load_arrays(file.read_bytes()), panel, schema)
        except Exception as error:
            reason = str(error).split("\n")[0] or type(error).__name__
            log.warning("%s: what an earlier run knew cannot be read, and is left out: %s", file, reason)


def _vintages(arrays: Arrays, panel: Panel, schema: Schema) -> Vintages:
    facts, calendar = json.loads(arrays["facts"].tobytes()), calendar_of(schema)
    series = (series_index(panel.ids, tuple(map(tuple, facts["ids"]))) - 1)[arrays["series"]]
    column, value = np.full(len(series), -1), arrays["value"].copy()
    for place, (name, texts) in enumerate(facts["columns"].items()):
        rows, known = arrays["column"] == place, schema.categories.get(name)
        if name in schema.known and (texts is None) == (known is None):
            column[rows] = schema.known.index(name)
            codes = {text: code for code, text in enumerate(known or (), 1)}
            if texts is not None:
                value[rows] = np.array([0, *(codes.get(text, 0) for text in texts)])[value[rows].astype(np.int64)]
    shared = schema.layout == "wide"
    used = (column >= 0) & ((series >= 0) | shared) & calendar.on_grid(arrays["time"]) & np.isfinite(value)
    used &= facts["zone"] == schema.time_format.zone
    positions = calendar.positions(arrays["time"][used])
    slot, rows = slots_of(panel, None if shared else series[used], positions)
    origin = np.repeat(calendar.positions(arrays["origin"]), len(slot))
    return Vintages(slot, column[used][rows], origin, value[used][rows])
