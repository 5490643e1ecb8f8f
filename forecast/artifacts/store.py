"""Keep versions of a fitted forecaster in a folder, with a pointer to the live one; a crash costs none of them."""

import fnmatch
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forecast import durable
from forecast.artifacts.files import check_kind, read_file, refused, remove
from forecast.artifacts.find_stores import POINTER, stores_nearby
from forecast.artifacts.format import LIMITS, MANIFEST, Contents, artifact_hash, decode, encode
from forecast.artifacts.manifest import Manifest, dump_manifest, load_manifest, saved_at, version_id
from forecast.artifacts.resume import Checkpoints
from forecast.errors import ArtifactRefused, CannotCreate, NoInput, Setting, UsageError, Words
from forecast.lock import lock_file
from forecast.settings import STORE

log = logging.getLogger("forecast")

LOCK = ".lock"
RESUME = ".resume"
NAMED = 5  # versions that a message lists
OWNER = "OWNER"  # says which job the store belongs to; a store of `fit` alone has none

_POINTER = re.compile(r"(v-[0-9TZ.]+-[0-9a-f]{8}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class VersionInfo:
    """One version: its id, the artifact's hash, and when it was saved (UTC). Ids sort in the order of saving."""

    id: str
    hash: str
    created: datetime


class Store:
    """A folder of versions; reading needs no lock, writing needs ``with store.lock() as writer``, which creates it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @contextmanager
    def lock(self, wait: float = STORE.wait) -> Iterator["Writer"]:
        """Hold the store for writing, and yield what writes; Busy if another process holds it after `wait` seconds."""
        durable.make_directory(self.path)
        self._refuse_foreign_folder()
        with lock_file(self.path / LOCK, wait):
            for name in fnmatch.filter(self._names(), durable.TEMPORARY):
                remove(self.path / name)
            yield Writer(self)

    def load(self, version: str | None = None) -> tuple[Contents, VersionInfo]:
        """Return the contents of a version; the live one without `version`.

        Raises NoInput if there is no store, no live version, or no such version; ArtifactRefused, with the name of the
        file, if anything is damaged, unsafe, too old or too new; StorageFailure if the disk fails.
        """
        return self._load_verified(version)[:2]

    def versions(self) -> list[VersionInfo]:
        """Return all versions, oldest first; raises as `load` does."""
        infos = []
        for version in self._version_ids():
            with suppress(FileNotFoundError):  # pruned meanwhile
                infos.append(_info(self._manifest(version)[0]))
        return infos

    @property
    def empty(self) -> bool:
        """Whether no version is live: there is no pointer, or no store."""
        return not os.path.lexists(self.path / POINTER)

    def current(self) -> str:
        """Return the id of the live version; raises as `load` does."""
        return self._pointer()[0]

    def note(self, name: str, most: int) -> bytes | None:
        """Return the bytes of a file beside the versions, `most` at most; None where there is no file, or no store."""
        try:
            return read_file(self.path / name, most) if self.path.is_dir() else None
        except FileNotFoundError:
            return None

    def _load_verified(self, version: str | None, attempts: int = 3) -> tuple[Contents, VersionInfo, str]:
        """Contents and info of a version, and the sha256 of its manifest."""
        if version is not None and saved_at(version) is None:
            raise UsageError(f"{version!r} is not a version id; {self.path} holds {self._known()}")
        try:
            return self._read(version)
        except FileNotFoundError as error:
            if attempts > 1:  # it may have been pruned between a look at its name and one at its files
                return self._load_verified(version, attempts - 1)
            raise ArtifactRefused(f"{error.filename}: is missing; restore it, or fit again") from error

    def _read(self, version: str | None) -> tuple[Contents, VersionInfo, str]:
        expected = None
        if version is None:
            version, expected = self._pointer()
        elif version not in self._version_ids():
            raise NoInput(f"{self.path}: has no version {version}; it holds {self._known()}")
        manifest, digest = self._manifest(version)
        place = self.path / version
        if expected not in (None, digest):
            raise refused(place / MANIFEST, f"differs from its checksum in {POINTER}")
        files = {}
        for name, entry in manifest.files.items():
            files[name] = read_file(place / name, entry.size)
            if hashlib.sha256(files[name]).hexdigest() != entry.sha256:
                raise refused(place / name, f"differs from its checksum in {MANIFEST}")
        contents = decode(files, f"{place}{os.sep}", manifest.format)
        unexported = {int(number): reason for number, reason in manifest.unexported.items()}
        return replace(contents, run=manifest.run, unexported=unexported), _info(manifest), digest

    def _manifest(self, version: str) -> tuple[Manifest, str]:
        """The manifest of a version and the sha256 of its bytes."""
        path = self.path / version / MANIFEST
        check_kind(path.parent)
        data = read_file(path, LIMITS[MANIFEST])
        manifest = load_manifest(data, str(path))
        if manifest.version != version:
            raise refused(path, f"belongs to version {manifest.version[:80]!r}")
        return manifest, hashlib.sha256(data).hexdigest()

    def _pointer(self) -> tuple[str, str]:
        """The id of the live version and the sha256 of its manifest."""
        if POINTER not in self._names():
            hint = stores_nearby(self.path)
            raise NoInput(f"{self.path}: holds no forecaster yet; run `forecast fit` first{hint}")
        match = _POINTER.fullmatch(read_file(self.path / POINTER, 200).decode("ascii", errors="replace"))
        if match is None or saved_at(match[1]) is None:
            raise refused(self.path / POINTER, "does not name a version")
        return match[1], match[2]

    def _version_ids(self) -> list[str]:
        return [name for name in self._names() if saved_at(name) is not None]

    def _known(self) -> str:
        known = self._version_ids()[::-1]
        more = f" and {len(known) - NAMED} older ones" if len(known) > NAMED else ""
        return f"{', '.join(known[:NAMED]) or 'none'}{more}"

    def _names(self) -> list[str]:
        with durable.raised_as(_no_store, self.path):
            return sorted(os.listdir(self.path))

    def _refuse_foreign_folder(self) -> None:
        with durable.raised_as(durable.cannot_create, self.path):
            names = sorted(os.listdir(self.path))
        ours = {LOCK, RESUME, OWNER, "lost+found"}  # the last stands in the root of a freshly mounted disk
        foreign = [name for name in names if name not in ours and not fnmatch.fnmatchcase(name, durable.TEMPORARY)]
        if foreign and not any(saved_at(name) for name in names):
            problem = f"holds other files ('{foreign[0]}' is one of {len(foreign)}) and no forecaster"
            cure = Words("name a new or an empty folder with ", Setting("artifact"))
            raise CannotCreate(problem, place=self.path, cure=cure)


class Writer:
    """Writes into a store while `Store.lock` holds it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(
        self,
        contents: Contents,
        keep: int = STORE.keep,
        created: datetime | None = None,
        promote: bool = True,
        reuse: bool = False,
        announce: Callable[[str], None] = lambda version: None,
    ) -> VersionInfo:
        """Write a new version, make it the live one, and prune old ones; after an error the live one is untouched.

        Parameters
        ----------
        keep : how many versions stay; the live one and the one before it stay in any case
        created : when it was fitted, with its zone; now by default
        reuse : where a version with the same hash is there already, take that one instead of writing another
        announce : is given the id of a new version before anything is written
        """
        if keep < 1:
            raise UsageError("at least 1 version has to stay", setting=Setting("keep", keep))
        files = encode(contents)
        ids, before, digest = self._store._version_ids(), self._live(), artifact_hash(files)
        if reuse and (same := self._same(digest)) is not None:
            return self.promote(same.id) if promote else same
        created = (created or datetime.now(UTC)).astimezone(UTC)
        newest = saved_at(ids[-1]) if ids else None
        if newest is not None and created <= newest:  # ids sort in the order of saving, whatever the clock does
            created = newest + timedelta(microseconds=1)
        version = version_id(created, digest[:8])
        announce(version)
        manifest = dump_manifest(files, version, created.isoformat(), contents.run, contents.unexported)
        self._write(version, files | {MANIFEST: manifest})
        if promote:
            self._point(version, hashlib.sha256(manifest).hexdigest())
        live = version if promote else before
        self._prune([*ids, version], {live, before}, live, keep)
        return VersionInfo(version, digest, created)

    def checkpoints(self, resume: bool = False) -> Checkpoints:
        """The checkpoints of a fit into this store; with `resume` the fit continues from them."""
        return Checkpoints(self._store.path / RESUME, resume)

    def promote(self, version: str) -> VersionInfo:
        """Make `version` the live one, after a look through all its files; raises as `Store.load` and `save` do."""
        _, info, digest = self._store._load_verified(version)
        self._point(version, digest)
        return info

    def _live(self) -> str | None:
        try:
            return None if self._store.empty else self._store.current()
        except ArtifactRefused as error:
            log.warning("the file that names the live version is replaced, since it cannot be read: %s", error)
            return None

    def _same(self, digest: str) -> VersionInfo | None:
        with suppress(ArtifactRefused):  # a damaged version stands in no way of a new one
            return next((info for info in reversed(self._store.versions()) if info.hash == digest), None)
        return None

    def _write(self, version: str, files: dict[str, bytes]) -> None:
        target = self._store.path / version
        folder = durable.temporary_beside(target)
        try:
            with durable.raised_as(durable.cannot_create, target):
                folder.mkdir()
            for name, data in files.items():
                durable.write_new(folder / name, data, shown=target / name)
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
            raise refused(pointer, "is a symbolic link")
        durable.replace_file(pointer, f"{version} {digest}\n".encode())

    def _prune(self, ids: list[str], spared: set[str | None], live: str | None, keep: int) -> None:
        older = [version for version in ids if live is not None and version < live]
        for version in sorted(set(ids) - spared - set(ids[-keep:]) - set(older[-1:])):
            path = self._store.path / version
            doomed = durable.temporary_beside(path)
            try:
                durable.when_free(os.rename, path, doomed)  # first out of sight: a reader never meets half a version
            except OSError as error:
                log.warning("%s: could not be pruned: %s", path, error.strerror)
                continue
            remove(doomed)


def _info(manifest: Manifest) -> VersionInfo:
    created = saved_at(manifest.version)
    if created is None:
        raise ArtifactRefused(f"{manifest.version!r} is not a version id")
    return VersionInfo(manifest.version, manifest.hash, created)


def _no_store(error: OSError, path: Path) -> Exception:
    if error.errno in durable.DISK:
        return durable.failure(error, path)
    cure = Words("run `forecast fit` first, or name its folder with ", Setting("artifact"), stores_nearby(path))
    return NoInput(f"no forecaster can be read here: {error.strerror}", place=path, cure=cure)
