"""A table as it was read: columns by name, and where each row stood, so that an error can point at it."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.settings import DecimalMark, TextSettings


@dataclass(frozen=True)
class Table:
    """Columns by name.

    Attributes
    ----------
    name : what messages call the table: sales.csv, standard input, DataFrame
    frame : one column per header, rows in the order of the input, index 0..n-1. In a text table every column is text
        exactly as written ('' where blank); otherwise the columns have the types of their source
    text : whether the table came from text
    lines : [rows], physical line of each row of a text table, or its row in a sheet
    decimal, thousands : how numbers are written in columns of text
    sources : by column of an unfolded table, [rows], the column of the source in which each cell stood
    numbering : a column that only numbers the rows: the time where there is no other, and never a series
    reading : the settings that the user gave for reading the file
    """

    name: str
    frame: pd.DataFrame
    text: bool = False
    lines: NDArray[np.int64] | None = None
    decimal: DecimalMark = "."
    thousands: str | None = None
    numbering: str | None = None
    reading: TextSettings = field(default_factory=TextSettings)
    sources: "dict[str, NDArray[np.object_]] | None" = None

    def with_frame(self, frame: pd.DataFrame, numbering: str | None = None) -> "Table":
        """The table with other columns, and the same rows."""
        return replace(self, frame=frame, numbering=numbering)

    def rows(self, chosen: NDArray[np.bool_]) -> "Table":
        """The table with those of its rows that are `chosen` [rows]."""
        lines = None if self.lines is None else self.lines[chosen]
        sources = None if self.sources is None else {name: where[chosen] for name, where in self.sources.items()}
        return replace(self, frame=self.frame.loc[chosen].reset_index(drop=True), lines=lines, sources=sources)

    def line(self, row: int) -> str:
        """Say where a row stands: ``line 812`` of a text, ``row 812`` of a sheet, ``row 811`` of a frame."""
        if self.lines is None:
            return f"row {row + 1}"
        return f"{'line' if self.text else 'row'} {self.lines[row]}"

    def place(self, row: int, column: "str | tuple[str, ...] | None" = None) -> str:
        """Say where a value stands: ``sales.csv line 812, column 'units'``."""
        names = (column,) if isinstance(column, str) else column or ()
        if self.sources is not None:
            names = tuple(str(self.sources[name][row]) if name in self.sources else name for name in names)
        named = " and ".join(f"'{name}'" for name in names)
        return f"{self.name} {self.line(row)}" + (f", column{'s' * (len(names) > 1)} {named}" if names else "")

    def value(self, row: int, columns: tuple[str, ...]) -> str:
        """What a row holds in some columns, as text."""
        return " ".join(str(self.frame[column].iloc[row]) for column in columns)
