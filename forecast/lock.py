"""A lock that one process at a time can hold; it ends with the process."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

from forecast.durable import BINARY, DISK, POSIX, cannot_create, close_quietly, failure, raised_as
from forecast.errors import Busy, CannotCreate, Setting, Words

_MAX_SIGNATURE = 300  # bytes of the holder's pid and host


@contextmanager
def lock_file(path: Path, wait: float | None = None) -> Iterator[None]:
    """Hold the lock on a file, which is created, contains the pid and host of its holder, and is never removed.

    Raises Busy if another process, which it names, still holds the lock after `wait` seconds, a setting if given.
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
                unlock_descriptor(descriptor)  # closing is not enough if a forked child has the file open
    finally:
        close_quietly(descriptor)


def _acquire(descriptor: int, path: Path, wait: float | None) -> None:
    deadline = time.monotonic() + (wait or 0.0)
    with raised_as(_cannot_lock, path):
        while not lock_descriptor(descriptor, blocking=False):
            left = deadline - time.monotonic()
            if not left > 0:  # also for NaN
                pid, _, host = _signature(descriptor).partition(" ")
                holder = f"process {pid} on {host}" if pid and host else "another process"
                waited = f" after {wait:g} seconds" if wait and wait > 0 else ""
                cure = Words("try again later", *([", or pass a longer ", Setting("wait")] if wait is not None else []))
                raise Busy(f"still held by {holder}{waited}", place=path, cure=cure)
            time.sleep(min(0.1, left))


def _cannot_lock(error: OSError, path: Path) -> Exception:
    if error.errno in DISK:
        return failure(error, path)
    return CannotCreate(f"{path}: cannot be locked: {error.strerror}; use a folder on a file system that has locks")


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds a lock; it only reads the file, as locking would disturb others."""
    try:
        with open(path, "rb", buffering=0) as file:
            pid, host = (file.read(_MAX_SIGNATURE) or b"").decode().split()
    except PermissionError:  # Windows: the first byte cannot be read while another process has the lock
        return True
    except (OSError, ValueError):
        return False
    if not POSIX or host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:  # it belongs to another user
        return True
    except (OSError, OverflowError, ValueError):
        return False
    return True


def _signature(descriptor: int) -> str:
    """Pid and host of the holder, if they can be read."""
    for first in (0, 1):
        with suppress(PermissionError):
            os.lseek(descriptor, first, os.SEEK_SET)
            return os.read(descriptor, _MAX_SIGNATURE).decode(errors="replace").strip()
    return ""
