"""Files and folders of a case that cannot be committed, and disks that fail."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input._scenes import scene


@scene
def nothing(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files alone."""
    yield


@scene
def a_pipe(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A named pipe that nobody writes to."""
    os.mkfifo(folder / "pipe.csv")
    yield


@scene
def folders(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders: one without Parquet, one of two Parquet files, one of two that differ, one with a damaged one."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=30),
            "north": [float(i % 7) for i in range(30)],
        }
    )
    for name in ("csvs", "parts", "differing", "damaged"):
        (folder / name).mkdir()
        if name != "csvs":
            frame[:15].to_parquet(folder / name / "a.parquet")
    (folder / "csvs" / "a.csv").write_text(frame.to_csv(index=False))
    frame[15:].to_parquet(folder / "parts" / "b.parquet")
    frame[15:].rename(columns={"north": "south"}).to_parquet(folder / "differing" / "b.parquet")
    (folder / "damaged" / "b.parquet").write_bytes(b"PAR1" + bytes(20))
    yield


@scene
def huge(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of 100 TB, without a byte on disk."""
    (folder / "huge.csv").touch()
    os.truncate(folder / "huge.csv", 10**12)
    yield


@scene
def little_memory(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some megabytes of memory that are free."""
    from forecast.tables import reading, storage

    for module in (storage, reading):
        patch.setattr(module, "free_memory", lambda: 8 << 20)
    yield


@scene
def packed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small Parquet file of two million equal rows, and little memory."""
    import pandas as pd

    pd.DataFrame({"date": "2024-01-01", "north": [1.0] * 2_000_000}).to_parquet(
        folder / "packed.parquet"
    )
    yield from little_memory(folder, patch)


@scene
def standard_input(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clean table comes in on standard input."""
    data = (Path(__file__).parent / "files" / "wide.csv").read_bytes()
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    yield


@scene
def nothing_on_standard_input(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing comes in."""
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    yield


def written(folder: Path, patch: pytest.MonkeyPatch, kept: int, more: bytes) -> Iterator[None]:
    """Another process writes to wide.csv while it is read: first a part of it is there, then more."""
    from forecast.tables import reading

    path, parse = folder / "wide.csv", reading._from_bytes
    path.write_bytes(path.read_bytes()[:kept])

    def parse_while_written(data: bytes, name: str, settings: object) -> object:
        with path.open("ab") as file:
            file.write(more)
        return parse(data, name, settings)

    patch.setattr(reading, "_from_bytes", parse_while_written)
    yield


@scene
def being_written(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The last line that was read is cut within a number."""
    yield from written(folder, patch, -2, b".9\n")


@scene
def appended(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whole lines were read, and another one came."""
    yield from written(folder, patch, 10_000, b"2024-01-31,1.0,2.0\n")


@scene
def full_disk(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The disk is full as soon as something is written; there was an output before."""
    (folder / "out.csv").write_text("old\n")
    write = os.write

    def fail(descriptor: int, data: bytes) -> int:
        if descriptor > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    patch.setattr(os, "write", fail)
    yield


@scene
def old_output(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """There was an output before, and a folder called like one."""
    (folder / "out.csv").write_text("old\n")
    (folder / "folder.csv").mkdir()
    yield
