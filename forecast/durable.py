"""Write files that are there whole or not at all."""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from forecast.errors import CannotCreate, ForecastError, StorageFailure

TEMPORARY = ".forecast-*.tmp"  # what a killed process may leave behind, as a glob pattern
STALE = 3600.0  # seconds without a write after which a temporary file beside an output is nobody's
_OWN = re.compile(r"\.forecast-[0-9a-f]{16}\.tmp")
POSIX = hasattr(os, "O_DIRECTORY")  # folders can be opened and synced, and files that are open can be renamed
BINARY: int = getattr(os, "O_BINARY", 0)  # else Windows turns \n into \r\n
PATIENCE = 2.0  # seconds to wait for a file that another process has open, where that keeps it from being renamed
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
        If the folder is missing or cannot be written, or `path` is not an ordinary, writable file, or, on Windows, is
        open in another program.
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
            when_free(os.replace, temporary, target)
        except OSError as error:
            if isinstance(error, PermissionError) and not POSIX:
                raise CannotCreate(f"{path}: is open in another program; close it there, and run again") from error
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
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
    try:
        descriptor = os.open(path, flags, 0o644 if mode is None else mode & 0o600)
    except OSError as error:
        raise cannot_create(error, shown) from error
    try:
        for part in [data] if isinstance(data, bytes) else data:
            _write(descriptor, part, shown)
        try:
            if mode is not None and POSIX:
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

    Windows has no such call; there the names are left to the file system.

    Raises
    ------
    StorageFailure
        If the disk reports an error. It is never tried again: a second success would mean nothing.
    """
    if not POSIX:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems sync no folders; there is nothing to wait for
            raise failure(error, Path(path)) from error


def check_folder(folder: Path, path: str) -> None:
    """Refuse a folder that is none, cannot be created, or may not be written.

    Parameters
    ----------
    path : what is written there, for messages
    """
    nearest = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not nearest.is_dir():
        raise CannotCreate(f"cannot be created: {nearest} is a file where a folder is needed", place=path)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CannotCreate(f"cannot be created: the folder {nearest} may not be written", place=path)


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


def when_free(act: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of `os` on a file; where an open file is locked to others (Windows), try for `PATIENCE` seconds.

    Readers and virus scanners have a file open for an instant only, and there it cannot be renamed meanwhile.
    """
    deadline = time.monotonic() + (0.0 if POSIX else PATIENCE)
    while True:
        try:
            return act(*arguments)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


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
