"""Text is read as it is written, and every malformed one is refused with its line, before it fills the memory."""

import csv
import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import BadData, UsageError
from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from tests.conftest import Run
from tests.tables._text import PLAIN, rows

JSON = '{"id": "007", "day": "2024-01-01", "y": 1.50}\n\n{"y": 12345678901234567890, "open": true, "id": null}\n'


def test_cells_stay_exactly_as_written(read):
    table = read("id,a,b\n007,NA,\n12345678901234567,null, nan \n1e5,-,None\n")
    assert rows(table)[1:] == [
        ["007", "NA", ""],
        ["12345678901234567", "null", " nan "],
        ["1e5", "-", "None"],
    ]
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
    table = read(
        'date,note,y\n2024-01-01,"two\nlines",1\n\n   \n2024-01-02,"say ""hi""",2\r\n2024-01-03,5" pipe,3'
    )
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


def test_json_keeps_ids_and_numbers_as_they_are_written(read, monkeypatch):
    wanted = [
        ["id", "day", "y", "open"],
        ["007", "2024-01-01", "1.50", ""],
        ["", "", "12345678901234567890", "true"],
    ]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("sales.ndjson", JSON)
    array = "[" + ",\n".join(JSON.split("\n\n")) + "]"
    for content in (
        JSON,
        JSON.encode("utf-8-sig"),
        gzip.compress(JSON.encode()),
        archive.getvalue(),
        array,
    ):
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
        ('{"y": 1}\n5\n', "line 2: is not a record with values"),
        ('{"y": 1}\n{"y": 2', "line 2: is not JSON"),
        ('{"y": 1}\n{"y": 1, "y": 2}', "line 2: is not JSON: a name comes twice among y, y"),
        ('[{"y": 1}, {"y": 2}', "is not JSON: Expecting ',' delimiter"),
        ('{"y": ' + "[" * 100_000, "is not JSON: maximum recursion depth"),
    ],
)
def test_json_that_is_no_table_is_refused_with_its_place(read, content, problem):
    with pytest.raises(BadData, match=problem):
        read(content)


def test_short_and_long_rows_are_refused_with_their_line(read):
    with pytest.raises(
        BadData, match=r"sales.csv line 6 has 2 columns and the header .* has 3: the line is cut"
    ):
        read('date,s,y\n2024-01-01,"a\nb",1\n\n2024-01-02,a,1\n2024-01-03,a\n')
    with pytest.raises(BadData, match=r"line 3 has 4 columns .* a ',' too many"):
        read("date,s,y\n2024-01-01,a,1\n2024-01-02,a,1,204\n")


def test_explicit_empty_cells_at_ragged_ends_are_read(read):
    table = read("V1,V2,V3,V4\nM1,1,2,3\nM2,1,,\n")
    assert table.frame.iloc[1].tolist() == ["M2", "1", "", ""]


def test_last_line_without_newline_is_read(read, caplog):
    assert read("date,y\n2024-01-01,123").frame["y"].tolist() == ["123"]
    assert not caplog.text


def test_too_many_columns_are_refused_before_they_are_cut(forecast: Run, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes(b"," * 2_000_000 + b"\n" + b"," * 2_000_000 + b"\n")
    ran = forecast("inspect", path)
    assert ran.code == 65
    assert "wide.csv line 1 has 2,000,001 columns; is this a table at all?" in ran.err


def test_many_short_rows_count_towards_memory(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "short.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 500_000))
    monkeypatch.setattr("forecast.tables.storage.free_memory", lambda: 25_000_000)
    ran = forecast("inspect", path)
    assert ran.code == 69
    assert "short.csv.gz takes " in ran.err


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@settings(deadline=None)
@given(
    st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, content, end):
    content = [["row", *row] for row in content]  # never blank, never the header
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        # the module quotes a lone carriage return in some versions of Python only
        quoting = (
            csv.QUOTE_ALL
            if any(set("\r\n") & set("".join(row)) for row in content)
            else csv.QUOTE_MINIMAL
        )
        csv.writer(file, lineterminator=end, quoting=quoting).writerows(
            [["key", "a", "b", "c"], *content]
        )
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
