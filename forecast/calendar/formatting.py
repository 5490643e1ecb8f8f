"""Write instants as the time column had them, and read one that is given as an argument."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.calendar import patterns
from forecast.calendar.decimal_years import DECIMAL_YEAR, read_years, write_years
from forecast.calendar.epochs import DAY, EPOCH_DAY, UNITS, WHOLE
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers, instants_at, wall_clock, zone_of
from forecast.errors import BadData, Setting, UsageError

LAST = 253_402_300_799  # the last second of the year 9999


def format_times(instants: Integers, time_format: TimeFormat) -> "pd.Index[Any]":
    """Write instants the way the time column was written.

    Parameters
    ----------
    instants : [n], as in `ParsedTimes`
    time_format : how the column was written

    Returns
    -------
    pandas.Index
        Text, whole numbers, datetimes (with a zone if the column had one) or periods, as the column had.
    """
    kind, zone, pattern = time_format.kind, time_format.zone, time_format.pattern
    if kind == "integer":
        return pd.Index(instants)
    if time_format.years is not None:
        return pd.Index(write_years(instants, time_format.years))
    if kind == "days":
        days = wall_clock(instants, zone) / DAY + EPOCH_DAY
        return pd.Index(days.astype(np.int64) if (days % 1 == 0).all() else days.round(9))
    if kind == "epoch" and pattern is None:
        return pd.Index(instants * UNITS[time_format.unit or "s"])
    if kind == "datetime":
        shown = instants if pattern == "%z" else wall_clock(instants, zone)
        datetimes = pd.DatetimeIndex(shown.astype("datetime64[s]")).as_unit(time_format.unit or "ns")
        return datetimes.tz_localize("UTC").tz_convert(zone_of(zone)) if pattern == "%z" and zone else datetimes
    if kind == "period":
        return pd.PeriodIndex(pd.DatetimeIndex(instants.astype("datetime64[s]")), freq=pattern)
    unique, codes = np.unique(instants, return_inverse=True)
    shown = clock(unique, pattern, zone)
    if len(shown) and shown[-1] > LAST:
        raise BadData(
            "the times of the forecasts lie after the year 9999; correct the last times of the table, or forecast "
            "fewer steps"
        )
    texts = [write(int(w), int(w - i), pattern or "%Y-%m-%d") for w, i in zip(shown, unique, strict=True)]
    written = pd.Index([int(text) for text in texts] if kind == "epoch" else texts)
    return written.take(codes.reshape(-1))


def parse_instant(text: str, time_format: TimeFormat, name: str = "origin") -> int:
    """Read one time that is given as an argument, on the clock of the table; a date is its midnight.

    Raises
    ------
    UsageError
        If it is no time, or could mean two.
    """
    kind = time_format.kind
    if time_format.years is not None and DECIMAL_YEAR.fullmatch(text):
        return int(read_years([text], time_format.years)[0])
    if kind == "integer" or (kind == "epoch" and time_format.unit and WHOLE.fullmatch(text)):
        if not WHOLE.fullmatch(text):
            raise UsageError("not a whole number, as the times of the table are", setting=Setting(name, text))
        return int(text.partition(".")[0]) // (1 if kind == "integer" else UNITS[time_format.unit or "s"])
    if kind == "days" and WHOLE.fullmatch(text):
        text = str(np.datetime64(int(text.partition(".")[0]) - EPOCH_DAY, "D"))
    own = (time_format.pattern,) if kind == "text" and time_format.pattern else ()
    array = pa.array([text], pa.string())
    found: set[int] = set()
    for pattern in (*own, *patterns.guesses(text)):
        fields = patterns.read(array, pattern)
        if fields.real.all():
            if patterns.has_zone(pattern):
                offset = int(fields.offsets[0]) if fields.offsets is not None else 0
                found.add(int(fields.wall[0]) - offset)
            else:
                found.add(int(instants_at(fields.wall, time_format.zone, "earlier")[0][0]))
            if pattern in own:
                break
    if len(found) != 1:
        reason = "can mean two times" if found else "not a time"
        cure = "write it as 2024-01-31 or 2024-01-31T13:00:00"
        raise UsageError(reason, setting=Setting(name, text), cure=cure)
    return found.pop()


def clock(instants: Integers, pattern: str | None, zone: str | None) -> Integers:
    """Seconds since 1970-01-01 as a pattern shows instants: on the clock of `zone`, unless the pattern says UTC."""
    return instants if pattern is not None and patterns.is_utc(pattern) else wall_clock(instants, zone)


def write(wall: int, offset: int, pattern: str) -> str:
    """Write one time: seconds since 1970-01-01 by the wall clock, and seconds east of UTC."""
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=wall)
    return "".join(literal or _directive(time, offset, flag, code) for flag, code, literal in patterns.tokens(pattern))


def _directive(time: datetime, offset: int, flag: str, code: str) -> str:
    year, week, _ = time.isocalendar()
    if code in patterns.LOOSE:
        value = {"m": time.month, "d": time.day, "H": time.hour, "I": (time.hour - 1) % 12 + 1, "K": time.hour + 1,
                 "V": week}[code]  # fmt: skip
        return f"{value}" if flag == "-" else f"{value:02d}"
    if code in patterns.WORDS and code != "p":
        name = patterns.MONTHS[time.month - 1] if code in "bB" else patterns.WEEKDAYS[time.weekday()]
        name = (name[:3] if code in "ab" else name).capitalize()
        return name.upper() if flag == "^" else name
    if code == "z":
        hours, minutes = divmod(abs(offset) // 60, 60)
        text = f"{'-' if offset < 0 else '+'}{hours:02d}"
        return text if flag == "-" else f"{text}{flag}{minutes:02d}"
    if code == "f":
        return "0" * int(flag or 6)
    values = {
        "Y": f"{time.year:04d}",
        "G": f"{year:04d}",
        "y": f"{time.year % 100:02d}",
        "q": str((time.month + 2) // 3),
        "j": f"{time.timetuple().tm_yday:03d}",
        "M": f"{time.minute:02d}",
        "S": f"{time.second:02d}",
        "p": "AM" if time.hour < 12 else "PM",
    }
    return values[code].lstrip("0") or "0" if flag == "-" and code in "jMS" else values[code]
