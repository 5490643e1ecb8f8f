"""A table from the content of its file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from forecast.tables.table import Table


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Table]:
    def read_content(content: str | bytes, **settings: str) -> Table:
        path = tmp_path / "sales.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(str(path), TextSettings(**settings))

    return read_content
