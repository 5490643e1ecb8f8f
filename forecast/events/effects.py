"""What events do to values: taken out of the past before any model sees it, and put back into forecasts."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.events.marks import mark
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema

WEEKDAYS = 7
HIDDEN = 0.2  # a day on which less than this share is left says nothing of ordinary days
CLOSED = 0.02  # where so little is left, nothing is
LARGEST_FACTOR = 20.0
NAMED = 4  # effects that a line names


@dataclass(frozen=True)
class Effects:
    """What events do to values.

    On a relative scale a day has the ordinary value times 1 + reaction * effect * profile^exponent. Series that hold
    values below 0 have an additive scale: the ordinary value plus reaction * effect * unit.

    Attributes
    ----------
    labels : the events, their eves and the days after them that the past has shown
    days : [labels], on how many days it did
    effect : [2, labels, 8], relative and additive; first for any day, then what each day of the week adds, Monday first
    typical : [2, labels], mean of the whole effect over those days, all labels of the day together
    exponent : 0 where effects grow with the value, -1 where they do not, above 0 where they fall on busy days
    profile : [series + 1, 7], mean of each day of the week over that of all; row 0 is for a series not in the fit
    unit : [series + 1], 0 on the relative scale, else the deviation of the values
    reaction : [series + 1], how strongly each series reacts, 1 as all do
    """

    labels: tuple[str, ...]
    days: Integers
    effect: Numbers
    typical: Numbers
    exponent: int
    profile: Numbers
    unit: Numbers
    reaction: Numbers


@dataclass(frozen=True)
class Adjustment:
    """How events move the values of a panel: value = factor * ordinary value + shift; closed slots have one value.

    Attributes
    ----------
    factor, shift : [slots]
    fixed : [slots], the value of closed slots, NaN for others; None where none is
    """

    factor: Numbers
    shift: Numbers
    fixed: Numbers | None = None

    def removed(self, panel: Panel) -> Panel:
        """The panel with ordinary values; in closed slots, and where events leave hardly anything, they are unknown."""
        known = self.factor >= HIDDEN
        if self.fixed is not None:
            known &= np.isnan(self.fixed)
        observed = panel.observed & known
        values = (panel.values - self.shift) / np.where(known, self.factor, 1.0)
        return replace(panel, values=np.where(observed, values, 0.0), observed=observed)

    def put_back(self, values: Numbers, slot: Integers) -> Numbers:
        """What events make of ordinary values, [windows, horizon, ...], in their slots, [windows, horizon]."""
        shape = (*slot.shape, *(1,) * (values.ndim - slot.ndim))
        moved = np.asarray(values * self.factor[slot].reshape(shape) + self.shift[slot].reshape(shape))
        if self.fixed is None:
            return moved
        fixed = self.fixed[slot].reshape(shape)
        return np.where(np.isnan(fixed), moved, fixed)


def adjustment(panel: Panel, schema: Schema, effects: Effects, series_index: Integers) -> Adjustment:
    """What the events of a schema do to a panel.

    Parameters
    ----------
    series_index : [series], see the function `series_index`
    """
    marks = mark(panel, schema)
    place = {label: number for number, label in enumerate(effects.labels)}
    label = np.array([place.get(label, -1) for label in marks.labels], np.int64)[marks.label]
    slot, label = marks.slot[label >= 0], label[label >= 0]
    row = np.repeat(series_index, np.diff(panel.offsets))
    unit, kind = effects.unit[row], (effects.unit[row] > 0).astype(np.int64)
    of_label = effects.effect[kind[slot], label]
    amount = of_label[:, 0] + of_label[np.arange(len(slot)), 1 + marks.weekday[slot]]
    total = np.bincount(slot, amount, len(row)) * effects.reaction[row]
    factor = np.clip(1 + total * effects.profile[row, marks.weekday] ** effects.exponent, 0, LARGEST_FACTOR)
    factor = np.where(kind == 1, 1.0, np.where(factor < CLOSED, 0.0, factor))
    return Adjustment(factor, total * unit)


def ordinary_panel(
    panel: Panel, schema: Schema, effects: Effects | None, series_index: Integers, fixed: Numbers | None = None
) -> tuple[Panel, Adjustment | None]:
    """A panel with ordinary values, and what events do to it; they do nothing to closed slots.

    Parameters
    ----------
    fixed : [slots], see `fixed_values`
    """
    if effects is None and fixed is None:
        return panel, None
    slots = len(panel.values)
    moved = Adjustment(np.ones(slots), np.zeros(slots))
    if effects is not None:
        moved = adjustment(panel, schema, effects, series_index)
    if fixed is not None:
        free = np.isnan(fixed)
        moved = Adjustment(np.where(free, moved.factor, 1.0), np.where(free, moved.shift, 0.0), fixed)
    return moved.removed(panel), moved


def describe_effects(effects: Effects) -> str:
    """The strongest effects in percent; in deviations of the values on the additive scale."""
    kind = int((effects.unit[1:] > 0).all())
    size = effects.typical[kind]
    order = [place for place in np.argsort(-np.abs(size), kind="stable") if round(abs(size[place]), 3) > 0]
    if not order:
        return "no effect beyond chance"
    per, unit = (1.0, " deviations") if kind else (100.0, " %")
    digits = 1 if kind else 0
    named = [f"{effects.labels[place]} {per * size[place]:+.{digits}f}{unit}" for place in order[:NAMED]]
    more = f", and {len(order) - NAMED} more" if len(order) > NAMED else ""
    return ", ".join(named) + more


def unseen_events(panel: Panel, schema: Schema, effects: Effects) -> list[str]:
    """Events in the future of a panel that the past of the fit has not shown, in the order of their names."""
    marks = mark(panel.tail(1), schema)
    future = {marks.labels[number] for number in np.unique(marks.label[marks.slot % (1 + panel.ahead) > 0])}
    return sorted((future & set(marks.names)) - set(effects.labels))
