"""Check the newest values of a table before a job publishes what follows from them."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from forecast.effects.kinds import touched_by_events
from forecast.jobs.checks.age import age_text, duration_text
from forecast.jobs.checks.groups import check_groups, check_values, groupings
from forecast.jobs.checks.known_columns import check_known_columns
from forecast.jobs.checks.limits import Finding, select_reference_runs, usual_size
from forecast.jobs.record import Record
from forecast.jobs.replay import RunInput, slots_in, times_text
from forecast.panel.events import closed_now
from forecast.panel.naming import SERIES_NAMED, first_names, series_names
from forecast.panel.panel import Flags, Id, Integers, Numbers, Panel, ids_at, series_index
from forecast.panel.schema import Schema, position_texts
from forecast.tables.writing import Frame

MIN_COPIED_VALUES = 20  # fewest values of a series that is checked for copies or for new values
FEW_COPIES = 100  # in smaller panels, copies are counted as a share of so many series
FEW_NEW = 25  # in smaller panels, new series are counted as a share of so many series
GAP_STEPS = 60  # newest steps of the past that show which gaps are usual in a group
REVISED = 0.05  # a run's newest values were wrong if more than this share was revised since


@dataclass(frozen=True)
class Night:
    """What the checks of the newest values compare in a nightly run: its panel and earlier runs.

    Attributes
    ----------
    runs : the runs before this one, newest first
    new : what the last run published for values that arrived since, as `in_panel` has it
    published : ids of the series that the last run published
    before : what the last run forecast from; None if that no longer exists
    learned : names of events whose effects the version has learned
    """

    panel: Panel
    schema: Schema
    runs: Sequence[Record]
    new: Frame | None = None
    published: Set[Id] = frozenset()
    before: RunInput | None = None
    learned: Sequence[str] = ()


def findings(night: Night, data_age: float | None) -> dict[str, Finding]:
    """What each check of the newest values finds; `data_age` is that of the newest, in seconds."""
    past = select_reference_runs(night.runs)
    panel = night.panel
    measured = {"late": _late(data_age, past), "duplicate": _duplicates(panel, night.published)}
    if night.new is not None:
        measured["new_series"] = _new_series(panel, night.published)
        short = _had_short_past(night, night.new)[panel.series_of_slots]
        left_out = short | mark_unknown_events(panel, night)
        new = night.new[~left_out[night.new["slot"]]]
        if len(new):
            measured["group"] = check_groups(new, panel, night.schema, past)
            measured["value"] = check_values(new, panel, night.schema, past)
    if night.before is not None:
        if night.schema.layout != "rows":  # whose series end on their own
            measured["silent"] = _silent(night, night.before.panel)
        measured["revised"] = _check_revisions(night, night.before, past)
        if night.schema.known == night.before.schema.known:
            usual = usual_size(past, "known")
            measured["known"] = check_known_columns(panel, night.before.panel, night.schema, usual)
    return measured


def _had_short_past(night: Night, new: Frame) -> Flags:
    """[series], whether the last run had few values of a series, so its intervals were a guess."""
    panel = night.panel
    before = panel.counts - np.bincount(new["panel"], minlength=len(panel))
    return before < max(MIN_COPIED_VALUES, 2 * night.schema.shortest_season)


def mark_unknown_events(panel: Panel, night: Night) -> Flags:
    """[slots], whether an event of unknown effect touches the slot.

    The version has not learned the effect, or only one of the two compared runs has the event.
    """
    declared = night.schema.dated_events
    earlier = () if night.before is None else night.before.schema.dated_events
    unknown = [event for event in earlier if event not in declared]
    for event in declared:
        not_learned = event.kind == "effect" and event.name not in night.learned
        if not_learned or event not in earlier:
            unknown.append(event)
    with_unknown = {"holidays": None, "dated_events": tuple(unknown)}
    return touched_by_events(panel, night.schema.model_copy(update=with_unknown))


def _late(age: float | None, past: Sequence[Record]) -> Finding:
    """By how many runs the data are older than they usually are."""
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


def _new_series(panel: Panel, published: Set[Id]) -> Finding:
    """Series to forecast that the last run did not have; those that ended are never published."""
    forecast = ids_at(panel, np.flatnonzero(~panel.skipped))
    new = tuple(ids for ids in forecast if ids not in published)
    share = len(new) / max(len(published), FEW_NEW)
    text = f"{len(new):,} series are new, beside {len(published):,} of the last run"
    return Finding(share=share, series=new, text=f"{text} ({series_names(new)})")


def _duplicates(panel: Panel, published: Set[Id]) -> Finding:
    """Series with the same values as others at the same times, unless the last run had both.

    Those that others lend their past do not count.
    """
    alike: dict[bytes, list[int]] = {}
    own = np.array(panel.status) != "like"
    for series in np.flatnonzero(own).tolist():
        if (digest := _digest(panel, series)) is not None:
            alike.setdefault(digest, []).append(series)
    copies = []
    for group in alike.values():
        new = [panel.ids[i] for i in group if panel.ids[i] not in published]
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
    if len(values) < MIN_COPIED_VALUES or np.ptp(values) == 0:
        return None
    times = steps + panel.starts[series]
    return blake2b(times.tobytes() + values.tobytes(), digest_size=16).digest()


def _silent(night: Night, before: Panel) -> Finding:
    """Groups without newest values for longer than usual, unless that was so in the last run.

    Other groups have newest values.
    """
    panel = night.panel
    lacked_before = dict(_silent_groups(before, night.schema))
    lacking = dict(_silent_groups(panel, night.schema))
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


def _check_revisions(night: Night, last: RunInput, past: Sequence[Record]) -> Finding:
    """The group with the largest revision since the last run, as a share of its absolute sum.

    Values that the table has lost count as revised to 0, also where a series starts later now.
    """
    panel = night.panel
    before = last.panel
    rank = (series_index(panel.ids, before.ids) - 1)[before.series_of_slots]
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
    for grouping in groupings(panel.ids, night.schema):
        group = grouping.codes[series]
        shares = _shares(group, change, old)
        number = int(np.argmax(shares))
        if shares[number] <= (largest.share or 0.0):
            continue
        share = float(shares[number])
        changed = (group == number) & (change > 0)
        count = f"{changed.sum():,} values of {grouping.names[number]} changed since the last run"
        times = times_text(position[changed], night.schema)
        largest = Finding(
            share=share,
            series=ids_at(panel, np.unique(series[changed])),
            text=f"{count}, {times}, by {100 * share:.3g} % of the sum of its values",
        )
    usual = usual_size(past, "revised") or 0.0
    return replace(largest, usual=usual, runs=_revised_runs(night, position, old, change))


def _revised_runs(night: Night, position: Integers, old: Numbers, change: Numbers) -> list[str]:
    """The times of the runs of whose newest values more than the share `REVISED` has changed."""
    first = int(position.min())
    shares = _shares(position - first, change, old)
    changed = np.flatnonzero(shares > REVISED) + first
    times = set(position_texts(night.schema, changed))
    return [run.as_of for run in night.runs if run.data_end in times]


def _shares(group: Integers, part: Numbers, whole: Numbers) -> Numbers:
    """The sum of `part` over the sum of `whole`, by group; 1 if only the latter is 0."""
    size = np.bincount(group, whole)
    changed = np.bincount(group, part)
    unit = np.where(size > 0, size, 1.0)
    return np.where(size > 0, changed / unit, changed > 0)
