"""Seasonal ARIMA processes of random order."""

import numpy as np

from forecast.synthetic.kind import DRIFT, Numbers, Seasons, autoregression, bernoulli, column, heavy_noise
from forecast.synthetic.seasons import repeated

SHARE = 10
BURN_IN = 60  # steps


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = len(seasons.season), seasons.steps + BURN_IN
    noise = heavy_noise(rng, rows, steps)
    for moving in (rng.uniform(-0.9, 0.6, rows), rng.uniform(-0.5, 0.5, rows)):  # q up to 2, as a product
        noise[:, 1:] += column(moving * bernoulli(rng, 0.6, rows)) * noise[:, :-1]
    inner, outer = rng.uniform(-0.6, 0.95, rows), rng.uniform(-0.5, 0.8, rows) * bernoulli(rng, 0.4, rows)
    series = autoregression(noise, inner + outer, -inner * outer)  # p up to 2, stable
    seasonal = (seasons.season > 1) & bernoulli(rng, 0.8, rows)
    for row in np.flatnonzero(seasonal):  # each step gets a share of what was a season before, or all of it
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
