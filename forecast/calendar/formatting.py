"""Write instants as the time column had them."""

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.number_formats import UNITS, format_day_numbers, format_decimal_years
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers, wall_clock, zone_of
from forecast.errors import BadData
from forecast.tables.frames import Column

LAST = 253_402_300_799  # the last second of the year 9999


def format_times(instants: Integers, time_format: TimeFormat) -> Column:
    """Write instants the way the time column was written.

    Parameters
    ----------
    instants : [n], as in `ParsedTimes`
    time_format : how the column was written; times of several columns are written as one text

    Returns
    -------
    Text, whole numbers, datetimes (with a zone if the column had one) or periods, as the column had.
    """
    kind, zone, pattern = time_format.kind, time_format.zone, time_format.pattern
    if kind == "integer":
        return Column(instants)
    if time_format.years is not None:
        return Column(format_decimal_years(instants, time_format.years))
    if kind == "days":
        return Column(format_day_numbers(wall_clock(instants, zone)))
    if kind == "epoch" and pattern is None:
        return Column(instants * UNITS[time_format.unit or "s"])
    if kind == "period":
        return Column(instants.astype("datetime64[s]"), period=pattern)
    if kind == "datetime":
        unit = time_format.unit or "ns"
        if pattern == "%z":
            return Column(instants.astype("datetime64[s]"), unit, zone_of(zone) if zone else None)
        return Column(wall_clock(instants, zone).astype("datetime64[s]"), unit)
    texts = _texts(instants, pattern or "%Y-%m-%d", zone)
    return Column(texts.astype(np.int64) if kind == "epoch" else texts)


def format_columns(instants: Integers, time_format: TimeFormat) -> list[Column]:
    """Write instants into the columns that they were read from together."""
    columns: list[Column] = []
    for pattern, kind in zip(time_format.parts, time_format.kinds, strict=True):
        texts = _texts(instants, pattern, time_format.zone, time_format.pattern)
        if kind == "datetime":
            columns.append(Column(texts.astype("datetime64[s]"), time_format.unit or "ns"))
        else:
            columns.append(Column(texts.astype(np.int64) if kind == "number" else texts))
    return columns


def format_instant(instant: int, time_format: TimeFormat) -> str:
    """Write one instant for a message."""
    if time_format.kind == "integer":
        return str(instant)
    instants = np.array([instant], np.int64)
    if time_format.years is not None:
        return format_times(instants, time_format).texts()[0]
    pattern = time_format.pattern if time_format.kind == "text" and time_format.pattern else "%Y-%m-%d %H:%M:%S"
    return str(_texts(instants, pattern, time_format.zone)[0]).removesuffix(" 00:00:00")


def _texts(instants: Integers, pattern: str, zone: str | None, whole: str | None = None) -> NDArray[np.object_]:
    """[n], instants written by a pattern, on the clock that the pattern `whole` of the whole time shows."""
    unique, codes = np.unique(instants, return_inverse=True)
    wall = unique if patterns.is_utc(whole or pattern) else wall_clock(unique, zone)
    if len(wall) and wall[-1] > LAST:
        raise BadData(
            "the times of the forecasts lie after the year 9999; correct the last times of the table, or forecast "
            "fewer steps"
        )
    return np.array(patterns.write(wall, unique, pattern), object)[codes.reshape(-1)]
