"""Names, types and files that the sink does not take are refused before any work, all of them at once."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import CannotCreate
from forecast.jobs.sinks import check_file
from tests.conftest import At, Ran, Run
from tests.jobs.a_job import Job

Rows = Callable[[str, str], list[tuple[object, ...]]]
Do = Callable[..., None]


def _rename(job: Job, **names: str) -> None:
    job.table().rename(columns=names).to_csv(job.folder / "sales.csv", index=False)


def _refused(job: Job, ran: Ran, *said: str) -> None:
    assert ran.code == 2, ran.err
    for text in said:
        assert text in ran.err
    assert not list(job.store.glob("v-*")), "nothing was fitted"
    assert not job.output.exists()
    assert job.record()["exit_code"] == 2


@pytest.mark.parametrize("name", ["origin", "version", "model", "status"])
def test_an_id_named_as_a_column_of_the_sink_is_refused_and_never_destroyed(
    job: Job, forecast: Run, at: At, url: str, rows: Rows, name: str
) -> None:
    _rename(job, shop=name)
    job.write(sink=f'url = "{url}"\ntable = "f"', table=f'id = "{name}"')
    words = f"columns '{name}' have the names of columns of the forecasts; rename them in the input"
    _refused(job, forecast("run", job.file, "--as-of", at(150)), words)
    assert "no such table" in _error(rows, url) or "does not exist" in _error(rows, url)


def _error(rows: Rows, url: str) -> str:
    from forecast.errors import ForecastError

    with pytest.raises(ForecastError) as raised:
        rows(url, "SELECT * FROM f")
    return str(raised.value)


def test_all_names_that_clash_are_named_at_once(job: Job, forecast: Run, at: At) -> None:
    frame = job.table().rename(columns={"shop": "status", "day": "forecast"})
    frame.assign(origin="x", lo_80="y").to_csv(job.folder / "sales.csv", index=False)
    job.write(
        sink='url = "sqlite:///f.db"\ntable = "f"',
        table='id = ["status", "origin", "lo_80"]\ntime = "forecast"',
    )
    said = (
        "columns 'status', 'origin', 'lo_80', 'forecast' have the names of columns of the forecasts"
    )
    _refused(job, forecast("run", job.file, "--as-of", at(150)), said)


def test_a_file_takes_an_id_called_model_unless_it_explains(
    job: Job, forecast: Run, at: At
) -> None:
    _rename(job, shop="model")
    job.write(table='id = "model"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert list(pd.read_csv(job.output))[:3] == ["model", "day", "forecast"]
    assert set(pd.read_csv(job.output)["model"]) == {"north", "south"}
    job.output.unlink()
    job.write(table='id = "model"', output="explain = true")
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 2
    assert "columns 'model' have the names of columns of the forecasts" in ran.err


def test_a_live_version_is_checked_too(job: Job, forecast: Run, at: At) -> None:
    _rename(job, shop="status")
    job.write(top='refit = "never"', table='id = "status"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    job.write(
        top='refit = "never"', table='id = "status"', sink='url = "sqlite:///f.db"\ntable = "f"'
    )
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 2
    assert "columns 'status' have the names of columns of the forecasts" in ran.err


@pytest.mark.parametrize(
    ("database", "name", "said"),
    [
        ("postgresql", "ü" * 32, "has 64 bytes"),
        ("postgresql", "xmin", 'column name "xmin" conflicts with a system column name'),
        ("sqlite", "Forecast", "duplicate column name: forecast"),
        ("sqlite", "ORIGIN", "duplicate column name: origin"),
    ],
)
def test_names_that_a_database_refuses_are_refused_before_the_fit(
    job: Job,
    forecast: Run,
    at: At,
    request: pytest.FixtureRequest,
    database: str,
    name: str,
    said: str,
) -> None:
    url = (
        request.getfixturevalue("server").url
        if database == "postgresql"
        else f"sqlite:///{job.folder}/f.db"
    )
    more = {"day": "y" * 70} if "bytes" in said else {}
    _rename(job, shop=name, **more)
    job.write(sink=f'url = "{url}"\ntable = "f"', table=f'id = "{name}"')
    _refused(
        job,
        forecast("run", job.file, "--as-of", at(150)),
        said,
    )


COLUMNS = (
    "shop {shop}, day {day}, forecast DOUBLE PRECISION, lo_80 DOUBLE PRECISION, hi_80 DOUBLE PRECISION, lo_95 DOUBLE "
    "PRECISION, hi_95 DOUBLE PRECISION, origin TIMESTAMP, version TEXT, model TEXT, status TEXT{more}"
)


@pytest.mark.parametrize(
    ("shop", "day", "more", "said"),
    [
        (
            "TEXT",
            "TIMESTAMP",
            "",
            "has no primary key or unique index over exactly shop, day, origin",
        ),
        (
            "INTEGER",
            "TIMESTAMP",
            ", PRIMARY KEY (shop, day, origin)",
            "column 'shop' is of whole numbers",
        ),
        (
            "TEXT",
            "BOOLEAN",
            ", PRIMARY KEY (shop, day, origin)",
            "column day: invalid input syntax for type boolean",
        ),
        (
            "TEXT",
            "TIMESTAMP",
            ", who TEXT NOT NULL, PRIMARY KEY (shop, day, origin)",
            "who",
        ),
        (
            "VARCHAR(4)",
            "TIMESTAMP",
            ", PRIMARY KEY (shop, day, origin)",
            "column shop: value too long for type character varying(4)",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_the_fit(
    job: Job,
    forecast: Run,
    at: At,
    url: str,
    run: Do,
    request: pytest.FixtureRequest,
    shop: str,
    day: str,
    more: str,
    said: str,
) -> None:
    if said.startswith("column shop:") or said.startswith("column day:"):
        url = request.getfixturevalue(
            "server"
        ).url  # SQLite counts no characters, and takes any text
    run(url, f"CREATE TABLE f ({COLUMNS.format(shop=shop, day=day, more=more)})")
    job.write(sink=f'url = "{url}"\ntable = "f"')
    _refused(job, forecast("run", job.file, "--as-of", at(150)), said, "sink.table")


def test_a_rehearsal_leaves_no_table_and_a_table_that_fits_is_written(
    job: Job, forecast: Run, at: At, url: str, run: Do, rows: Rows
) -> None:
    job.write(sink=f'url = "{url}"\ntable = "f"', checks='error_after = "1d"')
    assert (
        forecast("run", job.file, "--as-of", at(300)).code == 4
    )  # refused after the rehearsal, before the fit
    assert "no such table" in _error(rows, url) or "does not exist" in _error(rows, url)
    columns = COLUMNS.format(
        shop="VARCHAR(5)", day="DATE", more=", id INTEGER DEFAULT 7, UNIQUE (origin, day, shop)"
    )
    run(url, f"CREATE TABLE f ({columns})")
    job.write(sink=f'url = "{url}"\ntable = "f"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT COUNT(*), MIN(id) FROM f") == [(14, 7)]


@pytest.mark.parametrize("layout", ["wide", "rows"])
def test_tables_of_other_layouts_pass_the_rehearsal(
    job: Job, forecast: Run, at: At, layout: str, rows: Rows
) -> None:
    frame = job.table().pivot(index="day", columns="shop", values="units").reset_index()
    if layout == "rows":
        frame = (
            frame.drop(columns="day")
            .T.set_axis([f"V{step}" for step in range(1, 201)], axis=1)
            .reset_index()
        )
    frame.to_csv(job.folder / "sales.csv", index=False)
    url = f"sqlite:///{job.folder}/f.db"
    job.write(sink=f'url = "{url}"\ntable = "f"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT COUNT(*) FROM f") == [(14,)]


def test_a_table_of_the_ledger_is_no_sink(job: Job, forecast: Run) -> None:
    job.write(top='ledger = "sink"', sink='url = "sqlite:///f.db"\ntable = "main.Forecast_Runs"')
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert "[sink] table main.Forecast_Runs is one of the program's own" in ran.err


@pytest.mark.parametrize("ledger", ["store", "sink"])
def test_the_table_of_owners_is_no_sink_either(
    job: Job, forecast: Run, at: At, ledger: str
) -> None:
    job.write(top=f'ledger = "{ledger}"', sink='url = "sqlite:///f.db"\ntable = "forecast_owners"')
    for words in ((), ("--check",)):
        ran = forecast("run", job.file, "--as-of", at(150), *words)
        assert ran.code == 2
        assert (
            "[sink] table forecast_owners is one of the program's own; write to another table"
            in ran.err
        )


def test_predict_and_backtest_refuse_names_before_they_compute(job: Job, forecast: Run) -> None:
    _rename(job, shop="lo_80")
    words = (job.folder / "sales.csv", "--model", "seasonal-naive", "--id", "lo_80")
    assert forecast("fit", *words, "--artifact", job.store).code == 0
    ran = forecast("predict", "--artifact", job.store)
    assert ran.code == 2
    assert "columns 'lo_80' have the names of columns of the forecasts" in ran.err
    assert forecast("predict", "--artifact", job.store, "--levels", "90").code == 0
    _rename(job, shop="mase", day="actual")
    ran = forecast(
        "backtest", job.folder / "sales.csv", "--model", "seasonal-naive", "--id", "mase"
    )
    assert ran.code == 2
    assert "columns 'mase', 'actual' have the names of columns of the result" in ran.err


def test_a_new_file_and_one_to_replace_can_be_written(tmp_path: Path) -> None:
    assert check_file(str(tmp_path / "new" / "out.csv")).endswith("out.csv can be written")
    (tmp_path / "old.csv").touch()
    assert check_file(str(tmp_path / "old.csv")).endswith("old.csv can be written")


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everything"
)
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.csv").touch(0o400)
    with pytest.raises(CannotCreate, match=r"old.csv: may not be written"):
        check_file(str(tmp_path / "old.csv"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CannotCreate, match=r"folder.csv: is a folder; name a file in it"):
        check_file(str(tmp_path / "folder.csv"))


@pytest.mark.parametrize(
    ("error", "code", "problem"),
    [
        (SystemExit(0), 1, "this is a bug of forecast: SystemExit: 0"),
        (BrokenPipeError(32, "Broken pipe"), 74, "input or output: Broken pipe"),
    ],
)
def test_a_sink_that_exits_or_whose_pipe_breaks_ends_the_run_with_an_error(
    job: Job,
    forecast: Run,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    problem: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("forecast.jobs.sinks.write_frames", fail)
    ran = forecast("run", job.file)
    assert ran.code == code
    assert problem in ran.err
    assert job.record()["exit_code"] == code
    assert problem in job.record()["error"]
    assert job.ledger("SELECT exit_code FROM forecast_runs ORDER BY as_of")[-1] == (code,)
