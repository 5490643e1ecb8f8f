"""Score a table of forecasts against the values that came."""

import logging
from dataclasses import dataclass

import numpy as np

from forecast.errors import BadData
from forecast.evaluation.baseline_models import baseline_fit
from forecast.evaluation.measures import REFERENCE, Columns, Evaluation, Measures, in_sample_errors, measure_tables
from forecast.evaluation.saved import POINT, SavedForecasts, missing_series, read_saved
from forecast.panel.panel import Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.reading import read_as
from forecast.settings import TableSettings
from forecast.tables.table import Table

log = logging.getLogger("forecast")


@dataclass(frozen=True)
class ScoreResult:
    """How good forecasts were; `forecast.results.Scores` holds the same as frames."""

    measures: Measures
    season: int
    values: int
    missing: tuple[tuple[str, ...], ...]


def score(forecasts: Table, actual: Table, settings: TableSettings | None = None) -> ScoreResult:
    """Measure forecasts against the values that came; see `forecast.score`."""
    reading, given = read_saved(forecasts, actual, settings or TableSettings())
    schema = reading.schema
    panel = read_as(reading, schema, horizon=given.horizon).panel
    missing = missing_series(given, panel, forecasts.name, actual.name)
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


def _evaluate(panel: Panel, schema: Schema, given: SavedForecasts) -> Evaluation:
    """Forecasts beside values, seasonal naive among them."""
    season, rank = schema.shortest_season, series_index(given.ids, panel.ids) - 1
    panel, rank = panel.select(np.flatnonzero(rank >= 0)), rank[rank >= 0]
    numbers = given.by_series()[rank][:, None]  # [series, 1, horizon, 1 + 2 * intervals]
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


def _refuse_no_overlap(panel: Panel, schema: Schema, given: SavedForecasts, forecasts: str, actual: str) -> None:
    last = (given.first[given.series] + given.step).max()
    ends = np.array([given.first.min(), last, panel.starts.min(), panel.origins.max()])
    first, last, oldest, newest = position_texts(schema, calendar_of(schema), ends)
    raise BadData(
        f"{actual} ({oldest} to {newest}) has no value for a time of {forecasts} ({first} to {last}); are the values "
        "there yet?"
    )
