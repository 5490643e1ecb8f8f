"""Files, archives and frames become tables; what is none, or does not fit into memory, is refused."""

import gzip
import io
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from forecast import Forecaster
from forecast.errors import BadData, NoInput, Unavailable, UsageError
from forecast.settings import TextSettings
from forecast.tables import reading, storage
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table
from tests.conftest import Run
from tests.tables._text import PLAIN, rows


class Stream:
    """A frame that has an Arrow stream, and nothing else."""

    def __init__(self, columns):
        self.columns_of_arrow = columns

    def __arrow_c_stream__(self, requested_schema=None):
        return self.columns_of_arrow.__arrow_c_stream__(requested_schema)


def test_a_frame_with_an_arrow_stream_is_a_table_as_that_of_pandas_is():
    days = pd.date_range("2024-01-01", periods=40)
    frame = pd.DataFrame(
        {"shop": np.repeat(["007", "b"], 40), "day": [*days, *days], "units": np.arange(80) % 7}
    )
    wanted = Forecaster(model="last", horizon=2).fit(frame).predict()
    columns = pa.Table.from_pandas(frame)
    views = columns.set_column(
        0, "shop", pa.array(frame["shop"], pa.string_view())
    )  # as polars has text
    for other in (columns, Stream(views)):
        pd.testing.assert_frame_equal(
            Forecaster(model="last", horizon=2).fit(other).predict(other), wanted
        )


def test_what_is_no_frame_is_named():
    for wrong, name in ((Decimal(1), "not Decimal"), ({}, "not dict"), (Table, "not type")):
        with pytest.raises(UsageError, match=f"a table must be a frame .*, {name}"):
            table_from_frame(wrong)
    with pytest.raises(BadData, match="DataFrame cannot be read as an Arrow table"):
        table_from_frame(Stream(pa.chunked_array([[1, 2]])))


def test_missing_or_unreadable_paths_are_no_input(tmp_path):
    with pytest.raises(NoInput, match=r"nowhere.csv does not exist"):
        read_table(str(tmp_path / "nowhere.csv"), TextSettings())
    with pytest.raises(NoInput, match="without Parquet files"):
        read_table(str(tmp_path), TextSettings())
    with pytest.raises(NoInput, match="cannot be opened"):
        read_table(str(tmp_path / ("x" * 300)), TextSettings())


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_file_without_permission_is_no_input(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text(PLAIN)
    path.chmod(0)
    with pytest.raises(NoInput, match="cannot be opened: Permission denied"):
        read_table(str(path), TextSettings())


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_archives_are_recognised_by_content(read):
    assert rows(read(gzip.compress(PLAIN.encode()))) == rows(read(PLAIN))
    assert rows(read(zipped(inner=PLAIN))) == rows(read(PLAIN))


def test_broken_or_ambiguous_archives_are_refused(read):
    for content in (
        gzip.compress(PLAIN.encode())[:-9],
        zipped(inner=PLAIN)[:-5],
        gzip.compress(b"x") + b"junk",
    ):
        with pytest.raises(BadData, match="cut, damaged or encrypted"):
            read(content)
    whole = zipped(inner=PLAIN)
    for at in range(len(whole)):  # zipfile raises errors of many kinds
        for byte in (0, 255):
            try:
                assert rows(read(whole[:at] + bytes([byte]) + whole[at + 1 :])) == rows(read(PLAIN))
            except BadData:
                continue
    with pytest.raises(BadData, match="holds 2 files"):
        read(zipped(a=PLAIN, b=PLAIN))
    with pytest.raises(BadData, match="office document"):
        read(zipped(**{"[Content_Types].xml": "", "xl": ""}))
    with pytest.raises(BadData, match="a bzip2 archive"):
        read(b"BZh9")


def test_table_larger_than_memory_is_refused_before_it_fills_it(read, monkeypatch):
    for module in (reading, storage):
        monkeypatch.setattr(module, "free_memory", lambda: 3_000_000)
    assert len(read(PLAIN).frame) == 2
    big = "date,y\n" + "2024-01-01,1\n" * 100_000
    for content in (big, gzip.compress(big.encode()), zipped(a=big)):
        with pytest.raises(Unavailable, match="GiB of memory"):
            read(content)


def test_frame_is_taken_without_a_change_to_it():
    frame = pd.DataFrame({1: [1.0, 2.0], "b": ["x", None]}, index=pd.date_range("2024", periods=2))
    before = frame.copy()
    table = table_from_frame(frame)
    assert list(table.frame.columns) == ["time", "1", "b"]
    assert table.frame.index.equals(pd.RangeIndex(2))
    assert table.place(0, "b") == "DataFrame row 1, column 'b'"
    pd.testing.assert_frame_equal(frame, before)


def test_index_levels_of_a_frame_become_columns():
    months = pd.period_range("2024-01", periods=2, freq="M")
    index = pd.MultiIndex.from_product([["a", "b"], months], names=["id", None])
    table = table_from_frame(pd.Series([1, 2, 3, 4], index=index))
    assert list(table.frame.columns) == ["id", "time", "y"]
    assert str(table.frame["time"].dtype) == "period[M]"
    assert list(table_from_frame(pd.DataFrame({"y": [1, 2]}, index=["a", "b"])).frame.columns) == [
        "index",
        "y",
    ]
    assert list(table_from_frame(pd.DataFrame({"y": [1, 2, 3]})[1:]).frame.columns) == ["y"]


def test_unusable_frames_are_refused():
    with pytest.raises(UsageError, match="not list"):
        table_from_frame([1.0, 2.0])  # type: ignore[arg-type]
    with pytest.raises(BadData, match="levels of column names"):
        table_from_frame(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])))
    with pytest.raises(BadData, match="called '1'"):
        table_from_frame(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    with pytest.raises(BadData, match="called 'time'"):
        table_from_frame(
            pd.DataFrame({"time": [1]}, index=pd.date_range("2024", periods=1, name="time"))
        )
    with pytest.raises(BadData, match="no rows"):
        table_from_frame(pd.DataFrame({"y": []}))


ROW = b"n1,2024-01-01,1.50\n"


@pytest.mark.parametrize(
    ("rows", "free"),
    [(500_000, 100_000_000), pytest.param(100_000_000, 20 << 30, marks=pytest.mark.slow)],
)
def test_a_zip_that_unpacks_to_too_many_rows_is_refused_before_it_is_unpacked(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, free: int
) -> None:
    path, at_once = tmp_path / "sales.zip", 250_000
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("sales.csv", "w", force_zip64=True) as file,
    ):
        file.write(b"shop,day,units\n")
        for _ in range(rows // at_once):
            file.write(at_once * ROW)
    data = bytearray(path.read_bytes())
    assert len(data) < 4_700_000
    data[len(data) * 9 // 10 : len(data) * 9 // 10 + 50] = bytes(
        50
    )  # who unpacks it finds that it is damaged
    path.write_bytes(data)
    for module in ("storage", "reading"):
        monkeypatch.setattr(f"forecast.tables.{module}.free_memory", lambda: free)
    ran = forecast("inspect", path)
    assert ran.code == 69, ran.err
    assert "sales.zip takes " in ran.err
    assert (
        "unpack it (a plain table is read in parts), split it by series or shorten its history"
        in ran.err
    )
    monkeypatch.setattr("forecast.tables.storage.free_memory", lambda: 1 << 40)
    monkeypatch.setattr("forecast.tables.reading.free_memory", lambda: 1 << 40)
    if rows == 500_000:
        assert forecast("inspect", path).code == 65


def test_a_gzip_is_unpacked_no_further_than_its_rows_fit(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sales.csv.gz"
    packed = gzip.compress(b"shop,day,units\n" + 400_000 * ROW)
    path.write_bytes(packed + packed[:-20])  # two members, of which the second one is cut
    for module in ("storage", "reading"):
        monkeypatch.setattr(f"forecast.tables.{module}.free_memory", lambda: 140_000_000)
    ran = forecast("inspect", path)
    assert ran.code == 69, ran.err
    monkeypatch.setattr("forecast.tables.reading.free_memory", lambda: 1 << 40)
    assert forecast("inspect", path).code == 65


@pytest.mark.parametrize("begin", [b"", b"day,units\n2024-01-01,1\n"])
def test_a_line_without_end_is_unpacked_no_further_than_its_limit(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr("forecast.tables.reading.MAX_LINE", 1 << 20)
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(gzip.compress(begin + bytes(13_000_000), 1))
    ran = forecast("inspect", path)
    assert ran.code == 65
    assert "sales.csv.gz has a line of more than 1 MiB; is this a table at all?" in ran.err
    text = "[" + ",".join(f'{{"units": {number % 9}}}' for number in range(80_000)) + "]"
    path.write_bytes(gzip.compress(text.encode()))
    assert "line" not in forecast("inspect", path).err
