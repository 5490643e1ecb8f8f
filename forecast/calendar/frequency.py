"""Infer the grid on which times lie, from `freq` or from the times themselves."""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import format_timestamp
from forecast.calendar.spec import CalendarSpec, TimeFormat
from forecast.calendar.zones import (
    DAY,
    HOUR,
    MINUTE,
    WEEK,
    count_months,
    first_days,
    wall_clock,
)
from forecast.errors import BadData, Setting, UsageError, did_you_mean
from forecast.tables.table import Integers, distinct

SECONDS = {"s": 1, "min": MINUTE, "t": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
WEEKDAY_ANCHORS = tuple(name[:3].upper() for name in patterns.WEEKDAY_WORDS)
MONTH_NAMES = tuple(name.upper() for name in patterns.ABBREVIATIONS)
ANCHORS = {"w": WEEKDAY_ANCHORS} | dict.fromkeys("qya", MONTH_NAMES)
BUSINESS_DAYS = (0, 1, 2, 3, 4)
COUNT = r"[1-9]\d{0,8}"
ALIAS = re.compile(
    rf"({COUNT})?\s*(s|min|t|h|d|w|(?-i:M)|[qya])(?:(?<=[mqya])([se]))?(?:-([a-z]{{3}}))?",
    re.IGNORECASE,
)
EXAMPLES = "s, min, 15min, h, D, B, W, W-SUN, MS, ME, QS, QE, YS, YE"
USUAL_STEPS = ("s", "min", "5min", "10min", "15min", "30min", "h", "D", "W")  # from fine to coarse


class Frequency(NamedTuple):
    """A parsed `freq`: the step of the grid and, if `freq` says so, where the grid lies."""

    kind: Literal["steps", "seconds", "months", "weekdays"]
    every: int
    end: bool | None = None  # months: at their end, at their start, or as the data have it
    anchor: int | None = None  # weekday (Monday 0) or month (January 0), such as of W-SUN


def parse_frequency(text: str) -> Frequency:
    """Read ``freq``: a number of steps, or a pandas alias, old (H, T, M, A) or new."""
    if re.fullmatch(COUNT, text.strip()):
        return Frequency("steps", int(text))
    if text.strip().upper() == "B":
        return Frequency("weekdays", 1)
    if alias := ALIAS.fullmatch(text.strip()):
        count, unit, side, anchor = alias.groups("")
        unit = unit.lower()
        every = int(count or 1)
        names = ("", *ANCHORS.get(unit, ()))
        if anchor.upper() in names:
            number = names.index(anchor.upper()) - 1 if anchor else None
            if unit in SECONDS:
                return Frequency("seconds", every * SECONDS[unit], anchor=number)
            end = side.lower() == "e" if side else None
            months = {"m": 1, "q": 3, "y": 12, "a": 12}[unit]
            return Frequency("months", every * months, end, number)
    hint = did_you_mean(text, EXAMPLES.split(", "))
    raise UsageError(
        f"not a frequency{hint} (such as {EXAMPLES}, or 1)", setting=Setting("freq", text)
    )


def infer_calendar(
    timestamps: Integers,
    series: Integers,
    freq: str | None,
    time_format: TimeFormat,
    aggregated: bool = False,
    place: Callable[[int], str] = str,
) -> CalendarSpec:
    """Infer the grid on which the times of rows of series lie; some may be missing in it.

    If rows are `aggregated`, times may lie between those of the grid that `freq` names. `place`
    says in messages where a timestamp stands.
    """
    unique = distinct(timestamps)
    zone = time_format.zone
    if freq is not None:
        spec = _given_grid(unique, freq, time_format, aggregated)
        off_grid = unique[~Calendar(spec, zone).on_grid(unique)]
        if len(off_grid) and not aggregated:
            where = place(int(off_grid[0]))
            raise BadData(
                f"{len(off_grid)} of {len(unique)} times do not lie on the grid of "
                f"{Setting('freq', freq)}, the first is "
                f"{format_timestamp(off_grid[0], time_format)}",
                place=where,
                cure=f"pass {Setting('aggregate', 'sum')} (or mean, last), or another "
                f"{Setting('freq')}",
            )
        return spec
    if len(unique) < 2:
        where = place(int(unique[0]))
        raise BadData(
            "only one time, so that its frequency cannot be inferred",
            place=where,
            cure=f"pass {Setting('freq')}",
        )
    if time_format.kind == "integer":
        step = _step(timestamps, series)
        grid = _of_steps(step, unique) if step else None
    else:
        grid = _inferred_grid(timestamps, series, unique, zone)
    if grid is None:
        raise _irregular(timestamps, series, time_format, place)
    return grid


def filled_frequency(timestamps: Integers, series: Integers) -> str:
    """Return the finest usual frequency in most of whose steps the series have a row."""
    for name in USUAL_STEPS:
        periods = timestamps // parse_frequency(name).every
        span = np.ptp(periods) + 2
        filled = distinct(series * span + periods - periods.min())
        if 2 * len(filled) > span * (series.max() + 1):
            return name
    return "MS"


def _irregular(
    timestamps: Integers, series: Integers, time_format: TimeFormat, place: Callable[[int], str]
) -> BadData:
    """Return the error that names the first time off the grid of the usual step."""
    unique = distinct(timestamps)
    steps = np.diff(unique)
    values, counts = np.unique(steps, return_counts=True)
    usual = values[counts.argmax()]
    odd = np.argmax(steps % usual != 0)
    before = format_timestamp(unique[odd], time_format)
    after = format_timestamp(unique[odd + 1], time_format)
    problem = f"the times lie on no regular grid: {after} follows {before}"
    cure = "correct it"
    if time_format.kind != "integer":
        # such as midnights of Berlin in UTC, or a clock that changes by less than a step
        zone = f"pass another {Setting('timezone')} or none, " if time_format.zone else ""
        freq = Setting("freq", filled_frequency(timestamps, series))
        cure = (
            f"correct it, {zone}or pass another step, such as {freq} "
            f"{Setting('aggregate', 'mean')} (or sum, last)"
        )
    return BadData(problem, place=place(int(unique[odd + 1])), cure=cure)


def _inferred_grid(
    timestamps: Integers, series: Integers, unique: Integers, zone: str | None
) -> CalendarSpec | None:
    """Return a grid of dates or of times of day; None if no grid fits."""
    days, clock = np.divmod(wall_clock(unique, zone), DAY)
    same_clock = (clock == clock[0]).all()
    one_a_day = (np.diff(days) > 0).all()
    if one_a_day and (same_clock or zone is not None):
        offset = int(np.bincount(clock).argmax())  # midnight may be missing where the clock changes
        all_days = wall_clock(timestamps, zone) // DAY
        grid = _grid_of_dates(all_days, series, days, offset)
        if grid is not None:
            on_grid = Calendar(grid, zone).on_grid(unique)
            if on_grid.all():
                return grid
    step = _step(timestamps, series)
    if step is None or (step % DAY == 0 and zone is not None and not same_clock):
        return None
    return _of_seconds(step, int(unique[0]))


def _grid_of_dates(
    all_days: Integers, series: Integers, days: Integers, offset: int
) -> CalendarSpec | None:
    """Return a grid of dates: of months, of weekdays, or of equal steps.

    `days` are the different days among `all_days` of the rows.
    """
    months, days_of_month, at_end = _in_months(days)
    first_day = int(days_of_month[0])
    if at_end or (first_day <= 28 and (days_of_month == first_day).all()):
        every = int(np.gcd.reduce(np.diff(months)))
        day = -1 if at_end else first_day
        return _of_months(every, int(months[0]), day, offset)
    weekdays = _weekday_pattern(days, offset)
    if weekdays is not None:
        positions = Calendar(weekdays).positions(all_days * DAY)
        if _step(positions, series) == 1:
            return weekdays
    step = _step(all_days, series)
    if step is None:
        return None
    return _of_seconds(step * DAY, int(days[0]) * DAY, offset)


def _in_months(days: Integers) -> tuple[Integers, Integers, bool]:
    """Split days into months since 1970-01 and days of the month, [days] each.

    Also returns whether all days are the last of their month.
    """
    months = count_months(days)
    days_of_month = days - first_days(months) + 1
    at_end = days + 1 == first_days(months + 1)
    return months, days_of_month, bool(at_end.all())


def _weekday_pattern(days: Integers, offset: int) -> CalendarSpec | None:
    """Return a grid of some weekdays, if the other weekdays never occur and these mostly do."""
    weekdays = distinct((days + 3) % 7)
    three_weeks = days[-1] - days[0] >= 21
    if not three_weeks or not 2 <= len(weekdays) <= 6:
        return None
    spec = _of_weekdays(tuple(weekdays.tolist()), offset)
    positions = Calendar(spec).positions(days * DAY)
    span = positions[-1] - positions[0] + 1
    return spec if 2 * len(days) >= span else None


def _step(times: Integers, series: Integers) -> int | None:
    """Return the step of which all others are multiples, or None.

    It is the most common step, or else the greatest common divisor, if that step is common, too.
    """
    unique = distinct(times)
    order = np.lexsort((times, series))
    same_series = np.diff(series[order]) == 0
    steps = np.diff(times[order])[same_series]
    steps = steps[steps > 0]
    if not len(steps):
        steps = np.diff(unique)
    values, counts = np.unique(steps, return_counts=True)
    divisor = int(np.gcd.reduce(unique - unique[0]))
    count = counts[values == divisor].sum()
    # one in ten of the steps must be that of the grid, if some are shorter than the usual one
    common = count >= max(0.1 * counts.sum(), 2)
    return divisor if common or count == counts.max() else None


def _given_grid(
    unique: Integers, freq: str, time_format: TimeFormat, coarser: bool
) -> CalendarSpec:
    """Return the grid of `freq` through the data, or at the usual bounds if it is `coarser`."""
    given = parse_frequency(freq)
    setting = Setting("freq", freq)
    if given.kind == "steps":
        if time_format.kind != "integer":
            raise UsageError("pass a frequency such as D or h", setting=setting)
        return _of_steps(given.every, unique)
    if time_format.kind == "integer":
        raise UsageError("pass a number, as the times are steps", setting=setting)
    days, clock = np.divmod(wall_clock(unique, time_format.zone), DAY)
    offset = 0 if coarser else int(np.bincount(clock).argmax())
    if given.kind == "weekdays":
        return _of_weekdays(BUSINESS_DAYS, offset)
    if given.kind == "months":
        return _given_months(given, days, offset, time_format, coarser)
    if given.every % DAY:
        return _of_seconds(given.every, 0 if coarser else int(unique[0]))
    first = int(days[0])
    if given.every % WEEK == 0 and (coarser or given.anchor is not None):
        weekday = 6 if given.anchor is None else given.anchor
        first += (weekday - (first + 3)) % 7
    return _of_seconds(given.every, first * DAY, offset)


def _given_months(
    given: Frequency, days: Integers, offset: int, time_format: TimeFormat, coarser: bool
) -> CalendarSpec:
    months, days_of_month, at_end = _in_months(days)
    pattern = "" if time_format.kind == "period" else time_format.pattern or "%d"
    if coarser or given.end is not None:
        day = -1 if given.end else 1
    else:
        day = -1 if at_end else min(int(days_of_month[0]), 28)
    if not coarser and "%d" not in pattern.replace("-", ""):
        day = 1  # a month without a day means its first day
    anchor = int(months[0])
    if given.anchor is not None:
        anchor = given.anchor
    elif coarser:
        anchor = given.every - 1 if day < 0 else 0
    return _of_months(given.every, anchor, day, offset)


def _of_steps(every: int, unique: Integers) -> CalendarSpec:
    anchor = int(unique[0]) % every
    return CalendarSpec(kind="steps", every=every, anchor=anchor, name=str(every))


def _name_step(every: int, **units: int) -> str:
    """Name a step by the coarsest unit that divides it, such as D, 2D or 15min."""
    unit = next(unit for unit, size in units.items() if every % size == 0)
    count = every // units[unit]
    return f"{count if count > 1 else ''}{unit}"


def _of_seconds(every: int, anchor: int, offset: int = 0) -> CalendarSpec:
    """Return a grid of seconds through the time `anchor`, or `offset` seconds later."""
    anchor = anchor % every + offset
    name = _name_step(every, W=WEEK, D=DAY, h=HOUR, min=MINUTE, s=1)
    if every % WEEK == 0:
        name += f"-{WEEKDAY_ANCHORS[(anchor // DAY + 3) % 7]}"
    return CalendarSpec(kind="seconds", every=every, anchor=anchor, name=name)


def _of_months(every: int, anchor: int, day: int, offset: int) -> CalendarSpec:
    side = {1: "S", -1: "E"}.get(day, "")
    name = _name_step(every, Y=12, Q=3, M=1) + side
    return CalendarSpec(
        kind="months", every=every, anchor=anchor % every, day=day, offset=offset, name=name
    )


def _of_weekdays(weekdays: tuple[int, ...], offset: int) -> CalendarSpec:
    names = "-".join(WEEKDAY_ANCHORS[day].capitalize() for day in weekdays)
    name = "B" if weekdays == BUSINESS_DAYS else names
    return CalendarSpec(kind="weekdays", weekdays=weekdays, offset=offset, name=name)
