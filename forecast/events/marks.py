"""Which slots of a panel holidays and events touch: on their day, on its eve, and on the day after."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from functools import cache, partial

import numpy as np

from forecast.calendar.calendar import Calendar, is_daily_or_finer
from forecast.calendar.holidays import named_holidays
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK, timestamps_at
from forecast.panel.panel import Ids, Integers, Panel, runs
from forecast.panel.schema import Schema, calendar_of

EPOCH = date(1970, 1, 1).toordinal()
AROUND = ("eve of {}", "{}", "day after {}")
"""What the days from one before an event to one after it are called."""

Owners = tuple[str | None, ...]

NO_LABELS = 0  # the label set of a slot that no event touches
NEARBY = 7  # days beyond a panel whose events may touch it
KEY_STRIDE = 2**32  # more than any date or label: two of them are packed into one integer


@dataclass(frozen=True)
class Marks:
    """The slots that events touch; a slot comes once for each label."""

    slot: Integers  # [marks], ascending
    label: Integers  # [marks]
    labels: tuple[str, ...]  # events, eves and days after; an event that is called as the eve of another is the same
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
            numbers[slot] = np.unique(keys, return_inverse=True)[1].reshape(-1) + int(numbers.max(initial=0)) + 1
        return numbers


def takes_events(spec: CalendarSpec) -> bool:
    """Whether events act on a grid: of weeks, of days, or finer."""
    return is_daily_or_finer(spec) or _is_weekly(spec)


def has_events(schema: Schema) -> bool:
    """Whether a schema has holidays, or events with an effect, that act."""
    some = schema.holidays or any(event.kind == "effect" for event in schema.dated_events)
    return bool(some) and takes_events(schema.calendar)


def mark(panel: Panel, schema: Schema) -> Marks:
    """The slots of a panel that the events of a schema touch.

    On a grid of weekdays the eve and the day after are the nearest days of the grid; on a grid of weeks an event
    touches the week that holds it.
    """
    calendar, sizes, weekly = calendar_of(schema), np.diff(panel.offsets), _is_weekly(schema.calendar)
    first, last = int(panel.starts.min()), int((panel.starts + sizes).max())
    positions = np.arange(first, last)
    days = calendar.wall(positions) // DAY  # [positions]
    dates = days if schema.calendar.kind == "seconds" and not weekly else positions
    slots, labels, names = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], dict[str, int]()
    by_parts = cache(partial(series_by_parts, panel.ids))
    for ids, events in _by_ids(schema, int(days[0]), int(days[-1])).items():
        event = np.array([names.setdefault(name, len(names)) for _, name in events], np.int64)
        touched, label = _around(calendar, np.array([day for day, _ in events], np.int64), event)
        low = np.searchsorted(dates, touched)
        count = np.searchsorted(dates, touched, "right") - low
        named = {column: part for column, part in enumerate(ids) if part is not None}
        series = np.array(by_parts(tuple(named)).get(tuple(named.values()), []), np.int64)
        position = runs(low, count)[1] + first - panel.starts[series][:, None]  # [series, marks]
        inside = (position >= 0) & (position < sizes[series][:, None])
        slots.append((panel.offsets[series][:, None] + position)[inside])
        labels.append(np.broadcast_to(np.repeat(label, count), position.shape)[inside])
    texts = [text.format(name) for name in names for text in AROUND]
    number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    label = np.array([number[text] for text in texts], np.int64)[np.concatenate(labels)]
    slot, label = np.divmod(np.unique(np.concatenate(slots) * KEY_STRIDE + label), np.int64(KEY_STRIDE))
    index = np.repeat(panel.starts - first - panel.offsets[:-1], sizes) + np.arange(panel.offsets[-1])
    weekdays = np.zeros_like(days) if weekly else (days + 3) % 7  # 1970-01-01 was a Thursday
    return Marks(slot, label, tuple(number), tuple(names), dates[index], weekdays[index])


def _is_weekly(spec: CalendarSpec) -> bool:
    return spec.kind == "seconds" and spec.every == WEEK


def _by_ids(schema: Schema, first: int, last: int) -> dict[Owners, list[tuple[int, str]]]:
    """Days and names of the events near some days, by the series that they concern."""
    events = defaultdict[Owners, list[tuple[int, str]]](list)
    if schema.holidays is not None:
        events[()] += named_holidays(first - NEARBY, last + NEARBY, schema.holidays)
    for event in schema.dated_events:
        if event.kind == "effect":
            begin, end = (day.toordinal() - EPOCH for day in (event.day, event.last))
            days = range(max(begin, first - NEARBY), min(end, last + NEARBY) + 1)
            events[event.ids] += ((day, event.name) for day in days)
    return events


def series_by_parts(ids: Ids, columns: tuple[int, ...]) -> dict[tuple[str, ...], list[int]]:
    """The series with the same parts of their ids in some columns, by these parts."""
    groups = defaultdict[tuple[str, ...], list[int]](list)
    for series, parts in enumerate(ids):
        groups[tuple(parts[column] for column in columns)].append(series)
    return groups


def _around(calendar: Calendar, days: Integers, event: Integers) -> tuple[Integers, Integers]:
    """Dates and labels of events and the days around them."""
    weekly = _is_weekly(calendar.spec)
    if calendar.spec.kind == "seconds" and not weekly:
        dates, on_grid = days[:, None] + np.array([-1, 0, 1]), np.ones(len(days), bool)
    else:
        position = calendar.positions(timestamps_at(days * DAY + DAY // 2, calendar.zone, "later")[0])
        on_grid = weekly | (calendar.wall(position) // DAY == days)
        dates = position[:, None] + np.stack([-1 + ~on_grid, np.zeros_like(days), np.ones_like(days)], 1)
    # a day of an event of several days is neither its eve nor the day after
    day = event[:, None] * KEY_STRIDE + dates
    inside = np.isin(day, day[on_grid, 1])
    used = np.stack([~inside[:, 0], on_grid, ~inside[:, 2]], 1)
    if weekly:
        used[:, [0, 2]] = False
    labels = len(AROUND) * event[:, None] + np.arange(len(AROUND))
    return dates[used], labels[used]
