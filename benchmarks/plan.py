"""Which runs a table is made of: every method with its budgets and seeds, on each horizon."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.methods import Method
from benchmarks.rows import Row
from benchmarks.work import Choice


@dataclass(frozen=True)
class Run:
    """One row to be.

    Attributes
    ----------
    row : the key of the row
    measure : is given an empty folder; returns scores and costs
    """

    row: Row
    measure: Callable[[Path], dict[str, float]]


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for.

    Attributes
    ----------
    horizons : none means the data set's own
    budgets : for methods that take one; the others run once without
    seeds : number of seeds, from 0, for methods that depend on them
    steps : training steps of a trial; such a row has them in its method's name, for it is no result
    """

    horizons: Sequence[int]
    budgets: Sequence[float | None]
    seeds: int
    steps: int | None


Measure = Callable[[Method, Choice, Path], dict[str, float]]


def runs_of(
    data: str, horizon: int | None, methods: Sequence[Method], wanted: Wanted, measure: Measure
) -> Iterator[Run]:
    """The runs on one piece of work."""
    for method in methods:
        own_steps = wanted.steps if method.random else None  # what has no seed has no steps either
        name = method.name if own_steps is None else f"{method.name}, {own_steps} steps"
        for budget in wanted.budgets if method.bounded else [None]:
            for seed in range(wanted.seeds if method.random else 1):
                choice = Choice(seed, budget, own_steps)
                row: dict[str, Any] = {
                    "data": data,
                    "method": name,
                    "horizon": horizon,
                    "budget": budget,
                    "seed": seed,
                }
                yield Run(row, partial(measure, method, choice))
