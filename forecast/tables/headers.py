"""Clean the edges of a table: names of columns, columns and rows without a value."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from forecast.errors import BadData, NoRows, Setting, did_you_mean
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.table import Columns, Integers, Table

LETTER = re.compile(r"[^\W\d_]")
DATE_OR_FRACTION = re.compile(r"\d+[-/.:]\d+[-/.:]\d+|\d+:\d\d|[+-]?\d*\.\d+")
# marks and blanks around a cell of a header that joined files repeat
EDGE_CHARACTERS = "\ufeff \t"


def rows_above(
    rows: Iterable[tuple[int, Sequence[str]]], settings: TextSettings, name: str, unit: str
) -> tuple[int, str]:
    """The number of rows above the header, and words for a title among them, with a warning."""
    skip = max(settings.skip_rows or 0, (settings.header_row or 1) - 1)
    above = skip
    for number, row in rows if settings.header_row is None else ():
        filled = [cell for cell in row if cell.strip()] if number > skip else []
        # one cell in the first column is a title; so is one above, which a comment is not
        if len(filled) > 1 or (filled and not row[0].strip()) or "".join(filled).startswith("#"):
            named = any(map(LETTER.search, filled))
            if above == skip or not named or any(map(DATE_OR_FRACTION.match, filled)):
                break
            numbers = " to ".join(map(str, sorted({skip + 1, above})))
            title = f"the title above the header ({unit} {numbers})"
            setting = Setting("header_row", above + 1)
            log.warning("%s: left out %s; pass %s to say so", name, title, setting)
            return above, title
        above = number if filled or above > skip else skip
    return skip, ""


def set_header(
    header: list[str],
    frame: pd.DataFrame,
    lines: Integers,
    name: str,
    unit: str,
    label: Callable[[int], object] = lambda position: position + 1,
) -> tuple[pd.DataFrame, Integers]:
    """A frame of numbered columns under its header, and the lines of its rows, without blank edges.

    `lines` has those of the header and of the rows; `label` names a column by its place.
    """
    width = len(header)
    while width > 1 and not header[width - 1].strip() and (frame[width - 1] == "").all():
        width -= 1
    if 1 < width < len(header):  # as spreadsheets append them
        text = "%s: columns without a name or a value are left out: %d"
        log.warning(text, name, len(header) - width)
        header = header[:width]
        frame = frame[list(range(width))]
    names = column_names(header, name, f"{name} {unit} {lines[0]}", label)
    lines = lines[1:]
    if not len(frame):
        raise NoRows(f"{name} has a header and no rows")
    _refuse_second_header(frame, names, lines, f"{name} {unit}")

    blank = np.ones(len(frame), np.bool_)
    for column in frame.columns:
        if blank.any():  # soon none is
            cells = frame[column]
            blank &= (cells.isna() | (cells == "")).to_numpy(bool)
    if blank.all():
        raise BadData(f"{name} has a header, and no row with a value in it")
    if blank.any() and len(names) > 1:  # as spreadsheets append them; in one column they are gaps
        log.warning("%s: %d rows without any value were left out", name, blank.sum())
        frame = frame[~blank].reset_index(drop=True)
        lines = lines[~blank]
    return frame.set_axis(pd.Index(names), axis=1), lines


def _refuse_second_header(
    frame: pd.DataFrame, names: list[str], lines: Integers, place: str
) -> None:
    first = frame[0].astype(str).str.strip(EDGE_CHARACTERS)
    for row in np.flatnonzero(first == names[0]):
        cells = [str(cell).strip(EDGE_CHARACTERS) for cell in frame.iloc[row]]
        if cells == names:
            problem = f"{place} {lines[row]} repeats the header"
            raise BadData(f"{problem}: were tables joined? remove it")


def column_names(
    header: list[str],
    name: str,
    where: str,
    label: Callable[[int], object],
) -> list[str]:
    """Check and trim the names of columns; only the first may be blank."""
    names = [column.strip() for column in header]
    header_row = Setting("header_row")
    if names[0].startswith("#") and names[0] != "#":
        cure = f"remove the comment, or pass {header_row}"
        raise BadData(f"{where} starts with #", cure=cure)
    if names[0] and _is_data(names):
        problem = f"{where} holds data and no header"
        raise BadData(problem, cure="put a line with the names of the columns before it")
    if "" in names[1:]:
        cure = f"give it one, or pass {header_row}"
        raise BadData(f"{where}: column {label(names.index('', 1))} has no name", cure=cure)
    if twice := duplicates(names):
        raise BadData(f"{where}: several columns are called {list_names(twice)}; rename them")
    if padded := sum(map(str.__ne__, header, names)):
        log.warning("%s: blanks around column names are removed: %d", name, padded)
    return names


def _is_data(cells: list[str]) -> bool:
    """Whether all cells are numbers and times, one of them a date or a fraction."""
    filled = [cell for cell in cells if cell]
    if any(re.search(r"[^\W\dTZ]", cell) or not re.search(r"\d", cell) for cell in filled):
        return False
    return any(map(DATE_OR_FRACTION.match, filled))


def delimiter_name(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def duplicates(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def list_names(names: Sequence[object], most: int = 5, quote: str = "'") -> str:
    """The first names, in quotes, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"{quote}{name}{quote}" for name in names[:most]) + more


def require_columns(table: Table, needed: Columns) -> None:
    missing = [column for column in needed if column not in table.names]
    if not missing:
        return
    hint = did_you_mean(missing[0], table.names) if len(missing) == 1 else ""
    found = f"columns found: {', '.join(table.names[:20])}"
    problem = f"no column {list_names(missing, len(missing))}; {found}{hint}"
    cure: object = ""
    if table.text and len(table.names) == 1:
        cure = f"pass {Setting('delimiter')} if there are several"
    raise BadData(problem, place=table.name, cure=cure)
