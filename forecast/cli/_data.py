"""Read and write the tables of a command."""

import sys
from typing import TYPE_CHECKING, Any

from forecast.cli._console import visible_frame
from forecast.settings import TextSettings

if TYPE_CHECKING:
    import pandas as pd

    from forecast.tables.table import Table


def load(source: str, settings: TextSettings) -> "tuple[Table, dict[str, Any]]":
    """Read a table, and the table settings that come with a synthetic series."""
    from forecast.panel.tidying import tidied
    from forecast.tables.files import load_table

    table, defaults = load_table(source, settings)
    return tidied(table), defaults


def write(frame: "pd.DataFrame", output: str | None) -> None:
    """Write a frame to stdout as CSV, or replace a file, CSV or Parquet by its suffix.

    Files and pipes get text unchanged; on a terminal control characters are escaped.
    """
    from forecast.tables.files import write_frame
    from forecast.tables.writing import csv_bytes

    if output is not None:
        write_frame(frame, output)
        return
    for piece in csv_bytes(visible_frame(frame) if sys.stdout.isatty() else frame):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
