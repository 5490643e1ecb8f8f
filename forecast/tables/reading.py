"""Read a table from what users name: a file, standard input, a folder of Parquet, a frame; text stays as written."""

import hashlib
import io
import os
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from gzip import GzipFile
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.errors import BadData, NoInput, NoRows, Setting, StorageFailure, UsageError
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.contents import (
    CELL_PEAK,
    JSON,
    MEMORY_SHARE,
    foreign_kind,
    free_memory,
    readable,
    require_memory,
)
from forecast.tables.headers import duplicates, listed
from forecast.tables.spreadsheet import UnknownSheet, is_workbook, workbook_table
from forecast.tables.storage import PARQUET, arrow_frame, parquet_folder_frame, parquet_frame
from forecast.tables.synthetic import synthesize, table_settings
from forecast.tables.table import Table
from forecast.tables.text import DELIMITERS, given_delimiter, json_table, text_table

GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
MEMORY_FACTOR = (
    6  # peak of reading a text table, in multiples of its size: bytes, check, columns, frame
)
READ_SIZE, DEFLATE = 1 << 22, 1032  # bytes read at once; times that zip and gzip pack at most
SYNTHETIC = "synth:"


def load_table(
    source: str, settings: TextSettings, hashed: bool = False
) -> tuple[Table, dict[str, Any]]:
    """Load what `read_table` takes, or synth:KIND, and the table settings that come with it."""
    if not source.startswith(SYNTHETIC):
        return read_table(source, settings, hashed), {}
    kind = source.removeprefix(SYNTHETIC)
    return table_from_frame(synthesize(kind), source), dict(table_settings(kind))


def load_future(source: str, settings: TextSettings) -> Table:
    """Load a table of values known in advance, read as the main table; its header and its sheet may be elsewhere."""
    settings = settings.model_copy(update={"header_row": None, "skip_rows": None})
    try:
        return load_table(source, settings)[0]
    except UnknownSheet:
        return load_table(source, settings.model_copy(update={"sheet": None}))[0]


def settings_as_at_fit(stored: TextSettings, given: dict[str, Any]) -> TextSettings:
    """The settings for reading a file: those given now, else those of the fit."""
    fitted = stored.model_dump(exclude_defaults=True)
    for mark, other in (("decimal", "thousands"), ("thousands", "decimal")):
        if given.get(mark) is not None and given[mark] == fitted.get(other):
            del fitted[other]  # one mark cannot mean both
    return TextSettings.check(
        {**fitted, **{name: value for name, value in given.items() if value is not None}}
    )


def read_table(source: str, settings: TextSettings, hashed: bool = False) -> Table:
    """Read a table; its content, not its name, decides: CSV, JSON, gzip, zip with one member, Parquet, a workbook.

    Columns of text are kept exactly as written, whatever they hold, '' where blank. `source` is the path of a file, of
    a folder of Parquet files, or ``-`` for standard input; `hashed` asks for the sha256 of the bytes of a file.

    NoInput: the source is not there, or no table. BadData: the content is not one whole table. Unavailable: it does not
    fit into memory, or is a workbook, and python-calamine is not installed. StorageFailure: reading fails halfway.
    """
    delimiter = given_delimiter(settings)
    if delimiter is not None and (
        len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'
    ):
        raise UsageError(
            "give one character, such as , ; | or tab",
            setting=Setting("delimiter", settings.delimiter),
        )
    if settings.thousands is not None and settings.thousands == settings.decimal:
        raise UsageError(
            "is the decimal mark, too; they must differ",
            setting=Setting("thousands", settings.thousands),
        )
    return replace(_read(source, settings, hashed), reading=settings)


def _read(source: str, settings: TextSettings, hashed: bool) -> Table:
    if source == "-":
        return _from_bytes(
            _bytes_of(sys.stdin.buffer, "standard input"), "standard input", settings
        )
    path = Path(source)
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            name = path.name or str(path)
            return table_from_frame(parquet_folder_frame(source, name), name)
        if not stat.S_ISREG(kind):
            raise NoInput(
                f"{source} is not a regular file; pipe it in and pass - to read standard input"
            )
        file = path.open("rb")
    except FileNotFoundError:
        raise NoInput(
            f"{source} does not exist; give the path of a CSV or Parquet file, or - for stdin"
        ) from None
    except OSError as error:
        raise NoInput(f"{source} cannot be opened: {error.strerror or error}") from None
    with file:
        return _read_file(file, path, settings, hashed)


def table_from_frame(frame: Any, name: str = "DataFrame") -> Table:
    """Take a pandas object, an array, or anything with an Arrow stream (polars, DuckDB) as a table called `name`.

    Named index levels become columns; an unnamed index of times is called ``time``, one of text ``index``, and any
    other unnamed index is dropped. A Series without a name is called ``y``, as is an array [rows] or [rows, 1].
    UsageError if it is none of these; BadData if it has no rows or columns, several levels of columns, or a name twice.
    """
    if isinstance(frame, np.ndarray) and frame.shape[1:] in ((), (1,)):
        frame = pd.Series(frame.reshape(-1))
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("y" if frame.name is None else frame.name)
    if hasattr(frame, "__arrow_c_stream__") and not isinstance(frame, pd.DataFrame):
        with readable(name, "cannot be read as an Arrow table: {}"):
            frame = arrow_frame(pa.table(frame))
    if not isinstance(frame, pd.DataFrame):
        known = "a frame (of pandas, or with an Arrow stream, as of polars), a Series or an array of one dimension"
        shape = f" of shape {frame.shape}" if isinstance(frame, np.ndarray) else ""
        raise UsageError(f"a table must be {known}, not {type(frame).__qualname__}{shape}")
    if isinstance(frame.columns, pd.MultiIndex):
        raise BadData(
            f"{name} has {frame.columns.nlevels} levels of column names; flatten them to one"
        )
    index, levels, columns = frame.index, list[str](), [str(column) for column in frame.columns]
    # row numbers are left by a selection of rows, too
    numbered = (
        index.nlevels == 1 and index.name is None and pd.api.types.is_numeric_dtype(index.dtype)
    )
    for position in range(0 if numbered else index.nlevels):
        values = index.get_level_values(position)
        unnamed = "index" if index.nlevels == 1 else f"level_{position}"
        unnamed = "time" if isinstance(values, pd.DatetimeIndex | pd.PeriodIndex) else unnamed
        levels.append(unnamed if values.name is None else str(values.name))
    if twice := duplicates([*levels, *columns]):
        raise BadData(
            f"{name} has several columns (index included) called {listed(twice)}; rename them"
        )
    if not len(frame) or not (levels or columns):
        raise NoRows(f"{name} holds no {'rows' if levels or columns else 'columns'}")
    flat = frame.set_axis(pd.Index(columns), axis=1)
    return Table(name, flat.reset_index(names=levels) if levels else flat.reset_index(drop=True))


def _read_file(file: IO[bytes], path: Path, settings: TextSettings, hashed: bool) -> Table:
    """Read an open file, and check that nobody wrote to it meanwhile: its last line may be cut within a number."""
    before = os.fstat(file.fileno())
    require_memory(MEMORY_FACTOR * before.st_size, path.name)
    data = _bytes_of(file, path.name)
    table = _from_bytes(data, path.name, settings)
    try:
        after = path.stat()
    except OSError:
        after = before  # removed since, so what was read is whole
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        replaced = before.st_ino != after.st_ino
        # archives show by themselves whether they are whole
        if not (
            replaced or data.endswith((b"\n", b"\r", b"\n\0")) or data.startswith((GZIP, *ZIP))
        ):
            raise BadData(
                f"{path.name} changed while it was read, its end may be cut; read it when it is whole"
            )
        log.warning("%s: changed while it was read; what had come up to then is used", path.name)
    return replace(table, sha256=hashlib.sha256(data).hexdigest()) if hashed else table


def _read_limited(read: Callable[[int], bytes], name: str, packed: int | None = None) -> bytes:
    """Read a stream to its end if it fits into memory as a table; `packed`: what an archive holds, 0 if unknown."""
    free, buffer, factor, cure = (
        free_memory(),
        io.BytesIO(),
        float(MEMORY_FACTOR),
        "",
    )  # its value is no copy
    while piece := read(READ_SIZE):
        if packed is not None and not buffer.tell() and not piece.startswith(PARQUET):
            cells = piece.count(b"\n") + max(
                piece.count(delimiter.encode()) for delimiter in DELIMITERS
            )
            factor = max(factor, cells / len(piece) * CELL_PEAK / MEMORY_SHARE)
            cure = "unpack it (a plain table is read in parts), "
        buffer.write(piece)
        require_memory(factor * max(packed or 0, buffer.tell()), name, free, cure)
    return buffer.getvalue()


def _bytes_of(file: IO[bytes], name: str) -> bytes:
    try:
        return _read_limited(file.read, name)
    except OSError as error:
        raise StorageFailure(f"{name} cannot be read to its end: {error}") from None


def _from_bytes(data: bytes, name: str, settings: TextSettings) -> Table:
    if data.startswith(ZIP) and is_workbook(data, name):
        return workbook_table(data, name, settings)
    if data.startswith(GZIP):
        with readable(name):
            data = _read_limited(
                GzipFile(fileobj=io.BytesIO(data)).read, name, 0
            )  # a cut one has no true size
    elif data.startswith(ZIP):
        with readable(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [
                m
                for m in archive.infolist()
                if not m.is_dir() and not m.filename.startswith("__MACOSX/")
            ]
            if len(members) != 1:
                raise BadData(f"{name} holds {len(members)} files; unpack it and give one of them")
            size = min(members[0].file_size, DEFLATE * len(data))  # a damaged one may say anything
            data = _read_limited(archive.open(members[0]).read, name, size)
    if data.startswith((GZIP, *ZIP)):
        raise BadData(f"{name} is an archive that holds another archive; unpack it")
    if kind := foreign_kind(data):
        raise BadData(f"{name} is {kind}")
    if data.startswith(PARQUET):
        return table_from_frame(parquet_frame(data, name), name)
    return (json_table if JSON.match(data) else text_table)(data, name, settings)
