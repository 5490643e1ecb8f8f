"""Sums and products of smooth random functions, as Gaussian processes draw them: by random frequencies."""

import numpy as np

from forecast.synthetic.kind import Numbers, Seasons, bernoulli, column, log_uniform
from forecast.synthetic.seasons import repeated

SHARE = 9
FREQUENCIES = 8  # of each function


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    series = _smooth(rng, rows, steps) * column(rng.choice([0.3, 1.0, 2.0], rows))
    series += column(rng.normal(size=rows) * bernoulli(rng, 0.4, rows)) * np.linspace(-1, 1, steps)
    changing = column(bernoulli(rng, 0.5, rows) * 1.0)
    season = repeated(rng, seasons.season, steps) * (1 - changing + changing * _smooth(rng, rows, steps))
    series += column(rng.uniform(0, 2, rows)) * season
    time = np.arange(steps)
    for _ in range(3):  # cycles of any length, which no calendar has
        period = column(log_uniform(rng, 3, 400, rows))
        size = column(rng.normal(size=rows) * bernoulli(rng, 0.3, rows))
        series += size * np.sin(2 * np.pi * time / period + column(rng.uniform(0, 2 * np.pi, rows)))
    return np.asarray(series + column(log_uniform(rng, 0.005, 1, rows)) * rng.normal(size=(rows, steps)))


def _smooth(rng: np.random.Generator, rows: int, steps: int) -> Numbers:
    """Functions of variance 1 that change within some tens to hundreds of steps, [rows, steps]."""
    rough = column(log_uniform(rng, 10, 600, rows))
    heavy = ~bernoulli(rng, 0.5, rows)  # a rougher kernel than the Gaussian one
    frequency = rng.normal(size=(rows, FREQUENCIES)) / rough
    frequency[heavy] /= np.sqrt(rng.chisquare(3.0, size=(int(heavy.sum()), FREQUENCIES)) / 3)
    phase = rng.uniform(0, 2 * np.pi, (rows, FREQUENCIES))
    angle = frequency[..., None] * np.arange(steps) + phase[..., None]  # [rows, frequencies, steps]
    return np.asarray(np.cos(angle).sum(1) * np.sqrt(2 / FREQUENCIES))
