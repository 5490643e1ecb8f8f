"""Recursions over time, for all series at once."""

import numpy as np

from forecast.synthetic.kind import Numbers


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
