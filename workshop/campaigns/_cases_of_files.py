"""Hostile files: pickles that run code, links, pipes and devices in place of files, paths that lead elsewhere."""

import json
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forecast.artifacts.format import FORMAT
from workshop.campaigns._stores import (
    NAMES,
    VERSION,
    Case,
    Runs,
    plain_files,
    signed,
    tensors,
    with_file,
    write_store,
)

MARK = "/tmp/forecast-hostile-ran"  # what every payload would create


def cases() -> Iterator[Case]:
    """Every case, by kind."""
    for kind in (_elsewhere, _links, _paths):
        yield from kind()


def _elsewhere() -> Iterator[Case]:
    """Pickles where other files are expected."""
    payload = pickle.dumps(Runs(os.mkdir, MARK), 4)
    for name in NAMES:
        yield Case(f"{name}: a pickle", with_file(name, payload))
    yield Case("MANIFEST.json: a pickle", lambda place: write_store(place, plain_files(), payload))
    yield Case(
        "CURRENT: a pickle",
        lambda place: _after(place, lambda folder: _write(place / "CURRENT", payload)),
    )
    yield Case(
        "weights.safetensors: a torch file",
        with_file("weights.safetensors", b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl" + payload),
    )
    yield Case(
        "weights.safetensors: objects in the payload",
        with_file(
            "weights.safetensors",
            tensors({"w": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, payload[:8]),
        ),
    )
    yield Case(
        "a pickle beside config.json",
        lambda place: write_store(place, {**plain_files(), "scaler.joblib": payload}),
    )
    yield Case(
        "format 1",
        lambda place: write_store(place, plain_files(), signed(plain_files(), 1)),
    )
    yield Case(
        "a pickle beside the files",
        lambda place: write_store(place, {**plain_files(), "model.pt": payload}),
    )
    yield Case(
        "a Python file beside the files",
        lambda place: _after(
            place,
            lambda folder: _write(
                folder / "sitecustomize.py", b"open('" + MARK.encode() + b"', 'w')"
            ),
        ),
        harmless="a file that the manifest does not name is not read",
    )


# Files that are no files


def _after(place: Path, change: Callable[[Path], object]) -> None:
    """A sound store, then `change` of its version's folder."""
    change(write_store(place, plain_files()))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A store in which something else stands where a file should; CURRENT and the version lie in the store itself."""

    def write(place: Path) -> None:
        folder = write_store(place, plain_files())
        path = place / name if name in ("CURRENT", VERSION) else folder / name
        aside = place.parent / f"aside-{place.name}"
        path.rename(aside)
        make_from(path, aside)

    def make_from(path: Path, aside: Path) -> None:
        if make is os.symlink:
            path.symlink_to(aside)
        elif make is os.link:
            os.link(aside, path)
        else:
            make(path)

    return write


def _links() -> Iterator[Case]:
    every = (*NAMES, "MANIFEST.json", "CURRENT")
    for name in (*every, VERSION):
        yield Case(f"{name}: a symbolic link", _instead(name, os.symlink))
    for name in every:
        yield Case(f"{name}: a named pipe", _instead(name, os.mkfifo))
        yield Case(f"{name}: a folder", _instead(name, os.mkdir))
    for name in ("config.json", "CURRENT"):
        yield Case(f"{name}: a socket", _instead(name, _socket))
        yield Case(
            f"{name}: a link to /dev/zero",
            _instead(name, lambda path: os.symlink("/dev/zero", path)),
        )
        yield Case(
            f"{name}: a link to /etc/passwd",
            _instead(name, lambda path: os.symlink("/etc/passwd", path)),
        )
        yield Case(f"{name}: a link to itself", _instead(name, lambda path: os.symlink(path, path)))
    yield Case("config.json: a device", _instead("config.json", _device))
    yield Case(
        "config.json: a hard link",
        _instead("config.json", os.link),
        harmless="the bytes are those that the manifest promises",
    )
    yield Case("config.json: a hard link to another file", _instead("config.json", _other_file))
    yield Case(
        "arrays.safetensors: 1 TB of holes",
        _instead("arrays.safetensors", lambda path: _holes(path, 2**40)),
    )
    yield Case("CURRENT: 1 TB of holes", _instead("CURRENT", lambda path: _holes(path, 2**40)))
    yield Case(
        "a lock that is a link",
        lambda place: _after(place, lambda folder: os.symlink("/etc/passwd", place / ".lock")),
        harmless="reading takes no lock, and writing does not follow it",
    )
    yield Case(
        "the store is a link",
        lambda place: (
            write_store(place.parent / f"real-{place.name}", plain_files()),
            _relink(place),
        ),
        harmless="which folder is read is the user's choice",
    )


def _relink(place: Path) -> None:
    if place.is_dir():
        place.rmdir()
    place.symlink_to(place.parent / f"real-{place.name}")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:  # only root may
        path.symlink_to("/dev/zero")


def _other_file(path: Path) -> None:
    other = path.parent.parent / "other"
    other.write_text("root:x:0:0")
    os.link(other, path)


def _holes(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


# Paths


def _paths() -> Iterator[Case]:
    digest = "0" * 64
    for text in (
        f"../../{VERSION} {digest}\n",
        f"/etc/{VERSION} {digest}\n",
        f"/etc/passwd {digest}\n",
        f"{VERSION}/../{VERSION} {digest}\n",
        f"{VERSION}\0 {digest}\n",
        f"{VERSION} {digest}\n{VERSION} {digest}\n",
        f"{VERSION.replace('2030', '٢٠٣٠')} {digest}\n",
        "v-99999999T999999.999999Z-00000000 " + digest + "\n",
        "",
        "latest\n",
    ):
        yield Case(
            f"CURRENT: {text[:40]!r}",
            lambda place, text=text: _after(
                place, lambda folder: _write(place / "CURRENT", text.encode())
            ),
        )
    for name in (
        "../../../etc/passwd",
        "/etc/passwd",
        "config.json/../config.json",
        "./config.json",
        "config.json\0",
        "sub/config.json",
        "",
        "CONFIG.JSON",
        "MANIFEST.json",
    ):
        yield Case(
            f"manifest: a file called {name!r}", lambda place, name=name: _named(place, name)
        )
    for size in (2**62, 2**31 + 1, -1):
        yield Case(
            f"manifest: a file of {size} bytes", lambda place, size=size: _sized(place, size)
        )
    for name, change in {
        "the version of another folder": {"version": "v-20300101T000000.000000Z-ffffffff"},
        "a version that is a path": {"version": "../x"},
        "a later format": {"format": FORMAT + 1, "needs": ">=9"},
        "format 1.0": {"format": 1.0},
        "format true": {"format": True},
        "a hash of other files": {"hash": digest},
        "no files": {"files": {}},
        "packages that are numbers": {"packages": {"torch": 1}},
        "a key too many": {"hook": "os.system"},
    }.items():
        yield Case(f"manifest: {name}", lambda place, change=change: _manifest(place, change))


def _manifest(place: Path, change: dict[str, Any]) -> None:
    files = plain_files()
    write_store(place, files, json.dumps(json.loads(signed(files)) | change).encode())


def _named(place: Path, name: str) -> None:
    write_store(place, plain_files(), signed({**plain_files(), name: b"root"}))


def _sized(place: Path, size: int) -> None:
    manifest = json.loads(signed(plain_files()))
    manifest["files"]["config.json"]["size"] = size
    write_store(place, plain_files(), json.dumps(manifest).encode())
