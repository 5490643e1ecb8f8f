"""Seasons of windows: their test, and their indices by classical decomposition."""

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forecast.baselines.shared.method import Counts, Mask, Values
from forecast.pretrained.features import sums_by_phase

Slot = TypeVar("Slot", bound=np.generic)

MIN_SEASONS = 2  # fewer leave no moving average for some phase
LIMIT = 1.2816  # 90 % limit of an autocorrelation that is zero; one-sided, as a negative one is no season
MIN_INDEX = 0.05  # dividing by a smaller one blows noise up
SMOOTHED_SEASON = 500  # steps of a season from which on neighbours are alike
WIDTHS = 2.0 ** np.arange(11)  # steps, of the kernels that smooth it, beside none


def seasonal_index(values: Values, start: Counts, season: int) -> tuple[Values, Mask]:
    """The seasonal indices of each window, and whether they are factors (or else summands, zeros without a season).

    Values [windows, span] have no gaps from column `start` [windows] on, and zeros before. The first column of the
    indices [windows, season] is for the first step ahead. What was found last is remembered: methods ask in turn.
    """
    return _index(values.tobytes(), start.tobytes(), season)


@lru_cache(maxsize=4)
def _index(value_bytes: bytes, start_bytes: bytes, season: int) -> tuple[Values, Mask]:
    start = np.frombuffer(start_bytes, np.int64)
    values = np.frombuffer(value_bytes).reshape(len(start), -1)
    windows, span = values.shape
    index, divided = np.zeros((windows, season)), np.zeros(windows, bool)
    if season > 1 and span >= MIN_SEASONS * season:
        rows = np.flatnonzero(_is_seasonal(values, start, season))
        values, start = values[rows], start[rows]
        positive = (
            np.where(np.arange(span) >= start[:, None], values, np.inf).min(1, initial=np.inf) > 0
        )
        for multiplicative in (True, False):
            some = np.flatnonzero(positive if multiplicative else ~divided[rows])
            found = _decompose(values[some], start[some], season, multiplicative)
            usable = (
                found.min(1, initial=np.inf) >= MIN_INDEX
                if multiplicative
                else np.ones(len(some), bool)
            )
            index[rows[some[usable]]] = found[usable]
            divided[rows[some[usable]]] = multiplicative
    for array in (index, divided):
        array.flags.writeable = False
    return index, divided


def remove_season(values: Values, index: Values, divided: Mask) -> Values:
    """Take the season out of windows [windows, span]; `index` and `divided` come from `seasonal_index`."""
    profile = index[:, np.arange(-values.shape[1], 0) % index.shape[1]]
    return np.where(
        divided[:, None], values / np.where(divided[:, None], profile, 1), values - profile
    )


def restore_season(points: Values, index: Values, divided: Mask) -> Values:
    """Put the season back into forecasts [windows, horizon] of windows without it."""
    profile = index[:, np.arange(points.shape[1]) % index.shape[1]]
    return np.where(divided[:, None], points * profile, points + profile)


def by_season(slots: NDArray[Slot], season: int) -> NDArray[Slot]:
    """Fold the steps into seasons that end with the newest step, [windows, seasons, season], zeros in front."""
    windows, span = slots.shape
    return np.pad(slots, ((0, 0), (-span % season, 0))).reshape(windows, -(-span // season), season)


def smoothed(profile: Values, counts: Values, values: Values, observed: Mask) -> Values:
    """A long seasonal profile [windows, season] without the noise of its steps, each the mean of `counts` values.

    The profile is smoothed by a circular normal kernel. Of several widths the one with the least estimated risk counts
    (Mallows 1973): the more seasons were seen, the narrower it is. The variance of the noise comes from changes, from
    step to step, of the differences over one season of `values` [windows, span]; they hold neither season nor level.
    """
    season = profile.shape[1]
    if season <= SMOOTHED_SEASON:
        return profile
    both = observed[:, season:] & observed[:, :-season]
    change, both = np.diff(values[:, season:] - values[:, :-season]), both[:, 1:] & both[:, :-1]
    noise = (np.where(both, change, 0.0) ** 2).sum(1) / np.maximum(4 * both.sum(1), 1)
    noise = noise * (1 / np.maximum(counts, 1)).mean(1)  # of a step of the profile
    spectrum = np.fft.rfft(profile)
    frequency = 2 * np.pi * np.fft.rfftfreq(season)
    twice = np.where((frequency == 0) | (frequency == np.pi), 1, 2)  # a frequency and its negative
    power, result, least = twice * np.abs(spectrum) ** 2 / season**2, profile.copy(), 2 * noise
    for width in WIDTHS:
        kept = np.exp(-((frequency * width) ** 2) / 2)
        risk = power @ (1 - kept) ** 2 + 2 * noise * (twice * kept).sum() / season
        better, least = risk < least, np.minimum(risk, least)
        result[better] = np.fft.irfft(spectrum[better] * kept, season)
    return result


def _is_seasonal(values: Values, start: Counts, season: int) -> Mask:
    """Whether each window is correlated with itself one season earlier by more than chance, [windows]."""
    span = values.shape[1]
    length = span - start
    present = np.arange(span) >= start[:, None]
    centred = np.where(present, values - (values.sum(1) / length)[:, None], 0.0)
    size = 1 << int(span + season).bit_length()
    spectrum = np.fft.rfft(centred, size)
    moments = np.fft.irfft(spectrum * spectrum.conj(), size)[:, : season + 1]
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
    begins = season, 0, 2 * half + 1, 2 * half + 1 - season
    end, start_of, other_end, other_start = (
        sums[:, begin : begin + len(middle)] for begin in begins
    )
    trend = (end - start_of + other_end - other_start) / (2 * season)
    inside = middle >= start[:, None] + half
    rest = values[:, half : span - half]
    rest = rest / np.where(inside, trend, 1.0) if multiplicative else rest - trend
    parts = np.where(inside, rest, 0.0).T, inside.T.astype(np.float64)
    totals, counts = (np.roll(sums_by_phase(part, season), -half, 0).T for part in parts)
    whole = np.arange(span) >= start[:, None]
    size = values.sum(1, keepdims=True) / (span - start)[:, None] if multiplicative else 1.0
    index: Values = smoothed(totals / counts, counts, values / size, whole)
    mean: Values = index.mean(1, keepdims=True)
    return index / mean if multiplicative else index - mean
