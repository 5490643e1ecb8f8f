"""Linear autoregression with a ridge penalty, for many series at once."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecast.baselines.shared.gaps import newest_steps, recent_values
from forecast.baselines.shared.method import Counts, Mask, Method, Values

MIN_LAGS = 24
MAX_LAGS = 64
LAGS_PER_SEASON = 4 / 3
MIN_LAGGED_VALUES = 4  # with fewer values, the forecast repeats the last one
LAG_PENALTIES = 10.0 ** np.arange(-12, 2)  # ridge penalties, as shares of the largest eigenvalue
# smaller errors, as a share of the sum of squares, are nothing but rounding
LAG_ERROR_ROUNDING = 1e-15
MIN_LAG_FREEDOM = 0.5  # a fit must leave so many degrees of freedom, or its errors say nothing
# smaller eigenvalues, as a share of the sum of squares of a lag, are nothing but rounding
EIGENVALUE_ROUNDING = 1e-13
LAG_WINDOWS_AT_ONCE = 64  # so many windows fit into a cache


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast each window by a linear map of its last values.

    The map is found by ridge regression on the window itself.

    The map has lags of a season and a third, 24 to 64 but at most half of the window, and an
    intercept; it is applied again and again to its own forecasts. Generalised cross-validation
    chooses the penalty (Golub, Heath and Wahba 1979). Sums of lines and waves obey such a map
    exactly, whatever their periods are. Forecasts stay within the range of the past, widened on
    both sides by that range (by more where the horizon is longer than the past). Fewer than four
    values repeat the last one.
    """
    values, start = newest_steps(*recent_values(values, observed, season))
    points = np.repeat(values[:, -1:], horizon, 1)
    lengths = values.shape[1] - start
    # one order for windows of nearly one length: their equations are solved together
    orders = np.minimum(lengths // 2, max_lags(season))
    has_enough = lengths >= MIN_LAGGED_VALUES
    for order in np.unique(orders[has_enough]).tolist():
        rows = np.flatnonzero((orders == order) & has_enough)
        cuts = range(LAG_WINDOWS_AT_ONCE, len(rows), LAG_WINDOWS_AT_ONCE)
        for part in np.split(rows, cuts):
            points[part] = _extrapolate(values[part], start[part], order, horizon)
    return points


def max_lags(season: int) -> int:
    """Return the number of lags for a window that is long enough."""
    return int(np.clip(LAGS_PER_SEASON * season, MIN_LAGS, MAX_LAGS))


def _extrapolate(values: Values, start: Counts, order: int, horizon: int) -> Values:
    span = values.shape[1]
    present = np.arange(span) >= start[:, None]
    length = present.sum(1, keepdims=True)
    total = np.where(present, values, 0.0).sum(1, keepdims=True)
    mean = total / length
    centred = np.where(present, values - mean, 0.0)
    squares = (centred**2).sum(1, keepdims=True)
    scale = np.sqrt(squares / length)
    moving = scale > 1e-14 * np.abs(mean)
    scaled = centred / np.where(moving, scale, 1.0)
    weights, intercept = _fit_lags(scaled, present, order)

    low = scaled.min(1)
    high = scaled.max(1)
    times = np.maximum(1.0, horizon / length[:, 0])
    reach = (high - low) * times
    newest = scaled[:, span - order :]
    path = np.pad(newest, ((0, 0), (0, horizon)))
    for step in range(horizon):
        lags = path[:, step : step + order]
        ahead = (weights * lags).sum(1) + intercept
        path[:, order + step] = np.clip(ahead, low - reach, high + reach)
    points = mean + scale * path[:, order:]
    return np.where(moving, points, values[:, -1:])


def _fit_lags(scaled: Values, present: Mask, order: int) -> tuple[Values, Values]:
    """Return the weights of lags, the oldest first, [windows, order], and intercepts, [windows]."""
    # a row whose oldest lag is padding does not count
    used = present[:, :-order].astype(np.float64)
    count = used.sum(1, keepdims=True)
    past = sliding_window_view(scaled, order, axis=1)[:, :-1]
    target = scaled[:, order:]
    used_rows = used[..., None]  # [windows, rows, 1]
    middle = (used_rows * past).sum(1) / count  # [windows, order]
    centre = (used * target).sum(1, keepdims=True) / count
    past = used_rows * (past - middle[:, None])  # [windows, rows, order]
    target = used * (target - centre)

    products = past.transpose(0, 2, 1) @ past
    size, vectors = np.linalg.eigh(products)  # [windows, order]
    with_target = target[:, None] @ past
    product = (with_target @ vectors)[:, 0]
    least = EIGENVALUE_ROUNDING * count
    rounding = size <= least  # directions in which nothing moved
    size[rounding] = 0.0
    product[rounding] = 0.0
    largest = np.maximum(size[:, -1:], least)
    total = (target**2).sum(1)
    best = np.full(len(scaled), np.inf)
    chosen = np.zeros_like(size)
    for penalty in LAG_PENALTIES:
        shrunk = 1 / (size + penalty * largest)
        share = shrunk * size
        explained = ((2 - share) * shrunk * product**2).sum(1)
        squares = np.maximum(total - explained, LAG_ERROR_ROUNDING * total)
        freedom = count[:, 0] - 1 - share.sum(1)
        score = squares / np.maximum(freedom, MIN_LAG_FREEDOM) ** 2
        better = (freedom > MIN_LAG_FREEDOM) & (score < best)
        chosen[better] = shrunk[better]
        best[better] = score[better]
    turned = chosen * product  # in the directions of the eigenvectors
    weights = (vectors @ turned[..., None])[..., 0]
    intercept = centre[:, 0] - (weights * middle).sum(1)
    return weights, intercept


METHOD = Method(forecast, default_rank=10, straightens=True)
