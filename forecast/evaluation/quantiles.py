"""Quantiles between levels, and as the point and the intervals that a user asked for."""

import logging
from statistics import NormalDist

import numpy as np

from forecast.panel.panel import Flags, Numbers
from forecast.pretrained.network import LEVELS as LEVELS  # of networks and baselines alike
from forecast.settings import OutputSettings

log = logging.getLogger("forecast")

EVEN = 41  # levels that a standard deviation is computed from
LOW = 0.5  # of the expected total, below which a total of medians misleads
WHOLE = 2.0**53  # up to here float64 holds every whole number


def interval_levels(level: float) -> tuple[float, float]:
    """Quantile levels of the central interval of `level` percent."""
    return (1 - level / 100) / 2, (1 + level / 100) / 2


def at_levels(quantiles: Numbers, have: tuple[float, ...], want: tuple[float, ...]) -> Numbers:
    """Quantiles [..., have] at the levels [..., want], linear between neighbours on the scale of normal deviates."""
    deviate = NormalDist().inv_cdf
    knots, columns = np.array([deviate(level) for level in have]), []
    for level in want:
        if level in have:
            columns.append(quantiles[..., have.index(level)])
            continue
        right = int(np.clip(np.searchsorted(have, level), 1, len(have) - 1))
        share = float(np.clip((deviate(level) - knots[right - 1]) / (knots[right] - knots[right - 1]), 0, 1))
        columns.append((1 - share) * quantiles[..., right - 1] + share * quantiles[..., right])
    return np.stack(columns, -1)


def mean_of(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Mean of the distribution whose quantile function runs straight between `levels`, flat beyond them, [...]."""
    edges = np.array([0.0, *levels, 1.0])
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += edges[1] / 2
    widths[-1] += (1 - edges[-2]) / 2
    return np.asarray(quantiles @ widths)


def normal_deviates(levels: tuple[float, ...]) -> Numbers:
    """Quantiles of the standard normal distribution, [levels]."""
    return np.array([NormalDist().inv_cdf(level) for level in levels])


def standard_deviation(quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Standard deviation of the distribution with these quantiles [..., levels], by values at even levels, [...]."""
    even = tuple(((np.arange(EVEN) + 0.5) / EVEN).tolist())
    values = quantiles @ at_levels(np.eye(len(levels)), levels, even)
    return np.asarray(values.std(-1))


def rounded(values: Numbers, digits: int = 7, decimals: int = 4) -> Numbers:
    """Round to significant digits, those of float32, or to decimals, whichever is finer; the order stays.

    Large numbers keep their decimals: a count or an amount of money that a forecast repeats comes out as it was read.
    """
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0.0, np.floor(np.log10(np.abs(values))))
    unit = 10.0 ** np.clip(digits - 1 - size, decimals, 300)
    small = np.abs(values) < WHOLE / 10.0**decimals  # others have no more decimals, and would lose digits here
    return np.asarray(np.where(small, np.round(np.where(small, values, 0.0) * unit) / unit, values) + 0.0)


def free_numbers(
    quantiles: Numbers,
    have: tuple[float, ...],
    output: OutputSettings,
    counts: Flags | None = None,
    means: Numbers | None = None,
) -> Numbers:
    """The point and the ends of its intervals, [series, horizon, 1 + 2 * levels], before any bound.

    Intervals of `counts`, series [series] of small whole numbers, end at whole numbers, the next ones outwards, since
    one from 0.1 to 0.6 would hold no value that can come. `means`, [series, horizon], are by default the quantiles'.
    """
    want = tuple(level for interval in output.levels for level in interval_levels(interval))
    point = quantiles[..., have.index(0.5)]
    if output.point == "mean":
        point = mean_of(quantiles, have) if means is None else means
    ends = at_levels(quantiles, have, want) if want else quantiles[..., :0]
    low, high = np.minimum(ends[..., 0::2], point[..., None]), np.maximum(ends[..., 1::2], point[..., None])
    if counts is not None:
        whole = counts[:, None, None]
        low, high = np.where(whole, np.floor(rounded(low)), low), np.where(whole, np.ceil(rounded(high)), high)
    return np.concatenate([point[..., None], np.stack([low, high], -1).reshape(ends.shape)], -1)


def lower_bounds(output: OutputSettings, floor: Numbers) -> Numbers:
    """[series], the lowest number that a forecast of a series may have; `floor` holds where the output names none."""
    return floor if output.min is None else np.full(len(floor), output.min)


def bounded(numbers: Numbers, output: OutputSettings, floor: Numbers | None = None) -> Numbers:
    """Numbers within the bounds of the output, rounded; their order stays, so that intervals stay nested."""
    lower = output.min if output.min is not None or floor is None else floor[:, None, None]
    if not output.integer:
        return rounded(np.clip(numbers, lower, output.max))
    lower = None if lower is None else np.ceil(lower)  # whole bounds first: 8 lies below 8.5
    upper = None if output.max is None else np.floor(output.max)
    return np.clip(np.round(numbers), lower, upper) + 0.0


def raised(numbers: Numbers, output: OutputSettings, floor: Numbers) -> Flags:
    """[series, 2], whether `floor` raises the point of a forecast of a series, and whether it raises any number."""
    below = (numbers < floor[:, None, None]) & (output.min is None)
    return np.stack([below[..., 0].any(1), below.any((1, 2))], 1)


def log_raised(series: Flags, cure: object = "") -> None:
    """Log how many `series` [series, 2] had forecasts below 0, or lower ends of intervals, and how to prevent that."""
    points, numbers = series.sum(0).tolist()
    ends = "lower ends of intervals of %d of %d series are cut at 0"
    text = "forecasts of %d of %d series would end below 0, and end at 0" if points else ends
    if numbers:
        log.info(f"{text}, as they were never negative%s", points or numbers, len(series), cure)


def log_low_totals(medians: Numbers, means: Numbers, floor: Numbers, cure: object) -> None:
    """Log how many series have medians [series, horizon] that add up to far less than their means, as rare sales do."""
    count = int(((floor == 0) & (medians.sum(1) < LOW * means.sum(1))).sum())
    if count:
        text = "the medians of %d of %d series add up to less than half of what is expected, as most values are 0; %s"
        log.info(text, count, len(floor), cure)
