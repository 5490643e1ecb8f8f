"""Input features of the pretrained network, from the past of a series only: scaled values, seasons, levels.

Steps are counted from the origin, 0 being the first one ahead. Eight steps make one token.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Floats = NDArray[np.float32]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

TOKEN = 8  # steps per token
STEP_FEATURES, SUMMARY_FEATURES, OTHERS = 15, 23, 11
DECAY, SLOW_DECAY = 1.5, 10.0  # seasons after which a value counts 1/e in a seasonal index
RATES = (0.1, 0.3, 0.7)  # of exponential smoothing
SLOPE_RATES = (0.02, 0.1, 0.3)  # of the weights of a trend line
LEAST_SEASONS = 0.25  # beyond one, for the noise of a seasonal index
BORROWED, SMALLEST_UNIT = 3.0, 1e-3  # pairs that the unit borrows; the least that it is
BEND = 3.0  # scales from which on values are drawn in, as logarithms draw them in
MAX_FEATURE = 50.0  # what a feature may be


@dataclass(frozen=True)
class Features:
    """Inputs of the network, and the scale on which it forecasts."""

    steps: Floats  # [windows, context + horizon, STEP_FEATURES]
    summary: Floats  # [windows, SUMMARY_FEATURES]
    base: Floats  # [windows, horizon], a first guess of each step ahead: level and seasons, in scaled units
    others: Floats  # [windows, horizon, OTHERS], how far other guesses lie from it
    unit: Floats  # [windows], error of repeating the last season over the past, in scaled units; that of outputs
    location: Numbers  # [windows], see `squashed` and `unsquashed`
    scale: Numbers
    context: int  # steps of the past

    def scaled(self, values: Numbers) -> Floats:
        """Values [windows, ...] in scaled units."""
        return squashed((values - self.location[:, None]) / self.scale[:, None]).astype(np.float32)


def squashed(values: Numbers) -> Numbers:
    """Values in units of a window's scale, those beyond some units drawn in."""
    return np.asarray(BEND * np.arcsinh(values / BEND))


def unsquashed(scaled: Numbers) -> Numbers:
    """The inverse of `squashed`."""
    return np.asarray(BEND * np.sinh(scaled / BEND))


def features_of(values: Numbers, observed: Flags, seasons: Counts, horizon: int) -> Features:
    """The features of windows [windows, context], the newest value last, some observed in each of them.

    Context and horizon are whole tokens. Seasons are [windows, 3]: steps of the first season that the past spans, 1 for
    none, of a second one, 0 for none, and of the season that the calendar has, which a short past need not span.
    """
    context = values.shape[1]
    known = observed.astype(np.float64)
    values = np.where(observed, values, 0.0)
    location, scale = _scale(values, known, seasons[:, 0])
    scaled = squashed((values - location[:, None]) / scale[:, None]) * known
    first = _Season(scaled, known, seasons[:, 0], horizon)
    adjusted = (scaled - first.index[:, :context]) * known
    second = _Season(adjusted, known, np.maximum(seasons[:, 1], 1), horizon)
    adjusted = (adjusted - second.index[:, :context]) * known
    levels, slopes = _levels(adjusted, known), _slopes(adjusted, known)  # [windows, rates] each
    ahead = np.zeros((len(values), horizon))
    past = [np.concatenate([part, ahead], 1) for part in (scaled, known, adjusted, known * (values == 0))]
    columns = [*past, first.slow_index, *first.columns(scaled, known), *second.columns(scaled, known)]
    unit = _seasonal_error(scaled, observed, seasons[:, 0])
    whole = _of_pasts(values, known, seasons), np.arcsinh(location / scale) / 3, levels, 5 * slopes
    rough = _roughness(scaled, adjusted, known), first.strength, second.strength, np.log(unit) / 3
    summary = np.column_stack([*whole, *rough])
    base = levels[:, 1, None] + first.index[:, context:] + second.index[:, context:]
    others = [
        first.index[:, context:],
        second.index[:, context:],
        first.slow_index[:, context:] - first.index[:, context:],
        *(season.lag(scaled, known, base) for season in (first, second)),
        *(levels[:, [0]] - levels[:, [1]] + ahead, levels[:, [2]] - levels[:, [1]] + ahead),
        *np.moveaxis(slopes[:, None] * np.arange(1, horizon + 1)[:, None], -1, 0),
        squashed(-location / scale)[:, None] - levels[:, 1, None] + ahead,
    ]
    inputs = np.stack(columns, -1), summary, base, np.stack(others, -1)
    steps, windows, first_guess, rest = (np.clip(part, -MAX_FEATURE, MAX_FEATURE).astype(np.float32) for part in inputs)
    return Features(steps, windows, first_guess, rest, unit.astype(np.float32), location, scale, context)


def _scale(values: Numbers, known: Numbers, season: Counts) -> tuple[Numbers, Numbers]:
    """Mean of the newest season, and half each of the deviation from it and of the change from step to step."""
    age = np.arange(values.shape[1] - 1, -1, -1)
    newest = known * (age < np.maximum(season, 3)[:, None])
    newest = np.where(newest.any(1, keepdims=True), newest, known)
    location = (newest * values).sum(1) / newest.sum(1)
    both = known[:, 1:] * known[:, :-1]
    change = (np.abs(np.diff(values)) * both).sum(1) / np.maximum(both.sum(1), 1)
    deviation = (np.abs(values - location[:, None]) * known).sum(1) / known.sum(1)
    return location, 0.5 * deviation + 0.5 * change + 1e-6 * np.abs(location) + 1e-12


def _seasonal_error(scaled: Numbers, observed: Flags, season: Counts) -> Numbers:
    """Mean absolute change over one season, [windows]; few pairs of values borrow from the change over one step."""
    windows, context = scaled.shape

    def change(back: Counts) -> tuple[Numbers, Numbers]:
        source = np.arange(context) - back[:, None]
        both = observed & (source >= 0) & np.take_along_axis(observed, np.maximum(source, 0), 1)
        apart = np.abs(scaled - np.take_along_axis(scaled, np.maximum(source, 0), 1))
        return (apart * both).sum(1), both.sum(1).astype(np.float64)

    total, pairs = change(season)
    near, near_pairs = change(np.ones(windows, np.int64))
    borrowed = np.where(near_pairs > 0, near / np.maximum(near_pairs, 1), 1.0)
    return np.maximum((total + BORROWED * borrowed) / (pairs + BORROWED), SMALLEST_UNIT)


class _Season:
    """A season of windows, by classical decomposition in which newer seasons count more.

    `index` and `slow_index`, [windows, context + horizon], are what it adds at each step, from newer and from all
    seasons; `strength`, [windows], is the share of the variance around the moving average that the index explains.
    """

    def __init__(self, values: Numbers, known: Numbers, length: Counts, horizon: int) -> None:
        windows, context = values.shape
        self.length, self.horizon = length, horizon
        self.phase = np.arange(-context, horizon) % length[:, None]  # [windows, context + horizon]
        within = _window_sums(known, length)
        rest = (values - _window_sums(values, length) / np.maximum(within, 1e-9)) * known  # from the moving average
        full = np.minimum(within / length[:, None], 1) ** 4  # less at the ends
        age = np.arange(context - 1, -1, -1) / length[:, None]
        longest = int(length.max())
        slot = (np.arange(windows)[:, None] * longest + self.phase[:, :context]).ravel()

        def by_phase(weight: Numbers) -> Numbers:
            return np.bincount(slot, weight.ravel(), windows * longest).astype(np.float64).reshape(windows, longest)

        def index_of(decay: float) -> Numbers:
            weight = known * full * np.exp(-age / decay) + 1e-9 * known
            total = by_phase(weight)
            index = np.where(total > 0, by_phase(weight * rest) / np.maximum(total, 1e-12), 0.0)
            mean = index.sum(1) / np.maximum((total > 0).sum(1), 1)
            index = np.where(total > 0, index - mean[:, None], 0.0) * (length > 1)[:, None]
            steps = np.take_along_axis(index, self.phase, 1)
            seasons = (total.sum(1) ** 2) / np.maximum((total > 0).sum(1) * (weight**2).sum(1), 1e-12)
            left = (weight * (rest - steps[:, :context]) ** 2).sum(1)
            explained = (weight * steps[:, :context] ** 2).sum(1)
            # an index from few seasons holds noise (James and Stein 1961)
            noise = left / np.maximum(seasons - 1, LEAST_SEASONS)
            return np.asarray(steps * np.clip(1 - noise / np.maximum(explained, 1e-12), 0, 1)[:, None])

        self.index, self.slow_index = index_of(DECAY), index_of(SLOW_DECAY)
        left = ((rest - self.index[:, :context]) ** 2 * known * full).sum(1)
        all_of_it = (rest**2 * known * full).sum(1)
        self.strength = np.where(all_of_it > 1e-12, 1 - left / np.maximum(all_of_it, 1e-12), 0.0)

    def lag(self, values: Numbers, known: Numbers, base: Numbers) -> Numbers:
        """How far the last season lies from a forecast [windows, horizon], 0 where it is not known."""
        _, lag, lag_known, *_ = self.columns(values, known)
        return np.asarray((lag[:, -self.horizon :] - base) * lag_known[:, -self.horizon :])

    def columns(self, values: Numbers, known: Numbers) -> list[Numbers]:
        """Index, the value one season before and whether it is known, and the phase, [windows, steps] each."""
        context, length = values.shape[1], self.length[:, None]
        step = np.arange(-context, self.horizon)
        back = np.where(step < 0, step, self.phase) - length + context
        inside, back = (back >= 0) & (length > 1), np.maximum(back, 0)
        angle, one = 2 * np.pi * self.phase / length, length > 1
        before, known = (np.take_along_axis(part, back, 1) * inside for part in (values, known))
        return [self.index, before, known, np.sin(angle) * one, np.cos(angle) * one]


def _window_sums(values: Numbers, length: Counts) -> Numbers:
    """Centred sums over one season, the ends of an even one by half each; over what there is at the ends."""
    windows, context = values.shape
    sums = np.concatenate([np.zeros((windows, 1)), np.cumsum(values, 1)], 1)
    at, half, odd = np.arange(context), (length // 2)[:, None], (length % 2)[:, None]

    def between(low: Counts, high: Counts) -> Numbers:
        ends = np.take_along_axis(sums, np.clip(high, 0, context), 1)
        return np.asarray(ends - np.take_along_axis(sums, np.clip(low, 0, context), 1))

    early, late = between(at - half, at + half + odd), between(at - half + 1 - odd, at + half + 1)
    return (early + late) / 2


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
    slopes = []
    for rate in SLOPE_RATES:
        weight = known * (1 - rate) ** -at
        total = weight.sum(1)
        middle, mean = (weight @ at) / total, (weight * values).sum(1) / total
        spread = weight @ at**2 / total - middle**2
        product = (weight * values) @ at / total - middle * mean
        slopes.append(np.where((spread > 0.3) & (known.sum(1) > 2), product / np.maximum(spread, 0.3), 0.0))
    return np.stack(slopes, 1)


def _roughness(scaled: Numbers, adjusted: Numbers, known: Numbers) -> Numbers:
    """Mean of the older half, and how much values without seasons change from step to step, [windows, 2]."""
    pairs = known[:, 1:] * known[:, :-1]
    rough = (np.abs(np.diff(adjusted)) * pairs).sum(1) / np.maximum(pairs.sum(1), 1)
    length, age = known.shape[1] - np.argmax(known, 1), np.arange(known.shape[1] - 1, -1, -1)
    older = known * (age >= length[:, None] / 2)
    first_half = (scaled * older).sum(1) / np.maximum(older.sum(1), 1)
    return np.stack([first_half, np.log(rough + 1e-3) / 2], 1)


def _of_pasts(values: Numbers, known: Numbers, seasons: Counts) -> Numbers:
    """Seasons, lengths and kinds of values of windows, [windows, 11]."""
    count, whole = known.sum(1), (values == np.round(values)).all(1)
    length = values.shape[1] - np.argmax(known, 1)
    columns = [
        np.log(seasons[:, 0]) / 4,
        np.log(seasons[:, 2]) / 4,
        np.log1p(seasons[:, 1]) / 6,
        np.log(length) / 5 - 0.8,
        np.tanh(length / seasons[:, 0] / 4),
        np.tanh(length / np.maximum(seasons[:, 1], 1) / 4) * (seasons[:, 1] > 0),
        count / length,
        ((values == 0) * known).sum(1) / count,
        whole,
        whole * np.log1p(np.abs(values).sum(1) / count) / 5,
        (values >= 0).all(1),
    ]
    return np.stack(columns, 1).astype(np.float64)
