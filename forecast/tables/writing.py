"""Tables of forecasts: their columns with the types of the input, and frames as CSV, Parquet or a workbook."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.types import is_string_dtype

from forecast.durable import replace_file
from forecast.errors import INSTALL, BadData, CannotCreate, Setting, Unavailable, UsageError
from forecast.settings import OutputSettings, TextSettings
from forecast.tables.headers import listed
from forecast.tables.text import given_delimiter

Unit = Literal["s", "ms", "us", "ns"]
Frame = pd.DataFrame
# the last four are full-width signs, which some spreadsheets treat alike
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
WRITE_ROWS = 100_000  # rows written at once
GROUP_ROWS = 1 << 17  # of a group of rows of Parquet
SHEET_ROWS = (1 << 20) - 1  # that fit below the header of a sheet
ISO_TIME = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"


@dataclass(frozen=True)
class Column:
    """A column of an output: text (objects), numbers, or datetime64[s], [rows]."""

    values: NDArray[Any]
    unit: Unit = "s"  # that datetimes get
    zone: tzinfo | None = None  # in which datetimes of UTC are shown
    period: str | None = None  # frequency of periods, of which the datetimes are starts

    def index(self) -> "pd.Index[Any]":
        if self.values.dtype.kind != "M":
            # also without a row text has the type of text
            values = self.values.tolist() or [""] if self.values.dtype.kind == "O" else self.values
            plain: pd.Index[Any] = pd.Index(values)[: len(self.values)]
            return plain
        times = pd.DatetimeIndex(self.values)
        if self.period is not None:
            return pd.PeriodIndex(times, freq=self.period)
        times = times.as_unit(self.unit)
        return times if self.zone is None else times.tz_localize("UTC").tz_convert(self.zone)

    def texts(self) -> list[str]:
        return [str(value) for value in self.index()]


def frames_of(
    parts: Iterable[Mapping[str, Column | NDArray[Any]]], name: str
) -> Iterator[pd.DataFrame]:
    """The columns of each part of a table as a frame; refuses a column of another type in one part than in another."""
    first = None
    for columns in parts:
        frame = frame_of(columns)
        first = frame.dtypes if first is None else first
        if (frame.dtypes != first).any():
            raise BadData("a column has another type in one part than in another", place=name)
        yield frame


def stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def frame_of(
    columns: Mapping[str, Column | NDArray[Any]], whole: Iterable[str] = ()
) -> pd.DataFrame:
    """Columns by name as a frame, those of `whole` as whole numbers where all of their texts are such.

    Without rows they have the same types.
    """
    plain = {
        name: column if isinstance(column, Column) else Column(column)
        for name, column in columns.items()
    }
    frame = pd.DataFrame({name: column.index() for name, column in plain.items()})
    for name in whole:
        with suppress(ValueError):  # a blank, in sums over all
            frame[name] = frame[name].astype(np.int64)
    return frame


def interval_columns(levels: tuple[float, ...]) -> list[str]:
    """Names of the columns of intervals: ``lo_80, hi_80, lo_95, hi_95``."""
    return [f"{side}_{level:g}" for level in levels for side in ("lo", "hi")]


def output_columns(output: OutputSettings) -> list[str]:
    """Names of all columns of a table of forecasts beside ids and times."""
    return [
        "forecast",
        *interval_columns(output.levels),
        *(["model", "status"] if output.explain else []),
    ]


def refuse_clash(keys: Sequence[str], columns: Sequence[str], what: str = "forecasts") -> None:
    """Refuse an output in which an id or time column (`keys`) has the name of another key, or of one of `columns`."""
    if taken := [
        name for position, name in enumerate(keys) if name in columns or name in keys[:position]
    ]:
        raise UsageError(
            f"columns {listed(taken)} have the names of columns of the {what}; rename them in the input"
        )


def guard_formulas(frame: pd.DataFrame, ids: Iterable[Any]) -> pd.DataFrame:
    """Put ' before ids and names of columns that a spreadsheet would run as a formula."""

    def guarded(text: object) -> object:
        return f"'{text}" if str(text).startswith(FORMULA) else text

    return frame.assign(**{name: frame[name].map(guarded) for name in ids}).rename(columns=guarded)


def csv_bytes(frames: Iterable[pd.DataFrame], text: TextSettings | None = None) -> Iterator[bytes]:
    """Frames of the same columns as one CSV, one line per row, in pieces: as `text` reads it, by default UTF-8."""
    header, delimiter, encoding = (
        True,
        (text and given_delimiter(text)) or ",",
        (text and text.encoding) or "utf-8",
    )
    for frame in frames:
        for start in range(0, max(len(frame), 1), WRITE_ROWS):
            part = frame.iloc[start : start + WRITE_ROWS]
            yield part.to_csv(
                index=False, header=header, lineterminator="\n", sep=delimiter
            ).encode(encoding)
            header = False


def parquet_bytes(frames: Iterable[pd.DataFrame]) -> Iterator[bytes]:
    """Frames of the same columns as one Parquet file, in pieces; its bytes do not depend on how rows are parted."""
    import pyarrow.parquet

    sink, writer = io.BytesIO(), None
    for rows in _groups(frames):
        coded = [
            field.name for field in rows.schema if not pa.types.is_floating(field.type)
        ]  # few of those are equal
        writer = writer or pyarrow.parquet.ParquetWriter(sink, rows.schema, use_dictionary=coded)
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
        rows = pa.Table.from_pandas(
            frame, schema=None if held is None else held.schema, preserve_index=False
        )
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
        problem = (
            f"a sheet of a workbook holds at most {SHEET_ROWS:,} rows, and these are {len(frame):,}"
        )
        raise CannotCreate(problem, setting=Setting("output"), cure="write a .csv or .parquet file")
    for name, column in frame.items():
        if column.dtype.kind == "M" or (
            is_string_dtype(column) and column.str.fullmatch(ISO_TIME).all()
        ):
            times: Any = pd.to_datetime(column, format="ISO8601", errors="coerce")
            in_sheet = (
                times.dt.tz is None and (times >= datetime(1900, 3, 1)).all()
            )  # a wrong day is before it
            times = times.dt.date if (times == times.dt.normalize()).all() else times
            frame[name] = times if in_sheet else column.astype(str)
    sink, plain = (
        io.BytesIO(),
        {"options": {"strings_to_formulas": False, "strings_to_urls": False}},
    )
    with pd.ExcelWriter(sink, "xlsxwriter", engine_kwargs=plain) as writer:
        frame.to_excel(writer, index=False)
        writer.book.set_properties(
            {"created": datetime(2000, 1, 1)}
        )  # the same forecasts make the same bytes
    return sink.getvalue()


def check_output(output: str) -> None:
    """Refuse an output file of another format, or one that a missing package would write."""
    if output.lower().endswith((".gz", ".zip", ".xls", ".ods")):
        problem = "forecasts are written as .csv, .parquet or .xlsx"
        raise CannotCreate(problem, setting=Setting("output", output), cure="name such a file")
    if output.lower().endswith(".xlsx") and find_spec("xlsxwriter") is None:
        raise Unavailable(
            "to write .xlsx takes the package xlsxwriter", cure=INSTALL.format("excel")
        )


def write_frames(
    frames: Iterable[pd.DataFrame], output: str, text: TextSettings | None = None
) -> None:
    """Write frames of the same columns to a file, by its suffix, replaced at once or not; a CSV as `text` reads it."""
    check_output(output)
    writers: dict[str, Any] = {".parquet": parquet_bytes, ".pq": parquet_bytes, ".xlsx": xlsx_bytes}
    replace_file(
        output, writers.get(PurePath(output.lower()).suffix, partial(csv_bytes, text=text))(frames)
    )
