"""Check columns known in advance beside the last run: blanks, other scales, and moved hours."""

from dataclasses import replace

import numpy as np

from forecast.calendar.zones import DAY
from forecast.jobs.checks.check import limited
from forecast.jobs.checks.finding import Finding, usual_size
from forecast.jobs.checks.groups import groupings
from forecast.jobs.checks.tonight import Tonight
from forecast.jobs.replay import slots_in, times_text
from forecast.panel.panel import Flags, Integers, Panel, ids_at, series_index
from forecast.panel.schema import Schema

MAX_RANGE_RATIO = 2.0  # a value so many times beyond the range of its past has another scale


@limited(
    0.5,
    5.0,
    "the steps at which a known column of a group is blank or has another scale",
    is_share=False,
)
def check_known(tonight: Tonight) -> Finding | None:
    """The group with the most wrong values for each of its series, in steps.

    A value is wrong if it is blank now where the last run had it, if it lies far outside the range
    that the series had in the past of the last run, or if hours of the last run have moved to it.
    """
    panel = tonight.panel
    schema = tonight.schema
    if tonight.before is None or schema.known != tonight.before.schema.known:
        return None
    before = tonight.before.panel
    slots = slots_in(before, panel.ids, panel.starts, panel.sizes)
    series = panel.series_of_slots
    ahead = ~panel.before(panel.lengths)
    used = (panel.observed | ahead) & ~panel.skipped[series]
    position = panel.grid_positions
    largest = Finding(share=0.0)
    for column, name in enumerate(schema.known):
        new = panel.known[:, column]
        old = np.where(slots >= 0, before.known[slots, column], np.nan)
        wrong = {"blank": np.isnan(new) & ~np.isnan(old)}
        if name not in schema.categories:
            wrong["of another scale"] = _find_scale_changes(panel, before, column)
            wrong["moved by hours"] = _find_hour_shifts(panel, before, column, slots, schema)
        flags = used & np.any([*wrong.values()], axis=0)
        for grouping in groupings(panel.ids, schema):
            group = grouping.codes[series]
            members = np.bincount(grouping.codes, ~panel.skipped)
            steps = np.bincount(group, flags) / np.maximum(members, 1)
            number = int(np.argmax(steps))
            if steps[number] <= (largest.share or 0.0):
                continue
            cells = flags & (group == number)
            counts = {what: int((cells & rows).sum()) for what, rows in wrong.items()}
            said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
            where = f"{grouping.names[number]}, {times_text(position[cells], schema)}"
            largest = Finding(
                share=float(steps[number]),
                series=ids_at(panel, np.unique(series[cells])),
                text=f"values of column {name} of {where}: {said}; mend the column in the source",
            )
    return replace(largest, usual=usual_size(tonight.past, "known") or 0.0)


def _find_scale_changes(panel: Panel, before: Panel, column: int) -> Flags:
    """[slots], whether a value lies far outside the range of the past, if that was positive."""
    values = before.known[:, column]
    past = before.before(before.lengths) & np.isfinite(values)
    rank = series_index(before.ids, panel.ids)[panel.series_of_slots]
    low, high = before.extremes(values, past)
    # a column of zeros and ones has no scale, and a series of less than a horizon no range
    is_flag = np.isin(values[past], (0, 1)).all()
    low[is_flag | (before.lengths < before.ahead)] = 0.0
    low, high = (np.append(ends, np.nan)[rank] for ends in (low, high))
    new = panel.known[:, column]
    return (
        (low > 0) & (low <= high) & ((new > MAX_RANGE_RATIO * high) | (new < low / MAX_RANGE_RATIO))
    )


def _find_hour_shifts(
    panel: Panel, before: Panel, column: int, slots: Integers, schema: Schema
) -> Flags:
    """[slots], whether values are those that the last run had some hours before or after.

    Half a day of a series has to match.
    """
    moved = np.zeros(len(slots), bool)
    calendar = schema.calendar
    if calendar.kind != "seconds" or calendar.every >= DAY:
        return moved
    new = panel.known[:, column]
    old = before.known[:, column]
    rows = np.flatnonzero((slots >= 0) & (new != old[slots]))
    series = panel.series_of_slots[rows]
    half = DAY // calendar.every // 2
    for steps in range(-half, half + 1):
        there = np.clip(slots[rows] + steps, 0, len(old) - 1)
        match = new[rows] == old[there]
        enough = np.bincount(series, match, len(panel)) >= half
        moved[rows] |= match & enough[series]
    return moved
