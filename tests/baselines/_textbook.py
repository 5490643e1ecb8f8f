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


def smoothing_values(values: Values, season: int, horizon: int) -> list[tuple[float, Values]]:
    """Akaike's criterion and the forecasts of each point of the grid of Holt-Winters, one step after another.

    Parameters
    ----------
    values : without the season that classical decomposition found
    season : of what is added to it, from zero on; 1 means none
    """
    count, found = len(values), []
    slope, begin = np.polyfit(np.arange(1, len(values[:10]) + 1), values[:10], 1)
    seasons = (0.0, *holt_winters.GAMMAS) if season > 1 else (0.0,)
    for alpha, damping, gamma in itertools.product(
        holt_winters.ALPHAS, holt_winters.DAMPINGS, seasons
    ):
        for move in holt_winters.TRENDS if damping else (0.0,):
            if not is_admissible(alpha, alpha * move, (1 - alpha) * gamma, damping, season):
                continue
            level, trend, own, squares = begin, slope if damping else 0.0, np.zeros(season), 0.0
            for step, value in enumerate(values):
                base, phase = level + damping * trend, step % season
                error = value - base - own[phase]
                squares += error**2
                level, trend = base + alpha * error, damping * trend + alpha * move * error
                own[phase] += (1 - alpha) * gamma * error
            free = 2 + 3 * (damping > 0)
            least = holt_winters.MIN_ERROR**2
            criterion = count * np.log(max(squares / count, least)) + 2 * free * count / max(
                count - free - 1, 1
            )
            damped = (
                np.cumsum(damping ** np.arange(1, horizon + 1)) if damping else np.zeros(horizon)
            )
            found.append(
                (
                    criterion,
                    level + damped * trend + own[np.arange(count, count + horizon) % season],
                )
            )
    return found


def is_admissible(alpha: float, beta: float, gamma: float, damping: float, season: int) -> bool:
    """Whether errors forget where smoothing began: all roots but that of a level that seasons take up are below one."""
    if gamma == 0:
        return True
    ahead, gain = np.zeros(2 + season), np.zeros(2 + season)
    ahead[:3], gain[:2], gain[-1] = (1, damping, 1), (alpha, beta), gamma
    move = np.zeros((2 + season, 2 + season))
    move[:2, :2], move[2:, 2:] = ((1, damping), (0, damping)), np.roll(np.eye(season), 1, 1)
    roots = np.linalg.eigvals(move - np.outer(gain, ahead))
    return bool(np.abs(np.delete(roots, np.abs(roots - 1).argmin())).max() < 1)


def autoregression_values(values: Values, season: int, horizon: int) -> Values:
    """Ridge regression on the own past, by solving its equations for each penalty."""
    order = min(len(values) // 2, autoregression.max_lags(season))
    mean, scale = values.mean(), values.std()
    plain = (values - mean) / scale
    past = np.stack([plain[row : row + order] for row in range(len(plain) - order)])
    target = plain[order:]
    centred, rest = past - past.mean(0), target - target.mean()
    product = centred.T @ centred
    largest = float(np.linalg.eigvalsh(product)[-1])
    best, weights = np.inf, np.zeros(order)
    for penalty in autoregression.LAG_PENALTIES:
        ridge = product + penalty * largest * np.eye(order)
        found = np.linalg.solve(ridge, centred.T @ rest)
        free = len(rest) - 1 - float(np.trace(np.linalg.solve(ridge, product)))
        error = max(
            float(((rest - centred @ found) ** 2).sum()),
            autoregression.LAG_ERROR_ROUNDING * float(rest @ rest),
        )
        if free > autoregression.MIN_LAG_FREEDOM and error / free**2 < best:
            best, weights = error / free**2, found
    intercept = target.mean() - past.mean(0) @ weights
    path, reach = list(plain[-order:]), np.ptp(plain) * max(1.0, horizon / len(plain))
    for _ in range(horizon):
        ahead = float(weights @ np.array(path[-order:]) + intercept)
        path.append(float(np.clip(ahead, plain.min() - reach, plain.max() + reach)))
    return np.asarray(mean + scale * np.array(path[order:]))


def clear_line(values: Values, season: int, horizon: int) -> tuple[Values, bool]:
    """The line that values clearly follow, before and after their end, and whether logarithms do; zeros if none do."""
    count = len(values)
    steps = np.arange(count + horizon)
    nothing = np.zeros(count + horizon)
    if not max(8, horizon) <= count <= 60:
        return nothing, False
    index, factors = seasonal_index(values, season)
    profile = index[steps[:count] % season]
    plain = values / profile if factors else values - profile
    lines = []
    for in_logs in (False, True):
        if in_logs and min(values.min(), plain.min()) <= 0:
            continue
        straight = np.log(plain) if in_logs else plain
        line = np.polyval(np.polyfit(steps[:count], straight, 1), steps)
        error = straight - line[:count]
        squares = float(error @ error)
        if squares <= 1e-24 * float(straight @ straight):
            continue  # nothing but rounding
        is_clear = count * np.log(count * straight.var() / squares) > 10
        is_clear &= float(error[1:] @ error[:-1]) < 1.2816 * squares / count**0.5
        criterion = count * np.log(squares)
        if in_logs:
            criterion += 2 * straight.sum() + 10
        if is_clear:
            lines.append((criterion, in_logs, line))
    if not lines:
        return nothing, False
    _, in_logs, line = min(lines, key=lambda found: found[0])
    return line, in_logs


def straightened_values(values: Values, season: int, horizon: int) -> Values:
    """Autoregression of what a clear line leaves, and the line continued."""
    line, in_logs = clear_line(values, season, horizon)
    straight = np.log(values) if in_logs else values
    rest = autoregression_values(straight - line[: len(values)], season, horizon)
    points = rest + line[len(values) :]
    return np.exp(points) if in_logs else points
