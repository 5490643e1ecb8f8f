"""Products of a smooth trend, seasons and noise."""

import numpy as np

from forecast.synthetic.kind import DRIFT, Numbers, Seasons, autoregression, column, heavy_noise, log_uniform
from forecast.synthetic.seasons import season_of

SHARE = 14


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    time = np.linspace(0, 1, steps)
    bend = np.maximum(time - column(rng.uniform(0.2, 0.95, rows)), 0)
    trend = column(rng.normal(DRIFT, size=rows)) * time + column(rng.normal(size=rows) * 0.5) * time**2
    trend = 1 + trend + column(rng.normal(size=rows) * rng.integers(0, 2, rows)) * bend * 2
    season = column(log_uniform(rng, 0.02, 0.6, rows)) * season_of(rng, seasons, changing=0.2)
    noise = autoregression(heavy_noise(rng, rows, steps), rng.choice([0.0, 0.0, 0.3, 0.7], rows))
    return np.asarray(trend * (1 + season) * (1 + column(log_uniform(rng, 0.003, 0.4, rows)) * noise))
