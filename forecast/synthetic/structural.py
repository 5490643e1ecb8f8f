"""Structural series: a wandering level, a damped trend, a season that evolves, autocorrelated noise."""

import numpy as np

from forecast.synthetic.kind import DRIFT, Numbers, Seasons, autoregression, bernoulli, column, heavy_noise, log_uniform
from forecast.synthetic.seasons import season_of

SHARE = 28


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    # few steps a year move more from one to the next than many do
    pace = 10 ** rng.uniform(-0.4, 0.4, rows) * np.where(seasons.season > 12, 0.4, np.where(seasons.season > 1, 1, 2.0))
    damping = np.where(bernoulli(rng, 0.5, rows), 1.0, rng.uniform(0.8, 1.0, rows))
    slope = autoregression(column(log_uniform(rng, 1e-4, 0.05, rows) * pace) * rng.normal(size=(rows, steps)), damping)
    drift = rng.normal(DRIFT, size=rows) * log_uniform(rng, 3e-4, 0.15, rows) * pace
    wander = log_uniform(rng, 3e-3, 0.5, rows) * pace
    level = np.cumsum(slope + column(drift) + column(wander) * heavy_noise(rng, rows, steps), 1)
    seasonal = np.where(bernoulli(rng, 0.9, rows), log_uniform(rng, 0.05, 3, rows), 0.0)
    noise = column(log_uniform(rng, 3e-3, 1, rows)) * heavy_noise(rng, rows, steps)
    series = level + column(seasonal) * season_of(rng, seasons) + autoregression(noise, rng.uniform(-0.3, 0.8, rows))
    growing = bernoulli(rng, 0.5, rows)
    # logarithms of a series that grows, whose season and noise grow with it
    series[growing] = np.exp(np.clip(series[growing] * column(rng.uniform(0.05, 0.5, int(growing.sum()))), -9, 9))
    return series
