"""Infer how a table becomes series on a calendar."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from forecast.errors import BadData, Setting, UsageError, Words
from forecast.series.building import calendar_of, format_positions
from forecast.series.calendar import season_candidates
from forecast.series.columns import categories_of, refuse_missing
from forecast.series.frequency import infer_calendar, parse_frequency
from forecast.series.grid import fill
from forecast.series.numbers import is_blank, numeric_columns
from forecast.series.observations import id_codes, observe
from forecast.series.panel import Panel
from forecast.series.roles import id_columns, no_numbers, target_column
from forecast.series.schema import CalendarSpec, Schema, TimeFormat
from forecast.series.season import SERIES, SLOTS, confirm_seasons
from forecast.series.table import Table
from forecast.series.times import TIME_NAMES, ParsedTimes, looks_like_times, parse_times, resembles_times
from forecast.series.writing import refuse_clash
from forecast.settings import TableSettings

logger = logging.getLogger("forecast")


def infer_schema(table: Table, settings: TableSettings) -> Schema:
    """Infer how a table becomes series: layout, time, ids, target, calendar, season.

    Parameters
    ----------
    table : the table
    settings : what the user said; it wins over what the table looks like

    Raises
    ------
    BadData
        If a column that is named is missing, times cannot be read, rows repeat a series and time, or an id or time
        column has the name of a column of the forecasts.
    UsageError
        If settings contradict each other, or the target of a long table is open.
    """
    _refuse_contradictions(table, settings)
    with _unsaid():  # building the panel says the same repairs
        if settings.layout == "rows" or (settings.layout is None and settings.time is None and _looks_like_rows(table)):
            schema = _rows_schema(table, settings)
        else:
            time = settings.time or _time_column(table, settings)
            schema = _timed_schema(table, settings, time, parse_times(table, time, settings))
        refuse_clash(schema, ("forecast",))
        season = tuple(sorted(set(settings.season))) or _season(table, schema)
    return schema.model_copy(update={"season": season})


def check_schema(schema: Schema, table: Table) -> None:
    """Check that a table has the columns that were used at fit, in any order.

    Raises
    ------
    BadData
        If one is missing, with those found.
    """
    if schema.layout == "rows":
        return
    needed = [schema.time, *schema.known, *schema.past, *schema.static]
    if schema.layout == "long":
        needed += [*schema.ids, *([schema.target] if schema.target is not None else [])]
    elif not schema.all_columns:
        needed += schema.series
    refuse_missing(table, tuple(needed))


def describe(schema: Schema, panel: Panel) -> list[str]:
    """Say what was read and inferred, a line for each thing."""
    calendar = calendar_of(schema)
    count, steps = len(panel), int(panel.observed.sum())
    ids = "" if schema.layout == "wide" or not schema.ids else f" (ids: {', '.join(schema.ids)})"
    lines = [f"layout   {schema.layout}: {count:,} series{ids}, {steps:,} values"]
    if schema.target:
        lines.append(f"target   {schema.target}")
    zone = f", {schema.time_format.zone}" if schema.time_format.zone else ""
    if schema.layout == "rows":
        lines.append(f"time     step, {int(panel.lengths.min())} to {int(panel.lengths.max())} for a series")
    else:
        ends = format_positions(schema, calendar, np.array([panel.starts.min(), panel.origins.max()]))
        first, last = (str(time).removesuffix(" 00:00:00") for time in ends)
        lines.append(f"time     {schema.time}: {first} to {last}, every {schema.calendar.name}{zone}")
    lines.append(f"season   {', '.join(str(length) for length in schema.season) or 'none'}")
    for word, columns in (("known", schema.known), ("past", schema.past), ("static", schema.static)):
        if columns:
            lines.append(f"{word:<8} {', '.join(columns)}")
    if schema.holidays:
        lines.append(f"holidays {schema.holidays}")
    if schema.ignored:
        more = f" and {len(schema.ignored) - 10} more" if len(schema.ignored) > 10 else ""
        lines.append(f"left out {', '.join(schema.ignored[:10])}{more}")
    return lines


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep the warnings of a first look to itself."""

    def drop(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)


def _refuse_contradictions(table: Table, settings: TableSettings) -> None:
    """Refuse missing columns, columns with two roles, and flags that do not go together."""
    roles = {
        "time": (settings.time,) if settings.time else (),
        **{name: getattr(settings, name) for name in ("id", "target", "known", "past", "static")},
    }
    refuse_missing(table, tuple(column for columns in roles.values() for column in columns))
    seen: dict[str, str] = {}
    for role, columns in roles.items():
        for column in columns:
            if column in seen:
                both = Words(Setting(seen[column]), " and by ", Setting(role))
                raise UsageError(Words(f"column '{column}' is named by ", both), cure="name it once")
            seen[column] = role
    if settings.freq is not None:
        parse_frequency(settings.freq)
    if settings.aggregate and not settings.freq:
        setting = Setting("aggregate", settings.aggregate)
        raise UsageError(Words("pass the ", Setting("freq"), " to bring the table to"), setting=setting)


def _looks_like_rows(table: Table) -> bool:
    """Whether each row is surely a series: ids, then columns that are only numbered, and no time column."""
    columns = [str(column) for column in table.frame.columns]
    # under row numbers a 0, 1, 2 is a series, as pandas names the columns of an array
    numbered = r"[Vv]?\d+" if columns[0] != table.numbering else r"[Vv]\d+"
    if len(columns) < 3 or not all(re.fullmatch(numbered, column) for column in columns[1:]):
        return False
    return columns[0] == table.numbering or not looks_like_times(table, columns[0])


def _rows_schema(table: Table, settings: TableSettings) -> Schema:
    """The schema of a table with one series a row."""
    rows = Words("a table with one series a row (", Setting("layout", "rows"), ")")
    for name in ("time", "id", "target", "known", "past", "static"):
        if getattr(settings, name):
            raise UsageError(Words(rows, " has no such columns"), setting=Setting(name))
    if settings.freq not in (None, "1"):
        raise UsageError(Words(rows, " has only steps"), setting=Setting("freq", settings.freq))
    columns = [str(column) for column in table.frame.columns]
    if len(columns) < 2:
        problem = Words(Setting("layout", "rows"), " needs an id column and a column for each step")
        raise BadData(problem, place=table.name)
    return Schema(
        layout="rows",
        time="step",
        ids=(columns[0],),
        calendar=CalendarSpec(kind="steps"),
        time_format=TimeFormat(kind="integer"),
        on_duplicate=settings.on_duplicate,
        max_missing=settings.max_missing,
        freq=settings.freq,
        strict=settings.strict,
    )


def _time_column(table: Table, settings: TableSettings) -> str:
    """The column that parses as times all the way down."""
    named = {*settings.id, *settings.target, *settings.known, *settings.past, *settings.static}
    columns = [str(column) for column in table.frame.columns if column not in named]
    found = [column for column in columns if column != table.numbering and looks_like_times(table, column)]
    by_name = sorted((c for c in found if c.lower() in TIME_NAMES), key=lambda c: TIME_NAMES.index(c.lower()))
    if len(found) == 1 or by_name:
        return by_name[0] if by_name else found[0]
    if found:
        cure = Words("name the one to use with ", Setting("time"))
        raise UsageError(f"columns {', '.join(found)} all hold times", place=table.name, cure=cure)
    nearly = [c for c in columns if c != table.numbering and resembles_times(table, c)]
    if nearly or table.numbering in columns:
        return nearly[0] if nearly else str(table.numbering)
    if table.text and len(columns) == 1:
        cure = Words("pass ", Setting("delimiter"), " if there are several")
        raise BadData(f"all lines have one column, '{columns[0]}'", place=table.name, cure=cure)
    numbers = [column for column in columns if looks_like_times(table, column, told=True)]
    hint = f" ({numbers[0]} can hold numbers that are times)" if numbers else ""
    raise BadData(
        f"no column holds times (columns: {', '.join(columns[:20])})",
        place=table.name,
        cure=Words(
            "name it with ", Setting("time"), f"{hint}, or pass ", Setting("layout", "rows"), " if each row is a series"
        ),
    )


def _timed_schema(table: Table, settings: TableSettings, time: str, times: ParsedTimes) -> Schema:
    """The schema of a long or wide table."""
    covariates = (*settings.known, *settings.past, *settings.static)
    own = {time, table.numbering, *covariates}
    others = [str(column) for column in table.frame.columns if column not in own]
    numeric = [c for c, is_number in zip(others, numeric_columns(table, others), strict=True) if is_number]
    if not numeric and not settings.target:
        raise no_numbers(table, others)
    layout = settings.layout or ("long" if settings.id else None)
    ids = settings.id
    if layout != "wide" and not ids:
        ids = id_columns(table, settings, time, times, others, numeric)
        layout = layout or ("long" if ids else "wide")
    target: str | None = None
    series: tuple[str, ...] = ()
    all_columns = True
    if layout == "long":
        target = target_column(table, settings, [column for column in numeric if column not in ids])
        codes = id_codes(table, ids)[1]
    else:
        if settings.static:
            problem = "a wide table has no place for values fixed per series"
            raise UsageError(problem, setting=Setting("static"), cure="use a long table")
        taken = set(numeric)
        taken |= {column for column in others if column not in taken and is_blank(table, column)}
        series = settings.target or tuple(column for column in others if column in taken)
        all_columns, ids = not settings.target, ("series",)
        codes = np.zeros(len(times.instants), np.int64)
    if times.open is not None:
        times = parse_times(table, time, settings, codes)
    used = {*ids, target, *series}
    calendar = infer_calendar(
        times.instants,
        codes,
        settings.freq,
        times.format,
        aggregate=settings.aggregate,
        name=table.name,
        place=lambda instant: table.place(int(np.argmax(times.instants == instant)), time),
    )
    return Schema(
        layout="long" if layout == "long" else "wide",
        time=time,
        ids=ids,
        target=target,
        series=series,
        all_columns=all_columns,
        calendar=calendar,
        time_format=times.format,
        known=settings.known,
        past=settings.past,
        static=settings.static,
        categories=categories_of(table, covariates),
        holidays=settings.holidays,
        ignored=tuple(str(c) for c in table.frame.columns if c not in {*used, time, *covariates}),
        aggregate=settings.aggregate,
        date_format=settings.date_format,
        timezone=settings.timezone,
        dst=settings.dst,
        on_duplicate=settings.on_duplicate,
        max_missing=settings.max_missing,
        freq=settings.freq,
        strict=settings.strict,
    )


def _season(table: Table, schema: Schema) -> tuple[int, ...]:
    """The usual seasons of the frequency that the data confirm, looked for in the first series."""
    candidates = season_candidates(schema.calendar)
    if not candidates:
        return ()
    grid = fill(table, observe(table, schema), schema, calendar_of(schema))
    ends = np.cumsum(grid.counts)
    dense = []
    for start, end in zip((ends - grid.counts)[:SERIES], ends[:SERIES], strict=True):
        if end > start:
            positions = grid.positions[start:end]
            recent = positions > positions[-1] - SLOTS
            values = np.full(min(int(positions[-1] - positions[0]) + 1, SLOTS), np.nan)
            values[positions[recent] - positions[-1] - 1] = grid.values[start:end][recent]
            dense.append(values)
    return confirm_seasons(candidates, dense)
