"""Hours that a clock shows twice where it is put back: find them, and tell their readings apart by their rows."""

import numpy as np

from forecast.calendar.zones import DAY, Flags, Integers, timestamps_at, wall_clock
from forecast.errors import Setting

# each puts its clocks back at another time than the others
CHANGING = "Europe/Berlin", "America/New_York", "Europe/London", "Europe/Helsinki", "Australia/Sydney"


def zone_cure(repeated: Integers, zone: str | None) -> tuple[object, ...]:
    """Words that name the time zone as the cure, if clocks without `zone` show all times that repeat twice; else ()."""
    for usual in CHANGING if zone is None else ():
        late, unclear = timestamps_at(repeated, usual, "later")
        if (unclear & (wall_clock(late, usual) == repeated)).all():
            return "fit with ", Setting("timezone", usual), " or the table's own, as clocks are put back then; else "
    return ()


def resolve_by_order(series: Integers, wall: Integers, twice: Flags) -> tuple[Flags, Flags]:
    """Which rows that come `twice` on the `wall` clock are resolved, and which of them are the later reading, [rows].

    This works where a series has such a reading in exactly two rows, and its rows of that day go forward in time (or
    backward in all), but for the hour that comes again.
    """
    resolved, later = np.zeros(len(wall), bool), np.zeros(len(wall), bool)
    near = np.flatnonzero(np.isin(wall // DAY, np.unique(wall[twice] // DAY)))
    near = near[np.lexsort((wall[near] // DAY, series[near]))]  # by series and day, in the order of the table
    if not len(near):
        return resolved, later
    changed = (np.diff(np.stack([series[near], wall[near] // DAY])) != 0).any(axis=0)
    group = np.cumsum(np.append(False, changed))
    steps = np.append(np.where(changed, 0, np.sign(np.diff(wall[near]))), 0)
    rises, drops = (np.bincount(group, steps == sign) for sign in (1, -1))
    forward, backward = (drops <= 1) & (rises > drops), (rises <= 1) & (drops > rises)
    rows, group = near[twice[near]], group[twice[near]]
    order = np.lexsort((rows, wall[rows], series[rows]))
    rows, group = rows[order], group[order]
    same = (np.diff(series[rows]) == 0) & (np.diff(wall[rows]) == 0)
    first = np.flatnonzero(same & ~np.append(False, same[:-1]) & ~np.append(same[1:], False))  # pairs, no triples
    first = first[(forward | backward)[group[first]]]
    resolved[rows[first]] = resolved[rows[first + 1]] = True
    later[np.where(forward[group[first]], rows[first + 1], rows[first])] = True
    return resolved, later
