"""What a kind of series is drawn from: seasons and lengths, numbers by row, and recursions over time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

DRIFT = 0.4  # mean of drifts of deviation 1: more records grow than shrink


@dataclass(frozen=True)
class Seasons:
    """Season lengths of the series to draw, and how long these are."""

    season: Counts  # [rows], steps; 1 for none
    second: Counts  # [rows], steps of a longer season, a multiple of the first one; 0 for none
    steps: int  # of each series

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.season), self.steps

    def select(self, rows: Counts) -> "Seasons":
        return Seasons(self.season[rows], self.second[rows], self.steps)


def column(values: NDArray[Any]) -> NDArray[Any]:
    """One number a row, [rows, 1]."""
    return values[:, None]


def log_uniform(rng: np.random.Generator, low: float, high: float, rows: int) -> Numbers:
    """Numbers between `low` and `high`, even on a logarithmic scale, [rows]."""
    return np.exp(rng.uniform(np.log(low), np.log(high), rows))


def bernoulli(rng: np.random.Generator, chance: float, rows: int) -> Flags:
    """Whether each row is chosen, [rows]."""
    return np.asarray(rng.random(rows) < chance)


def autoregression(noise: Numbers, *coefficients: Numbers) -> Numbers:
    """x[t] = noise[t] + sum of coefficient k [rows] times x[t - k], [rows, steps]."""
    series = np.ascontiguousarray(noise.T)  # [steps, rows]
    for step in range(1, len(series)):
        for lag, coefficient in enumerate(coefficients[:step], start=1):
            series[step] += coefficient * series[step - lag]
    return np.ascontiguousarray(series.T)


def slow_noise(rng: np.random.Generator, decay: Numbers, steps: int) -> Numbers:
    """Stationary noise of variance 1 that is forgotten after `decay` steps [rows], [rows, steps]."""
    keep = np.exp(-1 / decay)
    noise = rng.normal(size=(len(decay), steps))
    noise[:, 1:] *= np.sqrt(1 - keep**2)[:, None]
    return autoregression(noise, keep)


def heavy_noise(rng: np.random.Generator, rows: int, steps: int) -> Numbers:
    """Noise of variance about 1, normal in most rows, with heavy tails in the others, [rows, steps]."""
    noise = rng.normal(size=(rows, steps))
    heavy = rng.random(rows) < 0.3
    freedom = rng.choice([2.5, 3.0, 4.0, 6.0], rows)[heavy, None]
    chi = rng.chisquare(np.broadcast_to(freedom, noise[heavy].shape)) / freedom
    noise[heavy] *= np.sqrt((freedom - 2) / freedom / chi)
    return np.clip(noise, -30, 30)


def standardised(series: Numbers) -> Numbers:
    """Series of mean 0 and deviation 1; zeros where a series is constant, [rows, steps]."""
    centred = series - series.mean(1, keepdims=True)
    deviation = centred.std(1, keepdims=True)
    return np.where(deviation > 1e-12, centred / np.maximum(deviation, 1e-12), 0.0)
