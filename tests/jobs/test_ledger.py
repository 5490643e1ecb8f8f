"""The ledger: read without a change, kept apart by job, and bounded."""

import json
import sqlite3
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.jobs import ledger as module
from forecast.jobs.ledger import (
    PUBLISHED,
    RAW,
    DayScore,
    FitEntry,
    Ledger,
    pack_forecasts,
)
from forecast.jobs.record import Record
from forecast.tables.databases import connect, upsert
from tests._databases import sqlite_first
from tests.conftest import At, Run
from tests.jobs.a_job import Job

Rows = Callable[[str, str], list[Any]]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_commands_that_look_at_a_job_change_and_create_nothing(
    job: Job, forecast: Run, at: At
) -> None:
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
    for words in (
        ("status",),
        ("status", "--json"),
        ("versions",),
        ("report", "--output", job.folder / "r.html"),
    ):
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
    job: Job, forecast: Run, at: At, url: str, rows: Rows
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


def _share(job: Job, url: str, table: str) -> Path:
    return job.write(
        top='ledger = "sink"\nrefit = "never"', sink=f'url = "{url}"\ntable = "{table}"'
    )


@sqlite_first
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


def test_a_store_that_nobody_owned_keeps_its_file(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    (job.store / "OWNER").unlink()
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    assert job.ledger("SELECT DISTINCT job FROM forecast_runs") == [("job",)]
    assert job.ledger("SELECT count(*) FROM forecast_runs") == [(2,)]


RUNS, RECORDS, DAYS = 3, 8, 4


def time_of(number: int) -> str:
    return f"2026-03-{number:02}T02:10:00Z"


def numbered(number: int) -> pd.DataFrame:
    steps = np.array([1, 2, 1, 2])
    frame = pd.DataFrame(
        {
            "series": pd.Categorical(["a", "a", "b", "b"]),
            "step": steps,
            "instant": steps,
            "unit": 1.0,
        }
    )
    return frame.assign(**dict.fromkeys([*PUBLISHED, *RAW], float(number)))


def record(at: str, code: int = 0) -> Record:
    return Record(id=f"job/{at}", job="job", as_of=at, started=at, exit_code=code)


@pytest.fixture
def ledger(url: str, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that has seen twelve nights, each of which scored four days."""
    monkeypatch.setattr(module, "MAX_RUNS", RUNS)
    monkeypatch.setattr(module, "MAX_RECORDS", RECORDS)
    other, made = ledger_in(url, "other"), ledger_in(url, "nightly")
    other.add_run(record(time_of(1)), numbered(1))
    for number in range(1, 13):
        days = [
            DayScore(time_of(day)[:10], number, 1.0, 0.0, 0.8, 0.95)
            for day in range(max(1, number - DAYS), number)
        ]
        made.add_fit(FitEntry(time_of(number), f"v-{number}", True, "", ""))
        made.add_run(record(time_of(number), 137))
        made.add_run(record(time_of(number)), numbered(number), days)
    return made


@sqlite_first
def test_the_newest_runs_stay_and_those_of_other_jobs(ledger: Ledger, url: str) -> None:
    assert [run.as_of for run in ledger.runs(100)] == [
        time_of(number) for number in range(12, 12 - RECORDS, -1)
    ]
    assert [fit.version for fit in ledger.fits("9")] == [
        f"v-{number}" for number in range(13 - RECORDS, 13)
    ]
    assert times_of_forecasts(ledger) == [time_of(number) for number in range(13 - RUNS, 13)]
    assert [len(rows) for rows in ledger_in(url, "other").forecasts("9", 100)] == [4]


@sqlite_first
def test_each_day_of_the_runs_that_stay_keeps_its_newest_score(
    ledger: Ledger, url: str, rows: Rows
) -> None:
    newest = {day.day: day.count for day in ledger.days(100)}
    oldest = 13 - RECORDS - DAYS  # the first day that the oldest run that stays has scored
    assert newest == {time_of(day)[:10]: min(day + DAYS, 12) for day in range(oldest, 12)}
    stored = rows(url, "SELECT count(*) FROM forecast_scores WHERE job = 'nightly'")
    assert stored == [(RUNS * DAYS + RECORDS - RUNS,)]


@sqlite_first
def test_large_runs_are_read_one_at_a_time(ledger: Ledger) -> None:
    night = pd.concat([numbered(1)] * 6_000).astype({"series": "category"})
    for number in (20, 21, 22):
        ledger.add_run(record(time_of(number)), night)
    assert [len(rows) for rows in ledger.forecasts("9", 3)] == [len(night)] * 3


def times_of_forecasts(ledger: Ledger) -> list[str]:
    return [at for rows in ledger.forecasts("9", 100) for at in rows["as_of"].unique()]


def ledger_in(url: str, job: str) -> Ledger:
    return Ledger(job, lambda reads=(): connect(url, reads))


def tables(url: str, rows: Rows) -> set[str]:
    names = (
        "sqlite_master"
        if url.startswith("sqlite")
        else "(SELECT tablename AS name FROM pg_tables) AS tables"
    )
    return {
        name for (name,) in rows(url, f"SELECT name FROM {names}") if name.startswith("forecast_")
    }


def test_damaged_forecasts_are_left_out_and_named(
    ledger: Ledger, url: str, run: Callable[..., None], caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "'x'" if url.startswith("sqlite") else "'x'::bytea"
    run(
        url,
        f"UPDATE forecast_cells SET cells = {value} WHERE as_of = '{time_of(10)}' AND job = 'nightly'",
    )
    for _ in range(2):
        assert times_of_forecasts(ledger) == [time_of(11), time_of(12)]
    monkeypatch.setattr(module, "WHOLE_FORECASTS", 0)
    monkeypatch.setattr(module, "MAX_SAMPLE", 1)  # a sample of the damaged ones would be left
    ledger.add_run(record(time_of(13)), numbered(13))
    assert [record.getMessage() for record in caplog.records] == [
        f"job 'nightly': the forecasts of the run as of {time_of(10)} in the ledger are damaged, and left out"
    ]


def numbers(values: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"series": pd.Categorical(["a"] * len(values)), "step": range(len(values)), "instant": 7}
    )
    return frame.assign(unit=0.1, **dict.fromkeys([*PUBLISHED, *RAW], values))


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.5, 12.34567, 450.9544, 99_999.9999, 123_456_789.1234, 1e15],
        [1 / 3, 1e300, 1e-200, 2.0**60],
        [0.1 + 0.2, 12.34],
    ],
)
def test_published_numbers_keep_all_of_their_digits(values: list[float]) -> None:
    with np.errstate(over="ignore"):  # raw ones do not
        found = pd.read_parquet(BytesIO(pack_forecasts(numbers(values))))
    assert (found[PUBLISHED] == np.array(values)[:, None]).all(axis=None)
    assert found["unit"].tolist() == [0.1] * len(values)


def test_samples_hold_all_series_and_steps_and_those_of_two_runs_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_SAMPLE", 500)
    index = pd.MultiIndex.from_product(
        [[f"s{number}" for number in range(300)], range(1, 25)], names=["series", "step"]
    )
    forecasts = index.to_frame(index=False).astype({"series": "category"})
    sample = forecasts[module.sample_rows(forecasts)]
    assert 400 <= len(sample) <= 500
    assert sample["series"].nunique() == 300
    assert sample["step"].nunique() == 24
    others = forecasts[forecasts["series"].isin([f"s{number}" for number in range(90, 300)])]
    fewer = others[module.sample_rows(others)]
    assert len(fewer.merge(sample)) >= 0.9 * len(sample[sample["series"].isin(fewer["series"])])
