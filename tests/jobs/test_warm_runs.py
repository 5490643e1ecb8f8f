"""Nights of warm starts, and a night whose fit was stopped."""

import shutil
from collections.abc import Callable

import pytest

from forecast import Forecaster
from forecast.artifacts.store import Store
from tests._stops import stopped_at
from tests.conftest import At, Ran
from tests.jobs.a_job import Job

Command = Callable[..., Ran]


@pytest.fixture
def nights(job: Job) -> Job:
    """A job that fits a small network each night, from where the version that serves ended."""
    knobs = "steps = 20\nmembers = 1\nguard = false\nwarm_start = true\nparams = { hidden_size = 4, dropout = 0.2 }"
    job.write(top='refit = "daily"', train=knobs)
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"gru"'))
    return job


def test_a_night_goes_on_from_the_version_that_serves(
    nights: Job, forecast: Command, at: At
) -> None:
    assert forecast("run", nights.file, "--as-of", at(150)).code == 0
    first = Store(nights.store).load()[1]
    assert forecast("run", nights.file, "--as-of", at(151)).code == 0
    second = Forecaster.load(str(nights.store), nights.record()["fit"]["version"])
    assert second.plan_.started_from == first.hash
    assert second.plan_.members[0].warm == 1


def test_a_stopped_night_is_recorded_and_run_again_to_the_same_version(
    nights: Job, forecast: Command, at: At, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = Job(tmp_path_factory.mktemp("whole") / "job")
    shutil.copytree(nights.folder, whole.folder)
    run = ("run", nights.file, "--as-of", at(150))
    with stopped_at(7):
        assert forecast(*run).code == 143
    assert nights.record()["exit_code"] == 143
    again = forecast(*run)
    assert again.code == 0, again.err
    assert forecast("run", whole.file, "--as-of", at(150)).code == 0
    assert Store(nights.store).load()[1].hash == Store(whole.store).load()[1].hash
    assert nights.output.read_bytes() == whole.output.read_bytes()
