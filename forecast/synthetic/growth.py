"""Growth that saturates, explodes or decays, in levels or as sums of what is added."""

import numpy as np

from forecast.synthetic.kind import Numbers, Seasons, autoregression, bernoulli, column, heavy_noise, log_uniform
from forecast.synthetic.seasons import season_of

SHARE = 5


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
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
    season = column(np.where(bernoulli(rng, 0.5, rows), log_uniform(rng, 0.01, 0.3, rows), 0.0)) * season_of(
        rng, seasons
    )
    series = curve * np.exp(np.clip(column(log_uniform(rng, 0.002, 0.15, rows)) * noise + season, -3, 3))
    # a total to date never falls
    summed = column(bernoulli(rng, 0.25, rows))
    return np.where(summed, np.cumsum(np.maximum(series, 0) * rng.gamma(2, 0.5, (rows, steps)), 1), series)
