"""Write timestamps as the time column had them."""

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.notations import notation_of
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers, wall_clock, zone_of
from forecast.errors import BadData
from forecast.tables.frames import Column

LAST = 253_402_300_799  # the last second of the year 9999


def format_times(timestamps: Integers, time_format: TimeFormat) -> Column:
    """Write timestamps [n] as text, numbers, datetimes or periods; those of several columns as one text."""
    kind, zone, pattern = time_format.kind, time_format.zone, time_format.pattern
    if kind == "period":
        return Column(timestamps.astype("datetime64[s]"), period=pattern)
    if kind == "datetime":
        aware = zone if pattern == "%z" else None
        shown = timestamps if aware else wall_clock(timestamps, zone)
        return Column(shown.astype("datetime64[s]"), time_format.unit or "ns", zone_of(aware) if aware else None)
    if pattern is None and (notation := notation_of(time_format)):
        return Column(notation.write(wall_clock(timestamps, zone), time_format))
    texts = _texts(timestamps, pattern or "%Y-%m-%d", zone)
    return Column(texts.astype(np.int64) if kind == "epoch" else texts)


def format_columns(timestamps: Integers, time_format: TimeFormat) -> list[Column]:
    """Write timestamps into the columns that they were read from together."""
    types = {"datetime": "datetime64[s]", "number": "int64", "text": "O"}
    columns: list[Column] = []
    for pattern, kind in zip(time_format.parts, time_format.kinds, strict=True):
        texts = _texts(timestamps, pattern, time_format.zone, time_format.pattern)
        columns.append(Column(texts.astype(types[kind]), time_format.unit or "ns"))
    return columns


def format_timestamp(timestamp: int, time_format: TimeFormat) -> str:
    """Write one timestamp for a message."""
    timestamps = np.array([timestamp], np.int64)
    if time_format.kind in ("integer", "years"):
        return format_times(timestamps, time_format).texts()[0]
    pattern = time_format.pattern if time_format.kind == "text" and time_format.pattern else "%Y-%m-%d %H:%M:%S"
    return str(_texts(timestamps, pattern, time_format.zone)[0]).removesuffix(" 00:00:00")


def _texts(timestamps: Integers, pattern: str, zone: str | None, whole: str | None = None) -> NDArray[np.object_]:
    """[n], timestamps written by a pattern, on the clock that the pattern `whole` of the whole time shows."""
    unique, codes = np.unique(timestamps, return_inverse=True)
    wall = unique if patterns.is_utc(whole or pattern) else wall_clock(unique, zone)
    if len(wall) and wall[-1] > LAST:
        problem = "the times of the forecasts lie after the year 9999"
        raise BadData(problem, cure="correct the last times of the table, or forecast fewer steps")
    return np.array(patterns.write(wall, unique, pattern), object)[codes.reshape(-1)]
