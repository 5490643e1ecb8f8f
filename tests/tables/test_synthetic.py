"""Synthetic series: what each kind promises, by seed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from forecast.errors import UsageError
from forecast.tables.synthetic import SYNTHETIC_KINDS, synthesize

every_kind = pytest.mark.parametrize("kind", SYNTHETIC_KINDS)


def autocorrelation(values: pd.Series, lag: int) -> float:
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


@every_kind
def test_one_series_is_a_table_of_time_and_value_without_gaps(kind: str) -> None:
    table = synthesize(kind)
    assert list(table.columns) == ["time", "value"]
    assert len(table) >= 100
    assert table.notna().all(axis=None)
    assert np.isfinite(table["value"]).all()
    step = (
        "MS"
        if "monthly" in SYNTHETIC_KINDS[kind]
        else "h"
        if "hourly" in SYNTHETIC_KINDS[kind]
        else "D"
    )
    grid = pd.date_range(table["time"].iloc[0], periods=len(table), freq=step)
    assert (table["time"].to_numpy() == grid.to_numpy()).all()


@every_kind
def test_several_series_are_a_long_table_with_ids(kind: str) -> None:
    table = synthesize(kind, series=3, length=20)
    assert list(table.columns[:2]) == ["series", "time"]
    assert table["series"].unique().tolist() == ["s001", "s002", "s003"]
    assert table.groupby("series").size().tolist() == [20, 20, 20]
    assert not table.duplicated(["series", "time"]).any()


@every_kind
def test_same_seed_gives_the_same_table_and_another_seed_another(kind: str) -> None:
    assert_frame_equal(synthesize(kind, series=2, seed=7), synthesize(kind, series=2, seed=7))
    assert not synthesize(kind, series=2, seed=7).equals(synthesize(kind, series=2, seed=8))


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(sorted(SYNTHETIC_KINDS)),
    few=st.integers(1, 4),
    more=st.integers(0, 4),
    length=st.integers(1, 40),
    seed=st.integers(0, 2**31 - 1),
)
def test_first_series_do_not_depend_on_how_many_are_made(
    kind: str, few: int, more: int, length: int, seed: int
) -> None:
    small = synthesize(kind, series=few, length=length, seed=seed)
    large = synthesize(kind, series=few + more, length=length, seed=seed)
    assert len(small) == few * length
    assert_frame_equal(small, large.head(len(small))[small.columns.tolist()])


@every_kind
def test_series_differ_from_each_other(kind: str) -> None:
    table = synthesize(kind, series=4)
    assert len({tuple(group) for _, group in table.groupby("series")["value"]}) > 1


@every_kind
def test_table_survives_the_way_through_csv(kind: str, tmp_path: Path) -> None:
    table = synthesize(kind, series=2, length=30)
    table.to_csv(tmp_path / "series.csv", index=False)
    back = pd.read_csv(tmp_path / "series.csv", parse_dates=["time"])
    assert_frame_equal(back, table, check_dtype=False)


def test_seasonal_repeats_every_year_and_grows() -> None:
    values = synthesize("seasonal", length=240)["value"]
    assert autocorrelation(values.diff().dropna(), 12) > 0.7
    assert values.tail(120).mean() > values.head(120).mean()
    assert (values > 0).all()


def test_multi_season_repeats_every_day_and_every_week() -> None:
    values = synthesize("multi-season")["value"]
    assert autocorrelation(values, 24) > 0.5
    assert autocorrelation(values, 168) > max(0.9, autocorrelation(values, 24))


def test_random_walk_has_independent_steps() -> None:
    steps = synthesize("random-walk", length=5000)["value"].diff().dropna()
    assert abs(autocorrelation(steps, 1)) < 0.05
    assert abs(steps.std() - 1) < 0.05


def test_intermittent_is_whole_counts_with_most_of_them_zero() -> None:
    values = synthesize("intermittent", series=20)["value"]
    assert pd.api.types.is_integer_dtype(values)
    assert (values >= 0).all()
    assert 0.6 < (values == 0).mean() < 0.95


def test_noise_has_no_memory() -> None:
    assert abs(autocorrelation(synthesize("noise", length=5000)["value"], 1)) < 0.05


def test_unknown_kind_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(
        UsageError, match=r"'seasnal'; did you mean 'seasonal'\? \(kinds: .*noise\)"
    ):
        synthesize("seasnal")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"series": 0}, "series=0: must be at least 1"),
        ({"length": 0}, "length=0: must be between 1 and 96000"),
        ({"length": 96_001}, "length=96001: must be between 1 and 96000"),
        ({"length": 10**30}, "must be between 1 and 96000"),
        ({"seed": -1}, "seed=-1: must be at least 0"),
    ],
)
def test_impossible_sizes_are_refused_with_their_bounds(
    arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        synthesize("seasonal", **arguments)


def test_longest_series_ends_in_the_year_9999() -> None:
    assert str(synthesize("seasonal", length=96_000)["time"].iloc[-1]).startswith("9999-12-01")


def test_synthetic_series_do_not_import_torch() -> None:
    code = "import sys, forecast.tables.synthetic; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
