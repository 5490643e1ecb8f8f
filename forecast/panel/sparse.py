"""Notice tables of counts that list only the times at which something happened."""

import logging

import numpy as np

from forecast.errors import Setting
from forecast.panel.grid import Grid
from forecast.panel.schema import Schema

logger = logging.getLogger("forecast")

MIN_ABSENT = 0.5  # share of absent rows from which on a table of counts looks sparse
MAX_ZEROS = 0.1  # a table with more zeros than this has no reason to leave others out


def warn_sparse(name: str, grid: Grid, schema: Schema) -> None:
    """Warn where counts are mostly absent and absent rows are unknown; name the setting that makes them zeros.

    Parameters
    ----------
    name : of the table
    """
    if schema.missing == "zero" or schema.layout == "rows":
        return
    share = _absent_share(grid)
    counts = (grid.values >= 0).all() and (grid.values == np.floor(grid.values)).all()
    if share > MIN_ABSENT and counts and (grid.values == 0).mean() < MAX_ZEROS:
        logger.warning(
            "%s: it looks like a table of counts that leaves out what is zero: whole numbers, and %.0f %% of the rows "
            "are absent. They are read as unknown; pass %s if they mean zero",
            name,
            np.floor(100 * share),
            Setting("missing", "zero"),
        )


def _absent_share(grid: Grid) -> float:
    """The share of steps without a row, between the first and the last value of each series."""
    present = np.flatnonzero(grid.counts)
    ends = np.cumsum(grid.counts)[present]
    first, last = grid.positions[ends - grid.counts[present]], grid.positions[ends - 1]
    steps = int((last - first + 1).sum())
    low, high = np.full(len(grid.counts), 1), np.zeros(len(grid.counts), np.int64)
    low[present], high[present] = first, last
    series, positions = grid.blank_series, grid.blank_positions
    inside = (positions >= low[series]) & (positions <= high[series])
    blank = np.unique(np.stack([series[inside], positions[inside]]), axis=1).shape[1]
    return float(max(0, steps - len(grid.positions) - blank) / max(steps, 1))
