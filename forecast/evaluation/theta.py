"""The Theta method (Assimakopoulos and Nikolopoulos 2000), for many series at once."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Slot = TypeVar("Slot", bound=np.generic)

SMOOTHING = np.sin(np.arange(2, 33) * np.pi / 64) ** 2  # 0.01 to 1, closest where the forecast feels it most
SEASONS = 3  # fewer say too little about each phase, as the M4 competition had it
LIMIT = 1.645  # 90 % limit of an autocorrelation that is zero
FEW = 4  # a line through fewer values runs away
LEAST_INDEX = 0.05  # dividing by a smaller one blows noise up


def theta_forecast(values: Values, start: Counts, horizon: int, season: int) -> Values:
    """Classical Theta: the mean of the trend line and of the smoothed line of doubled curvature.

    A season is taken out before and put back after where the autocorrelation at its lag passes the 90 % limit
    (Fiorucci et al. 2016) and the series holds three of them: by classical decomposition, multiplicative if all values
    are positive and no index is close to zero, else additive. Coefficient and first level of the smoothing are those of
    the least squared error one step ahead. Fewer than four values repeat the last one.

    Parameters
    ----------
    values : [windows, span], without gaps from `start` on, zeros before; the last column is the newest
    start : [windows], column of each window's first value
    season : steps; 1 means none

    Returns
    -------
    [windows, horizon]
    """
    span = values.shape[1]
    index, divided = seasonal_index(values, start, season)  # [windows, season], [windows]
    profile = index[:, np.arange(-span, 0) % season]
    present = np.arange(span) >= start[:, None]
    level = np.where(divided[:, None], values / np.where(divided[:, None], profile, 1), values - profile)
    forecast = _two_lines(np.where(present, level, 0.0), present, start, horizon)
    profile = index[:, np.arange(horizon) % season]
    return np.where(divided[:, None], forecast * profile, forecast + profile)


def seasonal_index(values: Values, start: Counts, season: int) -> tuple[Values, Mask]:
    """The seasonal indices of each window, and whether they are factors (or else summands, zeros without a season).

    Parameters
    ----------
    values, start, season : as for `theta_forecast`

    Returns
    -------
    [windows, season], the first column for the first step ahead; [windows]
    """
    windows, span = values.shape
    index, divided = np.zeros((windows, season)), np.zeros(windows, bool)
    if season > 1 and span >= SEASONS * season:
        rows = np.flatnonzero(_is_seasonal(values, start, season))
        values, start = values[rows], start[rows]
        positive = np.where(np.arange(span) >= start[:, None], values, np.inf).min(1, initial=np.inf) > 0
        factors = _decompose(np.where(positive[:, None], values, 1.0), start, season, multiplicative=True)
        divided[rows] = positive & (factors.min(1, initial=np.inf) >= LEAST_INDEX)
        summands = _decompose(values, start, season, multiplicative=False)
        index[rows] = np.where(divided[rows, None], factors, summands)
    return index, divided


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
    size = 1 << (span + season).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    moments = np.fft.irfft(power, size)[:, : season + 1]
    constant = moments[:, 0] <= 1e-24 * (values**2).sum(1)
    correlations = moments[:, 1:] / np.where(constant, 1.0, moments[:, 0])[:, None]
    # Bartlett's variance under no correlation from this lag on; a negative correlation is no season
    limit = LIMIT * np.sqrt((1 + 2 * (correlations[:, :-1] ** 2).sum(1)) / length)
    seasonal: Mask = (length >= SEASONS * season) & ~constant & (correlations[:, -1] > limit)
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


def _two_lines(values: Values, present: Mask, start: Counts, horizon: int) -> Values:
    """Mean of the theta lines 0 (the trend) and 2 (smoothed), [windows, horizon]."""
    span = values.shape[1]
    length = (span - start).astype(np.float64)
    time = np.where(present, np.arange(span) - (start[:, None] + span - 1) / 2, 0.0)  # centred in each window
    mean = values.sum(1) / length
    slope = (values * time).sum(1) / np.maximum((time**2).sum(1), 1.0)
    bent = np.where(present, 2 * values - mean[:, None] - slope[:, None] * time, 0.0)
    ahead = (length[:, None] - 1) / 2 + np.arange(1, horizon + 1)
    forecast = (mean[:, None] + slope[:, None] * ahead + smoothed_level(bent, start)[:, None]) / 2
    return np.where(length[:, None] < FEW, values[:, -1:], forecast)


def smoothed_level(values: Values, start: Counts) -> Values:
    """Last level of simple exponential smoothing at the best of `SMOOTHING`, [windows].

    A level is linear in the first one, so that for each coefficient the best first level has a closed form.
    """
    windows, span = values.shape
    mean = values.sum(1) / (span - start)
    steps = np.ascontiguousarray(np.where(np.arange(span) >= start[:, None], values - mean[:, None], 0.0).T)
    coefficient, decay = SMOOTHING[:, None], 1 - SMOOTHING[:, None]
    # level: from a first level of zero; share: how much of another first level is left in it
    level, share, squares, products, weight = (np.zeros((len(SMOOTHING), windows)) for _ in range(5))
    error, buffer = np.empty_like(level), np.empty_like(level)
    begins = np.bincount(start, minlength=span) > 0
    for step in range(int(start.min(initial=span)), span):
        if begins[step]:
            share[:, start == step] = 1.0
        np.subtract(steps[step], level, out=error)
        squares += np.multiply(error, error, out=buffer)
        products += np.multiply(error, share, out=buffer)
        weight += np.multiply(share, share, out=buffer)
        level += np.multiply(error, coefficient, out=buffer)
        share *= decay
        if step % 32 == 0:
            share[share < 1e-30] = 0.0  # denormal numbers are slow
    first = products / weight
    best = (squares - products * first).argmin(0)
    here = (best, np.arange(windows))
    newest: Values = mean + level[here] + share[here] * first[here]
    return newest
