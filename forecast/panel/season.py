"""Find the seasons of a panel, which lags a network sees, and how far a window looks back."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.panel.panel import Numbers, Panel

Seasons = tuple[int, ...]  # lengths in steps, ascending

LONGEST_SEASON = 168  # steps of a season that a default lookback covers
MAX_SEASONS = (
    14  # of a default lookback, however far the horizon is: networks overfit a longer past
)
UNSEASONAL = 30  # steps of a default lookback without a season
MIN_DAY, WEEK = (
    24,
    7,
)  # a season of so many steps may be a day, and then there may be a week of seven
MAX_WEEK_RATIO = (
    1.6  # of the error of a week to that of a day; above it there is no week, the series drifts
)
# tuned on the development sets and 4,400 random walks
MIN_CORRELATION = 0.1  # weaker repetition does not help a forecast
LONG_SEASON = (
    100  # steps; a season this long must come three times, as a slow wander can look like two of it
)
ERRORS_TOGETHER, ERRORS_ALONE = (
    1.645,
    3.0,
)  # standard errors to exceed: all series together, one series alone
MIN_LIKENESS = 0.95  # of a period that is not usual for the frequency; no random walk has it
MAX_REMAINDER = (
    0.1  # variance of differences a period apart over that of those a known season apart, at most
)
MIN_SHARE, MAX_PERIODS = (
    0.1,
    3,
)  # share of the series that must show such a period, and the number of such periods
ROUNDING = 1e-9  # of a likeness, which is 1 for an exact repeat
FLAT = 1e-14  # relative to the size of values: a smaller variation is none
MIN_HALVED = 32  # steps: longer series are also searched in their newest half
MAX_SERIES, MAX_STEPS = 200, 20_000  # that are searched


def choose_lags(panel: Panel, season: Seasons) -> Seasons:
    """Season lengths whose lagged values a network sees: those of the data, and a week of days where it shows.

    Repeating the value of a week ago may err by more than repeating yesterday's, and still helps beside it; on a series
    that drifts without a week it would err by sqrt(7) as much.
    """
    if len(season) != 1 or season[0] < MIN_DAY:
        return season
    week = WEEK * season[0]
    daily, weekly = (_error(panel, lag, week) for lag in (season[0], week))
    return (season[0], week) if weekly < MAX_WEEK_RATIO * daily else season


def choose_lookback(horizon: int, lags: Seasons, longest: int) -> int:
    """Steps of the past: a little more than the horizon and several seasons, whole seasons where there are any.

    1.25 horizons and at least a season is where Hewamalage, Bergmeir and Bandara (2021) found recurrent networks to
    do well. Beyond the `longest` series a lookback would only be padding.
    """
    lookback = max(-(-5 * horizon // 4), 10 if lags else UNSEASONAL)
    if lags:
        shortest = lags[0]
        lookback = min(lookback, MAX_SEASONS * shortest)
        lookback = max(
            lookback,
            min(4 * shortest, LONGEST_SEASON),
            *(lag for lag in lags if lag <= LONGEST_SEASON),
        )
        lookback = -(-lookback // shortest) * shortest if shortest <= LONGEST_SEASON else lookback
    return max(1, min(lookback, longest - 1))


def lags_and_lookback(
    panel: Panel, season: Seasons, lookback: int | None = None
) -> tuple[Seasons, int]:
    """The lags that a network sees, and how far a window looks back, unless that is given."""
    lags = choose_lags(panel, season)
    return lags, lookback or choose_lookback(panel.ahead, lags, int(panel.lengths.max()))


def most_lookback(longest: int) -> int:
    """The longest lookback that makes sense for series of at most `longest` steps: the rest would only be padding."""
    return 1000 + 10 * longest


def _error(panel: Panel, lag: int, span: int) -> float:
    """Mean absolute difference of values `lag` apart after 2 * `span` slots, each series in units of its deviation."""
    now = np.flatnonzero((panel.positions >= 2 * span) & panel.observed)
    now = now[panel.observed[now - lag]]
    if len(now) < 2 * span:
        return float("inf")
    series = panel.series_of_slots[now]
    last = panel.expanding_std()[panel.offsets[1:] - 1]
    used = last[series] > 0
    moved = np.abs(panel.values[now] - panel.values[now - lag])[used] / last[series][used]
    return float(moved.mean()) if used.any() else float("inf")


def confirm_seasons(
    candidates: Seasons, series: Sequence[Numbers], errors: float = ERRORS_TOGETHER
) -> Seasons:
    """The season lengths at which the data repeat themselves.

    A moving average over one season is subtracted from each series, and the phase means of the shorter confirmed
    seasons. The rest must correlate with itself one season earlier: over all series together by more than chance (95 %
    one-sided, or `errors` standard errors), by more than 0.1, and by more than at half or three quarters of a season.
    `candidates` ascend; values are in steps of the grid, NaN where missing.
    """
    confirmed: Seasons = ()
    for length in candidates:
        # a slow wander resembles itself nearby, so that its pairs count for less: Bartlett's formula, lags thinned out
        step = max(1, length // 48)
        nearby = range(step, length // 4 + 1, step)
        lags = np.array([length, length // 2, 3 * length // 4, *nearby])
        products, pairs = np.zeros(len(lags)), np.zeros(len(lags))
        for values in series:
            if len(values) < (3 if length >= LONG_SEASON else 2) * length:
                continue
            rest = _without_trend(values, length)
            for shorter in confirmed:  # less the mean of each phase
                phase, seen = np.arange(len(rest)) % shorter, np.isfinite(rest)
                sums = np.bincount(phase, np.where(seen, rest, 0.0), shorter)
                rest = rest - (sums / np.maximum(np.bincount(phase, seen, shorter), 1))[phase]
            scale = np.sqrt(np.nanmean(rest**2)) if np.isfinite(rest).any() else 0.0
            if not scale > FLAT * float(np.nanmax(np.abs(values))):
                continue
            known, rest = np.isfinite(rest), np.nan_to_num(rest / scale)
            products += [rest[lag:] @ rest[:-lag] for lag in lags]
            pairs += [np.count_nonzero(known[lag:] & known[:-lag]) for lag in lags]
        correlations = products / np.maximum(pairs, 1)
        spread = np.sqrt((1 + 2 * step * float((correlations[3:] ** 2).sum())) / max(pairs[0], 1))
        if pairs[0] >= length and correlations[0] > max(
            MIN_CORRELATION, errors * spread, correlations[1:3].min()
        ):
            confirmed += (length,)
    return confirmed


def panel_seasons(panel: Panel, spec: CalendarSpec) -> Seasons:
    """The seasons that the past of the first series of a panel shows, each to its newest value; see `shown_seasons`."""
    gaps, seen = panel.trailing_gap().tolist(), np.where(panel.observed, panel.values, np.nan)
    pasts = (
        seen[panel.slots(series)][: -gaps[series] or None]
        for series in range(min(MAX_SERIES, len(panel)))
    )
    return shown_seasons(spec, [past[-MAX_STEPS:] for past in pasts if len(past)])


def shown_seasons(spec: CalendarSpec, series: Sequence[Numbers]) -> Seasons:
    """The usual seasons of the frequency that the data confirm, and other periods that repeat almost exactly.

    A season counts if all series together show it, or if one in ten does so clearly: the columns of a wide table may
    have little in common. The series are arrays of values in steps of the grid, NaN where missing.
    """
    usual = season_candidates(spec)
    together = confirm_seasons(usual, series)
    alone = Counter(
        length for values in series for length in confirm_seasons(usual, [values], ERRORS_ALONE)
    )
    confirmed = tuple(
        length
        for length in usual
        if length in together or alone[length] >= MIN_SHARE * len(series) > 0
    )
    periods = Counter(repeat_period(values, confirmed) for values in series)
    shown = [
        period
        for period, count in periods.items()
        if period > 1 and count >= MIN_SHARE * len(series)
    ]
    return tuple(sorted({*confirmed, *sorted(shown)[:MAX_PERIODS]}))


def repeat_period(values: Numbers, seasons: Seasons = ()) -> int:
    """The shortest number of steps after which a series repeats itself almost exactly, 1 where there is none.

    The series, NaN where missing, must hold two such periods. Differences of values a period apart may share a trend.
    Their variance is at most a twentieth of that between unrelated values, and a tenth of that a known season apart.
    Where the level moved, the newest half, quarter and so on are searched: they must repeat exactly, four times.
    """
    period = _repeat_period(values, seasons, MIN_LIKENESS, 2)
    while period == 1 and len(values) > MIN_HALVED:
        values = values[len(values) // 2 :]
        period = _repeat_period(values, seasons, 1 - ROUNDING, 4)
    return period


def _repeat_period(values: Numbers, seasons: Seasons, least: float, periods: int) -> int:
    """As `repeat_period`, for all values: they must hold so many periods, with at least this likeness."""
    known = np.isfinite(values)
    if known.sum() < 4:
        return 1
    rest, longest = np.where(known, _without_line(values), 0.0), len(values) // periods
    size = 1 << int(2 * len(values)).bit_length()
    lags = slice(
        1, longest + 2
    )  # one beyond, so that the last one can be compared with its neighbour

    def at_lags(
        spectrum: NDArray[np.complex128],
    ) -> Numbers:  # sums of products of values so many steps apart
        return np.asarray(np.fft.irfft(spectrum, size)[lags])

    one, first, second = np.fft.rfft(np.stack([known.astype(np.float64), rest, rest**2]), size)
    pairs = np.maximum(np.round(at_lags(one * one.conj())), 1.0)
    total = at_lags(first * one.conj() - one * first.conj())
    squares = at_lags(second * one.conj() + one * second.conj() - 2 * first * first.conj())
    spread = float((rest**2).sum() / known.sum())
    if not spread > (FLAT * float(np.nanmax(np.abs(values)))) ** 2:
        return 1
    alike = 1 - (squares / pairs - (total / pairs) ** 2) / (
        2 * spread
    )  # 1 for an exact repeat, 0 for none
    inside = alike[:longest]
    after = np.minimum.accumulate(inside) < 0  # a slow wander resembles itself nearby
    peak = (inside >= np.concatenate([[-np.inf], inside[:-1]])) & (
        inside >= alike[1 : longest + 1] - ROUNDING
    )
    enough = pairs[:longest] >= np.maximum((periods - 1) * np.arange(1, longest + 1), 2)
    known_seasons = [inside[season - 1] for season in seasons if season <= longest]
    least = max(
        [least, *(1 - MAX_REMAINDER * (1 - likeness) + ROUNDING for likeness in known_seasons)]
    )
    lengths = np.flatnonzero(after & peak & enough & (inside >= least))
    return int(lengths[0]) + 1 if len(lengths) else 1


def _without_line(values: Numbers) -> Numbers:
    known = np.isfinite(values)
    if known.sum() < 2:
        return values
    step = np.arange(len(values)) - np.flatnonzero(known).mean()
    rest = values - values[known].mean()
    return np.asarray(rest - (step * rest)[known].sum() / (step[known] ** 2).sum() * step)


def _without_trend(values: Numbers, length: int) -> Numbers:
    """Values less their straight line, then less their moving average over one season."""
    rest = _without_line(values)  # first the line, as the average is lopsided at both ends
    sums, counts = (
        np.concatenate([[0.0], np.cumsum(part)])
        for part in (np.nan_to_num(rest), np.isfinite(rest))
    )
    low = np.clip(np.arange(len(values)) - length // 2, 0, len(values) - length)
    return np.asarray(
        rest - (sums[low + length] - sums[low]) / np.maximum(counts[low + length] - counts[low], 1)
    )
