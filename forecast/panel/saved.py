"""Read a table of saved forecasts, and place them on the grid of the actuals."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting
from forecast.logs import log
from forecast.panel.dated import heading_times
from forecast.panel.infer import Reading, read
from forecast.panel.observations import Observations, observe
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_names
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import TableSettings, find_intervals, interval_levels
from forecast.tables.cells import parse_numbers
from forecast.tables.table import Columns, Table, repeats

POINT = "forecast"
# how a schema reads a table of forecasts
PLAIN_SETTINGS: dict[str, Any] = {
    "layout": "long",
    "target": POINT,
    "aggregate": None,
    "known": (),
    "past": (),
    "static": (),
}
PREDICTED = "give a table that predict wrote"


@dataclass(frozen=True)
class SavedForecasts:
    ids: Ids
    first: Integers  # [series], grid position of the first forecast
    # [series, horizon, 1 + columns], the point forecast and its quantiles; NaN without a forecast
    numbers: Numbers
    columns: dict[str, float]  # the levels of the quantiles by column


def read_saved_forecasts(
    forecasts: Table, actual: Table, settings: TableSettings
) -> tuple[Reading, SavedForecasts]:
    """Read forecasts and the table of their actuals, and place both on the grid of the actuals.

    The names of the columns of the forecasts say which columns of the actuals are ids and time.
    """
    names = forecasts.names
    if POINT not in names[1:]:
        problem = f"no column '{POINT}' after id and time columns"
        raise BadData(problem, place=forecasts.name, cure=PREDICTED)
    reading = read_actual(forecasts, names[: names.index(POINT)], actual, settings)
    schema = reading.schema
    calendar = build_calendar(schema)
    observed = observed_forecasts(forecasts, actual.name, schema)
    to_one_frequency = f" with {Setting('freq')} and {Setting('aggregate')}"
    off = ~calendar.on_grid(observed.timestamps)
    if off.any():
        row = np.argmax(off)
        time = forecasts.value(row, schema.time)
        problem = f"{time} does not lie on the grid {schema.calendar.name} of {actual.name}"
        raise BadData(
            problem,
            place=forecasts.place(row, schema.time),
            cure=f"bring both to one frequency{to_one_frequency}",
        )
    positions = calendar.positions(observed.timestamps)
    latest = np.iinfo(np.int64).max
    first = np.full(len(observed.ids), latest)
    np.minimum.at(first, observed.series, positions)
    step = positions - first[observed.series]
    order = np.lexsort((positions, observed.series))
    same_series = np.diff(observed.series[order]) == 0
    between = np.diff(positions[order])[same_series]
    if (between > 1).all() and len(between):  # daily forecasts may be sums of hourly actuals
        log.warning(
            "%s: times lie %s apart; unless values mean the same, bring them to its frequency%s",
            forecasts.name,
            f"{between.min()} steps ({schema.calendar.name}) of {actual.name}",
            to_one_frequency,
        )
    rows, columns = extract_predictions(forecasts)
    horizon = step.max() + 1
    shape = len(first), horizon, rows.shape[1]
    numbers = np.full(shape, np.nan)
    numbers[observed.series, step] = rows
    return reading, SavedForecasts(observed.ids, first, numbers, columns)


def read_actual(
    forecasts: Table, heading: list[str], actual: Table, settings: TableSettings
) -> Reading:
    """Read the table of actuals; its ids and time are the columns that `heading` names."""
    if settings.layout == "rows" or settings.time:
        return read(actual, settings)
    time = heading_times(forecasts, heading)
    if not set(time) <= set(actual.names):
        return read(actual, settings)
    update: dict[str, Any] = {"time": time}
    ids = tuple(name for name in heading if name not in time)
    if not settings.id and settings.layout != "wide" and ids and set(ids) <= set(actual.names):
        update["id"] = ids
    return read(actual, TableSettings.check({**settings.model_dump(), **update}))


def observed_forecasts(forecasts: Table, actual: str, schema: Schema) -> Observations:
    """Read the forecasts of a table, which has the id and time columns of the table `actual`.

    A series must not have two forecasts for the same time.
    """
    missing = [name for name in schema.keys if name not in forecasts.names]
    if missing:
        problem = f"no column '{missing[0]}', by which {actual} is read"
        raise BadData(
            problem,
            place=forecasts.name,
            cure=f"name the columns that both have with {Setting('id')} and {Setting('time')}",
        )
    try:
        observed = observe(forecasts, schema.model_copy(update=PLAIN_SETTINGS))
    except BadData as error:
        problem = str(error.problem).replace("at fit", f"in {actual}")
        raise BadData(problem, setting=error.setting, place=error.place, cure=error.cure) from None
    repeated = repeats(observed.series, observed.timestamps)
    if repeated.any():
        problem = f"a series and time come twice ({repeated.sum()} such rows)"
        raise BadData(
            problem,
            place=forecasts.place(np.argmax(repeated), schema.time),
            cure="score the forecasts of one model from one origin at a time",
        )
    return observed


def quantile_columns(names: Columns) -> dict[str, float]:
    """The columns of quantiles of a table that predict wrote; see `OutputSettings.columns`."""
    columns = {}
    for name in names[names.index(POINT) :]:
        if name.startswith("lo_") and (high := f"hi_{name[3:]}") in names:
            columns[name], columns[high] = interval_levels(float(name[3:]))
        elif re.fullmatch(r"p\d\d?(\.\d+)?", name):
            columns[name] = float(name[1:]) / 100
    return columns


def extract_predictions(forecasts: Table) -> tuple[Numbers, dict[str, float]]:
    """Point forecasts and quantiles, [rows, 1 + columns], and the levels of the quantiles."""
    columns = quantile_columns(forecasts.names)
    names = list(columns)
    numbers = np.stack([parse_numbers(forecasts, name) for name in [POINT, *names]], -1)
    for ends in find_intervals(columns).values():
        lows, highs = numbers[:, 1:].T[list(ends)]
        crossed = lows > highs
        if not crossed.any():
            continue
        row = np.argmax(crossed)
        low, high = map(names.__getitem__, ends)
        raise BadData(
            f"the interval begins at {forecasts.value(row, (low,))} and ends at "
            f"{forecasts.value(row, (high,))}",
            place=forecasts.place(row, (low, high)),
            cure=PREDICTED,
        )
    return numbers, columns


def missing_series(saved: SavedForecasts, panel: Panel, forecasts: str, actual: str) -> Ids:
    """Warn of forecasts whose series is not in the panel, and return their ids."""
    missing = tuple(sorted(set(saved.ids) - set(panel.ids)))
    names = series_names(missing)
    if len(missing) == len(saved.ids):
        raise BadData(
            f"none of the {len(missing)} series of {forecasts} is among the {len(panel)} of "
            f"{actual} ({names} against {series_names(panel.ids)}); are the ids written alike?"
        )
    if missing:
        log.warning("%s: %d series are not in %s (%s)", forecasts, len(missing), actual, names)
    return missing
