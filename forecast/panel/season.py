"""Find the seasons of a panel, which lags a network sees, and how far a window looks back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.panel.events import find_touched_slots, remove_censored_values
from forecast.panel.panel import Numbers, Panel
from forecast.panel.schema import Schema, indicators

Seasons = tuple[int, ...]  # lengths in steps, ascending

LONGEST_SEASON = 168  # steps of a season that a default lookback covers
MAX_LOOKBACK_SEASONS = 14  # a default lookback has at most so many: networks overfit a longer past
# ratio of the error of repeating the value of a week ago to that of a day ago; if it is larger, the
# series drifts
MAX_WEEK_RATIO = 1.6
MAX_SERIES = 200  # at most so many series are searched for seasons
# a series varies less than this, relative to the size of its values, if it is flat
FLAT_SHARE = 1e-14
LIKENESS_ROUNDING = 1e-9  # rounding error of a likeness, which is 1 for an exact repeat


@dataclass(frozen=True)
class SeasonPriors:
    """What a season must show; tuned on the development data sets and 4,400 random walks."""

    min_correlation: float = 0.1  # weaker repetition does not help a forecast
    long_season: int = 100  # steps; a season this long must occur three times, not two
    # the correlation over all series together must exceed so many standard errors
    errors_together: float = 1.645
    errors_alone: float = 3.0  # the correlation of a single series must exceed so many
    min_share: float = 0.1  # at least this share of the series must show a period
    max_periods: int = 3
    # least likeness of a period that is not usual for the frequency; no random walk reaches it
    min_likeness: float = 0.95
    # largest ratio of the variance of differences a period apart to that of a season apart
    max_remainder: float = 0.1
    min_halved: int = 32  # steps: longer series are also searched in their newest half


SEASON_PRIORS = SeasonPriors()


def choose_lags(panel: Panel, season: Seasons) -> Seasons:
    """Choose the lags at which a network sees past values: the seasons, and perhaps a week of days.

    Repeating the value of a week ago may err by more than repeating yesterday's value, and still
    help beside it. On a series that drifts without a weekly season, it would err sqrt(7) times as
    much.
    """
    if len(season) != 1 or season[0] < 24:  # a season of so many steps may be a day
        return season
    day = season[0]
    week = 7 * day
    shows_week = _error(panel, week, week) < MAX_WEEK_RATIO * _error(panel, day, week)
    return (day, week) if shows_week else season


def choose_lookback(horizon: int, lags: Seasons, longest: int) -> int:
    """Choose how many steps a window looks back.

    It is a little more than the horizon, and several whole seasons if there are any. Hewamalage,
    Bergmeir and Bandara (2021) found recurrent networks to do well with 1.25 horizons and at least
    a season. It is limited by the `longest` series, beyond which there would be only padding.
    """
    lookback = -(-5 * horizon // 4)
    if not lags:
        lookback = max(lookback, 30)
    else:
        shortest = lags[0]
        lookback = min(max(lookback, 10), MAX_LOOKBACK_SEASONS * shortest)
        covered = [lag for lag in lags if lag <= LONGEST_SEASON]
        lookback = max(lookback, min(4 * shortest, LONGEST_SEASON), *covered)
        if covered:
            lookback = -(-lookback // shortest) * shortest
    return max(1, min(lookback, longest - 1))


def lags_and_lookback(panel: Panel, season: Seasons, lookback: int | None) -> tuple[Seasons, int]:
    """Choose the lags that a network sees and, unless it is given, the lookback."""
    lags = choose_lags(panel, season)
    return lags, lookback or choose_lookback(panel.ahead, lags, panel.longest)


def most_lookback(longest: int) -> int:
    """Return the longest lookback that makes sense for series of at most `longest` steps."""
    return 1000 + 10 * longest


def _error(panel: Panel, lag: int, span: int) -> float:
    """Return the mean absolute difference of values `lag` apart, after 2 * `span` slots.

    Each series is measured in units of its standard deviation.
    """
    now = np.flatnonzero((panel.positions >= 2 * span) & panel.observed)
    now = now[panel.observed[now - lag]]
    last_slots = panel.offsets[1:] - 1
    deviations = panel.expanding_std()[last_slots]  # [series]
    deviation = deviations[panel.series_of_slots[now]]
    moves = deviation > 0
    if len(now) < 2 * span or not moves.any():
        return float("inf")
    differences = np.abs(panel.values[now] - panel.values[now - lag])
    relative = differences[moves] / deviation[moves]
    return float(relative.mean())


def confirm_seasons(
    candidates: Seasons, series: Sequence[Numbers], errors: float = SEASON_PRIORS.errors_together
) -> Seasons:
    """Return the season lengths at which the data repeat themselves.

    A moving average over one season is subtracted from each series, and so are the phase means of
    shorter confirmed seasons. The remainder must correlate with itself one season earlier. Over all
    series together, the correlation must be larger than chance (95 % one-sided, or `errors`
    standard errors), larger than 0.1, and larger than at half or three quarters of a season.
    `candidates` ascend; values are in steps of the grid, NaN where missing.
    """
    confirmed: Seasons = ()
    for length in candidates:
        # a slow wander resembles itself nearby, so that its pairs count for less: Bartlett's
        # formula, with lags thinned out
        step = max(1, length // 48)
        nearby = range(step, length // 4 + 1, step)
        lags = np.array([length, length // 2, 3 * length // 4, *nearby])
        products = np.zeros(len(lags))
        pairs = np.zeros(len(lags))
        cycles = 3 if length >= SEASON_PRIORS.long_season else 2
        for values in series:
            if len(values) < cycles * length:
                continue
            rest = _remainder(values, length, confirmed)
            if rest is None:
                continue
            seen = np.isfinite(rest)
            rest = np.nan_to_num(rest)
            for number, lag in enumerate(lags):
                products[number] += rest[lag:] @ rest[:-lag]
                pairs[number] += np.count_nonzero(seen[lag:] & seen[:-lag])
        correlations = products / np.maximum(pairs, 1)
        squares = correlations[3:] ** 2
        variance = 1 + 2 * step * float(squares.sum())
        chance = errors * np.sqrt(variance / max(pairs[0], 1))
        needed = max(SEASON_PRIORS.min_correlation, chance, correlations[1:3].min())
        if pairs[0] >= length and correlations[0] > needed:
            confirmed += (length,)
    return confirmed


def _remainder(values: Numbers, length: int, confirmed: Seasons) -> Numbers | None:
    """Remove trend and confirmed seasons from values, and scale them to standard deviation 1.

    Returns None if nothing is left.
    """
    rest = _remove_trend(values, length)
    seen = np.isfinite(rest)
    for season in confirmed:  # less the mean of each phase
        phase = np.arange(len(rest)) % season
        sums = np.bincount(phase, np.where(seen, rest, 0.0), season)
        counts = np.bincount(phase, seen, season)
        means = sums / np.maximum(counts, 1)
        rest = rest - means[phase]
    if not seen.any():
        return None
    scale = np.sqrt(np.nanmean(rest**2))
    size = float(np.nanmax(np.abs(values)))
    return rest / scale if scale > FLAT_SHARE * size else None


def find_seasons(panel: Panel, schema: Schema) -> Seasons:
    """Return the seasons that the first series show, see `shown_seasons`.

    Stock-outs and closed days are left out, and the levels between level shifts are brought to one.
    Where no season shows, the effects of known columns are removed, and the search is repeated.
    """
    panel = remove_censored_values(panel, schema)
    values = np.where(panel.observed, panel.values, np.nan)
    seasons = shown_seasons(schema.calendar, _newest_pasts(panel, schema, values))
    if seasons or not schema.known:
        return seasons
    columns = indicators(panel.settled, schema)
    for series in range(min(MAX_SERIES, len(panel))):
        past = panel.slots(series)
        changes = np.diff(columns[past], axis=0)
        differences = np.diff(values[past])
        seen = np.isfinite(differences) & np.isfinite(changes).all(1)
        weights = np.linalg.lstsq(changes[seen], differences[seen], rcond=None)[0]
        values[past] -= np.nan_to_num(columns[past]) @ weights
    return shown_seasons(schema.calendar, _newest_pasts(panel, schema, values))


def _newest_pasts(panel: Panel, schema: Schema, values: Numbers) -> list[Numbers]:
    """Return the values [slots] of the first series, with one level and no blanks at the end."""
    gaps = panel.trailing_gap().tolist()
    is_shifted = find_touched_slots(panel, schema, "level_shift")
    pasts = []
    for series in range(min(MAX_SERIES, len(panel))):
        slots = panel.slots(series)
        past = values[slots][: -gaps[series] or None]
        shifts = np.flatnonzero(np.diff(is_shifted[slots], prepend=False) & is_shifted[slots])
        if len(shifts):
            levels = np.split(past, shifts[shifts < len(past)])
            past = np.concatenate([level - _median(level) for level in levels])
        if len(past):
            pasts.append(past[-20_000:])
    return pasts


def _median(values: Numbers) -> float:
    """Return the median of values that are not NaN, 0 without any."""
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if len(seen) else 0.0


def shown_seasons(spec: CalendarSpec, series: Sequence[Numbers]) -> Seasons:
    """Return the seasons that the data show.

    These are the usual seasons of the frequency that the data confirm, and periods after which
    series repeat themselves almost exactly. A season is confirmed if all series together show it,
    or if one series in ten shows it clearly, as the columns of a wide table may have little in
    common. The series are arrays of values in steps of the grid, NaN where missing.
    """
    usual = season_candidates(spec)
    alone = Counter[int]()
    for values in series:
        alone.update(confirm_seasons(usual, [values], SEASON_PRIORS.errors_alone))
    needed = max(SEASON_PRIORS.min_share * len(series), 1)
    confirmed = {length for length in usual if alone[length] >= needed}
    confirmed.update(confirm_seasons(usual, series))
    known = tuple(sorted(confirmed))
    periods = Counter(repeat_period(values, known) for values in series)
    del periods[1]
    shown = sorted(period for period, count in periods.items() if count >= needed)
    confirmed.update(shown[: SEASON_PRIORS.max_periods])
    return tuple(sorted(confirmed))


def repeat_period(values: Numbers, seasons: Seasons = ()) -> int:
    """Return the shortest number of steps after which a series repeats itself almost exactly, or 1.

    The series, NaN where missing, must hold two such periods. Differences of values a period apart
    may contain a trend. Their variance must be at most a twentieth of that of differences between
    unrelated values, and a tenth of that of differences a confirmed season apart. As the level may
    have changed, the newest half, quarter and so on are searched, too; these must repeat exactly,
    and hold four periods.
    """
    period = _repeat_period(values, seasons, SEASON_PRIORS.min_likeness, 2)
    while period == 1 and len(values) > SEASON_PRIORS.min_halved:
        values = values[len(values) // 2 :]
        period = _repeat_period(values, seasons, 1 - LIKENESS_ROUNDING, 4)
    return period


def _repeat_period(values: Numbers, seasons: Seasons, least: float, periods: int) -> int:
    """Search all values like `repeat_period`.

    They must hold `periods` periods, with a likeness of at least `least`.
    """
    seen = np.isfinite(values)
    count = seen.sum()
    if count < 4:
        return 1
    rest = np.where(seen, _remove_line(values), 0.0)
    variance = float((rest**2).sum() / count)
    size = float(np.nanmax(np.abs(values)))
    if not variance > (FLAT_SHARE * size) ** 2:
        return 1
    longest = len(values) // periods
    # the likeness is 1 for an exact repeat and 0 for none; one more lag gives the last a neighbour
    likeness, pairs = _likeness(rest, seen, longest + 1, variance)
    inside = likeness[:longest]
    is_after = np.minimum.accumulate(inside) < 0  # a slow wander resembles itself nearby
    before = np.concatenate([[-np.inf], inside[:-1]])
    is_peak = inside >= before
    is_peak &= inside >= likeness[1:] - LIKENESS_ROUNDING
    lags = np.arange(1, longest + 1)
    needed_pairs = np.maximum((periods - 1) * lags, 2)
    for season in seasons:
        if season <= longest:
            remainder = SEASON_PRIORS.max_remainder * (1 - inside[season - 1])
            least = max(least, 1 - remainder + LIKENESS_ROUNDING)
    repeats = is_after & is_peak
    repeats &= pairs[:longest] >= needed_pairs
    repeats &= inside >= least
    return int(np.argmax(repeats)) + 1 if repeats.any() else 1


def _likeness(
    rest: Numbers, seen: NDArray[np.bool_], longest: int, variance: float
) -> tuple[Numbers, Numbers]:
    """Return how alike values at each lag are, apart from a trend, and the number of pairs.

    Both are [lags], for the lags from 1 to `longest`.
    """
    size = 1 << int(2 * len(rest)).bit_length()
    powers = np.stack([seen * 1.0, rest, rest**2])
    one, first, second = np.fft.rfft(powers, size)
    one_conjugate = one.conj()
    first_conjugate = first.conj()

    def at_lags(spectrum: NDArray[np.complex128]) -> Numbers:
        """Return the sums of products of values at each lag."""
        sums = np.fft.irfft(spectrum, size)
        return sums[1 : longest + 1]

    pairs = np.round(at_lags(one * one_conjugate))
    pairs = np.maximum(pairs, 1.0)
    total = at_lags(first * one_conjugate - one * first_conjugate)
    both = second * one_conjugate + one * second.conj()
    squares = at_lags(both - 2 * first * first_conjugate)
    differences = squares / pairs - (total / pairs) ** 2
    return 1 - differences / (2 * variance), pairs


def _remove_line(values: Numbers) -> Numbers:
    seen = np.isfinite(values)
    if seen.sum() < 2:
        return values
    step = np.arange(len(values)) - np.flatnonzero(seen).mean()
    rest = values - values[seen].mean()
    covariance = (step * rest)[seen].sum()
    variance = (step[seen] ** 2).sum()
    slope = covariance / variance
    return np.asarray(rest - slope * step)


def _remove_trend(values: Numbers, length: int) -> Numbers:
    """Subtract the straight line from values, then their moving average over one season."""
    rest = _remove_line(values)  # first the line, as the average is lopsided at both ends
    low = np.arange(len(values)) - length // 2
    low = np.clip(low, 0, len(values) - length)

    def in_season(terms: Numbers) -> Numbers:
        sums = np.concatenate([[0.0], np.cumsum(terms)])
        return np.asarray(sums[low + length] - sums[low])

    counts = in_season(np.isfinite(rest) * 1.0)
    totals = in_season(np.nan_to_num(rest))
    return rest - totals / np.maximum(counts, 1)
