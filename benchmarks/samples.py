"""The sample files of `data/`: fitted at the oldest of eight origins, then frozen, by `forecast backtest`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.files import find_file
from benchmarks.methods import Method
from benchmarks.plan import Run, Wanted, runs_of
from benchmarks.processes import run_measured
from benchmarks.scores import Values, seasonal_scale
from benchmarks.work import Choice, Work, run_method

NAME = "samples"
WINDOWS = 8
WHERE = "the folder data/ of a checkout"
SCORES = ("mase", "skill", "smape", "coverage_80", "coverage_95")
REFERENCE = "seasonal-naive"  # every backtest has it beside the model that is asked for
PANEL = "nyc_flight_delays"
PANEL_SEASON, PANEL_HORIZON = 7, 14  # what a bare fit infers of daily series


@dataclass(frozen=True)
class Sample:
    """One file, with the flags that a fit needs, and the steps between two origins if not one horizon."""

    name: str
    flags: tuple[str, ...] = ()
    step: int | None = None


SAMPLES = (
    Sample("air_passengers", step=6),  # eight horizons would leave nothing to fit on
    Sample("us_unemployment", step=6),
    Sample("mauna_loa_co2"),
    Sample(PANEL, ("--id", "airport,airline", "--target", "delayed", "--known", "scheduled")),
    Sample("jfk_temperature"),
)


def sample_runs(folder: Path, scratch: Path, methods: Sequence[Method], wanted: Wanted) -> Iterator[Run]:
    """The runs on all five: ours by backtest; on the panel also those peers that take known columns."""
    own = [method for method in methods if not method.module]
    trees = [method for method in methods if method.known]
    for sample in SAMPLES:
        path = find_file(folder, f"{sample.name}.csv", WHERE)
        horizons: Sequence[int | None] = wanted.horizons or [None]
        for horizon in horizons:
            measure = partial(_backtest, path, sample, horizon)
            name = f"{NAME}/{sample.name}"
            yield from runs_of(name, horizon, own, wanted, measure)
            if sample.name == PANEL and trees:
                yield from _panel_runs(path, name, horizon, scratch, trees, wanted)


def _backtest(
    path: Path, sample: Sample, horizon: int | None, method: Method, choice: Choice, folder: Path
) -> dict[str, float]:
    output = folder / "measures.json"
    command = [method.python, "-m", "forecast", "backtest", str(path), *sample.flags, "--windows", str(WINDOWS)]
    command += ["--output", str(output), "--seed", str(choice.seed)]
    given = {
        "--step": sample.step,
        "--horizon": horizon,
        "--model": method.model,
        "--budget": choice.budget,
        "--steps": choice.steps,
    }
    for flag, value in given.items():
        command += [] if value is None else [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    cost = run_measured(command, folder)
    measures = _measures_of(json.loads(output.read_text(encoding="utf-8"))["overall"], method)
    return {
        **{name: np.nan if measures[name] is None else float(measures[name]) for name in SCORES},
        "fit_seconds": cost.seconds,  # the forecasts too: it is one command
        "predict_seconds": np.nan,
        "peak_mb": cost.peak_mb,
    }


def _measures_of(overall: list[dict[str, Any]], method: Method) -> dict[str, Any]:
    """The row of the model that was asked for; a bare fit names its own, which may be the reference."""
    others = [row for row in overall if row["model"] != REFERENCE]
    return overall[0] if method.model == REFERENCE or not others else others[0]


def _panel_runs(
    path: Path, name: str, horizon: int | None, scratch: Path, methods: Sequence[Method], wanted: Wanted
) -> Iterator[Run]:
    frame = pd.read_csv(path)
    work = prepare_panel(frame, horizon or PANEL_HORIZON, scratch)

    yield from runs_of(name, horizon, methods, wanted, partial(_panel_row, frame, work))


def _panel_row(frame: pd.DataFrame, work: Work, method: Method, choice: Choice, folder: Path) -> dict[str, float]:
    forecast, costs = run_method(method, work, choice, folder)
    return {"mase": panel_mase(frame, work, forecast), **costs}


def prepare_panel(frame: pd.DataFrame, horizon: int, scratch: Path) -> Work:
    """The flight delays as peers read them, with the flights that are scheduled; all series span the same days."""
    ids = frame["airport"] + "/" + frame["airline"]
    long = pd.DataFrame({"unique_id": ids, "ds": frame["day"], "y": frame["delayed"], "scheduled": frame["scheduled"]})
    days = frame["day"].nunique()
    last = days - horizon
    origins = range(last - (WINDOWS - 1) * horizon, last + 1, horizon)
    train, table = scratch / f"panel-train-{horizon}.csv", scratch / "panel-table.csv"
    long.groupby("unique_id", sort=False).head(origins.start).to_csv(train, index=False)
    long.to_csv(table, index=False)
    names = tuple(ids.unique())
    return Work(NAME, train, (), table, train, table, origins, names, horizon, PANEL_SEASON, "D")


def panel_mase(frame: pd.DataFrame, work: Work, forecast: Values) -> float:
    """MASE as `forecast backtest` takes it: in units of the seasonal naive error before the oldest origin."""
    values = frame["delayed"].to_numpy(float).reshape(len(work.ids), -1)
    scale = np.array([seasonal_scale(own[: work.origins.start], work.season) for own in values])
    actual = np.stack([values[:, origin : origin + work.horizon] for origin in work.origins])
    error = np.abs(forecast[..., 0] - actual).mean((0, 2))  # [series]
    return float((error / scale).mean())
