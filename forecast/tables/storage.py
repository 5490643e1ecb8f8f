"""Folders and Parquet on local disks and in object stores, by path or URI, through the file systems of pyarrow."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.durable import make_directory, replace_file
from forecast.errors import BadData, CannotCreate, ForecastError, NoInput, StorageFailure, UsageError
from forecast.tables.arrow import arrow_frame
from forecast.tables.headers import listed
from forecast.tables.table import Table
from forecast.tables.texts import pa

SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 1 << 20  # rows that are looked at at once

Keep = Callable[[Table], NDArray[np.bool_]]
"""Which rows of a table are wanted, [rows]."""


@dataclass(frozen=True)
class Place:
    """A file or folder.

    Attributes
    ----------
    uri : as the user named it
    system : the file system of pyarrow that has it
    path : there
    """

    uri: str
    system: Any
    path: str

    @classmethod
    def of(cls, uri: str) -> "Place":
        """The place that a path or a URI such as s3://bucket/folder names.

        Raises
        ------
        UsageError
            If pyarrow has no such file system.
        """
        from pyarrow import fs

        if "://" not in uri:
            return cls(uri, fs.LocalFileSystem(), os.path.abspath(uri))
        try:
            system, path = file_system(uri)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UsageError(f"{uri} cannot be opened: {_reason(error)}", cure="name a path, or file, s3, gs") from None
        return cls(uri, system, path)

    @property
    def local(self) -> bool:
        """Whether it is on this machine's file system."""
        return bool(self.system.type_name == "local")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path.rstrip("/").rpartition("/")[2] or self.uri

    def read(self, name: str) -> bytes | None:
        """The bytes of a file in this folder; None if it does not exist."""
        try:
            with self.system.open_input_stream(f"{self.path}/{name}") as file:
                data: bytes = file.read()
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise StorageFailure(f"{self.uri}/{name} cannot be read: {_reason(error)}") from None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in this folder, all at once; missing folders are created."""
        if self.local:
            make_directory(Path(self.path))
            replace_file(f"{self.path}/{name}", data)
            return
        try:  # an object appears when it is closed, whole
            with self.system.open_output_stream(f"{self.path}/{name}") as file:
                file.write(data)
        except (pa.ArrowException, OSError) as error:
            raise CannotCreate(f"{self.uri}/{name} cannot be written: {_reason(error)}") from None

    def remove(self, name: str) -> None:
        """Remove a file of this folder if possible, without an error."""
        try:
            self.system.delete_file(f"{self.path}/{name}")
        except (pa.ArrowException, OSError):
            return

    def dataset(self) -> Any:
        """The Parquet file, or all Parquet files of the folder, as a data set of pyarrow."""
        import pyarrow.dataset

        with self._reading():
            kind = self.system.get_file_info(self.path)
            if kind.is_file:
                return pyarrow.dataset.dataset(self.path, filesystem=self.system, format="parquet")
            files = self._files() if kind.type.name == "Directory" else []
            if not files:
                raise NoInput(f"{self.uri} is no Parquet file, and no folder that holds some")
            keys = [part.split("=")[0] for part in files[0][len(self.path) :].split("/")[:-1] if "=" in part]
            hive = pyarrow.dataset.HivePartitioning(pa.schema([(key, pa.string()) for key in keys]))
            return pyarrow.dataset.dataset(
                files, filesystem=self.system, format="parquet", partitioning=hive, partition_base_dir=self.path
            )

    def rows(self, columns: list[str], keep: Keep, by: list[str]) -> Table:
        """The wanted rows of Parquet, of which no more than a batch is in memory beside them.

        Parameters
        ----------
        columns : to be read
        keep : which rows are wanted, by the columns `by`
        """
        wanted, rows = [], []
        for first, batch in self.batches(columns):
            flags = keep(self.as_table(batch.select(by))) if len(batch) else np.zeros(0, bool)
            wanted.append(batch.filter(pa.array(flags, pa.bool_())))
            rows.append(first + np.flatnonzero(flags))
        return self.as_table(pa.concat_tables(wanted).combine_chunks(), np.concatenate(rows))

    def as_table(self, columns: Any, rows: NDArray[np.int64] | None = None) -> Table:
        """A table of Arrow as one of this package; messages give each of its rows one of the numbers `rows`."""
        return Table(self.name, arrow_frame(columns), lines=rows)

    def batches(self, columns: list[str]) -> Iterator[tuple[int, Any]]:
        """Some columns of Parquet, batch by batch, as tables of Arrow, and the number of the first row of each."""
        data = self.dataset()
        if missing := [name for name in columns if name not in data.schema.names]:
            raise BadData(f"{self.name} has no column {listed(missing)} (columns: {listed(data.schema.names)})")
        first = 1
        yield first, data.schema.empty_table().select(columns)
        with self._reading():
            for batch in data.scanner(columns=columns, batch_size=BATCH_ROWS).to_batches():
                yield first, pa.Table.from_batches([batch])
                first += len(batch)

    def _files(self) -> list[str]:
        from pyarrow import fs

        found = self.system.get_file_info(fs.FileSelector(self.path, recursive=True))
        return sorted(each.path for each in found if each.is_file and each.path.lower().endswith(SUFFIXES))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Report what cannot be read."""
        try:
            yield
        except (ForecastError, MemoryError):
            raise
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
            raise BadData(f"{self.uri} cannot be read as Parquet: {_reason(error)}") from None


def file_system(uri: str) -> tuple[Any, str]:
    """The file system of pyarrow that a URI names, and the path there."""
    from pyarrow import fs

    found: tuple[Any, str] = fs.FileSystem.from_uri(uri)
    return found


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
