"""Intervals of single real series: several origins each, coverage, MSIS, MASE and seconds, one JSON line a fit."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.scores import interval_score, seasonal_scale
from benchmarks.single_series import MOST_ROWS, Single, draw

KEY = ("series", "origin", "method")
Run = dict[str, Any]


def measure(
    folder: Path, path: Path, method: str, checkout: Path, origins: int, times: int, only: str
) -> Iterator[Run]:
    """Fit and score what the file of results does not hold yet; each run is appended to it, and returned.

    Parameters
    ----------
    folder : with the development sets; the samples are those of this checkout
    path : the results so far, JSON lines
    method : default, baselines (no networks) or the name of a model
    checkout : whose `forecast` is measured
    origins, times, only : origins of each series, how many times as many series, part of a name
    """
    done = {tuple(run[name] for name in KEY) for run in read_runs(path)}
    script = Path(__file__).with_name("single_fit.py")
    with tempfile.TemporaryDirectory(prefix="singles-") as scratch:
        worker = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )
        try:
            for single, origin in _in_order(folder, origins, times):
                if only in single.name and (single.name, origin, method) not in done:
                    run = score(
                        single, origin, method, _ask(worker, single, origin, method, Path(scratch))
                    )
                    with path.open("a", encoding="utf-8") as results:
                        results.write(json.dumps(run) + "\n")
                    yield run
        finally:
            worker.kill()
            worker.communicate()


def read_runs(path: Path) -> list[Run]:
    """The runs of a file; none if there is no file yet."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def score(single: Single, origin: int, method: str, forecast: dict[str, Any]) -> Run:
    """A run with its scores; values that were not observed do not count."""
    history = single.values.iloc[max(0, origin - MOST_ROWS) : origin].dropna().to_numpy(float)
    numbers = pd.DataFrame(forecast["numbers"], pd.to_datetime(forecast["times"]))
    actual = single.values.reindex(numbers.index).to_numpy(float)
    seen = np.isfinite(actual)
    values, (point, low80, high80, low95, high95) = actual[seen], numbers.to_numpy(float)[seen].T
    unit = seasonal_scale(history, single.season if len(history) > single.season else 1) or float(
        history.std()
    )
    return {
        "series": single.name,
        "origin": origin,
        "method": method,
        "half": single.half,
        "coverage_80": float(((values >= low80) & (values <= high80)).mean()),
        "coverage_95": float(((values >= low95) & (values <= high95)).mean()),
        "msis": float(interval_score(values, low95, high95, np.float64(unit))),
        "msis_80": float(interval_score(values, low80, high80, np.float64(unit), 80.0)),
        "mase": float(np.abs(values - point).mean() / unit),
        "seconds": round(forecast["seconds"], 2),
        "rows": len(history),
        "actual": [None if np.isnan(value) else round(value, 6) for value in actual.tolist()],
        "numbers": [[round(value, 6) for value in row] for row in forecast["numbers"]],
    }


NO_SCORE = 0.3  # a smaller MSIS is as good as none in a ratio of two
MEASURES = ("coverage_80", "coverage_95", "msis", "msis_80", "mase", "seconds")


def summary(runs: list[Run], against: list[Run] | None = None, by: str = "set") -> pd.DataFrame:
    """Means over the origins of each series, then over series: by set or series, by half and overall.

    Parameters
    ----------
    against : other runs, such as those of another checkout; only what both have counts then, and `msis_ratio` is the
        geometric mean of the ratios of the MSIS of each series
    by : set or series
    """
    frame = pd.DataFrame(runs)
    if against is not None:
        other = pd.DataFrame(against)[["series", "origin", "msis"]].rename(
            columns={"msis": "other"}
        )
        frame = frame.merge(other, on=["series", "origin"])
    columns = [*MEASURES, *(["other"] if against is not None else [])]
    series = frame.groupby(["series", "half"])[columns].mean().reset_index()
    series["runs"] = frame.groupby(["series", "half"]).size().to_numpy()
    series["set"] = series["series"].str.partition("/")[0]
    if against is not None:
        series["msis_ratio"] = np.log(
            series["msis"].clip(lower=NO_SCORE) / series.pop("other").clip(lower=NO_SCORE)
        )
    shown = [name for name in (*MEASURES, "msis_ratio") if name in series]
    parts = [series.groupby(by)[shown].mean(), series.groupby("half")[shown].mean()]
    parts.append(series[shown].mean().to_frame("all series").T)
    table = pd.concat(parts)
    table["series"] = [*series.groupby(by).size(), *series.groupby("half").size(), len(series)]
    table["runs"] = [
        *series.groupby(by)["runs"].sum(),
        *series.groupby("half")["runs"].sum(),
        series["runs"].sum(),
    ]
    if "msis_ratio" in table:
        table["msis_ratio"] = np.exp(table["msis_ratio"])
    return table


def _in_order(folder: Path, origins: int, times: int) -> Iterator[tuple[Single, int]]:
    """Every series once, at its newest origin, then every series at the next one: a run that is cut has all kinds."""
    drawn = [(single, single.origins(origins)) for single in draw(folder, times)]
    for place in range(origins):
        for single, rows in drawn:
            if place < len(rows):
                yield single, rows[-1 - place]


def _ask(
    worker: "subprocess.Popen[str]", single: Single, origin: int, method: str, scratch: Path
) -> dict[str, Any]:
    begin = max(0, origin - MOST_ROWS)
    file = scratch / "series.csv"
    single.values.iloc[begin:origin].rename("value").rename_axis("time").to_csv(file)
    job = {"path": str(file), "horizon": single.asked, "method": method}
    line = ""
    if worker.stdin is not None and worker.stdout is not None:
        worker.stdin.write(json.dumps(job) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
    if not line:
        raise ValueError(f"{single.name} at {origin}: the fit failed")
    found: dict[str, Any] = json.loads(line)
    return found
