"""Gaps of windows are filled from their own past; the newest steps are cut with where each window begins."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.baselines.shared.gaps import MAX_GAP_SEASONS, MAX_GAP_STEPS, fill_gaps, recent_values
from tests.baselines._windows import NAN, Values, gappy_windows


def filled(past: Values, season: int) -> Values:
    return fill_gaps(np.nan_to_num(past), np.isfinite(past), season)


@given(gappy_windows(), st.integers(1, 14))
@settings(deadline=None)
def test_a_gap_is_filled_from_whole_seasons_back_or_else_by_the_last_value(
    past: Values, season: int
) -> None:
    expected = np.zeros_like(past)
    for window, series in enumerate(past):
        for column in range(len(series)):
            seasons = [
                series[back] for back in range(column, -1, -season) if np.isfinite(series[back])
            ]
            before = [value for value in series[: column + 1] if np.isfinite(value)]
            expected[window, column] = (seasons[0] if seasons else before[-1]) if before else 0.0
    assert (fill_gaps(np.nan_to_num(past), np.isfinite(past), season) == expected).all()


def test_known_gaps() -> None:
    past = np.array([[NAN, 1, 2, NAN, NAN, 5, NAN], [NAN] * 7])
    assert filled(past, 3)[0].tolist() == [0, 1, 2, 2, 1, 5, 5]
    assert filled(past, 1)[0].tolist() == [0, 1, 2, 2, 2, 5, 5]
    assert not filled(past, 3)[1].any()


@given(gappy_windows(), st.integers(1, 14), st.integers(0, 39))
@settings(deadline=None)
def test_what_comes_later_fills_no_gap(past: Values, season: int, at: int) -> None:
    changed = past.copy()
    changed[:, at:] = 1e6
    assert (filled(past, season)[:, :at] == filled(changed, season)[:, :at]).all()


def test_the_newest_steps_know_where_each_window_begins() -> None:
    past = np.full((3, MAX_GAP_STEPS + 10), 2.0)
    past[1, : MAX_GAP_STEPS + 7] = NAN
    past[2, 20:] = NAN
    values, start = recent_values(np.nan_to_num(past), np.isfinite(past), 1)
    assert values.shape == (3, MAX_GAP_STEPS)
    assert start.tolist() == [0, MAX_GAP_STEPS - 3, 0]
    assert (values[1, -3:] == 2).all()
    assert not values[1, :-3].any()
    assert (values[2] == 2).all()  # the last value that was observed goes on


def test_a_long_season_keeps_more_steps() -> None:
    season = MAX_GAP_STEPS // MAX_GAP_SEASONS + 10
    past = np.ones((1, 2 * MAX_GAP_SEASONS * season))
    assert recent_values(past, past > 0, season)[0].shape[1] == MAX_GAP_SEASONS * season
