"""Hostile files: pickles that run code, links, pipes and devices in place of files, paths that lead elsewhere."""

import bz2
import gzip
import json
import lzma
import os
import pickle
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from forecast.artifacts.store import Store
from tests.faults._stores import (
    NAMES,
    VERSION,
    Case,
    Runs,
    joblib_bytes,
    plain_files,
    signed,
    tensors,
    with_file,
    with_old_scaler,
    write_store,
)

MARK = "/tmp/forecast-hostile-ran"  # what every payload would create


def cases() -> Iterator[Case]:
    """Every case, by kind."""
    for kind in (_pickles, _elsewhere, _links, _paths):
        yield from kind()


def opcodes() -> Iterator[tuple[str, bytes]]:
    """Pickles that would create `MARK`, or build something that is not plain, by the step that does it."""
    mark = MARK.encode()
    text = b"\x8c" + bytes([len(mark)]) + mark
    call = b"cposix\nmkdir\n(V" + mark + b"\ntR."
    yield "GLOBAL and REDUCE", b"\x80\x04" + call
    yield "STACK_GLOBAL", b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93" + text + b"\x85R."
    yield (
        "STACK_GLOBAL of names from the memo",
        (b"\x80\x04\x8c\x05mkdir\x94\x8c\x05posix\x94h\x01h\x00\x93" + text + b"\x85R."),
    )
    yield "INST", b"\x80\x04(V" + mark + b"\niposix\nmkdir\n."
    yield "OBJ", b"\x80\x04(cposix\nmkdir\nV" + mark + b"\no."
    yield "NEWOBJ", b"\x80\x04cos\n_wrap_close\n)\x81."
    yield "NEWOBJ_EX", b"\x80\x04cbuiltins\nobject\n)}\x92."
    yield "BUILD", b"\x80\x04}}b."
    yield "BUILD with a slot state", b"\x80\x04}}}\x86b."
    yield "EXT1", b"\x80\x04\x82\x01."
    yield "EXT4", b"\x80\x04\x84\x01\x00\x00\x00."
    yield "PERSID", b"\x80\x04Pmodule\n."
    yield "BINPERSID", b"\x80\x04Vmodule\nQ."
    yield "REDUCE of text", b"\x80\x04" + text + b")R."
    yield "a second pickle behind the first", b"\x80\x04}." + call
    yield "a payload inside a FRAME", b"\x80\x04\x95" + struct.pack("<Q", len(call)) + call
    yield "a payload in a key", b"\x80\x04}" + call[:-1] + b"Ns."
    yield "builtins.eval", b"\x80\x04cbuiltins\neval\n(Vopen('" + mark + b"','w')\ntR."
    yield "a name with dots", b"\x80\x04\x8c\x02os\x8c\x0bpath.os.mkdir\x93" + text + b"\x85R."
    yield "NEXT_BUFFER", b"\x80\x04\x97."
    yield "BYTEARRAY8", b"\x80\x04\x96" + struct.pack("<Q", 2**62) + b"."
    yield "DUP, POP and PUT", b"\x80\x04}2q\x05q\xff0."


def _pickles() -> Iterator[Case]:
    for name, data in opcodes():
        yield Case(f"scaler: {name}", with_old_scaler(data))
    payloads = {"os.mkdir": Runs(os.mkdir, MARK), "builtins.exec": Runs(exec, f"open({MARK!r}, 'w')")}
    for protocol in range(6):
        for name, payload in payloads.items():
            data = pickle.dumps(payload, protocol)
            yield Case(f"scaler: {name}, protocol {protocol}", with_old_scaler(data))
    nested = {"statistics": {"known": [], "past": [], "static": []}, "level": [payloads["os.mkdir"]]}
    yield Case("scaler: a payload deep inside", with_old_scaler(pickle.dumps(nested, 4)))
    objects = np.array([payloads["os.mkdir"]], dtype=object)
    for name, value in {
        "numpy objects": {"level": objects},
        "numpy array": {"level": np.ones(3)},
        "numpy number": {"level": np.float64(1)},
        "torch-like class": {"level": Store("x")},
        "set": {"level": {1, 2}},
        "bytes": {"level": b"1"},
        "tuple": {"level": (1, 2)},
        "complex": {"level": 1j},
    }.items():
        yield Case(f"scaler: {name}", with_old_scaler(joblib_bytes(value)))
    for kind in ("zlib", "gzip", "bz2", "lzma", "xz"):
        data = joblib_bytes(payloads["os.mkdir"], (kind, 3))
        yield Case(f"scaler: a payload, {kind}", with_old_scaler(data))
    memo = b"".join(b"]\x94(h" + bytes([n]) + b"h" + bytes([n]) + b"e" for n in range(60))
    yield Case("scaler: doubles at every step", with_old_scaler(b"\x80\x04}\x8c\x01a]\x94" + memo + b"s."))
    yield Case("scaler: a list that holds itself", with_old_scaler(b"\x80\x04}\x8c\x01a]\x94h\x00as."))
    deep = b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b"."
    yield Case("scaler: 200,000 lists in each other", with_old_scaler(deep))
    yield Case("scaler: 20,000,000 steps", with_old_scaler(lambda: b"\x80\x04](" + b"N" * 20_000_000 + b"e."))
    yield Case("scaler: text of 2**62 bytes", with_old_scaler(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"."))
    yield Case("scaler: a memo of 2**31 entries", with_old_scaler(b"\x80\x04}r\xff\xff\xff\x7f."))
    yield Case("scaler: a number of 2,000 digits", with_old_scaler(pickle.dumps({"level": [10**2000]}, 4)))
    yield Case("scaler: nothing", with_old_scaler(b""))
    yield Case("scaler: a zip", with_old_scaler(b"PK\x03\x04" + b"\0" * 100))
    for name, squeeze in {
        "zlib": zlib.compress,
        "gzip": gzip.compress,
        "bz2": bz2.compress,
        "lzma": lzma.compress,
    }.items():
        bomb = squeeze(b"\x80\x04" + b"\0" * 50_000_000)
        yield Case(f"scaler: a bomb, {name}", with_old_scaler(bomb))


def _elsewhere() -> Iterator[Case]:
    """Pickles where other files are expected."""
    payload = pickle.dumps(Runs(os.mkdir, MARK), 4)
    for name in NAMES:
        yield Case(f"{name}: a pickle", with_file(name, payload))
    yield Case("MANIFEST.json: a pickle", lambda place: write_store(place, plain_files(), payload))
    yield Case("CURRENT: a pickle", lambda place: _after(place, lambda folder: _write(place / "CURRENT", payload)))
    yield Case(
        "model.safetensors: a torch file",
        with_file("model.safetensors", b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl" + payload),
    )
    yield Case(
        "model.safetensors: objects in the payload",
        with_file(
            "model.safetensors", tensors({"w": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, payload[:8])
        ),
    )
    yield Case(
        "a pickle beside scaler.json", lambda place: write_store(place, {**plain_files(), "scaler.joblib": payload})
    )
    yield Case(
        "a sound pickle in place of scaler.json",
        lambda place: write_store(place, {**_without_scaler(), "scaler.joblib": joblib_bytes({"level": [1.0]})}),
    )
    yield Case(
        "format 1 with a scaler.json",
        lambda place: write_store(place, plain_files(), signed(plain_files(), 1)),
    )
    yield Case("a pickle beside the files", lambda place: write_store(place, {**plain_files(), "model.pt": payload}))
    yield Case(
        "a Python file beside the files",
        lambda place: _after(
            place, lambda folder: _write(folder / "sitecustomize.py", b"open('" + MARK.encode() + b"', 'w')")
        ),
        harmless="a file that the manifest does not name is not read",
    )


def _without_scaler() -> dict[str, bytes]:
    return {name: data for name, data in plain_files().items() if name != "scaler.json"}


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
        yield Case(f"{name}: a link to /dev/zero", _instead(name, lambda path: os.symlink("/dev/zero", path)))
        yield Case(f"{name}: a link to /etc/passwd", _instead(name, lambda path: os.symlink("/etc/passwd", path)))
        yield Case(f"{name}: a link to itself", _instead(name, lambda path: os.symlink(path, path)))
    yield Case("config.json: a device", _instead("config.json", _device))
    yield Case(
        "config.json: a hard link",
        _instead("config.json", os.link),
        harmless="the bytes are those that the manifest promises",
    )
    yield Case("config.json: a hard link to another file", _instead("config.json", _other_file))
    yield Case("history.safetensors: 1 TB of holes", _instead("history.safetensors", lambda path: _holes(path, 2**40)))
    yield Case("CURRENT: 1 TB of holes", _instead("CURRENT", lambda path: _holes(path, 2**40)))
    yield Case(
        "a lock that is a link",
        lambda place: _after(place, lambda folder: os.symlink("/etc/passwd", place / ".lock")),
        harmless="reading takes no lock, and writing does not follow it",
    )
    yield Case(
        "the store is a link",
        lambda place: (write_store(place.parent / f"real-{place.name}", plain_files()), _relink(place)),
        harmless="which folder is read is the user's choice",
    )
    yield Case(
        "checkpoints that are pickles and links",
        lambda place: _after(place, lambda folder: _resume(place)),
        harmless="predict reads no checkpoint",
    )


def _relink(place: Path) -> None:
    if place.is_dir():
        place.rmdir()
    place.symlink_to(place.parent / f"real-{place.name}")


def _resume(place: Path) -> None:
    folder = place / ".resume"
    folder.mkdir()
    (folder / "state.joblib").write_bytes(pickle.dumps(Runs(os.mkdir, MARK)))
    (folder / "state.pt").symlink_to("/etc/passwd")


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
            lambda place, text=text: _after(place, lambda folder: _write(place / "CURRENT", text.encode())),
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
        yield Case(f"manifest: a file called {name!r}", lambda place, name=name: _named(place, name))
    for size in (2**62, 2**31 + 1, -1):
        yield Case(f"manifest: a file of {size} bytes", lambda place, size=size: _sized(place, size))
    for name, change in {
        "the version of another folder": {"version": "v-20300101T000000.000000Z-ffffffff"},
        "a version that is a path": {"version": "../x"},
        "format 4": {"format": 4, "needs": ">=9"},
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
