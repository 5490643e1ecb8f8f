"""Reading a ledger: nothing is created or changed, and nobody waits for a reader."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.jobs.databases import upsert
from tests.jobs.a_job import Job

Run = Callable[..., Any]
At = Callable[[int], str]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_commands_that_look_at_a_job_change_and_create_nothing(job: Job, forecast: Run, at: At) -> None:
    before = contents(job.folder)
    never = forecast("status", job.file)
    assert never.code == 66
    assert "has not run yet" in never.err
    early = forecast("report", job.file, "--output", job.folder / "r.html")
    assert early.code == 66
    assert f"job has not run yet; run `forecast run {job.file}` first" in early.err
    assert contents(job.folder) == before
    assert sorted(path.name for path in job.folder.iterdir()) == ["job.toml", "sales.csv"]
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = contents(job.folder)
    for words in (("status",), ("status", "--json"), ("versions",), ("report", "--output", job.folder / "r.html")):
        assert forecast(words[0], job.file, *words[1:]).code in (0, 3)
    after = contents(job.folder)
    assert after.pop(job.folder / "r.html")
    assert after == before


def test_a_status_is_shown_while_a_run_writes(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    writer = sqlite3.connect(job.folder / "store.runs" / "ledger.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM forecast_runs")
    assert "2024-05-31" in forecast("status", job.file).out
    writer.close()


def test_a_ledger_without_tables_is_an_empty_one(job: Job, forecast: Run) -> None:
    (job.folder / "store.runs").mkdir()
    path = job.folder / "store.runs" / "ledger.db"
    path.write_bytes(b"")
    assert forecast("status", job.file).code == 66
    assert path.read_bytes() == b""


def test_a_ledger_in_a_database_is_read_without_a_change(
    job: Job, forecast: Run, at: At, url: str, rows: Callable[[str, str], list[Any]]
) -> None:
    frame = job.table()
    upsert(url, "sales", frame.assign(day=pd.to_datetime(frame["day"])), ["shop", "day"])
    job.file.write_text(
        f'store = "store"\nledger = "sink"\n[source]\nurl = "{url}"\nsql = "SELECT shop, day, units FROM sales"\n'
        f'[train]\nmodel = "seasonal-naive"\nhorizon = 7\n[sink]\nurl = "{url}"\ntable = "forecasts"\n'
    )
    assert forecast("status", job.file).code == 66
    with pytest.raises(Exception, match="forecast_runs"):
        rows(url, "SELECT * FROM forecast_runs")
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    shown = forecast("status", job.file)
    assert shown.code in (0, 3)
    assert "2024-05-31" in shown.out
