"""A newest value far outside everything before it, which counts once a second value confirms it."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Flags, Panel
from forecast.panel.schema import Schema


@dataclass(frozen=True)
class NewestLimits:
    """When a newest value is an outlier; chosen so that none of 55 single series has one."""

    # it lies this many times as far from what came before it as any earlier value did
    times: float = 3.0
    values: int = 20  # fewer values do not show how far is far


LIMITS = NewestLimits()


def newest_outliers(panel: Panel, season: int) -> Flags:
    """[slots], whether a slot holds the newest value of its series, and this is an outlier.

    The distance of a value is that to the value before it or a season before it, whichever is
    nearer. So a new level is an outlier until the next value confirms it.
    """
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

    is_newest = np.append(is_first[1:], True)[: len(slots)]
    farthest = np.zeros(len(panel))
    np.maximum.at(farthest, series, np.where(is_newest, 0.0, distance))
    count = np.bincount(series, minlength=len(panel))
    is_far = distance > LIMITS.times * farthest[series]
    shows_far = (farthest > 0) & (count >= LIMITS.values)
    outliers = np.zeros(len(panel.values), bool)
    outliers[slots[is_newest & is_far & shows_far[series]]] = True
    return outliers


def without_newest_outliers(panel: Panel, season: int) -> Panel:
    outliers = newest_outliers(panel, season)
    return replace(panel, observed=panel.observed & ~outliers) if outliers.any() else panel


def warn_of_newest_outliers(panel: Panel, schema: Schema, name: str) -> None:
    outliers = np.flatnonzero(newest_outliers(panel, schema.shortest_season))
    if len(outliers):
        ids = [panel.ids[series] for series in panel.series_of_slots[outliers]]
        log.warning(
            "%s: the newest value of %d series (%s) lies far outside all values before it; it "
            "counts once a second value confirms it",
            name,
            len(ids),
            series_names(ids),
        )
