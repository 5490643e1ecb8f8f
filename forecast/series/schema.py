"""What was read and inferred: written down once, at fit, and checked at every predict."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer

from forecast.settings import TableSettings, TextSettings

Names = tuple[str, ...]


def _as_tuple(given: object) -> object:
    """One name stands for a tuple of one."""
    return (given,) if isinstance(given, str) else given


class CalendarSpec(BaseModel):
    """A grid of times; `forecast.series.calendar.Calendar` does its arithmetic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["steps", "seconds", "months", "weekdays"]
    every: int = Field(1, ge=1, description="grid step, in steps, seconds or months; 1 for weekdays")
    anchor: int = Field(
        0, description="the grid's position 0: a step, seconds since 1970-01-01, or months since 1970-01"
    )
    day: int = Field(
        1, ge=-31, le=31, description="months only: day of the month, negative counted from its end (-1 = last)"
    )
    offset: int = Field(0, ge=0, description="months only: seconds after midnight")
    phase: int | None = Field(
        None,
        ge=0,
        lt=86_400,
        description="seconds only: a grid finer than a day whose times follow the clock of the zone through changes "
        "that are no whole steps; each period holds one reading that lies this many seconds after whole steps",
    )
    weekdays: tuple[int, ...] = Field((), description="weekdays only: the days of the week on the grid, Monday 0")
    name: str = Field("1", description="what users call it: h, 15min, D, B, W-SUN, MS, ME, QS, YS, 1")


class DecimalYears(BaseModel):
    """How decimal years are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_year: Literal[2, 4, 12]
    middle: bool = Field(False, description="a number names the middle of its period, not its start")
    digits: int = Field(ge=1, le=17, description="most digits after the point")
    whole: Literal["padded", "point", "bare"] = Field(
        "point", description="how 1960 is written: 1960.000, 1960.0, 1960"
    )
    number: bool = Field(description="the column holds numbers, not text")


class TimeFormat(BaseModel):
    """How the time column is written, so that forecasts are written the same way.

    Times in several columns have the kind text; `pattern` then writes one as a whole, for messages and labels, and
    `parts` and `kinds` say how each column is written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["text", "datetime", "integer", "epoch", "days", "period", "years"] = Field(
        "text", description="days: day numbers of a spreadsheet; years: decimal years such as 1960.25"
    )
    pattern: str | None = Field(None, description="strftime pattern, for text")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(None, description="for epoch numbers")
    zone: str | None = Field(None, description="IANA zone or fixed offset such as +02:00; None = naive")
    parts: Names = Field((), description="strftime pattern of each column, where times stand in several")
    kinds: tuple[Literal["text", "number", "datetime"], ...] = Field((), description="type of each of these columns")
    years: DecimalYears | None = None


class Schema(BaseModel):
    """How one kind of table becomes a panel.

    `ids` names the id columns of the output: the user's own in a long table, the first column in a `rows` table,
    ``("series",)`` in a wide one. `known`, `past` and `static` name the covariate columns in the order in which the
    panel holds them; a name that is a key of `categories` holds codes: 1 + its position there, 0 for a value not
    among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["long", "wide", "rows"]
    time: Annotated[Names, BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="names of the time columns; 'step' in a rows table"
    )
    ids: Names
    target: str | None = Field(None, description="long tables only")
    series: Names = Field((), description="wide tables only: the columns that fit took, in the table's order")
    all_columns: bool = Field(
        True, description="wide tables only: fit took every numeric column, so new ones are new series"
    )
    calendar: CalendarSpec
    time_format: TimeFormat
    season: tuple[int, ...] = Field((), description="season lengths in steps, shortest first; () = none")
    known: Names = ()
    past: Names = ()
    static: Names = ()
    categories: dict[str, Names] = {}
    categorical: Names = Field((), description="covariates that the user said are categories")
    holidays: str | None = None
    ignored: Names = Field((), description="columns left out")
    calendar_columns: dict[str, str] = Field({}, description="those of them that only repeat the time, and what of it")
    aggregate: Literal["sum", "mean", "last"] | None = None
    date_format: str | None = None
    timezone: str | None = None
    dst: Literal["earlier", "later", "error"] = "error"
    on_duplicate: Literal["error", "first", "last", "mean", "sum"] = "error"
    max_missing: float = 0.5
    missing: Literal["zero", "unknown"] = "unknown"
    freq: str | None = Field(None, description="as it was given; None where the times alone say it")
    strict: bool = False
    reading: TextSettings = Field(TextSettings(), description="the settings with which fit read its file")

    @field_serializer("time")
    def _plain_time(self, time: Names) -> "str | Names":
        """One name is stored as it always was."""
        return time[0] if len(time) == 1 else time

    def knobs(self) -> dict[str, Any]:
        """Table settings that read a table as this schema says."""
        same = sorted((TableSettings.model_fields.keys() & Schema.model_fields) - {"freq", "time", "target"})
        freq = self.freq or (self.calendar.name if self.aggregate is not None else None)  # an older artifact has none
        target = (self.target,) if self.target is not None else () if self.all_columns else self.series
        return {
            **{name: getattr(self, name) for name in same},
            "freq": freq,
            "time": () if self.layout == "rows" else self.time,
            "id": self.ids if self.layout == "long" else (),
            "target": target,
        }
