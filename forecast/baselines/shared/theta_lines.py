"""The Theta method for many series at once: trend line, theta line, simple exponential smoothing."""

import numpy as np

from forecast.baselines.shared.gaps import MAX_SMOOTHED, newest_steps
from forecast.baselines.shared.method import Counts, Mask, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index

SMOOTHING = (
    np.sin(np.arange(2, 25) * np.pi / 48) ** 2
)  # 0.02 to 1, closest at both ends; a finer grid gains nothing
MIN_VALUES = 4  # a line through fewer values runs away
AT_ONCE = 16  # windows, always so many: the last bits of a matrix product depend on its size


def theta_forecast(
    values: Values, start: Counts, horizon: int, season: int, best_theta: bool = False
) -> Values:
    """Classical Theta: the mean of the trend line and of the smoothed line of doubled curvature.

    A season is taken out before and put back after where the autocorrelation at its lag passes the 90 % limit
    (Fiorucci et al. 2016) and the series holds two of them: by classical decomposition, multiplicative if all values
    are positive and no index is close to zero, else additive. Coefficient and first level of the smoothing are those of
    the least squared error one step ahead. Fewer than four values repeat the last one. With `best_theta` the squared
    error chooses theta as well, and so the weight of the trend line (the optimised Theta method, same source).

    Values [windows, span] have no gaps from column `start` [windows] on, and zeros before; forecasts [windows, horizon]
    """
    span = values.shape[1]
    index, divided = seasonal_index(values, start, season)  # [windows, season], [windows]
    present = np.arange(span) >= start[:, None]
    level = np.where(present, remove_season(values, index, divided), 0.0)
    return restore_season(_lines(level, present, start, horizon, best_theta), index, divided)


def _lines(values: Values, present: Mask, start: Counts, horizon: int, best_theta: bool) -> Values:
    """The smoothed line of curvature theta, by 1 / theta, and the trend line, by the rest, [windows, horizon]."""
    span = values.shape[1]
    length = (span - start).astype(np.float64)[:, None]
    mean = values.sum(1, keepdims=True) / length
    time = np.where(
        present, np.arange(span) - (start[:, None] + span - 1) / 2, 0.0
    )  # centred in each window
    slope = (values * time).sum(1, keepdims=True) / np.maximum((time**2).sum(1, keepdims=True), 1.0)
    centred = np.where(present, values - mean, 0.0)
    if best_theta:
        level, weight = _smoothed_with_trend(centred, slope * time, start)
    else:
        level, weight = _smoothed(centred - slope * time / 2, start), np.full(len(values), 0.5)
    ahead = (length - 1) / 2 + np.arange(1, horizon + 1)
    return np.where(
        length < MIN_VALUES, values[:, -1:], mean + level[:, None] + weight[:, None] * slope * ahead
    )


def _smoothed(values: Values, start: Counts) -> Values:
    """Last level of simple exponential smoothing, coefficient and first level by least squares, [windows]."""
    run = _Smoothing(values[None], start)
    best = (run.squares[0] - run.shares[0] ** 2 / run.weight).argmin(0)
    here = best, np.arange(len(values))
    newest: Values = run.levels[0][here] + run.left[here] * run.shares[0][here] / run.weight[here]
    return newest


def _smoothed_with_trend(values: Values, trend: Values, start: Counts) -> tuple[Values, Values]:
    """The last level and the weight of the trend line between 0 and 1, by least squares as well, [windows] each."""
    run = _Smoothing(np.stack([values, trend]), start)
    # what the best first level leaves of the sums of squares and products
    squares, product = (
        run.squares - run.shares**2 / run.weight,
        run.product - run.shares.prod(0) / run.weight,
    )
    trended = squares[1] > 1e-12 * run.squares[1]
    weight = np.where(trended, np.clip(product / np.where(trended, squares[1], 1.0), 0, 1), 0.5)
    best = (squares[0] - 2 * weight * product + weight**2 * squares[1]).argmin(0)
    here = best, np.arange(len(values))
    chosen: Values = weight[here]
    levels = run.levels + run.left * run.shares / run.weight
    newest: Values = levels[0][here] - chosen * levels[1][here]
    return newest, chosen


class _Smoothing:
    """Simple exponential smoothing of one or two lines with every coefficient of `SMOOTHING`, from zero.

    Another first level adds to each error in proportion, so that sums of products give the best one: `levels` are the
    last ones, `squares` and `shares` [lines, coefficients, windows] sums of squared errors one step ahead, and of each
    error times the share of the first level that is left; `product` [coefficients, windows] sums products of two lines'
    errors, `weight` squared shares, and `left` is the share in the last level.

    None of it takes a loop over steps. Levels are sums of values by powers of the decay. The square of a level changes
    in each step by products of errors with values and with errors; what these add up to follows from the last level and
    from products of values by lag, and so from the periodogram.
    """

    def __init__(self, lines: Values, start: Counts) -> None:
        lines, (_, start) = lines[..., -MAX_SMOOTHED:], newest_steps(lines[0], start)
        span = lines.shape[2]
        self.coefficient, decay = SMOOTHING[:, None], 1 - SMOOTHING[:, None]
        powers: Values = decay ** np.arange(span)  # [coefficients, steps]
        powers[powers < 1e-30] = 0.0  # denormal numbers are slow
        turned = (start[:, None] + np.arange(span)) % span  # from the first value
        begun = np.take_along_axis(lines, turned[None], 2) if start.any() else lines
        self.levels = self.coefficient * _by_window(powers[:, ::-1], lines)
        self.left = decay ** (span - start)
        self.shares = (_by_window(powers, begun) + self.left * self.levels / self.coefficient) / (
            1 + decay
        )
        self.weight = (1 - self.left**2) / (1 - decay**2)
        size = 1 << (2 * span - 1).bit_length()
        by_lag = np.concatenate([np.ones_like(decay), -self.coefficient * powers[:, :-1]], 1)
        halves = np.where(
            np.arange(size // 2 + 1) % (size // 2) == 0, 2, 4
        )  # a frequency and its negative, or alone
        self.spectra, self.by_frequency = (
            np.fft.rfft(lines, size),
            halves * np.fft.rfft(by_lag, size).real / size,
        )
        self.squares = np.stack([self._products(line, line) for line in range(len(lines))])
        self.product = self._products(0, len(lines) - 1)

    def _products(self, line: int, other: int) -> Values:
        """Sums of products of the errors of two lines, [coefficients, windows]."""
        one, two = self.spectra[line], self.spectra[other]
        by_lag = _by_window(self.by_frequency, one.real * two.real + one.imag * two.imag)
        products = by_lag - self.levels[line] * self.levels[other] / self.coefficient
        return np.asarray(products / (2 - self.coefficient))


def _by_window(matrix: Values, rows: Values) -> Values:
    """A matrix times each of the rows, [..., len(matrix), rows]."""
    count, width = rows.shape[-2:]
    blocks = np.zeros((*rows.shape[:-2], -(-count // AT_ONCE), AT_ONCE, width))
    blocks.reshape(*rows.shape[:-2], -1, width)[..., :count, :] = rows
    products = (blocks @ matrix.T).reshape(*rows.shape[:-2], -1, len(matrix))
    return np.asarray(products[..., :count, :].swapaxes(-1, -2))
