"""Read events that the user names: a table of days and names, what they do to values, and id columns where needed."""

from datetime import date
from operator import contains
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import DAY, wall_clock
from forecast.errors import BadData, NoRows, Setting, UsageError, did_you_mean
from forecast.events.kinds import EPOCH, takes_events
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Ids
from forecast.panel.schema import Event, EventKind, Schema
from forecast.settings import TextSettings
from forecast.tables.headers import refuse_missing
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import Column

DATE, START, END, NAME, KIND = COLUMNS = ("date", "start", "end", "name", "kind")
KINDS: tuple[EventKind, ...] = get_args(EventKind)
ONE_OF = ("ignore", "closed", "stock_out")  # kinds of which a value has one at most
MAX_NAMES, MAX_NAME = 500, 200  # different names, and characters of each


def read_events(source: Any, schema: Schema, ids: Ids) -> tuple[Event, ...]:
    """The events of a table, of a frame, or of the file of a path, one for each row, in the order of time.

    The columns `date`, or `start` and `end`, and `name` say when and what, `kind` says what it does to values. Id
    columns, under the names that they have in the table of series, say which series an event concerns; without them,
    and where a cell is blank, it concerns all. A table without rows, or none of whose events concerns a series, has no
    events, with a warning. One that cannot be used is BadData; UsageError if the series have no days, or none on which
    an event could have its effect.
    """
    try:
        table = _table_of(source)
    except NoRows as error:
        log.warning("%s: there are no events", error)
        return ()
    columns = [name for name in COLUMNS if name in (DATE, NAME) or name not in schema.ids]
    owners = _id_columns(table, schema, columns)
    parts = [_texts(table, name) if name in owners else [""] * len(table) for name in schema.ids]
    events = dict[Event, int]()  # the row of each
    used = [name for name in columns if name in table.names]
    rows = zip(
        _spans(table, used, schema.time_format.pivot),
        _texts(table, NAME),
        _kinds(table, KIND in used),
        *parts,
        strict=True,
    )
    for row, ((day, last), name, kind, *given) in enumerate(rows):
        if not 0 < len(name) <= MAX_NAME:
            raise BadData(
                f"an event needs a name of at most {MAX_NAME} characters",
                place=table.place(row, NAME),
            )
        whose = tuple(text or None for text in given) if any(given) else ()
        first, end = date.fromordinal(day + EPOCH), date.fromordinal(last + EPOCH)
        event = Event(day=first, name=name, ids=whose, kind=kind, end=end if end > first else None)
        if event in events:
            problem, when = (
                f"'{name}' on {event.day} comes twice, first in {table.line(events[event])}",
                used[0],
            )
            raise BadData(problem, place=table.place(row, when), cure="remove one of the rows")
        if kind == "level_shift" and event.end is not None:
            problem, cure = (
                f"the level_shift '{name}' has an end",
                "give its date; if the level moves back, add a row",
            )
            raise BadData(problem, place=table.place(row, END), cure=cure)
        events[event] = row
    _check_kinds(table, events, schema)
    if len(names := {event.name for event in events}) > MAX_NAMES:
        problem = (
            f"{len(names):,} different names are more than the {MAX_NAMES} that can be learned"
        )
        raise BadData(problem, place=table.name, cure="give events that do the same one name")
    events = _of_series(table, events, ids)
    return tuple(
        sorted(
            events,
            key=lambda event: (event.day, event.name, tuple(part or "" for part in event.ids)),
        )
    )


def _table_of(source: Any) -> Table:
    if isinstance(source, str):
        return read_table(source, TextSettings())
    return source if isinstance(source, Table) else table_from_frame(source, "the table of events")


def renewed(before: tuple[Event, ...], newer: tuple[Event, ...]) -> tuple[Event, ...]:
    """Events of a fit with those of a newer table, which holds from its first day on."""
    return (*(event for event in before if event.day < newer[0].day), *newer) if newer else before


def events_columns(schema: Schema) -> dict[str, Column | NDArray[Any]]:
    events = schema.dated_events
    days, names, kinds, ends = zip(
        *((event.day, event.name, event.kind, event.last) for event in events), strict=True
    )
    spans = {START: days, END: ends} if any(event.end for event in events) else {DATE: days}
    owners = zip(*(event.ids or (None,) * len(schema.ids) for event in events), strict=True)
    texts = {
        NAME: names,
        **({KIND: kinds} if set(kinds) != {KINDS[0]} else {}),
        **(
            dict(zip(schema.ids, owners, strict=True)) if any(event.ids for event in events) else {}
        ),
    }
    dates = {name: np.array(column, "datetime64[s]") for name, column in spans.items()}
    return {**dates, **{name: Column(np.array(column, object)) for name, column in texts.items()}}


def _spans(table: Table, used: list[str], pivot: int | None) -> list[tuple[int, int]]:
    """The first and the last day of each row, in days since 1970-01-01."""
    dates = [name for name in (DATE, START, END) if name in used]
    days = {name: _days(table, name, pivot, may_be_blank=len(dates) > 1) for name in dates}
    found = list[tuple[int, int]]()
    for row, cells in enumerate(zip(*days.values(), strict=True)):
        given = {name: day for name, day in zip(days, cells, strict=True) if day is not None}
        if [*given] not in ([DATE], [START, END]):
            problem = "an event has either a date, or a start and an end; this one has "
            place = table.place(row, [*given, *dates][0])
            raise BadData(f"{problem}{' and '.join(given) or 'neither'}", place=place)
        first, *_, last = 2 * [*given.values()]
        if last < first:
            raise BadData(
                "an event ends before it starts",
                place=table.place(row, END),
                cure="swap start and end",
            )
        found.append((first, last))
    return found


def _days(table: Table, column: str, pivot: int | None, may_be_blank: bool) -> list[int | None]:
    """[rows], days since 1970-01-01; None where blank."""
    filled = np.array([not may_be_blank or text != "" for text in _texts(table, column)], bool)
    if not filled.any():
        return [None] * len(table)
    part = table.rows(filled)
    times = parse_times(part, (column,), TimeSettings(pivot=pivot))
    if times.format.kind == "integer":
        raise BadData(
            f"'{part.first(column)}' is no date",
            place=part.place(0, column),
            cure="write 2024-12-24",
        )
    wall = wall_clock(times.timestamps, times.format.zone)
    row = int(np.argmax(wall % DAY != 0))
    if len(wall) and wall[row] % DAY:
        problem = (
            f"'{part.value(row, (column,))}' is a time within a day, and events are whole days"
        )
        raise BadData(problem, place=part.place(row, column), cure="write the date alone")
    days = iter((wall // DAY).tolist())
    return [next(days) if given else None for given in filled]


def _kinds(table: Table, given: bool) -> list[EventKind]:
    """[rows], the first kind where none is given."""
    texts = [text or KINDS[0] for text in _texts(table, KIND)] if given else [KINDS[0]] * len(table)
    for row, text in enumerate(texts):
        if text not in KINDS:
            problem = f"'{text}' is no kind of event{did_you_mean(text, list(KINDS))} (kinds: {', '.join(KINDS)})"
            raise BadData(problem, place=table.place(row, KIND))
    return [KINDS[KINDS.index(text)] for text in texts]


def _check_kinds(table: Table, events: dict[Event, int], schema: Schema) -> None:
    """Refuse effects on steps that have none, and a day of a series that two events call different kinds of days."""
    if not takes_events(schema.calendar) and any(event.kind == KINDS[0] for event in events):
        cure = (
            "leave them out, or give them another kind; effects act on weeks, days and finer steps"
        )
        raise _no_days(table, schema, cure)
    running = list[Event]()
    for event in sorted(
        (event for event in events if event.kind in ONE_OF), key=lambda event: event.day
    ):
        running = [other for other in running if other.last >= event.day]
        for other in running:
            shared = all(
                None in pair or len({*pair}) == 1
                for pair in zip(event.ids, other.ids, strict=False)
            )
            if other.kind != event.kind and shared:
                problem = f"'{event.name}' is {event.kind} on {event.day}, which is {other.kind} by"
                problem = f"{problem} {table.line(events[other])} ('{other.name}')"
                raise BadData(
                    problem,
                    place=table.place(events[event], KIND),
                    cure="a day of a series has one of them",
                )
        running.append(event)


def _no_days(table: Table, schema: Schema, cure: str) -> UsageError:
    problem = f"events are days, and the table has steps of {schema.calendar.name}"
    return UsageError(problem, setting=Setting("events", table.name), cure=cure)


def _id_columns(table: Table, schema: Schema, columns: list[str]) -> list[str]:
    """The id columns of a table of events, which has no other columns than those and its `columns`."""
    if schema.calendar.kind == "steps":
        raise _no_days(table, schema, "leave them out; they need a table with dates")
    spans = any(name in columns and name in table.names for name in (START, END))
    refuse_missing(table, (NAME,) if spans else (DATE, NAME))
    owners = [column for column in schema.ids if column in table.names and column not in columns]
    for other in (column for column in table.names if column not in (*columns, *owners)):
        problem = f"column '{other}' is neither {', '.join(columns)} nor an id column ({', '.join(schema.ids)})"
        raise BadData(problem, place=table.name, cure="rename or remove it")
    return owners


def _texts(table: Table, column: str) -> list[str]:
    """[rows], '' where blank."""
    return [text.strip() for text in table.texts(column)]


def _of_series(table: Table, events: dict[Event, int], ids: Ids) -> dict[Event, int]:
    """The events, none where none concerns a series; those of series that are not there are reported."""
    known = [{None, *parts} for parts in zip(*ids, strict=True)]
    strange = {
        event.ids: row for event, row in events.items() if not all(map(contains, known, event.ids))
    }
    if strange:
        named = series_names([tuple(part or "any" for part in parts) for parts in strange])
        log.warning(
            "%s: events of series that are not in the table have no effect: %s", table.name, named
        )
    return {} if all(event.ids in strange for event in events) else events
