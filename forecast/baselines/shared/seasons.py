"""Seasons of windows: their test, and their indices by classical decomposition."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forecast.baselines.shared.method import Counts, Mask, Values

Slot = TypeVar("Slot", bound=np.generic)

MIN_SEASONS = 2  # fewer leave no moving average for some phase
LIMIT = 1.2816  # 90 % limit of an autocorrelation that is zero; one-sided, as a negative one is no season
MIN_INDEX = 0.05  # dividing by a smaller one blows noise up


def seasonal_index(values: Values, start: Counts, season: int) -> tuple[Values, Mask]:
    """The seasonal indices of each window, and whether they are factors (or else summands, zeros without a season).

    Values [windows, span] have no gaps from column `start` [windows] on, and zeros before. The first column of the
    indices [windows, season] is for the first step ahead.
    """
    windows, span = values.shape
    index, divided = np.zeros((windows, season)), np.zeros(windows, bool)
    if season > 1 and span >= MIN_SEASONS * season:
        rows = np.flatnonzero(_is_seasonal(values, start, season))
        values, start = values[rows], start[rows]
        positive = np.where(np.arange(span) >= start[:, None], values, np.inf).min(1, initial=np.inf) > 0
        for multiplicative in (True, False):
            some = np.flatnonzero(positive if multiplicative else ~divided[rows])
            found = _decompose(values[some], start[some], season, multiplicative)
            usable = found.min(1, initial=np.inf) >= MIN_INDEX if multiplicative else np.ones(len(some), bool)
            index[rows[some[usable]]] = found[usable]
            divided[rows[some[usable]]] = multiplicative
    return index, divided


def remove_season(values: Values, index: Values, divided: Mask) -> Values:
    """Take the season out of windows [windows, span]; `index` and `divided` come from `seasonal_index`."""
    profile = index[:, np.arange(-values.shape[1], 0) % index.shape[1]]
    return np.where(divided[:, None], values / np.where(divided[:, None], profile, 1), values - profile)


def restore_season(points: Values, index: Values, divided: Mask) -> Values:
    """Put the season back into forecasts [windows, horizon] of windows without it."""
    profile = index[:, np.arange(points.shape[1]) % index.shape[1]]
    return np.where(divided[:, None], points * profile, points + profile)


def by_season(slots: NDArray[Slot], season: int) -> NDArray[Slot]:
    """Fold the steps into seasons that end with the newest step, [windows, seasons, season], zeros in front."""
    windows, span = slots.shape
    return np.pad(slots, ((0, 0), (-span % season, 0))).reshape(windows, -(-span // season), season)


def _is_seasonal(values: Values, start: Counts, season: int) -> Mask:
    """Whether each window is correlated with itself one season earlier by more than chance, [windows]."""
    span = values.shape[1]
    length = span - start
    present = np.arange(span) >= start[:, None]
    centred = np.where(present, values - (values.sum(1) / length)[:, None], 0.0)
    size = 1 << int(span + season).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    moments = np.fft.irfft(power, size)[:, : season + 1]
    constant = moments[:, 0] <= 1e-24 * (values**2).sum(1)
    correlations = moments[:, 1:] / np.where(constant, 1.0, moments[:, 0])[:, None]
    # Bartlett's variance under no correlation from this lag on. Of length squared only length - season products are
    # summed: without that count two or three seasons, however clear, seldom pass
    products = np.maximum(length - season, 0)
    limit = LIMIT * np.sqrt((1 + 2 * (correlations[:, :-1] ** 2).sum(1)) * products) / length
    seasonal: Mask = (length >= MIN_SEASONS * season) & ~constant & (correlations[:, -1] > limit)
    return seasonal


def _decompose(values: Values, start: Counts, season: int, multiplicative: bool) -> Values:
    """Classical decomposition: mean by phase of what a centred moving average over one season leaves."""
    windows, span = values.shape
    half = season // 2
    sums = np.concatenate([np.zeros((windows, 1)), np.cumsum(values, 1)], 1)
    middle = np.arange(half, span - half)
    # an even season counts its two ends by half each
    trend = (
        sums[:, middle + season - half]
        - sums[:, middle - half]
        + sums[:, middle + half + 1]
        - sums[:, middle + half + 1 - season]
    ) / (2 * season)
    inside = middle >= start[:, None] + half
    rest = values[:, middle] / np.where(inside, trend, 1.0) if multiplicative else values[:, middle] - trend
    around = ((0, 0), (half, half))
    totals = by_season(np.pad(np.where(inside, rest, 0.0), around), season).sum(1)
    index: Values = totals / by_season(np.pad(inside.astype(np.float64), around), season).sum(1)
    mean: Values = index.mean(1, keepdims=True)
    return index / mean if multiplicative else index - mean
