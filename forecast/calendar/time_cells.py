"""Read the cells of a time column as text, each different text once, and times that are numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.calendar import patterns
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.errors import BadData, Setting
from forecast.tables.cells import Texts
from forecast.tables.table import PER_SECOND, Flags, Integers, Names, Table, encode, in_seconds

WHOLE_TIME = re.compile(r"-?\d{1,19}(\.0*)?")
GERMAN_MONTH = re.compile(  # where it is not written as in English
    r"\b(Mrz|Mär|Mai|Okt|Dez|Januar|Februar|März|Juni|Juli|Oktober|Dezember)\b", re.IGNORECASE
)
# names of columns, with blanks between them
EPOCH_NAMES = "timestamp epoch unix unixtime unix_time time datetime date ts ds t"
# epoch seconds of 1980 and 2100
EARLIEST_EPOCH = 315_532_800
LATEST = 4_102_444_800


# notations of times as whole numbers, the first and the last likely number, and the names of columns
# that surely have them; if these are "", three different numbers are enough
NUMBER_FORMS = [
    (TimeFormat(pattern="%Y%m%d"), 19000101, 21001231, ""),
    (TimeFormat(pattern="%Y%m"), 190001, 210012, ""),
    (TimeFormat(pattern="%Y"), 1900, 2100, "year yr date time ds period"),
]
for unit, size in PER_SECOND.items():
    epoch = TimeFormat(kind="epoch", unit=unit, zone="UTC")
    NUMBER_FORMS.append((epoch, EARLIEST_EPOCH * size, LATEST * size - 1, EPOCH_NAMES))


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
        return BadData(
            f"'{text}' {problem}",
            place=self.table.place(row, self.columns),
            cure="".join(f"{part}" for part in cure),
        )


def time_cells(table: Table, column: str, rows: int | None = None) -> TimeCells:
    """A column, or the first `rows` of it, as text, '' where a cell is missing.

    A column of datetimes may have no missing cells.
    """
    kind = table.kind(column)
    if kind == "datetime":
        return typed_cells(table, column, pd.DatetimeIndex(table.times(column)))
    codes, texts = table.distinct(column, rows)
    texts = [text.strip() for text in texts]
    if all(map(WHOLE_TIME.fullmatch, texts)):  # such as epochs that are written as floats
        texts = [text.partition(".")[0] for text in texts]
    is_number = kind in ("whole", "number", "boolean")
    return TimeCells(table, (column,), codes, texts, "number" if is_number else "text")


def typed_cells(
    table: Table, column: str, times: pd.DatetimeIndex, series: Integers | None = None
) -> TimeCells:
    """A column of datetimes as text: 2024-01-31 13:00:00, or 2024-01-31 where all are dates."""
    shown = times.tz_localize(None)
    codes, wall = encode(in_seconds(shown))
    dates = (shown == shown.normalize()).all()
    written = np.datetime_as_string(wall.astype("datetime64[s]"), "D" if dates else "s")
    texts = [text.replace("T", " ") for text in written.tolist()]
    return TimeCells(table, (column,), codes, texts, "datetime", series)


def refuse_blank(table: Table, column: str, blank: Flags, what: str = "the time") -> None:
    """Refuse a column with blank cells [rows], with the first of them."""
    if blank.any():
        raise BadData(
            f"{what} is blank",
            place=table.place(np.argmax(blank), column),
            cure="fill it in or remove the row",
        )


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
            kind = "epoch" if cells.kind == "number" else "text"
            time_format = time_format.model_copy(update={"kind": kind})
        if fits.any():
            yield time_format, fits
    small = np.abs(numbers).max() < EARLIEST_EPOCH
    # steps that begin above it may be a spreadsheet's days, from 1968 on
    counts = small and numbers.min() <= 25_000
    step_names = ("step", "t", "time", "ds", "period", "index", "hour", "week")
    if counts and (not certain or name in step_names):
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
        return cells.fault(
            f"is not a time as '{cells.texts[np.argmax(fits)]}' is", *cure, wrong=~fits
        )
    return cells.fault("is not certain as a time (epoch number, yyyymmdd or step)", *cure)


def read_numbers(texts: list[str], time_format: TimeFormat) -> Integers:
    """Convert numbers to seconds since 1970-01-01 on their own clock, or to steps."""
    return np.array(texts, np.int64) // PER_SECOND[time_format.unit or "s"]


def write_numbers(wall: Integers, time_format: TimeFormat) -> Integers:
    """The inverse of `read_numbers`."""
    return wall * PER_SECOND[time_format.unit or "s"]
