"""Infer the grid on which times lie, from `freq` or from the times themselves."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.calendar import Calendar
from forecast.calendar.clock_grid import infer_clock_grid
from forecast.calendar.formatting import format_instant
from forecast.calendar.spec import CalendarSpec, TimeFormat
from forecast.calendar.zones import DAY, HOUR, MINUTE, WEEK, Integers, wall_clock
from forecast.errors import BadData, Setting, UsageError, Words, did_you_mean
from forecast.tables.distinct import distinct

SECONDS = {"s": 1, "min": MINUTE, "t": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
MONTHS = {"m": 1, "q": 3, "y": 12, "a": 12}
WEEKDAYS = tuple(name[:3].upper() for name in patterns.WEEKDAYS)
MONTH_NAMES = tuple(name.upper() for name in patterns.ABBREVIATIONS)
ALIAS = re.compile(
    r"(?P<count>\d{0,9})\s*(?P<unit>[A-Za-z]*?)(?P<side>(?<=[MQYAmqya])[SsEe])?(-(?P<anchor>[A-Za-z]{3}))?"
)
USUAL_ZONES = ("Europe/Berlin", "Europe/London", "Europe/Helsinki", "America/New_York", "America/Chicago",
               "America/Denver", "America/Los_Angeles", "Australia/Sydney", "Pacific/Auckland")  # fmt: skip
MIN_WEEKS = 3  # that a weekday pattern must last
MIN_SHARE = 0.1  # of the steps between times that must be the grid's, where some are shorter than the usual step


@dataclass(frozen=True)
class Frequency:
    """A parsed `freq`: the step of the grid, and where the grid lies as far as that is given."""

    kind: Literal["steps", "seconds", "months", "weekdays"]
    every: int
    end: bool | None = None  # months: at their end, at their start, or as the data have it
    anchor: int | None = None  # weekday (Monday 0) or month (January 0) that an alias such as W-SUN names


def parse_frequency(text: str) -> Frequency:
    """Read ``freq``: pandas aliases, old and new (h, H, 15min, T, D, B, W-SUN, MS, M, ME, QS-FEB, Y), or a number.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    alias = ALIAS.fullmatch(text.strip())
    count = int((alias["count"] if alias else "") or 1)
    unit, side, anchor = (alias["unit"], alias["side"], alias["anchor"]) if alias else ("?", None, None)
    lower = unit.lower()
    if count >= 1 and alias:
        if not unit and alias["count"] and not side and not anchor:
            return Frequency("steps", count)
        if lower == "b" and count == 1 and not anchor:
            return Frequency("weekdays", 1)
        if lower in SECONDS and not side and (anchor is None or lower == "w"):
            day = _named(anchor, WEEKDAYS)
            if (day is None) == (anchor is None):
                return Frequency("seconds", count * SECONDS[lower], anchor=day)
        if lower in MONTHS and unit != "m" and (anchor is None or lower != "m"):
            month = _named(anchor, MONTH_NAMES)
            if (month is None) == (anchor is None):
                end = None if side is None else side.upper() == "E"
                return Frequency("months", count * MONTHS[lower], end=end, anchor=month)
    known = ["s", "min", "15min", "h", "D", "B", "W", "W-SUN", "MS", "ME", "QS", "QE", "YS", "YE"]
    problem = f"not a frequency{did_you_mean(text, known)} (such as {', '.join(known)}, or 1)"
    raise UsageError(problem, setting=Setting("freq", text))


def infer_calendar(
    instants: Integers,
    series: Integers,
    freq: str | None,
    time_format: TimeFormat,
    *,
    aggregate: str | None = None,
    name: str = "the table",
    place: Callable[[int], str] | None = None,
) -> CalendarSpec:
    """Infer the grid on which times lie; times may be missing in it.

    Parameters
    ----------
    instants : [rows], seconds since 1970-01-01 or steps
    series : [rows], which series each row belongs to
    freq : the frequency that the user gave, None to infer it
    time_format : how the times are written; its zone decides what a day is
    aggregate : with it times may lie between those of the grid that `freq` names
    name : what messages call the table
    place : where the first row of an instant stands, for messages

    Raises
    ------
    BadData
        If the times lie on no grid, or not on the one that `freq` names.
    UsageError
        If `freq` is no frequency, or none for such times.
    """
    unique = distinct(instants)
    if freq is not None:
        spec = _given_grid(unique, parse_frequency(freq), time_format, aggregate is not None, freq)
        off = unique[~Calendar(spec, time_format.zone).on_grid(unique)]
        if aggregate is not None or not len(off):
            return spec
        by_clock = None
        if spec.kind == "seconds":
            by_clock = infer_clock_grid(instants, series, time_format.zone, spec.every, _of_seconds)
        if by_clock is None:
            share = f"{len(off)} of {len(unique)} times do not lie on the grid of "
            first = f", the first is {format_instant(off[0], time_format)}"
            raise BadData(
                Words(share, Setting("freq", freq), first),
                place=place(int(off[0])) if place else name,
                cure=Words("pass ", Setting("aggregate", "sum"), " (or mean, last), or another ", Setting("freq")),
            )
        return by_clock
    if len(unique) < 2:
        problem = "only one time, so that its frequency cannot be inferred"
        raise BadData(problem, place=name, cure=Words("pass ", Setting("freq")))
    if time_format.kind == "integer":
        step = _step(instants, series)
        inferred = None if step is None else _of_steps(step, int(unique[0]) % step)
    else:
        inferred = _inferred_grid(instants, series, unique, time_format)
    if inferred is None:
        raise _irregular(name, unique, time_format, place)
    return inferred


def _inferred_grid(
    instants: Integers, series: Integers, unique: Integers, time_format: TimeFormat
) -> CalendarSpec | None:
    """Infer a grid of dates or times of day; None if no grid fits."""
    days, clock = np.divmod(wall_clock(unique, time_format.zone), DAY)
    if (np.diff(days) > 0).all() and (_same(clock) or time_format.zone is not None):
        offset = int(np.bincount(clock).argmax())  # midnight may be missing where the clock changes
        all_days = wall_clock(instants, time_format.zone) // DAY
        spec = _monthly(days, offset) or _weekday_pattern(days, offset)
        if (
            spec is not None
            and spec.kind == "weekdays"
            and _step(Calendar(spec).positions(all_days * DAY), series) != 1
        ):
            spec = None
        if spec is None:
            step = _step(all_days, series)
            if step is not None:
                spec = _of_seconds(step * DAY, int(days[0] % step) * DAY + offset)
        if spec is not None and Calendar(spec, time_format.zone).on_grid(unique).all():
            return spec
    step = _step(instants, series)
    if step is None:
        return infer_clock_grid(instants, series, time_format.zone, None, _of_seconds)
    if step % DAY == 0 and time_format.zone is not None and not _same(clock):
        return None
    return _of_seconds(step, int(unique[0]) % step)


def _monthly(days: Integers, offset: int) -> CalendarSpec | None:
    """A grid of months, if all days are the same day of their month, or the last one."""
    index, day, at_end = _in_months(days)
    if not at_end and not (_same(day) and day[0] <= 28):
        return None
    steps = np.diff(index)
    every = int(np.gcd.reduce(steps)) if len(steps) else 1
    return _of_months(every, int(index[0]) % every, -1 if at_end else int(day[0]), offset)


def _in_months(days: Integers) -> tuple[Integers, Integers, bool]:
    """[days], months since 1970-01 and days of the month; and whether each is the last day of its month."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    day = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
    at_end = ((months + 1).astype("datetime64[D]") - dates).astype(np.int64) == 1
    return months.astype(np.int64), day, bool(at_end.all())


def _weekday_pattern(days: Integers, offset: int) -> CalendarSpec | None:
    """A grid of some days of the week, if the others never occur and these mostly do."""
    weekdays = distinct((days + 3) % 7)
    if not 2 <= len(weekdays) <= 6 or days[-1] - days[0] < 7 * MIN_WEEKS:
        return None
    spec = _of_weekdays(tuple(weekdays.tolist()), offset)
    positions = Calendar(spec).positions(days * DAY)
    return spec if 2 * len(days) >= positions[-1] - positions[0] + 1 else None


def _step(times: Integers, series: Integers) -> int | None:
    """The step between times that divides all the others: the most common one, else their divisor if it is common."""
    order = np.lexsort((times, series))
    sorted_times, sorted_series = times[order], series[order]
    steps = np.diff(sorted_times)[np.diff(sorted_series) == 0]
    steps = steps[steps > 0]
    unique = distinct(times)
    if len(steps) == 0:  # one time for each series
        steps = np.diff(unique)
    if len(steps) == 0:
        return None
    values, counts = np.unique(steps, return_counts=True)
    divisor = int(np.gcd.reduce(unique - unique[0]))
    common = int(values[counts == counts.max()][0])
    if common == divisor:
        return divisor
    return divisor if counts[values == divisor].sum() >= max(MIN_SHARE * counts.sum(), 2) else None


def _given_grid(unique: Integers, given: Frequency, time_format: TimeFormat, coarser: bool, freq: str) -> CalendarSpec:
    """The grid of a frequency, placed where the data lie."""
    if (given.kind == "steps") != (time_format.kind == "integer"):
        wanted = "a number, as the times are steps" if time_format.kind == "integer" else "a frequency such as D or h"
        raise UsageError(f"pass {wanted}", setting=Setting("freq", freq))
    if given.kind == "steps":
        return _of_steps(given.every, int(unique[0]) % given.every)
    days, clock = np.divmod(wall_clock(unique, time_format.zone), DAY)
    offset = 0 if coarser else int(np.bincount(clock).argmax())
    if given.kind == "weekdays":
        return _of_weekdays((0, 1, 2, 3, 4), offset)
    if given.kind == "months":
        return _given_months(days, offset, given, time_format, coarser)
    if given.every % WEEK == 0:
        weekday = given.anchor if given.anchor is not None else 6 if coarser else int(days[0] + 3) % 7
        first = int(days[0] + (weekday - (days[0] + 3)) % 7)
        return _of_seconds(given.every, first % (given.every // DAY) * DAY + offset)
    if given.every % DAY == 0:
        return _of_seconds(given.every, int(days[0]) % (given.every // DAY) * DAY + offset)
    return _of_seconds(given.every, 0 if coarser else int(unique[0]) % given.every)


def _given_months(
    days: Integers, offset: int, given: Frequency, time_format: TimeFormat, coarser: bool
) -> CalendarSpec:
    """A grid of months, at the days of the month that the data have."""
    index, days_of_month, at_end = _in_months(days)
    if coarser:
        day = -1 if given.end else 1
    elif time_format.kind == "period" or (time_format.pattern and "%d" not in time_format.pattern.replace("-", "")):
        day = 1  # a month without a day means its first day
    elif given.end is None:
        day = -1 if at_end else min(int(days_of_month[0]), 28)
    else:
        day = -1 if given.end else 1
    anchor = int(index[0]) % given.every
    if given.anchor is not None:
        anchor = given.anchor % given.every
    elif coarser:
        anchor = given.every - 1 if day < 0 else 0
    return _of_months(given.every, anchor, day, offset)


def _of_steps(every: int, anchor: int) -> CalendarSpec:
    return CalendarSpec(kind="steps", every=every, anchor=anchor, name=str(every))


def _of_seconds(every: int, anchor: int) -> CalendarSpec:
    name = next(
        f"{every // size if every > size else ''}{unit}"
        for unit, size in (("D", DAY), ("h", HOUR), ("min", MINUTE), ("s", 1))
        if every % size == 0
    )
    if every % WEEK == 0:
        name = f"{every // WEEK if every > WEEK else ''}W-{WEEKDAYS[(anchor // DAY + 3) % 7]}"
    return CalendarSpec(kind="seconds", every=every, anchor=anchor, name=name)


def _of_months(every: int, anchor: int, day: int, offset: int) -> CalendarSpec:
    unit, size = ("Y", 12) if every % 12 == 0 else ("Q", 3) if every % 3 == 0 else ("M", 1)
    name = f"{every // size if every > size else ''}{unit}{'S' if day == 1 else 'E' if day == -1 else ''}"
    return CalendarSpec(kind="months", every=every, anchor=anchor, day=day, offset=offset, name=name)


def _of_weekdays(weekdays: tuple[int, ...], offset: int) -> CalendarSpec:
    name = "B" if weekdays == (0, 1, 2, 3, 4) else "-".join(WEEKDAYS[day].capitalize() for day in weekdays)
    return CalendarSpec(kind="weekdays", weekdays=weekdays, offset=offset, name=name)


def _irregular(
    name: str, unique: Integers, time_format: TimeFormat, place: Callable[[int], str] | None = None
) -> BadData:
    """Say that times lie on no grid, with the first one that leaves it."""
    steps = np.diff(unique)
    values, counts = np.unique(steps, return_counts=True)
    usual = int(values[counts.argmax()])
    odd = int(np.argmax(steps % usual != 0)) if (steps % usual).any() else 0
    where = place(int(unique[odd + 1])) if place else name
    pair = f"{format_instant(unique[odd + 1], time_format)} follows {format_instant(unique[odd], time_format)}"
    if zone := _midnights(unique, steps, time_format):
        setting = Setting("timezone", zone)
        mend = Words("they are midnights of another zone: pass ", setting, ", or the one that they are of")
    elif time_format.kind == "integer":
        mend = Words("correct it")
    else:
        freq = "D" if 2 * counts.max() < len(steps) else _of_seconds(usual, 0).name.partition("-")[0]
        ways = Words(Setting("freq"), " with ", Setting("aggregate", "sum"), " (or mean, last), such as ")
        mend = Words("correct it, or pass ", ways, Setting("freq", freq), " ", Setting("aggregate", "mean"))
    return BadData(f"the times lie on no regular grid: {pair}", place=where, cure=mend)


def _midnights(unique: Integers, steps: Integers, time_format: TimeFormat) -> str | None:
    """A zone in which times that are a day apart, or an hour more or less, have all the same time of day."""
    if time_format.zone is None or (np.abs(steps - np.rint(steps / DAY) * DAY) > HOUR).any():
        return None
    return next((zone for zone in USUAL_ZONES if not (wall_clock(unique, zone) % DAY).any()), None)


def _same(values: NDArray[np.int64]) -> bool:
    return bool((values == values[0]).all())


def _named(anchor: str | None, names: tuple[str, ...]) -> int | None:
    return names.index(anchor.upper()) if anchor and anchor.upper() in names else None
