"""Read a table from a file, standard input, a folder of Parquet or a DataFrame; text stays as it is written."""

import csv
import io
import logging
import os
import re
import stat
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from gzip import GzipFile
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet
from numpy.typing import NDArray

from forecast.errors import BadData, NoInput, StorageFailure, Unavailable, UsageError
from forecast.series.numbers import infer_decimal
from forecast.series.table import Table
from forecast.settings import TextSettings

DELIMITERS = ("\t", ";", "|", ",")  # where two fit equally well, the first does: a decimal comma looks like a delimiter
DELIMITER_NAMES = {"\\t": "\t", "tab": "\t"}
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
FOREIGN = {
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
}
GZIP, ZIP, PARQUET = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06"), b"PAR1"
NULLABLE: dict[str, Any] = {
    "bool": pd.BooleanDtype(),
    "int8": pd.Int8Dtype(),
    "int16": pd.Int16Dtype(),
    "int32": pd.Int32Dtype(),
    "int64": pd.Int64Dtype(),
    "uint8": pd.UInt8Dtype(),
    "uint16": pd.UInt16Dtype(),
    "uint32": pd.UInt32Dtype(),
    "uint64": pd.UInt64Dtype(),
}
MEMORY_FACTOR = 6  # peak of reading a text table, in multiples of its size: bytes, check, columns, frame
SAMPLE = 1 << 18
CHUNK = 1 << 22
DATE_OR_FRACTION = re.compile(r"\d+[-/.:]\d+[-/.:]\d+|\d+:\d\d|[+-]?\d*\.\d+")

log = logging.getLogger("forecast")


def read_table(source: str, settings: TextSettings) -> Table:
    """Read a table; what it is (CSV, gzip, zip with one member, Parquet) is told by its content, not by its name.

    Parameters
    ----------
    source : path of a file, of a folder of Parquet files, or ``-`` for standard input
    settings : encoding, delimiter, decimal mark and thousands separator of text; what is None is read off the content

    Returns
    -------
    The table. Columns of text are kept exactly as written, whatever they hold, '' where blank.

    Raises
    ------
    NoInput
        If the source is not there, cannot be opened, or is a folder without Parquet files.
    BadData
        If the content is not one whole table.
    Unavailable
        If it does not fit into memory.
    UsageError
        If a setting cannot be used.
    StorageFailure
        If reading fails half-way.
    """
    _check_settings(settings)
    if source == "-":
        return _from_bytes(_read_limited(sys.stdin.buffer.read, "standard input"), "standard input", settings)
    path = Path(source)
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            return _read_folder(path)
        if not stat.S_ISREG(kind):
            raise NoInput(f"{source} is not a regular file; pipe it in and pass - to read standard input")
        file = path.open("rb")
    except FileNotFoundError:
        raise NoInput(f"{source} does not exist; give the path of a CSV or Parquet file, or - for stdin") from None
    except OSError as error:
        raise NoInput(f"{source} cannot be opened: {error.strerror or error}") from None
    with file:
        return _read_file(file, path, settings)


def table_from_frame(frame: "pd.DataFrame | pd.Series[Any]", name: str = "DataFrame") -> Table:
    """Take a pandas object as a table; the caller's object is left as it is.

    Parameters
    ----------
    frame : named index levels become columns; an unnamed index of times is called ``time``, one of text ``index``,
        and any other unnamed index is dropped. A Series without a name is called ``y``.
    name : what messages call the table

    Raises
    ------
    UsageError
        If `frame` is no pandas object.
    BadData
        If it has no rows or columns, several levels of columns, or two columns of one name.
    """
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("y" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"a table must be a pandas DataFrame or Series, not {type(frame).__name__}")
    if isinstance(frame.columns, pd.MultiIndex):
        raise BadData(f"{name} has {frame.columns.nlevels} levels of column names; flatten them to one")
    levels = _index_columns(frame.index)
    columns = [str(column) for column in frame.columns]
    if twice := _duplicates([*levels, *columns]):
        raise BadData(f"{name} has several columns (index included) called {_listed(twice)}; rename them")
    if not len(frame) or not (levels or columns):
        raise BadData(f"{name} holds no {'rows' if levels or columns else 'columns'}")
    flat = frame.reset_index(drop=True)
    flat.columns = pd.Index(columns)
    indexes = {level: pd.Series(values).reset_index(drop=True) for level, values in levels.items()}
    return Table(name, pd.concat([pd.DataFrame(indexes), flat], axis=1) if indexes else flat)


def _index_columns(index: pd.Index) -> "dict[str, pd.Index]":
    columns: dict[str, pd.Index] = {}
    for position in range(index.nlevels):
        values = index.get_level_values(position)
        if values.name is not None:
            label = str(values.name)
        elif isinstance(values, pd.DatetimeIndex | pd.PeriodIndex):
            label = "time"
        elif index.nlevels == 1 and pd.api.types.is_numeric_dtype(values.dtype):
            continue  # row numbers, also those that are left after a selection of rows
        else:
            label = "index" if index.nlevels == 1 else f"level_{position}"
        if label in columns:
            raise BadData(f"two levels of the index are called '{label}'; rename one")
        columns[label] = values
    return columns


def _check_settings(settings: TextSettings) -> None:
    delimiter = _delimiter(settings)
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
        raise UsageError(f"--delimiter {settings.delimiter!r}: give one character, such as , ; | or tab")
    if settings.thousands is not None and settings.thousands == settings.decimal:
        raise UsageError(f"--decimal and --thousands are both {settings.decimal}; they must differ")


def _delimiter(settings: TextSettings) -> str | None:
    return DELIMITER_NAMES.get(settings.delimiter, settings.delimiter) if settings.delimiter is not None else None


# --- bytes -----------------------------------------------------------------------------------------------------------


def _read_file(file: IO[bytes], path: Path, settings: TextSettings) -> Table:
    """Read an open file, and make sure that nobody wrote to it meanwhile: its last line may be cut in a number."""
    before = os.fstat(file.fileno())
    _require_memory(before.st_size, path.name, _free_memory())
    data = _read_limited(file.read, path.name)
    table = _from_bytes(data, path.name, settings)
    try:
        after = path.stat()
    except OSError:
        after = before  # removed since: what was read is whole
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        replaced = before.st_ino != after.st_ino
        # archives and Parquet prove themselves that they are whole
        if not (replaced or data.endswith((b"\n", b"\r", b"\n\0")) or data.startswith((GZIP, *ZIP, PARQUET))):
            raise BadData(f"{path.name} changed while it was read, its last line may be cut; read it when it is whole")
        log.warning("%s: changed while it was read; what had come up to then is used", path.name)
    return table


def _read_limited(read: Callable[[int], bytes], name: str, packed: bool = False) -> bytes:
    """Read a stream to its end, but never more than fits into memory as a table."""
    free = _free_memory()
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := read(CHUNK):
            pieces.append(piece)
            size += len(piece)
            _require_memory(size, name, free)
    except (EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if packed:
            raise BadData(f"{name} is cut, damaged or encrypted ({error}); copy it again or unpack it") from None
        raise StorageFailure(f"{name} cannot be read to its end: {error}") from None
    return b"".join(pieces)


def _require_memory(size: int, name: str, free: int) -> None:
    if size * MEMORY_FACTOR > free:
        needed, had = size * MEMORY_FACTOR / 2**30, free / 2**30
        raise Unavailable(
            f"{name} takes {needed:.1f} GiB of memory or more to read, and {had:.1f} GiB are free; "
            "split it by series or shorten its history"
        )


def _free_memory() -> int:
    """Bytes that can be had: what the system says is available, within the limit of the container."""
    free = 1 << 33  # where the system does not say
    with suppress(OSError):
        if found := re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text()):
            free = int(found[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit.isdigit():
            free = min(free, int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return free


def _from_bytes(data: bytes, name: str, settings: TextSettings) -> Table:
    data = _unpacked(data, name)
    for mark, kind in FOREIGN.items():
        if data.startswith(mark):
            raise BadData(f"{name} is {kind}; unpack it or export it as CSV")
    if data.startswith(PARQUET):
        return _from_arrow(lambda: pyarrow.parquet.ParquetFile(pa.BufferReader(data)), name)
    return _from_text(data, name, settings)


def _unpacked(data: bytes, name: str) -> bytes:
    if data.startswith(GZIP):
        return _read_limited(GzipFile(fileobj=io.BytesIO(data)).read, name, packed=True)
    if not data.startswith(ZIP):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
            if any(member.filename == "[Content_Types].xml" for member in members):
                raise BadData(f"{name} is a spreadsheet or another office document; export it as CSV")
            if len(members) != 1:
                raise BadData(f"{name} holds {len(members)} files; unpack it and give one of them")
            return _read_limited(archive.open(members[0]).read, name, packed=True)
    except (RuntimeError, zipfile.BadZipFile) as error:
        raise BadData(f"{name} is cut, damaged or encrypted ({error}); copy it again or unpack it") from None


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path) -> Table:
    """Read the Parquet files below a folder as one table; folders called ``key=value`` become columns of text."""
    name = folder.name or str(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_parquet(path)]
    if not files:
        raise NoInput(f"{folder} is a folder without Parquet files; give a file, or a folder that holds some")
    keys = [[part.split("=")[0] for part in path.relative_to(folder).parts[:-1] if "=" in part] for path in files]
    first = pyarrow.parquet.read_schema(files[0]).names
    for path, parts in zip(files, keys, strict=True):
        names = pyarrow.parquet.read_schema(path).names
        if sorted(names) != sorted(first) or parts != keys[0]:
            odd = sorted(set(names) ^ set(first)) or parts
            raise BadData(f"{name}: {path.name} and {files[0].name} differ in columns {_listed(odd)}; give one table")
    # text, so that an id 007 in a folder's name stays one
    hive = pyarrow.dataset.HivePartitioning(pa.schema([(key, pa.string()) for key in keys[0]]))

    def scan() -> Any:
        schemas = [pyarrow.parquet.read_schema(path) for path in files]
        return pyarrow.dataset.dataset(
            [str(path) for path in files],
            schema=pa.unify_schemas([*schemas, hive.schema], promote_options="permissive"),
            format="parquet",
            partitioning=hive,
            partition_base_dir=str(folder),
        )

    return _from_arrow(scan, name)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def _from_arrow(open_source: Callable[[], Any], name: str) -> Table:
    try:
        source = open_source()
        columns = source.read() if isinstance(source, pyarrow.parquet.ParquetFile) else source.to_table()
        frame = columns.to_pandas(types_mapper=_sparing_types(columns).get, date_as_object=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadData(f"{name} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    return table_from_frame(frame, name)


def _sparing_types(columns: pa.Table) -> dict[Any, Any]:
    """Types for text, and for whole numbers and booleans with gaps, which would become floats and objects otherwise."""
    kinds: dict[Any, Any] = dict.fromkeys([pa.string(), pa.large_string()], _text_type())
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if column.null_count and str(field.type) in NULLABLE:
            kinds[field.type] = NULLABLE[str(field.type)]
    return kinds


def _text_type() -> Any:
    """Text in Arrow's memory, compared as NumPy does: what pandas 3 calls str, and pandas 2.2 pyarrow_numpy."""
    string: Any = pd.StringDtype
    try:
        return string("pyarrow", na_value=np.nan)
    except TypeError:
        return string("pyarrow_numpy")


# --- text ------------------------------------------------------------------------------------------------------------


def _from_text(data: bytes, name: str, settings: TextSettings) -> Table:
    data = _to_utf8(data, name, settings.encoding)
    if (position := data.find(b"\0")) >= 0:
        guess = _utf16_guess(data)
        hint = f"pass --encoding {guess}" if guess else "is it text at all?"
        raise BadData(f"{name} line {_line_at(data, position)} holds a NUL byte; {hint}")
    if not data.strip():
        raise BadData(f"{name} is empty; a table needs a header and rows")
    delimiter = _delimiter(settings) or _sniffed(data, name)
    header, frame, lines = _columns(data, delimiter, name)
    names = _names(header, frame, name, int(lines[0]), delimiter)
    lines = lines[1:]
    if not len(frame):
        raise BadData(f"{name} has a header and no rows")
    repeated = np.flatnonzero((frame[0] == header[0]).to_numpy(bool))
    for row in repeated:
        if frame.iloc[row].tolist() == header:
            raise BadData(f"{name} line {lines[row]} repeats the header: were files joined? remove the line")
    frame, lines = _without_blank_rows(frame, lines, name)
    frame.columns = pd.Index(names)
    if names[0] == "":
        frame = _settle_unnamed(frame, name)
    table = Table(name, frame, True, lines, settings.decimal or ".", settings.thousands)
    return table if settings.decimal else replace(table, decimal=infer_decimal(table, delimiter))


def _to_utf8(data: bytes, name: str, encoding: str | None) -> bytes:
    if encoding is None and data.startswith(UTF16_MARKS):
        encoding = "utf-32" if data.startswith(b"\xff\xfe\0\0") else "utf-16"
        log.warning("%s: read as %s, by its mark; write UTF-8 or pass --encoding to say so", name, encoding.upper())
    try:
        text = data.decode(encoding or "utf-8")
        return data.removeprefix(UTF8_MARK) if encoding is None else text.removeprefix("\ufeff").encode()
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = _line_at(data, start)
        if encoding is not None:
            raise BadData(f"{name} line {line} is not {encoding} text; pass another --encoding") from None
        guess = _guessed_encoding(data, start)
        hint = f"pass --encoding {guess}, if that is it" if guess else "pass --encoding"
        raise BadData(f"{name} line {line} is not UTF-8 text; {hint}") from None
    except (LookupError, ValueError):
        raise UsageError(f"--encoding {encoding!r} is no text encoding; give one such as utf-8 or cp1252") from None


def _guessed_encoding(data: bytes, start: int) -> str | None:
    sample = data[max(0, start - SAMPLE // 2) : start + SAMPLE // 2]
    if guess := _utf16_guess(sample):
        return guess
    # single accented letters among ASCII: a Western text; charset-normalizer is unsure of short ones
    if max(map(len, re.findall(rb"[\x80-\xff]+", sample))) <= 2 and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else None


def _utf16_guess(data: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of mostly Latin text is NUL."""
    sample = np.frombuffer(data[:4096], np.uint8)
    if len(sample) >= 2 and np.mean(sample[1::2] == 0) > 0.5:
        return "utf-16-le"
    return "utf-16-be" if len(sample) >= 2 and np.mean(sample[0::2] == 0) > 0.5 else None


def _line_at(data: bytes, position: int) -> int:
    before = data[:position]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1


def _sniffed(data: bytes, name: str) -> str:
    """The delimiter that cuts the header and most of the first lines into the same number of columns."""
    sample = io.StringIO(data[:SAMPLE].decode(errors="replace"), newline="")
    lines = [line for line in sample if line.strip()]
    if len(data) > SAMPLE and len(lines) > 2:
        lines.pop()  # cut in its middle
    best, delimiter = (False, 0.0, 1), ","
    for candidate in DELIMITERS:
        widths: list[int] = []
        with suppress(csv.Error):  # a quote that is never closed: said when the whole is read
            widths.extend(len(row) for row in csv.reader(lines[:100], delimiter=candidate) if row)
        if not widths:
            continue
        width, rows = Counter(widths).most_common(1)[0]
        fit = (widths[0] == width, rows / len(widths), width)
        if width > 1 and fit > best:
            best, delimiter = fit, candidate
    if delimiter != ",":
        shown = "tabs" if delimiter == "\t" else f"'{delimiter}'"
        log.warning("%s: columns are separated by %s; pass --delimiter to say so", name, shown)
    return delimiter


def _columns(data: bytes, delimiter: str, name: str) -> tuple[list[str], pd.DataFrame, NDArray[np.int64]]:
    """Header, columns of text under their numbers, and the line on which each record starts, the header's first."""
    lines = _record_lines(data, delimiter)
    if lines is not None and (columns := _by_arrow(data, delimiter)) is not None and len(columns) == len(lines):
        header = [str(column[0]) for column in columns.columns]
        frame = columns.slice(1).to_pandas(types_mapper={pa.string(): _text_type()}.get)
        frame.columns = range(len(header))
        return header, frame, lines
    header, rows, lines = _by_line(data, delimiter, name)
    return header, pd.DataFrame(rows, columns=range(len(header)), dtype=_text_type()), lines


def _record_lines(data: bytes, delimiter: str) -> NDArray[np.int64] | None:
    """Physical line on which each record starts, without blank lines; None where quotes stand inside cells."""
    letters = np.frombuffer(data, np.uint8)
    is_end = letters == ord("\n")
    if b"\r" in data:
        is_end[:-1] |= (letters[:-1] == ord("\r")) & ~is_end[1:]
        is_end[-1] |= letters[-1] == ord("\r")
    starts = np.concatenate([[0], np.flatnonzero(is_end) + 1])
    starts = starts[starts < len(data)]
    first = ~np.isin(letters[starts], [ord("\n"), ord("\r")])
    if b'"' in data:
        quotes = np.flatnonzero(letters == ord('"'))
        opening, closing = quotes[0::2], quotes[1::2]
        edges = [ord(delimiter), ord("\n"), ord("\r"), ord('"')]
        tidy = (opening == 0) | np.isin(letters[opening - 1], edges)
        if len(quotes) % 2 or not tidy.all():
            return None
        last = len(data) - 1
        if not ((closing == last) | np.isin(letters[np.minimum(closing + 1, last)], edges)).all():
            return None
        first &= np.searchsorted(quotes, starts) % 2 == 0  # else the line goes on with a quoted cell
    return np.flatnonzero(first) + 1


def _by_arrow(data: bytes, delimiter: str) -> pa.Table | None:
    """All records as columns of text, or None where they are not of one width."""
    try:
        width = len(next(row for row in csv.reader(_text_lines(data), delimiter=delimiter) if row))
        # some hundred rows a block also where a row is long: a block costs time by the column
        block = min(max(CHUNK, 500 * data.find(b"\n")), 1 << 30)
        names = [str(position) for position in range(width)]
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=block),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except (pa.ArrowInvalid, csv.Error):
        return None


def _text_lines(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")


def _by_line(data: bytes, delimiter: str, name: str) -> tuple[list[str], list[list[str]], NDArray[np.int64]]:
    """The slow and exact way: either the records, or the line of the first one that is wrong."""
    reader = csv.reader(_text_lines(data), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise BadData(f"{name} line {line}: {_quote_trouble(str(error))}") from None
        if row is None:
            break
        blanks_only = len(row) == 1 and row[0] and not row[0].strip(" \t")
        if not row or (blanks_only and not (rows and len(rows[0]) == 1)):
            continue
        if rows and len(row) != len(rows[0]):
            raise BadData(f"{name} line {line} has {_width_trouble(row, rows[0], lines[0], delimiter)}")
        rows.append(row)
        lines.append(line)
    if not rows:
        raise BadData(f"{name} is empty; a table needs a header and rows")
    return rows[0], rows[1:], np.array(lines, np.int64)


def _quote_trouble(error: str) -> str:
    if "unexpected end" in error or "field larger" in error:
        return "a quote is opened and never closed; close it, or double it where it belongs to the text"
    return "a quoted cell goes on after its closing quote; is a quote missing? double those that belong to the text"


def _width_trouble(row: list[str], header: list[str], line: int, delimiter: str) -> str:
    trouble = f"{len(row)} column{'s' * (len(row) > 1)} and the header (line {line}) has {len(header)}: "
    if header[0].startswith("#"):
        return trouble + f"line {line} starts with #; remove the comment"
    if row[0].startswith("#"):
        return trouble + "it starts with #; remove the comment"
    if len(row) < len(header):
        return trouble + f"the line is cut or a '{delimiter}' is missing"
    if len(header) == 1:
        return trouble + f"is line {line} a title? remove it; or pass --delimiter"
    if len(row) == len(header) + 1 and row[-1] == "":
        return trouble + f"remove the trailing '{delimiter}'"
    return trouble + f"a '{delimiter}' too many; quote cells that hold one, or pass --delimiter"


def _names(header: list[str], frame: pd.DataFrame, name: str, line: int, delimiter: str) -> list[str]:
    """Check and trim the names of the columns; only the first may be blank."""
    names = [column.strip() for column in header]
    where = f"{name} line {line}"
    if names[0].startswith("#") and names[0] != "#":
        raise BadData(f"{where} starts with #; remove the comment (or the # in front of the header)")
    if (
        names[0]
        and all(re.search(r"\d", cell) and not re.search(r"[^\W\dTZ]", cell) for cell in names if cell)
        and any(DATE_OR_FRACTION.match(cell) for cell in names)
    ):
        raise BadData(f"{where} holds data and no header; put a line with the names of the columns before it")
    if "" in names[1:]:
        column = names.index("", 1) + 1
        blank = not len(frame) or bool((frame[column - 1] == "").all())
        mend = f"remove the trailing '{delimiter}'" if blank and column == len(names) else "give it one"
        raise BadData(f"{where}: column {column} has no name; {mend}")
    if twice := _duplicates(names):
        raise BadData(f"{where}: several columns are called {_listed(twice)}; rename them")
    if padded := sum(old != new for old, new in zip(header, names, strict=True)):
        log.warning("%s: blanks around %d column name%s were removed", name, padded, "s" if padded > 1 else "")
    return names


def _without_blank_rows(
    frame: pd.DataFrame, lines: NDArray[np.int64], name: str
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Leave out rows that are nothing but delimiters, as spreadsheets append them."""
    blank = np.ones(len(frame), np.bool_)
    for column in frame.columns:
        blank &= (frame[column] == "").to_numpy(bool)
        if not blank.any():
            return frame, lines
    if blank.all():
        raise BadData(f"{name} has a header, and no row with a value in it")
    if len(frame.columns) == 1:
        return frame, lines
    log.warning("%s: %d rows without any value were left out", name, blank.sum())
    return frame[~blank].reset_index(drop=True), lines[~blank]


def _settle_unnamed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Drop an unnamed first column of row numbers, as DataFrame.to_csv writes it; name any other."""
    cells = frame[""]
    count = len(frame)
    if len(frame.columns) > 2 and bool(cells.str.fullmatch("[0-9]{1,18}").all()):
        numbers = np.sort(cells.astype("int64").to_numpy())
        if numbers[0] in (0, 1) and (numbers == np.arange(count) + numbers[0]).all():
            log.warning("%s: the unnamed first column holds row numbers and was left out", name)
            return frame.drop(columns="")
    label = "time" if DATE_OR_FRACTION.match(cells.iloc[0]) else "index"
    if label in frame.columns:
        raise BadData(f"{name} line 1: the first column has no name; give it one")
    log.warning("%s: the first column has no name and is called '%s'", name, label)
    return frame.rename(columns={"": label})


def _duplicates(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
