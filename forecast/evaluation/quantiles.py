"""Quantiles between levels, as the point and the intervals that a user asked for, and of errors in the past."""

from statistics import NormalDist

import numpy as np

from forecast.logs import log
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.pretrained.network import LEVELS as LEVELS  # of networks and baselines alike
from forecast.settings import OutputSettings
from forecast.windows.windows import WindowIndex

EVEN = 41  # levels that a standard deviation is computed from
LOW = 0.5  # of the expected total, below which a total of medians misleads
WHOLE = 2.0**53  # up to here float64 holds every whole number
# Chosen on 558 fits without networks to the single series of `python -m benchmarks singles`, by coverage and MSIS.
# Growths of 0.5 and 0.75 and prior weights of 1 and 4 are within 1 %; without decay MSIS is 5 % worse, without the
# symmetric prior 3 %.
DECAY, MIN_DECAY = 4.0, 64.0  # horizons, and steps at least, after which an error counts 1/e
GROWTH = 0.5  # power of the step by which errors grow where nothing is known, that of a random walk
PRIOR_WEIGHT = (
    1.0  # independent windows that the common curve of growth counts, beside those of a step
)
MAX_RATIO = 8.0  # times the usual error at a step, the most that one window counts
SYMMETRIC_WEIGHT = (
    4.0  # independent windows that a symmetric distribution counts, beside those of the errors
)
CORRELATION = 0.1  # of the errors of two series at the same time
MAX_STEPS = 200  # of a longer horizon that are computed; the others are interpolated


def interval_levels(level: float) -> tuple[float, float]:
    """Quantile levels of the central interval of `level` percent."""
    return (1 - level / 100) / 2, (1 + level / 100) / 2


def at_levels(quantiles: Numbers, have: tuple[float, ...], want: tuple[float, ...]) -> Numbers:
    """Quantiles [..., have] at the levels [..., want], linear between neighbours on the scale of normal deviates."""
    knots, columns = normal_deviates(have), []
    for level, deviate in zip(want, normal_deviates(want), strict=True):
        if level in have:
            columns.append(quantiles[..., have.index(level)])
            continue
        right = int(np.clip(np.searchsorted(have, level), 1, len(have) - 1))
        share = float(
            np.clip((deviate - knots[right - 1]) / (knots[right] - knots[right - 1]), 0, 1)
        )
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
    """Round to significant digits, those of float32, or to decimals if that is finer, so that amounts stay."""
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0.0, np.floor(np.log10(np.abs(values))))
    unit = 10.0 ** np.clip(digits - 1 - size, decimals, 300)
    small = (
        np.abs(values) < WHOLE / 10.0**decimals
    )  # others have no more decimals, and would lose digits here
    return np.asarray(
        np.where(small, np.round(np.where(small, values, 0.0) * unit) / unit, values) + 0.0
    )


def unbounded_numbers(
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
    low, high = (
        np.minimum(ends[..., 0::2], point[..., None]),
        np.maximum(ends[..., 1::2], point[..., None]),
    )
    if counts is not None and counts.any():
        whole = counts[:, None, None]
        low, high = (
            np.where(whole, np.floor(rounded(low)), low),
            np.where(whole, np.ceil(rounded(high)), high),
        )
    return np.concatenate([point[..., None], np.stack([low, high], -1).reshape(ends.shape)], -1)


def lower_bounds(output: OutputSettings, floor: Numbers) -> Numbers:
    """[series], the lowest number that a forecast of a series may have; `floor` holds where the output names none."""
    return floor if output.min is None else np.full(len(floor), output.min)


def bounded(numbers: Numbers, output: OutputSettings, floor: Numbers | None = None) -> Numbers:
    """Numbers within the bounds of the output, rounded; their order stays, so that intervals stay nested."""
    lower = -np.inf if floor is None else floor[:, None, None]
    lower, upper = (
        (lower if output.min is None else output.min),
        (np.inf if output.max is None else output.max),
    )
    if not output.integer:
        return rounded(np.clip(numbers, lower, upper))
    return (
        np.clip(np.round(numbers), np.ceil(lower), np.floor(upper)) + 0.0
    )  # whole bounds first: 8 lies below 8.5


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


def error_quantiles(
    points: Numbers,
    actual: Numbers,
    observed: Flags,
    scale: Numbers,
    levels: tuple[float, ...],
    windows: WindowIndex,
) -> Numbers:
    """Quantiles of a baseline's scaled errors by horizon step, [horizon, levels]; its median stays where it is.

    Few windows say little, and the steps far ahead were seen by the fewest. So what all steps have in common is
    estimated from all of them: the shape of the distribution, and how errors grow along the horizon. With few
    independent windows quantiles widen as those of a t distribution do, since their scale is estimated.

    Points, actual values and whether they are observed are [windows, horizon], and so is the scale, or [windows, 1];
    what has a scale of 0 does not count. `windows` are the series of each window, and the position in it at which its
    past ends, [windows] twice.
    """
    (series, position), horizon = windows, points.shape[1]
    used, table = observed & (scale > 0), np.zeros((horizon, len(levels)))
    if not used.any():
        return table
    scaled = np.where(used, (actual - points) / np.where(scale > 0, scale, 1.0), 0.0)
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, MAX_STEPS)).astype(np.int64))
    decay = max(DECAY * horizon, MIN_DECAY)
    weights = np.where(used, np.exp(-_age(windows) / decay)[:, None], 0.0)[:, steps]
    seen = ((step, used[:, step]) for step in steps)
    sizes = np.array(
        [
            independent_windows((series[rows], position[rows]), step + 1, decay)
            for step, rows in seen
        ]
    )
    errors = scaled[:, steps]  # [windows, steps]
    width = _mean_errors(steps, errors, weights, sizes)
    if not width.any():
        return table
    relative, counts = errors / np.where(width > 0, width, 1.0), (weights > 0) & (width > 0)
    shape = _shape(relative[counts], weights[counts], levels, sizes.max())
    wider = widening(sizes, levels)  # [steps, levels]
    for level, column in enumerate(table.T):
        column[:] = np.interp(np.arange(horizon), steps, width * shape[level] * wider[:, level])
    return table


def widening(sizes: Numbers, levels: tuple[float, ...]) -> Numbers:
    """By how much normal quantiles move out where the scale comes from few independent values [...]: [..., levels]."""
    tail = [0.75 if level == 0.5 else level for level in levels]  # the median does not move
    z = normal_deviates(tuple(tail))
    factor = _t_quantiles(z, np.maximum(sizes, 1.0)[..., None] + 1) / z
    return np.asarray(np.where(np.array(levels) == 0.5, 1.0, factor))


def _t_quantiles(z: Numbers, freedom: Numbers) -> Numbers:
    """Quantiles of t distributions from normal ones (Abramowitz and Stegun 1964, 26.7.5), good from 4 degrees on."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return np.asarray(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))


def independent_windows(windows: WindowIndex, length: int, decay: float = np.inf) -> float:
    """How many independent windows some windows stand for, if those of a series within `length` steps count as one.

    They count 1/e after `decay` steps (Kish 1965).
    """
    blocks, sizes = independent_by_block(windows[0], _age(windows) // max(length, 1))
    weights = np.exp(-blocks * length / decay)
    return float((weights * sizes).sum() ** 2 / np.maximum((weights**2 * sizes).sum(), 1e-300))


def independent_by_block(series: Integers, block: Integers) -> tuple[Integers, Numbers]:
    """Blocks of time, and how many independent windows each holds: n series are n / (1 + (n - 1) CORRELATION)."""
    count = int(series.max(initial=0)) + 1
    blocks, sizes = np.unique(np.unique(block * count + series) // count, return_counts=True)
    return blocks, sizes / (1 + (sizes - 1) * CORRELATION)


def _age(windows: WindowIndex) -> Integers:
    """[windows], steps between each window and the newest one of its series."""
    series, position = windows
    newest = np.full(int(series.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(newest, series, position)
    return np.asarray(newest[series] - position)


def _mean_errors(steps: Integers, errors: Numbers, weights: Numbers, sizes: Numbers) -> Numbers:
    """Mean absolute error at each step, [steps], pooled with near steps, and shrunk to a power of the step."""
    count, reach, absolute, total = len(steps), len(steps) // 10, np.abs(errors), weights.sum(0)
    # where series differ much, as in an outbreak, a few large errors must not decide how wide all intervals are
    usual = ((weights * np.sqrt(absolute)).sum(0) / np.where(total > 0, total, 1.0)) ** 2  # [steps]
    sums = np.stack([(weights * np.minimum(absolute, MAX_RATIO * usual)).sum(0), total])
    totals, row = np.concatenate([np.zeros((2, 1)), sums.cumsum(1)], 1), np.arange(count)
    near = totals[:, np.minimum(row + reach + 1, count)] - totals[:, np.maximum(row - reach, 0)]
    means = near[0] / np.where(near[1] > 0, near[1], 1.0)
    known = (means > 0) & (sizes > 0)
    if not known.any():
        return np.zeros(count)
    size = np.where(known, sizes, 0.0)
    regression_weight = size * (sizes.max() / size.sum())
    level, step = np.log(np.where(known, means, 1.0)), np.log(steps + 1.0)
    mean_level = (regression_weight * level).sum() / regression_weight.sum()
    mean_step = (regression_weight * step).sum() / regression_weight.sum()
    weighted = regression_weight * (step - mean_step)
    slope = ((weighted * (level - mean_level)).sum() + GROWTH) / (
        (weighted * (step - mean_step)).sum() + 1
    )
    curve = mean_level + slope * (step - mean_step)
    return np.asarray(np.exp((size * level + PRIOR_WEIGHT * curve) / (size + PRIOR_WEIGHT)))


def _shape(values: Numbers, weights: Numbers, levels: tuple[float, ...], size: float) -> Numbers:
    """Quantiles of errors, [levels], shrunk to symmetric ones: the few errors of a short past may lie on one side."""
    middle = levels.index(0.5)
    empirical = _weighted_quantiles(values, weights, levels)
    upper = _weighted_quantiles(
        np.abs(values), weights, tuple(2 * level - 1 for level in levels[middle + 1 :])
    )
    symmetric = np.concatenate([-upper[::-1], [0.0], upper])
    share = size / (size + SYMMETRIC_WEIGHT)
    shape = share * empirical + (1 - share) * symmetric
    shape = np.where(
        np.arange(len(levels)) < middle, np.minimum(shape, 0.0), np.maximum(shape, 0.0)
    )
    shape[middle] = 0.0
    return np.asarray(shape)


def _weighted_quantiles(values: Numbers, weights: Numbers, levels: tuple[float, ...]) -> Numbers:
    """Quantiles of values that count by weights, [levels], linear between the middles of their weights."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    return np.asarray(np.interp(levels, (np.cumsum(weights) - weights / 2) / weights.sum(), values))
