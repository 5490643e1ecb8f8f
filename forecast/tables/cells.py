"""Columns as cells of text, sorted into numbers, blanks, words for missing and anything else; and as numbers."""

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
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.logs import log
from forecast.settings import DecimalMark
from forecast.tables.table import Flags, Table, plain

SEPARATORS = (",", ".", " ", "'", "_")
THOUSANDS_SPACES = "[ \u00a0\u202f]"  # spreadsheets group thousands by any of these
PLAIN = "write it as a plain number such as -12.5 (0 and 1 for booleans), or leave the cell blank"
Series: TypeAlias = "pd.Series[Any]"
Texts = Any  # an array of Arrow's: of texts, of flags or of numbers
MISSING = [
    "-",
    "--",
    "\u2013",
    "\u2014",
    "null",
    "n/a",
    "na",
    "nan",
    "-nan",
    "none",
    "#n/a",
    "<na>",
    "\\n",
]
MIN_VALUE = 1e-30  # of the largest of a series, as float32 has few digits below 1.2e-38
MAX_VALUE = (
    1e18  # networks and scales work in float32, which the square of more than 1.8e19 overflows
)
CELLS_AT_ONCE = 1 << 23
WHOLE = r"^[+-]?[0-9]+$"
GROUPED = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
THOUSANDS_OR_DECIMALS = r"^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})?$|^0$"
NEARLY_ALL = 0.9


def advice(text: str, alike: list[str], table: Table, others_marked: bool = False) -> str | Words:
    """Advise which settings make the cell a number, and if possible all cells like it; else how to write it.

    `others_marked`: good numbers of the column have the table's decimal mark, so that another cannot be right.
    """
    ways = [
        way for way in _notations(table.decimal) if way[0] == table.decimal or not others_marked
    ]
    for cells in ([text, *alike], [text]):
        for decimal, thousands in ways:
            if all(re.search(number_pattern(decimal, thousands), cell) for cell in cells):
                given = [Setting("decimal", decimal)] * (decimal != table.decimal)
                given += [Setting("thousands", thousands)] * (
                    thousands not in (None, table.thousands)
                )
                return (
                    Words("pass", *(part for setting in given for part in (" ", setting)))
                    if given
                    else PLAIN
                )
    return PLAIN


def _notations(decimal: DecimalMark) -> list[tuple[DecimalMark, str | None]]:
    """Notations as (decimal mark, separator), those nearest to the table's first."""
    other: DecimalMark = "," if decimal == "." else "."
    ways = [*product([decimal], SEPARATORS), (other, None), *product([other], SEPARATORS)]
    return [(mark, thousands) for mark, thousands in ways if mark != thousands]


def separator_pattern(thousands: str) -> str:
    """The regular expression of a thousands separator, in all the forms in which spreadsheets write it."""
    return {" ": THOUSANDS_SPACES, "'": "['\u2019]"}.get(thousands, re.escape(thousands))


def number_pattern(decimal: str, thousands: str | None) -> str:
    """The regular expression of a whole cell that is a number, understood by `re` and by Arrow's RE2 alike."""
    mark, whole = re.escape(decimal), "[0-9]+"
    if thousands is not None:
        # groups of two before the last three digits, too: 12,34,567 is written so in India
        separator = separator_pattern(thousands)
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:{separator}[0-9]{{2,3}})*{separator}[0-9]{{3}})"
    return f"^[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


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
    """What cells hold: a value, nothing, a word for missing, or something bad; `numberlike`: bad, but like a number."""

    text: Texts
    values: NDArray[np.float64]
    blank: Flags
    word: Flags
    bad: Flags
    numberlike: Flags


def read_cells(cells: Texts, table: Table) -> Cells:
    """Sort cells of text, whose numbers are written as the table says."""
    decimal, thousands = table.decimal, table.thousands
    blank = pc.equal(cells, "")
    none = np.zeros(len(cells), np.bool_)
    if decimal == "." and thousands is None:
        with suppress(pa.ArrowInvalid):  # the fast way, for columns of plain numbers
            numbers, blanks = _floats(pc.if_else(blank, None, cells)), flags_of(blank)
            # nan and inf cast as well: the exact way below handles them
            if (blanks | (np.abs(numbers) <= MAX_VALUE)).all():
                return Cells(cells, numbers, blanks, none, none, none)
    cells = pc.utf8_trim_whitespace(cells)
    good = pc.match_substring_regex(cells, number_pattern(decimal, thousands))
    clean = pc.if_else(good, cells, None)
    if thousands is not None:
        clean = pc.replace_substring_regex(clean, separator_pattern(thousands), "")
    numbers = _floats(pc.replace_substring(clean, ",", ".") if decimal == "," else clean)
    blanks, words, goods = lacks_value(cells, words=False), _are_words(cells), flags_of(good)
    bad = (~goods & ~blanks & ~words) | (np.abs(numbers) > MAX_VALUE)
    numberlike = bad & (goods | matching(cells, FOREIGN_NUMBER)) if bad.any() else none
    return Cells(cells, numbers, blanks, words, bad, numberlike)


def column_groups(
    table: Table, columns: Sequence[str]
) -> Iterator[tuple[int, list[str], Texts | None]]:
    """Position and names of columns of text to read at once, with their cells end to end; others singly, with None."""
    size = max(1, CELLS_AT_ONCE // max(1, len(table)))
    text, start = [is_text(table.frame[name]) for name in columns], 0
    while start < len(columns):
        end = start + 1
        while end < min(start + size, len(columns)) and text[start] and text[end]:
            end += 1
        names = list(columns[start:end])
        yield start, names, cells_of([table.frame[name] for name in names]) if text[start] else None
        start = end


def is_text(series: Series) -> bool:
    """Text, or objects of any kind (strings, Decimal, a mixture), whose written form counts."""
    if isinstance(series.dtype, pd.StringDtype):  # the usual case, and the fast one
        return True
    kind = plain(series.iloc[:0]).dtype
    return bool(pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind))


def cells_of(series: Sequence[Series]) -> Texts:
    """The columns end to end as one array of text, '' where a value is missing."""
    arrays: list[Texts] = []
    values: Any
    for values in series:
        if not isinstance(values.dtype, pd.StringDtype):
            values = [
                "" if blank else str(x) for x, blank in zip(values, values.isna(), strict=True)
            ]
        array = pa.array(values, from_pandas=True)
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        arrays += [chunk.cast(pa.large_string()) for chunk in chunks]
    joined = (
        arrays[0]
        if len(arrays) == 1
        else pa.concat_arrays(arrays or [pa.array([], pa.large_string())])
    )
    return pc.fill_null(joined, "") if joined.null_count else joined


def lacks_value(cells: Texts, words: bool = True) -> Flags:
    """Which cells are blank, or hold a word for missing where `words` count."""
    cells = pc.utf8_trim_whitespace(cells)
    blank = flags_of(pc.equal(cells, ""))
    return blank | _are_words(cells) if words else blank


def _are_words(cells: Texts) -> Flags:
    return flags_of(pc.is_in(pc.ascii_lower(cells), value_set=pa.array(MISSING, cells.type)))


def matching(cells: Texts, pattern: str) -> Flags:
    return flags_of(pc.match_substring_regex(cells, pattern))


def flags_of(mask: Texts) -> Flags:
    """Booleans of Arrow as an array of NumPy."""
    return np.asarray(mask.to_numpy(zero_copy_only=False), np.bool_)


def _floats(cells: Texts) -> NDArray[np.float64]:
    return np.asarray(pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def parse_numbers(table: Table, column: str, other_cure: str | Words = "") -> NDArray[np.float64]:
    """Parse one column as numbers, [rows], NaN where blank or a word for missing (``n/a``, ``-``, ``null``).

    A warning counts those words; `other_cure` is another cure for a cell that is no number. BadData if a cell is no
    number, is infinite or too large for float32, or if the column holds booleans or times.
    """
    return parse_columns(table, [column], other_cure)[:, 0]


def parse_columns(
    table: Table, columns: Sequence[str], other_cure: str | Words = ""
) -> NDArray[np.float64]:
    """Parse several columns as `parse_numbers` does, [rows, columns], at once: a call per column costs too much."""
    numbers = np.empty((len(table), len(columns)))
    words, touched = 0, list[str]()
    for start, names, texts in column_groups(table, columns):
        if texts is None:
            numbers[:, start] = _typed_numbers(table, names[0])
            continue
        cells = read_cells(texts, table)
        if cells.bad.any():
            _refuse(table, names, cells, other_cure)
        numbers[:, start : start + len(names)] = cells.values.reshape(len(names), -1).T
        by_column = cells.word.reshape(len(names), -1).sum(axis=1)
        words += int(by_column.sum())
        touched += [names[position] for position in np.flatnonzero(by_column)]
    if words:
        where = f"column '{touched[0]}'" + (
            f" and {len(touched) - 1} more" if len(touched) > 1 else ""
        )
        log.warning(
            "%s: words such as n/a or - are read as missing: %d in %s", table.name, words, where
        )
    numbers += 0.0  # turns -0.0 into 0.0
    return numbers


def numeric_columns(table: Table, columns: Sequence[str]) -> list[str]:
    """Those of some columns that look like numbers.

    All cells that are not missing are numbers, or nearly all (nine in ten, or all but one of three or more): the few
    others are typing errors, which `parse_numbers` reports. Not so where all numbers are equal and several cells are no
    numbers: these are codes, such as 0, a, b. Cells in a foreign notation (``1,204``, ``5%``, ``0x10``) count as
    numbers. Text, times and booleans do not, nor does a column without any value.
    """
    found: list[str] = []
    for _, names, texts in column_groups(table, columns):
        if texts is None:
            if table.kind(names[0]) in ("whole", "number") and table.frame[names[0]].notna().any():
                found.append(names[0])
            continue
        cells, shape = read_cells(texts, table), (len(names), -1)
        present = len(table) - (cells.blank | cells.word).reshape(shape).sum(axis=1)
        wrong = (cells.bad & ~cells.numberlike).reshape(shape).sum(axis=1)
        few = np.maximum(1, (1 - NEARLY_ALL) * present)
        likely = (present > 0) & (wrong <= few) & (2 * wrong < present)
        numberlike, values = cells.numberlike.reshape(shape), cells.values.reshape(shape)
        for i in np.flatnonzero(likely & (wrong > 1)):
            likely[i] = (
                bool(numberlike[i].any()) or len(np.unique(values[i][~np.isnan(values[i])])) > 1
            )
        found += [names[i] for i in np.flatnonzero(likely)]
    return found


def is_blank(table: Table, column: str, words: bool = False) -> bool:
    """Whether every cell is blank, or a word for missing such as NA where `words` count: they may be text."""
    series = table.frame[column]
    return bool(
        (lacks_value(cells_of([series]), words) if is_text(series) else series.isna()).all()
    )


def is_whole(table: Table, column: str) -> bool:
    """Whether every value that is there is a whole number, written without a decimal mark; False for a blank column."""
    series = table.frame[column]
    if not is_text(series):
        return table.kind(column) == "whole" and bool(series.notna().any())
    cells = pc.utf8_trim_whitespace(cells_of([series]))
    there = ~lacks_value(cells)
    return bool(there.any() and matching(cells, WHOLE)[there].all())


def counted_values(table: Table, column: str, digits: int) -> NDArray[np.int64] | None:
    """[rows], whole numbers without a sign; None where a cell is blank, or anything else."""
    codes, texts = table.distinct(column)
    texts = [text.strip() for text in texts]
    if not all(re.fullmatch(f"[0-9]{{1,{digits}}}", text) for text in texts):
        return None
    return np.array([int(text) for text in texts], np.int64)[codes]


def infer_decimal(table: Table, delimiter: str) -> DecimalMark:
    """Infer the decimal mark from all the number columns of a text table.

    A comma is one if every number with a mark has it (with a warning), but not under the delimiter ``,``: such cells
    were quoted, and `parse_numbers` refuses them. Under ``;``, which goes with decimal commas, points that all stand
    before three digits may separate thousands, and are refused.
    """
    if delimiter == "," or table.thousands == ",":
        return "."
    if table.thousands == ".":
        return ","
    commas, dot, comma = 0, "", ""
    all_grouped = all_marked = all_thousands = True
    for _, names, texts in column_groups(table, table.names):
        if texts is None:
            continue
        cells, shape = pc.utf8_trim_whitespace(texts), (len(names), -1)
        with_comma, with_dot = (
            matching(cells, number_pattern(mark, table.thousands)).reshape(shape) for mark in ",."
        )
        present = ~lacks_value(cells).reshape(shape)
        number = with_comma | with_dot
        number &= (number.sum(axis=1) >= np.maximum(1, NEARLY_ALL * present.sum(axis=1)))[
            :, np.newaxis
        ]
        with_comma, with_dot = number & ~with_dot, number & ~with_comma
        dot = dot or _first_place(table, names, with_dot)
        comma = comma or _first_place(table, names, with_comma)
        if with_dot.any() and all_thousands:
            beside = number & with_dot.any(axis=1, keepdims=True)
            all_thousands = bool(matching(cells, THOUSANDS_OR_DECIMALS)[beside.ravel()].all())
        if count := int(with_comma.sum()):
            commas += count
            all_grouped &= bool(matching(cells, GROUPED)[with_comma.ravel()].all())
            all_marked &= count == int(number[with_comma.any(axis=1)].sum())
    if not commas and dot and all_thousands and delimiter == ";":
        cure = Words("pass ", Setting("thousands", "."), " or ", Setting("decimal", "."))
        raise BadData(f"{dot} may hold thousands or a decimal point", cure=cure)
    if not commas:
        return "."
    if dot:
        cure = Words("write all numbers alike, or pass ", Setting("decimal"))
        raise BadData(f"{comma} has a decimal comma and {dot} a decimal point", cure=cure)
    if all_grouped and not (delimiter == ";" and all_marked):
        cure = Words("pass ", Setting("decimal", ","), " or ", Setting("thousands", ","))
        raise BadData(f"{comma} may hold a decimal comma or thousands", cure=cure)
    text = "%s: the comma is read as decimal mark (%d numbers); pass %s to say so"
    log.warning(text, table.name, commas, Setting("decimal"))
    return ","


def _first_place(table: Table, names: Sequence[str], flags: Flags) -> str:
    """Where the first of the flagged cells [columns, rows] stands, '' where none is."""
    if not flags.any():
        return ""
    column, row = divmod(int(flags.argmax()), flags.shape[1])
    return table.place(row, names[column])


def _typed_numbers(table: Table, column: str) -> NDArray[np.float64]:
    series = table.frame[column]
    kind = plain(series.iloc[:0]).dtype
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    number = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind)
    if not number or pd.api.types.is_bool_dtype(kind):
        raise BadData(
            f"{table.name}, column '{column}' holds {kind}, not numbers; write 0 and 1 for booleans"
        )
    numbers = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    wrong = np.abs(numbers) > MAX_VALUE
    if wrong.any():
        row = int(wrong.argmax())
        raise BadData(f"{table.place(row, column)}: {_too_large(str(numbers[row]))}")
    return numbers


def _refuse(table: Table, names: Sequence[str], cells: Cells, other_cure: str | Words) -> NoReturn:
    """Raise the error for the first bad cell, with its place, its fault, a cure and the number of others."""
    first = int(cells.bad.argmax())
    column, row = divmod(first, len(table))
    rows = slice(column * len(table), (column + 1) * len(table))
    text, texts, bad, numberlike = (
        cells.text[first].as_py(),
        cells.text[rows],
        cells.bad[rows],
        cells.numberlike[rows],
    )
    if cells.values[first] == cells.values[first]:
        reason = Words(_too_large(text))
    else:
        alike = pc.unique(texts.filter(pa.array(bad & numberlike))).to_pylist()[:1000]
        good = texts.filter(pa.array(~(bad | cells.blank[rows] | cells.word[rows])))
        mend = advice(
            text, alike, table, pc.any(pc.match_substring(good, table.decimal)).as_py() is True
        )
        reason = Words(f"'{text}' is not a number; ", mend, "" if numberlike[row] else other_cure)
    more = int(bad.sum()) - 1
    others = f" ({more} more such cell{'s' if more > 1 else ''} in this column)" if more else ""
    raise BadData(Words(reason, others), place=table.place(row, names[column]))


def _too_large(text: str) -> str:
    if "inf" in text:
        return f"'{text}' is not finite: leave the cell blank"
    return f"'{text}' is too large; numbers up to {MAX_VALUE:.0e} can be forecast: mend it, or use a larger unit"
