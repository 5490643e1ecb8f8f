"""Forecast from a store while others fit, promote and prune in it: every reader must meet exactly one version."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import Counter
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from threading import Thread

import click
import pandas as pd

from workshop.campaigns._counts import Counts, campaign

DATA = Path(__file__).parents[2] / "data" / "air_passengers.csv"
CHURN = 4  # saves and promotions of what was fitted before, after each fit

Report = tuple[str, str, str]
"""Who read, the sha256 of the table that came out, and the error where none came out."""


@click.command()
@click.option("--fits", default=20, show_default=True)
@click.option("--reads", default=100, show_default=True, help="forecasts at least")
@click.option(
    "--workers",
    default=2,
    show_default=True,
    help="processes that load and forecast again and again",
)
@click.option(
    "--commands", default=10, show_default=True, help="of the forecasts, by the whole command"
)
@click.option("--seed", default=0, show_default=True)
def command(fits: int, reads: int, workers: int, commands: int, seed: int) -> None:
    """Forecast while others fit and promote in the same store."""
    with campaign("readers") as counts, tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        writer = Writing(store, Random(seed))
        writer.fit()
        context = multiprocessing.get_context("spawn")
        reports: Queue[Report | None] = context.Queue()
        over: Event = context.Event()
        readers = [
            context.Process(target=read_on, args=(str(store), reports, over))
            for _ in range(workers)
        ]
        readers.append(Thread(target=run_commands, args=(store, commands, reports)))
        for reader in readers:
            reader.start()
        found: list[Report | None] = []  # None where a reader is through
        while len(writer.saved) < fits or len(found) < reads or readers[-1].is_alive():
            writer.fit()
            while not reports.empty():
                found.append(reports.get())
        over.set()
        while found.count(None) < len(readers):
            found.append(reports.get(timeout=120))
        for reader in readers:
            reader.join()
        counts.done.update({"fits": len(writer.saved), "promotions": writer.promotions})
        compare([report for report in found if report is not None], writer.saved, counts)


class Writing:
    """Fits, saves and promotes; knows what each version forecasts."""

    def __init__(self, place: Path, random: Random) -> None:
        from forecast.artifacts.store import Store

        self.store, self.random = Store(place), random
        self.saved: dict[str, object] = {}  # sha256 of the forecasts -> contents
        self.promotions = 0

    def fit(self) -> None:
        """Fit another forecaster, save it, and let the store churn."""
        from forecast.forecaster import Forecaster
        from forecast.inference.contents import to_contents

        seed = len(self.saved)
        small = {"hidden_size": 4}
        forecaster = Forecaster(
            model="gru", params=small, steps=4, members=1, guard=False, horizon=6, seed=seed
        )
        forecaster.fit(pd.read_csv(DATA))
        self.saved[digest(forecaster.predict())] = to_contents(forecaster.fitted_)
        with self.store.lock() as writer:
            before = None
            for contents in [
                to_contents(forecaster.fitted_),
                *self.random.choices(list(self.saved.values()), k=CHURN),
            ]:
                after = writer.save(contents, keep=1).id
                for version in [before, after] if before else []:
                    writer.promote(version)
                    self.promotions += 1
                before = after


def read_on(store: str, reports: "Queue[Report | None]", over: Event) -> None:
    """Load and forecast again and again."""
    import torch

    from forecast.forecaster import Forecaster

    torch.set_num_threads(1)
    while not over.is_set():
        try:
            reports.put(("forecasts", digest(Forecaster.load(store).predict()), ""))
        except Exception as error:
            reports.put(("forecasts", "", f"{type(error).__name__}: {error}"))
    reports.put(None)


def run_commands(store: Path, times: int, reports: "Queue[Report | None]") -> None:
    """Forecast by the whole command, one after the other."""
    output = store.with_name("out.csv")
    words = ["predict", "--artifact", str(store), "--output", str(output), "--quiet"]
    for _ in range(times):
        output.unlink(missing_ok=True)
        ended = subprocess.run(
            [sys.executable, "-m", "forecast", *words],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        table = output.read_bytes() if output.exists() else b""
        reports.put(("`forecast predict`", hashlib.sha256(table).hexdigest(), ended.stderr))
    reports.put(None)


def compare(found: list[Report], saved: dict[str, object], counts: Counts) -> None:
    """Each table has to be that of one of the versions; no two of these forecast the same."""
    met = Counter(table for _, table, _ in found)
    for who, table, error in found:
        counts.done[who] += 1
        if error or table not in saved:
            counts.lose(f"{who}: {error or 'a table that no version forecasts'}")
    counts.done["versions that were met"] = len(met.keys() & saved.keys())


def digest(frame: pd.DataFrame) -> str:
    """The sha256 of a table as it would be written."""
    from forecast.tables.writing import csv_bytes

    return hashlib.sha256(b"".join(csv_bytes([frame]))).hexdigest()
