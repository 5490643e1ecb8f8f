"""Periods of a calendar: which steps of a forecast lie in which week, month, quarter or year."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import format_columns, format_times
from forecast.calendar.zones import DAY, WEEK, timestamps_at
from forecast.errors import Setting, UsageError, Words
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import Every
from forecast.tables.writing import Column

MONTHS = {"month": 1, "quarter": 3, "year": 12}
LONGEST = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}  # days
MONDAY = 3  # days after 1970-01-01, a Thursday, minus a week
FARTHEST = 400_000  # steps that a period is looked for in


@dataclass(frozen=True)
class Periods:
    """Periods that a forecast reaches to their ends, one after another."""

    first: int  # grid position of the first cell, perhaps before the forecast begins
    edges: Integers  # [periods + 1], steps from 0; the last one is not part of any
    times: Integers  # [periods], timestamp of the start of each
    wanted: int | None = None  # the horizon that the next period needs; None where it is known to be met

    def __len__(self) -> int:
        return len(self.times)


def periods_of(schema: Schema, origin: int, horizon: int, every: Every | None) -> Periods:
    """The periods of the steps after an origin, a grid position, that end within the horizon."""
    calendar, steps = calendar_of(schema), origin + 1 + np.arange(horizon)
    if every is None:
        return Periods(origin + 1, np.arange(horizon + 1), calendar.times(steps))
    if every == "horizon":
        return Periods(origin + 1, np.array([0, horizon]), calendar.times(steps[:1]))
    check_period(schema, every)
    keys = period_keys(calendar, np.append(steps, origin + 1 + horizon), every)
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    edges = starts[starts <= horizon]
    wanted = None if edges[-1] == horizon else _end_of(calendar, origin, int(edges[-1]), every)
    first = origin + 1 - _steps_before(calendar, origin, int(keys[0]), every)
    times = _start_times(calendar, keys[edges[:-1]], steps[edges[:-1]], every)
    return Periods(first, edges, times, wanted)


def cells_from(schema: Schema, starts: Integers, steps: Integers, every: Every | None) -> tuple[Integers, Integers]:
    """The grid positions of the first cells of periods that start at timestamps, and of the ones after their last."""
    calendar = calendar_of(schema)
    if every is None or every == "horizon":
        first = calendar.positions(starts)
        return first, first + (1 if every is None else steps)
    check_period(schema, every)
    near = np.arange(*calendar.positions(np.array([starts.min(), starts.max() + 400 * DAY])))
    times = _start_times(calendar, period_keys(calendar, near, every), near, every)
    return near[0] + np.searchsorted(times, starts), near[0] + np.searchsorted(times, starts, "right")


def horizon_of_next(schema: Schema, origin: int, every: tuple[Every, ...]) -> int:
    """The steps from an origin to the end of the next whole period, the longest of several."""
    wanted = [1]
    for period in every:
        if period != "horizon":
            rest = periods_of(schema, origin, 1, period)
            end = rest.wanted or 1
            begun = rest.first <= origin
            wanted.append(periods_of(schema, origin, end + 1, period).wanted or end + 1 if begun else end)
    return max(wanted)


def whole_periods(
    schema: Schema, origin: int, horizon: int, wanted: Iterable[Every | None]
) -> dict[Every | None, Periods]:
    """The periods of each kind that end within a horizon; `UsageError` where none does."""
    found = {every: periods_of(schema, origin, horizon, every) for every in wanted}
    if not any(map(len, found.values())):
        every, periods = next(iter(found.items()))
        problem = f"the horizon of {horizon} steps does not reach the end of a {every}"
        cure = Words("fit, or forecast at once, with ", Setting("horizon", periods.wanted))
        raise UsageError(problem, setting=Setting("sum_every", every), cure=cure)
    return found


def longest(schema: Schema, every: Every) -> int:
    """The steps of the longest period of a kind; 1 of the horizon."""
    spec = schema.calendar
    if every == "horizon" or spec.kind == "months":
        return -(-MONTHS.get(every, 1) // spec.every)
    return int(np.ceil(LONGEST[every] / (7 / 5 if spec.kind == "weekdays" else spec.every / DAY)))


def period_keys(calendar: Calendar, positions: Integers, every: Every) -> Integers:
    """A number for each grid position that is the same in one period, ascending by 1 from one to the next."""
    spec, wall = calendar.spec, calendar.wall(positions)
    if spec.kind == "seconds" and spec.every % WEEK == 0:
        if every == "week":
            return positions
        starts = (wall // DAY + MONDAY) % 7 == 0  # a week is named by its Monday, or else by its last day
        wall = np.where(starts, wall, wall - (spec.every - DAY))  # it counts where it starts
    if every == "day":
        return np.asarray(wall // DAY)
    if every == "week":
        return np.asarray((wall // DAY + MONDAY) // 7)
    return np.asarray(wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) // MONTHS[every])


def time_columns(schema: Schema, timestamps: Integers) -> dict[str, Column]:
    """The time columns of timestamps [n], as the table has them."""
    if len(schema.time) == 1:
        return {schema.time[0]: format_times(timestamps, schema.time_format)}
    return dict(zip(schema.time, format_columns(timestamps, schema.time_format), strict=True))


def _start_times(calendar: Calendar, keys: Integers, firsts: Integers, every: Every) -> Integers:
    """The timestamps at which periods start; `firsts` are the positions of cells in them."""
    spec = calendar.spec
    if every == "week":
        if spec.kind == "seconds" and spec.every % WEEK == 0:
            return calendar.times(firsts)
        wall = (keys * 7 - MONDAY) * DAY
    elif every == "day":
        wall = keys * DAY
    else:
        wall = (keys * MONTHS[every]).astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
    return timestamps_at(wall, calendar.zone, "later")[0]


def check_period(schema: Schema, every: Every) -> None:
    """Refuse a period that cells do not lie in."""
    if every == "horizon":
        return
    spec, setting = schema.calendar, Setting("sum_every", every)
    if spec.kind == "steps" or not schema.dated:
        raise UsageError("the rows have no dates", setting=setting, cure="sum over the horizon")
    days = spec.every * 28 if spec.kind == "months" else 1 if spec.kind == "weekdays" else spec.every / DAY
    if days > LONGEST[every]:
        raise UsageError("a period finer than the data", setting=setting, cure="name a longer one, or the horizon")


def _steps_before(calendar: Calendar, origin: int, key: int, every: Every) -> int:
    """How many cells of a period lie at an origin or before it."""
    count = 1
    while count < FARTHEST and period_keys(calendar, np.array([origin + 1 - count]), every)[0] == key:
        count *= 2
    keys = period_keys(calendar, origin - np.arange(count), every)
    return int((keys == key).sum())


def _end_of(calendar: Calendar, origin: int, step: int, every: Every) -> int:
    """The horizon that ends with the period of a step, counted from 0."""
    ahead = np.arange(step, step + 64)
    while True:
        keys = period_keys(calendar, origin + 1 + ahead, every)
        later = np.flatnonzero(keys != keys[0])
        if len(later) or len(ahead) > FARTHEST:
            return int(ahead[later[0]]) if len(later) else step
        ahead = np.arange(step, step + 2 * len(ahead))
