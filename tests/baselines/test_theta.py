"""Theta on filled windows: what it repeats, what it continues, and what does not move it."""

import numpy as np
import pytest

from forecast.baselines import theta
from forecast.baselines.theta import MIN_THETA_VALUES

both = pytest.mark.parametrize("best_theta", [False, True])


def forecast(
    values: list[float], horizon: int = 3, start: int = 0, best_theta: bool = False
) -> np.ndarray:
    observed = np.arange(len(values)) >= start
    return theta.forecast(np.array([values]), observed[None], horizon, 1, best_theta)[0]


@both
def test_fewer_values_than_a_line_needs_repeat_the_last(best_theta: bool) -> None:
    for count in range(1, MIN_THETA_VALUES):
        assert forecast([3.0, 8.0, 1.0][:count], best_theta=best_theta) == pytest.approx(
            [[3.0, 8.0, 1.0][count - 1]] * 3
        )


@both
def test_a_constant_goes_on(best_theta: bool) -> None:
    assert forecast([6.0] * 9, best_theta=best_theta) == pytest.approx([6.0] * 3)


def test_half_of_the_slope_of_a_line_goes_on_and_all_of_it_with_the_best_theta() -> None:
    line = [float(n) for n in range(20)]
    assert np.diff(forecast(line)) == pytest.approx([0.5, 0.5], rel=1e-6)
    assert forecast(line, best_theta=True) == pytest.approx([20, 21, 22], rel=1e-6)


@both
def test_zeros_before_the_start_of_a_window_change_nothing(best_theta: bool) -> None:
    values = np.random.default_rng(0).normal(10, 2, 15).tolist()
    padded = forecast([0.0] * 7 + values, start=7, best_theta=best_theta)
    assert padded == pytest.approx(forecast(values, best_theta=best_theta), rel=1e-9)


def test_the_best_theta_takes_a_walk_for_a_walk() -> None:
    walk = np.cumsum(np.random.default_rng(2).choice([-1.0, 1.0], 200))
    assert forecast(walk.tolist(), 1, best_theta=True)[0] == pytest.approx(walk[-1], abs=1.0)
