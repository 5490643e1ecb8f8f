"""Stores of a case that are missing, damaged, foreign or held."""

import hashlib
import json
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input._scenes import STORE, scene


def version(folder: Path) -> Path:
    """The only version of the store."""
    return next((folder / STORE).glob("v-*"))


def sign(folder: Path, name: str, data: bytes) -> None:
    """Put another file into the version, with all its checksums mended, as someone hostile would."""
    from forecast.artifacts.format import dump_manifest, load_manifest

    place = version(folder)
    old = load_manifest((place / "MANIFEST.json").read_bytes(), "MANIFEST.json")
    files = {one: (place / one).read_bytes() for one in old.files} | {name: data}
    (place / name).write_bytes(data)
    repoint(folder, dump_manifest(files, old.version, old.created))


def repoint(folder: Path, manifest: bytes) -> None:
    """Write a manifest, and let the pointer vouch for it."""
    place = version(folder)
    (place / "MANIFEST.json").write_bytes(manifest)
    (folder / STORE / "CURRENT").write_text(
        f"{place.name} {hashlib.sha256(manifest).hexdigest()}\n"
    )


@scene
def no_store(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """No fit has run here."""
    shutil.rmtree(folder / STORE)
    yield


@scene
def another_job(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store belongs to another job, whose file is there."""
    owner = {
        "id": "0" * 12,
        "job": "nightly",
        "file": "/srv/nightly.toml",
    }
    (folder / STORE / "OWNER").write_text(json.dumps(owner))
    yield


@scene
def owner_damaged(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file that names the owner of the store was cut."""
    (folder / STORE / "OWNER").write_text('{"id": "000000000000", "sto')
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
    repoint(folder, re.sub(rb'"format": ?\d+', b'"format": 99', manifest))
    yield


@scene
def truncated(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of the version is cut."""
    place = version(folder) / "arrays.safetensors"
    place.write_bytes(place.read_bytes()[:-8])
    yield


@scene
def flipped(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """One bit of a file of the version has changed."""
    place = version(folder) / "weights.safetensors"
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)
    yield


@scene
def missing_file(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of the version is gone."""
    (version(folder) / "config.json").unlink()
    yield


class Harm:
    """What would write a file if it were unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("open('harm.txt', 'w').write('done')",)


@scene
def hostile(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pickle that runs code in the place of the scaler, with all checksums right."""
    sign(folder, "config.json", pickle.dumps(Harm()))
    yield


@scene
def hostile_settings(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A configuration whose horizon is enormous, with all checksums right."""
    config = json.loads((version(folder) / "config.json").read_bytes())
    config["config"]["horizon"] = 2_000_000_000
    sign(folder, "config.json", json.dumps(config).encode())
    yield


@scene
def locked(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another fit holds the store."""
    from forecast.artifacts.store import Store

    with Store(folder / STORE).lock():
        yield
