"""Read and remove files of a store that may come from elsewhere: ordinary files only, and never through a link."""

import errno
import logging
import os
import shutil
import stat
from pathlib import Path

from forecast.durable import close_quietly, failure
from forecast.errors import ArtifactRefused

log = logging.getLogger("forecast")


def read_file(folder: int, name: str, shown: Path, most: int) -> bytes:
    """All bytes of an ordinary file, `most` of them at most; FileNotFoundError is left to the caller."""
    # not blocking: else a named pipe would keep us waiting for ever
    descriptor = open_without_links(name, os.O_NONBLOCK, folder, shown)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refused(shown, "is not an ordinary file")
        if status.st_size > most:
            raise refused(shown, f"has {status.st_size:,} bytes, more than the {most:,} expected")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(status.st_size + 1)
    except OSError as error:
        raise failure(error, shown) from error
    finally:
        close_quietly(descriptor)
    if len(data) != status.st_size:
        raise refused(shown, "changed while it was read")
    return data


def open_without_links(name: str, flags: int, folder: int, shown: Path) -> int:
    """A descriptor of what stands as `name` in `folder`; never of what a link points at."""
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "is missing", str(shown)) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES, errno.EPERM):
            raise refused(shown, f"is a link, of the wrong kind, or closed to this user ({error.strerror})") from error
        raise failure(error, shown) from error


def names_in(folder: int | Path, shown: Path) -> list[str]:
    """Names of what stands in a folder, in their order."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise failure(error, shown) from error


def remove(path: Path) -> None:
    """Remove what stands at `path`; what cannot be removed is said, and tried again at the next write."""
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
