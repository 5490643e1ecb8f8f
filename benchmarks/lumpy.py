"""Means and 99 % ends of made lumpy series, whose distribution is known, through the command line."""

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.methods import NOW

Values = NDArray[np.float64]
Row = dict[str, Any]

DAYS, DRAWS = 1095, 100_000
LOW, HIGH = 0.7, 1.4  # forecast mean over true mean of nine series in ten


@dataclass(frozen=True)
class Made:
    """A series by its seed.

    Attributes
    ----------
    mean : of the distribution that values are drawn from
    values : [days]
    new : [draws], values to come
    """

    seed: int
    mean: float
    values: Values
    new: Values


def made(seed: int) -> Made:
    """Sales on 2 to 30 % of the days, of a mean size of 3 to 100: gamma, lognormal or Poisson, by the seed."""
    generator = np.random.default_rng([23, seed])
    incidence, size = (
        generator.uniform(0.02, 0.3),
        float(np.exp(generator.uniform(np.log(3), np.log(100)))),
    )
    shape, spread = generator.uniform(1, 4), generator.uniform(0.3, 1.0)
    draw: tuple[Callable[[int], Values], ...] = (
        lambda count: generator.gamma(shape, size / shape, count),
        lambda count: generator.lognormal(np.log(size) - spread**2 / 2, spread, count),
        lambda count: 1.0 + generator.poisson(size - 1, count),
    )
    values, new = (
        np.where(generator.random(count) < incidence, draw[seed % len(draw)](count), 0.0)
        for count in (DAYS, DRAWS)
    )
    return Made(seed, incidence * size, np.round(values, 2), np.round(new, 2))


def measure(path: Path, method: str, checkout: Path, series: int) -> Iterator[Row]:
    """Forecast what the file of results does not hold yet; each row is appended to it, and returned.

    Parameters
    ----------
    path : the results so far, JSON lines
    method : now, default (a bare fit) or the name of a model
    checkout : whose `forecast` is measured
    """
    done = {(row["seed"], row["method"]) for row in read_rows(path)}
    for seed in range(series):
        if (seed, method) not in done:
            row = score(one := made(seed), method, forecast(one.values, method, checkout))
            with path.open("a", encoding="utf-8") as results:
                results.write(json.dumps(row) + "\n")
            yield row


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none if there is no file yet."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def forecast(values: Values, method: str, checkout: Path) -> pd.DataFrame:
    """Mean and intervals of what comes next, by whole commands."""
    with tempfile.TemporaryDirectory(prefix="lumpy-") as scratch:
        days = pd.date_range("2023-01-01", periods=len(values), freq="D").strftime("%Y-%m-%d")
        pd.DataFrame({"day": days, "value": values}).to_csv(
            Path(scratch) / "series.csv", index=False
        )
        shape = ["--point", "mean", "--levels", "80,95,99"]
        if method == NOW:
            return _frame(["now", "series.csv", *shape], scratch, checkout)
        model = [] if method == "default" else ["--model", method]
        _run(["fit", "series.csv", "--artifact", "store", *model], scratch, checkout)
        return _frame(["predict", "--artifact", "store", *shape], scratch, checkout)


def score(one: Made, method: str, table: pd.DataFrame) -> Row:
    """The row of one forecast; what intervals hold is counted in new values."""
    row: Row = {
        "seed": one.seed,
        "method": method,
        "ratio": float(table["forecast"].mean()) / one.mean,
    }
    for level in (80, 95, 99):
        low, high = (table[f"{end}_{level}"].to_numpy()[:, None] for end in ("lo", "hi"))
        row[f"hold_{level}"] = float(np.mean((one.new >= low) & (one.new <= high)))
    row["end"] = float(table["hi_99"].max() / one.values.max())
    row["flat"] = bool(
        (table["hi_80"] == table["forecast"]).all() and (table["hi_95"] == table["forecast"]).all()
    )
    return {
        **row,
        "year": float(one.values[-365:].mean()) / one.mean,
        "all": float(one.values.mean()) / one.mean,
    }


def summary(rows: list[Row]) -> pd.DataFrame:
    """By method: mean over the true mean, beside those of two oracles, what intervals hold, how far 99 % ends reach.

    An oracle is the plain mean of the last year, or of all values; a forecast of a constant mean can be no better.
    """
    lines = {}
    for method, some in pd.DataFrame(rows).groupby("method"):
        for name, ratios in (
            (method, some["ratio"]),
            *((f"{method}: mean of {o}", some[o]) for o in ("year", "all")),
        ):
            near, bias = (
                ((ratios >= LOW) & (ratios <= HIGH)).mean(),
                np.exp(np.log(ratios.clip(lower=1e-3)).mean()),
            )
            lines[name] = {
                "series": len(some),
                "near": near,
                "bias": bias,
                "least": ratios.min(),
                "most": ratios.max(),
            }
        holds = {f"hold_{level}": some[f"hold_{level}"].mean() for level in (80, 95, 99)}
        ends = {
            "hold_99_least": some["hold_99"].min(),
            "end_most": some["end"].max(),
            "flat": some["flat"].mean(),
        }
        lines[method] |= holds | ends
    return pd.DataFrame(lines).T


def _frame(words: list[str], scratch: str, checkout: Path) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(_run(words, scratch, checkout)))


def _run(words: list[str], scratch: str, checkout: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "forecast", *words, "--quiet"]
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
