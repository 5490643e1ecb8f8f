"""What events do to values: estimated from the past, taken out of it, put back into forecasts."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np

from forecast.artifacts.specs import TINY, of_values
from forecast.calendar.zones import WEEK
from forecast.events.kinds import KEY_STRIDE, NO_LABELS, Marks, mark, moved_levels, touched
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema

Real = Numbers | Integers
WEEKDAYS = 7
NOT_COMPARED = -1  # in place of the label set of a slot that no day is compared with
NAMED = 4  # effects that a line names


@dataclass(frozen=True)
class EffectPriors:
    """Tuned on births in the United States before 2013; none matters much."""

    # a day on which less than this share is left says nothing of untouched days
    hidden: float = 0.2
    closed: float = 0.02  # where so little is left, nothing is
    largest_factor: float = 20.0
    # weeks that a day is compared with, and among which they are looked for
    weeks_each_side: int = 3
    weeks_searched: int = 10
    level_weeks: int = 4  # to each side, whose mean is the level
    # weight, in days, of the mean over all series, towards which that of each series is shrunk
    prior_days: int = 10
    correlation: float = 0.5  # of how two series deviate on one day
    # bounds of the profile of a week
    lowest_profile: float = 0.1
    highest_profile: float = 10.0
    least: float = 1e-3  # share of the level below which there is no effect, and no noise
    exponents: tuple[int, ...] = (0, -1, 1, 2)  # the first one unless another is clearly better
    # by how much another must lower the sum of squared errors, each over its variance
    exponent_cost: float = 1.0
    ridge_rounds: int = 10
    reaction_rounds: int = 3


PRIORS = EffectPriors()


@dataclass(frozen=True)
class Effects:
    """What events do to values.

    On a relative scale a day has the adjusted value times 1 + reaction * effect * profile^exponent.
    Series that hold values below 0 have an additive scale: the adjusted value plus reaction *
    effect * unit.
    """

    # events, their eves and the days after them that the past has shown, and on how many days it
    # did
    labels: tuple[str, ...]
    days: Annotated[Integers, of_values("labels", low=0)]
    # relative and additive; for any day, then what each weekday adds, Monday first
    effect: Annotated[Numbers, of_values("2 labels 8")]
    # relative and additive; mean of the whole effect over those days, with all labels of a day
    typical: Annotated[Numbers, of_values("2 labels")]
    # 0: effects are shares of the value; -1: amounts; above 0: shares that are larger on busy
    # weekdays
    exponent: int
    # mean of each weekday over that of all; here and below, row 0 is for a series that was not in
    # the fit
    profile: Annotated[Numbers, of_values("series+1 7", low=TINY)]
    # 0 on the relative scale, else the standard deviation of the values
    unit: Annotated[Numbers, of_values("series+1", low=0)]
    # how strongly each series reacts, 1 as all do
    reaction: Annotated[Numbers, of_values("series+1")]


@dataclass(frozen=True)
class Adjustment:
    """How events move values: value = factor * adjusted value + shift; closed slots have one."""

    factor: Numbers  # [slots]
    shift: Numbers
    # [slots], whether values say what adjusted ones are: not where events leave hardly anything
    known: Flags
    # [slots], values of closed slots, as days a shop is shut; NaN for open ones; None without any
    fixed: Numbers | None = None
    # [slots], whether values of stock-outs say only what adjusted ones are at least; None without
    # any
    bound: Flags | None = None

    def _adjusted(self, panel: Panel) -> tuple[Numbers, Flags]:
        """[slots], adjusted values, and where they are known: in open slots."""
        factor = np.where(self.known, self.factor, 1.0)
        values = (panel.values - self.shift) / factor
        observed = panel.observed & self.known
        if self.fixed is not None:
            observed &= np.isnan(self.fixed)
        return values, observed

    def removed(self, panel: Panel) -> Panel:
        """The panel with adjusted values, unknown in closed slots and where they are not
        `known`.
        """
        values, observed = self._adjusted(panel)
        if self.bound is not None:
            observed &= ~self.bound
        return replace(panel, values=np.where(observed, values, 0.0), observed=observed)

    def bounds(self, panel: Panel) -> Numbers | None:
        """[slots], the least that adjusted values of stock-outs are, else NaN; None without any."""
        if self.bound is None:
            return None
        values, observed = self._adjusted(panel)
        return np.where(observed & self.bound, values, np.nan)

    def put_back(self, values: Numbers, slot: Integers) -> Numbers:
        """Values, as events make them of adjusted ones [windows, horizon, ...] in [windows,
        horizon].
        """
        more_axes = (1,) * (values.ndim - slot.ndim)
        slot = slot.reshape(*slot.shape, *more_axes)
        moved = np.asarray(values * self.factor[slot] + self.shift[slot])
        if self.fixed is None:
            return moved
        fixed = self.fixed[slot]
        return np.where(np.isnan(fixed), moved, fixed)


def adjustment(
    panel: Panel, schema: Schema, effects: Effects, series_index: Integers
) -> Adjustment:
    """What effects do to the values of a panel whose series have these numbers, 0 for a new one."""
    marks = mark(panel, schema)
    index = {label: number for number, label in enumerate(effects.labels)}
    numbers = [index.get(label, -1) for label in marks.labels]
    label = np.array(numbers, np.int64)[marks.label]
    slot = marks.slot[label >= 0]
    label = label[label >= 0]
    row = series_index[panel.series_of_slots]
    unit = effects.unit[row]
    is_additive = unit > 0

    of_label = effects.effect[is_additive[slot].astype(np.int64), label]  # [marks, 8]
    of_weekday = of_label[np.arange(len(slot)), 1 + marks.weekday[slot]]
    of_slot = np.bincount(slot, of_label[:, 0] + of_weekday, len(row))
    amount = of_slot * effects.reaction[row]
    profile = effects.profile[row, marks.weekday]
    share = amount * profile**effects.exponent
    factor = np.clip(1 + share, 0, PRIORS.largest_factor)
    factor[factor < PRIORS.closed] = 0.0
    factor[is_additive] = 1.0
    return Adjustment(factor, amount * unit, factor >= PRIORS.hidden)


def adjusted_panel(
    panel: Panel,
    schema: Schema,
    effects: Effects | None,
    series_index: Integers,
    fixed: Numbers | None = None,
) -> tuple[Panel, Adjustment | None]:
    """A panel with adjusted values, and what events do to it; nothing to closed slots, `fixed`.

    Adjusted values of the past lie at the newest level.
    """
    levels = moved_levels(panel, schema)
    bound = touched(panel, schema, "stock_out")
    if effects is None and fixed is None and levels is None and bound is None:
        return panel, None

    size = len(panel.values)
    moved = Adjustment(np.ones(size), np.zeros(size), np.ones(size, bool))
    if effects is not None:
        moved = adjustment(panel, schema, effects, series_index)
    factor = moved.factor
    shift = moved.shift
    if levels is not None:
        level_factor, level_shift = levels
        factor = level_factor * factor
        shift = level_factor * shift + level_shift
    if fixed is not None:
        is_open = np.isnan(fixed)
        factor = np.where(is_open, factor, 1.0)
        shift = np.where(is_open, shift, 0.0)
    moved = Adjustment(factor, shift, moved.known, fixed, bound)
    return moved.removed(panel), moved


def describe_effects(effects: Effects) -> str:
    """The strongest effects in percent; in deviations of the values on the additive scale."""
    is_additive = bool((effects.unit[1:] > 0).all())
    sizes = effects.typical[int(is_additive)]
    texts = []
    for label in np.argsort(-np.abs(sizes), kind="stable"):
        size = sizes[label]
        text = f"{size:+.1f} deviations" if is_additive else f"{100 * size:+.0f} %"
        if round(abs(size), 3) > 0:
            texts.append(f"{effects.labels[label]} {text}")
    if not texts:
        return "no effect beyond chance"
    more = f", and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more


def unseen_events(panel: Panel, schema: Schema, effects: Effects) -> list[str]:
    """Events in the future of a panel that the past of the fit has not shown, by name."""
    marks = mark(panel.tail(1), schema)
    is_future = marks.slot % (1 + panel.ahead) > 0
    numbers = np.unique(marks.label[is_future])
    labels = {marks.labels[number] for number in numbers}
    return sorted((labels & set(marks.names)) - set(effects.labels))


def fit_effects(
    panel: Panel, schema: Schema, before: Integers, fixed: Numbers | None = None
) -> Effects:
    """Estimate what events do to values of open slots before `before` [series].

    A day is compared with the same day of the nearest weeks without events; where no day with its
    labels can be, with days of the same labels. What all days with a label have in common is its
    effect; a day may have several labels.
    """
    marks = mark(panel, schema)
    usable = panel.observed & panel.before(before)
    closed = np.zeros_like(usable) if fixed is None else usable & np.isfinite(fixed)
    past = _Past.of(panel, schema, marks, usable & ~closed)
    days = _compare(past, past.marked[past.observed[past.marked]])
    series = past.series[days.slot]
    weekday = marks.weekday[days.slot]
    weekday_level = past.profile[1 + series, weekday]
    weekday_set, matrix = _weekday_sets(days.slot, marks)
    weight = _weights(past, days)

    labels = len(marks.labels)
    effect = np.zeros((2, labels, 1 + WEEKDAYS))
    typical = np.zeros((2, labels))
    exponent = PRIORS.exponents[0]
    reaction = np.ones(len(panel) + 1)
    is_additive = past.unit[series] > 0
    for scale, used in enumerate((~is_additive, is_additive)):
        if not used.any():
            continue
        sets, own_set = np.unique(weekday_set[used], return_inverse=True)
        regression = _Regression(
            series=series[used],
            deviation=days.deviation[used],
            weight=weight[used],
            weekday_set=own_set,
            matrix=matrix[sets],
        )
        designs = {0: np.ones(len(own_set))}  # on the additive scale
        if scale == 0:
            expected = days.expected[used]
            designs = {power: expected * weekday_level[used] ** power for power in PRIORS.exponents}
        power, effect[scale], reactions = regression.solved(designs)
        if scale == 0:
            exponent = power
        reaction[1 : 1 + len(reactions)] *= reactions  # 1 for series of the other scale
        share = reactions[regression.series] * weekday_level[used] ** power
        typical[scale] = regression.typical(effect[scale], share)

    is_shown = np.isin(marks.slot, days.slot) | closed[marks.slot]
    dates = marks.date[marks.slot[is_shown]]
    keys = np.unique(dates * KEY_STRIDE + marks.label[is_shown])
    counts = np.bincount(keys % KEY_STRIDE, minlength=labels)
    shown = np.flatnonzero(counts)
    return Effects(
        labels=tuple(marks.labels[label] for label in shown),
        days=counts[shown],
        effect=effect[:, shown],
        typical=typical[:, shown],
        exponent=exponent,
        profile=past.profile,
        unit=np.append(0.0, past.unit * past.size),
        reaction=reaction,
    )


@dataclass(frozen=True)
class _Past:
    """The past of a panel: the slots that hold values, and those of them that no event touches."""

    marks: Marks
    marked: Integers  # slots that events touch, ascending
    week: int  # steps
    series: Integers  # [slots]
    offsets: Integers
    observed: Flags
    untouched: Flags
    # [slots], over the largest of their series, so that sums over all series keep their digits
    values: Numbers
    size: Numbers  # [series], that largest absolute value

    @classmethod
    def of(cls, panel: Panel, schema: Schema, marks: Marks, observed: Flags) -> "_Past":
        spec = schema.calendar
        week = max(1, round(WEEK / spec.every))
        untouched = observed.copy()
        untouched[marks.slot] = False
        sizes = np.where(observed, np.abs(panel.values), 0.0)
        size = np.maximum.reduceat(sizes, panel.offsets[:-1])
        size[size == 0] = 1.0
        series = panel.series_of_slots
        return cls(
            marks=marks,
            marked=np.unique(marks.slot),
            week=len(spec.weekdays) if spec.kind == "weekdays" else week,
            series=series,
            offsets=panel.offsets,
            observed=observed,
            untouched=untouched,
            values=np.where(observed, panel.values / size[series], 0.0),
            size=size,
        )

    @cached_property
    def profile(self) -> Numbers:
        """[series + 1, 7], mean of each weekday over that of all days; row 0 over all series."""
        cell = (self.series * WEEKDAYS + self.marks.weekday)[self.untouched]
        cells = len(self.size) * WEEKDAYS
        sums = np.bincount(cell, self.values[self.untouched], cells)
        counts = np.bincount(cell, minlength=cells).reshape(-1, WEEKDAYS)
        sums = sums.reshape(-1, WEEKDAYS)
        count = counts.sum(1, keepdims=True)
        level = sums.sum(1, keepdims=True) / np.maximum(count, 1)
        # the profile of each series times the count
        total = _ratio(sums, level, counts)
        shared = _ratio(total.sum(0), counts.sum(0), np.ones(WEEKDAYS))
        prior = PRIORS.prior_days
        of_series = (total + prior * shared) / (counts + prior)
        profile = np.concatenate([shared[None], of_series])
        return np.asarray(np.clip(profile, PRIORS.lowest_profile, PRIORS.highest_profile))

    @cached_property
    def unit(self) -> Numbers:
        """[series], standard deviation of untouched values where some are negative, else 0."""
        observed_values = np.where(self.observed, self.values, np.inf)
        is_signed = np.minimum.reduceat(observed_values, self.offsets[:-1]) < 0
        series = self.series[self.untouched]
        values = self.values[self.untouched]
        count = len(is_signed)
        known = np.maximum(np.bincount(series, minlength=count), 1)
        mean = np.bincount(series, values, count) / known
        squares = np.bincount(series, (values - mean[series]) ** 2, count)
        return np.where(is_signed, np.sqrt(squares / known), 0.0)


def _ratio(numerators: Real, denominators: Real, otherwise: Real) -> Numbers:
    """The ratio where a denominator lies above 0."""
    positive = denominators > 0
    return np.where(positive, numerators / np.where(positive, denominators, 1.0), otherwise)


@dataclass(frozen=True)
class _Days:
    """Days that can be compared with others, in units of the level around."""

    slot: Integers  # [days], the first slot of each
    deviation: Numbers
    expected: Numbers


def _compare(past: _Past, slots: Integers) -> _Days:
    """The days of slots, as far as there are days to compare them with."""
    marks = past.marks
    untouched = np.where(past.untouched, NO_LABELS, NOT_COMPARED)
    expected = _expected(past, slots, untouched, np.full(len(slots), NO_LABELS))
    # days with labels none of whose days has an untouched one near it
    label_sets = np.where(past.observed, marks.label_set, NOT_COMPARED)
    label_set = marks.label_set[slots]
    rest = ~np.isin(label_set, label_set[np.isfinite(expected)])
    expected[rest] = _expected(past, slots[rest], label_sets, label_set[rest])

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


def _levels(past: _Past, slots: Integers) -> Numbers:
    """[slots], the mean of untouched values around; the unit on the additive scale."""
    series = past.series[slots]
    steps = PRIORS.level_weeks * max(past.week, 2)
    left = np.maximum(slots - steps, past.offsets[series])
    right = np.minimum(slots + steps + 1, past.offsets[series + 1])
    values = np.where(past.untouched, past.values, 0.0)
    sums = np.append(0.0, np.cumsum(values))
    counts = np.append(0, np.cumsum(past.untouched))
    count = counts[right] - counts[left]
    level = (sums[right] - sums[left]) / np.maximum(count, 1)
    unit = past.unit[series]
    return np.where(unit > 0, unit, level)


def _expected(past: _Past, slots: Integers, label_sets: Integers, asked: Integers) -> Numbers:
    """[slots], mean of the same hour in the weeks around with the `asked` labels; NaN if none."""
    low = past.offsets[past.series[slots]]
    high = past.offsets[past.series[slots] + 1]
    side = PRIORS.weeks_each_side
    around = np.full((len(slots), 2 * side), np.nan)
    for first, step in ((0, -past.week), (side, past.week)):
        count = np.zeros(len(slots), np.int64)
        for weeks in range(1, PRIORS.weeks_searched + 1):
            near = slots + weeks * step
            used = np.flatnonzero((near >= low) & (near < high) & (count < side))
            used = used[label_sets[near[used]] == asked[used]]
            around[used, first + count[used]] = past.values[near[used]]
            count[used] += 1

    # without the smallest and the largest of more than three; missing ones come last
    around.sort(axis=1)
    count = np.isfinite(around).sum(1, keepdims=True)
    trimmed = count > 3
    rank = np.arange(2 * side)
    inside = (rank >= trimmed) & (rank < count - trimmed)
    total = np.where(inside, around, 0.0).sum(1)
    mean = total / np.maximum(inside.sum(1), 1)
    return np.where(count[:, 0] > 0, mean, np.nan)


def _weights(past: _Past, days: _Days) -> Numbers:
    """[days], one over the variance of each, which series share on the same date."""
    series = past.series[days.slot]
    dates = past.marks.date[days.slot]
    _, date, on_date = np.unique(dates, return_inverse=True, return_counts=True)
    others = on_date[date] - 1  # series that deviate on the same date
    variance = _noise(past)[series] ** 2 * (1 + PRIORS.correlation * others)
    return np.asarray(1 / variance)


def _noise(past: _Past) -> Numbers:
    """[series], standard deviation of untouched days, that of few drawn towards that of all."""
    # the same days two weeks earlier tell how much untouched days vary
    earlier = past.marked - 2 * past.week
    earlier = earlier[earlier >= past.offsets[past.series[past.marked]]]
    days = _compare(past, earlier[past.untouched[earlier]])
    size = np.abs(days.deviation)
    series = past.series[days.slot]
    pooled = float(size.mean()) if len(size) else 1.0
    sums = np.bincount(series, size, len(past.size))
    counts = np.bincount(series, minlength=len(past.size))
    mean = (sums + PRIORS.prior_days * pooled) / (counts + PRIORS.prior_days)
    deviation = np.sqrt(np.pi / 2) * mean
    return np.asarray(np.maximum(deviation, PRIORS.least))


def _weekday_sets(slots: Integers, marks: Marks) -> tuple[Integers, Numbers]:
    """[days], its set of labels and weekday; [sets, labels, 8], 1 for a label, and on a weekday."""
    weekday = marks.weekday[slots]
    keys = marks.label_set[slots] * WEEKDAYS + weekday
    _, first, weekday_set = np.unique(keys, return_index=True, return_inverse=True)
    number = np.full(len(marks.date), -1)
    number[slots[first]] = np.arange(len(first))
    inside = number[marks.slot] >= 0
    sets = number[marks.slot[inside]]
    labels = marks.label[inside]
    matrix = np.zeros((len(first), len(marks.labels), 1 + WEEKDAYS))
    matrix[sets, labels, 0] = 1.0
    matrix[sets, labels, 1 + weekday[first][sets]] = 1.0
    # always the same day of the week: nothing to tell apart
    has_one_weekday = matrix[:, :, 1:].any(0).sum(1) < 2
    matrix[:, has_one_weekday, 1:] = 0.0
    return weekday_set.reshape(-1), matrix


@dataclass(frozen=True)
class _Regression:
    """A weighted ridge regression of how days deviate on the labels that they have."""

    series: Integers  # [days]
    deviation: Numbers
    weight: Numbers
    weekday_set: Integers  # [days], the set of labels and weekday
    matrix: Numbers  # [sets, labels, 8]

    def solved(self, designs: dict[int, Numbers]) -> tuple[int, Numbers, Numbers]:
        """Exponent, effects [labels, 8], reactions [series].

        Designs, by exponent, are what an effect of 1 would cause.
        """
        any_day = self.matrix[:, :, 0]
        weekdays = self.matrix[:, :, 1:].reshape(len(self.matrix), -1)
        effects = {}
        costs = {}
        for power, design in designs.items():
            effects[power] = self._ridge(design, self.deviation, any_day)
            errors = self._errors(design, any_day, effects[power])
            costs[power] = float((self.weight * errors**2).sum())
            if power != PRIORS.exponents[0]:
                costs[power] += PRIORS.exponent_cost
        exponent = min(costs, key=lambda power: costs[power])

        effect = effects[exponent]
        design = designs[exponent]
        reaction = np.ones(int(self.series.max()) + 1)
        if len(np.unique(self.series)) > 1:
            for _ in range(PRIORS.reaction_rounds):
                reaction = self._reactions(design * (any_day @ effect)[self.weekday_set])
                effect = self._ridge(design * reaction[self.series], self.deviation, any_day)
        design = design * reaction[self.series]
        errors = self._errors(design, any_day, effect)
        weekday_effect = self._ridge(design, errors, weekdays).reshape(-1, WEEKDAYS)
        return exponent, np.column_stack([effect, weekday_effect]), reaction

    def typical(self, effect: Numbers, share: Numbers) -> Numbers:
        """[labels], mean of the whole effect over the days of each, of which a day has a share
        [days].
        """
        count = len(self.matrix)
        any_day = self.matrix[:, :, 0]
        whole = (self.matrix * effect).sum((1, 2))  # [sets]
        shares = np.bincount(self.weekday_set, share, count)
        total = any_day.T @ (whole * shares)
        days = any_day.T @ np.bincount(self.weekday_set, minlength=count)
        return np.asarray(total / np.maximum(days, 1))

    def _errors(self, design: Numbers, matrix: Numbers, effect: Numbers) -> Numbers:
        of_set = matrix @ effect
        return np.asarray(self.deviation - design * of_set[self.weekday_set])

    def _ridge(self, design: Numbers, deviation: Numbers, matrix: Numbers) -> Numbers:
        """[columns], effects, small ones shrunk most (adaptive ridge, Grandvalet 1998)."""
        used = np.flatnonzero(matrix.any(0))
        columns = matrix[:, used]
        weight = self.weight * design
        precision = np.bincount(self.weekday_set, weight * design, len(matrix))
        weighted = np.bincount(self.weekday_set, weight * deviation, len(matrix))
        gram = columns.T @ (precision[:, None] * columns)
        moment = columns.T @ weighted
        effect = np.zeros(matrix.shape[1])
        squares = np.ones(len(used))
        for _ in range(PRIORS.ridge_rounds if len(used) else 0):
            variance = np.maximum((squares + squares.mean()) / 2, PRIORS.least**4)
            effect[used] = np.linalg.solve(gram + np.diag(1 / variance), moment)
            squares = effect[used] ** 2
        effect[np.abs(effect) <= PRIORS.least] = 0.0
        return effect

    def _reactions(self, predicted: Numbers) -> Numbers:
        """[series], how strongly each reacts, drawn towards 1 by chance (empirical Bayes)."""
        precision = np.bincount(self.series, self.weight * predicted**2)
        moment = np.bincount(self.series, self.weight * predicted * self.deviation)
        shown = precision > 0
        single = _ratio(moment, precision, np.ones_like(moment))
        distance = precision * (single - 1) ** 2
        excess = distance[shown].sum() - shown.sum()
        variance = max(0.0, float(excess / max(precision.sum(), PRIORS.least)))
        evidence = variance * precision
        return np.asarray(1 + (single - 1) * evidence / (1 + evidence))
