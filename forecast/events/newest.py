"""A newest value far outside everything before it, and a new level that several values confirm."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema


@dataclass(frozen=True)
class NewestLimits:
    """When a newest value is an outlier; chosen so that none of 55 single series has one."""

    # it lies this many times as far from what came before it as any earlier value did
    times: float = 3.0
    values: int = 20  # fewer values do not show how far is far
    # a level is new if at least so many newest values, but less than a season, lie this many times
    # as far from those a season before, on one side, as any older value did
    confirming: int = 3
    level_times: float = 1.5


LIMITS = NewestLimits()


def newest_outliers(panel: Panel, season: int) -> Integers:
    """Indices of the series whose newest value is an outlier.

    The distance of a value is that to the value before it or a season before it, whichever is
    nearer. So a new level is an outlier until the next value confirms it.
    """
    candidates = _may_have_outlier(panel)
    panel = panel.select(candidates)
    slots = np.flatnonzero(panel.observed & panel.before(panel.lengths))
    values = panel.values[slots]
    series = panel.series_of_slots[slots]
    is_first = np.diff(series, prepend=-1) != 0
    distance = np.abs(np.diff(values, prepend=np.nan))
    before = slots - season
    has_season = (before >= panel.offsets[series]) & panel.observed[before]
    seasonal = np.abs(values - panel.values[before])
    distance = np.where(has_season & (season > 1), np.fmin(distance, seasonal), distance)
    distance[is_first] = 0.0

    newest = np.flatnonzero(np.append(is_first[1:], True)[: len(slots)])
    older = np.delete(np.arange(len(slots)), newest)
    farthest = np.zeros(len(panel))
    np.maximum.at(farthest, series[older], distance[older])
    count = np.bincount(series, minlength=len(panel))
    shows_far = (farthest > 0) & (count >= LIMITS.values)
    is_far = distance[newest] > LIMITS.times * farthest
    return np.asarray(candidates[shows_far & is_far])


def _may_have_outlier(panel: Panel) -> Integers:
    """Indices of series whose newest value is far from the one before it, beside a few older ones.

    This is quick, and rules nearly all series out.
    """
    series = np.flatnonzero(panel.lengths >= LIMITS.values)
    end = panel.offsets[series] + panel.lengths[series]
    slots = end[:, None] - np.arange(LIMITS.values, 0, -1)
    seen = panel.observed[slots]
    both = seen[:, 1:] & seen[:, :-1]
    distance = np.abs(np.diff(panel.values[slots], axis=1))
    farthest = np.max(distance[:, :-1], 1, where=both[:, :-1], initial=0.0)
    newest = np.where(both[:, -1], distance[:, -1], np.inf)
    is_far = seen[:, -1] & (newest > LIMITS.times * farthest)
    return np.asarray(series[is_far])


def without_newest_outliers(panel: Panel, season: int) -> Panel:
    series = newest_outliers(panel, season)
    if not len(series):
        return panel
    observed = panel.observed.copy()
    observed[panel.offsets[series] + panel.lengths[series] - 1] = False
    return replace(panel, observed=observed)


def newest_levels(panel: Panel, season: int) -> tuple[Integers, Numbers]:
    """How many newest values are at a new level, 0 for none, and the change of level, [series].

    The change is that of the logarithms in series whose values are all above 0. It is measured
    between values a season apart, less what such values usually differ by.
    """
    if not len(panel):
        return np.zeros(0, np.int64), np.zeros(0)
    past = panel.observed & panel.before(panel.lengths)
    series = panel.series_of_slots
    lowest = np.full(len(panel), np.inf)
    np.minimum.at(lowest, series[past], panel.values[past])
    above_zero = (lowest > 0)[series] & past
    values = np.log(panel.values, where=above_zero, out=panel.values.astype(np.float64))

    slots = np.flatnonzero(past)
    before = slots - season
    paired = (before >= panel.offsets[series[slots]]) & past[before]
    change = np.full(len(past), np.nan)
    change[slots[paired]] = values[slots[paired]] - values[before[paired]]
    end = panel.offsets[:-1] + panel.lengths
    older = np.isfinite(change) & (np.arange(len(change)) < (end - season)[series])
    count = np.bincount(series[older], minlength=len(panel))
    usual = np.bincount(series[older], change[older], len(panel)) / np.maximum(count, 1)
    beyond = change - usual[series]
    farthest = np.zeros(len(panel))
    np.maximum.at(farthest, series[older], np.abs(beyond[older]))
    limit = np.where((count >= LIMITS.values) & (farthest > 0), farthest, np.inf)

    confirming = np.zeros(len(panel), np.int64)
    total = np.zeros(len(panel))
    side = np.zeros(len(panel))
    for back in range(1, season):
        newest = beyond[np.maximum(end - back, 0)]
        is_new = (np.abs(newest) > LIMITS.level_times * limit) & (confirming == back - 1)
        is_new &= (back == 1) | (np.sign(newest) == side)
        side = np.where(is_new, np.sign(newest), side)
        confirming += is_new
        total += np.where(is_new, newest, 0.0)
    confirming[(confirming < LIMITS.confirming) | (confirming == season - 1)] = 0
    return confirming, np.where(confirming > 0, total / np.maximum(confirming, 1), 0.0)


def at_newest_level(panel: Panel, season: int) -> Panel:
    """The panel, whose values before a new level are moved to it."""
    series = _may_have_new_level(panel, season)
    confirming, change = newest_levels(panel.select(series), season)
    if not confirming.any():
        return panel
    values = panel.values.copy()
    for number in np.flatnonzero(confirming):
        slots = panel.slots(series[number])
        end = slots.start + panel.lengths[series[number]] - confirming[number]
        before = slice(slots.start, end)
        is_above_zero = panel.values[slots][panel.observed[slots]].min() > 0
        moved = values[before] + change[number]
        if is_above_zero:
            moved = values[before] * np.exp(change[number])
        values[before] = np.where(panel.observed[before], moved, values[before])
    return replace(panel, values=values)


def _may_have_new_level(panel: Panel, season: int) -> Integers:
    """Indices of series whose newest changes over a season all exceed those of a season before.

    This is quick, and rules nearly all series out.
    """
    long_enough = panel.lengths >= 3 * season + LIMITS.values
    if season <= LIMITS.confirming or not long_enough.any():
        return np.zeros(0, np.int64)
    series = np.flatnonzero(long_enough)
    end = panel.offsets[series] + panel.lengths[series]
    slots = end[:, None] - np.arange(2 * season, 0, -1)
    changes = panel.values[slots] - panel.values[slots - season]  # [series, 2 * season]
    older = changes[:, :season]
    usual = older.mean(1, keepdims=True)
    farthest = np.abs(older - usual).max(1, keepdims=True)
    newest = np.abs(changes[:, -LIMITS.confirming :] - usual)
    is_beyond = (newest > farthest).all(1)
    return np.asarray(series[is_beyond])


def warn_of_newest(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of newest values that do not count yet, and of new levels."""
    season = schema.shortest_season
    outliers = newest_outliers(panel, season)
    if len(outliers):
        ids = [panel.ids[number] for number in outliers]
        log.warning(
            "%s: the newest value of %d series (%s) lies far outside all values before it; it "
            "counts once a second value confirms it",
            name,
            len(ids),
            series_names(ids),
        )
    series = _may_have_new_level(panel, season)
    confirming, _ = newest_levels(panel.select(series), season)
    if confirming.any():
        ids = [panel.ids[number] for number in series[confirming > 0]]
        log.warning(
            "%s: the newest values of %d series (%s) lie at a new level; forecasts count the "
            "values before as if they had been moved to it",
            name,
            len(ids),
            series_names(ids),
        )
