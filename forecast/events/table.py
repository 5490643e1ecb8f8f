"""Read events that the user names: a table with the columns date and name, and id columns where series differ."""

import logging
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import DAY, wall_clock
from forecast.errors import BadData, Setting, UsageError
from forecast.events.marks import EPOCH, takes_events
from forecast.panel.naming import series_names
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
    """The events of a table, one for each row, in the order of time.

    The columns `date` and `name` say when and what. Id columns, under the names that they have in the table of series,
    say which series an event concerns; without them, and where a cell is blank, it concerns all.

    Parameters
    ----------
    source : the table, or the path of its file
    schema : of the series
    ids : of the series

    Raises
    ------
    BadData
        If a column is missing or is none of these, a date or a name cannot be read, a row comes twice, or no row
        concerns a series.
    UsageError
        If the series have no days.
    """
    table = read_table(source, TextSettings()) if isinstance(source, str) else source
    owners = _id_columns(table, schema)
    days, names, owned = _days(table), _texts(table, NAME), [_texts(table, column) for column in owners]
    events = dict[Event, int]()  # the row of each
    for row, (day, name) in enumerate(zip(days.tolist(), names, strict=True)):
        if not name or len(name) > MAX_NAME:
            problem = f"a name has at most {MAX_NAME} characters" if name else "an event needs a name"
            raise BadData(problem, place=table.place(row, NAME))
        given = {column: texts[row] or None for column, texts in zip(owners, owned, strict=True)}
        whose = tuple(given.get(column) for column in schema.ids) if any(given.values()) else ()
        event = Event(day=date.fromordinal(day + EPOCH), name=name, ids=whose)
        if event in events:
            problem = f"'{name}' on {event.day} comes twice, first in {table.line(events[event])}"
            raise BadData(problem, place=table.place(row, DATE), cure="remove one of the rows")
        events[event] = row
    different = len({event.name for event in events})
    if different > MAX_NAMES:
        problem = f"{different:,} different names are more than the {MAX_NAMES} that can be learned"
        raise BadData(problem, place=table.name, cure="give events that do the same one name")
    _check_ids(table, events, ids)
    return tuple(sorted(events, key=lambda event: (event.day, event.name, tuple(part or "" for part in event.ids))))


def renewed(before: tuple[Event, ...], newer: tuple[Event, ...]) -> tuple[Event, ...]:
    """Events of a fit with those of a newer table, which holds from its first day on."""
    if not newer:
        return before
    return (*(event for event in before if event.day < newer[0].day), *newer)


def events_columns(schema: Schema) -> dict[str, Column | NDArray[Any]]:
    """The events of a schema as the columns of a table, by name."""
    events = schema.dated_events
    owned = {
        column: Column(np.array([event.ids[place] if event.ids else None for event in events], object))
        for place, column in enumerate(schema.ids)
        if any(event.ids for event in events)
    }
    return {
        DATE: np.array([event.day for event in events], "datetime64[s]"),
        NAME: Column(np.array([event.name for event in events], object)),
        **owned,
    }


def _days(table: Table) -> NDArray[np.int64]:
    """[rows], days since 1970-01-01."""
    times = parse_times(table, DATE, TimeSettings())
    if times.format.kind == "integer":
        raise BadData(f"'{table.first(DATE)}' is no date", place=table.place(0, DATE), cure="write 2024-12-24")
    wall = wall_clock(times.timestamps, times.format.zone)
    within = wall % DAY != 0
    if within.any():
        row = int(np.argmax(within))
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
    others = [column for column in table.names if column not in (DATE, NAME, *owners)]
    if others:
        problem = f"column '{others[0]}' is neither date, name nor an id column ({', '.join(schema.ids)})"
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
    known = [set(parts) for parts in zip(*ids, strict=True)]
    strange = {
        event.ids: row
        for event, row in events.items()
        if any(part is not None and part not in known[place] for place, part in enumerate(event.ids))
    }
    if not strange:
        return
    named = series_names([tuple(part or "any" for part in one) for one in strange])
    if all(event.ids in strange for event in events):
        place = table.place(next(iter(strange.values())))
        raise BadData(f"no event concerns a series of the table; they name {named}", place=place)
    log.warning("%s: events of series that are not in the table have no effect: %s", table.name, named)
