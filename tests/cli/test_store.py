"""Versions of a store, by --artifact or by the pipeline file of its job."""

import json
from collections.abc import Callable

import pytest

from tests.conftest import Run
from tests.jobs.a_job import Job, at, job

__all__ = ["at", "job"]  # fixtures

NAIVE = ("--model", "seasonal-naive", "--horizon", 7)


@pytest.fixture
def two(
    forecast: Run, job: Job, at: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A job that has fitted twice, and its versions, oldest first; the folder of the job is the current one."""
    monkeypatch.chdir(job.folder)
    job.write(top='refit = "daily"')
    for day in (180, 182):
        job.table(days=day)
        assert forecast("run", "job.toml", "--as-of", at(day), "--quiet").code == 0
    listed = json.loads(forecast("versions", "--artifact", "store", "--json").out)
    assert len(listed) == 2
    return [one["version"] for one in listed]


def live(forecast: Run, *place: object) -> str:
    return next(
        line.split()[0]
        for line in forecast("versions", *place).out.splitlines()
        if " live " in line
    )


@pytest.mark.parametrize("place", [("job.toml",), ("--artifact", "store")])
def test_a_store_is_named_by_its_pipeline_file_or_its_folder(
    forecast: Run, two: list[str], place: tuple[str, ...]
) -> None:
    old, new = two
    assert live(forecast, *place) == new
    back = forecast("rollback", *place)
    assert back.code == 0, back.err
    assert f"store/{old}, no longer {new}" in back.err
    assert live(forecast, *place) == old
    assert f"version  {old}" in forecast("inspect", *place).out
    assert f"live     {old}" in forecast("status", *place).out
    assert forecast("promote", new, *place).code == 0
    assert f"version  {new}" in forecast("inspect", *place).out


def test_what_was_done_by_hand_is_said_in_place_of_the_verdict(
    forecast: Run, two: list[str]
) -> None:
    for _ in range(2):
        forecast("promote", two[1], "job.toml")
    forecast("rollback", "job.toml")
    line = forecast("versions", "job.toml").out.splitlines()[1]
    assert line.endswith("job: not live: rolled back"), line
    first = forecast("versions", "job.toml").out.splitlines()[0]
    assert first.endswith("job: it is the first version")
    forecast("promote", two[1], "job.toml")
    line = forecast("versions", "job.toml").out.splitlines()[1]
    assert line.endswith("job: promoted by hand"), line


def test_a_pipeline_file_and_a_folder_do_not_go_together(forecast: Run, two: list[str]) -> None:
    for words in (("versions",), ("rollback",), ("status",), ("promote", two[0]), ("inspect",)):
        both = forecast(*words, "job.toml", "--artifact", "other")
        assert (both.code, "leave one of the two out" in both.err) == (2, True)
    folder = forecast("versions", "store")
    assert (folder.code, "--artifact store" in folder.err) == (2, True)


@pytest.mark.parametrize("wrong", ["", "latest", "v-1", "v-20240101T000000.000000Z-00000000"])
def test_a_wrong_version_id_lists_the_right_ones(forecast: Run, two: list[str], wrong: str) -> None:
    for words in (
        ("promote", wrong, "job.toml"),
        ("predict", "--artifact", "store", "--version", wrong),
        ("inspect", "--artifact", "store", "--version", wrong),
        ("backtest", "sales.csv", "--artifact", "store", "--version", wrong),
    ):
        ran = forecast(*words)
        assert ran.code == (66 if len(wrong) > 10 else 2), (words, ran.err)
        assert f"{two[1]}, {two[0]}" in ran.err, words
    assert live(forecast, "job.toml") == two[1]


def test_a_ledger_in_the_database_of_the_sink_is_told_what_was_done_by_hand(
    forecast: Run, job: Job, at: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.folder)
    job.write(
        top='refit = "daily"\nledger = "sink"', sink='url = "sqlite:///out.db"\ntable = "forecasts"'
    )
    for day in (180, 182):
        job.table(days=day)
        assert forecast("run", "job.toml", "--as-of", at(day), "--quiet").code == 0
    assert forecast("rollback", "job.toml").code == 0
    assert forecast("versions", "job.toml").out.splitlines()[1].endswith("not live: rolled back")
