"""Files and folders on local disks and in object stores, and the Parquet in them."""

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
from forecast.tables.headers import list_names
from forecast.tables.table import Names

FOLDER_LOCK = ".lock"  # in a folder, of the process that writes into it
PARQUET = b"PAR1"
PROBLEM = "cannot be read as Parquet: {}"
PARQUET_MEMORY_FACTOR = 3  # Arrow, frame, columns
# types of Arrow that would become floats or objects where values are missing
INTEGER_TYPES = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
NULLABLE: dict[str, Any] = {name.lower(): pd.api.types.pandas_dtype(name) for name in INTEGER_TYPES}
NULLABLE["bool"] = pd.BooleanDtype()


class Changed(ForecastError, ValueError, exit_code=65):
    """A file changed while it was read: reading it in another way does not help, unlike BadData."""


@dataclass(frozen=True)
class Location:
    """A file or folder: as the user named it, and its path in a file system of pyarrow."""

    uri: str
    system: Any
    path: str

    @classmethod
    def parse(cls, uri: str) -> "Location":
        """The place of a path or a URI such as s3://bucket/folder; UsageError if it cannot be."""
        from pyarrow import fs

        if "://" not in uri:
            return cls(uri, fs.LocalFileSystem(), os.path.abspath(uri))
        try:
            return cls(uri, *fs.FileSystem.from_uri(uri))
        except (pa.ArrowException, OSError, ValueError) as error:
            problem = f"{uri} cannot be opened: {reason(error)}"
            raise UsageError(problem, cure="name a path, or file, s3, gs") from None

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2] or self.uri

    def files(self) -> list[Any]:
        """What pyarrow says of the file, or of all below the folder that are not hidden, sorted."""
        from pyarrow import fs

        info = self.system.get_file_info(self.path)
        if info.is_file:
            return [info]
        if info.type != fs.FileType.Directory:
            raise NoInput(f"{self.uri} does not exist, or is no file or folder")
        below = self.system.get_file_info(fs.FileSelector(self.path, recursive=True))
        files = [info for info in below if info.is_file and info.base_name[0] not in "._"]
        return sorted(files, key=lambda info: str(info.path))

    def read_start(self, path: str, size: int | None) -> bytes:
        """The first bytes of a file, or all of them."""
        with self.system.open_input_stream(path) as file:
            return bytes(file.read(size))

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
    def lock(self) -> Iterator[None]:
        """Hold this folder against other writers; in an object store an object says who writes.

        Two that begin at one moment are not kept apart there, as pyarrow writes objects whether
        there are some or not.
        """
        if self.system.type_name == "local":
            make_directory(Path(self.path))
            with lock_file(Path(self.path, FOLDER_LOCK)):
                yield
            return
        try:
            holder = self.read_start(f"{self.path}/{FOLDER_LOCK}", None)
        except FileNotFoundError:
            pass
        except (pa.ArrowException, OSError) as error:
            raise StorageFailure(
                f"{self.uri}/{FOLDER_LOCK} cannot be read: {reason(error)}"
            ) from None
        else:
            cure = f"try again later, or remove {self.uri}/{FOLDER_LOCK} if that process was killed"
            raise Busy(f"held by {holder.decode(errors='replace')}", place=self.uri, cure=cure)
        self.write(FOLDER_LOCK, f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield
        finally:
            self.remove(FOLDER_LOCK)

    def pins(self, paths: Sequence[str]) -> list[tuple[Any, ...]]:
        """By which a change of files shows: their paths, sizes and times."""
        infos = self.system.get_file_info(list(paths))
        return [(info.path, info.size, info.mtime_ns) for info in infos]

    @contextmanager
    def refuse_changes(self, pins: list[tuple[Any, ...]]) -> Iterator[None]:
        """Refuse files that changed in a block, also where this made it fail."""
        failure = None
        try:
            yield
        except Exception as error:
            failure = error
        now = self.pins([path for path, *_ in pins])
        for before, after in zip(pins, now, strict=True):
            if before != after:
                cure = "read it when nobody writes to it"
                raise Changed("changed while it was read", place=before[0], cure=cure)
        if failure is not None:
            raise failure

    def remove(self, name: str) -> None:
        """Remove a file of this folder if possible, without an error."""
        with suppress(pa.ArrowException, OSError):
            self.system.delete_file(f"{self.path}/{name}")


def text_type() -> Any:
    """The type of text with NaN for missing, which pandas 3 calls str."""
    string: Any = pd.StringDtype
    return string("pyarrow", na_value=np.nan)


def parquet_frame(data: bytes, name: str) -> pd.DataFrame:
    """Read the bytes of a Parquet file; messages call it `name`."""
    import pyarrow.parquet

    with readable(name, PROBLEM):
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
        require_memory(_size_in_memory([file.metadata]), name)
        return arrow_frame(file.read())


def parquet_folder_frame(folder: str, name: str) -> pd.DataFrame:
    """Read Parquet files below a folder; folders called ``key=value`` become columns of text."""
    root = Location.parse(folder)
    with readable(name, PROBLEM):
        files = parquet_files(root)
        if not files:
            cure = "give a file, or a folder that holds some"
            raise NoInput(f"{folder} is a folder without Parquet files; {cure}")
        with root.refuse_changes(root.pins(files)):
            data = parquet_dataset(root, files, name)
            require_memory(_size_in_memory([part.metadata for part in data.get_fragments()]), name)
            return arrow_frame(data.to_table())


def parquet_files(root: Location) -> list[str]:
    """The paths of the Parquet files of a place, in their order."""
    paths = [info.path for info in root.files()]
    suffixes = (".parquet", ".pq")
    return [p for p in paths if p.lower().endswith(suffixes) or root.read_start(p, 4) == PARQUET]


def parquet_dataset(root: Location, files: list[str], name: str, coded: Names = ()) -> Any:
    """Parquet files of a place as one data set of pyarrow.

    Folders called ``key=value`` become columns of text.
    """
    import pyarrow.dataset

    form = pyarrow.dataset.ParquetFileFormat(dictionary_columns=coded)
    with ThreadPoolExecutor(16) as pool:
        schemas = list(pool.map(lambda path: form.inspect(path, root.system), files))
    keys = _folder_keys(root, files[0])
    first_names = set(schemas[0].names)
    for path, schema in zip(files, schemas, strict=True):
        keys_here = _folder_keys(root, path)
        if sorted(schema.names) != sorted(schemas[0].names) or keys_here != keys:
            odd = list_names(sorted(set(schema.names) ^ first_names) or keys_here)
            pair = f"{path.rpartition('/')[2]} and {files[0].rpartition('/')[2]}"
            raise BadData(f"{name}: {pair} differ in columns {odd}; give one table")
    # text, so that an id 007 in a folder's name keeps its zeros
    fields = [(key, pa.string()) for key in keys]
    hive = pyarrow.dataset.HivePartitioning(pa.schema(fields))
    whole = pa.unify_schemas([*schemas, hive.schema], promote_options="permissive")
    folders = {"partitioning": hive, "partition_base_dir": root.path} if keys else {}
    return pyarrow.dataset.dataset(files, whole, form, root.system, **folders)


def _folder_keys(root: Location, path: str) -> list[str]:
    folders = path[len(root.path) :].split("/")[:-1]
    return [folder.partition("=")[0] for folder in folders if "=" in folder]


def _size_in_memory(metadata: list[Any]) -> int:
    """Bytes at the peak of reading files with these metadata, however well they are compressed."""
    cells = 0
    stored = 0  # bytes
    for part in metadata:
        cells += part.num_rows * part.num_columns
        stored += sum(part.row_group(i).total_byte_size for i in range(part.num_row_groups))
    return PARQUET_MEMORY_FACTOR * max(8 * cells, stored)


def arrow_frame(columns: Any) -> pd.DataFrame:
    """Turn columns in Arrow's memory into a frame that keeps their types, with gaps too."""
    texts = [pa.string(), pa.large_string(), pa.string_view()]
    kinds: dict[Any, Any] = dict.fromkeys(texts, text_type())
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if column.null_count and str(field.type) in NULLABLE:
            kinds[field.type] = NULLABLE[str(field.type)]
    frame: pd.DataFrame = columns.to_pandas(types_mapper=kinds.get, date_as_object=False)
    return frame
