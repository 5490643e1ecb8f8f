"""What kinds of events say of the values: which do not count, are 0, or bound the demand, and where levels moved."""

from collections import defaultdict
from dataclasses import replace
from functools import cache, partial

import numpy as np

from forecast.calendar.calendar import Calendar, is_daily_or_finer
from forecast.calendar.zones import DAY
from forecast.events.marks import EPOCH, Owners, series_by_parts
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, runs
from forecast.panel.schema import EventKind, Schema, calendar_of

LEVEL_STEPS, LEVEL_SEASONS = 8, 2  # steps and seasons to each side, whichever is more, that tell how a level moved
LONGEST = 168  # steps of a season by which levels are compared
EXPECTED, REACH = 4, 10  # earlier values that say what a stock-out hid, and seasons among which they are looked for


def has_kind(schema: Schema, *kinds: EventKind) -> bool:
    """Whether a schema has events of some kinds."""
    return any(event.kind in kinds for event in schema.dated_events)


def with_effects_only(schema: Schema) -> Schema:
    """A schema whose events of other kinds are left out."""
    events = tuple(event for event in schema.dated_events if event.kind == "effect")
    return schema.model_copy(update={"dated_events": events})


def touched(panel: Panel, schema: Schema, kind: EventKind) -> Flags | None:
    """[slots], whether events of a kind touch each, its future included; None without such events."""
    return None if not has_kind(schema, kind) else covered(panel.ids, panel.starts, panel.offsets, schema, kind)


def covered(ids: Ids, starts: Integers, offsets: Integers, schema: Schema, kind: EventKind) -> Flags:
    """[slots], as `touched`, of series that begin at grid positions `starts`, laid end to end.

    One day of an event is enough for a period to count; for `closed` all days of the period must lie in the event.
    """
    sizes, edges = np.diff(offsets), np.zeros(int(offsets[-1]) + 1, np.int64)
    for series, begins, ends in _spans(ids, starts, offsets, schema, kind):
        some = ends > begins  # [events, series]
        low, high = (np.clip(at[some, None] - starts[series], 0, sizes[series]) for at in (begins, ends))
        np.add.at(edges, offsets[series] + low, 1)
        np.add.at(edges, offsets[series] + np.maximum(low, high), -1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def without(panel: Panel, schema: Schema, *kinds: EventKind) -> Panel:
    """The panel as if the cells that events of some kinds touch were blank."""
    for kind in kinds:
        if (slots := touched(panel, schema, kind)) is not None:
            panel = replace(panel, observed=panel.observed & ~slots, values=np.where(slots, 0.0, panel.values))
    return panel


def certain(panel: Panel, schema: Schema) -> Panel:
    """The panel without values that say less than what was demanded: those of stock-outs, and of closed days."""
    return without(panel, schema, "stock_out", "closed")


def levelled(panel: Panel, schema: Schema) -> Panel:
    """What seasons and effects are estimated from: certain values, the history moved to the newest level."""
    panel, level = certain(panel, schema), moved_levels(panel, schema)
    if level is None:
        return panel
    return replace(panel, values=np.where(panel.observed, (panel.values - level[1]) / level[0], 0.0))


def moved_levels(panel: Panel, schema: Schema) -> tuple[Numbers, Numbers] | None:
    """Factor and summand [slots] by which shifts parted values from the newest level; None without any.

    Values after a shift are compared with the medians, by step of the season, of those before it. The median of the
    ratios counts where none of the values before the shift is below 0, else that of the differences. Nothing moves
    before there is a value after the shift.
    """
    if not has_kind(schema, "level_shift"):
        return None
    series, position = _shifts(panel, schema)
    last = np.append(np.diff(series) != 0, True)[: len(series)]
    until = np.where(last, panel.lengths[series], np.append(position[1:], 0)[: len(series)])
    rank = np.arange(len(series)) - np.searchsorted(series, series)
    season, moved = compared_season(schema), certain(panel, schema)
    moved = replace(moved, values=moved.values.copy())
    factor, shift = np.ones(len(panel.values)), np.zeros(len(panel.values))
    for nth in range(int(rank.max(initial=-1)) + 1):  # the oldest shift of each series first
        now = rank == nth
        sizes, slots = position[now], runs(panel.offsets[series[now]], position[now])[1]
        ratio, added = (np.repeat(of, sizes) for of in _move(moved, series[now], sizes, until[now], season))
        moved.values[slots] = ratio * moved.values[slots] + added
        shift[slots] -= factor[slots] * added / ratio
        factor[slots] /= ratio
    return factor, shift


def steps_of_shifts(panel: Panel, schema: Schema, steps: int) -> int:
    """How many newest steps of a panel hold `steps`, and what says how the levels moved that shifts in them left."""
    if not has_kind(schema, "level_shift"):
        return steps
    series, position = _shifts(panel, schema)
    back = panel.lengths[series] - position
    return int(max(steps, (back[back < steps] + _reach(compared_season(schema))).max(initial=0)))


def stand_ins(panel: Panel, bound: Numbers, season: int) -> Numbers:
    """[slots], what the past shows in the place of values that are only a `bound`, NaN for other slots.

    It is the mean of the newest values a whole number of seasons before, where that is larger than the bound.
    """
    slots = np.flatnonzero(np.isfinite(bound))
    first, sums, count = panel.offsets[panel.series_of_slots[slots]], np.zeros(len(slots)), np.zeros(len(slots))
    for back in range(1, REACH + 1):
        near = slots - back * season
        used = (near >= first) & (count < EXPECTED)
        used[used] = panel.observed[near[used]]
        sums[used] += panel.values[near[used]]
        count[used] += 1
    found = np.full(len(bound), np.nan)
    found[slots] = np.where(count > 0, np.maximum(bound[slots], sums / np.maximum(count, 1)), bound[slots])
    return found


def day_spans(calendar: Calendar, positions: Integers) -> tuple[Integers, Integers]:
    """The first and the last day that the periods of ascending grid positions hold, in days since 1970-01-01."""
    first = calendar.wall(positions) // DAY
    if is_daily_or_finer(calendar.spec):
        return first, first
    if calendar.named_by_ends:
        return calendar.wall(positions - 1) // DAY + 1, first
    return first, np.maximum(first, (calendar.wall(positions + 1) - calendar.spec.offset - 1) // DAY)


def _spans(
    ids: Ids, starts: Integers, offsets: Integers, schema: Schema, kind: EventKind
) -> list[tuple[Integers, Integers, Integers]]:
    """Series, and the first grid position and the one after the last of the events of a kind that concern them."""
    sizes = np.diff(offsets)
    if not len(sizes):
        return []
    low = int(starts.min())
    first, last = day_spans(calendar_of(schema), np.arange(low, int((starts + sizes).max())))
    days = defaultdict[Owners, list[tuple[int, int]]](list)
    for event in schema.dated_events:
        if event.kind == kind:
            days[event.ids].append((event.day.toordinal() - EPOCH, event.last.toordinal() - EPOCH))
    found, groups = [], cache(partial(series_by_parts, ids))
    for owners, spans in days.items():
        named = {column: part for column, part in enumerate(owners) if part is not None}
        series = np.array(groups(tuple(named)).get(tuple(named.values()), []), np.int64)
        begin, end = np.array(spans, np.int64).T
        whole = kind in ("closed", "level_shift")
        begins = np.searchsorted(first if whole else last, begin)
        ends = np.searchsorted(last if kind == "closed" else first, end, side="right")
        found.append((series, low + begins, low + ends))
    return found


def _shifts(panel: Panel, schema: Schema) -> tuple[Integers, Integers]:
    """Series and position of each level shift in the past of a panel, in this order; none comes twice."""
    pairs = [np.zeros((0, 2), np.int64)]
    for series, begins, _ in _spans(panel.ids, panel.starts, panel.offsets, schema, "level_shift"):
        position = begins[:, None] - panel.starts[series]  # [events, series]
        pairs.append(np.stack([np.broadcast_to(series, position.shape), position], -1).reshape(-1, 2))
    series, position = np.unique(np.concatenate(pairs), axis=0).T
    inside = (position > 0) & (position < panel.lengths[series])
    return series[inside], position[inside]


def compared_season(schema: Schema) -> int:
    """Steps of the season by which levels are compared, 1 for none."""
    return max((length for length in schema.season if length <= LONGEST), default=1)


def _reach(season: int) -> int:
    """Steps to each side of a shift whose levels are compared, whole seasons of them."""
    return season * max(LEVEL_SEASONS, -(-LEVEL_STEPS // season))


def _move(panel: Panel, series: Integers, position: Integers, until: Integers, season: int) -> tuple[Numbers, Numbers]:
    """Ratio and summand [shifts] that bring values before a position to the level from there to `until`."""
    steps = np.arange(_reach(season))

    def seen(first: Integers, low: Integers, end: Integers) -> Numbers:  # [shifts, steps], NaN where unknown
        at = first[:, None] + steps
        inside = (at >= low[:, None]) & (at < end[:, None])
        slot = panel.offsets[series][:, None] + np.where(inside, at, 0)
        return np.where(inside & panel.observed[slot], panel.values[slot], np.nan)

    before, after = seen(position - len(steps), np.zeros_like(position), position), seen(position, position, until)
    usual = median(before.reshape(len(series), -1, season).swapaxes(1, 2))  # [shifts, season]
    usual = np.tile(usual, len(steps) // season)
    common = (np.isfinite(usual) & np.isfinite(after)).any(1, keepdims=True)
    usual = np.where(common, usual, median(before)[:, None])  # without a step of the season that both sides have
    ratio = median(np.where(usual > 0, after / np.where(usual > 0, usual, 1.0), np.nan))
    added = median(after - usual)
    relative = ~(before < 0).any(1) & (ratio > 0)
    return np.where(relative, ratio, 1.0), np.where(relative | np.isnan(added), 0.0, added)


def median(values: Numbers) -> Numbers:
    """Medians over the last axis of what is no NaN; NaN where all is."""
    ordered, count = np.sort(values, -1), np.isfinite(values).sum(-1, keepdims=True)
    middle = (np.take_along_axis(ordered, np.maximum(count - 1 + more, 0) // 2, -1) for more in (0, 1))
    low, high = middle
    return np.asarray(((low + high) / 2)[..., 0])
