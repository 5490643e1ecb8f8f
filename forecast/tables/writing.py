"""Write tables of forecasts as CSV, Parquet or a workbook, with the column types of the input."""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
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
from forecast.tables.table import Columns, duplicates, list_names
from forecast.tables.text import given_delimiter

Unit = Literal["s", "ms", "us", "ns"]
Frame = pd.DataFrame
# the last four are full-width signs, which some spreadsheets treat alike
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
WRITE_ROWS = 100_000  # rows written at once
GROUP_ROWS = 1 << 17  # rows of a row group of Parquet
SHEET_ROWS = (1 << 20) - 1  # rows that fit below the header of a sheet


@dataclass(frozen=True)
class Column:
    """A column of an output: text (objects), numbers, or datetime64[s], [rows]."""

    values: NDArray[Any]
    unit: Unit = "s"  # that datetimes get
    zone: tzinfo | None = None  # in which datetimes of UTC are shown
    period: str | None = None  # frequency of periods, of which the datetimes are starts

    def index(self) -> "pd.Index[Any]":
        if self.values.dtype.kind != "M":
            values: Any = self.values
            if values.dtype.kind == "O":
                values = values.tolist() or [""]  # also without a row it has the type of text
            plain: pd.Index[Any] = pd.Index(values)[: len(self.values)]
            return plain
        times = pd.DatetimeIndex(self.values)
        if self.period is not None:
            return pd.PeriodIndex(times, freq=self.period)
        times = times.as_unit(self.unit)
        if self.zone is None:
            return times
        return times.tz_localize("UTC").tz_convert(self.zone)

    def texts(self) -> list[str]:
        return [str(value) for value in self.index()]


def build_frames(
    parts: Iterable[Mapping[str, Column | NDArray[Any]]], name: str
) -> Iterator[Frame]:
    """The parts of a table as frames; refuses a column of another type in one than in another."""
    types = None
    for columns in parts:
        frame = build_frame(columns)
        types = frame.dtypes if types is None else types
        if (frame.dtypes != types).any():
            raise BadData("a column has another type in one part than in another", place=name)
        yield frame


def stack_frames(frames: list[Frame]) -> Frame:
    return pd.concat(frames, ignore_index=True)


def build_frame(columns: Mapping[str, Column | NDArray[Any]], whole: Iterable[str] = ()) -> Frame:
    """Convert columns to a frame, whose types are the same if there are no rows.

    Columns named in `whole` become whole numbers if all their texts are whole numbers.
    """
    indexes = {
        name: (column if isinstance(column, Column) else Column(column)).index()
        for name, column in columns.items()
    }
    frame = Frame(indexes)
    for name in whole:
        with suppress(ValueError):  # a blank, in sums over all
            frame[name] = frame[name].astype(np.int64)
    return frame


def output_columns(output: OutputSettings) -> list[str]:
    """Names of all columns of a table of forecasts beside ids and times."""
    explained = ["model", "status"] if output.explain else []
    return ["forecast", *output.columns, *explained]


def refuse_clash(keys: Columns, columns: Columns, what: str = "forecasts") -> None:
    """Refuse an output in which an id or time column (`keys`) has the name of another column."""
    taken = [name for name in duplicates([*keys, *columns]) if name in keys]
    if taken:
        raise UsageError(
            f"columns {list_names(taken)} have the names of columns of the {what}; rename them in "
            "the input"
        )


def guard_formulas(frame: Frame, ids: Iterable[Any]) -> Frame:
    """Put ' before ids and names of columns that a spreadsheet would run as a formula."""

    def guard(text: object) -> object:
        return f"'{text}" if str(text).startswith(FORMULA_SIGNS) else text

    guarded_ids = {name: frame[name].map(guard) for name in ids}
    return frame.assign(**guarded_ids).rename(columns=guard)


def csv_bytes(frames: Iterable[Frame], text: TextSettings | None = None) -> Iterator[bytes]:
    """Write frames with the same columns as one CSV, in pieces, so that `text` can read it."""
    text = text or TextSettings()
    delimiter = given_delimiter(text) or ","
    header = True
    for frame in frames:
        for start in range(0, max(len(frame), 1), WRITE_ROWS):
            rows = frame.iloc[start : start + WRITE_ROWS]
            written = rows.to_csv(index=False, header=header, lineterminator="\n", sep=delimiter)
            yield written.encode(text.encoding or "utf-8")
            header = False


def parquet_bytes(frames: Iterable[Frame]) -> Iterator[bytes]:
    """Write frames with the same columns as one Parquet file, in pieces.

    The bytes do not depend on how the rows are divided into frames.
    """
    import pyarrow.parquet

    sink = io.BytesIO()
    writer = None
    for rows in _groups(frames):
        # few floats are equal
        coded = [field.name for field in rows.schema if not pa.types.is_floating(field.type)]
        writer = writer or pyarrow.parquet.ParquetWriter(sink, rows.schema, use_dictionary=coded)
        writer.write_table(rows, GROUP_ROWS)
        yield sink.getvalue()
        sink.seek(0)  # pyarrow counts by itself how much it has written
        sink.truncate()
    if writer is not None:
        writer.close()
    yield sink.getvalue()


def _groups(frames: Iterable[Frame]) -> Iterator[pa.Table]:
    """The rows of frames as tables of Arrow, each a group of rows of a file."""
    held: Any = None
    for frame in frames:
        schema = None if held is None else held.schema
        rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        held = rows if held is None else pa.concat_tables([held, rows])
        while held.num_rows > GROUP_ROWS:
            yield held.slice(0, GROUP_ROWS).combine_chunks()
            held = held.slice(GROUP_ROWS)
    if held is not None:
        yield held.combine_chunks()


def xlsx_bytes(frames: Iterable[Frame]) -> bytes:
    """Write frames with the same columns as a sheet of a workbook.

    Times in ISO 8601 become cells of times; times with a zone remain text.
    """
    frame = pd.concat(frames, ignore_index=True)
    if len(frame) > SHEET_ROWS:
        raise CannotCreate(
            f"a sheet of a workbook holds at most {SHEET_ROWS:,} rows, and these are "
            f"{len(frame):,}",
            setting=Setting("output"),
            cure="write a .csv or .parquet file",
        )
    for name, column in frame.items():
        iso = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"
        is_text = is_string_dtype(column) and column.str.fullmatch(iso).all()
        if is_text or column.dtype.kind == "M":
            times: Any = pd.to_datetime(column, format="ISO8601", errors="coerce")
            # a sheet counts a wrong day before that date
            in_sheet = times.dt.tz is None and (times >= datetime(1900, 3, 1)).all()
            dates = (times == times.dt.normalize()).all()
            cells = times.dt.date if dates else times
            frame[name] = cells if in_sheet else column.astype(str)
    sink = io.BytesIO()
    plain = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
    with pd.ExcelWriter(sink, "xlsxwriter", engine_kwargs=plain) as writer:
        frame.to_excel(writer, index=False)
        # the same forecasts make the same bytes
        writer.book.set_properties({"created": datetime(2000, 1, 1)})
    return sink.getvalue()


def check_output(output: str | None, *more: str) -> None:
    """Refuse an output file of another format, or one that a missing package would write.

    A name without a suffix is that of a CSV, such as /dev/stdout; `more` are other suffixes.
    """
    suffix = PurePath((output or "").lower()).suffix
    if suffix not in ("", ".csv", ".parquet", ".pq", ".xlsx", *more):
        problem = "forecasts are written as .csv, .parquet or .xlsx"
        raise CannotCreate(problem, place=output, cure="name such a file")
    if suffix == ".xlsx" and find_spec("xlsxwriter") is None:
        problem = "to write .xlsx takes the package xlsxwriter"
        raise Unavailable(problem, cure=INSTALL.format("excel"))


def write_frames(frames: Iterable[Frame], output: str, text: TextSettings | None = None) -> None:
    """Write frames of the same columns to a file, by its suffix; a CSV as `text` reads it."""
    check_output(output)
    suffix = PurePath(output.lower()).suffix
    data: bytes | Iterator[bytes]
    if suffix in (".parquet", ".pq"):
        data = parquet_bytes(frames)
    elif suffix == ".xlsx":
        data = xlsx_bytes(frames)
    else:
        data = csv_bytes(frames, text)
    replace_file(output, data)
