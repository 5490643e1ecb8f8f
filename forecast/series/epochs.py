"""Recognise whole numbers as times: epoch numbers, dates without separators, years, steps."""

import re
from typing import Literal

import numpy as np
import pyarrow as pa

from forecast.series import patterns
from forecast.series.schema import TimeFormat
from forecast.series.zones import Integers

STEP_NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")
EPOCH_NAMES = ("timestamp", "epoch", "unix", "unixtime", "unix_time", "time", "datetime", "date", "ts", "ds", "t")
UNITS: dict[Literal["s", "ms", "us", "ns"], int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # 1980 and 2100
SPREADSHEET = (25_000, 60_000)  # day numbers of 1968 to 2064
WHOLE = re.compile(r"-?\d{1,19}(\.0*)?")


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return WHOLE.fullmatch(text) is not None and abs(int(text.partition(".")[0])) < 2**63


def whole_numbers(unique: list[str]) -> Integers | None:
    """[values] as whole numbers, None if one of them is not whole."""
    if not all(is_whole_number(text) for text in unique):
        return None
    return np.array([int(text.partition(".")[0]) for text in unique], np.int64)


def number_format(numbers: Integers, name: str, unique: list[str], certain: bool) -> TimeFormat | None:
    """What whole numbers mean as times, None if that is open; `certain`: without being told that they are times."""
    low, high = int(numbers.min()), int(numbers.max())
    widths = {len(text.partition(".")[0]) for text in unique}
    for width, pattern, first, last in ((8, "%Y%m%d", 19000101, 21001231), (6, "%Y%m", 190001, 210012)):
        if widths == {width} and first <= low and high <= last and (len(unique) > 2 or not certain):
            plain = pa.array([text.partition(".")[0] for text in unique], pa.string())
            if patterns.read(plain, pattern).real.all():
                return TimeFormat(kind="text", pattern=pattern)
    if low >= 1900 and high <= 2100 and (name in YEAR_NAMES or not certain):
        return TimeFormat(kind="text", pattern="%Y")
    for unit, size in UNITS.items():
        if EARLIEST * size <= low and high < LATEST * size and (name in EPOCH_NAMES or not certain):
            return TimeFormat(kind="epoch", unit=unit, zone="UTC")
    dated = widths == {8} or low > SPREADSHEET[0] or max(high, -low) >= EARLIEST
    if not dated and (name in STEP_NAMES or not certain):
        return TimeFormat(kind="integer")
    return None
