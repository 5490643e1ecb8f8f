"""Score a table of forecasts against actual values, on whose grid the forecasts are read."""

from dataclasses import dataclass, replace

import numpy as np

from forecast.ensemble.baseline_forecasts import baseline_points
from forecast.errors import BadData
from forecast.logs import log
from forecast.metrics.metrics import (
    REFERENCE,
    Evaluation,
    Measures,
    measure_frames,
    naive_errors_until,
    skill,
)
from forecast.panel.dated import normalise
from forecast.panel.events import remove_censored_values
from forecast.panel.infer import read_as
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.saved import (
    PLAIN_SETTINGS,
    POINT,
    SavedForecasts,
    missing_series,
    read_saved_forecasts,
)
from forecast.panel.schema import Schema, position_texts
from forecast.settings import TableSettings
from forecast.tables.reading import Data, table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import Frame, build_frame
from forecast.windows.origins import bounds_at, find_values, values_at

PAIRED = ("skill", "ours", "theirs", "difference", "standard_error", "dates")


@dataclass(frozen=True)
class Scores(Measures):
    """How good forecasts were.

    Attributes
    ----------
    overall, by_series, by_step, season, evaluation : as in `Measures`; beside other forecasts, of
        the values that both forecast
    values : forecasts that have an actual value
    missing : ids of forecasts whose series has none
    first : [series], grid position of the first step
    theirs : [series, horizon], other forecasts
    """

    values: int
    missing: Ids
    first: Integers
    theirs: Numbers | None

    def measure(self, series: list[int]) -> Frame:
        """The measures of some series; beside other forecasts, the two errors and how they differ.

        These are mean absolute errors, ours less theirs, and the standard error of the difference,
        in which all values of a date are one observation. Skill is 1 - ours / theirs.
        """
        if self.theirs is None:
            return _of_forecasts(super().measure(series))
        whole = self.evaluation
        actual = whole.actual[series, 0]
        counted = np.isfinite(actual)
        forecasts = whole.numbers[POINT][series, 0, :, 0], self.theirs[series]
        errors = [np.abs(numbers - actual)[counted] for numbers in forecasts]
        count = len(errors[0]) or np.nan
        ours, theirs = (error.sum() / count for error in errors)
        difference = ours - theirs
        first = self.first[series]
        positions = first[:, None] + np.arange(actual.shape[1])
        _, date = np.unique(positions[counted], return_inverse=True)
        sums = np.bincount(date, errors[0] - errors[1] - difference)
        dates = len(sums)
        variance_of_sum = (sums**2).sum() * dates / (dates - 1 or np.nan)
        standard_error = np.sqrt(variance_of_sum) / count
        row = [skill(ours, theirs), ours, theirs, difference, standard_error, dates]
        return build_frame(dict(zip(PAIRED, np.array([row]).T, strict=True)))


def score(
    forecast: Data,
    actual: Data,
    settings: TableSettings | None = None,
    against: Data | None = None,
    against_column: str = POINT,
) -> Scores:
    """Measure forecasts against the actual values.

    The unit of MASE is the in-sample error of seasonal naive over the values of `actual` before the
    first forecast of each series, so `actual` is best the whole history.

    Parameters
    ----------
    forecast : a table as `predict` gives it: id columns, time, ``forecast``, ``lo_80`` and so on, or ``p10``
        and so on; or the forecasts of a backtest of one model
    actual : a table, long, wide or with one series a row; its id columns and its time are found
        by the names that they have in `forecast`
    settings : how to read `actual`
    against : other forecasts, such as a plan, to be measured beside these; its ids and its time
        have the names and the formats that they have in `actual`
    against_column : the column of the other forecasts

    Raises
    ------
    BadData
        If no id or no time of the forecasts is among the values, times are written in another
        format or zone, or the forecasts have several rows for one series and time.
    """
    forecasts = _as_table(forecast, "forecasts")
    # a backtest also writes the forecasts of the model that it measures others by
    if {"model", "origin"} <= set(forecasts.names):
        others = forecasts.texts("model") != REFERENCE
        forecasts = forecasts.rows(others | ~others.any())
    values = _as_table(actual, "actual values")
    reading, saved = read_saved_forecasts(forecasts, values, settings or TableSettings())
    # a series that has forecasts of its own lends nothing
    own = set(map("/".join, saved.ids))
    lent = tuple(row for row in reading.schema.successions if row.of not in own)
    schema = reading.schema.model_copy(update={"successions": lent})
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
        text = "%s: %d of %d forecasts have no value in %s"
        log.warning(text, forecasts.name, left, total, values.name)
    first = saved.first[series_index(saved.ids, evaluation.panel.ids)]
    theirs = None
    if against is not None:
        evaluation, theirs = _beside(evaluation, first, against, against_column)
        count = int(np.isfinite(evaluation.actual).sum())
    season = schema.shortest_season
    if not np.isfinite(evaluation.naive_error).any():
        text = "%s: before the first forecast there are no two values a season (%d) apart"
        empty = "skill, mase, rmsse, widths and msis stay empty"
        log.warning(f"{text}; {empty}", values.name, season)
    overall, by_series, by_step = map(_of_forecasts, measure_frames(evaluation))
    return Scores(overall, by_series, by_step, season, evaluation, count, missing, first, theirs)


def _of_forecasts(measures: Frame) -> Frame:
    return measures[measures["model"] == POINT].reset_index(drop=True)


def _beside(
    ours: Evaluation, first: Integers, against: Data, column: str
) -> tuple[Evaluation, Numbers]:
    """Our forecasts where there are others, and these, [series, horizon].

    Others stand in a `column` of a table with the ids and times of the actual values.
    """
    others = _as_table(against, "other forecasts")
    schema = ours.schema.model_copy(update=PLAIN_SETTINGS | {"target": column})
    panel = read_as(others, schema, horizon=0).panel
    theirs = find_values(panel, ours.panel.ids, first, ours.actual.shape[2])
    is_ours = np.isfinite(ours.numbers[POINT][:, 0, :, 0])
    common = is_ours & np.isfinite(theirs)
    count = common.sum()
    if not count:
        raise BadData("has none of our series and times", place=others.name)
    alone = is_ours.sum() - count, panel.observed.sum() - count
    if any(alone):
        log.warning("left out: %d forecasts of ours alone, %d of %s alone", *alone, others.name)
    used = common[:, None] & ~ours.bound  # sales of a stock-out are no measure of either
    return replace(ours, actual=np.where(used, ours.actual, np.nan)), theirs


def _as_table(data: Data, name: str) -> Table:
    return normalise(table_from_frame(data, name))


def _no_overlap(
    saved: SavedForecasts, panel: Panel, schema: Schema, forecasts: str, values: str
) -> str:
    """The message that no forecast has an actual value, with the times of both tables."""
    last_step = saved.first.max() + saved.numbers.shape[1] - 1
    ends = np.array([saved.first.min(), last_step, panel.starts.min(), panel.origin])
    first, last, oldest, newest = position_texts(schema, ends)
    problem = f"{values} ({oldest} to {newest}) has no value for a time of {forecasts}"
    return f"{problem} ({first} to {last}); are the values there yet?"


def _evaluate(panel: Panel, schema: Schema, saved: SavedForecasts) -> Evaluation:
    season = schema.shortest_season
    rank = series_index(saved.ids, panel.ids)
    panel = panel.select(np.flatnonzero(rank >= 0))
    rank = rank[rank >= 0]
    series = np.arange(len(panel))
    numbers = saved.numbers[rank][:, None]  # [series, 1, horizon, 1 + 2 * intervals]
    first = saved.first[rank]
    origin = first - 1
    actual = values_at(panel, series, first, numbers.shape[2])[:, None]
    has_forecast = np.isfinite(numbers[..., 0])
    actual = np.where(has_forecast, actual, np.nan)
    naive = np.full(numbers.shape, np.nan)
    begun = origin >= panel.starts
    if begun.any():
        past = panel.until(origin)
        naive[begun, 0] = baseline_points(REFERENCE, season, past)[..., None]
    errors = naive_errors_until(remove_censored_values(panel, schema), origin, season)
    bounds = bounds_at(panel, schema, series, first)
    return Evaluation(
        panel,
        schema,
        actual,
        {REFERENCE: naive, POINT: numbers},
        saved.columns,
        *errors,
        bounds[:, None],
    )
