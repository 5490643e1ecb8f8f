"""One piece of work, the same for every method: a process to fit, then a process to predict."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.methods import Method
from benchmarks.processes import run_measured
from benchmarks.scores import COLUMNS, Values


@dataclass(frozen=True)
class Work:
    """Files and settings of one run.

    Attributes
    ----------
    train : what `forecast fit` reads
    flags : the flags of `forecast fit` that say what kind of table it is
    season : steps, of the unit of errors and for all methods; 1 for none
    table : a table with all rows, where forecasts are wanted from many origins by the frozen method
    long_train, long_table : the same two for peers, as ``unique_id,ds,y``
    origins : numbers of the rows of `table` that forecasts start at; none: what comes after `train`
    ids : of the series, in the order of the tables
    freq : step of the calendar, as pandas names it
    """

    data: str
    train: Path
    flags: tuple[str, ...]
    table: Path | None
    long_train: Path
    long_table: Path | None
    origins: range
    ids: tuple[str, ...]
    horizon: int
    season: int
    freq: str


@dataclass(frozen=True)
class Dataset:
    """One set of series.

    Attributes
    ----------
    horizons : those of the papers
    load : reads the files in a folder, once for all methods
    prepare : from what was read, a horizon, and a folder for files that several methods read
    score : from what was read, the work, and its forecasts as `run_method` returns them
    """

    horizons: tuple[int, ...]
    load: Callable[[Path], Any]
    prepare: Callable[[Any, int, Path], Work]
    score: Callable[[Any, Work, Values], dict[str, float]]


@dataclass(frozen=True)
class Choice:
    """Seed, seconds of budget, and training steps where a run is only to be tried."""

    seed: int
    budget: float | None
    steps: int | None


def run_method(
    method: Method, work: Work, choice: Choice, folder: Path
) -> tuple[Values, dict[str, float]]:
    """Fit, then predict, each in its own process; a method without a fit has no `fit_seconds`.

    Returns
    -------
    forecasts, costs
        [series, horizon, columns], or with many origins [origins, series, horizon, columns]; and the columns of costs.

    Raises
    ------
    CommandFailed
        If one of the commands does.
    """
    output = folder / ("windows.npy" if work.origins else "forecasts.csv")
    commands = (
        _peer_commands if method.module else _now_commands if method.at_once else _own_commands
    )
    *fits, predict = [
        run_measured(command, folder) for command in commands(method, work, choice, folder, output)
    ]
    costs = {
        "fit_seconds": fits[0].seconds if fits else np.nan,
        "predict_seconds": predict.seconds,
        "peak_mb": max(cost.peak_mb for cost in (*fits, predict)),
    }
    if work.origins:
        return np.load(output, mmap_mode="r"), costs
    return read_forecasts(output, work), costs


def read_forecasts(path: Path, work: Work) -> Values:
    """The layout that all methods write: a column of ids, one of times or steps, then `COLUMNS`.

    Returns
    -------
    [series, horizon, columns], in the order of the training file, NaN where a method gives no interval

    Raises
    ------
    ValueError
        If a series or a step is missing or out of order, or a forecast is missing.
    """
    frame = pd.read_csv(path)
    wanted = [name for name in work.ids for _ in range(work.horizon)]
    if frame.iloc[:, 0].astype(str).tolist() != wanted or frame["forecast"].isna().any():
        raise ValueError(
            f"{path}: not a forecast of {len(work.ids)} series for {work.horizon} steps, in their order"
        )
    return (
        frame.reindex(columns=list(COLUMNS))
        .to_numpy(float)
        .reshape(len(work.ids), work.horizon, len(COLUMNS))
    )


def _now_commands(
    method: Method, work: Work, choice: Choice, folder: Path, output: Path
) -> Sequence[list[str]]:
    now = [
        method.python,
        "-m",
        "forecast",
        "now",
        str(work.train),
        *work.flags,
        *_length_flags(work),
    ]
    return [[*now, "--output", str(output)]]


def _own_commands(
    method: Method, work: Work, choice: Choice, folder: Path, output: Path
) -> Sequence[list[str]]:
    fit = [
        method.python,
        "-m",
        "forecast",
        "fit",
        str(work.train),
        "--artifact",
        str(folder / "model"),
        *work.flags,
    ]
    fit += [*_length_flags(work), "--seed", str(choice.seed)]
    fit += method.model_flags()
    fit += [] if choice.budget is None else ["--budget", f"{choice.budget:g}"]
    fit += [] if choice.steps is None else ["--steps", str(choice.steps)]
    if work.origins:
        predict = [
            method.python,
            "-m",
            "benchmarks.windows",
            str(folder / "model"),
            str(work.table),
            str(output),
        ]
        predict += [str(work.origins.start), str(work.origins.stop)]
    else:
        predict = [method.python, "-m", "forecast", "predict", "--artifact", str(folder / "model")]
        predict += ["--output", str(output)]
    return fit, predict


def _length_flags(work: Work) -> list[str]:
    """Horizon and season; a season of one step is not passed, as it is none."""
    season = ["--season", str(work.season)] if work.season > 1 else []
    return ["--horizon", str(work.horizon), *season]


def _peer_commands(
    method: Method, work: Work, choice: Choice, folder: Path, output: Path
) -> Sequence[list[str]]:
    job: dict[str, Any] = {
        **asdict(choice),
        "train": str(work.long_train),
        "table": str(work.long_table) if work.long_table else None,
        "origins": list(work.origins),
        "horizon": work.horizon,
        "season": work.season,
        "freq": work.freq,
        "model": method.model,
        "output": str(output),
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    start = [method.python, "-m", "benchmarks.peers", str(method.module)]
    return [*start, "fit", str(path)], [*start, "predict", str(path)]
