"""Cells become numbers, and each cell that is none is pointed at with the flag that mends it."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import BadData
from forecast.tables.cells import (
    is_blank,
    is_whole,
    numeric_columns,
    parse_columns,
    parse_numbers,
)
from forecast.tables.table import Table


def text_table(*cells: str, decimal: str = ".", thousands: str | None = None) -> Table:
    frame = pd.DataFrame({"units": list(cells)}, dtype="str")
    return Table("sales.csv", frame, True, np.arange(len(cells)) + 2, decimal, thousands)


def typed_table(values: object) -> Table:
    return Table("DataFrame", pd.DataFrame({"units": values}))


def parsed(*cells: str, decimal: str = ".", thousands: str | None = None) -> list[float]:
    return parse_numbers(text_table(*cells, decimal=decimal, thousands=thousands), "units").tolist()


def test_plain_numbers_are_read():
    assert parsed("1", "-2.5", "+3", ".5", "5.", "1e3", "1E-3", "007", " 8 ") == [
        1,
        -2.5,
        3,
        0.5,
        5,
        1000,
        0.001,
        7,
        8,
    ]


def test_blank_cells_are_missing_without_a_word(caplog):
    assert np.isnan(parsed("1", "", "  ")).tolist() == [False, True, True]
    assert not caplog.text


@pytest.mark.parametrize("word", ["-", "null", "NULL", "n/a", "NA", "nan", "NaN", "None", "#N/A"])
def test_words_for_missing_are_missing_and_counted(caplog, word):
    assert np.isnan(parsed("1", word, word)).tolist() == [False, True, True]
    assert "are read as missing: 2 in column 'units'" in caplog.text


def test_minus_zero_becomes_zero():
    assert not np.signbit(parsed("-0.0", "-0")).any()
    assert not np.signbit(parse_numbers(typed_table([-0.0, 1.0]), "units")).any()


@pytest.mark.parametrize("cell", ["1e400", "-1e300", "3.5e38", "1.1e18"])
def test_numbers_beyond_float32_are_refused(cell):
    with pytest.raises(BadData, match=f"sales.csv line 3, column 'units': '{cell}' is too large"):
        parsed("1", cell)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("inf", "write it as a plain number"),
        ("-Infinity", "write it as a plain number"),
        ("5%", "write it as a plain number"),
        ("0x10", "write it as a plain number"),
        ("True", "write it as a plain number"),
        ("1_000", "read it with thousands='_'"),
        ("1,204", "read it with thousands=','"),
        ("1,204,500.25", "read it with thousands=','"),
        ("1'204", 'read it with thousands="\'"'),
        ("1 204", "read it with thousands=' '"),
        ("1,5", "read it with decimal=','"),
        ("1.204,50", "read it with decimal=',' thousands='.'"),
        ("abc", "write it as a plain number"),
        ("1.2.3", "write it as a plain number"),
        ("٣", "write it as a plain number"),
    ],
)
def test_bad_cell_is_refused_with_its_line_and_the_remedy(cell, advice):
    with pytest.raises(BadData) as error:
        parsed("1", cell)
    assert str(error.value).startswith(
        f"sales.csv line 3, column 'units': '{cell}' is not a number; {advice}"
    )


def test_advice_fits_all_cells_and_counts_them():
    with pytest.raises(
        BadData,
        match=r"line 2, column 'units': '1,204' is not a number; read it with decimal=',' \(1 more",
    ):
        parsed("1,204", "2,5", "3")


def test_decimal_and_thousands_of_the_table_are_used():
    assert parsed("1.204,5", "-2,5", "3", decimal=",", thousands=".") == [1204.5, -2.5, 3]
    assert parsed("1,204", "12,34,567.5", thousands=",") == [1204, 1234567.5]
    assert parsed("1\u00a0204", "1\u202f204,5", decimal=",", thousands=" ") == [1204, 1204.5]
    for cell in ("1,2", "1,2345", ",123", "1,,204"):
        with pytest.raises(BadData, match="is not a number"):
            parsed(cell, thousands=",")
    with pytest.raises(BadData, match=r"read it with thousands='\.'"):
        parsed("1.204", decimal=",")


def test_columns_are_read_together(caplog):
    frame = pd.DataFrame({"a": ["1", "n/a"], "b": [3, 4], "c": ["5", "-"], "d": ["", "x"]})
    table = Table("sales.csv", frame, True, np.array([2, 3]))
    np.testing.assert_array_equal(
        parse_columns(table, ["a", "b", "c"]), [[1, 3, 5], [np.nan, 4, np.nan]]
    )
    assert caplog.text.count("are read as missing: 2 in column 'a' and 1 more") == 1
    with pytest.raises(BadData, match="line 3, column 'd': 'x'"):
        parse_columns(table, ["a", "c", "d"])
    assert numeric_columns(table, ["d", "b", "a", "c"]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        pd.array([1, 2], dtype="Int64"),
        pd.array([1, 2], dtype="float32"),
        [Decimal("1.00"), Decimal(2)],
        pd.Categorical([1, 2]),
        ["1", 2],
    ],
)
def test_typed_numbers_are_read(values):
    table = typed_table(values)
    assert parse_numbers(table, "units").tolist() == [1, 2]
    assert numeric_columns(table, ["units"])


def test_gaps_of_typed_numbers_are_missing(caplog):
    for values in (
        pd.array([1, None], dtype="Int64"),
        [1.0, None],
        [Decimal(1), None],
        pd.Categorical([1, None]),
    ):
        assert np.isnan(parse_numbers(typed_table(values), "units")).tolist() == [False, True]
    assert not caplog.text


def test_numbers_never_share_memory_with_the_frame():
    table = typed_table(np.array([1.0, 2.0]))
    parse_numbers(table, "units")[:] = 9
    assert table.frame["units"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([True, False], "holds bool"),
        (pd.array([True, None], dtype="boolean"), "holds bool"),
        (pd.date_range("2024", periods=2), "holds datetime64"),
        ([1.0, np.inf], "DataFrame row 2, column 'units': 'inf' is not finite"),
        ([1e300, 1.0], "row 1, column 'units': '1e"),
        ([1j, 2j], "holds complex"),
    ],
)
def test_typed_columns_that_are_no_numbers_are_refused(values, message):
    with pytest.raises(BadData, match=message):
        parse_numbers(typed_table(values), "units")


def test_a_few_bad_cells_do_not_make_a_column_text():
    assert numeric_columns(text_table(*["1"] * 20, "abc", "n/a", ""), ["units"])
    assert numeric_columns(text_table("1", "2", "oops"), ["units"])
    assert numeric_columns(text_table("1,204", "5%", "0x10", "1_000"), ["units"])
    assert numeric_columns(text_table("007", "12345678901234567"), ["units"])


@pytest.mark.parametrize(
    "cells",
    [
        ("a", "b"),
        ("1", "b"),
        ("2024-01-01", "2024-01-02"),
        ("01.02.2024", "02.02.2024"),
        ("True", "False"),
        ("", "-"),
    ],
)
def test_text_times_and_blanks_do_not_look_numeric(cells):
    assert not numeric_columns(text_table(*cells), ["units"])


def test_typed_text_times_and_booleans_do_not_look_numeric():
    times = pd.date_range("2024", periods=2)
    for values in (["a", "b"], [True, False], times, [np.nan, np.nan], pd.Categorical(["a"])):
        assert not numeric_columns(typed_table(values), ["units"])


def test_blank_columns_are_told_from_text():
    assert is_blank(text_table("", " "), "units")
    assert not is_blank(text_table("", "a"), "units")
    assert is_blank(typed_table([None, np.nan]), "units")
    assert not is_blank(typed_table([1, 2]), "units")


def test_whole_numbers_are_told():
    assert is_whole(text_table("1", "-20", "", "12345678901234567"), "units")
    assert not is_whole(text_table("1", "2.0"), "units")
    assert not is_whole(text_table("", ""), "units")
    assert is_whole(typed_table([1, 2]), "units")
    assert not is_whole(typed_table([1.0, 2.0]), "units")


@settings(deadline=None)
@given(st.lists(st.floats(-(2.0**59), 2.0**59, width=32, allow_subnormal=False), min_size=1))
def test_every_float_is_read_back(values):
    assert parsed(*map(repr, values)) == values
    assert parsed(*(repr(value).replace(".", ",") for value in values), decimal=",") == values


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("0123456789+-.,eE_ 'xnaif%"), max_size=8), min_size=1, max_size=4
    )
)
def test_a_cell_reads_the_same_alone_and_among_others(cells):
    alone = []
    for cell in cells:
        try:
            alone += parsed(cell, "1")[:1]
        except BadData:
            alone.append(None)
    if None in alone:
        with pytest.raises(BadData, match=f"line {alone.index(None) + 2},"):
            parsed(*cells)
    else:
        np.testing.assert_array_equal(parsed(*cells), alone)
