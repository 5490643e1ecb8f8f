"""Read delimited text as a table of text: encoding, delimiter, header, rows and decimal mark are told by it."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import BadData, UsageError
from forecast.series.encoding import line_at, to_utf8, utf16_guess
from forecast.series.headers import column_names, settle_unnamed
from forecast.series.numbers import infer_decimal
from forecast.series.records import cut_columns, sniffed_delimiter
from forecast.series.table import Table
from forecast.settings import TextSettings

DELIMITER_NAMES = {"\\t": "\t", "tab": "\t"}

log = logging.getLogger("forecast")


def check_settings(settings: TextSettings) -> None:
    """Refuse a delimiter that is no single character, and one mark for both decimals and thousands."""
    delimiter = _delimiter(settings)
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
        raise UsageError(f"--delimiter {settings.delimiter!r}: give one character, such as , ; | or tab")
    if settings.thousands is not None and settings.thousands == settings.decimal:
        raise UsageError(f"--decimal and --thousands are both {settings.decimal}; they must differ")


def text_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read the bytes of a text file; messages call it `name`."""
    data = to_utf8(data, name, settings.encoding)
    if (position := data.find(b"\0")) >= 0:
        guess = utf16_guess(data)
        hint = f"pass --encoding {guess}" if guess else "is it text at all?"
        raise BadData(f"{name} line {line_at(data, position)} holds a NUL byte; {hint}")
    if not data.strip():
        raise BadData(f"{name} is empty; a table needs a header and rows")
    delimiter = _delimiter(settings) or sniffed_delimiter(data, name)
    header, frame, lines = cut_columns(data, delimiter, name)
    names = column_names(header, frame, name, int(lines[0]), delimiter)
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
        frame = settle_unnamed(frame, name)
    table = Table(name, frame, True, lines, settings.decimal or ".", settings.thousands)
    return table if settings.decimal else replace(table, decimal=infer_decimal(table, delimiter))


def _delimiter(settings: TextSettings) -> str | None:
    return DELIMITER_NAMES.get(settings.delimiter, settings.delimiter) if settings.delimiter is not None else None


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
