"""Estimate what events do to values, from the past of a panel only.

A day is compared with the same day of the nearest weeks without events. What all days with a label have in common is
its effect: a weighted regression on labels, since a day may have several, in which days far off the rest count for less
(Huber 1964). An effect is shrunk towards zero by the square of its standard error over the square of its size, so that
one below two standard errors is none (adaptive ridge, Grandvalet 1998); where effects vary more than chance explains,
by that over their variance (empirical Bayes).
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from forecast.calendar.zones import WEEK
from forecast.panel.effects import WEEKDAYS, Effects
from forecast.panel.events import FAR, Marks, mark
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema

# tuned on births in the United States before 2013; none matters much
EACH_SIDE, REACH = 3, 10  # weeks to each side that a day is compared with, and weeks among which they are looked for
AROUND_WEEKS = 4  # to each side, whose mean is the level
HALF_LIFE = 260.0  # weeks after which what an event did counts half
HUBER = 2.0  # standard errors from which on a day counts for less
EXPONENTS = (0, -1, 1, 2)  # the first one unless another is clearly better
EXPONENT_COST = 4.0  # of the sum of squared errors, in standard errors, by which it must be
LEAST_CORRELATION = 0.02  # of how two series deviate on one day
PRIOR_DAYS = 10  # days of all series that stand for what a short one does not show
LEAST = 1e-3  # share of the level below which there is no effect, and noise is no smaller
ONCE = 2.25  # by which the variance of chance is multiplied where a label came once: it needs three standard errors
ROUNDS, REACTION_ROUNDS = 20, 3
NORMAL_MEDIAN = 0.6745  # of the absolute value of a standard normal number
PROFILES = 0.1, 10.0  # bounds of the profile of a week


def fit_effects(panel: Panel, schema: Schema, before: Integers) -> Effects:
    """Estimate what events do to values.

    Parameters
    ----------
    before : [series], slots of each series that may be used
    """
    marks = mark(panel, schema)
    past = _Past.of(panel, marks, before)
    profile = _profile(past, marks.weekday, len(panel))
    signed = np.minimum.reduceat(np.where(past.seen, past.values, np.inf), past.offsets[:-1]) < 0
    unit = np.where(signed, _deviation(past, len(panel)), 0.0)
    week, touched = _steps_of_week(schema), np.unique(marks.slot)
    days = _days(past, touched[past.seen[touched]], marks, week, unit)
    # the same days two weeks earlier tell how much ordinary days vary
    earlier = touched - 2 * week
    earlier = earlier[earlier >= past.offsets[past.series[touched]]]
    ordinary = _days(past, earlier[past.free[earlier]], marks, week, unit)
    noise = _noise(ordinary, len(panel))
    age = (days.key.max(initial=0) - days.key) / min(week, WEEKDAYS)  # in weeks
    recency = 0.5 ** (age / HALF_LIFE)
    fit = _Fit(days, _LabelSets.of(days, marks), noise[days.series], recency, _correlation(ordinary, noise))
    shape = len(marks.labels), 1 + WEEKDAYS
    effect, typical, exponent = np.zeros((2, *shape)), np.zeros((2, shape[0])), EXPONENTS[0]
    reaction = np.ones(len(panel) + 1)
    for kind in (0, 1):
        part = fit.select((unit[days.series] > 0) == bool(kind))
        if not len(part.days.series):
            continue
        found = part.solved(profile, EXPONENTS if kind == 0 else ())
        exponent = found.exponent if kind == 0 else exponent
        effect[kind], typical[kind] = found.effect.reshape(shape), found.typical
        own = np.unique(part.days.series)
        reaction[1 + own] = found.reaction[own]
    seen = np.isin(marks.slot, days.slot)
    label = np.unique(marks.key[marks.slot[seen]] * FAR + marks.label[seen]) % FAR
    counts = np.bincount(label, minlength=shape[0])
    shown = np.flatnonzero(counts)
    return Effects(
        labels=tuple(marks.labels[place] for place in shown),
        days=counts[shown],
        effect=effect[:, shown],
        typical=typical[:, shown],
        exponent=exponent,
        profile=profile,
        unit=np.concatenate([[0.0], unit * past.size]),
        reaction=reaction,
    )


@dataclass(frozen=True)
class _Past:
    """The past of a panel.

    Attributes
    ----------
    size : [series], largest absolute value, the unit of `values`: sums over all series keep their digits so
    values, series : [slots], and the series of each
    seen, free : [slots], which may be used, and which of those no event touches
    """

    size: Numbers
    values: Numbers
    series: Integers
    offsets: Integers
    seen: Flags
    free: Flags

    @classmethod
    def of(cls, panel: Panel, marks: Marks, before: Integers) -> "_Past":
        series = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
        seen = panel.observed & (np.arange(len(series)) - panel.offsets[series] < before[series])
        free = seen.copy()
        free[marks.slot] = False
        size = np.maximum.reduceat(np.where(seen, np.abs(panel.values), 0.0), panel.offsets[:-1])
        size = np.where(size > 0, size, 1.0)
        return cls(size, np.where(seen, panel.values / size[series], 0.0), series, panel.offsets, seen, free)


@dataclass(frozen=True)
class _Days:
    """Days of series that events touch, [days].

    Attributes
    ----------
    series, key, weekday : of each
    slot : the first one
    deviation, expected : the value less the expected one, and the expected one, in units of the level around it
    """

    series: Integers
    key: Integers
    weekday: Integers
    slot: Integers
    deviation: Numbers
    expected: Numbers

    def select(self, days: Flags) -> "_Days":
        """Some of the days."""
        return _Days(*(getattr(self, field.name)[days] for field in fields(self)))


def _steps_of_week(schema: Schema) -> int:
    spec = schema.calendar
    return len(spec.weekdays) if spec.kind == "weekdays" else max(1, round(WEEK / spec.every))


def _profile(past: _Past, weekday: Integers, count: int) -> Numbers:
    """[series + 1, 7], the mean of each day of the week over the mean of all; row 0 over all series."""
    cell = (past.series * WEEKDAYS + weekday)[past.free]
    shape = count, WEEKDAYS
    sums = np.bincount(cell, past.values[past.free], count * WEEKDAYS).reshape(shape)
    counts = np.bincount(cell, minlength=count * WEEKDAYS).reshape(shape)
    level = sums.sum(1, keepdims=True) / np.maximum(counts.sum(1, keepdims=True), 1)
    known = (counts > 0) & (level > 0)
    own = np.divide(sums, level, where=known, out=counts.astype(np.float64))  # [series, 7], times the count
    shared = np.where(counts.any(0), own.sum(0) / np.maximum(counts.sum(0), 1), 1.0)
    profile = np.concatenate([shared[None], (own + PRIOR_DAYS * shared) / (counts + PRIOR_DAYS)])
    return np.asarray(np.clip(profile, *PROFILES))


def _deviation(past: _Past, count: int) -> Numbers:
    """[series], the standard deviation of ordinary values."""
    series, values = past.series[past.free], past.values[past.free]
    seen = np.maximum(np.bincount(series, minlength=count), 1)
    mean = np.bincount(series, values, count) / seen
    return np.asarray(np.sqrt(np.bincount(series, (values - mean[series]) ** 2, count) / seen))


def _days(past: _Past, slots: Integers, marks: Marks, week: int, unit: Numbers) -> _Days:
    """Days of series, compared with what is expected of them; those that cannot be compared are left out."""
    expected, level = _expected(past, slots, week)
    series = past.series[slots]
    level = np.where(unit[series] > 0, unit[series], level)
    usable = np.isfinite(expected) & (level > 0)
    slots, series, expected, level = slots[usable], series[usable], expected[usable], level[usable]
    of_day = series * FAR + marks.key[slots]
    _, first, day, count = np.unique(of_day, return_index=True, return_inverse=True, return_counts=True)

    def mean(values: Numbers) -> Numbers:
        return np.asarray(np.bincount(day, values, len(first)) / count)

    deviation = mean(past.values[slots] - expected) / mean(level)
    slot = slots[first]
    return _Days(series[first], marks.key[slot], marks.weekday[slot], slot, deviation, mean(expected) / mean(level))


def _expected(past: _Past, slots: Integers, week: int) -> tuple[Numbers, Numbers]:
    """What slots would have without events, and the level around them, [slots] twice; NaN where nothing tells.

    The first is the mean of the same day and hour in the weeks around, without the smallest and the largest of four or
    more.
    """
    low, high = past.offsets[past.series[slots]], past.offsets[past.series[slots] + 1]
    total, count = np.zeros(len(slots)), np.zeros(len(slots))
    least, most = np.full(len(slots), np.inf), np.full(len(slots), -np.inf)
    for side in (-1, 1):
        found = np.zeros(len(slots))
        for weeks in range(1, REACH + 1):
            near = slots + side * weeks * week
            near = np.where((near >= low) & (near < high) & (found < EACH_SIDE), near, -1)
            used = (near >= 0) & past.free[near]
            value = past.values[near]
            found += used
            total += np.where(used, value, 0.0)
            least, most = np.where(used, np.minimum(least, value), least), np.where(used, np.maximum(most, value), most)
        count += found
    reach = AROUND_WEEKS * max(week, 2)
    left, right = np.maximum(slots - reach, low), np.minimum(slots + reach + 1, high)
    sums = np.concatenate([[0.0], np.cumsum(np.where(past.free, past.values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(past.free)])
    with np.errstate(invalid="ignore", divide="ignore"):
        trimmed = np.where(count > 3, (total - least - most) / (count - 2), total / count)
        return trimmed, (sums[right] - sums[left]) / (counts[right] - counts[left])


def _noise(ordinary: _Days, count: int) -> Numbers:
    """[series], standard deviation of ordinary days; that of few days is drawn towards that of all series."""
    size = np.abs(ordinary.deviation)
    pooled = float(size.mean()) if len(size) else 1.0
    sums, days = np.bincount(ordinary.series, size, count), np.bincount(ordinary.series, minlength=count)
    mean = (sums + PRIOR_DAYS * pooled) / (days + PRIOR_DAYS)
    return np.asarray(np.maximum(np.sqrt(np.pi / 2) * mean, LEAST))


def _correlation(ordinary: _Days, noise: Numbers) -> float:
    """The correlation of two series on ordinary days, from the products of all pairs of a day."""
    scaled = np.clip(ordinary.deviation / noise[ordinary.series], -3, 3)
    _, day, count = np.unique(ordinary.key, return_inverse=True, return_counts=True)
    sums, squares = (np.bincount(day, values, len(count)) for values in (scaled, scaled**2))
    pairs = float((count * (count - 1.0)).sum())
    return float(np.clip((sums**2 - squares).sum() / pairs, LEAST_CORRELATION, 1)) if pairs else 1.0


@dataclass(frozen=True)
class _LabelSets:
    """The different sets of labels that days have.

    Attributes
    ----------
    of_day : [days], the set of each
    matrix : [sets, labels * 8], 1 where a set has a label, and has it on a day of the week
    often : [labels * 8], whether a label came on more than one day; one day of the week is enough
    """

    of_day: Integers
    matrix: Numbers
    often: Flags

    @classmethod
    def of(cls, days: _Days, marks: Marks) -> "_LabelSets":
        count = len(marks.labels)
        start, end = np.searchsorted(marks.slot, days.slot), np.searchsorted(marks.slot, days.slot, "right")
        most = int((end - start).max(initial=1))
        index = start[:, None] + np.arange(most)
        label = np.where(index < end[:, None], marks.label[np.minimum(index, len(marks.label) - 1)], count)
        sets, of_day = np.unique(np.concatenate([label, days.weekday[:, None]], 1), axis=0, return_inverse=True)
        matrix = np.zeros((len(sets), count + 1, 1 + WEEKDAYS))
        for place in range(most):
            matrix[np.arange(len(sets)), sets[:, place], 0] = 1.0
            matrix[np.arange(len(sets)), sets[:, place], 1 + sets[:, -1]] = 1.0
        fixed = matrix[:, :, 1:].any(0).sum(1) < 2  # always the same day of the week: nothing to tell apart
        matrix[:, fixed, 1:] = 0.0
        dates = np.unique(np.repeat(days.key, most) * FAR + label.ravel()) % FAR
        often = np.ones((count + 1, 1 + WEEKDAYS), bool)
        often[:, 0] = np.bincount(dates, minlength=count + 1) > 1
        size = count * (1 + WEEKDAYS)
        return cls(of_day.reshape(-1), matrix[:, :count].reshape(len(sets), size), often[:count].reshape(size))

    def select(self, days: Flags) -> "_LabelSets":
        """The sets of some of the days."""
        return replace(self, of_day=self.of_day[days])


@dataclass(frozen=True)
class _Found:
    """What a regression found; `effect` is [labels * 8], `reaction` [series]."""

    effect: Numbers
    typical: Numbers
    exponent: int
    reaction: Numbers


@dataclass(frozen=True)
class _Fit:
    """Days and what weighs them.

    Attributes
    ----------
    noise : [days], standard deviation of ordinary days of the same series
    recency : [days], 1 for the newest
    correlation : of two series on one day
    """

    days: _Days
    labels: _LabelSets
    noise: Numbers
    recency: Numbers
    correlation: float

    def select(self, days: Flags) -> "_Fit":
        """The fit of some of the days."""
        return _Fit(
            self.days.select(days), self.labels.select(days), self.noise[days], self.recency[days], self.correlation
        )

    def solved(self, profile: Numbers, exponents: tuple[int, ...]) -> _Found:
        """The effects on one scale; without exponents the additive one."""
        days, matrix, of_day = self.days, self.labels.matrix, self.labels.of_day
        general = np.arange(matrix.shape[1]) % (1 + WEEKDAYS) == 0
        busy = profile[days.series + 1, days.weekday]
        designs = {power: days.expected * busy**power for power in exponents} or {0: np.ones(len(busy))}
        tried = {power: self._regressed(design, days.deviation, general) for power, design in designs.items()}
        exponent = min(tried, key=lambda power: tried[power][2] + EXPONENT_COST * (power != EXPONENTS[0]))
        effect, weight, _ = tried[exponent]
        design = designs[exponent]
        reaction = np.ones(int(days.series.max()) + 1)
        for _ in range(REACTION_ROUNDS if len(np.unique(days.series)) > 1 else 0):
            reaction = self._reactions(design * (matrix @ effect)[of_day], weight)
            effect, weight, _ = self._regressed(design * reaction[days.series], days.deviation, general)
        design = design * reaction[days.series]
        rest = days.deviation - design * (matrix @ effect)[of_day]
        effect = effect + self._regressed(design, rest, ~general)[0]  # what days of the week add
        share = np.bincount(of_day, reaction[days.series] * busy**exponent, len(matrix))
        own = (matrix * effect).reshape(len(matrix), -1, 1 + WEEKDAYS).sum(2)  # [sets, labels]
        counts = matrix[:, general].T @ np.bincount(of_day, minlength=len(matrix))
        typical = own.T @ share / np.maximum(counts, 1)
        return _Found(effect, typical, exponent, reaction)

    def _regressed(self, design: Numbers, deviation: Numbers, columns: Flags) -> tuple[Numbers, Numbers, float]:
        """Effects of some columns of the labels, weights of the days, and the sum of their errors, squared if small."""
        of_day, matrix = self.labels.of_day, self.labels.matrix
        _, day, together = np.unique(self.days.key, return_inverse=True, return_counts=True)
        share = self.recency / (1 + (together[day] - 1) * self.correlation)
        used = every = np.flatnonzero(matrix.any(0) & columns)
        chance: float | None = None
        effect, precision = np.zeros(matrix.shape[1]), np.full(matrix.shape[1], LEAST)
        robust, inflation, rest = np.ones(len(design)), 1.0, np.zeros(len(design))

        def by_set(values: Numbers) -> Numbers:
            return np.asarray(np.bincount(of_day, values, len(matrix)))

        for _ in range(ROUNDS):
            weight = robust * share / (inflation * self.noise**2)
            part = matrix[:, used]
            normal = part.T @ (by_set(weight * design**2)[:, None] * part) + np.diag(precision[used])
            effect[:] = 0.0
            effect[used] = np.linalg.solve(normal, part.T @ by_set(weight * design * deviation))
            if chance is None:
                chance = float(np.median(np.diag(np.linalg.inv(normal)))) if len(used) else 0.0
            # the variance of effects beyond that of chance, all labels counted
            common = max(0.0, float(np.median(effect[every] ** 2)) / NORMAL_MEDIAN**2 - chance) if len(every) else 0.0
            used = used[np.abs(effect[used]) > LEAST]
            caution = np.where(self.labels.often[used], 1.0, ONCE)
            precision[used] = caution / np.maximum(effect[used] ** 2, common)
            rest = np.abs(deviation - design * (matrix @ effect)[of_day]) / self.noise
            inflation = max(1.0, (float(np.median(rest)) / NORMAL_MEDIAN) ** 2)
            robust = np.minimum(1.0, HUBER * np.sqrt(inflation) / np.maximum(rest, LEAST))
        loss = np.where(rest < HUBER, rest**2, 2 * HUBER * rest - HUBER**2)
        return effect, robust / (inflation * self.noise**2), float((share * loss).sum())

    def _reactions(self, predicted: Numbers, weight: Numbers) -> Numbers:
        """[series], how strongly each reacts, drawn towards 1 by what is left to chance (empirical Bayes)."""
        series = self.days.series
        precision = np.bincount(series, weight * predicted**2)
        own = np.bincount(series, weight * predicted * self.days.deviation) / np.where(precision > 0, precision, 1.0)
        shown = precision > 0
        excess = (precision * (own - 1) ** 2)[shown].sum() - shown.sum()
        variance = max(0.0, float(excess / max(precision.sum(), LEAST)))
        return np.where(shown, 1 + (own - 1) * variance * precision / (1 + variance * precision), 1.0)
