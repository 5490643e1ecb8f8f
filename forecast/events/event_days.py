"""Days that events touch, compared with the same days of the weeks around them."""

from dataclasses import dataclass, fields

import numpy as np

from forecast.calendar.zones import WEEK
from forecast.events.effects import WEEKDAYS
from forecast.events.marks import FAR, Marks
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema

# tuned on births in the United States before 2013; none matters much
EACH_SIDE, REACH = 3, 10  # weeks to each side that a day is compared with, and weeks among which they are looked for
AROUND_WEEKS = 4  # to each side, whose mean is the level
PRIOR_DAYS = 10  # days of all series that stand for what a short one does not show
LEAST_CORRELATION = 0.02  # of how two series deviate on one day
LEAST_NOISE = 1e-3  # share of the level
PROFILES = 0.1, 10.0  # bounds of the profile of a week


@dataclass(frozen=True)
class Past:
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
    def of(cls, panel: Panel, marks: Marks, before: Integers) -> "Past":
        series = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
        seen = panel.observed & (np.arange(len(series)) - panel.offsets[series] < before[series])
        free = seen.copy()
        free[marks.slot] = False
        size = np.maximum.reduceat(np.where(seen, np.abs(panel.values), 0.0), panel.offsets[:-1])
        size = np.where(size > 0, size, 1.0)
        return cls(size, np.where(seen, panel.values / size[series], 0.0), series, panel.offsets, seen, free)


@dataclass(frozen=True)
class Days:
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

    def select(self, days: Flags) -> "Days":
        """Some of the days."""
        return Days(*(getattr(self, field.name)[days] for field in fields(self)))


def steps_of_week(schema: Schema) -> int:
    """Steps of the grid in a week; five where only working days count."""
    spec = schema.calendar
    return len(spec.weekdays) if spec.kind == "weekdays" else max(1, round(WEEK / spec.every))


def weekly_profile(past: Past, weekday: Integers, count: int) -> Numbers:
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


def ordinary_deviation(past: Past, count: int) -> Numbers:
    """[series], the standard deviation of ordinary values."""
    series, values = past.series[past.free], past.values[past.free]
    seen = np.maximum(np.bincount(series, minlength=count), 1)
    mean = np.bincount(series, values, count) / seen
    return np.asarray(np.sqrt(np.bincount(series, (values - mean[series]) ** 2, count) / seen))


def compared_days(past: Past, slots: Integers, marks: Marks, week: int, unit: Numbers) -> Days:
    """Days of series, compared with what is expected of them; those that cannot be compared are left out."""
    expected, level = _expected(past, slots, week, np.where(past.free, 0, -1), np.zeros(len(slots), np.int64))
    kinds = marks.kinds
    rest = ~np.isin(kinds[slots], kinds[slots[np.isfinite(expected)]])  # each such day has the same events
    if rest.any():
        expected[rest] = _expected(past, slots[rest], week, np.where(past.seen, kinds, -1), kinds[slots[rest]])[0]
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
    return Days(series[first], marks.key[slot], marks.weekday[slot], slot, deviation, mean(expected) / mean(level))


def _expected(past: Past, slots: Integers, week: int, kinds: Integers, kind: Integers) -> tuple[Numbers, Numbers]:
    """What slots would have without events, and the level around them, [slots] twice; NaN where nothing tells.

    The first is the mean of the same day and hour in the weeks around, without the smallest and the largest of four or
    more.

    Parameters
    ----------
    kinds, kind : [slots of the past] and [slots], those that have the same number are compared
    """
    low, high = past.offsets[past.series[slots]], past.offsets[past.series[slots] + 1]
    total, count = np.zeros(len(slots)), np.zeros(len(slots))
    least, most = np.full(len(slots), np.inf), np.full(len(slots), -np.inf)
    for side in (-1, 1):
        found = np.zeros(len(slots))
        for weeks in range(1, REACH + 1):
            near = slots + side * weeks * week
            near = np.where((near >= low) & (near < high) & (found < EACH_SIDE), near, -1)
            used = (near >= 0) & (kinds[near] == kind)
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


def noise_of(ordinary: Days, count: int) -> Numbers:
    """[series], standard deviation of ordinary days; that of few days is drawn towards that of all series."""
    size = np.abs(ordinary.deviation)
    pooled = float(size.mean()) if len(size) else 1.0
    sums, days = np.bincount(ordinary.series, size, count), np.bincount(ordinary.series, minlength=count)
    mean = (sums + PRIOR_DAYS * pooled) / (days + PRIOR_DAYS)
    return np.asarray(np.maximum(np.sqrt(np.pi / 2) * mean, LEAST_NOISE))


def correlation_of(ordinary: Days, noise: Numbers) -> float:
    """The correlation of two series on ordinary days, from the products of all pairs of a day."""
    scaled = np.clip(ordinary.deviation / noise[ordinary.series], -3, 3)
    _, day, count = np.unique(ordinary.key, return_inverse=True, return_counts=True)
    sums, squares = (np.bincount(day, values, len(count)) for values in (scaled, scaled**2))
    pairs = float((count * (count - 1.0)).sum())
    return float(np.clip((sums**2 - squares).sum() / pairs, LEAST_CORRELATION, 1)) if pairs else 1.0
