"""Season lengths of real calendars and odd ones, and the shapes of seasons."""

from collections.abc import Mapping

import numpy as np

from forecast.pretrained.forecasting import HOURLY_SEASONS
from workshop.kind import Counts, Numbers, Seasons, bernoulli, column, log_uniform, slow_noise

LENGTHS = {
    1: 24,
    4: 14,
    12: 24,
    7: 11,
    24: 11,
    48: 3,
    52: 3,
    5: 2,
    6: 1,
    13: 1,
    26: 1,
    96: 1,
    144: 1,
    168: 1,
}
"""Season lengths, in steps, and how often each is drawn among 100."""
HOURS = dict(zip(HOURLY_SEASONS, (75, 20, 5), strict=True))
"""The same where all series are by the hour, or a part of it."""
MONTHS = {1: 35, 4: 25, 12: 40}
"""The same where all series are by the year, quarter or month."""
ODD_SHARE, LONGEST_ODD = 0.05, 60  # share of odd lengths, and the longest of them
SECOND = {
    7: (28, 91, 364),
    24: (168,),
    48: (336,),
    96: (672,),
    12: (48, 60),
    4: (16, 20),
    5: (20, 260),
    6: (42,),
}
"""Second seasons that come with a first one."""


def draw_seasons(
    rng: np.random.Generator, rows: int, steps: int, of: Mapping[int, int] = LENGTHS
) -> Seasons:
    """Season lengths of series; a second season holds at least twice in the series."""
    lengths, shares = np.array(list(of)), np.array(list(of.values()), float)
    season = rng.choice(lengths, rows, p=shares / shares.sum())
    season = np.where(
        bernoulli(rng, ODD_SHARE, rows), rng.integers(2, LONGEST_ODD + 1, rows), season
    )
    second = np.zeros(rows, np.int64)
    for row in np.flatnonzero(bernoulli(rng, 0.7, rows)):
        longer = [length for length in SECOND.get(int(season[row]), ()) if 2 * length <= steps]
        second[row] = rng.choice(longer) if longer else 0
    return Seasons(np.where(3 * season <= 2 * steps, season, 1), second, steps)


def season_profile(rng: np.random.Generator, length: int, of: int = 6) -> Numbers:
    """One season of mean 0 and deviation 1, [length], of one of the first `of` shapes; a season of one step is 0."""
    if length < 2:
        return np.zeros(1)
    at, kind = np.arange(length) / length, rng.integers(of)
    if kind <= 1:  # harmonics, the higher the weaker
        order = np.arange(1, rng.integers(1, min(length // 2, 9) + 1) + 1)
        size = rng.normal(size=len(order)) / order ** rng.uniform(0.3, 1.5)
        angle = 2 * np.pi * at[:, None] * order + rng.uniform(0, 2 * np.pi, len(order))
        profile = (size * np.cos(angle)).sum(1)
    elif kind == 2:  # every step its own
        profile = rng.normal(size=length)
    elif kind == 3:  # open and closed
        profile = np.roll((np.arange(length) < rng.integers(1, length)) * 1.0, rng.integers(length))
        profile += rng.uniform(0, 0.4) * rng.normal(size=length)
    elif kind == 4:  # one or two peaks
        profile = np.zeros(length)
        for _ in range(rng.integers(1, 3)):
            away = np.abs(at - rng.uniform())
            profile += rng.uniform(0.3, 1) * np.exp(
                -0.5 * (np.minimum(away, 1 - away) / rng.uniform(0.03, 0.2)) ** 2
            )
    else:  # a few steps stand out
        profile = rng.gamma(rng.uniform(0.3, 3), size=length)
    profile = profile - profile.mean()
    deviation = float(profile.std())
    return np.asarray(profile / deviation) if deviation > 1e-9 else np.zeros(length)


def repeated(
    rng: np.random.Generator, length: Counts, steps: int, wide: Counts | None = None, of: int = 6
) -> Numbers:
    """A season of each row, repeated, [rows, steps]; `wide` steps [rows] share a value, as the hours of a day may."""
    series = np.empty((len(length), steps))
    for row, (season, width) in enumerate(
        zip(length, np.ones_like(length) if wide is None else wide, strict=True)
    ):
        profile = np.repeat(season_profile(rng, max(1, int(season // width)), of), width)
        series[row] = np.resize(np.roll(profile, -rng.integers(len(profile))), steps)
    return series


def season_of(rng: np.random.Generator, seasons: Seasons, changing: float = 0.4) -> Numbers:
    """The first season and, where there is one, the second, [rows, steps]; the sizes of some change slowly."""
    rows, steps = seasons.shape
    season = repeated(rng, seasons.season, steps)
    changes = np.flatnonzero(bernoulli(rng, changing, rows))
    if len(changes):
        decay = seasons.season[changes] * log_uniform(rng, 3, 300, len(changes))
        shape = repeated(rng, seasons.season[changes], steps)
        depth = column(rng.uniform(0.1, 0.8, len(changes)))
        season[changes] *= 1 + depth * slow_noise(rng, decay, steps)
        season[changes] += 0.7 * depth * shape * slow_noise(rng, decay, steps)
    two = np.flatnonzero(seasons.second > 0)
    if len(two):
        # weeks of hours have one level a day, years of days any shape
        width = np.where(bernoulli(rng, 0.6, len(two)), seasons.season[two], 1)
        longer = column(rng.uniform(0.1, 1.2, len(two))) * repeated(
            rng, seasons.second[two], steps, width
        )
        # and some short seasons of each long one, as days of a week, are of another kind
        other, pairs = (
            column(bernoulli(rng, 0.5, len(two))),
            zip(seasons.season[two], seasons.second[two], strict=True),
        )
        kinds = [
            np.resize(np.repeat(rng.random(long // short) < 0.3, short), steps)
            for short, long in pairs
        ]
        other = other & np.array(kinds)
        season[two] = (
            np.where(other, repeated(rng, seasons.season[two], steps), season[two]) + longer
        )
    return season
