"""Intervals that hold: move each quantile by what held-out values say it misses (Romano, Patterson and Candes 2019)."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting

log = logging.getLogger("forecast")

Numbers = NDArray[np.float64]

NEIGHBOURS = 2  # horizon steps to each side whose scores are pooled with a step's own
LEAST = 0.01  # share of the window's scale that the half width of an interval counts as at least
TIED = 0.05  # share of equal values from which on quantiles do not move inwards
RATE = 0.02  # of adaptive conformal inference


@dataclass(frozen=True)
class Calibration:
    """What held-out windows say about quantiles.

    Attributes
    ----------
    margins : [horizon, levels], to be added to each quantile, in units of half the width of its interval
    joint : [levels], factor by which a quantile's distance from the median grows, so that the whole path stays inside
    coverage : [levels], share of held-out values that lay below each quantile before it was moved
    windows : their number
    """

    margins: NDArray[np.float32]
    joint: NDArray[np.float32]
    coverage: NDArray[np.float32]
    windows: int


def calibrate(
    quantiles: Numbers,
    actual: Numbers,
    observed: NDArray[np.bool_],
    scale: Numbers,
    levels: tuple[float, ...],
    adaptive: bool = False,
) -> Calibration:
    """Conformalised quantile regression on held-out windows, one interval at a time.

    The score of a value is how far it lies beyond the interval between a quantile and its mirror image, in units of
    half its width (Sesia and Candes 2020), and the margin is the score that the wanted share of values stays below.
    Both sides move by the same: one side alone would follow a drift of the held-out values. Scores are pooled by
    horizon step and its neighbours; the median stays where it is. Where many values are equal, as the zeros of rare
    sales are, quantiles move outwards only: inwards, one step too far would lose all of them.

    Parameters
    ----------
    quantiles : [windows, horizon, levels], ascending
    actual, observed : [windows, horizon]
    scale : [windows]; windows of scale 0 do not count
    levels : ascending and symmetric, 0.5 among them
    adaptive : the windows are one series in the order of time; the share that is aimed at then follows what the newest
        of them missed (adaptive conformal inference, Gibbs and Candes 2021)
    """
    horizon, middle = quantiles.shape[1], levels.index(0.5)
    observed = observed & (scale > 0)[:, None]
    if not observed.any():
        nothing = np.zeros(len(levels), np.float32)
        return Calibration(np.zeros((horizon, len(levels)), np.float32), nothing + 1, nothing, 0)
    beyond = (actual[..., None] - quantiles) / half_widths(quantiles, np.where(scale > 0, scale, 1.0))
    inwards = _largest_share(actual[observed]) < TIED
    margins = np.zeros((horizon, len(levels)))
    for place in range(middle):
        mirror = len(levels) - 1 - place
        share = levels[mirror] - levels[place]
        scores = np.maximum(-beyond[..., place], beyond[..., mirror])
        aim = adapted_share(scores, observed, share) if adaptive else share
        for step in range(horizon):
            near = slice(max(0, step - NEIGHBOURS), step + NEIGHBOURS + 1)
            seen = scores[:, near][observed[:, near]]
            if len(seen):
                score = score_at(seen, aim)
                margins[step, mirror] = score if inwards else max(0.0, score)
                margins[step, place] = -margins[step, mirror]
    below = np.array([(beyond[..., place] <= 0)[observed].mean() for place in range(len(levels))])
    moved = moved_by(quantiles, margins, scale)
    joint = _joint(moved, actual, observed, levels)
    return Calibration(margins.astype(np.float32), joint, below.astype(np.float32), int(observed.any(1).sum()))


def half_widths(quantiles: Numbers, scale: Numbers) -> Numbers:
    """Half the width of the interval that each quantile bounds with its mirror image, [windows, horizon, levels]."""
    return np.maximum(np.abs(quantiles[..., ::-1] - quantiles) / 2, LEAST * scale[:, None, None])


def moved_by(quantiles: Numbers, margins: Numbers, scale: Numbers) -> Numbers:
    """Quantiles moved by margins and put in order again, outwards from the middle one, [windows, horizon, levels].

    Parameters
    ----------
    margins : [horizon, levels]
    scale : [windows]; a window of scale 0 never moved, and its quantiles stay where they are
    """
    return _ordered(quantiles + margins * half_widths(quantiles, scale))


def widened(quantiles: Numbers, factors: NDArray[np.floating[Any]]) -> Numbers:
    """Quantiles whose distance from the median is multiplied, in order again, [..., levels]."""
    middle = quantiles[..., quantiles.shape[-1] // 2, None]
    return _ordered(np.asarray(middle + (quantiles - middle) * factors))


def say_few_scores(windows: int, held: int, interval: float) -> None:
    """Warn when there are fewer held-out windows than one for each value that an interval may miss.

    Parameters
    ----------
    windows : held-out windows that calibrated the intervals; those of a constant do not
    held : held-out windows
    interval : level in percent
    """
    needed = round(1 / (1 - interval / 100))
    if held == 0:
        log.warning(
            "no values could be held out: intervals come from past errors, and may be far too narrow; a smaller %s may "
            "leave some",
            Setting("horizon"),
        )
    elif 0 < windows < needed:
        log.warning(
            "intervals are calibrated on %d held-out windows; those of %g %% want %d or more, and may be too narrow",
            windows,
            interval,
            needed,
        )


def _ordered(quantiles: Numbers) -> Numbers:
    """Quantiles put in order, outwards from the middle one, which stays, [..., levels]."""
    middle = quantiles.shape[-1] // 2
    upper = np.maximum.accumulate(quantiles[..., middle:], -1)
    lower = np.minimum.accumulate(quantiles[..., middle::-1], -1)[..., ::-1]
    return np.concatenate([lower[..., :-1], upper], -1)


def score_at(scores: Numbers, share: float) -> float:
    """The score that `share` of new values stays below, one more value counted than was seen."""
    rank = min(len(scores), int(np.ceil(share * (len(scores) + 1))))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _largest_share(values: Numbers) -> float:
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max() / len(values))


def adapted_share(scores: Numbers, observed: NDArray[np.bool_], share: float) -> float:
    """The share to aim at after all windows, which are in the order of time, [windows, horizon].

    It starts at `share` and moves after each window by what that window missed beyond 1 - share.
    """
    aim = share
    past = np.where(observed, scores, np.nan)
    first = max(4, len(past) // 4)
    for now in range(first, len(past)):
        seen = past[:now][observed[:now]]
        new = past[now][observed[now]]
        if len(seen) and len(new):
            missed = float((new > score_at(seen, aim)).mean())
            aim = float(np.clip(aim + RATE * (missed - (1 - share)), share / 2, 1 - (1 - share) / 4))
    return aim


def _joint(
    quantiles: Numbers, actual: Numbers, observed: NDArray[np.bool_], levels: tuple[float, ...]
) -> NDArray[np.float32]:
    """For each level the factor that keeps the wanted share of whole paths between it and its mirror image."""
    middle = levels.index(0.5)
    centre = quantiles[..., middle]
    factors = np.ones(len(levels))
    rows = observed.any(1)
    for place in range(middle):
        mirror = len(levels) - 1 - place
        up = np.maximum(quantiles[..., mirror] - centre, 1e-12)
        down = np.maximum(centre - quantiles[..., place], 1e-12)
        reach = np.where(observed, np.maximum((actual - centre) / up, (centre - actual) / down), -np.inf).max(1)[rows]
        factors[place] = factors[mirror] = max(1.0, score_at(reach, levels[mirror] - levels[place]))
    return factors.astype(np.float32)
