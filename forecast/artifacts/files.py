"""Read and remove files of a store that may come from elsewhere: ordinary files only, and never through a link."""

import errno
import logging
import os
import shutil
import stat
from pathlib import Path

from forecast.durable import BINARY, close_quietly, failure, raised_as, when_free
from forecast.errors import ArtifactRefused

log = logging.getLogger("forecast")

# not blocking: else a named pipe in the place of the file would keep us waiting for ever
_READ = os.O_RDONLY | BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read_file(path: Path, most: int) -> bytes:
    """All bytes of an ordinary file, at most `most`; FileNotFoundError is left to the caller."""
    check_kind(path, stat.S_IFREG)
    with raised_as(_cannot_open, path):
        descriptor = int(when_free(os.open, path, _READ))
    try:
        with raised_as(failure, path):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise refused(path, "is not an ordinary file")
            if status.st_size > most:
                raise refused(path, f"has {status.st_size:,} bytes, more than the {most:,} expected")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(status.st_size + 1)
    finally:
        close_quietly(descriptor)
    if len(data) != status.st_size:
        raise refused(path, "changed while it was read")
    return data


def check_kind(path: Path, kind: int = stat.S_IFDIR) -> None:
    """Refuse what is no folder, or a link to one; FileNotFoundError is left to the caller."""
    with raised_as(_cannot_open, path):
        if stat.S_IFMT(os.lstat(path).st_mode) != kind:
            raise refused(path, "is a link, or of the wrong kind")


def _cannot_open(error: OSError, path: Path) -> Exception:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "is missing", str(path))
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES, errno.EPERM):
        return refused(path, f"is a link, of the wrong kind, or closed to this user ({error.strerror})")
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


def refused(path: Path, reason: str) -> ArtifactRefused:
    """The error that `path` cannot be trusted, with what to do about it."""
    return ArtifactRefused(f"{path}: {reason}; restore it, or fit again")
