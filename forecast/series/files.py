"""Tables from where a user names them, and frames to files."""

from typing import Any

import pandas as pd

from forecast.durable import replace_file
from forecast.errors import CannotCreate, Setting
from forecast.series.reading import read_table, table_from_frame
from forecast.series.synthetic import synthesize, table_settings
from forecast.series.table import Table
from forecast.series.writing import csv_bytes, parquet_bytes
from forecast.settings import TextSettings

SYNTHETIC = "synth:"


def load_table(source: str, settings: TextSettings) -> tuple[Table, dict[str, Any]]:
    """A table, and the table settings that come with it: those of a synthetic series, else none.

    Parameters
    ----------
    source : a file, a folder of Parquet files, - for standard input, or synth:KIND

    Raises
    ------
    NoInput, BadData, UsageError
        As `read_table` does.
    """
    if not source.startswith(SYNTHETIC):
        return read_table(source, settings), {}
    kind = source.removeprefix(SYNTHETIC)
    return table_from_frame(synthesize(kind), source), dict(table_settings(kind))


def check_output(output: str) -> None:
    """Refuse a file that forecasts are not written as.

    Raises
    ------
    CannotCreate
        If its suffix names another format.
    """
    if output.lower().endswith((".gz", ".zip", ".xlsx")):
        problem = "forecasts are written as .csv or .parquet"
        raise CannotCreate(problem, setting=Setting("output", output), cure="name such a file")


def write_frame(frame: pd.DataFrame, output: str) -> None:
    """A frame to a file, CSV or Parquet by its suffix, which is replaced all at once.

    Raises
    ------
    CannotCreate, StorageFailure
        If it cannot be written; what was there stays.
    """
    check_output(output)
    replace_file(output, parquet_bytes(frame) if output.lower().endswith((".parquet", ".pq")) else csv_bytes(frame))
