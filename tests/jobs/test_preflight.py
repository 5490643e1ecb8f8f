"""`forecast run --check` looks at all that a run needs, and writes nothing."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests._databases import Server
from tests.jobs.a_job import Job
from tests.jobs.test_run import Run

SQLITE = 'url = "sqlite:///f.db"\ntable = "forecasts"'


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_source_and_the_sink_are_told_and_nothing_is_written(job: Job, forecast: Run) -> None:
    job.write(sink=SQLITE)
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    for words in ("sales.csv: 400 rows", "layout   long: 2 series (ids: shop)", "out.csv can be written",
                  "table forecasts will be created"):  # fmt: skip
        assert words in ran.err
    assert _files(job.folder) == before


def test_a_job_that_has_run_passes(job: Job, forecast: Run, at: Callable[[int], str]) -> None:
    job.write(sink=SQLITE)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    assert "table forecasts takes the forecasts" in ran.err
    assert _files(job.folder) == before
    frame = job.table(150).rename(columns={"units": "sold"})
    frame.to_csv(job.folder / "sales.csv", index=False)
    renamed = forecast("run", job.file, "--check")  # by the columns of the live version
    assert renamed.code == 65
    assert "sales.csv: no column 'units'; columns found: shop, day, sold" in renamed.err


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("sales.csv", "nowhere.csv"), 66, "nowhere.csv"),
        (('model = "seasonal-naive"', 'model = "seasonal-naive"\nbaselines = ["tetha"]'), 2, "did you mean 'theta'"),
        (('path = "sales.csv"', 'path = "sales.csv"\nfuture = "plans.csv"'), 66, "plans.csv"),
        (('path = "out.csv"', 'path = "sales.csv/out.csv"'), 73, "sales.csv is a file where a folder is needed"),
        (('path = "out.csv"', 'path = "."'), 73, "is a folder; name a file in it"),
        (('store = "store"', 'store = "sales.csv/store"'), 73, "sales.csv is a file where a folder is needed"),
        (('path = "out.csv"', 'url = "sqlite:///sales.csv"\ntable = "f"'), 74, "sink.url: file is not a database"),
        (('path = "out.csv"', 'url = "sqlite:///sales.csv/f.db"\ntable = "f"'), 73, "f.db: cannot be created"),
        (('path = "out.csv"', 'url = "postgresql://x:y@127.0.0.1:1/z"\ntable = "f"'), 69, "sink.url"),
    ],
)
def test_what_a_run_would_stumble_over_is_found(
    job: Job, forecast: Run, change: tuple[str, str], code: int, said: str
) -> None:
    text = job.file.read_text()
    assert change[0] in text
    job.file.write_text(text.replace(*change))
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == code, ran.err
    assert said in ran.err
    assert _files(job.folder) == before


def test_a_column_that_the_file_names_must_be_there(job: Job, forecast: Run) -> None:
    job.write(table='known = ["promo"]')
    ran = forecast("run", job.file, "--check")
    assert ran.code == 65
    assert "sales.csv: no column 'promo'; columns found: shop, day, units" in ran.err


def test_a_table_without_the_columns_is_found(job: Job, forecast: Run) -> None:
    with sqlite3.connect(job.folder / "f.db") as connection:
        connection.execute("CREATE TABLE forecasts (shop TEXT, day TEXT, origin TEXT, PRIMARY KEY (shop, day, origin))")
    job.write(sink=SQLITE)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert "sink.table forecasts lacks columns" in ran.err
    assert "lo_80" in ran.err


def test_a_database_without_the_table_is_left_as_it_is(job: Job, forecast: Run) -> None:
    with sqlite3.connect(job.folder / "f.db") as connection:
        connection.execute("CREATE TABLE other (a INTEGER)")
    job.write(sink=SQLITE)
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    assert "table forecasts will be created" in ran.err
    assert _files(job.folder) == before


def test_a_check_shows_no_secret(
    job: Job, forecast: Run, at: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINK_TABLE", "quarterly_secrets")
    job.write(sink='url = "sqlite:///f.db"\ntable = "${SINK_TABLE}"')
    ran = forecast("run", job.file, "--check")
    assert "table ${SINK_TABLE} will be created" in ran.err
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    again = forecast("run", job.file, "--as-of", at(150))
    assert "already wrote the output" in again.err
    for text in (ran.err, again.err):
        assert "quarterly_secrets" not in text


def test_a_postgresql_table_is_looked_at_and_left_alone(job: Job, forecast: Run, server: Server) -> None:
    job.write(sink=f'url = "{server.url}"\ntable = "forecasts"')
    assert "table forecasts will be created" in forecast("run", job.file, "--check").err
    assert server.execute("SELECT count(*) FROM information_schema.tables WHERE table_name = 'forecasts'") == [(0,)]
    server.execute(
        "CREATE TABLE forecasts (shop text, day date, origin date, forecast date, lo_80 float, hi_80 float, "
        "lo_95 float, hi_95 float, version text, model text, status text, PRIMARY KEY (shop, day, origin))"
    )
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert "column forecast: invalid input syntax for type date" in ran.err


def test_only_a_run_that_wrote_is_said_to_have_written_later(job: Job, forecast: Run, at: Callable[[int], str]) -> None:
    said = "already wrote the output"
    good = job.file.read_text()
    job.file.write_text(good.replace("sales.csv", "nowhere.csv"))
    assert forecast("run", job.file, "--as-of", at(160)).code == 66
    job.file.write_text(good)
    assert forecast("run", job.file, "--as-of", at(159), "--output", job.folder / "else.csv").code == 0
    first = forecast("run", job.file, "--as-of", at(150))
    assert first.code == 0
    assert said not in first.err
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    again = forecast("run", job.file, "--as-of", at(150))
    assert f"the run as of {at(152).replace('+00:00', 'Z')} {said}" in again.err
