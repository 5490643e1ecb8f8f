"""Columns of a table of forecasts, and a frame as bytes: CSV, Parquet or a workbook."""

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from pandas.api.types import is_string_dtype

from forecast.errors import CannotCreate, Setting, UsageError
from forecast.settings import OutputSettings, TextSettings
from forecast.tables.headers import listed
from forecast.tables.text import given_delimiter

# the last four are full-width signs, which some spreadsheets treat alike
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
WRITE_ROWS = 100_000  # rows written at once
GROUP_ROWS = 1 << 17  # of a group of rows of Parquet
SHEET_ROWS = (1 << 20) - 1  # that fit below the header of a sheet
FIRST_OF_SHEETS = datetime(1900, 3, 1)  # spreadsheets have a wrong day before it
ISO_TIME = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"


def interval_columns(levels: tuple[float, ...]) -> list[str]:
    """Names of the columns of intervals: ``lo_80, hi_80, lo_95, hi_95``."""
    return [f"{side}_{level:g}" for level in levels for side in ("lo", "hi")]


def output_columns(output: OutputSettings) -> list[str]:
    """Names of all columns of a table of forecasts beside ids and times."""
    return ["forecast", *interval_columns(output.levels), *(["model", "status"] if output.explain else [])]


def refuse_clash(keys: Sequence[str], columns: Sequence[str], what: str = "forecasts") -> None:
    """Refuse an output in which an id or time column (`keys`) has the name of another key, or of one of `columns`."""
    taken = [name for position, name in enumerate(keys) if name in columns or name in keys[:position]]
    if len(taken) > 1:
        raise UsageError(f"columns {listed(taken)} have the names of columns of the {what}; rename them in the input")
    if taken:
        raise UsageError(f"column '{taken[0]}' has the name of a column of the {what}; rename it in the input")


def guard_formulas(frame: pd.DataFrame, ids: Iterable[Any]) -> pd.DataFrame:
    """Put ' before ids and names of columns that a spreadsheet would run as a formula."""

    def guarded(text: object) -> object:
        return f"'{text}" if str(text).startswith(FORMULA) else text

    return frame.assign(**{name: frame[name].map(guarded) for name in ids}).rename(columns=guarded)


def csv_bytes(frames: Iterable[pd.DataFrame], text: TextSettings | None = None) -> Iterator[bytes]:
    """Frames of the same columns as one CSV, one line per row, in pieces: as `text` reads it, by default UTF-8."""
    header, delimiter, encoding = True, (text and given_delimiter(text)) or ",", (text and text.encoding) or "utf-8"
    for frame in frames:
        for start in range(0, max(len(frame), 1), WRITE_ROWS):
            part = frame.iloc[start : start + WRITE_ROWS]
            yield part.to_csv(index=False, header=header, lineterminator="\n", sep=delimiter).encode(encoding)
            header = False


def parquet_bytes(frames: Iterable[pd.DataFrame]) -> Iterator[bytes]:
    """Frames of the same columns as one Parquet file, in pieces; its bytes do not depend on how rows are parted."""
    import pyarrow.parquet

    sink, writer = io.BytesIO(), None
    for rows in _groups(frames):
        writer = writer or pyarrow.parquet.ParquetWriter(sink, rows.schema)
        writer.write_table(rows, GROUP_ROWS)
        yield sink.getvalue()
        sink.seek(0)  # pyarrow counts by itself how much it has written
        sink.truncate()
    if writer is not None:
        writer.close()
    yield sink.getvalue()


def _groups(frames: Iterable[pd.DataFrame]) -> Iterator[pa.Table]:
    """The rows of frames as tables of Arrow, each a group of rows of a file."""
    held: Any = None
    for frame in frames:
        rows = pa.Table.from_pandas(frame, schema=None if held is None else held.schema, preserve_index=False)
        held = rows if held is None else pa.concat_tables([held, rows])
        while held.num_rows > GROUP_ROWS:
            yield held.slice(0, GROUP_ROWS).combine_chunks()
            held = held.slice(GROUP_ROWS)
    if held is not None:
        yield held.combine_chunks()


def xlsx_bytes(frames: Iterable[pd.DataFrame]) -> bytes:
    """Frames of the same columns as a sheet of a workbook; ISO 8601 times are cells of times, those of a zone text."""
    frame = pd.concat(frames, ignore_index=True)
    if len(frame) > SHEET_ROWS:
        problem = f"a sheet of a workbook holds at most {SHEET_ROWS:,} rows, and these are {len(frame):,}"
        raise CannotCreate(problem, setting=Setting("output"), cure="write a .csv or .parquet file")
    for name, column in frame.items():
        if column.dtype.kind == "M" or (is_string_dtype(column) and column.str.fullmatch(ISO_TIME).all()):
            times: Any = pd.to_datetime(column, format="ISO8601", errors="coerce")
            in_sheet = times.dt.tz is None and (times >= FIRST_OF_SHEETS).all()
            times = times.dt.date if (times == times.dt.normalize()).all() else times
            frame[name] = times if in_sheet else column.astype(str)
    sink, plain = io.BytesIO(), {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
    with pd.ExcelWriter(sink, "xlsxwriter", engine_kwargs=plain) as writer:
        frame.to_excel(writer, index=False)
        writer.book.set_properties({"created": datetime(2000, 1, 1)})  # the same forecasts make the same bytes
    return sink.getvalue()
