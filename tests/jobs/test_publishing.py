"""A refit goes live after its output and its entry in the ledger, and what a kill left is finished by the next run."""

import hashlib
import json
from collections.abc import Callable

import pandas as pd
import pytest

from forecast.artifacts.store import Store
from forecast.errors import StaleData
from forecast.jobs import run as module
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]


class Killed(BaseException):
    """A kill that the run cannot catch, as far as a test can have one."""


@pytest.fixture
def killed_before_promotion(job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A job that was killed between its ledger and the promotion of a refit; the live version, and the new one."""
    job.write(top='refit = "weekly"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module.Checkpoints, "discard", kill)
        patched.setattr(module, "_recorded", _without_a_trace)
        pipeline = module_pipeline(job)
        with pytest.raises(Killed):
            module.run_job(pipeline, as_of=at(160))
    assert Store(job.store).current() == live
    ((new,),) = job.ledger("SELECT version FROM forecast_fits ORDER BY as_of DESC LIMIT 1")
    return live, new


def module_pipeline(job: Job) -> "module.Pipeline":
    from forecast.jobs.pipeline import read_pipeline

    return read_pipeline(str(job.file))


@module.contextmanager
def _without_a_trace(*_: object) -> "module.Iterator[None]":
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
    frame[frame["day"] <= "2024-06-09"].to_csv(job.folder / "sales.csv", index=False)  # no promo of days to come
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
            "forecast.jobs.publishing.sinks_of", lambda *_: (_ for _ in ()).throw(StaleData("the sink is gone"))
        )
        assert forecast("run", job.file, "--as-of", at(160)).code == 4
    assert forecast("run", job.file, "--as-of", at(170)).code == 0
    assert job.record()["version"] != live
    job.write(top='refit = "never"')
    assert forecast("run", job.file, "--as-of", at(165)).code == 0
    assert job.record()["version"] == live


def test_a_known_column_that_the_file_drops_stays_with_the_live_version(job: Job, forecast: Run, at: At) -> None:
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

    def replaced_meanwhile(*words: object) -> object:
        table = read_source(*words)
        source.write_bytes(source.read_bytes() + b"2030-01-01,north,1\n")
        return table

    read_source = module.inputs.read_source
    monkeypatch.setattr(module.inputs, "read_source", replaced_meanwhile)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert job.record()["input"]["sha256"] == read
