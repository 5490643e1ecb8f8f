"""Results of a backtest, of a score and of an explanation, as pandas frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation import scoring
from forecast.evaluation.backtest import BacktestResult
from forecast.evaluation.measures import ForecastRows, Measures
from forecast.evaluation.metrics import measure_names
from forecast.inference.predictor import Predictor
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, calendar_of, format_positions, position_texts, time_columns_at
from forecast.reading.tidying import tidied
from forecast.report.explanation import Explanation
from forecast.settings import TableSettings
from forecast.tables.frames import frame_of
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import interval_columns

Data = Any  # a pandas DataFrame, or a Table


@dataclass(frozen=True)
class Backtest:
    """How good forecasts from rolling origins were.

    Attributes
    ----------
    overall : a row for each model: ``model``, then ``skill`` (1 - MASE / MASE of seasonal naive: above 0 is better than
        repeating the last season), the other measures, and the seconds that fits and forecasts took. `smape` is in
        percent, `wape`, `wql` and `coverage_80` are shares, `width_80` is in the unit of `mase`
    by_series : the same for each series, its id columns first
    by_step : the same for each step of the horizon
    forecasts : a row for each forecast: id columns, ``origin``, the time column, ``model``, ``actual``, ``forecast``,
        ``lo_80`` and so on
    season : steps back of the seasonal naive forecast, and of the unit of `mase`; 1 is the value before
    origins : the times after which the longest series was forecast, the oldest first
    missing : ids of series that were left out, as they have too few values
    seen : origins before the end of the fit of a frozen forecaster, which has seen what it is judged by
    """

    overall: pd.DataFrame
    by_series: pd.DataFrame
    by_step: pd.DataFrame
    forecasts: pd.DataFrame
    season: int
    origins: tuple[str, ...]
    missing: tuple[tuple[str, ...], ...] = ()
    seen: int = 0


@dataclass(frozen=True)
class Scores:
    """How good forecasts were; `overall`, `by_series`, `by_step` and `season` are as in a `Backtest`.

    Attributes
    ----------
    values : forecasts for which a value came
    missing : ids of forecasts for which there is none
    """

    overall: pd.DataFrame
    by_series: pd.DataFrame
    by_step: pd.DataFrame
    season: int
    values: int
    missing: tuple[tuple[str, ...], ...]


def score(forecast: Data, actual: Data, settings: TableSettings | None = None) -> Scores:
    """Measure forecasts against the values that came.

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
    result = scoring.score(_table(forecast, "forecasts"), _table(actual, "actual values"), settings)
    return Scores(*_measure_frames(result.measures), result.season, result.values, result.missing)


def backtest_frames(result: BacktestResult) -> Backtest:
    """The result of a backtest as frames, times written as the table had them."""
    panel, schema = result.panel, result.schema
    longest = result.origins[:, int(np.argmax(panel.lengths))]
    times = tuple(position_texts(schema, calendar_of(schema), longest))
    forecasts = _forecasts_frame(result.rows, panel, schema)
    season, measures = schema.shortest_season, _measure_frames(result.measures)
    return Backtest(*measures, forecasts, season, times, missing=result.missing, seen=result.seen)


def result_columns(intervals: tuple[float, ...]) -> list[str]:
    """Names of all columns of these frames beside ids and times."""
    shown = ["model", "skill", "origin", "actual", "forecast", *interval_columns(intervals)]
    return [*shown, *measure_names(intervals)]


def _measure_frames(measures: Measures) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return pd.DataFrame(measures.overall), pd.DataFrame(measures.by_series), pd.DataFrame(measures.by_step)


def _forecasts_frame(rows: ForecastRows, panel: Panel, schema: Schema) -> pd.DataFrame:
    """A row for each forecast: ids, origin, time, actual value, model, point and intervals."""
    calendar = calendar_of(schema)
    shared: dict[str, Any] = {
        name: np.array([ids[place] for ids in panel.ids], object)[rows.series] for place, name in enumerate(schema.ids)
    }
    shared["origin"] = format_positions(schema, calendar, rows.origin).index()
    times = time_columns_at(schema, calendar, rows.position)
    shared |= {name: column.index() for name, column in times.items()}
    shared["actual"] = rows.actual
    base = pd.DataFrame(shared)
    columns = ["forecast", *interval_columns(rows.intervals)]
    parts = [
        pd.concat([base.assign(model=model), pd.DataFrame(numbers, columns=columns)], axis=1)
        for model, numbers in rows.numbers.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _table(data: Data, name: str) -> Table:
    return tidied(data if isinstance(data, Table) else table_from_frame(data, name))


@dataclass(frozen=True)
class Explained:
    """What forecasts rest on, and what they are made of.

    Attributes
    ----------
    importance : a row for each input, the most important first: ``input``, its ``kind`` (known, past, static, event, or
        values for the past of the series themselves), and mean and standard deviation over repeats of what the mean
        absolute error of the newest horizons grows by without it, ``mean`` and ``std``, in the target's unit
    parts : a row for each forecast: id columns, time column, ``median``, and ``level``, ``season``, ``events``,
        ``known`` and ``rest``, which add up to it; no rows where values known in advance are missing
    """

    importance: pd.DataFrame
    parts: pd.DataFrame


def explained_frames(found: Explanation, predictor: Predictor) -> Explained:
    """An explanation as frames."""
    importance = pd.DataFrame([vars(one) for one in found.importance], columns=["input", "kind", "mean", "std"])
    return Explained(importance, frame_of(found.columns(predictor)))
