"""Parse columns of text, whose cells are numbers, blanks, words for missing, or anything else."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, NoReturn, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast.errors import BadData, Setting
from forecast.logs import log
from forecast.settings import DecimalMark
from forecast.tables.table import Columns, Flags, Integers, Numbers, Table, plain_dtype

# separators of thousands, and their patterns: spreadsheets write some in several ways
SEPARATORS = {",": ",", ".": r"\.", " ": "[ \u00a0\u202f]", "'": "['\u2019]", "_": "_"}
PLAIN_CURE = (
    "write it as a plain number such as -12.5 (0 and 1 for booleans), or leave the cell blank"
)
Series: TypeAlias = "pd.Series[Any]"
Texts = Any  # an array of Arrow's: of texts, of flags or of numbers
MISSING_WORDS = [
    "-", "--", "\u2013", "\u2014", "null", "n/a", "na", "nan", "-nan", "none", "#n/a", "<na>",
    "\\n", "?",
]  # fmt: skip
# the largest value of a series must be at least this, as float32 has few digits below 1.2e-38
MIN_VALUE = 1e-30
# networks and scales work in float32, which the square of more than 1.8e19 overflows
MAX_VALUE = 1e18
WHOLE_NUMBER = r"^[+-]?[0-9]+$"
NEARLY_ALL = 0.9
GROUPED = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
THOUSANDS_OR_DECIMALS = r"^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})?$|^0$"


def number_pattern(decimal: str, thousands: str | None) -> str:
    """The regular expression of a cell that is a number, for `re` and for Arrow's RE2."""
    mark = re.escape(decimal)
    whole = "[0-9]+"
    if thousands is not None:
        # groups of two before the last three digits, too: 12,34,567 is written so in India
        separator = SEPARATORS[thousands]
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:{separator}[0-9]{{2,3}})*{separator}[0-9]{{3}})"
    return f"^[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def _notations(decimal: DecimalMark) -> list[tuple[DecimalMark, str | None]]:
    """Notations as (decimal mark, separator), those nearest to the table's first."""
    other: DecimalMark = "," if decimal == "." else "."
    ways = [*product([decimal], SEPARATORS), (other, None), *product([other], SEPARATORS)]
    return [(mark, thousands) for mark, thousands in ways if mark != thousands]


FOREIGN_NUMBER = "|".join(  # numbers in other notations: 0x1F, 5 %, $5, inf, (5), 5-
    [
        *(number_pattern(*way) for way in _notations(".")),
        r"^[+-]?0[xX][0-9a-fA-F]+$",
        r"^[+-]?[0-9][0-9.,]*\s?[%$€£¥]$",
        r"^[+-]?[$€£¥]\s?[0-9][0-9.,]*$",
        r"^[+-]?(?:[iI][nN][fF]|[iI]nfinity)$",
        r"^(?:\([0-9][0-9.,]*\)|\x{2212}[0-9][0-9.,]*|[0-9][0-9.,]*-)$",
    ]
)


@dataclass(frozen=True)
class Cells:
    """What cells hold; `numberlike` cells are bad, but would be numbers in another notation."""

    text: Texts
    values: Numbers
    blank: Flags
    word: Flags  # for missing
    bad: Flags
    numberlike: Flags


def read_cells(cells: Texts, table: Table) -> Cells:
    """Classify cells of text; the table says how numbers are written."""
    blank = pc.equal(cells, "")
    none = np.zeros(len(cells), np.bool_)
    if table.decimal == "." and table.thousands is None:
        with suppress(pa.ArrowInvalid):  # the fast way, for columns of plain numbers
            values = _floats(pc.if_else(blank, None, cells))
            blanks = convert_flags(blank)
            # nan and inf cast as well: the exact way below handles them
            if (blanks | (np.abs(values) <= MAX_VALUE)).all():
                return Cells(cells, values, blanks, none, none, none)
    cells = pc.utf8_trim_whitespace(cells)
    is_number = pc.match_substring_regex(cells, number_pattern(table.decimal, table.thousands))
    numbers = pc.if_else(is_number, cells, None)
    if table.thousands is not None:
        numbers = pc.replace_substring_regex(numbers, SEPARATORS[table.thousands], "")
    values = _floats(pc.replace_substring(numbers, table.decimal, "."))
    good = convert_flags(is_number)
    blanks = lacks_value(cells, words=False)
    words = _are_words(cells)
    bad = ~(good | blanks | words) | (np.abs(values) > MAX_VALUE)
    numberlike = bad & (good | match_cells(cells, FOREIGN_NUMBER)) if bad.any() else none
    return Cells(cells, values, blanks, words, bad, numberlike)


def column_groups(table: Table, columns: Columns) -> Iterator[tuple[int, list[str], Texts | None]]:
    """Yield groups of columns to read at once: their position, their names and their joined cells.

    A column that does not hold text is a group of its own, with None in place of cells.
    """
    size = max(1, 8_000_000 // max(1, len(table)))  # columns whose cells are read at once
    text = [is_text(table.frame[name]) for name in columns]
    start = 0
    while start < len(columns):
        end = start + 1
        limit = min(start + size, len(columns))
        while end < limit and text[start] and text[end]:
            end += 1
        names = list(columns[start:end])
        cells = None
        if text[start]:
            cells = join_cells([table.frame[name] for name in names])
        yield start, names, cells
        start = end


def is_text(series: Series) -> bool:
    """Whether a column is read as text: text, or objects such as Decimal or a mixture."""
    return bool(pd.api.types.is_string_dtype(plain_dtype(series)))


def join_cells(series: Sequence[Series]) -> Texts:
    """Join columns end to end into one array of text, '' where a value is missing."""
    chunks = [pa.array([], pa.large_string())]
    for column in series:
        values: Any = column
        if not isinstance(column.dtype, pd.StringDtype):
            values = column.astype(object).where(column.notna(), "").map(str)
        array = pa.array(values, from_pandas=True)
        pieces = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        chunks += [piece.cast(pa.large_string()) for piece in pieces]
    joined = pa.concat_arrays(chunks)
    return pc.fill_null(joined, "") if joined.null_count else joined


def lacks_value(cells: Texts, words: bool = True) -> Flags:
    """Say which cells are blank or, if `words`, hold a word for missing."""
    cells = pc.utf8_trim_whitespace(cells)
    blank = convert_flags(pc.equal(cells, ""))
    return blank | _are_words(cells) if words else blank


def _are_words(cells: Texts) -> Flags:
    words = pa.array(MISSING_WORDS, cells.type)
    return convert_flags(pc.is_in(pc.ascii_lower(cells), value_set=words))


def match_cells(cells: Texts, pattern: str) -> Flags:
    return convert_flags(pc.match_substring_regex(cells, pattern))


def convert_flags(mask: Texts) -> Flags:
    """Convert booleans of Arrow to an array of NumPy."""
    return np.asarray(mask, np.bool_)


def _floats(cells: Texts) -> Numbers:
    return np.asarray(pc.cast(cells, pa.float64()), np.float64)


def parse_numbers(table: Table, column: str, other_cure: str = "") -> Numbers:
    """Parse one column as numbers, [rows], NaN where blank or a word for missing (``n/a``, ``-``).

    A warning counts those words; `other_cure` is another cure for a cell that is no number. BadData
    if a cell is no number, is infinite or too large for float32, or if the column holds booleans or
    times.
    """
    return parse_columns(table, [column], other_cure)[:, 0]


def parse_columns(table: Table, columns: Columns, other_cure: str = "") -> Numbers:
    """Parse several columns at once as `parse_numbers` does, [rows, columns]."""
    numbers = np.empty((len(table), len(columns)))
    words = np.zeros(len(columns), np.int64)
    for start, names, texts in column_groups(table, columns):
        if texts is None:
            numbers[:, start] = _typed_numbers(table, names[0])
            continue
        cells = read_cells(texts, table)
        if cells.bad.any():
            _refuse(table, names, cells, other_cure)
        group = slice(start, start + len(names))
        shape = (len(names), -1)
        numbers[:, group] = cells.values.reshape(shape).T
        words[group] = cells.word.reshape(shape).sum(axis=1)
    if words.any():
        touched = np.flatnonzero(words)
        more = f" and {len(touched) - 1} more" if len(touched) > 1 else ""
        log.warning(
            "%s: words such as n/a or - are read as missing: %d in %s",
            table.name,
            words.sum(),
            f"column '{columns[touched[0]]}'{more}",
        )
    numbers += 0.0  # turns -0.0 into 0.0
    return numbers


def numeric_columns(table: Table, columns: Columns) -> list[str]:
    """Return those of some columns that look like columns of numbers.

    All cells that are not missing must be numbers, or nearly all: nine in ten, or all but one of
    three or more. The few others are taken for typing errors, which `parse_numbers` reports. But if
    all numbers are equal and several cells are not numbers, these are codes such as 0, a, b. Cells
    in a foreign notation (``1,204``, ``5%``, ``0x10``) count as numbers. Text, times and booleans
    do not, nor does a column without any value.
    """
    numeric = []
    for _, names, texts in column_groups(table, columns):
        if texts is None:
            (name,) = names
            is_number = table.kind(name) in ("whole", "number")
            if is_number and table.frame[name].notna().any():
                numeric += names
            continue
        cells = read_cells(texts, table)
        shape = (len(names), -1)
        is_missing = cells.blank | cells.word
        present = (~is_missing).reshape(shape).sum(axis=1)
        is_wrong = cells.bad & ~cells.numberlike
        wrong = is_wrong.reshape(shape).sum(axis=1)
        few = np.maximum(1, (1 - NEARLY_ALL) * present)
        likely = (present > 0) & (wrong <= few) & (2 * wrong < present)
        foreign = cells.numberlike.reshape(shape).any(axis=1)
        values = cells.values.reshape(shape)
        for position in np.flatnonzero(likely & (wrong > 1) & ~foreign):
            likely[position] = pd.Series(values[position]).nunique() > 1
        numeric += [names[position] for position in np.flatnonzero(likely)]
    return numeric


def is_blank(table: Table, column: str, words: bool = False) -> bool:
    """Whether every cell is blank or, if `words`, a word for missing such as NA."""
    series = table.frame[column]
    missing = lacks_value(join_cells([series]), words) if is_text(series) else series.isna()
    return bool(missing.all())


def is_whole(table: Table, column: str) -> bool:
    """Whether all values are whole numbers without a decimal mark; False for a blank column."""
    series = table.frame[column]
    if not is_text(series):
        return table.kind(column) == "whole" and bool(series.notna().any())
    cells = pc.utf8_trim_whitespace(join_cells([series]))
    present = ~lacks_value(cells)
    return bool(present.any() and match_cells(cells, WHOLE_NUMBER)[present].all())


def counted_values(table: Table, column: str, digits: int) -> Integers | None:
    """Read a column of whole numbers without a sign, [rows]; None if any cell is not one."""
    codes, texts = table.distinct(column)
    if not all(re.fullmatch(f"[0-9]{{1,{digits}}}", text.strip()) for text in texts):
        return None
    return np.array(list(map(int, texts)), np.int64)[codes]


def infer_decimal(table: Table, delimiter: str) -> DecimalMark:
    """Infer the decimal mark from all the number columns of a text table.

    A comma is one if every number with a mark has it (with a warning), but not under the delimiter
    ``,``: such cells were quoted, and `parse_numbers` refuses them. Under ``;``, which goes with
    decimal commas, points that all stand before three digits may separate thousands, and are
    refused.
    """
    if delimiter == "," or table.thousands == ",":
        return "."
    if table.thousands == ".":
        return ","
    first_comma = ""  # place of the first comma, "" without one
    first_point = ""
    commas = 0
    all_grouped = True  # all numbers with a comma have three digits after it
    all_marked = True  # all numbers of columns with commas have one
    all_thousands = True  # all points, in columns that have some, may separate thousands
    for _, names, texts in column_groups(table, table.names):
        if texts is None:
            continue
        cells = pc.utf8_trim_whitespace(texts)
        shape = (len(names), -1)
        comma_or_none = match_cells(cells, number_pattern(",", table.thousands)).reshape(shape)
        point_or_none = match_cells(cells, number_pattern(".", table.thousands)).reshape(shape)
        number = comma_or_none | point_or_none
        present = (~lacks_value(cells)).reshape(shape).sum(axis=1, keepdims=True)
        number &= number.sum(axis=1, keepdims=True) >= np.maximum(1, NEARLY_ALL * present)
        comma = number & ~point_or_none
        point = number & ~comma_or_none
        first_comma = first_comma or _first_place(table, names, comma)
        first_point = first_point or _first_place(table, names, point)
        if point.any():
            beside = number & point.any(axis=1, keepdims=True)
            all_thousands &= bool(match_cells(cells, THOUSANDS_OR_DECIMALS)[beside.ravel()].all())
        if comma.any():
            commas += comma.sum()
            all_grouped &= bool(match_cells(cells, GROUPED)[comma.ravel()].all())
            all_marked &= comma.sum() == number[comma.any(axis=1)].sum()
    if not first_comma:
        if first_point and all_thousands and delimiter == ";":
            cure = f"pass {Setting('thousands', '.')} or {Setting('decimal', '.')}"
            raise BadData(f"{first_point} may hold thousands or a decimal point", cure=cure)
        return "."
    if first_point:
        cure = f"write all numbers alike, or pass {Setting('decimal')}"
        raise BadData(
            f"{first_comma} has a decimal comma and {first_point} a decimal point", cure=cure
        )
    if all_grouped and not (delimiter == ";" and all_marked):
        cure = f"pass {Setting('decimal', ',')} or {Setting('thousands', ',')}"
        raise BadData(f"{first_comma} may hold a decimal comma or thousands", cure=cure)
    log.warning(
        "%s: the comma is read as decimal mark (%d numbers); pass %s to say so",
        table.name,
        commas,
        Setting("decimal"),
    )
    return ","


def _first_place(table: Table, names: Columns, flags: Flags) -> str:
    """Say where the first of the flagged cells [columns, rows] stands; '' if none is flagged."""
    if not flags.any():
        return ""
    column, row = np.unravel_index(flags.argmax(), flags.shape)
    return table.place(int(row), names[int(column)])


def _typed_numbers(table: Table, column: str) -> Numbers:
    series = table.frame[column]
    dtype = plain_dtype(series)
    if dtype.kind not in "iuf":
        raise BadData(
            f"{table.name}, column '{column}' holds {dtype}, not numbers; write 0 and 1 for "
            "booleans"
        )
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    numbers = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    too_large = np.abs(numbers) > MAX_VALUE
    if too_large.any():
        row = too_large.argmax()
        raise BadData(_too_large(str(numbers[row])), place=table.place(row, column))
    return numbers


def _refuse(table: Table, names: Columns, cells: Cells, other_cure: str) -> NoReturn:
    """Raise the error for the first bad cell: its place, fault and cure, and how many others."""
    first = int(cells.bad.argmax())
    column, row = divmod(first, len(table))
    rows = slice(column * len(table), (column + 1) * len(table))
    text = cells.text[first].as_py()
    reason: str = _too_large(text)
    if np.isnan(cells.values[first]):
        cure = _advice(text, cells, rows, table)
        reason = f"'{text}' is not a number; {cure}"
        reason = f"{reason}{'' if cells.numberlike[first] else other_cure}"
    more = cells.bad[rows].sum() - 1
    others = f" ({more} more such cell{'s' if more > 1 else ''} in this column)" if more else ""
    raise BadData(f"{reason}{others}", place=table.place(row, names[column]))


def _advice(text: str, cells: Cells, rows: slice, table: Table) -> str:
    """Suggest settings that make a cell a number, if possible with similar cells in its column."""
    texts = cells.text[rows]
    numberlike = pa.array(cells.numberlike[rows])
    alike = pc.unique(texts.filter(numberlike)).to_pylist()[:1000]
    is_number = ~np.isnan(cells.values[rows])
    numbers = texts.filter(pa.array(is_number))
    # where good numbers have the table's decimal mark, another cannot be right
    marked = pc.any(pc.match_substring(numbers, table.decimal)).as_py()
    for words in ([text, *alike], [text]):
        for decimal, thousands in _notations(table.decimal):
            if marked and decimal != table.decimal:
                continue
            pattern = number_pattern(decimal, thousands)
            if not all(re.search(pattern, word) for word in words):
                continue
            settings = [Setting("decimal", decimal)] * (decimal != table.decimal)
            if thousands not in (None, table.thousands):
                settings.append(Setting("thousands", thousands))
            marks = " ".join(f"{setting}" for setting in settings)
            return f"read it with {marks}" if settings else PLAIN_CURE
    return PLAIN_CURE


def _too_large(text: str) -> str:
    if "inf" in text:
        return f"'{text}' is not finite: leave the cell blank"
    return (
        f"'{text}' is too large; numbers up to {MAX_VALUE:.0e} can be forecast: mend it, or use "
        "a larger unit"
    )
