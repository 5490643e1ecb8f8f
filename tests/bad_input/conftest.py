"""What a case of bad input needs beside files that can be committed: links, pipes, huge files, a held lock, a fault."""

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

Scene = Callable[[Path, pytest.MonkeyPatch], Iterator[None]]
STORE = "forecast-model"
SCENES: dict[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[None]]] = {}


def scene(function: Scene) -> Scene:
    """Register what sets a scene in the folder of a case."""
    SCENES[function.__name__] = contextmanager(function)
    return function


@pytest.fixture(scope="session")
def scenes() -> dict[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[None]]]:
    """What sets each scene, by name."""
    return SCENES


def version(folder: Path) -> Path:
    """The only version of the store."""
    return next((folder / STORE).glob("v-*"))


def sign(folder: Path, name: str, data: bytes) -> None:
    """Put another file into the version, with all its checksums mended, as someone hostile would."""
    from forecast.artifacts.manifest import dump_manifest, load_manifest

    place = version(folder)
    old = load_manifest((place / "MANIFEST.json").read_bytes(), "MANIFEST.json")
    files = {one: (place / one).read_bytes() for one in old.files} | {name: data}
    (place / name).write_bytes(data)
    repoint(folder, dump_manifest(files, old.version, old.created))


def repoint(folder: Path, manifest: bytes) -> None:
    """Write a manifest, and let the pointer vouch for it."""
    place = version(folder)
    (place / "MANIFEST.json").write_bytes(manifest)
    (folder / STORE / "CURRENT").write_text(f"{place.name} {hashlib.sha256(manifest).hexdigest()}\n")


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

    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=30), "north": [float(i % 7) for i in range(30)]})
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
    from forecast.series import memory, reading

    for module in (memory, reading):
        patch.setattr(module, "free_memory", lambda: 8 << 20)
    yield


@scene
def packed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small Parquet file of two million equal rows, and little memory."""
    import pandas as pd

    pd.DataFrame({"date": "2024-01-01", "north": [1.0] * 2_000_000}).to_parquet(folder / "packed.parquet")
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
    from forecast.series import reading

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
def locked(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another fit holds the store."""
    from forecast.artifacts.store import Store

    with Store(folder / STORE).lock():
        yield


@scene
def no_store(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """No fit has run here."""
    shutil.rmtree(folder / STORE)
    yield


@scene
def no_pointer(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store without a live version."""
    (folder / STORE / "CURRENT").unlink()
    yield


@scene
def pointer_above(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pointer leads out of the store."""
    (folder / STORE / "CURRENT").write_text(f"../{'0' * 20} {'0' * 64}\n")
    yield


@scene
def no_version(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pointer names a version that is gone."""
    shutil.rmtree(version(folder))
    yield


@scene
def linked(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of the version is a link to another place."""
    place = version(folder) / "config.json"
    place.rename(folder / "elsewhere.json")
    place.symlink_to(folder / "elsewhere.json")
    yield


@scene
def linked_version(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder of the version is a link."""
    place = version(folder)
    place.rename(folder / "elsewhere")
    place.symlink_to(folder / "elsewhere")
    yield


@scene
def oldest(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The version was written in the first format."""
    shutil.rmtree(folder / STORE)
    shutil.unpack_archive(Path(__file__).parent / "files" / "61_format_1.zip", folder / STORE)
    yield


@scene
def newer(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The version was written by a newer release."""
    manifest = (version(folder) / "MANIFEST.json").read_bytes()
    from forecast.artifacts.manifest import FORMAT

    repoint(
        folder,
        manifest.replace(b'"format": %d' % FORMAT, b'"format": 99').replace(b'"format":%d' % FORMAT, b'"format":99'),
    )
    yield


@scene
def truncated(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of the version is cut."""
    place = version(folder) / "history.safetensors"
    place.write_bytes(place.read_bytes()[:-8])
    yield


@scene
def flipped(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """One bit of a file of the version has changed."""
    place = version(folder) / "calibration.safetensors"
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)
    yield


@scene
def missing_file(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of the version is gone."""
    (version(folder) / "scaler.joblib").unlink()
    yield


class Harm:
    """What would write a file if it were unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("open('harm.txt', 'w').write('done')",)


@scene
def hostile(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pickle that runs code, with all checksums right."""
    sign(folder, "scaler.joblib", pickle.dumps(Harm()))
    yield


@scene
def hostile_settings(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A configuration whose horizon is enormous, with all checksums right."""
    settings = json.loads((version(folder) / "config.json").read_bytes())
    sign(folder, "config.json", json.dumps({**settings, "horizon": 2_000_000_000}).encode())
    yield


@scene
def no_gpu(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a GPU."""
    import torch

    patch.setattr(torch.cuda, "is_available", lambda: False)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    yield


@scene
def stops(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C comes while a network is trained."""
    on_step(patch, lambda: signal.raise_signal(signal.SIGINT))
    yield


@scene
def ends(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system ends the process while a network is trained."""
    on_step(patch, lambda: signal.raise_signal(signal.SIGTERM))
    yield


@scene
def memory_gone(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is never enough memory for a batch."""

    def fail() -> None:
        raise MemoryError

    on_step(patch, fail)
    yield


@scene
def memory_short(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is not enough memory for the first batch."""
    left = [MemoryError()]

    def fail() -> None:
        if left:
            raise left.pop()

    on_step(patch, fail)
    yield


def on_step(patch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let something happen before each step of training."""
    from forecast.training.run import Run

    take = Run.take

    def acting(self: Run, batch: object) -> float:
        act()
        return take(self, batch)  # type: ignore[arg-type]

    patch.setattr(Run, "take", acting)


@scene
def diverges(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loss is NaN at every step."""
    nan_at(patch, lambda step: True)
    yield


@scene
def stumbles(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loss is NaN once."""
    nan_at(patch, lambda step: step == 2)
    yield


def nan_at(patch: pytest.MonkeyPatch, wrong: Callable[[int], bool]) -> None:
    """Make the loss NaN at some steps, counted from 1."""
    from forecast.models.shared.model import RecurrentModel

    loss, steps = RecurrentModel.loss, [0]

    def spoiled(self: RecurrentModel, batch: object) -> object:
        steps[0] += self.training
        found = loss(self, batch)  # type: ignore[arg-type]
        return found * float("nan") if self.training and wrong(steps[0]) else found

    patch.setattr(RecurrentModel, "loss", spoiled)


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
