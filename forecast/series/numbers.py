"""Turn cells into numbers, and say exactly which cell is none and which flag would mend it."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.errors import BadData
from forecast.series.table import Table

Decimal = Literal[".", ","]
Column: TypeAlias = "pd.Series[Any]"

MISSING = ("-", "--", "null", "n/a", "na", "nan", "-nan", "none", "#n/a", "<na>")
LARGEST = float(np.finfo(np.float32).max)
SEPARATORS = (",", ".", " ", "'", "_")
SPACES = "[ \u00a0\u202f]"  # spreadsheets group thousands by any of these
CELLS_AT_ONCE = 1 << 23
NEARLY_ALL = 0.9

log = logging.getLogger("forecast")


def parse_numbers(table: Table, column: str) -> NDArray[np.float64]:
    """Read one column as numbers.

    Parameters
    ----------
    table : the table
    column : name of one of its columns

    Returns
    -------
    [rows], in the column's own unit, NaN where blank. Words for missing (``n/a``, ``-``, ``null``) become NaN too,
    with a warning that counts them. The array is new: writing to it never reaches the table.

    Raises
    ------
    BadData
        If a cell is no number, is infinite or overflows float32, or if the column holds booleans or times.
    """
    return parse_columns(table, [column])[:, 0]


def parse_columns(table: Table, columns: Sequence[str]) -> NDArray[np.float64]:
    """Read several columns as numbers at once: for wide tables, where a call per column would cost too much.

    Returns
    -------
    [rows, columns], otherwise as `parse_numbers`; there is one warning for all the columns.
    """
    numbers = np.empty((len(table.frame), len(columns)))
    words = 0
    touched: list[str] = []
    for names, series, start in _groups(table, columns):
        part = numbers[:, start : start + len(names)]
        if not _is_text(series[0]):
            part[:, 0] = _typed_numbers(table, names[0], series[0])
            continue
        cells = _read(_cells(series), table.decimal, table.thousands)
        if cells.bad.any():
            _refuse(table, names, cells)
        part[:] = cells.values.reshape(len(names), -1).T
        found = cells.word.reshape(len(names), -1).sum(axis=1)
        words += int(found.sum())
        touched += [names[position] for position in np.flatnonzero(found)]
    if words:
        where = f"column '{touched[0]}'" + (f" and {len(touched) - 1} more columns" if len(touched) > 1 else "")
        log.warning("%s: %d cells of %s hold a word such as n/a or - and are read as missing", table.name, words, where)
    numbers += 0.0  # turns -0.0 into 0.0
    return numbers


def looks_numeric(table: Table, column: str) -> bool:
    """Whether a column is meant as numbers.

    True where all cells that are not missing are numbers, or nearly all (nine in ten, or all but one): the few others
    are typing errors, which `parse_numbers` must point at. Cells in a foreign notation (``1,204``, ``5%``, ``0x10``)
    count as meant. False for text, times and booleans, and for a column without any value (`is_blank`).
    """
    return numeric_columns(table, [column])[0]


def numeric_columns(table: Table, columns: Sequence[str]) -> list[bool]:
    """Answer `looks_numeric` for many columns at once."""
    answers: list[bool] = []
    for names, series, _ in _groups(table, columns):
        if not _is_text(series[0]):
            kind = _kind(series[0])
            numeric = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
            answers.append(bool(numeric and series[0].notna().any()))
            continue
        cells = _read(_cells(series), table.decimal, table.thousands)
        shape = (len(names), -1)
        missing = (cells.blank | cells.word).reshape(shape).sum(axis=1)
        wrong = (cells.bad & ~cells.meant).reshape(shape).sum(axis=1)
        present = len(table.frame) - missing
        few = np.maximum(1, (1 - NEARLY_ALL) * present)
        answers += ((present > 0) & (wrong <= few) & (2 * wrong < present)).tolist()
    return answers


def is_blank(table: Table, column: str) -> bool:
    """Whether a column holds no value at all: every cell is blank or a word for missing."""
    series = table.frame[column]
    if not _is_text(series):
        return not bool(series.notna().any())
    cells = _trimmed(_cells([series]))
    return bool(pc.all(pc.or_(pc.equal(cells, ""), _is_word(cells)), min_count=0).as_py())


def is_whole(table: Table, column: str) -> bool:
    """Whether every value that is there is a whole number, written without a decimal mark; False for a blank column."""
    series = table.frame[column]
    if not _is_text(series):
        return bool(pd.api.types.is_integer_dtype(_kind(series)) and series.notna().any())
    cells = _trimmed(_cells([series]))
    present = cells.filter(pc.invert(pc.or_(pc.equal(cells, ""), _is_word(cells))))
    return len(present) > 0 and bool(pc.all(pc.match_substring_regex(present, r"^[+-]?[0-9]+$")).as_py())


def has_leading_zeros(table: Table, column: str) -> bool:
    """Whether a cell is a code such as ``007``, which would lose its zeros as a number."""
    series = table.frame[column]
    if not _is_text(series):
        return False
    return bool(pc.any(pc.match_substring_regex(_trimmed(_cells([series])), "^0[0-9]+$"), min_count=0).as_py())


def infer_decimal(table: Table, delimiter: str) -> Decimal:
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
    for names, series, _ in _groups(table, [str(name) for name in table.frame.columns]):
        cells = _trimmed(_cells(series))
        shape = (len(names), -1)
        with_comma = _flags(pc.match_substring_regex(cells, _pattern(",", table.thousands))).reshape(shape)
        with_dot = _flags(pc.match_substring_regex(cells, _pattern(".", table.thousands))).reshape(shape)
        present = ~_flags(pc.or_(pc.equal(cells, ""), _is_word(cells))).reshape(shape)
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
            f"{comma} has a decimal comma and {dot} a decimal point; write all numbers alike, or pass --decimal"
        )
    if all_grouped and not (delimiter == ";" and all_marked):
        raise BadData(f"{comma} may hold a decimal comma or thousands; pass --decimal , or --thousands ,")
    log.warning("%s: the comma is read as decimal mark (%d numbers); pass --decimal to say so", table.name, commas)
    return ","


def _first_place(table: Table, names: Sequence[str], flags: NDArray[np.bool_]) -> str:
    """Where the first of the flagged cells stands, '' where none is; `flags` is [columns, rows]."""
    if not flags.any():
        return ""
    column, row = divmod(int(flags.argmax()), flags.shape[1])
    return table.place(row, names[column])


@dataclass(frozen=True)
class _Cells:
    """What cells hold: a value, nothing, a word for missing, or something bad; `meant`: bad, but meant as a number."""

    text: pa.Array
    values: NDArray[np.float64]
    blank: NDArray[np.bool_]
    word: NDArray[np.bool_]
    bad: NDArray[np.bool_]
    meant: NDArray[np.bool_]


def _read(cells: pa.Array, decimal: Decimal, thousands: str | None) -> _Cells:
    blank = pc.equal(cells, "")
    none = np.zeros(len(cells), np.bool_)
    if decimal == "." and thousands is None:
        try:  # the fast way, for columns of plain numbers
            numbers = _floats(pc.if_else(blank, None, cells))
        except pa.ArrowInvalid:
            pass
        else:
            blanks = _flags(blank)
            # text such as nan and inf casts as well: it is left to the exact way
            if (blanks | (np.abs(numbers) <= LARGEST)).all():
                return _Cells(cells, numbers, blanks, none, none, none)
    cells = _trimmed(cells)
    plain = pc.match_substring_regex(cells, _pattern(decimal, thousands))
    clean = pc.if_else(plain, cells, None)
    if thousands is not None:
        clean = pc.replace_substring_regex(clean, _separator(thousands), "")
    if decimal == ",":
        clean = pc.replace_substring(clean, ",", ".")
    numbers = _floats(clean)
    blanks, words, plains = _flags(pc.equal(cells, "")), _flags(_is_word(cells)), _flags(plain)
    bad = (~plains & ~blanks & ~words) | (np.abs(numbers) > LARGEST)
    meant = bad & (plains | _flags(pc.match_substring_regex(cells, _MEANT))) if bad.any() else none
    return _Cells(cells, numbers, blanks, words, bad, meant)


def _groups(table: Table, columns: Sequence[str]) -> Iterator[tuple[list[str], list[Column], int]]:
    """Runs of text columns that are read together, and typed columns one by one, each with its first position."""
    size = max(1, CELLS_AT_ONCE // max(1, len(table.frame)))
    names: list[str] = []
    series: list[Column] = []
    for position, name in enumerate(columns):
        one = table.frame[name]
        if series and (len(series) == size or not (_is_text(one) and _is_text(series[0]))):
            yield names, series, position - len(series)
            names, series = [], []
        names.append(name)
        series.append(one)
    if series:
        yield names, series, len(columns) - len(series)


def _kind(series: Column) -> Any:
    """The type of the values, of a categorical too."""
    return series.dtype.categories.dtype if isinstance(series.dtype, pd.CategoricalDtype) else series.dtype


def _is_text(series: Column) -> bool:
    """Text, or objects of any kind (strings, Decimal, a mixture), whose written form counts."""
    kind = _kind(series)
    if isinstance(kind, pd.StringDtype):  # the usual case, and the fast one
        return True
    return bool(pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind))


def _cells(series: Sequence[Column]) -> pa.Array:
    """The columns end to end as one array of text, '' where a value is missing."""
    arrays: list[pa.Array] = []
    for one in series:
        if isinstance(one.dtype, pd.StringDtype):
            array = pa.array(one, from_pandas=True)
        else:
            missing = one.isna()
            array = pa.array(["" if gone else str(x) for x, gone in zip(one, missing, strict=True)], pa.large_string())
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        arrays += [chunk if chunk.type == pa.large_string() else chunk.cast(pa.large_string()) for chunk in chunks]
    cells = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays or [pa.array([], pa.large_string())])
    return pc.fill_null(cells, "") if cells.null_count else cells


def _typed_numbers(table: Table, column: str, series: Column) -> NDArray[np.float64]:
    kind = _kind(series)
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


def _refuse(table: Table, names: Sequence[str], cells: _Cells) -> NoReturn:
    """Say which is the first bad cell, what is wrong with it, how to mend it, and how many more there are."""
    first = int(cells.bad.argmax())
    column, row = divmod(first, len(table.frame))
    bad = cells.bad.copy()
    bad[: column * len(table.frame)] = bad[(column + 1) * len(table.frame) :] = False
    text = cells.text[first].as_py()
    if cells.values[first] == cells.values[first]:
        reason = _too_large(text)
    else:
        alike = pc.unique(cells.text.filter(pa.array(bad & cells.meant))).to_pylist()[:1000]
        reason = f"'{text}' is not a number; {_advice(text, alike, table)}"
    more = int(bad.sum()) - 1
    others = f" ({more} more such cell{'s' if more > 1 else ''} in this column)" if more else ""
    raise BadData(f"{table.place(row, names[column])}: {reason}{others}")


def _too_large(text: str) -> str:
    return f"'{text}' is too large; numbers up to {LARGEST:.1e} can be forecast: leave the cell blank or mend it"


def _advice(text: str, alike: list[str], table: Table) -> str:
    """The flags under which the cell is a number, all cells of its kind too if possible; else what to write."""
    for cells in ([text, *alike], [text]):
        for decimal, thousands in _notations(table.decimal):
            if all(re.search(_pattern(decimal, thousands), cell) for cell in cells):
                flags = ["--decimal " + decimal] * (decimal != table.decimal)
                if thousands is not None and thousands != table.thousands:
                    flags.append("--thousands " + (f'"{thousands}"' if thousands in " '" else thousands))
                return "pass " + " ".join(flags) if flags else "mend it or leave it blank"
    if text.lower() in ("true", "false", "yes", "no"):
        return "write 0 and 1 in place of booleans"
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return "a number must be finite: leave the cell blank"
    if text.endswith("%"):
        return "write percentages without the sign"
    if text.lower().startswith(("0x", "-0x")):
        return "write it as a decimal number"
    return "mend it or leave it blank"


def _notations(decimal: Decimal) -> list[tuple[Decimal, str | None]]:
    """Ways to write numbers, those nearest to the table's own first."""
    other: Decimal = "," if decimal == "." else "."
    grouped: list[str | None] = list(SEPARATORS)
    ways = [*product([decimal], grouped), (other, None), *product([other], grouped)]
    return [(mark, thousands) for mark, thousands in ways if mark != thousands]


def _separator(thousands: str) -> str:
    return {" ": SPACES, "'": "['\u2019]"}.get(thousands, re.escape(thousands))


def _pattern(decimal: str, thousands: str | None) -> str:
    """The regular expression of a whole cell that is a number, understood by `re` and by Arrow's RE2 alike."""
    mark = re.escape(decimal)
    whole = "[0-9]+"
    if thousands is not None:
        # groups of two before the last three digits, too: 12,34,567 is written so in India
        separator = _separator(thousands)
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:{separator}[0-9]{{2,3}})*{separator}[0-9]{{3}})"
    return f"^[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


_MEANT = "|".join(
    [
        *(_pattern(decimal, thousands) for decimal, thousands in _notations(".")),
        r"^[+-]?0[xX][0-9a-fA-F]+$",
        r"^[+-]?[0-9][0-9.,]*\s?[%$€£¥]$",
        r"^[+-]?[$€£¥]\s?[0-9][0-9.,]*$",
        r"^[+-]?(?:[iI][nN][fF]|[iI]nfinity)$",
    ]
)


def _trimmed(cells: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(cells)


def _is_word(cells: pa.Array) -> pa.Array:
    return pc.is_in(pc.ascii_lower(cells), value_set=pa.array(MISSING, pa.large_string()))


def _floats(cells: pa.Array) -> NDArray[np.float64]:
    numbers = pc.cast(cells, pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def _flags(mask: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(mask.to_numpy(zero_copy_only=False), np.bool_)
