"""Draw series of all kinds, mix some, and distort some as real records are."""

import numpy as np

from workshop.kind import Flags, Numbers, Seasons, bernoulli, column, log_uniform, standardised
from workshop.kinds import KINDS
from workshop.seasons import draw_seasons, season_of
from workshop.specialists import SPECIALISTS, Specialist

VERSION = 1  # of the generator: another one draws other series from the same seed
NEGATED_SHARE = 0.15  # share of series times -1: a network may read mirror images too
MIXED_SHARE = 0.12  # share of series that are sums of two kinds
STRONG_FROM, STRONG_SHARE = (
    7,
    0.5,
)  # season length from which on, and share of series that get a strong season
GROWING_SHARE = 0.4  # share of series that grow by a share each year
YEARS, LONG_YEAR = (
    {1: 1, 4: 4, 12: 12, 52: 52, 5: 261, 7: 365, 24: 8766},
    500,
)  # steps of a year, by season
ABOVE_ZERO_SHARE = 0.85  # share of series without a value below 0, as most records have none


def draw_series(
    rng: np.random.Generator, rows: int, steps: int, kept: Specialist = SPECIALISTS["all"]
) -> tuple[Numbers, Seasons]:
    """Series such as a specialist reads, [rows, steps], always finite, and their seasons."""
    seasons = draw_seasons(rng, rows, steps, kept.seasons)
    series = _of_all_kinds(rng, seasons, kept)
    mixed = np.flatnonzero(bernoulli(rng, MIXED_SHARE, rows))
    if len(mixed):
        share = column(rng.uniform(0.2, 0.8, len(mixed)))
        other = standardised(_of_all_kinds(rng, seasons.select(mixed), kept))
        series[mixed] = share * standardised(series[mixed]) + (1 - share) * other
    series = _with_strong_season(
        rng, np.nan_to_num(series, nan=0.0, posinf=1e9, neginf=-1e9), seasons
    )
    return _distorted(rng, _with_growth(rng, series, seasons)), seasons


def _of_all_kinds(rng: np.random.Generator, seasons: Seasons, kept: Specialist) -> Numbers:
    """Each row of one kind, [rows, steps]."""
    shares = np.array(list(kept.shares().values()), float)
    chosen, series = (
        rng.choice(len(shares), len(seasons.season), p=shares / shares.sum()),
        np.zeros(seasons.shape),
    )
    for number, (_, simulate) in enumerate(KINDS.values()):
        if len(rows := np.flatnonzero(chosen == number)):
            series[rows] = simulate(rng, seasons.select(rows))
    return series


def _with_strong_season(rng: np.random.Generator, series: Numbers, seasons: Seasons) -> Numbers:
    """A further season for some rows whose season is long, as most real ones have a strong one, [rows, steps]."""
    rows = np.flatnonzero(
        (seasons.season >= STRONG_FROM) & bernoulli(rng, STRONG_SHARE, len(seasons.season))
    )
    if len(rows):
        season, chosen = season_of(rng, seasons.select(rows), changing=0.2), series[rows]
        size = column(log_uniform(rng, 0.1, 0.8, len(rows)))
        added = chosen + 4 * size * chosen.std(1, keepdims=True) * season
        grown = chosen * np.exp(np.clip(size * season, -3, 3))
        changed = np.where(chosen.min(1, keepdims=True) > 0, grown, added)
        series[rows] = np.where(_is_whole(chosen), np.round(grown), changed)
    return series


def _with_growth(rng: np.random.Generator, series: Numbers, seasons: Seasons) -> Numbers:
    """Some positive series grow or shrink by a share each year, [rows, steps]."""
    year = np.array([YEARS.get(int(season), LONG_YEAR) for season in seasons.season])
    year = np.where(
        (seasons.season == 1) & bernoulli(rng, 0.4, len(seasons.season)), LONG_YEAR, year
    )
    rate = log_uniform(rng, 0.01, 0.3, len(seasons.season)) * np.where(
        bernoulli(rng, 0.75, len(seasons.season)), 1, -1
    )
    growth = np.exp(np.clip(column(rate / year) * np.arange(seasons.steps), -9, 9))
    chosen = column(bernoulli(rng, GROWING_SHARE, len(seasons.season)) & (series.min(1) > 0))
    return np.where(
        chosen, np.where(_is_whole(series), np.round(series * growth), series * growth), series
    )


def _is_whole(series: Numbers) -> Flags:
    """Whether series have whole numbers only, as counts have, [rows, 1]."""
    return np.asarray((series == np.round(series)).all(1, keepdims=True))


def _distorted(rng: np.random.Generator, series: Numbers) -> Numbers:
    """Lifted above 0, cut off below, rounded, rescaled from some step on, turned over, as records, [rows, steps]."""
    rows, steps = len(series), int(series.shape[1])
    deviation = series.std(1, keepdims=True) + 1e-9
    lifted = column(bernoulli(rng, ABOVE_ZERO_SHARE, rows) & (series.min(1) < 0))
    above_zero = (
        series - series.min(1, keepdims=True) + deviation * column(2 * rng.exponential(size=rows))
    )
    series = np.where(lifted, above_zero, series)
    floor = np.quantile(series, 0.3, axis=1, keepdims=True)
    series = np.where(column(bernoulli(rng, 0.03, rows)), np.maximum(series - floor, 0), series)
    rounded, grain = (
        column(bernoulli(rng, 0.1, rows)),
        deviation / column(log_uniform(rng, 1, 30, rows)),
    )
    series = np.where(rounded, np.round(series / grain), series)
    # a change of unit, or a shock that lasts
    since = np.arange(steps) >= column(rng.integers(0, steps, size=rows))
    changed = column(bernoulli(rng, 0.03, rows)) & since
    series = np.where(changed, series * column(log_uniform(rng, 0.3, 3, rows)), series)
    whole = _is_whole(series)  # counts stay counts
    series = np.where(column(bernoulli(rng, NEGATED_SHARE, rows)), -series, series)
    size = np.maximum(np.abs(series).max(1, keepdims=True), 1e-9)
    return np.where(whole, series, series / size * column(log_uniform(rng, 0.1, 1e5, rows)))
