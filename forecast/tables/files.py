"""Load tables from the sources that users name, and write frames to files."""

from collections.abc import Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any

import pandas as pd

from forecast.durable import replace_file
from forecast.errors import INSTALL, CannotCreate, Setting, Unavailable, as_flag
from forecast.settings import TextSettings
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.spreadsheet import UnknownSheet
from forecast.tables.synthetic import synthesize, table_settings
from forecast.tables.table import Table
from forecast.tables.writing import csv_bytes, parquet_bytes, xlsx_bytes

SYNTHETIC = "synth:"


def load_table(source: str, settings: TextSettings, hashed: bool = False) -> tuple[Table, dict[str, Any]]:
    """Load what `read_table` takes, or synth:KIND, and the table settings that come with it."""
    if not source.startswith(SYNTHETIC):
        return read_table(source, settings, hashed), {}
    kind = source.removeprefix(SYNTHETIC)
    return table_from_frame(synthesize(kind), source), dict(table_settings(kind))


def load_future(source: str, settings: TextSettings) -> Table:
    """Load a table of values known in advance, read as the main table; its header and its sheet may be elsewhere."""
    settings = settings.model_copy(update={"header_row": None, "skip_rows": None})
    try:
        return load_table(source, settings)[0]
    except UnknownSheet:
        return load_table(source, settings.model_copy(update={"sheet": None}))[0]


def settings_as_at_fit(stored: TextSettings, given: dict[str, Any]) -> TextSettings:
    """The settings for reading a file: those given now, else those of the fit."""
    fitted = stored.model_dump(exclude_defaults=True)
    for mark, other in (("decimal", "thousands"), ("thousands", "decimal")):
        if given.get(mark) is not None and given[mark] == fitted.get(other):
            del fitted[other]  # one mark cannot mean both
    return TextSettings.check({**fitted, **{name: value for name, value in given.items() if value is not None}})


def reading_flags(settings: TextSettings) -> str:
    """The settings of reading as flags of the command line."""
    given = settings.model_dump(exclude_defaults=True)
    return " ".join(as_flag(Setting(name, value)) for name, value in given.items())


def check_output(output: str) -> None:
    """Refuse an output file of another format, or one that a missing package would write."""
    if output.lower().endswith((".gz", ".zip", ".xls", ".ods")):
        problem = "forecasts are written as .csv, .parquet or .xlsx"
        raise CannotCreate(problem, setting=Setting("output", output), cure="name such a file")
    if output.lower().endswith(".xlsx") and find_spec("xlsxwriter") is None:
        raise Unavailable("to write .xlsx takes the package xlsxwriter", cure=INSTALL.format("excel"))


def write_frames(frames: Iterable[pd.DataFrame], output: str, text: TextSettings | None = None) -> None:
    """Write frames of the same columns to a file, by its suffix, replaced at once or not; a CSV as `text` reads it."""
    check_output(output)
    writers: dict[str, Any] = {".parquet": parquet_bytes, ".pq": parquet_bytes, ".xlsx": xlsx_bytes}
    replace_file(output, writers.get(PurePath(output.lower()).suffix, partial(csv_bytes, text=text))(frames))
