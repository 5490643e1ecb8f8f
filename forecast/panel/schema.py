"""The schema: how a table becomes a panel, inferred at fit and checked at every predict."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_serializer, field_validator

from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import format_columns, format_times
from forecast.calendar.spec import CalendarSpec, TimeFormat, TimeSettings
from forecast.panel.panel import Integers, Numbers
from forecast.settings import (
    Aggregate,
    ClockChange,
    Layout,
    MissingRows,
    OnDuplicate,
    Stored,
    TableSettings,
    TextSettings,
    Unfinished,
    holiday_columns,
)
from forecast.tables.writing import Column

Names = tuple[str, ...]
SIGNS = {"-": -1, "+": 1}
MOST_CATEGORIES = 32  # a column with more categories has no effect
EventKind = Literal["effect", "ignore", "closed", "stock_out", "level_shift"]


class Event(Stored):
    """A day, or several days, on which something special happens, such as a promotion.

    `ids` says which series it concerns: one text for each id column, or None for any text. It is ()
    if the event concerns all series.
    """

    day: date
    name: str = Field(min_length=1, max_length=200)
    ids: tuple[str | None, ...] = ()
    kind: EventKind = "effect"
    end: date | None = Field(None, description="the last day; None where it has one day")

    @property
    def last(self) -> date:
        """The last day of the event."""
        return self.end or self.day


class Succession(Stored):
    """A series that starts with the past of one that it replaces, or of one like it."""

    ids: Names
    of: str  # the ids of the other series, joined with slashes
    replaces: bool  # whether the other series ends
    day: date  # from which on the series has values of its own
    share: float  # by which lent values are multiplied

    @property
    def name(self) -> str:
        return "/".join(self.ids)


class Schema(Stored):
    """How one kind of table becomes a panel.

    `ids` names the id columns of the output: the id columns of a long table, the first column of a
    `rows` table, or ``("series",)`` for a wide table. `known`, `past` and `static` name the
    covariates that are known in advance, known only in the past, and static, in the order in which
    the panel holds them. A column that is a key of `categories` holds codes: the code of a text is
    1 + its position in the list of categories, or 0 if it is not there.
    """

    layout: Layout
    time: Names = Field(
        min_length=1, description="names of the time columns; 'step' in a rows table"
    )
    ids: Names
    whole_ids: Names = Field((), description="those of the ids that a frame held as whole numbers")
    target: str | None = Field(None, description="long tables only")
    series: Names = Field(
        (), description="wide tables only: the columns that fit took, in the table's order"
    )
    all_columns: bool = Field(
        True, description="wide tables only: all numeric columns are series, also new ones"
    )
    calendar: CalendarSpec
    time_format: TimeFormat
    season: tuple[int, ...] = Field(
        (), description="season lengths in steps, shortest first; () = none"
    )
    known: Names = ()
    past: Names = ()
    static: Names = ()
    categories: dict[str, Names] = Field({})
    categorical: Names = Field((), description="covariates that the user said are categories")
    monotone: Names = Field((), description="signs of effects, such as price:-")
    holidays: str | None = Field(None, description="a code, or DE: or country: and a column")
    dated_events: tuple[Event, ...] = Field(
        (), description="events that the user named, in the order of time"
    )
    successions: tuple[Succession, ...] = ()  # each after those that its past rests on
    ignored: Names = Field((), description="columns left out")
    calendar_columns: dict[str, str] = Field(
        {}, description="those that repeat the time (what of it), or one value"
    )
    aggregate: Aggregate | None = None
    date_format: str | None = None
    timezone: str | None = None
    dst: ClockChange = "error"
    on_duplicate: OnDuplicate = "error"
    max_missing: float = 0.5
    missing: MissingRows = "unknown"
    unfinished: Unfinished = "leave out"
    freq: str | None = Field(None, description="as it was given; None where the times alone say it")
    strict: bool = False
    reading: TextSettings = Field(
        TextSettings(), description="the settings with which fit read its file"
    )
    inferred: TextSettings = Field(
        TextSettings(), description="how the file was written, by these settings or without"
    )

    @field_validator("time", mode="before")
    @classmethod
    def _as_tuple(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @field_serializer("time")
    def _plain_time(self, time: Names) -> "str | Names":
        return time[0] if len(time) == 1 else time  # as `inspect --json` shows it

    @property
    def keys(self) -> Names:
        return (*self.ids, *self.time)

    @property
    def id_columns(self) -> Names:
        """The columns of a long table that tell its series apart; () for another layout."""
        return self.ids if self.layout == "long" else ()

    @property
    def shortest_season(self) -> int:
        """The steps of the shortest season; 1 without a season."""
        return self.season[0] if self.season else 1

    @property
    def dated(self) -> bool:
        """Whether the series have dates.

        In a `rows` table they have numbered steps, and each series has its own end.
        """
        return self.layout != "rows"

    def agrees(self, other: "Schema", fields: Iterable[str]) -> bool:
        """Whether two schemas have the same values in these fields."""
        return all(getattr(self, field) == getattr(other, field) for field in fields)

    @property
    def signs(self) -> dict[str, int]:
        """The signs, -1 or 1, of columns whose effect has one."""
        pairs = [text.rpartition(":") for text in self.monotone]
        return {name: SIGNS[sign] for name, _, sign in pairs}

    @property
    def time_settings(self) -> TimeSettings:
        return TimeSettings(
            self.date_format,
            self.timezone,
            self.dst,
            steps=self.time_format.kind == "integer",
            fractions=self.aggregate is not None,
            fitted=self.time_format,
            pivot=self.time_format.pivot,
        )

    def table_settings(self) -> dict[str, Any]:
        """Return the settings with which a table is read as this schema reads it."""
        names = TableSettings.model_fields.keys() & Schema.model_fields
        settings = {name: getattr(self, name) for name in sorted(names)}
        settings["id"] = self.id_columns
        if not self.dated:
            settings["time"] = ()
        if self.target is None:
            settings["target"] = () if self.all_columns else self.series
        else:
            settings["target"] = (self.target,)
        return settings


def event_names(events: tuple[Event, ...]) -> tuple[str, ...]:
    """Return the names of events; events that are not of the kind `effect` show their kind."""
    names = {
        event.name if event.kind == "effect" else f"{event.name} ({event.kind})" for event in events
    }
    return tuple(sorted(names))


def build_calendar(schema: Schema) -> Calendar:
    country = None if holiday_columns(schema.holidays) else schema.holidays
    return Calendar(schema.calendar, schema.time_format.zone, country)


def time_columns(schema: Schema, timestamps: Integers) -> dict[str, Column]:
    if len(schema.time) == 1:
        return {schema.time[0]: format_times(timestamps, schema.time_format)}
    columns = format_columns(timestamps, schema.time_format)
    return dict(zip(schema.time, columns, strict=True))


def format_positions(schema: Schema, positions: Integers) -> Column:
    """Format grid positions [n] as the table writes its times.

    If the table has several time columns, they become one text.
    """
    times = build_calendar(schema).times(positions)
    return format_times(times, schema.time_format)


def position_texts(schema: Schema, positions: Integers) -> list[str]:
    """Format grid positions [n] as text, for messages."""
    return format_positions(schema, positions).texts()


def time_columns_at(schema: Schema, positions: Integers) -> dict[str, Column]:
    """Return the time columns of grid positions [n], written as the table writes them."""
    return time_columns(schema, build_calendar(schema).times(positions))


def indicators(known: Numbers, schema: Schema) -> Numbers:
    """Columns known in advance; a categorical one becomes a column of 0 and 1 for each category.

    Both are [steps, columns].
    """
    columns = [np.zeros((len(known), 0))]
    for name, values in zip(schema.known, known.T[..., None], strict=True):
        categories = schema.categories.get(name, ())
        codes = np.arange(1, 1 + len(categories))
        if name not in schema.categories:
            columns.append(values)
        elif len(codes) <= MOST_CATEGORIES:
            columns.append((values == codes).astype(np.float64))
    return np.concatenate(columns, 1)
