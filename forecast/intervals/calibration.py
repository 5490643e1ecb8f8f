"""Calibrate quantiles on the validation windows, so that intervals hold the share they promise.

Four ideas are combined. Each window is forecast with weights that were chosen on other windows
(cross-fitting). An interval then moves by a conformal margin: the distance beyond it that the
nominal share of the actual values stays within (Romano, Patterson and Candes 2019), measured in
half widths of the interval (Sesia and Candes 2020). Margins of single horizon steps, which few
values support, are shrunk towards those of all steps and towards none. And series that are harder
to forecast than others get wider intervals, as far as chance does not explain the difference.
`adapted_share` is adaptive conformal inference (Gibbs and Candes 2021), which
`intervals/corrections.py` uses.

In formulas, for a quantile q of a window with median m and half width h, and with the weight
w = n / (n + `windows`) of n independent windows:

    widened = m + (q - m) exp(slope (roughness - mean_roughness) + growth) size
    moved   = widened + margin h,  log(1 + margin) = w (w a + (1 - w) b)

where a is log(1 + score) of the step and its neighbours, b that of all steps, and
size = 1 + step_share (step_size - 1), as steps of the season differ (see `step_sizes`).
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.specs import Spec
from forecast.errors import Setting
from forecast.intervals.own_past import (
    Pasts,
    Recent,
    error_unit,
    slope_beyond_chance,
    step_share,
)
from forecast.logs import log
from forecast.metrics.quantiles import compute_mean, divide
from forecast.panel.panel import Flags, Integers, Numbers

Margins = NDArray[np.float32]


@dataclass(frozen=True)
class CalibrationPriors:
    """Chosen on the fits that `ErrorPriors` names, by coverage and MSIS."""

    # independent windows (an amount of evidence) that weigh as much as what is known without them
    windows: float = 4.0
    min_width: float = 0.05  # share of its width that an interval keeps at least
    neighbours: int = 2  # horizon steps to each side whose scores are pooled with a step's own
    half_width: float = 0.01  # least half width of an interval, as a share of the window's scale
    # the same where many values are equal: the few sales of a product that rarely sells would lie
    # thousands of half widths beyond a narrow interval
    tied_half_width: float = 1.0
    # quantiles do not move inwards if at least this share of the actual values are one number
    ties: float = 0.05
    series: int = 3  # with fewer series none counts as harder to forecast than the others
    # the highest quantiles are at most this multiple of the largest value of the past or of the
    # median, or more if validation values were larger
    cap_factor: float = 2.0
    capped_levels: int = 3  # how many of the highest quantiles are bounded


CALIBRATION_PRIORS = CalibrationPriors()
ADAPTATION_RATE = 0.02  # learning rate of adaptive conformal inference
MIN_WINDOWS = 4  # windows before the target share starts to move; at least a quarter of all


@dataclass(frozen=True)
class Calibration:
    """What the validation windows taught about the quantiles, and how it is applied.

    The numbers act on the quantiles of a window in this order. First each quantile's distance from
    the median is multiplied by exp(`slope` * (roughness - `mean_roughness`) + `growth` of the
    series): rough windows, and series that were hard to forecast, get wider intervals. So do steps
    of the season whose values change much, as far as errors grow with the sizes of these changes
    more than the intervals do (`step_share`). Then each quantile moves by its margin (`margins`),
    in half widths of its interval; `tied` says which least half width applies. A window that has
    seen only a few equal values has no scale, and gets intervals of the usual relative width
    (`relative`) instead. Last, the highest quantiles are bounded by `largest` times the largest
    value of the past, or the median where that is larger. If the median of a past at rest was no
    worse a forecast, it replaces the median (`rests`).
    `mean_share` and `mean_weight` do not change quantiles; they give the mean of each value from
    the calibrated quantiles. `coverage` and `windows` are a record of the data, and change nothing.
    """

    # added to quantiles, in units of half the width of their interval
    margins: Annotated[Margins, Spec("horizon levels")]
    # share of validation values at or below each quantile, before margins were added
    coverage: Annotated[Margins, Spec("levels")]
    # validation windows with at least one value that counts
    windows: Annotated[int, Spec(low=0)]
    # distance of each quantile from the median as a share of the median, the median over the
    # validation windows
    relative: Annotated[Margins, Spec("horizon levels")]
    # logarithm of the factor of each series; the last, 0, is for series that were not in the fit
    growth: Annotated[Margins, Spec("series+1")]
    # where the mean of the actual values lies between the median, 0, and the mean of the calibrated
    # quantiles, 1: an interpolated mean
    mean_share: Annotated[float, Spec("", 0, 1)] = 1.0
    # for series at rest (most of their values equal their median): the weight of that interpolated
    # mean; the mean of the series' recent values has the remaining weight
    mean_weight: Annotated[float, Spec("", 0, 1)] = 1.0
    # 1 where many actual values are equal, else 0; the least half width is then
    # `CalibrationPriors.tied_half_width`
    tied: Annotated[float, Spec("", 0, 1)] = 0.0
    # 1 if the median of a series at rest is that of its past, else 0
    rests: Annotated[float, Spec("", 0, 1)] = 0.0
    # see `CalibrationPriors.cap_factor`
    largest: Annotated[float, Spec("", 0, np.inf)] = np.inf
    # of the log ratio of errors to widths over roughness
    slope: Annotated[float, Spec("", 0, 1)] = 0.0
    mean_roughness: float = 0.0  # roughness at which intervals keep their width
    step_share: float = 0.0  # of errors over widths, see `own_past.step_share`

    def adjust(
        self,
        quantiles: Numbers,
        scale: Numbers,
        roughness: Numbers,
        sizes: Numbers,
        series: Integers,
    ) -> Numbers:
        """The calibrated quantiles, [windows, horizon, levels]: widened, then moved by margins.

        `scale`, `roughness` and `series` are [windows]; `series` has indices, and -1 is one
        that was not in the fit. `sizes` are those of `step_sizes`.
        """
        rougher = self.slope * np.nan_to_num(roughness - self.mean_roughness)
        grown = _grown(quantiles, rougher + self.growth[series], sizes, self.step_share)
        margins = self.margins.astype(np.float64)
        return moved_by(grown, margins, scale, self.tied > 0)

    def of_few_values(self, quantiles: Numbers) -> Numbers:
        """Quantiles of windows that saw only a few equal values, which do not show a width.

        Each quantile lies as far from the median, relative to the median, as it did in the usual
        validation window. The shape is [windows, horizon, levels], before and after.
        """
        middle = _median(quantiles)
        return middle + np.abs(middle) * self.relative

    def quantile_means(self, quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
        """The mean of each value from its quantiles alone, [windows, horizon].

        Unlike `means`, it ignores the recent values of series at rest.
        """
        median = _median(quantiles)[..., 0]
        distance = compute_mean(quantiles, levels) - median
        return median + self.mean_share * distance

    def means(self, quantiles: Numbers, levels: tuple[float, ...], recent: Recent) -> Numbers:
        """The mean of each value, [windows, horizon], from its calibrated quantiles.

        Where all quantiles are equal the value is certain, and the mean is not shifted.
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
    cap_factor: float,
) -> Calibration:
    """Learn a calibration from validation windows by conformalised quantile regression.

    Each interval, bounded by a quantile and its mirror image, is calibrated by itself. The score of
    an actual value is how far it lies beyond the interval, in units of half its width (Sesia and
    Candes 2020). The margin is the score that the nominal share of the values stays below. Both
    ends move by the same margin: if each end had its own, they would follow a drift of the
    validation values. The margin of a horizon step is shrunk towards that of all steps and towards
    none, more so with fewer independent windows (`size`, an amount of evidence). Where many actual
    values are equal, as in rare sales, quantiles only move outwards: a small move inwards could
    lose all of those values at once.

    `quantiles` are [windows, horizon, levels], ascending; `actual` and `observed` are [windows,
    horizon]; `scale` is [windows]; `levels` are the quantile levels. Windows of scale 0 do not
    count. `cap_factor` bounds the highest quantiles, see `CalibrationPriors`.
    """
    margins = np.zeros(quantiles.shape[1:])  # [horizon, levels]
    observed = observed & (scale > 0)[:, None]
    if not observed.any():
        none = margins.astype(np.float32)
        return Calibration(
            none,
            none[0],
            0,
            none,
            np.zeros(pasts.count + 1, np.float32),
            mean_weight=0.0,
            largest=cap_factor,
        )

    missed = _measure_misses(quantiles, actual, observed)
    slope, mean_roughness = _slope(missed, pasts)
    rougher = slope * np.nan_to_num(pasts.roughness - mean_roughness)
    growth = _growth(missed - rougher, pasts)
    rougher += growth[pasts.series]
    share = _noise_share(quantiles, actual, observed, pasts)
    grown = _grown(quantiles, rougher, pasts.sizes, share)

    _, ties = np.unique(actual[observed], return_counts=True)
    tied = bool(ties.max() / observed.sum() >= CALIBRATION_PRIORS.ties)
    unit = np.where(scale > 0, scale, 1.0)
    errors = (actual[..., None] - grown) / half_widths(grown, unit, tied)
    weight = data_weight(size)
    for low in range(levels.index(0.5)):
        high = -1 - low  # the mirror image
        scores = np.maximum(-errors[..., low], errors[..., high])
        margin = _margins(scores, observed, levels[high] - levels[low], weight)
        margins[:, high] = np.maximum(0.0, margin) if tied else margin
        margins[:, low] = -margins[:, high]
    moved = cap(moved_by(grown, margins, scale, tied), pasts.limit)

    def cells(values: Numbers) -> Numbers:
        """Observed values of [windows, horizon], divided by their window's scale, as [cells]."""
        return (values / unit[:, None])[observed]

    rested = pasts.recent.adjust_to_rest(moved)
    change = cells(np.abs(actual - _median(rested)[..., 0]))
    change -= cells(np.abs(actual - _median(moved)[..., 0]))
    has_rest = bool(pasts.recent.at_rest.any())
    rests = has_rest and change.sum() <= 0
    if rests:
        moved = rested

    median = _median(moved)[..., 0]
    relative = _relative(moved)
    mean = compute_mean(moved, levels)
    mean_share = _mean_share(cells(mean - median), cells(actual - median), weight)
    means = median + mean_share * (mean - median)
    shift = pasts.recent.shift(means)
    mean_weight = 1.0
    if has_rest:
        mean_weight = _mean_weight(cells(-shift), cells(actual - means - shift), weight)
    return Calibration(
        margins=margins.astype(np.float32),
        relative=np.median(relative[scale > 0], 0).astype(np.float32),
        coverage=(errors[observed] <= 0).mean(0).astype(np.float32),
        windows=int(observed.any(1).sum()),
        mean_share=mean_share,
        mean_weight=mean_weight,
        tied=float(tied),
        rests=float(rests),
        largest=cap_factor,
        slope=slope,
        mean_roughness=mean_roughness,
        step_share=share,
        growth=growth,
    )


def _noise_share(quantiles: Numbers, actual: Numbers, observed: Flags, pasts: Pasts) -> float:
    """How much of the noise of steps of the season shows in errors, in widths of intervals."""
    width = quantiles[..., -2] - quantiles[..., 1]
    ratios = divide(actual - _median(quantiles)[..., 0], width)
    return step_share(np.where(observed, ratios, np.nan), pasts.sizes)


def _relative(quantiles: Numbers) -> Numbers:
    """Quantiles [..., levels] beside their median, as a share of its size; 0 where that is 0."""
    middle = _median(quantiles)
    return divide(quantiles - middle, np.abs(middle), 0.0)


def data_weight(size: float) -> float:
    """The weight, 0 to 1, of what `size` independent windows say.

    The remaining weight is that of what was known without them.
    """
    return size / (size + CALIBRATION_PRIORS.windows)


def _measure_misses(quantiles: Numbers, actual: Numbers, observed: Flags) -> Numbers:
    """[windows], the logarithm of a window's summed errors over the summed widths of its intervals.

    It is positive where errors were large for the width that was forecast, and NaN where either sum
    is 0.
    """
    error = np.abs(actual - _median(quantiles)[..., 0])
    width = quantiles[..., -2] - quantiles[..., 1]
    sums = np.stack([error, width]).sum(2, where=observed)
    sums[sums == 0] = np.nan
    log_error, log_width = np.log(sums)
    return np.asarray(log_error - log_width)


def _slope(missed: Numbers, pasts: Pasts) -> tuple[float, float]:
    """The slope of `missed` over roughness, 0 to 1, across series, and the mean roughness.

    The part of the slope that chance explains is taken off. The mean is the roughness at which
    exp(slope * (roughness - mean)) is 1 on average, so that intervals keep their width on average.
    """
    used = np.isfinite(pasts.roughness + missed)
    series = pasts.series[used]
    _, group, counts = np.unique(series, return_inverse=True, return_counts=True)
    if len(counts) < CALIBRATION_PRIORS.series:
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
    """[series + 1], the logarithm of the factor by which intervals of each series are to grow.

    It compares a series' ratio of errors to widths (`missed`, a logarithm) with that of the other
    series. The differences between series are shrunk by the share that chance explains: the
    variance between them against that within them.
    """
    used = np.isfinite(missed)
    growth = np.zeros(pasts.count + 1, np.float32)
    span = pasts.span[used]
    _, first, window = np.unique(span, return_index=True, return_inverse=True)
    # windows of a series in the same block of time have one ratio
    sums = np.bincount(window, np.exp(missed[used]))
    ratios = sums / np.bincount(window)
    series = pasts.series[used][first]
    series, group, sizes = np.unique(series, return_inverse=True, return_counts=True)
    if len(series) < 2:
        return growth
    means = np.bincount(group, ratios) / sizes  # [series]
    relative = ratios / means[group] - 1
    squares = (relative**2).sum()
    freedom = len(ratios) - len(series)
    within = (squares + CALIBRATION_PRIORS.windows) / (
        freedom + CALIBRATION_PRIORS.windows
    )  # variance
    chance = within / sizes
    level = np.log(means)
    variance = level.var(ddof=1)
    between = max(0.0, variance - chance.mean())
    shrunk = (level - level.mean()) * between / (between + chance)
    mean_square = np.exp(2 * shrunk).mean()
    growth[series] = shrunk - np.log(mean_square) / 2  # widths keep their mean square
    return growth


def _grown(quantiles: Numbers, growth: Numbers, sizes: Numbers, share: float) -> Numbers:
    """Quantiles [windows, horizon, levels] whose distance from the median grows by exp(growth).

    `growth` is [windows]. The distance also follows the `sizes` of steps, by a `share`.
    """
    if not growth.any() and not share:
        return quantiles
    factors = error_unit(np.exp(growth), sizes, share)
    return widen(quantiles, factors[..., None])


def _mean_share(expected: Numbers, happened: Numbers, weight: float) -> float:
    """Where the mean of the values lies between the median, 0, and the mean of the quantiles, 1.

    Both arguments are distances from the median, [cells]: `expected` of the mean of the quantiles,
    `happened` of the actual values. The result is shrunk towards 1 by 1 - `weight`.
    """
    share = divide(happened.sum(), expected.sum(), 1.0)
    share = np.clip(share, 0.0, 1.0)
    return float(np.float32(weight * share + 1 - weight))  # as it is stored


def _mean_weight(way: Numbers, missed: Numbers, weight: float) -> float:
    """The weight, 0 to 1, of the quantiles' means beside the recent mean, for series at rest.

    It is estimated by ridge regression. Both arguments are distances from the recent mean, [cells]:
    `way` of the quantiles' means, `missed` of the actual values.
    """
    ridge = 1 / weight - 1  # in units of the variance of a window
    variance = (way**2).mean() + ridge
    best = divide((way * missed).mean(), variance, 0.0)
    return float(np.float32(np.clip(best, 0.0, 1.0)))


def _margins(scores: Numbers, observed: Flags, share: float, weight: float) -> Numbers:
    """The margin of one interval at each horizon step, from scores [windows, horizon].

    A step's own margin, from it and its neighbours, has the share `weight` against that of all
    steps together; the result has the share `weight` against no margin at all.
    """

    def log_width(steps: slice) -> float:
        used = scores[:, steps][observed[:, steps]]
        if not len(used):
            return np.nan
        width = 1 + score_at(used, share)
        return float(np.log(max(CALIBRATION_PRIORS.min_width, width)))

    pooled = log_width(slice(None))
    by_step = np.full(scores.shape[1], pooled)
    for step in range(len(by_step)):
        first = max(0, step - CALIBRATION_PRIORS.neighbours)
        end = step + CALIBRATION_PRIORS.neighbours + 1
        near = log_width(slice(first, end))
        if np.isfinite(near):
            by_step[step] = near
    mixed = weight * by_step + (1 - weight) * pooled
    return np.expm1(weight * mixed)


def half_widths(quantiles: Numbers, scale: Numbers, tied: bool) -> Numbers:
    """Half the width of the interval between each quantile and its mirror image.

    The shape is [windows, horizon, levels]. No half width is below a share of the window's scale,
    which is larger where values are `tied`.
    """
    least = CALIBRATION_PRIORS.tied_half_width if tied else CALIBRATION_PRIORS.half_width
    width = np.abs(quantiles[..., ::-1] - quantiles)
    return np.maximum(width / 2, least * scale[:, None, None])


def moved_by(quantiles: Numbers, margins: Numbers, scale: Numbers, tied: bool) -> Numbers:
    """Quantiles [windows, horizon, levels] moved by margins [horizon, levels], in ascending order.

    A margin counts half widths, so an interval of width 0 in a window of scale 0 does not move.
    """
    return _order(quantiles + margins * half_widths(quantiles, scale, tied))


def widen(quantiles: Numbers, factors: NDArray[np.floating[Any]]) -> Numbers:
    """Quantiles [..., levels] whose distance from the median is multiplied, in ascending order."""
    middle = _median(quantiles)
    return _order(np.asarray(middle + (quantiles - middle) * factors))


def cap(quantiles: Numbers, limit: Numbers) -> Numbers:
    """Quantiles [windows, horizon, levels], the highest bounded by `limit` [windows, horizon].

    A quantile that is bounded does not fall below the next lower one.
    """
    bounded = quantiles.copy()
    for level in range(-CALIBRATION_PRIORS.capped_levels, 0):
        most = np.maximum(bounded[..., level - 1], limit)
        bounded[..., level] = np.minimum(bounded[..., level], most)
    return bounded


def at_least(quantiles: Numbers, distance: Numbers) -> Numbers:
    """Quantiles that lie at least the given distance from their median, each on its side.

    `distance` is negative for quantiles below the median.
    """
    middle = quantiles.shape[-1] // 2
    far = quantiles[..., middle, None] + distance
    lower = np.minimum(quantiles, far)[..., :middle]
    upper = np.maximum(quantiles, far)[..., middle:]
    return np.concatenate([lower, upper], -1)


def warn_uncalibrated(windows: int) -> None:
    """Warn if no validation window calibrated the intervals.

    There is no warning where windows are few: intervals are then widened instead.
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


def _order(quantiles: Numbers) -> Numbers:
    """Put quantiles [..., levels] in ascending order, outwards from the median, which stays.

    The array is changed in place, and returned.
    """
    middle = quantiles.shape[-1] // 2
    upper = quantiles[..., middle:]
    lower = quantiles[..., middle::-1]
    np.maximum.accumulate(upper, -1, out=upper)
    np.minimum.accumulate(lower, -1, out=lower)
    return quantiles


def score_at(scores: Numbers, share: float) -> float:
    """The score that `share` of new values stays below.

    Its rank is taken among one value more than there are, since the new value is one of them too:
    the finite-sample rule of conformal prediction.
    """
    count = len(scores)
    rank = min(count, int(np.ceil(share * (count + 1))))
    return float(np.partition(scores, rank - 1)[rank - 1])


def adapted_share(scores: Numbers, observed: Flags, share: float) -> float:
    """The target share after a pass over the windows in the order of time.

    Each window raises the target where it missed more than 1 - `share` of its values, and lowers it
    where it missed fewer (Gibbs and Candes 2021). `scores` and `observed` have windows as first
    axis.
    """
    target = share
    miss_share = 1 - share
    first = max(MIN_WINDOWS, len(scores) // 4)
    for now in range(first, len(scores)):
        earlier = scores[:now][observed[:now]]
        new = scores[now][observed[now]]
        if len(earlier) and len(new):
            missed = (new > score_at(earlier, target)).mean()
            target += ADAPTATION_RATE * (missed - miss_share)
            target = np.clip(target, share / 2, 1 - miss_share / 4)
    return target
