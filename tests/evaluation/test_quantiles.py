"""Levels between the trained ones, means, rounding, MASE."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.evaluation.metrics import mase, seasonal_errors
from forecast.evaluation.quantiles import LEVELS, at_levels, error_quantiles, interval_levels, mean_of, rounded

NORMAL = np.array([NormalDist(100, 15).inv_cdf(level) for level in LEVELS])


@pytest.mark.parametrize("interval", [50, 60, 80, 90, 95, 97.5, 99])
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


def test_mase_by_hand() -> None:
    past = np.array([1, 2, 4, 3, 5, 7], np.float32)
    scale = seasonal_errors(past, np.ones(6, bool), np.array([0, 4, 6]), 2)
    np.testing.assert_allclose(scale[0], (3 + 1) / 2)
    assert np.isnan(scale[1])
    assert mase(np.array([[1.0, np.nan], [9, 9]]), np.array([[4.0, 7], [0, 0]]), scale) == pytest.approx(1.5)


def test_work_on_a_long_horizon_grows_with_its_length_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    quantile = np.quantile

    def counted(values: np.ndarray, levels: object) -> np.ndarray:
        looked_at.append(values.size)
        return np.asarray(quantile(values, levels))

    monkeypatch.setattr(np, "quantile", counted)
    for horizon in (2_000, 4_000):
        zeros = np.zeros((4, horizon))
        error_quantiles(zeros, zeros, np.ones_like(zeros, bool), np.ones(4), LEVELS)
    first, second = sum(looked_at[: len(looked_at) // 2]), sum(looked_at[len(looked_at) // 2 :])
    assert second < 2.1 * first


def test_steps_between_those_that_are_looked_at_lie_on_the_line_between_them() -> None:
    horizon = 900
    draw = np.random.default_rng(0)
    actual = draw.normal(size=(50, horizon)) * np.linspace(1, 3, horizon)
    found = error_quantiles(np.zeros_like(actual), actual, np.ones_like(actual, bool), np.ones(50), LEVELS)
    reach = horizon // 10
    for step in range(0, horizon, 7):
        pooled = np.quantile(actual[:, max(0, step - reach) : step + reach + 1], LEVELS)
        np.testing.assert_allclose(found[step, 0], pooled[0], rtol=0.03)
        np.testing.assert_allclose(found[step, -1], pooled[-1], rtol=0.03)
