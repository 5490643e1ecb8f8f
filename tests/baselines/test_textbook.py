"""Baselines of many windows at once against textbook loops of one series, one step and one parameter after another."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.baselines import holt_winters
from forecast.baselines.shared.windows import forecast_baseline
from forecast.baselines.theta import SMOOTHING
from tests.baselines._textbook import (
    seasonal_index,
    smooth,
    smoothing_values,
    straightened_values,
)

Values = NDArray[np.float64]
HORIZON = 9


@st.composite
def panels(draw: st.DrawFn) -> tuple[list[Values], int]:
    """Series of several lengths with noise, a walk and a season of any size, and the length of the season."""
    season = draw(st.sampled_from([1, 2, 4, 7, 12, 30]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level, wave, trend = (
        draw(st.sampled_from(sizes)) for sizes in ([0.0, 40.0, -40.0], [0.0, 5.0], [0.0, 0.3])
    )
    series = []
    for length in draw(st.lists(st.integers(max(5, season), 90), min_size=1, max_size=5)):
        phase = wave * random.normal(size=season)
        steps = np.arange(length)
        series.append(
            level + trend * steps + phase[steps % season] + random.normal(size=length).cumsum()
        )
    return series, season


def forecast(name: str, series: list[Values], season: int) -> list[Values]:
    """Forecast series as windows that are padded on the left."""
    span = max(map(len, series))
    past = np.stack([np.pad(one, (span - len(one), 0)) for one in series])
    observed = np.stack([np.arange(span) >= span - len(one) for one in series])
    return list(forecast_baseline(name, past, observed, HORIZON, season))


def theta(values: Values, season: int, best_theta: bool) -> list[Values]:
    """The forecasts by all coefficients whose squared error is as good as the least one."""
    index, factors = seasonal_index(values, season)
    phases = np.arange(len(values) + HORIZON) % season
    plain = (
        values / index[phases[: len(values)]] if factors else values - index[phases[: len(values)]]
    )
    steps = np.arange(len(plain))
    slope = float(np.polyfit(steps - steps.mean(), plain, 1)[0])
    line = slope * (np.arange(len(plain) + HORIZON) - steps.mean())
    rest = plain - plain.mean()
    found = []
    for coefficient in SMOOTHING:
        moves = smooth(np.zeros(len(plain)), coefficient, 1.0)[
            0
        ]  # what a first level of one does to the errors
        weight = 0.5
        if best_theta:
            both = (smooth(each, coefficient, 0.0)[0] for each in (rest, line[: len(plain)]))
            own, trended = (each - moves * (each @ moves) / (moves @ moves) for each in both)
            weight = float(np.clip(own @ trended / (trended @ trended), 0, 1))
        curved = rest - weight * line[: len(plain)]
        first = -(smooth(curved, coefficient, 0.0)[0] @ moves) / (moves @ moves)
        missed, level = smooth(curved, coefficient, first)
        ahead = plain.mean() + level + weight * line[len(plain) :]
        own_index = index[phases[len(values) :]]
        found.append((float(missed @ missed), ahead * own_index if factors else ahead + own_index))
    least = min(error for error, _ in found)
    return [points for error, points in found if error <= least * (1 + 1e-9)]


def smoothing(values: Values, season: int) -> list[Values]:
    """The mean over the grid of `holt_winters` by Akaike weights."""
    index, factors = seasonal_index(values, season)
    phases = np.arange(len(values) + HORIZON) % season
    updated = season if season <= holt_winters.LONG_SEASON and index.any() else 1
    found = smoothed(values, index[phases], factors, updated)
    if factors and updated > 1:
        found += smoothed(values, (index[phases] - 1) * values.mean(), False, season)
    return [mean_of(found)]


def smoothed(
    values: Values, profile: Values, factors: bool, season: int
) -> list[tuple[float, Values]]:
    """Take a season out [steps and horizon], smooth what is left, and put it back."""
    past, ahead = profile[: len(values)], profile[len(values) :]
    found = smoothing_values(values / past if factors else values - past, season, HORIZON)
    stretch = (
        2 * float(np.log(past).sum()) if factors else 0.0
    )  # the criterion is that of the values
    return [
        (criterion + stretch, points * ahead if factors else points + ahead)
        for criterion, points in found
    ]


def mean_of(found: list[tuple[float, Values]]) -> Values:
    """The mean of forecasts by Akaike weights."""
    criteria = np.array([criterion for criterion, _ in found])
    weights = np.exp((criteria.min() - criteria) / 2)
    return np.asarray(weights @ np.stack([points for _, points in found]) / weights.sum())


TEXTBOOK: dict[str, tuple[Callable[[Values, int], list[Values]], float]] = {
    "theta": (lambda values, season: theta(values, season, False), 1e-9),
    "auto-theta": (lambda values, season: theta(values, season, True), 1e-9),
    "holt-winters": (smoothing, 1e-9),
    "autoregression": (
        lambda values, season: [straightened_values(values, season, HORIZON)],
        1e-6,
    ),
}
"""Forecasts of one series that are as good as each other, and how near they are to be met."""


@pytest.mark.parametrize("name", TEXTBOOK)
@given(panels())
@settings(max_examples=25)
def test_many_windows_at_once_equal_the_textbook_loop(
    name: str, panel: tuple[list[Values], int]
) -> None:
    series, season = panel
    slow, tolerance = TEXTBOOK[name]
    for values, found in zip(series, forecast(name, series, season), strict=True):
        size = np.abs(values).max()
        errors = [float(np.abs(found - points).max()) for points in slow(values, season)]
        assert min(errors) <= tolerance * max(size, np.abs(found).max())
