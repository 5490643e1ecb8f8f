"""Compute the input features of the pretrained network from the past of a series only.

The features describe scaled values, seasons, smoothed levels and trends. Steps are counted from the
origin: step 0 is the first one after it. Eight steps make one token.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Flags, Floats, Integers, Numbers

TOKEN_STEPS = 8  # steps per token
COARSE = 16  # a coarse step is the mean over this many steps
COARSE_TOKENS = 4  # at most this many tokens of coarse steps precede those of the newest steps
STEP_FEATURES, SUMMARY_FEATURES, OTHERS = 15, 23, 11
# seasonal indices weight values by age: after this many seasons, the weight has fallen to 1/e
DECAY, SLOW_DECAY = 1.5, 10.0
RATES = (0.1, 0.3, 0.7)  # smoothing rates of the levels
SLOPE_RATES = (0.02, 0.1, 0.3)  # the weights of a trend line decay at these rates
LEAST_SEASONS = 0.25  # least number of seasons beyond the first, for the noise of a seasonal index
BORROWED = 3.0  # pairs of values that `_seasonal_error` adds from the change over one step
SMALLEST_UNIT = 1e-3
BEND = 3.0  # `squash` is nearly linear below this many scales, and nearly a logarithm above
# 0 is so many scales away at most: beyond that, a constant added to all values changes nothing
FAR = 5.0
MAX_FEATURE = 50.0  # features are clipped to plus and minus this
FEATURE_ARRAYS = (
    "steps",
    "summary",
    "base",
    "others",
    "unit",
    "location",
    "scale",
)  # of `Features`


@dataclass(frozen=True)
class Features:
    steps: Floats  # [windows, coarse + context + horizon, STEP_FEATURES]
    summary: Floats  # [windows, SUMMARY_FEATURES]
    # [windows, horizon], a first guess of each step ahead, level plus seasons, in scaled units
    base: Floats
    others: Floats  # [windows, horizon, OTHERS], other guesses less `base`
    # [windows], the mean error of repeating the last season in the past, in scaled units; the
    # network's outputs are in this unit
    unit: Floats
    location: Numbers  # [windows], subtracted from values before they are squashed
    scale: Numbers  # [windows], by which values are then divided
    context: int  # the newest steps of the past, which have features of their own
    coarse: int  # number of coarse steps before them


def squash(values: Numbers) -> Numbers:
    """Compress large values, given in units of a window's scale, as a logarithm does."""
    return BEND * np.arcsinh(values / BEND)


def unsquash(scaled: Numbers) -> Numbers:
    """The inverse of `squash`."""
    return BEND * np.sinh(scaled / BEND)


def compute_features(
    values: Numbers, observed: Flags, seasons: Integers, horizon: int, newest: int | None = None
) -> Features:
    """Compute the features of windows [windows, context], whose newest value is the last.

    Each window must have an observed value. Context, horizon and `newest` are multiples of a token.
    Only the `newest` steps, by default all, have features of their own; older steps are averaged
    over `COARSE` steps. `seasons` [windows, 3] holds lengths in steps: the first season that the
    past spans (1 for none), the second such season (0 for none), and the season of the calendar,
    which a short past may not span.
    """
    context = values.shape[1]
    newest = min(newest or context, context)
    groups, member = np.unique(seasons, axis=0, return_inverse=True)
    if len(groups) == 1:
        return _of_alike(values, observed, groups[0].tolist(), horizon, newest)
    member = member.ravel()
    parts = []
    for number, group in enumerate(groups.tolist()):
        rows = member == number
        parts.append(_of_alike(values[rows], observed[rows], group, horizon, newest))
    order = np.argsort(member, kind="stable")
    rank = np.argsort(order)
    arrays: dict[str, Any] = {}
    for name in FEATURE_ARRAYS:
        joined = np.concatenate([getattr(part, name) for part in parts])
        arrays[name] = joined[rank]
    return replace(parts[0], **arrays)


def _of_alike(
    values: Numbers, observed: Flags, seasons: list[int], horizon: int, newest: int
) -> Features:
    """Compute the features of windows that have the same seasons, [3].

    Inside this function, and in memory, windows are the last axis.
    """
    windows, context = values.shape
    length = context - observed.argmax(1)
    values = np.ascontiguousarray(np.where(observed, values, 0.0).T)
    known = observed.T.astype(np.float64, order="C")
    pairs = known[1:] * known[:-1]
    location, scale = _scale(values, known, pairs, seasons[0])
    scaled = squash((values - location) / scale) * known
    height = (location / scale).clip(-FAR, FAR)
    zero = known * (values == 0)

    first = _Season(scaled, known, seasons[0], horizon)
    adjusted = (scaled - first.index[:context]) * known
    second = _Season(adjusted, known, seasons[1], horizon)
    adjusted = (adjusted - second.index[:context]) * known
    levels, slopes = _levels_and_slopes(adjusted, known)  # [rates, windows] each
    unit = _seasonal_error(scaled, known, pairs, seasons[0])
    roughness = _mean_change(adjusted, pairs)
    older = known * (np.arange(context - 1, -1, -1)[:, None] >= length / 2)
    older_mean = _dot(scaled, older) / np.maximum(older.sum(0), 1)
    summary = [
        *_of_pasts(values, zero, known.sum(0), length, seasons),
        np.arcsinh(height) / 3,
        *levels,
        *(5 * slopes),
        older_mean,
        np.log(roughness + 1e-3) / 2,
        first.strength,
        second.strength,
        np.log(unit) / 3,
    ]

    past = context - newest
    coarse = TOKEN_STEPS * min(COARSE_TOKENS, -(-past // (TOKEN_STEPS * COARSE)))
    steps = np.zeros((coarse + newest + horizon, STEP_FEATURES, windows), np.float32)
    by_step = np.stack([scaled, known, adjusted, zero], 1).astype(np.float32)
    steps[:coarse, :4] = _coarse_means(by_step[:past], coarse)
    steps[coarse : coarse + newest, :4] = by_step[past:]
    of_first = first.columns(scaled, known, newest)
    # both look back at `scaled`, from which no season has been subtracted
    of_second = second.columns(scaled, known, newest)
    columns = [first.slow_index[past:], *of_first, *of_second]
    for number, column in enumerate(columns, start=4):
        steps[coarse:, number] = column

    fast, level, slow = levels
    index = first.index[context:]
    second_index = second.index[context:]
    base = level + index + second_index
    guesses = [index, second_index, first.slow_index[context:] - index]
    for _, before, is_known, *_ in (of_first, of_second):
        change = before[newest:] - base
        guesses.append(change * is_known[newest:])
    guesses += [fast - level, slow - level]
    ahead = np.arange(1, horizon + 1)[:, None]
    guesses += [slope * ahead for slope in slopes]
    guesses.append(squash(-height) - level)  # that values are 0
    others = np.stack(np.broadcast_arrays(*guesses), 1)  # [horizon, OTHERS, windows]
    return Features(
        steps=_clip(steps).transpose(2, 0, 1),
        summary=_clip(np.stack(summary)).T,
        base=_clip(base).T,
        others=_clip(others).transpose(2, 0, 1),
        unit=unit.astype(np.float32),
        location=location,
        scale=scale,
        context=newest,
        coarse=coarse,
    )


def _clip(features: NDArray[np.floating]) -> Floats:
    return features.clip(-MAX_FEATURE, MAX_FEATURE).astype(np.float32, copy=False)


def _coarse_means(pasts: Floats, coarse: int) -> Floats:
    """Return the means over the newest coarse steps, [coarse, columns, windows].

    Missing values are left out; a coarse step without any value is 0.
    """
    inside = np.eye(coarse, dtype=np.float32)
    inside = np.repeat(inside, COARSE, axis=1)
    inside = inside[:, -len(pasts) :]  # the past may have fewer steps than the coarse steps cover
    newest = pasts[len(pasts) - inside.shape[1] :]
    total = np.tensordot(inside, newest, 1)
    count = total[:, 1:2]  # column 1 is 1 where the value is known
    return np.asarray(total / np.maximum(count, 1))


def _scale(values: Numbers, known: Numbers, pairs: Numbers, season: int) -> tuple[Numbers, Numbers]:
    """Return location and scale, [windows] each.

    The location is the mean of the newest season. The scale is the mean of two numbers: the mean
    absolute deviation from the location, and the mean absolute change from step to step.
    """
    newest = slice(-max(season, 3), None)
    count = known.sum(0)
    seen = known[newest].sum(0)
    recent = seen > 0
    total = np.where(recent, values[newest].sum(0), values.sum(0))
    location = total / np.where(recent, seen, count)
    change = _mean_change(values, pairs)
    distance = np.abs(values - location)
    deviation = _dot(distance, known) / count
    least = 1e-6 * np.abs(location) + np.finfo(float).tiny
    return location, 0.5 * deviation + 0.5 * change + least


def _seasonal_error(scaled: Numbers, known: Numbers, pairs: Numbers, season: int) -> Numbers:
    """Return the mean absolute change over one season, [windows].

    `BORROWED` pairs with the mean change over one step are added, which matters if the past has few
    pairs of values one season apart.
    """
    paired = known[season:] * known[:-season]
    changes = np.abs(scaled[season:] - scaled[:-season])
    borrowed = _mean_change(scaled, pairs)
    borrowed[~pairs.any(0)] = 1.0
    total = _dot(changes, paired) + BORROWED * borrowed
    error = total / (paired.sum(0) + BORROWED)
    return np.asarray(np.maximum(error, SMALLEST_UNIT))


def _mean_change(values: Numbers, pairs: Numbers) -> Numbers:
    """Return the mean absolute change from step to step, [windows]."""
    changes = np.abs(np.diff(values, axis=0))
    return np.asarray(_dot(changes, pairs) / np.maximum(pairs.sum(0), 1))


class _Season:
    """A season of windows, found by classical decomposition that weights newer seasons more.

    `index` and `slow_index`, [context + horizon, windows], are what the season adds at each step:
    `index` follows the newest seasons, `slow_index` averages over many. `strength`, [windows], is
    the share of the variance around the moving average that `index` explains.
    """

    def __init__(self, values: Numbers, known: Numbers, length: int, horizon: int) -> None:
        context, windows = values.shape
        self.length = length
        self.context = context
        self.step = np.arange(-context, horizon)
        self.phase = self.step % max(length, 1)
        self.index = np.zeros((len(self.step), windows))
        self.slow_index = self.index
        self.strength = np.zeros(windows)
        if length <= 1:
            return
        within = _window_sums(known, length)
        average = _window_sums(values, length) / np.maximum(within, 1e-9)
        rest = (values - average) * known
        # less weight at the ends and in gaps, where the moving average misses part of a season
        full = known * np.minimum(within / length, 1) ** 4
        self.index = self._index(rest, full, known, DECAY)
        self.slow_index = self._index(rest, full, known, SLOW_DECAY)
        left = rest - self.index[:context]
        squares = _dot(rest * full, rest)
        explained = 1 - _dot(left * full, left) / np.maximum(squares, 1e-12)
        self.strength = np.where(squares > 1e-12, explained, 0.0)

    def _index(self, rest: Numbers, full: Numbers, known: Numbers, decay: float) -> Numbers:
        age = np.arange(self.context - 1, -1, -1) / self.length
        recent = np.exp(-age / decay)[:, None]
        weight = full * recent + 1e-9 * known
        weighted = weight * rest
        total = sums_by_phase(weight, self.length)
        sums = sums_by_phase(weighted, self.length)
        seen = total > 0
        phases = seen.sum(0)
        index = sums / np.maximum(total, 1e-12)
        mean = index.sum(0) / np.maximum(phases, 1)
        index = np.where(seen, index - mean, 0.0)
        # an index from few seasons is noisy, so it is shrunk (James and Stein 1961)
        squares = phases * _dot(weight, weight)
        seasons = total.sum(0) ** 2 / np.maximum(squares, 1e-12)
        explained = (total * index**2).sum(0)
        products = (sums * index).sum(0)
        left = _dot(weighted, rest) - 2 * products + explained
        noise = np.maximum(left, 0) / np.maximum(seasons - 1, LEAST_SEASONS)
        share = noise / np.maximum(explained, 1e-12)
        certainty = np.clip(1 - share, 0, 1)
        shrunk = index * certainty
        return np.asarray(shrunk[self.phase])

    def columns(self, values: Numbers, known: Numbers, newest: int) -> list[Numbers]:
        """Return five features of the `newest` past steps and the steps ahead.

        They are the index, the value one season before and whether it is known, and the sine and
        cosine of the phase.
        """
        first = self.context - newest
        step = self.step[first:]
        if self.length <= 1:
            return [np.zeros((len(step), 1))] * 5
        phase = self.phase[first:]
        back = np.where(step < 0, step, phase)
        back += self.context - self.length
        inside = (back >= 0)[:, None]
        back = np.maximum(back, 0)
        angle = (2 * np.pi * phase / self.length)[:, None]
        before = values[back] * inside
        is_known = known[back] * inside
        return [self.index[first:], before, is_known, np.sin(angle), np.cos(angle)]


def sums_by_phase(values: Numbers, length: int) -> Numbers:
    """Sum values [steps, windows] over the steps of each phase, [length, windows].

    The newest step has the last phase.
    """
    steps, windows = values.shape
    begun = steps % length  # steps of the first season, which began before the past
    whole = values[begun:].reshape(steps // length, length, windows)
    sums = whole.sum(0)
    sums[length - begun :] += values[:begun]
    return np.asarray(sums)


def _window_sums(values: Numbers, length: int) -> Numbers:
    """Return centred sums over one season, [steps, windows].

    If the season is even, the two ends have half the weight. Where the season reaches beyond the
    past, the sum is over the steps that there are.
    """
    half = length // 2
    padding = ((half + 1, half), (0, 0))
    padded = np.pad(values, padding)
    sums = np.cumsum(padded, 0)
    total = sums[length:] - sums[:-length]
    if length % 2:
        return total
    return (total[1:] + total[:-1]) / 2


def _levels_and_slopes(values: Numbers, known: Numbers) -> tuple[Numbers, Numbers]:
    """Return smoothed levels and the slopes of weighted trend lines, [rates, windows] each.

    The slope is 0 where there are at most two values.
    """
    step = np.arange(1 - len(values), 1, dtype=np.float64)
    decay = (1 - np.array(RATES)[:, None]) ** -step
    weights = (1 - np.array(SLOPE_RATES)[:, None]) ** -step
    factors = np.concatenate([decay, weights, weights * step, weights * step**2])
    count, total, time, squares = np.split(factors @ known, 4)
    products = factors[: -len(weights)] @ values
    level, mean, product = np.split(products, 3)
    # after a long gap the weights vanish: use the mean of all values
    known_steps = known.sum(0)
    means = values.sum(0) / known_steps
    levels = np.where(count > 1e-12, level / np.maximum(count, 1e-12), means)
    time = time / total
    mean = mean / total
    variance = squares / total - time**2
    covariance = product / total - time * mean
    sloping = variance > 0.3
    sloping &= known_steps > 2
    slopes = covariance / np.maximum(variance, 0.3)
    return levels, np.where(sloping, slopes, 0.0)


def _dot(one: Numbers, other: Numbers) -> Numbers:
    """Return the dot product of each pair of columns, [windows]."""
    return np.asarray(np.einsum("sw,sw->w", one, other))


def _of_pasts(
    values: Numbers, zero: Numbers, count: Numbers, length: Integers, seasons: list[int]
) -> list[Numbers]:
    """Return 11 features of windows, [windows] each: their seasons, lengths and kinds of values."""
    first, second, calendar = seasons
    same = np.ones(len(length))
    columns = [same * np.log(first) / 4, same * np.log(calendar) / 4]
    columns.append(same * np.log1p(second) / 6)
    columns.append(np.log(length) / 5 - 0.8)
    columns.append(np.tanh(length / first / 4))
    second_seasons = np.tanh(length / max(second, 1) / 4)
    columns.append(second_seasons * (second > 0))
    columns.append(count / length)
    columns.append(zero.sum(0) / count)
    whole = (values == np.round(values)).all(0)
    columns.append(whole * same)
    size = np.abs(values).sum(0) / count
    columns.append(whole * np.log1p(size) / 5)
    columns.append((values >= 0).all(0) * same)
    return columns
