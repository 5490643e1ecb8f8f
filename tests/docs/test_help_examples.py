"""The examples that help shows, and the reference repeats, run; each by itself, beside a store and a job."""

import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from forecast.artifacts.store import Store
from tests.conftest import Run
from tests.docs._blocks import blocks, commands
from tests.docs._pages import PAGES
from tests.docs._shrinking import reason, short, short_pipeline
from tests.docs._standins import sales, write_missing

REFERENCE = PAGES["docs/commands.md"].read_text(encoding="utf-8")
EXAMPLES = [
    each.text for block in blocks(REFERENCE) if block.is_commands for each in commands(block)
]
JOB = 'store = "shops"\n[source]\npath = "job.csv"\n[train]\nhorizon = 7\n[sink]\npath = "job-forecasts.csv"\n'
LAST_MONTH = (date.today() - timedelta(days=31)).isoformat()
FIT = ("--horizon", "28", "--model", "linear", "--steps", "5", "--members", "1")


@pytest.fixture
def beside(
    forecast: Run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with all that an example takes for granted."""
    folder = tmp_path_factory.mktemp("beside")
    monkeypatch.chdir(folder)
    sales(folder / "job.csv")
    (folder / "job.toml").write_text(short_pipeline(JOB), encoding="utf-8")
    for words in (
        *[
            ("fit", "job.csv", *FIT, "--artifact", store)
            for store in ("forecast-model", "shops", "shops")
        ],
        ("predict", "job.csv", "--origin", LAST_MONTH, "--output", "forecasts.csv"),
        ("backtest", "job.csv", "--model", "theta", "--windows", "2", "--output", "tests.json"),
        ("run", "job.toml", "--take-over"),
    ):
        assert forecast(*words).code == 0, words
    return folder


@pytest.mark.slow
def test_every_example_runs(
    beside: Path, forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(EXAMPLES) > 40
    live = Store(str(beside / "shops")).versions()[0].id
    shutil.copytree(beside, tmp_path / "before")
    for text in (each for each in EXAMPLES if not reason(each)):
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(beside)
        shutil.copytree(
            tmp_path / "before", beside
        )  # in its place: a store knows the job that it belongs to
        monkeypatch.chdir(beside)
        known = {"north": "a", "2026-01-31": LAST_MONTH, "v-20260131T020000.000000Z-1ab4a977": live}
        words = [known.get(word, word) for word in text.split()]
        if "--what-if" in words:
            column = words[words.index("--what-if") + 1].partition("=")[0]
            sales(beside / "known.csv", others=[column])
            sales(beside / words[words.index("--future") + 1], others=[column], ahead=28)
            assert forecast("fit", "known.csv", *FIT, "--known", column).code == 0
        write_missing(beside, words)
        ran = forecast(*short(words)[1:])
        assert ran.code == 0, f"{text}: {ran.err}"
        written = [words[at + 1] for at, word in enumerate(words) if word == "--output"]
        assert all(os.path.getsize(file) for file in written)
