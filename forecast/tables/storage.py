"""Files and folders on disks and in object stores: their bytes, Parquet, and text as UTF-8."""

import os
import re
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
    Setting,
    StorageFailure,
    Unavailable,
    UsageError,
)
from forecast.logs import log
from forecast.tables.table import Names, list_names

FOLDER_LOCK = ".lock"  # in a folder, of the process that writes into it
PARQUET = b"PAR1"
PROBLEM = "cannot be read as Parquet: {}"
PARQUET_MEMORY_FACTOR = 3  # Arrow, frame, columns
# types of Arrow that would become floats or objects where values are missing
INTEGER_TYPES = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
NULLABLE: dict[str, Any] = {name.lower(): pd.api.types.pandas_dtype(name) for name in INTEGER_TYPES}
NULLABLE["bool"] = pd.BooleanDtype()
FOREIGN_KINDS = {  # how foreign content begins, and how to mend it
    rb"BZh": "a bzip2 archive; unpack it",
    rb"\x28\xb5\x2f\xfd": "a zstandard archive; unpack it",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    rb"(?s).{257}ustar": "a tar archive; unpack it and give one of its files",
    rb"\xd0\xcf\x11\xe0": (
        "an old spreadsheet, or one with a password; save it as plain .xlsx, or export it as CSV"
    ),
    rb"%PDF-": "a PDF document; export the table as CSV",
    rb"SQLite format 3\0": "a SQLite database; export the table as CSV",
    rb"ARROW1": "an Arrow (Feather) file; write it as Parquet or CSV",
    rb"\x89HDF": "an HDF5 file; write the table as Parquet or CSV",
    rb"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull`",
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?html": (
        "a web page, perhaps of a sign-in; download the table again"
    ),
    rb"(?i)(\xef\xbb\xbf)?\s*<\?xml": (
        "XML, perhaps an error of the server; export the table as CSV"
    ),
}
JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*["}]')
SAMPLE_BYTES = 1 << 18
DAMAGED_FILE = "is cut, damaged or encrypted ({}); copy it again or unpack it"
CELL_PEAK = 80  # bytes for each cell at the peak of a fit
MEMORY_SHARE = 0.8  # a fit may take this share of the free memory


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
            raise UsageError(
                f"{uri} cannot be opened: {reason(error)}", cure="name a path, or file, s3, gs"
            ) from None

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
            raise Busy(
                f"held by {holder.decode(errors='replace')}",
                place=self.uri,
                cure=f"try again later, or remove {self.uri}/{FOLDER_LOCK} if that process "
                "was killed",
            )
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
                raise Changed(
                    "changed while it was read",
                    place=before[0],
                    cure="read it when nobody writes to it",
                )
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
            raise NoInput(
                f"{folder} is a folder without Parquet files; give a file, or a folder that "
                "holds some"
            )
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
            raise BadData(
                f"{name}: {path.rpartition('/')[2]} and {files[0].rpartition('/')[2]} differ in "
                f"columns {odd}; give one table"
            )
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


def foreign_kind(data: bytes) -> str | None:
    """Say what content is and how to mend it, if it is surely not a readable table; else None."""
    return next(
        (kind for start, kind in FOREIGN_KINDS.items() if re.match(start, data[:1000])), None
    )


@contextmanager
def readable(name: str, problem: str = DAMAGED_FILE) -> Iterator[None]:
    """Refuse a file that libraries fail to read, for which they raise errors of many kinds."""
    try:
        yield
    except (ForecastError, MemoryError):
        raise
    except BaseException as error:
        of_rust = type(error).__name__ == "PanicException"
        if not isinstance(error, Exception) and not of_rust:
            raise
        raise BadData(f"{name} {problem.format(reason(error))}") from None


def to_utf8(data: bytes, name: str, encoding: str | None) -> bytes:
    """Convert a text to UTF-8, without a byte order mark.

    If `encoding` is None, the mark decides; without a mark, it is UTF-8.
    """
    marked = None
    if encoding is None and data.startswith((b"\xff\xfe", b"\xfe\xff")):
        marked = "utf-32" if data.startswith(b"\xff\xfe\0\0") else "utf-16"
        log.warning(
            "%s: read as %s, by its mark; write UTF-8 or pass %s to say so",
            name,
            marked.upper(),
            Setting("encoding"),
        )
    wanted = encoding or marked
    try:
        decoded = data.decode(wanted or "utf-8")
        if wanted:
            return decoded.removeprefix("\ufeff").encode()
        return data.removeprefix(b"\xef\xbb\xbf")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        known = encoding or (marked or "utf-8").upper()
        is_cut = re.search("end of data|truncated", str(error))
        cut = "; is the file cut? copy it again" if is_cut else ""
        guess = None if wanted else _guessed_encoding(data, start)
        raise BadData(
            f"is not {known} text{cut}",
            place=f"{name} line {line_at(data, start)}",
            cure=f"{'pass ' if guess else 'pass another '}{Setting('encoding', guess)}",
        ) from None
    except (LookupError, ValueError):
        raise UsageError(
            "is no text encoding; give one such as utf-8 or cp1252",
            setting=Setting("encoding", encoding),
        ) from None


def _guessed_encoding(data: bytes, start: int) -> str | None:
    sample = data[max(0, start - SAMPLE_BYTES // 2) : start + SAMPLE_BYTES // 2]
    if guess := utf16_guess(sample):
        return guess
    # single accented letters among ASCII are of a Western text, where charset-normalizer is unsure
    longest = max(map(len, re.findall(rb"[\x80-\xff]+", sample)))
    if longest <= 2 and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample):
        return "cp1252"
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best else None


def utf16_guess(data: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of mostly Latin text is NUL."""
    for offset, guess in ((1, "utf-16-le"), (0, "utf-16-be")):
        letters = data[offset:4096:2]
        if letters.count(0) > len(letters) / 2:
            return guess
    return None


def line_at(data: bytes, position: int) -> int:
    """Number of the line, from 1, in which the byte at `position` stands."""
    before = data[:position]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1


def require_memory(needed: float, name: str, free: int | None = None, cure: str = "") -> None:
    """Refuse a table that takes more bytes at the peak of reading than are `free`, or free now."""
    free = free_memory() if free is None else free
    if needed > free:
        raise Unavailable(
            f"{name} takes {needed / 2**30:.1f} GiB of memory or more to read, and "
            f"{free / 2**30:.1f} GiB are free; {cure}split it by series or shorten its history"
        )


def free_memory() -> int:
    """Return the available bytes of memory, within the limit of the container."""
    free = 1 << 33  # where no list of Linux tells
    with suppress(OSError):
        memory = Path("/proc/meminfo").read_text(encoding="ascii")
        if number := re.search(r"MemAvailable:\s+(\d+)", memory):
            free = 1024 * int(number[1])
    with suppress(OSError):
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii")
        if limit.isdigit():
            free = min(free, int(limit) - int(used))
    return free


def reason(error: BaseException) -> str:
    """Return the first line of the message of a library's error."""
    return str(error).partition("\n")[0][:200]
