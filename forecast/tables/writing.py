"""Columns of a table of forecasts, and a frame as bytes: CSV or Parquet."""

import io
from collections.abc import Iterator, Sequence

import pandas as pd

from forecast.errors import UsageError
from forecast.settings import OutputSettings
from forecast.tables.texts import require_arrow

# the last four are full-width signs, which some spreadsheets treat alike
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
WRITE_ROWS = 100_000  # rows written at once


def interval_columns(levels: tuple[float, ...]) -> list[str]:
    """Names of the columns of intervals: ``lo_80, hi_80, lo_95, hi_95``."""
    return [f"{side}_{level:g}" for level in levels for side in ("lo", "hi")]


def output_columns(output: OutputSettings) -> list[str]:
    """Names of all columns of a table of forecasts beside ids and times."""
    return ["forecast", *interval_columns(output.levels), *(["model", "status"] if output.explain else [])]


def refuse_clash(keys: Sequence[str], columns: Sequence[str], what: str = "forecasts") -> None:
    """Refuse an output in which two columns have one name.

    Parameters
    ----------
    keys : names of the id and time columns, which the input chose
    columns : names of the other columns
    what : what the output is, for messages
    """
    taken = [name for position, name in enumerate(keys) if name in columns or name in keys[:position]]
    if len(taken) > 1:
        names = ", ".join(f"'{name}'" for name in taken)
        raise UsageError(f"columns {names} have the names of columns of the {what}; rename them in the input")
    if taken:
        raise UsageError(f"column '{taken[0]}' has the name of a column of the {what}; rename it in the input")


def guard_formulas(frame: pd.DataFrame, ids: tuple[str, ...]) -> pd.DataFrame:
    """Put ' before ids and names of columns that a spreadsheet would run as a formula."""
    guarded = frame.assign(**{name: frame[name].map(_guarded) for name in ids})
    return guarded.rename(columns=_guarded)


def _guarded(text: object) -> object:
    return f"'{text}" if str(text).startswith(FORMULA) else text


def csv_bytes(frame: pd.DataFrame) -> Iterator[bytes]:
    """The frame as CSV, UTF-8, one line per row, in pieces."""
    for start in range(0, max(len(frame), 1), WRITE_ROWS):
        part = frame.iloc[start : start + WRITE_ROWS]
        yield part.to_csv(index=False, header=start == 0, lineterminator="\n").encode()


def parquet_bytes(frame: pd.DataFrame) -> Iterator[bytes]:
    """The frame as one Parquet file."""
    buffer = io.BytesIO()
    require_arrow("writing Parquet")
    frame.to_parquet(buffer, index=False, engine="pyarrow")
    yield buffer.getvalue()
