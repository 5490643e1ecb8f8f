"""A file, a folder of Parquet files, or a synthetic series."""

from typing import Any

from pydantic import Field

from forecast.settings import FilePath, SettingsGroup, TextSettings
from forecast.tables.reading import load_table
from forecast.tables.table import Table


class Settings(SettingsGroup):
    """Keys of [source] for a file."""

    path: FilePath = Field(
        description="a CSV, JSON or Parquet file, a workbook, a folder of Parquet files, or synth:KIND"
    )


def read(source: Settings, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    return load_table(source.path, text, hashed=True)
