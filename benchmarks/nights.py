"""Nights of a job on many hourly series: seconds, peak memory and size of the ledger, night by night."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.processes import Cost, run_measured

DAYS, HOURS = 28, 24  # of the table, which loses its oldest day each night
FIRST = pd.Timestamp("2026-01-01", tz="UTC")
PIPELINE = """\
store = "store"
refit = "never"

[source]
path = "table.parquet"

[table]
id = "series"
season = [24]

[train]
model = "seasonal-naive"
horizon = {horizon}

[sink]
path = "out.csv"
"""


@dataclass(frozen=True)
class Night:
    """One night as a whole command; sizes in MB (10**6 bytes), peak memory in MB (2**20 bytes)."""

    number: int
    cost: Cost
    ledger_mb: float

    def __str__(self) -> str:
        seconds = f"{self.cost.seconds:.1f} s, {self.cost.cpu_seconds:.1f} s of a core"
        return f"night {self.number}: {seconds}, peak {self.cost.peak_mb:.0f} MB, ledger {self.ledger_mb:.1f} MB"


def live(folder: Path, series: int, horizon: int, nights: int) -> Iterator[Night]:
    """Run the nights of a job one after the other in an empty folder; nothing is trained."""
    (folder / "job.toml").write_text(PIPELINE.format(horizon=horizon), encoding="utf-8")
    for number in range(nights):
        table(series, number).to_parquet(folder / "table.parquet")
        as_of = (FIRST + pd.Timedelta(days=DAYS + number, hours=2)).isoformat()
        cost = run_measured(
            [sys.executable, "-m", "forecast", "run", "job.toml", "--as-of", as_of], folder
        )
        size = sum(path.stat().st_size for path in (folder / "store.runs").iterdir())
        yield Night(number + 1, cost, size / 1e6)


def table(series: int, night: int) -> pd.DataFrame:
    """The hours of the days before a night: a daily wave and noise, at a level of its own for each series."""
    level = np.random.default_rng(0).lognormal(5, 1, (series, 1))
    days = range(night, night + DAYS)
    noise = [np.random.default_rng([1, day]).normal(size=(series, HOURS)) for day in days]
    wave = np.tile(np.sin(2 * np.pi * np.arange(HOURS) / HOURS), DAYS)
    values = level * (1 + 0.3 * wave + 0.1 * np.concatenate(noise, 1))
    hours = pd.date_range(FIRST + pd.Timedelta(days=night), periods=DAYS * HOURS, freq="h")
    names = np.array([f"s{number:05}" for number in range(series)])
    columns = {
        "series": names.repeat(len(hours)),
        "hour": np.tile(hours, series),
        "load": values.round(2).ravel(),
    }
    return pd.DataFrame(columns)
