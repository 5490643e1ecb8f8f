"""Read and write the tables of a command."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from forecast.cli._console import say, visible_frame
from forecast.settings import TableSettings, TextSettings

if TYPE_CHECKING:
    import pandas as pd

    from forecast.tables.table import Table

MOST_IN_MEMORY = 1 << 27  # bytes of a table for stdout, beyond which it waits in a temporary file


def load(source: str, settings: TextSettings) -> "tuple[Table, dict[str, Any]]":
    """Read a table, and the table settings that come with a synthetic series."""
    from forecast.reading.tidying import tidied
    from forecast.tables.files import load_table

    table, defaults = load_table(source, settings)
    return tidied(table), defaults


def load_to_fit(source: str, settings: TextSettings, how: TableSettings, seed: int) -> "tuple[Table, dict[str, Any]]":
    """Read a table as `load` does, or an even sample of its series where it does not fit into memory."""
    from forecast.reading.large import sampled
    from forecast.reading.tidying import tidied

    sample = sampled(source, settings, how, seed)
    return load(source, settings) if sample is None else (tidied(sample), {})


def write(frame: "pd.DataFrame", output: str | None) -> None:
    """Write a frame to stdout as CSV, or replace a file, CSV or Parquet by its suffix.

    Files and pipes get text unchanged; on a terminal control characters are escaped.
    """
    write_all([frame], output)


def write_all(frames: "Iterable[pd.DataFrame]", output: str | None) -> None:
    """Write frames of the same columns as `write` does one: as they come, and nothing if one fails to come."""
    import shutil
    import tempfile

    from forecast.tables.files import write_frames
    from forecast.tables.writing import csv_bytes

    if output is not None:
        write_frames(frames, output)
        say(f"written  {output}")
        return
    shown = map(visible_frame, frames) if sys.stdout.isatty() else frames
    with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY) as spool:
        spool.writelines(csv_bytes(shown))
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout.buffer)
    sys.stdout.buffer.flush()
