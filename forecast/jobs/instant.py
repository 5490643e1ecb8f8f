"""The instant of a run: nothing later is read."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from forecast.calendar.spec import TimeFormat
from forecast.errors import BadData, UsageError
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.dated import DatedTable
from forecast.reading.observations import wide_columns

log = logging.getLogger("forecast")

STEPS = "integer"  # the kind of times that count steps: no instant can be compared with them


def parse_as_of(text: str | None) -> datetime:
    """The instant of a run, in whole seconds, with its zone; now where nothing is given.

    Parameters
    ----------
    text : ISO 8601; without a zone it is read on the clock of this machine

    Raises
    ------
    UsageError
        If it is no time.
    """
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
    """The instant in seconds on the clock of a table: UTC where that has a zone, else this machine's wall clock.

    None for a table whose times are steps.
    """
    if time_format.kind == STEPS:
        return None
    if time_format.zone is not None:
        return int(instant.timestamp())
    return int(instant.astimezone().replace(tzinfo=UTC).timestamp())


def until(dated: DatedTable, schema: Schema, instant: datetime, whole: bool = False) -> DatedTable:
    """The table as it could be known at an instant: no later row, but for columns known in advance.

    Where there are such columns, a later row stays with blank targets.

    Parameters
    ----------
    whole : only rows whose period is over by then

    Raises
    ------
    BadData
        If no row is left.
    """
    end = on_clock(instant, schema.time_format)
    if dated.times is None or end is None:
        return dated
    table, instants, calendar = dated.table, dated.times.timestamps, calendar_of(schema)
    after = instants > end
    late = calendar.ends(calendar.positions(instants)) > end if whole else after
    if not late.any():
        return dated
    if late.all():
        why = "lies after" if after.all() else "belongs to a period that is not over at"
        raise BadData(f"{table.name}: every row {why} {as_text(instant)}, the time of the run")
    if (late & ~after).any():
        log.info(
            '%s: %d rows of a period that is not over at %s are left out; unfinished = "keep" in [source] reads them',
            table.name,
            (late & ~after).sum(),
            as_text(instant),
        )
    if not schema.known:
        return dated.rows(~late)
    frame = table.frame.copy()
    targets = wide_columns(table, schema) if schema.layout == "wide" else [schema.target]
    for name in (*targets, *schema.past):
        frame[name] = frame[name].where(~late, "" if table.text else np.nan)
    return replace(dated, table=replace(table, frame=frame))


def same_cut(schema: Schema, other: Schema) -> bool:
    """Whether `until` leaves the same of a table by two schemas."""
    blanked = ("known", "layout", "target", "series", "past") if schema.known or other.known else ()
    return all(getattr(schema, name) == getattr(other, name) for name in ("time_format", "calendar", *blanked))
