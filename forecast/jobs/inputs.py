"""Read the tables of a job as they could be known at the time of a run, keep what it knew in advance, and check it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from forecast.artifacts.format import Arrays, dump_arrays, load_arrays
from forecast.artifacts.store import Store, runs_folder
from forecast.calendar.spec import as_text, on_clock, parse_as_of
from forecast.checks.output import SOURCE
from forecast.checks.table import age, age_text, check_age
from forecast.durable import check_folder, make_directory, remove_quietly, replace_file
from forecast.ensemble.names import check_names
from forecast.errors import BadData
from forecast.jobs.administration import claim_sinks
from forecast.jobs.pipeline import Pipeline, keys_named
from forecast.jobs.sinks import sinks_of
from forecast.jobs.sinks.database import ids_of
from forecast.jobs.sources import source_of
from forecast.logs import log
from forecast.panel.panel import Panel, Vintages, joined, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.comparing import require_known
from forecast.reading.dated import DatedTable, dated_table, normalised
from forecast.reading.observations import slots_of, wide_columns
from forecast.reading.reading import Reading, check_schema, describe, infer_schema, read, read_as
from forecast.reading.vintages import added, has_vintages
from forecast.settings import OutputSettings, TableSettings, TextSettings
from forecast.tables.reading import load_future, settings_as_at_fit
from forecast.tables.table import Table
from forecast.tables.writing import output_columns, refuse_clash
from forecast.totals.periods import key_columns, levels_of, longest, whole_periods
from forecast.totals.sums import sum_columns

FOLDER, SUFFIX = "vintages", ".safetensors"


def added_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the sinks add to what [output] asks for."""
    return [column for _, sink in sinks_of(pipeline.sink) for column in sink.columns]


def explained_output(pipeline: Pipeline) -> OutputSettings:
    """The columns of forecasts: model and status, too, where a sink adds columns."""
    return pipeline.output.model_copy(update={"explain": pipeline.output.explain or bool(added_columns(pipeline))})


def reserved_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the output of a job has beside ids and times."""
    source = [SOURCE] if pipeline.checks.output.on_error == "fallback" else []
    return [*dict.fromkeys([*output_columns(pipeline.output), *added_columns(pipeline), *source])]


def check_sink(pipeline: Pipeline, schema: Schema, table: Table) -> list[str]:
    """Refuse what the sinks do not take, and sums that the table does not have; returns a line for each sink."""
    refuse_clash(schema.keys, reserved_columns(pipeline))
    lines = [kind.check(sink, schema, table, pipeline.output) for kind, sink in sinks_of(pipeline.sink)]
    for totals, sinks in zip(pipeline.totals, list(pipeline.sinks.values())[1:], strict=True):
        ids = ("level", *key_columns(levels_of(totals.sums, schema), schema))
        for kind, sink in sinks_of(sinks):
            refuse_clash((*ids, *schema.time), [*sum_columns(pipeline.output), *sink.columns[:2]], "sums")
            lines.append(kind.check(sink, schema, table, pipeline.output, ids))
    claim_sinks(pipeline, ids_of(schema, table) if pipeline.sink.url else ())
    return lines


def check_periods(pipeline: Pipeline, schema: Schema, origin: int, horizon: int) -> None:
    """Refuse a horizon in which no period ends, and warn of one in which sometimes none does."""
    for totals in pipeline.totals:
        whole_periods(schema, origin, horizon, totals.every or (None,))
    for every in dict.fromkeys(every for totals in pipeline.totals for every in totals.every):
        if horizon < (needed := longest(schema, every)):
            text = "%d steps do not always reach the end of a %s, and a run without a sum ends with exit code 2"
            log.warning(f"{text}; %d always do", horizon, every, needed)


def read_source(pipeline: Pipeline, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    kind, source = source_of(pipeline.source)
    table, defaults = kind.read(source, text)
    return normalised(table), defaults


def read_future(pipeline: Pipeline, text: TextSettings) -> Table | None:
    """Read the columns that are known in advance; None if the job has none."""
    return None if pipeline.source.future is None else load_future(pipeline.source.future, text)


def text_settings(pipeline: Pipeline, fitted: Schema | None) -> TextSettings:
    """How files are read: as the pipeline says, and otherwise as an earlier fit read its own file."""
    given = pipeline.source.text()
    return given if fitted is None else settings_as_at_fit(fitted.reading, given.model_dump(exclude_defaults=True))


def table_settings(pipeline: Pipeline, fitted: Schema | None, defaults: dict[str, Any]) -> TableSettings:
    """How a fit reads the table: as the pipeline and its source say, and otherwise as an earlier fit did."""
    given = pipeline.table.model_copy(update=defaults)
    # without the earlier fit what is inferred could change with the data, and what is forecast from run to run
    earlier = {} if fitted is None else fitted.table_settings()
    return TableSettings.check(earlier | given.model_dump(exclude_unset=True)) if earlier else given


def read_to_forecast(pipeline: Pipeline, instant: datetime, table: Table, schema: Schema) -> DatedTable:
    """Date a table for a forecast by the version of a schema, and refuse what the sink cannot take."""
    check_schema(schema, table)
    check_sink(pipeline, schema, table)
    return known_by(dated_table(table, schema), schema, instant, pipeline.table.unfinished)


def read_to_fit(
    pipeline: Pipeline, instant: datetime, table: Table, defaults: dict[str, Any], live: Schema | None
) -> tuple[Reading, DatedTable]:
    """Read what could be known of a table for a new fit, as `live` if it is given; also returns the whole table."""
    settings = table_settings(pipeline, live, defaults)
    if live is not None:
        check_schema(live, table)
    dated = dated_table(table, settings)
    schema, dated = infer_schema(dated, settings, reserved_columns(pipeline))
    if live is not None and schema.calendar.name != live.calendar.name:
        names = f"its frequency is {schema.calendar.name}, and that of the live version is {live.calendar.name}"
        cure = "bring the source back to it, or set freq in [table] to fit at the new frequency"
        raise BadData(f"{table.name}: {names}; {cure}")
    check_sink(pipeline, schema, table)
    known_then, train = known_by(dated, schema, instant, pipeline.table.unfinished), pipeline.train
    later = read_future(pipeline, text_settings(pipeline, live))
    later = later if later is not None and has_vintages(normalised(later), schema) else None
    reading = read(known_then, settings, horizon=train.horizon, lookback=train.lookback, future=later)
    return replace(reading, panel=with_earlier_known(pipeline, reading.panel, reading.schema)), dated


def read_as_live(
    pipeline: Pipeline, instant: datetime, reading: Reading, dated: DatedTable, live: Schema, horizon: int
) -> Reading:
    """The table as the live version reads it, which may know columns in advance that `reading` does not."""
    other = reading.schema
    blanked = ("known", "layout", "target", "series", "past") if live.known or other.known else ()
    if all(getattr(live, name) == getattr(other, name) for name in ("time_format", "calendar", *blanked)):
        return reading  # nothing else decides what is left of the table
    check_schema(live, dated.table)
    if dated.times is not None and dated.times_by(live) is None:
        dated = dated_table(dated.table, live)
    reading = read_as(known_by(dated, live, instant, pipeline.table.unfinished), live, horizon=horizon)
    return replace(reading, panel=with_earlier_known(pipeline, reading.panel, live))


def known_by(dated: DatedTable, schema: Schema, instant: datetime, unfinished: str = "keep") -> DatedTable:
    """The table as it could be known at an instant: no later row, or one with blank targets for what is known ahead.

    With `unfinished` "leave out" a row is later until its period is over.
    """
    end = on_clock(instant, schema.time_format)
    if dated.times is None or end is None:
        return dated
    table, times, calendar = dated.table, dated.times.timestamps, calendar_of(schema)
    dated = replace(dated, instant=end)
    after = times > end
    late = calendar.ends(calendar.positions(times)) > end if unfinished == "leave out" else after
    if not late.any():
        return dated
    targets = [str(schema.target)] if schema.layout == "long" else wide_columns(table, schema)
    if late.all():
        why = "lies after" if after.all() else "belongs to a period that is not over at"
        raise BadData(f"every row {why} {as_text(instant)}, the time of the run", place=table.name)
    begun = table.rows(late & ~after)
    dropped = np.logical_or.reduce([begun.texts(name) != "" for name in targets]).sum()
    if dropped:
        problem = f"values of a period that is not over at {as_text(instant)} are left out: {dropped}"
        log.info('%s: %s; unfinished = "keep" in [source] reads them', table.name, problem)
    if not schema.known:
        return dated.rows(~late)
    frame = table.frame.copy()
    for name in (*targets, *schema.past):
        frame[name] = frame[name].where(~late, "" if table.text else np.nan)
    return replace(dated, table=replace(table, frame=frame))


def check_job(pipeline: Pipeline, as_of: str | None = None) -> list[str]:
    """Read the source as a run would, and check that the store and the sink can be written; returns the findings."""
    with pipeline.hidden.kept_out(), keys_named():
        check_names(pipeline.train)
        store = Store(pipeline.store)  # the table is read as the live version does, unless the file says otherwise
        fitted = None if store.empty else Schema.model_validate(store.load()[0].config["table"])
        text = text_settings(pipeline, fitted)
        table, defaults = read_source(pipeline, text)
        settings = table_settings(pipeline, fitted, defaults)
        inferred, dated = infer_schema(dated_table(table, settings), settings, reserved_columns(pipeline))
        instant, future = parse_as_of(as_of or pipeline.as_of), read_future(pipeline, text)
        known_then = known_by(dated, inferred, instant, pipeline.table.unfinished)
        reading = read(known_then, settings, horizon=pipeline.train.horizon, future=future)
        table, schema = dated.table, reading.schema
        lines = [f"source   {table.name}: {len(table):,} rows", *describe(schema, reading.panel)]
        if (seconds := age(reading.panel.newest, schema, instant)) is not None:
            lines.append(f"age      the newest value is {age_text(seconds)}")
        check_periods(pipeline, schema, int(reading.panel.origins.max()), reading.panel.ahead)
        lines += [f"sink     {line}" for line in check_sink(pipeline, schema, table)]
        check_folder(Path(pipeline.store), pipeline.store)
        require_known(reading.panel, schema, reading.panel.ahead, (future or table).name, future is not None)
        check_age(seconds, pipeline.checks, table.name)
        return [pipeline.hidden(line) for line in lines]


def keep_known(pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime) -> None:
    """Write the known values of the horizon of a run that differ from those of earlier runs."""
    if pipeline.source.vintages == "off" or not schema.known:
        return
    folder, calendar = runs_folder(pipeline.store) / FOLDER, calendar_of(schema)
    path = folder / f"{as_text(instant).replace(':', '')}{SUFFIX}"
    files = sorted(file for file in folder.glob(f"*{SUFFIX}") if file != path)
    if files and files[-1].name > path.name:
        return  # a later run has written: what was known before it can no longer be said
    origin, before = int(panel.origins.max()), np.full(panel.known.shape, np.nan)
    for found in _read(files[-panel.ahead :], panel, schema):  # as many as steps reach into this horizon
        before[found.slot, found.column] = found.value
    shown = np.arange(1 if schema.layout == "wide" else len(panel))  # in a wide table a value holds for all series
    slots = ((panel.offsets[1:] - panel.ahead)[shown, None] + np.arange(panel.ahead)).ravel()
    rows, columns = np.nonzero(~np.isnan(panel.known[slots]) & (panel.known[slots] != before[slots]))
    slot = slots[rows]
    texts = {name: schema.categories.get(name) for name in schema.known}
    facts = {"zone": schema.time_format.zone, "ids": [panel.ids[i] for i in shown], "columns": texts}
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
    for file in files[:-3_999]:  # those of the newest 4,000 runs stay
        remove_quietly(file)


def with_earlier_known(pipeline: Pipeline, panel: Panel, schema: Schema) -> Panel:
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
    for number, (name, texts) in enumerate(facts["columns"].items()):
        rows, known = arrays["column"] == number, schema.categories.get(name)
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
