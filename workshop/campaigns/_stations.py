"""The table that a job reads, night by night: hourly loads of stations by the clock of Berlin, with all that goes wrong
in a year: rows that are revised, late, missing or left out, stations that come and go, and both clock changes."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

ZONE = "Europe/Berlin"
HOUR, DAY_HOURS = 3600, 24
WINDOW = 56 * DAY_HOURS  # hours that the table reaches back
BEFORE = WINDOW + 2 * DAY_HOURS  # hours before the first night
AFTER = 3 * DAY_HOURS  # hours after the last one
ALWAYS = 4  # stations that never close
BLOCK = 45  # nights, in each of which another station opens
LATE, LATE_FOR_ALL, REVISED = 0.15, 0.03, 0.15  # share of the nights
OUTAGE_BLOCK = 90  # nights, in each of which the source stands still once


@dataclass(frozen=True)
class Stations:
    """What the source shows on each night; it follows from the seed.

    Attributes
    ----------
    start : day of the first night
    nights : how many there are
    """

    seed: int
    start: date
    nights: int

    def as_of(self, night: int) -> int:
        """When the job runs: ten past three by the clock of Berlin, in seconds since 1970-01-01 UTC."""
        day = self.start + timedelta(days=night)
        return int(datetime.combine(day, time(3, 10), ZoneInfo(ZONE)).timestamp())

    def table(self, night: int, later: float | None = None) -> bytes:
        """The table as CSV.

        Parameters
        ----------
        later : load of all stations in the hours after that in which the job runs; by default they are not there
        """
        seen = self.night_seen(night)
        now = self._hour(self.as_of(seen))
        lines = ["station,time,load\n"]
        for number in self.open_on(seen):
            cells = self._shown(number, seen)
            # the hour in which the job runs is not over, and a source that stands still does not show it
            end = min(now + (seen == night) - self._late(number, seen), self._closes(number))
            hours = range(max(now - WINDOW, self._opens(number)), end)
            station = f'"{self.name(number)}"'
            lines += [
                f"{station},{self._texts[hour]},{cells[hour]}\n"
                for hour in hours
                if cells[hour] != "-"
            ]
            if later is not None:
                after = self._hour(self.as_of(night)) + 1
                lines += [
                    f"{station},{self._texts[hour]},{later}\n" for hour in range(after, after + 30)
                ]
        return "".join(lines).encode()

    def night_seen(self, night: int) -> int:
        """The night whose table the source shows: an older one while it stands still."""
        block, at = divmod(night, OUTAGE_BLOCK)
        random = Random(f"{self.seed} outage {block}")
        first, length = random.randrange(10, OUTAGE_BLOCK - 6), random.randint(1, 5)
        return block * OUTAGE_BLOCK + first - 1 if first <= at < first + length else night

    def newest(self, night: int) -> dict[str, int]:
        """The start of the newest whole hour with a value, by station, in seconds since 1970-01-01 UTC."""
        seen = self.night_seen(night)
        now, newest = self._hour(self.as_of(seen)), {}
        for number in self.open_on(seen):
            cells = self._shown(number, seen)
            end = min(now + (seen == night) - self._late(number, seen), self._closes(number))
            hours = range(
                min(end, now) - 1,
                max(now - WINDOW, self._opens(number)) - 1,
                -1,
            )
            found = next((hour for hour in hours if cells[hour] not in ("", "-")), None)
            if found is not None:
                newest[self.name(number)] = self._instant(found)
        return newest

    def open_on(self, night: int) -> list[int]:
        """The stations of which the table of a night holds rows, by number."""
        now = self._hour(self.as_of(night))
        return [
            number
            for number in range(ALWAYS + self.nights // BLOCK + 1)
            if self._opens(number) < now - 1 and self._closes(number) > now - WINDOW + 1
        ]

    def name(self, number: int) -> str:
        """The id of a station, which is awkward for some."""
        return ("007", "NA", "Köln", "Hof, Nord")[number] if number < ALWAYS else f"s{number}"

    @cached_property
    def _first(self) -> int:
        return self.as_of(0) // HOUR * HOUR - BEFORE * HOUR

    def _hour(self, instant: int) -> int:
        return (instant - self._first) // HOUR

    def _instant(self, hour: int) -> int:
        return self._first + hour * HOUR

    @cached_property
    def _texts(self) -> list[str]:
        zone, count = ZoneInfo(ZONE), BEFORE + self.nights * DAY_HOURS + AFTER
        times = (
            datetime.fromtimestamp(self._instant(hour), UTC).astimezone(zone)
            for hour in range(count)
        )
        return [when.strftime("%Y-%m-%d %H:%M") for when in times]

    def _opens(self, number: int) -> int:
        if number < ALWAYS:
            return 0
        night = (number - ALWAYS) * BLOCK + Random(f"{self.seed} opens {number}").randint(2, 12)
        return self._hour(self.as_of(night)) - 6

    def _closes(self, number: int) -> int:
        if number < ALWAYS:
            return 2**40
        return self._opens(number) + DAY_HOURS * Random(f"{self.seed} closes {number}").randint(
            20, 100
        )

    def _late(self, number: int, night: int) -> int:
        """Hours whose rows are not there yet."""
        common = Random(f"{self.seed} late {night}")
        hours = common.randint(12, 60) if common.random() < LATE_FOR_ALL else 0
        own = Random(f"{self.seed} late {night} {number}")
        return hours + (own.randint(1, 30) if own.random() < LATE / ALWAYS else 0)

    def _shown(self, number: int, night: int) -> list[str]:
        """The cells of a station as a night shows them; "-" where there is no row."""
        now = self._hour(self.as_of(night))
        shown = self._cells[number].copy()
        random = Random(f"{self.seed} revised {night} {number}")
        if (
            random.random() < REVISED
        ):  # the values of two days are not final, and change by the next night
            for hour in range(now - 2 * DAY_HOURS, now):
                if shown[hour] not in ("", "-"):
                    shown[hour] = f"{float(shown[hour]) * (0.9 + 0.2 * random.random()):.1f}"
        if shown[now] not in ("", "-"):
            shown[now] = f"{float(shown[now]) / 6:.1f}"  # ten minutes of the hour have passed
        return shown

    @cached_property
    def _cells(self) -> list[list[str]]:
        return [self._written(number) for number in range(ALWAYS + self.nights // BLOCK + 1)]

    def _written(self, number: int) -> list[str]:
        """The true values of a station, with blank cells and rows that never come."""
        count = len(self._texts)
        generator = np.random.default_rng([self.seed, number])
        values = self._values(np.arange(count), generator)
        cells = [f"{value:.1f}" for value in values.tolist()]
        for hour in generator.choice(count, count // 100, replace=False).tolist():
            cells[hour] = ""
        for first in generator.choice(count, count // 500, replace=False).tolist():
            for hour in range(first, min(first + int(generator.integers(1, 12)), count)):
                cells[hour] = "-"
        return cells

    @staticmethod
    def _values(hour: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.float64]:
        level, noise = generator.uniform(20, 200), np.zeros(len(hour))
        shocks = generator.normal(0, 0.05, len(hour))
        for at in range(1, len(hour)):
            noise[at] = 0.8 * noise[at - 1] + shocks[at]
        day = (
            1
            + 0.4 * np.sin(2 * np.pi * hour / DAY_HOURS)
            + 0.1 * np.sin(4 * np.pi * hour / DAY_HOURS)
        )
        week = 1 - 0.2 * (hour // DAY_HOURS % 7 >= 5)
        return level * day * week * np.exp(noise)
