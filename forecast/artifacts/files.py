"""Read and remove files of a store that may come from elsewhere: ordinary files only, and never through a link."""

import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecast.durable import BINARY, POSIX, close_quietly, failure, raised_as, when_free
from forecast.errors import ArtifactRefused

log = logging.getLogger("forecast")

Folder = int | Path  # a descriptor, which stays the same folder whatever is renamed; a path where there is none


def read_file(folder: Folder, name: str, shown: Path, most: int) -> bytes:
    """All bytes of an ordinary file, `most` of them at most; FileNotFoundError is left to the caller."""
    with raised_as(_cannot_open, shown):
        if isinstance(folder, Path):
            _check_kind(folder / name, shown, stat.S_IFREG)
            descriptor = int(when_free(os.open, folder / name, os.O_RDONLY | BINARY))
        else:  # not blocking: else a named pipe would keep us waiting for ever
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        with raised_as(failure, shown):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise refused(shown, "is not an ordinary file")
            if status.st_size > most:
                raise refused(shown, f"has {status.st_size:,} bytes, more than the {most:,} expected")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(status.st_size + 1)
    finally:
        close_quietly(descriptor)
    if len(data) != status.st_size:
        raise refused(shown, "changed while it was read")
    return data


@contextmanager
def open_folder(path: Path, links: bool = True) -> Iterator[Folder]:
    """Open a folder for `read_file` and `folder_in`, also one that a link points at; OSError is left to the caller."""
    if POSIX:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | (0 if links else os.O_NOFOLLOW))
        try:
            yield descriptor
        finally:
            close_quietly(descriptor)
    else:
        if not stat.S_ISDIR(os.stat(path, follow_symlinks=links).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        yield path


@contextmanager
def folder_in(folder: Folder, name: str, shown: Path) -> Iterator[Folder]:
    """Open the folder `name` in `folder`, never one that a link points at; FileNotFoundError is left to the caller."""
    if isinstance(folder, Path):
        with raised_as(_cannot_open, shown):
            _check_kind(folder / name, shown, stat.S_IFDIR)
        yield folder / name
        return
    with raised_as(_cannot_open, shown):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
    try:
        yield descriptor
    finally:
        close_quietly(descriptor)


def _check_kind(path: Path, shown: Path, kind: int) -> None:
    if stat.S_IFMT(os.lstat(path).st_mode) != kind:
        raise refused(shown, "is a link, or of the wrong kind")


def _cannot_open(error: OSError, shown: Path) -> Exception:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "is missing", str(shown))
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES, errno.EPERM):
        return refused(shown, f"is a link, of the wrong kind, or closed to this user ({error.strerror})")
    return failure(error, shown)


def names_in(folder: Folder, shown: Path) -> list[str]:
    """Names in a folder, sorted."""
    with raised_as(failure, shown):
        return sorted(os.listdir(folder))


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
