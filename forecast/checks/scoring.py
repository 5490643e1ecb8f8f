"""Score a table of forecasts, read on the grid of the actual values, against them."""

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
from forecast.windows.origins import bounds_at, values_at

Data = Any  # a pandas DataFrame, or a Table


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
        naive[begun, 0] = baseline_points(REFERENCE, season, past)[..., None]
    errors = naive_errors_until(without_censored(panel, schema), origin, season)
    bound = bounds_at(panel, schema, np.arange(len(panel)), origin + 1)[:, None]
    return Evaluation(
        panel, schema, actual, {REFERENCE: naive, POINT: numbers}, saved.intervals, *errors, bound
    )
