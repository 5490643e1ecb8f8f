"""Read a sheet of a workbook (.xlsx, .ods) as a table: dates stay dates, and numbers keep all their digits."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import reduce
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import INSTALL, BadData, Setting, Unavailable, UsageError
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.cells import Series, infer_decimal
from forecast.tables.contents import readable, require_memory
from forecast.tables.headers import listed, rows_above, with_header
from forecast.tables.storage import text_type
from forecast.tables.table import Table

Cell = str | float | int | bool | date | datetime | time | timedelta
SheetRows = list[list[Cell]]

OPEN_DOCUMENT = b"application/vnd.oasis.opendocument.spreadsheet"
MEMORY_FACTOR, CELL = (
    8,
    80,
)  # peak of reading: multiples of the unpacked size, and bytes of each cell, also a blank one
PACKED, LARGE = (
    500,
    1 << 25,
)  # times that a part is packed at most, where it is large (measured: equal rows 240 times)
EXACT = 2**53  # whole numbers up to it are exact in the cells of a sheet
SLACK = 50_000  # microseconds by which the day fractions of a sheet miss a whole second
COLUMN, ROW = re.compile(rb'<c [^>]*?r="([A-Z]+)'), re.compile(rb'<c [^>]*?r="[A-Z]+([0-9]+)')
ERROR = re.compile(rb'<c (?:r="(\w+)")?[^>]*t="e"|calcext:value-type="error"')
FORMULA = rb"<f(?:[^>]*/>|[^>]*>[^<]*</f>)"
UNCALCULATED = re.compile(
    rb'<c (?![^>]*t="str")(?:r="(\w+)")?[^>]*>' + FORMULA + rb"(?:<v></v>|<v ?/>)?</c>"
)


class UnknownSheet(UsageError):
    """The workbook has no sheet of the name or number that was asked for."""


def is_workbook(data: bytes, name: str) -> bool:
    """Whether a zip archive is a workbook; BadData where it is another office document, or damaged."""
    with readable(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = set(archive.namelist())
        mimetype = archive.open("mimetype").read(200).strip() if "mimetype" in members else b""
    if "xl/workbook.bin" in members:
        raise BadData(
            f"{name} is a binary workbook (.xlsb); save it as .xlsx, or export the sheet as CSV"
        )
    if "xl/workbook.xml" in members or mimetype.startswith(OPEN_DOCUMENT):
        return True
    if "[Content_Types].xml" in members or {"mimetype", "content.xml"} <= members:
        raise BadData(f"{name} is an office document and no workbook; export its table as CSV")
    return False


def workbook_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read a sheet of a workbook; messages call the file `name`."""
    try:
        import python_calamine as calamine
    except ImportError:
        problem, cure = (
            "is a workbook, which needs the package python-calamine",
            INSTALL.format("excel"),
        )
        raise Unavailable(f"{name} {problem}", cure=f"{cure}, or export the sheet as CSV") from None
    with readable(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        require_memory(MEMORY_FACTOR * sum(member.file_size for member in archive.infolist()), name)
        if any(
            member.file_size > max(LARGE, PACKED * member.compress_size)
            for member in archive.infolist()
        ):
            raise Unavailable(
                f"{name} unpacks to more than {PACKED} times its size; export the sheet as CSV"
            )
        parts = {
            member: archive.read(member) for member in archive.namelist()
        }  # all of them: none is damaged
    require_memory(CELL * max(map(_cells, parts.values())), name)  # a sheet is read as a rectangle
    _warn_lost(parts, name)
    with readable(name), calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
        pages = [
            page
            for page in workbook.sheets_metadata
            if page.typ == calamine.SheetTypeEnum.WorkSheet
        ]
        hidden = {page.name for page in pages if page.visible != calamine.SheetVisibleEnum.Visible}
        sheets = {page.name: workbook.get_sheet_by_name(page.name) for page in pages}
        chosen = _choose(sheets, hidden, settings.sheet, name)
        sheet = sheets[chosen]
        where = f"{name}, sheet '{chosen}'" if len(sheets) > 1 else name
        (top, left), rows = (
            sheet.start or (0, 0),
            [list(map(_in_seconds, row)) for row in sheet.to_python()],
        )
    numbered = (
        (number, [_text(cell, ".") for cell in row]) for number, row in enumerate(rows, top + 1)
    )
    above, skipped = rows_above(numbered, settings, where, "row")
    top, rows = max(top, above), rows[max(0, above - top) :]
    if not rows:
        raise BadData(f"{where} is empty; a table needs a header and rows")
    _spread_merged(rows, sheet.merged_cell_ranges or (), top, left, where)
    mark = settings.decimal or ("," if settings.thousands == "." else ".")
    header, body = [_text(cell, mark) for cell in rows[0]], rows[1:]
    columns = pd.DataFrame(
        {index: _column([row[index] for row in body], mark) for index in range(len(header))}
    )
    lines = np.arange(top + 1, top + 1 + len(rows))
    frame, lines = with_header(
        header, columns, lines, where, "row", lambda column: _letters(left + column)
    )
    table = Table(
        where, frame, False, lines, settings.decimal or ".", settings.thousands, skipped=skipped
    )
    return table if settings.decimal else replace(table, decimal=infer_decimal(table, ""))


def _cells(part: bytes) -> int:
    """The cells of the rectangle of a sheet of Excel's; 0 for other parts."""
    rows, columns = set(map(int, ROW.findall(part))), set(COLUMN.findall(part))
    widths = [
        reduce(lambda number, letter: 26 * number + letter - 64, letters, 0) for letters in columns
    ]
    return max(rows, default=0) * max(widths, default=0)


def _warn_lost(parts: Mapping[str, bytes], name: str) -> None:
    for pattern, what in (
        (ERROR, "error values such as #N/A"),
        (UNCALCULATED, "formulas that were never calculated"),
    ):
        cells = [
            (match[1], member) for member, part in parts.items() for match in pattern.finditer(part)
        ]
        if cells:
            first, member = cells[0]
            where = f" (first {first.decode()} of {PurePath(member).stem})" if first else ""
            log.warning(
                "%s holds %d %s%s; they are read as blank cells", name, len(cells), what, where
            )


def _choose(sheets: Mapping[str, Any], hidden: set[str], named: str | None, name: str) -> str:
    names = list(sheets)
    shown = ", ".join(f"'{sheet}'" for sheet in names)
    if named is not None:
        if named in names:
            return named
        if named.isdecimal() and 1 <= int(named) <= len(names):
            return names[int(named) - 1]
        raise UnknownSheet(
            f"{name} has no such sheet; its sheets are {shown}", setting=Setting("sheet", named)
        )
    filled = [sheet for sheet in names if sheets[sheet].start is not None and sheet not in hidden]
    if not filled:
        raise BadData(f"{name} is empty; a table needs a header and rows (sheets: {shown})")
    chosen = next(
        (sheet for sheet in filled if sheets[sheet].width > 1), filled[0]
    )  # one column: a sheet of notes
    if len(filled) > 1:
        others = [sheet for sheet in filled if sheet != chosen]
        log.warning(
            "%s: read sheet '%s'; pass %s to read %s",
            name,
            chosen,
            Setting("sheet"),
            listed(others),
        )
    return chosen


def _spread_merged(rows: SheetRows, merged: Sequence[Any], top: int, left: int, name: str) -> None:
    """Give text or a date that is merged down several rows to each of them; refuse other merged cells."""
    filled = 0
    for (first, start), (last, end) in merged:
        if not (
            top <= last and first < top + len(rows) and left <= end and start < left + len(rows[0])
        ):
            continue
        value = rows[first - top][start - left] if first >= top and start >= left else ""
        if start != end or first <= top or not isinstance(value, str | date):
            cells = f"{_letters(start)}{first + 1}:{_letters(end)}{last + 1}"
            raise BadData(
                f"the cells {cells} are merged",
                place=f"{name} row {first + 1}",
                cure="unmerge them",
            )
        for row in rows[first - top : last - top + 1]:
            row[start - left] = value
        filled += value != ""
    if filled:
        log.warning(
            "%s: cells that are merged down count for each of their rows (%d times)", name, filled
        )


def _column(cells: list[Any], mark: str) -> Series:
    """A column of dates or of numbers where all its cells are, else of text."""
    kinds = {type(cell) for cell in cells if cell != ""}
    if kinds and kinds <= {date, datetime}:
        times = np.array(
            [np.datetime64("NaT", "us") if cell == "" else cell for cell in cells], "datetime64[us]"
        )
        seconds = times.astype("datetime64[s]")
        return pd.Series(
            pd.DatetimeIndex(seconds if ((seconds == times) | np.isnat(times)).all() else times)
        )
    if kinds and kinds <= {int, float}:
        numbers = np.array([np.nan if cell == "" else cell for cell in cells], np.float64)
        whole = np.isnan(numbers) | ((numbers == np.trunc(numbers)) & (np.abs(numbers) <= EXACT))
        return pd.Series(numbers).astype("Int64") if whole.all() else pd.Series(numbers)
    if datetime in kinds:  # all of them alike, with midnights
        cells = [datetime.combine(cell, time()) if type(cell) is date else cell for cell in cells]
    text: Series = pd.Series([_text(cell, mark) for cell in cells], dtype=text_type())
    return text


def _in_seconds(cell: Cell) -> Cell:
    """A cell, in whole seconds where it is a time whose fraction of a day stands for one."""
    if not isinstance(cell, datetime):
        return cell
    near = cell + timedelta(microseconds=SLACK)
    return near.replace(microsecond=0) if near.microsecond <= 2 * SLACK else cell


def _text(cell: Cell, mark: str) -> str:
    """A cell as text: numbers with a decimal mark, dates as ISO 8601 writes them."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return (
            str(int(cell))
            if cell.is_integer() and abs(cell) <= EXACT
            else repr(cell).replace(".", mark)
        )
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


def _letters(column: int) -> str:
    """The name of a column, counted from 0: A, B, ..., Z, AA."""
    return (_letters(column // 26 - 1) if column > 25 else "") + chr(ord("A") + column % 26)
