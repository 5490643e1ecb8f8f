"""The sample files of `data/`: fitted at the oldest of eight origins, then frozen, by `forecast backtest`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
WHERE = "the folder data/ of a checkout"
SCORES = ("mase", "skill", "smape", "coverage_80", "coverage_95")
REFERENCE = "seasonal-naive"  # every backtest has it beside the model that is asked for
PANEL = "nyc_flight_delays"
PANEL_SEASON, PANEL_HORIZON = 7, 14  # what a bare fit infers of daily series


@dataclass(frozen=True)
class Sample:
    """One file, with the flags that a fit needs.

    Attributes
    ----------
    step : steps between two origins; None is one horizon
    horizon : None is the default of the frequency
    windows : origins
    """

    file: str
    flags: tuple[str, ...] = ()
    step: int | None = None
    horizon: int | None = None
    windows: int = 8

    @property
    def name(self) -> str:
        """The file's name without endings."""
        return self.file.partition(".")[0]


SAMPLES = (
    Sample("air_passengers.csv", step=6),  # eight horizons would leave nothing to fit on
    Sample("us_unemployment.csv", step=6),
    Sample("mauna_loa_co2.csv"),
    Sample(
        f"{PANEL}.csv", ("--id", "airport,airline", "--target", "delayed", "--known", "scheduled")
    ),
    Sample("jfk_temperature.csv"),
)


def sample_runs(
    folder: Path, scratch: Path, methods: Sequence[Method], wanted: Wanted
) -> Iterator[Run]:
    """The runs on all five: ours by backtest; on the panel also those peers that take known columns."""
    own = [method for method in methods if not method.module]
    trees = [method for method in methods if method.known]
    for sample in SAMPLES:
        path = find_file(folder, sample.file, WHERE)
        horizons: Sequence[int | None] = wanted.horizons or [None]
        for horizon in horizons:
            measure = partial(backtest, path, replace(sample, horizon=horizon))
            name = f"{NAME}/{sample.name}"
            yield from runs_of(name, horizon, own, wanted, measure)
            if sample.name == PANEL and trees:
                yield from _panel_runs(path, name, horizon, scratch, trees, wanted)


def backtest(
    path: Path, sample: Sample, method: Method, choice: Choice, folder: Path
) -> dict[str, float]:
    """Scores and costs of one `forecast backtest`."""
    output = folder / "measures.json"
    command = [
        method.python,
        "-m",
        "forecast",
        "backtest",
        str(path),
        *sample.flags,
        "--windows",
        str(sample.windows),
    ]
    command += ["--output", str(output), "--seed", str(choice.seed), *method.model_flags()]
    command += ["--refit"] if method.at_once else []  # it looks at the past of each origin
    given = {
        "--step": sample.step,
        "--horizon": sample.horizon,
        "--budget": choice.budget,
        "--steps": choice.steps,
    }
    for flag, value in given.items():
        command += (
            []
            if value is None
            else [flag, f"{value:g}" if isinstance(value, float) else str(value)]
        )
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
    path: Path,
    name: str,
    horizon: int | None,
    scratch: Path,
    methods: Sequence[Method],
    wanted: Wanted,
) -> Iterator[Run]:
    frame = pd.read_csv(path)
    work = prepare_panel(frame, horizon or PANEL_HORIZON, scratch)

    yield from runs_of(name, horizon, methods, wanted, partial(_panel_row, frame, work))


def _panel_row(
    frame: pd.DataFrame, work: Work, method: Method, choice: Choice, folder: Path
) -> dict[str, float]:
    forecast, costs = run_method(method, work, choice, folder)
    return {"mase": panel_mase(frame, work, forecast), **costs}


def prepare_panel(frame: pd.DataFrame, horizon: int, scratch: Path) -> Work:
    """The flight delays as peers read them, with the flights that are scheduled; all series span the same days."""
    ids = frame["airport"] + "/" + frame["airline"]
    long = pd.DataFrame(
        {
            "unique_id": ids,
            "ds": frame["day"],
            "y": frame["delayed"],
            "scheduled": frame["scheduled"],
        }
    )
    days = frame["day"].nunique()
    last = days - horizon
    origins = range(last - (Sample.windows - 1) * horizon, last + 1, horizon)
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
