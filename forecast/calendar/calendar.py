"""Arithmetic on a grid of times: positions, timestamps, calendar features, usual seasons and horizons."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import (
    DAY,
    HOUR,
    MINUTE,
    WEEK,
    Flags,
    Integers,
    timestamps_at,
    wall_clock,
)
from forecast.errors import INSTALL, Setting, Unavailable, UsageError, did_you_mean

Floats = NDArray[np.float32]


class Calendar:
    """A grid of times, whose positions are whole numbers.

    Timestamps are seconds since 1970-01-01: UTC where there is a zone (IANA name or fixed offset), else by the wall
    clock; on a grid of steps they are steps. With a zone, daily and coarser grids follow the local day, finer ones UTC.
    Public holidays of a country, such as DE or US-CA, are features of daily and finer grids.
    """

    def __init__(
        self, spec: CalendarSpec, zone: str | None = None, holidays: str | None = None
    ) -> None:
        self.spec = spec
        self.zone = zone
        self.holidays = holidays if is_daily_or_finer(spec) else None
        self._days = spec.kind == "seconds" and spec.every % DAY == 0
        self._local = self._days or spec.kind in ("months", "weekdays")
        self.named_by_ends = (spec.kind == "months" and spec.day < 0) or (
            self._days and spec.every % WEEK == 0
        )
        self.feature_names: tuple[str, ...] = tuple(_features(np.zeros(1, np.int64), spec))
        if self.holidays is not None:
            _holidays(self.holidays, ())  # refuses an unknown country now, not at a forecast
            self.feature_names += ("holiday", "holiday_tomorrow", "holiday_yesterday")

    def positions(self, timestamps: Integers) -> Integers:
        """Grid position of each timestamp; of the period that it lies in, where it is not on the grid.

        A period is named by its first time, except where the grid has ends of months or weeks: by its last day.
        """
        spec = self.spec
        wall = wall_clock(timestamps, self.zone) if self._local else timestamps
        if spec.kind == "weekdays":
            week, day = np.divmod(wall // DAY + 3, 7)  # 1970-01-01 was a Thursday
            return week * len(spec.weekdays) + np.searchsorted(spec.weekdays, day, side="right") - 1
        since, every = wall - spec.anchor, spec.every
        if spec.kind == "months":
            since = (
                wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) - spec.anchor
            )
        elif self._days:  # by days, as the clock change may move midnight itself
            since, every = wall // DAY - spec.anchor // DAY, every // DAY
        return -(-since // every) if self.named_by_ends else since // every

    def times(self, positions: Integers) -> Integers:
        times = self._times(positions)
        return timestamps_at(times, self.zone, "later")[0] if self._local else times

    def ends(self, positions: Integers) -> Integers:
        """Timestamp at which the period of each grid position is over."""
        last_day = self.named_by_ends or self.spec.kind == "weekdays"
        return self.times(positions) + DAY if last_day else self.times(positions + 1)

    def on_grid(self, timestamps: Integers) -> Flags:
        times = self.times(self.positions(timestamps))
        if self._local:  # an hour that comes twice is the same time on the clock
            times, timestamps = wall_clock(times, self.zone), wall_clock(timestamps, self.zone)
        return np.equal(times, timestamps)

    def wall(self, positions: Integers) -> Integers:
        """What the clocks show at the time of each grid position, in seconds since 1970-01-01."""
        return (
            self._times(positions) if self._local else wall_clock(self.times(positions), self.zone)
        )

    def features(self, positions: Integers) -> Floats:
        """Calendar features [positions, features], named by `feature_names`: cycles, and flags 0 and 1 for holidays."""
        unique, codes = np.unique(positions, return_inverse=True)
        wall = self.wall(unique)
        columns = list(_features(wall, self.spec).values())
        if self.holidays is not None:
            days = wall // DAY
            off = [
                day
                for day, _ in named_holidays(
                    int(days.min()) - 1, int(days.max()) + 1, self.holidays
                )
            ]
            columns += [np.isin(days + shift, off).astype(np.float64) for shift in (0, 1, -1)]
        table = (
            np.stack(columns, axis=1) if columns else np.zeros((len(unique), 0))
        )  # [unique, features]
        return table.astype(np.float32)[codes.reshape(-1)]

    def _times(self, positions: Integers) -> Integers:
        """Times of positions, by the wall clock where the grid follows it."""
        spec = self.spec
        if spec.kind == "months":
            months = spec.anchor + positions * spec.every
            both = np.stack([months, months + 1]).astype("datetime64[M]")
            first, after = both.astype("datetime64[D]").astype(np.int64)
            day = (
                np.minimum(first + spec.day, after) - 1
                if spec.day > 0
                else np.maximum(after + spec.day, first)
            )
            return np.asarray(day * DAY + spec.offset)
        if spec.kind == "weekdays":
            week, rank = np.divmod(positions, len(spec.weekdays))
            return (week * 7 - 3 + np.asarray(spec.weekdays, np.int64)[rank]) * DAY + spec.offset
        return spec.anchor + positions * spec.every


def _features(wall: Integers, spec: CalendarSpec) -> dict[str, NDArray[np.float64]]:
    """Features by name of times on the wall clock: sine and cosine of cycles, centred values from -0.5 to 0.5."""
    columns: dict[str, NDArray[np.float64]] = {}

    def cycle(name: str, phase: NDArray[np.float64]) -> None:
        columns[f"{name}_sin"], columns[f"{name}_cos"] = (
            np.sin(2 * np.pi * phase),
            np.cos(2 * np.pi * phase),
        )

    if spec.kind == "steps" or (spec.kind == "months" and spec.every % 12 == 0):
        return columns
    days, months, years = (
        wall.astype("datetime64[s]").astype(f"datetime64[{unit}]") for unit in "DMY"
    )
    if spec.kind == "months":
        cycle("month", (months - years.astype("datetime64[M]")).astype(np.int64) / 12)
        return columns
    if spec.kind == "seconds" and spec.every < HOUR:
        cycle("hour", wall % HOUR / HOUR)
    if spec.kind == "seconds" and spec.every < DAY:
        cycle("day", wall % DAY / DAY)
    if spec.kind == "weekdays" or spec.every % WEEK:
        cycle("week", (wall // DAY + 3) % 7 / 7)
    if spec.kind == "weekdays" or spec.every >= DAY:
        columns["day_of_month"] = (days - months.astype("datetime64[D]")).astype(
            np.int64
        ) / 30 - 0.5
        cycle("year", (days - years.astype("datetime64[D]")).astype(np.int64) / 365.25)
    return columns


def is_daily_or_finer(spec: CalendarSpec) -> bool:
    """Whether each day has a time of its own on the grid."""
    return spec.kind == "weekdays" or (spec.kind == "seconds" and spec.every <= DAY)


def season_candidates(spec: CalendarSpec) -> tuple[int, ...]:
    """Season lengths in steps that are usual for a frequency, shortest first; the data decide which of them hold."""
    if spec.kind == "steps":
        return ()
    if spec.kind == "weekdays":
        return (len(spec.weekdays),)
    if spec.kind == "months":
        return (12 // spec.every,) if spec.every < 12 and 12 % spec.every == 0 else ()
    if spec.every in (DAY, WEEK):
        return (7, 365) if spec.every == DAY else (52,)
    cycles = (
        (MINUTE, HOUR)
        if spec.every < MINUTE
        else (HOUR, DAY)
        if spec.every == MINUTE
        else (DAY, WEEK)
    )
    return tuple(
        cycle // spec.every for cycle in cycles if cycle % spec.every == 0 and cycle > spec.every
    )


def default_horizon(spec: CalendarSpec, season: tuple[int, ...]) -> int:
    """Steps to forecast by default: by the convention of the M4 competition, otherwise one season.

    Makridakis, Spiliotis, Assimakopoulos: The M4 Competition, International Journal of Forecasting 36 (2020).
    """
    usual = {
        "months": {12: 6, 3: 8, 1: 18},
        "seconds": {WEEK: 13, DAY: 14, HOUR: 48},
        "weekdays": {1: 14},
    }
    return (
        usual.get(spec.kind, {}).get(spec.every) or (season or season_candidates(spec) or (10,))[0]
    )


def named_holidays(first: int, last: int, country: str) -> list[tuple[int, str]]:
    """The public holidays of a country, or of a part such as US-CA, between days since 1970-01-01, with their names."""
    start, end = (
        np.array([first, last], "datetime64[D]").astype("datetime64[Y]").astype(np.int64).tolist()
    )
    found = _holidays(country, tuple(range(1970 + start, 1971 + end)))
    return [(day, name) for day, name in found if first <= day <= last]


@lru_cache(maxsize=32)
def _holidays(country: str, years: tuple[int, ...]) -> tuple[tuple[int, str], ...]:
    """Days since 1970-01-01 and names of the holidays of some years."""
    setting = Setting("holidays", country)
    try:
        import holidays
    except ImportError:
        raise Unavailable(
            "needs the package holidays", setting=setting, cure=INSTALL.format("holidays")
        ) from None
    name, _, part = country.partition("-")
    supported = holidays.list_supported_countries()
    if name not in supported:  # checked here, as the package accepts any name in its module
        hint = did_you_mean(name.upper(), list(supported))
        raise UsageError(f"no such country{hint} (ISO codes such as DE or US-CA)", setting=setting)
    try:
        dates = holidays.country_holidays(name, subdiv=part or None, years=years or None)
    except NotImplementedError:
        hint, parts = (
            did_you_mean(part, list(supported[name])),
            ", ".join(supported[name]) or "none",
        )
        raise UsageError(
            f"no such part{hint} (parts of {name}: {parts})", setting=setting
        ) from None
    named = ((day, name) for day, names in dates.items() for name in names.split("; "))
    return tuple(
        sorted((int(np.datetime64(day, "D").astype(np.int64)), name) for day, name in named)
    )
