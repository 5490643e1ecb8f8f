"""Compare what a cluster of several processes writes with what one process writes, also where a worker is killed."""

import argparse
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
    parser.add_argument(
        "--series", type=int, default=2000, help="of the forecast; 100,000 for the measurement"
    )
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--only", choices=("predict", "backtest"), help="leave out the other one")
    given = parser.parse_args()
    if ISOLATED not in os.environ:
        return _isolated()
    with tempfile.TemporaryDirectory() as folder:
        return _compare(given, Path(folder))


def _isolated() -> int:
    """Run in namespaces of its own: engines listen on all interfaces, and their processes end with the command."""
    own = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    own += [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'ip link set lo up && exec "$@"'
    words = [*own, "sh", "-c", script, "sh", sys.executable, "-m", "tests.cluster", *sys.argv[1:]]
    return subprocess.run(words, env={**os.environ, ISOLATED: "1"}, check=False).returncode


def _compare(given: argparse.Namespace, folder: Path) -> int:
    _tables(folder, given.series)
    _run("fit", folder / "small.parquet", "--artifact", folder / "store", *FIT)
    predict = [
        "predict",
        folder / "large.parquet",
        "--artifact",
        folder / "store",
        "--shards",
        given.shards,
    ]
    backtest = ["backtest", folder / "small.parquet", *FIT, "--refit", "--windows", FOLDS]
    commands = {"predict": (predict, "--output"), "backtest": (backtest, "--forecasts")}
    if given.only is not None:
        commands = {given.only: commands[given.only]}
    alone = {}
    for name, (words, option) in commands.items():
        alone[name] = _run(*words, option, folder / f"{name}-alone")
        print(f"{name + ', one process':32} {alone[name]:7.1f} s", flush=True)
    different = 0
    with cluster_of(given.engine, folder) as address:
        for name, (words, option) in commands.items():
            for kill in (False, True):
                output = folder / f"{name}-{kill}"
                half = (
                    _half_written(output, given.shards)
                    if name == "predict"
                    else _after(alone[name] / 3)
                )
                seconds = _run(
                    *words,
                    option,
                    output,
                    "--cluster",
                    address,
                    engine=given.engine,
                    when=half if kill else None,
                )
                equal = _bytes(output) == _bytes(folder / f"{name}-alone")
                different += not equal
                label = f"{name}, {given.engine}{', a worker killed' if kill else ''}"
                print(
                    f"{label:32} {seconds:7.1f} s  {'equal, byte for byte' if equal else 'DIFFERENT'}",
                    flush=True,
                )
    print(
        f"{given.series:,} series of {POINTS} steps in {given.shards} shards; {FOLDS} folds of {FITTED} series"
    )
    return 1 if different else 0


def _tables(folder: Path, series: int) -> None:
    """Weekly patterns with noise, one series after another; the small table has the first ones."""
    rng = np.random.default_rng(0)
    level = rng.uniform(10, 1000, (series, 1))
    week = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(POINTS) / 7 + rng.uniform(size=(series, 1))))
    values = level * (week + 0.1 * rng.normal(size=(series, POINTS)))
    days = pd.date_range("2024-01-01", periods=POINTS).astype("datetime64[s]")
    ids = np.array([f"item {number:06}" for number in range(series)])
    for name, count in (("large", series), ("small", min(series, FITTED))):
        frame = {
            "item": np.repeat(ids[:count], POINTS),
            "day": np.tile(days, count),
            "units": values[:count].ravel(),
        }
        pd.DataFrame(frame).to_parquet(folder / f"{name}.parquet", row_group_size=1 << 20)


def _run(*words: object, engine: str = "", when: Check | None = None) -> float:
    """Seconds of a command; with `when` a busy worker is killed as soon as that is true."""
    start = time.monotonic()
    command = [sys.executable, "-m", "forecast", *map(str, words), "--quiet"]
    with tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while running.poll() is None:
            if when is not None and when() and (worker := busy_worker(engine)) is not None:
                os.kill(worker, signal.SIGKILL)
                print(f"killed worker {worker} after {time.monotonic() - start:.1f} s")
                when = None
            time.sleep(0.05)
        if running.returncode != 0:
            errors.seek(0)
            raise SystemExit(
                f"{' '.join(command)} ended with {running.returncode}: {errors.read()}"
            )
    if when is not None:
        raise SystemExit("no worker was killed: it was over too soon")
    return time.monotonic() - start


def _half_written(folder: Path, shards: int) -> Check:
    """Whether half of the files are there."""
    return lambda: folder.exists() and len(list(folder.glob("part-*"))) >= shards // 2


def _after(seconds: float) -> Check:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def _bytes(place: Path) -> dict[str, bytes]:
    """The content of a file, or of all files of a folder."""
    return {
        path.name if place.is_dir() else "": path.read_bytes()
        for path in (place.iterdir() if place.is_dir() else [place])
    }


if __name__ == "__main__":
    if shutil.which("unshare") is None:
        raise SystemExit("unshare (util-linux) is needed")
    sys.exit(main())
