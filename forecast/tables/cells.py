"""Read columns as cells of text, and sort the cells: numbers, blanks, words for missing, anything else."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.tables.notation import MEANT, number_pattern, separator_pattern
from forecast.tables.table import Table, plain

Series: TypeAlias = "pd.Series[Any]"
Texts = Any  # an array of Arrow's: of texts, of flags or of numbers
Flags = NDArray[np.bool_]

MISSING = ["-", "--", "\u2013", "\u2014", "null", "n/a", "na", "nan", "-nan", "none", "#n/a", "<na>", "\\n"]
MAX_VALUE = 1e18  # networks and scales work in float32, which the square of more than 1.8e19 overflows
CELLS_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class Cells:
    """What cells hold: a value, nothing, a word for missing, or something bad; `meant`: bad, but like a number."""

    text: Texts
    values: NDArray[np.float64]
    blank: Flags
    word: Flags
    bad: Flags
    meant: Flags


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
    blanks, words, goods = flags_of(pc.equal(cells, "")), flags_of(_is_word(cells)), flags_of(good)
    bad = (~goods & ~blanks & ~words) | (np.abs(numbers) > MAX_VALUE)
    meant = bad & (goods | matching(cells, MEANT)) if bad.any() else none
    return Cells(cells, numbers, blanks, words, bad, meant)


def column_groups(table: Table, columns: Sequence[str]) -> Iterator[tuple[int, list[str], Texts | None]]:
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
            values = ["" if blank else str(x) for x, blank in zip(values, values.isna(), strict=True)]
        array = pa.array(values, from_pandas=True)
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        arrays += [chunk.cast(pa.large_string()) for chunk in chunks]
    joined = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays or [pa.array([], pa.large_string())])
    return pc.fill_null(joined, "") if joined.null_count else joined


def lacks_value(cells: Texts, words: bool = True) -> Flags:
    """Which cells are blank, or hold a word for missing where `words` count."""
    cells = pc.utf8_trim_whitespace(cells)
    blank = pc.equal(cells, "")
    return flags_of(pc.or_(blank, _is_word(cells)) if words else blank)


def _is_word(cells: Texts) -> Texts:
    return pc.is_in(pc.ascii_lower(cells), value_set=pa.array(MISSING, cells.type))


def matching(cells: Texts, pattern: str) -> Flags:
    return flags_of(pc.match_substring_regex(cells, pattern))


def flags_of(mask: Texts) -> Flags:
    """Booleans of Arrow as an array of NumPy."""
    return np.asarray(mask.to_numpy(zero_copy_only=False), np.bool_)


def _floats(cells: Texts) -> NDArray[np.float64]:
    return np.asarray(pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
