"""An output of a command never takes the place of what it reads: a table, or a file of a store."""

from pathlib import Path
from shlex import split

import pytest

from tests.conftest import Run
from tests.jobs.a_job import kept_files


def test_commands_refuse_to_write_over_what_they_read(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(
        "day,units\n" + "".join(f"2024-01-{day:02},{day % 7}\n" for day in range(1, 31))
    )
    assert forecast("fit", "t.csv", "--model", "last", "--horizon", 2).code == 0
    assert forecast("predict", "--output", "f.csv").code == 0
    before = kept_files(tmp_path)
    for words in (
        ["predict", "t.csv", "--output", "t.csv"],
        ["predict", "--output", "forecast-model/CURRENT"],
        split("backtest t.csv --model last --horizon 2 --windows 1 --forecasts t.csv"),
        split("backtest t.csv --model last --horizon 2 --windows 1 --output ./t.csv"),
        ["score", "f.csv", "t.csv", "--output", "t.csv"],
        ["score", "f.csv", "t.csv", "--output", "f.csv"],
    ):
        ran = forecast(*words)
        assert ran.code == 2, words
        assert "write to" in ran.err
    assert kept_files(tmp_path) == before


def test_forecasts_do_not_join_the_folder_that_is_read(forecast: Run, tmp_path: Path) -> None:
    folder, store = tmp_path / "tables", tmp_path / "store"
    folder.mkdir()
    assert forecast("synth", "noise", "--output", folder / "a.parquet").code == 0
    assert forecast("fit", folder, "--model", "last", "--horizon", 2, "--artifact", store).code == 0
    ran = forecast("predict", folder, "--artifact", store, "--output", folder / "b.parquet")
    assert ran.code == 2
    assert "is in the folder of the table that is read" in ran.err
