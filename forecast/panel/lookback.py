"""How far a window looks back, and which lagged values a network sees."""

import numpy as np

from forecast.panel.panel import Panel

LONGEST_SEASON = 168  # steps of a season that a default lookback covers
MAX_SEASONS = 14  # of a default lookback, however far the horizon is: networks overfit a longer past
UNSEASONAL = 30  # steps of a default lookback without a season
MIN_DAY, WEEK = 24, 7  # a season of so many steps may be a day, and then there may be a week of seven
MAX_RATIO = 1.6  # of the error of a week to that of a day; above it there is no week, the series drifts


def choose_lags(panel: Panel, season: tuple[int, ...]) -> tuple[int, ...]:
    """Season lengths whose lagged values a network sees: those of the data, and a week of days where it shows.

    Repeating the value of a week ago may err by more than repeating yesterday's, and still helps beside it; on a series
    that drifts without a week it would err by sqrt(7) as much.
    """
    if len(season) != 1 or season[0] < MIN_DAY:
        return season
    week = WEEK * season[0]
    daily, weekly = _error(panel, season[0], week), _error(panel, week, week)
    return (season[0], week) if weekly < MAX_RATIO * daily else season


def choose_lookback(horizon: int, lags: tuple[int, ...], longest: int) -> int:
    """Steps of the past: a little more than the horizon and several seasons, whole seasons where there are any.

    1.25 horizons and at least a season is where Hewamalage, Bergmeir and Bandara (2021) found recurrent networks to
    do well. Beyond the `longest` series a lookback would only be padding.
    """
    wanted = max(-(-5 * horizon // 4), 10 if lags else UNSEASONAL)
    if lags:
        shortest = lags[0]
        wanted = min(wanted, MAX_SEASONS * shortest)
        wanted = max(wanted, min(4 * shortest, LONGEST_SEASON), *(lag for lag in lags if lag <= LONGEST_SEASON))
        wanted = -(-wanted // shortest) * shortest if shortest <= LONGEST_SEASON else wanted
    return max(1, min(wanted, longest - 1))


def lags_and_lookback(
    panel: Panel, season: tuple[int, ...], lookback: int | None = None
) -> tuple[tuple[int, ...], int]:
    """The lags that a network sees, and how far a window looks back, unless that is given."""
    lags = choose_lags(panel, season)
    return lags, lookback or choose_lookback(panel.ahead, lags, int(panel.lengths.max()))


def most_lookback(longest: int) -> int:
    """The longest lookback that makes sense for series of at most `longest` steps: the rest would only be padding."""
    return 1000 + 10 * longest


def _error(panel: Panel, lag: int, span: int) -> float:
    """Mean absolute difference of values `lag` apart after `span` slots, each series in units of its deviation."""
    now = np.flatnonzero((panel.positions >= 2 * span) & panel.observed)
    now = now[panel.observed[now - lag]]
    if len(now) < 2 * span:
        return float("inf")
    series = panel.series_of_slots[now]
    last = panel.expanding_std()[panel.offsets[1:] - 1]
    used = last[series] > 0
    moved = np.abs(panel.values[now] - panel.values[now - lag])[used] / last[series][used]
    return float(moved.mean()) if used.any() else float("inf")
