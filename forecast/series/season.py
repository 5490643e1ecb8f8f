"""Say which seasons the data confirm."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LEAST = 0.1  # weaker repetition is no help to a forecast
SERIES, SLOTS = 200, 20_000


def confirm_seasons(candidates: tuple[int, ...], series: Sequence[Numbers]) -> tuple[int, ...]:
    """Keep the season lengths at which the data repeat themselves.

    From each series a moving average over one season is taken away, and the mean of every phase of the shorter seasons
    that were confirmed; what is left must be correlated with itself one season earlier: over all series together by
    more than chance (90 % one-sided, as the M4 competition tested) and by more than 0.1.

    Parameters
    ----------
    candidates : season lengths in steps, shortest first
    series : arrays of values in steps of the grid, NaN where missing

    Returns
    -------
    The confirmed lengths, shortest first.
    """
    sample = [values[-SLOTS:] for values in series[:SERIES]]
    confirmed: tuple[int, ...] = ()
    for length in candidates:
        products, pairs = 0.0, 0
        for values in sample:
            if len(values) < 2 * length:
                continue
            rest = _without_trend(values, length)
            for shorter in confirmed:
                rest = rest - _phase_means(rest, shorter)
            scale = np.sqrt(np.nanmean(rest**2)) if np.isfinite(rest).any() else 0.0
            if not scale > 1e-9 * max(1.0, float(np.nanmax(np.abs(values)))):
                continue
            product = (rest[length:] / scale) * (rest[:-length] / scale)
            products += float(np.nansum(product))
            pairs += int(np.isfinite(product).sum())
        if pairs >= length and products / pairs > max(LEAST, 1.645 / np.sqrt(pairs)):
            confirmed += (length,)
    return confirmed


def _without_trend(values: Numbers, length: int) -> Numbers:
    """Values less their moving average over one season, shorter at the ends."""
    known = np.isfinite(values)
    centre = np.nanmean(values) if known.any() else 0.0
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values - centre, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    place = np.arange(len(values))
    low = np.clip(place - length // 2, 0, len(values) - length)
    level = (sums[low + length] - sums[low]) / np.maximum(counts[low + length] - counts[low], 1)
    rest: Numbers = values - centre - level
    return rest


def _phase_means(values: Numbers, length: int) -> Numbers:
    """The mean of each phase of a season, repeated over the series."""
    phase = np.arange(len(values)) % length
    known = np.isfinite(values)
    sums = np.bincount(phase, np.where(known, values, 0.0), length)
    return (sums / np.maximum(np.bincount(phase, known, length), 1))[phase]
