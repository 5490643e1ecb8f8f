"""Read events that the user names: a table with the columns date and name, and id columns where series differ."""

import logging
from datetime import date
from operator import contains
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import DAY, wall_clock
from forecast.errors import BadData, Setting, UsageError
from forecast.events.marks import EPOCH, takes_events
from forecast.panel.naming import first_alike, series_name, series_names
from forecast.panel.panel import Ids
from forecast.panel.schema import Event, Schema
from forecast.settings import TextSettings
from forecast.tables.frames import Column
from forecast.tables.headers import refuse_missing
from forecast.tables.reading import read_table
from forecast.tables.table import Table

log = logging.getLogger("forecast")

DATE, NAME = "date", "name"
MAX_EVENTS = 100_000
MAX_NAMES, MAX_NAME = 500, 200  # different names, and characters of each


def read_events(source: Table | str, schema: Schema, ids: Ids) -> tuple[Event, ...]:
    """The events of a table, or of the file of a path, one for each row, in the order of time.

    The columns `date` and `name` say when and what. Id columns, under the names that they have in the table of series,
    say which series an event concerns; without them, and where a cell is blank, it concerns all. A table that cannot be
    used, or none of whose events concerns a series, is BadData; UsageError if the series have no days.
    """
    table = read_table(source, TextSettings()) if isinstance(source, str) else source
    owners = _id_columns(table, schema)
    parts = [_texts(table, name) if name in owners else [""] * len(table) for name in schema.ids]
    events = dict[Event, int]()  # the row of each
    for row, (day, name, *given) in enumerate(zip(_days(table).tolist(), _texts(table, NAME), *parts, strict=True)):
        if not 0 < len(name) <= MAX_NAME:
            raise BadData(f"an event needs a name of at most {MAX_NAME} characters", place=table.place(row, NAME))
        whose = tuple(text or None for text in given) if any(given) else ()
        event = Event(day=date.fromordinal(day + EPOCH), name=name, ids=whose)
        if event in events:
            problem = f"'{name}' on {event.day} comes twice, first in {table.line(events[event])}"
            raise BadData(problem, place=table.place(row, DATE), cure="remove one of the rows")
        events[event] = row
    names = sorted({event.name for event in events})
    if pair := first_alike((name,) for name in names):
        text = "%s: '%s' and '%s' differ only in blanks, case or how letters are encoded; they are two events."
        log.warning(text, table.name, *map(series_name, pair))
    if len(names) > MAX_NAMES:
        problem = f"{len(names):,} different names are more than the {MAX_NAMES} that can be learned"
        raise BadData(problem, place=table.name, cure="give events that do the same one name")
    _check_ids(table, events, ids)
    return tuple(sorted(events, key=lambda event: (event.day, event.name, tuple(part or "" for part in event.ids))))


def renewed(before: tuple[Event, ...], newer: tuple[Event, ...]) -> tuple[Event, ...]:
    """Events of a fit with those of a newer table, which holds from its first day on."""
    return (*(event for event in before if event.day < newer[0].day), *newer) if newer else before


def events_columns(schema: Schema) -> dict[str, Column | NDArray[Any]]:
    """The events of a schema as the columns of a table, by name."""
    events = schema.dated_events
    owned = {
        name: Column(np.array(parts, object))
        for name, *parts in zip(schema.ids, *(event.ids or (None,) * len(schema.ids) for event in events), strict=True)
        if any(event.ids for event in events)
    }
    names = Column(np.array([event.name for event in events], object))
    return {DATE: np.array([event.day for event in events], "datetime64[s]"), NAME: names, **owned}


def _days(table: Table) -> NDArray[np.int64]:
    """[rows], days since 1970-01-01."""
    times = parse_times(table, DATE, TimeSettings())
    if times.format.kind == "integer":
        raise BadData(f"'{table.first(DATE)}' is no date", place=table.place(0, DATE), cure="write 2024-12-24")
    wall = wall_clock(times.timestamps, times.format.zone)
    row = int(np.argmax(wall % DAY != 0))
    if len(wall) and wall[row] % DAY:
        problem = f"'{table.value(row, (DATE,))}' is a time within a day, and events are whole days"
        raise BadData(problem, place=table.place(row, DATE), cure="write the date alone")
    return np.asarray(wall // DAY)


def _id_columns(table: Table, schema: Schema) -> list[str]:
    """The id columns of a table of events, which has no other columns than it may."""
    if not takes_events(schema.calendar):
        raise UsageError(
            f"events are days, and the table has steps of {schema.calendar.name}",
            setting=Setting("events", table.name),
            cure="leave them out; they act on weeks, days and finer steps",
        )
    refuse_missing(table, (DATE, NAME))
    owners = [column for column in schema.ids if column in table.names and column not in (DATE, NAME)]
    for other in (column for column in table.names if column not in (DATE, NAME, *owners)):
        problem = f"column '{other}' is neither date, name nor an id column ({', '.join(schema.ids)})"
        raise BadData(problem, place=table.name, cure="rename or remove it")
    if len(table) > MAX_EVENTS:
        raise BadData(f"{len(table):,} rows are more than the {MAX_EVENTS:,} that events may have", place=table.name)
    return owners


def _texts(table: Table, column: str) -> list[str]:
    """[rows], '' where blank."""
    codes, texts = table.distinct(column)
    missing = table.missing(column)
    return ["" if blank else texts[code].strip() for code, blank in zip(codes.tolist(), missing.tolist(), strict=True)]


def _check_ids(table: Table, events: dict[Event, int], ids: Ids) -> None:
    """Refuse events none of which concerns a series, and report those of series that are not there."""
    known = [{None, *parts} for parts in zip(*ids, strict=True)]
    strange = {event.ids: row for event, row in events.items() if not all(map(contains, known, event.ids))}
    if not strange:
        return
    named = series_names([tuple(part or "any" for part in parts) for parts in strange])
    if all(event.ids in strange for event in events):
        place = table.place(next(iter(strange.values())))
        raise BadData(f"no event concerns a series of the table; they name {named}", place=place)
    log.warning("%s: events of series that are not in the table have no effect: %s", table.name, named)
