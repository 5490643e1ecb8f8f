"""A folder with all that the documentation reads."""

import shutil
from pathlib import Path

import pytest

from tests.docs._pages import ROOT
from tests.docs._shrinking import short_pipeline
from tests.docs._standins import write_all


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documentation reads; pipelines have little to train."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "data", folder / "data")
    (folder / "pipelines").mkdir()
    for path in (ROOT / "pipelines").glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        (folder / "pipelines" / path.name).write_text(short_pipeline(text), encoding="utf-8")
    write_all(folder)
    return folder


@pytest.fixture
def checkout(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, tmp_path / "checkout")
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"
