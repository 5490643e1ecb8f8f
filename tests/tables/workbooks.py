"""Workbooks for tests: .xlsx by XlsxWriter or from raw XML."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

import xlsxwriter

SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"

Rows = Sequence[Sequence[Any]]


def xlsx(merge: Sequence[str] = (), hidden: Sequence[str] = (), **sheets: Rows) -> bytes:
    """A workbook of sheets; text that begins with = is a formula, and ``(formula, value)`` one with its value."""
    data = io.BytesIO()
    book = xlsxwriter.Workbook(data, {"in_memory": True})
    formats = {
        kind: book.add_format({"num_format": kind})
        for kind in ("dd.mm.yyyy", "dd.mm.yy hh:mm", "hh:mm")
    }
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if isinstance(cell, tuple):
                    sheet.write_formula(i, j, cell[0], None, cell[1])
                elif isinstance(cell, date | time):
                    kind = {datetime: "dd.mm.yy hh:mm", date: "dd.mm.yyyy", time: "hh:mm"}[
                        type(cell)
                    ]
                    sheet.write_datetime(i, j, cell, formats[kind])
                elif cell is not None:
                    sheet.write(i, j, cell)
        if merge and name == next(iter(sheets)):
            for cells in merge:
                row = rows[int(cells[1:].partition(":")[0]) - 1]
                sheet.merge_range(cells, (*row, *[None] * 9)[ord(cells[0]) - ord("A")])
        if name in hidden:
            sheet.hide()
    book.close()
    return data.getvalue()


def raw_xlsx(sheet: str, strings: str = "") -> bytes:
    """A workbook of one sheet, whose XML is given."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{SHEETS}" xmlns:r="{LINKS}"><sheets><sheet name="Data" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{LINKS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEETS}"><sheetData>{sheet}</sheetData></worksheet>',
        **({"xl/sharedStrings.xml": f'<sst xmlns="{SHEETS}">{strings}</sst>'} if strings else {}),
    }
    return zipped(parts)


def zipped(parts: dict[str, str]) -> bytes:
    """An archive of texts."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return data.getvalue()
