"""Read a table from what users name: a file, standard input, a folder of Parquet, a frame."""

import gzip
import hashlib
import io
import lzma
import os
import re
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forecast.errors import BadData, NoInput, NoRows, Setting, StorageFailure, UsageError
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.spreadsheet import is_workbook, workbook_table
from forecast.tables.storage import (
    CELL_PEAK,
    JSON,
    MEMORY_SHARE,
    PARQUET,
    arrow_frame,
    foreign_kind,
    free_memory,
    parquet_folder_frame,
    parquet_frame,
    readable,
    require_memory,
)
from forecast.tables.synthetic import synthesize
from forecast.tables.table import Table, duplicates, list_names
from forecast.tables.text import DELIMITERS, given_delimiter, json_table, text_table

GZIP = b"\x1f\x8b"
XZ = b"\xfd7zXZ\0"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
ARCHIVES = (GZIP, XZ, *ZIP)
# peak of reading a text table, in multiples of its size: bytes, check, columns, frame
TEXT_MEMORY_FACTOR = 6
SYNTHETIC = "synth:"
MAX_LINE = 1 << 26  # bytes of a line of text, which has at most a million cells


class ArrowFrame(Protocol):
    """A frame with an Arrow stream, as of polars, pyarrow and DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object = None, /) -> object: ...


Data = pd.DataFrame | pd.Series | NDArray[np.generic] | ArrowFrame | Table
"""What users pass as a table; an array is [rows]."""


def load_future(source: str, settings: TextSettings) -> Table:
    """Load a table of values known in advance; its header and its sheet may be elsewhere."""
    settings = settings.model_copy(update={"header_row": None, "skip_rows": None})
    try:
        return read_table(source, settings)
    except UsageError:  # there is no sheet of that name
        return read_table(source, settings.model_copy(update={"sheet": None}))


def settings_as_at_fit(stored: TextSettings, given: dict[str, Any]) -> TextSettings:
    """The settings for reading a file: those given now, else those of the fit."""
    fitted = stored.model_dump(exclude_defaults=True)
    newer = {name: value for name, value in given.items() if value is not None}
    for mark, other in (("decimal", "thousands"), ("thousands", "decimal")):
        if mark in newer and newer[mark] == fitted.get(other):
            del fitted[other]  # one mark cannot mean both
    return TextSettings.check(fitted | newer)


def read_table(source: str, settings: TextSettings, hashed: bool = False) -> Table:
    """Read a CSV, JSON, gzip or xz, a zip with one member, Parquet or a workbook, whatever its name.

    Columns of text are kept exactly as written, whatever they hold, '' where blank. `source` is the
    path of a file, of a folder of Parquet files, ``-`` for standard input, or ``synth:KIND``;
    `hashed` asks for the sha256 of the bytes of a file.

    NoInput: the source is not there, or no table. BadData: the content is not one whole table.
    Unavailable: it does not fit into memory, or is a workbook, and python-calamine is not
    installed. StorageFailure: reading fails halfway.
    """
    if source.startswith(SYNTHETIC):
        return table_from_frame(synthesize(source.removeprefix(SYNTHETIC)), source)
    delimiter = given_delimiter(settings)
    if delimiter is not None and not re.fullmatch(r'(?![\r\n"])[\x01-\x7f]', delimiter):
        setting = Setting("delimiter", settings.delimiter)
        raise UsageError("give one character, such as , ; | or tab", setting=setting)
    if settings.thousands is not None and settings.thousands == settings.decimal:
        setting = Setting("thousands", settings.thousands)
        raise UsageError("is the decimal mark, too; they must differ", setting=setting)
    return replace(_read(source, settings, hashed), reading=settings)


def _read(source: str, settings: TextSettings, hashed: bool) -> Table:
    if source == "-":
        name = "standard input"
        return _from_bytes(_read_bytes(sys.stdin.buffer, name), name, settings)
    path = Path(source)
    try:
        if path.is_dir():
            name = path.name or source
            return table_from_frame(parquet_folder_frame(source, name), name)
        if path.exists() and not path.is_file():
            cure = "pipe it in and pass - to read standard input"
            raise NoInput(f"{source} is not a regular file; {cure}")
        file = path.open("rb")
    except FileNotFoundError:
        cure = "give the path of a CSV or Parquet file, or - for stdin"
        raise NoInput(f"{source} does not exist; {cure}") from None
    except OSError as error:
        raise NoInput(f"{source} cannot be opened: {error.strerror or error}") from None
    with file:
        # nobody may write to it meanwhile: its last number may be cut
        before = os.fstat(file.fileno())
        require_memory(TEXT_MEMORY_FACTOR * before.st_size, path.name)
        data = _read_bytes(file, path.name)
        table = _from_bytes(data, path.name, settings)
        after = before
        with suppress(OSError):  # removed since: what was read is whole
            after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        # archives show by themselves whether they are whole
        ended = data.endswith((b"\n", b"\r", b"\n\0")) or data.startswith(ARCHIVES)
        if before.st_ino == after.st_ino and not ended:
            raise BadData(
                f"{path.name} changed while it was read, its end may be cut; read it when it "
                "is whole"
            )
        log.warning("%s: changed while it was read; what had come up to then is used", path.name)
    if not hashed:
        return table
    return replace(table, sha256=hashlib.sha256(data).hexdigest())


def table_from_frame(frame: Data, name: str = "DataFrame") -> Table:
    """Take a pandas object, an array, or anything with an Arrow stream (polars, DuckDB).

    Named index levels become columns; an unnamed index of times is called ``time``, one of text
    ``index``, and any other unnamed index is dropped. A Series without a name is called ``y``, as
    is an array [rows] or [rows, 1]. UsageError if it is none of these; BadData if it has no rows or
    columns, several levels of columns, or a name twice.
    """
    if isinstance(frame, Table):
        return frame
    if isinstance(frame, np.ndarray) and frame.shape[1:] in ((), (1,)):
        frame = pd.Series(frame.reshape(-1))
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("y" if frame.name is None else frame.name)
    if hasattr(frame, "__arrow_c_stream__") and not isinstance(frame, pd.DataFrame):
        with readable(name, "cannot be read as an Arrow table: {}"):
            frame = arrow_frame(pa.table(frame))
    if not isinstance(frame, pd.DataFrame):
        shape = f" of shape {frame.shape}" if isinstance(frame, np.ndarray) else ""
        raise UsageError(
            "a table must be a frame (of pandas, or with an Arrow stream, as of polars), a Series "
            f"or an array of one dimension, not {type(frame).__qualname__}{shape}"
        )
    if isinstance(frame.columns, pd.MultiIndex):
        raise BadData(
            f"{name} has {frame.columns.nlevels} levels of column names; flatten them to one"
        )
    columns = [str(column) for column in frame.columns]
    index_names = _index_names(frame.index)
    if twice := duplicates([*index_names, *columns]):
        problem = f"{name} has several columns (index included) called {list_names(twice)}"
        raise BadData(f"{problem}; rename them")
    if not len(frame) or not (index_names or columns):
        raise NoRows(f"{name} holds no {'rows' if index_names or columns else 'columns'}")
    frame = frame.set_axis(pd.Index(columns), axis=1)
    table = Table(name, frame.reset_index(names=index_names or None, drop=not index_names))
    for column in map(str, table.frame.columns[table.frame.dtypes.eq("object")]):
        cells = table.frame[column]
        try:
            with suppress(pa.ArrowException, TypeError):  # what else is no text is found in use
                pa.array(cells, from_pandas=True)
        except UnicodeEncodeError:
            row = np.argmax([bool(re.search("[\ud800-\udfff]", str(cell))) for cell in cells])
            problem = "has half a character, which is no text"
            raise BadData(problem, place=table.place(row, column), cure="correct it") from None
    return table


def _index_names(index: "pd.Index[Any]") -> list[str]:
    """The columns that an index becomes; none where it numbers the rows, or a selection of them."""
    if index.nlevels == 1 and index.name is None and pd.api.types.is_numeric_dtype(index.dtype):
        return []
    names = []
    for level in range(index.nlevels):
        values = index.get_level_values(level)
        unnamed = "index" if index.nlevels == 1 else f"level_{level}"
        if isinstance(values, pd.DatetimeIndex | pd.PeriodIndex):
            unnamed = "time"
        names.append(unnamed if values.name is None else str(values.name))
    return names


def _read_to_limit(read: Callable[[int], bytes], name: str, packed: int | None = None) -> bytes:
    """Read a stream to its end if it fits into memory as a table.

    `packed` is the size of what an archive holds, 0 if unknown, None for no archive.
    """
    free = free_memory()
    buffer = io.BytesIO()  # its value is no copy
    factor = float(TEXT_MEMORY_FACTOR)
    cure = ""
    line = 0  # bytes that came since a piece with the end of a line
    while piece := read(1 << 22):
        if not buffer.tell():
            in_lines = not (piece.startswith(PARQUET) or JSON.match(piece))
        line = 0 if b"\n" in piece or b"\r" in piece else line + len(piece)
        if in_lines and line > MAX_LINE:
            raise BadData(
                f"{name} has a line of more than {MAX_LINE >> 20} MiB; is this a table at all?"
            )
        if packed is not None and not buffer.tell() and not piece.startswith(PARQUET):
            marks = max(piece.count(delimiter.encode()) for delimiter in DELIMITERS)
            cells = (piece.count(b"\n") + marks) / len(piece)
            factor = max(factor, cells * CELL_PEAK / MEMORY_SHARE)
            cure = "unpack it (a plain table is read in parts), "
        buffer.write(piece)
        require_memory(factor * max(packed or 0, buffer.tell()), name, free, cure)
    return buffer.getvalue()


def _read_bytes(file: IO[bytes], name: str) -> bytes:
    try:
        return _read_to_limit(file.read, name)
    except OSError as error:
        raise StorageFailure(f"{name} cannot be read to its end: {error}") from None


def _from_bytes(data: bytes, name: str, settings: TextSettings) -> Table:
    if data.startswith(ZIP) and is_workbook(data, name):
        return workbook_table(data, name, settings)
    if data.startswith((GZIP, XZ)):
        unpack = lzma.open if data.startswith(XZ) else gzip.open
        with readable(name), unpack(io.BytesIO(data)) as unpacked:
            data = _read_to_limit(unpacked.read, name, 0)  # a cut one has no true size
    elif data.startswith(ZIP):
        with readable(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [
                member
                for member in archive.infolist()
                if not (member.is_dir() or member.filename.startswith("__MACOSX/"))
            ]
            if len(members) != 1:
                raise BadData(f"{name} holds {len(members)} files; unpack it and give one of them")
            # zip packs at most so many times; a damaged one may say anything
            size = min(members[0].file_size, 1032 * len(data))
            data = _read_to_limit(archive.open(members[0]).read, name, size)
    if data.startswith(ARCHIVES):
        raise BadData(f"{name} is an archive that holds another archive; unpack it")
    if kind := foreign_kind(data):
        raise BadData(f"{name} is {kind}")
    if data.startswith(PARQUET):
        return table_from_frame(parquet_frame(data, name), name)
    return (json_table if JSON.match(data) else text_table)(data, name, settings)
