"""A bare fit continues what plainly repeats: waves, saws, profiles and ramps of any period."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster

STEPS = {
    "h": (24, 48),
    "D": (7, 14),
    "W": (52, 13),
    "MS": (12, 18),
    "QS": (4, 8),
}  # usual season, default horizon
SHAPES = ("wave", "saw", "profile")
NOISE = 0.001  # of the range
# 2.2 days of hours are 53 values for a horizon of 48: none can be held out to compare candidates on, so that noise has
# a say in their shares; with three draws of it a ramp with a profile is missed by 2.2, 1.0 and 1.2 % of the range
SCARCE = ("h", 2.2)


def repeated(
    shape: str, season: float, steps: int, series: int, draw: np.random.Generator
) -> np.ndarray:
    """Series of one season and shape that differ in level, size and phase, [series, steps]."""
    place = np.arange(steps) + draw.integers(0, 1000, (series, 1))
    level, size = draw.uniform(0, 100, (series, 1)), draw.uniform(1, 20, (series, 1))
    if shape == "wave":
        return level + size * np.sin(2 * np.pi * place / season)
    if shape == "saw":
        return level + size * (place % season) / season
    profile = draw.normal(size=(series, int(season)))
    return level + size * np.take_along_axis(profile, place % int(season), 1)


def table(values: np.ndarray, step: str) -> pd.DataFrame:
    start = "2015-01-04" if step == "W" else "2015-01-01"
    times = pd.date_range(start, periods=values.shape[1], freq=step)
    return pd.DataFrame({"time": times, **{f"s{i:02}": row for i, row in enumerate(values)}})


def worst_miss(values: np.ndarray, step: str, horizon: int, noise: float = 0.0) -> float:
    """The largest error of a bare fit's forecasts as a share of the range of its series."""
    span = np.ptp(values, axis=1, keepdims=True)
    seen = values + noise * span * np.random.default_rng(1).normal(size=values.shape)
    found = Forecaster().fit(table(seen[:, :-horizon], step)).predict()["forecast"].to_numpy()
    return float((np.abs(found.reshape(len(values), -1) - values[:, -horizon:]) / span).max())


def combinations(series: tuple[int, ...]) -> Iterator[tuple[str, str, float, int]]:
    for shape in SHAPES:
        for step in STEPS:
            yield from ((shape, step, seasons, count) for seasons in (2.2, 10) for count in series)


def values_of(shape: str, step: str, seasons: float, series: int) -> np.ndarray:
    season, horizon = STEPS[step]
    draw = np.random.default_rng(2)
    steps = round(seasons * season) + horizon
    ramp = draw.uniform(0.2, 2, (series, 1)) * draw.choice([-1, 1], (series, 1)) * np.arange(steps)
    if shape == "ramp":
        return 2_000 + ramp  # a series that never was negative stays at zero or above
    if shape == "ramp and season":
        return 2_000 + ramp + repeated("profile", season, steps, series, draw)
    if shape == "two seasons":
        steps = round(seasons * 168) + horizon
        return repeated("profile", 24, steps, series, draw) + repeated(
            "wave", 168, steps, series, draw
        )
    return repeated(shape, season, steps, series, draw)


TRENDS = [("two seasons", "h", seasons, series) for seasons in (2.2, 10) for series in (1, 20)] + [
    (shape, step, seasons, series)
    for shape in ("ramp", "ramp and season")
    for step in STEPS
    for seasons in (2.2, 10)
    for series in (1, 20)
]


Case = tuple[str, str, float, int]
CASES: list[Case] = [*combinations((1, 20)), *TRENDS]


def sampled(first: int, one_in: int) -> list[object]:
    """Some of the cases for the gate, spread over shapes, steps and sizes, and all of a shape in one slow test each."""
    shapes = dict.fromkeys(shape for shape, *_ in CASES)
    gate = [pytest.param([case], id="-".join(map(str, case))) for case in CASES[first::one_in]]
    return gate + [
        pytest.param(
            [case for case in CASES if case[0] == shape], id=f"all {shape}", marks=pytest.mark.slow
        )
        for shape in shapes
    ]


def missed(cases: list[Case], noise: float, share: float) -> list[tuple[Case, float]]:
    """The cases whose worst miss is more than a share of the range, half as much again of scarce ones with noise."""
    misses = [
        (case, worst_miss(values_of(*case), case[1], STEPS[case[1]][1], noise)) for case in cases
    ]
    return [
        (case, miss)
        for case, miss in misses
        if not miss < share * (1.5 if noise and case[1:3] == SCARCE else 1)
    ]


@pytest.mark.parametrize("cases", sampled(0, 20))
def test_every_pattern_is_continued(cases: list[Case]) -> None:
    assert missed(cases, 0.0, 0.01) == []


@pytest.mark.parametrize("cases", sampled(90, 400))
def test_every_pattern_is_continued_through_a_little_noise(cases: list[Case]) -> None:
    assert missed(cases, NOISE, 0.02) == []


@pytest.mark.parametrize(
    ("shape", "season"), [("wave", 5), ("saw", 17), ("wave", 30), ("wave", 62.83), ("saw", 100)]
)
def test_a_period_that_no_calendar_knows_is_continued(shape: str, season: float) -> None:
    values = repeated(shape, season, round(2.5 * season) + 14 + 10, 1, np.random.default_rng(3))
    assert worst_miss(values, "D", 14) < 0.01


def test_the_first_wave_of_a_newcomer_is_continued() -> None:
    assert worst_miss(np.sin(np.arange(214) / 10)[None], "D", 14) < 0.01


def test_exact_columns_of_different_periods_are_continued_side_by_side() -> None:
    draw = np.random.default_rng(4)
    columns = [
        repeated("profile", 7, 314, 1, draw),
        repeated("saw", 10, 314, 1, draw),
        3.0 + np.arange(314)[None],
    ]
    assert worst_miss(np.concatenate(columns), "D", 14) < 0.01
