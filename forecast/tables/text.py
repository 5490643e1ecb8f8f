"""Read text as a table of text: delimited, of which encoding, delimiter, header and marks are inferred, or JSON."""

import csv
import io
import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.cells import cells_of, infer_decimal
from forecast.tables.contents import SAMPLE, line_at, require_memory, to_utf8, utf16_guess
from forecast.tables.headers import delimiter_name, rows_above, with_header
from forecast.tables.storage import text_type
from forecast.tables.table import Table

DELIMITERS = "\t;|,"  # the first of equally good ones: a decimal comma looks like a delimiter
BLOCK_SIZE = 1 << 22
MAX_COLUMNS = 1_000_000
COPIES, CELL = 4, 24  # bytes at the peak, for each byte of a text and beside that for each cell
DELIMITER_LINE = re.compile(
    rb'"?sep=([\t -~])"?\r?\n'
)  # as spreadsheets write it before the header
JSON_FACTOR = 20  # peak of reading JSON, in multiples of its size: each number is a text of its own
BETWEEN = re.compile(r"[\s\[,]*")  # records of JSON
RECORDS = (
    'write a record such as {"day": "2024-01-31", "units": 5} on each line, or an array of records'
)
MIN_ROWS = 3  # from which on the usual length of a cell is known


def text_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read the bytes of a text file; messages call it `name`."""
    data = to_utf8(data, name, settings.encoding)
    if (position := data.find(b"\0")) >= 0:
        guess = utf16_guess(data)
        cure: object = (
            Words("pass ", Setting("encoding", guess))
            if guess
            else "copy the file again, or remove it"
        )
        raise BadData("holds a NUL byte", place=f"{name} line {line_at(data, position)}", cure=cure)
    line = DELIMITER_LINE.match(data)
    data = _blanked(
        data, max(line is not None, settings.skip_rows or 0, (settings.header_row or 1) - 1)
    )
    if not data or data.isspace():
        raise BadData(f"{name} is empty; a table needs a header and rows")
    delimiter = given_delimiter(settings) or (line[1].decode() if line else best_delimiter(data))
    usual = "\t" if name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ","
    sniffed = delimiter != usual and not (line or settings.delimiter)
    rows = csv.reader(
        io.StringIO(data[: SAMPLE // 4].decode(errors="replace"), newline=""), delimiter=delimiter
    )
    above, skipped = rows_above(((rows.line_num, row) for row in rows), settings, name, "line")
    data = _blanked(data, above)
    require_room(data, delimiter, name)
    header, frame, lines = cut_columns(data, delimiter, name)
    frame, lines = with_header(header, frame, lines, name, "line")
    if not data.endswith((b"\n", b"\r")):
        _warn_cut(frame, lines, name)
    marks = settings.decimal or ".", settings.thousands
    table = Table(name, frame, True, lines, *marks, delimiter=delimiter, skipped=skipped)
    if not settings.decimal:
        table = replace(table, decimal=infer_decimal(table, delimiter))
    if sniffed and (settings.decimal or settings.thousands == "." or table.decimal == "."):
        text = "%s: columns are separated by %s; pass %s to say so"
        log.warning(text, name, delimiter_name(delimiter), Setting("delimiter"))
    return table


def json_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read the bytes of JSON; messages call it `name`."""
    require_memory(JSON_FACTOR * len(data), name)
    text, mark = to_utf8(data, name, settings.encoding).decode(), settings.decimal or "."
    as_written: dict[str, Any] = {
        "parse_int": str,
        "parse_constant": str,
        "object_pairs_hook": list,
    }
    decoder = json.JSONDecoder(parse_float=lambda number: number.replace(".", mark), **as_written)
    columns, lines, before, end = (
        dict[str, list[str]](),
        [1],
        0,
        0,
    )  # the first line is that of a header
    while (start := next(BETWEEN.finditer(text, end)).end()) < len(text) and text[start] != "]":
        lines.append(lines[-1] + text.count("\n", before, start))
        before, place = start, f"{name} line {lines[-1]}"
        try:
            record, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise BadData(f"is not JSON: {error}", place=name, cure=RECORDS) from None
        if not (record and isinstance(record, list)):  # of pairs
            raise BadData("is not a record with values", place=place, cure=RECORDS)
        for column, value in record:
            cells = columns.setdefault(column, [])
            if isinstance(value, list) or len(cells) > len(lines) - 2:
                problem = (
                    "holds nested values" if isinstance(value, list) else "comes twice in a record"
                )
                raise BadData(problem, place=f"{place}, column '{column}'", cure=RECORDS)
            cells += [""] * (len(lines) - 2 - len(cells))
            cells.append(
                value if isinstance(value, str) else "" if value is None else json.dumps(value)
            )
    if text[start:].strip() != ("]" if text.lstrip().startswith("[") else ""):
        raise BadData(
            "does not end with its array of records",
            place=name,
            cure="is the file cut? copy it again",
        )
    frame = pd.DataFrame(zip_longest(*columns.values(), fillvalue=""), dtype=text_type())
    frame, numbers = with_header([*columns], frame, np.array(lines), name, "line")
    return Table(name, frame, True, numbers, mark, settings.thousands)


def _blanked(data: bytes, lines: int) -> bytes:
    """The text with blank lines in place of the first ones, so that all others keep their numbers."""
    above = re.match(rb"(?:[^\r\n]*(?:\r\n?|\n)){%d}" % lines, data)
    return b"\n" * lines + data[above.end() :] if above else b""


def given_delimiter(settings: TextSettings) -> str | None:
    return "\t" if settings.delimiter in ("\\t", "tab") else settings.delimiter


def _warn_cut(frame: pd.DataFrame, lines: NDArray[np.int64], name: str) -> None:
    """Warn of a last cell without a line end that is shorter than all above it: 12 where 123 was being written."""
    column = frame.columns[-1]
    cells = cells_of([frame[column]])
    last, lengths = cells[-1].as_py(), pc.utf8_length(cells.filter(pc.not_equal(cells, "")))
    if last and len(lengths) > MIN_ROWS and len(last) < pc.min(lengths[:-1]).as_py():
        text = "%s line %d has no line end, and its '%s' is shorter than all others of column '%s': is the file cut?"
        log.warning(text, name, lines[-1], last, column)


def best_delimiter(data: bytes) -> str:
    """The delimiter that cuts the header and most of the first lines into the same number of columns."""
    sample = io.StringIO(data[:SAMPLE].decode(errors="replace"), newline="")
    lines = [line for line in sample if line.strip()]
    if len(data) > SAMPLE and len(lines) > 2:
        lines.pop()  # cut in its middle
    best, delimiter = (False, 0.0, 1), ","
    for candidate in DELIMITERS:
        with suppress(csv.Error):  # a quote that is never closed: reported when the whole is read
            widths = [len(row) for row in csv.reader(lines[:100], delimiter=candidate) if row]
            width, rows = max(Counter(widths).items(), key=itemgetter(1), default=(1, 1))
            fit = (widths[:1] == [width], rows / max(len(widths), 1), width)
            if width > 1 and fit > best:
                best, delimiter = fit, candidate
    return delimiter


def require_room(data: bytes, delimiter: str, name: str) -> None:
    """Refuse a text whose rows and columns would not fit into memory, before cutting it."""
    start = len(data) - len(data.lstrip(b"\r\n")) if data[:1] in (b"\r", b"\n") else 0
    end = data.find(b"\n", start)
    columns = data.count(delimiter.encode(), start, len(data) if end < 0 else end) + 1
    if columns > MAX_COLUMNS:
        raise BadData(
            f"{name} line {line_at(data, start)} has {columns:,} columns; is this a table at all?"
        )
    cells = data.count(delimiter.encode()) + data.count(b"\n")
    require_memory(COPIES * len(data) + CELL * cells, name)


def cut_columns(
    data: bytes, delimiter: str, name: str
) -> tuple[list[str], pd.DataFrame, NDArray[np.int64]]:
    """Header, columns of text under their numbers, and the line on which each record starts, the header's first."""
    columns = _by_arrow(data, delimiter)
    lines = np.arange(1, line_at(data, len(data)) + (not data.endswith((b"\n", b"\r"))))
    if columns is not None and len(lines) != len(columns):  # blank ones are no records
        lines = np.flatnonzero([line != b"" for line in data.splitlines()]) + 1
    if columns is None or len(lines) != len(columns):  # a record has several lines
        header, rows, lines = _by_line(data, delimiter, name)
        return header, pd.DataFrame(rows, columns=range(len(header)), dtype=text_type()), lines
    frame = columns.slice(1).to_pandas(types_mapper={pa.string(): text_type()}.get)
    frame.columns = range(len(frame.columns))
    return [str(column[0]) for column in columns.columns], frame, lines


def _by_arrow(data: bytes, delimiter: str) -> Any:
    """All records as columns of text; None where they differ in width, or a quote may stand where none belongs."""
    import pyarrow.csv

    quoted, edges = b'"' in data, f"{delimiter}\r\n".encode()
    if quoted:
        kinds = data.translate(
            bytes(34 if i == 34 else 44 if i in edges else 120 for i in range(256))
        )  # ",x
        letters = np.frombuffer(b"".join((b",", kinds, b",")), np.uint8)
        quotes = np.flatnonzero(letters == 34)
        if len(quotes) % 2 or 120 in letters[quotes[::2] - 1] or 120 in letters[quotes[1::2] + 1]:
            return None
    try:
        width = len(next(row for row in _records(data, delimiter) if row))
        names = [str(position) for position in range(width)]
        types = dict.fromkeys(names, pa.string())
        # some hundred rows a block also where a row is long: a block costs time by the column
        block = min(max(BLOCK_SIZE, 500 * data.find(b"\n")), 1 << 30)
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            pyarrow.csv.ReadOptions(column_names=names, block_size=block),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            pyarrow.csv.ConvertOptions(
                column_types=types, strings_can_be_null=False, check_utf8=False
            ),
        )
    except (pa.ArrowInvalid, csv.Error):
        return None


def _records(data: bytes, delimiter: str) -> Any:
    return csv.reader(
        io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""),
        delimiter=delimiter,
        strict=True,
    )


def _by_line(
    data: bytes, delimiter: str, name: str
) -> tuple[list[str], list[list[str]], NDArray[np.int64]]:
    """The slow and exact way: the records, or an error with the line of the first bad one."""
    reader, rows, lines = _records(data, delimiter), list[list[str]](), list[int]()
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            problem = "a quoted cell goes on after its closing quote; double quotes that belong to the text"
            if b'"' not in data:
                problem = f"a cell is longer than {csv.field_size_limit():,} characters; is this a table at all?"
            elif "unexpected end" in str(error) or "field larger" in str(error):
                problem = "a quote is opened and never closed; close it, or double it where it belongs to the text"
            raise BadData(problem, place=f"{name} line {line}") from None
        if row is None:
            break
        blanks_only = len(row) == 1 and row[0] and not row[0].strip(" \t")
        if not row or (blanks_only and not (rows and len(rows[0]) == 1)):
            continue
        if rows and len(row) != len(rows[0]):
            raise BadData(
                Words(f"{name} line {line} has ", _width_trouble(row, rows[0], lines[0], delimiter))
            )
        rows.append(row)
        lines.append(line)
    if not rows:
        raise BadData(f"{name} is empty; a table needs a header and rows")
    return rows[0], rows[1:], np.array(lines, np.int64)


def _width_trouble(row: list[str], header: list[str], line: int, delimiter: str) -> str | Words:
    shown = delimiter_name(delimiter)
    trouble = (
        f"{len(row)} column{'s' * (len(row) > 1)} and the header (line {line}) has {len(header)}: "
    )
    if header[0].startswith("#") or row[0].startswith("#"):
        where = f"line {line}" if header[0].startswith("#") else "it"
        return Words(
            f"{trouble}{where} starts with #; remove the comment, or pass ", Setting("header_row")
        )
    if header[-1] == "" and len(row) == len(header) - 1:
        return trouble + f"remove the {shown} at the end of line {line}"
    if len(row) < len(header):
        return trouble + f"the line is cut or a {shown} is missing"
    if len(row) == len(header) + 1 and row[-1] == "":
        return trouble + f"remove the trailing {shown}"
    others = Setting("delimiter"), " or ", Setting("header_row")
    return Words(trouble, f"a {shown} too many; quote cells that hold one, or pass ", *others)
