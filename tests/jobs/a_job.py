"""A job on a small table, whose days go by as the tests say."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.jobs.ledger import AFTER_ALL_TIMES, Ledger, open_file

DAYS = 200


@dataclass
class Job:
    """A pipeline file with what it reads and writes beside it."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "job.toml"

    @property
    def output(self) -> Path:
        return self.folder / "out.csv"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def write(self, top: str = "", **sections: str) -> Path:
        """Write the file; `sections` add lines to its tables, or new tables."""
        lines = {
            "source": 'path = "sales.csv"',
            "train": 'model = "seasonal-naive"\nhorizon = 7',
            "sink": 'path = "out.csv"',
        }
        for name, text in sections.items():
            lines[name] = f"{lines.get(name, '')}\n{text}"
        tables = "\n".join(f"[{name}]\n{text}" for name, text in lines.items())
        self.file.write_text(f'store = "store"\n{top}\n{tables}\n', encoding="utf-8")
        return self.file

    def table(self, days: int = DAYS, scale: float = 1.0, seed: int = 0) -> pd.DataFrame:
        """Write two shops' daily sales; more days only add rows."""
        generator = np.random.default_rng(seed)
        noise = generator.normal(0, 3, (2, 1_000))
        day = np.arange(days)
        frames = [
            pd.DataFrame(
                {
                    "shop": shop,
                    "day": (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime(
                        "%Y-%m-%d"
                    ),
                    "units": (
                        scale * (50 + 10 * np.sin(2 * np.pi * day / 7) + noise[place, :days])
                    ).round(3),
                }
            )
            for place, shop in enumerate(("north", "south"))
        ]
        frame = pd.concat(frames).sort_values(["day", "shop"])
        frame.to_csv(self.folder / "sales.csv", index=False)
        return frame

    def record(self) -> dict[str, Any]:
        """The newest record."""
        found: dict[str, Any] = json.loads((self.folder / "store.runs" / "run.json").read_text())
        return found

    def stored(self) -> pd.DataFrame:
        """The forecasts of the newest run in the ledger."""
        found = Ledger(
            "job", partial(open_file, self.folder / "store.runs" / "ledger.db")
        ).forecasts(AFTER_ALL_TIMES, 1)
        return next(found)

    def ledger(self, sql: str) -> list[Any]:
        """What a query of the ledger gives."""
        with (
            closing(sqlite3.connect(self.folder / "store.runs" / "ledger.db")) as connection,
            connection,
        ):
            return connection.execute(sql).fetchall()


def kept_files(folder: Path) -> dict[Path, bytes]:
    """All files of a folder, without locks."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that has not run."""
    made = Job(tmp_path)
    made.write()
    made.table()
    return made


@pytest.fixture
def at() -> Callable[[int], str]:
    """Noon of the day after one of the table, counted from 0: that one is over in every zone, the next one is not."""

    def noon_after(day: int) -> str:
        return (pd.Timestamp("2024-01-02T12:00:00") + pd.Timedelta(days=day)).strftime(
            "%Y-%m-%dT%H:%M:%S+00:00"
        )

    return noon_after
