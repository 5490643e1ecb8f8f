"""Tables in and out, as the commands name them."""

import sys
from typing import TYPE_CHECKING, Any

import click

from forecast.durable import replace_file
from forecast.errors import CannotCreate
from forecast.settings import TextSettings

if TYPE_CHECKING:
    import pandas as pd

    from forecast.series.table import Table

SYNTHETIC = "synth:"

artifact_option = click.option(
    "--artifact", default="forecast-model", show_default=True, metavar="DIR", help="the store of saved versions"
)


def load(source: str, settings: TextSettings) -> "tuple[Table, dict[str, Any]]":
    """A table, and the table settings that come with it: those of a synthetic series, else none."""
    from forecast.series.reading import read_table, table_from_frame

    if not source.startswith(SYNTHETIC):
        return read_table(source, settings), {}
    from forecast.series.synthetic import synthesize, table_settings

    kind = source.removeprefix(SYNTHETIC)
    return table_from_frame(synthesize(kind), source), dict(table_settings(kind))


def write(frame: "pd.DataFrame", output: str | None) -> None:
    """A frame to stdout as CSV, or to a file, CSV or Parquet by its suffix, which is replaced all at once."""
    from forecast.series.writing import csv_bytes, parquet_bytes

    if output is None:
        for piece in csv_bytes(frame):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    if output.lower().endswith((".gz", ".zip", ".xlsx")):
        raise CannotCreate(f"--output {output}: forecasts are written as .csv or .parquet; name such a file")
    replace_file(output, parquet_bytes(frame) if output.lower().endswith((".parquet", ".pq")) else csv_bytes(frame))
