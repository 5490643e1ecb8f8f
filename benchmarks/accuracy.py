"""Measure all methods on a data set, a row at a time, going on from the rows that are there."""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import etth1, samples
from benchmarks.methods import Method
from benchmarks.panels import CLASSICAL, M4_HOURLY, datasets
from benchmarks.plan import Run, Wanted, runs_of
from benchmarks.processes import CommandFailed
from benchmarks.rows import Row, add_row, key_of, read_rows
from benchmarks.tables import row_text
from benchmarks.work import Choice, Dataset, Work, run_method

DATASETS = {
    M4_HOURLY.name: tuple(datasets((M4_HOURLY,))),
    etth1.NAME: (etth1.DATASET,),
    "classical": tuple(datasets(CLASSICAL)),
}


def runs_on(
    name: str, folder: Path, scratch: Path, methods: Sequence[Method], wanted: Wanted
) -> Iterator[Run]:
    """The runs on a data set or on the samples; files that several methods read are written into `scratch`."""
    if name == samples.NAME:
        yield from samples.sample_runs(folder, scratch, methods, wanted)
        return
    for dataset in DATASETS[name]:
        data = dataset.load(folder)
        for horizon in wanted.horizons or dataset.horizons:
            work = dataset.prepare(data, horizon, scratch)
            able = [method for method in methods if method.windows or not work.origins]
            yield from runs_of(work.data, horizon, able, wanted, partial(_row, dataset, data, work))


def _row(
    dataset: Dataset, data: Any, work: Work, method: Method, choice: Choice, folder: Path
) -> dict[str, float]:
    forecast, costs = run_method(method, work, choice, folder)
    return {**dataset.score(data, work, forecast), **costs}


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
            console.print(
                f"{run.row['method']} failed: {error}", markup=False, highlight=False, style="red"
            )
            continue
        add_row(path, rows, {**run.row, **measured})
        there.add(key_of(run.row))
        console.print(row_text(rows[-1]), markup=False, highlight=False)
    return rows, failures
