"""Kinds of synthetic series, each a function from seasons to series [rows, steps]."""

from collections.abc import Callable

import numpy as np

from workshop.kind import (
    DRIFT,
    Numbers,
    Seasons,
    autoregression,
    bernoulli,
    column,
    heavy_noise,
    log_uniform,
    slow_noise,
    standardised,
)
from workshop.seasons import repeated, season_of

BURN_IN = 60  # steps
YEARS = {
    7: 365,
    5: 261,
    24: 8766,
}  # steps between two holidays of one name, by season; others have 50
FREQUENCIES = 8  # of each function


def arima(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Seasonal ARIMA processes of random order."""
    rows, steps = len(seasons.season), seasons.steps + BURN_IN
    noise = heavy_noise(rng, rows, steps)
    for moving in (
        rng.uniform(-0.9, 0.6, rows),
        rng.uniform(-0.5, 0.5, rows),
    ):  # q up to 2, as a product
        noise[:, 1:] += column(moving * bernoulli(rng, 0.6, rows)) * noise[:, :-1]
    inner, outer = (
        rng.uniform(-0.6, 0.95, rows),
        rng.uniform(-0.5, 0.8, rows) * bernoulli(rng, 0.4, rows),
    )
    series = autoregression(noise, inner + outer, -inner * outer)  # p up to 2, stable
    seasonal = (seasons.season > 1) & bernoulli(rng, 0.8, rows)
    for row in np.flatnonzero(
        seasonal
    ):  # each step gets a share of what was a season before, or all of it
        past, season = series[row], int(seasons.season[row])
        share = 1.0 if rng.random() < 0.5 else rng.uniform(0.2, 0.95)
        past[season:] += rng.uniform(-0.9, 0.0) * past[:-season].copy()
        for start in range(season, steps, season):
            end = min(start + season, steps)
            past[start:end] += share * past[start - season : end - season]
    order = rng.choice(3, rows, p=[0.3, 0.5, 0.2])  # d
    drift = rng.normal(DRIFT, size=rows) * rng.choice([0, 0, 0.1, 0.3], rows)
    series = np.where(column(order) > 0, np.cumsum(series + column(drift), 1), series)
    series = np.where(column(order) > 1, np.cumsum(series, 1), series)
    size = column(np.where(seasonal, rng.uniform(0, 3, rows), 0.0)) * series.std(1, keepdims=True)
    return np.asarray((series + size * repeated(rng, seasons.season, steps))[:, BURN_IN:])


def bursts(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Bursts that fade: river flows, visits after a mention, cases of a disease; now and then as totals to date."""
    rows, steps = seasons.shape
    often = column(log_uniform(rng, 0.005, 0.3, rows))
    season = column(rng.uniform(0, 1, rows) * bernoulli(rng, 0.6, rows)) * season_of(rng, seasons)
    rate = often * np.exp(
        np.clip(season + 0.7 * slow_noise(rng, log_uniform(rng, 10, 300, rows), steps), -6, 2)
    )
    size = rng.exponential(size=(rows, steps)) ** column(rng.uniform(0.5, 2, rows))
    shots = (rng.random((rows, steps)) < np.minimum(rate, 0.9)) * size
    fast, slow = (
        np.exp(-1 / log_uniform(rng, 0.5, 20, rows)),
        np.exp(-1 / log_uniform(rng, 10, 200, rows)),
    )
    share = column(rng.uniform(0, 0.6, rows))
    series = (1 - share) * autoregression(shots.copy(), fast) + share * autoregression(
        shots * 0.2, slow
    )
    rising = column(bernoulli(rng, 0.5, rows))  # a burst that builds up first
    series = np.where(rising, autoregression(series, rng.uniform(0.2, 0.9, rows)), series)
    ground = column(rng.uniform(0.02, 1, rows)) * np.exp(
        0.3 * slow_noise(rng, log_uniform(rng, 20, 400, rows), steps)
    )
    series = (series + ground) * np.exp(
        column(rng.uniform(0.01, 0.3, rows)) * rng.normal(size=(rows, steps))
    )
    return np.where(column(bernoulli(rng, 0.2, rows)), np.cumsum(series, 1), series)


def counts(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Counts: sales of slow and fast items, rare demand in lumps, items that fade out or come in."""
    rows, steps = seasons.shape
    busy = bernoulli(rng, 0.3, rows)
    chance = np.where(busy, 1.0, log_uniform(rng, 0.03, 0.95, rows))
    size = np.where(busy, log_uniform(rng, 0.3, 300, rows), log_uniform(rng, 0.3, 30, rows))
    seasonal = column(
        np.where(bernoulli(rng, 0.5, rows), rng.uniform(0.1, 0.8, rows), 0.0)
    ) * season_of(rng, seasons)
    slow = column(rng.uniform(0, 0.7, rows) * bernoulli(rng, 0.6, rows))
    moving = slow * slow_noise(rng, log_uniform(rng, 5, 300, rows), steps)
    trend = column(rng.normal(size=rows) * bernoulli(rng, 0.3, rows)) * np.linspace(-1, 1, steps)
    # an item fades out or comes in around some time
    turn = column(rng.uniform(0.2, 1.1, rows) * steps)
    fade = 1 / (
        1
        + np.exp(
            np.clip(
                (np.arange(steps) - turn) / column(log_uniform(rng, 1, steps / 4, rows)), -30, 30
            )
        )
    )
    fading, coming = column(bernoulli(rng, 0.15, rows)), column(bernoulli(rng, 0.08, rows))
    share = np.where(fading, fade, np.where(coming, 1 - fade, 1.0))
    rate = column(size) * np.exp(np.clip(seasonal + moving + trend, -6, 3)) * share
    # sizes that scatter more than Poisson counts do, and demand that comes in clusters
    shape = column(np.where(bernoulli(rng, 0.5, rows), log_uniform(rng, 0.3, 20, rows), 1e3))
    rate = rate * rng.gamma(shape, 1 / shape, (rows, steps))
    rhythm = slow_noise(rng, log_uniform(rng, 1, 30, rows), steps)
    clustered = column(bernoulli(rng, 0.3, rows))
    ranks = rhythm.argsort(1).argsort(1) / steps  # from 0 to 1
    wanted = np.where(clustered, ranks, rng.random((rows, steps)))
    lot = column(np.where(bernoulli(rng, 0.15, rows), rng.choice([2, 5, 6, 10, 12, 50], rows), 1))
    return np.asarray(
        (wanted < column(chance) * np.minimum(share + 0.05, 1)) * rng.poisson(rate) * lot, float
    )


def decomposed(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Products of a smooth trend, seasons and noise."""
    rows, steps = seasons.shape
    time = np.linspace(0, 1, steps)
    bend = np.maximum(time - column(rng.uniform(0.2, 0.95, rows)), 0)
    trend = (
        column(rng.normal(DRIFT, size=rows)) * time + column(rng.normal(size=rows) * 0.5) * time**2
    )
    trend = 1 + trend + column(rng.normal(size=rows) * rng.integers(0, 2, rows)) * bend * 2
    season = column(log_uniform(rng, 0.02, 0.6, rows)) * season_of(rng, seasons, changing=0.2)
    noise = autoregression(heavy_noise(rng, rows, steps), rng.choice([0.0, 0.0, 0.3, 0.7], rows))
    return np.asarray(
        trend * (1 + season) * (1 + column(log_uniform(rng, 0.003, 0.4, rows)) * noise)
    )


def events(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Calendars: seasons with holidays that lift or empty single steps once a year, weekends, outliers."""
    rows, steps = seasons.shape
    level = np.cumsum(
        column(log_uniform(rng, 1e-4, 0.02, rows)) * rng.normal(size=(rows, steps)), 1
    )
    season = column(log_uniform(rng, 0.03, 0.5, rows)) * season_of(rng, seasons, changing=0.3)
    noise = autoregression(heavy_noise(rng, rows, steps), rng.uniform(0, 0.6, rows))
    series = level + season + column(log_uniform(rng, 0.01, 0.2, rows)) * noise
    for row in range(rows):
        year = YEARS.get(int(seasons.season[row]), 50)
        for _ in range(rng.integers(0, 6)):
            days = np.arange(rng.integers(year), steps, year)
            series[row, days] += rng.normal() * 0.5 + 0.1 * rng.normal(size=len(days))
    outliers = rng.random((rows, steps)) < column(np.where(bernoulli(rng, 0.4, rows), 0.01, 0.0))
    series += outliers * rng.normal(size=(rows, steps)) * 2
    return np.where(column(bernoulli(rng, 0.6, rows)), np.exp(np.clip(series, -9, 9)), series)


def growth(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Growth that saturates, explodes or decays, in levels or as sums of what is added."""
    rows, steps = seasons.shape
    away = np.arange(steps) - column(rng.uniform(0.2, 1.4, rows) * steps)
    away /= column(log_uniform(rng, 3, steps / 3, rows))
    logistic = 1 / (1 + np.exp(-np.clip(away, -30, 30)))
    gompertz = np.exp(-np.exp(-np.clip(away, -3, 30)))
    rate = column(rng.normal(size=rows) * log_uniform(rng, 0.3, 4, rows))
    exponential = np.exp(np.clip(rate * np.linspace(0, 1, steps), -6, 6))
    curve = np.choose(column(rng.integers(3, size=rows)), [logistic, gompertz, exponential])
    curve += column(log_uniform(rng, 1e-3, 0.5, rows))  # where it starts from
    noise = autoregression(heavy_noise(rng, rows, steps), rng.uniform(0, 0.98, rows))
    season = column(
        np.where(bernoulli(rng, 0.5, rows), log_uniform(rng, 0.01, 0.3, rows), 0.0)
    ) * season_of(rng, seasons)
    series = curve * np.exp(
        np.clip(column(log_uniform(rng, 0.002, 0.15, rows)) * noise + season, -3, 3)
    )
    # a total to date never falls
    summed = column(bernoulli(rng, 0.25, rows))
    return np.where(
        summed, np.cumsum(np.maximum(series, 0) * rng.gamma(2, 0.5, (rows, steps)), 1), series
    )


def hours(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Days and weekends that the weather moves; some series have no week, move slowly and hardly scatter."""
    rows, steps = seasons.shape
    twice, calm = np.tile(seasons.season, 2), 1 + 9 * bernoulli(rng, 0.35, rows)
    peaks = column(rng.uniform(0, 1.3, 2 * rows)) * repeated(rng, twice, steps, of=2)
    work, rest = np.split(standardised(np.exp(peaks)), 2)
    day, weekly = (
        np.arange(steps) // column(seasons.season),
        column((seasons.second > 0) & (calm == 1)),
    )
    free = (
        column(rng.random(rows)) * work
        + column(rng.random(rows)) * rest
        - column(rng.normal(0.5, 0.8, rows))
    )
    series = np.where(weekly & ((day + column(rng.integers(7, size=rows))) % 7 > 4), free, work)
    levels = repeated(rng, 7 * seasons.season, steps, seasons.season)
    series += weekly * column(log_uniform(rng, 0.02, 0.4, rows)) * levels
    days = twice * np.tile(calm, 2)
    slow, fast = (
        days * log_uniform(rng, 0.3, 12, 2 * rows),
        days * log_uniform(rng, 0.01, 0.4, 2 * rows),
    )
    warm, wet = np.split(
        standardised(autoregression(slow_noise(rng, slow, steps), np.exp(-1 / fast))), 2
    )
    noise = standardised(autoregression(heavy_noise(rng, rows, steps), rng.uniform(0, 0.95, rows)))
    series *= np.exp(column(log_uniform(rng, 0.02, 0.5, rows)) * wet)
    series += column(log_uniform(rng, 0.04, 3, rows) / np.sqrt(calm)) * warm
    series += column(log_uniform(rng, 0.01, 0.6, rows) / calm**1.5) * noise
    grown = np.exp(np.clip(column(rng.uniform(0.1, 1.2, rows)) * series, -7, 5))
    counts = rng.poisson(grown * column(log_uniform(rng, 2, 300, rows)))
    whole = np.round(series * column(log_uniform(rng, 8, 400, rows)))
    return np.choose(
        column(rng.choice(4, rows, p=[0.35, 0.2, 0.1, 0.35])), [grown, series, counts, whole]
    )


def regimes(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Levels that jump, states that come and go, and now and then a spike."""
    rows, steps = seasons.shape
    jumps = rng.random((rows, steps)) < column(log_uniform(rng, 0.5, 12, rows) / steps)
    level = np.cumsum(jumps * rng.normal(size=(rows, steps)) * 2, 1)
    # two states with their own level and noise
    switches = rng.random((rows, steps)) < column(log_uniform(rng, 0.002, 0.1, rows))
    state = np.cumsum(switches, 1) % 2 * column(bernoulli(rng, 0.4, rows) * 1.0)
    level += state * column(rng.normal(size=rows) * 2)
    keep = column(np.where(bernoulli(rng, 0.3, rows), rng.uniform(0.3, 0.95, rows), 0.0))
    level = autoregression(level * (1 - keep), keep[:, 0])  # the level is reached step by step
    noise = column(log_uniform(rng, 0.02, 1, rows)) * heavy_noise(rng, rows, steps) * (1 + state)
    spikes = (rng.random((rows, steps)) < 0.02) * rng.normal(size=(rows, steps)) * 5
    series = level + column(rng.uniform(0, 2, rows)) * season_of(rng, seasons) + noise
    return np.asarray(series + spikes * column(bernoulli(rng, 0.4, rows) * 1.0))


def smooth(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Sums and products of smooth random functions, as Gaussian processes draw them: by random frequencies."""
    rows, steps = seasons.shape
    series = _smooth(rng, rows, steps) * column(rng.choice([0.3, 1.0, 2.0], rows))
    series += column(rng.normal(size=rows) * bernoulli(rng, 0.4, rows)) * np.linspace(-1, 1, steps)
    changing = column(bernoulli(rng, 0.5, rows) * 1.0)
    season = repeated(rng, seasons.season, steps) * (
        1 - changing + changing * _smooth(rng, rows, steps)
    )
    series += column(rng.uniform(0, 2, rows)) * season
    time = np.arange(steps)
    for _ in range(3):  # cycles of any length, which no calendar has
        period = column(log_uniform(rng, 3, 400, rows))
        size = column(rng.normal(size=rows) * bernoulli(rng, 0.3, rows))
        series += size * np.sin(2 * np.pi * time / period + column(rng.uniform(0, 2 * np.pi, rows)))
    return np.asarray(
        series + column(log_uniform(rng, 0.005, 1, rows)) * rng.normal(size=(rows, steps))
    )


def _smooth(rng: np.random.Generator, rows: int, steps: int) -> Numbers:
    """Functions of variance 1 that change within some tens to hundreds of steps, [rows, steps]."""
    rough = column(log_uniform(rng, 10, 600, rows))
    heavy = ~bernoulli(rng, 0.5, rows)  # a rougher kernel than the Gaussian one
    frequency = rng.normal(size=(rows, FREQUENCIES)) / rough
    frequency[heavy] /= np.sqrt(rng.chisquare(3.0, size=(int(heavy.sum()), FREQUENCIES)) / 3)
    phase = rng.uniform(0, 2 * np.pi, (rows, FREQUENCIES))
    angle = frequency[..., None] * np.arange(steps) + phase[..., None]  # [rows, frequencies, steps]
    return np.asarray(np.cos(angle).sum(1) * np.sqrt(2 / FREQUENCIES))


def structural(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Structural series: a wandering level, a damped trend, a season that evolves, autocorrelated noise."""
    rows, steps = seasons.shape
    # few steps a year move more from one to the next than many do
    pace = 10 ** rng.uniform(-0.4, 0.4, rows) * np.where(
        seasons.season > 12, 0.4, np.where(seasons.season > 1, 1, 2.0)
    )
    damping = np.where(bernoulli(rng, 0.5, rows), 1.0, rng.uniform(0.8, 1.0, rows))
    slope = autoregression(
        column(log_uniform(rng, 1e-4, 0.05, rows) * pace) * rng.normal(size=(rows, steps)), damping
    )
    drift = rng.normal(DRIFT, size=rows) * log_uniform(rng, 3e-4, 0.15, rows) * pace
    wander = log_uniform(rng, 3e-3, 0.5, rows) * pace
    level = np.cumsum(slope + column(drift) + column(wander) * heavy_noise(rng, rows, steps), 1)
    seasonal = np.where(bernoulli(rng, 0.9, rows), log_uniform(rng, 0.05, 3, rows), 0.0)
    noise = column(log_uniform(rng, 3e-3, 1, rows)) * heavy_noise(rng, rows, steps)
    series = (
        level
        + column(seasonal) * season_of(rng, seasons)
        + autoregression(noise, rng.uniform(-0.3, 0.8, rows))
    )
    growing = bernoulli(rng, 0.5, rows)
    # logarithms of a series that grows, whose season and noise grow with it
    series[growing] = np.exp(
        np.clip(series[growing] * column(rng.uniform(0.05, 0.5, int(growing.sum()))), -9, 9)
    )
    return series


def walks(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    """Random walks and processes that return to a mean, with heavy tails and noise that comes in bursts."""
    rows, steps = seasons.shape
    noise = heavy_noise(rng, rows, steps)
    bursts = np.exp(
        column(rng.uniform(0, 0.8, rows)) * slow_noise(rng, log_uniform(rng, 5, 100, rows), steps)
    )
    noise = np.where(column(bernoulli(rng, 0.4, rows)), noise * bursts, noise)
    drift = rng.normal(DRIFT, size=rows) * rng.choice([0.0, 0.05, 0.2], rows)
    walk = np.cumsum(noise + column(drift), 1)
    back = (
        slow_noise(rng, log_uniform(rng, 2, 200, rows), steps)
        + column(log_uniform(rng, 0.03, 2, rows)) * noise
    )
    series = np.where(column(bernoulli(rng, 0.5, rows)), walk, back)
    deviation = series.std(1, keepdims=True)
    size = column(np.where(bernoulli(rng, 0.5, rows), rng.uniform(0, 1.5, rows), 0)) * deviation
    series = series + size * season_of(rng, seasons)
    prices = bernoulli(rng, 0.3, rows)
    growth = column(log_uniform(rng, 0.1, 1.5, int(prices.sum())))
    series[prices] = np.exp(
        np.clip(series[prices] / np.maximum(deviation[prices], 1e-9) * growth, -9, 9)
    )
    return np.asarray(series)


KINDS: dict[str, tuple[int, Callable[[np.random.Generator, Seasons], Numbers]]] = {
    "arima": (10, arima),
    "bursts": (7, bursts),
    "counts": (18, counts),
    "decomposed": (14, decomposed),
    "events": (6, events),
    "growth": (5, growth),
    "regimes": (7, regimes),
    "smooth": (9, smooth),
    "structural": (28, structural),
    "walks": (9, walks),
    "hours": (0, hours),  # drawn for the specialist alone
}
"""How often series are of a kind, beside the others, and what draws them."""
