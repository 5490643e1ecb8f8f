"""Fill gaps of windows by their own earlier values, and cut the newest steps."""

import numpy as np

from forecast.baselines.shared.method import Counts, Mask, Values
from forecast.baselines.shared.seasons import by_season

MAX_STEPS, MAX_SEASONS = (
    200,
    10,
)  # context of theta, smoothing and autoregression: whichever is more
MAX_SMOOTHED = 5000  # steps of it that are smoothed or regressed, where seasons are long


def fill_gaps(values: Values, observed: Mask, season: int) -> Values:
    """Put into each gap the value the fewest whole seasons back, else the last observed one; zeros before the first."""
    if observed.all():
        return values
    windows, span = values.shape
    # columns counted from 1, so that 0 is none
    source = np.where(observed, np.arange(1, span + 1), 0)
    seasonal = np.maximum.accumulate(by_season(source, season), 1).reshape(windows, -1)[:, -span:]
    source = np.where(seasonal > 0, seasonal, np.maximum.accumulate(source, 1))
    return np.where(source > 0, np.take_along_axis(values, np.maximum(source - 1, 0), 1), 0.0)


def recent_values(values: Values, observed: Mask, season: int) -> tuple[Values, Counts]:
    """The newest steps without gaps, [windows, steps], and the column where each window begins in them, [windows]."""
    steps = max(MAX_STEPS, MAX_SEASONS * season)
    start = np.maximum(observed.argmax(1) - max(0, values.shape[1] - steps), 0)
    return fill_gaps(values, observed, season)[:, -steps:], start


def newest_steps(values: Values, start: Counts) -> tuple[Values, Counts]:
    """The newest `MAX_SMOOTHED` of the steps that `recent_values` gives, and where windows begin in them."""
    return values[:, -MAX_SMOOTHED:], np.maximum(start - max(0, values.shape[1] - MAX_SMOOTHED), 0)
