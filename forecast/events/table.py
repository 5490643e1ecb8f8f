"""Read a table of events: their days, names and kinds, and the ids of the series they concern."""

import re
from datetime import date
from operator import contains
from typing import Any, get_args

import numpy as np

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import DAY, wall_clock
from forecast.errors import BadData, NoRows, Setting, UsageError, did_you_mean
from forecast.events.kinds import EPOCH_DAY, KINDS_OF_DAYS, takes_events
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Ids
from forecast.panel.schema import Event, EventKind, Schema
from forecast.settings import TextSettings
from forecast.tables.headers import require_columns
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Columns, Table

EVENT_COLUMNS = ("date", "start", "end", "name", "kind")
DATE, START, END, NAME, KIND = EVENT_COLUMNS
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
EFFECT = EVENT_KINDS[0]
MAX_NAMES = 500  # different names of events
MAX_NAME = 200  # characters of a name


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
            problem = f"an event needs a name of at most {MAX_NAME} characters"
            raise BadData(problem, place=table.place(row, NAME))
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
        times = parse_times(dated, column, settings)
    except BadData as error:
        error.cure = "write days as 2024-12-24"
        raise
    if times.format.kind == "integer":
        problem = f"'{dated.first(column)}' is no date"
        raise BadData(problem, place=dated.place(0, column), cure="write 2024-12-24")
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


def _kinds(table: Table) -> list[str]:
    """Read the kinds of events, [rows]; a blank cell means `effect`."""
    kinds = [text or EFFECT for text in cell_texts(table, KIND)]
    for row, text in enumerate(kinds):
        if text not in EVENT_KINDS:
            hint = did_you_mean(text, list(EVENT_KINDS))
            problem = f"'{text}' is no kind of event{hint} (kinds: {', '.join(EVENT_KINDS)})"
            raise BadData(problem, place=table.place(row, KIND))
    return kinds


def _check_kinds(table: Table, row_of: dict[Event, int], schema: Schema) -> None:
    """Refuse effects on grids that take none, and days of a series with two different kinds."""
    has_effects = any(event.kind == EFFECT for event in row_of)
    if has_effects and not takes_events(schema.calendar):
        cure = (
            "leave them out, or give them another kind; effects act on weeks, days and finer steps"
        )
        raise _no_days(table, schema, cure)

    running: list[Event] = []
    events = [event for event in row_of if event.kind in KINDS_OF_DAYS]
    for event in sorted(events, key=lambda event: event.day):
        running = [other for other in running if other.last >= event.day]
        for other in running:
            if other.kind != event.kind and _share_series(event, other):
                line = f"{table.line(row_of[other])} ('{other.name}')"
                problem = f"'{event.name}' is {event.kind} on {event.day}"
                raise BadData(
                    f"{problem}, which is {other.kind} by {line}",
                    place=table.place(row_of[event], KIND),
                    cure="a day of a series has one of them",
                )
        running.append(event)


def _share_series(event: Event, other: Event) -> bool:
    pairs = zip(event.ids, other.ids, strict=False)
    return all(None in (part, other_part) or part == other_part for part, other_part in pairs)


def _no_days(table: Table, schema: Schema, cure: str, setting: str = "events") -> UsageError:
    problem = f"{setting} need days, and the table has steps of {schema.calendar.name}"
    return UsageError(problem, setting=Setting(setting, table.name), cure=cure)


def refuse_others(table: Table, schema: Schema, columns: Columns, setting: str) -> None:
    """Refuse columns that are neither in `columns` nor ids, and series without dates."""
    if schema.calendar.kind == "steps":
        cure = "leave them out; they need a table with dates"
        raise _no_days(table, schema, cure, setting)
    for name in table.names:
        if name not in (*columns, *schema.ids):
            ids = ", ".join(schema.ids)
            problem = f"column '{name}' is neither {', '.join(columns)} nor an id column ({ids})"
            raise BadData(problem, place=table.name, cure="rename or remove it")


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
        named = series_names(strange_ids)
        problem = "events of series that are not in the table have no effect"
        log.warning("%s: %s: %s", table.name, problem, named)
    return len(strange) < len(owners)
