"""Measure all methods on a data set, a row at a time, going on from the rows that are there."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rich.console import Console

from benchmarks import etth1, m4
from benchmarks.methods import Method
from benchmarks.plan import Run, runs_of
from benchmarks.processes import CommandFailed
from benchmarks.rows import Row, add_row, key_of, read_rows
from benchmarks.tables import row_text
from benchmarks.work import Choice, Work, run_method

DATASETS: dict[str, ModuleType] = {module.NAME: module for module in (m4, etth1)}


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; an empty list of horizons means the data set's own."""

    horizons: Sequence[int]
    budgets: Sequence[float | None]
    seeds: int
    steps: int | None


def dataset_runs(name: str, folder: Path, scratch: Path, methods: Sequence[Method], wanted: Wanted) -> Iterator[Run]:
    """The runs on M4 hourly or ETTh1; files that all methods read are written into `scratch`."""
    dataset = DATASETS[name]
    data = dataset.load(folder)
    for horizon in wanted.horizons or dataset.HORIZONS:
        work: Work = dataset.prepare(data, horizon, scratch)
        able = [method for method in methods if method.windows or not work.origins]

        def measure(method: Method, choice: Choice, place: Path, work: Work = work) -> dict[str, float]:
            forecast, costs = run_method(method, work, choice, place)
            return {**dataset.score(data, work, forecast), **costs}

        yield from runs_of(work.data, horizon, able, wanted.budgets, wanted.seeds, wanted.steps, measure)


def measure_all(runs: Iterator[Run], path: Path | None, console: Console) -> tuple[list[Row], int]:
    """Run what is not in the file yet.

    Parameters
    ----------
    path : of the JSON file, replaced after each row; None keeps nothing
    console : is told each row when it is there, and each failure

    Returns
    -------
    rows, failures
        All rows of the file and the new ones; how many runs failed.
    """
    rows = read_rows(path)
    there = {key_of(row) for row in rows}
    failures = 0
    for run in runs:
        if key_of(run.row) in there:
            continue
        try:
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                measured = run.measure(Path(folder))
        except (CommandFailed, ValueError) as error:
            failures += 1
            console.print(f"{run.row['method']} failed: {error}", markup=False, highlight=False, style="red")
            continue
        add_row(path, rows, {**run.row, **measured})
        there.add(key_of(run.row))
        console.print(row_text(rows[-1]), markup=False, highlight=False)
    return rows, failures
