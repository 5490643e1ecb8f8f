"""Exponential smoothing averaged over its parameters: what it is for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.baselines.shared.windows import forecast_baseline

Values = NDArray[np.float64]


def forecast(past: Values, horizon: int, season: int) -> Values:
    """Forecast one series."""
    found: Values = forecast_baseline(
        "holt-winters", past[None], np.ones((1, len(past)), bool), horizon, season
    )[0]
    return found


def wave(season: int, length: int) -> Values:
    return np.asarray(np.sin(2 * np.pi * np.arange(length) / season))


def test_a_walk_is_forecast_by_about_its_last_value() -> None:
    walk = np.random.default_rng(3).normal(size=200).cumsum() + 50
    assert forecast(walk, 5, 1) == pytest.approx(np.full(5, walk[-1]), abs=1.0)


def test_noise_is_forecast_by_about_its_mean() -> None:
    noise = np.random.default_rng(4).normal(20, 1, size=200)
    assert forecast(noise, 5, 1) == pytest.approx(np.full(5, 20.0), abs=0.5)


def test_a_line_goes_on() -> None:
    assert forecast(np.arange(60.0), 20, 1) == pytest.approx(np.arange(60.0, 80.0), rel=0.01)


def test_a_trend_that_came_and_went_is_not_taken_for_a_line() -> None:
    random = np.random.default_rng(6)
    slope = np.zeros(200)
    for step in range(1, 200):
        slope[step] = 0.85 * slope[step - 1] + random.normal()
    walk = slope.cumsum()
    line = walk[-1] + slope[-1] * np.arange(1, 21)
    assert np.abs(np.diff(forecast(walk, 20, 1))).sum() < np.abs(np.diff(line)).sum()


@pytest.mark.parametrize("growing", [True, False])
def test_a_season_of_factors_or_summands_goes_on(growing: bool) -> None:
    steps = np.arange(96)
    values = (
        (100 + steps) * (1 + 0.3 * wave(12, 96)) if growing else -50 - steps / 2 + 10 * wave(12, 96)
    )
    assert forecast(values[:84], 12, 12) == pytest.approx(values[84:], rel=0.05)


def test_a_season_that_changes_is_followed() -> None:
    noise = np.random.default_rng(5).normal(0, 0.3, 140)
    size = np.repeat([10.0, -10.0], [70, 70])  # halfway the season turns upside down
    values = 100 + size * wave(7, 140) + noise
    expected = 100 - 10 * wave(7, 147)[140:]
    assert np.abs(forecast(values, 7, 7) - expected).mean() < 3


def test_a_long_season_stays_as_it_was_found() -> None:
    values = 20 + 5 * wave(48, 240)
    assert forecast(values[:192], 48, 48) == pytest.approx(values[192:], abs=0.5)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 8))
@settings(deadline=None, max_examples=50)
def test_wild_positive_seasons_stay_within_reach(seed: int, width: float) -> None:
    random = np.random.default_rng(seed)
    values = np.exp(random.normal(0, width, 36)) * (1.2 + wave(6, 36))
    found = forecast(values, 12, 6)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 100 * values.max()
