"""Tables in and out, as the commands name them."""

import sys
from typing import TYPE_CHECKING, Any

import click

from forecast.cli._console import visible_frame
from forecast.settings import TextSettings

if TYPE_CHECKING:
    import pandas as pd

    from forecast.tables.table import Table

artifact_option = click.option(
    "--artifact", default="forecast-model", show_default=True, metavar="DIR", help="the store of saved versions"
)


def load(source: str, settings: TextSettings) -> "tuple[Table, dict[str, Any]]":
    """A table, and the table settings that come with it: those of a synthetic series, else none."""
    from forecast.panel.tidying import tidied
    from forecast.tables.files import load_table

    table, defaults = load_table(source, settings)
    return tidied(table), defaults


def write(frame: "pd.DataFrame", output: str | None) -> None:
    """A frame to stdout as CSV, or to a file, CSV or Parquet by its suffix, which is replaced all at once.

    A file and a pipe get every text as it is; a terminal gets control characters written out.
    """
    from forecast.tables.files import write_frame
    from forecast.tables.writing import csv_bytes

    if output is not None:
        write_frame(frame, output)
        return
    for piece in csv_bytes(visible_frame(frame) if sys.stdout.isatty() else frame):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
