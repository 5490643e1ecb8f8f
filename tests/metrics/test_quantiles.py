"""Levels between the trained ones, means, rounding, intervals and bounds; quantiles of errors from past ones."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast import Forecaster
from forecast.intervals.baseline_errors import error_quantiles, independent_windows
from forecast.intervals.interval_ends import apply_bounds, compare_with_floor, unbounded_numbers
from forecast.metrics.quantiles import (
    LEVELS,
    at_levels,
    compute_mean,
    compute_width_factors,
    round_values,
)
from forecast.settings import OutputSettings, interval_levels

NORMAL = np.array([NormalDist(100, 15).inv_cdf(level) for level in LEVELS])


@pytest.mark.parametrize("interval", [1, 10, 33.3, 50, 60, 80, 90, 95, 97.5, 99])
def test_levels_of_a_normal_are_exact(interval: float) -> None:
    low, high = interval_levels(interval)
    found = at_levels(NORMAL, LEVELS, (low, high))
    np.testing.assert_allclose(
        found, [NormalDist(100, 15).inv_cdf(low), NormalDist(100, 15).inv_cdf(high)], rtol=1e-9
    )


def test_the_mean_of_a_symmetric_distribution_is_its_median() -> None:
    assert compute_mean(NORMAL, LEVELS) == pytest.approx(100)
    assert compute_mean(np.exp(NORMAL / 15), LEVELS) > np.exp(100 / 15)


@given(arrays(np.float64, 9, elements=st.floats(-1e8, 1e8)))
def test_wider_levels_lie_outside_narrower_ones(values: np.ndarray) -> None:
    quantiles = np.sort(values)
    found = at_levels(quantiles, LEVELS, tuple(np.linspace(0.006, 0.994, 23)))
    assert (np.diff(found) >= -1e-6).all()


@given(arrays(np.float64, 20, elements=st.floats(-1e30, 1e30)))
def test_rounding_keeps_order_and_seven_digits(values: np.ndarray) -> None:
    values = np.sort(values)
    found = round_values(values)
    assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-290)


def test_intervals_of_counts_end_at_whole_numbers_outwards_and_the_median_stays() -> None:
    quantiles = np.broadcast_to(np.linspace(-0.1, 2.3, len(LEVELS)), (2, 3, len(LEVELS)))
    found = unbounded_numbers(quantiles, LEVELS, OutputSettings(), np.array([True, False]))
    plain = unbounded_numbers(quantiles, LEVELS, OutputSettings())
    np.testing.assert_array_equal(found[0, :, 1::2], np.floor(plain[0, :, 1::2]))
    np.testing.assert_array_equal(found[0, :, 2::2], np.ceil(plain[0, :, 2::2]))
    np.testing.assert_array_equal(found[0, :, 0], plain[0, :, 0])
    np.testing.assert_array_equal(found[1], plain[1])


def test_levels_of_orders_serve_what_is_asked_in_the_mean_over_series() -> None:
    random = np.random.default_rng(0)
    shops = np.repeat(np.arange(30).astype(str), 150)
    days = np.tile(pd.date_range("2024-01-01", periods=150), 30)
    frame = pd.DataFrame({"shop": shops, "day": days, "units": random.poisson(3, 4500)})
    model = Forecaster(model="pretrained", horizon=3)
    asked = (50, 80, 90, 95)
    levels = model.fit(frame).predict(quantiles=asked).filter(regex=r"^p\d")
    assert (levels == levels.round()).all(axis=None)
    shares = [3**units * math.exp(-3) / math.factorial(units) for units in range(20)]
    served = np.cumsum(shares)[levels.to_numpy(int)].mean(0) - np.array(asked) / 100
    assert (served >= 0).all()
    assert (served[1:] <= 0.02).all()


def test_quantiles_of_counts_are_whole_and_rounded_down_from_one_on() -> None:
    output = OutputSettings(quantiles=(10.0, 50.0, 80.0, 90.0))
    counts = np.ones(1, bool)

    def find(*quantiles: float) -> list[float]:
        found = unbounded_numbers(np.array([[quantiles]]), (0.1, 0.5, 0.8, 0.9), output, counts)
        return found[0, 0, 1:].tolist()

    assert find(0.2, 0.7, 0.8, 1.9) == [0, 0, 1, 1]
    assert find(1.6, 2.5, 3.0, 3.97) == [1, 2, 3, 4]


def test_the_mean_of_a_straight_quantile_function_by_hand() -> None:
    # flat at 0 up to .25 and at 8 from .75 on, straight between: a quarter each of 0 and 8, and half of 4 on average
    assert compute_mean(np.array([0.0, 4.0, 8.0]), (0.25, 0.5, 0.75)) == pytest.approx(4)
    assert compute_mean(np.array([0.0, 2.0, 8.0]), (0.25, 0.5, 0.75)) == pytest.approx(
        0.25 * 1 + 0.25 * 5 + 0.25 * 8
    )


def test_large_numbers_keep_their_decimals() -> None:
    found = round_values(np.array([1234567.8912345, 0.000123456789, -0.0, 12.0]))
    np.testing.assert_array_equal(found, [1234567.8912, 0.0001234568, 0.0, 12.0])


def test_bounds_hold_for_every_number_and_whole_bounds_come_first() -> None:
    numbers = np.array([[[-2.0, -5.0, 9.7]]])
    np.testing.assert_array_equal(
        apply_bounds(numbers, OutputSettings(), np.zeros(1)), [[[0, 0, 9.7]]]
    )
    np.testing.assert_array_equal(
        apply_bounds(numbers, OutputSettings(min=-3), np.zeros(1)), [[[-2, -3, 9.7]]]
    )
    output = OutputSettings(min=-2.5, max=8.5, integer=True)
    np.testing.assert_array_equal(apply_bounds(numbers, output, np.zeros(1)), [[[-2, -2, 8]]])
    assert compare_with_floor(numbers, OutputSettings(), np.zeros(1)).tolist() == [[True, True]]
    assert compare_with_floor(-numbers, OutputSettings(), np.zeros(1)).tolist() == [[False, True]]
    assert compare_with_floor(numbers, OutputSettings(min=-9), np.zeros(1)).tolist() == [
        [False, False]
    ]


LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)


def quantiles_of(errors: np.ndarray, spacing: int = 1) -> np.ndarray:
    """From errors [windows, horizon] of one series whose windows lie `spacing` steps apart."""
    ends = np.zeros(len(errors), np.int64), spacing * np.arange(len(errors))
    seen = np.isfinite(errors)
    points = np.zeros_like(errors)
    return error_quantiles(
        points, np.nan_to_num(errors), seen, np.ones((len(errors), 1)), LEVELS, ends
    )


def test_quantiles_of_many_errors_hold_for_new_ones_at_each_step() -> None:
    random = np.random.default_rng(0)
    growth = np.linspace(1, 3, 12)
    found = quantiles_of(growth * random.normal(size=(128, 12)), spacing=2)
    new = growth * random.normal(size=(4000, 12))
    inside = ((new >= found[:, LOW]) & (new <= found[:, HIGH])).mean(0)
    np.testing.assert_allclose(inside, 0.8, atol=0.08)
    assert inside.mean() == pytest.approx(0.8, abs=0.05)
    assert (found[:, LEVELS.index(0.5)] == 0).all()


@pytest.mark.parametrize("windows", [2, 4, 8])
def test_quantiles_of_few_errors_hold_nearly_as_often_as_those_of_many(windows: int) -> None:
    random = np.random.default_rng(1)
    inside = []
    for _ in range(200):
        found = quantiles_of(
            random.normal(size=(windows, 1))
        )  # 95 %; plain quantiles hold 0.36, 0.65 and 0.81
        new = random.normal(size=100)
        inside.append(((new >= found[0, 1]) & (new <= found[0, -2])).mean())
    assert 0.75 < np.mean(inside) < 0.97


def test_steps_that_no_window_has_seen_follow_the_growth_of_the_others() -> None:
    random = np.random.default_rng(2)
    errors = np.cumsum(random.normal(size=(64, 16)), 1)
    errors[:, 12:] = np.nan
    found = quantiles_of(errors, spacing=4)
    assert found[15, HIGH] > 1.05 * found[11, HIGH]
    assert (np.diff(found[:, HIGH]) > -0.2).all()


def test_newer_errors_count_more() -> None:
    random = np.random.default_rng(3)
    calm, loud = random.normal(size=(32, 4)), 5 * random.normal(size=(32, 4))
    now_loud = quantiles_of(np.concatenate([calm, loud]), spacing=4)
    now_calm = quantiles_of(np.concatenate([loud, calm]), spacing=4)
    assert now_loud[0, HIGH] > 1.7 * now_calm[0, HIGH]


def test_a_few_series_that_explode_do_not_widen_the_intervals_of_all() -> None:
    errors = np.random.default_rng(4).normal(size=(200, 8))
    series = np.arange(200), np.zeros(200, np.int64)
    calm, wild = errors, errors.copy()
    wild[:4, 4:] *= 100

    def high(values: np.ndarray) -> np.ndarray:
        seen, scale = np.ones(values.shape, bool), np.ones((len(values), 1))
        return error_quantiles(np.zeros_like(values), values, seen, scale, LEVELS, series)[:, HIGH]

    assert (high(wild) < 1.5 * high(calm)).all()


def test_flat_windows_and_unseen_values_give_no_width() -> None:
    nothing = np.zeros((3, 4))
    ends = np.zeros(3, np.int64), np.arange(3)
    wild = nothing + 1e6
    assert (
        error_quantiles(nothing, wild, np.zeros((3, 4), bool), np.ones((3, 1)), LEVELS, ends) == 0
    ).all()
    assert (
        error_quantiles(nothing, wild, np.ones((3, 4), bool), np.zeros((3, 1)), LEVELS, ends) == 0
    ).all()
    assert (quantiles_of(nothing) == 0).all()


def test_windows_within_a_horizon_are_one_and_those_of_other_series_add_less() -> None:
    one = np.zeros(10, np.int64)
    assert independent_windows((one, np.arange(10)), 5) == 2
    assert independent_windows((one, 5 * np.arange(10)), 5) == 10
    assert 1 < independent_windows((np.arange(10), one), 5) < 10


def test_widening_fades_as_windows_grow() -> None:
    found = compute_width_factors(np.array([1.0, 10.0, 1e6]), LEVELS)
    assert (np.diff(found[:, -2]) < 0).all()
    np.testing.assert_allclose(found[2], 1, atol=1e-4)
    assert found[0, -1] > found[0, -2] > found[0, LEVELS.index(0.5)] == 1


def test_work_on_a_long_horizon_stays_bounded() -> None:
    random = np.random.default_rng(4)
    horizon = 4_000
    found = quantiles_of(random.normal(size=(20, horizon)) * np.linspace(1, 3, horizon))
    between = found[1:-1, HIGH] - (found[:-2, HIGH] + found[2:, HIGH]) / 2
    assert (np.abs(between) > 1e-9).sum() <= 400  # straight between the steps that are computed
