"""Parse cells as numbers; errors name the cell that is no number and the setting that would mend it."""

import logging
import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.settings import DecimalMark
from forecast.tables.cells import (
    MAX_VALUE,
    Cells,
    Flags,
    cells_of,
    column_groups,
    is_text,
    lacks_value,
    matching,
    read_cells,
)
from forecast.tables.notation import advice, number_pattern
from forecast.tables.table import Table, plain

WHOLE, CODE = r"^[+-]?[0-9]+$", "^0[0-9]+$"
GROUPED = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
THOUSANDS_OR_DECIMALS = r"^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})?$|^0$"
NEARLY_ALL = 0.9

log = logging.getLogger("forecast")


def parse_numbers(table: Table, column: str, otherwise: str | Words = "") -> NDArray[np.float64]:
    """Parse one column as numbers, [rows], NaN where blank or a word for missing (``n/a``, ``-``, ``null``).

    A warning counts those words; `otherwise` is another cure for a cell that is no number. BadData if a cell is no
    number, is infinite or too large for float32, or if the column holds booleans or times.
    """
    return parse_columns(table, [column], otherwise)[:, 0]


def parse_columns(table: Table, columns: Sequence[str], otherwise: str | Words = "") -> NDArray[np.float64]:
    """Parse several columns as `parse_numbers` does, [rows, columns], at once: a call per column costs too much."""
    numbers = np.empty((len(table), len(columns)))
    words, touched = 0, list[str]()
    for start, names, texts in column_groups(table, columns):
        if texts is None:
            numbers[:, start] = _typed_numbers(table, names[0])
            continue
        cells = read_cells(texts, table)
        if cells.bad.any():
            _refuse(table, names, cells, otherwise)
        numbers[:, start : start + len(names)] = cells.values.reshape(len(names), -1).T
        by_column = cells.word.reshape(len(names), -1).sum(axis=1)
        words += int(by_column.sum())
        touched += [names[position] for position in np.flatnonzero(by_column)]
    if words:
        where = f"column '{touched[0]}'" + (f" and {len(touched) - 1} more" if len(touched) > 1 else "")
        log.warning("%s: words such as n/a or - are read as missing: %d in %s", table.name, words, where)
    numbers += 0.0  # turns -0.0 into 0.0
    return numbers


def numeric_columns(table: Table, columns: Sequence[str]) -> list[bool]:
    """Whether each column looks like numbers.

    True where all cells that are not missing are numbers, or nearly all (nine in ten, or all but one): the few others
    are typing errors, which `parse_numbers` reports. Not so where all numbers are equal and several cells are no
    numbers: these are codes, such as 0, a, b. Cells in a foreign notation (``1,204``, ``5%``, ``0x10``) count as
    numbers. False for text, times and booleans, and for a column without any value.
    """
    answers: list[bool] = []
    for _, names, texts in column_groups(table, columns):
        if texts is None:
            numeric = table.kind(names[0]) in ("whole", "number")
            answers.append(numeric and bool(table.frame[names[0]].notna().any()))
            continue
        cells, shape = read_cells(texts, table), (len(names), -1)
        present = len(table) - (cells.blank | cells.word).reshape(shape).sum(axis=1)
        wrong = (cells.bad & ~cells.meant).reshape(shape).sum(axis=1)
        few = np.maximum(1, (1 - NEARLY_ALL) * present)
        likely = (present > 0) & (wrong <= few) & (2 * wrong < present)
        meant, values = cells.meant.reshape(shape), cells.values.reshape(shape)
        for i in np.flatnonzero(likely & (wrong > 1)):
            likely[i] = bool(meant[i].any()) or len(np.unique(values[i][~np.isnan(values[i])])) > 1
        answers += likely.tolist()
    return answers


def is_blank(table: Table, column: str, words: bool = False) -> bool:
    """Whether every cell is blank, or a word for missing such as NA where `words` count: they may be text."""
    series = table.frame[column]
    return bool((lacks_value(cells_of([series]), words) if is_text(series) else series.isna()).all())


def is_whole(table: Table, column: str) -> bool:
    """Whether every value that is there is a whole number, written without a decimal mark; False for a blank column."""
    series = table.frame[column]
    if not is_text(series):
        return table.kind(column) == "whole" and bool(series.notna().any())
    cells = pc.utf8_trim_whitespace(cells_of([series]))
    there = ~lacks_value(cells)
    return bool(there.any() and matching(cells, WHOLE)[there].all())


def has_leading_zeros(table: Table, column: str) -> bool:
    """Whether a cell is a code such as ``007``, which would lose its zeros as a number."""
    series = table.frame[column]
    return is_text(series) and bool(matching(pc.utf8_trim_whitespace(cells_of([series])), CODE).any())


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
        with_comma, with_dot = (matching(cells, number_pattern(mark, table.thousands)).reshape(shape) for mark in ",.")
        present = ~lacks_value(cells).reshape(shape)
        number = with_comma | with_dot
        number &= (number.sum(axis=1) >= np.maximum(1, NEARLY_ALL * present.sum(axis=1)))[:, np.newaxis]
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
    if pd.api.types.is_bool_dtype(kind):
        raise BadData(f"{table.name}, column '{column}' holds booleans, not numbers; write 0 and 1 if they are meant")
    if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
        raise BadData(f"{table.name}, column '{column}' holds {kind}, not numbers; name another column")
    numbers = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    wrong = np.abs(numbers) > MAX_VALUE
    if wrong.any():
        row = int(wrong.argmax())
        raise BadData(f"{table.place(row, column)}: {_too_large(str(numbers[row]))}")
    return numbers


def _refuse(table: Table, names: Sequence[str], cells: Cells, otherwise: str | Words) -> NoReturn:
    """Raise the error for the first bad cell, with its place, its fault, a cure and the number of others."""
    first = int(cells.bad.argmax())
    column, row = divmod(first, len(table))
    rows = slice(column * len(table), (column + 1) * len(table))
    text, texts, bad, meant = cells.text[first].as_py(), cells.text[rows], cells.bad[rows], cells.meant[rows]
    if cells.values[first] == cells.values[first]:
        reason = Words(_too_large(text))
    else:
        alike = pc.unique(texts.filter(pa.array(bad & meant))).to_pylist()[:1000]
        good = texts.filter(pa.array(~(bad | cells.blank[rows] | cells.word[rows])))
        mend = advice(text, alike, table, pc.any(pc.match_substring(good, table.decimal)).as_py() is True)
        reason = Words(f"'{text}' is not a number; ", mend, "" if meant[row] else otherwise)
    more = int(bad.sum()) - 1
    others = f" ({more} more such cell{'s' if more > 1 else ''} in this column)" if more else ""
    raise BadData(Words(reason, others), place=table.place(row, names[column]))


def _too_large(text: str) -> str:
    if "inf" in text:
        return f"'{text}' is not finite: leave the cell blank"
    return f"'{text}' is too large; numbers up to {MAX_VALUE:.0e} can be forecast: mend it, or use a larger unit"
