"""Read a large Parquet file, or a folder of them, block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.tables.arrow import PARQUET, arrow_frame, readable
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.texts import pa

ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class ParquetBlocks:
    """Parquet files of the same columns, one after another.

    Attributes
    ----------
    name : of the file or folder, for messages
    files : their paths
    names : of the columns
    rows : of all files
    """

    name: str
    files: tuple[Path, ...]
    names: tuple[str, ...]
    rows: int

    @classmethod
    def of(cls, source: str, least: int) -> Self | None:
        """The files of a path; None where they are no Parquet, have less than `least` rows, or differ in columns."""
        path = Path(source)
        if not path.exists():
            return None
        files = [each for each in (sorted(path.rglob("*")) if path.is_dir() else [path]) if each.is_file()]
        files = [each for each in files if _is_parquet(each)]
        if not files:
            return None
        import pyarrow.parquet

        keys = any("=" in part for each in files for part in each.relative_to(path).parts[:-1])
        try:
            found = [pyarrow.parquet.read_metadata(each) for each in files]
        except (pa.ArrowException, OSError):
            return None  # reading the whole names what is wrong
        if keys or sum(each.num_rows for each in found) < least:
            return None
        schemas = [each.schema.to_arrow_schema() for each in found]
        if not all(schema.equals(schemas[0]) for schema in schemas):
            return None
        rows = sum(each.num_rows for each in found)
        return cls(path.name or str(path), tuple(files), tuple(schemas[0].names), rows)

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Some columns, block by block."""
        for block in self._blocks(list(columns)):
            with readable(self.name):
                frame = arrow_frame(block.replace_schema_metadata(None))  # without an index
            yield frame[list(columns)]

    def table(self, frame: pd.DataFrame, rows: NDArray[np.int64] | None = None) -> Table:
        """A table of some of the rows, whose places may be given."""
        table = table_from_frame(frame, self.name)
        return table if rows is None else replace(table, lines=rows + 1)

    def parts(self, cuts: Sequence[int]) -> Iterator[Table]:
        """Tables of the rows between cuts."""
        blocks = self._blocks(None)
        held: list[Any] = []
        for first, end in pairwise(cuts):
            while sum(block.num_rows for block in held) < end - first:
                held.append(next(blocks))
            rows = pa.concat_tables(held)
            held = [rows.slice(end - first)]
            with readable(self.name):
                frame = arrow_frame(rows.slice(0, end - first))
            yield table_from_frame(frame, self.name).moved(first)

    def _blocks(self, columns: list[str] | None) -> Iterator[Any]:
        import pyarrow.parquet

        for path in self.files:
            with readable(self.name), pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
                for group in range(file.num_row_groups):  # a reader of several keeps the bytes of all
                    for batch in file.iter_batches(ROWS_AT_ONCE, [group], columns):
                        yield pa.Table.from_batches([batch])


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET
