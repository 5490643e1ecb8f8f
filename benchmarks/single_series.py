"""The real single series of the benchmark of intervals, drawn from the development sets and the samples by one rule."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.files import find_file
from benchmarks.processes import ROOT

WHERE = "the sources in benchmarks/README.md, or the folder data/ of a checkout"
# what a bare fit forecasts, in steps
HORIZONS = {"YS": 6, "QS": 8, "MS": 18, "W": 13, "D": 14, "h": 48, "30min": 48}
# of the unit of MASE and MSIS
SEASONS = {"YS": 1, "QS": 4, "MS": 12, "W": 52, "D": 7, "h": 24, "30min": 48}
POOL = "singles.csv.gz"  # a file of the development sets: 55 series, nothing else beside them
MOST_ROWS = 1000  # a fit sees the newest of a long series
HORIZONS_NEEDED = 3.25  # a shorter series leaves too little before the oldest origin

Load = Callable[[Path], dict[str, pd.Series]]


@dataclass(frozen=True)
class Single:
    """One series.

    Attributes
    ----------
    name : set/id
    values : on a regular grid of times, NaN where missing
    horizon : steps
    season : steps, of the unit of errors
    asked : the horizon passed to the fit, if the default would leave too little to train on
    """

    name: str
    values: pd.Series
    horizon: int
    season: int
    asked: int | None = None

    @property
    def half(self) -> str:
        """Which half of the series it belongs to, by a hash of its name."""
        return ("tune", "check")[zlib.crc32(self.name.encode()) % 2]

    def origins(self, count: int) -> list[int]:
        """Rows at which forecasts begin, evenly spread over the newer half of the series."""
        newest = len(self.values) - self.horizon
        oldest = min(newest, max(2 * self.horizon, len(self.values) // 2))
        wanted = np.unique(np.linspace(oldest, newest, count).astype(int))
        return [int(origin) for origin in wanted if self._measurable(int(origin))]

    def _measurable(self, origin: int) -> bool:
        """Whether there are values to forecast, and a past that gives errors a unit."""
        ahead, past = (
            self.values.iloc[origin : origin + self.horizon],
            self.values.iloc[max(0, origin - MOST_ROWS) : origin],
        )
        return bool(ahead.notna().any() and past.std() > 0)


@dataclass(frozen=True)
class Set:
    """Series of one kind, of which some are drawn.

    Attributes
    ----------
    name : of the set
    frequency : of pandas
    count : series that are drawn
    load : reads all of them
    horizon : where it is not that of the frequency
    """

    name: str
    frequency: str
    count: int
    load: Load
    horizon: int | None = None


def draw(folder: Path, times: int = 1) -> Iterator[Single]:
    """The series of all sets: those that are long enough, in the order of their names, evenly spread.

    Parameters
    ----------
    times : draw so many times as many of each set, if it has them
    """
    for one in SETS:
        horizon = one.horizon or HORIZONS[one.frequency]
        series = {
            name: values
            for name, values in sorted(one.load(folder).items())
            if len(values) >= HORIZONS_NEEDED * horizon and values.std() > 0
        }
        names = list(series)
        for place in np.unique(
            np.linspace(0, len(names) - 1, min(one.count * times, len(names))).astype(int)
        ):
            name = names[place]
            yield Single(
                f"{one.name}/{name}", series[name], horizon, SEASONS[one.frequency], one.horizon
            )


def _find(folder: Path, name: str) -> Path:
    """A file of the development sets, or else a sample of this checkout."""
    sample = ROOT / "data" / name
    return sample if sample.exists() else find_file(folder, name, WHERE)


def _rows(file: str, frequency: str, folder: Path) -> dict[str, pd.Series]:
    """A row a series, without times; the training part only."""
    table = pd.read_csv(_find(folder, f"{file}_train.csv"), index_col=0)
    series = {}
    for name, row in table.iterrows():
        values = row.dropna().to_numpy(float)
        series[str(name)] = pd.Series(
            values, pd.date_range("1950-01-01", periods=len(values), freq=frequency)
        )
    return series


def _long(
    file: str,
    time: str,
    value: str,
    frequency: str,
    folder: Path,
    ids: tuple[str, ...] = (),
    how: str = "mean",
) -> dict[str, pd.Series]:
    """A long table, or a single series; finer times are summed or averaged."""
    table = pd.read_csv(_find(folder, file), low_memory=False)
    table["time"] = pd.to_datetime(table[time])
    groups = table.groupby(list(ids)) if ids else [((value,), table)]
    series = {}
    for name, part in groups:
        grid = part.set_index("time")[value].resample(frequency)
        series["-".join(map(str, name))] = grid.sum(min_count=1) if how == "sum" else grid.mean()
    return series


def _wide(file: str, time: str, frequency: str, folder: Path) -> dict[str, pd.Series]:
    table = pd.read_csv(_find(folder, file))
    table.index = pd.DatetimeIndex(pd.to_datetime(table.pop(time)), freq=None)
    return {str(name): values.asfreq(frequency) for name, values in table.items()}


def _pool(frequency: str, folder: Path) -> dict[str, pd.Series]:
    """The series of the pool that have this frequency."""
    table = pd.read_csv(_find(folder, POOL), parse_dates=["time"])
    table = table[table["freq"] == frequency]
    grid = "W-" + table["time"].iloc[0].strftime("%a").upper() if frequency == "W" else frequency
    return {
        str(name): part.set_index("time")["value"].asfreq(grid)
        for name, part in table.groupby("series")
    }


def _new_deaths(folder: Path) -> dict[str, pd.Series]:
    totals = _long("covid_deaths_daily.csv.gz", "date", "deaths", "D", folder, ("id",))
    return {
        name: values.diff().iloc[1:].clip(lower=0)
        for name, values in totals.items()
        if values.max() > 300
    }


def _carbon(folder: Path) -> dict[str, pd.Series]:
    table = pd.read_csv(_find(folder, "mauna_loa_co2.csv"))
    return {
        "co2": pd.Series(
            table["co2"].to_numpy(float), pd.DatetimeIndex(pd.to_datetime(table["week"]))
        )
    }


_COVID, _ELECTRICITY, _BIKES = (
    "covid_deaths_daily.csv.gz",
    "vic_elec_halfhourly.csv.gz",
    "bike_sharing_hourly.csv.gz",
)
_BEIJING, _KENNEDY = "beijing_pm25_hourly.csv.gz", "jfk_temperature.csv"

SETS = (
    Set("m1_yearly", "YS", 4, partial(_rows, "m1_yearly", "YS")),
    Set("m1_quarterly", "QS", 4, partial(_rows, "m1_quarterly", "QS")),
    Set("m1_monthly", "MS", 5, partial(_rows, "m1_monthly", "MS")),
    Set("carparts", "MS", 4, partial(_rows, "carparts_quarter", "MS"), horizon=12),
    Set(
        "aus_retail",
        "MS",
        4,
        lambda folder: _long(
            "aus_retail_monthly.csv.gz", "month", "turnover", "MS", folder, ("series_id",)
        ),
    ),
    Set("covid", "D", 3, lambda folder: _long(_COVID, "date", "deaths", "D", folder, ("id",))),
    Set("covid_new", "D", 2, _new_deaths),
    Set("births", "D", 1, partial(_long, "us_births_2000_2014_daily.csv", "date", "births", "D")),
    Set("saugeen", "D", 1, partial(_long, "saugeen_river_flow_daily.csv.gz", "ds", "y", "D")),
    Set(
        "pedestrian",
        "h",
        4,
        lambda folder: _long(
            "pedestrian_melbourne_hourly.csv.gz", "timestamp_utc", "count", "h", folder, ("sensor",)
        ),
    ),
    Set("vic_elec", "h", 1, partial(_long, _ELECTRICITY, "timestamp_utc", "demand", "h")),
    Set("vic_elec_daily", "D", 1, partial(_long, _ELECTRICITY, "timestamp_utc", "demand", "D")),
    Set("bike", "h", 1, partial(_long, _BIKES, "date_time", "users", "h")),
    Set("bike_daily", "D", 1, partial(_long, _BIKES, "date_time", "users", "D", how="sum")),
    Set("beijing", "h", 1, partial(_long, _BEIJING, "timestamp", "pm25", "h")),
    Set("beijing_daily", "D", 1, partial(_long, _BEIJING, "timestamp", "pm25", "D")),
    Set("air_passengers", "MS", 1, partial(_wide, "air_passengers.csv", "month", "MS")),
    Set("us_unemployment", "MS", 2, partial(_wide, "us_unemployment.csv", "month", "MS")),
    Set(
        "nyc_flight_delays",
        "D",
        3,
        lambda folder: _long(
            "nyc_flight_delays.csv", "day", "delayed", "D", folder, ("airport", "airline")
        ),
    ),
    Set("mauna_loa", "W", 1, _carbon),
    Set("jfk", "h", 1, partial(_long, _KENNEDY, "time_utc", "temperature", "h")),
    Set("jfk_daily", "D", 1, partial(_long, _KENNEDY, "time_utc", "temperature", "D")),
    *(
        Set("pool", frequency, 99, partial(_pool, frequency))
        for frequency in ("YS", "QS", "MS", "W", "D", "30min")
    ),
)
