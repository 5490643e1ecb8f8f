"""Read a table of saved forecasts on the grid of the actual values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.dated import heading_times
from forecast.reading.observations import Observations, observe
from forecast.reading.reading import Reading, read
from forecast.settings import TableSettings
from forecast.tables.cells import parse_numbers
from forecast.tables.table import Table, repeats
from forecast.tables.writing import interval_columns

POINT = "forecast"


UNUSED: dict[str, Any] = {
    "known": (),
    "past": (),
    "static": (),
    "aggregate": None,
}  # of a schema, for forecasts


@dataclass(frozen=True)
class SavedForecasts:
    ids: Ids
    first: Integers  # [series], grid position of the first forecast
    numbers: Numbers  # [series, horizon, 1 + 2 * intervals], NaN without a forecast
    intervals: tuple[float, ...]  # in percent


def read_saved(
    forecasts: Table, actual: Table, settings: TableSettings
) -> tuple[Reading, SavedForecasts]:
    """Read a table of forecasts on the grid of a table of values, whose ids and time are found by the names in it."""
    names = forecasts.names
    if POINT not in names[1:]:
        problem = f"no column '{POINT}' after id and time columns"
        raise BadData(problem, place=forecasts.name, cure="give a table that predict wrote")
    reading = read_actual(forecasts, names[: names.index(POINT)], actual, settings)
    schema, ways = reading.schema, Words(" with ", Setting("freq"), " and ", Setting("aggregate"))
    found, calendar = observed_forecasts(forecasts, actual.name, schema), calendar_of(schema)
    off = ~calendar.on_grid(found.timestamps)
    if off.any():
        row, grid = int(np.argmax(off)), f"the grid {schema.calendar.name} of {actual.name}"
        problem, cure = (
            f"{forecasts.value(row, schema.time)} does not lie on {grid}",
            "bring both to one frequency",
        )
        raise BadData(problem, place=forecasts.place(row, schema.time), cure=Words(cure, ways))
    position = calendar.positions(found.timestamps)
    first = np.full(len(found.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, found.series, position)
    step = position - first[found.series]
    order = np.lexsort((position, found.series))
    apart = np.diff(position[order])[np.diff(found.series[order]) == 0]
    if (
        len(apart) and (steps := int(apart.min())) > 1
    ):  # those of days may be sums of the values of hours
        text = "%s: times lie %d steps (%s) of %s apart; unless values mean the same, bring them to its frequency%s"
        log.warning(text, forecasts.name, steps, schema.calendar.name, actual.name, ways)
    rows, intervals = numbers_of(forecasts)
    numbers = np.full((len(first), int(step.max()) + 1, rows.shape[1]), np.nan)
    numbers[found.series, step] = rows
    return reading, SavedForecasts(found.ids, first, numbers, intervals)


def read_actual(
    forecasts: Table, heading: list[str], actual: Table, settings: TableSettings
) -> Reading:
    """Read a table of values, whose id columns and time are among those of the forecasts that `heading` names."""
    # the time columns as named, else the last column before the numbers with those it goes with
    time = (
        settings.time
        if settings.time and set(settings.time) <= set(heading)
        else heading_times(forecasts, heading)
    )
    ids = tuple(name for name in heading if name not in time)
    found: dict[str, Any] = {}
    if settings.layout != "rows" and not settings.time and set(time) <= set(actual.names):
        found["time"] = time
        if not settings.id and settings.layout != "wide" and ids and set(ids) <= set(actual.names):
            found["id"] = ids
    return read(actual, TableSettings.check({**settings.model_dump(), **found}))


def observed_forecasts(forecasts: Table, actual: str, schema: Schema) -> Observations:
    """The forecasts of a table, whose columns are named as those of the table called `actual`, each of another time."""
    missing = [name for name in schema.keys if name not in forecasts.frame.columns]
    if missing:
        cure = Words(
            "name the columns that both have with ", Setting("id"), " and ", Setting("time")
        )
        raise BadData(
            f"no column '{missing[0]}', by which {actual} is read", place=forecasts.name, cure=cure
        )
    try:
        found = observe(
            forecasts, schema.model_copy(update={"layout": "long", "target": POINT, **UNUSED})
        )
    except BadData as error:
        problem = str(error.problem).replace("at fit", f"in {actual}")
        raise BadData(problem, setting=error.setting, place=error.place, cure=error.cure) from None
    repeated = repeats(found.series, found.timestamps)
    if repeated.any():
        problem = f"a series and time come twice ({repeated.sum()} such rows)"
        place = forecasts.place(int(np.argmax(repeated)), schema.time)
        raise BadData(
            problem, place=place, cure="score the forecasts of one model from one origin at a time"
        )
    return found


def numbers_of(forecasts: Table) -> tuple[Numbers, tuple[float, ...]]:
    """The point and the ends of the intervals, [rows, 1 + 2 * intervals], and the intervals in percent."""
    names = forecasts.names
    intervals = tuple(
        float(name[3:]) for name in names if name.startswith("lo_") and f"hi_{name[3:]}" in names
    )
    columns = [POINT, *interval_columns(intervals)]
    numbers = np.stack([parse_numbers(forecasts, name) for name in columns], -1)
    crossed = np.argwhere(numbers[:, 1::2] > numbers[:, 2::2])  # rows and intervals
    if len(crossed):
        row, first_column = int(crossed[0, 0]), 1 + 2 * int(crossed[0, 1])
        ends = low, high = columns[first_column], columns[first_column + 1]
        problem = f"the interval begins at {forecasts.value(row, (low,))} and ends at {forecasts.value(row, (high,))}"
        raise BadData(
            problem, place=forecasts.place(row, ends), cure="give a table that predict wrote"
        )
    return numbers, intervals


def missing_series(
    saved: SavedForecasts, panel: Panel, forecasts: str, actual: str
) -> tuple[tuple[str, ...], ...]:
    """Warn of forecasts whose series is not in the panel, and return their ids."""
    missing = tuple(sorted(set(saved.ids) - set(panel.ids)))
    names = series_names(missing)
    if len(missing) == len(saved.ids):
        problem = f"none of the {len(missing)} series of {forecasts} is among the {len(panel)} of {actual}"
        raise BadData(
            f"{problem} ({names} against {series_names(panel.ids)}); are the ids written alike?"
        )
    if missing:
        log.warning("%s: %d series are not in %s (%s)", forecasts, len(missing), actual, names)
    return missing
