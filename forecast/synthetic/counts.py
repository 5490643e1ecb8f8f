"""Counts: sales of slow and fast items, rare demand in lumps, items that fade out or come in."""

import numpy as np

from forecast.synthetic.kind import Numbers, Seasons, bernoulli, column, log_uniform, slow_noise
from forecast.synthetic.seasons import season_of

SHARE = 18


def simulate(rng: np.random.Generator, seasons: Seasons) -> Numbers:
    rows, steps = seasons.shape
    busy = bernoulli(rng, 0.3, rows)
    chance = np.where(busy, 1.0, log_uniform(rng, 0.03, 0.95, rows))
    size = np.where(busy, log_uniform(rng, 0.3, 300, rows), log_uniform(rng, 0.3, 30, rows))
    seasonal = column(np.where(bernoulli(rng, 0.5, rows), rng.uniform(0.1, 0.8, rows), 0.0)) * season_of(rng, seasons)
    slow = column(rng.uniform(0, 0.7, rows) * bernoulli(rng, 0.6, rows))
    moving = slow * slow_noise(rng, log_uniform(rng, 5, 300, rows), steps)
    trend = column(rng.normal(size=rows) * bernoulli(rng, 0.3, rows)) * np.linspace(-1, 1, steps)
    # an item fades out or comes in around some time
    turn = column(rng.uniform(0.2, 1.1, rows) * steps)
    fade = 1 / (1 + np.exp(np.clip((np.arange(steps) - turn) / column(log_uniform(rng, 1, steps / 4, rows)), -30, 30)))
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
    return np.asarray((wanted < column(chance) * np.minimum(share + 0.05, 1)) * rng.poisson(rate) * lot, float)
