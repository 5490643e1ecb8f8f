"""Seconds until a bare fit is as accurate as other methods on M4 hourly, without reading its test file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.files import find_file
from benchmarks.methods import DEFAULT, Method
from benchmarks.panels import M4_HOURLY, Series, prepare, score
from benchmarks.work import Choice, run_method

BUDGETS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True)
class Reached:
    """OWA after so many seconds of fit and predict as whole commands."""

    seconds: float
    owa: float


def held_out(folder: Path, scratch: Path) -> Series:
    """The training series without their last 48 hours, which take the place of the test file.

    Raises
    ------
    ValueError
        If the training file is missing.
    """
    train = pd.read_csv(find_file(folder, f"{M4_HOURLY.train}.csv", M4_HOURLY.where), index_col=0)
    full = [row[np.isfinite(row)] for row in train.to_numpy(float)]
    values = [row[: -M4_HOURLY.horizon] for row in full]
    path = scratch / "training.csv"
    pd.DataFrame([pd.Series(row) for row in values], index=train.index).to_csv(path)
    actual = np.stack([row[-M4_HOURLY.horizon :] for row in full])
    return Series(path, [str(name) for name in train.index], values, actual)


def accuracy_lines(methods: Sequence[Method], folder: Path) -> Iterator[str]:
    """Lines of a report: each method's seconds and OWA, and how soon a bare fit gets there.

    The bare fit is given budgets that double until it is as good as the best of the others, or to the last one.
    """
    with TemporaryDirectory(prefix="benchmark-") as scratch:
        data = held_out(folder, Path(scratch))
        others = {}
        for method in methods:
            if method.name != DEFAULT:
                others[method.name] = _reached(method, data, None, Path(scratch))
                yield f"{method.name}: OWA {others[method.name].owa:.3f} in {others[method.name].seconds:.1f} s"
        best = min((one.owa for one in others.values()), default=-np.inf)
        ours: list[Reached] = []
        for budget in BUDGETS:
            ours.append(_reached(Method(DEFAULT), data, budget, Path(scratch)))
            yield f"bare fit with {budget:g} s: OWA {ours[-1].owa:.3f} in {ours[-1].seconds:.1f} s"
            if ours[-1].owa <= best:
                break
    for name, one in others.items():
        there = next((each.seconds for each in ours if each.owa <= one.owa), None)
        yield f"as good as {name}: " + (
            "not reached"
            if there is None
            else f"after {there:.1f} s, ratio {there / one.seconds:.2f}"
        )


def _reached(method: Method, data: Series, budget: float | None, scratch: Path) -> Reached:
    with TemporaryDirectory(dir=scratch) as folder:
        work = prepare(M4_HOURLY, data, M4_HOURLY.horizon, scratch)
        forecast, costs = run_method(method, work, Choice(0, budget, None), Path(folder))
    seconds = np.nansum([costs["fit_seconds"], costs["predict_seconds"]])
    return Reached(float(seconds), score(M4_HOURLY, data, work, forecast)["owa"])
