"""Exponential smoothing of level, trend and season (Holt 1957, Winters 1960), for many series.

Smoothing with fixed parameters is a linear filter. So the squared errors of a window and its last
level, trend and season are matrix products for all parameters of a grid, without a loop over steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from forecast.baselines.shared.gaps import newest_steps, recent_values
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index

LEVELS = (0.02, 0.1, 0.25, 0.45, 0.7, 0.95)  # share of an error that moves the level
TRENDS = (0.05, 0.2)  # share of the level's move that moves the trend
DAMPINGS = (0.0, 0.85, 0.95, 1.0)  # share of the trend that remains a step later; 0 means no trend
SEASONS = (0.1, 0.5)  # share of the rest of an error that moves the season, where it moves at all
LONG_SEASON = 24  # a season of more steps stays fixed
FIRST_VALUES = 10  # values that the first level and trend come from
MIN_VALUES = 5  # fewer values repeat the last one
WINDOWS_AT_ONCE = 64  # always so many: the last bits of a matrix product depend on its size
MIN_ERROR = 1e-12  # smallest standard deviation of errors, as values are at most 1
# share of the squared errors with an endless future: smaller sums are rounding
ERROR_ROUNDING = 1e-13
DOUBLINGS = 20  # of the steps after which a filter must have forgotten a value
FORGOTTEN = 1e-3  # share of a value that may be left by then


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast by the mean over a grid of smoothing parameters, weighted by how well each of them
    fits the past.

    The forms are those of ETS (Hyndman et al. 2008) with additive errors: no trend, or one that may
    be damped. Where Theta finds a season, classical decomposition takes it out as a factor or a
    summand, and a summand that smoothing updates corrects it; a season of more than 24 steps stays
    as it was found. Where a season of factors is updated, the same season as summands is tried
    beside it. Each form and parameter counts by its Akaike weight (Kolassa 2011), so that nothing
    is optimised and no single choice decides. Fewer than five values repeat the last one.
    """
    values, start = recent_values(values, observed, season)
    index, factors = seasonal_index(values, start, season)
    values, start = newest_steps(values, start)
    points = np.repeat(values[:, -1:], horizon, 1)
    span = 1 << (values.shape[1] - 1).bit_length()
    updated = index.any(1) & (season <= LONG_SEASON)
    forms = np.where(updated, 1 + factors, 0)
    forms[values.shape[1] - start < MIN_VALUES] = -1
    for form in range(3):
        rows = np.flatnonzero(forms == form)
        if not len(rows):
            continue
        filters = _filters(season if form else 1, span)
        smooth = _mixed if form == 2 else _smoothed
        for low in range(0, len(rows), WINDOWS_AT_ONCE):
            part = rows[low : low + WINDOWS_AT_ONCE]
            full = np.resize(part, WINDOWS_AT_ONCE)
            windows = values[full], start[full], index[full], factors[full]
            ahead, _ = smooth(filters, *windows, horizon)
            points[part] = ahead[: len(part)]
    return points


@dataclass(frozen=True)
class _Filters:
    """The points of the grid with one damping whose season is updated, or those whose season is
    not.

    The states are level, trend and, where it is updated, the season, the next step's first. The
    squared errors of a past that zeros follow for ever are a sum over frequencies (Parseval); those
    of the past alone are that less what the zeros add.
    """

    # [points * states, span], the last states that a value of one leaves, the newest value last
    responses: Values
    energies: Values  # [points, states, states], form of the states: what a future of zeros adds
    spectra: Values  # [points, span + 1], what the power at each frequency adds, with that future


Grid = dict[float, list[_Filters]]  # by damping


@lru_cache(maxsize=8)
def _filters(season: int, span: int) -> Grid:
    """The grid by damping, for windows of up to `span` steps and a season that is updated.

    1 means none.
    """
    grid = {damping: [_filter(span, damping, 0, (0.0,))] for damping in DAMPINGS}
    if season > 1:
        for damping, filters in grid.items():
            filters.append(_filter(span, damping, season, SEASONS))
    return grid


def _filter(span: int, damping: float, season: int, rates: tuple[float, ...]) -> _Filters:
    """Smoothing by every point of a grid.

    An error, a value less `measurement @ states`, moves the states by `gain`.
    """
    trends = TRENDS if damping else TRENDS[:1]
    points = np.array(list(product(LEVELS, trends, rates)))
    level, trend, rate = points.T
    states = 2 + season
    gain = np.zeros((len(points), states))
    gain[:, 0] = level
    gain[:, 1] = level * trend
    measurement = np.zeros(states)
    measurement[:2] = 1, damping
    transition = np.zeros((states, states))
    transition[0, :2] = 1, damping
    transition[1, 1] = damping
    if season:
        gain[:, -1] = (1 - level) * rate
        measurement[2] = 1
        rotation = np.roll(np.eye(season), 1, 1)
        transition[2:, 2:] = rotation
    # [points, states, states], the states a step later if the value is zero
    closed_loop = transition - gain[:, :, None] * measurement
    energy, admissible = _energies(measurement, closed_loop)
    gain = gain[admissible]
    closed_loop = closed_loop[admissible]

    left = [gain]  # [points, states], what is left so many steps after a value of one
    for _ in range(span - 1):
        later = closed_loop @ left[-1][..., None]
        left.append(later[..., 0])
    responses = np.stack(left)
    spectra = _spectra(measurement, gain, energy, responses)
    by_state = responses[::-1].reshape(span, -1).T
    return _Filters(np.ascontiguousarray(by_state), energy, spectra)


def _energies(measurement: Values, closed_loop: Values) -> tuple[Values, Mask]:
    """The sum over a future of zeros of squared errors as a form of the states, and which points
    are admissible.

    Those whose errors depend on the beginning for ever are not (Hyndman et al. 2008), and are left
    out. Each pass doubles the steps that the sum covers.
    """
    energy = np.broadcast_to(np.outer(measurement, measurement), closed_loop.shape)
    later = closed_loop
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(DOUBLINGS):
            energy = energy + later.transpose(0, 2, 1) @ energy @ later
            later = later @ later
        admissible = np.abs(measurement @ later).max(1) < FORGOTTEN
    return energy[admissible], admissible


def _spectra(measurement: Values, gain: Values, energy: Values, responses: Values) -> Values:
    """[points, span + 1], the Fourier transform of the weights that squared errors give products of
    values by lag.
    """
    span = len(responses)
    products = np.einsum("pn,pnm,spm->sp", gain, energy, responses, optimize=True)
    products[0] += 1
    products[1:] -= responses[:-1] @ measurement
    products[1:] *= 2  # a step before and a step after
    size = 2 * span
    spectra = np.fft.rfft(products.T, size).real / size
    spectra[:, 1:-1] *= 2  # both a frequency and its negative, but for the first and the last
    return spectra


def _mixed(
    filters: Grid, values: Values, start: Counts, index: Values, factors: Mask, horizon: int
) -> tuple[Values, Values]:
    """Forecast with a season of factors and with the same as summands, mixed by their weights, as
    `_smoothed`.
    """
    mean = values.sum(1) / (values.shape[1] - start)
    summands = (index - 1) * mean[:, None]
    by_factor, factor_weight = _smoothed(filters, values, start, index, factors, horizon)
    by_summand, summand_weight = _smoothed(filters, values, start, summands, ~factors, horizon)
    ratio = np.exp(np.minimum(summand_weight - factor_weight, 700))
    share = 1 / (1 + ratio[:, None])
    points = share * by_factor + (1 - share) * by_summand
    return points, np.logaddexp(factor_weight, summand_weight)


def _smoothed(
    filters: Grid, values: Values, start: Counts, index: Values, factors: Mask, horizon: int
) -> tuple[Values, Values]:
    """Smooth windows [windows, span] with every point of the grid, without the season that
    `seasonal_index` gave.

    Returns the mean of the forecasts by Akaike weights, [windows, horizon], and the logarithm of
    the sum of weights.
    """
    windows, span = values.shape
    present = np.arange(span) >= start[:, None]
    count = span - start
    without_season = np.where(present, remove_season(values, index, factors), 0.0)
    first, slope = _beginning(without_season, start)
    ahead = np.arange(1, span + horizon + 1)
    steps = np.maximum(ahead - start[:, None], 0)  # 1 is the first value's
    least = np.full(windows, np.inf)
    total = np.zeros(windows)
    sums = np.zeros((windows, horizon))
    for damping, grid in filters.items():
        trend = np.append(0.0, np.cumsum(damping**ahead))  # 0 without one
        beginning = first[:, None] + slope[:, None] * trend[steps]  # where it alone leads
        deviations = np.where(present, without_season - beginning[:, :span], 0.0)
        parameters = 5 if damping else 2  # the season comes from the decomposition
        # corrected for few values
        penalty = 2 * parameters * count / np.maximum(count - parameters - 1, 1)
        for squares, states in _filtered(grid, deviations):
            variance = np.maximum(squares / count, MIN_ERROR**2)  # [points, windows]
            criteria = count * np.log(variance) + penalty
            before = least
            least = np.minimum(before, criteria.min(0))
            weights = np.exp((least - criteria) / 2)
            left = np.exp((least - before) / 2)  # of the sums so far
            share = weights.sum(0)
            state = np.einsum("psw,pw->ws", states, weights)
            path = share[:, None] * beginning[:, span:]
            path += state[:, :1]
            path += state[:, 1:2] * trend[1 : horizon + 1]
            season = state[:, 2:]
            if season.shape[1]:
                path += season[:, np.arange(horizon) % season.shape[1]]
            total = left * total + share
            sums = left[:, None] * sums + path

    divisors = np.where(factors[:, None], index, 1.0)
    steps = np.arange(-span, 0)
    profile = divisors[:, steps % index.shape[1]]
    # errors of what is left, as those of the values
    log_jacobian = np.log(np.where(present, profile, 1.0)).sum(1)
    points = restore_season(sums / total[:, None], index, factors)
    return points, np.log(total) - least / 2 - log_jacobian


def _filtered(grid: list[_Filters], deviations: Values) -> Iterator[tuple[Values, Values]]:
    """Sums of squared errors [points, windows] and last states [points, states, windows] of
    [windows, span].
    """
    windows, span = deviations.shape
    longest = grid[0].spectra.shape[1] - 1
    transformed = np.fft.rfft(deviations, 2 * longest)
    periodogram = transformed.real**2 + transformed.imag**2
    for filters in grid:
        points, states, _ = filters.energies.shape
        last = filters.responses[:, -span:] @ deviations.T
        last = last.reshape(points, states, windows)
        endless = filters.spectra @ periodogram.T
        future = ((filters.energies @ last) * last).sum(1)
        yield np.maximum(endless - future, ERROR_ROUNDING * endless), last


def _beginning(values: Values, start: Counts) -> tuple[Values, Values]:
    """The level before the first value and the trend, by a line through the first values, [windows]
    each.
    """
    span = values.shape[1]
    column = start[:, None] + np.arange(FIRST_VALUES)  # [windows, FIRST_VALUES]
    inside = column < span
    column = np.minimum(column, span - 1)
    first = inside * np.take_along_axis(values, column, 1)
    count = inside.sum(1)
    middle = (count - 1) / 2
    time = (np.arange(FIRST_VALUES) - middle[:, None]) * inside
    squares = np.maximum((time**2).sum(1), 1.0)
    slope = (first * time).sum(1) / squares
    return first.sum(1) / count - slope * (middle + 1), slope


METHOD = Method(forecast, default_rank=9)
