"""Read delimited text as a table of text; encoding, delimiter, header and decimal mark are inferred from it."""

import logging
import re
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, UsageError, Words
from forecast.settings import TextSettings
from forecast.tables.cells import cells_of, flags_of
from forecast.tables.contents import refuse_nul
from forecast.tables.encoding import to_utf8
from forecast.tables.headers import column_names, without_blank_rows, without_right_edge
from forecast.tables.numbers import infer_decimal
from forecast.tables.records import cut_columns, require_room, sniffed_delimiter
from forecast.tables.table import Table
from forecast.tables.texts import pc

DELIMITER_NAMES = {"\\t": "\t", "tab": "\t"}
DELIMITER_LINE = re.compile(rb'"?sep=([\t -~])"?\r?\n')  # as spreadsheets write it before the header
AROUND = "\ufeff \t"  # marks and blanks around a cell of a header that joined files repeat
MIN_ROWS = 3  # from which on the usual length of a cell is known

log = logging.getLogger("forecast")


def check_settings(settings: TextSettings) -> None:
    """Refuse a delimiter that is no single character, and one mark for decimals and thousands."""
    delimiter = given_delimiter(settings)
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
        raise UsageError("give one character, such as , ; | or tab", setting=Setting("delimiter", settings.delimiter))
    if settings.thousands is not None and settings.thousands == settings.decimal:
        both = Words(Setting("decimal"), " and ", Setting("thousands"), f" are both {settings.decimal}")
        raise UsageError(both, cure="they must differ")


def text_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read the bytes of a text file; messages call it `name`."""
    data = to_utf8(data, name, settings.encoding)
    refuse_nul(data, name)
    if not data or data.isspace():
        raise BadData(f"{name} is empty; a table needs a header and rows")
    line = DELIMITER_LINE.match(data)
    if line:
        data = b"\n" * line[0].count(b"\n") + data[line.end() :]  # blank lines in its place, for the line numbers
    delimiter = given_delimiter(settings) or (line[1].decode() if line else sniffed_delimiter(data, name))
    require_room(data, delimiter, name)
    header, frame, lines = cut_columns(data, delimiter, name)
    header, frame = without_right_edge(header, frame, name)
    names = column_names(header, name, f"{name} line {lines[0]}")
    lines = lines[1:]
    if not len(frame):
        raise BadData(f"{name} has a header and no rows")
    for row in np.flatnonzero(flags_of(pc.equal(pc.utf8_trim(cells_of([frame[0]]), AROUND), names[0]))):
        if [cell.strip(AROUND) for cell in frame.iloc[row]] == names:
            raise BadData(f"{name} line {lines[row]} repeats the header: were files joined? remove the line")
    frame, lines = without_blank_rows(frame, lines, name)
    frame.columns = pd.Index(names)
    if not data.endswith((b"\n", b"\r")):
        _warn_cut(frame, lines, name)
    table = Table(name, frame, True, lines, settings.decimal or ".", settings.thousands)
    return table if settings.decimal else replace(table, decimal=infer_decimal(table, delimiter))


def given_delimiter(settings: TextSettings) -> str | None:
    """The delimiter that the user gave."""
    return DELIMITER_NAMES.get(settings.delimiter, settings.delimiter) if settings.delimiter is not None else None


def _warn_cut(frame: pd.DataFrame, lines: NDArray[np.int64], name: str) -> None:
    """Warn of a last cell without a line end that is shorter than all above it: 12 where 123 was being written."""
    column = frame.columns[-1]
    cells = cells_of([frame[column]])
    last, lengths = cells[-1].as_py(), pc.utf8_length(cells.filter(pc.not_equal(cells, "")))
    if last and len(lengths) > MIN_ROWS and len(last) < pc.min(lengths[:-1]).as_py():
        log.warning(
            "%s line %d has no line end, and its '%s' is shorter than all others of column '%s': is the file cut?",
            name,
            lines[-1],
            last,
            column,
        )
