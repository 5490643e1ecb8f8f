"""Read a table: parse its times, infer or check its schema, and build its panel."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecast.calendar.calendar import default_horizon, find_country, region_name
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.spec import CalendarSpec, TimeFormat, TimeSettings
from forecast.errors import (
    BadData,
    ForecastError,
    Setting,
    UsageError,
    as_flag,
    collect_errors,
    together,
)
from forecast.logs import held_back
from forecast.panel.build import (
    add_future,
    build_panel,
    check_on_grid,
    check_order,
    place_values,
    warn_gaps,
    warn_sparse,
)
from forecast.panel.comparing import ended_before, set_status, warn_blank, warn_status
from forecast.panel.dated import DatedTable, dated_table
from forecast.panel.events import (
    find_covered_slots,
    has_kind,
    read_events,
    takes_events,
    without,
)
from forecast.panel.observations import (
    Observations,
    find_categories,
    id_codes,
    observe,
)
from forecast.panel.panel import Integers, Panel
from forecast.panel.roles import (
    AVAILABLE_AT,
    calendar_columns,
    id_columns,
    no_numbers,
    target_column,
)
from forecast.panel.schema import (
    Names,
    Schema,
    build_calendar,
    event_names,
    position_texts,
    time_columns_at,
)
from forecast.panel.season import find_seasons, lags_and_lookback
from forecast.panel.successors import lend_histories, read_successors
from forecast.panel.vintages import add_vintages, describe_vintages, known_by, one_row_a_time
from forecast.settings import TableSettings, TextSettings, holiday_columns
from forecast.tables.cells import is_blank, numeric_columns
from forecast.tables.table import Columns, Table, list_names, require_columns
from forecast.tables.writing import refuse_clash

# the fields of a schema that decide which values a table has on the grid; for a wide table, also
# those in WIDE_FIELDS
GRID_FIELDS = (
    "layout",
    "time",
    "ids",
    "target",
    "time_format",
    "calendar",
    "on_duplicate",
    "aggregate",
    "unfinished",
    "missing",
    "successions",
)
WIDE_FIELDS = ("series", "all_columns", "known", "past", "ignored")
LISTED_COLUMNS = 10  # the number of columns that a line of `describe` lists by name


@dataclass(frozen=True)
class Reading:
    schema: Schema
    panel: Panel  # the series of the table, with the slots to forecast
    dated: DatedTable
    # steps that a forecast looks back, on which statuses depend; None if no status depends on it
    lookback: int | None

    @property
    def name(self) -> str:  # the name of the table in messages
        return self.dated.table.name


Source = Table | DatedTable | Reading


def read(
    source: Table | DatedTable,
    settings: TableSettings,
    *,
    horizon: int | None = None,
    lookback: int | None = None,
    reserved: Columns = ("forecast",),
    future: Table | None = None,
) -> Reading:
    """Infer the schema of a table, and build its panel; settings win over what the table suggests.

    By default, the horizon depends on the frequency, and the lookback on the horizon and the
    season. `reserved` are names of columns that
    the output will have. `future` is a table with more rows of columns known in advance.
    """
    dated = source if isinstance(source, DatedTable) else dated_table(source, settings)
    if isinstance(dated.settings, TableSettings):
        settings = dated.settings  # these have column names with commas repaired
    schema, dated = infer_schema(dated, settings, reserved)
    dated = one_row_a_time(dated, schema)
    observations = _collect_observations(dated, schema)
    successions = read_successors(settings.successors, schema)
    events = read_events(settings.events, schema, observations.ids)
    schema = schema.model_copy(update={"successions": successions, "dated_events": events})
    observations = _blank_ignored(observations, schema)
    ahead = horizon or default_horizon(schema.calendar, schema.season)
    panel = _panel(dated, schema, observations, ahead)
    if not schema.season:
        season = find_seasons(panel, schema)
        schema = schema.model_copy(update={"season": season})
        ahead = horizon or default_horizon(schema.calendar, season)
        if ahead != panel.ahead:
            with held_back():  # what was said of the first panel
                panel = _panel(dated, schema, observations, ahead)
    panel = add_future(panel, future, schema, instant=dated.instant)
    warn_gaps(panel, schema, dated.table.name)
    warn_sparse(observations, panel, schema)
    _, lookback = lags_and_lookback(panel, schema.season, lookback)
    panel = set_status(panel, schema, lookback)
    return Reading(schema, panel, dated, lookback)


def read_as(
    source: Source,
    schema: Schema,
    *,
    horizon: int,
    lookback: int | None = None,
    future: Table | None = None,
    origin: str | None = None,
    reach: int | None = None,
    fitted: Panel | None = None,
) -> Reading:
    """Read a table by the schema of an earlier fit.

    If `source` is a reading, what it holds already is not read again. The lookback decides which
    series get the statuses `short` and `ended`. `future` is a table with more rows of columns known
    in advance; without id columns, it applies to all series. Values after the `origin` are not
    used. For a part of a table, `reach` is that of the whole table, see `find_end`. Series that had
    ended in the panel of the fit (`fitted`) are not warned of again.
    """
    table = source.dated if isinstance(source, Reading) else source
    check_schema(schema, table if isinstance(table, Table) else table.table)
    dated = dated_table(table, schema) if isinstance(table, Table) else table
    dated = one_row_a_time(dated, schema)
    warned: tuple[str, ...] = ()  # statuses for which an earlier reading has already warned
    messages: AbstractContextManager[object] = nullcontext()
    panel = None
    if isinstance(source, Reading) and origin is None and _same_grid(source.schema, schema):
        warned = source.panel.status
        messages = held_back()  # what was said of the same values
        of_columns = ("known", "past", "static", "categories", "holidays")
        same_columns = schema.agrees(source.schema, of_columns)
        panel = source.panel if same_columns and horizon == source.panel.ahead else None
    if panel is None:
        with messages:
            observations = _collect_observations(dated, schema, reach)
            observations = _blank_ignored(observations, schema)
            panel = _panel(dated, schema, observations, horizon, origin, reach)
            warn_gaps(panel, schema, dated.table.name)
    panel = add_future(panel, future, schema, instant=dated.instant)
    panel = set_status(panel, schema, lookback)
    if lookback is not None:
        before = warned or ended_before(panel, fitted)
        warn_status(panel, schema, dated.table.name, before, whole=reach is None)
    return Reading(schema, panel, dated, lookback)


def find_end(times: Table, schema: Schema) -> int:
    """Return the time of the newest value of a table that is read in parts.

    `times` is a table with one row for each time.
    """
    dated = known_by(dated_table(times, schema), schema)
    observations = _blank_ignored(_collect_observations(dated, schema), schema)
    place_values(observations, schema, None, None)  # refuses what has no place on the grid
    has_value = np.isfinite(observations.values)
    return int(observations.timestamps[has_value].max())


def check_to_fit(reading: Reading, fitted: Panel | None = None) -> None:
    """Warn of what a fit cannot use, but not of series that had ended in the panel of the last fit.

    Refuse a table without a series to fit, or whose horizon lies beyond the last possible time.
    """
    panel = reading.panel
    schema = reading.schema
    warn_status(panel, schema, reading.name, ended_before(panel, fitted))
    last = panel.origins.max(keepdims=True) + panel.ahead
    time_columns_at(schema, last)
    warn_blank(panel, schema, reading.name)


def describe_reading(reading: Reading) -> list[str]:
    lines = describe(reading.schema, reading.panel)
    lines += describe_vintages(reading.panel, reading.schema)
    return [*lines, f"horizon  {reading.panel.ahead}, from the last {reading.lookback} steps"]


def _panel(
    dated: DatedTable,
    schema: Schema,
    observations: Observations,
    horizon: int,
    origin: str | None = None,
    reach: int | None = None,
) -> Panel:
    panel = build_panel(observations, schema, horizon, origin, reach)
    panel = without(panel, schema, "ignore")
    if dated.vintages is not None:
        panel = add_vintages(panel, dated.vintages, schema, whole=True)
    return lend_histories(panel, schema, dated.table.name)


def _collect_observations(
    dated: DatedTable, schema: Schema, reach: int | None = None
) -> Observations:
    observations = observe(dated.table, schema, dated.times_by(schema))
    if schema.dated:
        check_order(observations, schema)
        if schema.aggregate is None:
            check_on_grid(dated.table, observations.row_timestamps, schema, whole=reach is None)
    return observations


def _blank_ignored(observations: Observations, schema: Schema) -> Observations:
    """Blank the observations that events of the kind `ignore` touch."""
    if not has_kind(schema, "ignore") or not len(observations.values):
        return observations
    positions = build_calendar(schema).positions(observations.timestamps)
    first = positions.min()
    count = len(observations.ids)
    size = int(np.ptp(positions)) + 1
    starts = np.full(count, first)
    offsets = np.arange(count + 1) * size
    ignored = find_covered_slots(observations.ids, starts, offsets, schema, "ignore")
    ignored = ignored[observations.series * size + positions - first]
    values = np.where(ignored, np.nan, observations.values)
    return replace(observations, values=values)


def _same_grid(schema: Schema, other: Schema) -> bool:
    """Whether two schemas bring the same values of a table to the same grid."""
    fields = (*GRID_FIELDS, *WIDE_FIELDS) if schema.layout == "wide" else GRID_FIELDS
    ignored = [event for event in schema.dated_events if event.kind == "ignore"]
    other_ignored = [event for event in other.dated_events if event.kind == "ignore"]
    return ignored == other_ignored and schema.agrees(other, fields)


def infer_schema(
    dated: DatedTable, settings: TableSettings, reserved: Columns = ("forecast",)
) -> tuple[Schema, DatedTable]:
    """Infer the schema of a table: its layout, ids, target and calendar.

    Settings win over what the table suggests. The schema has only those seasons that the settings
    give. `reserved` are columns that the output has beside ids and times, so that no id or time
    column may have these names. The table is returned, too: if a clock change makes its times
    ambiguous, they are parsed again by series.
    """
    table = dated.table
    names = TableSettings.model_fields.keys() & Schema.model_fields
    names -= {"layout", "time", "target", "season"}
    if dated.times is None:
        schema = _rows_schema(table, settings)
        names -= {"aggregate", "holidays"}
    else:
        schema, times = _timed_schema(table, settings, dated.time, dated.times)
        dated = replace(dated, times=times)
    for text in settings.monotone:
        if texts := schema.categories.get(text.rpartition(":")[0]):
            raise UsageError(
                f"the column holds texts, such as '{texts[0]}', which have no order",
                setting=Setting("monotone", text),
                cure="write numbers, such as 0 and 1",
            )
    refuse_clash(schema.keys, reserved)
    update: dict[str, Any] = {name: getattr(settings, name) for name in names}
    update["season"] = tuple(sorted(set(settings.season)))
    update["reading"] = table.reading
    if (settings.holidays or "").startswith("column:"):
        (column,) = holiday_columns(settings.holidays)
        codes = {text.strip() for text in table.distinct(column)[1]} - {""}
        update["holidays"] = f"{find_country(codes, column)}:{column}"
    decimal = table.decimal if table.text else None
    update["inferred"] = TextSettings(delimiter=table.delimiter, decimal=decimal)
    return schema.model_copy(update=update), dated


def columns_of_fit(schema: Schema) -> Names:
    """Return the columns that a table must have, as the fit used them."""
    needed = (*schema.time, *schema.known, *schema.past, *schema.static)
    needed += holiday_columns(schema.holidays)
    if schema.target:
        needed += (*schema.ids, schema.target)
    elif not schema.all_columns:
        needed += schema.series
    return needed


def check_schema(schema: Schema, table: Table) -> None:
    """Refuse a table that lacks a column that the fit used; the columns may be in any order."""
    if schema.dated:
        require_columns(table, columns_of_fit(schema))


def describe(schema: Schema, panel: Panel) -> list[str]:
    """Describe what was inferred, in lines of a key and its value."""
    count = len(panel)
    ids = "" if schema.layout == "wide" or not schema.ids else f" (ids: {', '.join(schema.ids)})"
    values = f"{panel.observed.sum():,} values"
    lines = {"layout": f"{schema.layout}: {count:,} series{ids}, {values}"}
    lines["target"] = schema.target or ""
    if schema.layout == "wide" and count > 1:
        names = [panel.ids[series][0] for series in panel.order]
        first_names = list_names(names, LISTED_COLUMNS, "")
        lines["columns"] = f"{first_names}: each is forecast by itself"
    lines["time"] = _time_text(schema, panel)
    lines["season"] = ", ".join(map(str, schema.season)) or "none"
    shown = {}
    for name, texts in schema.categories.items():
        shown[name] = f"{name} (categories {list_names(texts, 5, '')})"
    for role in ("known", "past", "static"):
        columns = getattr(schema, role)
        lines[role] = ", ".join(shown.get(name, name) for name in columns)
    if schema.known:
        lines["known"] += "; predict needs their values of the horizon"
    if schema.holidays:
        idle = "" if takes_events(schema.calendar) else ", as days that are Sundays"
        regions = {*(panel.regions or [schema.holidays])} - {""}
        names = [f"{region} {region_name(region)}" for region in sorted(regions)]
        prefix = f"{schema.holidays}: " if panel.regions else ""
        lines["holidays"] = prefix + list_names(names, LISTED_COLUMNS, "") + idle
    if schema.dated_events:
        days = sum((event.last - event.day).days + 1 for event in schema.dated_events)
        events = list_names(event_names(schema.dated_events), LISTED_COLUMNS, "")
        lines["events"] = f"{days:,} days: {events}"
    given = schema.reading.model_dump(exclude_defaults=True)
    flags = [as_flag(Setting(name, value)) for name, value in given.items()]
    lines["reading"] = " ".join(flags)
    if schema.successions:
        names = sorted({row.name for row in schema.successions})
        lines["lent"] = f"a past to {list_names(names, LISTED_COLUMNS, '')}"
    lines["left out"] = _ignored_text(schema)
    return [f"{key:<8} {text}" for key, text in lines.items() if text]


def _time_text(schema: Schema, panel: Panel) -> str:
    if not schema.dated:
        return f"step, {panel.lengths.min()} to {panel.longest} for a series"
    ends = np.array([panel.starts.min(), panel.origin])
    texts = position_texts(schema, ends)
    first_to_last = " to ".join(text.removesuffix(" 00:00:00") for text in texts)
    zone = f", {schema.time_format.zone}" if schema.time_format.zone else ""
    return f"{', '.join(schema.time)}: {first_to_last}, every {schema.calendar.name}{zone}"


def _ignored_text(schema: Schema) -> str:
    kinds = schema.calendar_columns
    names = [f"{name} ({kinds[name]})" if name in kinds else name for name in schema.ignored]
    cure = ""
    if schema.layout == "long" and any(name not in kinds for name in schema.ignored):
        cure = "; known, past or static columns help a forecast"
    return list_names(names, LISTED_COLUMNS, "") + cure


def _rows_schema(table: Table, settings: TableSettings) -> Schema:
    rows = Setting("layout", "rows")
    problem = f"a table with one series a row ({rows}) has ids, steps and nothing else"
    for name in ("time", "id", "target", "known", "past", "static", "categorical", "monotone"):
        if getattr(settings, name):
            raise UsageError(problem, setting=Setting(name))
    if settings.freq not in (None, "1"):
        raise UsageError(problem, setting=Setting("freq", settings.freq))
    if settings.missing == "zero":
        raise UsageError(problem, setting=Setting("missing", "zero"))
    if len(table.names) < 2:
        raise BadData(problem, place=table.name)
    return Schema(
        layout="rows",
        time=("step",),
        ids=(table.names[0],),
        calendar=CalendarSpec(kind="steps"),
        time_format=TimeFormat(kind="integer"),
    )


def _timed_schema(
    table: Table, settings: TableSettings, time: Names, times: ParsedTimes
) -> tuple[Schema, ParsedTimes]:
    """Return the schema of a long or wide table, and its times.

    The times are parsed again if they depend on the series of their rows.
    """
    covariates = (*settings.known, *settings.past, *settings.static)
    named = {*time, table.numbering, *covariates}
    if settings.known:
        named.add(AVAILABLE_AT)
    others = [column for column in table.names if column not in named]
    numeric = numeric_columns(table, others)
    if not numeric and not settings.target:
        raise no_numbers(table, others)
    ids = settings.id
    refusals: list[ForecastError] = []
    if settings.layout != "wide" and not ids:
        ids, repeated = id_columns(table, settings, time, times, others, numeric)
        refusals += [repeated] if repeated else []
    layout = settings.layout or ("long" if ids else "wide")
    numeric = [column for column in numeric if column not in ids]
    repeating = {} if settings.target else calendar_columns(table, numeric, times)
    numeric = [column for column in numeric if column not in repeating]

    roles: dict[str, Any]
    if layout == "long":
        target = ""
        with collect_errors(refusals):
            target = target_column(table, settings, numeric)
        used = {*ids, target, *holiday_columns(settings.holidays)}
        codes = id_codes(table, ids)[1]
        whole_ids = tuple(column for column in ids if table.kind(column) == "whole")
        roles = {"ids": ids, "target": target, "whole_ids": whole_ids}
    else:
        if settings.static or holiday_columns(settings.holidays):
            raise UsageError(
                "a wide table has no place for values fixed per series",
                setting=Setting("static"),
                cure="use a long table",
            )
        free = [column for column in others if column not in repeating]
        series = settings.target or tuple(
            column for column in free if column in numeric or is_blank(table, column)
        )
        used = set(series)
        codes = np.zeros(len(table), np.int64)
        roles = {"ids": ("series",), "series": series, "all_columns": not settings.target}
    if times.needs_series:
        reading = TimeSettings.at_fit(settings, times.format.pivot)
        times = parse_times(table, time, reading, codes)
    with collect_errors(refusals):
        calendar = _calendar(table, settings, time, times, codes)
    if refusals:
        raise together(refusals)
    ignored = tuple(column for column in others if column not in used)
    schema = Schema(
        layout=layout,
        time=time,
        **roles,
        calendar=calendar,
        time_format=times.format,
        categories=find_categories(table, covariates, settings.categorical),
        ignored=ignored,
        calendar_columns=repeating,
    )
    return schema, times


def _calendar(
    table: Table, settings: TableSettings, time: Names, times: ParsedTimes, series: Integers
) -> CalendarSpec:
    def place(timestamp: int) -> str:
        return table.place(np.argmax(times.timestamps == timestamp), time)

    is_finer = settings.aggregate is not None
    return infer_calendar(times.timestamps, series, settings.freq, times.format, is_finer, place)
