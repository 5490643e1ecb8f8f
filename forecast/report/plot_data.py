"""Forecasts beside the series that they continue: what charts, pages and terminals draw."""

from dataclasses import dataclass

import numpy as np

from forecast.evaluation.measures import in_sample_errors
from forecast.evaluation.origins import values_at
from forecast.evaluation.saved import POINT, SavedForecasts
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import ForecastOptions, Forecasts
from forecast.panel.naming import find_series
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema
from forecast.settings import PictureSettings
from forecast.tables.writing import interval_columns

HORIZONS, SEASONS, FEWEST = 3, 2, 40  # of the past that is drawn by default, at least: horizons, seasons, steps


@dataclass(frozen=True)
class PlotData:
    """Forecasts beside the series that they continue, in the order of the input."""

    panel: Panel
    schema: Schema
    series: Integers  # [forecasts], indices into the panel
    first: Integers  # [forecasts], grid position of the first forecast
    numbers: Numbers  # [forecasts, horizon, 1 + 2 * levels], the point, then the ends of each interval; NaN without one
    levels: tuple[float, ...]  # of the intervals, in percent
    scale: Numbers  # [forecasts], the unit of MASE
    total: int  # series that could be forecast, of which these may be some
    notes: tuple[str, ...] = ()  # [forecasts], a line for each, or none at all

    @property
    def ids(self) -> Ids:
        """[forecasts]."""
        return tuple(self.panel.ids[i] for i in self.series)

    @property
    def usual_history(self) -> int:
        """Steps of the past that are drawn by default."""
        return max(HORIZONS * int(self.numbers.shape[1]), SEASONS * self.schema.shortest_season, FEWEST)


def plot_of_forecasts(forecasts: Forecasts, fitted: Fitted, levels: tuple[float, ...]) -> PlotData:
    """Forecasts that were just made, with intervals of `levels` percent."""
    panel, schema, series = forecasts.panel, fitted.config.table, forecasts.series
    names = (POINT, *interval_columns(levels))
    columns = [np.asarray(forecasts.columns[name], np.float64) for name in names]
    numbers = np.stack(columns, -1).reshape(*forecasts.quantiles.shape[:2], len(names))
    scale = fitted.seasonal_error  # a history is only a tail of the series that the fit measured
    if panel is not fitted.history:
        scale = in_sample_errors(panel, panel.origins, schema.shortest_season)[0]
    total = int((~panel.skipped).sum())
    return PlotData(panel, schema, series, panel.origins[series] + 1, numbers, levels, scale[series], total)


def plot_of_history(fitted: Fitted) -> PlotData:
    """The series of the fit that could be forecast, without forecasts."""
    panel = fitted.history
    series = panel.order[~panel.skipped[panel.order]]
    first, scale = panel.origins[series] + 1, fitted.seasonal_error[series]
    numbers = np.full((len(series), fitted.config.horizon, 1), np.nan)
    return PlotData(panel, fitted.config.table, series, first, numbers, (), scale, len(series))


def plot_of_table(panel: Panel, schema: Schema, made: SavedForecasts, scale: Numbers | None = None) -> PlotData:
    """Forecasts that were made before, in any order, beside the series of a panel; those of others are left out.

    `scale`, the unit of MASE, is that of the series of the panel; by default it is that before each forecast.
    """
    row = series_index(made.ids, panel.ids) - 1
    series = panel.order[row[panel.order] >= 0]
    row = row[series]
    if scale is None:
        last = panel.origins.copy()
        last[series] = made.first[row] - 1
        scale = in_sample_errors(panel, last, schema.shortest_season)[0]
    first, numbers = made.first[row], made.numbers[row]
    return PlotData(panel, schema, series, first, numbers, made.intervals, scale[series], len(series))


def series_without_actuals(panel: Panel, settings: PictureSettings) -> ForecastOptions:
    """The series to forecast for a chart that lacks actual values to find the worst by: those named, or the first.

    Raises `UsageError` if a series is not there.
    """
    candidates = panel.order[~panel.skipped[panel.order]]
    if not settings.series:
        return ForecastOptions(candidates[: settings.count])
    named = np.array([find_series(panel.ids, name) for name in settings.series], np.int64)
    return ForecastOptions(candidates[np.isin(candidates, named)])


def actuals_at(panel: Panel, ids: Ids, first: Integers, steps: int) -> Numbers:
    """Observed values of series, which need not be in the panel, from grid positions on, [series, steps], else NaN."""
    rank = series_index(panel.ids, ids) - 1
    return np.where(rank[:, None] >= 0, values_at(panel, rank, first, steps), np.nan)
