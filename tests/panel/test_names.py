"""Names of series in messages, and shards of series by their ids alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecast.panel.panel import series_name, series_names, shard_numbers


def test_parts_of_an_id_are_joined_and_a_long_one_is_cut() -> None:
    assert series_name(("FLORAL", "292")) == "FLORAL/292"
    assert series_name(("x" * 3_000_000,)) == "x" * 200 + "..."
    assert series_names([("a",), ("b",), ("c",)], 2) == "a, b, ..."


def test_the_hash_is_the_documented_one_and_never_changes() -> None:
    ids = (("EWR", "UA"), ("007",), ("Zürich",), ("",))
    assert shard_numbers(ids, 1000).tolist() == [808, 818, 369, 757]


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, min_size=1), st.integers(1, 50))
def test_each_series_is_in_one_shard_wherever_it_stands(
    ids: list[tuple[str, ...]], count: int
) -> None:
    numbers = shard_numbers(tuple(ids), count)
    assert ((numbers >= 1) & (numbers <= count)).all()
    assert shard_numbers(tuple(reversed(ids)), count).tolist() == numbers[::-1].tolist()


def test_many_similar_ids_fall_evenly_into_shards() -> None:
    counts = np.bincount(shard_numbers(tuple((f"{n:06}",) for n in range(16_000)), 16))[1:]
    assert len(counts) == 16
    assert np.abs(counts - 1000).max() < 150
