"""Kill runs of a job at random instants and run them again: the same bytes and rows as without the kill."""

import logging
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
import pandas as pd

from forecast.artifacts.store import Store
from forecast.errors import ForecastError
from forecast.inference.predictor import Predictor
from forecast.jobs import run as module
from forecast.jobs.pipeline import read_pipeline
from forecast.panel.panel import Integers, Numbers, Panel
from workshop.campaigns._counts import Counts, campaign

DAYS, FIRST = 140, 120
NIGHTS = 3
WRONG = 1000.0  # factor of what is wrong
WRONG_PARTS = ("forecasts", "values")  # that end a night with 5
SHOPS = 6
OUTPUTS = {"out.csv": 7 * SHOPS, "weeks.csv": 2 * SHOPS}  # files, and their rows


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
            kill_blocked(model, times // 2, Path(folder) / f"{model}-blocked", random, counts)


def kill_runs(
    model: str, times: int, folder: Path, url: str | None, random: Random, counts: Counts
) -> None:
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
        counts.done[
            f"kills of a '{model}' job" if killed else f"runs of a '{model}' job that were faster"
        ] += 1
        place.drop()
    whole.drop()


def kill_blocked(model: str, times: int, folder: Path, random: Random, counts: Counts) -> None:
    """Kill a night that ends with 5, or its acceptance, `times` times; then go on in one of the ways that there are.

    Either a check blocks wrong forecasts, or the newest values are wrong. A night that was not killed is blocked again.
    An acceptance is repeated, then the next night may come; or it comes at once, after a night that was not accepted.
    What is left is what these ways leave without a kill, also where the file had another order of sums by then.
    """
    place, ways, seconds = Night(folder / "job", model, None), {}, {}
    for night in range(NIGHTS - 1):
        place.run(night)
    shutil.copytree(place.folder, folder / "before")
    published = place.origins()
    for wrong in WRONG_PARTS:
        place.restore(folder / "before")
        seconds[wrong] = place.run(NIGHTS - 1, wrong=wrong)
        if seconds[wrong] < 0:
            counts.lose(f"{model}: a night of wrong {wrong} did not end with 5")
        shutil.copytree(place.folder, folder / wrong)
        for edited in (False, True):
            for way in ("accepted", "accepted, next night", "next night"):
                place.restore(folder / wrong, edited)
                if way.startswith("accepted"):
                    seconds["accepted"] = place.run(NIGHTS - 1, wrong=wrong, accept=True)
                if way.endswith("next night"):
                    place.run(NIGHTS)
                ways[wrong, edited, way] = place.left()
    for _ in range(times):
        wrong, accepted, goes_on = (
            random.choice(WRONG_PARTS),
            random.random() < 0.5,
            random.random() < 0.5,
        )
        edited = accepted and random.random() < 0.5
        delay = random.uniform(0, 1.1 * seconds["accepted" if accepted else wrong])
        victim = f"night of wrong {wrong}{', accepted' * accepted}{' after an edit' * edited}"
        what = f"{model}, killed {delay:.3f} s after the start: {victim}"
        place.restore(folder / (wrong if accepted else "before"), edited)
        whole = place.run(NIGHTS - 1, delay, wrong, accept=accepted)
        if not place.whole() or len(set(map(tuple, place.origins().values()))) > 1:
            counts.lose(f"{what}: the outputs are not those of one night")
        if not accepted and place.origins() != published:
            counts.lose(f"{what}: a blocked night has published")
        if not accepted and place.run(NIGHTS - 1, wrong=wrong) < 0:
            counts.lose(f"{what}: the night was not blocked again")
        steps = ["accepted"] * (accepted or not goes_on) + ["next night"] * goes_on
        if "accepted" in steps:
            place.run(NIGHTS - 1, wrong=wrong, accept=True)
        if "next night" in steps:
            place.run(NIGHTS)
        if place.left() != ways[wrong, edited, ", ".join(steps)]:
            counts.lose(
                f"{what}: {'the next night' if goes_on else 'an acceptance'} left other bytes or rows"
            )
        counts.done[f"kills of a '{model}' {victim}" if whole < 0 else "that were faster"] += 1


@dataclass
class Night:
    """A job in a folder of its own, whose nights run one after the other."""

    folder: Path
    model: str
    url: str | None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._feed()
        name = f"night_{os.getpid()}_{abs(hash(str(self.folder)))}"
        self.tables = [f"{name}{suffix}" for suffix in ("", "_weeks", "_days")]
        self.sink = self.url or f"sqlite:///{self.folder}/f.db"
        (self.folder / "job.toml").write_text(
            f'store = "store"\nrefit = "daily"\n[source]\npath = "sales.csv"\n[train]\nmodel = "{self.model}"\n'
            f"horizon = 7\n{'steps = 4' if self.model == 'linear' else ''}\n[table]\nid = 'shop'\nseason = [7]\n"
            f'[sink]\npath = "out.csv"\nurl = "{self.sink}"\ntable = "{self.tables[0]}"\n'
            f'[[totals]]\nevery = ["week", "horizon"]\npath = "weeks.csv"\ntable = "{self.tables[1]}"\n'
            f'[[totals]]\nby = "all"\ntable = "{self.tables[2]}"\n',
            encoding="utf-8",
        )

    def _feed(self, wrong_night: int | None = None) -> None:
        """Write the table; the newest values of a night may be wrong."""
        day = np.arange(DAYS)
        noise = np.random.default_rng(0).normal(0, 3, (SHOPS, DAYS))
        date = (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d")
        sales = (50 + 10 * np.sin(2 * np.pi * day / 7) + noise).round(3)
        if wrong_night is not None:
            sales[:, FIRST + wrong_night - 1] *= WRONG
        frames = [
            pd.DataFrame({"shop": f"s{shop}", "day": date, "units": sales[shop]})
            for shop in range(SHOPS)
        ]
        pd.concat(frames).sort_values(["day", "shop"]).to_csv(
            self.folder / "sales.csv", index=False
        )

    def restore(self, place: Path, edited: bool = False) -> None:
        """Make all files as they were copied; an edit gives the sums in the file another order."""
        shutil.rmtree(self.folder)
        shutil.copytree(place, self.folder)
        if edited:
            file = self.folder / "job.toml"
            head, first, second = file.read_text(encoding="utf-8").split("[[totals]]")
            file.write_text("[[totals]]".join([head, second, first]), encoding="utf-8")

    def run(
        self, night: int, kill_after: float | None = None, wrong: str = "", accept: bool = False
    ) -> float:
        """Run a night in a child; seconds it took, below 0 if it was killed, or did not end as it must."""
        self._feed(night if wrong == "values" else None)
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            self._run_here(night, WRONG if wrong == "forecasts" else 1.0, accept)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        expected = 5 if wrong and not accept else 0
        return time.monotonic() - begun if os.waitstatus_to_exitcode(status) == expected else -1.0

    def _run_here(self, night: int, factor: float, accept: bool) -> None:
        logging.getLogger("forecast").setLevel(logging.ERROR)
        at = (
            pd.Timestamp("2024-01-01T20:00:00") + pd.Timedelta(days=FIRST + night)
        ).isoformat() + "+00:00"
        code = 1
        try:
            pipeline = read_pipeline(str(self.folder / "job.toml"))
            made = module.compute_quantiles

            def scale(predictor: Predictor, panel: Panel) -> tuple[Integers, Numbers]:
                series, quantiles = made(predictor, panel)
                return series, factor * quantiles

            module.compute_quantiles = scale
            code = module.run_job(pipeline, as_of=None if accept else at, accept=accept).exit_code
        except ForecastError as error:
            code = error.exit_code
        except Exception as error:  # the child must end here, whatever it is
            click.echo(f"{type(error).__name__}: {error}", err=True)
        finally:
            os._exit(code)

    def left(self) -> tuple[Any, ...]:
        """What the nights left: outputs, rows of the sinks and of the ledger that are no clock's, the live version."""
        rows = [
            row
            for table in self.tables
            for row in sorted(self._query(f'SELECT * FROM "{table}"'), key=repr)
        ]
        with closing(sqlite3.connect(self.folder / "store.runs" / "ledger.db")) as ledger, ledger:
            kept = [
                ledger.execute(f"SELECT * FROM {name} ORDER BY 2, 3").fetchall()
                for name in ("forecast_cells", "forecast_totals", "forecast_scores")
            ]
        ledger.close()
        return (
            [(self.folder / name).read_bytes() for name in OUTPUTS],
            rows,
            kept,
            Store(self.folder / "store").current(),
        )

    def origins(self) -> dict[str, list[Any]]:
        """The nights that each table of the database has."""
        return {
            table: self._query(f'SELECT DISTINCT origin FROM "{table}" ORDER BY 1')
            for table in self.tables
        }

    def whole(self) -> bool:
        """Whether each output is a whole table."""
        for name, count in OUTPUTS.items():
            lines = (self.folder / name).read_bytes().split(b"\n")
            if (
                len(lines) != count + 2
                or lines[-1] != b""
                or len({line.count(b",") for line in lines[:-1]}) != 1
            ):
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
