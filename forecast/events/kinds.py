"""Which slots holidays and events touch, and what the kinds of events say of the values there."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from forecast.calendar.calendar import Calendar, is_daily_or_finer, named_holidays
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK, timestamps_at
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, runs
from forecast.panel.schema import EventKind, Schema, calendar_of

EPOCH = date(1970, 1, 1).toordinal()
EVENT_DAYS = ("eve of {}", "{}", "day after {}")
"""What the days from one before an event to one after it are called."""

Owners = tuple[str | None, ...]

NO_LABELS = 0  # the label set of a slot that no event touches
NEARBY = 7  # days beyond a panel whose events may touch it
KEY_STRIDE = 2**32  # more than any date or label: two of them are packed into one integer
LEVEL_STEPS, LEVEL_SEASONS = (
    8,
    2,
)  # steps and seasons to each side, whichever is more, that tell how a level moved
LONGEST_SEASON = 168  # steps of a season by which levels are compared
STAND_IN_VALUES, STAND_IN_SEASONS = (
    4,
    10,
)  # earlier values whose mean a stock-out hid, and seasons that are searched


@dataclass(frozen=True)
class Marks:
    """The slots that events touch; a slot comes once for each label."""

    slot: Integers  # [marks], ascending
    label: Integers  # [marks]
    labels: tuple[
        str, ...
    ]  # events, eves and days after; an event that is called as the eve of another is the same
    names: tuple[str, ...]  # events alone
    date: Integers  # [slots], days since 1970-01-01; the grid position where the grid has one slot a day at most
    weekday: Integers  # [slots], Monday 0; 0 throughout on a grid of weeks

    @property
    def label_set(self) -> Integers:
        """[slots], the number of the set of labels that each has, `NO_LABELS` for none."""
        numbers = np.full(len(self.date), NO_LABELS)
        rank = np.arange(len(self.slot)) - np.searchsorted(self.slot, self.slot)
        for nth in range(int(rank.max(initial=-1)) + 1):
            slot = self.slot[rank == nth]
            keys = numbers[slot] * len(self.labels) + self.label[rank == nth]
            numbers[slot] = (
                np.unique(keys, return_inverse=True)[1].reshape(-1)
                + int(numbers.max(initial=0))
                + 1
            )
        return numbers


def takes_events(spec: CalendarSpec) -> bool:
    """Whether events act on a grid: of weeks, of days, or finer."""
    return is_daily_or_finer(spec) or _is_weekly(spec)


def has_events(schema: Schema) -> bool:
    """Whether a schema has holidays, or events with an effect, that act."""
    return takes_events(schema.calendar) and (
        schema.holidays is not None or has_kind(schema, "effect")
    )


def mark(panel: Panel, schema: Schema) -> Marks:
    """The slots of a panel that the events of a schema touch.

    On a grid of weekdays the eve and the day after are the nearest days of the grid; on a grid of weeks an event
    touches the week that holds it.
    """
    calendar, sizes, weekly = (
        calendar_of(schema),
        np.diff(panel.offsets),
        _is_weekly(schema.calendar),
    )
    first, last = int(panel.starts.min()), int((panel.starts + sizes).max())
    positions = np.arange(first, last)
    days = calendar.wall(positions) // DAY  # [positions]
    dates = days if schema.calendar.kind == "seconds" and not weekly else positions
    slots, labels, names = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], dict[str, int]()
    low, high = int(days[0]) - NEARBY, int(days[-1]) + NEARBY
    holidays = named_holidays(low, high, schema.holidays) if schema.holidays is not None else []
    everyone = (np.arange(len(panel)), [(day, day, name) for day, name in holidays])
    for series, events in (everyone, *_by_series(panel.ids, schema, "effect")):
        dated = [
            (day, name)
            for begin, end, name in events
            for day in range(max(begin, low), min(end, high) + 1)
        ]
        event = np.array([names.setdefault(name, len(names)) for _, name in dated], np.int64)
        touched, label = _around(calendar, np.array([day for day, _ in dated], np.int64), event)
        begins = np.searchsorted(dates, touched)
        count = np.searchsorted(dates, touched, "right") - begins
        position = runs(begins, count)[1] + first - panel.starts[series][:, None]  # [series, marks]
        inside = (position >= 0) & (position < sizes[series][:, None])
        slots.append((panel.offsets[series][:, None] + position)[inside])
        labels.append(np.broadcast_to(np.repeat(label, count), position.shape)[inside])
    texts = [text.format(name) for name in names for text in EVENT_DAYS]
    number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    label = np.array([number[text] for text in texts], np.int64)[np.concatenate(labels)]
    slot, label = np.divmod(
        np.unique(np.concatenate(slots) * KEY_STRIDE + label), np.int64(KEY_STRIDE)
    )
    index = np.repeat(panel.starts - first - panel.offsets[:-1], sizes) + np.arange(
        panel.offsets[-1]
    )
    weekdays = np.zeros_like(days) if weekly else (days + 3) % 7  # 1970-01-01 was a Thursday
    return Marks(slot, label, tuple(number), tuple(names), dates[index], weekdays[index])


def _is_weekly(spec: CalendarSpec) -> bool:
    return spec.kind == "seconds" and spec.every == WEEK


def _by_series(
    ids: Ids, schema: Schema, kind: EventKind
) -> Iterator[tuple[Integers, list[tuple[int, int, str]]]]:
    """The events of a kind by the series that they concern: first and last day since 1970-01-01, and name."""
    events, groups = (
        defaultdict[Owners, list[tuple[int, int, str]]](list),
        defaultdict[Owners, list[int]](list),
    )
    if schema.holidays is not None:
        events[()] = []  # those of all series come first, as holidays do
    for event in schema.dated_events:
        if event.kind == kind:
            events[event.ids].append(
                (event.day.toordinal() - EPOCH, event.last.toordinal() - EPOCH, event.name)
            )
    for named in {tuple(part is not None for part in owners) for owners in events}:
        for series, parts in enumerate(ids):
            groups[
                tuple(part if use else None for part, use in zip(parts, named, strict=False))
            ].append(series)
    yield from (
        (np.array(groups[owners], np.int64), some) for owners, some in events.items() if some
    )


def _around(calendar: Calendar, days: Integers, event: Integers) -> tuple[Integers, Integers]:
    weekly = _is_weekly(calendar.spec)
    if calendar.spec.kind == "seconds" and not weekly:
        dates, on_grid = days[:, None] + np.array([-1, 0, 1]), np.ones(len(days), bool)
    else:
        position = calendar.positions(
            timestamps_at(days * DAY + DAY // 2, calendar.zone, "later")[0]
        )
        on_grid = weekly | (calendar.wall(position) // DAY == days)
        dates = position[:, None] + np.stack(
            [-1 + ~on_grid, np.zeros_like(days), np.ones_like(days)], 1
        )
    # a day of an event of several days is neither its eve nor the day after
    day = event[:, None] * KEY_STRIDE + dates
    inside = np.isin(day, day[on_grid, 1])
    used = np.stack([~inside[:, 0], on_grid, ~inside[:, 2]], 1)
    if weekly:
        used[:, [0, 2]] = False
    labels = len(EVENT_DAYS) * event[:, None] + np.arange(len(EVENT_DAYS))
    return dates[used], labels[used]


def has_kind(schema: Schema, *kinds: EventKind) -> bool:
    return any(event.kind in kinds for event in schema.dated_events)


def with_effects_only(schema: Schema) -> Schema:
    events = tuple(event for event in schema.dated_events if event.kind == "effect")
    return schema.model_copy(update={"dated_events": events})


def touched(panel: Panel, schema: Schema, kind: EventKind) -> Flags | None:
    """[slots], whether events of a kind touch each, its future included; None without such events."""
    return (
        None
        if not has_kind(schema, kind)
        else covered(panel.ids, panel.starts, panel.offsets, schema, kind)
    )


def touched_by_events(panel: Panel, schema: Schema) -> Flags:
    """[slots], whether a holiday or an event of any kind touches each; a level shift touches all that follow it."""
    found = np.zeros(len(panel.values), bool)
    if has_events(schema):
        found[mark(panel, schema).slot] = True
    for kind in ("ignore", "closed", "stock_out"):
        slots = touched(panel, schema, kind)
        found |= False if slots is None else slots
    if (shifted := touched(panel, schema, "level_shift")) is not None:
        count = np.cumsum(shifted)
        before = np.append(0, count)[panel.offsets[:-1]]
        found |= count > before[panel.series_of_slots]
    return found


def covered(
    ids: Ids, starts: Integers, offsets: Integers, schema: Schema, kind: EventKind
) -> Flags:
    """[slots], as `touched`, of series that begin at grid positions `starts`, laid end to end.

    One day of an event is enough for a period to count; for `closed` all days of the period must lie in the event.
    """
    sizes, edges = np.diff(offsets), np.zeros(int(offsets[-1]) + 1, np.int64)
    for series, begins, ends in _spans(ids, starts, offsets, schema, kind):
        some = ends > begins  # [events, series]
        low, high = (
            np.clip(at[some, None] - starts[series], 0, sizes[series]) for at in (begins, ends)
        )
        np.add.at(edges, offsets[series] + low, 1)
        np.add.at(edges, offsets[series] + np.maximum(low, high), -1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def without(panel: Panel, schema: Schema, *kinds: EventKind) -> Panel:
    """The panel as if the cells that events of some kinds touch were blank."""
    for kind in kinds:
        if (slots := touched(panel, schema, kind)) is not None:
            panel = replace(
                panel, observed=panel.observed & ~slots, values=np.where(slots, 0.0, panel.values)
            )
    return panel


def without_censored(panel: Panel, schema: Schema) -> Panel:
    """The panel without values that say less than what was demanded: those of stock-outs, and of closed days."""
    return without(panel, schema, "stock_out", "closed")


def without_shifts(panel: Panel, schema: Schema) -> Panel:
    """What seasons and effects are estimated from: certain values, the history moved to the newest level."""
    panel, level = without_censored(panel, schema), moved_levels(panel, schema)
    if level is None:
        return panel
    return replace(
        panel, values=np.where(panel.observed, (panel.values - level[1]) / level[0], 0.0)
    )


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
    season, moved = compared_season(schema), without_censored(panel, schema)
    moved = replace(moved, values=moved.values.copy())
    factor, shift = np.ones(len(panel.values)), np.zeros(len(panel.values))
    for nth in range(int(rank.max(initial=-1)) + 1):  # the oldest shift of each series first
        now = rank == nth
        sizes, slots = position[now], runs(panel.offsets[series[now]], position[now])[1]
        ratio, added = (
            np.repeat(part, sizes) for part in _move(moved, series[now], sizes, until[now], season)
        )
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
    return int(
        max(steps, (back[back < steps] + _steps_compared(compared_season(schema))).max(initial=0))
    )


def stand_ins(panel: Panel, bound: Numbers, season: int) -> Numbers:
    """[slots], what the past shows in the place of values that are only a `bound`, NaN for other slots.

    It is the mean of the newest values a whole number of seasons before, where that is larger than the bound.
    """
    slots = np.flatnonzero(np.isfinite(bound))
    first, sums, count = (
        panel.offsets[panel.series_of_slots[slots]],
        np.zeros(len(slots)),
        np.zeros(len(slots)),
    )
    for back in range(1, STAND_IN_SEASONS + 1):
        near = slots - back * season
        used = (near >= first) & (count < STAND_IN_VALUES)
        used[used] = panel.observed[near[used]]
        sums[used] += panel.values[near[used]]
        count[used] += 1
    found = np.full(len(bound), np.nan)
    found[slots] = np.where(
        count > 0, np.maximum(bound[slots], sums / np.maximum(count, 1)), bound[slots]
    )
    return found


def day_spans(calendar: Calendar, positions: Integers) -> tuple[Integers, Integers]:
    """The first and the last day that the periods of ascending grid positions hold, in days since 1970-01-01."""
    first = calendar.wall(positions) // DAY
    if is_daily_or_finer(calendar.spec):
        return first, first
    if calendar.named_by_ends:
        return calendar.wall(positions - 1) // DAY + 1, first
    return first, np.maximum(
        first, (calendar.wall(positions + 1) - calendar.spec.offset - 1) // DAY
    )


def _spans(
    ids: Ids, starts: Integers, offsets: Integers, schema: Schema, kind: EventKind
) -> list[tuple[Integers, Integers, Integers]]:
    """Series, and the first grid position and the one after the last of the events of a kind that concern them."""
    sizes = np.diff(offsets)
    if not len(sizes):
        return []
    low = int(starts.min())
    first, last = day_spans(calendar_of(schema), np.arange(low, int((starts + sizes).max())))
    found = []
    for series, events in _by_series(ids, schema, kind):
        begin, end = np.array([days for *days, _ in events], np.int64).T
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
        pairs.append(
            np.stack([np.broadcast_to(series, position.shape), position], -1).reshape(-1, 2)
        )
    series, position = np.unique(np.concatenate(pairs), axis=0).T
    inside = (position > 0) & (position < panel.lengths[series])
    return series[inside], position[inside]


def compared_season(schema: Schema) -> int:
    """Steps of the season by which levels are compared, 1 for none."""
    return max((length for length in schema.season if length <= LONGEST_SEASON), default=1)


def _steps_compared(season: int) -> int:
    """Steps to each side of a shift whose levels are compared, whole seasons of them."""
    return season * max(LEVEL_SEASONS, -(-LEVEL_STEPS // season))


def _move(
    panel: Panel, series: Integers, position: Integers, until: Integers, season: int
) -> tuple[Numbers, Numbers]:
    """Ratio and summand [shifts] that bring values before a position to the level from there to `until`."""
    steps = np.arange(_steps_compared(season))

    def seen(
        first: Integers, low: Integers, end: Integers
    ) -> Numbers:  # [shifts, steps], NaN where unknown
        at = first[:, None] + steps
        inside = (at >= low[:, None]) & (at < end[:, None])
        slot = panel.offsets[series][:, None] + np.where(inside, at, 0)
        return np.where(inside & panel.observed[slot], panel.values[slot], np.nan)

    before, after = (
        seen(position - len(steps), np.zeros_like(position), position),
        seen(position, position, until),
    )
    usual = median(before.reshape(len(series), -1, season).swapaxes(1, 2))  # [shifts, season]
    usual = np.tile(usual, len(steps) // season)
    common = (np.isfinite(usual) & np.isfinite(after)).any(1, keepdims=True)
    usual = np.where(
        common, usual, median(before)[:, None]
    )  # without a step of the season that both sides have
    ratio = median(np.where(usual > 0, after / np.where(usual > 0, usual, 1.0), np.nan))
    added = median(after - usual)
    relative = ~(before < 0).any(1) & (ratio > 0)
    return np.where(relative, ratio, 1.0), np.where(relative | np.isnan(added), 0.0, added)


def median(values: Numbers) -> Numbers:
    """Medians over the last axis of what is no NaN; NaN where all is."""
    ordered, count = np.sort(values, -1), np.isfinite(values).sum(-1, keepdims=True)
    middle = (
        np.take_along_axis(ordered, np.maximum(count - 1 + more, 0) // 2, -1) for more in (0, 1)
    )
    low, high = middle
    return np.asarray(((low + high) / 2)[..., 0])
