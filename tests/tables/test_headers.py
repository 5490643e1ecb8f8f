"""Headers are found and checked; blank edges, titles and rows without a value are left out and named."""

import contextlib

import pytest

from forecast.errors import BadData
from tests.tables._text import rows


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
    "content",
    ["date,\n2024-01-01,1\n", ",y\n2024-01-01,1\n", "y\n1\n2\n", "shop,,\na,2024-01-01,5\n"],
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


def test_table_without_header_is_refused(read):
    with pytest.raises(BadData, match="line 1 holds data and no header"):
        read("2024-01-01,5\n2024-01-02,6\n")
    assert list(read("id,2024-01-01,2024-01-02\na,5,6\n").frame.columns) == [
        "id",
        "2024-01-01",
        "2024-01-02",
    ]


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
