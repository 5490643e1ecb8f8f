"""Trend lines by least squares, and which windows follow one, in values or in logarithms."""

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.baselines.shared.method import Counts, Mask, Values
from forecast.baselines.shared.seasons import OUTLIER_LIMIT, remove_season, seasonal_index

MIN_TREND_VALUES = 8  # fewer do not tell a line from a random walk
MAX_TREND_VALUES = 60  # longer lines bend or break sooner than they seem to
# twice the log likelihood ratio that a line must have over a constant, and a line of logarithms
# over one of values
EVIDENCE = 10.0
SQUARES_ROUNDING = 1e-24  # smaller squared errors, as a share of squares, are nothing but rounding
LEAST_SQUARES = 1e-200  # stands for the squares of zeros


def fit_line(values: Values, start: Counts) -> tuple[Values, Values, Values, Values]:
    """The line of least squared errors through the values from column `start` on.

    Returns mean and slope, [windows, 1], and steps from the middle and values less their mean,
    [windows, span], 0 before the start.
    """
    span = values.shape[1]
    present = np.arange(span) >= start[:, None]
    middle = (start + span - 1) / 2
    time = np.where(present, np.arange(span) - middle[:, None], 0.0)
    squares = np.maximum((time**2).sum(1, keepdims=True), 1.0)
    mean = values.mean(1, where=present, keepdims=True)
    centred = np.where(present, values - mean, 0.0)
    slope = (centred * time).sum(1, keepdims=True) / squares
    return mean, slope, time, centred


@np.errstate(over="ignore", invalid="ignore")  # values too large to be squared have no line
def clear_lines(values: Values, observed: Mask, horizon: int, season: int) -> tuple[Values, Mask]:
    """Find the straight lines that windows clearly follow, [windows, span + horizon].

    A window that follows none has zeros. Also returns which lines are lines of logarithms,
    [windows]. A line is clear if a constant is far less likely, and if its errors are no more
    correlated with the ones before than chance explains; those of random walks are. Windows of
    fewer than `MIN_TREND_VALUES` or a horizon, or of more than `MAX_TREND_VALUES`, have none.
    """
    windows, span = values.shape
    start = observed.argmax(1)
    count = span - start
    lines = np.zeros((windows, span + horizon))
    is_long = count >= max(MIN_TREND_VALUES, horizon)
    usable = is_long & (count <= MAX_TREND_VALUES)
    if not usable.any():
        return lines, usable
    filled = fill_gaps(values, observed, season)
    plain = remove_season(filled, *seasonal_index(filled, start, season))
    present = np.arange(span) >= start[:, None]
    lowest = np.minimum(filled, plain).min(1, where=present, initial=np.inf)
    positive = present & (lowest > 0)[:, None]
    logs = np.log(np.where(positive, plain, 1.0))
    both = np.concatenate([plain, logs])
    mean, slope, time, centred = fit_line(both, np.tile(start, 2))

    errors = centred - slope * time
    products = (errors[:, 1:] * errors[:, :-1]).sum(1)
    least = SQUARES_ROUNDING * (both**2).sum(1) + LEAST_SQUARES
    squares = (errors**2).sum(1) + least
    total = (centred**2).sum(1) + least
    count = np.tile(count, 2)
    evidence = count * np.log(total / squares)
    is_clear = np.tile(usable, 2) & (evidence > EVIDENCE)
    is_clear &= products < OUTLIER_LIMIT / np.sqrt(count) * squares
    cost = np.where(is_clear, count * np.log(squares), np.inf)
    cost = cost.reshape(2, windows)
    cost[1] += 2 * logs.sum(1) + EVIDENCE  # the sum turns their likelihood into that of values
    in_logs = cost[1] < cost[0]

    rows = np.flatnonzero(np.isfinite(cost).any(0))
    chosen = rows + windows * in_logs[rows]
    middle = (start[rows, None] + span - 1) / 2
    steps = np.arange(span + horizon) - middle
    lines[rows] = mean[chosen] + slope[chosen] * steps
    return lines, in_logs
