"""The cells of a time column as text, each different one once, so that errors can name where it stands."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from forecast.calendar.zones import DAY, Flags, Integers
from forecast.errors import BadData
from forecast.tables.distinct import encoded
from forecast.tables.table import Table, TypedTimes
from forecast.tables.texts import Texts, pa

Kind = Literal["text", "number", "datetime"]


@dataclass(frozen=True)
class TimeCells:
    """The different texts of a time column, or of several columns joined by blanks.

    Attributes
    ----------
    codes : [rows], which of the texts each row has
    kind : type of the column
    series : [rows], which series each row belongs to, where that is known
    """

    table: Table
    columns: tuple[str, ...]
    codes: Integers
    texts: list[str]
    kind: Kind = "text"
    series: Integers | None = None

    @property
    def name(self) -> str:
        """The columns, for messages."""
        return " and ".join(self.columns)

    def array(self) -> Texts:
        """The texts in Arrow's memory."""
        return pa.array(self.texts, pa.string())

    def place(self, value: int = 0) -> str:
        """Say where the first row with this text stands."""
        return self.table.place(int(np.argmax(self.codes == value)), self.columns)

    def first(self, wrong: Flags) -> tuple[str, str]:
        """Return the place of the first row whose text is `wrong` [texts], and that text."""
        row = int(np.argmax(wrong[self.codes]))
        return self.table.place(row, self.columns), self.texts[self.codes[row]]


def time_cells(table: Table, column: str) -> TimeCells:
    """A column as text; '' where a cell is missing, which a column of datetimes may not have."""
    kind = table.kind(column)
    if kind == "datetime":
        return typed_cells(table, column, table.times(column))
    codes, texts = table.cells(column)
    return TimeCells(table, (column,), codes, texts, "number" if kind in ("whole", "number", "boolean") else "text")


def typed_cells(table: Table, column: str, times: TypedTimes, series: Integers | None = None) -> TimeCells:
    """A column of datetimes as text: 2024-01-31 13:00:00, and without a time of day where all are dates."""
    codes, wall = encoded(times.wall)
    dated = not times.fractions and not (wall % DAY).any()
    texts = [str(time) for time in wall.astype("datetime64[s]")]
    texts = [text.partition("T")[0] if dated else text.replace("T", " ") for text in texts]
    return TimeCells(table, (column,), codes, texts, "datetime", series)


def refuse_blank(table: Table, column: str, blank: Flags, what: str = "the time") -> None:
    """Refuse a column with blank cells [rows], with the first of them."""
    if blank.any():
        place = table.place(int(np.argmax(blank)), column)
        raise BadData(f"{place}: {what} is blank; fill it in or remove the row")


def filled_cells(table: Table, column: str, what: str = "the time") -> TimeCells:
    """A column as text, none of it blank; `what` it holds, for messages."""
    if not len(table):
        raise BadData(f"{table.name}: column '{column}' has no rows")
    refuse_blank(table, column, table.missing(column), what)
    cells = time_cells(table, column)
    refuse_blank(table, column, np.array([text == "" for text in cells.texts], bool)[cells.codes], what)
    return cells
