"""Score a table of forecasts against actual values, on whose grid the forecasts are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.ensemble.baseline_forecasts import baseline_points
from forecast.errors import BadData
from forecast.events.kinds import without_censored
from forecast.logs import log
from forecast.metrics.metrics import (
    REFERENCE,
    Evaluation,
    Measures,
    measure_frames,
    naive_errors_until,
)
from forecast.panel.panel import Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.dated import normalised
from forecast.reading.reading import read_as
from forecast.reading.saved import POINT, SavedForecasts, missing_series, read_saved
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import Frame
from forecast.windows.origins import bounds_at, values_at

Data = Any  # a pandas DataFrame, or a Table


@dataclass(frozen=True)
class Scores(Measures):
    """How good forecasts were.

    Attributes
    ----------
    overall, by_series, by_step, season, evaluation : as in `Measures`
    values : forecasts that have an actual value
    missing : ids of forecasts whose series has none
    """

    values: int
    missing: tuple[tuple[str, ...], ...]

    def rows_by(self, columns: str) -> Frame:
        return _of_forecasts(super().rows_by(columns))


def score(forecast: Data, actual: Data, settings: TableSettings | None = None) -> Scores:
    """Measure forecasts against the actual values.

    The unit of MASE is the in-sample error of seasonal naive over the values of `actual` before the
    first forecast of each series, so `actual` is best the whole history.

    Parameters
    ----------
    forecast : a table as `predict` gives it: id columns, time, ``forecast``, ``lo_80`` and so on
    actual : a table, long, wide or with one series a row; its id columns and its time are found
        by the names that they have in `forecast`
    settings : how to read `actual`

    Raises
    ------
    BadData
        If no id or no time of the forecasts is among the values, times are written in another
        format or zone, or the forecasts have several rows for one series and time.
    """
    forecasts = _as_table(forecast, "forecasts")
    values = _as_table(actual, "actual values")
    reading, saved = read_saved(forecasts, values, settings or TableSettings())
    schema = reading.schema
    panel = read_as(reading, schema, horizon=saved.numbers.shape[1]).panel
    missing = missing_series(saved, panel, forecasts.name, values.name)
    evaluation = _evaluate(panel, schema, saved)
    count = int(np.isfinite(evaluation.actual).sum())
    if not count:
        raise BadData(_no_overlap(saved, panel, schema, forecasts.name, values.name))
    points = evaluation.numbers[POINT][..., 0]
    left = int(np.isfinite(points).sum()) - count
    if left:
        total = int(np.isfinite(saved.numbers[..., 0]).sum())
        text = "%s: %d of %d forecasts have no value in %s yet"
        log.warning(text, forecasts.name, left, total, values.name)
    season = schema.shortest_season
    if not np.isfinite(evaluation.naive_error).any():
        text = "%s: before the first forecast there are no two values a season (%d) apart"
        empty = "skill, mase, rmsse, widths and msis stay empty"
        log.warning(f"{text}; {empty}", values.name, season)
    overall, by_series, by_step = map(_of_forecasts, measure_frames(evaluation))
    return Scores(overall, by_series, by_step, season, evaluation, count, missing)


def _of_forecasts(measures: Frame) -> Frame:
    return measures[measures["model"] == POINT].reset_index(drop=True)


def _as_table(data: Data, name: str) -> Table:
    return normalised(data if isinstance(data, Table) else table_from_frame(data, name))


def _no_overlap(
    saved: SavedForecasts, panel: Panel, schema: Schema, forecasts: str, values: str
) -> str:
    """The message that no forecast has an actual value, with the times of both tables."""
    last_step = saved.first.max() + saved.numbers.shape[1] - 1
    ends = np.array([saved.first.min(), last_step, panel.starts.min(), panel.origins.max()])
    first, last, oldest, newest = position_texts(schema, calendar_of(schema), ends)
    problem = f"{values} ({oldest} to {newest}) has no value for a time of {forecasts}"
    return f"{problem} ({first} to {last}); are the values there yet?"


def _evaluate(panel: Panel, schema: Schema, saved: SavedForecasts) -> Evaluation:
    season = schema.shortest_season
    rank = series_index(saved.ids, panel.ids) - 1
    panel = panel.select(np.flatnonzero(rank >= 0))
    rank = rank[rank >= 0]
    series = np.arange(len(panel))
    numbers = saved.numbers[rank][:, None]  # [series, 1, horizon, 1 + 2 * intervals]
    origin = saved.first[rank] - 1
    actual = values_at(panel, series, origin + 1, numbers.shape[2])[:, None]
    actual = np.where(np.isfinite(numbers[..., 0]), actual, np.nan)
    naive = np.full(numbers.shape, np.nan)
    begun = origin >= panel.starts
    if begun.any():
        past = panel.until(origin)
        naive[begun, 0] = baseline_points(REFERENCE, season, past)[..., None]
    errors = naive_errors_until(without_censored(panel, schema), origin, season)
    return Evaluation(
        panel,
        schema,
        actual,
        {REFERENCE: naive, POINT: numbers},
        saved.intervals,
        *errors,
        bounds_at(panel, schema, series, origin + 1)[:, None],
    )
