"""Which runs a table is made of: every method with its budgets and seeds, on each horizon."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


Measure = Callable[[Method, Choice, Path], dict[str, float]]


def runs_of(
    data: str,
    horizon: int | None,
    methods: Sequence[Method],
    budgets: Sequence[float | None],
    seeds: int,
    steps: int | None,
    measure: Measure,
) -> Iterator[Run]:
    """The runs on one piece of work.

    Parameters
    ----------
    budgets : for methods that take one; the others run once without
    seeds : number of seeds, from 0, for methods that depend on them
    steps : training steps of a trial; such a row has them in its method's name, for it is no result
    """
    for method in methods:
        own_steps = steps if method.random else None  # what has no seed has no steps either
        name = method.name if own_steps is None else f"{method.name}, {own_steps} steps"
        for budget in budgets if method.bounded else [None]:
            for seed in range(seeds if method.random else 1):
                choice = Choice(seed, budget, own_steps)
                row: dict[str, Any] = {
                    "data": data,
                    "method": name,
                    "horizon": horizon,
                    "budget": budget,
                    "seed": seed,
                }
                yield Run(row, _bound(measure, method, choice))


def _bound(measure: Measure, method: Method, choice: Choice) -> Callable[[Path], dict[str, float]]:
    return lambda folder: measure(method, choice, folder)
