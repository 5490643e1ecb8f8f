"""Read a sheet of a workbook (.xlsx, .ods) as a table: dates stay dates, and numbers keep all their digits."""

import io
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import BadData, Setting, Unavailable, UsageError
from forecast.settings import TextSettings
from forecast.tables.cells import Series
from forecast.tables.contents import undamaged
from forecast.tables.headers import column_names, listed, without_blank_rows, without_right_edge
from forecast.tables.memory import require_memory
from forecast.tables.numbers import infer_decimal
from forecast.tables.table import Table
from forecast.tables.texts import text_type
from forecast.tables.workbook import Sheet, Span, letters_of, survey, workbook_kind

Cell = str | float | int | bool | date | datetime | time | timedelta
Rows = list[list[Cell]]

EXACT = 2**53  # whole numbers up to it are exact in the cells of a sheet
SECOND = 1_000_000  # microseconds
SLACK = 50_000  # microseconds by which the day fractions of a sheet miss a whole second

log = logging.getLogger("forecast")


class UnknownSheet(UsageError):
    """The workbook has no sheet of the name or number that was asked for."""


def is_workbook(data: bytes, name: str) -> bool:
    """Whether a zip archive is a workbook; raises BadData where it is another office document, or damaged."""
    with undamaged(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return workbook_kind(archive, name) is not None


def workbook_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read a sheet of a workbook; messages call the file `name`.

    Raises
    ------
    Unavailable
        If the package that reads workbooks is not installed, or the workbook takes more memory than is free.
    UnknownSheet
        If there is no such sheet.
    BadData
        If the sheet holds no table, or a part of the workbook is damaged.
    """
    calamine = _calamine(name)
    with undamaged(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheets = survey(archive, workbook_kind(archive, name) or "", name)
    chosen = _choose(sheets, settings.sheet, name)
    sheet = sheets[chosen]
    require_memory(sheet.size, name)
    where = f"{name}, sheet '{chosen}'" if len(sheets) > 1 else name
    if not sheet.filled:
        raise BadData(f"{where} is empty; a table needs a header and rows")
    if sheet.unvalued is not None:
        row, column = sheet.unvalued
        raise BadData(
            f"{where} row {row + 1}, column {letters_of(column)}: the formula has no value; open the workbook in a "
            "spreadsheet program and save it, or export the sheet as CSV"
        )
    with undamaged(name), calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
        content = workbook.get_sheet_by_name(chosen)
        rows, (top, left) = content.to_python(), content.start
    for (row, column), value in sheet.errors.items():
        rows[row - top][column - left] = value
    return _table(rows, sheet, top, left, where, settings)


def _calamine(name: str) -> ModuleType:
    try:
        import python_calamine
    except ImportError:
        raise Unavailable(
            f"{name} is a workbook, which needs the package python-calamine: pip install 'forecast[excel]', or export "
            "the sheet as CSV"
        ) from None
    return python_calamine


def _choose(sheets: dict[str, Sheet], wanted: str | None, name: str) -> str:
    """The name of the sheet to read."""
    names = list(sheets)
    if not names:
        raise BadData(f"{name} is a workbook without a sheet; export the table as CSV")
    shown = ", ".join(f"'{sheet}'" for sheet in names)
    if wanted is not None:
        if wanted in names:
            return wanted
        if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
            return names[int(wanted) - 1]
        problem = f"{name} has no such sheet; its sheets are {shown}"
        raise UnknownSheet(problem, setting=Setting("sheet", wanted))
    filled = [sheet for sheet in names if sheets[sheet].filled and not sheets[sheet].hidden]
    if not filled:
        raise BadData(f"{name} is empty; a table needs a header and rows (sheets: {shown})")
    chosen = next((sheet for sheet in filled if sheets[sheet].width > 1), filled[0])  # one column: a sheet of notes
    if len(filled) > 1:
        others = [sheet for sheet in filled if sheet != chosen]
        log.warning("%s: read sheet '%s'; pass %s to read %s", name, chosen, Setting("sheet"), listed(others))
    return chosen


def _table(rows: Rows, sheet: Sheet, top: int, left: int, name: str, settings: TextSettings) -> Table:
    """The cells of a sheet as a table; `top` and `left` are the position of the first cell."""
    mark = settings.decimal or ("," if settings.thousands == "." else ".")
    header = [_text(cell, mark) for cell in rows[0]]
    where = f"{name} row {top + 1}"
    _refuse_title(header, rows, top, name)
    _settle_merged(rows, sheet.merged, top, left, name)
    body = rows[1:]
    frame = pd.DataFrame({index: _column([row[index] for row in body], mark) for index in range(len(header))})
    header, frame = without_right_edge(header, frame, name)
    for index, title in enumerate(header[1:], 1):
        if not title.strip():
            raise BadData(
                f"{where}: column {letters_of(left + index)} has no name; give it one, or remove the row if it "
                "is a title"
            )
    names = column_names(header, name, where)
    lines = np.arange(top + 2, top + 2 + len(body))
    if not len(frame):
        raise BadData(f"{name} has a header and no rows")
    for row, cells in zip(lines, body, strict=True):
        if cells[0] == rows[0][0] and [_text(cell, mark) for cell in cells[: len(names)]] == header:
            raise BadData(f"{name} row {row} repeats the header: were sheets joined? remove the row")
    frame, lines = without_blank_rows(frame, lines, name)
    frame.columns = pd.Index(names)
    table = Table(name, frame, lines=lines, decimal=settings.decimal or ".", thousands=settings.thousands)
    return table if settings.decimal else replace(table, decimal=infer_decimal(table, ""))


def _refuse_title(header: list[str], rows: Rows, top: int, name: str) -> None:
    """Refuse a first row that is a title, with the row that looks like the header."""
    if not header[0].strip() or any(cell.strip() for cell in header[1:]):
        return
    wider = [number for number, row in enumerate(rows) if sum(cell != "" for cell in row) > 1]
    if wider:
        raise BadData(
            f"{name} row {top + 1} is a title, '{header[0].strip()[:40]}'; remove the rows above the header (which may "
            f"be row {top + 1 + wider[0]})"
        )


def _settle_merged(rows: Rows, merged: Sequence[Span], top: int, left: int, name: str) -> None:
    """Give text or a date that is merged down several rows to each of them; refuse all other merged cells."""
    filled = 0
    for first, start, last, end in merged:
        if not (top <= last and first < top + len(rows) and left <= end and start < left + len(rows[0])):
            continue
        value = rows[first - top][start - left] if first >= top and start >= left else ""
        if start != end or first <= top or not isinstance(value, str | date):
            cells = f"{letters_of(start)}{first + 1}:{letters_of(end)}{last + 1}"
            raise BadData(
                f"{name} row {first + 1}: the cells {cells} are merged; unmerge them, and give every column its "
                "name and every row its values"
            )
        for row in range(first - top, min(last - top + 1, len(rows))):
            rows[row][start - left] = value
        filled += value != ""
    if filled:
        log.warning("%s: cells that are merged down count for each of their rows (%d times)", name, filled)


def _column(cells: list[Any], mark: str) -> Series:
    """A column of dates or of numbers where all its cells are, else of text."""
    kinds = {type(cell) for cell in cells if cell != ""}
    if kinds and kinds <= {date, datetime}:
        return pd.Series(_times(cells))
    if kinds and kinds <= {int, float}:
        numbers = np.array([np.nan if cell == "" else cell for cell in cells], np.float64)
        whole = bool((np.isnan(numbers) | ((numbers == np.trunc(numbers)) & (np.abs(numbers) <= EXACT))).all())
        if not whole:
            return pd.Series(numbers)
        return pd.Series([None if cell == "" else int(cell) for cell in cells], dtype="Int64")
    text: Series = pd.Series([_text(cell, mark) for cell in cells], dtype=text_type())
    return text


def _times(cells: list[Cell]) -> "pd.DatetimeIndex":
    """Dates, in whole seconds where nearly all of their fractions are rounding."""
    instants = np.array([np.datetime64("NaT") if cell == "" else cell for cell in cells], "datetime64[us]")
    seen = ~np.isnat(instants)
    rest = (instants[seen].astype(np.int64) + SLACK) % SECOND
    if (rest <= 2 * SLACK).all():
        instants[seen] += (SLACK - rest).astype("timedelta64[us]")
        return pd.DatetimeIndex(instants.astype("datetime64[s]"))
    return pd.DatetimeIndex(instants)


def _text(cell: Cell, mark: str) -> str:
    """A cell as text: numbers with a decimal mark, dates as ISO 8601 writes them."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) <= EXACT else repr(cell).replace(".", mark)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)
