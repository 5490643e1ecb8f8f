"""Files and folders on local disks and in object stores, by path or URI, through the file systems of pyarrow."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from forecast.durable import make_directory, replace_file
from forecast.errors import Busy, CannotCreate, ForecastError, NoInput, StorageFailure, UsageError
from forecast.lock import lock_file

LOCK = ".lock"  # in a folder, of the process that writes into it


class Changed(ForecastError, ValueError, exit_code=65):
    """A file was changed while it was read: no other way of reading it makes up for that, as for BadData."""


@dataclass(frozen=True)
class Place:
    """A file or folder: as the user named it, and its path in a file system of pyarrow."""

    uri: str
    system: Any
    path: str

    @classmethod
    def of(cls, uri: str) -> "Place":
        """The place that a path or a URI such as s3://bucket/folder names; UsageError if pyarrow cannot open it."""
        from pyarrow import fs

        if "://" not in uri:
            return cls(uri, fs.LocalFileSystem(), os.path.abspath(uri))
        try:
            return cls(uri, *fs.FileSystem.from_uri(uri))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UsageError(f"{uri} cannot be opened: {reason(error)}", cure="name a path, or file, s3, gs") from None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path.rstrip("/").rpartition("/")[2] or self.uri

    def files(self) -> list[Any]:
        """What pyarrow says of the file, or of all files below the folder, by their paths; hidden ones are left out."""
        from pyarrow import fs

        found = self.system.get_file_info(self.path)
        if found.is_file:
            return [found]
        if found.type != fs.FileType.Directory:
            raise NoInput(f"{self.uri} does not exist, or is no file or folder")
        below = self.system.get_file_info(fs.FileSelector(self.path, recursive=True))
        files = [file for file in below if file.is_file and not file.base_name.startswith((".", "_"))]
        return sorted(files, key=lambda file: str(file.path))

    def beginning(self, path: str, size: int | None) -> bytes:
        """The first bytes of a file, or all of them."""
        with self.system.open_input_stream(path) as file:
            return bytes(file.read(size))

    def read(self, name: str) -> bytes | None:
        """The bytes of a file in this folder; None if it does not exist."""
        try:
            return self.beginning(f"{self.path}/{name}", None)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise StorageFailure(f"{self.uri}/{name} cannot be read: {reason(error)}") from None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in this folder, all at once; missing folders are created."""
        if self.system.type_name == "local":
            make_directory(Path(self.path))
            replace_file(f"{self.path}/{name}", data)
            return
        try:  # an object appears when it is closed, whole
            with self.system.open_output_stream(f"{self.path}/{name}") as file:
                file.write(data)
        except (pa.ArrowException, OSError) as error:
            raise CannotCreate(f"{self.uri}/{name} cannot be written: {reason(error)}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this folder against other writers; object stores have no locks, so that an object says who writes."""
        if self.system.type_name == "local":
            make_directory(Path(self.path))
            with lock_file(Path(self.path, LOCK)):
                yield
            return
        if (holder := self.read(LOCK)) is not None:
            cure = f"try again later, or remove {self.uri}/{LOCK} if that process was killed"
            raise Busy(f"held by {holder.decode(errors='replace')}", place=self.uri, cure=cure)
        self.write(LOCK, f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield
        finally:
            self.remove(LOCK)

    def pins(self, paths: Sequence[str]) -> list[tuple[Any, ...]]:
        """By which a change of files shows: their paths, sizes and times."""
        return [(file.path, file.size, file.mtime_ns) for file in self.system.get_file_info(list(paths))]

    @contextmanager
    def unchanged(self, pins: list[tuple[Any, ...]]) -> Iterator[None]:
        """Refuse files that are no longer as they were, at the end of a block, or where it fails."""
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
        now = self.pins([path for path, *_ in pins])
        if changed := next((old[0] for old, new in zip(pins, now, strict=True) if old != new), None):
            raise Changed("changed while it was read", place=changed, cure="read it when nobody writes to it")
        if failed is not None:
            raise failed

    def remove(self, name: str) -> None:
        """Remove a file of this folder if possible, without an error."""
        with suppress(pa.ArrowException, OSError):
            self.system.delete_file(f"{self.path}/{name}")


def reason(error: BaseException) -> str:
    """The first line of an error of pyarrow's."""
    return str(error).partition("\n")[0][:200]
