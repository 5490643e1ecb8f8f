"""Calendars: seasons with holidays that lift or empty single steps once a year, weekends, outliers."""

import numpy as np

from forecast.synthetic.kind import Numbers, Seasons, autoregression, bernoulli, column, heavy_noise, log_uniform
from forecast.synthetic.seasons import season_of

SHARE = 6
YEARS = {7: 365, 5: 261, 24: 8766}  # steps between two holidays of one name, by season; others have 50


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    level = np.cumsum(column(log_uniform(rng, 1e-4, 0.02, rows)) * rng.normal(size=(rows, steps)), 1)
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
