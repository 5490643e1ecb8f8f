"""Points and quantiles as an output asks for them: levels, bounds, whole numbers.

Nothing is learned here.
"""

import numpy as np

from forecast.logs import log
from forecast.metrics.quantiles import at_levels, compute_mean, round_values
from forecast.panel.panel import Flags, Numbers
from forecast.settings import OutputSettings

NEAR = 0.05  # quantiles of counts so close to the next whole number become it
LOW = 0.5  # a total of medians below this share of the expected total misleads


def unbounded_numbers(
    quantiles: Numbers,
    have: tuple[float, ...],
    output: OutputSettings,
    counts: Flags | None = None,
    means: Numbers | None = None,
) -> Numbers:
    """The point and the columns of quantiles before any bound, [series, horizon, 1 + columns].

    `counts` [series] marks series of small whole numbers. The ends of their intervals are rounded
    away from the median to whole numbers, as no value can lie between 0.1 and 0.6; quantiles that
    are asked for are rounded down from 1 on, as those of few values serve too much. `means` [series,
    horizon] replace the means of the quantiles as points.
    """
    want = np.array(list(output.columns.values()))
    shown = at_levels(quantiles, have, want)
    if output.point == "median":
        point = quantiles[..., have.index(0.5)]
    else:
        point = compute_mean(quantiles, have) if means is None else means
    point = point[..., None]
    low = want < 0.5
    high = want > 0.5
    if not output.quantiles:  # an interval contains its point
        below = np.minimum(shown, point)
        above = np.maximum(shown, point)
        shown = np.where(low, below, above)
    if counts is not None and counts.any():
        outwards = np.where(high, np.ceil(round_values(shown)), np.floor(round_values(shown)))
        rounded_down = bool(output.quantiles) & (shown >= 1)
        rounded = np.where(rounded_down, np.floor(shown + NEAR), outwards)
        shown = np.where(counts[:, None, None], rounded, shown)
    return np.concatenate([point, shown], -1)


def lower_bounds(output: OutputSettings, floor: Numbers) -> Numbers:
    """[series], the lowest number that a forecast of each series may have.

    It is `floor` unless the output names a minimum.
    """
    return floor if output.min is None else np.full(len(floor), output.min)


def apply_bounds(numbers: Numbers, output: OutputSettings, floor: Numbers) -> Numbers:
    """Numbers cut at the bounds of the output, and rounded.

    The order of the numbers is kept, so that intervals stay nested.
    """
    lower = lower_bounds(output, floor)[:, None, None]
    upper = np.inf if output.max is None else output.max
    if not output.integer:
        return round_values(np.clip(numbers, lower, upper))
    # bounds are made whole first: at most 8.5 means at most 8
    lower = np.ceil(lower)
    upper = np.floor(upper)
    return np.clip(np.round(numbers), lower, upper) + 0.0


def compare_with_floor(numbers: Numbers, output: OutputSettings, floor: Numbers) -> Flags:
    """[series, 2], whether `floor` raises a point of a series, and whether it raises any number."""
    below = (numbers < floor[:, None, None]) & (output.min is None)
    points = below[..., 0].any(1)
    return np.stack([points, below.any((1, 2))], 1)


def log_floor(series: Flags, cure: object = "") -> None:
    """Log how many series have forecasts, or lower ends of intervals, that were raised to 0.

    `series` is [series, 2], as `compare_with_floor` returns it; `cure` says how to prevent that.
    """
    points, numbers = series.sum(0).tolist()
    if not numbers:
        return
    text = "lower ends of intervals of %d of %d series are cut at 0"
    if points:
        text = "forecasts of %d of %d series would end below 0, and end at 0"
    log.info(f"{text}, as they were never negative%s", points or numbers, len(series), cure)


def log_low_totals(medians: Numbers, means: Numbers, floor: Numbers, cure: object) -> None:
    """Log how many series have medians [series, horizon] that add up to far less than their means.

    This happens with rare sales, where most values are 0.
    """
    expected = means.sum(1)
    low = (floor == 0) & (medians.sum(1) < LOW * expected)
    if low.any():
        text = (
            "the medians of %d of %d series add up to less than half of what is expected, "
            "as most values are 0; %s"
        )
        log.info(text, low.sum(), len(floor), cure)
