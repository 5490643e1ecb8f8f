"""Tell the two hours of one name apart, where clocks are put back: by the other times, or the order of the rows."""

import numpy as np

from forecast.calendar.zones import DAY, Flags, Integers

FEW = 3  # times from which on their grid is known


def told_by_grid(known: Integers, early: Integers, late: Integers) -> tuple[Flags, Flags]:
    """Find readings of which only one meaning lies on the grid of the other times, as of hours on Lord Howe.

    Parameters
    ----------
    known : instants of the readings that have one meaning
    early, late : [readings], both meanings of the others

    Returns
    -------
    settled : [readings], those of which one meaning alone lies on the grid
    later : [readings], whether that is the later one
    """
    if len(known) < FEW:
        return np.zeros(len(early), bool), np.zeros(len(early), bool)
    step = max(int(np.gcd.reduce(known - known[0])), 1)
    on_early, on_late = (early - known[0]) % step == 0, (late - known[0]) % step == 0
    return on_early != on_late, on_late


def told_by_order(series: Integers, wall: Integers, twice: Flags) -> tuple[Flags, Flags]:
    """Find rows whose readings come twice on their clock, and whose order says which is which.

    That is so where a series has such a reading in exactly two rows, and its rows of that day go forward in time (or
    backward in all), but for the hour that comes again.

    Parameters
    ----------
    series : [rows]
    wall : [rows], seconds since 1970-01-01 by the written clock
    twice : [rows], whether the clock of the zone shows the reading twice

    Returns
    -------
    settled : [rows], those that their order settles
    later : [rows], those of them that are the later of two
    """
    settled, later = np.zeros(len(wall), bool), np.zeros(len(wall), bool)
    if not twice.any():
        return settled, later
    near = np.flatnonzero(np.isin(wall // DAY, np.unique(wall[twice] // DAY)))
    near = near[np.lexsort((wall[near] // DAY, series[near]))]  # by series and day, in the order of the table
    keys = np.stack([series[near], wall[near] // DAY])
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(keys) != 0).any(axis=0)]))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(near))))
    steps = np.sign(np.diff(wall[near], append=0))
    steps[np.append(starts[1:], len(near)) - 1] = 0  # between two groups
    rises, drops = (np.bincount(group[steps == sign], minlength=len(starts)) for sign in (1, -1))
    forward, backward = (drops <= 1) & (rises > drops), (rises <= 1) & (drops > rises)
    inside = twice[near]
    rows, group = near[inside], group[inside]
    order = np.lexsort((rows, wall[rows], series[rows]))
    rows, group = rows[order], group[order]
    same = (np.diff(series[rows]) == 0) & (np.diff(wall[rows]) == 0)
    first = np.flatnonzero(same & ~np.append(False, same[:-1]) & ~np.append(same[1:], False))  # pairs, no triples
    first = first[(forward | backward)[group[first]]]
    settled[rows[first]] = settled[rows[first + 1]] = True
    later[np.where(forward[group[first]], rows[first + 1], rows[first])] = True
    return settled, later
