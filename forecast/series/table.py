"""A table as it was read: columns by name, and where each row stood, so that an error can point at it."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.settings import TextSettings


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
    numbering : a column that only numbers the rows: the time where there is no other, and never a series
    reading : the settings that the user gave for reading the file
    """

    name: str
    frame: pd.DataFrame
    text: bool = False
    lines: NDArray[np.int64] | None = None
    decimal: Literal[".", ","] = "."
    thousands: str | None = None
    numbering: str | None = None
    reading: TextSettings = field(default_factory=TextSettings)

    def with_frame(self, frame: pd.DataFrame, numbering: str | None = None) -> "Table":
        """The table with other columns, and the same rows."""
        return replace(self, frame=frame, numbering=numbering)

    def line(self, row: int) -> str:
        """Say where a row stands: ``line 812`` of a text, ``row 812`` of a sheet, ``row 811`` of a frame."""
        if self.lines is None:
            return f"row {row + 1}"
        return f"{'line' if self.text else 'row'} {self.lines[row]}"

    def place(self, row: int, column: str | None = None) -> str:
        """Say where a value stands: ``sales.csv line 812, column 'units'``."""
        return f"{self.name} {self.line(row)}" + (f", column '{column}'" if column is not None else "")
