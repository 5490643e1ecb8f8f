"""Conformal calibration: move each quantile by its errors on validation windows (Romano, Patterson, Candes 2019)."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting
from forecast.intervals.pasts import Pasts, Recent
from forecast.logs import log
from forecast.metrics.quantiles import mean_of
from forecast.panel.panel import Flags, Integers, Numbers

PRIOR_WINDOWS = 4.0  # independent windows that say as much as what is known without them; chosen as in quantiles.py
MIN_WIDTH = 0.05  # share of its width that an interval keeps at least
NEIGHBOURS = 2  # horizon steps to each side whose scores are pooled with a step's own
MIN_HALF_WIDTH = 0.01  # of an interval, as a share of the window's scale
TIED_HALF_WIDTH = (
    1.0  # where values tie: rare sales lie thousands of half widths beyond a narrow interval
)
MAX_TIES = 0.05  # share of equal values from which on quantiles do not move inwards
ADAPTATION_RATE = 0.02  # of adaptive conformal inference
MIN_SERIES = 3  # of a panel from which on some may be harder to forecast than others
CAP_FACTOR = (
    2.0  # times the largest value of the past, beyond which no end lies for lack of evidence
)
CAPPED_LEVELS = 2  # highest quantiles that this bounds
MIN_WINDOWS = (
    4  # validation windows before the adaptive share moves, and at least a quarter of them
)


@dataclass(frozen=True)
class Calibration:
    margins: NDArray[
        np.float32
    ]  # [horizon, levels], added to quantiles, in units of half the width of their interval
    coverage: NDArray[
        np.float32
    ]  # [levels], share of validation values below each quantile before it was moved
    windows: int
    mean_share: float = (
        1.0  # way of the mean of values from the median to the mean of the moved quantiles
    )
    mean_weight: float = 1.0  # weight of that mean in the mean of a series at rest; its recent mean has the other part
    tied: float = 0.0  # 1 where many values are equal, else 0; margins are multiples of wider half widths then
    largest: float = np.inf  # times the largest value of the past that bounds the highest quantiles
    slope: float = (
        0.0  # intervals grow by exp(slope * (roughness - mean_roughness) + growth) before they move
    )
    mean_roughness: float = 0.0
    # [horizon, levels], the usual distances of quantiles from the median, as shares of it; 0 in older versions
    relative: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    growth: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros(1, np.float32)
    )  # [series + 1]; of a new one 0

    def moved(
        self, quantiles: Numbers, scale: Numbers, roughness: Numbers, series: Integers
    ) -> Numbers:
        """Calibrated quantiles of windows, [windows, horizon, levels]; scale, roughness and series by window."""
        grown = _grown(
            quantiles,
            self.slope * np.nan_to_num(roughness - self.mean_roughness) + self.growth[series],
        )
        return moved_by(grown, self.margins.astype(np.float64), scale, self.tied > 0)

    def of_few_values(self, quantiles: Numbers) -> Numbers:
        """Quantiles of windows with a few equal values, which say nothing of their width: as far apart as is usual."""
        middle = quantiles[..., quantiles.shape[-1] // 2, None]
        return np.asarray(middle + np.abs(middle) * self.relative)

    def quantile_means(self, quantiles: Numbers, levels: tuple[float, ...]) -> Numbers:
        """As `means`, without what series at rest had recently."""
        return _means(quantiles, levels, self.mean_share)

    def means(self, quantiles: Numbers, levels: tuple[float, ...], recent: Recent) -> Numbers:
        """The mean of each value, [windows, horizon], from quantiles [windows, horizon, levels] that were moved."""
        means = self.quantile_means(quantiles, levels)
        certain = quantiles[..., 0] == quantiles[..., -1]
        return np.asarray(
            means + np.where(certain, 0.0, (1 - self.mean_weight) * recent.shift(means))
        )


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

    The score of a value is how far it lies beyond the interval between a quantile and its mirror image, in units of
    half its width (Sesia and Candes 2020), and the margin is the score that the nominal share of values stays below.
    Both sides move by the same: one side alone would follow a drift of the validation values. Margins of a step are
    shrunk towards those of all steps and towards none, the more so the fewer independent windows there are (`size`).
    Where many values are equal, as in rare sales, quantiles move outwards only: inwards, one step would lose them all.

    Quantiles are [windows, horizon, levels], ascending; actuals [windows, horizon]; scale [windows].
    """
    horizon, middle = quantiles.shape[1], levels.index(0.5)
    observed = observed & (scale > 0)[:, None]
    if not observed.any():
        none, still = (
            np.zeros((horizon, len(levels)), np.float32),
            np.zeros(pasts.count + 1, np.float32),
        )
        return Calibration(none, none[0], 0, mean_weight=0.0, relative=none, growth=still)
    missed = _missed(quantiles, actual, observed)
    slope, roughness = _slope(missed, pasts)
    rougher = slope * np.nan_to_num(pasts.roughness - roughness)
    growth = _growth(missed - rougher, pasts)
    quantiles = _grown(quantiles, rougher + growth[pasts.series])
    tied = bool(
        np.unique(actual[observed], return_counts=True)[1].max() / observed.sum() >= MAX_TIES
    )
    weight, unit = data_weight(size), np.where(scale > 0, scale, 1.0)[:, None]
    scaled_error = (actual[..., None] - quantiles) / half_widths(quantiles, unit[:, 0], tied)
    margins = np.zeros((horizon, len(levels)))
    for low in range(middle):
        mirror = len(levels) - 1 - low
        score = np.maximum(-scaled_error[..., low], scaled_error[..., mirror])
        margin = _margins(score, observed, levels[mirror] - levels[low], weight)
        margins[:, mirror] = np.maximum(0.0, margin) if tied else margin
        margins[:, low] = -margins[:, mirror]
    below = np.array(
        [(scaled_error[..., level] <= 0)[observed].mean() for level in range(len(levels))]
    )
    moved = capped(moved_by(quantiles, margins, scale, tied), pasts.limit)
    mean_share = _mean_share(moved, actual, observed, unit, levels, weight)
    return Calibration(
        margins=margins.astype(np.float32),
        relative=_relative(moved[scale > 0], middle),
        coverage=below.astype(np.float32),
        windows=int(observed.any(1).sum()),
        mean_share=mean_share,
        mean_weight=_mean_weight(
            _means(moved, levels, mean_share), actual, observed, unit, pasts.recent, weight
        ),
        tied=float(tied),
        slope=slope,
        mean_roughness=roughness,
        growth=growth,
    )


def _relative(quantiles: Numbers, middle: int) -> NDArray[np.float32]:
    """The median over windows of the distances from the median that is no 0, in shares of it, [horizon, levels]."""
    centre = np.abs(quantiles[..., middle, None])
    shares = np.where(
        centre > 0,
        (quantiles - quantiles[..., middle, None]) / np.where(centre > 0, centre, 1.0),
        0.0,
    )
    return np.asarray(np.median(shares, 0), np.float32)


def data_weight(size: float) -> float:
    """The weight of what so many independent windows say; the rest is that of what was known without them."""
    return 1.0 if np.isinf(size) else size / (size + PRIOR_WINDOWS)


def _missed(quantiles: Numbers, actual: Numbers, observed: Flags) -> Numbers:
    """[windows], the logarithm of errors in widths of an interval; NaN where one of them is 0."""
    error = np.where(observed, np.abs(actual - quantiles[..., quantiles.shape[-1] // 2]), 0.0).sum(
        1
    )
    width = np.where(observed, quantiles[..., -2] - quantiles[..., 1], 0.0).sum(1)
    return np.log(np.where(error > 0, error, np.nan)) - np.log(np.where(width > 0, width, np.nan))


def _slope(missed: Numbers, pasts: Pasts) -> tuple[float, float]:
    """The slope of `missed` over roughness, 0 to 1, less the share that chance explains, and the mean roughness."""
    used = np.isfinite(pasts.roughness + missed)
    _, group, counts = np.unique(pasts.series[used], return_inverse=True, return_counts=True)
    if len(counts) < MIN_SERIES:
        return 0.0, 0.0
    rough, missed = (
        np.bincount(group, values[used]) / counts for values in (pasts.roughness, missed)
    )
    apart = rough - rough.mean()
    squares = max(float((apart**2).sum()), 1e-300)
    slope = float((apart * missed).sum()) / squares
    rest = missed - missed.mean() - slope * apart
    chance = float((rest**2).sum()) / (len(counts) - 2) / squares
    if slope**2 <= chance or slope <= 0:
        return 0.0, 0.0
    slope = float(np.float32((1 - chance / slope**2) * min(slope, 1.0)))  # as it is stored
    return slope, float(np.float32(np.log(np.exp(slope * rough).mean()) / slope))


def _growth(missed: Numbers, pasts: Pasts) -> NDArray[np.float32]:
    """[series + 1], the logarithm of each series' errors in widths beside that of others, less what chance explains."""
    used, growth = np.isfinite(missed), np.zeros(pasts.count + 1, np.float32)
    _, first, group = np.unique(pasts.span[used], return_index=True, return_inverse=True)
    ratios = np.bincount(group, np.exp(missed[used])) / np.bincount(group)  # of independent windows
    series, group, sizes = np.unique(
        pasts.series[used][first], return_inverse=True, return_counts=True
    )
    if len(series) > 1:
        means = np.bincount(group, ratios) / sizes
        squares = float(((ratios / means[group] - 1) ** 2).sum()) + PRIOR_WINDOWS
        chance, level = squares / (len(ratios) - len(series) + PRIOR_WINDOWS) / sizes, np.log(means)
        between = max(0.0, float(level.var(ddof=1) - chance.mean()))
        found = (level - level.mean()) * between / (between + chance)
        growth[series] = (
            found - np.log(np.exp(2 * found).mean()) / 2
        )  # on average as wide as they were, squared
    return growth


def _grown(quantiles: Numbers, growth: Numbers) -> Numbers:
    """Quantiles whose distance from the median grows by exp(growth [windows]), [windows, ..., levels]."""
    if not growth.any():
        return quantiles
    return widened(quantiles, np.exp(growth).reshape(-1, *(1,) * (quantiles.ndim - 1)))


def _mean_share(
    quantiles: Numbers,
    actual: Numbers,
    observed: Flags,
    unit: Numbers,
    levels: tuple[float, ...],
    weight: float,
) -> float:
    """How far the mean of the values lies from the median on the way to the mean of the quantiles, 0 to 1."""
    median, mean = (_means(quantiles, levels, share) for share in (0.0, 1.0))
    expected, happened = (((values - median) / unit)[observed].sum() for values in (mean, actual))
    share = float(np.clip(happened / expected, 0.0, 1.0)) if expected > 0 else 1.0
    return float(np.float32(weight * share + 1 - weight))  # as it is stored


def _means(quantiles: Numbers, levels: tuple[float, ...], share: float) -> Numbers:
    median = quantiles[..., levels.index(0.5)]
    return np.asarray(median + share * (mean_of(quantiles, levels) - median))


def _mean_weight(
    means: Numbers, actual: Numbers, observed: Flags, unit: Numbers, recent: Recent, weight: float
) -> float:
    """The weight, 0 to 1, of `means` beside the recent mean of series at rest, by a ridge regression."""
    if not recent.at_rest.any():
        return 1.0
    shift = recent.shift(means)
    way, miss = (-shift / unit)[observed], ((actual - means - shift) / unit)[observed]
    variance = (way**2).mean() + (1 / weight - 1)  # in units of the variance of a window
    return (
        float(np.float32(np.clip((way * miss).mean() / variance, 0.0, 1.0)))
        if variance > 0
        else 0.0
    )


def _margins(scores: Numbers, observed: Flags, share: float, weight: float) -> Numbers:
    """The margin of one interval at each step, from scores [windows, horizon]; `weight` of each step and of all."""

    def log_width(part: slice) -> float:
        some = scores[:, part][observed[:, part]]
        return float(np.log(max(MIN_WIDTH, 1 + score_at(some, share)))) if len(some) else np.nan

    pooled = log_width(slice(None))
    near = [
        log_width(slice(max(0, step - NEIGHBOURS), step + NEIGHBOURS + 1))
        for step in range(scores.shape[1])
    ]
    by_step = np.where(np.isfinite(near), near, pooled)
    return np.asarray(np.expm1(weight * (weight * by_step + (1 - weight) * pooled)))


def half_widths(quantiles: Numbers, scale: Numbers, tied: bool = False) -> Numbers:
    """Half the width of the interval that each quantile bounds with its mirror image, [windows, horizon, levels]."""
    least = TIED_HALF_WIDTH if tied else MIN_HALF_WIDTH
    return np.maximum(np.abs(quantiles[..., ::-1] - quantiles) / 2, least * scale[:, None, None])


def moved_by(quantiles: Numbers, margins: Numbers, scale: Numbers, tied: bool = False) -> Numbers:
    """Quantiles [windows, horizon, levels] moved by margins [horizon, levels], in order again; none of a scale of 0."""
    return _ordered(quantiles + margins * half_widths(quantiles, scale, tied))


def widened(quantiles: Numbers, factors: NDArray[np.floating[Any]]) -> Numbers:
    """Quantiles whose distance from the median is multiplied, in order again, [..., levels]."""
    middle = quantiles[..., quantiles.shape[-1] // 2, None]
    return _ordered(np.asarray(middle + (quantiles - middle) * factors))


def capped(quantiles: Numbers, limit: Numbers) -> Numbers:
    """Quantiles [windows, horizon, levels], of which the highest are at most the limit [windows], or the next lower."""
    bounded = quantiles.copy()
    for level in range(-CAPPED_LEVELS, 0):
        bounded[..., level] = np.minimum(
            bounded[..., level], np.maximum(bounded[..., level - 1], limit[:, None])
        )
    return bounded


def at_least(quantiles: Numbers, distance: Numbers) -> Numbers:
    """Quantiles that lie at least so far from their median, each to its side; distances are negative below it."""
    middle = quantiles.shape[-1] // 2
    far = quantiles[..., middle, None] + distance
    lower, upper = (
        np.minimum(quantiles, far)[..., :middle],
        np.maximum(quantiles, far)[..., middle:],
    )
    return np.concatenate([lower, upper], -1)


def warn_uncalibrated(windows: int) -> None:
    """Warn where no validation window calibrated the intervals; where there are few, they are widened."""
    if windows == 0:
        problem = (
            "no values could be held out: intervals are not calibrated, and may be far too narrow"
        )
        log.warning(f"{problem}; a smaller %s may leave some", Setting("horizon"))


def _ordered(quantiles: Numbers) -> Numbers:
    """Put quantiles in order, outwards from the middle one, which stays; in place, [..., levels]."""
    middle, count = quantiles.shape[-1] // 2, quantiles.shape[-1]
    for level in range(middle + 1, count):
        np.maximum(quantiles[..., level - 1], quantiles[..., level], out=quantiles[..., level])
    for level in range(middle - 1, -1, -1):
        np.minimum(quantiles[..., level + 1], quantiles[..., level], out=quantiles[..., level])
    return quantiles


def score_at(scores: Numbers, share: float) -> float:
    """The score that `share` of new values stays below; the rank counts one value more than there are."""
    rank = min(len(scores), int(np.ceil(share * (len(scores) + 1))))
    return float(np.partition(scores, rank - 1)[rank - 1])


def adapted_share(scores: Numbers, observed: Flags, share: float) -> float:
    """The target share after windows in the order of time; each moves it by what it missed beyond 1 - share."""
    target = share
    past = np.where(observed, scores, np.nan)
    first = max(MIN_WINDOWS, len(past) // 4)
    for now in range(first, len(past)):
        earlier, new = past[:now][observed[:now]], past[now][observed[now]]
        if len(earlier) and len(new):
            missed = float((new > score_at(earlier, target)).mean())
            target = float(
                np.clip(
                    target + ADAPTATION_RATE * (missed - (1 - share)),
                    share / 2,
                    1 - (1 - share) / 4,
                )
            )
    return target
