"""Turn cells into numbers, and say exactly which cell is none and which flag would mend it."""

import logging
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
    LARGEST,
    Cells,
    Column,
    cells_of,
    column_groups,
    flags_of,
    is_text,
    is_word,
    kind_of,
    read_cells,
    trimmed,
)
from forecast.tables.notation import advice, number_pattern
from forecast.tables.table import Table

NEARLY_ALL = 0.9

log = logging.getLogger("forecast")


def parse_numbers(table: Table, column: str, otherwise: str | Words = "") -> NDArray[np.float64]:
    """Read one column as numbers.

    Parameters
    ----------
    table : the table
    column : name of one of its columns
    otherwise : what else to do where a cell is no number, for the message

    Returns
    -------
    [rows], in the column's own unit, NaN where blank. Words for missing (``n/a``, ``-``, ``null``) become NaN too,
    with a warning that counts them. The array is new: writing to it never reaches the table.

    Raises
    ------
    BadData
        If a cell is no number, is infinite or too large for float32, or if the column holds booleans or times.
    """
    return parse_columns(table, [column], otherwise)[:, 0]


def parse_columns(table: Table, columns: Sequence[str], otherwise: str | Words = "") -> NDArray[np.float64]:
    """Read several columns as numbers at once: for wide tables, where a call per column would cost too much.

    Returns
    -------
    [rows, columns], otherwise as `parse_numbers`; there is one warning for all the columns.
    """
    numbers = np.empty((len(table.frame), len(columns)))
    words = 0
    touched: list[str] = []
    for names, series, start in column_groups(table, columns):
        part = numbers[:, start : start + len(names)]
        if not is_text(series[0]):
            part[:, 0] = _typed_numbers(table, names[0], series[0])
            continue
        cells = read_cells(cells_of(series), table.decimal, table.thousands)
        if cells.bad.any():
            _refuse(table, names, cells, otherwise)
        part[:] = cells.values.reshape(len(names), -1).T
        found = cells.word.reshape(len(names), -1).sum(axis=1)
        words += int(found.sum())
        touched += [names[position] for position in np.flatnonzero(found)]
    if words:
        where = f"column '{touched[0]}'" + (f" and {len(touched) - 1} more" if len(touched) > 1 else "")
        log.warning("%s: words such as n/a or - are read as missing: %d in %s", table.name, words, where)
    numbers += 0.0  # turns -0.0 into 0.0
    return numbers


def looks_numeric(table: Table, column: str) -> bool:
    """Whether a column is meant as numbers.

    True where all cells that are not missing are numbers, or nearly all (nine in ten, or all but one): the few others
    are typing errors, which `parse_numbers` must point at. Not so where all numbers are the same one and several
    cells are none: these are codes, such as 0, a, b. Cells in a foreign notation (``1,204``, ``5%``, ``0x10``) count as
    meant. False for text, times and booleans, and for a column without any value (`is_blank`).
    """
    return numeric_columns(table, [column])[0]


def numeric_columns(table: Table, columns: Sequence[str]) -> list[bool]:
    """Answer `looks_numeric` for many columns at once."""
    answers: list[bool] = []
    for names, series, _ in column_groups(table, columns):
        if not is_text(series[0]):
            kind = kind_of(series[0])
            numeric = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
            answers.append(bool(numeric and series[0].notna().any()))
            continue
        cells = read_cells(cells_of(series), table.decimal, table.thousands)
        shape = (len(names), -1)
        missing = (cells.blank | cells.word).reshape(shape).sum(axis=1)
        wrong = (cells.bad & ~cells.meant).reshape(shape).sum(axis=1)
        present = len(table.frame) - missing
        few = np.maximum(1, (1 - NEARLY_ALL) * present)
        numeric = (present > 0) & (wrong <= few) & (2 * wrong < present)
        for place in np.flatnonzero(numeric & (wrong > 1)):
            own = slice(place * len(table.frame), (place + 1) * len(table.frame))
            values, meant = cells.values[own], cells.meant[own]
            numeric[place] = bool(meant.any()) or len(np.unique(values[~np.isnan(values)])) > 1
        answers += numeric.tolist()
    return answers


def is_blank(table: Table, column: str) -> bool:
    """Whether every cell of a column is blank. A word such as NA is text where no number stands beside it."""
    series = table.frame[column]
    if not is_text(series):
        return not bool(series.notna().any())
    return bool(pc.all(pc.equal(trimmed(cells_of([series])), ""), min_count=0).as_py())


def lacks_values(table: Table, column: str) -> bool:
    """Whether a column would have no value if it were read as numbers: every cell is blank or a word for missing."""
    series = table.frame[column]
    if not is_text(series):
        return is_blank(table, column)
    cells = trimmed(cells_of([series]))
    return bool(pc.all(pc.or_(pc.equal(cells, ""), is_word(cells)), min_count=0).as_py())


def is_whole(table: Table, column: str) -> bool:
    """Whether every value that is there is a whole number, written without a decimal mark; False for a blank column."""
    series = table.frame[column]
    if not is_text(series):
        return bool(pd.api.types.is_integer_dtype(kind_of(series)) and series.notna().any())
    cells = trimmed(cells_of([series]))
    present = cells.filter(pc.invert(pc.or_(pc.equal(cells, ""), is_word(cells))))
    return len(present) > 0 and bool(pc.all(pc.match_substring_regex(present, r"^[+-]?[0-9]+$")).as_py())


def has_leading_zeros(table: Table, column: str) -> bool:
    """Whether a cell is a code such as ``007``, which would lose its zeros as a number."""
    series = table.frame[column]
    if not is_text(series):
        return False
    return bool(pc.any(pc.match_substring_regex(trimmed(cells_of([series])), "^0[0-9]+$"), min_count=0).as_py())


def infer_decimal(table: Table, delimiter: str) -> DecimalMark:
    """Read the decimal mark off all the number columns of a text table.

    A comma is one if every number with a mark has it (said as a warning). Under the delimiter ``,`` it never is: such
    cells were quoted, and are refused by `parse_numbers` with the flag to pass.

    Raises
    ------
    BadData
        If both marks occur, or if the comma may as well separate thousands.
    """
    if delimiter == "," or table.thousands == ",":
        return "."
    if table.thousands == ".":
        return ","
    commas = 0
    dot = comma = ""
    all_grouped = all_marked = True
    for names, series, _ in column_groups(table, [str(name) for name in table.frame.columns]):
        if not is_text(series[0]):
            continue
        cells = trimmed(cells_of(series))
        shape = (len(names), -1)
        with_comma = flags_of(pc.match_substring_regex(cells, number_pattern(",", table.thousands))).reshape(shape)
        with_dot = flags_of(pc.match_substring_regex(cells, number_pattern(".", table.thousands))).reshape(shape)
        present = ~flags_of(pc.or_(pc.equal(cells, ""), is_word(cells))).reshape(shape)
        number = with_comma | with_dot
        number &= (number.sum(axis=1) >= np.maximum(1, NEARLY_ALL * present.sum(axis=1)))[:, np.newaxis]
        with_comma, with_dot = number & ~with_dot, number & ~with_comma
        dot = dot or _first_place(table, names, with_dot)
        comma = comma or _first_place(table, names, with_comma)
        if found := int(with_comma.sum()):
            commas += found
            marked = cells.filter(pa.array(with_comma.ravel()))
            all_grouped &= bool(pc.all(pc.match_substring_regex(marked, r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$")).as_py())
            all_marked &= found == int(number[with_comma.any(axis=1)].sum())
    if not commas:
        return "."
    if dot:
        raise BadData(
            f"{comma} has a decimal comma and {dot} a decimal point",
            cure=Words("write all numbers alike, or pass ", Setting("decimal")),
        )
    if all_grouped and not (delimiter == ";" and all_marked):
        cure = Words("pass ", Setting("decimal", ","), " or ", Setting("thousands", ","))
        raise BadData(f"{comma} may hold a decimal comma or thousands", cure=cure)
    log.warning(
        "%s: the comma is read as decimal mark (%d numbers); pass %s to say so", table.name, commas, Setting("decimal")
    )
    return ","


def _first_place(table: Table, names: Sequence[str], flags: NDArray[np.bool_]) -> str:
    """Where the first of the flagged cells stands, '' where none is; `flags` is [columns, rows]."""
    if not flags.any():
        return ""
    column, row = divmod(int(flags.argmax()), flags.shape[1])
    return table.place(row, names[column])


def _typed_numbers(table: Table, column: str, series: Column) -> NDArray[np.float64]:
    kind = kind_of(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if pd.api.types.is_bool_dtype(kind):
        raise BadData(f"{table.name}, column '{column}' holds booleans, not numbers; write 0 and 1 if they are meant")
    if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
        raise BadData(f"{table.name}, column '{column}' holds {kind}, not numbers; name another column")
    numbers = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    wrong = np.abs(numbers) > LARGEST
    if wrong.any():
        row = int(wrong.argmax())
        raise BadData(f"{table.place(row, column)}: {_too_large(str(numbers[row]))}")
    return numbers


def _refuse(table: Table, names: Sequence[str], cells: Cells, otherwise: str | Words) -> NoReturn:
    """Say which is the first bad cell, what is wrong with it, how to mend it, and how many more there are."""
    first = int(cells.bad.argmax())
    column, row = divmod(first, len(table.frame))
    bad = cells.bad.copy()
    bad[: column * len(table.frame)] = bad[(column + 1) * len(table.frame) :] = False
    text = cells.text[first].as_py()
    if cells.values[first] == cells.values[first]:
        reason = Words(_too_large(text))
    else:
        alike = pc.unique(cells.text.filter(pa.array(bad & cells.meant))).to_pylist()[:1000]
        own = slice(column * len(table.frame), (column + 1) * len(table.frame))
        good = cells.text[own].filter(pa.array(~(cells.bad | cells.blank | cells.word)[own]))
        marked = bool(pc.any(pc.match_substring(good, table.decimal), min_count=0).as_py())
        mend = advice(text, alike, table, marked)
        reason = Words(f"'{text}' is not a number; ", mend, "" if cells.meant[first] else otherwise)
    more = int(bad.sum()) - 1
    others = f" ({more} more such cell{'s' if more > 1 else ''} in this column)" if more else ""
    raise BadData(Words(reason, others), place=table.place(row, names[column]))


def _too_large(text: str) -> str:
    if "inf" in text:
        return f"'{text}' is not finite: leave the cell blank"
    return f"'{text}' is too large; numbers up to {LARGEST:.0e} can be forecast: mend it, or use a larger unit"
