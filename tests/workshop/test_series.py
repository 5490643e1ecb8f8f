"""Synthetic series to pretrain on: repeatable, finite, of every kind."""

import numpy as np
import pytest

from workshop.kind import Seasons
from workshop.kinds import KINDS
from workshop.mixing import draw_series
from workshop.seasons import draw_seasons, season_profile
from workshop.specialists import SPECIALISTS


def test_the_same_seed_draws_the_same_series() -> None:
    first, seasons = draw_series(np.random.default_rng([3, 1]), 40, 100)
    again, same = draw_series(np.random.default_rng([3, 1]), 40, 100)
    other, _ = draw_series(np.random.default_rng([3, 2]), 40, 100)
    assert np.array_equal(first, again)
    assert np.array_equal(seasons.season, same.season)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("steps", [16, 150, 1100])
def test_every_kind_draws_finite_series_that_vary(name: str, steps: int) -> None:
    rng = np.random.default_rng(0)
    series = KINDS[name][1](rng, draw_seasons(rng, 60, steps))
    assert series.shape == (60, steps)
    assert np.isfinite(series).all()
    assert (series.std(1) > 0).mean() > 0.6
    assert len(np.unique(series[:, 0])) > 3


@pytest.mark.parametrize("length", [1, 2, 7, 24])
def test_a_season_has_mean_zero_and_unit_deviation(length: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        profile = season_profile(rng, length)
        assert len(profile) == length
        assert profile.mean() == pytest.approx(0, abs=1e-9)
        assert profile.std() == pytest.approx(0 if length == 1 else 1) or profile.std() == 0


def test_seasons_hold_in_the_series_that_they_are_drawn_for() -> None:
    seasons = draw_seasons(np.random.default_rng(2), 3000, 400)
    assert (3 * seasons.season <= 800).all()
    assert (2 * seasons.second <= 400).all()
    two = seasons.second > 0
    assert two.any()
    assert (seasons.second[two] % seasons.season[two] == 0).all()
    assert {1, 4, 7, 12, 24} <= set(seasons.season.tolist())


def test_seasonal_series_repeat_more_at_their_season_than_at_half_of_it() -> None:
    rng = np.random.default_rng(3)
    seasons = Seasons(np.full(200, 12), np.zeros(200, np.int64), 240)
    series = KINDS["decomposed"][1](rng, seasons)
    steps = np.diff(series, axis=1)

    def change(lag: int) -> float:
        return float(
            np.median(np.abs(steps[:, lag:] - steps[:, :-lag]).mean(1) / np.abs(steps).mean(1))
        )

    assert change(12) < 0.9 * change(6)


def test_counts_are_whole_and_some_are_rare() -> None:
    rng = np.random.default_rng(4)
    series = KINDS["counts"][1](rng, draw_seasons(rng, 300, 120))
    assert (series == np.round(series)).all()
    assert (series >= 0).all()
    zeros = (series == 0).mean(1)
    assert (zeros > 0.7).any()
    assert (zeros < 0.1).any()


def test_hours_have_days_and_many_have_weeks() -> None:
    rng = np.random.default_rng(6)
    seasons = Seasons(np.full(200, 24), np.tile([168, 0], 100), 1000)
    series = KINDS["hours"][1](rng, seasons)

    def change(lag: int) -> np.ndarray:
        return np.abs(series[:, lag:] - series[:, :-lag]).mean(1)

    assert np.median(change(24) / change(12)) < 0.7
    nearer = change(168) < 0.9 * change(24)
    assert nearer[::2].mean() > 0.2 > 10 * nearer[1::2].mean()
    asked = draw_series(rng, 200, 600, SPECIALISTS["hours"])[1]
    assert set(asked.season) - {1} >= {24, 48, 96}
    assert np.isin(asked.season, [24, 48, 96]).mean() > 0.9


def test_mixed_and_distorted_series_stay_finite_and_of_a_size_that_computes() -> None:
    series, _ = draw_series(np.random.default_rng(5), 500, 300)
    assert np.isfinite(series).all()
    assert np.abs(series).max() < 1e12
