"""Infer how a time column is written: the one pattern that all its texts fit, and whether it holds times at all."""

import re

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import WHOLE, TimeCells, is_whole_number, time_cells
from forecast.calendar.notations import candidates, recognise
from forecast.calendar.notations.decimal_years import is_decimal_year
from forecast.calendar.notations.spreadsheet import DAY_NUMBERS, EPOCH_DAY, USUAL, is_day_number
from forecast.calendar.patterns import ParsedTexts
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.zones import Flags
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.table import SAMPLE, Table

TIME_NAMES = ("date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter", "year",
              "period", "hour", "ts", "step", "t", "index")  # fmt: skip

CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
DECIMAL, YEAR_MONTH = re.compile(r"\d+\.\d+"), re.compile(r"[12]\d{3}\.(0[1-9]|1[0-2])")


def looks_like_times(table: Table, column: str, named: bool = False) -> bool:
    """Whether a column parses as times all the way down; numbers only where that is certain, or they are `named`."""
    kind = table.kind(column)
    if not len(table) or kind in ("boolean", "other"):
        return False
    if kind in ("datetime", "date", "period"):
        return True
    first = table.first(column)
    if not WHOLE.fullmatch(first) and not is_decimal_year(first) and not patterns.guesses(first):
        return False  # most columns of a wide table end here
    return all(_are_times(time_cells(table, column, rows), named) for rows in (SAMPLE, None))


def _are_times(cells: TimeCells, named: bool) -> bool:
    texts = cells.texts
    if "" in texts:
        return False
    if time_format := recognise(cells, certain=not named):
        return not (named and time_format.kind == "integer")
    if WHOLE.fullmatch(texts[0]) or (all(map(DECIMAL.fullmatch, texts)) and not all(map(YEAR_MONTH.fullmatch, texts))):
        return False  # 1707.4 is a number, and no April
    return any(patterns.matches(cells.array, guess).all() for guess in patterns.guesses(texts[0]))


def resembles_times(table: Table, column: str) -> bool:
    """Whether the first value has the shape of a time, or the name is one: parsing it then says what is wrong."""
    if not len(table):
        return False
    first = table.first(column)
    shaped = bool(CLOCK_ONLY.fullmatch(first) or (patterns.guesses(first) and not WHOLE.fullmatch(first)))
    return shaped or column.lower() in TIME_NAMES


def infer_numbers(cells: TimeCells, settings: TimeSettings) -> TimeFormat | None:
    """How a column writes times as numbers, None where a pattern reads its texts; BadData if that is open."""
    days = Setting("date_format", DAY_NUMBERS)
    if settings.date_format == DAY_NUMBERS:
        if (wrong := np.array([not is_day_number(text) for text in cells.texts])).any():
            raise cells.fault("is not a spreadsheet's day number", "correct it, or leave ", days, " out", wrong=wrong)
        return TimeFormat(kind="days")
    if settings.date_format is not None:
        return None
    if not settings.steps and ((time_format := recognise(cells, certain=False)) or not WHOLE.fullmatch(cells.texts[0])):
        return time_format
    if cells.numbers is None:
        wrong = np.array([not is_whole_number(text) for text in cells.texts])
        spreadsheet = is_day_number(cells.first(wrong), *USUAL)
        cure = (days, ", if it is a spreadsheet's") if spreadsheet else (Setting("date_format"),)
        raise cells.fault("is not a whole number that can be a time", "correct it, or pass ", *cure, wrong=wrong)
    if not settings.steps:
        raise _open_numbers(cells)
    return TimeFormat(kind="integer")


def _open_numbers(cells: TimeCells) -> BadData:
    """Say which whole number is no time as most others are, or that it is open what all of them mean."""
    usual = max(candidates(cells, certain=False), key=lambda found: int(found.fits.sum()), default=None)
    if usual and 2 * usual.fits.sum() > len(cells.texts):
        problem = f"is not a time as '{cells.texts[int(np.argmax(usual.fits))]}' is"
        return cells.fault(problem, "correct it, or pass ", Setting("date_format"), wrong=~usual.fits)
    count = (", or ", Setting("freq", "1"), " to count steps")
    if all(is_day_number(text, *USUAL) for text in cells.texts):
        date = np.datetime64(int(float(cells.texts[0])) - EPOCH_DAY, "D")
        problem = f"can be a spreadsheet's day number ({date}) or a step"
        return cells.fault(problem, "pass ", Setting("date_format", DAY_NUMBERS), *count)
    problem = "is not certain as a time (epoch number, yyyymmdd or step)"
    return cells.fault(problem, "write dates, pass ", Setting("date_format"), *count)


def infer_pattern(cells: TimeCells, settings: TimeSettings) -> ParsedTexts:
    """Parse the texts of a column by the one pattern that fits all of them."""
    if settings.date_format is not None:
        setting = Setting("date_format", settings.date_format)
        if not patterns.has_date(settings.date_format):
            raise UsageError("a year is missing, or the month of a day", setting=setting)
        parsed = patterns.parse(cells.array, settings.date_format)
        if not parsed.matched.all():
            raise cells.fault(Words("does not fit ", setting), wrong=~parsed.matched)
        return parsed
    if settings.fitted is not None and settings.fitted.pattern and settings.fitted.kind == "text":
        parsed = patterns.parse(cells.array, settings.fitted.pattern)
        if parsed.exists.all():
            return parsed
    matched = {guess: patterns.matches(cells.array, guess) for guess in patterns.guesses(cells.texts[0])}
    complete = [guess for guess in matched if matched[guess].all()]
    # a pattern with a fraction fits times without any too
    complete = [guess for guess in complete if "%f" not in guess or guess.replace(".%f", "") not in complete]
    if not complete:
        raise _mismatch(cells, matched)
    fitting = [patterns.parse(cells.array, guess) for guess in complete]
    if len(fitting) > 1 and re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]", cells.texts[0]):
        return _day_or_month_first(cells, fitting)
    chosen = max(fitting, key=lambda parsed: int(parsed.exists.sum()))
    _refuse_uncertain_years(cells, chosen)
    return chosen


def _mismatch(cells: TimeCells, matched: dict[str, Flags]) -> BadData:
    """Say that the first text has the shape of no time, or which text differs from it."""
    wrong = ~max(matched.values(), key=lambda fits: int(fits.sum()), default=np.zeros(len(cells.texts), bool))
    text, first = cells.first(wrong), cells.texts[0]
    guesses, date_format = patterns.guesses(text), Setting("date_format")
    problem: str = f"is not written as '{first}' is"
    cure: tuple[object, ...] = ("write all times the same way, or pass ", date_format)
    if CLOCK_ONLY.fullmatch(text):
        problem, cure = "is a time of day without a date", ("add the date",)
    elif not matched:
        problem, example = "is not a time that can be recognised", "2024-01-31 13:00:00+01:00"
        cure = (f"write it as 2024-01-31 or {example}, or pass ", date_format, " or ", Setting("time"))
    elif guesses and patterns.has_zone(guesses[0]) != patterns.has_zone(next(iter(matched))):
        problem, cure = f"and '{first}' mix times with and without a zone", ("write all of them the same way",)
    return cells.fault(problem, *cure, wrong=wrong)


def _refuse_uncertain_years(cells: TimeCells, chosen: ParsedTexts) -> None:
    """Refuse Jan-21 as a month of 2021 where it may as well be a day: where the months do not follow each other."""
    codes = patterns.codes_of(chosen.pattern)
    if "y" not in codes or "d" in codes or not chosen.exists.all():
        return
    months = chosen.wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    steps, short_years = np.abs(np.diff(months)), (months // 12 + 70) % 100
    no_day = ((short_years == 0) | (short_years > 31)).any()
    regular = len(steps) > 0 and np.bincount(steps).argmax() == np.gcd.reduce(steps)
    if not no_day and not (regular and (months % 12 != months[0] % 12).any()):
        cure = ("pass ", _as_setting(chosen.pattern), ", or write the year in full")
        raise cells.fault("can be a month and a year, or a day of a month", *cure)


def no_such_time(cells: TimeCells, wrong: Flags) -> BadData:
    """The error that a text such as 2024-02-30 gets."""
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
        if (neither := ~np.logical_or.reduce([parsed.exists for parsed in fitting])).any():
            raise no_such_time(cells, neither)
        problem = "has the month first, other rows have the day first"
        raise cells.fault(problem, "write all the same way", wrong=~fitting[0].exists)
    years_last = all(re.search("%[yY]$", parsed.pattern) for parsed in real)
    ways = "day-month or month-day" if years_last else "day, month and year in several orders"
    options = [part for parsed in real for part in (" or ", _as_setting(parsed.pattern))][1:]
    raise cells.fault(f"can be {ways}, and no row decides", "pass ", *options)
