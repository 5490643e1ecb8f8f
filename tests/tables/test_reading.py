"""Tables are read as they are written, and every malformed one is refused with its line."""

import contextlib
import csv
import gzip
import io
import os
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.errors import BadData, ForecastError, NoInput, Unavailable, UsageError
from forecast.settings import TextSettings
from forecast.tables import contents, reading, storage
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table

PLAIN = "date,store,y\n2024-01-01,007,5\n2024-01-02,NA,\n"


@pytest.fixture
def read(tmp_path):
    def read_content(content: str | bytes, **settings: str) -> Table:
        path = tmp_path / "sales.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(str(path), TextSettings(**settings))

    return read_content


def rows(table: Table) -> list[list[str]]:
    return [list(table.frame.columns), *table.frame.to_numpy().tolist()]


def test_cells_stay_exactly_as_written(read):
    table = read("id,a,b\n007,NA,\n12345678901234567,null, nan \n1e5,-,None\n")
    assert rows(table)[1:] == [["007", "NA", ""], ["12345678901234567", "null", " nan "], ["1e5", "-", "None"]]
    assert table.text
    assert table.name == "sales.csv"
    assert table.place(1, "a") == "sales.csv line 3, column 'a'"


def test_delimiter_of_decimal_comma_is_semicolon(read):
    table = read("zeit;preis, EUR;menge, kg\n2024-01-01;1,5;2,5\n2024-01-02;1,25;2,5\n")
    assert list(table.frame.columns) == ["zeit", "preis, EUR", "menge, kg"]
    assert table.decimal == ","


def test_given_delimiter_wins(read, caplog):
    assert list(read("a;b,c\n1;2,3\n", delimiter=",").frame.columns) == ["a;b", "c"]
    assert list(read("a\tb\n1\t2\n", delimiter="tab").frame.columns) == ["a", "b"]
    assert not caplog.text
    for wrong in ("::", "", '"', "§"):
        with pytest.raises(UsageError, match="delimiter="):
            read(PLAIN, delimiter=wrong)


def test_decimal_comma_in_every_number_is_read_and_said(read, caplog):
    table = read("date;y;n\n2024-01-01;1,5;3\n2024-01-02;;4\n2024-01-03;-0,25;5\n")
    assert table.decimal == ","
    assert "sales.csv: the comma is read as decimal mark (2 numbers)" in caplog.text


def test_comma_that_may_be_thousands_is_refused(read):
    with pytest.raises(BadData, match="pass decimal=',' or thousands=','"):
        read("date\ty\n2024-01-01\t1,204\n2024-01-02\t999\n")
    assert read("date\ty\n2024-01-01\t1,204\n", thousands=",").decimal == "."
    assert read("date;y\n2024-01-01;0,204\n2024-01-02;1,500\n").decimal == ","


def test_commas_in_text_are_no_decimal_marks(read):
    assert read("date;name;y\n2024-01-01;Smith, John;1.5\n2024-01-02;1,5 litres;2\n").decimal == "."


def test_lines_count_quoted_newlines_and_blank_lines(read):
    table = read('date,note,y\n2024-01-01,"two\nlines",1\n\n   \n2024-01-02,"say ""hi""",2\r\n2024-01-03,5" pipe,3')
    assert table.lines.tolist() == [2, 6, 7]
    assert table.frame["note"].tolist() == ["two\nlines", 'say "hi"', '5" pipe']


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_read(read, end):
    table = read(f"date,y{end}2024-01-01,1{end}{end}2024-01-02,2")
    assert rows(table)[1:] == [["2024-01-01", "1"], ["2024-01-02", "2"]]
    assert table.lines.tolist() == [2, 4]


def test_unclosed_quote_is_refused_with_the_line_where_it_opens(read):
    with pytest.raises(BadData, match="line 3: a quote is opened and never closed"):
        read('date,note\n2024-01-01,a\n2024-01-02,"b\n2024-01-03,c\n')
    with pytest.raises(BadData, match="line 3: a quote is opened"):
        read('date,note\n2024-01-01,a\n2024-01-02,"b')
    with pytest.raises(BadData, match="line 2: a quoted cell goes on after its closing quote"):
        read('date,note\n2024-01-01,"a\n2024-01-02,"b"\n')
    with pytest.raises(BadData, match="line 2: a quoted cell goes on"):
        read('date,y\n2024-01-01,"5"0\n')


def test_empty_and_header_only_are_refused(read):
    for content in ("", "\n\n  \n", b"\xef\xbb\xbf"):
        with pytest.raises(BadData, match="is empty"):
            read(content)
    with pytest.raises(BadData, match="has a header and no rows"):
        read("date,y\n")


def test_comment_line_is_refused_with_its_line(read):
    for content in ("# from the till\ndate,y\n2024-01-01,1\n", "#date,y\n2024-01-01,1\n"):
        with pytest.raises(BadData, match="starts with #"):
            read(content)
    with pytest.raises(BadData, match=r"line 3 has 1 column .* it starts with #"):
        read("date,y\n2024-01-01,1\n# late\n2024-01-02,1\n")
    assert list(read("#,y\n1,2\n").frame.columns) == ["#", "y"]


@pytest.mark.parametrize(
    ("above", "count"),
    [("From the till\n", 1), ("From the till,\n,\nas of today\n\n", 4), ('"Sales, by day"\r', 1)],
)
def test_a_title_is_left_out_and_rows_keep_their_lines(read, caplog, above, count):
    table = read(above + "date,y\n2024-01-01,1\n2024-01-02,2\n")
    assert (table.names, len(table), table.line(0)) == (["date", "y"], 2, f"line {count + 2}")
    assert "left out the title above the header (line 1" in caplog.text
    assert f"pass header_row={count + 1} to say so" in caplog.text


@pytest.mark.parametrize(
    "content", ["date,\n2024-01-01,1\n", ",y\n2024-01-01,1\n", "y\n1\n2\n", "shop,,\na,2024-01-01,5\n"]
)
def test_a_header_with_one_name_is_no_title(read, caplog, content):
    with contextlib.suppress(BadData):
        assert read(content).names[-1] in ("y", "date")
    assert "title" not in caplog.text


def test_rows_above_the_header_can_be_named(read, caplog):
    content = 'till,shop\n7,"a ""\n\ndate,y\n2024-01-01,1\n'  # with a quote that is never closed
    for said in ({"header_row": 4}, {"skip_rows": 3}, {"skip_rows": 2}):
        table = read(content, **said)
        assert (rows(table), table.line(0)) == ([["date", "y"], ["2024-01-01", "1"]], "line 5")
    assert not caplog.text
    with pytest.raises(BadData, match="is empty"):
        read(content, header_row=9)


JSON = '{"id": "007", "day": "2024-01-01", "y": 1.50}\n\n{"y": 12345678901234567890, "open": true, "id": null}\n'


def test_json_keeps_ids_and_numbers_as_they_are_written(read, monkeypatch):
    wanted = [["id", "day", "y", "open"], ["007", "2024-01-01", "1.50", ""], ["", "", "12345678901234567890", "true"]]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("sales.ndjson", JSON)
    array = "[" + ",\n".join(JSON.split("\n\n")) + "]"
    for content in (JSON, JSON.encode("utf-8-sig"), gzip.compress(JSON.encode()), archive.getvalue(), array):
        table = read(content)
        assert (rows(table), table.text) == (wanted, True)
    assert read(JSON).line(1) == "line 3"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(JSON.encode())))
    assert rows(read_table("-", TextSettings())) == wanted
    assert rows(read('{"a": 1.5, "b": "1,5"}\n', decimal=","))[1:] == [["1,5", "1,5"]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"y": 1}\n{"y": [1]}\n', "line 2, column 'y': holds nested values; write a record"),
        ('{"data": [{"y": 1}]}', "line 1, column 'data': holds nested values"),
        ('{"y": 1, "y": 2}', "line 1, column 'y': comes twice in a record"),
        ('{"y": 1}\n5\n', "line 2: is not a record with values"),
        ('{"y": 1}\n{"y": 2', "is not JSON: .* line 2 column 8"),
        ('[{"y": 1}, {"y": 2}', "does not end with its array of records; is the file cut"),
        ('{"y": ' + "[" * 100_000, "is not JSON: maximum recursion depth"),
    ],
)
def test_json_that_is_no_table_is_refused_with_its_place(read, content, problem):
    with pytest.raises(BadData, match=problem):
        read(content)


class Stream:
    """A frame that has an Arrow stream, and nothing else."""

    def __init__(self, columns):
        self.columns_of_arrow = columns

    def __arrow_c_stream__(self, requested_schema=None):
        return self.columns_of_arrow.__arrow_c_stream__(requested_schema)


def test_a_frame_with_an_arrow_stream_is_a_table_as_that_of_pandas_is():
    days = pd.date_range("2024-01-01", periods=40)
    frame = pd.DataFrame({"shop": np.repeat(["007", "b"], 40), "day": [*days, *days], "units": np.arange(80) % 7})
    wanted = Forecaster(model="last", horizon=2).fit(frame).predict()
    columns = pa.Table.from_pandas(frame)
    views = columns.set_column(0, "shop", columns["shop"].cast(pa.string_view()))  # as polars has text
    for other in (columns, Stream(views)):
        pd.testing.assert_frame_equal(Forecaster(model="last", horizon=2).fit(other).predict(other), wanted)


def test_what_is_no_frame_is_named_with_its_module():
    for wrong, name in ((Decimal(1), "not decimal.Decimal"), ({}, "not dict"), (Table, "not type")):
        with pytest.raises(UsageError, match=f"a table must be a frame .*, {name}"):
            table_from_frame(wrong)
    with pytest.raises(BadData, match="DataFrame cannot be read as an Arrow table"):
        table_from_frame(Stream(pa.chunked_array([[1, 2]])))


def test_table_without_header_is_refused(read):
    with pytest.raises(BadData, match="line 1 holds data and no header"):
        read("2024-01-01,5\n2024-01-02,6\n")
    assert list(read("id,2024-01-01,2024-01-02\na,5,6\n").frame.columns) == ["id", "2024-01-01", "2024-01-02"]


def test_short_and_long_rows_are_refused_with_their_line(read):
    with pytest.raises(BadData, match=r"sales.csv line 6 has 2 columns and the header .* has 3: the line is cut"):
        read('date,s,y\n2024-01-01,"a\nb",1\n\n2024-01-02,a,1\n2024-01-03,a\n')
    with pytest.raises(BadData, match=r"line 3 has 4 columns .* a ',' too many"):
        read("date,s,y\n2024-01-01,a,1\n2024-01-02,a,1,204\n")


def test_explicit_empty_cells_at_ragged_ends_are_read(read):
    table = read("V1,V2,V3,V4\nM1,1,2,3\nM2,1,,\n")
    assert table.frame.iloc[1].tolist() == ["M2", "1", "", ""]


def test_repeated_header_is_refused_with_its_line(read):
    with pytest.raises(BadData, match="line 3 repeats the header"):
        read("date,y\n2024-01-01,1\ndate,y\n2024-01-02,1\n")
    assert len(read("name,y\nname,1\n").frame) == 1


def test_rows_of_delimiters_only_are_left_out_and_said(read, caplog):
    table = read("date,y\n2024-01-01,1\n,\n2024-01-02,2\n,\n")
    assert table.lines.tolist() == [2, 4]
    assert "2 rows without any value" in caplog.text
    with pytest.raises(BadData, match="no row with a value"):
        read("date,y\n,\n")


def test_missing_or_unreadable_paths_are_no_input(tmp_path):
    with pytest.raises(NoInput, match=r"nowhere.csv does not exist"):
        read_table(str(tmp_path / "nowhere.csv"), TextSettings())
    with pytest.raises(NoInput, match="without Parquet files"):
        read_table(str(tmp_path), TextSettings())
    with pytest.raises(NoInput, match="cannot be opened"):
        read_table(str(tmp_path / ("x" * 300)), TextSettings())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
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
    for content in (gzip.compress(PLAIN.encode())[:-9], zipped(inner=PLAIN)[:-5], gzip.compress(b"x") + b"junk"):
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
    with pytest.raises(BadData, match="an xz archive"):
        read(b"\xfd7zXZ\x00\x00")


def test_table_larger_than_memory_is_refused_before_it_fills_it(read, monkeypatch):
    for module in (reading, contents):
        monkeypatch.setattr(module, "free_memory", lambda: 3_000_000)
    assert len(read(PLAIN).frame) == 2
    big = "date,y\n" + "2024-01-01,1\n" * 100_000
    for content in (big, gzip.compress(big.encode()), zipped(a=big)):
        with pytest.raises(Unavailable, match="GiB of memory"):
            read(content)


def test_last_line_without_newline_is_read(read, caplog):
    assert read("date,y\n2024-01-01,123").frame["y"].tolist() == ["123"]
    assert not caplog.text


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "no-suffix"
    columns = {
        "time": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        "day": pa.array([1, 2, 3], pa.date32()),
        "id": pa.array([12345678901234567, None, 3], pa.int64()),
        "shop": pa.array(["007", None, "NA"]),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.25")]),
        "open": pa.array([True, None, False]),
        "y": pa.array([1.5, None, 2.0]),
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
    table = read_table(str(path), TextSettings())
    frame = table.frame
    assert not table.text
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert pd.api.types.is_datetime64_dtype(frame["day"])
    assert frame["id"][0] == 12345678901234567
    assert isinstance(frame["kind"].dtype, pd.CategoricalDtype)
    assert frame["shop"].tolist()[::2] == ["007", "NA"]
    assert str(frame["open"].dtype) == "boolean"


def test_parquet_brings_its_named_index(tmp_path):
    index = pd.date_range("2024", periods=3, name="when")
    pd.DataFrame({"y": [1, 2, 3]}, index=index).to_parquet(tmp_path / "a.parquet")
    assert list(read_table(str(tmp_path / "a.parquet"), TextSettings()).frame.columns) == ["when", "y"]


def test_folder_of_parquet_is_one_table_and_its_keys_stay_text(tmp_path):
    for shop, values in (("007", [1, 2]), ("8", [3.5])):
        (tmp_path / f"shop={shop}").mkdir()
        pd.DataFrame({"y": values}).to_parquet(tmp_path / f"shop={shop}" / "part.parquet")
    (tmp_path / "_SUCCESS").touch()
    frame = read_table(str(tmp_path), TextSettings()).frame
    assert frame["shop"].tolist() == ["007", "007", "8"]
    assert frame["y"].tolist() == [1, 2, 3.5]


@pytest.mark.parametrize("change", ["replaced", "gone", "rewritten"])
def test_parquet_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, change):
    frame = pd.DataFrame({"y": [1.5, 2.5]})
    for name in ("a.parquet", "b.parquet"):
        frame.to_parquet(tmp_path / name)
    source = tmp_path / "b.parquet"
    convert = storage.arrow_frame

    def change_the_file(columns):
        if change == "gone":
            source.unlink()
        else:
            frame.assign(z=1).to_parquet(source if change == "rewritten" else tmp_path / "c")
            _ = change == "replaced" and (tmp_path / "c").replace(source)
        return convert(columns)

    monkeypatch.setattr(storage, "arrow_frame", change_the_file)
    with pytest.raises(ForecastError, match=r"b\.parquet:? changed while it was read"):
        read_table(str(source if change == "rewritten" else tmp_path), TextSettings())


def test_broken_parquet_is_refused(read):
    with pytest.raises(BadData, match="cannot be read as Parquet"):
        read(b"PAR1 and no more")


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
    assert list(table_from_frame(pd.DataFrame({"y": [1, 2]}, index=["a", "b"])).frame.columns) == ["index", "y"]
    assert list(table_from_frame(pd.DataFrame({"y": [1, 2, 3]})[1:]).frame.columns) == ["y"]


def test_unusable_frames_are_refused():
    with pytest.raises(UsageError, match="not list"):
        table_from_frame([1.0, 2.0])  # type: ignore[arg-type]
    with pytest.raises(BadData, match="levels of column names"):
        table_from_frame(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])))
    with pytest.raises(BadData, match="called '1'"):
        table_from_frame(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    with pytest.raises(BadData, match="called 'time'"):
        table_from_frame(pd.DataFrame({"time": [1]}, index=pd.date_range("2024", periods=1, name="time")))
    with pytest.raises(BadData, match="no rows"):
        table_from_frame(pd.DataFrame({"y": []}))


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, content, end):
    content = [["row", *row] for row in content]  # never blank, never the header
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        # the module quotes a lone carriage return in some versions of Python only
        quoting = csv.QUOTE_ALL if any(set("\r\n") & set("".join(row)) for row in content) else csv.QUOTE_MINIMAL
        csv.writer(file, lineterminator=end, quoting=quoting).writerows([["key", "a", "b", "c"], *content])
    table = read_table(str(path), TextSettings(delimiter=","))
    assert table.frame.to_numpy().tolist() == content


@settings(deadline=None)
@given(st.text(st.sampled_from('ab,;"\n\r 1.\t#'), max_size=40))
def test_any_text_is_a_table_or_bad_data_and_never_a_crash(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    path.write_bytes(text.encode())
    try:
        table = read_table(str(path), TextSettings())
    except BadData:
        return
    assert len(table.lines) == len(table.frame) > 0
    lines = io.StringIO(text, newline="").readlines()
    assert all(lines[line - 1].strip("\r\n") for line in table.lines)
