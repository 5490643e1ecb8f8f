"""Seasons of windows: their test, and their indices by classical decomposition."""

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forecast.baselines.shared.method import Counts, Mask, Values
from forecast.pretrained.features import sums_by_phase

Slot = TypeVar("Slot", bound=np.generic)

MIN_PROFILE_SEASONS = 2  # fewer leave no moving average for some phase
# 90 % limit of an autocorrelation that is zero; one-sided, as a negative one is no season
OUTLIER_LIMIT = 1.2816
MIN_INDEX = 0.05  # dividing by a smaller one blows noise up
VALUE_ROUNDING = 1e-12  # values below this share of the largest one are zeros


def seasonal_index(values: Values, start: Counts, season: int) -> tuple[Values, Mask]:
    """The seasonal indices of each window, and whether they are factors (or else summands, zeros
    without a season).

    Values [windows, span] have no gaps from column `start` [windows] on, and zeros before. The
    first column of the indices [windows, season] is for the first step ahead. What was found last
    is remembered: methods ask in turn.
    """
    return _index(values.tobytes(), start.tobytes(), season)


@lru_cache(maxsize=4)
def _index(value_bytes: bytes, start_bytes: bytes, season: int) -> tuple[Values, Mask]:
    start = np.frombuffer(start_bytes, np.int64)
    values = np.frombuffer(value_bytes).reshape(len(start), -1)
    windows, span = values.shape
    index = np.zeros((windows, season))
    factors = np.zeros(windows, bool)
    if season > 1 and span >= MIN_PROFILE_SEASONS * season:
        seasonal = _is_seasonal(values, start, season)
        present = np.arange(span) >= start[:, None]
        lowest = values.min(1, where=present, initial=np.inf)
        rows = np.flatnonzero(seasonal & (lowest > VALUE_ROUNDING * values.max(1)))
        divided = _decompose(values[rows], start[rows], season, multiplicative=True)
        usable = divided.min(1, initial=np.inf) >= MIN_INDEX
        divided_rows = rows[usable]
        index[divided_rows] = divided[usable]
        factors[divided_rows] = True
        rows = np.flatnonzero(seasonal & ~factors)
        index[rows] = _decompose(values[rows], start[rows], season, multiplicative=False)
    index.flags.writeable = False
    factors.flags.writeable = False
    return index, factors


def remove_season(values: Values, index: Values, factors: Mask) -> Values:
    """Take the season out of windows [windows, span].

    `index` and `factors` come from `seasonal_index`.
    """
    steps = np.arange(-values.shape[1], 0)
    profile = index[:, steps % index.shape[1]]
    divided = values / np.where(factors[:, None], profile, 1)
    return np.where(factors[:, None], divided, values - profile)


def restore_season(points: Values, index: Values, factors: Mask) -> Values:
    """Put the season back into forecasts [windows, horizon] of windows without it."""
    steps = np.arange(points.shape[1])
    profile = index[:, steps % index.shape[1]]
    return np.where(factors[:, None], points * profile, points + profile)


def by_season(slots: NDArray[Slot], season: int) -> NDArray[Slot]:
    """Fold the steps into seasons that end with the newest step, [windows, seasons, season], zeros
    in front.
    """
    windows, span = slots.shape
    seasons = -(-span // season)
    missing = seasons * season - span
    padded = np.pad(slots, ((0, 0), (missing, 0)))
    return padded.reshape(windows, seasons, season)


def _is_seasonal(values: Values, start: Counts, season: int) -> Mask:
    """Whether each window is correlated with itself one season earlier by more than chance,
    [windows].
    """
    span = values.shape[1]
    length = span - start
    present = np.arange(span) >= start[:, None]
    mean = values.sum(1) / length
    centred = np.where(present, values - mean[:, None], 0.0)
    size = 1 << int(span + season).bit_length()
    spectrum = np.fft.rfft(centred, size)
    moments = np.fft.irfft(spectrum * spectrum.conj(), size)
    moments = moments[:, : season + 1]
    variance = moments[:, 0]
    constant = variance <= 1e-24 * (values**2).sum(1)
    variance = np.where(constant, 1.0, variance)
    correlations = moments[:, 1:] / variance[:, None]
    # Bartlett's variance under no correlation from this lag on. Of length squared only length -
    # season products are
    # summed: without that count two or three seasons, however clear, seldom pass
    products = np.maximum(length - season, 0)
    squares = (correlations[:, :-1] ** 2).sum(1)
    inflation = 1 + 2 * squares
    limit = OUTLIER_LIMIT * np.sqrt(inflation * products) / length
    usable = (length >= MIN_PROFILE_SEASONS * season) & ~constant
    return np.asarray(usable & (correlations[:, -1] > limit))


def _decompose(values: Values, start: Counts, season: int, multiplicative: bool) -> Values:
    """Classical decomposition.

    Mean by phase of what a centred moving average over one season leaves.
    """
    span = values.shape[1]
    half = season // 2
    sums = np.insert(np.cumsum(values, 1), 0, 0.0, axis=1)
    middle = np.arange(half, span - half)
    # an even season counts its two ends by half each
    first = middle - half
    total = sums[:, first + season] - sums[:, first]
    first = middle + half + 1 - season
    total += sums[:, first + season] - sums[:, first]
    trend = total / (2 * season)
    inside = middle >= start[:, None] + half
    rest = values[:, middle]
    rest = rest / np.where(inside, trend, 1.0) if multiplicative else rest - trend

    totals = sums_by_phase(np.where(inside, rest, 0.0).T, season)
    counts = sums_by_phase(inside.T.astype(np.float64), season)
    index = np.roll(totals / counts, -half, 0).T
    if multiplicative:
        return np.asarray(index / index.mean(1, keepdims=True))
    return np.asarray(index - index.mean(1, keepdims=True))
