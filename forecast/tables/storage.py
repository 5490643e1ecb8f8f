"""Files and folders on local disks and in object stores, by path or URI, and the Parquet in them."""

import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.durable import lock_file, make_directory, replace_file
from forecast.errors import (
    BadData,
    Busy,
    CannotCreate,
    ForecastError,
    NoInput,
    StorageFailure,
    UsageError,
)
from forecast.tables.contents import readable, reason, require_memory
from forecast.tables.headers import listed

LOCK = ".lock"  # in a folder, of the process that writes into it
PARQUET, PROBLEM = b"PAR1", "cannot be read as Parquet: {}"
NUMBER_SIZE, MEMORY_FACTOR = 8, 3  # bytes of a number; Arrow, frame, columns
WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
NULLABLE: dict[str, Any] = {name.lower(): pd.api.types.pandas_dtype(name) for name in WHOLE}
NULLABLE["bool"] = pd.BooleanDtype()


class Changed(ForecastError, ValueError, exit_code=65):
    """A file was changed while it was read: no other way of reading it makes up for that, as for BadData."""


@dataclass(frozen=True)
class Location:
    """A file or folder: as the user named it, and its path in a file system of pyarrow."""

    uri: str
    system: Any
    path: str

    @classmethod
    def of(cls, uri: str) -> "Location":
        """The place that a path or a URI such as s3://bucket/folder names; UsageError if pyarrow cannot open it."""
        from pyarrow import fs

        if "://" not in uri:
            return cls(uri, fs.LocalFileSystem(), os.path.abspath(uri))
        try:
            return cls(uri, *fs.FileSystem.from_uri(uri))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UsageError(
                f"{uri} cannot be opened: {reason(error)}", cure="name a path, or file, s3, gs"
            ) from None

    @property
    def name(self) -> str:
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
        files = [
            file for file in below if file.is_file and not file.base_name.startswith((".", "_"))
        ]
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
        """Hold this folder against other writers; in an object store an object says who writes.

        Two that begin at one moment are not kept apart there, as pyarrow writes objects whether there are some or not.
        """
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
        return [
            (file.path, file.size, file.mtime_ns) for file in self.system.get_file_info(list(paths))
        ]

    @contextmanager
    def unchanged(self, pins: list[tuple[Any, ...]]) -> Iterator[None]:
        """Refuse files that are no longer as they were, at the end of a block, or where it fails."""
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
        now = self.pins([path for path, *_ in pins])
        if changed := next(
            (old[0] for old, new in zip(pins, now, strict=True) if old != new), None
        ):
            raise Changed(
                "changed while it was read", place=changed, cure="read it when nobody writes to it"
            )
        if failed is not None:
            raise failed

    def remove(self, name: str) -> None:
        """Remove a file of this folder if possible, without an error."""
        with suppress(pa.ArrowException, OSError):
            self.system.delete_file(f"{self.path}/{name}")


def text_type() -> Any:
    """The type of text with NaN for missing: str of pandas 3, pyarrow_numpy of pandas 2.2."""
    string: Any = pd.StringDtype
    try:
        return string("pyarrow", na_value=np.nan)
    except TypeError:
        return string("pyarrow_numpy")


def parquet_frame(data: bytes, name: str) -> pd.DataFrame:
    """Read the bytes of a Parquet file; messages call it `name`."""
    import pyarrow.parquet

    with readable(name, PROBLEM):
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
        require_memory(_size_in_memory([file.metadata]), name)
        return arrow_frame(file.read())


def parquet_folder_frame(folder: str, name: str) -> pd.DataFrame:
    """Read the Parquet files below a folder as one frame; folders called ``key=value`` become columns of text."""
    root = Location.of(folder)
    with readable(name, PROBLEM):
        files = parquet_files(root)
        if not files:
            raise NoInput(
                f"{folder} is a folder without Parquet files; give a file, or a folder that holds some"
            )
        with root.unchanged(root.pins(files)):
            data = parquet_dataset(root, files, name)
            require_memory(_size_in_memory([part.metadata for part in data.get_fragments()]), name)
            return arrow_frame(data.to_table())


def parquet_files(root: Location) -> list[str]:
    """The paths of the Parquet files of a place, in their order."""
    paths = [file.path for file in root.files()]
    return [
        path
        for path in paths
        if path.lower().endswith((".parquet", ".pq")) or root.beginning(path, 4) == PARQUET
    ]


def parquet_dataset(
    root: Location, files: list[str], name: str, coded: tuple[str, ...] = ()
) -> Any:
    """Parquet files of a place as one data set of pyarrow; folders called ``key=value`` become columns of text."""
    import pyarrow.dataset

    keys = [
        [part.split("=")[0] for part in path[len(root.path) :].split("/")[:-1] if "=" in part]
        for path in files
    ]
    form = pyarrow.dataset.ParquetFileFormat(dictionary_columns=coded)
    with ThreadPoolExecutor(16) as pool:
        schemas = list(pool.map(lambda path: form.inspect(path, root.system), files))
    first = files[0].rpartition("/")[2]
    for path, parts, schema in zip(files, keys, schemas, strict=True):
        if sorted(schema.names) != sorted(schemas[0].names) or parts != keys[0]:
            odd = sorted(set(schema.names) ^ set(schemas[0].names)) or parts
            differ = f"{path.rpartition('/')[2]} and {first} differ in columns {listed(odd)}"
            raise BadData(f"{name}: {differ}; give one table")
    # text, so that an id 007 in a folder's name keeps its zeros
    hive = pyarrow.dataset.HivePartitioning(pa.schema([(key, pa.string()) for key in keys[0]]))
    whole = pa.unify_schemas([*schemas, hive.schema], promote_options="permissive")
    folders = {"partitioning": hive, "partition_base_dir": root.path} if keys[0] else {}
    return pyarrow.dataset.dataset(files, whole, form, root.system, **folders)


def _size_in_memory(metadata: list[Any]) -> int:
    """Bytes at the peak of reading files with these metadata, however well they are compressed."""
    cells = sum(part.num_rows * part.num_columns for part in metadata)
    stored = sum(
        part.row_group(i).total_byte_size for part in metadata for i in range(part.num_row_groups)
    )
    return MEMORY_FACTOR * max(int(cells) * NUMBER_SIZE, int(stored))


def arrow_frame(columns: Any) -> pd.DataFrame:
    """Turn columns in Arrow's memory into a frame that keeps their types, with gaps too."""
    # text, whole numbers and booleans with gaps would become objects and floats otherwise
    kinds: dict[Any, Any] = dict.fromkeys(
        [pa.string(), pa.large_string(), pa.string_view()], text_type()
    )
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if column.null_count and str(field.type) in NULLABLE:
            kinds[field.type] = NULLABLE[str(field.type)]
    frame: pd.DataFrame = columns.to_pandas(types_mapper=kinds.get, date_as_object=False)
    return frame
