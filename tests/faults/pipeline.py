"""Kill runs of a job at random instants and run them again: the same bytes and rows as without the kill."""

import logging
import os
import signal
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
import pandas as pd

from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job
from tests.faults._counts import Counts, campaign

DAYS, FIRST = 140, 120
NIGHTS = 3


@click.command()
@click.option("--times", default=200, show_default=True, help="kills")
@click.option("--url", help="the sink's database; default a SQLite file")
@click.option("--seed", default=0, show_default=True)
def command(times: int, url: str | None, seed: int) -> None:
    """Kill runs of a job at random instants, and run them again with the same as-of."""
    random = Random(seed)
    with campaign("pipeline") as counts, tempfile.TemporaryDirectory() as folder:
        for model in ("seasonal-naive", "linear"):
            kill_runs(model, times // 2, Path(folder) / model, url, random, counts)


def kill_runs(model: str, times: int, folder: Path, url: str | None, random: Random, counts: Counts) -> None:
    """Kill a run `times` times; before each kill two nights have run, and after it the same night runs again.

    Version ids follow from the as-of and the content, so that runs in other folders leave the same bytes too.
    """
    whole = Night(folder / "whole", model, url)
    seconds = [whole.run(night) for night in range(NIGHTS)][-1]
    wanted = whole.left()
    again = whole.run(NIGHTS - 1)
    counts.done[f"runs of a '{model}' job repeated"] += 1
    if again < 0 or whole.left() != wanted:
        counts.lose(f"{model}: a repeated run left other bytes or rows")
    for number in range(times):
        place = Night(folder / str(number), model, url)
        for night in range(NIGHTS - 1):
            place.run(night)
        delay = random.uniform(0, 1.1 * seconds)
        killed = place.run(NIGHTS - 1, kill_after=delay) < 0
        what = f"{model}, killed after {delay:.3f} s"
        if not place.whole():
            counts.lose(f"{what}: the output is neither that of one night nor that of another")
        if place.run(NIGHTS - 1) < 0:
            counts.lose(f"{what}: the run after it failed")
        elif place.left() != wanted:
            counts.lose(f"{what}: the run after it left other bytes or rows")
        counts.done[f"kills of a '{model}' job" if killed else f"runs of a '{model}' job that were faster"] += 1
        place.drop()
    whole.drop()


@dataclass
class Night:
    """A job in a folder of its own, whose nights run one after the other."""

    folder: Path
    model: str
    url: str | None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        day = np.arange(DAYS)
        noise = np.random.default_rng(0).normal(0, 3, DAYS)
        date = (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d")
        sales = (50 + 10 * np.sin(2 * np.pi * day / 7) + noise).round(3)
        pd.DataFrame({"day": date, "units": sales}).to_csv(self.folder / "sales.csv", index=False)
        self.table = f"night_{os.getpid()}_{abs(hash(str(self.folder)))}"
        self.sink = self.url or f"sqlite:///{self.folder}/f.db"
        (self.folder / "job.toml").write_text(
            f'store = "store"\nrefit = "daily"\n[source]\npath = "sales.csv"\n[train]\nmodel = "{self.model}"\n'
            f"horizon = 7\n{'steps = 4' if self.model == 'linear' else ''}\n[table]\nseason = [7]\n"
            f'[sink]\npath = "out.csv"\nurl = "{self.sink}"\ntable = "{self.table}"\n',
            encoding="utf-8",
        )

    def run(self, night: int, kill_after: float | None = None) -> float:
        """Run a night in a child; seconds it took, below 0 where it was killed or failed."""
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            self._run_here(night)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        return time.monotonic() - begun if status == 0 else -1.0

    def _run_here(self, night: int) -> None:
        logging.getLogger("forecast").setLevel(logging.ERROR)
        at = (pd.Timestamp("2024-01-01T20:00:00") + pd.Timedelta(days=FIRST + night)).isoformat() + "+00:00"
        code = 1
        try:
            code = run_job(read_pipeline(str(self.folder / "job.toml")), as_of=at).exit_code
        except Exception as error:  # the child must end here, whatever it is
            click.echo(f"{type(error).__name__}: {error}", err=True)
        finally:
            os._exit(code)

    def left(self) -> tuple[bytes, list[Any], list[Any]]:
        """What the nights left: the output, the rows of the sink, and those of the ledger that are no clock's."""
        from sqlalchemy import create_engine, text

        engine = create_engine(self.sink)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text(f'SELECT * FROM "{self.table}" ORDER BY 1, 9, 2'))]
        engine.dispose()
        with sqlite3.connect(self.folder / "store.runs" / "ledger.db") as ledger:
            kept = [
                ledger.execute(f"SELECT * FROM {name} ORDER BY 2, 3").fetchall()
                for name in ("forecast_cells", "forecast_scores")
            ]
        ledger.close()
        return (self.folder / "out.csv").read_bytes(), rows, kept

    def whole(self) -> bool:
        """Whether the output is a whole table."""
        lines = (self.folder / "out.csv").read_bytes().split(b"\n")
        return len(lines) == 9 and lines[-1] == b"" and len({line.count(b",") for line in lines[:-1]}) == 1

    def drop(self) -> None:
        """Drop the table of the sink."""
        from sqlalchemy import create_engine, text

        engine = create_engine(self.sink)
        with engine.begin() as connection:
            connection.execute(text(f'DROP TABLE "{self.table}"'))
        engine.dispose()
