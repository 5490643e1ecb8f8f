"""A file, a folder of Parquet files, or a synthetic series."""

from typing import Any

from pydantic import Field

from forecast.jobs.record import sha256_of_file
from forecast.settings import FilePath, Knobs, TextSettings
from forecast.tables.files import load_table
from forecast.tables.table import Table


class Settings(Knobs):
    """Keys of [source] for a file."""

    path: FilePath = Field(
        description="a CSV or Parquet file, a workbook, a folder of Parquet files, or synth:KIND",
    )


def digest(source: Settings) -> str | None:
    """The sha256 of an ordinary file."""
    return sha256_of_file(source.path)


def read(source: Settings, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    """Read the file; see `load_table`."""
    return load_table(source.path, text)
