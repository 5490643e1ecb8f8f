"""The forecasts or sums of one run as the ledger has them: a row for each, packed as Parquet."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecast.databases.transactions import Row
from forecast.panel.panel import Flags, Integers

MAX_SAMPLE = 10_000  # rows of a run that corrections need: the share of values inside hardly varies more with fewer
WHOLE = 2.0**53  # numbers of digits below it are exact in float64
PUBLISHED = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]  # as the output has them
RAW = ["raw_median", *(f"raw_{name}" for name in PUBLISHED[1:])]  # of each value alone, uncorrected; NaN of 0.2.0
PLACES = [f"{name}_places" for name in PUBLISHED]  # of their decimal points, while they are packed as digits
# ids as JSON (categories), from 1, time of the value on the clock of the table, ..., unit of MASE, ..., and runs in a
# row whose values lay above the median of the series, or below it if negative
COLUMNS = ["series", "step", "instant", *PUBLISHED, "unit", *RAW, "streak"]
# level and group as JSON, number of the period, its first and last time, ...
SUM_COLUMNS = ["series", "step", "first", "instant", *PUBLISHED]
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, OSError, NotImplementedError)


def of_rows(rows: Sequence[Row]) -> pd.DataFrame:
    """Forecasts from rows of the table of 0.2.0: job, as_of, and then all of the columns, or those before RAW."""
    frame = pd.DataFrame(rows, columns=["job", "as_of", *COLUMNS][: len(rows[0])]).reindex(columns=COLUMNS)
    frame = frame.astype({"series": "category", **dict.fromkeys(COLUMNS[3:], float)})  # NULL becomes NaN
    return frame.fillna({"streak": 0.0})


def packed(forecasts: pd.DataFrame) -> bytes:
    """Forecasts or sums as a Parquet file; published numbers keep all of their digits, raw ones of large runs fewer."""
    numbers = forecasts[PUBLISHED].to_numpy()
    # as outputs are rounded; else the numbers are their own digits
    places = np.clip(6 - np.floor(np.log10(np.abs(np.where(numbers == 0, 1, numbers)))), 4, 300)
    digits = np.rint(numbers * 10**places)
    exact = (np.abs(digits) < WHOLE) & (digits / 10**places == numbers)
    digits, places = (digits.astype(np.int64), places) if exact.all() else (numbers, 0 * places)
    columns: dict[str, Any] = dict(zip([*PUBLISHED, *PLACES], [*digits.T, *places.T.astype(np.int16)], strict=True))
    columns["series"] = forecasts["series"].cat.remove_unused_categories()
    raw = [*forecasts.columns.intersection(RAW)]
    precision = np.float32 if len(forecasts) > 2 * MAX_SAMPLE else np.float64
    frame = forecasts.assign(**columns).astype(dict.fromkeys(raw, precision) | {"step": np.int32})
    options: dict[str, Any] = {"use_byte_stream_split": [*PUBLISHED, *raw], "compression": "zstd"}
    options["use_dictionary"] = [name for name in frame if name not in options["use_byte_stream_split"]]
    return bytes(frame.to_parquet(engine="pyarrow", index=False, **options))


def unpacked(data: bytes) -> pd.DataFrame:
    """Forecasts that were packed; one of DAMAGED where they are damaged."""
    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    arrays = {name: table[name].to_numpy() for name in table.column_names[1:]}  # much faster than its whole in pandas
    for name, places in zip(PUBLISHED, PLACES, strict=True):
        arrays[name] = arrays[name] / 10.0 ** arrays[places]
    columns, older = (SUM_COLUMNS, {}) if "first" in arrays else (COLUMNS, {"streak": 0.0})
    return pd.DataFrame({"series": table["series"].to_pandas(), **older, **arrays}, columns=columns)


def sampled(forecasts: pd.DataFrame) -> Flags:
    """[rows], those that corrections need: all, or one of 2, 4, 8, ... of each series and of each step.

    They depend on the ids of a series, not on other series: the samples of two runs have most of their rows in common.
    """
    every = 1 << max(0, (len(forecasts) - 1) // MAX_SAMPLE).bit_length()
    series = forecasts["series"].cat
    first = np.array([zlib.crc32(name.encode()) % every for name in series.categories], np.int64)
    return np.asarray((first[series.codes] + forecasts["step"].to_numpy()) % every == 0)


def series_number(forecasts: pd.DataFrame, names: Sequence[str]) -> Integers:
    """[rows], the place of the series of each among the ids as JSON of others; -1 where it is none of them."""
    rank, series = {name: i for i, name in enumerate(names)}, forecasts["series"].cat
    return np.array([rank.get(name, -1) for name in series.categories], np.int64)[series.codes]
