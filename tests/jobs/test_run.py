"""`forecast run`: all or nothing, repeatable, and written down."""

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from forecast.tables.databases import upsert
from tests.conftest import At, Run
from tests.jobs.a_job import Job

Rows = Callable[[str, str], list[tuple[object, ...]]]


def test_a_run_fits_forecasts_writes_and_records(job: Job, forecast: Run, at: At) -> None:
    ran = forecast("run", job.file, "--as-of", at(199))
    assert ran.code == 0, ran.err
    table = pd.read_csv(job.output)
    assert list(table.columns) == ["shop", "day", "forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    assert len(table) == 14
    assert table["day"].min() == "2024-07-19"
    record = job.record()
    assert record["exit_code"] == 0
    assert record["counts"] == {"series": 2, "rows": 14, "skipped": 0}
    assert record["version"] in ran.err
    assert record["fit"]["why"] == "there is no version yet"
    assert record["input"]["rows"] == 400
    assert len(record["input"]["sha256"]) == 64
    assert job.ledger("SELECT count FROM forecast_cells") == [(14,)]
    assert job.ledger("SELECT as_of, exit_code FROM forecast_runs") == [("2024-07-19T12:00:00Z", 0)]


def test_the_same_as_of_gives_the_same_bytes_even_after_later_runs_and_later_rows(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(sink='url = "sqlite:///f.db"\ntable = "forecasts"', top='refit = "daily"')
    for day in (150, 151, 152):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    first, rows = job.output.read_bytes(), _rows(job.folder / "f.db")
    assert forecast("run", job.file, "--as-of", at(170)).code == 0
    assert job.output.read_bytes() != first
    job.table(days=230)
    again = forecast("run", job.file, "--as-of", at(160))
    assert again.code == 0, again.err
    assert job.output.read_bytes() == first
    assert [row for row in _rows(job.folder / "f.db") if row in rows] == rows


def test_times_in_several_columns_reach_the_file_and_the_database(
    job: Job, forecast: Run, at: At
) -> None:
    day = pd.to_datetime(job.table()["day"])
    frame = job.table().assign(year=day.dt.year, month=day.dt.month, day=day.dt.day)
    frame[["shop", "year", "month", "day", "units"]].to_csv(job.folder / "sales.csv", index=False)
    job.write(
        sink='url = "sqlite:///f.db"\ntable = "forecasts"', table='time = ["year", "month", "day"]'
    )
    for number in (150, 151):
        assert forecast("run", job.file, "--as-of", at(number)).code == 0
    table = pd.read_csv(job.output)
    assert list(table.columns[:4]) == ["shop", "year", "month", "day"]
    assert table[["year", "month", "day"]].iloc[0].tolist() == [2024, 6, 1]
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        found = connection.execute(
            "SELECT year, month, day, origin FROM forecasts ORDER BY origin, month, day"
        ).fetchall()
    assert len(found) == 28
    assert found[0] == (2024, 5, 31, "2024-05-30 00:00:00")


def test_the_gate_keeps_a_worse_fit_from_going_live_and_the_run_ends_well(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "daily"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"mean"'))
    ran = forecast("run", job.file, "--as-of", at(160))
    record = job.record()
    assert ran.code == 0, ran.err
    assert record["version"] == live
    assert record["fit"]["promoted"] is False
    assert "does not go live" in ran.err
    assert "MASE" in record["fit"]["verdict"]
    listed = json.loads(forecast("versions", "--artifact", job.store, "--json").out)
    assert [(one["version"], one["live"]) for one in listed] == [
        (live, True),
        (record["fit"]["version"], False),
    ]
    assert "not live: MASE" in listed[1]["note"]
    assert forecast("promote", listed[1]["version"], "--artifact", job.store).code == 0
    assert json.loads(forecast("versions", "--artifact", job.store, "--json").out)[1]["live"]
    back = forecast("rollback", "--artifact", job.store)
    assert back.code == 0
    assert live in back.err
    assert forecast("rollback", "--artifact", job.store).code == 66


def test_intervals_that_missed_are_widened_and_those_that_held_too_much_are_narrowed(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "never"')
    frame = job.table()
    wild = frame["day"] > "2024-05-30"
    bump = pd.util.hash_pandas_object(frame.loc[wild, ["shop", "day"]], index=False) % 61
    frame.loc[wild, "units"] += bump.to_numpy().astype(float) - 30
    frame.to_csv(job.folder / "sales.csv", index=False)
    for day in range(150, 172, 2):
        forecast("run", job.file, "--as-of", at(day))
    wide = job.record()["intervals"]
    assert wide[0] > 1.3
    table = pd.read_csv(job.output)
    calm = (table["hi_80"] - table["lo_80"]).mean()
    forecast("run", job.write(top='refit = "never"\nname = "new"'), "--as-of", at(170))
    plain = pd.read_csv(job.output)
    assert job.record()["intervals"] == [1.0, 1.0]
    assert calm / (plain["hi_80"] - plain["lo_80"]).mean() == pytest.approx(wide[0], rel=0.05)


def test_a_repeated_night_is_as_it_was_whatever_was_made_up_for_since(
    job: Job, forecast: Run, at: At
) -> None:
    for day in range(150, 166, 2):
        forecast("run", job.file, "--as-of", at(day))
    last = job.output.read_bytes()
    assert job.record()["intervals"] != [1.0, 1.0]
    for day in (153, 155, 157):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert "replaces it with an older forecast" in ran.err
    other = job.folder / "other.csv"
    ran = forecast("run", job.file, "--as-of", at(164), "--output", other)
    assert ran.code == 0, ran.err
    assert other.read_bytes() == last
    assert job.output.read_bytes() != last


def test_sinks_are_tried_before_a_fit(job: Job, forecast: Run) -> None:
    job.write(sink='url = "postgresql://nobody@127.0.0.1:1/none"\ntable = "t"')
    assert forecast("run", job.file).code == 69
    assert not list(job.store.glob("v-*"))
    (job.folder / "file").write_text("")
    job.file.write_text(
        job.file.read_text().split('url = "post')[0].replace("out.csv", "file/out.csv")
    )
    assert forecast("run", job.file).code == 73
    assert not list(job.store.glob("v-*"))


def test_messages_name_the_keys_of_the_file(job: Job, forecast: Run) -> None:
    frame = job.table()
    pd.concat([frame, frame.tail(1)]).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file)
    assert ran.code == 65
    for key in ("id in [table]", "layout", "on_duplicate = "):
        assert key in ran.err
    assert "--" not in ran.err.splitlines()[-1]


def test_a_failed_run_leaves_the_old_output_and_the_next_one_succeeds(
    job: Job, forecast: Run, at: At
) -> None:
    forecast("run", job.file, "--as-of", at(150))
    before = job.output.read_bytes()
    good = (job.folder / "sales.csv").read_text()
    (job.folder / "sales.csv").write_text(good + "north,2024-07-19,twelve\n")
    ran = forecast("run", job.file)
    assert ran.code == 65
    assert "line 402" in ran.err
    assert job.output.read_bytes() == before
    assert job.record()["exit_code"] == 65
    assert "line 402" in job.record()["error"]
    (job.folder / "sales.csv").write_text(good)
    assert forecast("run", job.file, "--as-of", at(151)).code == 0


def test_a_second_run_on_the_same_store_ends_with_75_at_once(job: Job, forecast: Run) -> None:
    from forecast.artifacts.store import Store

    with Store(job.store).lock():
        ran = forecast("run", job.file)
    assert ran.code == 75
    assert "process" in ran.err


def test_a_query_is_a_source_and_a_table_is_a_sink_and_a_repeated_run_leaves_the_same_rows(
    job: Job, forecast: Run, at: At, url: str, rows: Rows
) -> None:
    frame = job.table()
    upsert(url, "sales", frame.assign(day=pd.to_datetime(frame["day"])), ["shop", "day"])
    text = f'store = "store"\nledger = "sink"\nrefit = "daily"\n[source]\nurl = "{url}"\n'
    text += 'sql = "SELECT shop, day, units FROM sales"\n[train]\nmodel = "seasonal-naive"\nhorizon = 7\n'
    name = "forecasts" if url.startswith("sqlite") else "nightly.forecasts"  # SQLite has no schemas
    text += f'[sink]\npath = "out.csv"\nurl = "{url}"\ntable = "{name}"\n'
    job.file.write_text(text, encoding="utf-8")
    wanted = []
    for day in (190, 195, 195, 199, 195):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err
        found = rows(
            url,
            f"SELECT shop, day, origin, forecast, lo_80, hi_95, version, model, status FROM {name}",
        )
        of_origin = [row for row in sorted(found, key=str) if str(row[2]).startswith("2024-07-14")]
        wanted.append((of_origin, job.output.read_bytes()) if day == 195 else None)
    assert wanted[1] == wanted[2] == wanted[4]
    assert len(wanted[1][0]) == 14
    assert len(found) == 3 * 14
    assert len(rows(url, "SELECT * FROM forecast_runs")) == 3
    assert forecast("status", job.file).code == 0


def test_a_damaged_ledger_is_refused_by_name(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(150))
    (job.folder / "store.runs" / "ledger.db").write_bytes(b"not a database" * 100)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 76
    assert "ledger.db" in ran.err


@pytest.mark.parametrize("damaged", ["not json", "{}"])
def test_a_broken_record_is_skipped_and_named(
    job: Job, forecast: Run, at: At, damaged: str
) -> None:
    for day in (150, 151, 152):
        forecast("run", job.file, "--as-of", at(day))
    with closing(sqlite3.connect(job.folder / "store.runs" / "ledger.db")) as ledger, ledger:
        as_of = "as_of = '2024-06-01T12:00:00Z'"
        assert (
            ledger.execute(
                f"UPDATE forecast_runs SET record = ? WHERE {as_of}", (damaged,)
            ).rowcount
            == 1
        )
    for words in (
        ("status",),
        ("report", "--output", job.folder / "report.html"),
        ("run", "--as-of", at(153)),
    ):
        ran = forecast(words[0], job.file, *words[1:])
        assert ran.code in (0, 3)
        assert (
            ran.err.count(
                "job 'job': the record of the run as of 2024-06-01T12:00:00Z in the ledger"
            )
            == 1
        )
        assert "Traceback" not in ran.err
    (state,) = json.loads(forecast("status", job.file, "--json").out)
    assert len(state["runs"]) == 3


LACKS = ["ALTER TABLE forecast_runs DROP COLUMN record", "DROP TABLE forecast_fits"]


@pytest.mark.parametrize("sql", LACKS)
def test_a_ledger_without_a_column_or_a_table_is_refused_by_name(
    job: Job, forecast: Run, at: At, sql: str
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    with closing(sqlite3.connect(job.folder / "store.runs" / "ledger.db")) as ledger, ledger:
        ledger.execute(sql)
    for words in (
        ("status",),
        ("report", "--output", job.folder / "report.html"),
        ("run", "--as-of", at(151)),
    ):
        if (
            sql == LACKS[0] or words[0] == "report"
        ):  # no fits: a status does not ask for them, a run makes the table
            ran = forecast(words[0], job.file, *words[1:])
            assert ran.code == 76
            assert "ledger.db: no such" in ran.err
            assert "it is no ledger, or damaged" in ran.err


def test_a_ledger_in_a_database_that_lacks_a_column_is_refused_by_the_name_of_its_job(
    job: Job, forecast: Run, at: At, url: str, run: Callable[..., None]
) -> None:
    job.write(top='ledger = "sink"', sink=f'url = "{url}"\ntable = "forecasts"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    run(url, LACKS[0])
    for words in (
        ("status",),
        ("report", "--output", job.folder / "report.html"),
        ("run", "--as-of", at(151)),
    ):
        ran = forecast(words[0], job.file, *words[1:])
        assert ran.code == 76, ran.err
        assert "job 'job': its ledger in the database: " in ran.err
        assert url not in ran.err


def test_runs_beside_each_other_wait_for_each_other(job: Job, at: At) -> None:
    from forecast.jobs.pipeline import read_pipeline
    from forecast.jobs.run import run_job

    pipeline = read_pipeline(str(job.file)).model_copy(update={"wait": 60.0})
    codes: list[int] = []
    threads = [
        threading.Thread(
            target=lambda day=day: codes.append(run_job(pipeline, as_of=at(day)).exit_code)
        )
        for day in (150, 151, 152)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]
    assert len(job.ledger("SELECT * FROM forecast_runs")) == 3


def _rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute("SELECT * FROM forecasts ORDER BY shop, origin, day").fetchall()


@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError(), 69), (OSError(28, "No space left"), 74), (KeyError(1), 1)]
)
def test_the_ledger_has_the_exit_code_of_the_command(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("forecast.jobs.run.compute_quantiles", fails)
    assert forecast("run", job.file, "--as-of", at(150)).code == code
    assert job.record()["exit_code"] == code


def test_a_night_with_a_fit_gives_a_warning_once(job: Job, forecast: Run, at: At) -> None:
    frame = job.table(150)
    frame["units"] += 60 * (frame["day"] > "2024-05-25")
    frame.to_csv(job.folder / "sales.csv", index=False)
    for day in (150, 158):  # both fit
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err
        assert ran.err.count("lie at a new level") == 1, ran.err
        assert sum("lie at a new level" in text for text in job.record()["warnings"]) == 1
