"""A newest value far outside everything before it, and a new level that several values confirm."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import Setting
from forecast.events.effects import Adjustment
from forecast.events.kinds import is_likelier_ratio, without_shifts
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema


@dataclass(frozen=True)
class NewestLimits:
    """When a newest value is an outlier, and when a level is new.

    They were chosen so that none of 55 single series ends with an outlier, at three origins each.
    """

    # an outlier lies this many times as far from what came before it as any earlier value did
    times: float = 3.0
    values: int = 20  # fewer values do not show how far is far
    # a level is new if at least this many newest values, but less than a season, lie on one side of
    # those a season before, and `level_times` as far from them as any older value did
    confirming: int = 3
    level_times: float = 1.5


LIMITS = NewestLimits()


@dataclass(frozen=True)
class NewLevel:
    series: int
    confirming: int  # number of newest values at the new level
    factor: float  # by which the level has changed, 1 where the change is additive
    shift: float  # what was added to the level, 0 where it has changed by a factor


def newest_outliers(panel: Panel, season: int, ends: Integers) -> list[int]:
    """The series whose newest value before position `ends` [series] is an outlier.

    The distance of a value is that to the value before it or a season before it, whichever is
    nearer. So a new level is an outlier until the next value confirms it.
    """
    series = np.flatnonzero(ends >= LIMITS.values)
    slots = _newest_slots(panel, series, ends, LIMITS.values)
    seen = panel.observed[slots]
    both = seen[:, 1:] & seen[:, :-1]
    distance = np.abs(np.diff(panel.values[slots], axis=1))
    farthest = np.max(distance[:, :-1], 1, where=both[:, :-1], initial=0.0)
    newest = np.where(both[:, -1], distance[:, -1], np.inf)
    # this rules nearly all series out
    is_far = newest > LIMITS.times * farthest
    candidates = series[seen[:, -1] & is_far]
    return [int(i) for i in candidates if _ends_with_outlier(_past(panel, i, ends), season)]


def _ends_with_outlier(past: Numbers, season: int) -> bool:
    """Whether the last of some values is an outlier; missing values are NaN."""
    position = np.flatnonzero(np.isfinite(past))
    if len(position) < LIMITS.values:
        return False
    distance = np.abs(np.diff(past[position]))
    if season > 1:
        before = position[1:] - season
        changes = past[position[1:]] - past[before]
        seasonal = np.where(before >= 0, changes, np.nan)
        distance = np.fmin(distance, np.abs(seasonal))
    farthest = distance[:-1].max()
    return bool(0 < LIMITS.times * farthest < distance[-1])


def new_levels(panel: Panel, season: int, ends: Integers) -> list[NewLevel]:
    """The new levels of series before position `ends` [series]."""
    series = np.flatnonzero(ends >= 3 * season + LIMITS.values)
    if season <= LIMITS.confirming or not len(series):
        return []
    slots = _newest_slots(panel, series, ends, 2 * season)
    changes = panel.values[slots] - panel.values[slots - season]
    older = changes[:, :season]
    usual = older.mean(1, keepdims=True)
    farthest = np.abs(older - usual).max(1, keepdims=True)
    newest = np.abs(changes[:, -LIMITS.confirming :] - usual)
    # this rules nearly all series out
    candidates = series[(newest > farthest).all(1)]
    levels = [_new_level(int(i), _past(panel, i, ends), season) for i in candidates]
    return [level for level in levels if level is not None]


def _new_level(series: int, past: Numbers, season: int) -> NewLevel | None:
    """The level that the newest of some values have reached; missing values are NaN."""
    is_above_zero = bool(np.nanmin(past) > 0)
    values = np.log(past) if is_above_zero else past
    change = values[season:] - values[:-season]
    older = change[:-season]
    older = older[np.isfinite(older)]
    if len(older) < LIMITS.values:
        return None
    usual_change = older.mean()
    beyond = change - usual_change
    farthest = np.abs(older - usual_change).max()
    newest = beyond[:-season:-1]  # less than a season, the newest first
    is_new = np.abs(newest) > LIMITS.level_times * farthest
    is_new &= np.sign(newest) == np.sign(newest[0])
    if farthest == 0 or is_new.all():
        return None
    confirming = int(is_new.argmin())
    if confirming < LIMITS.confirming:
        return None
    moved = newest[:confirming].mean()
    if not is_above_zero:
        return NewLevel(series, confirming, 1.0, moved)
    factor = np.exp(moved)
    beyond = past[season:] - past[:-season]
    beyond -= np.nanmean(beyond[:-season])
    noise = np.abs(beyond[:-season])
    after = past[-confirming:]
    usual = after - beyond[-confirming:]
    added = beyond[-confirming:].mean()
    is_factor = is_likelier_ratio(noise, usual, after, factor, added)
    if is_factor or np.nanmin(past[:-confirming]) + added <= 0:
        return NewLevel(series, confirming, factor, 0.0)
    return NewLevel(series, confirming, 1.0, added)


def without_newest_outliers(panel: Panel, season: int, ends: Integers) -> Panel:
    series = newest_outliers(panel, season, ends)
    if not series:
        return panel
    observed = panel.observed.copy()
    observed[panel.offsets[series] + ends[series] - 1] = False
    return replace(panel, observed=observed)


def at_new_levels(
    panel: Panel, adjustment: Adjustment | None, season: int, ends: Integers
) -> tuple[Panel, Adjustment | None]:
    """Move the values before new levels to these, and let the adjustment put them back.

    `adjustment` has led to the values of the panel.
    """
    levels = new_levels(panel, season, ends)
    if not levels:
        return panel, adjustment
    size = len(panel.values)
    if adjustment is None:
        adjustment = Adjustment(np.ones(size), np.zeros(size), np.ones(size, bool))
    factor = adjustment.factor.copy()
    shift = adjustment.shift.copy()
    values = panel.values.copy()
    for level in levels:
        first = panel.offsets[level.series]
        end = first + ends[level.series] - level.confirming
        before = slice(first, end)
        at_level = values[before] * level.factor + level.shift
        values[before] = np.where(panel.observed[before], at_level, 0.0)
        # value = factor * (moved - shift of the level) / factor of the level + shift
        factor[before] /= level.factor
        shift[before] -= factor[before] * level.shift
    moved = replace(adjustment, factor=factor, shift=shift)
    return replace(panel, values=values), moved


def _newest_slots(panel: Panel, series: Integers, ends: Integers, count: int) -> Integers:
    """The slots of the newest values of some series, [series, count], the newest last."""
    end = panel.offsets[series] + ends[series]
    return end[:, None] - np.arange(count, 0, -1)


def _past(panel: Panel, series: int, ends: Integers) -> Numbers:
    """The values of a series before its end, NaN where missing."""
    first = panel.offsets[series]
    past = slice(first, first + ends[series])
    return np.where(panel.observed[past], panel.values[past], np.nan)


def warn_of_newest(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of newest values that do not count yet, and of new levels."""
    season = schema.shortest_season
    panel = without_shifts(panel, schema)
    outliers = newest_outliers(panel, season, panel.lengths)
    if outliers:
        log.warning(
            "%s: the newest value of %d series (%s) lies far outside all values before it; it "
            "counts once a second value confirms it, or where %s declares a level_shift",
            name,
            len(outliers),
            series_names([panel.ids[number] for number in outliers]),
            Setting("events"),
        )
    levels = new_levels(panel, season, panel.lengths)
    if levels:
        log.warning(
            "%s: the newest values of %d series (%s) lie at a new level; forecasts count the "
            "values before as if they had been moved to it",
            name,
            len(levels),
            series_names([panel.ids[level.series] for level in levels]),
        )
