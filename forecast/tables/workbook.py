"""Survey the archive of a workbook before it is read: its sheets, their sizes, and what reading would lose."""

import re
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import PurePosixPath
from typing import Protocol
from xml.parsers import expat

from forecast.errors import BadData
from forecast.tables.memory import free_memory, require_memory

EXCEL, OPEN_DOCUMENT = "xlsx", "ods"
MIMETYPE = "application/vnd.oasis.opendocument.spreadsheet"
READ_SIZE = 1 << 20  # bytes unpacked at once
CELL, LETTER = 250, 8  # bytes of a cell and of a letter in memory, at the peak of reading
MAX_ROWS, MAX_COLUMNS = 1 << 21, 1 << 15  # twice as many as spreadsheet programs allow

Span = tuple[int, int, int, int]  # first row, first column, last row, last column


@dataclass
class Sheet:
    """What is known of a sheet before it is read; rows and columns count from 0.

    Attributes
    ----------
    height, width : up to the last cell with a value
    filled, letters : cells with a value, and letters of text in them
    errors : error values such as #N/A, by row and column
    unvalued : a cell whose formula was never calculated
    merged : ranges of merged cells
    """

    height: int = 0
    width: int = 0
    filled: int = 0
    letters: int = 0
    hidden: bool = False
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    unvalued: tuple[int, int] | None = None
    merged: list[Span] = field(default_factory=list)

    def fill(self, row: int, column: int, letters: int, rows: int = 1, columns: int = 1) -> None:
        """Count a cell, or a block of equal ones."""
        if row + rows > self.height:
            self.height = row + rows
        if column + columns > self.width:
            self.width = column + columns
        if self.height > MAX_ROWS or self.width > MAX_COLUMNS:
            raise ValueError("it has more rows or columns than a sheet can have")
        self.filled += rows * columns
        self.letters += letters * rows * columns

    @property
    def size(self) -> int:
        """Bytes that the sheet takes in memory: it is read as a rectangle, however few of its cells are filled."""
        return CELL * self.height * self.width + LETTER * self.letters


class _Reader(Protocol):
    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def text(self, letters: str) -> None: ...
    def end(self, tag: str) -> None: ...


def workbook_kind(archive: zipfile.ZipFile, name: str) -> str | None:
    """The kind of workbook that an archive is, by its content; None where it is none."""
    members = {member.filename for member in archive.infolist()}
    if "xl/workbook.xml" in members:
        return EXCEL
    if "xl/workbook.bin" in members:
        raise BadData(f"{name} is a binary workbook (.xlsb); save it as .xlsx, or export the sheet as CSV")
    if "mimetype" in members and "content.xml" in members:
        if archive.read("mimetype")[:200].decode("ascii", "replace").strip().startswith(MIMETYPE):
            return OPEN_DOCUMENT
        raise BadData(f"{name} is an office document and no workbook; export its table as CSV")
    if "[Content_Types].xml" in members:
        raise BadData(f"{name} is an office document and no workbook; export its table as CSV")
    return None


def survey(archive: zipfile.ZipFile, kind: str, name: str) -> dict[str, Sheet]:
    """What the sheets of a workbook hold, by name and in their order.

    All parts are unpacked once, so that none is damaged or larger than it says.

    Raises
    ------
    Unavailable
        If the workbook takes more memory than is free.
    BadData
        If a part of it is damaged.
    """
    members = [member.filename for member in archive.infolist()]
    if len({member.casefold() for member in members}) != len(members):
        raise BadData(f"{name} holds two parts of one name; save it again in a spreadsheet program")
    parts = _Parts(archive, name)
    if kind == OPEN_DOCUMENT:
        content = _OpenDocument()
        parts.read("content.xml", content)
        sheets = content.sheets
        require_memory(sum(sheet.size for sheet in sheets.values()), name)  # they are read together
    else:
        sheets = _excel_sheets(parts)
    for member in members:
        parts.read(member, None)
    return sheets


def letters_of(column: int) -> str:
    """The name of a column, counted from 0: A, B, ..., Z, AA."""
    return (letters_of(column // 26 - 1) if column > 25 else "") + chr(ord("A") + column % 26)


def _position(reference: str) -> tuple[int, int]:
    """Row and column, from 0, of a cell such as B7."""
    letters = reference.rstrip("0123456789")
    return int(reference[len(letters) :]) - 1, _column(letters)


@lru_cache(maxsize=MAX_COLUMNS)
def _column(letters: str) -> int:
    """The number, from 0, of a column."""
    if not re.fullmatch("[A-Z]{1,3}", letters):
        raise ValueError(f"'{letters[:20]}' is no column")
    column = 0
    for letter in letters:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1


class _Parts:
    """The parts of an archive, each read once, within the memory that is free."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.name, self.free = archive, name, free_memory()
        self.size, self.seen = 0, set[str]()

    def read(self, part: str, reader: _Reader | None) -> None:
        """Unpack a part, and hand its elements to a reader."""
        if part in self.seen:
            return
        self.seen.add(part)
        parser = _parser(reader) if reader is not None else None
        with self.archive.open(part) as file:
            while piece := file.read(READ_SIZE):
                self.size += len(piece)
                require_memory(self.size, self.name, self.free)
                if parser is not None:
                    parser.Parse(piece, False)
        if parser is not None:
            parser.Parse(b"", True)


def _parser(reader: _Reader) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def first(tag: str, attributes: dict[str, str]) -> None:
        """Cut prefixes off the names of elements only where the first one has one, as it costs time."""
        if ":" in tag:
            parser.StartElementHandler = lambda tag, attributes: reader.start(tag.rpartition(":")[2], attributes)
            parser.EndElementHandler = lambda tag: reader.end(tag.rpartition(":")[2])
        else:
            parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
        parser.StartElementHandler(tag, attributes)

    parser.StartElementHandler = first
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse_entities
    return parser


def _refuse_entities(*declared: object) -> None:
    raise ValueError("it declares entities")


def _excel_sheets(parts: _Parts) -> dict[str, Sheet]:
    there = {member.casefold(): member for member in parts.archive.namelist()}  # as calamine finds them
    strings, links, listed = _SharedStrings(), _Elements("Relationship"), _Elements("sheet")
    parts.read("xl/workbook.xml", listed)
    for part, reader in (("xl/_rels/workbook.xml.rels", links), ("xl/sharedStrings.xml", strings)):
        if part.casefold() in there:
            parts.read(there[part.casefold()], reader)
    targets = {link.get("Id", ""): link.get("Target", "") for link in links.elements}
    sheets: dict[str, Sheet] = {}
    for attributes in listed.elements:
        number = next((value for key, value in attributes.items() if key.endswith(":id")), "")
        target = targets.get(number, "")
        part = target[1:] if target.startswith("/") else str(PurePosixPath("xl") / target)
        sheet = sheets[attributes.get("name", "")] = Sheet(hidden=attributes.get("state", "visible") != "visible")
        if part.casefold() in there:
            parts.read(there[part.casefold()], _ExcelSheet(sheet, strings.lengths))
    return sheets


class _Elements:
    """Collects the attributes of all elements of one name."""

    def __init__(self, tag: str) -> None:
        self.tag, self.elements = tag, list[dict[str, str]]()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == self.tag:
            self.elements.append(attributes)

    def text(self, letters: str) -> None: ...

    def end(self, tag: str) -> None: ...


class _SharedStrings:
    """Measures the texts that cells refer to by number."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.length = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "si":
            self.length = 0

    def text(self, letters: str) -> None:
        self.length += len(letters)

    def end(self, tag: str) -> None:
        if tag == "si":
            self.lengths.append(self.length)


class _ExcelSheet:
    """Surveys a sheet of Excel's."""

    def __init__(self, sheet: Sheet, lengths: list[int]) -> None:
        self.sheet, self.lengths = sheet, lengths
        self.row = self.column = -1
        self.kind, self.value, self.inside, self.formula = "n", "", False, False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            self.kind, self.value, self.formula = attributes.get("t", "n"), "", False
            self.column += 1
            if "r" in attributes:
                self.row, self.column = _position(attributes["r"])
        elif tag == "row":
            self.row, self.column = int(attributes["r"]) - 1 if "r" in attributes else self.row + 1, -1
        elif tag in ("v", "t"):
            self.inside = True
        elif tag == "f":
            self.formula = True
        elif tag == "mergeCell":
            first, _, last = attributes["ref"].partition(":")
            self.sheet.merged.append((*_position(first), *_position(last or first)))

    def text(self, letters: str) -> None:
        if self.inside:
            self.value += letters

    def end(self, tag: str) -> None:
        if tag in ("v", "t"):
            self.inside = False
        elif tag == "c":
            place = self.row, self.column
            if self.value:
                self.sheet.fill(*place, self.lengths[int(self.value)] if self.kind == "s" else len(self.value))
                if self.kind == "e":
                    self.sheet.errors[place] = self.value
            elif self.formula and self.kind != "str" and self.sheet.unvalued is None:
                self.sheet.unvalued = place


class _OpenDocument:
    """Surveys the sheets of an OpenDocument workbook, where equal cells and rows are written once."""

    def __init__(self) -> None:
        self.sheets: dict[str, Sheet] = {}
        self.row = self.column = self.rows = self.columns = 0
        self.value, self.valued, self.error = "", False, False
        self.span = (1, 1)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag not in ("table", "table-row", "table-cell", "covered-table-cell"):
            return
        local = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        if tag == "table":
            self.sheets[local.get("name", "")] = Sheet()
            self.row = self.rows = 0
        elif tag == "table-row":
            self.row, self.rows, self.column = self.row + self.rows, _count(local, "number-rows-repeated"), 0
        else:
            self.columns = _count(local, "number-columns-repeated")
            self.span = _count(local, "number-rows-spanned"), _count(local, "number-columns-spanned")
            self.valued, self.value = "value-type" in local, ""
            self.error = attributes.get("calcext:value-type") == "error"

    def text(self, letters: str) -> None:
        self.value += letters

    def end(self, tag: str) -> None:
        if tag not in ("table-cell", "covered-table-cell") or not self.sheets:
            return
        sheet = self.sheets[next(reversed(self.sheets))]
        if self.valued:
            sheet.fill(self.row, self.column, len(self.value), self.rows, self.columns)
            if self.error and len(sheet.errors) + self.rows * self.columns <= MAX_ROWS:
                places = product(range(self.rows), range(self.columns))
                sheet.errors |= {(self.row + i, self.column + j): self.value.strip() for i, j in places}
        if self.span != (1, 1):
            sheet.merged.append((self.row, self.column, self.row + self.span[0] - 1, self.column + self.span[1] - 1))
        self.column += self.columns


def _count(attributes: dict[str, str], name: str) -> int:
    """A number of cells or rows, 1 where it is not written."""
    count = int(attributes.get(name, 1))
    if count < 1:
        raise ValueError(f"{name} is {count}")
    return count
