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
COARSE, COARSE_TOKENS = 16, 4  # steps of a coarse step, and coarse tokens before those of the newest steps, at most
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


def features_of(values: Numbers, observed: Flags, seasons: Counts, horizon: int, newest: int | None = None) -> Features:
    """The features of windows [windows, context], the newest value last, some observed in each of them.

    Context, horizon and `newest` are whole tokens. Only the `newest` steps have features of their own, default all;
    older ones have means, over `COARSE` steps. Seasons are [windows, 3]: steps of the first season that the past spans,
    1 for none, of a second one, 0 for none, and of the season that the calendar has, which a short past need not span.
    """
    groups, member = np.unique(seasons, axis=0, return_inverse=True)
    if len(groups) == 1:
        return _of_equal_seasons(values, observed, groups[0], horizon, newest)
    rows = [np.flatnonzero(member.ravel() == group) for group in range(len(groups))]
    parts = [_of_equal_seasons(values[i], observed[i], g, horizon, newest) for i, g in zip(rows, groups, strict=True)]
    back = np.argsort(np.concatenate(rows))
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts])[back] for name in ARRAYS}
    return replace(parts[0], **arrays)


def _of_equal_seasons(values: Numbers, observed: Flags, seasons: Counts, horizon: int, newest: int | None) -> Features:
    """The features of windows that have the same seasons, [3]."""
    context = values.shape[1]
    newest = context if newest is None else min(newest, context)
    known = observed.astype(np.float64)
    values = np.where(observed, values, 0.0)
    location, scale = _scale(values, known, seasons[0])
    scaled = squashed((values - location[:, None]) / scale[:, None]) * known
    first = _Season(scaled, known, seasons[0], horizon)
    adjusted = (scaled - first.index[:, :context]) * known
    second = _Season(adjusted, known, seasons[1], horizon)
    adjusted = (adjusted - second.index[:, :context]) * known
    levels, slopes = _levels(adjusted, known), _slopes(adjusted, known)  # [windows, rates] each
    unit = _seasonal_error(scaled, observed, seasons[0])
    whole = _of_pasts(values, known, seasons), np.arcsinh(location / scale) / 3, levels, 5 * slopes
    rough = _older_half_and_roughness(scaled, adjusted, known), first.strength, second.strength, np.log(unit) / 3
    base = levels[:, 1, None] + first.index[:, context:] + second.index[:, context:]
    recent = first.columns(scaled, known, newest), second.columns(scaled, known, newest)  # the last season, in both
    last = [(before[:, newest:] - base) * is_known[:, newest:] for _, before, is_known, *_ in recent]
    tokens = min(COARSE_TOKENS, -(-(context - newest) // (TOKEN * COARSE)))
    pasts = scaled, known, adjusted, known * (values == 0)
    coarse = tokens * TOKEN
    steps = np.zeros((len(values), coarse + newest + horizon, STEP_FEATURES), np.float32)
    for column, past in enumerate(pasts):
        steps[:, coarse : coarse + newest, column] = past[:, context - newest :]
        steps[:, :coarse, column] = _coarse_means(past[:, : context - newest], known[:, : context - newest], coarse)
    for column, both in enumerate((first.slow_index[:, context - newest :], *recent[0], *recent[1]), start=len(pasts)):
        steps[:, coarse:, column] = both
    others = np.empty((len(values), horizon, OTHERS), np.float32)
    guesses = [
        first.index[:, context:],
        second.index[:, context:],
        first.slow_index[:, context:] - first.index[:, context:],
        *last,
        *(levels[:, [0]] - levels[:, [1]], levels[:, [2]] - levels[:, [1]]),
        *np.moveaxis(slopes[:, None] * np.arange(1, horizon + 1)[:, None], -1, 0),
        squashed(-location / scale)[:, None] - levels[:, 1, None],
    ]
    for column, guess in enumerate(guesses):
        others[..., column] = guess
    return Features(
        steps=_clipped(steps),
        summary=_clipped(np.column_stack([*whole, *rough])),
        base=_clipped(base),
        others=_clipped(others),
        unit=unit.astype(np.float32),
        location=location,
        scale=scale,
        context=newest,
        coarse=coarse,
    )


def _clipped(features: NDArray[np.floating]) -> Floats:
    return features.clip(-MAX_FEATURE, MAX_FEATURE).astype(np.float32, copy=False)


def _coarse_means(past: Numbers, known: Numbers, coarse: int) -> Numbers:
    """Means of the known values of the newest coarse steps, [windows, coarse]; 0 where none is."""
    inside = np.repeat(np.eye(coarse), COARSE, axis=0)[-past.shape[1] :]  # [steps, coarse], there may be fewer steps
    total, count = (part[:, part.shape[1] - len(inside) :] @ inside for part in (past, known))
    return np.asarray(total / np.maximum(count, 1))


def _scale(values: Numbers, known: Numbers, season: int) -> tuple[Numbers, Numbers]:
    """Mean of the newest season, and half each of the deviation from it and of the change from step to step."""
    newest = known.copy()
    newest[:, : -max(season, 3)] = 0
    newest = np.where(newest.any(1, keepdims=True), newest, known)
    location = (newest * values).sum(1) / newest.sum(1)
    both = known[:, 1:] * known[:, :-1]
    change = (np.abs(np.diff(values)) * both).sum(1) / np.maximum(both.sum(1), 1)
    deviation = (np.abs(values - location[:, None]) * known).sum(1) / known.sum(1)
    return location, 0.5 * deviation + 0.5 * change + 1e-6 * np.abs(location) + 1e-12


def _seasonal_error(scaled: Numbers, observed: Flags, season: int) -> Numbers:
    """Mean absolute change over one season, [windows]; few pairs of values borrow from the change over one step."""

    def change(back: int) -> tuple[Numbers, Counts]:
        both = observed[:, back:] & observed[:, :-back]
        return (np.abs(scaled[:, back:] - scaled[:, :-back]) * both).sum(1), both.sum(1)

    (total, pairs), (near, near_pairs) = change(season), change(1)
    borrowed = np.where(near_pairs > 0, near / np.maximum(near_pairs, 1), 1.0)
    return np.maximum((total + BORROWED * borrowed) / (pairs + BORROWED), SMALLEST_UNIT)


class _Season:
    """A season of windows, by classical decomposition in which newer seasons count more.

    `index` and `slow_index`, [windows, context + horizon], are what it adds at each step, from newer and from all
    seasons; `strength`, [windows], is the share of the variance around the moving average that the index explains.
    """

    def __init__(self, values: Numbers, known: Numbers, length: int, horizon: int) -> None:
        windows, context = values.shape
        self.length, self.context, self.horizon = length, context, horizon
        self.phase = np.arange(-context, horizon) % max(length, 1)
        self.index = self.slow_index = np.zeros((windows, context + horizon))
        self.strength = np.zeros(windows)
        if length <= 1:
            return
        within = _window_sums(known, length)
        rest = (values - _window_sums(values, length) / np.maximum(within, 1e-9)) * known  # from the moving average
        full = np.minimum(within / length, 1) ** 4  # less at the ends
        self.index, self.slow_index = (self._index(rest, known, full, decay) for decay in (DECAY, SLOW_DECAY))
        left, full = rest - self.index[:, :context], known * full
        left, all_of_it = _dot(left * full, left), _dot(rest * full, rest)
        self.strength = np.where(all_of_it > 1e-12, 1 - left / np.maximum(all_of_it, 1e-12), 0.0)

    def _index(self, rest: Numbers, known: Numbers, full: Numbers, decay: float) -> Numbers:
        age = np.arange(self.context - 1, -1, -1) / self.length
        weight = known * (full * np.exp(-age / decay) + 1e-9)
        weighted = weight * rest
        total, sums = self._by_phase(weight), self._by_phase(weighted)
        some = total > 0
        phases = some.sum(1)
        index = sums / np.maximum(total, 1e-12)
        index = np.where(some, index - (index.sum(1) / np.maximum(phases, 1))[:, None], 0.0)
        seasons = (total.sum(1) ** 2) / np.maximum(phases * _dot(weight, weight), 1e-12)
        explained = (total * index**2).sum(1)
        left = _dot(weighted, rest) - 2 * (sums * index).sum(1) + explained
        # an index from few seasons holds noise (James and Stein 1961)
        noise = np.maximum(left, 0) / np.maximum(seasons - 1, LEAST_SEASONS)
        return np.asarray((index * np.clip(1 - noise / np.maximum(explained, 1e-12), 0, 1)[:, None])[:, self.phase])

    def _by_phase(self, values: Numbers) -> Numbers:
        """Sums over the steps of a phase, [windows, length]; the newest step is the last phase."""
        padded = np.pad(values, ((0, 0), (-self.context % self.length, 0)))
        return np.asarray(padded.reshape(len(values), -1, self.length).sum(1))

    def columns(self, values: Numbers, known: Numbers, newest: int) -> list[Numbers]:
        """Index, the value one season before and whether it is known, and the phase, of the newest steps and on."""
        first = self.context - newest
        if self.length <= 1:
            return [np.zeros((len(values), newest + self.horizon))] * 5
        step, phase = np.arange(-newest, self.horizon), self.phase[first:]
        back = np.where(step < 0, step, phase) - self.length + self.context
        inside, back = back >= 0, np.maximum(back, 0)
        angle = np.broadcast_to(2 * np.pi * phase / self.length, (len(values), len(phase)))
        return [self.index[:, first:], values[:, back] * inside, known[:, back] * inside, np.sin(angle), np.cos(angle)]


def _window_sums(values: Numbers, length: int) -> Numbers:
    """Centred sums over one season, the ends of an even one by half each; over what there is at the ends."""
    windows, context = values.shape
    sums = np.concatenate([np.zeros((windows, 1)), np.cumsum(values, 1)], 1)
    at, half, odd = np.arange(context), length // 2, length % 2

    def between(low: Counts, high: Counts) -> Numbers:
        return np.asarray(sums[:, np.minimum(high, context)] - sums[:, np.maximum(low, 0)])

    if odd:
        return between(at - half, at + half + 1)
    return (between(at - half, at + half) + between(at - half + 1, at + half + 1)) / 2


def _levels(values: Numbers, known: Numbers) -> Numbers:
    """Exponentially smoothed levels, [windows, rates]."""
    age = np.arange(values.shape[1] - 1, -1, -1)
    decay = np.stack([(1 - rate) ** age for rate in RATES], 1)  # [context, rates]
    total = known @ decay
    plain = (values.sum(1) / known.sum(1))[:, None]
    # long gaps leave no weight
    return np.where(total > 1e-12, (values * known) @ decay / np.maximum(total, 1e-12), plain)


def _slopes(values: Numbers, known: Numbers) -> Numbers:
    """Slopes of trend lines whose newer steps count more, [windows, rates]; 0 through fewer than three values."""
    at = np.arange(1 - values.shape[1], 1, dtype=np.float64)
    weights = np.stack([(1 - rate) ** -at for rate in SLOPE_RATES], 1)  # [context, rates]
    first, second = weights * at[:, None], weights * at[:, None] ** 2
    total = known @ weights
    middle, mean = known @ first / total, values @ weights / total
    spread, product = known @ second / total - middle**2, values @ first / total - middle * mean
    known_slope = (spread > 0.3) & (known.sum(1) > 2)[:, None]
    return np.where(known_slope, product / np.maximum(spread, 0.3), 0.0)


def _dot(one: Numbers, other: Numbers) -> Numbers:
    """Sums of products of rows, [windows]."""
    return np.asarray(np.einsum("ws,ws->w", one, other))


def _older_half_and_roughness(scaled: Numbers, adjusted: Numbers, known: Numbers) -> Numbers:
    """Mean of the older half, and how much values without seasons change from step to step, [windows, 2]."""
    pairs = known[:, 1:] * known[:, :-1]
    rough = (np.abs(np.diff(adjusted)) * pairs).sum(1) / np.maximum(pairs.sum(1), 1)
    length, age = known.shape[1] - np.argmax(known, 1), np.arange(known.shape[1] - 1, -1, -1)
    older = known * (age >= length[:, None] / 2)
    first_half = (scaled * older).sum(1) / np.maximum(older.sum(1), 1)
    return np.stack([first_half, np.log(rough + 1e-3) / 2], 1)


def _of_pasts(values: Numbers, known: Numbers, seasons: Counts) -> Numbers:
    """Seasons, lengths and kinds of values of windows, [windows, 11]."""
    count, counts = known.sum(1), (values == np.round(values)).all(1)  # whether all values are whole numbers
    length = values.shape[1] - np.argmax(known, 1)
    of_seasons = np.log(seasons[0]) / 4, np.log(seasons[2]) / 4, np.log1p(seasons[1]) / 6
    columns = [
        *(np.full(len(values), size) for size in of_seasons),
        np.log(length) / 5 - 0.8,
        np.tanh(length / seasons[0] / 4),
        np.tanh(length / max(seasons[1], 1) / 4) * (seasons[1] > 0),
        count / length,
        ((values == 0) * known).sum(1) / count,
        counts,
        counts * np.log1p(np.abs(values).sum(1) / count) / 5,
        (values >= 0).all(1),
    ]
    return np.stack(columns, 1).astype(np.float64)
