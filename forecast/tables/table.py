"""Hold a table as it was read: columns by name, and the line of each row."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.errors import BadData
from forecast.settings import DecimalMark, TextSettings

Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
Kind = Literal["text", "whole", "number", "boolean", "datetime", "date", "period", "other"]

COLUMN_KINDS: dict[str, Kind] = {
    "b": "boolean",
    "i": "whole",
    "u": "whole",
    "f": "number",
    "c": "number",
    "M": "datetime",
}
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
Columns = Sequence[str]
Names = tuple[str, ...]
Row = int | np.integer[Any]
SAMPLE_CELLS = 50  # cells that tell whether objects are dates


@dataclass(frozen=True)
class TypedTimes:
    """What a column of datetimes, dates or periods holds."""

    # [rows], seconds since 1970-01-01, of UTC where the column has a zone; of a period its start
    timestamps: Integers
    wall: Integers  # [rows], the same by the written clock
    fractions: bool = False  # whether a time lies between two seconds
    unit: str = "s"
    zone: str | None = None  # IANA name, where it has one
    offset: int | None = None  # seconds east of UTC of the first row, where the column has a zone
    period: str | None = None  # frequency of a column of periods, as pandas names it


@dataclass(frozen=True)
class Table:
    """Columns by name, rows in the order of the input."""

    name: str  # what messages call the table: sales.csv, standard input, DataFrame
    frame: pd.DataFrame  # index 0..n-1
    text: bool = False  # whether every column is text exactly as written, '' where blank
    lines: Integers | None = None  # [rows], line of each row of a text, or its row in a sheet
    decimal: DecimalMark = "."  # how numbers are written in columns of text
    thousands: str | None = None
    delimiter: str | None = None  # of a text that has one
    numbering: str | None = None  # a column that only numbers rows: the time if there is no other
    reading: TextSettings = field(default_factory=TextSettings)  # that the user gave
    skipped: str = ""  # a title or totals that were left out, in words; refused by `strict`
    ordered: bool = True  # whether rows have an order of their own, as those of a query have not
    sha256: str | None = None  # of the bytes that were read, where a reader was asked for it

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.frame.columns]

    def kind(self, column: str) -> Kind:
        """What a column holds; a categorical column counts as its categories."""
        values = self.frame[column].iloc[:SAMPLE_CELLS]
        dtype = plain_dtype(values)
        if isinstance(dtype, pd.StringDtype):  # the usual case, and the fast one
            return "text"
        if isinstance(dtype, pd.PeriodDtype):
            return "period"
        if kind := COLUMN_KINDS.get(dtype.kind):
            return kind
        if pd.api.types.is_string_dtype(dtype) and all(
            isinstance(value, str) for value in values[:1]
        ):
            return "text"
        if all(hasattr(value, "year") for value in values):
            return "date"
        return "other"

    def first(self, column: str) -> str:
        """The first cell as text, without blanks around it."""
        return str(self.frame[column].iloc[0]).strip()

    def find_blanks(self, column: str) -> Flags:
        """Say which cells are missing, [rows]; a blank text is not missing."""
        return np.asarray(self.frame[column].isna(), bool)

    def distinct(self, column: str, rows: int | None = None) -> tuple[Integers, list[str]]:
        """Return codes of the first `rows` cells of a column, and its texts by first occurrence."""
        values = self.frame[column].iloc[:rows]
        begins = np.ones(len(values), bool)
        if isinstance(plain_dtype(values), pd.StringDtype):
            begins = changes(pa.array(values, from_pandas=True))
        # a text has no missing cells
        try:
            codes, texts = pd.factorize(values[begins], use_na_sentinel=self.text)
        except TypeError:  # a cell has no hash
            row = [isinstance(cell, Hashable) for cell in values].index(False)
            raise BadData(
                f"'{values.iloc[row]}' is a list or an object",
                place=self.place(row, column),
                cure="write a text, a number or a time",
            ) from None
        if not self.text:  # 1.0 and '1' are written alike
            same, texts = pd.factorize(_as_text(pd.Series(texts)))
            codes = same[codes]
        codes = np.asarray(codes, np.int64)[np.cumsum(begins) - 1]
        return codes, list(map(str, np.asarray(texts, object)))

    def texts(self, column: str) -> NDArray[np.object_]:
        """[rows], the cells just as written; whole numbers without a point, '' where missing."""
        values = self.frame[column]
        return np.asarray(values if self.text else _as_text(values), object)

    def times(self, column: str) -> TypedTimes:
        """The times of a column that is neither text nor numbers; none may be missing."""
        values = self.frame[column]
        values = values.astype(plain_dtype(values))
        if isinstance(values.dtype, pd.PeriodDtype):
            starts = _seconds(pd.PeriodIndex(values).to_timestamp(how="start"))
            return TypedTimes(starts, starts, period=str(values.dtype)[len("period[") : -1])
        index = pd.DatetimeIndex(values)
        timestamps = _seconds(index)
        wall = _seconds(index.tz_localize(None))
        zone = getattr(index.tz, "key", None) or getattr(index.tz, "zone", None)
        return TypedTimes(
            timestamps=timestamps,
            wall=wall,
            fractions=bool((index.asi8 % PER_SECOND[index.unit]).any()),
            unit=index.unit,
            zone=str(zone) if zone else None,
            offset=None if index.tz is None else int(wall[0] - timestamps[0]),
        )

    def _numbers(self) -> Integers:
        """[rows], the line of each row, or its number from 1."""
        if self.lines is None:
            return np.arange(1, len(self) + 1)
        return self.lines

    def rows(self, chosen: Flags) -> "Table":
        frame = self.frame.loc[chosen].reset_index(drop=True)
        return replace(self, frame=frame, lines=self._numbers()[chosen])

    def number_rows(self, name: str) -> "Table":
        """The table with a first column that numbers its rows from 1; blank lines count, too."""
        lines = self._numbers()
        numbers = lines - lines[0] + 1
        frame = self.frame.copy(deep=False)
        frame.insert(0, name, numbers.astype(str) if self.text else numbers)
        return replace(self, frame=frame, numbering=name)

    def hashes(self, columns: Columns, seed: int) -> NDArray[np.uint64]:
        """[rows], hashes of the cells of some columns as text, with a seed."""
        texts = self.frame[list(columns)].astype(str)
        return np.asarray(
            pd.util.hash_pandas_object(texts, index=False, hash_key=f"{seed % 10**16:016d}")
        )

    def line(self, row: Row) -> str:
        """Say where a row stands: ``line 812`` of a text, ``row 812`` of a sheet or a frame."""
        if self.lines is None:
            return f"row {row + 1}"
        return f"{'line' if self.text else 'row'} {self.lines[row]}"

    def place(self, row: Row, column: "str | tuple[str, ...]" = ()) -> str:
        """Say where a value stands: ``sales.csv line 812, column 'units'``."""
        names = (column,) if isinstance(column, str) else column
        quoted = " and ".join(f"'{name}'" for name in names)
        where = f", column{'s' * (len(names) > 1)} {quoted}" if names else ""
        return f"{self.name} {self.line(row)}{where}"

    def value(self, row: Row, columns: Names) -> str:
        return " ".join(str(self.frame[column].iloc[row]) for column in columns)


def plain_dtype(values: "pd.Series[Any]") -> Any:
    """The type of a column, or of the categories of a categorical one."""
    dtype: Any = values.dtype
    return dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype


def _as_text(values: "pd.Series[Any]") -> "pd.Series[str]":
    """[rows], cells as text: whole numbers without a decimal mark, '' where missing."""
    if isinstance(values.dtype, pd.StringDtype):
        return values.fillna("")
    if pd.api.types.is_float_dtype(values.dtype):
        values = pd.Series(values.to_numpy(float, na_value=np.nan))
    return values.astype(object).where(values.notna(), "").map(_write_value)


def rows_text(count: int) -> str:
    """A number of rows: ``1 row`` or ``7 rows``."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def _seconds(index: pd.DatetimeIndex) -> Integers:
    return np.asarray(index.asi8 // PER_SECOND[index.unit], np.int64)


def _write_value(value: object) -> str:
    """A value as text; a whole number among texts has no decimal mark either."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def distinct(values: Integers) -> Integers:
    """The different values, ascending; faster than `np.unique`."""
    if (np.diff(values) > 0).all():
        return values
    return np.sort(np.asarray(pc.unique(pa.array(values)), np.int64))


def encode(values: Integers) -> tuple[Integers, Integers]:
    """Return codes [n], and the different values in the order of their first occurrence."""
    dictionary = pc.dictionary_encode(pa.array(values))
    return np.asarray(dictionary.indices, np.int64), np.asarray(dictionary.dictionary, np.int64)


def rank(values: Integers) -> tuple[Integers, Integers]:
    """Return codes like `encode`, but with ascending values; faster than sorting all values."""
    codes, unsorted = encode(values)
    order = np.argsort(unsorted)
    return np.argsort(order)[codes], unsorted[order]


def changes(column: Any) -> Flags:
    """Say which values of a column of Arrow differ from the value before, [rows].

    A missing value counts as different.
    """
    if pa.types.is_dictionary(column.type):
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        column = whole.indices
    first = np.ones(min(len(column), 1), bool)
    further = pc.fill_null(pc.not_equal(column[1:], column[:-1]), True)
    return np.concatenate([first, np.asarray(further, bool)])


def repeats(*keys: NDArray[Any]) -> Flags:
    """Say which rows repeat an earlier row in all of these arrays, [rows]; NaN equals NaN."""
    return np.asarray(pd.DataFrame(dict(enumerate(keys))).duplicated())
