"""Seconds of `forecast predict` commands with each engine, beside those of importing torch, in turns in one run."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.pairs import Pairs
from benchmarks.processes import run_measured
from forecast.tables.synthetic import synthesize

SERIES, HOURS = 414, 700  # as many series as M4 hourly has, and about as long
FIT = (
    "--model",
    "segrnn",
    "--steps",
    "50",
    "--members",
    "1",
    "--no-guard",
    "--horizon",
    "48",
    "--season",
    "24",
)
WARM_UP = 1  # rounds that do not count: files come from the disk


def measure_predict(rounds: int) -> dict[str, Pairs]:
    """Seconds of `forecast predict` on 414 hourly series by engine and input, and of `python -c 'import torch'`."""
    forecast = [sys.executable, "-m", "forecast"]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        frame = synthesize("seasonal", series=SERIES, length=HOURS, seed=0)
        hours = pd.Timestamp("2024-01-01") + pd.to_timedelta(
            frame.groupby("series").cumcount(), unit="h"
        )
        frame.assign(time=hours).to_csv(folder / "hours.csv", index=False)
        run_measured([*forecast, "fit", "hours.csv", *FIT], folder)
        predict = [*forecast, "predict", "--output", "forecasts.csv", "--engine"]
        commands = {
            "onnx": [*predict, "onnx"],
            "onnx, from a table": [*predict, "onnx", "hours.csv"],
            "torch": [*predict, "torch"],
            "torch, from a table": [*predict, "torch", "hours.csv"],
            "import torch": [sys.executable, "-c", "import torch"],
        }
        seconds = [
            [run_measured(command, folder).seconds for command in commands.values()]
            for _ in range(rounds + WARM_UP)
        ]
    by_command = dict(zip(commands, np.array(seconds[WARM_UP:]).T, strict=True))
    plain = by_command.pop("import torch")
    return {name: Pairs(ours, plain) for name, ours in by_command.items()}
