"""Read a large CSV block by block: plain UTF-8 with a row on each line, and no quotes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import BadData
from forecast.settings import TextSettings
from forecast.tables.arrow import PARQUET, readable
from forecast.tables.contents import foreign_kind
from forecast.tables.encoding import SAMPLE, UTF8_MARK, UTF16_MARKS
from forecast.tables.numbers import infer_decimal
from forecast.tables.records import best_delimiter
from forecast.tables.table import Table
from forecast.tables.text import given_delimiter, text_table
from forecast.tables.texts import pa, text_type

BLOCK = 1 << 25  # bytes read at once
ROW = 6  # bytes of a row at least: an id, a time and a value, and what parts them
UNPLAIN = b'"\0'  # what takes a closer look


@dataclass(frozen=True)
class CsvBlocks:
    """A CSV whose header is its first line.

    Attributes
    ----------
    path : of the file
    settings : of reading a text
    header : its first line
    delimiter : between cells
    names : of the columns
    """

    path: Path
    settings: TextSettings
    header: bytes
    delimiter: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, source: str, settings: TextSettings, least: int) -> Self | None:
        """The file of a path; None where it is no plain CSV, or surely has less than `least` rows."""
        path = Path(source)
        if settings.encoding is not None or not path.is_file() or path.stat().st_size < ROW * least:
            return None
        with path.open("rb") as file:
            sample = file.read(SAMPLE)
            file.seek(-1, os.SEEK_END)
            ended = file.read() == b"\n"
        header, _, rest = sample.partition(b"\n")
        marked = sample.startswith((UTF8_MARK, *UTF16_MARKS, b"sep=", PARQUET, b"PK"))
        if marked or foreign_kind(sample) is not None or not sample[:1].isalnum() or not rest or not ended:
            return None
        delimiter = given_delimiter(settings) or best_delimiter(sample)
        names = tuple(name.strip() for name in header.decode(errors="replace").split(delimiter))
        return cls(path, settings, header + b"\n", delimiter, names)

    @property
    def name(self) -> str:
        """What messages call the table."""
        return self.path.name

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Some columns as text, block by block.

        Raises
        ------
        BadData
            If a line is not plain.
        """
        import pyarrow.csv

        every = [str(place) for place in range(len(self.names))]
        wanted = [every[self.names.index(name)] for name in columns]
        for block in self._blocks():
            lines = block.count(b"\n")
            if any(letter in block for letter in UNPLAIN) or block.count(b"\r") not in (0, block.count(b"\r\n")):
                raise BadData("takes a closer look", place=self.name)
            try:
                table = pyarrow.csv.read_csv(
                    pa.BufferReader(block),
                    read_options=pyarrow.csv.ReadOptions(column_names=every),
                    parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(wanted, pa.string()),
                        include_columns=wanted,
                        strings_can_be_null=False,
                    ),
                )
            except pa.ArrowInvalid as error:
                raise BadData(f"takes a closer look: {error}", place=self.name) from None
            if len(table) != lines:  # a blank one
                raise BadData("takes a closer look", place=self.name)
            frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): text_type()}.get)
            yield frame.set_axis(list(columns), axis=1)

    @property
    def rows(self) -> int:
        """About as many rows as the file has, by the length of its first lines."""
        with self.path.open("rb") as file:
            sample = file.read(SAMPLE)
        return self.path.stat().st_size * sample.count(b"\n") // len(sample)

    def table(self, frame: pd.DataFrame, rows: NDArray[np.int64] | None = None) -> Table:
        """A table of some of the rows, whose places may be given."""
        lines = None if rows is None else rows + 2
        table = Table(self.name, frame, True, lines, self.settings.decimal or ".", self.settings.thousands)
        return table if self.settings.decimal else replace(table, decimal=infer_decimal(table, self.delimiter))

    def parts(self, cuts: Sequence[int]) -> Iterator[Table]:
        """Tables of the rows between cuts.

        Raises
        ------
        BadData
            If one cannot be read, or the numbers of one are written differently, or the file has changed meanwhile.
        """
        before, decimal = self.path.stat(), None
        blocks, held = self._blocks(), b""
        ends: NDArray[np.int64] = np.zeros(0, np.int64)
        for first, end in pairwise(cuts):
            while len(ends) < end - first:
                held += next(blocks)
                ends = np.flatnonzero(np.frombuffer(held, np.uint8) == ord("\n")) + 1
            size = int(ends[end - first - 1])
            table = text_table(self.header + held[:size], self.name, self.settings)
            held, ends = held[size:], ends[end - first :] - size
            if decimal not in (None, table.decimal):
                raise BadData("numbers are not written alike", place=self.name)
            decimal = table.decimal
            yield table.moved(first)
        after = self.path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise BadData("changed while it was read", place=self.name)

    def _blocks(self) -> Iterator[bytes]:
        """The lines after the header, some at a time."""
        with readable(self.name), self.path.open("rb") as file:
            file.seek(len(self.header))
            rest: Any = b""
            while piece := file.read(BLOCK):
                whole, line_end, rest = (rest + piece).rpartition(b"\n")
                if line_end:
                    yield whole + line_end
