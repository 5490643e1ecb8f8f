"""Bursts that fade: river flows, visits after a mention, cases of a disease; now and then as totals to date."""

import numpy as np

from forecast.synthetic.kind import Numbers, Seasons, autoregression, bernoulli, column, log_uniform, slow_noise
from forecast.synthetic.seasons import season_of

SHARE = 7


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    often = column(log_uniform(rng, 0.005, 0.3, rows))
    season = column(rng.uniform(0, 1, rows) * bernoulli(rng, 0.6, rows)) * season_of(rng, seasons)
    rate = often * np.exp(np.clip(season + 0.7 * slow_noise(rng, log_uniform(rng, 10, 300, rows), steps), -6, 2))
    size = rng.exponential(size=(rows, steps)) ** column(rng.uniform(0.5, 2, rows))
    shots = (rng.random((rows, steps)) < np.minimum(rate, 0.9)) * size
    fast, slow = np.exp(-1 / log_uniform(rng, 0.5, 20, rows)), np.exp(-1 / log_uniform(rng, 10, 200, rows))
    share = column(rng.uniform(0, 0.6, rows))
    series = (1 - share) * autoregression(shots.copy(), fast) + share * autoregression(shots * 0.2, slow)
    rising = column(bernoulli(rng, 0.5, rows))  # a burst that builds up first
    series = np.where(rising, autoregression(series, rng.uniform(0.2, 0.9, rows)), series)
    ground = column(rng.uniform(0.02, 1, rows)) * np.exp(0.3 * slow_noise(rng, log_uniform(rng, 20, 400, rows), steps))
    series = (series + ground) * np.exp(column(rng.uniform(0.01, 0.3, rows)) * rng.normal(size=(rows, steps)))
    return np.where(column(bernoulli(rng, 0.2, rows)), np.cumsum(series, 1), series)
