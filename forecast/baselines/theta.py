"""Theta: mean of trend line and line of doubled curvature (Assimakopoulos, Nikolopoulos 2000).

For many series at once: trend line, theta line, simple exponential smoothing.
"""

import numpy as np

from forecast.baselines.shared.gaps import MAX_SMOOTHED, newest_steps, recent_values
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index
from forecast.baselines.shared.trends import fit_line

# 0.02 to 1, closest at both ends; a finer grid gains nothing
SMOOTHING = np.sin(np.arange(2, 25) * np.pi / 48) ** 2
MIN_THETA_VALUES = 4  # a line through fewer values runs away
# always so many: the last bits of a matrix product depend on its size
THETA_WINDOWS_AT_ONCE = 16


def forecast(
    values: Values, observed: Mask, horizon: int, season: int, best_theta: bool = False
) -> Values:
    """Classical Theta: the mean of the trend line and of the smoothed line of doubled curvature.

    A season is taken out before and put back after where the autocorrelation at its lag passes the
    90 % limit (Fiorucci et al. 2016) and the series holds two of them: by classical decomposition,
    multiplicative if all values are positive and no index is close to zero, else additive.
    Coefficient and first level of the smoothing are those of the least squared error one step
    ahead. Fewer than four values repeat the last one. With `best_theta` the squared error chooses
    theta as well, and so the weight of the trend line (the optimised Theta method, same source).
    """
    values, start = recent_values(values, observed, season)
    span = values.shape[1]
    index, factors = seasonal_index(values, start, season)  # [windows, season], [windows]
    plain = remove_season(values, index, factors)
    mean, slope, time, centred = fit_line(plain, start)
    trend = slope * time
    if best_theta:
        level, weight = _smoothed_with_trend(centred, trend, start)
    else:
        level = _smooth(centred - trend / 2, start)
        weight = np.full(len(values), 0.5)
    steps = time[:, -1:] + np.arange(1, horizon + 1)
    slope = weight[:, None] * slope
    points = mean + level[:, None] + slope * steps
    short = span - start < MIN_THETA_VALUES
    points[short] = plain[short, -1:]
    return restore_season(points, index, factors)


def _smooth(values: Values, start: Counts) -> Values:
    """Return the last level of simple exponential smoothing, [windows].

    Coefficient and first level are those of the least squared error.
    """
    run = _Smoothing(values[None], start)
    squares = run.squares[0] - run.shares[0] ** 2 / run.weight
    return _at(run.last_levels()[0], squares.argmin(0))


def _smoothed_with_trend(values: Values, trend: Values, start: Counts) -> tuple[Values, Values]:
    """Return the last level and the weight of the trend line, from 0 to 1, [windows] each.

    All are those of the least squared error.
    """
    run = _Smoothing(np.stack([values, trend]), start)
    # what the best first level leaves of the sums of squares and products
    squares, trend_squares = run.squares - run.shares**2 / run.weight
    product = run.product - run.shares.prod(0) / run.weight
    trended = trend_squares > 1e-12 * run.squares[1]
    ratio = product / np.where(trended, trend_squares, 1.0)
    weight = np.where(trended, np.clip(ratio, 0, 1), 0.5)
    errors = squares - 2 * weight * product + weight**2 * trend_squares
    best = errors.argmin(0)
    level, trend_level = run.last_levels()
    return _at(level - weight * trend_level, best), _at(weight, best)


def _at(values: Values, coefficient: Counts) -> Values:
    """Values [coefficients, windows] at one coefficient for each window, [windows]."""
    return values[coefficient, np.arange(len(coefficient))]


class _Smoothing:
    """Simple exponential smoothing of one or two lines, with every coefficient of `SMOOTHING`.

    With coefficient a and decay d = 1 - a, from level 0 before the first of n values y[0] to
    y[n - 1],

        e[t] = y[t] - level[t - 1],    level[t] = level[t - 1] + a e[t].

    From another first level l the errors are e[t] - l d^t, so that the best one is
    l = sum e[t] d^t / sum d^(2 t), and leaves sum e[t]^2 - (sum e[t] d^t)^2 / sum d^(2 t).

    Sums take no loop over steps. Squaring the second equation and adding up all steps,

        sum e[t]^2 = (2 sum y[t] e[t] - level[n - 1]^2 / a) / (1 + d),
        sum y[t] e[t] = r[0] - a (r[1] + d r[2] + d^2 r[3] + ...),

    where r[k] = sum y[t] y[t - k] follows from the periodogram (Wiener-Khinchin theorem). The same
    holds for products of the errors of two lines.

    Attributes
    ----------
    levels : [lines, coefficients, windows], level[n - 1]
    squares, shares : [lines, coefficients, windows], sum e[t]^2 and sum e[t] d^t
    product : [coefficients, windows], the sum of products of the errors of two lines
    weight : [coefficients, windows], sum d^(2 t)
    left : [coefficients, windows], d^n, the share of the first level in the last one
    """

    def __init__(self, lines: Values, start: Counts) -> None:
        _, start = newest_steps(lines[0], start)
        lines = lines[..., -MAX_SMOOTHED:]
        span = lines.shape[2]
        coefficient = SMOOTHING[:, None]
        decay = 1 - coefficient
        powers: Values = decay ** np.arange(span)  # [coefficients, steps]
        powers[powers < 1e-30] = 0.0  # denormal numbers are slow
        begun = lines
        if start.any():
            turned = (start[:, None] + np.arange(span)) % span  # from the first value
            begun = np.take_along_axis(lines, turned[None], 2)
        self.levels = coefficient * _by_window(powers[:, ::-1], lines)
        self.left = decay ** (span - start)
        shares = _by_window(powers, begun) + self.left * self.levels / coefficient
        self.shares = shares / (1 + decay)
        self.weight = (1 - self.left**2) / (1 - decay**2)

        size = 1 << (2 * span - 1).bit_length()
        earlier = -coefficient * powers[:, :-1]
        by_lag = np.concatenate([np.ones_like(decay), earlier], 1)
        by_frequency = np.fft.rfft(by_lag, size).real / size
        by_frequency[:, [0, -1]] *= 2
        by_frequency[:, 1:-1] *= 4  # a frequency and its negative
        spectra = np.fft.rfft(lines, size)

        def products(line: int, other: int) -> Values:
            """Sums of products of the errors of two lines, [coefficients, windows]."""
            power = (spectra[line] * spectra[other].conj()).real
            summed = _by_window(by_frequency, power)
            last = self.levels[line] * self.levels[other] / coefficient
            return np.asarray((summed - last) / (1 + decay))

        squares = [products(line, line) for line in range(len(lines))]
        self.squares = np.stack(squares)
        self.product = products(0, len(lines) - 1)

    def last_levels(self) -> Values:
        """Last levels from the best first ones, [lines, coefficients, windows]."""
        return np.asarray(self.levels + self.left * self.shares / self.weight)


def _by_window(matrix: Values, rows: Values) -> Values:
    """A matrix times each of the rows [..., rows, columns], [..., len(matrix), rows]."""
    *lines, count, width = rows.shape
    blocks = -(-count // THETA_WINDOWS_AT_ONCE)
    padded = np.zeros((*lines, blocks * THETA_WINDOWS_AT_ONCE, width))
    padded[..., :count, :] = rows
    products = padded.reshape(*lines, blocks, THETA_WINDOWS_AT_ONCE, width) @ matrix.T
    products = products.reshape(*lines, -1, len(matrix))
    products = products[..., :count, :]
    return products.swapaxes(-1, -2)


METHOD = Method(forecast, default_rank=7)
