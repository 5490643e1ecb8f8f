"""A text whose records do not fit into memory is refused before it is cut."""

import gzip
import zipfile
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
    monkeypatch.setattr("forecast.tables.contents.free_memory", lambda: 25_000_000)
    ran = forecast("inspect", path)
    assert ran.code == 69
    assert "short.csv.gz takes " in ran.err


ROW = b"n1,2024-01-01,1.50\n"


@pytest.mark.parametrize(
    ("rows", "free"),
    [(500_000, 100_000_000), pytest.param(100_000_000, 20 << 30, marks=pytest.mark.slow)],
)
def test_a_zip_that_unpacks_to_too_many_rows_is_refused_before_it_is_unpacked(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, free: int
) -> None:
    path, at_once = tmp_path / "sales.zip", 250_000
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("sales.csv", "w", force_zip64=True) as file,
    ):
        file.write(b"shop,day,units\n")
        for _ in range(rows // at_once):
            file.write(at_once * ROW)
    data = bytearray(path.read_bytes())
    assert len(data) < 4_700_000
    data[len(data) * 9 // 10 : len(data) * 9 // 10 + 50] = bytes(50)  # who unpacks it finds that it is damaged
    path.write_bytes(data)
    for module in ("contents", "reading"):
        monkeypatch.setattr(f"forecast.tables.{module}.free_memory", lambda: free)
    ran = forecast("inspect", path)
    assert ran.code == 69, ran.err
    assert "sales.zip takes " in ran.err
    assert "unpack it (a plain table is read in parts), split it by series or shorten its history" in ran.err
    monkeypatch.setattr("forecast.tables.contents.free_memory", lambda: 1 << 40)
    monkeypatch.setattr("forecast.tables.reading.free_memory", lambda: 1 << 40)
    if rows == 500_000:
        assert forecast("inspect", path).code == 65


def test_a_gzip_is_unpacked_no_further_than_its_rows_fit(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sales.csv.gz"
    packed = gzip.compress(b"shop,day,units\n" + 400_000 * ROW)
    path.write_bytes(packed + packed[:-20])  # two members, of which the second one is cut
    for module in ("contents", "reading"):
        monkeypatch.setattr(f"forecast.tables.{module}.free_memory", lambda: 140_000_000)
    ran = forecast("inspect", path)
    assert ran.code == 69, ran.err
    monkeypatch.setattr("forecast.tables.reading.free_memory", lambda: 1 << 40)
    assert forecast("inspect", path).code == 65
