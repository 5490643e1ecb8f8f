"""Fill gaps of windows by their own earlier values, and cut the newest steps."""

import numpy as np

from forecast.baselines.shared.method import Counts, Mask, Values
from forecast.baselines.shared.seasons import by_season

# context of theta, smoothing and autoregression: whichever is more
MAX_GAP_STEPS = 200
MAX_GAP_SEASONS = 10
MAX_SMOOTHED = 5000  # steps of it that are smoothed or regressed, where seasons are long


def fill_gaps(values: Values, observed: Mask, season: int) -> Values:
    """Put into each gap the value the fewest whole seasons back, else the last observed one.

    Zeros before the first.
    """
    if observed.all():
        return values
    windows, span = values.shape
    # columns counted from 1, so that 0 is none
    columns = np.where(observed, np.arange(1, span + 1), 0)
    last = np.maximum.accumulate(columns, 1)
    seasonal = np.maximum.accumulate(by_season(columns, season), 1)
    seasonal = seasonal.reshape(windows, -1)[:, -span:]
    source = np.where(seasonal > 0, seasonal, last)
    filled = np.take_along_axis(values, np.maximum(source - 1, 0), 1)
    return np.where(source > 0, filled, 0.0)


def recent_values(values: Values, observed: Mask, season: int) -> tuple[Values, Counts]:
    """The newest steps without gaps, [windows, steps], and the column where each window begins in
    them, [windows].
    """
    steps = max(MAX_GAP_STEPS, MAX_GAP_SEASONS * season)
    filled = fill_gaps(values, observed, season)
    return newest_steps(filled, observed.argmax(1), steps)


def newest_steps(values: Values, start: Counts, steps: int = MAX_SMOOTHED) -> tuple[Values, Counts]:
    """The newest of the steps that `recent_values` gives, and where windows begin in them."""
    before = max(0, values.shape[1] - steps)
    return values[:, before:], np.maximum(start - before, 0)
