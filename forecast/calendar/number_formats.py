"""Times written as numbers: epoch numbers, yyyymmdd, years, day numbers of a spreadsheet, decimal years, steps."""

import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.cells import TimeCells
from forecast.calendar.spec import DecimalYears, TimeFormat
from forecast.calendar.zones import DAY, Flags, Integers
from forecast.errors import BadData, Setting, Words
from forecast.tables.texts import Texts, pa

STEP_NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")
DECIMAL_YEAR_NAMES = (*YEAR_NAMES, "index", "t", "decimal_year", "decimal_date", "decimal")
EPOCH_NAMES = ("timestamp", "epoch", "unix", "unixtime", "unix_time", "time", "datetime", "date", "ts", "ds", "t")
UNITS: dict[Literal["s", "ms", "us", "ns"], int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # epoch seconds of 1980 and 2100
SPREADSHEET = (25_000, 60_000)  # day numbers of 1968 to 2064
DAY_NUMBERS = "spreadsheet"  # as `date_format`: day numbers
EPOCH_DAY = 25_569  # the day number of 1970-01-01
DAY_NUMBERS_END = 2_958_466  # the day number after the year 9999
MIN_DECIMAL_YEARS = 8  # different values from which on numbers in steps of a calendar are times, whatever their name
WHOLE = re.compile(r"-?\d{1,19}(\.0*)?")
DAY_NUMBER = re.compile(r"\d{1,7}([.,]\d*)?")
DECIMAL_YEAR = re.compile(r"[12]\d{3}(\.\d{1,17})?")


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return WHOLE.fullmatch(text) is not None and abs(int(text.partition(".")[0])) < 2**63


def whole_numbers(texts: list[str]) -> Integers | None:
    """[texts] as whole numbers, None if one of them is not whole."""
    if not all(is_whole_number(text) for text in texts):
        return None
    return np.array([int(text.partition(".")[0]) for text in texts], np.int64)


def without_point(texts: list[str]) -> Texts:
    """Whole numbers as text without a decimal point: 2024 for 2024.0."""
    return pa.array([text.partition(".")[0] for text in texts], pa.string())


def number_format(numbers: Integers, name: str, texts: list[str], certain: bool) -> TimeFormat | None:
    """What whole numbers mean as times, None if that is open.

    Parameters
    ----------
    numbers, texts : [texts], the different cells
    name : of the column
    certain : whether it is open that the column holds times at all, so that its name must say so too
    """
    low, high = int(numbers.min()), int(numbers.max())
    name = name.lower()
    widths = {len(text.partition(".")[0]) for text in texts}
    for width, pattern, first, last in ((8, "%Y%m%d", 19000101, 21001231), (6, "%Y%m", 190001, 210012)):
        inside = widths == {width} and first <= low and high <= last and (len(texts) > 2 or not certain)
        if inside and patterns.parse(without_point(texts), pattern).exists.all():
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


def usual_format(numbers: Integers, texts: list[str]) -> tuple[Flags, str] | None:
    """Which whole numbers are no times where most of them are times of one kind, and the words for that kind."""
    plain = without_point(texts)
    fits = [
        (patterns.parse(plain, "%Y%m%d").exists & (numbers > 19000000) & (numbers < 21010000), "a date yyyymmdd"),
        (patterns.parse(plain, "%Y%m").exists & (numbers > 190000) & (numbers < 210100), "a month yyyymm"),
        *(
            ((numbers >= EARLIEST * size) & (numbers < LATEST * size), f"an epoch number in {UNIT_NAMES[unit]}")
            for unit, size in UNITS.items()
        ),
    ]
    fit, words = max(fits, key=lambda candidate: int(candidate[0].sum()))
    return (~fit, words) if 2 * fit.sum() > len(fit) else None


def is_day_number(text: str) -> bool:
    """Whether a text can be a spreadsheet's day number of our time, a fraction of a day included."""
    return DAY_NUMBER.fullmatch(text) is not None and SPREADSHEET[0] <= float(text.replace(",", ".")) <= SPREADSHEET[1]


def parse_day_numbers(cells: TimeCells) -> tuple[Integers, bool]:
    """[texts], seconds since 1970-01-01 by the clock of a spreadsheet's day numbers, and whether all are whole days."""
    wrong = np.array([DAY_NUMBER.fullmatch(text) is None for text in cells.texts])
    days = np.array(
        [0.0 if bad else float(text.replace(",", ".")) for text, bad in zip(cells.texts, wrong, strict=True)]
    )
    wrong |= days >= DAY_NUMBERS_END
    if wrong.any():
        place, text = cells.first(wrong)
        cure = Words("correct it, or leave ", Setting("date_format", DAY_NUMBERS), " out")
        raise BadData(f"'{text}' is not a spreadsheet's day number", place=place, cure=cure)
    return np.round((days - EPOCH_DAY) * DAY).astype(np.int64), bool((days % 1 == 0).all())


def format_day_numbers(wall: Integers) -> NDArray[np.int64] | NDArray[np.float64]:
    """Seconds since 1970-01-01 by the clock as day numbers: whole ones where all are midnights."""
    days = wall / DAY + EPOCH_DAY
    return days.astype(np.int64) if (days % 1 == 0).all() else days.round(9)


def decimal_years(texts: list[str], number: bool) -> DecimalYears | None:
    """How decimal years such as 1960.25 and 1960.083 are written; None where texts are none.

    Their fractions are those of halves, quarters or twelfths of a year, as far as their digits tell; periods are named
    by their start or by their middle.

    Parameters
    ----------
    number : whether the column holds numbers, not text
    """
    if not all(DECIMAL_YEAR.fullmatch(text) for text in texts):
        return None
    lengths = {len(text.partition(".")[2]) for text in texts}
    digits = max(lengths)
    if digits < 1 or len({text.partition(".")[2].rstrip("0") for text in texts}) < 2:
        return None
    values = np.array([float(text) for text in texts])
    for per_year in (2, 4, 12):
        slack = per_year * 10.0**-digits + 1e-6
        if slack >= 0.25 and per_year > 2:
            continue
        for middle in (False, True):
            steps = values * per_year - 0.5 * middle
            if (np.abs(steps - np.rint(steps)) <= slack).all():
                bare = any("." not in text for text in texts)
                whole = "padded" if len(lengths) == 1 and not number else "bare" if bare else "point"
                return DecimalYears.model_validate(
                    {"per_year": per_year, "middle": middle, "digits": digits, "whole": whole, "number": number}
                )
    return None


def are_decimal_years(texts: list[str], name: str, years: DecimalYears) -> bool:
    """Whether texts that can be decimal years surely are: by their name, or one after the other without a gap."""
    if name.lower() in DECIMAL_YEAR_NAMES:
        return True
    return len(texts) >= MIN_DECIMAL_YEARS and bool((np.diff(np.sort(_periods(texts, years))) == 1).all())


def parse_decimal_years(texts: list[str], years: DecimalYears) -> Integers:
    """[texts], seconds since 1970-01-01 of the first day of each period."""
    months = _periods(texts, years) * (12 // years.per_year) - 12 * 1970
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def format_decimal_years(instants: Integers, years: DecimalYears) -> NDArray[np.object_] | NDArray[np.float64]:
    """Instants as decimal years: text as it was written, or numbers where the column held numbers."""
    months = instants.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    year, month = np.divmod(months, 12)
    values = 1970 + year + (month // (12 // years.per_year) + 0.5 * years.middle) / years.per_year
    texts = [f"{value:.{years.digits}f}" for value in values.tolist()]
    if years.number:
        return np.array([float(text) for text in texts])
    if years.whole != "padded":
        short = [text.rstrip("0").removesuffix(".") for text in texts]
        texts = [f"{text}.0" if "." not in text and years.whole == "point" else text for text in short]
    return np.array(texts, object)


def _periods(texts: list[str], years: DecimalYears) -> Integers:
    """Halves, quarters or months since the year 0."""
    values = np.array([float(text) for text in texts])
    return np.rint(values * years.per_year - 0.5 * years.middle).astype(np.int64)
