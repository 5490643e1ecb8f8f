"""The cells of a time column as text, each different one once, and notations of times as numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.spec import DecimalYears, TimeFormat, TimeSettings
from forecast.calendar.zones import DAY, Flags, Integers
from forecast.errors import BadData, Setting, Words
from forecast.tables.cells import Texts
from forecast.tables.table import Table, TypedTimes, encoded

WHOLE = re.compile(r"-?\d{1,19}(\.0*)?")
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")
EPOCH_NAMES = (
    "timestamp",
    "epoch",
    "unix",
    "unixtime",
    "unix_time",
    "time",
    "datetime",
    "date",
    "ts",
    "ds",
    "t",
)
STEP_NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")
DECIMAL_NAMES = (*YEAR_NAMES, "index", "t", "decimal_year", "decimal_date", "decimal")
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # epoch seconds of 1980 and 2100
MIN_VALUES = 8  # different decimal years from which on numbers in steps of a calendar are times, whatever their name
DAY_NUMBERS = "spreadsheet"  # as `date_format`
USUAL_DAY_NUMBERS = (25_000, 60_000)  # day numbers of 1968 to 2064
EPOCH_DAY = 25_569  # the day number of 1970-01-01
LAST_DAY_NUMBER = 2_958_466  # the day number after the year 9999
# format, first and last number, names of columns that surely hold it (without any, three different numbers are enough)
NUMBER_FORMS: list[tuple[TimeFormat, int, int, tuple[str, ...]]] = [
    (TimeFormat(pattern="%Y%m%d"), 19000101, 21001231, ()),
    (TimeFormat(pattern="%Y%m"), 190001, 210012, ()),
    (TimeFormat(pattern="%Y"), 1900, 2100, YEAR_NAMES),
]


@dataclass(frozen=True)
class TimeCells:
    """The different texts of a time column, or of several columns joined by blanks."""

    table: Table
    columns: tuple[str, ...]
    codes: Integers  # [rows], which of the texts each row has
    texts: list[str]
    kind: Literal["text", "number", "datetime"] = "text"  # type of the column
    series: Integers | None = None  # [rows], which series each row belongs to, where that is known

    @property
    def name(self) -> str:
        return " and ".join(self.columns)

    @cached_property
    def array(self) -> Texts:
        return pa.array(self.texts, pa.string())

    def plain(self) -> "TimeCells":
        """The cells without the decimal point of whole numbers: 2024 for 2024.0."""
        return replace(
            self,
            texts=[
                text.partition(".")[0] if WHOLE.fullmatch(text) else text for text in self.texts
            ],
        )

    @cached_property
    def numbers(self) -> Integers | None:
        """[texts] as whole numbers, None if one of them is not whole."""
        return whole_numbers(self.texts) if all(map(is_whole_number, self.texts)) else None

    def first(self, wrong: Flags) -> str:
        """The text of the first row whose text is `wrong` [texts]."""
        return self.texts[int(self.codes[np.argmax(wrong[self.codes])])]

    def fault(self, problem: object, *cure: object, wrong: Flags | None = None) -> BadData:
        """An error about the first cell, or the first that is `wrong` [texts], such as: '13:45' is no date."""
        row = 0 if wrong is None else int(np.argmax(wrong[self.codes]))
        problem = Words(f"'{self.texts[self.codes[row]]}' ", problem)
        return BadData(problem, place=self.table.place(row, self.columns), cure=Words(*cure))


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return WHOLE.fullmatch(text) is not None and abs(int(text.partition(".")[0])) < 2**63


def whole_numbers(texts: list[str]) -> Integers:
    return np.array([int(text.partition(".")[0]) for text in texts], np.int64)


def time_cells(table: Table, column: str, rows: int | None = None) -> TimeCells:
    """A column, or the first `rows` of it, as text; '' where a cell is missing, which datetimes may not be."""
    kind = table.kind(column)
    if kind == "datetime":
        return typed_cells(table, column, table.times(column))
    codes, texts = table.distinct(column, rows)
    texts = [text.strip() for text in texts]
    return TimeCells(
        table,
        (column,),
        codes,
        texts,
        "number" if kind in ("whole", "number", "boolean") else "text",
    )


def typed_cells(
    table: Table, column: str, times: TypedTimes, series: Integers | None = None
) -> TimeCells:
    """A column of datetimes as text: 2024-01-31 13:00:00, and without a time of day where all are dates."""
    codes, wall = encoded(times.wall)
    dates = not times.fractions and not (wall % DAY).any()
    texts = (
        wall.astype("datetime64[s]")
        .astype("datetime64[D]" if dates else "datetime64[s]")
        .astype(str)
    )
    return TimeCells(
        table,
        (column,),
        codes,
        [text.replace("T", " ") for text in texts.tolist()],
        "datetime",
        series,
    )


def refuse_blank(table: Table, column: str, blank: Flags, what: str = "the time") -> None:
    """Refuse a column with blank cells [rows], with the first of them."""
    if blank.any():
        place = table.place(int(np.argmax(blank)), column)
        raise BadData(f"{what} is blank", place=place, cure="fill it in or remove the row")


def filled_cells(table: Table, column: str, what: str = "the time") -> TimeCells:
    """A column as text, none of it blank; `what` it holds, for messages."""
    if not len(table):
        raise BadData(f"{table.name}: column '{column}' has no rows")
    refuse_blank(table, column, table.missing(column), what)
    cells = time_cells(table, column)
    refuse_blank(
        table, column, np.array([text == "" for text in cells.texts], bool)[cells.codes], what
    )
    return cells


for unit, size in UNITS.items():
    epoch = TimeFormat.model_validate({"kind": "epoch", "unit": unit, "zone": "UTC"})
    NUMBER_FORMS.append((epoch, EARLIEST * size, LATEST * size - 1, EPOCH_NAMES))


def is_number(time_format: TimeFormat) -> bool:
    """Whether a format writes times as numbers; otherwise a pattern or a type says how."""
    return time_format.kind in NUMBERS and not time_format.pattern


def candidates(cells: TimeCells, certain: bool) -> Iterator[tuple[TimeFormat, Flags]]:
    """The formats that a column may have, and which of its texts have them.

    With `certain` those of which its name or its values leave no doubt; day numbers only where the user says so.
    """
    name, whole = cells.name.lower(), np.ones(len(cells.texts), bool)
    if time_format := _decimal_years(cells.texts, cells.kind == "number"):
        wall = np.sort(read_numbers(cells.texts, time_format))
        months = wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        without_gap = (
            time_format.years is not None
            and (np.diff(months) * time_format.years.per_year == 12).all()
        )
        if not certain or name in DECIMAL_NAMES or (without_gap and len(months) >= MIN_VALUES):
            yield time_format, whole
    if (numbers := cells.numbers) is None:
        return
    for time_format, first, last, names in NUMBER_FORMS:
        if certain and not (name in names if names else len(numbers) > 2):
            continue
        fits = (first <= numbers) & (numbers <= last)
        if fits.any() and time_format.pattern:
            fits &= patterns.parse(cells.plain().array, time_format.pattern).exists
            time_format = time_format.model_copy(
                update={"kind": "epoch" if cells.kind == "number" else "text"}
            )
        if fits.any():
            yield time_format, fits
    eight_digits = {len(text) for text in cells.plain().texts} == {8}
    small = numbers.min() <= USUAL_DAY_NUMBERS[0] and np.abs(numbers).max() < EARLIEST
    if small and not eight_digits and (not certain or name in STEP_NAMES):
        yield TimeFormat(kind="integer"), whole


def recognise(cells: TimeCells, certain: bool) -> TimeFormat | None:
    """How a column writes times as numbers, None if it writes none."""
    return next(
        (time_format for time_format, fits in candidates(cells, certain) if fits.all()), None
    )


def infer_numbers(cells: TimeCells, settings: TimeSettings) -> TimeFormat | None:
    """How a column writes times as numbers, None where a pattern reads its texts; BadData if that is open."""
    days = Setting("date_format", DAY_NUMBERS)
    if settings.date_format == DAY_NUMBERS:
        if (wrong := np.array([not is_day_number(text) for text in cells.texts])).any():
            raise cells.fault(
                "is not a spreadsheet's day number",
                "correct it, or leave ",
                days,
                " out",
                wrong=wrong,
            )
        return TimeFormat(kind="days")
    if settings.date_format is not None:
        return None
    if not settings.steps and (
        (time_format := recognise(cells, certain=False)) or not WHOLE.fullmatch(cells.texts[0])
    ):
        return time_format
    if cells.numbers is None:
        wrong = np.array([not is_whole_number(text) for text in cells.texts])
        spreadsheet = is_day_number(cells.first(wrong), *USUAL_DAY_NUMBERS)
        cure = (days, ", if it is a spreadsheet's") if spreadsheet else (Setting("date_format"),)
        raise cells.fault(
            "is not a whole number that can be a time", "correct it, or pass ", *cure, wrong=wrong
        )
    if settings.steps:
        return TimeFormat(kind="integer")
    # say which number is no time as most others are, or that it is open what all of them mean
    fits = max(
        (fits for _, fits in candidates(cells, certain=False)),
        key=np.sum,
        default=np.zeros(1, bool),
    )
    if 2 * fits.sum() > len(cells.texts):
        problem = f"is not a time as '{cells.texts[int(np.argmax(fits))]}' is"
        raise cells.fault(problem, "correct it, or pass ", Setting("date_format"), wrong=~fits)
    count = (", or ", Setting("freq", "1"), " to count steps")
    if all(is_day_number(text, *USUAL_DAY_NUMBERS) for text in cells.texts):
        date = np.datetime64(int(float(cells.texts[0])) - EPOCH_DAY, "D")
        problem = f"can be a spreadsheet's day number ({date}) or a step"
        raise cells.fault(problem, "pass ", Setting("date_format", DAY_NUMBERS), *count)
    problem = "is not certain as a time (epoch number, yyyymmdd or step)"
    raise cells.fault(problem, "write dates, pass ", Setting("date_format"), *count)


def is_decimal_year(text: str) -> bool:
    """Whether a text has the shape of a year with a fraction, or of a bare one."""
    return re.fullmatch(r"[12]\d{3}(\.\d{1,17})?", text) is not None


def is_day_number(text: str, first: int = 0, last: int = LAST_DAY_NUMBER - 1) -> bool:
    """Whether a text is a day number within bounds, a fraction of a day included."""
    return (
        re.fullmatch(r"\d{1,7}([.,]\d*)?", text) is not None
        and first <= float(text.replace(",", ".")) < last + 1
    )


def _decimal_years(texts: list[str], number: bool) -> TimeFormat | None:
    """How texts write decimal years, as far as their digits tell; None where they are none."""
    if not all(map(is_decimal_year, texts)):
        return None
    fractions = [text.partition(".")[2] for text in texts]
    digits = max(map(len, fractions))
    if digits < 1 or len({fraction.rstrip("0") for fraction in fractions}) < 2:
        return None
    padded = len({*map(len, fractions)}) == 1 and not number
    whole = "padded" if padded else "bare" if "" in fractions else "point"
    values = np.array([float(text) for text in texts])
    for per_year in (2, 4, 12):
        slack = per_year * 10.0**-digits + 1e-6
        for middle in (False, True) if slack < 0.25 or per_year == 2 else ():
            steps = values * per_year - 0.5 * middle
            if (np.abs(steps - np.rint(steps)) <= slack).all():
                years = {
                    "per_year": per_year,
                    "middle": middle,
                    "digits": digits,
                    "whole": whole,
                    "number": number,
                }
                return TimeFormat(kind="years", years=DecimalYears.model_validate(years))
    return None


def read_numbers(texts: list[str], time_format: TimeFormat) -> Integers:
    """Seconds since 1970-01-01 by the clock of the numbers, or steps; decimal years are the first day of a period."""
    if time_format.kind == "days":
        days = np.array([float(text.replace(",", ".")) for text in texts])
        return np.round((days - EPOCH_DAY) * DAY).astype(np.int64)
    if (years := time_format.years) is None:
        return whole_numbers(texts) // UNITS[time_format.unit or "s"]
    periods = np.rint(
        np.array([float(text) for text in texts]) * years.per_year - 0.5 * years.middle
    ).astype(np.int64)
    months = periods * (12 // years.per_year) - 12 * 1970
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def write_numbers(wall: Integers, time_format: TimeFormat) -> NDArray[Any]:
    """The inverse of `read_numbers`."""
    if time_format.kind == "days":
        days = wall / DAY + EPOCH_DAY
        return days.astype(np.int64) if (days % 1 == 0).all() else days.round(9)
    if (years := time_format.years) is None:
        return wall * UNITS[time_format.unit or "s"]
    year, month = np.divmod(
        wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64), 12
    )
    values = 1970 + year + (month // (12 // years.per_year) + 0.5 * years.middle) / years.per_year
    texts = [f"{value:.{years.digits}f}" for value in values.tolist()]
    if years.number:
        return np.array([float(text) for text in texts])
    if years.whole != "padded":
        short = [text.rstrip("0").removesuffix(".") for text in texts]
        texts = [
            f"{text}.0" if "." not in text and years.whole == "point" else text for text in short
        ]
    return np.array(texts, object)


# kinds of formats that write numbers, and which texts each takes
NUMBERS = {
    "years": is_decimal_year,
    "days": is_day_number,
    "epoch": is_whole_number,
    "integer": is_whole_number,
}
