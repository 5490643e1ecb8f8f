"""Distinct values, codes and repeated rows are what sorting and comparing every pair would give."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecast.tables.table import distinct, encoded, repeats

SOME = st.lists(st.integers(-5, 5), max_size=30)


@given(SOME)
def test_codes_lead_back_to_the_values_in_order_of_appearance(values: list[int]) -> None:
    array = np.array(values, np.int64)
    codes, unique = encoded(array)
    assert unique[codes].tolist() == values
    assert unique.tolist() == list(dict.fromkeys(values))
    assert distinct(array).tolist() == sorted(set(values))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, np.nan])), max_size=20))
def test_a_row_repeats_where_an_earlier_one_has_the_same(rows: list[tuple[int, float]]) -> None:
    first, second = np.array([row[0] for row in rows], int), np.array([row[1] for row in rows], float)
    texts = [str(row) for row in rows]
    assert repeats(first, second).tolist() == [text in texts[:index] for index, text in enumerate(texts)]
