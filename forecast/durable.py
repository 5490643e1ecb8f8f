"""Write files that are there whole or not at all, and hold a lock that one process at a time can have."""

import errno
import fcntl
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from forecast.errors import Busy, CannotCreate, ForecastError, Setting, StorageFailure, Words

TEMPORARY = ".forecast-*.tmp"  # what a killed process may leave behind, as a glob pattern
STALE = 3600.0  # seconds without a write after which a temporary file beside an output is nobody's
_OWN = re.compile(r"\.forecast-[0-9a-f]{16}\.tmp")
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # the disk is full or broken, whatever was tried


def temporary_beside(target: Path) -> Path:
    """Name a path in the folder of `target` that is not taken; `TEMPORARY` matches it."""
    return target.with_name(TEMPORARY.replace("*", secrets.token_hex(8)))


def replace_file(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Put `data` in the place of the file `path`; until it is all on disk the old file stays whole.

    A link is followed, an existing file keeps its mode, a new one gets 0644 less the umask. Temporary files that killed
    processes left in the folder are removed once they are an hour old.

    Raises
    ------
    CannotCreate
        If the folder is missing or cannot be written, or `path` is not an ordinary, writable file.
    StorageFailure
        If writing fails half-way, as on a full disk; the old file is untouched. After a failure to sync the folder
        the new file is in place, and a power cut may still bring back the old one.
    """
    target = Path(os.path.realpath(path))
    _sweep(target.parent)
    temporary = temporary_beside(target)
    try:
        write_new(temporary, data, _mode_of(target), shown=Path(path))
        try:
            os.replace(temporary, target)
        except OSError as error:
            raise failure(error, Path(path)) from error
    except BaseException:
        remove_quietly(temporary)
        raise
    fsync_directory(target.parent)


def write_new(path: Path, data: bytes | Iterable[bytes], mode: int | None = None, shown: Path | None = None) -> None:
    """Create the file `path`, write `data` and wait until the disk has them.

    Parameters
    ----------
    path : a path at which there is nothing yet
    data : all bytes, or an iterable of parts
    mode : permissions whatever the umask says; default 0644 less the umask
    shown : the path that messages name, where that is another one

    Raises
    ------
    CannotCreate
        If the file cannot be created.
    StorageFailure
        If writing fails half-way. What was written is left for the caller to remove.
    """
    shown = shown or path
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if mode is None else mode & 0o600)
    except OSError as error:
        raise cannot_create(error, shown) from error
    try:
        for part in [data] if isinstance(data, bytes) else data:
            _write(descriptor, part, shown)
        try:
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)  # once: after a failure the kernel may report success for data it has dropped
        except OSError as error:
            raise failure(error, shown) from error
    except BaseException:
        close_quietly(descriptor)
        raise
    try:
        os.close(descriptor)  # a network file system may report a full disk only here
    except OSError as error:
        raise failure(error, shown) from error


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Wait until the disk has the names in the folder `path`: what was created, renamed or removed in it.

    Raises
    ------
    StorageFailure
        If the disk reports an error. It is never tried again: a second success would mean nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems sync no folders; there is nothing to wait for
            raise failure(error, Path(path)) from error


def make_directory(path: Path) -> None:
    """Create the folder `path`, and those above it that are missing, so that they outlive a power cut.

    Raises
    ------
    CannotCreate
        If a folder cannot be created, or something that is not a folder stands there.
    StorageFailure
        If the disk is full or broken.
    """
    for folder in reversed(_missing(path)):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_create(error, folder) from error
        fsync_directory(folder.parent)
    try:
        found = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise cannot_create(error, path) from error
    if not found:
        raise CannotCreate(f"{path}: cannot be used as a folder, something else stands there; name another path")


def _missing(path: Path) -> list[Path]:
    """Folders that are not there yet: `path` and those above it, up to the first that is."""
    missing = []
    for folder in (path, *path.parents):
        try:
            os.lstat(folder)
            break
        except FileNotFoundError:
            missing.append(folder)
        except OSError as error:
            raise cannot_create(error, path) from error
    return missing


def remove_quietly(path: Path) -> None:
    """Remove a file as far as possible: an error that is already on its way matters more."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def close_quietly(descriptor: int) -> None:
    """Close a descriptor through which nothing is lost: one for reading, or one whose writing has failed already."""
    try:
        os.close(descriptor)
    except OSError:
        return


def cannot_create(error: OSError, path: Path) -> ForecastError:
    """Say that `path` cannot be created; a disk that is full or broken is a `StorageFailure`."""
    if error.errno in DISK:
        return failure(error, path)
    return CannotCreate(f"{path}: cannot be created: {error.strerror}; check the folder and its permissions")


def failure(error: OSError, path: Path) -> StorageFailure:
    """Say that reading or writing `path` failed half-way."""
    return StorageFailure(f"{path}: {error.strerror}; check the disk and its free space, then run again")


class Lock:
    """A lock that one process at a time can hold; it goes with the process, however that ends.

    Parameters
    ----------
    path : the lock file; it is created, holds the pid and host of its holder, and is never removed
    wait : seconds to wait for another holder; 0 gives up at once

    Raises
    ------
    Busy
        On entering, if another holder is still there after `wait` seconds; names its pid and host.
    CannotCreate, StorageFailure
        On entering, if the lock file cannot be created or locked.
    """

    def __init__(self, path: str | os.PathLike[str], wait: float = 0.0) -> None:
        self.path = Path(path)
        self.wait = wait
        self._descriptor = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise cannot_create(error, self.path) from error
        try:
            self._acquire(descriptor)
            self._sign(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
        except BaseException:
            close_quietly(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        try:
            os.ftruncate(descriptor, 0)  # else the next one to fail could be told the name of a past holder
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough where a forked child has the file open
        except OSError:
            pass  # the lock goes with the descriptor, and the error on its way matters more
        finally:
            close_quietly(descriptor)

    def _acquire(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._busy(descriptor) from None
                time.sleep(min(0.1, left))
            except OSError as error:
                if error.errno in DISK:
                    raise failure(error, self.path) from error
                raise CannotCreate(
                    f"{self.path}: cannot be locked: {error.strerror}; use a folder on a file system that has locks"
                ) from error

    def _sign(self, descriptor: int, holder: bytes) -> None:
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder, 0)
        except OSError:
            pass  # it holds without a name; a full disk must not keep its holder from making room

    def _busy(self, descriptor: int) -> Busy:
        pid, _, host = os.pread(descriptor, 300, 0).decode(errors="replace").strip().partition(" ")
        holder = f"process {pid} on {host}" if pid and host else "another process"
        waited = f" after {self.wait:g} seconds" if self.wait > 0 else ""
        cure = Words("try again later, or pass a longer ", Setting("wait"))
        return Busy(f"still held by {holder}{waited}", place=self.path, cure=cure)


def _sweep(folder: Path) -> None:
    """Remove stale temporary files as far as possible; a young one may be that of a process beside this one."""
    latest = time.time() - STALE
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if _OWN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
        stale = [Path(entry) for entry in found if entry.stat(follow_symlinks=False).st_mtime < latest]
    except OSError:
        return
    for path in stale:
        remove_quietly(path)


def _mode_of(target: Path) -> int | None:
    """Permissions of the file that is to be replaced, None where there is none."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_create(error, target) from error
    if not stat.S_ISREG(status.st_mode):
        raise CannotCreate(f"{target}: is not an ordinary file and cannot be replaced; name another output")
    if not os.access(target, os.W_OK):
        raise CannotCreate(f"{target}: is write-protected; make it writable, or name another output")
    return stat.S_IMODE(status.st_mode) & 0o777


def _write(descriptor: int, data: bytes, shown: Path) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        raise failure(error, shown) from error
