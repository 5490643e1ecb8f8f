"""Infer how a table becomes series on a calendar."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.spec import CalendarSpec, TimeFormat, TimeSettings
from forecast.errors import BadData, Setting, UsageError, Words, as_flag
from forecast.events.marks import takes_events
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, calendar_of, event_names, position_texts
from forecast.reading.calendar_columns import calendar_columns
from forecast.reading.categories import categories_of
from forecast.reading.dated import DatedTable
from forecast.reading.observations import id_codes
from forecast.reading.roles import AVAILABLE_AT, id_columns, no_numbers, target_column
from forecast.settings import TableSettings, TextSettings
from forecast.tables.files import reading_flags
from forecast.tables.headers import refuse_missing
from forecast.tables.numbers import is_blank, numeric_columns
from forecast.tables.table import Table
from forecast.tables.writing import refuse_clash

LISTED_COLUMNS = 10  # columns that a line names
CONSTANT, STATIC = "the same in all rows", "the same in each series"
MOST_SUMMED = 1_000  # series, one of which may be the sum of the others
ROUNDED = 1e-3  # of the largest value, by which a sum may differ from that of rounded values
FIRST_CATEGORIES = 5  # categories that a line names

# settings that a schema takes as they are, and those that it takes too where the table has times
ROWS_SETTINGS = ("categorical", "on_duplicate", "max_missing", "missing", "freq", "strict")
TIMED_SETTINGS = ("known", "past", "static", "holidays", "aggregate", "date_format", "timezone", "dst")


def infer_schema(
    dated: DatedTable, settings: TableSettings, reserved: Sequence[str] = ("forecast",)
) -> tuple[Schema, DatedTable]:
    """Infer how a table becomes series: layout, ids, target, calendar; only seasons that are given.

    The settings, by which the table was dated, win; the output has the `reserved` columns beside ids and times. The
    table comes back with its times parsed again if clock changes leave open which series they belong to.
    """
    table = dated.table
    if dated.times is None:
        schema, names = _rows_schema(table, settings), set(ROWS_SETTINGS)
    else:
        schema, times = _timed_schema(table, settings, dated.time, dated.times)
        dated, names = replace(dated, times=times), {*ROWS_SETTINGS, *TIMED_SETTINGS}
    refuse_clash(schema.keys, reserved)
    given = {name: getattr(settings, name) for name in names}
    season = tuple(sorted(set(settings.season)))
    inferred = TextSettings(delimiter=table.delimiter, decimal=table.decimal if table.text else None)
    return schema.model_copy(update={**given, "season": season, "reading": table.reading, "inferred": inferred}), dated


def check_schema(schema: Schema, table: Table) -> None:
    """Refuse a table that lacks a column that was used at fit; their order is free."""
    if schema.layout == "rows":
        return
    target = () if schema.target is None else (schema.target,)
    series = (*schema.ids, *target) if schema.layout == "long" else () if schema.all_columns else schema.series
    refuse_missing(table, (*schema.time, *schema.known, *schema.past, *schema.static, *series))


def describe(schema: Schema, panel: Panel) -> list[str]:
    """What was read and inferred, a line for each thing."""
    calendar = calendar_of(schema)
    count, steps = len(panel), int(panel.observed.sum())
    ids = "" if schema.layout == "wide" or not schema.ids else f" (ids: {', '.join(schema.ids)})"
    lines = [f"layout   {schema.layout}: {count:,} series{ids}, {steps:,} values"]
    if schema.target:
        lines.append(f"target   {schema.target}")
    if schema.layout == "wide" and count > 1:
        names = [panel.ids[series][0] for series in panel.order]
        lines.append(f"columns  {_listed(names)}: each is forecast by itself")
    if schema.layout != "long" and (total := _total(panel)):
        lines.append(f"total    {total} is the sum of the other {'columns' if schema.layout == 'wide' else 'rows'}")
    zone = f", {schema.time_format.zone}" if schema.time_format.zone else ""
    if not schema.dated:
        lines.append(f"time     step, {int(panel.lengths.min())} to {int(panel.lengths.max())} for a series")
    else:
        ends = position_texts(schema, calendar, np.array([panel.starts.min(), panel.origins.max()]))
        first, last = (text.removesuffix(" 00:00:00") for text in ends)
        lines.append(f"time     {', '.join(schema.time)}: {first} to {last}, every {schema.calendar.name}{zone}")
    lines.append(f"season   {', '.join(map(str, schema.season)) or 'none'}")
    for word, columns in (("known", schema.known), ("past", schema.past), ("static", schema.static)):
        if columns:
            ahead = "; predict needs their values of the horizon" if word == "known" else ""
            lines.append(f"{word:<8} {', '.join(_shown(column, schema) for column in columns)}{ahead}")
    if schema.holidays:
        idle = "" if takes_events(schema.calendar) else f", without effect on steps of {schema.calendar.name}"
        lines.append(f"holidays {schema.holidays}{idle}")
    if schema.dated_events:
        count = sum((event.last - event.day).days + 1 for event in schema.dated_events)
        lines.append(f"events   {count:,} days: {_listed(event_names(schema.dated_events))}")
    if flags := reading_flags(schema.reading):
        lines.append(f"reading  {flags}")
    if schema.ignored:
        kinds = [schema.calendar_columns.get(name) for name in schema.ignored]
        shown = [f"{name} ({kind})" if kind else name for name, kind in zip(schema.ignored, kinds, strict=True)]
        static = [name for name, kind in zip(schema.ignored, kinds, strict=True) if kind == STATIC]
        it, flag = "it" if len(static) == 1 else "them", as_flag(Setting("static", static))
        cures = [f"; use {flag} to learn from {it}"] if static else []
        cures += ["; known, past or static columns help a forecast"] * (schema.layout == "long" and None in kinds)
        lines.append("".join([f"left out {_listed(shown)}", *cures]))
    return lines


def _listed(names: Sequence[str], count: int = LISTED_COLUMNS) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:count]) + (f" and {len(names) - count:,} more" if len(names) > count else "")


def _shown(column: str, schema: Schema) -> str:
    """A covariate, with its first categories where it has some."""
    names = schema.categories.get(column)
    return column if names is None else f"{column} (categories {_listed(names, FIRST_CATEGORIES)})"


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
    """The schema of a table with one series a row."""
    named = ("time", "id", "target", "known", "past", "static", "categorical")
    faults = [(Setting(name), "has no such columns") for name in named if getattr(settings, name)]
    faults += [(Setting("freq", settings.freq), "has only steps")] * (settings.freq not in (None, "1"))
    faults += [(Setting("missing", "zero"), "has no absent rows")] * (settings.missing == "zero")
    if faults:
        rows = Words("a table with one series a row (", Setting("layout", "rows"), f") {faults[0][1]}")
        raise UsageError(rows, setting=faults[0][0])
    if len(table.names) < 2:
        problem = Words(Setting("layout", "rows"), " needs an id column and a column for each step")
        raise BadData(problem, place=table.name)
    steps, time_format = CalendarSpec(kind="steps"), TimeFormat(kind="integer")
    return Schema(layout="rows", time=("step",), ids=(table.names[0],), calendar=steps, time_format=time_format)


def _timed_schema(
    table: Table, settings: TableSettings, time: tuple[str, ...], times: ParsedTimes
) -> tuple[Schema, ParsedTimes]:
    """The schema of a long or wide table, and its times, parsed by series where they depend on them."""
    covariates = (*settings.known, *settings.past, *settings.static)
    vintages = (AVAILABLE_AT,) if settings.known else ()
    named = {*time, table.numbering, *covariates, *vintages}
    others = [column for column in table.names if column not in named]
    numeric = [c for c, is_number in zip(others, numeric_columns(table, others), strict=True) if is_number]
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
        target = target_column(table, settings, [column for column in free if column not in of_calendar])
        codes = id_codes(table, ids)[1]
    else:
        if settings.static:
            problem = "a wide table has no place for values fixed per series"
            raise UsageError(problem, setting=Setting("static"), cure="use a long table")
        series = settings.target or _series(table, others, numeric, of_calendar)
        all_columns, ids = not settings.target, ("series",)
        codes = np.zeros(len(times.timestamps), np.int64)
    if times.needs_series:
        times = parse_times(table, time, TimeSettings.at_fit(settings), codes)

    def place(timestamp: int) -> str:
        return table.place(int(np.argmax(times.timestamps == timestamp)), time)

    given = (settings.freq, times.format)
    calendar = infer_calendar(
        times.timestamps, codes, *given, aggregate=settings.aggregate, name=table.name, place=place
    )
    ignored = tuple(c for c in table.names if c not in {*ids, target, *series, *time, *covariates, *vintages})
    plain = (column for column in ignored if table.kind(column) != "other")  # a cell may hold a list
    constant = {c: kind for c in plain if (kind := _constant(table, c, codes if layout == "long" else None))}
    schema = Schema(
        layout="long" if layout == "long" else "wide",
        time=time,
        ids=ids,
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


def _series(table: Table, others: list[str], numeric: list[str], left_out: dict[str, str]) -> tuple[str, ...]:
    """The columns of a wide table that are series: numbers, and those without a value yet."""
    numbers = set(numeric)
    return tuple(c for c in others if (c not in left_out if c in numbers else is_blank(table, c)))
