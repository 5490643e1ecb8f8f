"""Read a table once: parse its times, infer how it becomes series or check that, and build its panel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.calendar import default_horizon
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.spec import CalendarSpec, TimeFormat, TimeSettings
from forecast.errors import BadData, Setting, UsageError, Words, as_flag
from forecast.events.kinds import covered, has_kind, takes_events, without, without_shifts
from forecast.events.table import read_events
from forecast.panel.panel import Panel
from forecast.panel.schema import (
    Names,
    Schema,
    calendar_of,
    event_names,
    position_texts,
    time_columns_at,
)
from forecast.panel.season import lags_and_lookback, panel_seasons
from forecast.reading.building import (
    Grid,
    build_panel,
    check_rows,
    fill,
    warn_gaps,
    warn_sparse,
    with_future,
)
from forecast.reading.comparing import warn_blank, warn_status, with_status
from forecast.reading.dated import DatedTable, dated_table
from forecast.reading.observations import (
    Observations,
    categories_of,
    id_codes,
    observe,
    wide_columns,
)
from forecast.reading.roles import (
    AVAILABLE_AT,
    calendar_columns,
    id_columns,
    no_numbers,
    target_column,
)
from forecast.reading.vintages import describe_vintages, known_by, one_row_a_time, with_vintages
from forecast.settings import TableSettings, TextSettings
from forecast.tables.cells import is_blank, numeric_columns
from forecast.tables.headers import listed, refuse_missing
from forecast.tables.table import Table
from forecast.tables.writing import refuse_clash

# fields of a schema that decide the values of a table on the grid, and with it the covariates
GRID_FIELDS = [
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
]
COVARIATE_FIELDS = ["known", "past", "static", "categories"]
LISTED_COLUMNS = 10  # columns that a line names
CONSTANT, STATIC = "the same in all rows", "the same in each series"
MOST_SUMMED = 1_000  # series, one of which may be the sum of the others
ROUNDED = 1e-3  # of the largest value, by which a sum may differ from that of rounded values


@dataclass(frozen=True)
class Reading:
    schema: Schema
    panel: Panel  # its series, with the slots to forecast behind them
    dated: DatedTable
    observations: Observations
    grid: Grid
    lookback: int | None = (
        None  # steps that a forecast looks back; None where the statuses do not depend on it
    )

    @property
    def name(self) -> str:  # what messages call the table
        return self.dated.name


Source = Table | DatedTable | Reading


def read(
    source: Table | DatedTable,
    settings: TableSettings,
    *,
    horizon: int | None = None,
    lookback: int | None = None,
    reserved: Sequence[str] = ("forecast",),
    events: Any = None,
    future: Table | None = None,
) -> Reading:
    """Infer how a table becomes series, and build its panel; the settings of the user win over what it looks like.

    The horizon is by default what the frequency suggests, the lookback follows from it and the season. Events are a
    table, a frame or the path of a file; `reserved` are columns that the output will have, `future` more rows of
    columns known in advance.
    """
    dated = source if isinstance(source, DatedTable) else dated_table(source, settings)
    schema, dated = infer_schema(dated, settings, reserved)
    dated = one_row_a_time(dated, schema)
    observations = _observed(dated, schema)
    if (events := settings.events if events is None else events) is not None:
        schema = schema.model_copy(
            update={"dated_events": read_events(events, schema, observations.ids)}
        )
    observations, grid = _on_grid(dated, schema, observations)
    ahead = horizon or default_horizon(schema.calendar, schema.season)
    panel = _panel(dated, schema, observations, grid, ahead)
    if not schema.season:
        schema = schema.model_copy(
            update={"season": panel_seasons(without_shifts(panel, schema), schema.calendar)}
        )
        if (
            horizon is None
            and (ahead := default_horizon(schema.calendar, schema.season)) != panel.ahead
        ):
            panel = _panel(dated, schema, observations, grid, ahead)
    if future is not None:
        panel = with_future(panel, future, schema, instant=dated.instant)
    warn_gaps(panel, schema, dated.name)
    warn_sparse(dated.name, grid, panel, schema)
    _, lookback = lags_and_lookback(panel, schema.season, lookback)
    return Reading(
        schema, with_status(panel, schema, lookback), dated, observations, grid, lookback
    )


def read_as(
    source: Source,
    schema: Schema,
    *,
    horizon: int,
    lookback: int | None = None,
    future: Table | None = None,
    origin: str | None = None,
    reach: int | None = None,
) -> Reading:
    """Read a table by the schema of an earlier fit; only parts that a reading does not hold already are read.

    By the lookback series get the statuses short and ended. `future` has more rows of columns known in advance, which
    hold for all series where it has no id columns. Values after the `origin` are not used. A part of a table has the
    `reach` of the whole, see `reach_of`.
    """
    dated = source.dated if isinstance(source, Reading) else source
    check_schema(schema, dated.table if isinstance(dated, DatedTable) else dated)
    dated = one_row_a_time(
        dated if isinstance(dated, DatedTable) else dated_table(dated, schema), schema
    )
    before = (
        source
        if isinstance(source, Reading) and origin is None and _same_grid(source, schema)
        else None
    )
    if before is not None:
        observations, grid = before.observations, before.grid
    else:
        observations, grid = _on_grid(dated, schema, _observed(dated, schema, reach), origin, reach)
    if before and horizon == before.panel.ahead and _alike(before.schema, schema, COVARIATE_FIELDS):
        panel = before.panel
    else:
        panel = _panel(dated, schema, observations, grid, horizon)
    if before is None:
        warn_gaps(panel, schema, dated.name)
    if future is not None:
        panel = with_future(panel, future, schema, instant=dated.instant)
    panel = with_status(panel, schema, lookback)
    if lookback is not None:
        warn_status(
            panel, schema, dated.name, () if before is None else before.panel.status, reach is None
        )
    return Reading(schema, panel, dated, observations, grid, lookback)


def reach_of(times: Table, schema: Schema) -> int:
    """The newest time of a value of a table that is read in parts, from a row of each time; these are checked."""
    dated = known_by(dated_table(times, schema), schema)
    observations, _ = _on_grid(dated, schema, _observed(dated, schema))
    return int(observations.timestamps[np.isfinite(observations.values)].max())


def check_to_fit(reading: Reading) -> None:
    """Warn of what a fit cannot use, and refuse a table without a series to forecast, or whose times run out."""
    panel, schema = reading.panel, reading.schema
    warn_status(panel, schema, reading.name)
    time_columns_at(schema, calendar_of(schema), panel.origins.max(keepdims=True) + panel.ahead)
    warn_blank(panel, schema, reading.name)


def describe_reading(reading: Reading) -> list[str]:
    last = f"horizon  {reading.panel.ahead}, from the last {reading.lookback} steps"
    return [
        *describe(reading.schema, reading.panel),
        *describe_vintages(reading.panel, reading.schema),
        last,
    ]


def _panel(
    dated: DatedTable, schema: Schema, observations: Observations, grid: Grid, horizon: int
) -> Panel:
    panel = without(build_panel(dated.table, schema, observations, grid, horizon), schema, "ignore")
    return (
        panel
        if dated.vintages is None
        else with_vintages(panel, dated.vintages, schema, whole=True)
    )


def _observed(dated: DatedTable, schema: Schema, reach: int | None = None) -> Observations:
    observations = observe(dated.table, schema, dated.times_by(schema))
    check_rows(dated.table, observations, schema, whole=reach is None)
    return observations


def _on_grid(
    dated: DatedTable,
    schema: Schema,
    observations: Observations,
    origin: str | None = None,
    reach: int | None = None,
) -> tuple[Observations, Grid]:
    """The observations of a table, blank where events say so, and their values on the grid."""
    if has_kind(schema, "ignore") and len(observations.values):
        positions, count = (
            calendar_of(schema).positions(observations.timestamps),
            len(observations.ids),
        )
        first, size = positions.min(), int(np.ptp(positions)) + 1
        starts, offsets = np.full(count, first), np.arange(count + 1) * size
        blank = covered(observations.ids, starts, offsets, schema, "ignore")
        row = observations.series * size + positions - first
        observations = replace(
            observations, values=np.where(blank[row], np.nan, observations.values)
        )
    return observations, fill(dated.table, observations, schema, origin, reach)


def _same_grid(reading: Reading, schema: Schema) -> bool:
    """Whether another schema brings the same values to the same grid."""
    table = reading.dated.table
    same_series = schema.layout != "wide" or wide_columns(table, schema) == wide_columns(
        table, reading.schema
    )
    now, before = (
        [event for event in s.dated_events if event.kind == "ignore"]
        for s in (schema, reading.schema)
    )
    return same_series and now == before and _alike(reading.schema, schema, GRID_FIELDS)


def _alike(schema: Schema, other: Schema, fields: Sequence[str]) -> bool:
    return all(getattr(schema, field) == getattr(other, field) for field in fields)


def infer_schema(
    dated: DatedTable, settings: TableSettings, reserved: Sequence[str] = ("forecast",)
) -> tuple[Schema, DatedTable]:
    """Infer how a table becomes series: layout, ids, target, calendar; only seasons that are given.

    The settings, by which the table was dated, win; the output has the `reserved` columns beside ids and times. The
    table comes back with its times parsed again if clock changes leave open which series they belong to.
    """
    table = dated.table
    if isinstance(dated.settings, TableSettings):
        settings = dated.settings  # with whole names of columns
    names = (TableSettings.model_fields.keys() & Schema.model_fields) - {
        "layout",
        "time",
        "target",
        "season",
    }
    if dated.times is None:
        schema, names = _rows_schema(table, settings), names - {"aggregate", "holidays"}
    else:
        schema, times = _timed_schema(table, settings, dated.time, dated.times)
        dated = replace(dated, times=times)
    refuse_clash(schema.keys, reserved)
    given = {name: getattr(settings, name) for name in names}
    season = tuple(sorted(set(settings.season)))
    inferred = TextSettings(
        delimiter=table.delimiter, decimal=table.decimal if table.text else None
    )
    return schema.model_copy(
        update={**given, "season": season, "reading": table.reading, "inferred": inferred}
    ), dated


def check_schema(schema: Schema, table: Table) -> None:
    """Refuse a table that lacks a column that was used at fit; their order is free."""
    if schema.layout == "rows":
        return
    target = () if schema.target is None else (schema.target,)
    series = (
        (*schema.ids, *target)
        if schema.layout == "long"
        else ()
        if schema.all_columns
        else schema.series
    )
    refuse_missing(table, (*schema.time, *schema.known, *schema.past, *schema.static, *series))


def describe(schema: Schema, panel: Panel) -> list[str]:
    calendar = calendar_of(schema)
    count, steps = len(panel), int(panel.observed.sum())
    ids = "" if schema.layout == "wide" or not schema.ids else f" (ids: {', '.join(schema.ids)})"
    lines = [f"layout   {schema.layout}: {count:,} series{ids}, {steps:,} values"]
    if schema.target:
        lines.append(f"target   {schema.target}")
    if schema.layout == "wide" and count > 1:
        names = [panel.ids[series][0] for series in panel.order]
        lines.append(f"columns  {listed(names, LISTED_COLUMNS, '')}: each is forecast by itself")
    if schema.layout != "long" and (total := _total(panel)):
        lines.append(
            f"total    {total} is the sum of the other {'columns' if schema.layout == 'wide' else 'rows'}"
        )
    zone = f", {schema.time_format.zone}" if schema.time_format.zone else ""
    if not schema.dated:
        lines.append(
            f"time     step, {int(panel.lengths.min())} to {int(panel.lengths.max())} for a series"
        )
    else:
        ends = position_texts(schema, calendar, np.array([panel.starts.min(), panel.origins.max()]))
        first, last = (text.removesuffix(" 00:00:00") for text in ends)
        lines.append(
            f"time     {', '.join(schema.time)}: {first} to {last}, every {schema.calendar.name}{zone}"
        )
    lines.append(f"season   {', '.join(map(str, schema.season)) or 'none'}")
    shown = {
        name: f"{name} (categories {listed(texts, 5, '')})"
        for name, texts in schema.categories.items()
    }
    for word, columns in (
        ("known", schema.known),
        ("past", schema.past),
        ("static", schema.static),
    ):
        if columns:
            ahead = "; predict needs their values of the horizon" if word == "known" else ""
            lines.append(
                f"{word:<8} {', '.join(shown.get(column, column) for column in columns)}{ahead}"
            )
    if schema.holidays:
        idle = (
            ""
            if takes_events(schema.calendar)
            else f", without effect on steps of {schema.calendar.name}"
        )
        lines.append(f"holidays {schema.holidays}{idle}")
    if schema.dated_events:
        count = sum((event.last - event.day).days + 1 for event in schema.dated_events)
        lines.append(
            f"events   {count:,} days: {listed(event_names(schema.dated_events), LISTED_COLUMNS, '')}"
        )
    if given := schema.reading.model_dump(exclude_defaults=True):
        lines.append(
            f"reading  {' '.join(as_flag(Setting(name, value)) for name, value in given.items())}"
        )
    if schema.ignored:
        kinds = [schema.calendar_columns.get(name) for name in schema.ignored]
        ignored = [
            f"{name} ({kind})" if kind else name
            for name, kind in zip(schema.ignored, kinds, strict=True)
        ]
        static = [name for name, kind in zip(schema.ignored, kinds, strict=True) if kind == STATIC]
        it, flag = "it" if len(static) == 1 else "them", as_flag(Setting("static", static))
        cures = [f"; use {flag} to learn from {it}"] if static else []
        cures += ["; known, past or static columns help a forecast"] * (
            schema.layout == "long" and None in kinds
        )
        lines.append("".join([f"left out {listed(ignored, LISTED_COLUMNS, '')}", *cures]))
    return lines


def _total(panel: Panel) -> str:
    """The series that is the sum of all others wherever all are observed, up to rounding; "" where none is."""
    first, last = panel.starts.max(), panel.origins.min()
    if not 2 < len(panel) <= MOST_SUMMED or last < first:  # of two equal series, either would be
        return ""
    slots = (panel.offsets[:-1] + first - panel.starts)[:, None] + np.arange(last - first + 1)
    values = panel.values[slots] * panel.observed[slots].all(0)
    size, off = np.abs(values).max(1), np.abs(values.sum(0) - 2 * values).max(1)
    return next((panel.ids[i][0] for i in np.flatnonzero((size > 0) & (off <= ROUNDED * size))), "")


def _rows_schema(table: Table, settings: TableSettings) -> Schema:
    named = ("time", "id", "target", "known", "past", "static", "categorical")
    unfit = [Setting(name) for name in named if getattr(settings, name)]
    unfit += [Setting("freq", settings.freq)] * (settings.freq not in (None, "1"))
    unfit += [Setting("missing", "zero")] * (settings.missing == "zero")
    if unfit or len(table.names) < 2:
        rows = Words(
            "a table with one series a row (",
            Setting("layout", "rows"),
            ") has ids, steps and nothing else",
        )
        raise UsageError(rows, setting=unfit[0]) if unfit else BadData(rows, place=table.name)
    steps, time_format = CalendarSpec(kind="steps"), TimeFormat(kind="integer")
    return Schema(
        layout="rows",
        time=("step",),
        ids=(table.names[0],),
        calendar=steps,
        time_format=time_format,
    )


def _timed_schema(
    table: Table, settings: TableSettings, time: Names, times: ParsedTimes
) -> tuple[Schema, ParsedTimes]:
    """The schema of a long or wide table, and its times, parsed by series where they depend on them."""
    covariates = (*settings.known, *settings.past, *settings.static)
    vintages = (AVAILABLE_AT,) if settings.known else ()
    named = {*time, table.numbering, *covariates, *vintages}
    others = [column for column in table.names if column not in named]
    numeric = numeric_columns(table, others)
    if not numeric and not settings.target:
        raise no_numbers(table, others)
    layout = settings.layout or ("long" if settings.id else None)
    ids = settings.id
    if layout != "wide" and not ids:
        ids = id_columns(table, settings, time, times, others, numeric)
        layout = layout or ("long" if ids else "wide")
    free = [column for column in numeric if column not in ids]
    of_calendar = {} if settings.target else calendar_columns(table, free, times)
    target, series, all_columns = None, tuple[str, ...](), True
    if layout == "long":
        target = target_column(
            table, settings, [column for column in free if column not in of_calendar]
        )
        codes = id_codes(table, ids)[1]
    else:
        if settings.static:
            problem = "a wide table has no place for values fixed per series"
            raise UsageError(problem, setting=Setting("static"), cure="use a long table")
        numbers = set(numeric)  # and columns without a value yet
        found = (
            c for c in others if (c not in of_calendar if c in numbers else is_blank(table, c))
        )
        series = settings.target or tuple(found)
        all_columns, ids = not settings.target, ("series",)
        codes = np.zeros(len(times.timestamps), np.int64)
    if times.needs_series:
        times = parse_times(table, time, TimeSettings.at_fit(settings, times.format.pivot), codes)

    def place(timestamp: int) -> str:
        return table.place(int(np.argmax(times.timestamps == timestamp)), time)

    given = (settings.freq, times.format, settings.aggregate is not None)
    calendar = infer_calendar(times.timestamps, codes, *given, place)
    ignored = tuple(
        c for c in table.names if c not in {*ids, target, *series, *time, *covariates, *vintages}
    )
    plain = (
        column for column in ignored if table.kind(column) != "other"
    )  # a cell may hold a list
    constant = {
        c: kind for c in plain if (kind := _constant(table, c, codes if layout == "long" else None))
    }
    schema = Schema(
        layout="long" if layout == "long" else "wide",
        time=time,
        ids=ids,
        whole_ids=tuple(
            column for column in ids if layout == "long" and table.kind(column) == "whole"
        ),
        target=target,
        series=series,
        all_columns=all_columns,
        calendar=calendar,
        time_format=times.format,
        categories=categories_of(table, covariates, settings.categorical),
        ignored=ignored,
        calendar_columns=constant | of_calendar,
    )
    return schema, times


def _constant(table: Table, column: str, series: NDArray[np.int64] | None) -> str | None:
    """Whether a column has one value, or in a long table one in each series, [rows]."""
    values, distinct = table.distinct(column)
    if len(distinct) == 1:
        return CONSTANT
    if series is None or len(distinct) > (count := int(series.max()) + 1):
        return None
    return STATIC if len(np.unique(series * len(distinct) + values)) == count else None
