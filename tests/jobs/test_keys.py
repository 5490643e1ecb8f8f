"""Jobs that share a database keep apart in its ledger, those of 0.1.0 too."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from forecast.jobs.databases import connect
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
Rows = Callable[[str, str], list[tuple[object, ...]]]

OLD = Path(__file__).parent / "files" / "ledger_0_1_0"  # two jobs of one name, 6 nights each, as 0.1.0 left them
TABLES = ("forecast_runs", "forecast_fits", "forecast_values", "forecast_scores")


def _share(job: Job, url: str, table: str) -> Path:
    return job.write(top='ledger = "sink"\nrefit = "never"', sink=f'url = "{url}"\ntable = "{table}"')


def test_jobs_of_one_name_that_share_a_database_do_not_move_each_others_intervals(
    job: Job, forecast: Run, at: At, url: str, rows: Rows
) -> None:
    (job.folder / "wild").mkdir()
    wild = Job(job.folder / "wild")
    frame = wild.table(scale=50)
    for one, name in ((job, "calm"), (wild, "wild")):
        _share(one, url, name)
    for day in range(150, 162, 2):
        for one in (job, wild):
            assert forecast("run", one.file, "--as-of", at(day)).code == 0
    together = job.record()["intervals"], job.output.read_bytes()
    alone = Job(job.folder / "alone")
    alone.folder.mkdir()
    alone.table()
    alone.write(top='refit = "never"')
    for day in range(150, 162, 2):
        assert forecast("run", alone.file, "--as-of", at(day)).code == 0
    assert (alone.record()["intervals"], alone.output.read_bytes()) == together
    assert len(frame) == 400
    keys = rows(url, "SELECT DISTINCT job FROM forecast_runs ORDER BY job")
    assert len(keys) == 2
    assert all(str(key).startswith("job@") for (key,) in keys)
    for one in (job, wild):
        (state,) = json.loads(forecast("status", one.file, "--json").out)
        assert (state["job"], len(state["runs"])) == ("job", 6)


@pytest.fixture
def old(tmp_path: Path, url: str) -> str:
    """The two jobs of 0.1.0, whose ledger lies in a database of each kind."""
    for name in ("a", "b"):
        shutil.copytree(OLD / name, tmp_path / name)
        file = tmp_path / name / "job.toml"
        file.write_text(file.read_text().replace("sqlite:///../ledger.db", url))
    with sqlite3.connect(OLD / "ledger.db") as ledger, connect(url) as there:
        for table in TABLES:
            there.execute(ledger.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0])
            found = ledger.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in found.description]
            values = ", ".join(f":{name}" for name in names)
            there.execute(
                f"INSERT INTO {table} VALUES ({values})", [dict(zip(names, row, strict=True)) for row in found]
            )
    ledger.close()
    return url


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_rows_of_0_1_0_move_to_the_job_that_left_them(
    old: str, tmp_path: Path, forecast: Run, rows: Rows, order: str
) -> None:
    for name in order:
        ran = forecast("run", tmp_path / name / "job.toml", "--as-of", "2024-02-22T14:00:00+00:00")
        assert ran.code == 0, ran.err
        state = json.loads(forecast("status", tmp_path / name / "job.toml", "--json").out)[0]
        hour = {"a": "12", "b": "13"}[name]
        nights = [f"2024-02-{day}T{hour}:00:00Z" for day in range(20, 8, -2)]
        assert [run["as_of"] for run in state["runs"]] == ["2024-02-22T14:00:00Z", *nights]
    assert rows(old, "SELECT DISTINCT job FROM forecast_values WHERE job = 'job'") == []
    counts = "SELECT job, COUNT(*), MIN(forecast), MAX(forecast) FROM forecast_values GROUP BY job ORDER BY 4"
    (_, one, _, most), (_, two, least, _) = rows(old, counts)
    assert (one, two) == (21, 21)
    assert most < 100 < least, "the other job's values are ten times as large"
    fits = rows(old, "SELECT job, as_of FROM forecast_fits WHERE as_of < '2024-02-21' ORDER BY as_of")
    assert len(fits) == 7
    assert len({key for key, as_of in fits if "T12" in as_of}) == 1
    assert forecast("run", tmp_path / "a" / "job.toml", "--as-of", "2024-02-23T14:00:00+00:00").code == 0


def test_rows_of_0_1_0_are_left_alone_by_a_new_job_of_their_name(
    old: str, tmp_path: Path, forecast: Run, rows: Rows
) -> None:
    before = [rows(old, f"SELECT * FROM {table} ORDER BY 2, 3, 4") for table in TABLES]
    new = tmp_path / "new"
    shutil.copytree(tmp_path / "a", new, ignore=shutil.ignore_patterns("store*"))
    for _ in range(2):
        assert forecast("run", new / "job.toml", "--as-of", "2024-02-22T14:00:00+00:00").code == 0
    after = [rows(old, f"SELECT * FROM {table} WHERE job = 'job' ORDER BY 2, 3, 4") for table in TABLES]
    before[2] = [(*row, *[None] * 5) for row in before[2]]  # the columns that the forecasts have since
    assert after == before


def test_status_shows_the_rows_of_0_1_0_before_the_first_run(old: str, tmp_path: Path, forecast: Run) -> None:
    (state,) = json.loads(forecast("status", tmp_path / "a" / "job.toml", "--json").out)
    assert state["job"] == "job"
    assert state["runs"][0]["as_of"] == "2024-02-20T13:00:00Z"


def test_rows_that_are_surely_of_one_job_move_with_those_whose_versions_are_gone(
    old: str, tmp_path: Path, forecast: Run, rows: Rows
) -> None:
    with connect(old) as there:
        for table in TABLES:
            there.execute(f"DELETE FROM {table} WHERE as_of LIKE '%T13%'")
        failed = {"version": None, "intervals": [1, 1], "settled": False}
        night = {"as_of": "2024-02-09T12:00:00Z", "record": json.dumps(failed)}
        there.execute("INSERT INTO forecast_runs VALUES ('job', :as_of, 66, :record)", night)
    assert forecast("run", tmp_path / "a" / "job.toml", "--as-of", "2024-02-22T14:00:00+00:00").code == 0
    assert rows(old, "SELECT COUNT(*) FROM forecast_runs WHERE job = 'job'") == [(0,)]
    assert rows(old, "SELECT COUNT(*) FROM forecast_fits WHERE job = 'job'") == [(0,)]


def test_a_first_run_that_fails_loses_no_row_of_before(old: str, tmp_path: Path, forecast: Run, rows: Rows) -> None:
    file = tmp_path / "a" / "job.toml"
    sales = (tmp_path / "a" / "sales.csv").rename(tmp_path / "a" / "away.csv")
    assert forecast("run", file, "--as-of", "2024-02-20T12:00:00+00:00").code == 66
    sales.rename(tmp_path / "a" / "sales.csv")
    assert forecast("run", file, "--as-of", "2024-02-20T12:00:00+00:00").code == 0
    counts = rows(old, "SELECT job, COUNT(*) FROM forecast_runs GROUP BY job ORDER BY 1")
    assert [count for _, count in counts] == [6, 6]


def test_the_file_beside_a_store_is_read_as_before(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    (job.store / "OWNER").unlink()  # as 0.1.0 left it
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    assert job.ledger("SELECT DISTINCT job FROM forecast_runs") == [("job",)]
    assert len(pd.DataFrame(job.ledger("SELECT * FROM forecast_runs"))) == 2
