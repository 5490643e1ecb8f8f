"""Turn quantiles into the table of forecasts that a user gets, and that table into bytes."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UsageError
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings

# the last four are wide signs, which some spreadsheets take for the same
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CHUNK = 100_000  # rows written at once


def interval_columns(levels: tuple[float, ...]) -> list[str]:
    """Names of the columns of intervals: ``lo_80, hi_80, lo_95, hi_95``."""
    return [f"{side}_{level:g}" for level in levels for side in ("lo", "hi")]


def output_columns(output: OutputSettings) -> list[str]:
    """Names of all columns of a table of forecasts beside ids and times."""
    return ["forecast", *interval_columns(output.levels), *(["model", "status"] if output.explain else [])]


def forecast_frame(
    panel: Panel,
    schema: Schema,
    times: pd.DataFrame,
    series: Integers,
    numbers: NDArray[np.float64],
    columns: list[str],
) -> pd.DataFrame:
    """A row per series and step: id columns, time, numbers.

    Parameters
    ----------
    times : [series * horizon], the time columns as the input wrote them
    series : [series], indices into the panel, in the order of the rows
    numbers : [series, horizon, columns]
    columns : their names

    Raises
    ------
    UsageError
        If an id column has the name of a column of numbers.
    """
    refuse_clash(schema, columns)
    horizon = numbers.shape[1]
    frame: dict[str, object] = {}
    for place, name in enumerate(schema.ids):
        texts = np.array([panel.ids[i][place] for i in series], dtype=object)
        frame[name] = np.repeat(texts, horizon)
    frame |= {name: times[name] for name in schema.time}
    for place, name in enumerate(columns):
        frame[name] = numbers[:, :, place].ravel()
    return pd.DataFrame(frame)


def refuse_clash(schema: Schema, columns: Sequence[str], what: str = "forecasts") -> None:
    """Refuse an id or time column that has the name of another column of what is put out.

    Parameters
    ----------
    columns : the other columns
    what : what is put out, for messages

    Raises
    ------
    UsageError
        With all such names.
    """
    own = (*schema.ids, *schema.time)
    taken = [name for at, name in enumerate(own) if name in columns or name in own[:at]]
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
    for start in range(0, max(len(frame), 1), CHUNK):
        part = frame.iloc[start : start + CHUNK]
        yield part.to_csv(index=False, header=start == 0, lineterminator="\n").encode()


def parquet_bytes(frame: pd.DataFrame) -> Iterator[bytes]:
    """The frame as one Parquet file."""
    held = io.BytesIO()
    frame.to_parquet(held, index=False, engine="pyarrow")
    yield held.getvalue()
