"""The cells of a time column as text, each different one once, so that errors can name where it stands."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa

from forecast.calendar.zones import DAY, Flags, Integers
from forecast.errors import BadData, Words
from forecast.tables.cells import Texts
from forecast.tables.distinct import encoded
from forecast.tables.table import Table, TypedTimes

WHOLE = re.compile(r"-?\d{1,19}(\.0*)?")


@dataclass(frozen=True)
class TimeCells:
    """The different texts of a time column, or of several columns joined by blanks."""

    table: Table
    columns: tuple[str, ...]
    codes: Integers  # [rows], which of the texts each row has
    texts: list[str]
    kind: Literal["text", "number", "datetime"] = "text"  # type of the column
    series: Integers | None = None  # [rows], which series each row belongs to, where that is known

    @property
    def name(self) -> str:
        """The columns, for messages."""
        return " and ".join(self.columns)

    @cached_property
    def array(self) -> Texts:
        return pa.array(self.texts, pa.string())

    def plain(self) -> "TimeCells":
        """The cells without the decimal point of whole numbers: 2024 for 2024.0."""
        return replace(self, texts=[text.partition(".")[0] if WHOLE.fullmatch(text) else text for text in self.texts])

    @cached_property
    def numbers(self) -> Integers | None:
        """[texts] as whole numbers, None if one of them is not whole."""
        return whole_numbers(self.texts) if all(map(is_whole_number, self.texts)) else None

    def first(self, wrong: Flags) -> str:
        """The text of the first row whose text is `wrong` [texts]."""
        return self.texts[int(self.codes[np.argmax(wrong[self.codes])])]

    def fault(self, problem: object, *cure: object, wrong: Flags | None = None) -> BadData:
        """An error about the first cell, or the first that is `wrong` [texts], such as: '13:45' is no date."""
        row = 0 if wrong is None else int(np.argmax(wrong[self.codes]))
        problem = Words(f"'{self.texts[self.codes[row]]}' ", problem)
        return BadData(problem, place=self.table.place(row, self.columns), cure=Words(*cure))


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    return WHOLE.fullmatch(text) is not None and abs(int(text.partition(".")[0])) < 2**63


def whole_numbers(texts: list[str]) -> Integers:
    return np.array([int(text.partition(".")[0]) for text in texts], np.int64)


def time_cells(table: Table, column: str, rows: int | None = None) -> TimeCells:
    """A column, or the first `rows` of it, as text; '' where a cell is missing, which datetimes may not be."""
    kind = table.kind(column)
    if kind == "datetime":
        return typed_cells(table, column, table.times(column))
    codes, texts = table.cells(column, rows)
    return TimeCells(table, (column,), codes, texts, "number" if kind in ("whole", "number", "boolean") else "text")


def typed_cells(table: Table, column: str, times: TypedTimes, series: Integers | None = None) -> TimeCells:
    """A column of datetimes as text: 2024-01-31 13:00:00, and without a time of day where all are dates."""
    codes, wall = encoded(times.wall)
    dates = not times.fractions and not (wall % DAY).any()
    texts = wall.astype("datetime64[s]").astype("datetime64[D]" if dates else "datetime64[s]").astype(str)
    return TimeCells(table, (column,), codes, [text.replace("T", " ") for text in texts.tolist()], "datetime", series)


def refuse_blank(table: Table, column: str, blank: Flags, what: str = "the time") -> None:
    """Refuse a column with blank cells [rows], with the first of them."""
    if blank.any():
        place = table.place(int(np.argmax(blank)), column)
        raise BadData(f"{what} is blank", place=place, cure="fill it in or remove the row")


def filled_cells(table: Table, column: str, what: str = "the time") -> TimeCells:
    """A column as text, none of it blank; `what` it holds, for messages."""
    if not len(table):
        raise BadData(f"{table.name}: column '{column}' has no rows")
    refuse_blank(table, column, table.missing(column), what)
    cells = time_cells(table, column)
    refuse_blank(table, column, np.array([text == "" for text in cells.texts], bool)[cells.codes], what)
    return cells
