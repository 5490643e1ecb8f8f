"""Tell which covariate columns are categories, and turn their cells into codes."""

import logging

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.panel.observations import as_text
from forecast.tables.cells import cells_of, is_text, read_cells
from forecast.tables.headers import listed
from forecast.tables.numbers import looks_numeric
from forecast.tables.table import Table

MOST_CODES = 30  # a column of numbers with more different values than this has typing errors, not codes
FEWEST_ROWS = 2  # rows for each different code, on average, and cells that are no numbers
CODE = "^[+-]?[0-9]+$"

logger = logging.getLogger("forecast")


def categories_of(table: Table, columns: tuple[str, ...], named: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """The different texts, ascending, of the columns that are in `named`, or look like categories."""
    found = {}
    for column in columns:
        if column in named or _looks_categorical(table, column):
            texts = {str(text) for text in pd.unique(as_text(table, column))} - {""}
            if texts:
                found[column] = tuple(sorted(texts))
    return found


def category_codes(table: Table, column: str, categories: tuple[str, ...]) -> NDArray[np.float64]:
    """[rows], 1 + the place among `categories`, 0 for a value that is not there (with a warning), NaN where blank."""
    texts = as_text(table, column)
    codes = np.asarray(pd.Index(categories).get_indexer(pd.Index(texts.array)) + 1.0, np.float64)
    codes[np.asarray(texts == "", bool)] = np.nan
    unseen = codes == 0
    if unseen.any():
        names = [str(name) for name in pd.unique(texts[unseen])]
        logger.warning(
            "%s: column '%s' has %d categor%s that fit did not see (%s), in %d row%s; read as unknown.",
            table.name,
            column,
            len(names),
            "y" if len(names) == 1 else "ies",
            listed(names),
            unseen.sum(),
            "s" * (int(unseen.sum()) != 1),
        )
    return codes


def _looks_categorical(table: Table, column: str) -> bool:
    """Whether a column holds text or categories, or few whole numbers and letters, such as the codes 0, a, b, c."""
    series = table.frame[column]
    if isinstance(series.dtype, pd.CategoricalDtype) or not looks_numeric(table, column):
        return True
    if not is_text(series):
        return False
    cells = read_cells(cells_of([series]), table.decimal, table.thousands)
    present = ~cells.blank
    if (cells.bad & cells.meant).any() or int((cells.bad & present).sum()) < FEWEST_ROWS:
        return False
    different = pc.unique(cells.text.filter(present))
    numbers = pc.unique(cells.text.filter(present & ~cells.bad & ~cells.word))
    few = len(different) <= MOST_CODES and FEWEST_ROWS * len(different) <= int(present.sum())
    return few and bool(pc.all(pc.match_substring_regex(numbers, CODE), min_count=0).as_py())
