"""Score a table of forecasts against the values that came."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.evaluation.baseline_models import baseline_fit
from forecast.evaluation.measures import REFERENCE, Columns, Evaluation, Measures, in_sample_errors, measure_tables
from forecast.panel.building import calendar_of, position_texts
from forecast.panel.naming import series_names
from forecast.panel.observations import observe
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.reading import Reading, read, read_as
from forecast.panel.schema import Schema
from forecast.panel.time_column import heading_times
from forecast.settings import TableSettings
from forecast.tables.distinct import repeats
from forecast.tables.numbers import parse_numbers
from forecast.tables.table import Table
from forecast.tables.writing import interval_columns

log = logging.getLogger("forecast")

POINT = "forecast"


@dataclass(frozen=True)
class ScoreResult:
    """How good forecasts were; `forecast.results.Scores` holds the same as frames."""

    measures: Measures
    season: int
    values: int
    missing: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Forecasts:
    """The forecasts of a table, on the grid of the actual values."""

    ids: Ids
    first: Integers  # [series], grid position of the first forecast
    series: Integers  # [rows]
    step: Integers  # [rows], steps after the first forecast of the series
    numbers: Numbers  # [rows, 1 + 2 * intervals]
    intervals: tuple[float, ...]  # in percent

    @property
    def horizon(self) -> int:
        return int(self.step.max()) + 1


def score(forecasts: Table, actual: Table, settings: TableSettings | None = None) -> ScoreResult:
    """Measure forecasts against the values that came; see `forecast.score`."""
    reading, given = _read(forecasts, actual, settings or TableSettings())
    schema = reading.schema
    panel = read_as(reading, schema, horizon=given.horizon).panel
    missing = tuple(sorted(set(given.ids) - set(panel.ids)))
    if len(missing) == len(given.ids):
        raise BadData(
            f"none of the {len(missing)} series of {forecasts.name} is among the {len(panel)} of {actual.name} "
            f"({series_names(missing)} against {series_names(panel.ids)}); are the ids written alike?"
        )
    if missing:
        names = series_names(missing)
        log.warning("%s: %d series are not in %s (%s)", forecasts.name, len(missing), actual.name, names)
    evaluation = _evaluate(panel, schema, given)
    values = int(np.isfinite(evaluation.actual).sum())
    if not values:
        _refuse_no_overlap(panel, schema, given, forecasts.name, actual.name)
    absent = np.isin(given.series, [given.ids.index(each) for each in missing])
    left = len(given.step) - values - int(absent.sum())
    if left:
        log.warning(
            "%s: %d of %d forecasts have no value in %s yet", forecasts.name, left, len(given.step), actual.name
        )
    season = schema.shortest_season
    if not np.isfinite(evaluation.scale).any():
        log.warning(
            "%s: before the first forecast there are no two values a season (%d) apart; skill, mase, rmsse, widths and "
            "msis stay empty",
            actual.name,
            season,
        )
    tables = measure_tables(evaluation)
    overall, by_series, by_step = map(_without_reference, (tables.overall, tables.by_series, tables.by_step))
    return ScoreResult(Measures(overall, by_series, by_step), season, values, missing)


def _read(forecasts: Table, actual: Table, settings: TableSettings) -> tuple[Reading, _Forecasts]:
    """How the actual values are read, and the forecasts on their grid."""
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


def _on_grid(forecasts: Table, actual: str, schema: Schema, intervals: tuple[float, ...]) -> _Forecasts:
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
    numbers = np.stack([parse_numbers(forecasts, name) for name in (POINT, *interval_columns(intervals))], -1)
    return _Forecasts(cells.ids, first, cells.series, position - first[cells.series], numbers, intervals)


def _evaluate(panel: Panel, schema: Schema, given: _Forecasts) -> Evaluation:
    """Forecasts beside values, seasonal naive among them."""
    season, rank = schema.shortest_season, series_index(given.ids, panel.ids) - 1
    panel, rank = panel.select(np.flatnonzero(rank >= 0)), rank[rank >= 0]
    numbers = np.full((len(given.ids), 1, given.horizon, given.numbers.shape[-1]), np.nan)
    numbers[given.series, 0, given.step] = given.numbers
    numbers = numbers[rank]  # [series, 1, horizon, 1 + 2 * intervals]
    origin = given.first[rank] - 1
    step = origin[:, None] + 1 + np.arange(given.horizon) - panel.starts[:, None]  # [series, horizon]
    inside = (step >= 0) & (step < panel.lengths[:, None])
    slot = panel.offsets[:-1, None] + np.where(inside, step, 0)
    measured = inside & panel.observed[slot] & np.isfinite(numbers[:, 0, :, 0])
    actual = np.where(measured, panel.values[slot], np.nan)[:, None]
    naive, begun = np.full(numbers.shape, np.nan), origin >= panel.starts
    if begun.any():
        past = panel.until(origin)
        naive[begun, 0] = baseline_fit(REFERENCE, season, (0.5,))(past)(past)
    scale, squared = in_sample_errors(panel, origin, season)
    return Evaluation(panel, schema, actual, {REFERENCE: naive, POINT: numbers}, given.intervals, scale, squared)


def _without_reference(columns: Columns) -> Columns:
    rows = columns["model"] == POINT
    return {name: column[rows] for name, column in columns.items()}


def _refuse_no_overlap(panel: Panel, schema: Schema, given: _Forecasts, forecasts: str, actual: str) -> None:
    last = (given.first[given.series] + given.step).max()
    ends = np.array([given.first.min(), last, panel.starts.min(), panel.origins.max()])
    first, last, oldest, newest = position_texts(schema, calendar_of(schema), ends)
    raise BadData(
        f"{actual} ({oldest} to {newest}) has no value for a time of {forecasts} ({first} to {last}); are the values "
        "there yet?"
    )
