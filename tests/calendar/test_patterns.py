"""Texts are parsed by patterns, and written by them."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.calendar import patterns


class TestShortYears:
    @settings(deadline=None)
    @given(
        st.integers(1930, 2029), st.lists(st.integers(0, 45), min_size=1, max_size=30, unique=True)
    )
    def test_years_of_two_digits_that_lie_together_are_read_in_full(self, first, steps):
        years = sorted({first + step for step in steps if first + step < 2030} | {first})
        texts = pa.array([f"Jan-{year % 100:02d}" for year in years])
        parsed_texts = patterns.parse(texts, "%b-%y")
        found = parsed_texts.wall.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
        assert found.tolist() == years

    def test_years_go_on_beyond_the_first_thirty(self):
        parsed_texts = patterns.parse(pa.array(["Dec-29", "Jan-30", "Feb-30"]), "%b-%y")
        assert parsed_texts.wall.astype("datetime64[s]").astype("datetime64[M]").astype(
            str
        ).tolist() == [
            "2029-12",
            "2030-01",
            "2030-02",
        ]
