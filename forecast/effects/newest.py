"""A newest value far outside everything before it, and a new level that several values confirm."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.effects.kinds import is_likelier_ratio, median
from forecast.errors import Setting
from forecast.logs import log
from forecast.panel.panel import Integers, Numbers, Panel, series_names


@dataclass(frozen=True)
class NewestLimits:
    """When a newest value is an outlier, and when a level is new.

    They were chosen so that none of 55 single series ends with an outlier, at three origins each.
    """

    # an outlier lies this many times as far from what came before it as any earlier value did
    times: float = 3.0
    values: int = 20  # fewer values do not show how far is far
    # a level is new if at least this many values confirm it, the first and the last of them too, and
    # if it has moved `level_times` as far as over any earlier stretch of so many steps, of which
    # there must be `blocks`
    confirming: int = 3
    level_times: float = 2.0
    blocks: int = 5
    steps: int = 7  # levels are means over so many, or over a season
    # before it, the values held a level: changes over a season were at most this multiple of their
    # own changes from step to step; those of a random walk are more
    held: float = 1.5
    compared: int = 200  # newest steps that tell a new level, or more where seasons are long


NEWEST_LIMITS = NewestLimits()


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
    return [
        series
        for series in np.flatnonzero(ends >= NEWEST_LIMITS.values).tolist()
        if _ends_with_outlier(_past(panel, series, ends), season)
    ]


def _ends_with_outlier(past: Numbers, season: int) -> bool:
    """Whether the last of some values is an outlier; missing values are NaN."""
    position = np.flatnonzero(np.isfinite(past))
    if len(position) < NEWEST_LIMITS.values or np.isnan(past[-1]):
        return False
    distance = np.abs(np.diff(past[position]))
    if season > 1:
        before = position[1:] - season
        changes = past[position[1:]] - past[np.maximum(before, 0)]
        seasonal = np.where(before >= 0, changes, np.nan)
        distance = np.fmin(distance, np.abs(seasonal))
    farthest = distance[:-1].max()
    return bool(0 < NEWEST_LIMITS.times * farthest < distance[-1])


def new_levels(panel: Panel, season: int, ends: Integers) -> list[NewLevel]:
    """The new levels of series before position `ends` [series].

    Where the level has moved, the changes over a season that follow lie at the same distance from
    all others, on average over as many steps as a season has, or as have come since.
    """
    span = _span(season)
    levels = []
    for series in np.flatnonzero(ends >= (NEWEST_LIMITS.blocks + 1) * span).tolist():
        past = _past(panel, series, ends)[-steps_compared(season) :]
        values = past if (past <= 0).any() else np.log(past)
        change = np.nan_to_num(_beyond(values, span))
        since = _steps_since(change, span)
        if since:
            levels.append(_new_level(series, past, since, span))
    return levels


def steps_compared(season: int) -> int:
    """How many of the newest steps tell a new level."""
    return max(NEWEST_LIMITS.compared, (NEWEST_LIMITS.blocks + 1) * _span(season))


def _span(season: int) -> int:
    """The steps over which levels are compared, a whole number of seasons."""
    return season * -(-NEWEST_LIMITS.steps // season)


def _steps_since(change: Numbers, span: int) -> int:
    """How many steps ago the level of a series has moved, 0 if it has not.

    `change` [steps] are changes over `span` steps, less their median; 0 where a value is missing.
    """
    steps = len(change)
    sums = np.append(0.0, change.cumsum())
    # mean changes over `width` steps before `end`, [widths, ends]
    width = np.arange(NEWEST_LIMITS.confirming, span + 1)[:, None]
    end = np.arange(steps + 1)
    first = np.maximum(end - width, 0)
    means = np.abs(sums[end] - sums[first]) / width
    ends = np.full_like(width, steps)
    ends[-1] = means[-1].argmax()
    others = np.where(np.abs(end - ends) < width, 0.0, means)
    moved = np.take_along_axis(means, ends, 1)
    is_new = moved > NEWEST_LIMITS.level_times * others.max(1, keepdims=True)
    is_new &= ends > NEWEST_LIMITS.blocks * width
    best = (is_new * moved * width**0.5).argmax()
    place = int(ends[best, 0] - width[best, 0])
    older = change[:place]
    held = np.abs(older).sum() < NEWEST_LIMITS.held * np.abs(np.diff(older)).sum()
    # the first and the last values at a new level have moved to it, and none before
    few = NEWEST_LIMITS.confirming
    starts = place, ends[best, 0] - few, place - few
    # medians, as one value far from the others is no level
    start, last, before = (np.median(change[start : start + few]) for start in starts)
    half = moved[best, 0] / 2
    side = np.sign(start)
    held &= min(side * start, side * last) > half > side * before
    return steps - place if held and is_new[best, 0] else 0


def _new_level(series: int, past: Numbers, since: int, span: int) -> NewLevel:
    """The level that the newest values of a past have reached; missing values are NaN."""
    first = len(past) - since
    level = slice(first - span, first)  # the changes that the new level makes
    beyond = _beyond(past, span)
    added = np.asarray(np.nanmean(beyond[level]))
    if np.nanmin(past) > 0:
        factor = np.exp(np.nanmean(_beyond(np.log(past), span)[level]))
        after = past[first:][:span]
        usual = after - beyond[level]
        noise = np.abs(beyond[: first - span])
        is_factor = is_likelier_ratio(noise, usual, after, factor, added)
        if is_factor or np.nanmin(past[:first]) + added <= 0:
            return NewLevel(series, since, factor, 0.0)
    return NewLevel(series, since, 1.0, float(added))


def _beyond(past: Numbers, span: int) -> Numbers:
    """Changes over `span` steps, less their median."""
    change = past[span:] - past[:-span]
    return change - median(change)


def remove_newest_outliers(panel: Panel, season: int, ends: Integers) -> Panel:
    series = newest_outliers(panel, season, ends)
    if not series:
        return panel
    observed = panel.observed.copy()
    observed[panel.offsets[series] + ends[series] - 1] = False
    return replace(panel, observed=observed)


def find_new_levels(panel: Panel, season: int, ends: Integers) -> tuple[Numbers, Numbers] | None:
    """What turns values at new levels into those before them: a factor and a summand, [slots].

    None without new levels.
    """
    levels = new_levels(panel, season, ends)
    if not levels:
        return None
    factor = np.ones(len(panel.values))
    shift = np.zeros(len(panel.values))
    for level in levels:
        first = panel.offsets[level.series]
        before = slice(first, first + ends[level.series] - level.confirming)
        factor[before] = 1 / level.factor
        shift[before] = -level.shift / level.factor
    return factor, shift


def _past(panel: Panel, series: int, ends: Integers) -> Numbers:
    """The values of a series before its end, NaN where missing."""
    first = panel.offsets[series]
    past = slice(first, first + ends[series])
    return np.where(panel.observed[past], panel.values[past], np.nan)


def warn_of_newest(panel: Panel, season: int, name: str) -> None:
    """Warn of newest values that do not count yet, and of new levels; the panel is without effects."""
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
    # older moves were warned of while they were new
    levels = [level for level in levels if level.confirming <= _span(season)]
    if levels:
        log.warning(
            "%s: the newest values of %d series (%s) lie at a new level; forecasts count the "
            "values before as if they had been moved to it",
            name,
            len(levels),
            series_names([panel.ids[level.series] for level in levels]),
        )
