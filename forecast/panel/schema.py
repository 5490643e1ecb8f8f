"""The schema: how a table becomes a panel, inferred at fit and checked at every predict."""

from collections.abc import Iterable
from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field, field_serializer, field_validator

from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import format_columns, format_times
from forecast.calendar.spec import CalendarSpec, TimeFormat, TimeSettings
from forecast.panel.panel import Integers
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
)
from forecast.tables.writing import Column

Names = tuple[str, ...]
EventKind = Literal["effect", "ignore", "closed", "stock_out", "level_shift"]


class Event(Stored):
    """A day, or several, on which something special happens, such as a promotion.

    `ids` names the series that it concerns, one text for each id column and None for any; () for
    all series.
    """

    newer: ClassVar[Names] = ("kind", "end")
    day: date
    name: str = Field(min_length=1, max_length=200)
    ids: tuple[str | None, ...] = ()
    kind: EventKind = "effect"
    end: date | None = Field(None, description="the last day; None where it has one day")

    @property
    def last(self) -> date:
        """Its last day."""
        return self.end or self.day


class Schema(Stored):
    """How one kind of table becomes a panel.

    `ids` names the id columns of the output: the user's own in a long table, the first column in a
    `rows` table, ``("series",)`` in a wide one. `known`, `past` and `static` name the covariate
    columns in the order in which the panel holds them; a name that is a key of `categories` holds
    codes: 1 + its position there, 0 for a value not among them.
    """

    newer: ClassVar[Names] = ("dated_events", "whole_ids", "unfinished")
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
    holidays: str | None = None
    dated_events: tuple[Event, ...] = Field(
        (), description="events that the user named, in the order of time"
    )
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
        return time[0] if len(time) == 1 else time  # as one name was always stored

    @property
    def keys(self) -> Names:
        return (*self.ids, *self.time)

    @property
    def shortest_season(self) -> int:
        """Steps; 1 without a season."""
        return self.season[0] if self.season else 1

    @property
    def dated(self) -> bool:
        """Whether its series have dates; in a `rows` table they have steps, each its own end."""
        return self.layout != "rows"

    def agrees(self, other: "Schema", fields: Iterable[str]) -> bool:
        """Whether two schemas have the same in these fields."""
        return all(getattr(self, field) == getattr(other, field) for field in fields)

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
        """The settings that read a table as this schema does."""
        names = TableSettings.model_fields.keys() & Schema.model_fields
        settings = {name: getattr(self, name) for name in sorted(names)}
        settings["id"] = self.ids if self.layout == "long" else ()
        if not self.dated:
            settings["time"] = ()
        if self.target is None:
            settings["target"] = () if self.all_columns else self.series
        else:
            settings["target"] = (self.target,)
        if self.freq is None and self.aggregate is not None:  # an older artifact has none
            settings["freq"] = self.calendar.name
        return settings


def event_names(events: tuple[Event, ...]) -> tuple[str, ...]:
    """The names of events, with the kinds of those that have no effect."""
    names = set()
    for event in events:
        names.add(event.name if event.kind == "effect" else f"{event.name} ({event.kind})")
    return tuple(sorted(names))


def calendar_of(schema: Schema) -> Calendar:
    return Calendar(schema.calendar, schema.time_format.zone, schema.holidays)


def time_columns(schema: Schema, timestamps: Integers) -> dict[str, Column]:
    if len(schema.time) == 1:
        return {schema.time[0]: format_times(timestamps, schema.time_format)}
    columns = format_columns(timestamps, schema.time_format)
    return dict(zip(schema.time, columns, strict=True))


def format_positions(schema: Schema, calendar: Calendar, positions: Integers) -> Column:
    """Grid positions [n] as the table wrote its times, those of several columns as one text."""
    times = calendar.times(positions)
    return format_times(times, schema.time_format)


def position_texts(schema: Schema, calendar: Calendar, positions: Integers) -> list[str]:
    """Grid positions [n] as text, for messages."""
    return format_positions(schema, calendar, positions).texts()


def time_columns_at(schema: Schema, calendar: Calendar, positions: Integers) -> dict[str, Column]:
    """The time columns of grid positions [n], as the table has them."""
    return time_columns(schema, calendar.times(positions))
