"""Keep versions of a forecaster in a folder, with a pointer to the live one, safe from crashes."""

import fnmatch
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forecast import durable
from forecast.artifacts.format import (
    MANIFEST,
    SIZE_LIMITS,
    Contents,
    Manifest,
    artifact_hash,
    decode,
    dump_manifest,
    encode,
    load_manifest,
    saved_at,
    version_id,
)
from forecast.errors import ArtifactRefused, CannotCreate, NoInput, Setting, UsageError
from forecast.logs import log
from forecast.settings import DEFAULT_STORE

POINTER = "CURRENT"
LOCK = ".lock"
OWNER = "OWNER"  # says which job the store belongs to; a store of `fit` alone has none
VERSIONS_NAMED = 5  # the number of versions that a message lists
READ_ATTEMPTS = 3  # attempts to read a version that another process may be pruning

_POINTER = re.compile(r"(v-[0-9TZ.]+-[0-9a-f]{8}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class VersionInfo:
    """One version: id, the artifact's hash, and when it was saved (UTC); ids sort in that order."""

    id: str
    hash: str
    created: datetime


class Store:
    """A folder of versions; only writing needs its lock: ``with store.lock() as writer``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @contextmanager
    def lock(self, wait: float = DEFAULT_STORE.wait) -> Iterator["Writer"]:
        """Hold the store, which is created, for writing; Busy after `wait` seconds."""
        durable.make_directory(self.path)
        self._refuse_foreign_folder()
        with durable.lock_file(self.path / LOCK, wait):
            for name in fnmatch.filter(self._names(), durable.TEMPORARY):
                durable.remove(self.path / name)
            yield Writer(self)

    def load(self, version: str | None = None) -> tuple[Contents, VersionInfo]:
        """The contents of a version, by default the live one.

        Raises NoInput, ArtifactRefused, StorageFailure.
        """
        return self._load_and_verify(version)[:2]

    def versions(self) -> list[VersionInfo]:
        """Return all versions, oldest first; raises as `load` does."""
        infos = []
        for version in self._version_ids():
            with suppress(FileNotFoundError):  # pruned meanwhile
                infos.append(self._manifest(version)[1])
        return infos

    @property
    def empty(self) -> bool:
        """Whether no version is live: there is no pointer, or no store."""
        return not os.path.lexists(self.path / POINTER)

    def current(self) -> str:
        """Return the id of the live version; raises as `load` does."""
        return self._pointer()[0]

    def note(self, name: str, most: int) -> bytes | None:
        """Read a file that lies beside the versions, of `most` bytes at most; None if it is missing."""
        try:
            return durable.read_file(self.path / name, most) if self.path.is_dir() else None
        except FileNotFoundError:
            return None

    def _load_and_verify(self, version: str | None) -> tuple[Contents, VersionInfo, str]:
        """Contents and info of a version, and the sha256 of its manifest."""
        if version is not None and saved_at(version) is None:
            raise UsageError(f"{version!r} is not a version id; {self.path} holds {self._known()}")
        missing: str | None = None
        for _ in range(READ_ATTEMPTS):
            try:
                return self._read(version)
            except FileNotFoundError as error:
                # pruned between a look at its name and one at its files
                missing = error.filename
        raise ArtifactRefused(f"{missing}: is missing", cure="restore it, or fit again")

    def _read(self, version: str | None) -> tuple[Contents, VersionInfo, str]:
        expected = None
        if version is None:
            version, expected = self._pointer()
        elif version not in self._version_ids():
            raise NoInput(f"{self.path}: has no version {version}; it holds {self._known()}")
        manifest, info, digest = self._manifest(version)
        folder = self.path / version
        if expected not in (None, digest):
            raise durable.build_refusal(
                folder / MANIFEST, f"differs from its checksum in {POINTER}"
            )
        files = {
            name: durable.read_file(folder / name, entry.size, entry.sha256)
            for name, entry in manifest.files.items()
        }
        contents = decode(files, f"{folder}{os.sep}")
        unexported = {int(number): reason for number, reason in manifest.unexported.items()}
        return replace(contents, run=manifest.run, unexported=unexported), info, digest

    def _manifest(self, version: str) -> tuple[Manifest, VersionInfo, str]:
        """The manifest of a version, what it says of it, and the sha256 of its bytes."""
        path = self.path / version / MANIFEST
        durable.check_kind(path.parent)
        data = durable.read_file(path, SIZE_LIMITS[MANIFEST])
        manifest = load_manifest(data, str(path))
        created = saved_at(version)
        if manifest.version != version or created is None:
            raise durable.build_refusal(path, f"belongs to version {manifest.version[:80]!r}")
        info = VersionInfo(version, manifest.hash, created)
        return manifest, info, hashlib.sha256(data).hexdigest()

    def _pointer(self) -> tuple[str, str]:
        """The id of the live version and the sha256 of its manifest."""
        path = self.path / POINTER
        if POINTER not in self._names():
            raise NoInput(f"{self.path}: holds no forecaster yet; run `forecast fit` first")
        text = durable.read_file(path, 200).decode("ascii", errors="replace")
        match = _POINTER.fullmatch(text)
        if match is None or saved_at(match[1]) is None:
            raise durable.build_refusal(path, "does not name a version")
        return match[1], match[2]

    def _version_ids(self) -> list[str]:
        return [name for name in self._names() if saved_at(name) is not None]

    def _known(self) -> str:
        """The newest versions, as words."""
        versions = self._version_ids()[::-1]
        more = (
            f" and {len(versions) - VERSIONS_NAMED} older ones"
            if len(versions) > VERSIONS_NAMED
            else ""
        )
        return f"{', '.join(versions[:VERSIONS_NAMED]) or 'none'}{more}"

    def _names(self) -> list[str]:
        with durable.raised_as(_no_store, self.path):
            return sorted(os.listdir(self.path))

    def _refuse_foreign_folder(self) -> None:
        with durable.raised_as(durable.cannot_create, self.path):
            names = sorted(os.listdir(self.path))
        # lost+found stands in the root of a freshly mounted disk
        ours = {LOCK, OWNER, "lost+found", *fnmatch.filter(names, durable.TEMPORARY)}
        foreign = [name for name in names if name not in ours]
        if foreign and not any(map(saved_at, names)):
            count = f"'{foreign[0]}' is one of {len(foreign)}"
            cure = f"name a new or an empty folder with {Setting('artifact')}"
            problem = f"holds other files ({count}) and no forecaster"
            raise CannotCreate(problem, place=self.path, cure=cure)


class Writer:
    """Writes into a store while `Store.lock` holds it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(
        self,
        contents: Contents,
        keep: int = DEFAULT_STORE.keep,
        created: datetime | None = None,
        promote: bool = True,
        reuse: bool = False,
        announce: Callable[[str], None] = lambda version: None,
    ) -> VersionInfo:
        """Write a new version, make it live, prune old ones; after an error nothing has changed.

        Parameters
        ----------
        keep : how many versions stay; the live one and the one before it stay in any case
        created : when it was fitted, with its zone; now by default
        promote : make it the live one; else the live one stays
        reuse : where a version with the same hash is there already, take that one instead of
            writing another
        announce : is given the id of a new version before anything is written
        """
        if keep < 1:
            raise UsageError("at least 1 version has to stay", setting=Setting("keep", keep))
        files = encode(contents)
        store = self._store
        ids = store._version_ids()
        live_before = self._live()
        digest = artifact_hash(files)
        if reuse:
            with suppress(ArtifactRefused):  # a damaged version stands in no way of a new one
                same = [info for info in store.versions() if info.hash == digest]
                if same:
                    return self.promote(same[-1].id) if promote else same[-1]

        created = (created or datetime.now(UTC)).astimezone(UTC)
        newest = saved_at(ids[-1]) if ids else None
        if newest is not None:  # ids sort in the order of saving, whatever the clock does
            created = max(created, newest + timedelta(microseconds=1))
        version = version_id(created, digest[:8])
        announce(version)
        manifest = dump_manifest(
            files, version, created.isoformat(), contents.run, contents.unexported
        )
        self._write(version, files | {MANIFEST: manifest})
        if promote:
            self._point(version, hashlib.sha256(manifest).hexdigest())
        live = version if promote else live_before
        self._prune([*ids, version], {live, live_before}, live, keep)
        return VersionInfo(version, digest, created)

    def promote(self, version: str) -> VersionInfo:
        """Make `version` live, after checking all its files.

        Raises the errors of `load` and `save`.
        """
        _, info, digest = self._store._load_and_verify(version)
        self._point(version, digest)
        return info

    def _live(self) -> str | None:
        try:
            return None if self._store.empty else self._store.current()
        except ArtifactRefused as error:
            problem = "the file that names the live version is replaced, since it cannot be read"
            log.warning("%s: %s", problem, error)
            return None

    def _write(self, version: str, files: dict[str, bytes]) -> None:
        target = self._store.path / version
        folder = durable.temporary_beside(target)
        try:
            with durable.raised_as(durable.cannot_create, target):
                folder.mkdir()
            for name, data in files.items():
                durable.write_new(folder / name, data, target / name)
            durable.fsync_directory(folder)
            with durable.raised_as(durable.failure, target):
                durable.when_free(os.rename, folder, target)
        except BaseException:
            with suppress(OSError):  # which rmtree raises even where it is told to ignore errors
                shutil.rmtree(folder, ignore_errors=True)
            raise
        durable.fsync_directory(self._store.path)

    def _point(self, version: str, digest: str) -> None:
        pointer = self._store.path / POINTER
        with durable.raised_as(durable.failure, pointer):
            linked = pointer.is_symlink()
        if linked:  # a store from elsewhere must not choose which file is overwritten
            raise durable.build_refusal(pointer, "is a symbolic link")
        durable.replace_file(pointer, f"{version} {digest}\n".encode())

    def _prune(self, ids: list[str], spared: set[str | None], live: str | None, keep: int) -> None:
        older = [version for version in ids if live is not None and version < live]
        for version in sorted(set(ids) - spared - set(ids[-keep:]) - set(older[-1:])):
            path = self._store.path / version
            doomed = durable.temporary_beside(path)
            try:
                # first out of sight: a reader never meets half a version
                durable.when_free(os.rename, path, doomed)
            except OSError as error:
                log.warning("%s: could not be pruned: %s", path, error.strerror)
            else:
                durable.remove(doomed)


def _no_store(error: OSError, path: Path) -> Exception:
    if error.errno in durable.DISK:
        return durable.failure(error, path)
    cure = f"run `forecast fit` first, or name its folder with {Setting('artifact')}"
    return NoInput(f"no forecaster can be read here: {error.strerror}", place=path, cure=cure)


def check_apart(
    output: str | None, read: Mapping[str, str | None], store: str | None = None
) -> None:
    """Refuse an output whose path is that of a file in the store or of a file that is read."""
    if output is None:
        return
    for name, path in read.items():
        if path is None or not os.path.exists(path):
            continue
        if os.path.exists(output) and os.path.samefile(output, path):
            problem = f"{output} is {name}, and the output would replace it"
            raise UsageError(problem, cure="write to another file")
        if os.path.isdir(path) and _path_below(path, output):
            problem = f"{output} is in the folder of {name}, and would be read with it"
            raise UsageError(problem, cure="write elsewhere")
    if store is None:
        return
    own_files = [
        name
        for name in _path_below(store, output)[:1]
        if name.startswith("v-") or name in (POINTER, OWNER, LOCK)
    ]
    if own_files or _path_below(str(runs_folder(store)), output):
        problem = f"{output} would replace a file of the store {store}"
        raise UsageError(problem, cure="write to a file elsewhere")


def _path_below(folder: str, file: str) -> tuple[str, ...]:
    """The parts of the path of a file below a folder; () if it is elsewhere."""
    whole = Path(os.path.realpath(file))
    base = Path(os.path.realpath(folder))
    return whole.relative_to(base).parts if base in whole.parents else ()


def runs_folder(store: str) -> Path:
    """The folder of the ledger and the newest record of a store."""
    return Path(f"{Path(store)}.runs")
