"""The instant of a run, and how it compares with the times of a table."""

from datetime import UTC, datetime

from forecast.calendar.spec import TimeFormat
from forecast.errors import UsageError

STEPS = "integer"  # the kind of times that count steps: no instant can be compared with them


def parse_as_of(text: str | None) -> datetime:
    """The time of a run, from ISO 8601, in whole seconds; on the clock of this machine without a zone, now if None."""
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise UsageError(f"as_of {text}: is not a time; write it as 2024-01-31T06:00:00, with +00:00 for UTC") from None


def as_text(instant: datetime) -> str:
    """The instant as records write it; texts sort as instants do."""
    # not strftime, whose years before 1000 have no leading zeros
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def on_clock(instant: datetime, time_format: TimeFormat) -> int | None:
    """The instant in seconds on the clock of a table: UTC or, without zone, this machine's; None where it has steps."""
    if time_format.kind == STEPS:
        return None
    if time_format.zone is not None:
        return int(instant.timestamp())
    return int(instant.astimezone().replace(tzinfo=UTC).timestamp())
