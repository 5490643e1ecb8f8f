"""A lock that one process at a time can hold; it ends with the process."""

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import lock_descriptor, unlock_descriptor

from forecast.durable import BINARY, DISK, POSIX, cannot_create, close_quietly, failure
from forecast.errors import Busy, CannotCreate, Setting, Words

_MAX_SIGNATURE = 300  # bytes of the holder's pid and host


class Lock:
    """A lock on a file: `flock`, or `LockFileEx` on Windows.

    Parameters
    ----------
    path : the lock file; it is created, contains the pid and host of its holder, and is never removed
    wait : seconds to wait for another holder; 0 gives up at once

    Raises
    ------
    Busy
        On entering, if another process still holds the lock after `wait` seconds; names its pid and host.
    CannotCreate, StorageFailure
        On entering, if the lock file cannot be created or locked.
    """

    def __init__(self, path: str | os.PathLike[str], wait: float = 0.0) -> None:
        self.path = Path(path)
        self.wait = wait
        self._descriptor = -1

    def __enter__(self) -> Self:
        descriptor = self._open()
        try:
            self._acquire(descriptor)
            _sign(descriptor)
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
            os.ftruncate(descriptor, 0)  # else messages could name a past holder
            unlock_descriptor(descriptor)  # closing is not enough if a forked child has the file open
        except OSError:
            pass  # the lock ends with the descriptor
        finally:
            close_quietly(descriptor)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | BINARY
        if POSIX:
            flags |= os.O_NOFOLLOW | os.O_NONBLOCK
        elif self.path.is_symlink():
            raise CannotCreate(f"{self.path}: is a link; remove it")
        try:
            return os.open(self.path, flags, 0o644)
        except OSError as error:
            raise cannot_create(error, self.path) from error

    def _acquire(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.wait
        while not self._locked(descriptor):
            left = deadline - time.monotonic()
            if not left > 0:  # also for NaN
                raise self._busy(descriptor)
            time.sleep(min(0.1, left))

    def _locked(self, descriptor: int) -> bool:
        try:
            return lock_descriptor(descriptor, blocking=False)
        except OSError as error:
            if error.errno in DISK:
                raise failure(error, self.path) from error
            raise CannotCreate(
                f"{self.path}: cannot be locked: {error.strerror}; use a folder on a file system that has locks"
            ) from error

    def _busy(self, descriptor: int) -> Busy:
        pid, _, host = _signature(descriptor).partition(" ")
        holder = f"process {pid} on {host}" if pid and host else "another process"
        waited = f" after {self.wait:g} seconds" if self.wait > 0 else ""
        cure = Words("try again later, or pass a longer ", Setting("wait"))
        return Busy(f"still held by {holder}{waited}", place=self.path, cure=cure)


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds a lock; it only reads the file, as locking would disturb others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | BINARY)
    except OSError:
        return False
    try:
        pid, host = os.read(descriptor, _MAX_SIGNATURE).decode().split()
        return POSIX and host == socket.gethostname() and _alive(int(pid))
    except PermissionError:  # Windows: the first byte cannot be read while another process has the lock
        return True
    except (OSError, ValueError):
        return False
    finally:
        close_quietly(descriptor)


def _alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # it belongs to another user
        return True
    except (OSError, OverflowError):
        return False
    return True


def _sign(descriptor: int) -> None:
    """Write pid and host into the lock file."""
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        # the first byte is a blank: Windows locks it, so that others cannot read it
        os.write(descriptor, f" {os.getpid()} {socket.gethostname()}\n".encode())
    except OSError:
        pass  # the lock works without a name, even on a full disk


def _signature(descriptor: int) -> str:
    """Pid and host of the holder, if they can be read."""
    for first in (0, 1):
        try:
            os.lseek(descriptor, first, os.SEEK_SET)
            return os.read(descriptor, _MAX_SIGNATURE).decode(errors="replace").strip()
        except PermissionError:
            continue
    return ""
