"""Between timestamps, in seconds since 1970-01-01 UTC, and the wall clock of a zone."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.tables.table import encoded

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = (
    -62_135_510_400,
    253_402_214_400,
)  # a day inside the years that datetime knows, 1 to 9999
# each puts its clocks back at another time than the others
CHANGING_ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Europe/London",
    "Europe/Helsinki",
    "Australia/Sydney",
)


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name or a fixed offset such as ``+02:00``; UsageError with the nearest name if none is."""
    try:
        if fixed := re.fullmatch(r"([+-])(\d{2}):(\d{2})", name):
            offset = timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
            return timezone(-offset if fixed[1] == "-" else offset)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        problem = f"no such time zone{did_you_mean(name, sorted(available_timezones()))}"
        raise UsageError(
            f"{problem} (IANA names such as Europe/Berlin)", setting=Setting("timezone", name)
        ) from None


def offset_name(seconds: int) -> str:
    """Name a fixed offset: ``UTC`` for 0, else such as ``+02:00``."""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}" if seconds else "UTC"


def wall_clock(timestamps: Integers, zone: str | None) -> Integers:
    """Seconds since 1970-01-01 as the clocks of `zone` show them; timestamps themselves where there is no zone."""
    return timestamps + offsets_at(timestamps, zone)


def offsets_at(timestamps: Integers, zone: str | None) -> Integers:
    """Seconds east of UTC of `zone` at each timestamp."""
    if zone is None or zone == "UTC":
        return np.zeros_like(timestamps)
    codes, days = encoded(timestamps // DAY)
    starts, ends = (
        np.array([_offset(zone, day * DAY + at) for day in days.tolist()], np.int64)
        for at in (0, DAY)
    )
    offsets = starts[codes]
    changing = (starts != ends)[codes]  # clocks change at most once within a day
    offsets[changing] = [_offset(zone, timestamp) for timestamp in timestamps[changing].tolist()]
    return offsets


@lru_cache(maxsize=1 << 17)
def _offset(zone: str, timestamp: int) -> int:
    offset = (
        (EPOCH + timedelta(seconds=min(max(timestamp, FIRST), LAST)))
        .astimezone(zone_of(zone))
        .utcoffset()
    )
    return int(offset.total_seconds()) if offset else 0


def timestamps_at(
    wall: Integers, zone: str | None, dst: Literal["earlier", "later"]
) -> tuple[Integers, Flags]:
    """Timestamps of readings of the wall clock, and where one comes twice or not at all, so that `dst` chooses."""
    if zone is None or zone == "UTC":
        return wall, np.zeros(len(wall), bool)
    # clocks change at most once within a day, so the offsets a day before and after are those on both sides
    before, after = (wall - offsets_at(wall + day, zone) for day in (-DAY, DAY))
    shown_before, shown_after = wall_clock(before, zone) == wall, wall_clock(after, zone) == wall
    chosen = np.minimum(before, after) if dst == "earlier" else np.maximum(before, after)
    unclear = (before != after) & (shown_before == shown_after)
    return np.where(unclear, chosen, np.where(shown_before, before, after)), unclear


def zone_cure(repeated: Integers, zone: str | None) -> tuple[object, ...]:
    """Words that name the time zone as the cure, if clocks without `zone` show all times that repeat twice; else ()."""
    for usual in CHANGING_ZONES if zone is None else ():
        late, unclear = timestamps_at(repeated, usual, "later")
        if (unclear & (wall_clock(late, usual) == repeated)).all():
            return (
                "fit with ",
                Setting("timezone", usual),
                " or the table's own, as clocks are put back then; else ",
            )
    return ()


def resolve_by_order(series: Integers, wall: Integers, twice: Flags) -> tuple[Flags, Flags]:
    """Which rows that come `twice` on the `wall` clock are resolved, and which of them are the later reading, [rows].

    This works where a series has such a reading in exactly two rows, and its rows of that day go forward in time (or
    backward in all), but for the hour that comes again.
    """
    resolved, later = np.zeros(len(wall), bool), np.zeros(len(wall), bool)
    near = np.flatnonzero(np.isin(wall // DAY, np.unique(wall[twice] // DAY)))
    near = near[
        np.lexsort((wall[near] // DAY, series[near]))
    ]  # by series and day, in the order of the table
    if not len(near):
        return resolved, later
    changed = (np.diff(np.stack([series[near], wall[near] // DAY])) != 0).any(axis=0)
    group = np.cumsum(np.append(False, changed))
    steps = np.append(np.where(changed, 0, np.sign(np.diff(wall[near]))), 0)
    rises, drops = (np.bincount(group, steps == sign) for sign in (1, -1))
    forward, backward = (drops <= 1) & (rises > drops), (rises <= 1) & (drops > rises)
    rows, group = near[twice[near]], group[twice[near]]
    order = np.lexsort((rows, wall[rows], series[rows]))
    rows, group = rows[order], group[order]
    same = (np.diff(series[rows]) == 0) & (np.diff(wall[rows]) == 0)
    first = np.flatnonzero(
        same & ~np.append(False, same[:-1]) & ~np.append(same[1:], False)
    )  # pairs, no triples
    first = first[(forward | backward)[group[first]]]
    resolved[rows[first]] = resolved[rows[first + 1]] = True
    later[np.where(forward[group[first]], rows[first + 1], rows[first])] = True
    return resolved, later
