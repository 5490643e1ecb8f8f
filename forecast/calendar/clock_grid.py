"""Infer a grid finer than a day whose times follow the clock of a zone that changes by no whole steps.

Hours on Lord Howe, where the clock changes by half an hour, lie on no grid of UTC, nor do three-hourly readings of a
clock that changes by an hour. Each lies in a period of UTC of its own all the same.
"""

from collections.abc import Callable

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, Integers, wall_clock

MAX_PHASES = 4  # different places within a step of UTC that the offsets of a zone can give


def infer_clock_grid(
    instants: Integers,
    series: Integers,
    zone: str | None,
    every: int | None,
    spec_of: Callable[[int, int], CalendarSpec],
) -> CalendarSpec | None:
    """A grid that fits all times by the clock of the zone; None if no grid fits.

    Parameters
    ----------
    instants : [rows], seconds since 1970-01-01 UTC
    series : [rows], which series each row belongs to
    every : the step in seconds where it is given, by default the most common one
    spec_of : makes a grid from step and anchor
    """
    every = _usual_step(instants, series) if every is None else every
    unique = np.unique(instants)
    if zone is None or every is None or every >= DAY or DAY % every or len(unique) < 2:
        return None
    readings = wall_clock(unique, zone) % every
    values, counts = np.unique(readings, return_counts=True)
    anchors = np.unique(unique % every)
    if not 2 <= len(anchors) <= MAX_PHASES:
        return None
    best, shortest = None, np.inf
    for anchor in anchors.tolist():
        spec = spec_of(every, anchor).model_copy(update={"phase": int(values[counts.argmax()])})
        calendar = Calendar(spec, zone)
        positions = calendar.positions(unique)
        fits = bool((np.diff(positions) > 0).all() and calendar.on_grid(unique).all())
        if fits and positions[-1] - positions[0] < shortest:
            best, shortest = spec, positions[-1] - positions[0]
    return best


def _usual_step(instants: Integers, series: Integers) -> int | None:
    """The most common step within series."""
    order = np.lexsort((instants, series))
    steps = np.diff(instants[order])[np.diff(series[order]) == 0]
    values, counts = np.unique(steps[steps > 0], return_counts=True)
    return int(values[counts.argmax()]) if len(values) else None
