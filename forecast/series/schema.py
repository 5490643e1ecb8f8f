"""What was read and inferred: written down once, at fit, and checked at every predict."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from forecast.settings import TableSettings

Names = tuple[str, ...]


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
    weekdays: tuple[int, ...] = Field((), description="weekdays only: the days of the week on the grid, Monday 0")
    name: str = Field("1", description="what users call it: h, 15min, D, B, W-SUN, MS, ME, QS, YS, 1")


class TimeFormat(BaseModel):
    """How the time column is written, so that forecasts are written the same way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["text", "datetime", "integer", "epoch", "days", "period"] = Field(
        "text", description="days: day numbers of a spreadsheet"
    )
    pattern: str | None = Field(None, description="strftime pattern, for text")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(None, description="for epoch numbers")
    zone: str | None = Field(None, description="IANA zone or fixed offset such as +02:00; None = naive")


class Schema(BaseModel):
    """How one kind of table becomes a panel.

    `ids` names the id columns of the output: the user's own in a long table, the first column in a `rows` table,
    ``("series",)`` in a wide one. `known`, `past` and `static` name the covariate columns in the order in which the
    panel holds them; a name that is a key of `categories` holds codes: 1 + its position there, 0 for a value not
    among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["long", "wide", "rows"]
    time: str = Field(description="name of the time column; 'step' in a rows table")
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
    holidays: str | None = None
    ignored: Names = Field((), description="columns left out")
    aggregate: Literal["sum", "mean", "last"] | None = None
    date_format: str | None = None
    timezone: str | None = None
    dst: Literal["earlier", "later", "error"] = "error"
    on_duplicate: Literal["error", "first", "last", "mean", "sum"] = "error"
    max_missing: float = 0.5
    freq: str | None = Field(None, description="as it was given; None where the times alone say it")
    strict: bool = False

    def knobs(self) -> dict[str, Any]:
        """Table settings that read a table as this schema says."""
        same = sorted((TableSettings.model_fields.keys() & Schema.model_fields) - {"freq", "time", "target"})
        freq = self.freq or (self.calendar.name if self.aggregate is not None else None)  # an older artifact has none
        target = (self.target,) if self.target is not None else () if self.all_columns else self.series
        return {
            **{name: getattr(self, name) for name in same},
            "freq": freq,
            "time": None if self.layout == "rows" else self.time,
            "id": self.ids if self.layout == "long" else (),
            "target": target,
        }
