"""An output never takes the place of what is read: a table, a pipeline file, or a file of a store."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]


def _kept(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ("sales.csv", "is the table of [source] path"),
        ("link.csv", "is the table of [source] path"),
        ("job.toml", "is the pipeline file"),
        ("store/CURRENT", "would replace a file of the store"),
        ("store/v-1/out.csv", "would replace a file of the store"),
        ("store.runs/ledger.db", "would replace a file of the store"),
    ],
)
def test_a_sink_that_is_read_is_refused_and_kept(job: Job, forecast: Run, at: At, sink: str, said: str) -> None:
    job.write()
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    os.symlink("sales.csv", job.folder / "link.csv")
    job.file.write_text(job.file.read_text().replace("out.csv", sink))
    before = _kept(job.folder)
    for words in (["--as-of", at(151)], ["--check"]):
        ran = forecast("run", job.file, *words)
        assert ran.code == 2
        assert f"[sink] path {job.folder / sink} {said}" in ran.err
    assert _kept(job.folder) == before


def test_an_output_of_a_run_is_no_file_that_it_reads(job: Job, forecast: Run, at: At) -> None:
    job.write()
    before = job.file.read_bytes()
    ran = forecast("run", job.file, "--as-of", at(150), "--output", job.file)
    assert ran.code == 2
    assert "is the pipeline file" in ran.err
    assert job.file.read_bytes() == before


def test_a_sink_may_lie_in_the_folder_of_the_store_beside_its_files(job: Job, forecast: Run, at: At) -> None:
    job.write()
    job.file.write_text(job.file.read_text().replace("out.csv", "store/out.csv"))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0


def test_commands_refuse_to_write_over_what_they_read(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("day,units\n" + "".join(f"2024-01-{day:02},{day % 7}\n" for day in range(1, 31)))
    assert forecast("fit", "t.csv", "--model", "last", "--horizon", 2).code == 0
    assert forecast("predict", "--output", "f.csv").code == 0
    before = _kept(tmp_path)
    for words in (
        ["predict", "t.csv", "--output", "t.csv"],
        ["predict", "--output", "forecast-model/CURRENT"],
        ["backtest", "t.csv", "--model", "last", "--horizon", 2, "--windows", 1, "--forecasts", "t.csv"],
        ["backtest", "t.csv", "--model", "last", "--horizon", 2, "--windows", 1, "--output", "./t.csv"],
        ["score", "f.csv", "t.csv", "--output", "t.csv"],
        ["score", "f.csv", "t.csv", "--output", "f.csv"],
    ):
        ran = forecast(*words)
        assert ran.code == 2, words
        assert "write to" in ran.err
    assert _kept(tmp_path) == before


def test_forecasts_do_not_join_the_folder_that_is_read(forecast: Run, tmp_path: Path) -> None:
    folder, store = tmp_path / "tables", tmp_path / "store"
    folder.mkdir()
    assert forecast("synth", "toy", "--output", folder / "a.parquet").code == 0
    assert forecast("fit", folder, "--model", "last", "--horizon", 2, "--artifact", store).code == 0
    ran = forecast("predict", folder, "--artifact", store, "--output", folder / "b.parquet")
    assert ran.code == 2
    assert "is in the folder of the table that is read" in ran.err
