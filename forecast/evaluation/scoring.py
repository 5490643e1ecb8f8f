"""Score a table of forecasts, read on the grid of the actual values, against them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.evaluation.backtest import fit_baseline
from forecast.evaluation.metrics import (
    REFERENCE,
    Evaluation,
    Measures,
    measure_frames,
    naive_errors_until,
)
from forecast.evaluation.origins import bounds_at, values_at
from forecast.events.kinds import without_censored
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.dated import heading_times, normalised
from forecast.reading.observations import Observations, observe
from forecast.reading.reading import Reading, read, read_as
from forecast.settings import TableSettings
from forecast.tables.cells import parse_numbers
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table, repeats
from forecast.tables.writing import interval_columns

POINT = "forecast"
UNUSED: dict[str, Any] = {
    "known": (),
    "past": (),
    "static": (),
    "aggregate": None,
}  # of a schema, for forecasts
Data = Any  # a pandas DataFrame, or a Table


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


@dataclass(frozen=True)
class Scores(Measures):
    """How good forecasts were.

    Attributes
    ----------
    overall, by_series, by_step, season : as in `Measures`
    values : forecasts that have an actual value
    missing : ids of forecasts whose series has none
    """

    values: int
    missing: tuple[tuple[str, ...], ...]


def score(forecast: Data, actual: Data, settings: TableSettings | None = None) -> Scores:
    """Measure forecasts against the actual values.

    The unit of MASE is the in-sample error of seasonal naive over the values of `actual` before the first forecast of
    each series, so `actual` is best the whole history.

    Parameters
    ----------
    forecast : a table as `predict` gives it: id columns, time, ``forecast``, ``lo_80``, ``hi_80`` and so on
    actual : a table, long, wide or with one series a row; its id columns and its time are found by the names that they
        have in `forecast`
    settings : how to read `actual`

    Raises
    ------
    BadData
        If no id or no time of the forecasts is among the values, times are written in another format or zone, or the
        forecasts have several rows for one series and time.
    """
    forecasts, values = (
        normalised(data if isinstance(data, Table) else table_from_frame(data, name))
        for data, name in ((forecast, "forecasts"), (actual, "actual values"))
    )
    reading, saved = read_saved(forecasts, values, settings or TableSettings())
    schema, names = reading.schema, (forecasts.name, values.name)
    panel = read_as(reading, schema, horizon=saved.numbers.shape[1]).panel
    missing = missing_series(saved, panel, *names)
    evaluation = _evaluate(panel, schema, saved)
    count, total = (
        int(np.isfinite(evaluation.actual).sum()),
        int(np.isfinite(saved.numbers[..., 0]).sum()),
    )
    if not count:
        ends = np.array(
            [saved.first.min(), saved.first.max(), panel.starts.min(), panel.origins.max()]
        )
        ends[1] += saved.numbers.shape[1] - 1
        first, last, oldest, newest = position_texts(schema, calendar_of(schema), ends)
        problem = f"{names[1]} ({oldest} to {newest}) has no value for a time of {names[0]} ({first} to {last})"
        raise BadData(f"{problem}; are the values there yet?")
    left = int(np.isfinite(evaluation.numbers[POINT][..., 0]).sum()) - count
    if left:
        log.warning(
            "%s: %d of %d forecasts have no value in %s yet", names[0], left, total, names[1]
        )
    season = schema.shortest_season
    if not np.isfinite(evaluation.naive_error).any():
        text = "%s: before the first forecast there are no two values a season (%d) apart; skill, mase, rmsse, widths "
        log.warning(text + "and msis stay empty", names[1], season)
    frames = [
        frame[frame["model"] == POINT].reset_index(drop=True)
        for frame in measure_frames(evaluation)
    ]
    return Scores(frames[0], frames[1], frames[2], season, count, missing)


def _evaluate(panel: Panel, schema: Schema, saved: SavedForecasts) -> Evaluation:
    season, rank = schema.shortest_season, series_index(saved.ids, panel.ids) - 1
    panel, rank = panel.select(np.flatnonzero(rank >= 0)), rank[rank >= 0]
    numbers, origin = (
        saved.numbers[rank][:, None],
        saved.first[rank] - 1,
    )  # [series, 1, horizon, 1 + 2 * intervals]
    actual = values_at(panel, np.arange(len(panel)), origin + 1, numbers.shape[2])[:, None]
    actual = np.where(np.isfinite(numbers[..., 0]), actual, np.nan)
    naive, begun = np.full(numbers.shape, np.nan), origin >= panel.starts
    if begun.any():
        past = panel.until(origin)
        naive[begun, 0] = fit_baseline(REFERENCE, season, (0.5,), past)(past)
    errors = naive_errors_until(without_censored(panel, schema), origin, season)
    bound = bounds_at(panel, schema, np.arange(len(panel)), origin + 1)[:, None]
    return Evaluation(
        panel, schema, actual, {REFERENCE: naive, POINT: numbers}, saved.intervals, *errors, bound
    )
