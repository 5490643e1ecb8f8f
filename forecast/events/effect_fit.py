"""Estimate what events do to values, from the past of a panel only.

A day is compared with the same day of the nearest weeks without events, or with the same events where each such day
has them. What all days with a label have in common is its effect: a weighted regression on labels, since a day may have
several.
"""

from dataclasses import replace

import numpy as np

from forecast.events.effects import WEEKDAYS, Effects
from forecast.events.event_days import (
    Past,
    compared_days,
    correlation_of,
    noise_of,
    ordinary_deviation,
    steps_of_week,
    weekly_profile,
)
from forecast.events.event_regression import EXPONENTS, LabelSets, Regression
from forecast.events.marks import FAR, mark
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema

HALF_LIFE = 260.0  # weeks after which what an event did counts half; tuned as those of `event_days`


def fit_effects(panel: Panel, schema: Schema, before: Integers, fixed: Numbers | None = None) -> Effects:
    """Estimate what events do to values; nothing in closed slots.

    Parameters
    ----------
    before : [series], slots of each series that may be used
    fixed : [slots], the values of closed slots, see `fixed_values`
    """
    marks = mark(panel, schema)
    closed = np.zeros(len(panel.values), bool) if fixed is None else np.isfinite(fixed)
    came = Past.of(panel, marks, before).seen
    past = Past.of(replace(panel, observed=panel.observed & ~closed), marks, before)
    profile = weekly_profile(past, marks.weekday, len(panel))
    signed = np.minimum.reduceat(np.where(past.seen, past.values, np.inf), past.offsets[:-1]) < 0
    unit = np.where(signed, ordinary_deviation(past, len(panel)), 0.0)
    week, touched = steps_of_week(schema), np.unique(marks.slot)
    days = compared_days(past, touched[past.seen[touched]], marks, week, unit)
    # the same days two weeks earlier tell how much ordinary days vary
    earlier = touched - 2 * week
    earlier = earlier[earlier >= past.offsets[past.series[touched]]]
    ordinary = compared_days(past, earlier[past.free[earlier]], marks, week, unit)
    noise = noise_of(ordinary, len(panel))
    age = (days.key.max(initial=0) - days.key) / min(week, WEEKDAYS)  # in weeks
    recency = 0.5 ** (age / HALF_LIFE)
    fit = Regression(days, LabelSets.of(days, marks), noise[days.series], recency, correlation_of(ordinary, noise))
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
    seen = np.isin(marks.slot, days.slot) | (came & closed)[marks.slot]
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
