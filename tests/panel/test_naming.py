"""Names of series in messages, and shards of series by their ids alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.errors import UsageError
from forecast.panel.naming import in_shard, series_name, series_names, shard_numbers


def test_parts_of_an_id_are_joined_and_a_long_one_is_cut() -> None:
    assert series_name(("FLORAL", "292")) == "FLORAL/292"
    assert series_name(("x" * 3_000_000,)) == "x" * 200 + "..."
    assert series_names([("a",), ("b",), ("c",)], 2) == "a, b, ..."


Run = Callable[..., Any]


@pytest.fixture(scope="module")
def shops() -> pd.DataFrame:
    """Nine shops of 40 to 48 days; their names do not come in order."""
    rng = np.random.default_rng(0)
    frames = []
    for number in rng.permutation(9):
        days = pd.date_range("2024-01-01", periods=48)[number:]
        level = 10 * (number + 1) + np.arange(len(days)) % 7
        frames.append(
            pd.DataFrame(
                {"shop": f"shop {number}", "day": days, "units": level + rng.normal(size=len(days))}
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def model(shops: pd.DataFrame) -> Forecaster:
    return Forecaster(model="linear", steps=5, members=1, horizon=7).fit(shops)


def test_the_hash_is_the_documented_one_and_never_changes() -> None:
    ids = (("EWR", "UA"), ("007",), ("Zürich",), ("",))
    assert shard_numbers(ids, 1000).tolist() == [808, 818, 369, 757]


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, min_size=1), st.integers(1, 50))
def test_each_series_is_in_one_shard_wherever_it_stands(
    ids: list[tuple[str, ...]], count: int
) -> None:
    numbers = shard_numbers(tuple(ids), count)
    held = sum(in_shard(tuple(ids), f"{number}/{count}") for number in range(1, count + 1))
    assert (np.asarray(held) == 1).all()
    assert shard_numbers(tuple(reversed(ids)), count).tolist() == numbers[::-1].tolist()


def test_many_similar_ids_fall_evenly_into_shards() -> None:
    counts = np.bincount(shard_numbers(tuple((f"{n:06}",) for n in range(16_000)), 16))[1:]
    assert len(counts) == 16
    assert np.abs(counts - 1000).max() < 150


def test_the_outputs_of_all_shards_are_the_output_of_all_series(
    forecast: Run, shops: pd.DataFrame, model: Forecaster, tmp_path: Path
) -> None:
    shops.to_csv(tmp_path / "t.csv", index=False)
    model.save(str(tmp_path / "store"))
    command = ("predict", tmp_path / "t.csv", "--artifact", tmp_path / "store", "--explain")
    whole = forecast(*command).frame
    parts = []
    for number in range(1, 17):  # more than there are series, so that some have none
        ran = forecast(*command, "--shard", f"{number}/16")
        assert ran.code == 0, ran.err
        rows = ran.frame
        assert list(rows) == list(whole)
        assert f"shard {number}/16: {len(rows) // 7} of 9 series" in ran.err
        parts.append(rows)
    joined = pd.concat([part for part in parts if len(part)]).sort_values(
        ["shop", "day"], ignore_index=True
    )
    pd.testing.assert_frame_equal(
        joined, whole.sort_values(["shop", "day"], ignore_index=True), rtol=2e-6
    )
    assert min(map(len, parts)) == 0


def test_a_series_that_is_gone_counts_in_its_own_shard_only(
    forecast: Run, shops: pd.DataFrame, model: Forecaster, tmp_path: Path
) -> None:
    shops[shops["shop"] != "shop 3"].to_csv(tmp_path / "t.csv", index=False)
    model.save(str(tmp_path / "store"))
    own = int(shard_numbers((("shop 3",),), 2)[0])
    for number in (1, 2):
        words = ("--artifact", tmp_path / "store", "--shard", f"{number}/2", "--require-all")
        ran = forecast("predict", tmp_path / "t.csv", *words)
        assert ran.code == (3 if number == own else 0), ran.err
        assert ("1 series got no forecast: shop 3" in ran.err) == (number == own)


def test_python_has_shards_too_and_columns_keep_their_types_without_rows(
    shops: pd.DataFrame, model: Forecaster
) -> None:
    whole = model.predict(shops)
    parts = [model.shard(f"{number}/16").predict(shops) for number in range(1, 17)]
    joined = pd.concat([part for part in parts if len(part)]).sort_values(
        ["shop", "day"], ignore_index=True
    )
    pd.testing.assert_frame_equal(
        joined, whole.sort_values(["shop", "day"], ignore_index=True), rtol=2e-6
    )
    assert all((part.dtypes == whole.dtypes).all() for part in parts)
    assert min(map(len, parts)) == 0
    assert not hasattr(model, "shard_")


@pytest.mark.parametrize(
    "name", ["3", "0/4", "5/4", "a/b", "1/0", "-1/4", "1/1000000", "1/2/3", ""]
)
def test_what_is_no_shard_is_refused(model: Forecaster, name: str) -> None:
    with pytest.raises(UsageError, match=r"shard=.*(i/N|1 to N)"):
        model.shard(name)
