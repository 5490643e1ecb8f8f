"""Hold a table as it was read: columns by name, and the line of each row."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.errors import BadData, NoRows, Setting, did_you_mean
from forecast.logs import log
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
LETTER = re.compile(r"[^\W\d_]")
DATE_OR_FRACTION = re.compile(r"\d+[-/.:]\d+[-/.:]\d+|\d+:\d\d|[+-]?\d*\.\d+")
# marks and blanks around a cell of a header that joined files repeat
EDGE_CHARACTERS = "\ufeff \t"


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

    def times(self, column: str) -> pd.DatetimeIndex | pd.PeriodIndex:
        """The times of a column that is neither text nor numbers; none may be missing."""
        values = self.frame[column]
        values = values.astype(plain_dtype(values))
        if isinstance(values.dtype, pd.PeriodDtype):
            return pd.PeriodIndex(values)
        return pd.DatetimeIndex(values)

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


def in_seconds(index: pd.DatetimeIndex) -> Integers:
    """Convert times to seconds since 1970-01-01, of UTC if they have a zone, [n]."""
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


def rows_above(
    rows: Iterable[tuple[int, Sequence[str]]], settings: TextSettings, name: str, unit: str
) -> tuple[int, str]:
    """The number of rows above the header, and words for a title among them, with a warning."""
    skip = max(settings.skip_rows or 0, (settings.header_row or 1) - 1)
    above = skip
    for number, row in rows if settings.header_row is None else ():
        filled = [cell for cell in row if cell.strip()] if number > skip else []
        # one cell in the first column is a title; so is one above, which a comment is not
        if len(filled) > 1 or (filled and not row[0].strip()) or "".join(filled).startswith("#"):
            named = any(map(LETTER.search, filled))
            if above == skip or not named or any(map(DATE_OR_FRACTION.match, filled)):
                break
            numbers = " to ".join(map(str, sorted({skip + 1, above})))
            title = f"the title above the header ({unit} {numbers})"
            log.warning(
                "%s: left out %s; pass %s to say so", name, title, Setting("header_row", above + 1)
            )
            return above, title
        above = number if filled or above > skip else skip
    return skip, ""


def set_header(
    header: list[str],
    frame: pd.DataFrame,
    lines: Integers,
    name: str,
    unit: str,
    label: Callable[[int], object] = lambda position: position + 1,
) -> tuple[pd.DataFrame, Integers]:
    """A frame of numbered columns under its header, and the lines of its rows, without blank edges.

    `lines` has those of the header and of the rows; `label` names a column by its place.
    """
    width = len(header)
    while width > 1 and not header[width - 1].strip() and (frame[width - 1] == "").all():
        width -= 1
    if 1 < width < len(header):  # as spreadsheets append them
        log.warning(
            "%s: columns without a name or a value are left out: %d", name, len(header) - width
        )
        header = header[:width]
        frame = frame[list(range(width))]
    names = column_names(header, name, f"{name} {unit} {lines[0]}", label)
    lines = lines[1:]
    if not len(frame):
        raise NoRows(f"{name} has a header and no rows")
    first = frame[0].astype(str).str.strip(EDGE_CHARACTERS)
    for row in np.flatnonzero(first == names[0]):
        cells = [str(cell).strip(EDGE_CHARACTERS) for cell in frame.iloc[row]]
        if cells == names:
            raise BadData(
                f"{name} {unit} {lines[row]} repeats the header: were tables joined? remove it"
            )

    blank = np.ones(len(frame), np.bool_)
    for column in frame.columns:
        if blank.any():  # soon none is
            values = frame[column]
            blank &= (values.isna() | (values == "")).to_numpy(bool)
    if blank.all():
        raise BadData(f"{name} has a header, and no row with a value in it")
    if blank.any() and len(names) > 1:  # as spreadsheets append them; in one column they are gaps
        log.warning("%s: %d rows without any value were left out", name, blank.sum())
        frame = frame[~blank].reset_index(drop=True)
        lines = lines[~blank]
    return frame.set_axis(pd.Index(names), axis=1), lines


def column_names(
    header: list[str],
    name: str,
    where: str,
    label: Callable[[int], object],
) -> list[str]:
    """Check and trim the names of columns; only the first may be blank."""
    names = [column.strip() for column in header]
    header_row = Setting("header_row")
    if names[0].startswith("#") and names[0] != "#":
        cure = f"remove the comment, or pass {header_row}"
        raise BadData(f"{where} starts with #", cure=cure)
    if names[0] and _is_data(names):
        raise BadData(
            f"{where} holds data and no header",
            cure="put a line with the names of the columns before it",
        )
    if "" in names[1:]:
        cure = f"give it one, or pass {header_row}"
        raise BadData(f"{where}: column {label(names.index('', 1))} has no name", cure=cure)
    if twice := duplicates(names):
        raise BadData(f"{where}: several columns are called {list_names(twice)}; rename them")
    if padded := sum(map(str.__ne__, header, names)):
        log.warning("%s: blanks around column names are removed: %d", name, padded)
    return names


def _is_data(cells: list[str]) -> bool:
    """Whether all cells are numbers and times, one of them a date or a fraction."""
    filled = [cell for cell in cells if cell]
    if any(re.search(r"[^\W\dTZ]", cell) or not re.search(r"\d", cell) for cell in filled):
        return False
    return any(map(DATE_OR_FRACTION.match, filled))


def delimiter_name(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def duplicates(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def list_names(names: Sequence[object], most: int = 5, quote: str = "'") -> str:
    """The first names, in quotes, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"{quote}{name}{quote}" for name in names[:most]) + more


def require_columns(table: Table, needed: Columns) -> None:
    missing = [column for column in needed if column not in table.names]
    if not missing:
        return
    hint = did_you_mean(missing[0], table.names) if len(missing) == 1 else ""
    problem = (
        f"no column {list_names(missing, len(missing))}; columns found: "
        f"{', '.join(table.names[:20])}{hint}"
    )
    cure: object = ""
    if table.text and len(table.names) == 1:
        cure = f"pass {Setting('delimiter')} if there are several"
    raise BadData(problem, place=table.name, cure=cure)
