"""Ridge regression on the last seasons and on columns known in advance, in the manner of LEAR (Lago et al. 2021)."""

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.ridge import ridge
from forecast.windows.scaling import column_statistics

# Tuned on hourly demand of electricity, rented bikes, particles in the air, and the hourly series of M4.
SPANS = (
    84,
    180,
    730,
)  # newest seasons that the next ones are learned from; the forecasts are averaged
EFFECT_SPANS = SPANS[1:]  # and those that effects of known columns are learned from
NEAR = 1, 2  # seasons back whose values are columns, beside those of one a week before
TAKEN_OFF = (
    0.4,
    0.35,
)  # of what was a season and a week before, before effects of known columns are learned
STEPS_BACK, MEANS = (0, 1, 3), (1, 3)  # of a known column, and the seasons of its means
HINGES = 1 / 3, 2 / 3  # quantiles of a known column from which on another slope counts
NORMAL_DEVIATION = 0.6745  # median absolute deviation of a normal distribution of deviation 1
SKEWED, LOW = (
    0.8,
    0.1,
)  # skewness from which on values count from this quantile, not from the median
FARTHEST = 4.0  # deviations of a known column, or of a value from its window's mean, that count
SMALLEST = 1e-6  # deviation of a window, in deviations of the series
MAX_LONG_SEASON = 14  # seasons of a longer one
MIN_ROWS = 6  # seasons to learn from; fewer repeat the last one
WIDENED = 0.2  # share of the range of the past by which forecasts may leave it
MAX_STEPS = 17_500  # steps that anything is learned from
SHARE_OF_WINDOWS = (
    0.4  # of the forecast, that of windows which end at any step; the rest is that of whole seasons
)
MOST_WINDOWS, PRIOR = 4_000, 10  # that it is learned from; seasons of 0 that shrink a profile
LEAST_SEASONS = 7  # of a window, where no longer season is known
LARGEST_SEASON = 96  # steps of a season, beyond which such a map would take long
REFITS, MOST_OLD = (
    8,
    8,
)  # effects are learned anew after an eighth of the past, or so many seasons where that is less
REFIT_COST = 4e7  # operations that take as long as what `cost` does not count
CONTEXT = MAX_STEPS + 2_500  # steps of the past that a forecast rests on, as effects may be old


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast each window from its own past alone; see `forecast_series`."""
    points = np.zeros((len(values), horizon))
    for row, (past, seen) in enumerate(zip(values, observed, strict=True)):
        first = int(seen.argmax())
        columns, ends = np.zeros((len(past) - first + horizon, 0)), np.array([len(past) - first])
        window = past[first:], seen[first:], columns, first - len(past), ends, horizon, (season,)
        points[row] = forecast_series(*window)[0]
    return points


def forecast_series(
    values: Values,
    observed: Mask,
    known: Values,
    start: int,
    ends: Counts,
    horizon: int,
    seasons: tuple[int, ...],
) -> Values:
    """Forecast windows of one series by maps that are learned from its past.

    An additive effect of the known columns is learned first, piecewise linear in each: one for all steps of a season,
    and a shrunken correction for each step. What it leaves follows in part from whole seasons, the last two and the one
    a week before, on whose values all steps of a season are regressed. The other part is a map of windows that end at
    any step: of what the newest season and the first two of the newest week have beyond the profile of the week.
    Effects, profile and this map are learned at a few ages of a series; a window uses the newest that have seen nothing
    after its end. Values count as the inverse hyperbolic sine of their distance from the median, in deviations
    (Uniejewski, Weron and Ziel 2018); skewed ones of that from a value at their dense end, in its mean.
    """
    season = seasons[0] if seasons else 1
    longer = (steps // season for steps in seasons[1:] if steps % season == 0)
    long_season = next(
        (count for count in longer if count <= MAX_LONG_SEASON), 1
    )  # in seasons, as a week of days
    old = np.clip(np.minimum(ends, MAX_STEPS) // (REFITS * season), 1, MOST_OLD)  # seasons
    every = season * 2 ** np.log2(old).astype(np.int64)
    learned = (start + ends) // every * every - start
    learned = np.where((learned > 0) & (ends - learned <= CONTEXT - MAX_STEPS), learned, ends)
    points = np.zeros((len(ends), horizon))
    for age in np.unique(learned):
        rows = np.flatnonzero(learned == age)
        low, stop = max(0, int(age) - MAX_STEPS), int(ends[rows].max())
        low += int(observed[low:age].argmax())
        past = fill_gaps(values[None, low:stop], observed[None, low:stop], season)[0]
        columns, at = known[low : stop + horizon], ends[rows] - low
        points[rows] = _forecast(past, columns, int(age) - low, at, horizon, season, long_season)
    return points


def _forecast(
    values: Values,
    known: Values,
    age: int,
    ends: Counts,
    horizon: int,
    season: int,
    long_season: int,
) -> Values:
    """Forecasts of windows, [windows, horizon], with effects that are learned before position `age`."""
    past = values[:age]
    (middle, unit), low, high = _scale(past), past.min(), past.max()
    if unit <= 1e-14 * np.abs(past).max():
        return np.asarray(np.repeat(values[ends - 1, None], horizon, 1))
    scaled = np.arcsinh((values - middle) / unit)
    begins = sorted({max(0, age - span * season) for span in EFFECT_SPANS})
    effect, spans = (
        np.zeros(len(known)),
        np.searchsorted(begins, np.arange(len(known)), side="right"),
    )  # of each step
    for begin in begins if known.shape[1] else ():
        effect[begin:] += _effect(scaled[begin:], known[begin:], age - begin, season, long_season)
    effect /= np.maximum(spans, 1)
    rest, points = scaled - effect[: len(scaled)], np.zeros((len(ends), horizon))
    for row, end in enumerate(ends.tolist()):
        pasts = [
            rest[end - span : end] for span in sorted({min(end, span * season) for span in SPANS})
        ]
        points[row] = np.mean(
            [_next_seasons(past, horizon, season, long_season) for past in pasts], 0
        )
    lags, ahead = (
        season * (long_season if long_season > 1 else LEAST_SEASONS),
        ends[:, None] + np.arange(horizon),
    )
    if season <= LARGEST_SEASON and age - horizon >= 2 * lags:
        profile = np.resize(_profile(rest[:age], season * long_season), len(rest) + horizon)
        found = _from_windows(rest - profile[: len(rest)], age, ends, horizon, season, lags)
        points += SHARE_OF_WINDOWS * (found + profile[ahead] - points)
    points += effect[ahead]
    bounds = np.array([low, high]) + WIDENED * (high - low) * np.array([-1, 1])
    return np.asarray(
        np.sinh(np.clip(points, *np.arcsinh((bounds - middle) / unit))) * unit + middle
    )


def _scale(past: Values) -> tuple[float, float]:
    """From where values count, and in which unit: skewed ones from their dense end on, as logarithms count them."""
    middle, mean, deviation = np.median(past), past.mean(), past.std()
    unit = max(np.median(np.abs(past - middle)) / NORMAL_DEVIATION, deviation)
    skewness = (((past - mean) / deviation) ** 3).mean() if deviation > 0 else 0.0
    if abs(skewness) > SKEWED:
        middle = np.quantile(past, LOW if skewness > 0 else 1 - LOW)
        unit = np.abs(past - middle).mean()
    return float(middle), float(unit)


def _effect(scaled: Values, known: Values, age: int, season: int, long_season: int) -> Values:
    """What known columns [steps, columns] do to the values at each step, [steps], learned before position `age`."""
    count, before = age // season, max(2, long_season)
    if count < before + MIN_ROWS:
        return np.zeros(len(known))
    columns, begin = _features(known, age, season), age % season
    phases = columns[begin : begin + count * season].reshape(count, season, -1).swapaxes(0, 1)
    values = scaled[begin:age].reshape(count, season, 1).swapaxes(0, 1)

    def changes(
        of: Values,
    ) -> Values:  # [season, rows, ...], less much of what was a season and a week before
        return np.asarray(
            of[:, before:] - TAKEN_OFF[0] * of[:, before - 1 : -1] - TAKEN_OFF[1] * of[:, :-before]
        )

    moved, target = changes(phases), changes(values)
    centred, rows = moved - moved.mean(1, keepdims=True), count - before
    weights, _ = ridge(
        centred.reshape(season * rows, -1), (target - target.mean(1, keepdims=True)).reshape(-1, 1)
    )
    days = np.broadcast_to(
        _season_dummies(np.arange(rows), long_season), (season, rows, long_season - 1)
    )
    own, _ = ridge(np.concatenate([moved, days], 2), target - moved @ weights)
    step = (np.arange(len(known)) - begin) % season
    effect = (columns * (weights + own[:, : columns.shape[1]])[step, :, 0]).sum(1)
    return np.asarray(effect - effect[begin:age].mean())


def _features(known: Values, age: int, season: int) -> Values:
    """Known columns, standardised, with hinges, as they are now and were before, [steps, features]."""
    mean, deviation = column_statistics(known[:age])
    scaled = np.where(np.isfinite(known), known - mean, 0.0) / np.where(
        deviation > 0, deviation, np.inf
    )
    scaled = np.clip(scaled, -FARTHEST, FARTHEST)
    numeric = [column for column in scaled.T if len(np.unique(column[:age])) > 2]
    hinges = [
        np.maximum(column - knot, 0.0)
        for column in numeric
        for knot in np.quantile(column[:age], HINGES)
    ]
    features = np.concatenate([scaled, np.array(hinges).reshape(-1, len(scaled)).T], 1)
    steps = np.arange(len(features))
    sums = np.concatenate([np.zeros((1, features.shape[1])), np.cumsum(features, 0)])
    found = [features[np.maximum(steps - back, 0)] for back in STEPS_BACK]
    for seasons in MEANS:
        oldest = np.maximum(steps + 1 - seasons * season, 0)
        found.append((sums[steps + 1] - sums[oldest]) / (steps + 1 - oldest)[:, None])
    return np.concatenate(found, 1)


def _next_seasons(past: Values, horizon: int, season: int, long_season: int) -> Values:
    """The next steps, [horizon], by maps of whole seasons that are learned from the past, [steps]."""
    season = min(season, len(past))
    count, ahead = len(past) // season, -(-horizon // season)
    whole = past[len(past) - count * season :].reshape(count, season)
    return np.concatenate([_season(whole, later, long_season) for later in range(ahead)])[:horizon]


def _profile(values: Values, length: int) -> Values:
    """What each step of a season adds to the mean, [length]; less where few seasons say so."""
    phase = np.arange(len(values)) % length
    return np.asarray(
        np.bincount(phase, values - values.mean(), length)
        / (np.bincount(phase, None, length) + PRIOR)
    )


def _from_windows(
    values: Values, age: int, ends: Counts, horizon: int, season: int, lags: int
) -> Values:
    """The next steps of windows, [windows, horizon], by one map from windows that end at any step before `age`.

    A window has so many lags, of which the map reads the first two seasons and the last one. Its values count as
    distances from their mean, in deviations.
    """
    last = age - horizon
    rows = np.arange(last, lags - 1, -max(1, -(-(last - lags) // MOST_WINDOWS)))
    read, ahead = np.r_[-lags : 2 * season - lags, -season:0], np.arange(horizon)
    sums = [np.concatenate([[0.0], np.cumsum(values**power)]) for power in (1, 2)]

    def scale(at: Counts) -> tuple[Values, Values]:
        mean, square = ((total[at, None] - total[at - lags, None]) / lags for total in sums)
        return mean, np.sqrt(np.maximum(square - mean**2, SMALLEST**2))

    def scaled(at: Counts, steps: Counts, mean: Values, unit: Values) -> Values:
        return np.asarray(np.clip((values[at[:, None] + steps] - mean) / unit, -FARTHEST, FARTHEST))

    of_rows, (mean, unit) = scale(rows), scale(ends)
    weights, intercept = ridge(scaled(rows, read, *of_rows), scaled(rows, ahead, *of_rows))
    return np.asarray((scaled(ends, read, mean, unit) @ weights + intercept) * unit + mean)


def _season(whole: Values, later: int, long_season: int) -> Values:
    """One of the next seasons, [season], that comes after so many others; the past is [seasons, season]."""
    count = len(whole)
    back = sorted({*NEAR, long_season - later % long_season} if long_season > 1 else NEAR)
    if count - later - back[-1] < MIN_ROWS:
        long_season, back = 1, list(NEAR)
    rows = np.arange(back[-1], count - later)
    if len(rows) < MIN_ROWS:
        return np.asarray(whole[-1])

    def columns(at: Counts) -> Values:
        return np.concatenate(
            [*(whole[at - ago] for ago in back), _season_dummies(at, long_season)], 1
        )

    weights, intercept = ridge(columns(rows), whole[rows + later])
    return np.asarray((columns(np.array([count])) @ weights + intercept)[0])


def _season_dummies(count: Counts, long_season: int) -> Values:
    """Which season of a longer one each is, as columns of 0 and 1, [seasons, long_season - 1]."""
    return np.eye(long_season)[count % long_season][:, : long_season - 1]


def cost(steps: float, columns: int, horizon: int, season: int) -> float:
    """Operations of the forecast of one window of a series, roughly."""
    steps, features = (
        min(steps, MAX_STEPS),
        (len(STEPS_BACK) + len(MEANS)) * (1 + len(HINGES)) * columns,
    )
    effects = len(EFFECT_SPANS) * (4 * steps * features**2 + 10 * season * features**3)
    seasons, wide = steps / season, (len(NEAR) + 1) * season
    narrow, maps = min(seasons, wide), len(SPANS) * -(-horizon // season)
    read, windows = 3 * season * (season <= LARGEST_SEASON), min(steps, MOST_WINDOWS)
    any_step = 2 * read * windows * (read + horizon) + 10 * read**3
    return REFIT_COST + effects + any_step + maps * narrow * (2 * seasons * wide + 10 * narrow**2)


METHOD = Method(
    forecast, default_rank=12, context=CONTEXT, forecast_series=forecast_series, cost=cost
)
