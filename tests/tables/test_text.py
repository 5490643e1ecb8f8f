"""A text whose records do not fit into memory is refused before it is cut."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "object"]


def test_too_many_columns_are_refused_before_they_are_cut(forecast: Run, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes(b"," * 2_000_000 + b"\n" + b"," * 2_000_000 + b"\n")
    ran = forecast("inspect", path)
    assert ran.code == 65
    assert "wide.csv line 1 has 2,000,001 columns; is this a table at all?" in ran.err


def test_many_short_rows_count_towards_memory(forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "short.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 500_000))
    monkeypatch.setattr("forecast.tables.memory.free_memory", lambda: 25_000_000)
    ran = forecast("inspect", path)
    assert ran.code == 69
    assert "short.csv.gz takes " in ran.err
