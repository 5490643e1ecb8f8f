"""Infer how times are written: as numbers, or as text by one pattern."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from forecast.calendar import patterns
from forecast.calendar.patterns import ParsedTexts, find_codes
from forecast.calendar.zones import DAY, count_months
from forecast.errors import BadData, Setting, UsageError
from forecast.settings import ClockChange, Stored, TableSettings
from forecast.tables.cells import Texts
from forecast.tables.table import PER_SECOND, SAMPLE_CELLS, Flags, Integers, Table

WHOLE_TIME = re.compile(r"-?\d{1,19}(\.0*)?")
GERMAN_MONTH = re.compile(  # where it is not written as in English
    r"\b(Mrz|Mär|Mai|Okt|Dez|Januar|Februar|März|Juni|Juli|Oktober|Dezember)\b", re.IGNORECASE
)
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


class TimeFormat(Stored):
    """How the time column is written, so that forecasts are written the same way."""

    kind: Literal["text", "datetime", "integer", "epoch", "period"] = "text"
    pattern: str | None = None  # strftime's, for text; '%z' for datetimes with a zone
    unit: Literal["s", "ms", "us", "ns"] | None = None  # of epoch numbers and datetimes
    zone: str | None = None  # IANA zone or fixed offset such as +02:00; None = naive
    # the first of the hundred years that years of two digits stand for
    pivot: int | None = Field(None, ge=1, le=9999)


@dataclass(frozen=True)
class TimeSettings:
    date_format: str | None = None
    timezone: str | None = None
    dst: ClockChange = "error"
    steps: bool = False  # whole numbers count steps
    fractions: bool = False  # times finer than a second are fine, as rows are aggregated
    # how fit read them: tried first, and times of another kind are refused
    fitted: TimeFormat | None = None
    pattern: str | None = None  # of dates in another table, tried first
    pivot: int | None = None  # as in `TimeFormat`; None where the times alone say it

    @classmethod
    def at_fit(cls, settings: TableSettings, pivot: int | None = None) -> "TimeSettings":
        return cls(
            date_format=settings.date_format,
            timezone=settings.timezone,
            dst=settings.dst,
            steps=bool(settings.freq and settings.freq.isdigit()),
            fractions=settings.aggregate is not None,
            pivot=pivot,
        )


# notations of times as whole numbers, and the first and last of likely numbers; columns with these
# names surely have it, and with none three different numbers are enough
NUMBER_FORMS: list[tuple[TimeFormat, int, int, str]] = [
    (TimeFormat(pattern="%Y%m%d"), 19000101, 21001231, ""),
    (TimeFormat(pattern="%Y%m"), 190001, 210012, ""),
    (TimeFormat(pattern="%Y"), 1900, 2100, "year yr date time ds period"),
]
# epoch seconds of 1980 and 2100
EARLIEST_EPOCH = 315_532_800
LATEST_EPOCH = 4_102_444_800
for unit, size in PER_SECOND.items():
    epoch = TimeFormat(kind="epoch", unit=unit, zone="UTC")
    epoch_names = "timestamp epoch unix unixtime unix_time time datetime date ts ds t"
    NUMBER_FORMS.append((epoch, EARLIEST_EPOCH * size, LATEST_EPOCH * size - 1, epoch_names))


@dataclass(frozen=True)
class TimeCells:
    """The different texts of a time column."""

    table: Table
    name: str  # of the column
    codes: Integers  # [rows], which of the texts each row has
    texts: list[str]
    is_number: bool = False  # whether the column holds numbers, not text

    @cached_property
    def array(self) -> Texts:
        return pa.array(self.texts, pa.string())

    @cached_property
    def numbers(self) -> Integers | None:
        """The texts as whole numbers, [texts]; None if one of them is not a whole number."""
        if not all(map(is_whole_number, self.texts)):
            return None
        return np.array(self.texts, np.int64)

    def fault(self, problem: object, *cure: object, wrong: Flags | None = None) -> BadData:
        """Return an error about the first cell, or the first that is flagged in `wrong` [texts]."""
        row = 0 if wrong is None else np.argmax(wrong[self.codes])
        text = self.texts[self.codes[row]]
        month = GERMAN_MONTH.search(text)
        if month is not None:
            problem = f"has the German month '{month[0]}'"
            cure = ("write months as numbers, or in English",)
        place = self.table.place(row, self.name)
        return BadData(f"'{text}' {problem}", place=place, cure="".join(f"{part}" for part in cure))


def time_cells(table: Table, column: str, rows: int | None = None) -> TimeCells:
    """A column, or the first `rows` of it, as text, '' where a cell is missing."""
    codes, texts = table.distinct(column, rows)
    texts = [text.strip() for text in texts]
    if all(map(WHOLE_TIME.fullmatch, texts)):  # such as epochs that are written as floats
        texts = [text.partition(".")[0] for text in texts]
    is_number = table.kind(column) in ("whole", "number", "boolean")
    return TimeCells(table, column, codes, texts, is_number)


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
        raise cells.fault(f"does not fit {setting}", wrong=~parsed.matched)
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


def refuse_blank(table: Table, column: str, blank: Flags, what: str = "the time") -> None:
    """Refuse a column with blank cells [rows], with the first of them."""
    if blank.any():
        place = table.place(np.argmax(blank), column)
        raise BadData(f"{what} is blank", place=place, cure="fill it in or remove the row")


def filled_cells(table: Table, column: str, what: str = "the time") -> TimeCells:
    """A column as text, none of it blank; `what` it holds, for messages."""
    refuse_blank(table, column, table.find_blanks(column), what)
    cells = time_cells(table, column)
    blank = np.array(cells.texts) == ""
    refuse_blank(table, column, blank[cells.codes], what)
    return cells


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return re.fullmatch(r"-?\d{1,19}", text) is not None and abs(int(text)) < 2**63


def is_number(time_format: TimeFormat) -> bool:
    """Whether a format writes times as numbers; otherwise a pattern or a type says how."""
    return time_format.kind in ("epoch", "integer") and not time_format.pattern


def candidates(cells: TimeCells, certain: bool) -> Iterator[tuple[TimeFormat, Flags]]:
    """Yield the formats that a column may have, and which of its texts match each.

    If `certain`, yield only formats about which its name or its values leave no doubt.
    """
    name = cells.name.lower()
    numbers = cells.numbers
    if numbers is None:
        return
    for time_format, first, last, names in NUMBER_FORMS:
        if certain and not (name in names.split() if names else len(numbers) > 2):
            continue
        fits = (first <= numbers) & (numbers <= last)
        if fits.any() and time_format.pattern:
            fits &= patterns.parse(cells.array, time_format.pattern).exists
            kind = "epoch" if cells.is_number else "text"
            time_format = time_format.model_copy(update={"kind": kind})
        if fits.any():
            yield time_format, fits
    small = np.abs(numbers).max() < EARLIEST_EPOCH
    # steps that begin above it may be a spreadsheet's days, from 1968 on
    counts = small and numbers.min() <= 25_000
    if counts and (
        not certain or name in ["step", "t", "time", "ds", "period", "index", "hour", "week"]
    ):
        yield TimeFormat(kind="integer"), np.ones(len(numbers), bool)


def recognise(cells: TimeCells, certain: bool) -> TimeFormat | None:
    """Return how a column writes times as numbers, or None if it does not."""
    formats = (time_format for time_format, fits in candidates(cells, certain) if fits.all())
    return next(formats, None)


def infer_numbers(cells: TimeCells, settings: TimeSettings) -> TimeFormat | None:
    """Infer how a column writes times as numbers; None if its texts match a pattern instead.

    Raises BadData if it is unclear what the numbers mean.
    """
    if settings.date_format is not None:
        return None
    if not settings.steps:
        time_format = recognise(cells, certain=False)
        if time_format or not WHOLE_TIME.fullmatch(cells.texts[0]):
            return time_format
    if settings.steps and cells.numbers is not None:
        return TimeFormat(kind="integer")
    raise _unclear(cells)


def _unclear(cells: TimeCells) -> BadData:
    """Return the error that names a number that is not a time, or says that all are unclear."""
    settings = (Setting("date_format"), " or ", Setting("freq", "1"))
    cure = ("correct it, write dates as 2024-01-31, or pass ", *settings, " to count steps")
    if cells.numbers is None:
        wrong = np.array([not is_whole_number(text) for text in cells.texts])
        return cells.fault("is not a whole number that can be a time", *cure, wrong=wrong)
    flags = [fits for _, fits in candidates(cells, certain=False)]
    fits = max(flags, key=np.sum, default=np.zeros(1, bool))
    if 2 * fits.sum() > len(cells.texts):
        problem = f"is not a time as '{cells.texts[np.argmax(fits)]}' is"
        return cells.fault(problem, *cure, wrong=~fits)
    return cells.fault("is not certain as a time (epoch number, yyyymmdd or step)", *cure)
