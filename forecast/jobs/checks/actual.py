"""Check the newest values of a table before a job publishes what follows from them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from forecast.jobs.checks.age import age_text, duration_text
from forecast.jobs.checks.check import limited
from forecast.jobs.checks.finding import Finding, usual_size
from forecast.jobs.checks.groups import groupings
from forecast.jobs.checks.tonight import MIN_VALUES, Tonight
from forecast.jobs.replay import slots_in, times_text
from forecast.panel.events import closed_now
from forecast.panel.panel import (
    SERIES_NAMED,
    Integers,
    Numbers,
    Panel,
    first_names,
    ids_at,
    series_index,
    series_names,
)
from forecast.panel.schema import Schema, position_texts

FEW_COPIES = 100  # in smaller panels, copies are counted as a share of so many series
FEW_NEW = 25  # in smaller panels, new series are counted as a share of so many series
GAP_STEPS = 60  # newest steps of the past that show which gaps are usual in a group
REVISED = 0.05  # a run's newest values were wrong if more than this share was revised since


@limited(0.9, 30.0, "how many runs the data are older than they usually are", is_share=False)
def check_late(tonight: Tonight) -> Finding:
    """By how many runs the data are older than they usually are."""
    age = tonight.data_age
    past = tonight.past
    if age is None:
        return Finding()
    usual = usual_size(past, "late", "age")
    if usual is None or len(past) < 2:
        return Finding(sizes={"age": age})
    times = [datetime.fromisoformat(run.as_of) for run in past]
    intervals = [(later - earlier).total_seconds() for later, earlier in pairwise(times)]
    delay = (age - usual) / np.median(intervals)
    text = f"the newest value is {age_text(age)}, {duration_text(age - usual)} more than is usual"
    return Finding(share=max(delay, 0.0), sizes={"age": age}, text=text)


@limited(0.05, 0.2, "the new series, as a share of those of the last run, or of 25")
def check_new_series(tonight: Tonight) -> Finding | None:
    """Series to forecast that the last run did not have."""
    if tonight.new is None:
        return None
    new = tonight.new_series
    count = len(tonight.published)
    text = f"{len(new):,} series are new, beside {count:,} of the last run ({series_names(new)})"
    return Finding(share=len(new) / max(count, FEW_NEW), series=new, text=text)


@limited(0.0, 0.05, "the share of series that equal others over their whole past, of 100 at least")
def check_duplicate(tonight: Tonight) -> Finding:
    """Series with the same values as others at the same times, unless the last run had both.

    Those that others lend their past do not count.
    """
    panel = tonight.panel
    alike: dict[bytes, list[int]] = {}
    own = np.array(panel.status) != "like"
    for series in np.flatnonzero(own).tolist():
        if (digest := _digest(panel, series)) is not None:
            alike.setdefault(digest, []).append(series)
    copies = []
    for group in alike.values():
        new = [panel.ids[i] for i in group if panel.ids[i] not in tonight.published]
        copies += new if len(new) < len(group) else new[1:]
    share = len(copies) / max(len(panel), FEW_COPIES)
    text = f"{len(copies):,} series have the values of others over their whole past"
    names = series_names(copies)
    return Finding(share=share, series=tuple(copies), text=f"{text} ({names})")


def _digest(panel: Panel, series: int) -> bytes | None:
    """A digest of a series' values and times; None if values are few, or all the same."""
    slots = panel.slots(series)
    steps = np.flatnonzero(panel.observed[slots])
    values = panel.values[slots][steps]
    if len(values) < MIN_VALUES or np.ptp(values) == 0:
        return None
    times = steps + panel.starts[series]
    return blake2b(times.tobytes() + values.tobytes(), digest_size=16).digest()


@limited(0.0, 1.0, "the share of series in groups without values at the newest times of others")
def check_silent(tonight: Tonight) -> Finding | None:
    """Groups without newest values for longer than usual, unless that was so in the last run.

    Other groups have newest values.
    """
    if tonight.before is None or tonight.schema.layout == "rows":  # whose series end on their own
        return None
    panel = tonight.panel
    lacked_before = dict(_silent_groups(tonight.before.panel, tonight.schema))
    lacking = dict(_silent_groups(panel, tonight.schema))
    names = lacking.keys() - lacked_before
    silent = np.isin(np.arange(len(panel)), [i for name in names for i in lacking[name]])
    text = f"no values of {first_names(sorted(names), SERIES_NAMED)} at the newest times that others have"
    series = ids_at(panel, np.flatnonzero(silent))
    return Finding(share=float(silent.mean()), series=series, text=text)


def _silent_groups(panel: Panel, schema: Schema) -> Iterator[tuple[str, Integers]]:
    """Groups whose newest gap is longer than any before it, and their series.

    Ended groups do not count, nor series that an event closes.
    """
    series = panel.series_of_slots
    step = panel.grid_positions - (panel.newest - GAP_STEPS + 1)
    recent = panel.observed & (step >= 0) & (step < GAP_STEPS)
    closed = closed_now(panel, schema)
    for grouping in groupings(panel.ids, schema):
        present = np.zeros((len(grouping.names), GAP_STEPS), bool)
        present[grouping.codes[series[recent]], step[recent]] = True
        length = np.zeros(len(present), np.int64)
        longest = length
        for column in present.T:
            longest = np.where(column, np.maximum(longest, length), longest)
            length = np.where(column, 0, length + 1)
        silent = (length > longest) & (length < GAP_STEPS)
        for number in np.flatnonzero(silent).tolist():
            members = np.flatnonzero((grouping.codes == number) & ~closed)
            if len(members):
                yield grouping.names[number], members


@limited(0.05, 0.5, "by what share a group's past values changed since the last run")
def check_revised(tonight: Tonight) -> Finding | None:
    """The group with the largest revision since the last run, as a share of its absolute sum.

    Values that the table has lost count as revised to 0, also where a series starts later now.
    """
    last = tonight.before
    if last is None:
        return None
    panel = tonight.panel
    before = last.panel
    rank = series_index(panel.ids, before.ids)[before.series_of_slots]
    common = before.observed & (rank >= 0) & (before.grid_positions <= panel.origins[rank])
    # a window of the source moves as its newest time does
    common &= before.grid_positions >= last.begins.min() + panel.origin - before.origin
    if not common.any():
        return Finding()
    slots = slots_in(panel, before.ids, before.starts, before.sizes)[common]
    series = rank[common]
    position = before.grid_positions[common]
    values = before.values[common]
    old = np.abs(values)
    change = np.abs(np.where(slots >= 0, panel.values[slots], 0.0) - values)
    largest = Finding(share=0.0)
    for grouping in groupings(panel.ids, tonight.schema):
        group = grouping.codes[series]
        shares = _shares(group, change, old)
        number = int(np.argmax(shares))
        if shares[number] <= (largest.share or 0.0):
            continue
        share = float(shares[number])
        changed = (group == number) & (change > 0)
        count = f"{changed.sum():,} values of {grouping.names[number]} changed since the last run"
        times = times_text(position[changed], tonight.schema)
        largest = Finding(
            share=share,
            series=ids_at(panel, np.unique(series[changed])),
            text=f"{count}, {times}, by {100 * share:.3g} % of the sum of its values",
        )
    usual = usual_size(tonight.past, "revised") or 0.0
    return replace(largest, usual=usual, runs=_revised_runs(tonight, position, old, change))


def _revised_runs(tonight: Tonight, position: Integers, old: Numbers, change: Numbers) -> list[str]:
    """The times of the runs of whose newest values more than the share `REVISED` has changed."""
    first = int(position.min())
    shares = _shares(position - first, change, old)
    changed = np.flatnonzero(shares > REVISED) + first
    times = set(position_texts(tonight.schema, changed))
    return [run.as_of for run in tonight.runs if run.data_end in times]


def _shares(group: Integers, part: Numbers, whole: Numbers) -> Numbers:
    """The sum of `part` over the sum of `whole`, by group; 1 if only the latter is 0."""
    size = np.bincount(group, whole)
    changed = np.bincount(group, part)
    unit = np.where(size > 0, size, 1.0)
    return np.where(size > 0, changed / unit, changed > 0)
