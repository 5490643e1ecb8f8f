"""What is summed: over which groups of series, and over which periods of a calendar."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK, timestamps_at, wall_clock
from forecast.errors import Setting, UsageError
from forecast.panel.hierarchy import ALL, EACH_SERIES, Key, find_columns
from forecast.panel.infer import Reading, read_as
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import MAX_AHEAD, PERIODS, Every, SumSettings, steps_of_next
from forecast.tables.writing import refuse_clash

MONTHS_BY_PERIOD = {"month": 1, "quarter": 3, "year": 12}
MAX_DAYS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
MOST_AHEAD = 100_000  # longest horizon of a forecaster, in steps
LEAST_PAST = 2  # the past must have so many horizons if sums over periods make these longer
MONDAY = 3  # days from the last Monday to 1970-01-01, a Thursday
SUNDAY = 6 - MONDAY  # days from 1970-01-01 to the end of its week


@dataclass(frozen=True)
class Periods:
    """Consecutive periods whose ends lie within the horizon."""

    first: int  # grid position of the first step, which may precede the forecast
    edges: Integers  # [periods + 1], steps ahead, from 0, at which periods start or end
    times: Integers  # [periods], timestamp of the start of each, or of the last day of a week
    # the horizon that reaches one period more; None if the last step ends a period
    next_horizon: int | None = None

    def __len__(self) -> int:
        return len(self.times)


def steps_ahead(every: Every, horizon: int) -> int | None:
    """The steps of a period that begins after the origin; None for a period of the calendar."""
    return horizon if every == "horizon" else steps_of_next(every)


def period_of_level(name: str) -> Every | None:
    """The period of a level of sums, by its name, see `Level`."""
    period = name.rpartition("/")[2]
    return period if period in PERIODS or steps_of_next(period) else None


def find_periods(schema: Schema, origin: int, horizon: int, every: Every | None) -> Periods:
    """The periods of steps after an origin (a grid position) that end within the horizon.

    Raises `UsageError` if a period of so many steps has more than the horizon.
    """
    calendar = build_calendar(schema)
    start = origin + 1
    steps = start + np.arange(horizon)
    if every is None:
        return Periods(start, np.arange(horizon + 1), calendar.times(steps))
    if (ahead := steps_ahead(every, horizon)) is not None:
        if ahead > horizon:
            problem = f"the horizon has only {horizon} steps"
            cure = f"fit, or forecast at once, with {Setting('horizon', ahead)}"
            raise build_refusal(every, problem, cure)
        return Periods(start, np.array([0, ahead]), calendar.times(steps[:1]))
    check_period(schema, every)

    reach = 2 * longest(schema, every) + 1  # more steps than a period has
    near = np.arange(start - reach, start + horizon + reach)
    keys_near = period_keys(calendar, near, every)
    keys = keys_near[reach:-reach]
    first = int(near[0] + np.searchsorted(keys_near, keys[0]))
    end_of_last = int(np.searchsorted(keys_near, keys[-1], "right") - reach)

    edges = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    if end_of_last == horizon:
        edges = np.append(edges, horizon)
    firsts = edges[:-1]
    times = _named_times(calendar, keys[firsts], steps[firsts], every)
    return Periods(first, edges, times, None if end_of_last == horizon else end_of_last)


def steps_of_periods(
    schema: Schema, names: Integers, steps: Integers, every: Every | None
) -> tuple[Integers, Integers]:
    """Grid positions of the first step of each period, and of the step after its last one.

    `names` are the timestamps that name the periods, see `Periods`.
    """
    calendar = build_calendar(schema)
    if every is None or steps_ahead(every, 1) is not None:
        first = calendar.positions(names)
        return first, first + (1 if every is None else steps)
    check_period(schema, every)
    # clocks that are put back make days longer
    longest_period = (MAX_DAYS[every] + 2) * DAY
    ends = np.array([names.min() - WEEK, names.max() + longest_period])
    first, last = calendar.positions(ends)
    near = np.arange(first, last + 1)
    times = _named_times(calendar, period_keys(calendar, near, every), near, every)
    begin = np.searchsorted(times, names)
    end = np.searchsorted(times, names, "right")
    return first + begin, first + end


def find_year_before(
    schema: Schema, periods: Periods, every: Every | None
) -> tuple[Integers, Integers]:
    """Grid positions of the same periods a year before, as `steps_of_periods` has them.

    It is the same month of the calendar, but for shorter periods the same day of the week, 52 weeks
    before.
    """
    zone = schema.time_format.zone
    wall = wall_clock(periods.times, zone)
    if every in MONTHS_BY_PERIOD or schema.calendar.kind == "months":
        date = wall.astype("datetime64[s]")
        month = date.astype("datetime64[M]")
        wall = ((month - 12).astype("datetime64[s]") + (date - month)).astype(np.int64)
    else:
        wall = wall - 52 * WEEK
    times = timestamps_at(wall, zone, "later")[0]
    return steps_of_periods(schema, times, np.diff(periods.edges), every)


def horizon_of_next(schema: Schema, origin: int, every: tuple[Every, ...]) -> int:
    """The steps from an origin to the end of the next whole period; the most over all kinds."""
    horizon = 1
    for period in every:
        end = steps_ahead(period, 1)
        if end is None:
            current = find_periods(schema, origin, 1, period)
            end = current.next_horizon or 1
            if current.first <= origin:  # it has begun, and the next one is whole
                end += find_periods(schema, origin + end, 1, period).next_horizon or 1
        horizon = max(horizon, end)
    return horizon


def extend_to_periods(reading: Reading, every: tuple[Every, ...], later: bool = False) -> Reading:
    """A reading whose horizon reaches the ends of the next whole periods.

    The horizon stays as it is if the past is too short for that. With `later` the horizon reaches
    them from any later origin, too, or as far as the past allows.
    """
    schema = reading.schema
    panel = reading.panel
    limit = min(panel.longest // LEAST_PAST, MOST_AHEAD)
    if later:  # from the first step of the longest period to the end of another one
        steps = [steps_ahead(period, 1) or 2 * longest(schema, period) - 1 for period in every]
        horizon = min(limit, max(steps, default=0))
    else:
        horizon = horizon_of_next(schema, panel.origin, every)
    if not panel.ahead < horizon <= limit:
        return reading
    return read_as(reading, schema, horizon=horizon, lookback=reading.lookback)


def whole_periods(
    schema: Schema, origin: int, horizon: int, kinds: Iterable[Every | None]
) -> dict[Every | None, Periods]:
    """The periods of each kind that end within a horizon; raises `UsageError` if none does."""
    periods = {every: find_periods(schema, origin, horizon, every) for every in kinds}
    if any(map(len, periods.values())):
        return periods
    every, first = next(iter(periods.items()))
    needed = first.next_horizon or 0
    cure: object = f"fit, or forecast at once, with {Setting('horizon', needed)}"
    if needed > MAX_AHEAD:
        cure = f"name a shorter period; the end of this one is {needed:,} steps ahead"
    problem = f"the horizon of {horizon} steps does not reach the end of a {every}"
    raise build_refusal(every, problem, cure)


def longest(schema: Schema, every: Every) -> int:
    """The steps of the longest period of a kind; 1 for the kind "horizon"."""
    spec = schema.calendar
    if (ahead := steps_ahead(every, 1)) is not None:
        return ahead
    if spec.kind == "months":
        return -(-MONTHS_BY_PERIOD.get(every, 1) // spec.every)
    step_days = 7 / 5 if spec.kind == "weekdays" else spec.every / DAY
    return int(np.ceil(MAX_DAYS[every] / step_days))


def _steps_are_weeks(spec: CalendarSpec) -> bool:
    return spec.kind == "seconds" and spec.every % WEEK == 0


def period_keys(calendar: Calendar, positions: Integers, every: Every) -> Integers:
    """The number of the period of each grid position; consecutive periods differ by 1."""
    wall = calendar.wall(positions)
    if _steps_are_weeks(calendar.spec):
        if every == "week":
            return positions
        # a week counts where it starts; it is named by its Monday, or else by its last day
        by_monday = (wall // DAY + MONDAY) % 7 == 0
        wall = np.where(by_monday, wall, wall - (calendar.spec.every - DAY))
    days = np.asarray(wall // DAY)
    if every == "day":
        return days
    if every == "week":
        return (days + MONDAY) // 7
    months = wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    return months // MONTHS_BY_PERIOD[every]


def _named_times(calendar: Calendar, keys: Integers, firsts: Integers, every: Every) -> Integers:
    """The timestamps that name periods; `firsts` are the positions of steps in them.

    A week of days is named by its Sunday, as by the frequency W; other periods by their start.
    """
    if every == "week" and _steps_are_weeks(calendar.spec):
        return calendar.times(firsts)
    if every in MONTHS_BY_PERIOD:
        months = (keys * MONTHS_BY_PERIOD[every]).astype("datetime64[M]")
        wall = months.astype("datetime64[s]").astype(np.int64)
    else:
        wall = DAY * (keys if every == "day" else keys * 7 + SUNDAY)
    return timestamps_at(wall, calendar.zone, "later")[0]


def check_period(schema: Schema, every: Every) -> None:
    spec = schema.calendar
    if steps_ahead(every, 1) is not None:
        return
    if spec.kind == "steps" or not schema.dated:
        raise build_refusal(every, "the rows have no dates", "sum over the horizon")
    step_days: float = 1
    if spec.kind == "months":
        step_days = spec.every * 28
    elif spec.kind == "seconds":
        step_days = spec.every / DAY
    if step_days > MAX_DAYS[every]:
        raise build_refusal(
            every, "a period finer than the data", "name a longer one, or the horizon"
        )


def build_refusal(every: Every | None, problem: str, cure: object) -> UsageError:
    return UsageError(problem, setting=Setting("sum_every", every), cure=cure)


@dataclass(frozen=True)
class Level:
    by: tuple[str, ...]  # columns whose values name a group; empty for all series together
    group: str  # how the user calls the groups
    every: Every | None  # the period; None if each step is one

    @property
    def name(self) -> str:
        """What the column `level` contains: ``region/month``."""
        return self.group if self.every is None else f"{self.group}/{self.every}"


def find_levels(settings: SumSettings, schema: Schema) -> list[Level]:
    """The levels of sums that are asked for: all pairs of groupings and periods, each once.

    With the period None each step is a period.
    """
    for every in settings.sum_every:
        check_period(schema, every)
    if not settings.sum_every and not schema.dated:
        problem = "the rows have no dates, and each series its own end"
        cure = f"add {Setting('sum_every', 'horizon')}"
        raise UsageError(problem, setting=Setting("sum_by"), cure=cure)
    groups = dict[Key, str]()
    for name in settings.sum_by or (EACH_SERIES,):
        by = find_columns(name, schema, Setting("sum_by", name))
        group = name if name.lower() in (ALL, EACH_SERIES) else ",".join(by)
        groups.setdefault(by, group)
    periods: tuple[Every | None, ...] = (None,)
    if settings.sum_every:
        periods = tuple(dict.fromkeys(settings.sum_every))
    for by, group in groups.items():
        if periods == (None,) and set(schema.ids) <= set(by):
            problem = "each group would be one series, and nothing is summed"
            setting = Setting("sum_by", group)
            raise UsageError(
                problem, setting=setting, cure="leave out an id column, or name a period"
            )
    pairs = product(groups.items(), periods)
    return [Level(by, group, every) for (by, group), every in pairs]


def checked_levels(settings: SumSettings, schema: Schema, columns: Sequence[str]) -> list[Level]:
    """The levels of a table of sums; raises if a column of the table would have two meanings.

    `columns` are its columns beside level, ids and time.
    """
    levels = find_levels(settings, schema)
    refuse_clash(key_columns(levels, schema) + schema.time, ["level", *columns], "sums")
    return levels


def key_columns(levels: list[Level], schema: Schema) -> Key:
    """The columns of a table of sums that name groups.

    These are all id columns, and the static columns by which something is grouped.
    """
    summed_by = {name for level in levels for name in level.by}
    return schema.ids + tuple(name for name in schema.static if name in summed_by)
