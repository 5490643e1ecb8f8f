"""How far a window looks back, and which lagged values it is given."""

import numpy as np

from forecast.panel.panel import Panel

LONGEST = 168  # steps that a default lookback may have because of a season
MANY = 14  # seasons that are enough, however far the horizon is: a longer past is learned by heart
UNSEASONAL = 30  # steps that are worth a look where nothing repeats
DAY, WEEK = 24, 7  # a season of this many steps or more may be a day, and then there may be a week of seven
LONG_MISS = 1.6  # a week that misses by more, compared with the day, is no week: it drifts


def choose_lags(panel: Panel, season: tuple[int, ...]) -> tuple[int, ...]:
    """Season lengths whose lagged values a network sees: those of the data, and a week of days where it shows.

    Repeating the value a week back may miss by more than repeating yesterday's, and helps all the same where both are
    at hand; on a series that drifts without a week it would miss by sqrt(7) as much.
    """
    if len(season) != 1 or season[0] < DAY:
        return season
    week = WEEK * season[0]
    one, seven = _miss(panel, season[0], week), _miss(panel, week, week)
    return (season[0], week) if seven < LONG_MISS * one else season


def choose_lookback(horizon: int, lags: tuple[int, ...], longest: int) -> int:
    """Steps of the past: a little more than the horizon and several seasons, whole seasons where there are any.

    1.25 horizons and at least a season is where Hewamalage, Bergmeir and Bandara (2021) found recurrent networks to
    do well.

    Parameters
    ----------
    longest : past slots of the longest series; a longer lookback would only be padding
    """
    wanted = max(-(-5 * horizon // 4), 10 if lags else UNSEASONAL)
    if lags:
        shortest = lags[0]
        wanted = min(wanted, MANY * shortest)
        wanted = max(wanted, min(4 * shortest, LONGEST), *(lag for lag in lags if lag <= LONGEST))
        wanted = -(-wanted // shortest) * shortest if shortest <= LONGEST else wanted
    return max(1, min(wanted, longest - 1))


def lags_and_lookback(
    panel: Panel, season: tuple[int, ...], lookback: int | None = None
) -> tuple[tuple[int, ...], int]:
    """The lags that a network sees, and how far a window looks back.

    Parameters
    ----------
    panel : with a horizon of future slots
    lookback : as the user gave it; None for what suits horizon, lags and length
    """
    lags = choose_lags(panel, season)
    return lags, lookback or choose_lookback(panel.ahead, lags, int(panel.lengths.max()))


def most_lookback(longest: int) -> int:
    """The longest lookback that makes sense for series of at most `longest` steps: the rest would only be padding."""
    return 1000 + 10 * longest


def _miss(panel: Panel, lag: int, span: int) -> float:
    """Mean absolute difference of values `lag` apart after `span` slots, each series in units of its deviation."""
    place = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], np.diff(panel.offsets))
    now = np.flatnonzero((place >= 2 * span) & panel.observed)
    now = now[panel.observed[now - lag]]
    if len(now) < 2 * span:
        return float("inf")
    series = np.searchsorted(panel.offsets, now, side="right") - 1
    last = panel.own_spread()[panel.offsets[1:] - 1]
    used = last[series] > 0
    moved = np.abs(panel.values[now] - panel.values[now - lag])[used] / last[series][used]
    return float(moved.mean()) if used.any() else float("inf")
