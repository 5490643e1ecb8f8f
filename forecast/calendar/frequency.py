"""Infer the grid on which times lie, from `freq` or from the times themselves."""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import format_timestamp
from forecast.calendar.spec import CalendarSpec, TimeFormat
from forecast.calendar.zones import DAY, HOUR, MINUTE, WEEK, Integers, wall_clock
from forecast.errors import BadData, Setting, UsageError, Words, did_you_mean
from forecast.tables.table import distinct

SECONDS = {"s": 1, "min": MINUTE, "t": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
MONTHS = {"m": 1, "q": 3, "y": 12, "a": 12}
WEEKDAYS = tuple(name[:3].upper() for name in patterns.WEEKDAYS)
MONTH_NAMES = tuple(name.upper() for name in patterns.ABBREVIATIONS)
ALIAS = re.compile(
    r"(?P<count>\d{0,9})\s*(?P<unit>[A-Za-z]*?)(?P<side>(?<=[MQYAmqya])[SsEe])?(-(?P<anchor>[A-Za-z]{3}))?"
)
KNOWN = (
    "s",
    "min",
    "15min",
    "h",
    "D",
    "B",
    "W",
    "W-SUN",
    "MS",
    "ME",
    "QS",
    "QE",
    "YS",
    "YE",
)  # for messages
MIN_SHARE = 0.1  # of the steps between times that must be the grid's, where some are shorter than the usual step


class Frequency(NamedTuple):
    """A parsed `freq`: the step of the grid, and where the grid lies as far as that is given."""

    kind: Literal["steps", "seconds", "months", "weekdays"]
    every: int
    end: bool | None = None  # months: at their end, at their start, or as the data have it
    anchor: int | None = (
        None  # weekday (Monday 0) or month (January 0) that an alias such as W-SUN names
    )


def parse_frequency(text: str) -> Frequency:
    """Read ``freq``: pandas aliases, old and new (h, H, 15min, T, D, B, W-SUN, MS, M, ME, QS-FEB, Y), or a number."""
    alias = ALIAS.fullmatch(text.strip())
    count = int(alias["count"] or 1) if alias else 0
    if alias and count:
        unit, side, anchor = alias["unit"].lower(), alias["side"], (alias["anchor"] or "").upper()
        if not unit and alias["count"] and not side and not anchor:
            return Frequency("steps", count)
        if unit == "b" and count == 1 and not anchor:
            return Frequency("weekdays", 1)
        names = WEEKDAYS if unit == "w" else MONTH_NAMES if unit in "qya" else ()
        number = names.index(anchor) if anchor in names else None
        known = anchor in ("", *names)
        if known and unit in SECONDS and not side:
            return Frequency("seconds", count * SECONDS[unit], anchor=number)
        if known and unit in MONTHS and alias["unit"] != "m":
            return Frequency(
                "months", count * MONTHS[unit], None if side is None else side in "eE", number
            )
    problem = f"not a frequency{did_you_mean(text, list(KNOWN))} (such as {', '.join(KNOWN)}, or 1)"
    raise UsageError(problem, setting=Setting("freq", text))


def infer_calendar(
    timestamps: Integers,
    series: Integers,
    freq: str | None,
    time_format: TimeFormat,
    aggregated: bool = False,
    place: Callable[[int], str] = str,
) -> CalendarSpec:
    """Infer the grid on which the times of rows of series lie; some may be missing in it.

    If rows are `aggregated`, times may lie between those of the grid that `freq` names. `place` says in messages where
    a timestamp stands.
    """
    unique, zone = distinct(timestamps), time_format.zone
    if freq is not None:
        spec = _given_grid(unique, parse_frequency(freq), time_format, aggregated, freq)
        off = unique[~Calendar(spec, zone).on_grid(unique)]
        if aggregated or not len(off):
            return spec
        first = f", the first is {format_timestamp(off[0], time_format)}"
        share = f"{len(off)} of {len(unique)} times do not lie on the grid of "
        cure = Words(
            "pass ", Setting("aggregate", "sum"), " (or mean, last), or another ", Setting("freq")
        )
        raise BadData(
            Words(share, Setting("freq", freq), first), place=place(int(off[0])), cure=cure
        )
    if len(unique) < 2:
        problem = "only one time, so that its frequency cannot be inferred"
        raise BadData(problem, place=place(int(unique[0])), cure=Words("pass ", Setting("freq")))
    if time_format.kind != "integer":
        inferred = _inferred_grid(timestamps, series, unique, zone)
    else:
        inferred = _of_steps(step, unique) if (step := _step(timestamps, series)) else None
    if inferred is not None:
        return inferred
    steps = np.diff(unique)
    values, counts = np.unique(steps, return_counts=True)
    usual = int(values[counts.argmax()])
    odd = int(
        np.argmax(steps % usual != 0)
    )  # the first time that leaves the grid of the usual step
    before, after = (format_timestamp(unique[at], time_format) for at in (odd, odd + 1))
    cure = Words("correct it")
    if time_format.kind != "integer":
        freq = (
            "D" if 2 * counts.max() < len(steps) else _of_seconds(usual, 0).name.partition("-")[0]
        )
        ways = Words(
            Setting("freq"), " with ", Setting("aggregate", "sum"), " (or mean, last), such as "
        )
        # such as midnights of Berlin that are written in UTC, or a clock that changes by less than a step
        other = ("pass another ", Setting("timezone"), " or none, ") if zone else ()
        cure = Words(
            "correct it, ",
            *other,
            "or pass ",
            ways,
            Setting("freq", freq),
            " ",
            Setting("aggregate", "mean"),
        )
    problem = f"the times lie on no regular grid: {after} follows {before}"
    raise BadData(problem, place=place(int(unique[odd + 1])), cure=cure)


def _inferred_grid(
    timestamps: Integers, series: Integers, unique: Integers, zone: str | None
) -> CalendarSpec | None:
    """A grid of dates or times of day; None if no grid fits."""
    days, clock = np.divmod(wall_clock(unique, zone), DAY)
    same_clock = (clock == clock[0]).all()
    if (np.diff(days) > 0).all() and (same_clock or zone is not None):
        offset = int(np.bincount(clock).argmax())  # midnight may be missing where the clock changes
        all_days = wall_clock(timestamps, zone) // DAY
        index, day, at_end = _in_months(days)
        if at_end or (day[0] <= 28 and (day == day[0]).all()):
            every = int(np.gcd.reduce(np.diff(index)))
            spec: CalendarSpec | None = _of_months(
                every, int(index[0]), -1 if at_end else int(day[0]), offset
            )
        else:
            spec = _weekday_pattern(days, offset)
            if spec is None or _step(Calendar(spec).positions(all_days * DAY), series) != 1:
                step = _step(all_days, series)
                spec = None if step is None else _of_seconds(step * DAY, int(days[0]) * DAY, offset)
        if spec is not None and Calendar(spec, zone).on_grid(unique).all():
            return spec
    step = _step(timestamps, series)
    if step is None or (step % DAY == 0 and zone is not None and not same_clock):
        return None
    return _of_seconds(step, int(unique[0]))


def _in_months(days: Integers) -> tuple[Integers, Integers, bool]:
    """[days], months since 1970-01 and days of the month; and whether each is the last day of its month."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    day = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
    after = (days + 1).astype("datetime64[D]").astype("datetime64[M]")
    return months.astype(np.int64), day, bool((after > months).all())


def _weekday_pattern(days: Integers, offset: int) -> CalendarSpec | None:
    """A grid of some days of the week, if the others never occur and these mostly do."""
    weekdays = distinct((days + 3) % 7)
    if not 2 <= len(weekdays) <= 6 or days[-1] - days[0] < 21:  # three weeks
        return None
    spec = _of_weekdays(tuple(weekdays.tolist()), offset)
    positions = Calendar(spec).positions(days * DAY)
    return spec if 2 * len(days) >= positions[-1] - positions[0] + 1 else None


def _step(times: Integers, series: Integers) -> int | None:
    """The step between times that divides all the others: the most common one, else their divisor if it is common."""
    unique = distinct(times)
    if len(unique) < 2:
        return None
    order = np.lexsort((times, series))
    steps = np.diff(times[order])[np.diff(series[order]) == 0]
    steps = steps[steps > 0]
    values, counts = np.unique(steps if len(steps) else np.diff(unique), return_counts=True)
    divisor = int(np.gcd.reduce(unique - unique[0]))
    often = counts[values == divisor].sum()
    return divisor if often == counts.max() or often >= max(MIN_SHARE * counts.sum(), 2) else None


def _given_grid(
    unique: Integers, given: Frequency, time_format: TimeFormat, coarser: bool, freq: str
) -> CalendarSpec:
    """The grid of a frequency, placed where the data lie, or at usual bounds where it is `coarser` than they are."""
    if (given.kind == "steps") != (time_format.kind == "integer"):
        needed = (
            "a frequency such as D or h"
            if given.kind == "steps"
            else "a number, as the times are steps"
        )
        raise UsageError(f"pass {needed}", setting=Setting("freq", freq))
    if given.kind == "steps":
        return _of_steps(given.every, unique)
    days, clock = np.divmod(wall_clock(unique, time_format.zone), DAY)
    offset = 0 if coarser else int(np.bincount(clock).argmax())
    if given.kind == "weekdays":
        return _of_weekdays((0, 1, 2, 3, 4), offset)
    if given.kind == "months":
        index, days_of_month, at_end = _in_months(days)
        has_days = time_format.kind != "period" and "%d" in (time_format.pattern or "%d").replace(
            "-", ""
        )
        if not coarser and not has_days:
            day = 1  # a month without a day means its first day
        elif given.end is None and not coarser:
            day = -1 if at_end else min(int(days_of_month[0]), 28)
        else:
            day = -1 if given.end else 1
        usual = (given.every - 1 if day < 0 else 0) if coarser else int(index[0])
        return _of_months(given.every, usual if given.anchor is None else given.anchor, day, offset)
    if given.every % DAY:
        return _of_seconds(given.every, 0 if coarser else int(unique[0]))
    first = int(days[0])
    if given.every % WEEK == 0 and (coarser or given.anchor is not None):
        weekday = 6 if given.anchor is None else given.anchor
        first += (weekday - (first + 3)) % 7
    return _of_seconds(given.every, first * DAY, offset)


def _of_steps(every: int, unique: Integers) -> CalendarSpec:
    return CalendarSpec(kind="steps", every=every, anchor=int(unique[0]) % every, name=str(every))


def _counted(every: int, **units: int) -> str:
    """The name of a step by the coarsest unit that divides it: D, 2D, 15min."""
    unit, size = next((unit, size) for unit, size in units.items() if every % size == 0)
    return f"{every // size if every > size else ''}{unit}"


def _of_seconds(every: int, anchor: int, offset: int = 0) -> CalendarSpec:
    """A grid through the time `anchor`, or `offset` seconds later."""
    anchor = anchor % every + offset
    name = _counted(every, W=WEEK, D=DAY, h=HOUR, min=MINUTE, s=1)
    name += f"-{WEEKDAYS[(anchor // DAY + 3) % 7]}" if every % WEEK == 0 else ""
    return CalendarSpec(kind="seconds", every=every, anchor=anchor, name=name)


def _of_months(every: int, anchor: int, day: int, offset: int) -> CalendarSpec:
    name = _counted(every, Y=12, Q=3, M=1) + {1: "S", -1: "E"}.get(day, "")
    return CalendarSpec(
        kind="months", every=every, anchor=anchor % every, day=day, offset=offset, name=name
    )


def _of_weekdays(weekdays: tuple[int, ...], offset: int) -> CalendarSpec:
    name = (
        "B"
        if weekdays == (0, 1, 2, 3, 4)
        else "-".join(WEEKDAYS[day].capitalize() for day in weekdays)
    )
    return CalendarSpec(kind="weekdays", weekdays=weekdays, offset=offset, name=name)
