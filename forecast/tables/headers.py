"""Clean the edges of a table: names of columns, columns without a name or value, rows without a value."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from forecast.errors import BadData, NoRows, Setting, Words, did_you_mean
from forecast.logs import log
from forecast.settings import TextSettings
from forecast.tables.table import Integers, Table

LETTER = re.compile(r"[^\W\d_]")
DATE_OR_FRACTION = re.compile(r"\d+[-/.:]\d+[-/.:]\d+|\d+:\d\d|[+-]?\d*\.\d+")
EDGE_CHARACTERS = "\ufeff \t"  # marks and blanks around a cell of a header that joined files repeat

Label = Callable[[int], str]
Numbered = Iterable[tuple[int, Sequence[str]]]  # rows with their numbers


def rows_above(rows: Numbered, settings: TextSettings, name: str, unit: str) -> tuple[int, str]:
    """The number of rows above the header, and the words for a title among them, which a warning names."""
    above = skip = max(settings.skip_rows or 0, (settings.header_row or 1) - 1)
    for number, row in rows if settings.header_row is None else ():
        filled = [cell for cell in row if cell.strip()] if number > skip else []
        if len(filled) > 1 or (filled and not row[0].strip()) or "".join(filled).startswith("#"):
            if (
                above == skip
                or not any(map(LETTER.search, filled))
                or any(map(DATE_OR_FRACTION.match, filled))
            ):
                break
            title = f"the title above the header ({unit} {' to '.join(map(str, sorted({skip + 1, above})))})"
            log.warning(
                "%s: left out %s; pass %s to say so", name, title, Setting("header_row", above + 1)
            )
            return above, title
        above = number if filled or above > skip else skip
    return skip, ""


def with_header(
    header: list[str],
    frame: pd.DataFrame,
    lines: Integers,
    name: str,
    unit: str,
    label: Label | None = None,
) -> tuple[pd.DataFrame, Integers]:
    """A frame, whose columns are numbers, under its header, without blank edges and rows, and the lines of its rows.

    `lines` has those of the header and of the rows; `label` names a column by its place.
    """
    width = len(header)
    while width > 1 and not header[width - 1].strip() and bool((frame[width - 1] == "").all()):
        width -= 1
    if 1 < width < len(header):  # as spreadsheets append them
        log.warning(
            "%s: columns without a name or a value are left out: %d", name, len(header) - width
        )
        header, frame = header[:width], frame[list(range(width))]
    names = column_names(header, name, f"{name} {unit} {lines[0]}", label)
    lines = lines[1:]
    if not len(frame):
        raise NoRows(f"{name} has a header and no rows")
    for row in np.flatnonzero(frame[0].astype(str).str.strip(EDGE_CHARACTERS) == names[0]):
        if [str(cell).strip(EDGE_CHARACTERS) for cell in frame.iloc[row]] == names:
            raise BadData(
                f"{name} {unit} {lines[row]} repeats the header: were tables joined? remove the {unit}"
            )
    blank = np.ones(len(frame), np.bool_)
    for column in frame.columns:
        if blank.any():  # soon none is
            blank &= (frame[column].isna() | (frame[column] == "")).to_numpy(bool)
    if blank.all():
        raise BadData(f"{name} has a header, and no row with a value in it")
    if (
        blank.any() and len(names) > 1
    ):  # as spreadsheets append them; in a single column they are gaps
        log.warning("%s: %d rows without any value were left out", name, blank.sum())
        frame, lines = frame[~blank].reset_index(drop=True), lines[~blank]
    return frame.set_axis(pd.Index(names), axis=1), lines


def column_names(header: list[str], name: str, where: str, label: Label | None = None) -> list[str]:
    """Check and trim the names of columns; only the first may be blank. `where` is the line of the header."""
    names = [column.strip() for column in header]
    if names[0].startswith("#") and names[0] != "#":
        raise BadData(
            f"{where} starts with #",
            cure=Words("remove the comment, or pass ", Setting("header_row")),
        )
    if (
        names[0]
        and all(
            re.search(r"\d", cell) and not re.search(r"[^\W\dTZ]", cell) for cell in names if cell
        )
        and any(DATE_OR_FRACTION.match(cell) for cell in names)
    ):
        raise BadData(
            f"{where} holds data and no header; put a line with the names of the columns before it"
        )
    if "" in names[1:]:
        blank, cure = names.index("", 1), Words("give it one, or pass ", Setting("header_row"))
        raise BadData(
            f"{where}: column {label(blank) if label else blank + 1} has no name", cure=cure
        )
    if twice := duplicates(names):
        raise BadData(f"{where}: several columns are called {listed(twice)}; rename them")
    if padded := sum(old != new for old, new in zip(header, names, strict=True)):
        log.warning("%s: blanks around column names are removed: %d", name, padded)
    return names


def delimiter_name(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def duplicates(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: Sequence[object], most: int = 5, quote: str = "'") -> str:
    """The first names, in quotes, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"{quote}{name}{quote}" for name in names[:most]) + more


def refuse_missing(table: Table, needed: tuple[str, ...]) -> None:
    if missing := [column for column in needed if column not in table.names]:
        hint = did_you_mean(missing[0], table.names) if len(missing) == 1 else ""
        problem = f"no column {listed(missing, len(missing))}; columns found: {', '.join(table.names[:20])}"
        cure = Words("pass ", Setting("delimiter"), " if there are several")
        raise BadData(
            problem + hint,
            place=table.name,
            cure=cure if table.text and len(table.names) == 1 else "",
        )
