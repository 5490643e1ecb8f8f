"""Input features of the pretrained network, from the past of a series only: scaled values, seasons, levels.

Steps are counted from the origin, 0 being the first one ahead. Eight steps make one token.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Floats = NDArray[np.float32]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

TOKEN = 8  # steps per token
COARSE, COARSE_TOKENS = (
    16,
    4,
)  # steps of a coarse step, and coarse tokens before those of the newest steps, at most
STEP_FEATURES, SUMMARY_FEATURES, OTHERS = 15, 23, 11
DECAY, SLOW_DECAY = 1.5, 10.0  # seasons after which a value counts 1/e in a seasonal index
RATES = (0.1, 0.3, 0.7)  # of exponential smoothing
SLOPE_RATES = (0.02, 0.1, 0.3)  # of the weights of a trend line
LEAST_SEASONS = 0.25  # beyond one, for the noise of a seasonal index
BORROWED, SMALLEST_UNIT = 3.0, 1e-3  # pairs that the unit borrows; the least that it is
BEND = 3.0  # scales from which on values are drawn in, as logarithms draw them in
MAX_FEATURE = 50.0  # what a feature may be
ARRAYS = ("steps", "summary", "base", "others", "unit", "location", "scale")  # of `Features`


@dataclass(frozen=True)
class Features:
    steps: Floats  # [windows, coarse + context + horizon, STEP_FEATURES]
    summary: Floats  # [windows, SUMMARY_FEATURES]
    base: Floats  # [windows, horizon], a first guess of each step ahead: level and seasons, in scaled units
    others: Floats  # [windows, horizon, OTHERS], how far other guesses lie from it
    unit: Floats  # [windows], error of repeating the last season over the past, in scaled units; that of outputs
    location: Numbers  # [windows], see `squashed` and `unsquashed`
    scale: Numbers
    context: int  # steps of the past that have features of their own
    coarse: int  # coarse steps before them

    def scaled(self, values: Numbers) -> Floats:
        """Values [windows, ...] in scaled units."""
        return squashed((values - self.location[:, None]) / self.scale[:, None]).astype(np.float32)


def squashed(values: Numbers) -> Numbers:
    """Values in units of a window's scale, those beyond some units drawn in."""
    return np.asarray(BEND * np.arcsinh(values / BEND))


def unsquashed(scaled: Numbers) -> Numbers:
    """The inverse of `squashed`."""
    return np.asarray(BEND * np.sinh(scaled / BEND))


def features_of(
    values: Numbers, observed: Flags, seasons: Counts, horizon: int, newest: int | None = None
) -> Features:
    """The features of windows [windows, context], the newest value last, some observed in each of them.

    Context, horizon and `newest` are whole tokens. Only the `newest` steps have features of their own, default all;
    older ones have means, over `COARSE` steps. Seasons are [windows, 3]: steps of the first season that the past spans,
    1 for none, of a second one, 0 for none, and of the season that the calendar has, which a short past need not span.
    """
    if (seasons == seasons[0]).all():
        return _of_alike(values, observed, seasons[0].tolist(), horizon, newest)
    groups, member = np.unique(seasons, axis=0, return_inverse=True)
    rows = [np.flatnonzero(member.ravel() == group) for group in range(len(groups))]
    each = zip(rows, groups.tolist(), strict=True)
    parts = [
        _of_alike(values[some], observed[some], group, horizon, newest) for some, group in each
    ]
    back = np.argsort(np.concatenate(rows))
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])[back] for name in ARRAYS
    }
    return replace(parts[0], **arrays)


def _of_alike(
    values: Numbers, observed: Flags, seasons: list[int], horizon: int, newest: int | None
) -> Features:
    """The features of windows that have the same seasons, [3]; here and in memory, windows are the last axis."""
    windows, context = values.shape
    newest = context if newest is None else min(newest, context)
    length = context - observed.argmax(1)
    values = np.ascontiguousarray(np.where(observed, values, 0.0).T)
    known = observed.T.astype(np.float64, order="C")
    pairs = known[1:] * known[:-1]
    location, scale = _scale(values, known, pairs, seasons[0])
    scaled = squashed((values - location) / scale) * known
    first = _Season(scaled, known, seasons[0], horizon)
    adjusted = (scaled - first.index[:context]) * known
    second = _Season(adjusted, known, seasons[1], horizon)
    adjusted = (adjusted - second.index[:context]) * known
    levels, slopes = _levels_and_slopes(adjusted, known)  # [rates, windows] each
    unit, zero = _seasonal_error(scaled, known, pairs, seasons[0]), known * (values == 0)
    summary = [
        *_of_pasts(values, zero, known.sum(0), length, seasons),
        *(np.arcsinh(location / scale) / 3, *levels, *(5 * slopes)),
        *_half_and_roughness(scaled, adjusted, known, pairs, length),
        *(first.strength, second.strength, np.log(unit) / 3),
    ]
    base = levels[1] + first.index[context:] + second.index[context:]
    recent = (
        first.columns(scaled, known, newest),
        second.columns(scaled, known, newest),
    )  # the last season, in both
    last = [(before[newest:] - base) * is_known[newest:] for _, before, is_known, *_ in recent]
    coarse = TOKEN * min(COARSE_TOKENS, -(-(context - newest) // (TOKEN * COARSE)))
    steps = np.zeros((coarse + newest + horizon, STEP_FEATURES, windows), np.float32)
    pasts = np.stack([scaled, known, adjusted, zero], 1, dtype=np.float32, casting="same_kind")
    steps[coarse : coarse + newest, : pasts.shape[1]] = pasts[context - newest :]
    steps[:coarse, : pasts.shape[1]] = _coarse_means(pasts[: context - newest], coarse)
    for column, both in enumerate(
        (first.slow_index[context - newest :], *recent[0], *recent[1]), start=pasts.shape[1]
    ):
        steps[coarse:, column] = both
    others = np.empty((horizon, OTHERS, windows), np.float32)
    guesses = [
        first.index[context:],
        second.index[context:],
        first.slow_index[context:] - first.index[context:],
        *last,
        *(levels[0] - levels[1], levels[2] - levels[1]),
        *(slope * np.arange(1, horizon + 1)[:, None] for slope in slopes),
        squashed(-location / scale) - levels[1],
    ]
    for column, guess in enumerate(guesses):
        others[:, column] = guess
    return Features(
        steps=_clipped(steps).transpose(2, 0, 1),
        summary=_clipped(np.stack(summary)).T,
        base=_clipped(base).T,
        others=_clipped(others).transpose(2, 0, 1),
        unit=unit.astype(np.float32),
        location=location,
        scale=scale,
        context=newest,
        coarse=coarse,
    )


def _clipped(features: NDArray[np.floating]) -> Floats:
    return features.clip(-MAX_FEATURE, MAX_FEATURE).astype(np.float32, copy=False)


def _coarse_means(pasts: Floats, coarse: int) -> Floats:
    """Means of the known values of the newest coarse steps, [coarse, columns, windows]; 0 where none is."""
    inside = np.repeat(np.eye(coarse, dtype=np.float32), COARSE, axis=1)[
        :, -len(pasts) :
    ]  # there may be fewer steps
    total = np.tensordot(inside, pasts[len(pasts) - inside.shape[1] :], 1)
    return np.asarray(total / np.maximum(total[:, 1:2], 1))  # that of what is known is a count


def _scale(values: Numbers, known: Numbers, pairs: Numbers, season: int) -> tuple[Numbers, Numbers]:
    """Mean of the newest season, and half each of the deviation from it and of the change from step to step."""
    count, newest = known.sum(0, dtype=np.float64), slice(-max(season, 3), None)
    seen = known[newest].sum(0)
    location = np.where(seen > 0, values[newest].sum(0), values.sum(0)) / np.where(
        seen > 0, seen, count
    )
    change = _dot(np.abs(np.diff(values, axis=0)), pairs) / np.maximum(pairs.sum(0), 1)
    deviation = _dot(np.abs(values - location), known) / count
    return location, 0.5 * deviation + 0.5 * change + 1e-6 * np.abs(location) + np.finfo(float).tiny


def _seasonal_error(scaled: Numbers, known: Numbers, pairs: Numbers, season: int) -> Numbers:
    """Mean absolute change over one season, [windows]; few pairs of values borrow from the change over one step."""
    both, count = known[season:] * known[:-season], pairs.sum(0)
    total, near = (
        _dot(np.abs(scaled[season:] - scaled[:-season]), both),
        _dot(np.abs(np.diff(scaled, axis=0)), pairs),
    )
    borrowed = np.where(count > 0, near / np.maximum(count, 1), 1.0)
    return np.asarray(
        np.maximum((total + BORROWED * borrowed) / (both.sum(0) + BORROWED), SMALLEST_UNIT)
    )


class _Season:
    """A season of windows, by classical decomposition in which newer seasons count more.

    `index` and `slow_index`, [context + horizon, windows], are what it adds at each step, from newer and from all
    seasons; `strength`, [windows], is the share of the variance around the moving average that the index explains.
    """

    def __init__(self, values: Numbers, known: Numbers, length: int, horizon: int) -> None:
        context, windows = values.shape
        self.length, self.context, self.horizon = length, context, horizon
        self.phase = np.arange(-context, horizon) % max(length, 1)
        self.index = self.slow_index = np.zeros((context + horizon, windows))
        self.strength = np.zeros(windows)
        if length <= 1:
            return
        within = _window_sums(known, length)
        rest = (
            values - _window_sums(values, length) / np.maximum(within, 1e-9)
        ) * known  # from the moving average
        full = np.minimum(within / length, 1) ** 2  # less at the ends
        full *= full * known
        least = 1e-9 * known
        self.index, self.slow_index = (
            self._index(rest, full, least, decay) for decay in (DECAY, SLOW_DECAY)
        )
        left = rest - self.index[:context]
        left, all_of_it = _dot(left * full, left), _dot(rest * full, rest)
        self.strength = np.where(all_of_it > 1e-12, 1 - left / np.maximum(all_of_it, 1e-12), 0.0)

    def _index(self, rest: Numbers, full: Numbers, least: Numbers, decay: float) -> Numbers:
        age = np.arange(self.context - 1, -1, -1) / self.length
        weight = full * np.exp(-age / decay)[:, None]
        weight += least
        weighted = weight * rest
        total, sums = sums_by_phase(weight, self.length), sums_by_phase(weighted, self.length)
        some = total > 0
        phases = some.sum(0, dtype=np.float64)
        index = sums / np.maximum(total, 1e-12)
        index = np.where(some, index - index.sum(0) / np.maximum(phases, 1), 0.0)
        seasons = (total.sum(0) ** 2) / np.maximum(phases * _dot(weight, weight), 1e-12)
        explained = (total * index**2).sum(0)
        left = _dot(weighted, rest) - 2 * (sums * index).sum(0) + explained
        # an index from few seasons holds noise (James and Stein 1961)
        noise = np.maximum(left, 0) / np.maximum(seasons - 1, LEAST_SEASONS)
        return np.asarray(
            (index * np.clip(1 - noise / np.maximum(explained, 1e-12), 0, 1))[self.phase]
        )

    def columns(self, values: Numbers, known: Numbers, newest: int) -> list[Numbers]:
        """Index, the value one season before and whether it is known, and the phase, of the newest steps and on."""
        first = self.context - newest
        if self.length <= 1:
            return [np.zeros((newest + self.horizon, 1), np.float32)] * 5
        step, phase = np.arange(-newest, self.horizon), self.phase[first:]
        back = np.where(step < 0, step, phase) - self.length + self.context
        inside, back = (back >= 0)[:, None], np.maximum(back, 0)
        angle = (2 * np.pi * phase / self.length)[:, None]
        return [
            self.index[first:],
            values[back] * inside,
            known[back] * inside,
            np.sin(angle),
            np.cos(angle),
        ]


def sums_by_phase(values: Numbers, length: int) -> Numbers:
    """Sums of values [steps, windows] over the steps of a phase, [length, windows]; the newest step is of the last."""
    begun = len(values) % length  # steps of a season that begins before the past
    sums = values[begun:].reshape(len(values) // length, length, values.shape[1]).sum(0)
    sums[length - begun :] += values[:begun]
    return np.asarray(sums)


def _window_sums(values: Numbers, length: int) -> Numbers:
    """Centred sums over one season, the ends of an even one by half each; over what there is at the ends."""
    rows, odd = len(values) + 1 - length % 2, length % 2
    outside = np.zeros((length // 2, values.shape[1]))
    part = np.concatenate([outside, values, outside])  # sums of so many steps as a power of 2
    total, start = np.zeros((rows, values.shape[1])), 0
    for power in (1 << bit for bit in range(length.bit_length())):
        if length & power:
            total += part[start : start + rows]
            start += power
        if start < length:
            part = part[:-power] + part[power:]
    return total if odd else (total[1:] + total[:-1]) / 2


def _levels_and_slopes(values: Numbers, known: Numbers) -> tuple[Numbers, Numbers]:
    """Smoothed levels, and slopes of lines through newer steps (0 through two values), [rates, windows] each."""
    at = np.arange(1 - len(values), 1, dtype=np.float64)
    decay, weights = (
        np.stack([(1 - rate) ** -at for rate in rates]) for rates in (RATES, SLOPE_RATES)
    )
    factors = np.concatenate([decay, weights, weights * at, weights * at**2])
    count, total, middle, spread = np.split(factors @ known, 4)
    level, mean, product = np.split(factors[: -len(weights)] @ values, 3)
    # long gaps leave no weight
    levels = np.where(count > 1e-12, level / np.maximum(count, 1e-12), values.sum(0) / known.sum(0))
    middle, mean = middle / total, mean / total
    spread, product = spread / total - middle**2, product / total - middle * mean
    slopes = np.where((spread > 0.3) & (known.sum(0) > 2), product / np.maximum(spread, 0.3), 0.0)
    return levels, slopes


def _dot(one: Numbers, other: Numbers) -> Numbers:
    """Sums of products of columns, [windows]."""
    return np.asarray(np.einsum("sw,sw->w", one, other), np.float64)


def _half_and_roughness(
    scaled: Numbers, adjusted: Numbers, known: Numbers, pairs: Numbers, length: Counts
) -> Numbers:
    """Mean of the older half, and how much values without seasons change from step to step, [2, windows]."""
    rough = _dot(np.abs(np.diff(adjusted, axis=0)), pairs) / np.maximum(pairs.sum(0), 1)
    older = known * (np.arange(len(known) - 1, -1, -1)[:, None] >= length / 2)
    first_half = _dot(scaled, older) / np.maximum(older.sum(0), 1)
    return np.stack([first_half, np.log(rough + 1e-3) / 2])


def _of_pasts(
    values: Numbers, zero: Numbers, count: Numbers, length: Counts, seasons: list[int]
) -> Numbers:
    """Seasons, lengths and kinds of values of windows, [11, windows]."""
    counts = (values == np.round(values)).all(0)  # whether all values are whole numbers
    of_seasons = np.log(seasons[0]) / 4, np.log(seasons[2]) / 4, np.log1p(seasons[1]) / 6
    columns = [
        *(np.full(len(length), size) for size in of_seasons),
        np.log(length) / 5 - 0.8,
        np.tanh(length / seasons[0] / 4),
        np.tanh(length / max(seasons[1], 1) / 4) * (seasons[1] > 0),
        count / length,
        zero.sum(0) / count,
        counts,
        counts * np.log1p(np.abs(values).sum(0) / count) / 5,
        (values >= 0).all(0),
    ]
    return np.stack(columns).astype(np.float64)
