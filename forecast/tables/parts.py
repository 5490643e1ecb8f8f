"""Read a large table in parts of whole series, where the rows of each series stand together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.settings import TextSettings
from forecast.tables.cells import cells_of, flags_of, is_text, is_word, trimmed
from forecast.tables.csv_blocks import CsvBlocks
from forecast.tables.parquet_blocks import ParquetBlocks
from forecast.tables.table import Table
from forecast.tables.texts import pc

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """A table in parts.

    Attributes
    ----------
    name : of the table, for messages
    series : that it has
    newest : a row of each time at which a series has a value
    read : reads the parts one after another
    """

    name: str
    series: int
    newest: Table
    read: Callable[[], Iterator[Table]]


Blocks = ParquetBlocks | CsvBlocks


def blocks_of(source: str, settings: TextSettings, least: int) -> Blocks | None:
    """What reads a file or a folder block by block; None where nothing can, or it surely has less than `least` rows.

    Parameters
    ----------
    source : path of a Parquet file, of a folder of them, or of a CSV
    settings : of reading a text
    """
    try:
        return ParquetBlocks.of(source, least) or CsvBlocks.of(source, settings, least)
    except OSError:
        return None


def parts_of(
    source: str, settings: TextSettings, ids: Sequence[str], time: str, target: str, least: int, at_once: int
) -> Parts | None:
    """A table in parts, or None where it is small, or has to be read as a whole: its series are not each in one place.

    Parameters
    ----------
    source : path of a Parquet file, of a folder of them, or of a CSV
    settings : of reading a text
    ids, time, target : names of its columns
    least : rows of a table that is read in parts
    at_once : series of a part
    """
    blocks = blocks_of(source, settings, least)
    if blocks is None or not {*ids, time, target} <= set(blocks.names):
        return None
    runs, newest, seen = _Runs(list(ids)), [], pd.Index([])
    for frame in blocks.frames([*ids, time, target]):
        if not runs.add(frame[list(ids)]):
            return None
        new = frame[_has_value(frame[target])].drop_duplicates(time)
        new = new[~new[time].isin(seen)]
        seen = seen.append(pd.Index(new[time]))
        newest.append(new)
    starts = runs.starts()
    if starts is None or not len(seen):
        return None
    cuts = [*starts[::at_once].tolist(), runs.rows]
    rows = pd.concat(newest, ignore_index=True)
    return Parts(
        blocks.name,
        len(starts),
        blocks.table(rows),
        lambda: (replace(part, reading=settings) for part in blocks.parts(cuts)),
    )


def drawn(blocks: Blocks, ids: Sequence[str], one_in: int, seed: int) -> Table | None:
    """A table of one series in so many, with all their rows, drawn by the hashes of their ids; None if it has none.

    Parameters
    ----------
    ids : the columns that tell series apart
    """
    chosen, places, row = [], [], 0
    for frame in blocks.frames(blocks.names):
        texts = frame[list(ids)].astype(str)
        hashes = pd.util.hash_pandas_object(texts, index=False, hash_key=f"{seed % 10**16:016d}").to_numpy()
        some = np.flatnonzero(hashes % one_in == 0)
        chosen.append(frame.iloc[some])
        places.append(some + row)
        row += len(frame)
    rows = pd.concat(chosen, ignore_index=True)
    return blocks.table(rows, np.concatenate(places)) if len(rows) else None


def _has_value(values: "pd.Series[Any]") -> NDArray[np.bool_]:
    """[rows], whether a target is neither blank nor a word for missing."""
    if not is_text(values):
        return np.asarray(values.notna(), bool)
    cells = trimmed(cells_of([values]))
    return ~(flags_of(pc.equal(cells, "")) | flags_of(is_word(cells)))


class _Runs:
    """Where the rows of each series begin, by the hashes of ids."""

    def __init__(self, ids: list[str]) -> None:
        self.rows, self.last = 0, np.zeros(0, np.uint64)
        self.first: list[Integers] = []
        self.hashes: list[NDArray[np.uint64]] = []

    def add(self, ids: pd.DataFrame) -> bool:
        """Add the next rows; returns whether an id was blank, which has to be looked at more closely."""
        if ids.isna().any(axis=None):
            return False
        changed = np.zeros(len(ids), bool)
        hashes: Any = pd.util.hash_pandas_object(ids, index=False).to_numpy()
        changed[1:] = hashes[1:] != hashes[:-1]
        changed[:1] = hashes[:1] != self.last if len(self.last) else True
        first = np.flatnonzero(changed)
        self.first.append(first + self.rows)
        self.hashes.append(hashes[first])
        self.rows, self.last = self.rows + len(ids), hashes[-1:]
        return True

    def starts(self) -> Integers | None:
        """[series], the first row of each; None where one has rows in several places."""
        if not self.first:
            return None
        hashes = np.concatenate(self.hashes)
        return np.concatenate(self.first) if len(np.unique(hashes)) == len(hashes) else None
