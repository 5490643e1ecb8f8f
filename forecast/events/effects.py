"""What events do to values: estimated from the past, taken out of it for every model, put back into forecasts."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from forecast.artifacts.specs import TINY, Spec
from forecast.calendar.zones import WEEK
from forecast.events.kinds import KEY_STRIDE, NO_LABELS, Marks, mark, moved_levels, touched
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.tables.cells import MAX_VALUE

WEEKDAYS = 7
NOT_COMPARED = -1  # in place of the label set of a slot that no day is compared with
HIDDEN = 0.2  # a day on which less than this share is left says nothing of untouched days
CLOSED = 0.02  # where so little is left, nothing is
LARGEST_FACTOR = 20.0
NAMED = 4  # effects that a line names

# tuned on births in the United States before 2013; none matters much
WEEKS_EACH_SIDE, WEEKS_SEARCHED = (
    3,
    10,
)  # that a day is compared with, and among which they are looked for
LEVEL_WEEKS = 4  # to each side, whose mean is the level
PRIOR_DAYS = (
    10  # weight, in days, of the mean over all series, towards which that of each series is shrunk
)
CORRELATION = 0.5  # of how two series deviate on one day
PROFILES = 0.1, 10.0  # bounds of the profile of a week
LEAST = 1e-3  # share of the level below which there is no effect, and no noise
EXPONENTS = 0, -1, 1, 2  # the first one unless another is clearly better
EXPONENT_COST = (
    1.0  # by how much another must lower the sum of squared errors, each over its variance
)
ROUNDS, REACTION_ROUNDS = 10, 3


@dataclass(frozen=True)
class Effects:
    """What events do to values.

    On a relative scale a day has the adjusted value times 1 + reaction * effect * profile^exponent. Series that hold
    values below 0 have an additive scale: the adjusted value plus reaction * effect * unit.
    """

    # events, their eves and the days after them that the past has shown, and on how many days it did
    labels: tuple[str, ...]
    days: Annotated[Integers, Spec("labels", 0, MAX_VALUE)]
    # relative and additive; for any day, then what each weekday adds, Monday first
    effect: Annotated[Numbers, Spec("2 labels 8", -MAX_VALUE, MAX_VALUE)]
    # relative and additive; mean of the whole effect over those days, with all labels of a day
    typical: Annotated[Numbers, Spec("2 labels", -MAX_VALUE, MAX_VALUE)]
    # 0: effects are shares of the value; -1: amounts; above 0: shares that are larger on busy weekdays
    exponent: int
    # mean of each weekday over that of all; here and below, row 0 is for a series that was not in the fit
    profile: Annotated[Numbers, Spec("series+1 7", TINY, MAX_VALUE)]
    # 0 on the relative scale, else the standard deviation of the values
    unit: Annotated[Numbers, Spec("series+1", 0, MAX_VALUE)]
    # how strongly each series reacts, 1 as all do
    reaction: Annotated[Numbers, Spec("series+1", -MAX_VALUE, MAX_VALUE)]


@dataclass(frozen=True)
class Adjustment:
    """How events move the values of a panel: value = factor * adjusted value + shift; closed slots have one value."""

    factor: Numbers  # [slots]
    shift: Numbers
    known: Flags  # [slots], whether values say what adjusted ones are: not where events leave hardly anything
    fixed: Numbers | None = (
        None  # values of closed slots, as days a shop is shut; NaN for open ones; None without any
    )
    bound: Flags | None = (
        None  # [slots], whether values of stock-outs say only what adjusted ones are at least
    )

    def _adjusted(self, panel: Panel) -> tuple[Numbers, Flags]:
        """[slots], adjusted values, and where there are some: in open slots whose values say what they are."""
        values = (panel.values - self.shift) / np.where(self.known, self.factor, 1.0)
        return values, panel.observed & self.known & (
            True if self.fixed is None else np.isnan(self.fixed)
        )

    def removed(self, panel: Panel) -> Panel:
        """The panel with adjusted values; in closed slots, and where they are not `known`, they are unknown."""
        values, observed = self._adjusted(panel)
        observed = observed if self.bound is None else observed & ~self.bound
        return replace(panel, values=np.where(observed, values, 0.0), observed=observed)

    def bounds(self, panel: Panel) -> Numbers | None:
        """[slots], what adjusted values are at least where the panel has stock-outs, else NaN; None without any."""
        values, observed = self._adjusted(panel)
        return None if self.bound is None else np.where(observed & self.bound, values, np.nan)

    def put_back(self, values: Numbers, slot: Integers) -> Numbers:
        """What events make of adjusted values, [windows, horizon, ...], in their slots, [windows, horizon]."""
        shape = (*slot.shape, *(1,) * (values.ndim - slot.ndim))
        moved = np.asarray(
            values * self.factor[slot].reshape(shape) + self.shift[slot].reshape(shape)
        )
        if self.fixed is None:
            return moved
        fixed = self.fixed[slot].reshape(shape)
        return np.where(np.isnan(fixed), moved, fixed)


def adjustment(
    panel: Panel, schema: Schema, effects: Effects, series_index: Integers
) -> Adjustment:
    marks = mark(panel, schema)
    index = {label: number for number, label in enumerate(effects.labels)}
    label = np.array([index.get(label, -1) for label in marks.labels], np.int64)[marks.label]
    slot, label = marks.slot[label >= 0], label[label >= 0]
    row = np.repeat(series_index, np.diff(panel.offsets))
    unit, additive = effects.unit[row], effects.unit[row] > 0
    of_label = effects.effect[additive[slot].astype(np.int64), label]  # [marks, 8]
    amount = of_label[:, 0] + of_label[np.arange(len(slot)), 1 + marks.weekday[slot]]
    total = np.bincount(slot, amount, len(row)) * effects.reaction[row]
    factor = np.clip(
        1 + total * effects.profile[row, marks.weekday] ** effects.exponent, 0, LARGEST_FACTOR
    )
    factor = np.where(additive, 1.0, np.where(factor < CLOSED, 0.0, factor))
    return Adjustment(factor, total * unit, factor >= HIDDEN)


def adjusted_panel(
    panel: Panel,
    schema: Schema,
    effects: Effects | None,
    series_index: Integers,
    fixed: Numbers | None = None,
) -> tuple[Panel, Adjustment | None]:
    """A panel with adjusted values, and what events do to it; nothing to closed slots, `fixed` as by `fixed_values`.

    Adjusted values of the past lie at the newest level.
    """
    level, bound, size = (
        moved_levels(panel, schema),
        touched(panel, schema, "stock_out"),
        len(panel.values),
    )
    if effects is None and fixed is None and level is None and bound is None:
        return panel, None
    moved = Adjustment(np.ones(size), np.zeros(size), np.ones(size, bool))
    if effects is not None:
        moved = adjustment(panel, schema, effects, series_index)
    factor, shift = moved.factor, moved.shift
    if level is not None:
        factor, shift = level[0] * factor, level[0] * shift + level[1]
    if fixed is not None:
        factor, shift = (
            np.where(np.isnan(fixed), factor, 1.0),
            np.where(np.isnan(fixed), shift, 0.0),
        )
    moved = Adjustment(factor, shift, moved.known, fixed, bound)
    return moved.removed(panel), moved


def describe_effects(effects: Effects) -> str:
    """The strongest effects in percent; in deviations of the values on the additive scale."""
    additive = bool((effects.unit[1:] > 0).all())
    size = effects.typical[int(additive)]
    order = [
        label
        for label in np.argsort(-np.abs(size), kind="stable")
        if round(abs(size[label]), 3) > 0
    ]
    text, unit = ("{} {:+.1f} deviations", 1.0) if additive else ("{} {:+.0f} %", 100.0)
    named = ", ".join(
        text.format(effects.labels[label], unit * size[label]) for label in order[:NAMED]
    )
    more = f", and {len(order) - NAMED} more" if len(order) > NAMED else ""
    return named + more or "no effect beyond chance"


def unseen_events(panel: Panel, schema: Schema, effects: Effects) -> list[str]:
    """Events in the future of a panel that the past of the fit has not shown, in the order of their names."""
    marks = mark(panel.tail(1), schema)
    future = {
        marks.labels[number]
        for number in np.unique(marks.label[marks.slot % (1 + panel.ahead) > 0])
    }
    return sorted((future & set(marks.names)) - set(effects.labels))


def fit_effects(
    panel: Panel, schema: Schema, before: Integers, fixed: Numbers | None = None
) -> Effects:
    """Estimate what events do to values, from slots before `before` [series]; nothing in closed slots, `fixed` [slots].

    A day is compared with the same day of the nearest weeks without events; where no day with its labels can be, with
    days of the same labels. What all days with a label have in common is its effect; a day may have several labels.
    """
    marks, usable = mark(panel, schema), panel.observed & panel.before(before)
    closed = np.zeros_like(usable) if fixed is None else usable & np.isfinite(fixed)
    past = _Past.of(panel, marks, usable & ~closed)
    profile, unit = _weekly_profile(past, marks.weekday), _additive_unit(past)
    spec, marked = schema.calendar, np.unique(marks.slot)
    week = len(spec.weekdays) if spec.kind == "weekdays" else max(1, round(WEEK / spec.every))
    slot, deviation, expected = _compare(past, marked[past.observed[marked]], marks, week, unit)
    # the same days two weeks earlier tell how much untouched days vary
    earlier = marked - 2 * week
    earlier = earlier[earlier >= past.offsets[past.series[marked]]]
    noise = _noise(past, *_compare(past, earlier[past.untouched[earlier]], marks, week, unit)[:2])
    series, labels = past.series[slot], len(marks.labels)
    _, day, on_same_day = np.unique(marks.date[slot], return_inverse=True, return_counts=True)
    weight = 1 / (noise[series] ** 2 * (1 + CORRELATION * (on_same_day[day] - 1)))
    weekday_set, matrix = _weekday_sets(slot, marks)
    weekday_level, additive = profile[1 + series, marks.weekday[slot]], unit[series] > 0
    effect, typical, exponent = (
        np.zeros((2, labels, 1 + WEEKDAYS)),
        np.zeros((2, labels)),
        EXPONENTS[0],
    )
    reaction = np.ones(len(panel) + 1)
    for is_additive, used in enumerate((~additive, additive)):
        if used.any():
            sets, own_set = np.unique(weekday_set[used], return_inverse=True)
            part = _Regression(series[used], deviation[used], weight[used], own_set, matrix[sets])
            designs = {power: (expected * weekday_level**power)[used] for power in EXPONENTS}
            power, effect[is_additive], reacted = part.solved(
                {0: np.ones(len(own_set))} if is_additive else designs
            )
            exponent = exponent if is_additive else power
            reaction[1 : 1 + len(reacted)] *= reacted  # 1 for series of the other scale
            day_share = reacted[part.series] * weekday_level[used] ** power
            typical[is_additive] = part.typical(effect[is_additive], day_share)
    shown = np.isin(marks.slot, slot) | closed[marks.slot]
    keys = np.unique(marks.date[marks.slot[shown]] * KEY_STRIDE + marks.label[shown])
    counts = np.bincount(keys % KEY_STRIDE, minlength=labels)
    known = np.flatnonzero(counts)
    names, unit = (
        tuple(marks.labels[label] for label in known),
        np.concatenate([[0.0], unit * past.size]),
    )
    return Effects(
        names, counts[known], effect[:, known], typical[:, known], exponent, profile, unit, reaction
    )


@dataclass(frozen=True)
class _Past:
    """The past of a panel: the slots that hold values, and those of them that no event touches."""

    values: Numbers  # [slots], over the largest of their series, so that sums over all series keep their digits
    size: Numbers  # [series], that largest absolute value
    series: Integers  # [slots]
    offsets: Integers
    observed: Flags
    untouched: Flags

    @classmethod
    def of(cls, panel: Panel, marks: Marks, observed: Flags) -> "_Past":
        untouched, series = observed.copy(), panel.series_of_slots
        untouched[marks.slot] = False
        size = np.maximum.reduceat(
            np.where(observed, np.abs(panel.values), 0.0), panel.offsets[:-1]
        )
        size = np.where(size > 0, size, 1.0)
        values = np.where(observed, panel.values / size[series], 0.0)
        return cls(values, size, series, panel.offsets, observed, untouched)


def _weekly_profile(past: _Past, weekday: Integers) -> Numbers:
    """[series + 1, 7], the mean of each day of the week over the mean of all; row 0 over all series."""
    shape = len(past.size), WEEKDAYS
    cell = (past.series * WEEKDAYS + weekday)[past.untouched]
    sums = np.bincount(cell, past.values[past.untouched], shape[0] * WEEKDAYS).reshape(shape)
    counts = np.bincount(cell, minlength=shape[0] * WEEKDAYS).reshape(shape)
    level = sums.sum(1, keepdims=True) / np.maximum(counts.sum(1, keepdims=True), 1)  # [series, 1]
    total = np.where(level > 0, sums / np.where(level > 0, level, 1.0), counts)  # times the count
    shared = np.where(counts.any(0), total.sum(0) / np.maximum(counts.sum(0), 1), 1.0)
    profile = np.concatenate([shared[None], (total + PRIOR_DAYS * shared) / (counts + PRIOR_DAYS)])
    return np.asarray(np.clip(profile, *PROFILES))


def _additive_unit(past: _Past) -> Numbers:
    """[series], the standard deviation of values that no event touches where some lie below 0, else 0."""
    signed = (
        np.minimum.reduceat(np.where(past.observed, past.values, np.inf), past.offsets[:-1]) < 0
    )
    series, values, count = past.series[past.untouched], past.values[past.untouched], len(signed)
    known = np.maximum(np.bincount(series, minlength=count), 1)
    mean = np.bincount(series, values, count) / known
    return np.where(
        signed, np.sqrt(np.bincount(series, (values - mean[series]) ** 2, count) / known), 0.0
    )


def _compare(
    past: _Past, slots: Integers, marks: Marks, week: int, unit: Numbers
) -> tuple[Integers, Numbers, Numbers]:
    """First slot of each day that can be compared, its deviation and expected value, in units of the level around."""
    untouched = np.where(past.untouched, NO_LABELS, NOT_COMPARED)
    expected = _expected(past, slots, week, untouched, np.full(len(slots), NO_LABELS))
    label_sets, asked = (
        np.where(past.observed, marks.label_set, NOT_COMPARED),
        marks.label_set[slots],
    )
    rest = ~np.isin(
        asked, asked[np.isfinite(expected)]
    )  # no day with these labels has an untouched one near it
    expected[rest] = _expected(past, slots[rest], week, label_sets, asked[rest])
    series = past.series[slots]
    reach = LEVEL_WEEKS * max(
        week, 2
    )  # the level is the mean of untouched values so many steps to each side
    left = np.maximum(slots - reach, past.offsets[series])
    right = np.minimum(slots + reach + 1, past.offsets[series + 1])
    sums = np.concatenate([[0.0], np.cumsum(np.where(past.untouched, past.values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(past.untouched)])
    level = (sums[right] - sums[left]) / np.maximum(counts[right] - counts[left], 1)
    level = np.where(unit[series] > 0, unit[series], level)
    usable = np.isfinite(expected) & (level > 0)
    slots, expected, level = slots[usable], expected[usable], level[usable]
    keys = past.series[slots] * KEY_STRIDE + marks.date[slots]
    _, first, day = np.unique(keys, return_index=True, return_inverse=True)
    level = np.bincount(day, level)
    return (
        slots[first],
        np.bincount(day, past.values[slots] - expected) / level,
        np.bincount(day, expected) / level,
    )


def _expected(
    past: _Past, slots: Integers, week: int, label_sets: Integers, asked: Integers
) -> Numbers:
    """[slots], the mean of the same hour of the week in the weeks around with the `asked` labels; NaN where none is."""
    low, high = past.offsets[past.series[slots]], past.offsets[past.series[slots] + 1]
    around = np.full((len(slots), 2 * WEEKS_EACH_SIDE), np.nan)
    for first, step in ((0, -week), (WEEKS_EACH_SIDE, week)):
        found = np.zeros(len(slots), np.int64)
        for weeks in range(1, WEEKS_SEARCHED + 1):
            near = slots + weeks * step
            used = np.flatnonzero((near >= low) & (near < high) & (found < WEEKS_EACH_SIDE))
            used = used[label_sets[near[used]] == asked[used]]
            around[used, first + found[used]] = past.values[near[used]]
            found[used] += 1
    around.sort(axis=1)  # those not found come last
    count, rank = np.isfinite(around).sum(1), np.arange(around.shape[1])
    trimmed = count > 3  # without the smallest and the largest
    inside = (rank >= trimmed[:, None]) & (rank < (count - trimmed)[:, None])
    sums = np.where(inside, around, 0.0).sum(1)
    return np.where(count > 0, sums / np.maximum(inside.sum(1), 1), np.nan)


def _noise(past: _Past, slot: Integers, deviation: Numbers) -> Numbers:
    """[series], standard deviation of untouched days; that of few days is drawn towards that of all series."""
    size, series, count = np.abs(deviation), past.series[slot], len(past.size)
    pooled = float(size.mean()) if len(size) else 1.0
    sums, days = np.bincount(series, size, count), np.bincount(series, minlength=count)
    mean = (sums + PRIOR_DAYS * pooled) / (days + PRIOR_DAYS)
    return np.asarray(np.maximum(np.sqrt(np.pi / 2) * mean, LEAST))


def _weekday_sets(slots: Integers, marks: Marks) -> tuple[Integers, Numbers]:
    """[days], which set of labels and weekday each has; [sets, labels, 8], 1 for a label, and on a weekday."""
    label_set, weekday = marks.label_set[slots], marks.weekday[slots]
    _, first, weekday_set = np.unique(
        label_set * WEEKDAYS + weekday, return_index=True, return_inverse=True
    )
    number = np.full(len(marks.date), -1)
    number[slots[first]] = np.arange(len(first))
    inside = number[marks.slot] >= 0
    rows, labels = number[marks.slot[inside]], marks.label[inside]
    matrix = np.zeros((len(first), len(marks.labels), 1 + WEEKDAYS))
    matrix[rows, labels, 0] = 1.0
    matrix[rows, labels, 1 + weekday[first][rows]] = 1.0
    matrix[:, matrix[:, :, 1:].any(0).sum(1) < 2, 1:] = (
        0.0  # always the same day of the week: nothing to tell apart
    )
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
        """Exponent, effects [labels, 8], reactions [series]; designs, by exponent, are what effect 1 would cause."""
        any_day, weekdays = (
            self.matrix[:, :, 0],
            self.matrix[:, :, 1:].reshape(len(self.matrix), -1),
        )
        found = {
            power: self._ridge(design, self.deviation, any_day) for power, design in designs.items()
        }
        errors = {
            power: self._error(designs[power], any_day, effect) for power, effect in found.items()
        }
        costs = {power: EXPONENT_COST * (power != EXPONENTS[0]) for power in designs}
        exponent = min(
            designs,
            key=lambda power: costs[power] + float((self.weight * errors[power] ** 2).sum()),
        )
        design, effect, reaction = (
            designs[exponent],
            found[exponent],
            np.ones(int(self.series.max()) + 1),
        )
        for _ in range(REACTION_ROUNDS if len(np.unique(self.series)) > 1 else 0):
            reaction = self._reactions(design * (any_day @ effect)[self.weekday_set])
            effect = self._ridge(design * reaction[self.series], self.deviation, any_day)
        design = design * reaction[self.series]
        added = self._ridge(
            design, self._error(design, any_day, effect), weekdays
        )  # what days of the week add
        return exponent, np.column_stack([effect, added.reshape(-1, WEEKDAYS)]), reaction

    def typical(self, effect: Numbers, share: Numbers) -> Numbers:
        """[labels], the mean over the days of each label of the whole effect, of which a day has a share [days]."""
        whole = (self.matrix * effect).sum((1, 2))  # [sets]
        any_day, count = self.matrix[:, :, 0], len(self.matrix)
        total = any_day.T @ (whole * np.bincount(self.weekday_set, share, count))
        return np.asarray(
            total / np.maximum(any_day.T @ np.bincount(self.weekday_set, minlength=count), 1)
        )

    def _error(self, design: Numbers, matrix: Numbers, effect: Numbers) -> Numbers:
        return np.asarray(self.deviation - design * (matrix @ effect)[self.weekday_set])

    def _ridge(self, design: Numbers, deviation: Numbers, matrix: Numbers) -> Numbers:
        """[columns], effects of columns [sets, columns], small ones shrunk most (adaptive ridge, Grandvalet 1998)."""
        used = np.flatnonzero(matrix.any(0))
        part, effect = matrix[:, used], np.zeros(matrix.shape[1])
        gram = part.T @ (
            np.bincount(self.weekday_set, self.weight * design**2, len(matrix))[:, None] * part
        )
        moment = part.T @ np.bincount(
            self.weekday_set, self.weight * design * deviation, len(matrix)
        )
        squares = np.ones(len(used))
        for _ in range(ROUNDS if len(used) else 0):
            variance = np.maximum((squares + squares.mean()) / 2, LEAST**4)
            effect[used] = np.linalg.solve(gram + np.diag(1 / variance), moment)
            squares = effect[used] ** 2
        return np.where(np.abs(effect) > LEAST, effect, 0.0)

    def _reactions(self, predicted: Numbers) -> Numbers:
        """[series], how strongly each reacts, drawn towards 1 by what is left to chance (empirical Bayes)."""
        precision = np.bincount(self.series, self.weight * predicted**2)
        shown = precision > 0
        single = np.bincount(self.series, self.weight * predicted * self.deviation) / np.where(
            shown, precision, 1.0
        )
        excess = (precision * (single - 1) ** 2)[shown].sum() - shown.sum()
        variance = max(0.0, float(excess / max(precision.sum(), LEAST)))
        return np.where(
            shown, 1 + (single - 1) * variance * precision / (1 + variance * precision), 1.0
        )
