"""What a kind of series is drawn from: seasons and lengths, and numbers by row.

The file of a kind has a function `simulate`, and its `SHARE` of all series beside those of the other kinds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

GROWTH = 0.4  # mean of drifts of deviation 1: more records grow than shrink


@dataclass(frozen=True)
class Outline:
    """Series that are to be drawn."""

    season: Counts  # [rows], steps; 1 for none
    second: Counts  # [rows], steps of a longer season, a multiple of the first one; 0 for none
    steps: int  # of each series

    @property
    def rows(self) -> int:
        return len(self.season)

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.steps

    def select(self, rows: Counts) -> "Outline":
        return Outline(self.season[rows], self.second[rows], self.steps)


def column(values: NDArray[Any]) -> NDArray[Any]:
    """One number a row, [rows, 1]."""
    return values[:, None]


def log_uniform(rng: np.random.Generator, low: float, high: float, rows: int) -> Numbers:
    """Numbers between `low` and `high`, even on a logarithmic scale, [rows]."""
    return np.exp(rng.uniform(np.log(low), np.log(high), rows))


def either(rng: np.random.Generator, chance: float, rows: int) -> Flags:
    """Whether each row is chosen, [rows]."""
    return np.asarray(rng.random(rows) < chance)
