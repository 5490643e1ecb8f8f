"""Levels between the trained ones, means, rounding, intervals and bounds."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.evaluation.quantiles import (
    LEVELS,
    at_levels,
    bounded,
    free_numbers,
    interval_levels,
    mean_of,
    raised,
    rounded,
)
from forecast.settings import OutputSettings

NORMAL = np.array([NormalDist(100, 15).inv_cdf(level) for level in LEVELS])


@pytest.mark.parametrize("interval", [1, 10, 33.3, 50, 60, 80, 90, 95, 97.5, 99])
def test_levels_of_a_normal_are_exact(interval: float) -> None:
    low, high = interval_levels(interval)
    found = at_levels(NORMAL, LEVELS, (low, high))
    np.testing.assert_allclose(found, [NormalDist(100, 15).inv_cdf(low), NormalDist(100, 15).inv_cdf(high)], rtol=1e-9)


def test_the_mean_of_a_symmetric_distribution_is_its_median() -> None:
    assert mean_of(NORMAL, LEVELS) == pytest.approx(100)
    assert mean_of(np.exp(NORMAL / 15), LEVELS) > np.exp(100 / 15)


@given(arrays(np.float64, 9, elements=st.floats(-1e8, 1e8)))
def test_wider_levels_lie_outside_narrower_ones(values: np.ndarray) -> None:
    quantiles = np.sort(values)
    found = at_levels(quantiles, LEVELS, tuple(np.linspace(0.006, 0.994, 23)))
    assert (np.diff(found) >= -1e-6).all()


@given(arrays(np.float64, 20, elements=st.floats(-1e30, 1e30)))
def test_rounding_keeps_order_and_seven_digits(values: np.ndarray) -> None:
    values = np.sort(values)
    found = rounded(values)
    assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-290)


def test_intervals_of_counts_end_at_whole_numbers_outwards_and_the_median_stays() -> None:
    quantiles = np.broadcast_to(np.linspace(-0.1, 2.3, len(LEVELS)), (2, 3, len(LEVELS)))
    found = free_numbers(quantiles, LEVELS, OutputSettings(), np.array([True, False]))
    plain = free_numbers(quantiles, LEVELS, OutputSettings())
    np.testing.assert_array_equal(found[0, :, 1::2], np.floor(plain[0, :, 1::2]))
    np.testing.assert_array_equal(found[0, :, 2::2], np.ceil(plain[0, :, 2::2]))
    np.testing.assert_array_equal(found[0, :, 0], plain[0, :, 0])
    np.testing.assert_array_equal(found[1], plain[1])


def test_the_mean_of_a_straight_quantile_function_by_hand() -> None:
    # flat at 0 up to .25 and at 8 from .75 on, straight between: a quarter each of 0 and 8, and half of 4 on average
    assert mean_of(np.array([0.0, 4.0, 8.0]), (0.25, 0.5, 0.75)) == pytest.approx(4)
    assert mean_of(np.array([0.0, 2.0, 8.0]), (0.25, 0.5, 0.75)) == pytest.approx(0.25 * 1 + 0.25 * 5 + 0.25 * 8)


def test_large_numbers_keep_their_decimals() -> None:
    found = rounded(np.array([1234567.8912345, 0.000123456789, -0.0, 12.0]))
    np.testing.assert_array_equal(found, [1234567.8912, 0.0001234568, 0.0, 12.0])


def test_bounds_hold_for_every_number_and_whole_bounds_come_first() -> None:
    numbers = np.array([[[-2.0, -5.0, 9.7]]])
    np.testing.assert_array_equal(bounded(numbers, OutputSettings(), np.zeros(1)), [[[0, 0, 9.7]]])
    np.testing.assert_array_equal(bounded(numbers, OutputSettings(min=-3), np.zeros(1)), [[[-2, -3, 9.7]]])
    output = OutputSettings(min=-2.5, max=8.5, integer=True)
    np.testing.assert_array_equal(bounded(numbers, output), [[[-2, -2, 8]]])
    assert raised(numbers, OutputSettings(), np.zeros(1)).tolist() == [[True, True]]
    assert raised(-numbers, OutputSettings(), np.zeros(1)).tolist() == [[False, True]]
    assert raised(numbers, OutputSettings(min=-9), np.zeros(1)).tolist() == [[False, False]]
