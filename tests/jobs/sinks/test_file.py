"""A file that cannot be written is refused before any work."""

import os
from pathlib import Path
from typing import Any

import pytest

from forecast.errors import CannotCreate
from forecast.jobs.sinks import file

UNUSED: Any = None  # only a database looks at the table and its schema


def check(path: Path) -> str:
    return file.check(file.Settings(path=str(path)), UNUSED, UNUSED, UNUSED)


def test_a_new_file_and_one_to_replace_can_be_written(tmp_path: Path) -> None:
    assert check(tmp_path / "new" / "out.csv").endswith("out.csv can be written")
    (tmp_path / "old.csv").touch()
    assert check(tmp_path / "old.csv").endswith("old.csv can be written")


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everything"
)
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.csv").touch(0o400)
    with pytest.raises(CannotCreate, match=r"old.csv: may not be written"):
        check(tmp_path / "old.csv")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CannotCreate, match=r"folder.csv: is a folder; name a file in it"):
        check(tmp_path / "folder.csv")
