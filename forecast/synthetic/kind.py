"""What the file of a kind of series declares to the registry, and what it can draw with."""

from collections.abc import Callable
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
    """Series that are to be drawn.

    Attributes
    ----------
    season : [rows], steps; 1 for none
    second : [rows], steps of a longer season, a multiple of the first one; 0 for none
    steps : of each series
    """

    season: Counts
    second: Counts
    steps: int

    @property
    def rows(self) -> int:
        """Number of series."""
        return len(self.season)

    @property
    def shape(self) -> tuple[int, int]:
        """[rows, steps]."""
        return self.rows, self.steps

    def select(self, rows: Counts) -> "Outline":
        """Some of the series."""
        return Outline(self.season[rows], self.second[rows], self.steps)


@dataclass(frozen=True)
class Kind:
    """A kind of series.

    Attributes
    ----------
    simulate : draws series, [rows, steps]
    share : how many of all series are of this kind, beside the shares of the other kinds
    """

    simulate: Callable[[np.random.Generator, Outline], Numbers]
    share: float


def column(values: NDArray[Any]) -> NDArray[Any]:
    """One number a row, [rows, 1]."""
    return values[:, None]


def log_uniform(rng: np.random.Generator, low: float, high: float, rows: int) -> Numbers:
    """Numbers between `low` and `high`, even on a logarithmic scale, [rows]."""
    return np.exp(rng.uniform(np.log(low), np.log(high), rows))


def either(rng: np.random.Generator, chance: float, rows: int) -> Flags:
    """Whether each row is chosen, [rows]."""
    return np.asarray(rng.random(rows) < chance)
