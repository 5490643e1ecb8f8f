"""Convert between timestamps, in seconds since 1970-01-01 UTC, and the wall clock of a zone."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.tables.table import Flags, Integers, in_seconds, repeats

MINUTE = 60
HOUR = 3_600
DAY = 86_400
WEEK = 604_800
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# a day inside the years that datetime knows, 1 to 9999
FIRST_SECOND = -62_135_510_400
LAST = 253_402_214_400
# each puts its clocks back at another time than the others
CHANGING_ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Europe/London",
    "Europe/Helsinki",
    "Australia/Sydney",
)


def find_zone(name: str) -> tzinfo:
    """The zone of an IANA name or a fixed offset such as ``+02:00``; UsageError if it is none."""
    try:
        if name.startswith(("+", "-")):
            return datetime.strptime(name, "%z").tzinfo or UTC
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(name, sorted(available_timezones()))
        raise UsageError(
            f"no such time zone{hint} (IANA names such as Europe/Berlin)",
            setting=Setting("timezone", name),
        ) from None


def offset_name(seconds: int) -> str:
    """Name a fixed offset: ``UTC`` for 0, else such as ``+02:00``."""
    return str(timezone(timedelta(seconds=seconds))).removeprefix("UTC") or "UTC"


def count_months(days: Integers) -> Integers:
    """Convert days since 1970-01-01 to months since 1970-01."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def first_days(months: Integers) -> Integers:
    """Return the first days, since 1970-01-01, of months, since 1970-01."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def wall_clock(timestamps: Integers, zone: str | None) -> Integers:
    """Convert timestamps to what the clocks of `zone` show; without a zone, return them as is."""
    return timestamps + offsets_at(timestamps, zone)


def offsets_at(timestamps: Integers, zone: str | None) -> Integers:
    """Seconds east of UTC of `zone` at each timestamp."""
    if zone is None or zone == "UTC":
        return np.zeros_like(timestamps)
    seconds = np.clip(timestamps, FIRST_SECOND, LAST)
    times = pd.DatetimeIndex(seconds.astype("datetime64[s]"), tz="UTC")
    shown = times.tz_convert(find_zone(zone)).tz_localize(None)
    return in_seconds(shown) - seconds


def timestamps_at(
    wall: Integers, zone: str | None, dst: Literal["earlier", "later"]
) -> tuple[Integers, Flags]:
    """Convert readings of the wall clock to timestamps, and say which readings are unclear.

    An unclear reading occurs twice or never because of a clock change; `dst` decides what it means.
    """
    if zone is None or zone == "UTC":
        return wall, np.zeros(len(wall), bool)
    # clocks change at most once within a day: these are the offsets on both sides of a change
    before = wall - offsets_at(wall - DAY, zone)
    after = wall - offsets_at(wall + DAY, zone)
    shown_before = wall_clock(before, zone) == wall
    shown_after = wall_clock(after, zone) == wall
    unclear = (before != after) & (shown_before == shown_after)
    chosen = np.minimum(before, after) if dst == "earlier" else np.maximum(before, after)
    shown = np.where(shown_before, before, after)
    return np.where(unclear, chosen, shown), unclear


def zone_cure(repeated: Integers, zone: str | None) -> str:
    """A cure that names a zone whose clocks show each of the repeated times twice; "" for none."""
    for usual in CHANGING_ZONES if zone is None else ():
        late, unclear = timestamps_at(repeated, usual, "later")
        if (unclear & (wall_clock(late, usual) == repeated)).all():
            return (
                f"fit with {Setting('timezone', usual)} or the table's own, as clocks are put "
                "back then; else "
            )
    return ""


def resolve_by_order(series: Integers, wall: Integers, twice: Flags) -> tuple[Flags, Flags]:
    """Which rows that come `twice` are resolved, and which of them are the later reading, [rows].

    This works where a series has such a reading in exactly two rows, and its rows of that day go
    forward in time (or backward in all), but for the hour that comes again.
    """
    resolved = np.zeros(len(wall), bool)
    later = np.zeros(len(wall), bool)
    days = wall // DAY
    days_of_change = np.unique(days[twice])
    near = np.flatnonzero(np.isin(days, days_of_change))
    if not len(near):
        return resolved, later
    by_series = np.lexsort((days[near], series[near]))  # else in the order of the table
    near = near[by_series]
    same_series = np.diff(series[near]) == 0
    same_day = same_series & (np.diff(days[near]) == 0)
    group = np.append(0, np.cumsum(~same_day))
    step = np.append(0, np.where(same_day, np.diff(wall[near]), 0))
    rises = np.bincount(group, step > 0)
    drops = np.bincount(group, step < 0)
    forward = ((drops <= 1) & (rises > drops))[group]
    backward = ((rises <= 1) & (drops > rises))[group]

    rows = near[twice[near] & (forward | backward)]
    rows = rows[np.lexsort((rows, wall[rows], series[rows]))]
    second = repeats(series[rows], wall[rows])
    reading = np.cumsum(~second)
    is_pair = (np.bincount(reading) == 2)[reading]
    resolved[rows[is_pair]] = True
    goes_forward = np.isin(rows, near[forward])
    later[rows[is_pair]] = (second == goes_forward)[is_pair]
    return resolved, later
