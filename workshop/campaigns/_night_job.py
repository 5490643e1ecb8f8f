"""A nightly job in a folder, and all that it shows: the store, the output, the ledger, the table of the sink."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.artifacts.store import LOCK, OWNER, Store
from forecast.durable import TEMPORARY
from forecast.errors import ForecastError
from forecast.jobs.ledger import DAMAGE_ERRORS, MAX_RUNS
from workshop.campaigns._operations import Torn
from workshop.campaigns._stations import ZONE

HORIZON, LOOKBACK, KEEP = 24, 48, 3
HEADER = b"station,time,forecast,lo_80,hi_80,lo_95,hi_95\n"
KNOBS = {"segrnn": "params = {hidden_size = 8}\nsteps = 30\nmembers = 1\n"}
OTHER_KNOBS = {"seasonal-naive": "", "theta": ""}
PIPELINE = """\
store = "store"
keep = {keep}
refit = "weekly"

[source]
path = "loads.csv"

[table]
id = "station"
time = "time"
target = "load"
timezone = "{zone}"
dst = "earlier"
season = [24]

[train]
model = "{model}"
horizon = {horizon}
lookback = {lookback}
baselines = ["seasonal-naive", "theta"]
{knobs}
[checks]
warn_after = "36h"
error_after = "3d"

[sink]
path = "out.csv"
url = "sqlite:///sink.db"
table = "loads"
"""


@dataclass(frozen=True)
class State:
    """What is there, all of it whole.

    Attributes
    ----------
    live : the live version; None if there is none
    versions : all of them, oldest first
    output : bytes of the file of forecasts
    runs : exit code by the time of the run, as the ledger has it
    records : JSON of the newest runs, by time
    kept : rows and sum of the forecasts that the ledger has, by the time of the run
    fits : version by the time of its fit
    sink : rows by origin
    """

    live: str | None
    versions: tuple[str, ...]
    output: bytes | None
    runs: dict[str, int]
    records: dict[str, dict[str, Any]]
    kept: dict[str, tuple[int, float]]
    fits: dict[str, str]
    sink: dict[str, int]


@dataclass(frozen=True)
class NightJob:
    """The job, and the files that it reads and writes."""

    folder: Path

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def ledger(self) -> Path:
        return self.folder / "store.runs" / "ledger.db"

    def write(self, model: str) -> None:
        """Write the pipeline file into an empty folder."""
        knobs = KNOBS.get(model, OTHER_KNOBS.get(model, ""))
        numbers = {"keep": KEEP, "horizon": HORIZON, "lookback": LOOKBACK, "zone": ZONE}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "job.toml").write_text(
            PIPELINE.format(model=model, knobs=knobs, **numbers), encoding="utf-8"
        )

    def feed(self, table: bytes) -> None:
        """Replace the table that the job reads."""
        (self.folder / "loads.new").write_bytes(table)
        os.replace(self.folder / "loads.new", self.folder / "loads.csv")

    def copy_to(self, place: Path) -> None:
        """Copy all files to a folder, which is there completely or not at all."""
        half = place.with_name(f"{place.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(self.folder, half)
        shutil.rmtree(place, ignore_errors=True)
        os.rename(half, place)

    def restore(self, place: Path) -> None:
        """Make all files as they were copied."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(place, self.folder, dirs_exist_ok=True)

    def look(self) -> State:
        """Read all that is there.

        Raises
        ------
        Torn
            If anything is not whole.
        """
        output = self.folder / "out.csv"
        live, versions = self._look_at_store()
        return State(
            live=live,
            versions=versions,
            output=_whole(output.read_bytes()) if output.exists() else None,
            **self._look_at_ledger(),
            sink=self._look_at_sink(),
        )

    def rows_of(self, as_of: str) -> tuple[list[Any], list[Any]]:
        """What the ledger holds of a run: its forecasts and its scores."""
        with _database(self.ledger) as connection:
            kept = connection.execute(
                "SELECT cells FROM forecast_cells WHERE as_of = ?", (as_of,)
            ).fetchall()
            sql = "SELECT * FROM forecast_scores WHERE as_of = ? ORDER BY 3"
            scored = connection.execute(sql, (as_of,)).fetchall()
        frames = [pd.read_parquet(BytesIO(cells)).astype(object) for (cells,) in kept]
        # no NaN, which differs from itself: a series of a single season has no error of a seasonal naive forecast
        rows = [
            row
            for frame in frames
            for row in frame.where(frame.notna(), None).itertuples(index=False, name=None)
        ]
        return rows, scored

    def sink_rows(self, origins: int = 3) -> list[Any]:
        """The rows of the newest origins."""
        newest = "(SELECT DISTINCT origin FROM loads ORDER BY origin DESC LIMIT ?)"
        with _database(self.folder / "sink.db") as connection:
            sql = f"SELECT * FROM loads WHERE origin IN {newest} ORDER BY origin, station, time"
            return connection.execute(sql, (origins,)).fetchall()

    def count(self, table: str) -> int:
        """Rows of a table of the ledger."""
        with _database(self.ledger) as connection:
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(rows)

    def left_behind(self) -> list[str]:
        """Temporary files and folders."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob(TEMPORARY))

    def _look_at_store(self) -> tuple[str | None, tuple[str, ...]]:
        store = self.store
        if not store.path.exists():
            return None, ()
        allowed = {LOCK, OWNER, "CURRENT"}
        strange = [
            name
            for name in os.listdir(store.path)
            if name not in allowed and name[:2] not in ("v-", ".f")
        ]
        if strange:
            raise Torn(f"the store holds {strange}")
        try:
            versions = tuple(version.id for version in store.versions())
            for version in versions:
                store.load(version)
            return None if store.empty else store.load()[1].id, versions
        except ForecastError as error:
            raise Torn(f"the store: {error}") from error

    def _look_at_ledger(self) -> dict[str, Any]:
        nothing = dict[str, Any](runs={}, records={}, kept={}, fits={})
        if not self.ledger.exists():
            return nothing
        with _database(self.ledger) as connection:
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'forecast_runs'"
            ).fetchone():
                return nothing
            runs = dict(connection.execute("SELECT as_of, exit_code FROM forecast_runs"))
            newest = f"SELECT as_of, record FROM forecast_runs ORDER BY as_of DESC LIMIT {MAX_RUNS}"
            records = {as_of: json.loads(text) for as_of, text in connection.execute(newest)}
            packed = connection.execute("SELECT as_of, count, cells FROM forecast_cells").fetchall()
            kept = {as_of: _sum(as_of, count, cells) for as_of, count, cells in packed}
            fits = dict(connection.execute("SELECT as_of, version FROM forecast_fits"))
        for as_of, record in records.items():
            expected = (
                record["counts"].get("rows", 0) if record["settled"] and record["counts"] else None
            )
            rows, _ = kept.get(as_of, (0, 0.0))
            if expected is not None and rows not in (expected, 0):
                raise Torn(
                    f"the ledger holds {rows} of {expected} forecasts of the run as of {as_of}"
                )
        return {"runs": runs, "records": records, "kept": kept, "fits": fits}

    def _look_at_sink(self) -> dict[str, int]:
        path = self.folder / "sink.db"
        if not path.exists():
            return {}
        with _database(path) as connection:
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'loads'"
            ).fetchone():
                return {}
            torn = connection.execute(
                f"SELECT station, origin, count(*) FROM loads GROUP BY station, origin HAVING count(*) != {HORIZON}"
            ).fetchall()
            if torn:
                raise Torn(f"the sink holds parts of forecasts: {torn[:3]}")
            return dict(connection.execute("SELECT origin, count(*) FROM loads GROUP BY origin"))


@cache
def _sum(as_of: str, count: int, cells: bytes) -> tuple[int, float]:
    """Rows and sum of the forecasts of a run."""
    try:
        forecasts = pd.read_parquet(BytesIO(cells))["forecast"]
    except DAMAGE_ERRORS as error:
        raise Torn(
            f"the ledger: the forecasts of the run as of {as_of} cannot be read: {error}"
        ) from error
    if len(forecasts) != count:
        raise Torn(
            f"the ledger holds {len(forecasts)} of {count} forecasts of the run as of {as_of}"
        )
    return count, round(float(forecasts.sum()), 6)


def _whole(output: bytes) -> bytes:
    """The output, which must be a whole table."""
    lines = output.split(b"\n")
    if lines[0] + b"\n" != HEADER or lines[-1] or (len(lines) - 2) % HORIZON:
        raise Torn(
            f"out.csv has {len(lines) - 2} rows, from {lines[0][:80]!r} to {lines[-1][:80]!r}"
        )
    return output


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file, repair it as the next process would, and check that it is sound."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            (sound,) = connection.execute("PRAGMA quick_check").fetchone()
            if sound != "ok":
                raise Torn(f"{path.name}: {sound}")
            yield connection
    except sqlite3.DatabaseError as error:
        raise Torn(f"{path.name}: {error}") from error
