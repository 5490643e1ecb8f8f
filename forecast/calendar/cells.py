"""Read the cells of a time column as text, each different text once, and times that are numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.spec import DecimalYears, TimeFormat, TimeSettings
from forecast.calendar.zones import DAY, first_days, months_of
from forecast.errors import BadData, Setting, Words
from forecast.tables.cells import Texts
from forecast.tables.table import PER_SECOND, Flags, Integers, Names, Table, TypedTimes, encoded

WHOLE = re.compile(r"-?\d{1,19}(\.0*)?")
DECIMAL_YEAR = re.compile(r"[12]\d{3}(\.\d{1,17})?")
DAY_NUMBER = re.compile(r"\d{1,7}([.,]\d*)?")
GERMAN_MONTH = re.compile(  # where it is not written as in English
    r"\b(Mrz|Mär|Mai|Okt|Dez|Januar|Februar|März|Juni|Juli|Oktober|Dezember)\b", re.IGNORECASE
)
# names of columns, with blanks between them
YEAR_NAMES = "year yr date time ds period"
EPOCH_NAMES = "timestamp epoch unix unixtime unix_time time datetime date ts ds t"
STEP_NAMES = "step t time ds period index hour week"
DECIMAL_NAMES = f"{YEAR_NAMES} index t decimal_year decimal_date decimal"
# epoch seconds of 1980 and 2100
EARLIEST = 315_532_800
LATEST = 4_102_444_800
# this many different decimal years without a gap are times, whatever the name of their column
MIN_VALUES = 8
DAY_NUMBERS = "spreadsheet"  # as `date_format`
USUAL_DAY_NUMBERS = (25_000, 60_000)  # day numbers of 1968 to 2064
EPOCH_DAY = 25_569  # the day number of 1970-01-01
LAST_DAY_NUMBER = 2_958_466  # the day number after the year 9999


class NumberForm(NamedTuple):
    """A notation of times as whole numbers, and the range of likely numbers."""

    format: TimeFormat
    first: int
    last: int
    # columns with these names surely have it; if "", three different numbers are enough
    names: str


NUMBER_FORMS = [
    NumberForm(TimeFormat(pattern="%Y%m%d"), 19000101, 21001231, ""),
    NumberForm(TimeFormat(pattern="%Y%m"), 190001, 210012, ""),
    NumberForm(TimeFormat(pattern="%Y"), 1900, 2100, YEAR_NAMES),
]
for unit, size in PER_SECOND.items():
    epoch = TimeFormat(kind="epoch", unit=unit, zone="UTC")
    NUMBER_FORMS.append(NumberForm(epoch, EARLIEST * size, LATEST * size - 1, EPOCH_NAMES))


@dataclass(frozen=True)
class TimeCells:
    """The different texts of a time column, or of several columns joined by blanks."""

    table: Table
    columns: Names
    codes: Integers  # [rows], which of the texts each row has
    texts: list[str]
    kind: Literal["text", "number", "datetime"] = "text"  # type of the column
    series: Integers | None = None  # [rows], the series of each row; None before it is found

    @property
    def name(self) -> str:
        return " and ".join(self.columns)

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
        place = self.table.place(row, self.columns)
        return BadData(Words(f"'{text}' ", problem), place=place, cure=Words(*cure))


def time_cells(table: Table, column: str, rows: int | None = None) -> TimeCells:
    """A column, or the first `rows` of it, as text, '' where a cell is missing.

    A column of datetimes may have no missing cells.
    """
    kind = table.kind(column)
    if kind == "datetime":
        return typed_cells(table, column, table.times(column))
    codes, texts = table.distinct(column, rows)
    texts = [text.strip() for text in texts]
    if all(map(WHOLE.fullmatch, texts)):  # such as epochs that are written as floats
        texts = [text.partition(".")[0] for text in texts]
    is_number = kind in ("whole", "number", "boolean")
    return TimeCells(table, (column,), codes, texts, "number" if is_number else "text")


def typed_cells(
    table: Table, column: str, times: TypedTimes, series: Integers | None = None
) -> TimeCells:
    """A column of datetimes as text: 2024-01-31 13:00:00, or 2024-01-31 where all are dates."""
    codes, wall = encoded(times.wall)
    dates = not times.fractions and not (wall % DAY).any()
    instants = wall.astype("datetime64[s]")
    written = np.datetime_as_string(instants, "D" if dates else "s")
    texts = [text.replace("T", " ") for text in written.tolist()]
    return TimeCells(table, (column,), codes, texts, "datetime", series)


def refuse_blank(table: Table, column: str, blank: Flags, what: str = "the time") -> None:
    """Refuse a column with blank cells [rows], with the first of them."""
    if blank.any():
        place = table.place(np.argmax(blank), column)
        raise BadData(f"{what} is blank", place=place, cure="fill it in or remove the row")


def filled_cells(table: Table, column: str, what: str = "the time") -> TimeCells:
    """A column as text, none of it blank; `what` it holds, for messages."""
    refuse_blank(table, column, table.missing(column), what)
    cells = time_cells(table, column)
    blank = np.array(cells.texts) == ""
    refuse_blank(table, column, blank[cells.codes], what)
    return cells


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return re.fullmatch(r"-?\d{1,19}", text) is not None and abs(int(text)) < 2**63


def is_decimal_year(text: str) -> bool:
    """Whether a text has the shape of a year with a fraction, or of a bare one."""
    return DECIMAL_YEAR.fullmatch(text) is not None


def is_day_number(text: str) -> bool:
    """Whether a text is a day number of the years 1900 to 9999, a fraction of a day included."""
    return DAY_NUMBER.fullmatch(text) is not None and _decimal(text) < LAST_DAY_NUMBER


# kinds of formats that write numbers, and which texts each takes
NUMBERS = {
    "years": is_decimal_year,
    "days": is_day_number,
    "epoch": is_whole_number,
    "integer": is_whole_number,
}


def is_number(time_format: TimeFormat) -> bool:
    """Whether a format writes times as numbers; otherwise a pattern or a type says how."""
    return time_format.kind in NUMBERS and not time_format.pattern


def _decimal(text: str) -> float:
    return float(text.replace(",", "."))


def candidates(cells: TimeCells, certain: bool) -> Iterator[tuple[TimeFormat, Flags]]:
    """Yield the formats that a column may have, and which of its texts match each.

    If `certain`, yield only formats about which its name or its values leave no doubt.
    """
    name = cells.name.lower()
    every = np.ones(len(cells.texts), bool)
    years = _decimal_years(cells)
    if years and (not certain or name in DECIMAL_NAMES.split() or _follow_each_other(cells, years)):
        yield TimeFormat(kind="years", years=years), every
    numbers = cells.numbers
    if numbers is None:
        return
    for time_format, first, last, names in NUMBER_FORMS:
        if certain and not (name in names.split() if names else len(numbers) > 2):
            continue
        fits = (first <= numbers) & (numbers <= last)
        if fits.any() and time_format.pattern:
            fits &= patterns.parse(cells.array, time_format.pattern).exists
            kind = "epoch" if cells.kind == "number" else "text"
            time_format = time_format.model_copy(update={"kind": kind})
        if fits.any():
            yield time_format, fits
    small = np.abs(numbers).max() < EARLIEST
    counts = small and numbers.min() <= USUAL_DAY_NUMBERS[0]
    if counts and (not certain or name in STEP_NAMES.split()):
        yield TimeFormat(kind="integer"), every


def recognise(cells: TimeCells, certain: bool) -> TimeFormat | None:
    """Return how a column writes times as numbers, or None if it does not."""
    formats = (time_format for time_format, fits in candidates(cells, certain) if fits.all())
    return next(formats, None)


def infer_numbers(cells: TimeCells, settings: TimeSettings) -> TimeFormat | None:
    """Infer how a column writes times as numbers; None if its texts match a pattern instead.

    Raises BadData if it is unclear what the numbers mean.
    """
    if settings.date_format == DAY_NUMBERS:
        wrong = np.array([not is_day_number(text) for text in cells.texts])
        if wrong.any():
            cure = ("correct it, or leave ", Setting("date_format", DAY_NUMBERS), " out")
            raise cells.fault("is not a spreadsheet's day number", *cure, wrong=wrong)
        return TimeFormat(kind="days")
    if settings.date_format is not None:
        return None
    if not settings.steps:
        time_format = recognise(cells, certain=False)
        if time_format or not WHOLE.fullmatch(cells.texts[0]):
            return time_format
    if settings.steps and cells.numbers is not None:
        return TimeFormat(kind="integer")
    raise _unclear(cells)


def _unclear(cells: TimeCells) -> BadData:
    """Return the error that names a number that is not a time, or says that all are unclear."""
    settings = (Setting("date_format"), ", ", Setting("date_format", DAY_NUMBERS), " or ")
    cure = ("correct it, or pass ", *settings, Setting("freq", "1"), " to count steps")
    if cells.numbers is None:
        wrong = np.array([not is_whole_number(text) for text in cells.texts])
        return cells.fault("is not a whole number that can be a time", *cure, wrong=wrong)
    flags = [fits for _, fits in candidates(cells, certain=False)]
    fits = max(flags, key=np.sum, default=np.zeros(1, bool))
    if 2 * fits.sum() > len(cells.texts):
        problem = f"is not a time as '{cells.texts[np.argmax(fits)]}' is"
        return cells.fault(problem, *cure, wrong=~fits)
    kinds = "epoch number, yyyymmdd, spreadsheet's day number or step"
    return cells.fault(f"is not certain as a time ({kinds})", *cure)


def _decimal_years(cells: TimeCells) -> DecimalYears | None:
    """Infer from their digits how texts write decimal years; None if they are not decimal years."""
    if not all(map(is_decimal_year, cells.texts)):
        return None
    number = cells.kind == "number"
    fractions = [text.partition(".")[2] for text in cells.texts]
    lengths = set(map(len, fractions))
    digits = max(lengths)
    if len({fraction.rstrip("0") for fraction in fractions}) < 2:
        return None
    whole = "padded" if len(lengths) == 1 and not number else "bare" if 0 in lengths else "point"
    values = np.array(cells.texts, float)
    for per_year, middle in product((2, 4, 12), (False, True)):
        slack = per_year * 10.0**-digits + 1e-6
        periods = values * per_year - 0.5 * middle
        misses = np.abs(periods - np.rint(periods))
        if slack < 0.25 and (misses <= slack).all():
            return DecimalYears(
                per_year=per_year, middle=middle, digits=digits, whole=whole, number=number
            )
    return None


def _follow_each_other(cells: TimeCells, years: DecimalYears) -> bool:
    """Whether there are many decimal years, and none is missing between them."""
    wall = read_numbers(cells.texts, TimeFormat(kind="years", years=years))
    steps = np.diff(np.sort(months_of(wall // DAY)))
    return len(wall) >= MIN_VALUES and bool((steps * years.per_year == 12).all())


def read_numbers(texts: list[str], time_format: TimeFormat) -> Integers:
    """Convert numbers to seconds since 1970-01-01 on their own clock, or to steps.

    A decimal year becomes the first day of its period.
    """
    if time_format.kind == "days":
        days = np.array([_decimal(text) for text in texts])
        return np.round((days - EPOCH_DAY) * DAY).astype(np.int64)
    years = time_format.years
    if years is None:
        return np.array(texts, np.int64) // PER_SECOND[time_format.unit or "s"]
    decimals = np.array(texts, float)
    periods = np.rint(decimals * years.per_year - 0.5 * years.middle)
    months = periods.astype(np.int64) * (12 // years.per_year) - 12 * 1970
    return first_days(months) * DAY


def write_numbers(wall: Integers, time_format: TimeFormat) -> NDArray[Any]:
    """The inverse of `read_numbers`."""
    if time_format.kind == "days":
        days = wall / DAY + EPOCH_DAY
        whole = (days % 1 == 0).all()
        return days.astype(np.int64) if whole else days.round(9)
    years = time_format.years
    if years is None:
        return wall * PER_SECOND[time_format.unit or "s"]
    year, month = np.divmod(months_of(wall // DAY), 12)
    periods = month // (12 // years.per_year) + 0.5 * years.middle
    values = 1970 + year + periods / years.per_year
    texts = [f"{value:.{years.digits}f}" for value in values.tolist()]
    if years.number:
        return np.array(texts, float)
    if years.whole != "padded":
        end = ".0" if years.whole == "point" else ""
        texts = [re.sub(r"\.$", end, text.rstrip("0")) for text in texts]
    return np.array(texts, object)
