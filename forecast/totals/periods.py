"""What is summed: over which groups of series, and over which periods of a calendar."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.zones import DAY, WEEK, timestamps_at
from forecast.errors import Setting, UsageError, Words, did_you_mean
from forecast.panel.hierarchy import ALL as ALL
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.reading import Reading, read_as
from forecast.settings import MAX_AHEAD, Every, SumSettings
from forecast.tables.writing import refuse_clash

MONTHS = {"month": 1, "quarter": 3, "year": 12}
MOST_DAYS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}  # days
MOST_AHEAD = 100_000  # steps, as a forecaster takes them
LEAST_PAST = 2  # horizons that the past has where sums over periods make the horizon longer
MONDAY = 3  # days from a Monday to 1970-01-01, a Thursday
SERIES = "series"  # each series alone
PERIODS: tuple[Every, ...] = get_args(Every)
Key = tuple[str, ...]


@dataclass(frozen=True)
class Periods:
    """Periods that a forecast reaches to their ends, one after another."""

    first: int  # grid position of the first step, perhaps before the forecast begins
    edges: Integers  # [periods + 1], steps from 0; the last one is not part of any
    times: Integers  # [periods], timestamp of the start of each
    next_horizon: int | None = (
        None  # the one that the next period needs; None where this one ends with a period
    )

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
    keys, reach = (
        period_keys(calendar, steps, every),
        2 * longest(schema, every) + 1,
    )  # more than a period has

    def key_at(position: int) -> int:
        return int(period_keys(calendar, np.array([position]), every)[0])

    before, after = (
        range(origin + 1 - reach, origin + 1),
        range(origin + 1 + horizon, origin + 1 + horizon + reach),
    )
    first = before.start + bisect_left(before, int(keys[0]), key=key_at)
    end = horizon + bisect_right(after, int(keys[-1]), key=key_at)  # of the period of the last step
    edges = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    edges = np.append(edges, horizon) if end == horizon else edges
    times = _start_times(calendar, keys[edges[:-1]], steps[edges[:-1]], every)
    return Periods(first, edges, times, None if end == horizon else end)


def steps_of_periods(
    schema: Schema, starts: Integers, steps: Integers, every: Every | None
) -> tuple[Integers, Integers]:
    """The grid positions of the first steps of periods that start at timestamps, and of the ones after their last."""
    calendar = calendar_of(schema)
    if every is None or every == "horizon":
        first = calendar.positions(starts)
        return first, first + (1 if every is None else steps)
    check_period(schema, every)
    longest_end = (
        starts.max() + (MOST_DAYS[every] + 2) * DAY
    )  # clocks that are put back make days longer
    first, last = calendar.positions(np.array([starts.min(), longest_end]))
    near = np.arange(first, last + 1)
    times = _start_times(calendar, period_keys(calendar, near, every), near, every)
    return near[0] + np.searchsorted(times, starts), near[0] + np.searchsorted(
        times, starts, "right"
    )


def horizon_of_next(schema: Schema, origin: int, every: tuple[Every, ...]) -> int:
    """The steps from an origin to the end of the next whole period, the longest of several."""
    needed = [1]
    for period in every:
        if period != "horizon":
            rest = periods_of(schema, origin, 1, period)
            end = rest.next_horizon or 1
            begun = rest.first <= origin
            needed.append(
                end + (periods_of(schema, origin + end, 1, period).next_horizon or 1)
                if begun
                else end
            )
    return max(needed)


def with_next_periods(reading: Reading, every: tuple[Every, ...], later: bool = False) -> Reading:
    """A reading, whose horizon reaches the ends of the next whole periods if its past is long enough for that.

    With `later` it does so from any later origin, too, or as far as its past allows.
    """
    schema = reading.schema
    most = min(reading.panel.lengths.max() // LEAST_PAST, MOST_AHEAD)
    needed = horizon_of_next(schema, int(reading.panel.origins.max()), every)
    if later:  # from the first step of the longest period to the end of another one
        needed = min(most, 2 * max([longest(schema, period) for period in every], default=0) - 1)
    if not reading.panel.ahead < needed <= most:
        return reading
    return read_as(reading, schema, horizon=needed, lookback=reading.lookback)


def whole_periods(
    schema: Schema, origin: int, horizon: int, kinds: Iterable[Every | None]
) -> dict[Every | None, Periods]:
    """The periods of each kind that end within a horizon; `UsageError` where none does."""
    found = {every: periods_of(schema, origin, horizon, every) for every in kinds}
    if not any(map(len, found.values())):
        every, periods = next(iter(found.items()))
        problem = f"the horizon of {horizon} steps does not reach the end of a {every}"
        cure: object = Words(
            "fit, or forecast at once, with ", Setting("horizon", periods.next_horizon)
        )
        if (periods.next_horizon or 0) > MAX_AHEAD:
            cure = f"name a shorter period; the end of this one is {periods.next_horizon:,} steps ahead"
        raise UsageError(problem, setting=Setting("sum_every", every), cure=cure)
    return found


def longest(schema: Schema, every: Every) -> int:
    """The steps of the longest period of a kind; 1 of the horizon."""
    spec = schema.calendar
    if every == "horizon" or spec.kind == "months":
        return -(-MONTHS.get(every, 1) // spec.every)
    return int(np.ceil(MOST_DAYS[every] / (7 / 5 if spec.kind == "weekdays" else spec.every / DAY)))


def period_keys(calendar: Calendar, positions: Integers, every: Every) -> Integers:
    """A number for each grid position that is the same in one period, ascending by 1 from one to the next."""
    spec, wall = calendar.spec, calendar.wall(positions)
    if spec.kind == "seconds" and spec.every % WEEK == 0:
        if every == "week":
            return positions
        starts = (
            wall // DAY + MONDAY
        ) % 7 == 0  # a week is named by its Monday, or else by its last day
        wall = np.where(starts, wall, wall - (spec.every - DAY))  # it counts where it starts
    if every == "day":
        return np.asarray(wall // DAY)
    if every == "week":
        return np.asarray((wall // DAY + MONDAY) // 7)
    return np.asarray(
        wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) // MONTHS[every]
    )


def _start_times(calendar: Calendar, keys: Integers, firsts: Integers, every: Every) -> Integers:
    """The timestamps at which periods start; `firsts` are the positions of steps in them."""
    spec = calendar.spec
    if every == "week":
        if spec.kind == "seconds" and spec.every % WEEK == 0:
            return calendar.times(firsts)
        wall = (keys * 7 - MONDAY) * DAY
    elif every == "day":
        wall = keys * DAY
    else:
        wall = (
            (keys * MONTHS[every]).astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
        )
    return timestamps_at(wall, calendar.zone, "later")[0]


def check_period(schema: Schema, every: Every) -> None:
    if every == "horizon":
        return
    spec, setting = schema.calendar, Setting("sum_every", every)
    if spec.kind == "steps" or not schema.dated:
        raise UsageError("the rows have no dates", setting=setting, cure="sum over the horizon")
    days = (
        spec.every * 28
        if spec.kind == "months"
        else 1
        if spec.kind == "weekdays"
        else spec.every / DAY
    )
    if days > MOST_DAYS[every]:
        raise UsageError(
            "a period finer than the data",
            setting=setting,
            cure="name a longer one, or the horizon",
        )


@dataclass(frozen=True)
class Level:
    by: tuple[str, ...]  # columns whose values name a group; none for all series together
    group: str  # how the user calls the groups
    every: Every | None  # period, None for each step

    @property
    def name(self) -> str:
        """What the column `level` contains: ``region/month``."""
        return self.group if self.every is None else f"{self.group}/{self.every}"


def levels_of(settings: SumSettings, schema: Schema) -> list[Level]:
    """All pairs of groups and periods that are asked for, each once; the period None is each step alone."""
    for every in settings.sum_every:
        check_period(schema, every)
    if not settings.sum_every and not schema.dated:
        problem = "the rows have no dates, and each series its own end"
        raise UsageError(
            problem, setting=Setting("sum_by"), cure=Words("add ", Setting("sum_every", "horizon"))
        )
    periods: tuple[Every | None, ...] = tuple(dict.fromkeys(settings.sum_every)) or (None,)
    groups = dict[tuple[str, ...], str]()
    for name in settings.sum_by or (SERIES,):
        by = _columns(name, schema)
        groups.setdefault(by, name if name.lower() in (ALL, SERIES) else ",".join(by))
    found = [Level(by, name, every) for (by, name), every in product(groups.items(), periods)]
    for level in found:
        if level.every is None and set(schema.ids) <= set(level.by):
            cure = "leave out an id column, or name a period"
            problem = "each group would be one series, and nothing is summed"
            raise UsageError(problem, setting=Setting("sum_by", level.group), cure=cure)
    return found


def checked_levels(settings: SumSettings, schema: Schema, columns: Sequence[str]) -> list[Level]:
    """`levels_of` a table of sums that has some `columns` beside levels, ids and times; none may have two meanings."""
    levels = levels_of(settings, schema)
    refuse_clash(key_columns(levels, schema) + schema.time, ["level", *columns], "sums")
    return levels


def _columns(name: str, schema: Schema) -> tuple[str, ...]:
    if name.lower() in (ALL, SERIES) and name not in schema.ids:
        return () if name.lower() == ALL else schema.ids
    known = (*schema.ids, *schema.static)
    parts = [part.strip() for part in name.split(",")]
    for part in parts:
        if part not in known:
            hint = did_you_mean(part, list(known)) or (
                f"; there are {', '.join(known)}, and {ALL}" if known else ""
            )
            cure = Words(
                "name all id columns where it is one, such as ",
                Setting("id", ",".join((part, *schema.ids))),
            )
            problem = f"'{part}' is no id column and no static one{hint}"
            raise UsageError(problem, setting=Setting("sum_by", name), cure=cure)
    return tuple(column for column in known if column in parts)


def key_columns(levels: list[Level], schema: Schema) -> tuple[str, ...]:
    """The columns of a table of sums that name groups: all id columns, and static ones by which something is summed."""
    return schema.ids + tuple(
        name for name in schema.static if any(name in level.by for level in levels)
    )


def keys_of(panel: Panel, schema: Schema, series: np.ndarray, by: tuple[str, ...]) -> Iterator[Key]:
    columns = [_texts(panel, schema, name) for name in by]
    for number in series.tolist():
        yield tuple(column[number] for column in columns)


def _texts(panel: Panel, schema: Schema, name: str) -> list[str]:
    """The values of an id or static column, [series], '' where blank."""
    if name in schema.ids:
        column = schema.ids.index(name)
        return [ids[column] for ids in panel.ids]
    values, words = panel.static[:, schema.static.index(name)].tolist(), schema.categories.get(name)
    if words is None:
        return ["" if value != value else f"{value:.15g}" for value in values]
    return [words[int(value) - 1] if value >= 1 else "" for value in values]
