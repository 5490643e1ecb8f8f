"""Read the tables of a job as they were known at the time of a run, and check the job."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from forecast.artifacts.store import Store
from forecast.calendar.spec import STEP_KIND, as_text, parse_as_of
from forecast.calendar.zones import DAY
from forecast.durable import check_folder
from forecast.ensemble.names import check_names
from forecast.errors import BadData
from forecast.inference.forecasting import update_tables
from forecast.inference.overrides import read_overrides
from forecast.jobs import sinks
from forecast.jobs.administration import claim_sinks, open_ledger, owner_to_replace
from forecast.jobs.checks.age import age, age_text, check_age
from forecast.jobs.checks.check import Find
from forecast.jobs.checks.own import load_own_checks
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.ledger import KNOWN_TABLE, Ledger, packed_known, series_number, series_text
from forecast.jobs.pipeline import Pipeline, keys_in_errors
from forecast.jobs.refit import reason_to_fit, serving_version
from forecast.logs import log
from forecast.panel.comparing import require_known
from forecast.panel.dated import DatedTable, dated_table, normalise
from forecast.panel.infer import (
    Reading,
    Source,
    check_schema,
    describe,
    infer_schema,
    read,
    read_as,
)
from forecast.panel.observations import find_slots
from forecast.panel.panel import Panel, Vintages
from forecast.panel.schema import Schema, build_calendar
from forecast.panel.successors import refuse_absent
from forecast.panel.vintages import has_vintages, known_by, merge_vintages
from forecast.settings import AFTER_FIT, OutputSettings, TableSettings
from forecast.tables.reading import load_future, settings_as_at_fit
from forecast.tables.table import Table
from forecast.tables.writing import output_columns, refuse_clash
from forecast.totals.orders import read_items
from forecast.totals.periods import (
    extend_to_periods,
    find_levels,
    key_columns,
    longest,
    whole_periods,
)
from forecast.totals.sums import sum_columns


@dataclass(frozen=True)
class JobInputs:
    """What a run and its check begin with.

    Attributes
    ----------
    live : the version that forecasts; None before the first fit
    why : the reason for a fit that is due; "" if none is
    schema : the schema of an earlier fit, by which a new fit reads the table; None if the pipeline
        file alone says how
    own_checks : the checks of the user's own, by name
    """

    table: Table
    future: Table | None = None
    live: ServingVersion | None = None
    why: str = ""
    schema: Schema | None = None
    own_checks: Mapping[str, Find] = field(default_factory=dict)


def explained_output(pipeline: Pipeline) -> OutputSettings:
    """The output settings of forecasts, with the columns model and status if a sink adds them."""
    explain = pipeline.output.explain or bool(pipeline.sink.columns)
    return pipeline.output.model_copy(update={"explain": explain})


def reserved_columns(pipeline: Pipeline) -> list[str]:
    """The columns of the output of a job, beside ids and times."""
    columns = [*output_columns(pipeline.output), *pipeline.sink.columns]
    return list(dict.fromkeys(columns))


def check_sinks(
    pipeline: Pipeline, schema: Schema, table: Table, takes_over: bool | None
) -> list[str]:
    """Refuse what the sinks cannot take, and sums that the table lacks; a line for each sink.

    Sinks of other jobs are refused, too, unless the job `takes_over` or claims none (None).
    """
    refuse_clash(schema.keys, reserved_columns(pipeline))
    output = pipeline.output
    lines = []
    if pipeline.sink.table is not None:
        rows = sinks.sample_rows(schema, table, output)
        lines.append(sinks.check_table(pipeline.sink, rows, schema.keys))
    if pipeline.sink.path is not None:
        lines.append(sinks.check_file(pipeline.sink.path))
    for totals in pipeline.totals:
        sink = totals.sink(pipeline.sink)
        ids = ("level", *key_columns(find_levels(totals.sums, schema), schema))
        keys = (*ids, *schema.time)
        refuse_clash(keys, [*sum_columns(output), *sink.columns[:2]], "sums")
        if sink.table is not None:
            sums = sinks.sample_sums(rows, ids, schema, output)
            lines.append(sinks.check_table(sink, sums, keys))
        if sink.path is not None:
            lines.append(sinks.check_file(sink.path))
    if pipeline.orders.items is not None:
        sink = pipeline.orders.sink(pipeline.sink)
        if sink.table is not None:
            orders = sinks.sample_orders(rows, schema)
            lines.append(sinks.check_table(sink, orders, schema.keys))
        if sink.path is not None:
            lines.append(sinks.check_file(sink.path))
    if takes_over is not None:
        series = sinks.ids_in(schema, table) if pipeline.sink.url else ()
        claim_sinks(pipeline, series, takes_over)
    return lines


def check_periods(pipeline: Pipeline, schema: Schema, origin: int, horizon: int) -> None:
    """Refuse a horizon in which no period ends; warn if at other origins none would end."""
    for totals in pipeline.totals:
        whole_periods(schema, origin, horizon, totals.every or (None,))
    for every in dict.fromkeys(pipeline._periods):
        needed = longest(schema, every)
        if horizon < needed:
            text = "%d steps do not always reach the end of a %s"
            cure = "and a run without a sum ends with exit code 2; %d always do"
            log.warning(f"{text}, {cure}", horizon, every, needed)


def look(pipeline: Pipeline, store: Store, ledger: Ledger, instant: datetime) -> JobInputs:
    """Choose the version that forecasts, find out whether a fit is due, and read the tables."""
    own_checks = load_own_checks(pipeline.checks.own)
    at = as_text(instant)
    earlier = [run.version for run in ledger.runs(1, at) if run.as_of == at and run.settled]
    live = serving_version(
        store,
        ledger,
        instant,
        taken=earlier[0] if earlier else None,
        where=pipeline.train,
    )
    why, reread = reason_to_fit(pipeline, live, ledger, instant)
    if why:
        check_names(pipeline.train)
    schema = None if live is None or reread else live.schema
    text = pipeline.source.text()
    if schema is not None:  # what the file does not say is as at the earlier fit
        text = settings_as_at_fit(schema.reading, text.model_dump(exclude_defaults=True))
    source = pipeline.source.read(text)
    if live is not None:
        settings = _table_settings(pipeline)
        at_predict = settings.model_dump(include=set(AFTER_FIT), exclude_unset=True)
        newer = settings.events, settings.successors
        predictor = update_tables(live.predictor, *newer, at_predict, refuses=False)
        live = replace(live, predictor=predictor)
    future = pipeline.source.future
    return JobInputs(
        normalise(source),
        None if future is None else load_future(future, text),
        live,
        why,
        schema,
        own_checks,
    )


def _table_settings(pipeline: Pipeline) -> TableSettings:
    """The settings of the table, with what its source says of an unfinished period."""
    unfinished = pipeline.source.model_dump(include={"unfinished"}, exclude_unset=True)
    return pipeline.table.model_copy(update=unfinished)


def read_to_forecast(instant: datetime, table: Table, schema: Schema) -> DatedTable:
    """Read the times of a table by the schema of a version."""
    check_schema(schema, table)
    return known_by(dated_table(table, schema), schema, instant)


def read_to_fit(
    pipeline: Pipeline, instant: datetime, inputs: JobInputs
) -> tuple[Reading, DatedTable]:
    """Read what was known of a table at the time of a run, for a fit; also the whole table."""
    table = inputs.table
    earlier = inputs.schema
    settings = _table_settings(pipeline)
    if earlier is not None:
        # inferred anew, it could change with the data, and forecasts with it from run to run
        given = settings.model_dump(exclude_unset=True)
        settings = TableSettings.check(earlier.table_settings() | given)
        check_schema(earlier, table)
    dated = dated_table(table, settings, earlier)
    schema, dated = infer_schema(dated, settings, reserved_columns(pipeline))
    if earlier is not None and schema.calendar.name != earlier.calendar.name:
        problem = (
            f"its frequency is {schema.calendar.name}, "
            f"and that of the live version is {earlier.calendar.name}"
        )
        cure = "bring the source back to it, or set freq in [table] to fit at the new frequency"
        raise BadData(problem, place=table.name, cure=cure)
    future = inputs.future
    if future is not None and not has_vintages(normalise(future), schema):
        future = None
    train = pipeline.train
    reading = read(
        known_by(dated, schema, instant),
        settings,
        horizon=train.horizon,
        lookback=train.lookback,
        future=future,
    )
    refuse_absent(reading.panel, reading.schema, table.name)
    if train.horizon is None and not schema.known:  # values known in advance may end earlier
        reading = extend_to_periods(reading, pipeline._periods, later=True)
    panel = add_earlier_values(pipeline, reading.panel, reading.schema, instant)
    return replace(reading, panel=panel), dated


def read_as_live(
    pipeline: Pipeline,
    instant: datetime,
    reading: Reading,
    dated: DatedTable,
    live: Schema,
    horizon: int,
) -> Reading:
    """The table as the live version reads it, whose columns known in advance may be others."""
    other = reading.schema
    deciding = ["time_format", "calendar"]  # these decide which rows of the table are left
    if live.known or other.known:
        deciding += ["known", "layout", "target", "series", "past"]
    if live.agrees(other, deciding):
        return reading
    check_schema(live, dated.table)
    if dated.times is not None and dated.times_by(live) is None:
        dated = dated_table(dated.table, live)
    reading = read_as(known_by(dated, live, instant), live, horizon=horizon)
    return replace(reading, panel=add_earlier_values(pipeline, reading.panel, live, instant))


def check_job(pipeline: Pipeline, as_of: str | None = None, take_over: bool = False) -> list[str]:
    """Read the source as a run would, check that store and sinks can be written; findings."""
    with pipeline.hidden.kept_out(), keys_in_errors():
        owner = owner_to_replace(pipeline, take_over)
        instant = parse_as_of(as_of or pipeline.as_of)
        inputs = look(pipeline, Store(pipeline.store), open_ledger(pipeline), instant)
        table = inputs.table
        source: Source
        if inputs.live is None or inputs.why:
            source, _ = read_to_fit(pipeline, instant, inputs)
            schema = source.schema
            horizon = source.panel.ahead
        else:
            schema = inputs.live.schema
            horizon = inputs.live.fitted.config.horizon
            source = read_to_forecast(instant, table, schema)
        of_sinks = check_sinks(pipeline, schema, table, take_over)
        panel = read_as(source, schema, horizon=horizon, future=inputs.future).panel
        refuse_absent(panel, schema, table.name)
        lines = [
            f"source   {table.name}: {len(table):,} rows",
            f"store    belongs to {owner or 'no job yet'}",
            *describe(schema, panel),
        ]
        seconds = age(panel.newest, schema, instant)
        if seconds is not None:
            lines.append(f"age      the newest value is {age_text(seconds)}")
        check_age(seconds, pipeline.checks, table.name)
        read_overrides(pipeline.table.overrides, schema, panel, (), may_be_over=True)
        if pipeline.orders.items is not None:
            read_items(pipeline.orders.items, schema, panel, (), horizon, may_be_gone=True)
        check_periods(pipeline, schema, panel.origin, horizon)
        lines += [f"sink     {line}" for line in of_sinks]
        if pipeline.monitoring.path is not None:
            lines.append(f"gauges   {sinks.check_file(pipeline.monitoring.path)}")
        check_folder(Path(pipeline.store), pipeline.store)
        with_known = inputs.future or table
        require_known(panel, schema, horizon, with_known.name)
        return [pipeline.hidden(line) for line in lines]


def known_differences(
    pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime
) -> dict[str, bytes]:
    """The values known in advance that are new, or that earlier runs knew otherwise.

    The ledger keeps them.
    """
    if pipeline.source.vintages == "off" or not schema.known:
        return {}
    if len(open_ledger(pipeline).known(after=as_text(instant))):
        return {}  # after a later run, what was known before can no longer be told
    calendar = build_calendar(schema)
    origin = panel.origin
    before = np.full(panel.known.shape, np.nan)
    earlier = _earlier_known(pipeline, panel, schema, instant, origin + 1)
    # of several values the last one stays, which is the newest
    before[earlier.slot, earlier.column] = earlier.value
    ahead = ~panel.before(panel.lengths)
    if schema.layout == "wide":
        ahead[panel.offsets[1] :] = False  # a value applies to all series
    different = ~np.isnan(panel.known) & (panel.known != before)
    slot, columns = np.nonzero(ahead[:, None] & different)
    series = panel.series_of_slots[slot]
    values = panel.known[slot, columns]
    names = np.array([series_text(ids) for ids in panel.ids], object)
    times = calendar.times(panel.grid_positions[slot])

    words = []  # a number has no categories
    for column, value in zip(columns.tolist(), values.tolist(), strict=True):
        categories = schema.categories.get(schema.known[column])
        words.append(categories[int(value) - 1] if categories and value >= 1 else "")
    rows = {
        "zone": [schema.time_format.zone or ""] * len(slot),
        "series": names[series],
        "column": [schema.known[column] for column in columns],
        "word": words,
        "origin": calendar.times(np.full(len(slot), origin)),
        "time": times,
        "value": values,
    }
    return {KNOWN_TABLE: packed_known(rows)}


def add_earlier_values(
    pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime
) -> Panel:
    """A panel to fit to, with the values of known columns that earlier runs knew at the time."""
    if pipeline.source.vintages == "off":
        return panel
    values = _earlier_known(pipeline, panel, schema, instant, int(panel.starts.min()))
    if not len(values):
        return panel
    log.info("known    what earlier runs kept is used; before them, columns have the values of now")
    return merge_vintages(panel, values, strict=False)


def _earlier_known(
    pipeline: Pipeline, panel: Panel, schema: Schema, instant: datetime, position: int
) -> Vintages:
    """What runs before an instant knew in advance of the grid positions from `position` on."""
    calendar = build_calendar(schema)
    after = ""
    if schema.time_format.kind != STEP_KIND:
        reach = calendar.times(np.array([position - panel.ahead])) - DAY  # a margin for any zone
        after = str(reach.astype("datetime64[s]")[0])
    rows = open_ledger(pipeline).known(after, as_text(instant))
    rows = rows[rows["zone"] == (schema.time_format.zone or "")]
    column = series_number(rows, schema.known, "column")
    series = series_number(rows, [series_text(ids) for ids in panel.ids])
    value = np.where(rows["word"] == "", rows["value"], np.nan)
    for name, texts in schema.categories.items():
        chosen = (rows["column"] == name).to_numpy()
        value[chosen] = series_number(rows, texts, "word")[chosen] + 1
    shared = schema.layout == "wide"
    times = rows["time"].to_numpy()
    of_panel = (column >= 0) & ((series >= 0) | shared)
    used = of_panel & calendar.on_grid(times) & np.isfinite(value)
    positions = calendar.positions(times[used])
    slot, index = find_slots(panel, None if shared else series[used], positions)
    cells = np.flatnonzero(used)[index]
    origins = rows["origin"].to_numpy()[cells]
    return Vintages(slot, column[cells], calendar.positions(origins), value[cells])
