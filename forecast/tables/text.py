"""Read text as a table of text: delimited, or JSON; encoding, delimiter and header are inferred."""

import csv
import io
import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast.errors import BadData, Setting
from forecast.logs import log
from forecast.settings import Facts, TextSettings
from forecast.tables.cells import infer_decimal, join_cells
from forecast.tables.storage import (
    SAMPLE_BYTES,
    line_at,
    require_memory,
    text_type,
    to_utf8,
    utf16_guess,
)
from forecast.tables.table import Integers, Table, delimiter_name, rows_above, set_header

DELIMITERS = "\t;|,"  # the first of equally good ones: a decimal comma looks like a delimiter
# as spreadsheets write it before the header
DELIMITER_LINE = re.compile(rb'"?sep=([\t -~])"?\r?\n')
RECORD = '{"day": "2024-01-31", "units": 5}'
RECORDS = f"write a record such as {RECORD} on each line, or an array of records"
EMPTY = "is empty; a table needs a header and rows"


def text_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read the bytes of a text file; messages call it `name`."""
    data = to_utf8(data, name, settings.encoding)
    nul = data.find(b"\0")
    if nul >= 0:
        guess = utf16_guess(data)
        cure = f"pass {Setting('encoding', guess)}" if guess else "copy the file again"
        raise BadData("holds a NUL byte", place=f"{name} line {line_at(data, nul)}", cure=cure)
    line = DELIMITER_LINE.match(data)
    skipped_lines = max(settings.skip_rows or 0, (settings.header_row or 1) - 1)
    data = _blank_lines(data, max(skipped_lines, line is not None))
    if not data or data.isspace():
        raise BadData(f"{name} {EMPTY}")
    delimiter = given_delimiter(settings) or (line[1].decode() if line else best_delimiter(data))
    begin = data[: SAMPLE_BYTES // 4].decode(errors="replace")
    rows = csv.reader(io.StringIO(begin, newline=""), delimiter=delimiter)
    numbered = ((rows.line_num, row) for row in rows)
    above, skipped = rows_above(numbered, settings, name, "line")
    data = _blank_lines(data, above)

    require_room(data, delimiter, name)
    header, frame, lines = cut_columns(data, delimiter, name)
    frame, lines = set_header(header, frame, lines, name, "line")
    if not data.endswith((b"\n", b"\r")):
        _warn_cut(frame, lines, name)
    table = Table(
        name=name,
        frame=frame,
        text=True,
        lines=lines,
        decimal=settings.decimal or ".",
        thousands=settings.thousands,
        delimiter=delimiter,
        skipped=skipped,
    )
    if not settings.decimal:
        table = replace(table, decimal=infer_decimal(table, delimiter))
    usual = "\t" if re.search(r"\.(tsv|tab)(\.gz|\.xz)?$", name.lower()) else ","
    sniffed = delimiter != usual and not (line or settings.delimiter)
    # a decimal comma that was inferred has said enough
    if sniffed and (settings.decimal or settings.thousands == "." or table.decimal == "."):
        log.warning(
            "%s: columns are separated by %s; pass %s to say so",
            name,
            delimiter_name(delimiter),
            Setting("delimiter"),
        )
    return table


def json_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read the bytes of JSON, an array or a record on each line; messages call it `name`."""
    # the peak of reading JSON, of which each number is a text of its own
    require_memory(20 * len(data), name)
    text = to_utf8(data, name, settings.encoding).decode()
    mark = settings.decimal or "."
    decode = partial(
        json.loads,
        parse_int=str,
        parse_constant=str,
        object_pairs_hook=_record,
        parse_float=lambda number: number.replace(".", mark),
    )
    is_array = text.lstrip().startswith("[")
    unit = "record" if is_array else "line"
    records: list[Any] = []
    numbers: list[int] = []
    for number, line in enumerate([text] if is_array else text.split("\n"), 1):
        if line.strip():
            try:
                decoded = decode(line)
                if "\\ud" in line.lower():  # half of a pair of surrogates is no text
                    json.dumps(decoded, ensure_ascii=False).encode()
            except (ValueError, RecursionError) as error:
                raise BadData(
                    f"is not JSON: {error}", place=f"{name} line {number}", cure=RECORDS
                ) from None
            records += decoded if is_array else [decoded]
            numbers += range(1, len(records) + 1) if is_array else [number]
    texts = [
        _texts(record, f"{name} {unit} {number}")
        for record, number in zip(records, numbers, strict=True)
    ]
    frame = pd.DataFrame(texts, dtype=text_type()).fillna("")
    header = list(map(str, frame.columns))
    frame = frame.set_axis(range(len(header)), axis=1)
    frame, lines = set_header(header, frame, np.array([0, *numbers]), name, unit)
    return Table(name, frame, True, None if is_array else lines, mark, settings.thousands)


def _record(pairs: list[tuple[str, Any]]) -> Facts:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError(f"a name comes twice among {', '.join(name for name, _ in pairs)}")
    return record


def _texts(record: Any, place: str) -> dict[str, str]:
    """The values of a record as they are written."""
    if not (record and isinstance(record, dict)):
        raise BadData("is not a record with values", place=place, cure=RECORDS)
    texts = {}
    for column, value in record.items():
        if isinstance(value, dict | list):
            place = f"{place}, column '{column}'"
            raise BadData("holds nested values", place=place, cure=RECORDS)
        texts[column] = value if isinstance(value, str) else json.dumps(value)
        if value is None:
            texts[column] = ""
    return texts


def _blank_lines(data: bytes, lines: int) -> bytes:
    """The text with its first lines blank, so that all others keep their numbers."""
    above = re.match(rb"(?:[^\r\n]*(?:\r\n?|\n)){%d}" % lines, data)
    return b"\n" * lines + data[above.end() :] if above else b""


def given_delimiter(settings: TextSettings) -> str | None:
    return "\t" if settings.delimiter in ("\\t", "tab") else settings.delimiter


def _warn_cut(frame: pd.DataFrame, lines: Integers, name: str) -> None:
    """Warn of a last cell that is shorter than all above it: 12 where 123 was being written."""
    column = frame.columns[-1]
    cells = join_cells([frame[column]])
    last = cells[-1].as_py()
    lengths = pc.utf8_length(cells.filter(pc.not_equal(cells, "")))
    if last and len(lengths) > 3 and len(last) < pc.min(lengths[:-1]).as_py():
        log.warning(
            "%s line %d has no line end, and its '%s' is shorter than all others of column '%s': "
            "is the file cut?",
            name,
            lines[-1],
            last,
            column,
        )


def best_delimiter(data: bytes) -> str:
    """The delimiter that cuts the header and most of the first lines into equally many columns."""
    sample = io.StringIO(data[:SAMPLE_BYTES].decode(errors="replace"), newline="")
    lines = [line for line in sample if line.strip()]
    if len(data) > SAMPLE_BYTES and len(lines) > 2:
        lines.pop()  # cut in its middle
    best = (False, 0.0, 1)
    delimiter = ","
    for candidate in DELIMITERS:
        with suppress(csv.Error):  # a quote that is never closed: reported when the whole is read
            records = csv.reader(lines[:100], delimiter=candidate)
            widths = [len(row) for row in records if row]
            width, rows = max(Counter(widths).items(), key=itemgetter(1), default=(1, 1))
            share = rows / max(len(widths), 1)
            fit = (widths[:1] == [width], share, width)
            if width > 1 and fit > best:
                best = fit
                delimiter = candidate
    return delimiter


def require_room(data: bytes, delimiter: str, name: str) -> None:
    """Refuse a text whose rows and columns would not fit into memory, before cutting it."""
    mark = delimiter.encode()
    header = re.match(rb"[\r\n]*([^\n]*)", data)
    columns = header[1].count(mark) + 1 if header else 0
    if header and columns > 1_000_000:
        raise BadData(
            f"{name} line {line_at(data, header.start(1))} has {columns:,} columns; is this a "
            "table at all?"
        )
    cells = data.count(mark) + data.count(b"\n")
    # bytes at the peak, for each byte of the text and for each cell
    require_memory(4 * len(data) + 24 * cells, name)


def cut_columns(data: bytes, delimiter: str, name: str) -> tuple[list[str], pd.DataFrame, Integers]:
    """Header, numbered columns of text, and the lines on which the header and records start."""
    columns = _by_arrow(data, delimiter)
    if columns is not None:
        lacks_line_end = not data.endswith((b"\n", b"\r"))
        lines = np.arange(1, line_at(data, len(data)) + lacks_line_end)
        if len(lines) != len(columns):  # blank ones are no records
            lines = np.flatnonzero([line != b"" for line in data.splitlines()]) + 1
        if len(lines) == len(columns):
            types = {pa.string(): text_type()}
            frame = columns.slice(1).to_pandas(types_mapper=types.get)
            frame.columns = range(len(frame.columns))
            return [str(column[0]) for column in columns.columns], frame, lines
    # a record has several lines, or is wrong
    rows, lines = _by_line(data, delimiter, name)
    header = rows[0]
    frame = pd.DataFrame(rows[1:], columns=range(len(header)), dtype=text_type())
    return header, frame, lines


def _by_arrow(data: bytes, delimiter: str) -> Any:
    """All records as columns of text; None where they differ in width, or in doubt of a quote."""
    import pyarrow.csv

    quoted = b'"' in data
    if quoted and not _quotes_are_edges(data, delimiter):
        return None
    try:
        width = len(next(row for row in _records(data, delimiter) if row))
        names = [str(position) for position in range(width)]
        # some hundred rows a block also where a row is long: a block costs time by the column
        block = min(max(1 << 22, 500 * data.find(b"\n")), 1 << 30)
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            pyarrow.csv.ReadOptions(column_names=names, block_size=block),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except (pa.ArrowInvalid, csv.Error):
        return None


def _quotes_are_edges(data: bytes, delimiter: str) -> bool:
    """Whether quotes only open and close cells."""
    neighbours = np.frombuffer(f'{delimiter}"\r\n'.encode(), np.uint8)
    letters = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    before = letters[quotes[::2] - 1]
    after = letters[quotes[1::2] + 1]
    beside = np.concatenate([before, after])
    return len(quotes) % 2 == 0 and bool(np.isin(beside, neighbours).all())


def _records(data: bytes, delimiter: str) -> Any:
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    return csv.reader(text, delimiter=delimiter, strict=True)


def _by_line(data: bytes, delimiter: str, name: str) -> tuple[list[list[str]], Integers]:
    """The slow and exact way: the records, or an error with the line of the first bad one."""
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = _records(data, delimiter)
    end = 0  # the last line of the record before
    try:
        for row in reader:
            line = end + 1
            end = reader.line_num
            blanks_only = len(row) == 1 and row[0] and not row[0].strip(" \t")
            if not row or (blanks_only and not (rows and len(rows[0]) == 1)):
                continue
            if rows and len(row) != len(rows[0]):
                cure = _width_cure(row, rows[0], lines[0], delimiter)
                raise BadData(
                    f"{name} line {line} has {len(row)} column{'s' * (len(row) > 1)} and the "
                    f"header (line {lines[0]}) has {len(rows[0])}: {cure}"
                )
            rows.append(row)
            lines.append(line)
    except csv.Error as error:
        raise BadData(_quote_trouble(data, str(error)), place=f"{name} line {end + 1}") from None
    if not rows:
        raise BadData(f"{name} {EMPTY}")
    return rows, np.array(lines, np.int64)


def _quote_trouble(data: bytes, error: str) -> str:
    if b'"' not in data:
        return (
            f"a cell is longer than {csv.field_size_limit():,} characters; is this a table at all?"
        )
    if "unexpected end" in error or "field larger" in error:
        return (
            "a quote is opened and never closed; close it, or double it where it belongs to "
            "the text"
        )
    return "a quoted cell goes on after its closing quote; double quotes that belong to the text"


def _width_cure(row: list[str], header: list[str], line: int, delimiter: str) -> str:
    """How to mend a row of another width than the header, which stands on `line`."""
    mark = delimiter_name(delimiter)
    header_row = Setting("header_row")
    if header[0].startswith("#") or row[0].startswith("#"):
        where = f"line {line}" if header[0].startswith("#") else "it"
        return f"{where} starts with #; remove the comment, or pass {header_row}"
    if header[-1] == "" and len(row) == len(header) - 1:
        return f"remove the {mark} at the end of line {line}"
    if len(row) < len(header):
        return f"the line is cut or a {mark} is missing"
    if row[-1] == "" and len(row) == len(header) + 1:
        return f"remove the trailing {mark}"
    return (
        f"a {mark} too many; quote cells that hold one, or pass {Setting('delimiter')} or "
        f"{header_row}"
    )
