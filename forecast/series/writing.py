"""Turn quantiles into the table of forecasts that a user gets, and that table into bytes."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import BadData
from forecast.series.panel import Integers, Panel
from forecast.series.schema import Schema

FORMULA = ("=", "+", "-", "@", "\t", "\r")
CHUNK = 100_000  # rows written at once


def interval_columns(levels: tuple[float, ...]) -> list[str]:
    """Names of the columns of intervals: ``lo_80, hi_80, lo_95, hi_95``."""
    return [f"{side}_{level:g}" for level in levels for side in ("lo", "hi")]


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
    BadData
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


def refuse_clash(schema: Schema, columns: Sequence[str]) -> None:
    """Refuse an id or time column that has the name of another column of the forecasts.

    Raises
    ------
    BadData
        With the name.
    """
    own = (*schema.ids, *schema.time)
    taken = [name for at, name in enumerate(own) if name in columns or name in own[:at]]
    if taken:
        raise BadData(f"column '{taken[0]}' has the name of a column of the forecasts; rename it in the input")


def guard_formulas(frame: pd.DataFrame, ids: tuple[str, ...]) -> pd.DataFrame:
    """Put ' before ids that a spreadsheet would run as a formula."""
    guarded = {
        name: frame[name].map(lambda text: "'" + text if str(text).startswith(FORMULA) else text) for name in ids
    }
    return frame.assign(**guarded)


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
