"""Say which seasons the data confirm."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast.series.calendar import season_candidates
from forecast.series.panel import Panel
from forecast.series.schema import CalendarSpec

Numbers = NDArray[np.float64]

LEAST = 0.1  # weaker repetition is no help to a forecast
LONG = 100  # a slow wander looks like a season so long, unless it comes three times
SERIES, SLOTS = 200, 20_000  # as much of the data as is looked at


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
    confirmed: tuple[int, ...] = ()
    for length in candidates:
        # a slow wander resembles itself nearby, so that its pairs count for less: Bartlett's formula, lags thinned out
        step = max(1, length // 48)
        lags = np.array([length, *range(step, length // 4 + 1, step)])
        products, pairs = np.zeros(len(lags)), np.zeros(len(lags))
        for values in series:
            if len(values) < (3 if length >= LONG else 2) * length:
                continue
            rest = _without_trend(values, length)
            for shorter in confirmed:
                rest = rest - _phase_means(rest, shorter)
            scale = np.sqrt(np.nanmean(rest**2)) if np.isfinite(rest).any() else 0.0
            if not scale > 1e-12 * max(1.0, float(np.nanmax(np.abs(values)))):
                continue
            known, rest = np.isfinite(rest), np.nan_to_num(rest / scale)
            products += [rest[lag:] @ rest[:-lag] for lag in lags]
            pairs += [np.count_nonzero(known[lag:] & known[:-lag]) for lag in lags]
        correlations = products / np.maximum(pairs, 1)
        spread = np.sqrt((1 + 2 * step * float((correlations[1:] ** 2).sum())) / max(pairs[0], 1))
        if pairs[0] >= length and correlations[0] > max(LEAST, 1.645 * spread):
            confirmed += (length,)
    return confirmed


def panel_seasons(panel: Panel, spec: CalendarSpec) -> tuple[int, ...]:
    """The usual seasons of the frequency that the past of a panel confirms, looked for in the first series."""
    candidates = season_candidates(spec)
    if not candidates:
        return ()
    slots = [panel.slots(series) for series in range(min(SERIES, len(panel)))]
    dense = [np.where(panel.observed[own], panel.values[own], np.nan)[-SLOTS:] for own in slots]
    return confirm_seasons(candidates, dense)


def _without_trend(values: Numbers, length: int) -> Numbers:
    """Values less their straight line, then less their moving average over one season."""
    known = np.isfinite(values)
    place = np.arange(len(values))
    if known.sum() > 1:
        # first the line, as the average is lopsided at both ends
        middle, centre = place[known].mean(), values[known].mean()
        slope = ((place - middle) * (values - centre))[known].sum() / ((place - middle)[known] ** 2).sum()
        values = values - centre - slope * (place - middle)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    low = np.clip(place - length // 2, 0, len(values) - length)
    level = (sums[low + length] - sums[low]) / np.maximum(counts[low + length] - counts[low], 1)
    rest: Numbers = values - level
    return rest


def _phase_means(values: Numbers, length: int) -> Numbers:
    """The mean of each phase of a season, repeated over the series."""
    phase = np.arange(len(values)) % length
    known = np.isfinite(values)
    sums = np.bincount(phase, np.where(known, values, 0.0), length)
    return (sums / np.maximum(np.bincount(phase, known, length), 1))[phase]
