"""Estimate what holidays and events do to the values of their days."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from forecast.artifacts.specs import SMALLEST_NORMAL, Spec, of_values
from forecast.calendar.zones import WEEK
from forecast.effects.kinds import KEY_STRIDE, Marks, mark
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.tables.table import list_names

Real = Numbers | Integers
DAYS_A_WEEK = 7
EFFECTS_NAMED = 4  # the number of effects that `describe_effects` lists by name


@dataclass(frozen=True)
class EffectPriors:
    """Constants of the estimation, tuned on births in the United States before 2013.

    Results depend little on any of them.
    """

    # if an event leaves less than this share of the value, the day tells nothing about the value
    # without the event
    hidden: float = 0.2
    # values that were always 0 on the days of an event are 0 if it leaves less than this share
    closed: float = 0.5
    largest_factor: float = 20.0  # the most by which events may multiply a value
    # a day is compared with this many weeks before it, and as many after it
    weeks_each_side: int = 3
    weeks_searched: int = 10  # how many weeks before and after it are searched for them
    level_weeks: int = 4  # the level of a day is the mean over this many weeks on each side
    # each series is shrunk towards the mean over all series, which weighs as much as so many days
    prior_days: int = 10
    # bounds of the weekday profile
    lowest_profile: float = 0.1
    highest_profile: float = 10.0
    least: float = 1e-3  # share of the level; smaller effects are 0, and noise is at least this
    # candidates for `EventEffects.exponent`; the first is used unless another is clearly better
    exponents: tuple[int, ...] = (0, -1, 1, 2)
    # another exponent must lower the sum of squared errors, each divided by its variance, by this
    exponent_cost: float = 1.0
    ridge_rounds: int = 10
    reaction_rounds: int = 3
    # variances of the share of a day's shape that its square must exceed, which is two standard
    # errors; also the inverse of the variance of shares that nothing is known of
    shape_chance: float = 4.0


EFFECT_PRIORS = EffectPriors()


@dataclass(frozen=True)
class DayShapes:
    """The shape of each weekday, and how much the days of events have the shape of one of them."""

    # the value at each phase of the day divided by the mean of the day; the last row is for new series
    shape: Annotated[Numbers, of_values("series+1 7 phases", low=SMALLEST_NORMAL)]
    weekday: Annotated[Integers, Spec("1", 0, DAYS_A_WEEK - 1)]  # the one that events resemble most
    share: Annotated[Numbers, Spec("labels", 0, 1)]  # of its shape; the rest is the day's own

    def factors(self, marks: Marks, slot: Integers, label: Integers, row: Integers) -> Numbers:
        """[slots], the shape of the day of each slot divided by that of its weekday.

        `slot` and `label` [marks] are the marks of known labels, `row` [slots] is that of `shape`.
        Of several labels, the one with the largest share counts.
        """
        share = np.zeros(len(row))
        np.maximum.at(share, slot, self.share[label])
        own = self.shape[row, marks.weekday, marks.phase]
        other = self.shape[row, self.weekday[0], marks.phase]
        change = other / own - 1
        return np.asarray(1 + share * change)


@dataclass(frozen=True)
class EventEffects:
    """The estimated effects of events.

    The adjusted value is the value without events. On the relative scale, events multiply it by
    1 + reaction * effect * profile^exponent. Series with values below 0 have the additive scale:
    events add reaction * effect * unit to the adjusted value.
    """

    # the events that occurred in the past of the fit; their eves and following days have labels of
    # their own
    labels: Annotated[tuple[str, ...], Spec("labels")]
    effect: Annotated[Numbers, of_values("2 labels")]  # first axis: relative, additive scale
    # first axis as above; the mean total effect on the days of a label, to which the other labels
    # of these days contribute
    typical: Annotated[Numbers, of_values("2 labels")]
    # 0: effects are shares of the value; -1: amounts; above 0: shares that are larger on busy
    # weekdays
    exponent: Annotated[int, Spec("", -4, 4)]
    # the mean of each weekday divided by the mean of all days; here and below, the last row is for
    # series that were not in the fit
    profile: Annotated[Numbers, of_values("series+1 7", low=SMALLEST_NORMAL)]
    # 0 on the relative scale, else the standard deviation of the values
    unit: Annotated[Numbers, of_values("series+1", low=0)]
    # how strongly each series reacts to events; 1 means as strongly as all series do on average
    reaction: Annotated[Numbers, of_values("series+1")]
    # 1 if the values of the series on the days of a label were all 0, perhaps by chance
    always_zero: Annotated[Integers, Spec("series+1 labels", 0, 1)]
    # on the relative scale, in tables finer than days; None if no event changes the shape of a day
    shapes: DayShapes | None = None


def compute_event_factors(
    panel: Panel, schema: Schema, effects: EventEffects, series_index: Integers
) -> tuple[Numbers, Numbers]:
    """The factor and the summand of events in each slot, [slots] twice.

    `series_index` [series] is each series' row in the arrays of `effects`, -1 for a new series.
    """
    marks = mark(panel, schema)
    index = {label: number for number, label in enumerate(effects.labels)}
    numbers = [index.get(label, -1) for label in marks.labels]
    label = np.array(numbers, np.int64)[marks.label]
    slot = marks.slot[label >= 0]
    label = label[label >= 0]
    row = series_index[panel.series_of_slots]
    unit = effects.unit[row]
    is_additive = unit > 0

    scale = is_additive[slot].astype(np.int64)  # [marks], see `EventEffects.effect`
    of_slot = np.bincount(slot, effects.effect[scale, label], len(row))
    amount = of_slot * effects.reaction[row]
    profile = effects.profile[row, marks.weekday]
    share = amount * profile**effects.exponent
    factor = np.clip(1 + share, 0, EFFECT_PRIORS.largest_factor)
    if effects.shapes is not None:
        factor *= effects.shapes.factors(marks, slot, label, row)
    always_zero = slot[effects.always_zero[row[slot], label] > 0]
    factor[always_zero] *= factor[always_zero] >= EFFECT_PRIORS.closed
    factor[is_additive] = 1.0
    return factor, amount * unit


def describe_effects(effects: EventEffects) -> str:
    """List the strongest effects, in percent.

    On the additive scale they are in standard deviations of the values.
    """
    is_additive = bool((effects.unit[:-1] > 0).all())
    sizes = effects.typical[int(is_additive)]
    texts = []
    for label in np.argsort(-np.abs(sizes), kind="stable"):
        size = sizes[label]
        text = f"{size:+.1f} deviations" if is_additive else f"{100 * size:+.0f} %"
        if round(abs(size), 3) > 0:
            texts.append(f"{effects.labels[label]} {text}")
    return list_names(texts, EFFECTS_NAMED, "") or "no effect beyond chance"


def unseen_events(panel: Panel, schema: Schema, effects: EventEffects) -> list[str]:
    """Name the events in the future of a panel that did not occur in the past of the fit."""
    marks = mark(panel.tail(1), schema)
    is_future = marks.slot % (1 + panel.ahead) > 0
    numbers = np.unique(marks.label[is_future])
    labels = {marks.labels[number] for number in numbers}
    events = labels & set(marks.names)
    return sorted(events - set(effects.labels))


def fit_events(
    panel: Panel, schema: Schema, before: Integers, fixed: Numbers | None = None
) -> EventEffects:
    """Estimate the effects of events from the open slots before position `before` [series].

    A day with events is compared with the same weekday in the nearest weeks without events.
    The effect of a label is what all days with this label have in common; a day may have several
    labels.
    """
    marks = mark(panel, schema)
    usable = panel.observed & panel.before(before)
    is_open = usable if fixed is None else usable & np.isnan(fixed)
    past = _EffectPast(panel, schema, marks, is_open)
    days = _compare(past, past.marked[past.observed[past.marked]])
    series = past.series[days.slot]
    weekday = marks.weekday[days.slot]
    weekday_level = past.profile[series, weekday]
    label_set, matrix = _label_sets(days.slot, marks)
    weight = 1 / _noise(past)[series] ** 2

    labels = len(marks.labels)
    effect = np.zeros((2, labels))
    typical = np.zeros((2, labels))
    exponent = EFFECT_PRIORS.exponents[0]
    reaction = np.ones(len(panel) + 1)
    is_additive = past.unit[series] > 0
    for scale, used in enumerate((~is_additive, is_additive)):
        if not used.any():
            continue
        sets, own_set = np.unique(label_set[used], return_inverse=True)
        regression = _EventRegression(
            series=series[used],
            deviation=days.deviation[used],
            weight=weight[used],
            label_set=own_set,
            matrix=matrix[sets],
        )
        own_level = weekday_level[used]
        designs = {0: np.ones(len(own_set))}  # on the additive scale
        if scale == 0:
            expected = days.expected[used]
            designs = {power: expected * own_level**power for power in EFFECT_PRIORS.exponents}
        power, effect[scale], reactions = regression.solve(designs)
        if scale == 0:
            exponent = power
        reaction[: len(reactions)] *= reactions  # 1 for series of the other scale
        share = reactions[regression.series] * own_level**power
        typical[scale] = regression.typical(effect[scale], share)

    always_zero = np.ones((len(panel) + 1, labels), np.int64)
    is_zero = past.values[marks.slot] == 0
    np.minimum.at(always_zero, (past.series[marks.slot], marks.label), is_zero)
    always_zero[-1] = always_zero.min(0)
    shown = np.unique(marks.label[usable[marks.slot]])
    return EventEffects(
        labels=tuple(marks.labels[label] for label in shown),
        effect=effect[:, shown],
        typical=typical[:, shown],
        exponent=exponent,
        profile=past.profile,
        unit=np.append(past.unit * past.size, 0.0),
        reaction=reaction,
        always_zero=always_zero[:, shown],
        shapes=_day_shapes(past, shown),
    )


class _EffectPast:
    """The past of a panel: which slots hold values, and which of these no event touches."""

    def __init__(self, panel: Panel, schema: Schema, marks: Marks, observed: Flags) -> None:
        self.marks = marks
        self.marked = np.unique(marks.slot)  # slots that events touch, ascending
        spec = schema.calendar
        week = max(1, round(WEEK / spec.every))
        self.week = len(spec.weekdays) if spec.kind == "weekdays" else week  # its steps
        self.series = panel.series_of_slots
        self.offsets = panel.offsets
        self.observed = observed  # [slots], whether the slot holds a value that the fit may use
        self.untouched = observed.copy()  # [slots], whether no event touches it, either
        self.untouched[marks.slot] = False
        sizes = np.where(observed, np.abs(panel.values), 0.0)
        self.size = np.maximum.reduceat(sizes, panel.first_slots)  # [series]
        self.size[self.size == 0] = 1.0
        # [slots], divided by the largest absolute value of their series, so that sums over all
        # series keep their digits
        self.values = np.where(observed, panel.values / self.size[self.series], 0.0)

    @cached_property
    def profile(self) -> Numbers:
        """[series + 1, 7], the mean of each weekday divided by the mean of all days.

        The last row is the profile over all series.
        """
        return self.profile_by(self.marks.weekday, DAYS_A_WEEK)

    def profile_by(self, group: Integers, groups: int) -> Numbers:
        """[series + 1, groups], like `profile`, but for groups of slots; `group` is [slots]."""
        cell = (self.series * groups + group)[self.untouched]
        cells = len(self.size) * groups
        sums = np.bincount(cell, self.values[self.untouched], cells)
        counts = np.bincount(cell, minlength=cells).reshape(-1, groups)
        sums = sums.reshape(-1, groups)
        count = counts.sum(1, keepdims=True)
        level = sums.sum(1, keepdims=True) / np.maximum(count, 1)
        # the profile of each series, multiplied by the number of values
        total = _ratio(sums, level, counts)
        shared = _ratio(total.sum(0), counts.sum(0), np.ones(groups))
        prior = EFFECT_PRIORS.prior_days
        of_series = (total + prior * shared) / (counts + prior)
        profile = np.concatenate([of_series, shared[None]])
        return np.asarray(
            np.clip(profile, EFFECT_PRIORS.lowest_profile, EFFECT_PRIORS.highest_profile)
        )

    @cached_property
    def unit(self) -> Numbers:
        """[series], the standard deviation of untouched values; 0 if no value is negative."""
        observed_values = np.where(self.observed, self.values, np.inf)
        is_signed = np.minimum.reduceat(observed_values, self.offsets[:-1]) < 0
        series = self.series[self.untouched]
        values = self.values[self.untouched]
        count = len(is_signed)
        known = np.maximum(np.bincount(series, minlength=count), 1)
        mean = np.bincount(series, values, count) / known
        distance = values - mean[series]
        squares = np.bincount(series, distance**2, count)
        return np.where(is_signed, np.sqrt(squares / known), 0.0)


def _ratio(numerators: Real, denominators: Real, otherwise: Real) -> Numbers:
    """Return the ratio where the denominator is above 0, and `otherwise` elsewhere."""
    positive = denominators > 0
    return np.where(positive, numerators / np.where(positive, denominators, 1.0), otherwise)


@dataclass(frozen=True)
class _Days:
    """Days that can be compared with other days; values are in units of the level around them."""

    slot: Integers  # [days], the first slot of each day
    deviation: Numbers  # [days], the value less the expected one
    expected: Numbers  # [days], what the days that it is compared with let expect


def _compare(past: _EffectPast, slots: Integers) -> _Days:
    """Compare the days of slots with other days; days without any to compare with are left out."""
    marks = past.marks
    expected = _average_neighbours(past, slots)
    level = _levels(past, slots)
    usable = np.isfinite(expected) & (level > 0)
    slots = slots[usable]
    expected = expected[usable]
    keys = past.series[slots] * KEY_STRIDE + marks.date[slots]
    _, first, day = np.unique(keys, return_index=True, return_inverse=True)
    level_of_day = np.bincount(day, level[usable])
    deviation = np.bincount(day, past.values[slots] - expected)
    expected = np.bincount(day, expected) / level_of_day
    return _Days(slots[first], deviation / level_of_day, expected)


def _levels(past: _EffectPast, slots: Integers) -> Numbers:
    """[slots], the mean of the untouched values around; on the additive scale, the unit."""
    series = past.series[slots]
    steps = EFFECT_PRIORS.level_weeks * max(past.week, 2)
    left = np.maximum(slots - steps, past.offsets[series])
    right = np.minimum(slots + steps + 1, past.offsets[series + 1])
    values = np.where(past.untouched, past.values, 0.0)
    sums = np.append(0.0, np.cumsum(values))
    counts = np.append(0, np.cumsum(past.untouched))
    count = counts[right] - counts[left]
    level = (sums[right] - sums[left]) / np.maximum(count, 1)
    unit = past.unit[series]
    return np.where(unit > 0, unit, level)


def _average_neighbours(past: _EffectPast, slots: Integers) -> Numbers:
    """[slots], the mean of the same hour of the week in weeks around it; NaN if none is untouched."""
    series = past.series[slots]
    low = past.offsets[series]
    high = past.offsets[series + 1]
    side = EFFECT_PRIORS.weeks_each_side
    around = np.full((len(slots), 2 * side), np.nan)
    for first, step in ((0, -past.week), (side, past.week)):
        count = np.zeros(len(slots), np.int64)
        for weeks in range(1, EFFECT_PRIORS.weeks_searched + 1):
            near = slots + weeks * step
            inside = (near >= low) & (near < high)
            used = np.flatnonzero(inside & (count < side))
            used = used[past.untouched[near[used]]]
            around[used, first + count[used]] = past.values[near[used]]
            count[used] += 1

    # of more than three values, leave out the smallest and the largest; NaN is sorted last
    around.sort(axis=1)
    count = np.isfinite(around).sum(1, keepdims=True)
    trimmed = count > 3
    rank = np.arange(2 * side)
    inside = (rank >= trimmed) & (rank < count - trimmed)
    total = np.where(inside, around, 0.0).sum(1)
    mean = total / np.maximum(inside.sum(1), 1)
    return np.where(count[:, 0] > 0, mean, np.nan)


def _noise(past: _EffectPast) -> Numbers:
    """[series], the standard deviation of untouched days around their expected values.

    A series with few such days is shrunk towards the mean of all series.
    """
    # how much untouched days vary is measured two weeks before the days with events
    earlier = past.marked - 2 * past.week
    first = past.offsets[past.series[past.marked]]
    earlier = earlier[earlier >= first]
    days = _compare(past, earlier[past.untouched[earlier]])
    size = np.abs(days.deviation)
    series = past.series[days.slot]
    pooled = size.mean() if len(size) else 1.0
    sums = np.bincount(series, size, len(past.size))
    counts = np.bincount(series, minlength=len(past.size))
    mean = (sums + EFFECT_PRIORS.prior_days * pooled) / (counts + EFFECT_PRIORS.prior_days)
    deviation = np.sqrt(np.pi / 2) * mean
    return np.asarray(np.maximum(deviation, EFFECT_PRIORS.least))


def _day_shapes(past: _EffectPast, labels: Integers) -> DayShapes | None:
    """Estimate the shapes of days with some labels; None if no label changes the shape."""
    marks = past.marks
    phases = marks.phase.max() + 1
    profile = past.profile_by(marks.weekday * phases + marks.phase, DAYS_A_WEEK * phases)
    shape = profile.reshape(-1, DAYS_A_WEEK, phases)
    shape = shape / shape.mean(-1, keepdims=True)
    usable = past.observed & (past.unit == 0)[past.series]  # [slots]
    is_used = usable[marks.slot]
    slot = marks.slot[is_used]
    phase = marks.phase[slot]
    cell = marks.label[is_used] * phases + phase
    of_weekdays = shape[past.series[slot], :, phase].T  # [weekdays, marks]

    def sum_labels(numbers: Numbers) -> Numbers:
        """[labels, phases]"""
        sums = np.bincount(cell, numbers, len(marks.labels) * phases)
        return np.asarray(sums.reshape(-1, phases)[labels], np.float64)

    own = sum_labels(of_weekdays[marks.weekday[slot], np.arange(len(slot))])
    actual = sum_labels(past.values[slot])
    level = _ratio(actual.sum(1), own.sum(1), np.ones(1))
    change = actual - level[:, None] * own
    by_weekday = [sum_labels(shapes) for shapes in of_weekdays]
    ways = level[:, None] * (by_weekday - own)
    squares = np.maximum((ways**2).sum(-1), SMALLEST_NORMAL)  # [weekdays, labels]
    products = (ways * change).sum(-1)
    shares = np.clip(products / squares, 0, 1)
    rest = change - shares[..., None] * ways
    errors = np.square(rest).sum(-1)
    weekday = errors.sum(1).argmin(keepdims=True)
    chance = EFFECT_PRIORS.shape_chance * errors / max(phases - 1, 1)
    shrunk = shares * squares / (squares + chance)
    is_certain = shares**2 * squares > chance
    share = np.where(is_certain, shrunk, 0.0)[weekday[0]]
    return DayShapes(shape, weekday, share) if share.any() else None


def _label_sets(slots: Integers, marks: Marks) -> tuple[Integers, Numbers]:
    """Number the different sets of labels of slots, [slots], and say what is in each.

    The second result is [sets, labels], 1 for each label of the set.
    """
    _, first, label_set = np.unique(marks.label_set[slots], return_index=True, return_inverse=True)
    number = np.full(len(marks.date), -1)
    number[slots[first]] = np.arange(len(first))
    set_of_mark = number[marks.slot]
    inside = set_of_mark >= 0
    matrix = np.zeros((len(first), len(marks.labels)))
    matrix[set_of_mark[inside], marks.label[inside]] = 1.0
    return label_set.reshape(-1), matrix


@dataclass(frozen=True)
class _EventRegression:
    """A weighted ridge regression of the deviations of days on their labels."""

    series: Integers  # [days]
    deviation: Numbers  # [days], see `_Days`
    weight: Numbers  # [days], the inverse of the variance of each day
    label_set: Integers  # [days], the number of the set of labels
    matrix: Numbers  # [sets, labels], 1 for the labels of the set

    def solve(self, designs: dict[int, Numbers]) -> tuple[int, Numbers, Numbers]:
        """Return the best exponent, the effects [labels] and the reactions [series].

        `designs` holds, for each exponent, the deviation [days] that an effect of 1 would cause.
        """
        effects = {}
        costs = {}
        for power, design in designs.items():
            effects[power] = self._ridge(design)
            of_set = self.matrix @ effects[power]
            errors = self.deviation - design * of_set[self.label_set]
            costs[power] = (self.weight * errors**2).sum()
            if power != EFFECT_PRIORS.exponents[0]:
                costs[power] += EFFECT_PRIORS.exponent_cost
        exponent = min(costs, key=lambda power: costs[power])

        effect = effects[exponent]
        design = designs[exponent]
        reaction = np.ones(self.series.max() + 1)
        if len(np.unique(self.series)) > 1:
            for _ in range(EFFECT_PRIORS.reaction_rounds):
                of_set = self.matrix @ effect
                reaction = self._reactions(design * of_set[self.label_set])
                effect = self._ridge(design * reaction[self.series])
        return exponent, effect, reaction

    def typical(self, effect: Numbers, share: Numbers) -> Numbers:
        """[labels], the mean total effect on the days of each label.

        `share` [days] is the factor by which each day feels the effect.
        """
        count = len(self.matrix)
        shares = np.bincount(self.label_set, share, count)
        total = self.matrix.T @ (self.matrix @ effect * shares)
        days = self.matrix.T @ np.bincount(self.label_set, minlength=count)
        return np.asarray(total / np.maximum(days, 1))

    def _ridge(self, design: Numbers) -> Numbers:
        """[labels], the effects; small ones are shrunk most (adaptive ridge, Grandvalet 1998)."""
        used = np.flatnonzero(self.matrix.any(0))
        columns = self.matrix[:, used]
        weight = self.weight * design
        precision = np.bincount(self.label_set, weight * design, len(self.matrix))
        weighted = np.bincount(self.label_set, weight * self.deviation, len(self.matrix))
        gram = columns.T @ (precision[:, None] * columns)
        moment = columns.T @ weighted
        effect = np.zeros(self.matrix.shape[1])
        squares = np.ones(len(used))
        for _ in range(EFFECT_PRIORS.ridge_rounds if len(used) else 0):
            shrunk = (squares + squares.mean()) / 2
            variance = np.maximum(shrunk, EFFECT_PRIORS.least**4)
            ridge = np.diag(1 / variance)
            effect[used] = np.linalg.solve(gram + ridge, moment)
            squares = effect[used] ** 2
        effect[np.abs(effect) <= EFFECT_PRIORS.least] = 0.0
        return effect

    def _reactions(self, predicted: Numbers) -> Numbers:
        """[series], how strongly each series reacts to events.

        The less certain a reaction is, the more it is shrunk towards 1 (empirical Bayes).
        """
        precision = np.bincount(self.series, self.weight * predicted**2)
        moment = np.bincount(self.series, self.weight * predicted * self.deviation)
        shown = precision > 0
        single = _ratio(moment, precision, np.ones_like(moment))
        change = single - 1
        distance = precision * change**2
        excess = distance[shown].sum() - shown.sum()
        variance = max(0.0, excess / max(precision.sum(), EFFECT_PRIORS.least))
        evidence = variance * precision
        return np.asarray(1 + change * evidence / (1 + evidence))
