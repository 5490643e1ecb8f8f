"""Files and folders on local disks and in object stores, by path or URI, through the file systems of pyarrow."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from forecast.durable import make_directory, replace_file
from forecast.errors import CannotCreate, NoInput, StorageFailure, UsageError


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

    def remove(self, name: str) -> None:
        """Remove a file of this folder if possible, without an error."""
        with suppress(pa.ArrowException, OSError):
            self.system.delete_file(f"{self.path}/{name}")


def reason(error: BaseException) -> str:
    """The first line of an error of pyarrow's."""
    return str(error).partition("\n")[0][:200]
