"""Files that exist completely or not at all, even after a kill; no links are read; locks."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import lock_descriptor, unlock_descriptor

from forecast.errors import (
    ArtifactRefused,
    Busy,
    CannotCreate,
    ForecastError,
    Setting,
    StorageFailure,
)
from forecast.logs import log

TEMPORARY = ".forecast-*.tmp"  # glob pattern of temporary files, which a killed process may leave
# seconds without a write after which a temporary file no longer belongs to a process
STALE_SECONDS = 3600.0
_TEMPORARY_NAME = re.compile(r"\.forecast-[0-9a-f]{16}\.tmp")
POSIX = hasattr(os, "O_DIRECTORY")  # folders can be synced, and open files can be renamed
BINARY: int = getattr(os, "O_BINARY", 0)  # else Windows turns \n into \r\n
PATIENCE = 2.0  # seconds to wait on Windows for a file that another process has open
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # the disk is full or broken
# not blocking: else a named pipe in the place of the file would keep us waiting for ever
_READ = os.O_RDONLY | BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_MAX_SIGNATURE = 300  # bytes of the holder's pid and host


def temporary_beside(target: Path) -> Path:
    """A new path in the folder of `target` that matches `TEMPORARY`."""
    return target.with_name(TEMPORARY.replace("*", secrets.token_hex(8)))


def replace_file(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Replace the file `path` by `data`; the old file stays until all data are on disk.

    A link is followed, and an existing file keeps its mode; data for the null device are made, and
    dropped, as a user asks who wants the messages alone. CannotCreate and StorageFailure leave
    the old file unchanged; if only the folder cannot be synced, the new one is in place, and a
    power cut may bring back the old one.
    """
    target = Path(os.path.realpath(path))
    if os.fspath(path) == os.devnull:
        for _ in data:
            pass
        return
    _sweep(target.parent)
    temporary = temporary_beside(target)
    try:
        write_new(temporary, data, Path(path), _read_mode(target))
        with raised_as(_cannot_replace, Path(path)):
            when_free(os.replace, temporary, target)
    except BaseException:
        remove_quietly(temporary)
        raise
    fsync_directory(target.parent)


def write_new(
    path: Path, data: bytes | Iterable[bytes], shown: Path, mode: int | None = None
) -> None:
    """Create a file and wait until its data are on disk; the caller removes an incomplete one.

    `mode` does not depend on the umask, the default of 0644 does. Messages name `shown` in the
    place of `path`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
    with raised_as(cannot_create, shown):
        descriptor = os.open(path, flags, 0o644 if mode is None else mode & 0o600)
    try:
        for part in [data] if isinstance(data, bytes) else data:
            rest = memoryview(part)
            with raised_as(failure, shown):
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        with raised_as(failure, shown):
            if mode is not None and POSIX:
                os.fchmod(descriptor, mode)
            # once: after a failure the kernel may report success for lost data
            os.fsync(descriptor)
    except BaseException:
        close_quietly(descriptor)
        raise
    with raised_as(failure, shown):
        os.close(descriptor)  # a network file system may report a full disk only here


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Wait until the names in the folder `path` are on disk; Windows has no such call."""
    if not POSIX:
        return
    with raised_as(failure, Path(path)):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)  # once: the success of a second attempt would mean nothing
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems cannot sync folders
                raise
        finally:
            os.close(descriptor)


def check_folder(folder: Path, path: str) -> None:
    """Refuse a folder in which `path` could not be created; create nothing."""
    nearest = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not nearest.is_dir():
        problem = f"cannot be created: {nearest} is a file where a folder is needed"
        raise CannotCreate(problem, place=path)
    if not os.access(nearest, os.W_OK | os.X_OK):
        problem = f"cannot be created: the folder {nearest} may not be written"
        raise CannotCreate(problem, place=path)


def make_directory(path: Path) -> None:
    """Create the folder `path` and missing folders above it, safe from power cuts."""
    with raised_as(cannot_create, path):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            if path == path.parent:  # a drive that is missing
                raise
            make_directory(path.parent)
            path.mkdir(exist_ok=True)
            fsync_directory(path.parent)
            return
    if not stat.S_ISDIR(mode):
        raise CannotCreate(
            f"{path}: cannot be used as a folder, something else stands there; name another path"
        )


def when_free(act: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of `os`; retry on Windows, where scanners may have the file open."""
    deadline = time.monotonic() + (0.0 if POSIX else PATIENCE)
    while True:
        try:
            return act(*arguments)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def remove_quietly(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def close_quietly(descriptor: int) -> None:
    """Close a descriptor that was read, or whose writing has failed, without an error."""
    with suppress(OSError):
        os.close(descriptor)


@contextmanager
def raised_as(meaning: Callable[[OSError, Path], Exception], path: Path) -> Iterator[None]:
    """Raise an OSError of the block as the error that it means for `path`."""
    try:
        yield
    except OSError as error:
        raise meaning(error, path) from error


def cannot_create(error: OSError, path: Path) -> ForecastError:
    """The error that `path` cannot be created; a `StorageFailure` if the disk is full or broken."""
    if error.errno in DISK:
        return failure(error, path)
    return CannotCreate(
        f"{path}: cannot be created: {error.strerror}; check the folder and its permissions"
    )


def failure(error: OSError, path: Path) -> StorageFailure:
    return StorageFailure(
        f"{path}: {error.strerror}; check the disk and its free space, then run again"
    )


def _cannot_replace(error: OSError, path: Path) -> ForecastError:
    if isinstance(error, PermissionError) and not POSIX:
        return CannotCreate(f"{path}: is open in another program; close it there, and run again")
    return failure(error, path)


def _sweep(folder: Path) -> None:
    """Remove stale temporary files if possible; a recent one may belong to another process."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY_NAME.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_mtime < time.time() - STALE_SECONDS:
                    remove_quietly(Path(entry))


def _read_mode(target: Path) -> int | None:
    """Permissions of the file that will be replaced; None if it does not exist."""
    with raised_as(cannot_create, target):
        try:
            mode = os.stat(target).st_mode
        except FileNotFoundError:
            return None
    if not stat.S_ISREG(mode):
        raise CannotCreate(
            f"{target}: is not an ordinary file and cannot be replaced; name another output"
        )
    if not os.access(target, os.W_OK):
        raise CannotCreate(
            f"{target}: is write-protected; make it writable, or name another output"
        )
    return stat.S_IMODE(mode) & 0o777


def read_file(path: Path, most: int, sha256: str | None = None) -> bytes:
    """All bytes of an ordinary file, at most `most`, with that hash.

    FileNotFoundError is left to the caller.
    """
    check_kind(path, stat.S_IFREG)
    with raised_as(_cannot_open, path):
        descriptor = int(when_free(os.open, path, _READ))
    try:
        with raised_as(failure, path):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise build_refusal(path, "is not an ordinary file")
            if status.st_size > most:
                raise build_refusal(
                    path, f"has {status.st_size:,} bytes, more than the {most:,} expected"
                )
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(status.st_size + 1)
    finally:
        close_quietly(descriptor)
    if len(data) != status.st_size:
        raise build_refusal(path, "changed while it was read")
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise build_refusal(path, "differs from its checksum")
    return data


def check_kind(path: Path, kind: int = stat.S_IFDIR) -> None:
    """Refuse what is no folder, or a link to one; FileNotFoundError is left to the caller."""
    with raised_as(_cannot_open, path):
        if stat.S_IFMT(os.lstat(path).st_mode) != kind:
            raise build_refusal(path, "is a link, or of the wrong kind")


def _cannot_open(error: OSError, path: Path) -> Exception:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "is missing", str(path))
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES, errno.EPERM):
        return build_refusal(
            path, f"is a link, of the wrong kind, or closed to this user ({error.strerror})"
        )
    return failure(error, path)


def remove(path: Path) -> None:
    """Remove a file or folder; a failure is reported, and the next write tries again."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: could not be removed: %s", path, error.strerror)


def build_refusal(path: Path, reason: str) -> ArtifactRefused:
    """The error that `path` cannot be trusted, with what to do about it."""
    return ArtifactRefused(f"{path}: {reason}; restore it, or fit again, or run the job again")


@contextmanager
def lock_file(path: Path, wait: float | None = None) -> Iterator[None]:
    """Hold the lock on a file, which then names the pid and host of its holder.

    Busy names that one after `wait` seconds.
    """
    flags = os.O_RDWR | os.O_CREAT | BINARY
    if POSIX:
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    elif path.is_symlink():
        raise CannotCreate(f"{path}: is a link; remove it")
    with raised_as(cannot_create, path):
        descriptor = os.open(path, flags, 0o644)
    try:
        _acquire(descriptor, path, wait)
        try:
            with suppress(OSError):  # the lock works without a name, even on a full disk
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                # the first byte is a blank: Windows locks it, so that others cannot read it
                os.write(descriptor, f" {os.getpid()} {socket.gethostname()}\n".encode())
            yield
        finally:
            with suppress(OSError):  # the lock ends with the descriptor
                os.ftruncate(descriptor, 0)  # else messages could name a past holder
                # closing is not enough if a forked child has the file open
                unlock_descriptor(descriptor)
    finally:
        close_quietly(descriptor)


def _acquire(descriptor: int, path: Path, wait: float | None) -> None:
    deadline = time.monotonic() + (wait or 0.0)
    with raised_as(cannot_create, path):
        while not lock_descriptor(descriptor, blocking=False):
            left = deadline - time.monotonic()
            if not left > 0:  # also for NaN
                waited = f" after {wait:g} seconds" if wait and wait > 0 else ""
                cure = "try again later"
                if wait is not None:
                    cure = f"try again later, or pass a longer {Setting('wait')}"
                problem = f"still held by {_holder(descriptor)}{waited}"
                raise Busy(problem, place=path, cure=cure)
            time.sleep(min(0.1, left))


def _holder(descriptor: int) -> str:
    """Who holds the lock on a file, by what `lock_file` has written into it."""
    os.lseek(descriptor, 1, os.SEEK_SET)  # after the blank, which Windows does not let others read
    signature = os.read(descriptor, _MAX_SIGNATURE).decode(errors="replace")
    pid, _, host = signature.strip().partition(" ")
    return f"process {pid} on {host}" if pid and host else "another process"


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds a lock; the file is only read."""
    try:
        with open(path, "rb", buffering=0) as file:
            pid, host = (file.read(_MAX_SIGNATURE) or b"").decode().split()
        if not POSIX or host != socket.gethostname():
            return False
        os.kill(int(pid), 0)
    except PermissionError:
        # it belongs to another user; on Windows the first byte of a locked file cannot be read
        return True
    except (OSError, OverflowError, ValueError):
        return False
    return True
