"""Conformal calibration.

Learns from the validation windows, each forecast with weights from other windows.

Each quantile moves by the errors that it made there (Romano, Patterson and Candes 2019).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting
from forecast.intervals.own_past import Pasts, Recent, slope_beyond_chance
from forecast.logs import log
from forecast.metrics.quantiles import divided, mean_of
from forecast.panel.panel import Flags, Integers, Numbers

Margins = NDArray[np.float32]


@dataclass(frozen=True)
class CalibrationPriors:
    """Chosen on the fits that `ErrorPriors` names, by coverage and MSIS."""

    windows: float = 4.0  # independent ones that say as much as what is known without them
    min_width: float = 0.05  # share of its width that an interval keeps at least
    neighbours: int = 2  # horizon steps to each side whose scores are pooled with a step's own
    half_width: float = 0.01  # of an interval at least, as a share of the window's scale
    # where values tie: rare sales lie thousands of half widths beyond a narrow interval
    tied_half_width: float = 1.0
    ties: float = 0.05  # share of equal values from which on quantiles do not move inwards
    series: int = 3  # of a panel from which on some may be harder to forecast than others
    # times the largest value of the past, beyond which no end lies for lack of evidence
    cap_factor: float = 2.0
    capped_levels: int = 2  # highest quantiles that this bounds


PRIORS = CalibrationPriors()
ADAPTATION_RATE = 0.02  # of adaptive conformal inference
MIN_WINDOWS = 4  # before the adaptive share moves, and at least a quarter of all windows


@dataclass(frozen=True)
class Calibration:
    # [horizon, levels], added to quantiles, in units of half the width of their interval
    margins: Margins
    coverage: Margins  # [levels], share of validation values below each quantile before it moved
    windows: int
    # way of the mean of values from the median to the mean of the moved quantiles
    mean_share: float = 1.0
    # weight of that mean in the mean of a series at rest; its recent mean has the other part
    mean_weight: float = 1.0
    # 1 where many values are equal, else 0; margins are multiples of wider half widths then
    tied: float = 0.0
    largest: float = np.inf  # times the largest value of the past: bound of the highest quantiles
    # intervals grow by exp(slope * (roughness - mean_roughness) + growth) before they move
    slope: float = 0.0
    mean_roughness: float = 0.0
    # [horizon, levels], usual distances of quantiles from the median, in shares of it; 0 in older
    # versions
    relative: Margins = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    # [series + 1]; 0 of a new one
    growth: Margins = field(default_factory=lambda: np.zeros(1, np.float32))

    def moved(
        self, quantiles: Numbers, scale: Numbers, roughness: Numbers, series: Integers
    ) -> Numbers:
        """Calibrated quantiles of windows, [windows, horizon, levels].

        Scale, roughness and series by window.
        """
        rougher = self.slope * np.nan_to_num(roughness - self.mean_roughness)
        grown = _grown(quantiles, rougher + self.growth[series])
        margins = self.margins.astype(np.float64)
        return moved_by(grown, margins, scale, self.tied > 0)

    def of_few_values(self, quantiles: Numbers) -> Numbers:
        """Quantiles of windows with a few equal values, which say nothing of their width.

        As far apart as is usual.
        """
        middle = _median(quantiles)
        return middle + np.abs(middle) * self.relative

    def quantile_means(self, quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
        """As `means`, without what series at rest had recently."""
        median = _median(quantiles)[..., 0]
        return median + self.mean_share * (mean_of(quantiles, levels) - median)

    def means(self, quantiles: Numbers, levels: tuple[float, ...], recent: Recent) -> Numbers:
        """The mean of each value, [windows, horizon], from quantiles [windows, horizon, levels]
        that were moved.
        """
        means = self.quantile_means(quantiles, levels)
        certain = quantiles[..., 0] == quantiles[..., -1]
        shift = (1 - self.mean_weight) * recent.shift(means)
        return means + np.where(certain, 0.0, shift)


def calibrate(
    quantiles: Numbers,
    actual: Numbers,
    observed: Flags,
    scale: Numbers,
    levels: tuple[float, ...],
    size: float,
    pasts: Pasts,
) -> Calibration:
    """Conformalised quantile regression on validation windows, one interval at a time.

    The score of a value is how far it lies beyond the interval between a quantile and its mirror
    image, in units of half its width (Sesia and Candes 2020), and the margin is the score that the
    nominal share of values stays below. Both sides move by the same: one side alone would follow a
    drift of the validation values. Margins of a step are shrunk towards those of all steps and
    towards none, the more so the fewer independent windows there are (`size`). Where many values
    are equal, as in rare sales, quantiles move outwards only: inwards, one step would lose them
    all.

    Quantiles are [windows, horizon, levels], ascending; actuals [windows, horizon]; scale
    [windows].
    """
    margins = np.zeros(quantiles.shape[1:])  # [horizon, levels]
    observed = observed & (scale > 0)[:, None]
    if not observed.any():
        none = margins.astype(np.float32)
        still = np.zeros(pasts.count + 1, np.float32)
        return Calibration(none, none[0], 0, mean_weight=0.0, relative=none, growth=still)

    missed = _missed(quantiles, actual, observed)
    slope, mean_roughness = _slope(missed, pasts)
    rougher = slope * np.nan_to_num(pasts.roughness - mean_roughness)
    growth = _growth(missed - rougher, pasts)
    grown = _grown(quantiles, rougher + growth[pasts.series])

    _, ties = np.unique(actual[observed], return_counts=True)
    tied = bool(ties.max() / observed.sum() >= PRIORS.ties)
    unit = np.where(scale > 0, scale, 1.0)
    errors = (actual[..., None] - grown) / half_widths(grown, unit, tied)
    weight = data_weight(size)
    for low in range(levels.index(0.5)):
        high = -1 - low  # the mirror image
        scores = np.maximum(-errors[..., low], errors[..., high])
        margin = _margins(scores, observed, levels[high] - levels[low], weight)
        margins[:, high] = np.maximum(0.0, margin) if tied else margin
        margins[:, low] = -margins[:, high]
    moved = capped(moved_by(grown, margins, scale, tied), pasts.limit)

    def cells(values: Numbers) -> Numbers:
        """Observed values of [windows, horizon], in units of their window, [cells]."""
        return (values / unit[:, None])[observed]

    median = _median(moved)[..., 0]
    mean = mean_of(moved, levels)
    mean_share = _mean_share(cells(mean - median), cells(actual - median), weight)
    means = median + mean_share * (mean - median)
    shift = pasts.recent.shift(means)
    mean_weight = 1.0
    if pasts.recent.at_rest.any():
        mean_weight = _mean_weight(cells(-shift), cells(actual - means - shift), weight)
    return Calibration(
        margins=margins.astype(np.float32),
        relative=_relative(moved[scale > 0]),
        coverage=(errors[observed] <= 0).mean(0).astype(np.float32),
        windows=int(observed.any(1).sum()),
        mean_share=mean_share,
        mean_weight=mean_weight,
        tied=float(tied),
        slope=slope,
        mean_roughness=mean_roughness,
        growth=growth,
    )


def _relative(quantiles: Numbers) -> Margins:
    """The median over windows of the distances from the median that is no 0, in shares of it,
    [horizon, levels].
    """
    middle = _median(quantiles)
    shares = divided(quantiles - middle, np.abs(middle), 0.0)
    return np.median(shares, 0).astype(np.float32)


def data_weight(size: float) -> float:
    """The weight of what so many independent windows say.

    The rest is that of what was known without them.
    """
    return size / (size + PRIORS.windows)


def _missed(quantiles: Numbers, actual: Numbers, observed: Flags) -> Numbers:
    """[windows], the logarithm of errors in widths of an interval; NaN where one of them is 0."""
    error = np.abs(actual - _median(quantiles)[..., 0])
    width = quantiles[..., -2] - quantiles[..., 1]
    sums = np.stack([error, width]).sum(2, where=observed)
    sums[sums == 0] = np.nan
    log_error, log_width = np.log(sums)
    return np.asarray(log_error - log_width)


def _slope(missed: Numbers, pasts: Pasts) -> tuple[float, float]:
    """The slope of `missed` over roughness, 0 to 1, less the share that chance explains, and the
    mean roughness.
    """
    used = np.isfinite(pasts.roughness + missed)
    series = pasts.series[used]
    _, group, counts = np.unique(series, return_inverse=True, return_counts=True)
    if len(counts) < PRIORS.series:
        return 0.0, 0.0
    roughness = np.bincount(group, pasts.roughness[used]) / counts  # [series]
    missed = np.bincount(group, missed[used]) / counts
    slope, certainty = slope_beyond_chance(roughness, missed, len(counts) - 2)
    if slope == 0:
        return 0.0, 0.0
    slope = float(np.float32(certainty * min(slope, 1.0)))  # as it is stored
    mean_roughness = np.log(np.exp(slope * roughness).mean()) / slope
    return slope, float(np.float32(mean_roughness))


def _growth(missed: Numbers, pasts: Pasts) -> Margins:
    """[series + 1], the logarithm of each series' errors in widths beside that of others, less what
    chance explains.
    """
    used = np.isfinite(missed)
    growth = np.zeros(pasts.count + 1, np.float32)
    span = pasts.span[used]
    _, first, window = np.unique(span, return_index=True, return_inverse=True)
    ratios = np.bincount(window, np.exp(missed[used])) / np.bincount(
        window
    )  # of independent windows
    series = pasts.series[used][first]
    series, group, sizes = np.unique(series, return_inverse=True, return_counts=True)
    if len(series) < 2:
        return growth
    means = np.bincount(group, ratios) / sizes  # [series]
    relative = ratios / means[group] - 1
    squares = float((relative**2).sum())
    freedom = len(ratios) - len(series)
    chance = (squares + PRIORS.windows) / (freedom + PRIORS.windows) / sizes
    level = np.log(means)
    variance = level.var(ddof=1)
    between = max(0.0, float(variance - chance.mean()))
    shrunk = (level - level.mean()) * between / (between + chance)
    mean_square = np.exp(2 * shrunk).mean()
    growth[series] = shrunk - np.log(mean_square) / 2  # on average as wide as they were, squared
    return growth


def _grown(quantiles: Numbers, growth: Numbers) -> Numbers:
    """Quantiles whose distance from the median grows by exp(growth [windows]), [windows, horizon,
    levels].
    """
    if not growth.any():
        return quantiles
    return widened(quantiles, np.exp(growth)[:, None, None])


def _mean_share(expected: Numbers, happened: Numbers, weight: float) -> float:
    """How far the mean of the values lies from the median on the way to the mean of the quantiles,
    0 to 1.

    Both are distances from the median, [cells]: of the mean of the quantiles, and of the values.
    """
    share = divided(happened.sum(), expected.sum(), 1.0)
    share = np.clip(share, 0.0, 1.0)
    return float(np.float32(weight * share + 1 - weight))  # as it is stored


def _mean_weight(way: Numbers, missed: Numbers, weight: float) -> float:
    """The weight, 0 to 1, of the quantiles' means beside the recent mean of series at rest, by a
    ridge regression.

    Both are distances from the recent mean, [cells]: of the quantiles' means, and of the values.
    """
    variance = (way**2).mean() + (1 / weight - 1)  # in units of the variance of a window
    best = divided((way * missed).mean(), variance, 0.0)
    return float(np.float32(np.clip(best, 0.0, 1.0)))


def _margins(scores: Numbers, observed: Flags, share: float, weight: float) -> Numbers:
    """The margin of one interval at each step, from scores [windows, horizon].

    `weight` of each step and of all.
    """

    def log_width(steps: slice) -> float:
        used = scores[:, steps][observed[:, steps]]
        if not len(used):
            return np.nan
        width = 1 + score_at(used, share)
        return float(np.log(max(PRIORS.min_width, width)))

    pooled = log_width(slice(None))
    by_step = np.full(scores.shape[1], pooled)
    for step in range(len(by_step)):
        first = max(0, step - PRIORS.neighbours)
        near = log_width(slice(first, step + PRIORS.neighbours + 1))
        if np.isfinite(near):
            by_step[step] = near
    return np.expm1(weight * (weight * by_step + (1 - weight) * pooled))


def half_widths(quantiles: Numbers, scale: Numbers, tied: bool = False) -> Numbers:
    """Half the width of the interval that each quantile bounds with its mirror image, [windows,
    horizon, levels].
    """
    least = PRIORS.tied_half_width if tied else PRIORS.half_width
    width = np.abs(quantiles[..., ::-1] - quantiles)
    return np.maximum(width / 2, least * scale[:, None, None])


def moved_by(quantiles: Numbers, margins: Numbers, scale: Numbers, tied: bool = False) -> Numbers:
    """Quantiles [windows, horizon, levels] moved by margins [horizon, levels], in order again.

    None of a scale of 0.
    """
    return _ordered(quantiles + margins * half_widths(quantiles, scale, tied))


def widened(quantiles: Numbers, factors: NDArray[np.floating[Any]]) -> Numbers:
    """Quantiles whose distance from the median is multiplied, in order again, [..., levels]."""
    middle = _median(quantiles)
    return _ordered(np.asarray(middle + (quantiles - middle) * factors))


def capped(quantiles: Numbers, limit: Numbers) -> Numbers:
    """Quantiles [windows, horizon, levels], of which the highest are at most the limit [windows],
    or the next lower.
    """
    bounded = quantiles.copy()
    for level in range(-PRIORS.capped_levels, 0):
        most = np.maximum(bounded[..., level - 1], limit[:, None])
        bounded[..., level] = np.minimum(bounded[..., level], most)
    return bounded


def at_least(quantiles: Numbers, distance: Numbers) -> Numbers:
    """Quantiles that lie at least so far from their median, each to its side.

    Distances are negative below it.
    """
    middle = quantiles.shape[-1] // 2
    far = quantiles[..., middle, None] + distance
    lower = np.minimum(quantiles, far)[..., :middle]
    upper = np.maximum(quantiles, far)[..., middle:]
    return np.concatenate([lower, upper], -1)


def warn_uncalibrated(windows: int) -> None:
    """Warn where no validation window calibrated the intervals.

    Where there are few, they are widened.
    """
    if windows == 0:
        log.warning(
            "no values could be held out: intervals are not calibrated, and may be far too narrow; "
            "a smaller %s may leave some",
            Setting("horizon"),
        )


def _median(quantiles: Numbers) -> Numbers:
    """The middle quantile, [..., 1]."""
    return quantiles[..., quantiles.shape[-1] // 2, None]


def _ordered(quantiles: Numbers) -> Numbers:
    """Put quantiles in order, outwards from the middle one, which stays.

    In place, [..., levels].
    """
    count = quantiles.shape[-1]
    by_level = np.moveaxis(quantiles, -1, 0)
    for level in range(count // 2 + 1, count):
        np.maximum(by_level[level - 1], by_level[level], out=by_level[level])
    for level in range(count // 2 - 1, -1, -1):
        np.minimum(by_level[level + 1], by_level[level], out=by_level[level])
    return quantiles


def score_at(scores: Numbers, share: float) -> float:
    """The score that `share` of new values stays below.

    The rank counts one value more than there are.
    """
    count = len(scores)
    rank = min(count, int(np.ceil(share * (count + 1))))
    return float(np.partition(scores, rank - 1)[rank - 1])


def adapted_share(scores: Numbers, observed: Flags, share: float) -> float:
    """The target share after windows in the order of time.

    Each moves it by what it missed beyond 1 - share.
    """
    target = share
    for now in range(max(MIN_WINDOWS, len(scores) // 4), len(scores)):
        earlier = scores[:now][observed[:now]]
        new = scores[now][observed[now]]
        if len(earlier) and len(new):
            missed = float((new > score_at(earlier, target)).mean())
            target += ADAPTATION_RATE * (missed - (1 - share))
            target = float(np.clip(target, share / 2, 1 - (1 - share) / 4))
    return target
