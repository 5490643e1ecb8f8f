"""A fortnight of the year of nights loses nothing, goes on where it was cut off, and whatever a job loses is found."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date
from io import BytesIO
from pathlib import Path
from shlex import split

import pandas as pd
import pytest

from forecast.artifacts.store import Store
from forecast.jobs.ledger import pack_forecasts
from workshop.campaigns._commands import Commands, Ended
from workshop.campaigns._counts import Counts
from workshop.campaigns._night_job import NightJob
from workshop.campaigns._nights import Year
from workshop.campaigns._operations import Torn
from workshop.campaigns._promises import Attempt, check_attempt, forecast_problems
from workshop.campaigns._stations import Stations
from workshop.campaigns.year import JOURNAL, Entry, judge_year, race

ROOT = Path(__file__).parents[2]
NIGHTS, FIRST, SEED = (
    12,
    "2025-10-20",
    1,
)  # clocks change on the seventh night; the second machine has bad nights
DONE = Ended(0, 1.0, 1.0, "")


def live(folder: Path) -> str:
    words = [
        "year",
        "--nights",
        NIGHTS,
        "--first",
        FIRST,
        "--seed",
        SEED,
        *split("--fork --model seasonal-naive"),
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "workshop.campaigns", *map(str, words), "--folder", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        check=False,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of nights that went by."""
    folder = tmp_path_factory.mktemp("fortnight")
    said = live(folder)
    assert "; 0 lost;" in said
    assert "interrupted" in said
    return folder


@pytest.fixture
def job(fortnight: Path, tmp_path: Path) -> NightJob:
    """The job after these nights, to be tampered with."""
    shutil.copytree(fortnight / "before", tmp_path / "job")
    return NightJob(tmp_path / "job")


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql).rowcount > 0


def change(
    job: NightJob, change: Callable[[pd.DataFrame], pd.DataFrame], condition: str = "true"
) -> None:
    """Change the forecasts of runs in the ledger."""
    with closing(sqlite3.connect(job.ledger)) as connection, connection:
        for as_of, cells in connection.execute(
            f"SELECT as_of, cells FROM forecast_cells WHERE {condition}"
        ).fetchall():
            row = pack_forecasts(change(pd.read_parquet(BytesIO(cells)))), as_of
            connection.execute("UPDATE forecast_cells SET cells = ? WHERE as_of = ?", row)


@pytest.mark.slow
def test_the_nights_go_on_where_they_were_cut_off(fortnight: Path, tmp_path: Path) -> None:
    shutil.copytree(fortnight, tmp_path / "again")
    journal = tmp_path / "again" / JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]) + lines[-1][:20])
    shutil.rmtree(tmp_path / "again" / "job", ignore_errors=True)
    assert "; 0 lost;" in live(tmp_path / "again")
    assert json.loads(journal.read_text().splitlines()[-1])["kind"] == json.loads(lines[-1])["kind"]
    after = [NightJob(place / "before").look() for place in (fortnight, tmp_path / "again")]
    assert after[0].output == after[1].output
    assert after[0].runs == after[1].runs


def flip(job: NightJob) -> None:
    path = job.folder / "store" / Store(job.folder / "store").current() / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def truncate(job: NightJob) -> None:
    path = job.folder / "out.csv"
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    "tamper",
    [
        flip,
        truncate,
        lambda job: change(job, lambda forecasts: forecasts[forecasts["step"] != 5]),
        lambda job: execute(job.folder / "sink.db", "DELETE FROM loads WHERE rowid = 1"),
        lambda job: (job.folder / "store" / "notes.txt").write_text("?"),
        lambda job: job.ledger.write_bytes(job.ledger.read_bytes()[:5000]),
    ],
    ids=[
        "a flipped byte",
        "a cut output",
        "half a run",
        "half a forecast",
        "a strange file",
        "a cut ledger",
    ],
)
def test_what_is_not_whole_is_found(job: NightJob, tamper: Callable[[NightJob], object]) -> None:
    job.look()
    tamper(job)
    with pytest.raises(Torn):
        job.look()


@pytest.mark.parametrize(
    "tamper",
    [
        lambda job: execute(job.ledger, "DELETE FROM forecast_runs WHERE as_of < '2025-10-22'"),
        lambda job: execute(
            job.ledger, "UPDATE forecast_runs SET exit_code = 1 WHERE as_of < '2025-10-22'"
        ),
        lambda job: change(
            job, lambda forecasts: forecasts.assign(forecast=1.0), "as_of < '2025-10-22'"
        ),
        lambda job: execute(job.ledger, "DELETE FROM forecast_fits WHERE as_of < '2025-10-22'"),
        lambda job: execute(
            job.folder / "sink.db", "DELETE FROM loads WHERE origin < '2025-10-22'"
        ),
        lambda job: shutil.rmtree(
            job.folder / "store" / Store(job.folder / "store").versions()[-1].id
        ),
    ],
    ids=["old runs", "an exit code", "old forecasts", "a fit", "old rows", "a version"],
)
def test_what_is_lost_is_found(job: NightJob, tamper: Callable[[NightJob], object]) -> None:
    before, counts = job.look(), Counts()
    newest = max(before.runs)
    check_attempt(job, Attempt("", newest, before, DONE), (0,), counts)
    assert counts.lost == []
    if before.live == before.versions[-1]:  # CURRENT would name a version that is gone
        (job.folder / "store" / "CURRENT").unlink()
    tamper(job)
    check_attempt(job, Attempt("", newest, before, DONE), (0,), counts)
    assert counts.lost


def test_wrong_forecasts_are_found(job: NightJob) -> None:
    stations = Stations(SEED, date.fromisoformat(FIRST), NIGHTS)
    state, newest = job.look(), stations.newest(NIGHTS - 1)
    as_of = max(state.runs)
    assert forecast_problems(job, as_of, state, newest) == []
    later = {name: hour + 3600 for name, hour in newest.items()}
    assert "not 20" in " ".join(forecast_problems(job, as_of, state, later))
    assert (
        "forecasts of"
        in forecast_problems(job, as_of, state, {**newest, "new": max(newest.values())})[0]
    )
    change(job, lambda forecasts: forecasts.assign(forecast=forecasts["forecast"] + 10))
    assert "other forecasts" in forecast_problems(job, as_of, job.look(), newest)[0]


@pytest.mark.parametrize("name", ["store", "ledger"])
def test_what_grows_is_found(job: NightJob, name: str) -> None:
    usual = {
        "kind": "quiet",
        "fitted": False,
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "done": {},
        "lost": [],
    }
    same = {"store": 1_000_000, "ledger": 1_000_000}
    entries = [Entry(night=night, **usual, **same) for night in range(350)]
    counts = Counts()
    judge_year(entries, job, counts)
    assert counts.lost == []
    last = [Entry(night=night, **usual, **{**same, name: 2_000_000}) for night in range(330, 350)]
    judge_year([*entries[:-20], *last], job, counts)
    assert len(counts.lost) == 1


@pytest.mark.parametrize(("slower", "lost"), [(1.0, 0), (1.3, 1)])
def test_a_last_night_that_takes_longer_is_found(
    fortnight: Path, tmp_path: Path, slower: float, lost: int
) -> None:
    class Timed(Commands):
        def run(self, *words: str, signal_after: tuple[int, float] | None = None) -> Ended:
            late = words[-1].startswith("2025-10-31")
            return Ended(0, 1.0, slower if late else 1.0, "")

    stations = Stations(SEED, date.fromisoformat(FIRST), NIGHTS)
    job, counts = NightJob(tmp_path / "job"), Counts()
    year = Year(job, stations, Timed(job.folder, {}), counts, fortnight / "before", None)
    race(year, fortnight, {"tenth": 9, "before": 11})
    assert len(counts.lost) == lost
