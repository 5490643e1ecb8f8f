"""Random walks and processes that return to a mean, with heavy tails and noise that comes in bursts."""

import numpy as np

from forecast.synthetic.kind import DRIFT, Numbers, Seasons, bernoulli, column, heavy_noise, log_uniform, slow_noise
from forecast.synthetic.seasons import season_of

SHARE = 9


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    noise = heavy_noise(rng, rows, steps)
    bursts = np.exp(column(rng.uniform(0, 0.8, rows)) * slow_noise(rng, log_uniform(rng, 5, 100, rows), steps))
    noise = np.where(column(bernoulli(rng, 0.4, rows)), noise * bursts, noise)
    drift = rng.normal(DRIFT, size=rows) * rng.choice([0.0, 0.05, 0.2], rows)
    walk = np.cumsum(noise + column(drift), 1)
    back = slow_noise(rng, log_uniform(rng, 2, 200, rows), steps) + column(log_uniform(rng, 0.03, 2, rows)) * noise
    series = np.where(column(bernoulli(rng, 0.5, rows)), walk, back)
    deviation = series.std(1, keepdims=True)
    size = column(np.where(bernoulli(rng, 0.5, rows), rng.uniform(0, 1.5, rows), 0)) * deviation
    series = series + size * season_of(rng, seasons)
    prices = bernoulli(rng, 0.3, rows)
    growth = column(log_uniform(rng, 0.1, 1.5, int(prices.sum())))
    series[prices] = np.exp(np.clip(series[prices] / np.maximum(deviation[prices], 1e-9) * growth, -9, 9))
    return np.asarray(series)
