"""Read a saved table of forecasts on the grid of a table of values."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.panel.naming import series_names
from forecast.panel.panel import Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.observations import observe
from forecast.reading.reading import Reading, read
from forecast.reading.time_column import heading_times
from forecast.settings import TableSettings
from forecast.tables.distinct import repeats
from forecast.tables.numbers import parse_numbers
from forecast.tables.table import Table
from forecast.tables.writing import interval_columns

log = logging.getLogger("forecast")

POINT = "forecast"


@dataclass(frozen=True)
class SavedForecasts:
    """The forecasts of a table, on the grid of the actual values."""

    ids: Ids
    first: Integers  # [series], grid position of the first forecast
    series: Integers  # [rows]
    step: Integers  # [rows], steps after the first forecast of the series
    numbers: Numbers  # [rows, 1 + 2 * intervals]
    intervals: tuple[float, ...]  # in percent

    @property
    def horizon(self) -> int:
        """Steps from the first to the last forecast, those of the longest series."""
        return int(self.step.max()) + 1

    def by_series(self) -> Numbers:
        """The numbers as [series, horizon, 1 + 2 * intervals], NaN without a forecast."""
        numbers = np.full((len(self.ids), self.horizon, self.numbers.shape[-1]), np.nan)
        numbers[self.series, self.step] = self.numbers
        return numbers


def read_saved(forecasts: Table, actual: Table, settings: TableSettings) -> tuple[Reading, SavedForecasts]:
    """Read a table of forecasts on the grid of a table of values, and those values.

    Parameters
    ----------
    forecasts : id columns, time, ``forecast``, then ``lo_80``, ``hi_80`` and so on
    actual : its id columns and its time are found by the names that they have in `forecasts`
    settings : how to read `actual`

    Raises
    ------
    BadData
        If a column is missing, times are not on the grid of `actual`, a series and time come twice, or an interval ends
        below its beginning.
    """
    names = forecasts.names
    if POINT not in names or names.index(POINT) == 0:
        problem = f"no column '{POINT}' after id and time columns; give a table that predict wrote"
        raise BadData(f"{forecasts.name}: {problem}")
    heading = names[: names.index(POINT)]
    # the time columns as named, else the last column before the numbers with those it goes with
    time = settings.time if settings.time and set(settings.time) <= set(heading) else heading_times(forecasts, heading)
    ids = tuple(name for name in heading if name not in time)
    intervals = tuple(float(name[3:]) for name in names if name.startswith("lo_") and f"hi_{name[3:]}" in names)
    reading = read(actual, _with_columns(settings, actual, ids, time))
    return reading, _on_grid(forecasts, actual.name, reading.schema, intervals)


def _with_columns(settings: TableSettings, actual: Table, ids: tuple[str, ...], time: tuple[str, ...]) -> TableSettings:
    """The settings with the id and time columns of the forecasts, unless the user names others."""
    columns = set(actual.names)
    known: dict[str, Any] = {}
    if settings.layout != "rows" and not settings.time and set(time) <= columns:
        known["time"] = time
        if not settings.id and settings.layout != "wide" and ids and set(ids) <= columns:
            known["id"] = ids
    return TableSettings.check({**settings.model_dump(), **known})


def _on_grid(forecasts: Table, actual: str, schema: Schema, intervals: tuple[float, ...]) -> SavedForecasts:
    """Read forecasts on the grid of the values in the table called `actual`."""
    missing = [name for name in schema.keys if name not in forecasts.frame.columns]
    if missing:
        raise BadData(
            f"no column '{missing[0]}', by which {actual} is read",
            place=forecasts.name,
            cure=Words("name the columns that both have with ", Setting("id"), " and ", Setting("time")),
        )
    nothing: dict[str, Any] = {"known": (), "past": (), "static": (), "aggregate": None}
    rows = schema.model_copy(update={"layout": "long", "target": POINT, **nothing})
    try:
        cells = observe(forecasts, rows)
    except BadData as error:
        problem = str(error.problem).replace("at fit", f"in {actual}")
        raise BadData(problem, setting=error.setting, place=error.place, cure=error.cure) from None
    repeated = repeats(cells.series, cells.instants)
    if repeated.any():
        raise BadData(
            f"{forecasts.place(int(np.argmax(repeated)), schema.time)}: a series and time come twice "
            f"({repeated.sum()} such rows); score the forecasts of one model from one origin at a time"
        )
    calendar = calendar_of(schema)
    off = ~calendar.on_grid(cells.instants)
    if off.any():
        row = int(np.argmax(off))
        raise BadData(
            f"{forecasts.value(row, schema.time)} does not lie on the grid {schema.calendar.name} of {actual}",
            place=forecasts.place(row, schema.time),
            cure=Words("bring both to one frequency with ", Setting("freq"), " and ", Setting("aggregate")),
        )
    position = calendar.positions(cells.instants)
    first = np.full(len(cells.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, cells.series, position)
    columns = [POINT, *interval_columns(intervals)]
    numbers = np.stack([parse_numbers(forecasts, name) for name in columns], -1)
    crossed = np.argwhere(numbers[:, 1::2] > numbers[:, 2::2])  # rows and intervals
    if len(crossed):
        row, first_column = int(crossed[0, 0]), 1 + 2 * int(crossed[0, 1])
        ends = low, high = columns[first_column], columns[first_column + 1]
        problem = f"the interval begins at {forecasts.value(row, (low,))} and ends at {forecasts.value(row, (high,))}"
        raise BadData(problem, place=forecasts.place(row, ends), cure="give a table that predict wrote")
    return SavedForecasts(cells.ids, first, cells.series, position - first[cells.series], numbers, intervals)


def missing_series(given: SavedForecasts, panel: Panel, forecasts: str, actual: str) -> tuple[tuple[str, ...], ...]:
    """Warn of forecasts whose series is not in the panel, and return their ids.

    Parameters
    ----------
    forecasts, actual : names of both tables, for messages

    Raises
    ------
    BadData
        If no series of the forecasts is in the panel.
    """
    missing = tuple(sorted(set(given.ids) - set(panel.ids)))
    if len(missing) == len(given.ids):
        raise BadData(
            f"none of the {len(missing)} series of {forecasts} is among the {len(panel)} of {actual} "
            f"({series_names(missing)} against {series_names(panel.ids)}); are the ids written alike?"
        )
    if missing:
        names = series_names(missing)
        log.warning("%s: %d series are not in %s (%s)", forecasts, len(missing), actual, names)
    return missing
