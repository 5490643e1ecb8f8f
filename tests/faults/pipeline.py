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
OUTPUTS = {"out.csv": 7, "weeks.csv": 2}  # files, and their rows


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
            counts.lose(f"{what}: an output is neither that of one night nor that of another")
        if len(set(map(tuple, place.origins().values()))) > 1:
            counts.lose(f"{what}: the tables of the database are of different nights")
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
        name = f"night_{os.getpid()}_{abs(hash(str(self.folder)))}"
        self.tables = [f"{name}{suffix}" for suffix in ("", "_weeks", "_days")]
        self.sink = self.url or f"sqlite:///{self.folder}/f.db"
        (self.folder / "job.toml").write_text(
            f'store = "store"\nrefit = "daily"\n[source]\npath = "sales.csv"\n[train]\nmodel = "{self.model}"\n'
            f"horizon = 7\n{'steps = 4' if self.model == 'linear' else ''}\n[table]\nseason = [7]\n"
            f'[sink]\npath = "out.csv"\nurl = "{self.sink}"\ntable = "{self.tables[0]}"\n'
            f'[[totals]]\nevery = ["week", "horizon"]\npath = "weeks.csv"\ntable = "{self.tables[1]}"\n'
            f'[[totals]]\nby = "all"\ntable = "{self.tables[2]}"\n',
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

    def left(self) -> tuple[list[bytes], list[Any], list[Any]]:
        """What the nights left: the outputs, the rows of the sinks, and those of the ledger that are no clock's."""
        rows = [row for table in self.tables for row in sorted(self._query(f'SELECT * FROM "{table}"'), key=repr)]
        with sqlite3.connect(self.folder / "store.runs" / "ledger.db") as ledger:
            kept = [
                ledger.execute(f"SELECT * FROM {name} ORDER BY 2, 3").fetchall()
                for name in ("forecast_cells", "forecast_totals", "forecast_scores")
            ]
        ledger.close()
        return [(self.folder / name).read_bytes() for name in OUTPUTS], rows, kept

    def origins(self) -> dict[str, list[Any]]:
        """The nights that each table of the database has."""
        return {table: self._query(f'SELECT DISTINCT origin FROM "{table}" ORDER BY 1') for table in self.tables}

    def whole(self) -> bool:
        """Whether each output is a whole table."""
        for name, count in OUTPUTS.items():
            lines = (self.folder / name).read_bytes().split(b"\n")
            if len(lines) != count + 2 or lines[-1] != b"" or len({line.count(b",") for line in lines[:-1]}) != 1:
                return False
        return True

    def drop(self) -> None:
        """Drop the tables of the sinks."""
        for table in self.tables:
            self._query(f'DROP TABLE "{table}"')

    def _query(self, sql: str) -> list[Any]:
        from sqlalchemy import create_engine, text

        engine = create_engine(self.sink)
        with engine.begin() as connection:
            result = connection.execute(text(sql))
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows
