"""Write files so that they exist completely or not at all, even after a kill or a power cut."""

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

TEMPORARY = ".forecast-*.tmp"  # glob pattern of temporary files, which a killed process may leave
STALE = 3600.0  # seconds without a write after which a temporary file no longer belongs to a process
_TEMPORARY_NAME = re.compile(r"\.forecast-[0-9a-f]{16}\.tmp")
POSIX = hasattr(os, "O_DIRECTORY")  # folders can be synced, and open files can be renamed
BINARY: int = getattr(os, "O_BINARY", 0)  # else Windows turns \n into \r\n
PATIENCE = 2.0  # seconds to wait on Windows for a file that another process has open
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # the disk is full or broken


def temporary_beside(target: Path) -> Path:
    """A new path in the folder of `target` that matches `TEMPORARY`."""
    return target.with_name(TEMPORARY.replace("*", secrets.token_hex(8)))


def replace_file(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Replace the file `path` by `data`; the old file stays until all data are on disk.

    A link is followed, an existing file keeps its mode, a new one gets 0644 less the umask. Temporary files of killed
    processes are removed after an hour.

    Raises
    ------
    CannotCreate
        If the folder is missing or cannot be written, or `path` is not an ordinary, writable file, or, on Windows, is
        open in another program.
    StorageFailure
        If writing fails, as on a full disk; the old file is unchanged. If only the folder cannot be synced, the new
        file is in place, and a power cut may bring back the old one.
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
    """Create the file `path`, write `data` and wait until they are on disk.

    Parameters
    ----------
    path : a path that does not exist
    data : all bytes, or an iterable of parts
    mode : permissions, independent of the umask; default 0644 less the umask
    shown : another path for messages

    Raises
    ------
    CannotCreate
        If the file cannot be created.
    StorageFailure
        If writing fails. The caller removes the incomplete file.
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
            os.fsync(descriptor)  # once: after a failure the kernel may report success for lost data
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
    """Wait until the names in the folder `path` are on disk; Windows has no such call.

    Raises
    ------
    StorageFailure
        If the disk reports an error. There is no second attempt, as its success would mean nothing.
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
        if error.errno != errno.EINVAL:  # some file systems cannot sync folders
            raise failure(error, Path(path)) from error


def check_folder(folder: Path, path: str) -> None:
    """Refuse a folder that cannot be created or written; create nothing.

    Parameters
    ----------
    path : the file or folder that will be written there, for messages
    """
    nearest = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not nearest.is_dir():
        raise CannotCreate(f"cannot be created: {nearest} is a file where a folder is needed", place=path)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CannotCreate(f"cannot be created: the folder {nearest} may not be written", place=path)


def make_directory(path: Path) -> None:
    """Create the folder `path` and missing folders above it, safe from power cuts.

    Raises
    ------
    CannotCreate
        If a folder cannot be created, or the path is not a folder.
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
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise cannot_create(error, path) from error
    if not is_folder:
        raise CannotCreate(f"{path}: cannot be used as a folder, something else stands there; name another path")


def _missing(path: Path) -> list[Path]:
    """The missing folders among `path` and those above it."""
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
    """Call a function of `os` on a file; on Windows, retry for `PATIENCE` seconds while another process has it open.

    Readers and virus scanners have a file open for a moment only.
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
    """Remove a file if possible, without an error."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def close_quietly(descriptor: int) -> None:
    """Close a descriptor that was used for reading, or whose writing has failed, without an error."""
    try:
        os.close(descriptor)
    except OSError:
        return


def cannot_create(error: OSError, path: Path) -> ForecastError:
    """The error that `path` cannot be created; a `StorageFailure` if the disk is full or broken."""
    if error.errno in DISK:
        return failure(error, path)
    return CannotCreate(f"{path}: cannot be created: {error.strerror}; check the folder and its permissions")


def failure(error: OSError, path: Path) -> StorageFailure:
    """The error that reading or writing `path` failed."""
    return StorageFailure(f"{path}: {error.strerror}; check the disk and its free space, then run again")


def _sweep(folder: Path) -> None:
    """Remove stale temporary files if possible; a recent one may belong to another process."""
    latest = time.time() - STALE
    try:
        with os.scandir(folder) as entries:
            files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        ours = [entry for entry in files if _TEMPORARY_NAME.fullmatch(entry.name)]
        stale = [Path(entry) for entry in ours if entry.stat(follow_symlinks=False).st_mtime < latest]
    except OSError:
        return
    for path in stale:
        remove_quietly(path)


def _mode_of(target: Path) -> int | None:
    """Permissions of the file that will be replaced; None if it does not exist."""
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
