"""Compare what a cluster of several processes writes with what one process writes, also where a worker is killed."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.cluster._engines import busy_worker, cluster_of

POINTS, HORIZON, FITTED = 200, 14, 100  # steps of a series, steps ahead, series of the fit
FOLDS = 8
ISOLATED = "FORECAST_TEST_ISOLATED"
FIT = ["--model", "segrnn", "--steps", "60", "--members", "1", "--horizon", str(HORIZON)]

Check = Callable[[], bool]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("engine", choices=("ray", "dask"))
    parser.add_argument("--series", type=int, default=2000, help="of the forecast; 100,000 for the measurement")
    parser.add_argument("--shards", type=int, default=16)
    given = parser.parse_args()
    if ISOLATED not in os.environ:
        return _isolated()
    with tempfile.TemporaryDirectory() as folder:
        return _compare(given.engine, given.series, given.shards, Path(folder))


def _isolated() -> int:
    """Run in namespaces of its own: engines listen on all interfaces, and their processes end with the command."""
    own = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    own += [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'ip link set lo up && exec "$@"'
    words = [*own, "sh", "-c", script, "sh", sys.executable, "-m", "tests.cluster", *sys.argv[1:]]
    return subprocess.run(words, env={**os.environ, ISOLATED: "1"}, check=False).returncode


def _compare(engine: str, series: int, shards: int, folder: Path) -> int:
    _tables(folder, series)
    _run("fit", folder / "small.parquet", "--artifact", folder / "store", *FIT)
    predict = ["predict", folder / "large.parquet", "--artifact", folder / "store", "--shards", shards, "--output"]
    backtest = ["backtest", folder / "small.parquet", *FIT, "--refit", "--windows", FOLDS, "--forecasts"]
    seconds = {
        "predict, one process": _run(*predict, folder / "one"),
        "backtest, one process": _run(*backtest, folder / "one.csv"),
    }
    equal = {}
    with cluster_of(engine, folder) as address:
        on = ["--cluster", address]
        for name, kill in (("", False), (", a worker killed", True)):
            label, output = f"predict, {engine}{name}", folder / f"many{kill}"
            half = _half_written(output, shards) if kill else None
            seconds[label] = _run(*predict, output, *on, engine=engine, when=half)
            equal[label] = _files(output) == _files(folder / "one")
            label, table = f"backtest, {engine}{name}", folder / f"many{kill}.csv"
            half = _after(seconds["backtest, one process"] / 3) if kill else None
            seconds[label] = _run(*backtest, table, *on, engine=engine, when=half)
            equal[label] = table.read_bytes() == (folder / "one.csv").read_bytes()
    for label, took in seconds.items():
        verdict = {True: "equal to one process, byte for byte", False: "DIFFERENT", None: ""}[equal.get(label)]
        print(f"{label:32} {took:7.1f} s  {verdict}")
    manifest = json.loads((folder / "one" / "MANIFEST.json").read_text())
    print(f"{manifest['series']:,} series in {manifest['shards']} shards, {manifest['rows']:,} rows; {FOLDS} folds")
    return 0 if all(equal.values()) else 1


def _tables(folder: Path, series: int) -> None:
    """Weekly patterns with noise, one series after another; the small table has the first ones."""
    rng = np.random.default_rng(0)
    level = rng.uniform(10, 1000, (series, 1))
    week = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(POINTS) / 7 + rng.uniform(size=(series, 1))))
    values = level * (week + 0.1 * rng.normal(size=(series, POINTS)))
    days = pd.date_range("2024-01-01", periods=POINTS).astype("datetime64[s]")
    ids = np.array([f"item {number:06}" for number in range(series)])
    for name, count in (("large", series), ("small", min(series, FITTED))):
        frame = {"item": np.repeat(ids[:count], POINTS), "day": np.tile(days, count), "units": values[:count].ravel()}
        pd.DataFrame(frame).to_parquet(folder / f"{name}.parquet", row_group_size=1 << 20)


def _run(*words: object, engine: str = "", when: Check | None = None) -> float:
    """Seconds of a command; with `when` a busy worker is killed as soon as that is true."""
    start = time.monotonic()
    command = [sys.executable, "-m", "forecast", *map(str, words), "--quiet"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    killed = when is None
    while running.poll() is None:
        if not killed and when is not None and when():
            worker = busy_worker(engine)
            if worker is not None:
                os.kill(worker, signal.SIGKILL)
                print(f"killed worker {worker} after {time.monotonic() - start:.1f} s")
                killed = True
        time.sleep(0.05)
    if running.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {running.returncode}: {running.communicate()[1]}")
    if not killed:
        raise SystemExit("no worker was killed: it was over too soon")
    return time.monotonic() - start


def _half_written(folder: Path, shards: int) -> Check:
    """Whether half of the files are there."""
    return lambda: folder.exists() and len(list(folder.glob("part-*"))) >= shards // 2


def _after(seconds: float) -> Check:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


if __name__ == "__main__":
    if shutil.which("unshare") is None:
        raise SystemExit("unshare (util-linux) is needed")
    sys.exit(main())
