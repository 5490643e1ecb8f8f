"""Intervals that hold: move each quantile by what held-out values say it misses (Romano, Patterson and Candes 2019)."""

import logging

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("forecast")

NEIGHBOURS = 2  # horizon steps to each side whose scores are pooled with a step's own


def conformal_margins(
    quantiles: NDArray[np.float64],
    actual: NDArray[np.float64],
    observed: NDArray[np.bool_],
    levels: tuple[float, ...],
) -> NDArray[np.float32]:
    """What to add to each quantile of each horizon step, in units of the window's scale.

    Conformalised quantile regression, one side at a time: the score of a held-out value is how far it lies beyond the
    quantile, and the margin is the score that the wanted share of values stays below, if that widens the interval.
    Scores are pooled by horizon step and its neighbours, over windows held out by time; the median stays where it is.

    Parameters
    ----------
    quantiles : [windows, horizon, levels], ascending, scaled by window
    actual, observed : [windows, horizon]
    levels : ascending, 0.5 among them

    Returns
    -------
    [horizon, levels]; zeros where nothing was held out
    """
    horizon, middle = quantiles.shape[1], levels.index(0.5)
    margins = np.zeros((horizon, len(levels)))
    for step in range(horizon):
        near = slice(max(0, step - NEIGHBOURS), step + NEIGHBOURS + 1)
        seen = observed[:, near]
        if not seen.any():
            continue
        beyond = (actual[:, near, None] - quantiles[:, near])[seen]  # [scores, levels]
        for place, level in enumerate(levels):
            if place != middle:
                side, share = (1.0, level) if place > middle else (-1.0, 1 - level)
                # quantiles move outwards only: inwards, one step too far loses all values that are equal, such as zeros
                margins[step, place] = side * max(0.0, _score(side * beyond[:, place], share))
    return margins.astype(np.float32)


def say_few_scores(windows: int, interval: float) -> None:
    """Warn when there are fewer held-out windows than one for each value that an interval may miss."""
    needed = round(1 / (1 - interval / 100))
    if 0 < windows < needed:
        log.warning(
            "intervals are calibrated on %d held-out windows; those of %g %% want %d or more, and may be too narrow",
            windows,
            interval,
            needed,
        )


def _score(scores: NDArray[np.float64], share: float) -> float:
    """The score that `share` of new values stays below, one more value counted than was seen."""
    rank = min(len(scores), int(np.ceil(share * (len(scores) + 1))))
    return float(np.partition(scores, rank - 1)[rank - 1])
