"""A refit goes live after its ledger entry, a kill is repaired, and what was blocked is repeated to be accepted."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from forecast.artifacts.store import Store
from forecast.errors import StaleData, StorageFailure
from forecast.inference.forecasting import Forecasts
from forecast.jobs import run as module
from forecast.jobs.ledger import Ledger
from forecast.jobs.pipeline import Pipeline, read_pipeline
from forecast.jobs.publishing import Publication
from forecast.jobs.record import Record
from forecast.tables.reading import read_table
from tests.conftest import At, Run
from tests.jobs.a_job import Job


class Killed(BaseException):
    """A kill that the run cannot catch, as far as a test can have one."""


@pytest.fixture
def killed_before_promotion(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """A job that was killed between its ledger and the promotion of a refit; the live version, and the new one."""
    job.write(top='refit = "weekly"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        steps = iter((module.finish_promotion, kill))  # at the start of a run, and at its end
        patched.setattr(module, "finish_promotion", lambda *given: next(steps)(*given))
        patched.setattr(module, "recorded", _without_a_trace)
        pipeline = module_pipeline(job)
        with pytest.raises(Killed):
            module.run_job(pipeline, as_of=at(160))
    assert Store(job.store).current() == live
    ((new,),) = job.ledger("SELECT version FROM forecast_fits ORDER BY as_of DESC LIMIT 1")
    return live, new


def module_pipeline(job: Job) -> Pipeline:
    from forecast.jobs.pipeline import read_pipeline

    return read_pipeline(str(job.file))


@contextmanager
def _without_a_trace(*_: object) -> Iterator[None]:
    yield


@pytest.mark.parametrize("day", [160, 161])
def test_the_next_run_finishes_the_promotion(
    job: Job, forecast: Run, at: At, killed_before_promotion: tuple[str, str], day: int
) -> None:
    _, new = killed_before_promotion
    output = job.output.read_bytes()
    assert forecast("run", job.file, "--as-of", at(day)).code == 0
    assert Store(job.store).current() == new
    assert job.record()["version"] == new
    assert job.ledger("SELECT count(*) FROM forecast_fits") == [(2,)]
    assert (job.output.read_bytes() == output) is (day == 160)


@pytest.mark.parametrize("choice", ["promote", "rollback"])
def test_the_next_run_leaves_the_choice_of_a_user_alone(
    job: Job, forecast: Run, at: At, killed_before_promotion: tuple[str, str], choice: str
) -> None:
    live, new = killed_before_promotion
    if choice == "rollback":
        assert forecast("run", job.file, "--as-of", at(160)).code == 0
        assert Store(job.store).current() == new
        assert forecast("rollback", job.file).code == 0
    else:
        assert forecast("promote", live, job.file).code == 0
    for day in (161, 162):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        assert Store(job.store).current() == live
        assert job.record()["version"] == live


def test_a_refit_whose_run_fails_is_not_live(job: Job, forecast: Run, at: At) -> None:
    frame = job.table()
    frame["promo"] = frame["day"].str[-1].isin(["1", "5"]).astype(int)
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.write(top='refit = "weekly"', table='known = ["promo"]')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live, output = job.record()["version"], job.output.read_bytes()
    frame[frame["day"] <= "2024-06-09"].to_csv(
        job.folder / "sales.csv", index=False
    )  # no promo of days to come
    failed = forecast("run", job.file, "--as-of", at(160))
    assert failed.code == 65, failed.err
    assert Store(job.store).current() == live
    assert job.output.read_bytes() == output
    assert job.record()["fit"]["promoted"] is False
    newest = json.loads(forecast("versions", job.file, "--json").out)[-1]
    assert newest["version"] != live
    assert newest["note"].endswith("not live: its run has not ended")
    assert forecast("rollback", job.file).code == 66
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(161)).code == 0
    assert job.record()["fit"]["promoted"] is True, "the fit was still due"
    assert Store(job.store).current() == job.record()["version"] == job.record()["fit"]["version"]


def test_no_earlier_run_takes_a_version_whose_run_has_not_ended(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write(top='refit = "weekly"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    with monkeypatch.context() as patched:
        patched.setattr(
            "forecast.jobs.sinks.write",
            lambda *_: (_ for _ in ()).throw(StaleData("the sink is gone")),
        )
        assert forecast("run", job.file, "--as-of", at(160)).code == 4
    assert forecast("run", job.file, "--as-of", at(170)).code == 0
    assert job.record()["version"] != live
    job.write(top='refit = "never"')
    assert forecast("run", job.file, "--as-of", at(165)).code == 0
    assert job.record()["version"] == live


def test_a_known_column_that_the_file_drops_stays_with_the_live_version(
    job: Job, forecast: Run, at: At
) -> None:
    frame = job.table()
    frame["promo"] = frame["day"].str[-1].isin(["1", "5"]).astype(int)
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.write(table='known = ["promo"]\nid = ["shop"]\ntarget = ["units"]')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    job.write(table='id = ["shop"]\ntarget = ["units"]')
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"mean"'))
    ran = forecast("run", job.file, "--as-of", at(180))
    assert ran.code == 0, ran.err
    record = job.record()
    assert record["fit"]["promoted"] is False
    assert record["version"] == live
    assert pd.read_csv(job.output)["day"].min() == "2024-06-30"


def test_the_hash_of_a_source_is_that_of_what_was_read(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = job.folder / "sales.csv"
    read = hashlib.sha256(source.read_bytes()).hexdigest()

    def replaced_meanwhile(*words: Any, **options: Any) -> object:
        table = read_table(*words, **options)
        source.write_bytes(source.read_bytes() + b"2030-01-01,north,1\n")
        return table

    monkeypatch.setattr("forecast.jobs.sources.read_table", replaced_meanwhile)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert job.record()["input"]["sha256"] == read


SHOPS = '[[totals]]\nby = "shop"\nevery = "week"\npath = "shops.csv"\ntable = "shops"\n'
ALL = '[[totals]]\nby = "all"\npath = "all.csv"\ntable = "all_shops"\n'
SUMS = ("shops", "all_shops")


@pytest.fixture
def blocked(job: Job, forecast: Run, at: At) -> None:
    """A job whose second night is blocked, as the newest week came in other units."""
    _write(job, SHOPS, ALL)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame.loc[frame["day"] >= "2024-05-26", "units"] *= 1000
    frame.to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 5, ran.err


def _write(job: Job, *totals: str) -> None:
    job.write(top='refit = "daily"', sink='url = "sqlite:///f.db"\ntable = "forecasts"')
    job.file.write_text(job.file.read_text() + "".join(totals))


def _levels(job: Job) -> list[set[str]]:
    """The levels that each place of sums holds: files, and the newest rows of tables."""
    files = [set(pd.read_csv(job.folder / name)["level"]) for name in ("shops.csv", "all.csv")]
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        tables = [
            {level for (level,) in connection.execute(f"SELECT level FROM {table}")}
            for table in SUMS
        ]
    return [*files, *tables]


LEVELS = [{"shop/week"}, {"all"}] * 2  # of files, and of tables


def _published(job: Job) -> list[float]:
    """The largest sum of each table of sums, which tells whether a blocked night was published."""
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        return [
            connection.execute(f"SELECT MAX(mean) FROM {table}").fetchone()[0] for table in SUMS
        ]


@pytest.mark.parametrize("killed", [False, True])
def test_sums_are_accepted_into_their_own_places_though_the_file_has_another_order_by_now(
    job: Job, forecast: Run, blocked: None, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _levels(job) == LEVELS
    if killed:
        _kill_an_acceptance(job, monkeypatch)
    _write(job, ALL, SHOPS)
    ran = forecast("run", job.file, "--accept")
    assert ran.code == 0, ran.err
    assert _levels(job) == LEVELS
    assert min(_published(job)) > 10_000
    assert forecast("run", job.file, "--accept").code == 2  # done


def test_the_next_night_does_not_finish_an_acceptance_that_was_killed(
    job: Job, forecast: Run, at: At, blocked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_an_acceptance(job, monkeypatch)
    before = _published(job)
    job.table()
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    assert max(_published(job)) < 10_000
    assert _published(job) != before


def _kill_an_acceptance(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Publication, "publish", kill)
        patched.setattr(module, "recorded", _without_a_trace)
        with pytest.raises(Killed):
            module.run_job(read_pipeline(str(job.file)), accept=True)


def test_what_breaks_a_rule_that_no_forecast_may_break_is_not_accepted_either(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = module.build_forecasts

    def out_of_order(*args: Any) -> Forecasts:
        forecasts = made(*args)
        columns = forecasts.columns
        return replace(forecasts, columns=columns | {"lo_80": columns["hi_95"]})

    monkeypatch.setattr(module, "build_forecasts", out_of_order)
    ran = forecast("run", job.file, "--as-of", at(150))
    assert (ran.code, "--accept" in ran.err) == (5, False)
    ran = forecast("run", job.file, "--accept")
    assert (ran.code, "rows whose quantiles are not in order" in ran.err) == (5, True), ran.err
    assert not job.output.exists()


def test_a_disk_that_is_full_before_the_ledger_names_what_is_new_already(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write(sink='[[totals]]\nby = ["all"]\npath = "sums.csv"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = job.output.read_bytes()
    entered = Ledger.add_run

    def full(ledger: Ledger, run: Record, *parts: Any, **more: Any) -> None:
        if run.exit_code == 0:
            raise StorageFailure("ledger.db: No space left on device")
        entered(ledger, run, *parts, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "add_run", full)
        ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 74
    said = "these are new, and the ledger does not know it: "
    assert f"No space left on device; {said}" in ran.err
    assert "out.csv" in ran.err.split(said)[1].split("; the next run")[0]
    assert "sums.csv" in ran.err.split(said)[1].split("; the next run")[0]
    new = job.output.read_bytes()
    assert new != before
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    assert job.output.read_bytes() == new


@pytest.mark.parametrize("part", ["sinks", "ledger"])
def test_a_refit_whose_publication_fails_goes_live_when_the_run_is_repeated(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    job.write(top='refit = "weekly"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    entered = Ledger.add_run

    def breaks(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def full(ledger: Ledger, run: Record, *parts: Any, **more: Any) -> None:
        if run.exit_code == 0:
            raise StorageFailure("ledger.db: No space left on device")
        entered(ledger, run, *parts, **more)

    with monkeypatch.context() as patched:
        if part == "sinks":
            patched.setattr("forecast.jobs.sinks.write", breaks)
        else:
            patched.setattr(Ledger, "add_run", full)
        assert forecast("run", job.file, "--as-of", at(160)).code == 74
    failed = job.record()
    assert (failed["exit_code"], failed["settled"]) == (74, False)
    assert Store(job.store).current() == live
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    assert Store(job.store).current() == job.record()["version"] != live
    assert job.record()["fit"]["promoted"] is True
