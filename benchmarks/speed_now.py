"""Seconds of whole `forecast now` commands, beside those of importing torch, in turns in one run."""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.methods import NOW, choose, own_methods
from benchmarks.pairs import Pairs
from benchmarks.panels import M4_HOURLY, load, prepare
from benchmarks.processes import ROOT, run_measured
from benchmarks.work import Choice, run_method

WARM_UP = 1  # pairs that do not count: files come from the disk
RUNS = 3  # on M4 hourly


def measure_start(pairs: int) -> Pairs:
    """Seconds of `forecast now data/air_passengers.csv`, and of `python -c 'import torch'` after each."""
    now = [sys.executable, "-m", "forecast", "now", str(ROOT / "data" / "air_passengers.csv")]
    plain = [sys.executable, "-c", "import torch"]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        seconds = [
            [run_measured(command, folder).seconds for command in (now, plain)]
            for _ in range(pairs + WARM_UP)
        ]
    ours, torch = np.array(seconds[WARM_UP:]).T
    return Pairs(ours, torch)


def measure_m4(folder: Path) -> float:
    """Median seconds of `forecast now` on M4 hourly; what it forecasts is not scored.

    Raises
    ------
    ValueError
        If a file is missing.
    """
    (now,) = choose(own_methods(), [NOW])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        work = prepare(M4_HOURLY, load(M4_HOURLY, folder), M4_HOURLY.horizon, Path(scratch))
        costs = [
            run_method(now, work, Choice(0, None, None), Path(scratch))[1] for _ in range(RUNS)
        ]
    return float(np.median([cost["predict_seconds"] for cost in costs]))
