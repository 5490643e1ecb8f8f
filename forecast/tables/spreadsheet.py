"""Read a sheet of a workbook (.xlsx): dates stay dates, numbers keep all their digits."""

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import reduce
from math import prod
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import INSTALL, BadData, Setting, Unavailable, UsageError
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.cells import Series, infer_decimal
from forecast.tables.storage import readable, require_memory, text_type
from forecast.tables.table import Table, list_names, rows_above, set_header
from forecast.tables.text import EMPTY

Cell = str | float | int | bool | date | datetime | time | timedelta
PACKED = 500  # times that a large part is packed at most (measured: equal rows 240 times)
LARGE = 1 << 25
EXACT_WHOLE = 2**53  # whole numbers up to it are exact in the cells of a sheet
SLACK = 50_000  # microseconds by which the day fractions of a sheet miss a whole second
COLUMN = re.compile(rb'<c [^>]*?r="([A-Z]+)')
FORMULA_TAG = rb"<f(?:[^>]*/>|[^>]*>[^<]*</f>)"
LOST = {
    "error values such as #N/A": re.compile(rb'<c (?:r="(\w+)")?[^>]*t="e"'),
    "formulas that were never calculated": re.compile(
        rb'<c (?![^>]*t="str")(?:r="(\w+)")?[^>]*>' + FORMULA_TAG + rb"(?:<v></v>|<v ?/>)?</c>"
    ),
}


def is_workbook(data: bytes, name: str) -> bool:
    """Whether a zip archive is a workbook; BadData where it is another office document."""
    with readable(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = set(archive.namelist())
    if "xl/workbook.bin" in members:
        cure = "save it as .xlsx, or export the sheet as CSV"
        raise BadData(f"{name} is a binary workbook (.xlsb); {cure}")
    if "xl/workbook.xml" in members:
        return True
    if "[Content_Types].xml" in members or {"mimetype", "content.xml"} <= members:
        cure = "save its table as .xlsx, or export it as CSV"
        raise BadData(f"{name} is an office document and no .xlsx; {cure}")
    return False


def workbook_table(data: bytes, name: str, settings: TextSettings) -> Table:
    """Read a sheet of a workbook; messages call the file `name`."""
    try:
        import python_calamine as calamine
    except ImportError:
        raise Unavailable(
            f"{name} is a workbook, which needs the package python-calamine",
            cure=f"{INSTALL.format('excel')}, or export the sheet as CSV",
        ) from None
    _check_parts(data, name)
    with readable(name), calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
        is_sheet = calamine.SheetTypeEnum.WorkSheet
        pages = [page for page in workbook.sheets_metadata if page.typ == is_sheet]
        shown = {page.name for page in pages if page.visible == calamine.SheetVisibleEnum.Visible}
        sheets = {page.name: workbook.get_sheet_by_name(page.name) for page in pages}
        chosen = _choose(sheets, shown, settings.sheet, name)
        sheet = sheets[chosen]
        rows = [list(map(_in_seconds, row)) for row in sheet.to_python()]
    where = f"{name}, sheet '{chosen}'" if len(sheets) > 1 else name
    corner: tuple[int, int] = sheet.start or (0, 0)
    top, left = corner
    texts = ([_text(cell, ".") for cell in row] for row in rows)
    numbered = enumerate(texts, top + 1)
    above, skipped = rows_above(numbered, settings, where, "row")
    rows = rows[max(0, above - top) :]
    top = max(top, above)
    if not rows:
        raise BadData(f"{where} {EMPTY}")
    for (first, start), (last, end) in sheet.merged_cell_ranges or ():
        if last >= top and start < left + len(rows[0]):
            cells = f"{_letters(start)}{first + 1}:{_letters(end)}{last + 1}"
            place = f"{where} row {first + 1}"
            raise BadData(f"the cells {cells} are merged", place=place, cure="unmerge them")

    mark = settings.decimal or ("," if settings.thousands == "." else ".")
    header = [_text(cell, mark) for cell in rows[0]]
    body = rows[1:]
    columns = [_column([row[place] for row in body], mark) for place in range(len(header))]
    frame = pd.DataFrame(dict(enumerate(columns)))
    lines = np.arange(top + 1, top + 1 + len(rows))
    frame, lines = set_header(
        header, frame, lines, where, "row", lambda column: _letters(left + column)
    )
    table = Table(
        name=where,
        frame=frame,
        lines=lines,
        decimal=settings.decimal or ".",
        thousands=settings.thousands,
        skipped=skipped,
    )
    if settings.decimal:
        return table
    return replace(table, decimal=infer_decimal(table, ""))


def _check_parts(data: bytes, name: str) -> None:
    """Refuse a damaged workbook, or one that fills the memory; warn of cells without a value."""
    with readable(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        # the peak of reading, in multiples of the unpacked size
        require_memory(8 * sum(member.file_size for member in members), name)
        if any(part.file_size > max(LARGE, PACKED * part.compress_size) for part in members):
            raise Unavailable(
                f"{name} unpacks to more than {PACKED} times its size; export the sheet as CSV"
            )
        parts = {member.filename: archive.read(member) for member in members}
    rows, columns = max(map(_extent, parts.values()), key=prod)
    apart = (
        f"the sheet reaches to {_letters(columns - 1)}{rows}: delete cells apart from its "
        "table, or "
    )
    # a sheet is read as a rectangle, in which a blank cell takes as much as any other
    require_memory(80 * rows * columns, name, cure=apart)
    for what, pattern in LOST.items():
        cells = [(cell[1], part) for part in parts for cell in pattern.finditer(parts[part])]
        if cells:
            first, part = cells[0]
            where = f" (first {first.decode()} of {PurePath(part).stem})" if first else ""
            log.warning(
                "%s holds %d %s%s; they are read as blank cells", name, len(cells), what, where
            )


def _extent(part: bytes) -> tuple[int, int]:
    """The last row and the last column of a sheet of Excel's; 0 for other parts."""
    rows = map(int, set(re.findall(rb'<c [^>]*?r="[A-Z]+([0-9]+)', part)))
    columns = (
        reduce(lambda number, letter: 26 * number + letter - 64, letters, 0)
        for letters in set(COLUMN.findall(part))
    )
    return max(rows, default=0), max(columns, default=0)


def _choose(sheets: Mapping[str, Any], shown: set[str], named: str | None, name: str) -> str:
    names = list(sheets)
    quoted = ", ".join(f"'{sheet}'" for sheet in names)
    if named is not None:
        if named in names:
            return named
        if named.isdecimal() and 1 <= int(named) <= len(names):
            return names[int(named) - 1]
        raise UsageError(
            f"{name} has no such sheet; its sheets are {quoted}", setting=Setting("sheet", named)
        )
    filled = [sheet for sheet in names if sheets[sheet].start is not None and sheet in shown]
    if not filled:
        raise BadData(f"{name} {EMPTY} (sheets: {quoted})")
    # a sheet of one column holds notes
    chosen = next((sheet for sheet in filled if sheets[sheet].width > 1), filled[0])
    if len(filled) > 1:
        others = list_names([sheet for sheet in filled if sheet != chosen])
        log.warning(
            "%s: read sheet '%s'; pass %s to read %s", name, chosen, Setting("sheet"), others
        )
    return chosen


def _column(cells: list[Any], mark: str) -> Series:
    """A column of dates or of numbers where all its cells are, else of text."""
    kinds = {type(cell) for cell in cells if cell != ""}
    if kinds and kinds <= {date, datetime}:
        times = np.array([None if cell == "" else cell for cell in cells], "datetime64[us]")
        seconds = times.astype("datetime64[s]")
        in_seconds = (times == seconds) | np.isnat(times)
        return pd.Series(seconds if in_seconds.all() else times)
    if kinds and kinds <= {int, float}:
        numbers = np.array([np.nan if cell == "" else cell for cell in cells], np.float64)
        whole = (numbers == np.trunc(numbers)) & (np.abs(numbers) <= EXACT_WHOLE)
        column = pd.Series(numbers)
        if (whole | np.isnan(numbers)).all():
            return column.astype("Int64")
        return column
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
        whole = cell.is_integer() and abs(cell) <= EXACT_WHOLE
        return str(int(cell)) if whole else repr(cell).replace(".", mark)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


def _letters(column: int) -> str:
    """The name of a column, counted from 0: A, B, ..., Z, AA."""
    last = chr(ord("A") + column % 26)
    if column < 26:
        return last
    return _letters(column // 26 - 1) + last
