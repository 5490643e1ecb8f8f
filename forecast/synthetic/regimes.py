"""Levels that jump, states that come and go, and now and then a spike."""

import numpy as np

from forecast.synthetic.kind import Numbers, Seasons, autoregression, bernoulli, column, heavy_noise, log_uniform
from forecast.synthetic.seasons import season_of

SHARE = 7


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
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
