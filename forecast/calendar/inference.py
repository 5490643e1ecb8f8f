"""Infer how times are written as text: by one pattern."""

import re

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import (
    WHOLE_TIME,
    TimeCells,
    recognise,
    time_cells,
)
from forecast.calendar.patterns import ParsedTexts, find_codes
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import DAY, count_months
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.table import SAMPLE_CELLS, Flags, Table

TIME_NAMES = (
    "date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter",
    "year", "period", "hour", "ts", "step", "t", "index",
)  # fmt: skip
# names of columns that may hold a part of each time, beside another column
PARTS_OF_TIME = (
    "year", "quarter", "month", "week", "day", "hour", "minute", "second", "time", "yr", "qtr",
    "mon", "wk", "hr", "min", "sec", "hh", "dd",
)  # fmt: skip
CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
DECIMAL = re.compile(r"\d+\.\d+")
YEAR_MONTH = re.compile(r"[12]\d{3}\.(0[1-9]|1[0-2])")


def looks_like_times(table: Table, column: str, named: bool = False) -> bool:
    """Whether all cells of a column are times.

    Numbers are taken for times only if that is certain, or if the column is `named` as the time.
    """
    kind = table.kind(column)
    if kind in ("boolean", "other"):
        return False
    if kind in ("datetime", "date", "period"):
        return True
    first = table.first(column)
    if not (WHOLE_TIME.fullmatch(first) or patterns.guesses(first)):
        return False  # most columns of a wide table end here
    return all(_are_times(time_cells(table, column, rows), named) for rows in (SAMPLE_CELLS, None))


def _are_times(cells: TimeCells, named: bool) -> bool:
    texts = cells.texts
    if "" in texts:
        return False
    time_format = recognise(cells, certain=not named)
    if time_format:
        return not (named and time_format.kind == "integer")
    if all(map(DECIMAL.fullmatch, texts)):  # 1707.4 is a number, and no April
        return all(map(YEAR_MONTH.fullmatch, texts))
    if WHOLE_TIME.fullmatch(texts[0]):
        return False
    guesses = patterns.guesses(texts[0])
    return any(patterns.matches(cells.array, guess).all() for guess in guesses)


def resembles_times(table: Table, column: str) -> bool:
    """Whether the first value looks like a time, or the column has the name of a time column.

    Parsing such a column raises an error that says what is wrong with it.
    """
    first = table.first(column)
    if CLOCK_ONLY.fullmatch(first) or column.lower() in TIME_NAMES:
        return True
    return bool(patterns.guesses(first)) and not WHOLE_TIME.fullmatch(first)


def infer_pattern(cells: TimeCells, settings: TimeSettings) -> ParsedTexts:
    """Parse the texts of a column by the one pattern that fits all of them."""
    if settings.date_format is not None:
        return _by_date_format(cells, settings.date_format, settings.pivot)
    pattern = settings.pattern
    if settings.fitted is not None and settings.fitted.kind == "text":
        pattern = settings.fitted.pattern
    if pattern:
        parsed = patterns.parse(cells.array, pattern, settings.pivot)
        if parsed.exists.all():
            return parsed
    guesses = patterns.guesses(cells.texts[0])
    matched = {guess: patterns.matches(cells.array, guess) for guess in guesses}
    complete = [guess for guess, flags in matched.items() if flags.all()]
    if not complete:
        raise _mismatch(cells, matched)
    # a pattern with a fraction fits times without any too
    needed = [g for g in complete if "%f" not in g or g.replace(".%f", "") not in complete]
    fitting = [patterns.parse(cells.array, guess, settings.pivot) for guess in needed]
    numbers_first = re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]", cells.texts[0])
    if numbers_first and len(fitting) > 1:
        return _day_or_month_first(cells, fitting)
    chosen = max(fitting, key=lambda parsed: parsed.exists.sum())
    _refuse_uncertain_years(cells, chosen)
    return chosen


def _by_date_format(cells: TimeCells, date_format: str, pivot: int | None) -> ParsedTexts:
    setting = Setting("date_format", date_format)
    _require_parts(date_format, setting)
    parsed = patterns.parse(cells.array, date_format, pivot)
    if not parsed.matched.all():
        raise cells.fault(Words("does not fit ", setting), wrong=~parsed.matched)
    return parsed


def _require_parts(pattern: str, setting: Setting) -> None:
    """Refuse a pattern that lacks a part of a time beside the others."""
    codes = find_codes(pattern)
    lacks = {
        "year": not codes & set("YyG"),
        "day": codes & set("HIMS") and not codes & set("djV"),
        "month": "d" in codes and not codes & set("mbB"),
        "hour": codes & set("MS") and not patterns.has_clock(pattern),
    }
    for part in filter(lacks.get, lacks):
        raise UsageError(f"the {part} is missing", setting=setting)


def _mismatch(cells: TimeCells, matched: dict[str, Flags]) -> BadData:
    """Return the error that the first text does not look like a time, or that a text differs."""
    none = np.zeros(len(cells.texts), bool)
    wrong = ~max(matched.values(), key=np.sum, default=none)
    date_format = Setting("date_format")
    first = cells.texts[cells.codes[np.argmax(wrong[cells.codes])]]
    if CLOCK_ONLY.fullmatch(first):
        return cells.fault("is a time of day without a date", "add the date", wrong=wrong)
    if not matched:
        example = "2024-01-31 or 2024-01-31 13:00:00+01:00"
        cure = (f"write it as {example}, or pass ", date_format, " or ", Setting("time"))
        return cells.fault("is not a time that can be recognised", *cure, wrong=wrong)
    problem = f"is not written as '{cells.texts[0]}' is"
    same_way = "write all times the same way, all with a zone or none, or pass "
    return cells.fault(problem, same_way, date_format, wrong=wrong)


def _refuse_uncertain_years(cells: TimeCells, chosen: ParsedTexts) -> None:
    """Refuse Jan-21 as a month of 2021 where it may be a day: where months are out of order."""
    codes = find_codes(chosen.pattern)
    if "y" not in codes or "d" in codes:
        return
    months = count_months(chosen.wall // DAY)
    steps = np.abs(np.diff(months))
    several_months = (steps % 12).any()
    regular = several_months and np.bincount(steps).argmax() == np.gcd.reduce(steps)
    if not regular and chosen.exists.all():
        cure = ("pass ", _as_setting(chosen.pattern), ", or write the year in full")
        raise cells.fault("can be a month and a year, or a day of a month", *cure)


def no_such_time(cells: TimeCells, wrong: Flags) -> BadData:
    """Return the error for a text such as 2024-02-30, which is not a date."""
    cure = ("correct it, or pass ", Setting("date_format"))
    return cells.fault("does not exist as a date and time", *cure, wrong=wrong)


def _as_setting(pattern: str) -> Setting:
    return Setting("date_format", pattern.replace("%-", "%"))


def _day_or_month_first(cells: TimeCells, fitting: list[ParsedTexts]) -> ParsedTexts:
    """Let a value above 12 decide which number is the day."""
    real = [parsed for parsed in fitting if parsed.exists.all()]
    if len(real) == 1:
        return real[0]
    if not real:
        impossible = ~np.logical_or.reduce([parsed.exists for parsed in fitting])
        if impossible.any():
            raise no_such_time(cells, impossible)
        problem = "has the month first, other rows have the day first"
        raise cells.fault(problem, "write all the same way", wrong=~fitting[0].exists)
    years_last = all(re.search("%[yY]$", parsed.pattern) for parsed in real)
    ways = "day-month or month-day" if years_last else "day, month and year in several orders"
    options = [word for parsed in real for word in (" or ", _as_setting(parsed.pattern))]
    raise cells.fault(f"can be {ways}, and no row decides", "pass ", *options[1:])
