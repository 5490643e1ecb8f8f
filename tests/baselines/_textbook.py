"""Seasons, smoothing and autoregression of one series as plain loops."""

import itertools

import numpy as np
from numpy.typing import NDArray

from forecast.baselines import autoregression, holt_winters

Values = NDArray[np.float64]


def is_seasonal(values: Values, season: int) -> bool:
    """Whether the autocorrelation one season back passes its 90 % limit."""
    deviation, length = values - values.mean(), len(values)
    products = [float(deviation[lag:] @ deviation[: length - lag]) for lag in range(season + 1)]
    if products[0] <= 1e-24 * float(values @ values):
        return False
    correlation = [product / products[0] for product in products]
    variance = (1 + 2 * sum(r**2 for r in correlation[1:season])) * (length - season) / length**2
    return correlation[season] > 1.2816 * variance**0.5


def decomposed(values: Values, season: int, multiplicative: bool) -> Values:
    """Indices of classical decomposition, the first for the first value."""
    around = np.full(season + 1 - season % 2, 1 / season)
    if season % 2 == 0:
        around[[0, -1]] /= 2
    trend = np.convolve(values, around, mode="valid")
    middle = values[season // 2 : season // 2 + len(trend)]
    rest = middle / trend if multiplicative else middle - trend
    phases = (np.arange(len(rest)) + season // 2) % season
    index = np.array([rest[phases == phase].mean() for phase in range(season)])
    return index / index.mean() if multiplicative else index - index.mean()


def seasonal_index(values: Values, season: int) -> tuple[Values, bool]:
    """The seasonal indices, the first for the first value, and whether they are factors; zeros without a season."""
    if season == 1 or len(values) < 2 * season or not is_seasonal(values, season):
        return np.zeros(season), False
    if values.min() > 0 and (index := decomposed(values, season, True)).min() >= 0.05:
        return index, True
    return decomposed(values, season, False), False


def smooth(values: Values, coefficient: float, level: float) -> tuple[Values, float]:
    """Errors one step ahead and the last level of simple exponential smoothing."""
    errors = []
    for value in values:
        errors.append(value - level)
        level += coefficient * errors[-1]
    return np.array(errors), level


def smoothing_values(values: Values, index: Values, factors: bool, horizon: int) -> list[tuple[float, Values]]:
    """Akaike's criterion and the forecasts of each point of the grid of Holt-Winters, one step after another.

    Parameters
    ----------
    index : the season that the series begins with, the first one for the first step ahead
    """
    season, count, found = len(index), len(values), []
    phases = (np.arange(count + horizon) - count) % season
    begin = index[phases[: min(10, count)]]
    first = values[:10] / begin if factors else values[:10] - begin
    slope, begin = np.polyfit(np.arange(1, len(first) + 1), first, 1)
    moves = [(0.0, 0.0), *itertools.product(holt_winters.TRENDS[1:], holt_winters.DAMPINGS)]
    seasons = holt_winters.SEASONS if season > 1 else (0.0,)
    lowest = holt_winters.MIN_LEVEL * values.mean() if factors else -np.inf
    for alpha, (move, damping), gamma in itertools.product(holt_winters.LEVELS, moves, seasons):
        level, trend, own, squares, logs = begin, slope if damping else 0.0, index.copy(), 0.0, 0.0
        for step, value in enumerate(values):
            base, phase = max(level + damping * trend, lowest), phases[step]
            made = base * own[phase] if factors else base + own[phase]
            error = value / made - 1 if factors else value - made
            squares, logs = squares + error**2, logs + (np.log(made) if factors else 0.0)
            size = base if factors else 1.0
            level, trend = base + alpha * error * size, damping * trend + alpha * move * error * size
            own[phase] += (1 - alpha) * gamma * error * (own[phase] if factors else 1.0)
        free = 2 + 3 * (damping > 0)
        least = holt_winters.MIN_ERROR**2
        criterion = count * np.log(max(squares / count, least)) + 2 * logs + 2 * free * count / max(count - free - 1, 1)
        damped = np.cumsum(damping ** np.arange(1, horizon + 1)) if damping else np.zeros(horizon)
        ahead = level + damped * trend
        found.append((criterion, ahead * own[phases[count:]] if factors else ahead + own[phases[count:]]))
    return found


def autoregression_values(values: Values, horizon: int) -> Values:
    """Ridge regression on the own past, by solving its equations for each penalty."""
    order = min(len(values) // 2, autoregression.MAX_LAGS)
    mean, scale = values.mean(), values.std()
    plain = (values - mean) / scale
    past = np.stack([plain[row : row + order] for row in range(len(plain) - order)])
    target = plain[order:]
    centred, rest = past - past.mean(0), target - target.mean()
    product = centred.T @ centred
    largest = float(np.linalg.eigvalsh(product)[-1])
    best, weights = np.inf, np.zeros(order)
    for penalty in autoregression.PENALTIES:
        ridge = product + penalty * largest * np.eye(order)
        found = np.linalg.solve(ridge, centred.T @ rest)
        free = len(rest) - 1 - float(np.trace(np.linalg.solve(ridge, product)))
        error = max(float(((rest - centred @ found) ** 2).sum()), autoregression.ERROR_ROUNDING * float(rest @ rest))
        if free > autoregression.MIN_FREEDOM and error / free**2 < best:
            best, weights = error / free**2, found
    intercept = target.mean() - past.mean(0) @ weights
    path, reach = list(plain[-order:]), np.ptp(plain) * max(1.0, horizon / len(plain))
    for _ in range(horizon):
        ahead = float(weights @ np.array(path[-order:]) + intercept)
        path.append(float(np.clip(ahead, plain.min() - reach, plain.max() + reach)))
    return np.asarray(mean + scale * np.array(path[order:]))
