"""A table says what its columns hold, whatever types they came with, and which of its values and rows are the same."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.tables.storage import text_type
from forecast.tables.table import Table, distinct, encode, in_seconds, repeats

DAYS = pd.date_range("2024-01-01", periods=3)
KINDS = {
    "text": ["a", "b", None],
    "whole": pd.array([1, None, 3], "Int64"),
    "number": [1.5, np.nan, 2.0],
    "boolean": [True, False, True],
    "datetime": DAYS,
    "date": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)],
    "period": DAYS.to_period("D"),
    "other": pd.to_timedelta([1, 2, 3], "D"),
}


def one(values: object) -> Table:
    return Table("sales", pd.DataFrame({"x": values}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_has_a_kind_as_a_category_too(kind: str) -> None:
    assert one(KINDS[kind]).kind("x") == kind
    categorical = one(pd.Categorical(pd.Series(KINDS[kind])))
    assert categorical.kind("x") == kind


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, np.nan, 20.0], ["1", "", "20"]),
        ([1.5, 2.0, np.nan], ["1.5", "2", ""]),
        (["007", " a", None], ["007", " a", ""]),
        ([1, "z", 2.0], ["1", "z", "2"]),
        (pd.Categorical([3.0, 1.0, None]), ["3", "1", ""]),
    ],
)
def test_cells_as_text_have_no_decimal_mark_where_they_are_whole(
    values: object, texts: list[str]
) -> None:
    table = one(values)
    assert table.texts("x").tolist() == texts
    codes, different = table.distinct("x")
    assert [different[code] for code in codes] == texts


def test_the_different_texts_of_the_first_rows() -> None:
    assert one(["a ", "b", "a "]).distinct("x", rows=1)[1] == ["a "]


def test_texts_that_stand_together_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, factorize = list[int](), pd.factorize

    def counted(values: "pd.Series[str]", **how: bool) -> object:
        looked_up.append(len(values))
        return factorize(values, **how)

    monkeypatch.setattr(pd, "factorize", counted)
    texts = ["b"] * 300 + ["a"] * 300 + [""] * 300 + ["b"]
    for column in (
        pd.Series(texts, dtype=text_type()),
        pd.Series(pd.Categorical(pd.Series(texts, dtype=text_type()))),
        pd.Series(texts, dtype=text_type()).replace("", np.nan),
    ):
        codes, different = one(column).distinct("x")
        assert [different[code] for code in codes] == texts
        assert different == ["b", "a", ""]
    assert max(looked_up) < 310  # each missing cell by itself


def test_datetimes_are_an_index_of_pandas() -> None:
    times = one(DAYS.tz_localize("Europe/Berlin")).times("x")
    assert isinstance(times, pd.DatetimeIndex)
    assert (in_seconds(times.tz_localize(None)) - in_seconds(times)).tolist() == [3600] * 3
    assert one(DAYS.to_period("M")).times("x").dtype == "period[M]"
    with pytest.raises(TypeError):
        one(KINDS["other"]).times("x")


SOME = st.lists(st.integers(-5, 5), max_size=30)


@given(SOME)
def test_codes_lead_back_to_the_values_in_order_of_appearance(values: list[int]) -> None:
    array = np.array(values, np.int64)
    codes, unique = encode(array)
    assert unique[codes].tolist() == values
    assert unique.tolist() == list(dict.fromkeys(values))
    assert distinct(array).tolist() == sorted(set(values))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, np.nan])), max_size=20))
def test_a_row_repeats_where_an_earlier_one_has_the_same(rows: list[tuple[int, float]]) -> None:
    first, second = (
        np.array([row[0] for row in rows], int),
        np.array([row[1] for row in rows], float),
    )
    texts = [str(row) for row in rows]
    assert repeats(first, second).tolist() == [
        text in texts[:index] for index, text in enumerate(texts)
    ]
