"""Infer how a time column is written: the one pattern that all its texts fit, and whether it holds times at all."""

import re

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import TimeCells
from forecast.calendar.number_formats import (
    DECIMAL_YEAR,
    WHOLE,
    are_decimal_years,
    decimal_years,
    number_format,
    whole_numbers,
)
from forecast.calendar.patterns import ParsedTexts
from forecast.calendar.spec import TimeSettings
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.table import SAMPLE, Table
from forecast.tables.texts import pa

TIME_NAMES = ("date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter", "year",
              "period", "hour", "ts", "step", "t", "index")  # fmt: skip

CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
ROUNDED = re.compile(r"[+-]?\d(\.\d+)?[eE]\+?\d+")
LETTERED = re.compile(r"(.*\d) ?([A-Z]{2,5})")
DECIMAL, YEAR_MONTH = re.compile(r"\d+\.\d+"), re.compile(r"[12]\d{3}\.(0[1-9]|1[0-2])")


def looks_like_times(table: Table, column: str, named: bool = False) -> bool:
    """Whether a column parses as times all the way down; numbers only where that is certain.

    `named` says that a column of numbers holds dates for sure.
    """
    kind = table.kind(column)
    if not len(table) or kind in ("boolean", "other"):
        return False
    if kind in ("datetime", "date", "period"):
        return True
    first = table.first(column)
    if not WHOLE.fullmatch(first) and not DECIMAL_YEAR.fullmatch(first) and not patterns.guesses(first):
        return False  # most columns of a wide table end here
    return all(_are_times(table.cells(column, rows)[1], column, named) for rows in (SAMPLE, None))


def _are_times(texts: list[str], column: str, named: bool) -> bool:
    """As `looks_like_times`, of the different texts of a column."""
    if "" in texts:
        return False
    if years := decimal_years(texts, number=False):
        return are_decimal_years(texts, column, years)
    if WHOLE.fullmatch(texts[0]):
        numbers = whole_numbers(texts)
        time_format = None if numbers is None else number_format(numbers, column, texts, certain=not named)
        return time_format is not None and not (named and time_format.kind == "integer")
    if all(DECIMAL.fullmatch(text) for text in texts) and not all(YEAR_MONTH.fullmatch(text) for text in texts):
        return False  # 1707.4 is a number, and no April
    array = pa.array(texts, pa.string())
    return any(patterns.matches(array, guess).all() for guess in patterns.guesses(texts[0]))


def resembles_times(table: Table, column: str) -> bool:
    """Whether the first value has the shape of a time, or the name is one: parsing it then says what is wrong."""
    if not len(table):
        return False
    first = table.first(column)
    shaped = bool(CLOCK_ONLY.fullmatch(first) or (patterns.guesses(first) and not WHOLE.fullmatch(first)))
    return shaped or column.lower() in TIME_NAMES


def infer_pattern(cells: TimeCells, settings: TimeSettings) -> ParsedTexts:
    """Parse the texts of a column by the one pattern that fits all of them.

    Raises
    ------
    BadData
        If no pattern fits them all, or two do and mean different days.
    UsageError
        If `date_format` is no format of a date.
    """
    array = cells.array()
    if settings.date_format is not None:
        if not patterns.has_date(settings.date_format):
            setting = Setting("date_format", settings.date_format)
            raise UsageError("a year is missing, or the month of a day", setting=setting)
        parsed = patterns.parse(array, settings.date_format)
        if not parsed.matched.all():
            place, text = cells.first(~parsed.matched)
            raise BadData(Words(f"'{text}' does not fit ", Setting("date_format", settings.date_format)), place=place)
        return parsed
    if settings.fitted is not None and settings.fitted.pattern and settings.fitted.kind == "text":
        parsed = patterns.parse(array, settings.fitted.pattern)
        if parsed.exists.all():
            return parsed
    first = cells.texts[0]
    if CLOCK_ONLY.fullmatch(first):
        raise BadData(f"{cells.place()}: '{first}' is a time of day without a date; add the date to the column")
    guesses = patterns.guesses(first)
    if not guesses:
        raise BadData(Words(f"'{first}' ", _unknown(first)), place=cells.place())
    matched = {guess: patterns.matches(array, guess) for guess in guesses}
    complete = {guess for guess, fits in matched.items() if fits.all()}
    # a pattern with a fraction fits times without any too
    fitting = [
        patterns.parse(array, g)
        for g in matched
        if g in complete and not ("%f" in g and g.replace(".%f", "") in complete)
    ]
    if not fitting:
        closest = max(matched.values(), key=lambda fits: int(fits.sum()))
        place, text = cells.first(~closest)
        raise BadData(_mismatch(text, first), place=place)
    if len(fitting) > 1 and re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]", first):
        return _day_or_month_first(cells, fitting)
    chosen = max(fitting, key=lambda parsed: int(parsed.exists.sum()))
    _refuse_uncertain_years(cells, chosen)
    return chosen


def _unknown(text: str) -> str | Words:
    """Say what may be wrong with a text that has the shape of no time."""
    if ROUNDED.fullmatch(text):
        return "is a number that a spreadsheet has rounded; export the column in full"
    if (lettered := LETTERED.fullmatch(text)) and patterns.guesses(lettered[1]):
        mend = f"write an offset such as +01:00, or leave {lettered[2]} out and pass "
        return Words("names its zone by letters; ", mend, Setting("timezone"))
    return Words("is not a time that can be recognised; pass ", Setting("date_format"), ", or ", Setting("time"))


def _refuse_uncertain_years(cells: TimeCells, chosen: ParsedTexts) -> None:
    """Refuse Jan-21 as a month of 2021 where it may as well be a day: where the months do not follow each other."""
    codes = {code for _, code, _ in patterns.tokens(chosen.pattern)}
    if "y" not in codes or "d" in codes or not chosen.exists.all():
        return
    months = chosen.wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    steps = np.abs(np.diff(months))
    years = {int(month) // 12 % 100 + 70 for month in months}
    no_day = any(year % 100 == 0 or year % 100 > 31 for year in years)
    several = len({int(month) % 12 for month in months}) > 1
    regular = len(steps) > 0 and np.bincount(steps).argmax() == np.gcd.reduce(steps)
    if not (no_day or (several and regular)):
        raise BadData(
            f"'{cells.texts[0]}' can be a month and a year, or a day of a month",
            place=cells.place(),
            cure=Words("pass ", _as_setting(chosen.pattern), ", or write the year in full"),
        )


def _mismatch(text: str, first: str) -> str | Words:
    """Say how a text differs from the first one of its column."""
    guesses, of_first = patterns.guesses(text), patterns.guesses(first)
    if guesses and patterns.has_zone(guesses[0]) != patterns.has_zone(of_first[0]):
        return f"'{text}' and '{first}' mix times with and without a zone; write all of them the same way"
    if CLOCK_ONLY.fullmatch(text):
        return f"'{text}' is a time of day without a date; add the date"
    if not guesses and not re.search(r"\d", text):
        return f"'{text}' is not a time, as '{first}' is; correct it, or remove the line if it is a total or a note"
    mend = "write all times the same way, or pass "
    return Words(f"'{text}' is not written as '{first}' is; ", mend, Setting("date_format"))


def no_such_time(place: str, text: str) -> BadData:
    """The error that a text such as 2024-02-30 gets."""
    cure = Words("correct it, or pass ", Setting("date_format"))
    return BadData(f"'{text}' does not exist as a date and time", place=place, cure=cure)


def _as_setting(pattern: str) -> Setting:
    return Setting("date_format", pattern.replace("%-", "%"))


def _day_or_month_first(cells: TimeCells, fitting: list[ParsedTexts]) -> ParsedTexts:
    """Let a value above 12 decide which number is the day."""
    real = [parsed for parsed in fitting if parsed.exists.all()]
    if len(real) == 1:
        return real[0]
    if not real:
        neither = ~np.logical_or.reduce([parsed.exists for parsed in fitting])
        if neither.any():
            place, text = cells.first(neither)
            raise no_such_time(place, text)
        place, text = cells.first(~fitting[0].exists)
        raise BadData(f"{place}: '{text}' has the month first, other rows have the day first; write all the same way")
    years_last = all(re.search("%[yY]$", parsed.pattern) for parsed in real)
    ways = "day-month or month-day" if years_last else "day, month and year in several orders"
    options = [part for parsed in real for part in (_as_setting(parsed.pattern), " or ")][:-1]
    raise BadData(
        f"'{cells.texts[0]}' can be {ways}, and no row decides", place=cells.place(), cure=Words("pass ", *options)
    )
