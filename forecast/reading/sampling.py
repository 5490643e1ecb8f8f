"""Take an even sample of the series of a table that does not fit into memory, to fit on."""

import logging
from itertools import islice

from forecast.errors import ForecastError
from forecast.logs import without_messages
from forecast.reading.building import MAX_CELLS
from forecast.reading.dated import dated_table
from forecast.reading.detection import infer_schema
from forecast.settings import TableSettings, TextSettings
from forecast.tables.memory import free_memory
from forecast.tables.parts import Blocks, blocks_of, drawn
from forecast.tables.table import Table

log = logging.getLogger("forecast")

CELL = 80  # bytes at the peak of a fit for each cell of its table
SHARE = 0.8  # of the free memory that a fit may take


def sampled(source: str, reading: TextSettings, how: TableSettings, seed: int) -> Table | None:
    """Some of the series of a long table, drawn by the hashes of their ids; None where the whole fits into memory.

    None, too, where the table cannot be read block by block: reading it as a whole then says what it takes.

    Parameters
    ----------
    source : path of a Parquet file, of a folder of them, or of a plain CSV
    reading, how : settings of reading a text, and a table
    seed : of the draw
    """
    try:
        blocks = blocks_of(source, reading, 1)
        if blocks is None:
            return None
        needed, free = blocks.rows * len(blocks.names) * CELL, free_memory()
        one_in = -(-max(needed / free, 2 * blocks.rows / MAX_CELLS) // SHARE)
        if one_in < 2:
            return None
        with without_messages(log):
            ids = how.id or _ids(blocks, how)
            table = drawn(blocks, ids, int(one_in), seed) if ids and set(ids) <= set(blocks.names) else None
    except ForecastError:
        return None
    if table is not None:
        log.warning(
            "%s: takes about %.1f GiB to fit, and %.1f GiB are free: the fit sees one series in %d, drawn by the "
            "hashes of their ids; it can forecast all of them, as series that are new to it",
            blocks.name,
            needed / 2**30,
            free / 2**30,
            one_in,
        )
    return table


def _ids(blocks: Blocks, how: TableSettings) -> tuple[str, ...]:
    """The id columns, by the first rows; none where each column or each row is a series."""
    (first,) = islice(blocks.frames(blocks.names), 1)
    schema, _ = infer_schema(dated_table(blocks.table(first), how), how)
    return schema.ids if schema.layout == "long" else ()
