"""Read and write the tables of a command."""

import shutil
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

import pandas as pd

from forecast.artifacts.store import check_apart
from forecast.cli._command import Request
from forecast.cli._console import guard_stdout, log
from forecast.errors import visible
from forecast.panel.dated import normalise
from forecast.settings import TextSettings
from forecast.tables.reading import load_future, read_table, settings_as_at_fit
from forecast.tables.table import Table
from forecast.tables.writing import csv_bytes, guard_formulas, write_frames

READ = {
    "data": "the table that is read",
    "forecast": "the table of forecasts",
    "actual": "the table of actual values",
    "future": "the table of --future",
    "against": "the table of --against",
    "events": "the table of --events",
    "successors": "the table of --successors",
    "overrides": "the table of --overrides",
    "backtest": "the backtest",
}


def load(source: str, settings: TextSettings) -> Table:
    return normalise(read_table(source, settings))


def load_later(source: str | None, settings: TextSettings) -> Table | None:
    """The table of --future, read in the same way as the main table; None if none is named."""
    return None if source is None else normalise(load_future(source, settings))


def text_settings(request: Request, stored: TextSettings) -> TextSettings:
    """The text settings of a file: those of the command line, else those of the fit."""
    given = request.read_group(TextSettings).model_dump(include=set(request.values))
    return settings_as_at_fit(stored, given)


def check_outputs(request: Request, *files: str | None, store: str | None = None) -> None:
    """Refuse, before any work, to write files that the command reads or that are of the store."""
    read = {what: vars(request).get(name) for name, what in READ.items()}
    for file in files:
        check_apart(file, read, store)


def write(
    frames: pd.DataFrame | Iterable[pd.DataFrame],
    output: str | None,
    ids: Iterable[Any] | None = None,
) -> None:
    """Write frames of the same columns to stdout as CSV, or replace a file, by its suffix.

    Nothing is written if a frame cannot be made. In files and pipes, formulas in the header and in
    the columns `ids` are escaped unless `ids` is None, and other text is unchanged. On a terminal,
    control characters are escaped.
    """
    frames = [frames] if isinstance(frames, pd.DataFrame) else frames
    frames = frames if ids is None else (guard_formulas(frame, ids) for frame in frames)
    if output is not None:
        write_frames(frames, output)
        log(f"written  {output}")
        return
    shown = map(_visible, frames) if sys.stdout.isatty() else frames
    with tempfile.SpooledTemporaryFile(max_size=1 << 27) as spool:  # larger tables go to disk
        spool.writelines(csv_bytes(shown))
        spool.seek(0)
        with guard_stdout():
            shutil.copyfileobj(spool, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def _visible(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with control characters escaped."""
    shown = frame.rename(columns=lambda name: visible(str(name)))
    for column, kind in enumerate(frame.dtypes):
        if kind.kind == "O":
            values = frame.iloc[:, column]
            texts = [visible(value) if isinstance(value, str) else value for value in values]
            shown.isetitem(column, texts)
    return shown
