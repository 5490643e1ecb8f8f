"""Read a table of events, and find the slots that they touch."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from operator import contains
from typing import Any, get_args

import numpy as np
import pandas as pd

from forecast.calendar.calendar import Calendar, is_daily_or_finer
from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import CalendarSpec, TimeSettings
from forecast.calendar.zones import DAY, WEEK, wall_clock
from forecast.errors import BadData, NoRows, Setting, UsageError, did_you_mean
from forecast.logs import log
from forecast.panel.panel import Flags, Ids, Integers, Panel, series_names
from forecast.panel.schema import Event, EventKind, Schema, build_calendar
from forecast.settings import TextSettings
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Columns, Table, require_columns

EVENT_COLUMNS = ("date", "start", "end", "name", "kind")
DATE, START, END, NAME, KIND = EVENT_COLUMNS
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
EFFECT = EVENT_KINDS[0]
MAX_NAMES = 500  # different names of events
MAX_NAME = 200  # characters of a name
EPOCH_DAY = date(1970, 1, 1).toordinal()
KINDS_OF_DAYS: tuple[EventKind, ...] = ("ignore", "closed", "stock_out")
"""Kinds of which a value has one at most."""

Owners = tuple[str | None, ...]
Span = tuple[int, int, str]
"""First and last day since 1970-01-01, and the name of an event."""


def read_events(source: Any, schema: Schema, ids: Ids) -> tuple[Event, ...]:
    """Read the events of a table, a frame or a file, one for each row, in the order of time.

    The columns `date`, or `start` and `end`, say when an event is, `name` what it is, and `kind`
    what it does to values. Id columns, which have the same names as in the table of series, say
    which series an event concerns. Without id columns, and where their cells are blank, it concerns
    all series. If the table has no rows, or no event concerns a series, a warning says so and there
    are no events. Raises BadData if an event cannot be used, and UsageError if the steps of the
    series cannot have events, or not events with an effect.
    """
    if source is None or isinstance(source, tuple):  # those of an earlier fit
        return source or ()
    table = side_table(source, "events")
    if table is None:
        return ()
    columns = [name for name in EVENT_COLUMNS if name in (DATE, NAME) or name not in schema.ids]
    used = [name for name in columns if name in table.names]
    has_spans = START in used or END in used
    require_columns(table, (NAME,) if has_spans else (DATE, NAME))
    refuse_others(table, schema, columns, "events")
    blank = [""] * len(table)
    id_columns = {*table.names} - {*columns}
    owners = [cell_texts(table, name) if name in id_columns else blank for name in schema.ids]
    spans = _spans(table, used, schema)
    kinds = _kinds(table) if KIND in used else [EFFECT] * len(table)
    rows = zip(spans, cell_texts(table, NAME), kinds, *owners, strict=True)
    row_of: dict[Event, int] = {}
    for row, ((first, last), name, kind, *parts) in enumerate(rows):
        if not 0 < len(name) <= MAX_NAME:
            raise BadData(
                f"an event needs a name of at most {MAX_NAME} characters",
                place=table.place(row, NAME),
            )
        ids_of_event = tuple(part or None for part in parts) if any(parts) else ()
        end = last if last > first else None
        event = Event(day=first, name=name, ids=ids_of_event, kind=kind, end=end)
        if event in row_of:
            raise BadData(
                f"'{name}' on {first} comes twice, first in {table.line(row_of[event])}",
                place=table.place(row, used[0]),
                cure="remove one of the rows",
            )
        if kind == "level_shift" and event.end is not None:
            raise BadData(
                f"the level_shift '{name}' has an end",
                place=table.place(row, END),
                cure="give its date; if the level moves back, add a row",
            )
        row_of[event] = row
    _check_kinds(table, row_of, schema)
    names = {event.name for event in row_of}
    if len(names) > MAX_NAMES:
        raise BadData(
            f"{len(names):,} different names are more than the {MAX_NAMES} that can be learned",
            place=table.name,
            cure="give events that do the same one name",
        )
    if not _concerns_series(table, list(row_of), ids):
        return ()
    return tuple(sorted(row_of, key=lambda event: (event.day, event.name, *map(str, event.ids))))


def side_table(source: Any, setting: str) -> Table | None:
    """Read the table of a setting; None if it has no rows, with a warning."""
    if isinstance(source, Table):
        return source
    try:
        if isinstance(source, str):
            return read_table(source, TextSettings())
        return table_from_frame(source, f"the table of {setting}")
    except NoRows as error:
        log.warning("%s: there are no %s", error, setting)
        return None


def merge_events(before: tuple[Event, ...], newer: tuple[Event, ...]) -> tuple[Event, ...]:
    """Merge the events of a fit with those of a newer table.

    From the first day of the newer table on, only its events are used.
    """
    if not newer:
        return before
    earlier = [event for event in before if event.day < newer[0].day]
    return (*earlier, *newer)


def _spans(table: Table, used: list[str], schema: Schema) -> list[tuple[date, date]]:
    """Return the first and the last day of each event, [rows]."""
    names = [name for name in (DATE, START, END) if name in used]
    may_be_blank = len(names) > 1
    days = {name: parse_days(table, name, schema, may_be_blank) for name in names}
    spans = []
    for row in range(len(table)):
        filled = [name for name in names if days[name][row] is not None]
        if filled not in ([DATE], [START, END]):
            column = [*filled, *names][0]
            problem = "an event has either a date, or a start and an end; this one has"
            columns = " and ".join(filled) or "neither"
            raise BadData(f"{problem} {columns}", place=table.place(row, column))
        first = days[filled[0]][row]
        last = days[filled[-1]][row]
        if first is None or last is None or last < first:
            problem = "an event ends before it starts"
            raise BadData(problem, place=table.place(row, END), cure="swap start and end")
        spans.append((first, last))
    return spans


def parse_days(table: Table, column: str, schema: Schema, may_be_blank: bool) -> list[date | None]:
    """Parse the days of a column, [rows], None where a cell is blank.

    They may be written as the dates of the table of series are.
    """
    days: list[date | None] = [None] * len(table)
    texts = np.array(cell_texts(table, column), object)
    filled = (texts != "") | (not may_be_blank)
    if not filled.any():
        return days
    dated = table.rows(filled)
    written = schema.date_format or schema.time_format.pattern or ""
    pattern = re.split(r"\W?%-?[HIKMSfpz]", written)[0]
    settings = TimeSettings(pattern=pattern, pivot=schema.time_format.pivot)
    try:
        times = parse_times(dated, (column,), settings)
    except BadData as error:
        error.cure = "write days as 2024-12-24"
        raise
    if times.format.kind == "integer":
        raise BadData(
            f"'{dated.first(column)}' is no date",
            place=dated.place(0, column),
            cure="write 2024-12-24",
        )
    wall = wall_clock(times.timestamps, times.format.zone)
    within_day = np.flatnonzero(wall % DAY)
    if len(within_day):
        row = within_day[0]
        text = dated.value(row, (column,))
        raise BadData(
            f"'{text}' is a time within a day, and whole days are needed",
            place=dated.place(row, column),
            cure="write the date alone",
        )
    for index, day in zip(np.flatnonzero(filled), wall // DAY, strict=True):
        days[index] = date.fromordinal(int(day) + EPOCH_DAY)
    return days


def parse_periods(table: Table, column: str) -> list[tuple[date, date]]:
    """Parse periods such as 2027, 2027Q1 and 2027-01 into their first and last days, [rows]."""
    spans = []
    for row, text in enumerate(cell_texts(table, column)):
        try:
            period = pd.Period(text)
        except ValueError:
            problem = f"'{text}' is no period, such as 2027, 2027Q1, 2027-01 or 2027-01-31"
            raise BadData(problem, place=table.place(row), cure="correct the cell") from None
        spans.append((period.start_time.date(), period.end_time.date()))
    return spans


def _kinds(table: Table) -> list[str]:
    """Read the kinds of events, [rows]; a blank cell means `effect`."""
    kinds = [text or EFFECT for text in cell_texts(table, KIND)]
    for row, text in enumerate(kinds):
        if text not in EVENT_KINDS:
            hint = did_you_mean(text, list(EVENT_KINDS))
            raise BadData(
                f"'{text}' is no kind of event{hint} (kinds: {', '.join(EVENT_KINDS)})",
                place=table.place(row, KIND),
            )
    return kinds


def _check_kinds(table: Table, row_of: dict[Event, int], schema: Schema) -> None:
    """Refuse effects on grids that take none, and days of a series with two different kinds."""
    has_effects = any(event.kind == EFFECT for event in row_of)
    if has_effects and not takes_events(schema.calendar):
        raise _no_days(
            table,
            schema,
            "leave them out, or give them another kind; effects act on weeks, days and finer steps",
        )

    running: list[Event] = []
    events = [event for event in row_of if event.kind in KINDS_OF_DAYS]
    for event in sorted(events, key=lambda event: event.day):
        running = [other for other in running if other.last >= event.day]
        for other in running:
            pairs = zip(event.ids, other.ids, strict=False)
            same_series = all(None in pair or pair[0] == pair[1] for pair in pairs)
            if other.kind != event.kind and same_series:
                raise BadData(
                    f"'{event.name}' is {event.kind} on {event.day}, which is {other.kind} by "
                    f"{table.line(row_of[other])} ('{other.name}')",
                    place=table.place(row_of[event], KIND),
                    cure="a day of a series has one of them",
                )
        running.append(event)


def _no_days(table: Table, schema: Schema, cure: str, setting: str = "events") -> UsageError:
    return UsageError(
        f"{setting} need days, and the table has steps of {schema.calendar.name}",
        setting=Setting(setting, table.name),
        cure=cure,
    )


def refuse_others(table: Table, schema: Schema, columns: Columns, setting: str) -> None:
    """Refuse columns that are neither in `columns` nor ids, and series without dates."""
    if schema.calendar.kind == "steps":
        raise _no_days(table, schema, "leave them out; they need a table with dates", setting)
    for name in table.names:
        if name not in (*columns, *schema.ids):
            ids = ", ".join(schema.ids)
            raise BadData(
                f"column '{name}' is neither {', '.join(columns)} nor an id column ({ids})",
                place=table.name,
                cure="rename or remove it",
            )


def cell_texts(table: Table, column: str) -> list[str]:
    """Return the cells of a column as stripped text, [rows], '' where blank."""
    return [text.strip() for text in table.texts(column)]


def _concerns_series(table: Table, events: list[Event], ids: Ids) -> bool:
    """Whether any event concerns a series in `ids`; warn of events that do not."""
    known = [{None, *parts} for parts in zip(*ids, strict=True)]
    owners = dict.fromkeys(event.ids for event in events)
    strange = [parts for parts in owners if not all(map(contains, known, parts))]
    if strange:
        strange_ids = [tuple(part or "any" for part in parts) for parts in strange]
        log.warning(
            "%s: %s: %s",
            table.name,
            "events of series that are not in the table have no effect",
            series_names(strange_ids),
        )
    return len(strange) < len(owners)


def takes_events(spec: CalendarSpec) -> bool:
    """Whether events can have effects on a grid: it must have weeks, days or finer steps."""
    return is_daily_or_finer(spec) or (spec.kind == "seconds" and spec.every == WEEK)


def has_kind(schema: Schema, *kinds: EventKind) -> bool:
    return any(event.kind in kinds for event in schema.dated_events)


def find_covered_slots(
    ids: Ids, starts: Integers, offsets: Integers, schema: Schema, kind: EventKind
) -> Flags:
    """Say which slots events of a kind touch, [slots], like `find_touched_slots` but without a panel.

    The series begin at grid positions `starts` and are laid end to end. An event touches a period
    if they share a day; an event of the kind `closed` must contain all days of the period.
    """
    count = int(offsets[-1])  # slots
    if not has_kind(schema, kind):
        return np.zeros(count, bool)
    sizes = np.diff(offsets)
    edges = np.zeros(count + 1, np.int64)
    for series, begins, ends in positions_of_events(ids, starts, offsets, schema, kind):
        covers = ends > begins  # [events]
        start = starts[series]
        size = sizes[series]
        low = np.clip(begins[covers, None] - start, 0, size)
        high = np.clip(ends[covers, None] - start, 0, size)
        np.add.at(edges, offsets[series] + low, 1)
        np.add.at(edges, offsets[series] + high, -1)
    return np.cumsum(edges[:-1]) > 0


def find_touched_slots(panel: Panel, schema: Schema, kind: EventKind) -> Flags:
    """Say which slots events of a kind touch, [slots], also in the future.

    A series is closed where it has not begun, or is over.
    """
    slots = find_covered_slots(panel.ids, panel.starts, panel.offsets, schema, kind)
    if kind == "closed" and panel.shut is not None:
        slots |= panel.shut
    return slots


def closed_now(panel: Panel, schema: Schema, step: int = 0) -> Flags:
    """[series], whether an event closes a series at its newest step, or `step` steps later."""
    newest = panel.offsets[1:] - panel.ahead - 1
    return find_touched_slots(panel, schema, "closed")[newest + step]


def without(panel: Panel, schema: Schema, *kinds: EventKind) -> Panel:
    """Return the panel as if the cells that events of some kinds touch were blank."""
    slots = np.logical_or.reduce([find_touched_slots(panel, schema, kind) for kind in kinds])
    values = np.where(slots, 0.0, panel.values)
    return replace(panel, observed=panel.observed & ~slots, values=values)


def remove_censored_values(panel: Panel, schema: Schema) -> Panel:
    """Return the panel without values that may lie below demand: stock-outs and closed days."""
    return without(panel, schema, "stock_out", "closed")


def day_spans(calendar: Calendar, positions: Integers) -> tuple[Integers, Integers]:
    """Return the first and last day, since 1970-01-01, of the periods at positions."""
    first = calendar.wall(positions) // DAY
    if is_daily_or_finer(calendar.spec):
        return first, first
    if calendar.named_by_ends:
        return calendar.wall(positions - 1) // DAY + 1, first
    end = calendar.wall(positions + 1) - calendar.spec.offset
    return first, np.maximum(first, (end - 1) // DAY)


def positions_of_events(
    ids: Ids, starts: Integers, offsets: Integers, schema: Schema, kind: EventKind
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Yield the series that events of a kind concern, and the grid positions of these events.

    An event covers the positions from its first one up to, but without, its end.
    """
    if not len(starts):
        return
    low = starts.min()
    ends = starts + np.diff(offsets)
    positions = np.arange(low, ends.max())
    first, last = day_spans(build_calendar(schema), positions)
    begin_days = first if kind in ("closed", "level_shift") else last
    end_days = last if kind == "closed" else first
    for series, events in spans_by_series(ids, schema, kind):
        begin = [begin for begin, _, _ in events]
        end = [end for _, end, _ in events]
        begins = np.searchsorted(begin_days, begin)
        ends = np.searchsorted(end_days, end, side="right")
        yield series, low + begins, low + ends


def spans_by_series(
    ids: Ids, schema: Schema, kind: EventKind
) -> Iterator[tuple[Integers, list[Span]]]:
    """Yield the series that events of a kind concern, as indices, and the spans of these events."""
    events = defaultdict[Owners, list[Span]](list)
    for event in schema.dated_events:
        if event.kind == kind:
            begin = event.day.toordinal() - EPOCH_DAY
            end = event.last.toordinal() - EPOCH_DAY
            events[event.ids].append((begin, end, event.name))

    series = defaultdict[Owners, list[int]](list)
    patterns = {tuple(part is not None for part in owners) for owners in events}
    for pattern in patterns:
        for number, parts in enumerate(ids):
            pairs = zip(parts, pattern, strict=False)
            owners = tuple(part if is_named else None for part, is_named in pairs)
            series[owners].append(number)
    for owners, spans in events.items():
        yield np.array(series[owners], np.int64), spans
