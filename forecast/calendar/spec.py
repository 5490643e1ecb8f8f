"""The grid of times and the format of the time column, stored with a fit; the instant of a run."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from forecast.errors import UsageError
from forecast.settings import ClockChange, Stored, TableSettings

STEP_KIND = "integer"  # the kind of times that count steps: no instant can be compared with them


class CalendarSpec(Stored):
    """A grid of times; `Calendar` does its arithmetic."""

    kind: Literal["steps", "seconds", "months", "weekdays"]
    every: int = Field(1, ge=1)  # in steps, seconds or months; 1 for weekdays
    anchor: int = 0  # position 0: a step, seconds since 1970-01-01, or months since 1970-01
    # of the month, negative from its end (-1 = last); months only
    day: int = Field(1, ge=-31, le=31)
    offset: int = Field(0, ge=0)  # seconds after midnight; months and weekdays only
    weekdays: tuple[int, ...] = ()  # on the grid, Monday 0; weekdays only
    name: str = "1"  # what users call it: h, 15min, D, B, W-SUN, MS, ME, QS, YS, 1


class TimeFormat(Stored):
    """How the time column is written, so that forecasts are written the same way."""

    # text: also times in several columns, where `pattern` writes one as a whole, for messages
    kind: Literal["text", "datetime", "integer", "epoch", "period"] = "text"
    pattern: str | None = None  # strftime's, for text; '%z' for datetimes with a zone
    unit: Literal["s", "ms", "us", "ns"] | None = None  # of epoch numbers and datetimes
    zone: str | None = None  # IANA zone or fixed offset such as +02:00; None = naive
    parts: tuple[str, ...] = ()  # strftime pattern of each column, where times stand in several
    kinds: tuple[Literal["text", "number", "datetime"], ...] = ()  # type of each of these columns
    # the first of the hundred years that years of two digits stand for
    pivot: int | None = Field(None, ge=1, le=9999)


@dataclass(frozen=True)
class TimeSettings:
    date_format: str | None = None
    timezone: str | None = None
    dst: ClockChange = "error"
    steps: bool = False  # whole numbers count steps
    fractions: bool = False  # times finer than a second are fine, as rows are aggregated
    # how fit read them: tried first, and times of another kind are refused
    fitted: TimeFormat | None = None
    pattern: str | None = None  # of dates in another table, tried first
    pivot: int | None = None  # as in `TimeFormat`; None where the times alone say it

    @classmethod
    def at_fit(cls, settings: TableSettings, pivot: int | None = None) -> "TimeSettings":
        return cls(
            date_format=settings.date_format,
            timezone=settings.timezone,
            dst=settings.dst,
            steps=bool(settings.freq and settings.freq.isdigit()),
            fractions=settings.aggregate is not None,
            pivot=pivot,
        )


def parse_as_of(text: str | None) -> datetime:
    """Parse the time of a run from ISO 8601, in whole seconds; None means now.

    Without a zone, it is on the clock of this machine.
    """
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise UsageError(
            f"as_of {text}: is not a time; write it as 2024-01-31T06:00:00, with +00:00 for UTC"
        ) from None


def as_text(instant: datetime, timespec: str = "seconds") -> str:
    """Format an instant as records write it; such texts sort in the order of time."""
    # not strftime, whose years before 1000 have no leading zeros
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def on_clock(instant: datetime, time_format: TimeFormat) -> int | None:
    """Convert an instant to seconds on the clock of a table; None if its times are steps.

    The clock is UTC if the table has a zone, else that of this machine.
    """
    if time_format.kind == STEP_KIND:
        return None
    if time_format.zone is not None:
        return int(instant.timestamp())
    return int(instant.astimezone().replace(tzinfo=UTC).timestamp())
