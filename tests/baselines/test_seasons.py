"""Seasons of windows: their test and their indices, by known answers."""

import numpy as np
import pytest

from forecast.baselines.shared.seasons import (
    by_season,
    remove_season,
    restore_season,
    seasonal_index,
)

FACTORS, SUMMANDS = np.array([0.5, 1.0, 1.5, 1.0]), np.array([-3.0, 0.0, 3.0, 0.0])
START = np.zeros(1, np.int64)


def test_steps_fold_into_seasons_that_end_with_the_newest() -> None:
    assert by_season(np.arange(1, 6)[None], 2).tolist() == [[[0, 1], [2, 3], [4, 5]]]
    assert by_season(np.arange(1, 5)[None], 4).tolist() == [[[1, 2, 3, 4]]]


def test_a_positive_season_of_factors_and_a_signed_one_of_summands_are_found() -> None:
    index, divided = seasonal_index(np.tile(10 * FACTORS, 6)[None], START, 4)
    assert divided.tolist() == [True]
    assert index[0] == pytest.approx(FACTORS)
    index, divided = seasonal_index(np.tile(SUMMANDS, 6)[None], START, 4)
    assert divided.tolist() == [False]
    assert index[0] == pytest.approx(SUMMANDS)


def test_the_first_index_is_that_of_the_first_step_ahead() -> None:
    index, _ = seasonal_index(np.tile(SUMMANDS, 6)[None, :-1], START, 4)
    assert index[0] == pytest.approx(np.roll(SUMMANDS, 1), abs=0.5)


@pytest.mark.parametrize(
    "values",
    [np.full(24, 7.0), np.arange(7.0), np.random.default_rng(1).permutation(np.arange(40.0))],
)
def test_constants_short_windows_and_noise_have_no_season(values: np.ndarray) -> None:
    index, divided = seasonal_index(values[None], START, 4)
    assert not index.any()
    assert not divided.any()


def test_a_season_of_one_step_is_none() -> None:
    assert seasonal_index(np.arange(24.0)[None], START, 1)[0].tolist() == [[0.0]]


def test_an_index_close_to_zero_makes_the_season_additive() -> None:
    _, divided = seasonal_index(np.tile([1e-6, 5.0, 9.0, 4.0], 8)[None], START, 4)
    assert divided.tolist() == [False]


def test_values_that_rounding_left_are_no_divisors() -> None:
    """Weeks of nothing else after weeks of more: their moving average is 0."""
    values = np.append(np.tile([0.5, 0.25, 0.25, 0.25], 12), np.full(8, 2e-16))
    _, divided = seasonal_index(values[None], START, 4)
    assert divided.tolist() == [False]


@pytest.mark.parametrize("season", [FACTORS * 10, SUMMANDS])
def test_a_season_that_is_taken_out_comes_back(season: np.ndarray) -> None:
    values = np.tile(season, 6)[None]
    index, divided = seasonal_index(values, START, 4)
    flat = remove_season(values, index, divided)
    assert np.ptp(flat) == pytest.approx(0.0, abs=1e-9)
    assert restore_season(flat[:, :6], index, divided)[0] == pytest.approx(np.tile(season, 2)[:6])


def test_what_lies_before_the_start_and_beside_a_window_does_not_count() -> None:
    season = np.tile(10 * FACTORS, 6)
    padded = np.concatenate([np.zeros(9), season])
    beside = np.random.default_rng(0).normal(size=len(padded))
    index, divided = seasonal_index(np.stack([padded, beside]), np.array([9, 0]), 4)
    assert divided[0]
    assert index[0] == pytest.approx(FACTORS)
