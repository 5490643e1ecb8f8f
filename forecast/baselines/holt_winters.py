"""Exponential smoothing of level, trend and season (Holt 1957, Winters 1960), for many series at once.

Smoothing with fixed parameters is a linear filter. So the squared errors of a window and its last level, trend and
season are matrix products for all parameters of a grid, without a loop over steps.
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
ERROR_ROUNDING = (
    1e-13  # share of the squared errors with an endless future: smaller sums are rounding
)
DOUBLINGS = 20  # of the steps after which a filter must have forgotten a value
FORGOTTEN = 1e-3  # share of a value that may be left by then


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast by the mean over a grid of smoothing parameters, weighted by how well each of them fits the past.

    The forms are those of ETS (Hyndman et al. 2008) with additive errors: no trend, or one that may be damped. Where
    Theta finds a season, classical decomposition takes it out as a factor or a summand, and a summand that smoothing
    updates corrects it; a season of more than 24 steps stays as it was found. Where a season of factors is updated, the
    same season as summands is tried beside it. Each form and parameter counts by its Akaike weight (Kolassa 2011), so
    that nothing is optimised and no single choice decides. Fewer than five values repeat the last one.
    """
    values, first_observed = recent_values(values, observed, season)
    index, factors = seasonal_index(values, first_observed, season)
    values, first_observed = newest_steps(values, first_observed)
    updated = index.any(1) & (season <= LONG_SEASON)
    result = np.zeros((len(values), horizon))
    span = 1 << (values.shape[1] - 1).bit_length()
    for some, own_season, smooth in (
        (updated & factors, season, _mixed),
        (updated & ~factors, season, _smoothed),
        (~updated, 1, _smoothed),
    ):
        rows = np.flatnonzero(some)
        for low in range(0, len(rows), WINDOWS_AT_ONCE):
            part = rows[low : low + WINDOWS_AT_ONCE]
            full = np.pad(part, (0, WINDOWS_AT_ONCE - len(part)), mode="edge")
            filters = _filters(own_season, span)
            points, _ = smooth(
                filters, values[full], first_observed[full], index[full], factors[full], horizon
            )
            result[part] = points[: len(part)]
    return np.where(
        (values.shape[1] - first_observed < MIN_VALUES)[:, None], values[:, -1:], result
    )


@dataclass(frozen=True)
class _Filters:
    """The points of the grid with one damping whose season is updated, or those whose season is not.

    The states are level, trend and, where it is updated, the season, the next step's first. The squared
    errors of a past that zeros follow for ever are a sum over frequencies (Parseval); those of the past alone are that
    less what the zeros add.
    """

    responses: Values  # [points * states, span], the last states that a value of one leaves, the newest value last
    energies: Values  # [points, states, states], the quadratic form of the states: what a future of zeros adds
    spectra: Values  # [points, span + 1], what the power at each frequency adds, with that future


Grid = dict[float, list[_Filters]]  # by damping


@lru_cache(maxsize=8)
def _filters(season: int, span: int) -> Grid:
    """The grid by damping, for windows of up to `span` steps and a season that is updated; 1 means none."""
    kinds = [(0, (0.0,)), (season, SEASONS)][: 1 + (season > 1)]
    return {damping: [_filter(span, damping, *kind) for kind in kinds] for damping in DAMPINGS}


def _filter(span: int, damping: float, season: int, seasons: tuple[float, ...]) -> _Filters:
    """Smoothing by every point of a grid: an error, a value less `measurement @ states`, moves the states by `gain`."""
    points = product(LEVELS, TRENDS if damping else TRENDS[:1], seasons)
    rest = [0.0] * (season - 1)
    gain = np.array(
        [
            (level, level * trend, *rest, *[(1 - level) * rate] * (season > 0))
            for level, trend, rate in points
        ]
    )  # [points, states]
    states = gain.shape[1]
    measurement, transition = np.zeros(states), np.zeros((states, states))
    measurement[:2], measurement[2:3] = (1, damping), 1
    transition[0, :2], transition[1, 1], transition[2:, 2:] = (
        (1, damping),
        damping,
        np.roll(np.eye(season), 1, 1),
    )
    # [points, states, states], the states a step later if the value is zero
    closed_loop = transition - gain[:, :, None] * measurement
    energy, admissible = _energies(measurement, closed_loop)
    gain, closed_loop = gain[admissible], closed_loop[admissible]
    left = [gain]  # [points, states], what is left so many steps after a value of one
    for _ in range(span - 1):
        left.append((closed_loop @ left[-1][..., None])[..., 0])
    responses = np.stack(left)
    by_state = np.ascontiguousarray(responses[::-1].reshape(span, -1).T)
    return _Filters(by_state, energy, _spectra(measurement, gain, energy, responses))


def _energies(measurement: Values, closed_loop: Values) -> tuple[Values, Mask]:
    """The sum over a future of zeros of squared errors as a form of the states, and which points are admissible.

    Those whose errors depend on the beginning for ever are not (Hyndman et al. 2008), and are left out. Each pass
    doubles the steps that the sum covers.
    """
    energy, later = (
        np.broadcast_to(np.outer(measurement, measurement), closed_loop.shape),
        closed_loop,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(DOUBLINGS):
            energy, later = energy + later.transpose(0, 2, 1) @ energy @ later, later @ later
        admissible = np.abs(measurement @ later).max(1) < FORGOTTEN
    return energy[admissible], admissible


def _spectra(measurement: Values, gain: Values, energy: Values, responses: Values) -> Values:
    """[points, span + 1], the Fourier transform of the weights that squared errors give products of values by lag."""
    span = len(responses)
    products = np.einsum("pn,pnm,spm->sp", gain, energy, responses, optimize=True)
    products[0] += 1
    products[1:] = 2 * (
        products[1:] - responses[:-1] @ measurement
    )  # a step before and a step after
    halves = np.full(
        span + 1, 2.0
    )  # both a frequency and its negative, but for the first and the last
    halves[[0, -1]] = 1
    return np.asarray(halves * np.fft.rfft(products.T, 2 * span).real / (2 * span))


def _mixed(
    filters: Grid,
    values: Values,
    first_observed: Counts,
    index: Values,
    factors: Mask,
    horizon: int,
) -> tuple[Values, Values]:
    """Forecast with a season of factors and with the same as summands, mixed by their weights, as `_smoothed`."""
    summands = (index - 1) * (values.sum(1) / (values.shape[1] - first_observed))[:, None]
    twice = np.concatenate([values, values]), np.concatenate([first_observed, first_observed])
    season = np.concatenate([index, summands]), np.concatenate([factors, ~factors])
    forecasts, weights = (
        np.split(found, 2) for found in _smoothed(filters, *twice, *season, horizon)
    )
    share = 1 / (1 + np.exp(np.minimum(weights[1] - weights[0], 700)))[:, None]
    return share * forecasts[0] + (1 - share) * forecasts[1], np.logaddexp(*weights)


def _smoothed(
    filters: Grid,
    values: Values,
    first_observed: Counts,
    index: Values,
    factors: Mask,
    horizon: int,
) -> tuple[Values, Values]:
    """Smooth windows [windows, span] with every point of the grid, without the season that `seasonal_index` gave.

    Returns the mean of the forecasts by Akaike weights, [windows, horizon], and the logarithm of the sum of weights.
    """
    span = values.shape[1]
    present, count = np.arange(span) >= first_observed[:, None], (span - first_observed)[:, None]
    plain = np.where(present, remove_season(values, index, factors), 0.0)
    first, slope = _beginning(plain, first_observed)
    steps = np.maximum(
        np.arange(1, span + horizon + 1) - first_observed[:, None], 0
    )  # 1 is the first value's
    least, total, sums = (
        np.full(len(values), np.inf),
        np.zeros(len(values)),
        np.zeros((len(values), horizon)),
    )
    for damping, some in filters.items():
        trend = np.append(
            0.0, np.cumsum(damping ** np.arange(1, span + horizon + 1)) * (damping > 0)
        )
        initial_path = (
            first[:, None] + slope[:, None] * trend[steps]
        )  # where the beginning alone leads
        parameters = 2 + 3 * (damping > 0)  # the season comes from the decomposition
        penalty = (
            2 * parameters * count / np.maximum(count - parameters - 1, 1)
        )  # corrected for few values
        for squares, states in _filtered(
            some, np.where(present, plain - initial_path[:, :span], 0.0)
        ):
            criteria = (count * np.log(np.maximum(squares.T / count, MIN_ERROR**2)) + penalty).T
            before, least = least, np.minimum(least, criteria.min(0))
            weight, left = (
                np.exp((least - criteria) / 2),
                np.exp((least - before) / 2),
            )  # of the sums so far
            share, state = weight.sum(0), np.einsum("psw,pw->ws", states, weight)
            ahead = (
                share[:, None] * initial_path[:, span:]
                + state[:, :1]
                + state[:, 1:2] * trend[1 : horizon + 1]
            )
            if state.shape[1] > 2:
                ahead += state[:, 2 + np.arange(horizon) % (state.shape[1] - 2)]
            total, sums = left * total + share, left[:, None] * sums + ahead
    profile = np.where(factors[:, None], index, 1.0)[:, np.arange(-span, 0) % index.shape[1]]
    log_jacobian = np.log(np.where(present, profile, 1.0)).sum(
        1
    )  # errors of what is left, as those of the values
    return restore_season(sums / total[:, None], index, factors), np.log(
        total
    ) - least / 2 - log_jacobian


def _filtered(filters: list[_Filters], deviations: Values) -> Iterator[tuple[Values, Values]]:
    """Sums of squared errors [points, windows] and last states [points, states, windows] of [windows, span]."""
    windows, span = deviations.shape
    transformed = np.fft.rfft(deviations, 2 * (filters[0].spectra.shape[1] - 1))
    periodogram = transformed.real**2 + transformed.imag**2
    for one in filters:
        last = (one.responses[:, -span:] @ deviations.T).reshape(*one.energies.shape[:2], windows)
        endless, after = one.spectra @ periodogram.T, ((one.energies @ last) * last).sum(1)
        yield np.maximum(endless - after, ERROR_ROUNDING * endless), last


def _beginning(values: Values, first_observed: Counts) -> tuple[Values, Values]:
    """The level before the first value and the trend, by a line through the first values, [windows] each."""
    span = values.shape[1]
    column = first_observed[:, None] + np.arange(FIRST_VALUES)  # [windows, FIRST_VALUES]
    inside = column < span
    first = np.where(inside, np.take_along_axis(values, np.minimum(column, span - 1), 1), 0.0)
    count = inside.sum(1)
    time = np.where(
        inside, np.arange(FIRST_VALUES) - ((count - 1) / 2)[:, None], 0.0
    )  # centred in each window
    slope = (first * time).sum(1) / np.maximum((time**2).sum(1), 1.0)
    return first.sum(1) / count - slope * (count + 1) / 2, slope


METHOD = Method(forecast, default_rank=9)
