"""Find the covariate columns that hold categories, and turn their cells into codes."""

import logging

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.tables.cells import cells_of, is_text, read_cells
from forecast.tables.headers import listed
from forecast.tables.numbers import numeric_columns
from forecast.tables.table import Table

MAX_CODES = 30  # a column of numbers with more different values has typing errors, not codes
MIN_ROWS = 2  # rows for each different code, on average, and cells that are no numbers
CODE = "^[+-]?[0-9]+$"

logger = logging.getLogger("forecast")


def categories_of(table: Table, columns: tuple[str, ...], named: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """The different texts, ascending, of the columns that are in `named`, or look like categories."""
    categorical = [column for column in columns if column in named or _looks_categorical(table, column)]
    categories = {column: tuple(sorted({*table.distinct(column)[1]} - {""})) for column in categorical}
    return {column: texts for column, texts in categories.items() if texts}


def category_codes(table: Table, column: str, categories: tuple[str, ...]) -> NDArray[np.float64]:
    """[rows], 1 + the position among `categories`, 0 for another value (with a warning), NaN where blank."""
    codes, texts = table.distinct(column)
    code_of = {"": np.nan, **{text: code for code, text in enumerate(categories, 1)}}
    values = np.array([code_of.get(text, 0.0) for text in texts])
    rows = int((values == 0)[codes].sum())
    if rows:
        names = [text for text in texts if text not in code_of]
        form = "%s: column '%s' has %d categor%s that fit did not see (%s), in %d row%s; read as unknown."
        ending, plural = "y" if len(names) == 1 else "ies", "s" * (rows != 1)
        logger.warning(form, table.name, column, len(names), ending, listed(names), rows, plural)
    return values[codes]


def _looks_categorical(table: Table, column: str) -> bool:
    """Whether a column holds text or categories, or few whole numbers and letters, such as the codes 0, a, b, c."""
    if table.is_categorical(column) or not numeric_columns(table, [column])[0]:
        return True
    if not is_text(table.frame[column]):
        return False
    cells = read_cells(cells_of([table.frame[column]]), table)
    present = ~cells.blank
    if (cells.bad & cells.meant).any() or int((cells.bad & present).sum()) < MIN_ROWS:
        return False
    different = pc.unique(cells.text.filter(present))
    numbers = pc.unique(cells.text.filter(present & ~cells.bad & ~cells.word))
    few = len(different) <= MAX_CODES and MIN_ROWS * len(different) <= int(present.sum())
    return few and bool(pc.all(pc.match_substring_regex(numbers, CODE), min_count=0).as_py())
