"""A table from the content of its file, and databases to write to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from forecast.tables.table import Table
from tests._databases import forecasts, postgresql, rows, run, server, url

__all__ = ["forecasts", "postgresql", "read", "rows", "run", "server", "url"]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Table]:
    def read_content(content: str | bytes, **settings: str) -> Table:
        path = tmp_path / "sales.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(str(path), TextSettings(**settings))

    return read_content
