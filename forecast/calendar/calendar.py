"""Arithmetic on a grid of times: positions, timestamps, calendar features, usual seasons."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import (
    DAY,
    EPOCH,
    HOUR,
    MINUTE,
    WEEK,
    count_months,
    first_days,
    timestamps_at,
    wall_clock,
)
from forecast.errors import INSTALL, Setting, Unavailable, UsageError, did_you_mean
from forecast.tables.table import Flags, Floats, Integers, Numbers

DAYS_OF_YEAR = 365.25
Columns = Iterator[tuple[str, Numbers]]  # names and values
# steps of the M4 competition by the length of a step
USUAL_HORIZONS = {
    "months": {12: 6, 3: 8, 1: 18},
    "seconds": {WEEK: 13, DAY: 14, HOUR: 48},
    "weekdays": {1: 14},
}


class Calendar:
    """A grid of times, whose positions are whole numbers.

    Timestamps are seconds since 1970-01-01: in UTC if there is a zone (an IANA name or a fixed
    offset), else on the wall clock. On a grid of steps, they are numbers of steps. With a zone,
    daily and coarser grids follow the local day, and finer grids follow UTC. Public holidays of a
    country, such as DE or US-CA, are features of daily and finer grids.
    """

    def __init__(
        self, spec: CalendarSpec, zone: str | None = None, holidays: str | None = None
    ) -> None:
        self.spec = spec
        self.zone = zone
        self.holidays = holidays if is_daily_or_finer(spec) else None
        self._days = spec.kind == "seconds" and spec.every % DAY == 0
        self._local = self._days or spec.kind in ("months", "weekdays")
        weeks = self._days and spec.every % WEEK == 0
        self.named_by_ends = weeks or (spec.kind == "months" and spec.day < 0)
        # this also refuses an unknown country now, not at a forecast
        features = _features(np.zeros(1, np.int64), spec, self.holidays)
        self.feature_names = tuple(name for name, _ in features)

    def positions(self, timestamps: Integers) -> Integers:
        """Return the grid position of each timestamp, or of its period if it is not on the grid.

        A period is named by its first time. On grids of ends of months or weeks, it is named by its
        last day.
        """
        spec = self.spec
        wall = wall_clock(timestamps, self.zone) if self._local else timestamps
        if spec.kind == "weekdays":
            week, day = np.divmod(wall // DAY + 3, 7)  # 1970-01-01 was a Thursday
            rank = np.searchsorted(spec.weekdays, day, side="right") - 1
            return week * len(spec.weekdays) + rank
        since = wall - spec.anchor
        every = spec.every
        if spec.kind == "months":
            since = count_months(wall // DAY) - spec.anchor
        elif self._days:  # by days, as the clock change may move midnight itself
            since = wall // DAY - spec.anchor // DAY
            every = spec.every // DAY
        return -(-since // every) if self.named_by_ends else since // every

    def times(self, positions: Integers) -> Integers:
        times = self._times(positions)
        return timestamps_at(times, self.zone, "later")[0] if self._local else times

    def ends(self, positions: Integers) -> Integers:
        """Return the timestamp at which the period of each grid position is over."""
        if self.named_by_ends or self.spec.kind == "weekdays":
            return self.times(positions) + DAY
        return self.times(positions + 1)

    def on_grid(self, timestamps: Integers) -> Flags:
        times = self.times(self.positions(timestamps))
        if self._local:  # an hour that comes twice is the same time on the clock
            return np.equal(wall_clock(times, self.zone), wall_clock(timestamps, self.zone))
        return np.equal(times, timestamps)

    def wall(self, positions: Integers) -> Integers:
        """Return what the wall clock shows at each position, in seconds since 1970-01-01."""
        times = self._times(positions)
        return times if self._local else wall_clock(times, self.zone)

    def features(self, positions: Integers) -> Floats:
        """Return calendar features [positions, features]; their names are `feature_names`.

        Cycles are sines and cosines; holidays are 0 or 1.
        """
        unique, codes = np.unique(positions, return_inverse=True)
        table = np.empty((len(unique), len(self.feature_names)), np.float32)
        features = _features(self.wall(unique), self.spec, self.holidays)
        for column, (_, values) in enumerate(features):
            table[:, column] = values
        return table[codes.reshape(-1)]

    def _times(self, positions: Integers) -> Integers:
        """Return the times of positions, on the wall clock if the grid follows it."""
        spec = self.spec
        if spec.kind == "months":
            months = spec.anchor + positions * spec.every
            first = first_days(months)
            after = first_days(months + 1)
            day = first + spec.day - 1 if spec.day > 0 else after + spec.day
            return np.clip(day, first, after - 1) * DAY + spec.offset
        if spec.kind == "weekdays":
            week, rank = np.divmod(positions, len(spec.weekdays))
            days = week * 7 - 3 + np.asarray(spec.weekdays, np.int64)[rank]
            return days * DAY + spec.offset
        return spec.anchor + positions * spec.every


def _features(wall: Integers, spec: CalendarSpec, holidays: str | None) -> Columns:
    """Names and values of times on the wall clock: of cycles, and centred from -0.5 to 0.5.

    Those of holidays are 0 or 1.
    """
    if spec.kind == "steps" or (spec.kind == "months" and spec.every % 12 == 0):
        return
    months = count_months(wall // DAY)
    if spec.kind == "months":
        yield from _cycle("month", months % 12 / 12)
        return
    days = wall // DAY
    finest = DAY if spec.kind == "weekdays" else spec.every
    if finest < HOUR:
        yield from _cycle("hour", wall % HOUR / HOUR)
    if finest < DAY:
        yield from _cycle("day", wall % DAY / DAY)
    if finest % WEEK:
        yield from _cycle("week", (days + 3) % 7 / 7)
    if finest >= DAY:
        day_of_month = days - first_days(months)
        yield "day_of_month", day_of_month / 30 - 0.5
        day_of_year = days - first_days(months // 12 * 12)
        yield from _cycle("year", day_of_year / DAYS_OF_YEAR)
    if holidays is not None:
        named = named_holidays(days.min() - 1, days.max() + 1, holidays)
        off = [day for day, _ in named]
        for name, ahead in (("", 0), ("_tomorrow", 1), ("_yesterday", -1)):
            yield f"holiday{name}", np.isin(days + ahead, off).astype(np.float64)


def _cycle(name: str, phase: Numbers) -> Columns:
    yield f"{name}_sin", np.sin(2 * np.pi * phase)
    yield f"{name}_cos", np.cos(2 * np.pi * phase)


def is_daily_or_finer(spec: CalendarSpec) -> bool:
    """Whether each day has a time of its own on the grid."""
    return spec.kind == "weekdays" or (spec.kind == "seconds" and spec.every <= DAY)


def season_candidates(spec: CalendarSpec) -> tuple[int, ...]:
    """Return the usual season lengths of a frequency in steps, shortest first.

    The data decide which of them are used.
    """
    every = spec.every
    if spec.kind == "steps":
        return ()
    if spec.kind == "weekdays":
        return (len(spec.weekdays),)
    if spec.kind == "months":
        return (12 // every,) if every < 12 and 12 % every == 0 else ()
    if every == WEEK:
        return (52,)
    if every == DAY:
        return (7, 365)
    cycles = (DAY, WEEK)
    if every <= MINUTE:
        cycles = (HOUR, DAY) if every == MINUTE else (MINUTE, HOUR)
    return tuple(cycle // every for cycle in cycles if cycle % every == 0 and cycle > every)


def steps_of_a_year(spec: CalendarSpec) -> float:
    """The steps of a mean year, of weeks or finer steps; 0 of all others."""
    if spec.kind == "weekdays":
        return DAYS_OF_YEAR * len(spec.weekdays) / 7
    if spec.kind in ("steps", "months") or spec.every > WEEK:
        return 0.0
    return DAYS_OF_YEAR * DAY / spec.every


def default_horizon(spec: CalendarSpec, season: tuple[int, ...]) -> int:
    """Return the default horizon: that of the M4 competition, or else one season.

    Makridakis, Spiliotis, Assimakopoulos: The M4 Competition, International Journal of Forecasting
    36 (2020).
    """
    usual = USUAL_HORIZONS.get(spec.kind, {}).get(spec.every)
    return usual or (season or season_candidates(spec) or (10,))[0]


def named_holidays(first: int, last: int, country: str) -> list[tuple[int, str]]:
    """Return the public holidays of a country, or of a part such as US-CA, with their names.

    Days are counted from 1970-01-01; `first` and `last` are included.
    """
    ends = np.array([first, last], "datetime64[D]")
    start, end = ends.astype("datetime64[Y]").tolist()
    years = range(start.year, end.year + 1)
    named = _holidays(country, tuple(years))
    return [(day, name) for day, name in named if first <= day <= last]


def find_country(codes: set[str], column: str) -> str:
    """The country of which all codes are parts, such as DE of BY and NW, or "country".

    Several codes that can be both are refused, as are parts of several countries.
    """
    setting = Setting("holidays", f"column:{column}")
    supported: dict[str, list[str]] = _package(setting).list_supported_countries(False)
    countries = [name for name, parts in supported.items() if codes <= {*parts}]
    are_countries = codes <= supported.keys()
    if not countries or (are_countries and len(codes) < 2):
        return "country"
    if len(countries) + are_countries < 2:
        return countries[0]
    parts = "countries or " * are_countries + f"parts of {' or of '.join(countries)}"
    raise UsageError(
        f"its codes, {', '.join(sorted(codes))}, can be {parts}",
        setting=setting,
        cure=f"write {countries[0]}-{min(codes)} in its cells, {countries[0]}:{column}, or "
        f"country:{column}",
    )


def region_name(code: str) -> str:
    """The name of a country, or of a part of it: Germany (Bayern)."""
    name, _, part = code.partition("-")
    country = _package(Setting("holidays")).country_holidays(name)
    named = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(country).__mro__[1].__name__)
    aliases = country.get_subdivision_aliases()
    return f"{named} ({[*aliases.get(part, ()), part][0]})" if part else named


def _package(setting: Setting) -> Any:
    try:
        import holidays
    except ImportError:
        raise Unavailable(
            "needs the package holidays", setting=setting, cure=INSTALL.format("holidays")
        ) from None
    return holidays


@lru_cache(maxsize=32)
def _holidays(country: str, years: tuple[int, ...]) -> list[tuple[int, str]]:
    """Days since 1970-01-01 and names of the holidays of some years, sorted."""
    setting = Setting("holidays", country)
    holidays = _package(setting)
    name, _, part = country.partition("-")
    supported = holidays.list_supported_countries()
    if name not in supported:  # checked here, as the package accepts any name in its module
        hint = did_you_mean(name.upper(), list(supported))
        raise UsageError(f"no such country{hint} (ISO codes such as DE or US-CA)", setting=setting)
    if part and part not in supported[name]:
        hint = did_you_mean(part, list(supported[name]))
        parts = ", ".join(supported[name]) or "none"
        raise UsageError(f"no such part{hint} (parts of {name}: {parts})", setting=setting)
    subdiv = part or None
    # names in English, whatever language the environment has, as effects are found by name
    dates = holidays.country_holidays(name, subdiv, years or None, language="en_US")
    named = []
    for date, names in sorted(dates.items()):
        day = date.toordinal() - EPOCH.toordinal()
        named += [(day, name) for name in sorted(names.split("; "))]
    return named
