"""Exponential smoothing of level, trend and season (Holt 1957, Winters 1960), for many series.

Smoothing with fixed parameters is a linear filter. So the squared errors of a window, and its last
level, trend and season, are matrix products. They are computed for all points of a grid of
parameters at once, without a loop over steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from forecast.baselines.shared.gaps import newest_steps, recent_values
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index

# the grid of smoothing parameters
ALPHAS = (0.02, 0.1, 0.25, 0.45, 0.7, 0.95)  # alpha: the share of an error added to the level
TRENDS = (0.05, 0.2)  # the share of the change of the level that is added to the trend
DAMPINGS = (0.0, 0.85, 0.95, 1.0)  # phi: the share of the trend left a step later; 0 is no trend
GAMMAS = (0.1, 0.5)  # the share of the rest of an error that is added to the season, if updated
LONG_SEASON = 24  # a season with more steps is not updated
FIRST_VALUES = 10  # the first level and trend are estimated from this many values
MIN_SMOOTHED_VALUES = 5  # with fewer values, the forecast repeats the last one
# every batch has this many windows, as the last bits of a matrix product depend on its size
SMOOTHED_AT_ONCE = 64
MIN_ERROR = 1e-12  # smallest standard deviation of errors; values are at most 1
# smaller squared errors, as a share of those with an endless future, are nothing but rounding
SMOOTHING_ERROR_ROUNDING = 1e-13
DOUBLINGS = 20  # a filter must forget a value within 2**DOUBLINGS steps
LEAST_MEMORY = 1e-3  # the share of a value that may be left then


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast by the weighted mean over a grid of smoothing parameters.

    The forms are those of ETS (Hyndman et al. 2008) with additive errors: no trend, or a trend that
    may be damped. If the test of the Theta method finds a season, classical decomposition removes
    it, as a multiplicative or an additive season. Smoothing then estimates an additive correction
    of that season, unless the season has more than 24 steps. A multiplicative season that is
    corrected is also tried as an additive one. Each form and parameter has its Akaike weight
    (Kolassa 2011), so that nothing is optimised and no single choice decides. With fewer than five
    values, the forecast repeats the last one.
    """
    values, start = recent_values(values, observed, season)
    index, factors = seasonal_index(values, start, season)
    values, start = newest_steps(values, start)
    points = np.repeat(values[:, -1:], horizon, 1)
    span = 1 << (values.shape[1] - 1).bit_length()
    updated = index.any(1) & (season <= LONG_SEASON)
    forms = np.where(updated, 1 + factors, 0)
    forms[values.shape[1] - start < MIN_SMOOTHED_VALUES] = -1
    for form in range(3):
        rows = np.flatnonzero(forms == form)
        if not len(rows):
            continue
        filters = _filters(season if form else 1, span)
        for low in range(0, len(rows), SMOOTHED_AT_ONCE):
            part = rows[low : low + SMOOTHED_AT_ONCE]
            full = np.resize(part, SMOOTHED_AT_ONCE)
            arguments = filters, values[full], start[full], index[full], factors[full], horizon
            if form == 2:
                ahead = _forecast_mixture(*arguments)
            else:
                ahead, _ = _smooth(*arguments)
            points[part] = ahead[: len(part)]
    return points


@dataclass(frozen=True)
class _Filters:
    """The points of the grid that have the same damping, with or without an updated season.

    The states are the level, the trend and, if the season is updated, its values, the next step's
    first. If zeros follow the past for ever, the sum of all squared errors is a sum over
    frequencies (Parseval). The squared errors of the past are this sum less what the zeros add.
    """

    # [points * states, span], the last states after a single value of 1; one column for each step
    # at which that value may lie, the newest last
    responses: Values
    # [points, states, states], the quadratic form of the last states that gives the squared errors
    # which a future of zeros adds
    energies: Values
    # [points, span + 1], the weight of the power at each frequency in the squared errors of the
    # past and that future
    spectra: Values


Grid = dict[float, list[_Filters]]  # by damping


@lru_cache(maxsize=8)
def _filters(season: int, span: int) -> Grid:
    """Build the grid, by damping, for windows of up to `span` steps.

    `season` is the length in steps of the season that is updated; 1 means no season.
    """
    grid = {damping: [_filter(span, damping, 0, (0.0,))] for damping in DAMPINGS}
    if season > 1:
        for damping, filters in grid.items():
            filters.append(_filter(span, damping, season, GAMMAS))
    return grid


def _filter(span: int, damping: float, season: int, rates: tuple[float, ...]) -> _Filters:
    """Build the filters of every point of the grid with one damping.

    The error of a value is the value less `measurement @ states`; `gain` times the error is added
    to the states.
    """
    trends = TRENDS if damping else TRENDS[:1]
    points = np.array(list(product(ALPHAS, trends, rates)))
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
    # [points, states, states], takes the states to those a step later if the value is zero
    closed_loop = transition - gain[:, :, None] * measurement
    energy, admissible = _energies(measurement, closed_loop)
    gain = gain[admissible]
    closed_loop = closed_loop[admissible]

    left = [gain]  # [points, states] each, the states 0, 1, 2, ... steps after a value of one
    for _ in range(span - 1):
        later = closed_loop @ left[-1][..., None]
        left.append(later[..., 0])
    responses = np.stack(left)
    spectra = _spectra(measurement, gain, energy, responses)
    by_state = responses[::-1].reshape(span, -1).T
    return _Filters(np.ascontiguousarray(by_state), energy, spectra)


def _energies(measurement: Values, closed_loop: Values) -> tuple[Values, Mask]:
    """Return the squared errors of a future of zeros, and which points are admissible.

    The sum of squared errors is a quadratic form of the states, [points, states, states]. Points
    whose errors never forget the first states are not admissible (Hyndman et al. 2008), and are
    left out of it. Each pass of the loop doubles the number of steps that the sum covers.
    """
    energy = np.broadcast_to(np.outer(measurement, measurement), closed_loop.shape)
    later = closed_loop
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(DOUBLINGS):
            energy = energy + later.transpose(0, 2, 1) @ energy @ later
            later = later @ later
        admissible = np.abs(measurement @ later).max(1) < LEAST_MEMORY
    return energy[admissible], admissible


def _spectra(measurement: Values, gain: Values, energy: Values, responses: Values) -> Values:
    """Return the weights of frequencies in the sum of squared errors, [points, span + 1].

    The sum of squared errors is a weighted sum of products of two values, and the weight depends on
    the lag between them. The result is the Fourier transform of these weights.
    """
    span = len(responses)
    products = np.einsum("pn,pnm,spm->sp", gain, energy, responses, optimize=True)
    products[0] += 1
    products[1:] -= responses[:-1] @ measurement
    products[1:] *= 2  # the lag to an earlier value, and the same lag to a later one
    size = 2 * span
    spectra = np.fft.rfft(products.T, size).real / size
    spectra[:, 1:-1] *= 2  # all but the first and the last stand for a negative frequency, too
    return spectra


def _forecast_mixture(
    filters: Grid, values: Values, start: Counts, index: Values, factors: Mask, horizon: int
) -> Values:
    """Forecast with a multiplicative season and with the same season as an additive one.

    The two forecasts are mixed by their weights. Arguments are those of `_smooth`.
    """
    count = values.shape[1] - start
    mean = values.sum(1) / count
    summands = (index - 1) * mean[:, None]
    by_factor, factor_weight = _smooth(filters, values, start, index, factors, horizon)
    by_summand, summand_weight = _smooth(filters, values, start, summands, ~factors, horizon)
    ratio = np.exp(np.minimum(summand_weight - factor_weight, 700))
    share = 1 / (1 + ratio[:, None])
    return share * by_factor + (1 - share) * by_summand


def _smooth(
    filters: Grid, values: Values, start: Counts, index: Values, factors: Mask, horizon: int
) -> tuple[Values, Values]:
    """Smooth windows [windows, span] with every point of the grid, and forecast.

    The season that `seasonal_index` found is removed before and restored afterwards. Returns the
    mean of the forecasts by Akaike weights, [windows, horizon], and the logarithm of the sum of
    weights, [windows].
    """
    windows, span = values.shape
    present = np.arange(span) >= start[:, None]
    count = span - start
    without_season = np.where(present, remove_season(values, index, factors), 0.0)
    first, slope = _initialise(without_season, start)
    ahead = np.arange(1, span + horizon + 1)
    steps = np.maximum(ahead - start[:, None], 0)  # 1 at the first value
    least = np.full(windows, np.inf)
    total = np.zeros(windows)
    sums = np.zeros((windows, horizon))
    for damping, grid in filters.items():
        trend = np.append(0.0, np.cumsum(damping**ahead))  # 0 if there is no trend
        # the path that the first level and trend alone would take
        beginning = first[:, None] + slope[:, None] * trend[steps]
        deviations = np.where(present, without_season - beginning[:, :span], 0.0)
        parameters = 5 if damping else 2  # the season comes from the decomposition
        # Akaike's criterion, corrected for few values (AICc)
        freedom = np.maximum(count - parameters - 1, 1)
        penalty = 2 * parameters * count / freedom
        for squares, states in _run_filter(grid, deviations):
            variance = np.maximum(squares / count, MIN_ERROR**2)  # [points, windows]
            criteria = count * np.log(variance) + penalty
            before = least
            least = np.minimum(before, criteria.min(0))
            weights = np.exp((least - criteria) / 2)
            left = np.exp((least - before) / 2)  # rescales the sums so far to the new minimum
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
    # errors of values without season, converted to errors of the values
    log_jacobian = np.log(np.where(present, profile, 1.0)).sum(1)
    points = restore_season(sums / total[:, None], index, factors)
    log_weight = np.log(total) - least / 2 - log_jacobian
    return points, log_weight


def _run_filter(grid: list[_Filters], deviations: Values) -> Iterator[tuple[Values, Values]]:
    """Filter deviations [windows, span] by the points of a grid.

    Yields sums of squared errors [points, windows] and last states [points, states, windows].
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
        energy = filters.energies @ last
        future = (energy * last).sum(1)
        squares = np.maximum(endless - future, SMOOTHING_ERROR_ROUNDING * endless)
        yield squares, last


def _initialise(values: Values, start: Counts) -> tuple[Values, Values]:
    """Return the level one step before the first value and the trend, [windows] each.

    Both come from a straight line fitted to the first values.
    """
    span = values.shape[1]
    column = start[:, None] + np.arange(FIRST_VALUES)  # [windows, FIRST_VALUES]
    inside = column < span
    column = np.minimum(column, span - 1)
    first = inside * np.take_along_axis(values, column, 1)
    count = inside.sum(1)
    middle = (count - 1) / 2
    from_middle = np.arange(FIRST_VALUES) - middle[:, None]
    time = from_middle * inside
    squares = np.maximum((time**2).sum(1), 1.0)
    slope = (first * time).sum(1) / squares
    level = first.sum(1) / count - slope * (middle + 1)
    return level, slope


METHOD = Method(forecast, default_rank=9)
