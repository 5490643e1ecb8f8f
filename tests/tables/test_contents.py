"""What is no table is refused by its beginning, before memory is taken for the rest."""

import gzip
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "object"]

MIB = 1 << 20
PEAK = """
import resource, sys
from forecast.errors import ForecastError
from forecast.tables.reading import read_table
from forecast.settings import TextSettings

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_table(sys.argv[1], TextSettings())
except ForecastError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def bomb(path: Path, unit: bytes, size: int = 768) -> Path:
    """A gzip file that unpacks to `size` MiB."""
    member = gzip.compress(unit * (16 * MIB // len(unit)), 1)
    path.write_bytes(member * (size // 16))
    return path


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        (b"\0", "holds a NUL byte"),
        (b" ", "begins with 64 MiB of blanks"),
        (b"\n", "begins with 64 MiB of blanks"),
        (b"a", "line 1 is longer than 64 MiB"),
        (b",", "line 1 is longer than 64 MiB"),
    ],
    ids=["zeros", "blanks", "line ends", "one cell", "one row"],
)
def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, unit: bytes, told: str) -> None:
    message, peak = refused(bomb(tmp_path / "bomb.gz", unit))
    assert told in message
    assert peak < 220  # MiB, of 768


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("bomb.csv", b"\0" * (384 * MIB))
    message, peak = refused(tmp_path / "bomb.zip")
    assert "holds a NUL byte" in message
    assert peak < 220


def refused(path: Path) -> tuple[str, int]:
    """The message that a table is refused with, and the MiB of memory that it takes."""
    done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    return message, int(peak)


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
