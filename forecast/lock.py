"""A lock that one process at a time can hold; it goes with the process, however that ends."""

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import lock_descriptor, unlock_descriptor

from forecast.durable import BINARY, DISK, POSIX, cannot_create, close_quietly, failure
from forecast.errors import Busy, CannotCreate, Setting, Words

_MOST = 300  # bytes of the holder's name


class Lock:
    """A lock on a file: `flock` where there is one, `LockFileEx` on Windows.

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
            os.ftruncate(descriptor, 0)  # else the next one to fail could be told the name of a past holder
            unlock_descriptor(descriptor)  # closing is not enough where a forked child has the file open
        except OSError:
            pass  # the lock goes with the descriptor, and the error on its way matters more
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
            if not left > 0:  # also where the wait is no number
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
    """Whether a process of this machine holds a lock; it is only looked at, since to try would get in its way."""
    try:
        descriptor = os.open(path, os.O_RDONLY | BINARY)
    except OSError:
        return False
    try:
        pid, host = os.read(descriptor, _MOST).decode().split()
        return POSIX and host == socket.gethostname() and _alive(int(pid))
    except PermissionError:  # only Windows keeps the first byte from being read, while another process has locked it
        return True
    except (OSError, ValueError):
        return False
    finally:
        close_quietly(descriptor)


def _alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # it is another user's
        return True
    except (OSError, OverflowError):
        return False
    return True


def _sign(descriptor: int) -> None:
    """Write who holds the lock."""
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        # the first byte says nothing: it is the one that Windows locks, and nobody else can read it there
        os.write(descriptor, f" {os.getpid()} {socket.gethostname()}\n".encode())
    except OSError:
        pass  # it holds without a name; a full disk must not keep its holder from making room


def _signature(descriptor: int) -> str:
    """Pid and host of the holder, as far as they can be read."""
    for first in (0, 1):
        try:
            os.lseek(descriptor, first, os.SEEK_SET)
            return os.read(descriptor, _MOST).decode(errors="replace").strip()
        except PermissionError:
            continue
    return ""
