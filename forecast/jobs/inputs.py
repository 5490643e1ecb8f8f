"""Read the tables of a job as they could be known at the time of a run, keep what it knew in advance, and check it."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from forecast.artifacts.store import Store
from forecast.calendar.spec import STEPS, as_text, parse_as_of
from forecast.calendar.zones import DAY
from forecast.checks.output import SOURCE
from forecast.checks.promotion import ServingVersion
from forecast.checks.table import age, age_text, check_age
from forecast.durable import check_folder
from forecast.ensemble.names import check_names
from forecast.errors import BadData
from forecast.inference.forecasting import with_events, with_schema
from forecast.jobs.administration import claim_sinks, ledger_of, owner_to_replace
from forecast.jobs.pipeline import Pipeline, keys_named
from forecast.jobs.refit import reason_to_fit, serving_version
from forecast.jobs.sinks import sinks_of
from forecast.jobs.sinks.database import ids_of
from forecast.jobs.sources import source_of
from forecast.ledger.ledger import KNOWN, Ledger, packed_known, series_number, series_text
from forecast.logs import log
from forecast.panel.panel import Panel, Vintages
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.comparing import require_known
from forecast.reading.dated import DatedTable, dated_table, normalised
from forecast.reading.observations import slots_of
from forecast.reading.reading import (
    Reading,
    Source,
    check_schema,
    describe,
    infer_schema,
    read,
    read_as,
)
from forecast.reading.vintages import added, has_vintages, known_by
from forecast.settings import AFTER_FIT, OutputSettings, TableSettings, TextSettings
from forecast.tables.reading import load_future, settings_as_at_fit
from forecast.tables.table import Table
from forecast.tables.writing import output_columns, refuse_clash
from forecast.totals.periods import (
    key_columns,
    levels_of,
    longest,
    whole_periods,
    with_next_periods,
)
from forecast.totals.sums import sum_columns


def added_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the sinks add to what [output] asks for."""
    return [column for _, sink in sinks_of(pipeline.sink) for column in sink.columns]


def explained_output(pipeline: Pipeline) -> OutputSettings:
    """The columns of forecasts: model and status, too, where a sink adds columns."""
    return pipeline.output.model_copy(
        update={"explain": pipeline.output.explain or bool(added_columns(pipeline))}
    )


def reserved_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the output of a job has beside ids and times."""
    return [
        *dict.fromkeys(
            [*output_columns(pipeline.output), *added_columns(pipeline), *source_columns(pipeline)]
        )
    ]


def source_columns(pipeline: Pipeline) -> tuple[str, ...]:
    return (SOURCE,) if pipeline.checks.output.on_error == "fallback" else ()


def check_sink(pipeline: Pipeline, schema: Schema, table: Table) -> list[str]:
    """Refuse what the sinks do not take, and sums that the table does not have; returns a line for each sink."""
    refuse_clash(schema.keys, reserved_columns(pipeline))
    lines = [
        kind.check(sink, schema, table, pipeline.output, texts=source_columns(pipeline))
        for kind, sink in sinks_of(pipeline.sink)
    ]
    for totals, sinks in zip(pipeline.totals, list(pipeline.sinks.values())[1:], strict=True):
        ids = ("level", *key_columns(levels_of(totals.sums, schema), schema))
        for kind, sink in sinks_of(sinks):
            refuse_clash(
                (*ids, *schema.time), [*sum_columns(pipeline.output), *sink.columns[:2]], "sums"
            )
            lines.append(kind.check(sink, schema, table, pipeline.output, ids))
    claim_sinks(pipeline, ids_of(schema, table) if pipeline.sink.url else ())
    return lines


def check_periods(pipeline: Pipeline, schema: Schema, origin: int, horizon: int) -> None:
    """Refuse a horizon in which no period ends, and warn of one in which sometimes none does."""
    for totals in pipeline.totals:
        whole_periods(schema, origin, horizon, totals.every or (None,))
    for every in dict.fromkeys(pipeline._periods):
        if horizon < (needed := longest(schema, every)):
            text = "%d steps do not always reach the end of a %s, and a run without a sum ends with exit code 2"
            log.warning(f"{text}; %d always do", horizon, every, needed)


def read_source(pipeline: Pipeline, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    """Read the table, and the settings of tables that come with the source."""
    kind, source = source_of(pipeline.source)
    table, defaults = kind.read(source, text)
    return normalised(table), defaults | pipeline.source.model_dump(
        include={"unfinished"}, exclude_unset=True
    )


def look(
    pipeline: Pipeline, store: Store, ledger: Ledger, instant: datetime
) -> tuple[ServingVersion | None, str, Schema | None, Table, dict[str, Any], Table | None]:
    """What a run and its check begin with: the version that serves, why a fit is due, the table, and the future's.

    The schema is that of an earlier fit as which the table is read; None where the file alone says how.
    """
    at = as_text(instant)
    taken = next(
        (run.version for run in ledger.runs(1, at) if run.as_of == at and run.settled), None
    )
    live = serving_version(
        store, ledger, instant, taken, pipeline.train.device, pipeline.train.engine
    )
    if live is not None and (live.fitted.effects is not None or live.schema.dated_events):
        live = replace(live, predictor=with_events(live.predictor, pipeline.table.events))
    why, reread = reason_to_fit(pipeline, live, ledger, instant)
    if why:
        check_names(pipeline.train)
    as_before = None if live is None or reread else live.schema
    text = text_settings(pipeline, as_before)
    table, defaults = read_source(pipeline, text)
    if live is not None:
        settings = pipeline.table.model_copy(update=defaults)
        at_predict = settings.model_dump(include=set(AFTER_FIT), exclude_unset=True)
        live = replace(
            live, predictor=with_schema(live.predictor, live.schema.model_copy(update=at_predict))
        )
    return live, why, as_before, table, defaults, read_future(pipeline, text)


def read_future(pipeline: Pipeline, text: TextSettings) -> Table | None:
    """Read the columns that are known in advance; None if the job has none."""
    return None if pipeline.source.future is None else load_future(pipeline.source.future, text)


def text_settings(pipeline: Pipeline, fitted: Schema | None) -> TextSettings:
    """How files are read: as the pipeline says, and otherwise as an earlier fit read its own file."""
    given = pipeline.source.text()
    return (
        given
        if fitted is None
        else settings_as_at_fit(fitted.reading, given.model_dump(exclude_defaults=True))
    )


def table_settings(
    pipeline: Pipeline, fitted: Schema | None, defaults: dict[str, Any]
) -> TableSettings:
    """How a fit reads the table: as the pipeline and its source say, and otherwise as an earlier fit did."""
    given = pipeline.table.model_copy(update=defaults)
    # without the earlier fit what is inferred could change with the data, and what is forecast from run to run
    earlier = {} if fitted is None else fitted.table_settings()
    return TableSettings.check(earlier | given.model_dump(exclude_unset=True)) if earlier else given


def read_to_forecast(
    pipeline: Pipeline, instant: datetime, table: Table, schema: Schema
) -> DatedTable:
    """Date a table for a forecast by the version of a schema, and refuse what the sink cannot take."""
    check_schema(schema, table)
    check_sink(pipeline, schema, table)
    return known_by(dated_table(table, schema), schema, instant)


def read_to_fit(
    pipeline: Pipeline,
    instant: datetime,
    table: Table,
    defaults: dict[str, Any],
    live: Schema | None,
) -> tuple[Reading, DatedTable]:
    """Read what could be known of a table for a new fit, as `live` if it is given; also returns the whole table."""
    settings = table_settings(pipeline, live, defaults)
    if live is not None:
        check_schema(live, table)
    dated = dated_table(table, settings, live)
    schema, dated = infer_schema(dated, settings, reserved_columns(pipeline))
    if live is not None and schema.calendar.name != live.calendar.name:
        names = f"its frequency is {schema.calendar.name}, and that of the live version is {live.calendar.name}"
        cure = "bring the source back to it, or set freq in [table] to fit at the new frequency"
        raise BadData(f"{table.name}: {names}; {cure}")
    check_sink(pipeline, schema, table)
    known_then, train = known_by(dated, schema, instant), pipeline.train
    later = read_future(pipeline, text_settings(pipeline, live))
    later = later if later is not None and has_vintages(normalised(later), schema) else None
    reading = read(
        known_then, settings, horizon=train.horizon, lookback=train.lookback, future=later
    )
    if train.horizon is None and not schema.known:  # known values may end earlier
        reading = with_next_periods(reading, pipeline._periods, later=True)
    return replace(
        reading, panel=with_earlier_known(pipeline, reading.panel, reading.schema, instant)
    ), dated


def read_as_live(
    pipeline: Pipeline,
    instant: datetime,
    reading: Reading,
    dated: DatedTable,
    live: Schema,
    horizon: int,
) -> Reading:
    """The table as the live version reads it, which may know columns in advance that `reading` does not."""
    other = reading.schema
    blanked = ("known", "layout", "target", "series", "past") if live.known or other.known else ()
    if all(
        getattr(live, name) == getattr(other, name)
        for name in ("time_format", "calendar", *blanked)
    ):
        return reading  # nothing else decides what is left of the table
    check_schema(live, dated.table)
    if dated.times is not None and dated.times_by(live) is None:
        dated = dated_table(dated.table, live)
    reading = read_as(known_by(dated, live, instant), live, horizon=horizon)
    return replace(reading, panel=with_earlier_known(pipeline, reading.panel, live, instant))


def check_job(pipeline: Pipeline, as_of: str | None = None, take_over: bool = False) -> list[str]:
    """Read the source as a run would, and check that the store and the sink can be written; returns the findings."""
    with pipeline.hidden.kept_out(), keys_named():
        pipeline._take_over = take_over
        owner = owner_to_replace(pipeline, take_over)
        instant = parse_as_of(as_of or pipeline.as_of)
        live, why, as_before, table, defaults, future = look(
            pipeline, Store(pipeline.store), ledger_of(pipeline), instant
        )
        source: Source
        if live is None or why:
            source, _ = read_to_fit(pipeline, instant, table, defaults, as_before)
            schema, horizon = source.schema, source.panel.ahead
        else:
            source = read_to_forecast(pipeline, instant, table, live.schema)
            schema, horizon = live.schema, live.fitted.config.horizon
        panel = read_as(source, schema, horizon=horizon, future=future).panel
        lines = [
            f"source   {table.name}: {len(table):,} rows",
            f"store    belongs to {owner or 'no job yet'}",
        ]
        lines += describe(schema, panel)
        if (seconds := age(panel.newest, schema, instant)) is not None:
            lines.append(f"age      the newest value is {age_text(seconds)}")
        check_age(seconds, pipeline.checks, table.name)
        check_periods(pipeline, schema, int(panel.origins.max()), horizon)
        lines += [f"sink     {line}" for line in check_sink(pipeline, schema, table)]
        check_folder(Path(pipeline.store), pipeline.store)
        require_known(panel, schema, horizon, (future or table).name, future is not None)
        return [pipeline.hidden(line) for line in lines]


def known_differences(
    pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime
) -> dict[str, bytes]:
    """What a run knows of its horizon in advance, where earlier runs knew something else, by the ledger's table."""
    off = pipeline.source.vintages == "off" or not schema.known
    if off or len(ledger_of(pipeline).known(after=as_text(instant))):
        return {}  # what was known before a later run can no longer be said
    calendar = calendar_of(schema)
    origin = int(panel.origins.max())
    before = np.full(panel.known.shape, np.nan)
    earlier = _earlier_known(pipeline, panel, schema, instant, origin + 1)
    before[earlier.slot, earlier.column] = (
        earlier.value
    )  # of several the last one stays, which is the newest
    ahead = ~panel.before(panel.lengths)
    if schema.layout == "wide":
        ahead[panel.offsets[1] :] = False  # a value holds for all series
    slot, columns = np.nonzero(ahead[:, None] & ~np.isnan(panel.known) & (panel.known != before))
    series = panel.series_of_slots[slot]
    values = panel.known[slot, columns]
    words = [np.array(["", *schema.categories.get(name, ())], object) for name in schema.known]
    found = {
        "zone": [schema.time_format.zone or ""] * len(slot),
        "series": np.array([series_text(ids) for ids in panel.ids], object)[series],
        "column": [schema.known[column] for column in columns],
        # a number has no words
        "word": [
            words[column].take(int(value), mode="clip")
            for column, value in zip(columns, values, strict=True)
        ],
        "origin": calendar.times(np.full(len(slot), origin)),
        "time": calendar.times(panel.starts[series] + panel.positions[slot]),
        "value": values,
    }
    return {KNOWN: packed_known(found)}


def with_earlier_known(
    pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime
) -> Panel:
    """A panel to fit to, whose known columns are as earlier runs knew them; those of before are as they are now."""
    if pipeline.source.vintages == "off":
        return panel
    values = _earlier_known(pipeline, panel, schema, instant, int(panel.starts.min()))
    if not len(values):
        return panel
    log.info("known    what earlier runs kept is used; before them, columns have the values of now")
    return added(panel, values, np.arange(float(len(values))), strict=False)


def _earlier_known(
    pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime, position: int
) -> Vintages:
    """What runs before an instant knew of the grid positions of a panel from one on, as far as the schema has it."""
    calendar = calendar_of(schema)
    reach = calendar.times(np.array([position - panel.ahead])) - DAY  # in any zone
    after = "" if schema.time_format.kind == STEPS else str(reach.astype("datetime64[s]")[0])
    rows = ledger_of(pipeline).known(after, as_text(instant))
    rows = rows[rows["zone"] == (schema.time_format.zone or "")]
    column = series_number(rows, schema.known, "column")
    series = series_number(rows, [series_text(ids) for ids in panel.ids])
    value = np.where(rows["word"] == "", rows["value"], np.nan)
    for name, texts in schema.categories.items():
        chosen = (rows["column"] == name).to_numpy()
        value[chosen] = series_number(rows, texts, "word")[chosen] + 1
    shared = schema.layout == "wide"
    times = rows["time"].to_numpy()
    used = (column >= 0) & ((series >= 0) | shared) & calendar.on_grid(times) & np.isfinite(value)
    slot, index = slots_of(panel, None if shared else series[used], calendar.positions(times[used]))
    cells = np.flatnonzero(used)[index]
    return Vintages(
        slot, column[cells], calendar.positions(rows["origin"].to_numpy()[cells]), value[cells]
    )
