"""Quantiles of past errors, between levels, and as the point and the intervals that a user asked for."""

import logging
from statistics import NormalDist

import numpy as np

from forecast.panel.panel import Flags, Numbers
from forecast.settings import OutputSettings

log = logging.getLogger("forecast")

LEVELS = (0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.995)
"""Quantile levels of networks and baselines."""
WHOLE = 2.0**53  # up to here float64 holds every whole number
ERROR_STEPS = 200  # steps of a longer horizon whose error quantiles are computed; the others are interpolated


def interval_levels(level: float) -> tuple[float, float]:
    """Quantile levels of the central interval of `level` percent."""
    return (1 - level / 100) / 2, (1 + level / 100) / 2


def at_levels(quantiles: Numbers, have: tuple[float, ...], want: tuple[float, ...]) -> Numbers:
    """Quantiles at other levels, linear between neighbours on the scale of normal deviates, flat beyond the last.

    Parameters
    ----------
    quantiles : [..., len(have)], ascending
    have, want : levels, `have` ascending

    Returns
    -------
    [..., len(want)]
    """
    deviate = NormalDist().inv_cdf
    knots = np.array([deviate(level) for level in have])
    columns = []
    for level in want:
        if level in have:
            columns.append(quantiles[..., have.index(level)])
            continue
        place = deviate(level)
        right = int(np.clip(np.searchsorted(knots, place), 1, len(knots) - 1))
        share = float(np.clip((place - knots[right - 1]) / (knots[right] - knots[right - 1]), 0, 1))
        columns.append((1 - share) * quantiles[..., right - 1] + share * quantiles[..., right])
    return np.stack(columns, -1)


def error_quantiles(
    points: Numbers, actual: Numbers, observed: Flags, scale: Numbers, levels: tuple[float, ...]
) -> Numbers:
    """Quantiles of a baseline's scaled errors by horizon step, [horizon, levels]; its median stays where it is.

    A step's errors are pooled with those of its neighbours, a tenth of the horizon to each side. Of a long horizon
    200 steps are computed, and those between lie on the lines between them.

    Parameters
    ----------
    points, actual, observed : [windows, horizon]
    scale : [windows]; windows of scale 0 do not count
    """
    horizon, middle = points.shape[1], levels.index(0.5)
    table = np.zeros((horizon, len(levels)))
    used = observed & (scale > 0)[:, None]
    scaled = (actual - points) / np.where(scale > 0, scale, 1.0)[:, None]
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, ERROR_STEPS)).astype(np.int64))
    for before, step in zip([0, *steps], steps, strict=False):
        near = slice(max(0, step - horizon // 10), step + horizon // 10 + 1)
        errors = scaled[:, near][used[:, near]]
        table[step] = np.quantile(errors, levels) if len(errors) else table[before]
    between = np.arange(horizon)
    for column in table.T:
        column[:] = np.interp(between, steps, column[steps])
    table[:, middle] = 0.0
    table[:, :middle] = np.minimum(table[:, :middle], 0.0)
    table[:, middle:] = np.maximum(table[:, middle:], 0.0)
    return table


def mean_of(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Mean of the distribution whose quantile function runs straight between `levels`, flat beyond them, [...]."""
    edges = np.array([0.0, *levels, 1.0])
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += edges[1] / 2
    widths[-1] += (1 - edges[-2]) / 2
    return np.asarray(quantiles @ widths)


def rounded(values: Numbers, digits: int = 7, decimals: int = 4) -> Numbers:
    """Round to significant digits, those of float32, or to decimals, whichever is finer; the order stays.

    Large numbers keep their decimals: a count or an amount of money that a forecast repeats comes out as it was read.
    """
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0.0, np.floor(np.log10(np.abs(values))))
    places = np.clip(digits - 1 - size, decimals, 300)
    short = np.round(np.where(np.abs(values) < WHOLE / 10.0**decimals, values, 0.0) * 10.0**places) / 10.0**places
    # a larger number has hardly more decimals than these, and would lose digits when it is multiplied
    return np.asarray(np.where(np.abs(values) < WHOLE / 10.0**decimals, short, values) + 0.0)


def free_numbers(quantiles: Numbers, have: tuple[float, ...], output: OutputSettings) -> Numbers:
    """The point and the ends of its intervals, [series, horizon, 1 + 2 * levels], before any bound."""
    want = tuple(level for interval in output.levels for level in interval_levels(interval))
    point = mean_of(quantiles, have) if output.point == "mean" else quantiles[..., have.index(0.5)]
    bounds = at_levels(quantiles, have, want) if want else quantiles[..., :0]
    bounds[..., 0::2] = np.minimum(bounds[..., 0::2], point[..., None])
    bounds[..., 1::2] = np.maximum(bounds[..., 1::2], point[..., None])
    return np.concatenate([point[..., None], bounds], -1)


def bounded(numbers: Numbers, output: OutputSettings, floor: Numbers | None = None) -> Numbers:
    """Numbers within the bounds of the output, rounded; their order stays, so that intervals stay nested."""
    lower = output.min if output.min is not None or floor is None else floor[:, None, None]
    numbers = np.clip(numbers, lower, output.max)
    return np.round(numbers) + 0.0 if output.integer else rounded(numbers)


def raised(numbers: Numbers, output: OutputSettings, floor: Numbers) -> Flags:
    """[series], whether `floor` raises a number of a series."""
    return np.asarray((numbers < floor[:, None, None]).any((1, 2)) & (output.min is None))


def say_raised(count: int, of: int, cure: object = "") -> None:
    """Log the number of series whose forecasts were raised to 0, and how to prevent it."""
    if count:
        text = "the forecasts of %d of %d series are bounded at 0, since no value of their past is below 0%s"
        log.info(text, count, of, cure)
