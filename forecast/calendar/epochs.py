"""Recognise whole numbers as times: epoch numbers, dates without separators, years, steps."""

import re
from typing import Literal

import numpy as np
import pyarrow as pa

from forecast.calendar import patterns
from forecast.calendar.inference import Texts
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Flags, Integers
from forecast.errors import BadData, Setting, Words

STEP_NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")
EPOCH_NAMES = ("timestamp", "epoch", "unix", "unixtime", "unix_time", "time", "datetime", "date", "ts", "ds", "t")
UNITS: dict[Literal["s", "ms", "us", "ns"], int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
SECONDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # 1980 and 2100
SPREADSHEET = (25_000, 60_000)  # day numbers of 1968 to 2064
DAY_NUMBERS = "spreadsheet"  # as `date_format`: day numbers
EPOCH_DAY = 25_569  # the day number of 1970-01-01
LAST_DAY = 2_958_466  # the day number after the year 9999
DAY = 86_400
WHOLE = re.compile(r"-?\d{1,19}(\.0*)?")
DAY_NUMBER = re.compile(r"\d{1,7}([.,]\d*)?")


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return WHOLE.fullmatch(text) is not None and abs(int(text.partition(".")[0])) < 2**63


def whole_numbers(unique: list[str]) -> Integers | None:
    """[values] as whole numbers, None if one of them is not whole."""
    if not all(is_whole_number(text) for text in unique):
        return None
    return np.array([int(text.partition(".")[0]) for text in unique], np.int64)


def is_day_number(text: str) -> bool:
    """Whether a text can be a spreadsheet's day number of our time, a fraction of a day included."""
    return DAY_NUMBER.fullmatch(text) is not None and SPREADSHEET[0] <= float(text.replace(",", ".")) <= SPREADSHEET[1]


def day_numbers(texts: Texts) -> tuple[Integers, bool]:
    """Seconds since 1970-01-01 by the clock of a spreadsheet's day numbers, and whether all are whole days.

    Raises
    ------
    BadData
        If one is none.
    """
    wrong = np.array([DAY_NUMBER.fullmatch(text) is None for text in texts.unique])
    days = np.array(
        [0.0 if bad else float(text.replace(",", ".")) for text, bad in zip(texts.unique, wrong, strict=True)]
    )
    wrong |= days >= LAST_DAY
    if wrong.any():
        place, text = texts.first_place(wrong)
        cure = Words("correct it, or leave ", Setting("date_format", DAY_NUMBERS), " out")
        raise BadData(f"'{text}' is not a spreadsheet's day number", place=place, cure=cure)
    return np.round((days - EPOCH_DAY) * DAY).astype(np.int64), bool((days % 1 == 0).all())


def nearly_format(numbers: Integers, unique: list[str]) -> tuple[Flags, str] | None:
    """Which whole numbers are no times where most of them are times of one kind, and the words for that kind."""
    plain = pa.array([text.partition(".")[0] for text in unique], pa.string())
    fits = [
        (patterns.read(plain, "%Y%m%d").real & (numbers > 19000000) & (numbers < 21010000), "a date yyyymmdd"),
        (patterns.read(plain, "%Y%m").real & (numbers > 190000) & (numbers < 210100), "a month yyyymm"),
        *(
            ((numbers >= EARLIEST * size) & (numbers < LATEST * size), f"an epoch number in {SECONDS[unit]}")
            for unit, size in UNITS.items()
        ),
    ]
    fit, words = max(fits, key=lambda one: int(one[0].sum()))
    return (~fit, words) if 2 * fit.sum() > len(fit) else None


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
