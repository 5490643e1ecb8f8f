"""Forecasts beside the series that they continue, and what a chart shows of them, as plain arrays."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.errors import BadData, visible
from forecast.evaluation.measures import in_sample_errors
from forecast.evaluation.origins import values_at
from forecast.evaluation.saved import POINT, SavedForecasts
from forecast.events.kinds import has_events, mark
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import ForecastOptions, Forecasts
from forecast.panel.naming import find_series, series_name
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
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
    """The series to forecast for a chart that lacks actual values to find the worst by: those named, or the first."""
    candidates = panel.order[~panel.skipped[panel.order]]
    if not settings.series:
        return ForecastOptions(candidates[: settings.count])
    named = np.array([find_series(panel.ids, name) for name in settings.series], np.int64)
    return ForecastOptions(candidates[np.isin(candidates, named)])


def actuals_at(panel: Panel, ids: Ids, first: Integers, steps: int) -> Numbers:
    """Observed values of series, which need not be in the panel, from grid positions on, [series, steps], else NaN."""
    rank = series_index(panel.ids, ids) - 1
    return np.where(rank[:, None] >= 0, values_at(panel, rank, first, steps), np.nan)


log = logging.getLogger("forecast")


EventSpan = tuple[float, float, str]
"""The first and the last time of an event, and its name."""


@dataclass(frozen=True)
class SeriesChart:
    """The chart of one series. Times are seconds since 1970-01-01 by the wall clock, or numbered steps."""

    name: str  # as messages name the series
    note: str  # a line below the name, or ""
    past_times: Integers  # [steps]
    past: Numbers  # [steps], values before the first forecast, NaN where missing
    times: Integers  # [horizon]
    forecast: Numbers  # [horizon], NaN without a forecast
    low: Numbers  # [horizon, levels], ends of the intervals
    high: Numbers
    actual: Numbers  # [horizon], values at the times of the forecast, NaN where there is none
    events: tuple[EventSpan, ...] = ()  # in the order of time


@dataclass(frozen=True)
class Chart:
    series: tuple[SeriesChart, ...]
    levels: tuple[float, ...]  # of the intervals in percent, ascending
    numbered: bool  # whether times are numbers of steps
    time: str  # name of the time axis
    value: str  # name of the values, or "" where the names of the series say it
    total: int  # series that could be drawn
    worst: bool = False  # whether the series with the largest errors were chosen


def chart_of(data: PlotData, settings: PictureSettings, actuals: Panel | None = None, name: str = "") -> Chart:
    """The chart of some series, with actual values from `actuals`, a table that messages call `name`.

    By default the values are those of the panel of the forecasts.
    """
    panel, schema, horizon = data.panel, data.schema, data.numbers.shape[1]
    actual = actuals_at(panel if actuals is None else actuals, data.ids, data.first, horizon)
    if actuals is not None and not np.isfinite(actual).any():
        log.warning("%s has no value at the times of the forecasts", name)
    errors, worst = _mase(data, actual), False
    if settings.series:
        chosen = [find_series(panel.ids, series) for series in settings.series]
        rows = series_index(data.ids, tuple(panel.ids[i] for i in chosen)) - 1
    else:
        rows = np.arange(min(settings.count, len(data.series)))
        if worst := bool(np.isfinite(errors).any() and len(data.series) > settings.count):
            rows = np.argsort(-np.where(np.isfinite(errors), errors, -1), kind="stable")[: settings.count]
        chosen = data.series[rows].tolist()
    if not chosen:
        raise BadData("no series has a forecast, so there is nothing to draw")
    marked = tuple(event.model_copy(update={"kind": "effect"}) for event in schema.dated_events)  # all kinds alike
    marking = schema.model_copy(update={"dated_events": marked})
    events = _events(panel, marking, chosen) if has_events(marking) else {}
    charts = []
    for series, row in zip(chosen, rows.tolist(), strict=True):
        note, values = f"no forecast{f': {panel.status[series]}' if panel.status else ''}", np.full(horizon, np.nan)
        if row >= 0:
            note, values = _note(data, row, actual[row], errors[row]), actual[row]
        charts.append(_series_chart(data, settings.history, (series, row), note, values, events.get(series, [])))
    value = schema.target or "" if schema.layout == "long" else ""
    time, steps = visible(", ".join(schema.time)), schema.calendar.kind == "steps"
    return Chart(tuple(charts), tuple(sorted(data.levels)), steps, time, visible(value), data.total, worst)


def _mase(data: PlotData, actual: Numbers) -> Numbers:
    """[forecasts], NaN without values."""
    error = np.abs(actual - data.numbers[..., 0])
    count = np.isfinite(error).sum(1)
    scale = np.where((data.scale > 0) & (count > 0), data.scale, np.nan)
    return np.asarray(np.nansum(error, 1) / np.maximum(count, 1) / scale)


def _note(data: PlotData, row: int, actual: Numbers, error: float) -> str:
    """What is noted of a series, and how good its forecast was where there are actual values, in a line."""
    numbers, own = data.numbers[row], data.notes[row : row + 1]
    seen = np.isfinite(actual) & np.isfinite(numbers[:, 0])
    parts = [f"MASE {error:.2f}"] if np.isfinite(error) else []
    if data.levels:
        level = min(data.levels)
        low, high = numbers[:, 1 + 2 * data.levels.index(level) :].T[:2]
        inside = int((seen & (actual >= low) & (actual <= high)).sum())
        parts.append(f"{inside} of {seen.sum()} values in {level:g} %")
    return ", ".join(filter(None, (*own, *parts))) if seen.any() else "".join(own)


def _series_chart(
    data: PlotData, history: int | None, chosen: tuple[int, int], note: str, actual: Numbers, events: list[EventSpan]
) -> SeriesChart:
    """The chart of a series; `chosen` are its indices in the panel and in the forecasts, -1 without a forecast."""
    (series, row), panel, horizon = chosen, data.panel, data.numbers.shape[1]
    first = data.first[row] if row >= 0 else panel.origins[series] + 1
    steps = int(np.clip(first - panel.starts[series], 1, history or data.usual_history))
    past = actuals_at(panel, (panel.ids[series],), np.array([first - steps]), steps)[0]
    times = calendar_of(data.schema).wall(first + np.arange(-steps, horizon))
    numbers = data.numbers[row] if row >= 0 else np.full(data.numbers.shape[1:], np.nan)
    order = np.argsort(data.levels)
    low, high = numbers[:, 1::2][:, order], numbers[:, 2::2][:, order]
    name = visible(series_name(panel.ids[series]) or data.schema.target or "")
    shown = tuple(event for event in events if event[1] >= times[0] and event[0] <= times[-1])
    return SeriesChart(name, note, times[:steps], past, times[steps:], numbers[:, 0], low, high, actual, shown)


def _events(panel: Panel, schema: Schema, chosen: list[int]) -> dict[int, list[EventSpan]]:
    """The events of some series, by index into the panel; neighbouring days of one event are one span."""
    series = np.unique(np.array(chosen, np.int64))
    part, calendar = panel.select(series), calendar_of(schema)
    marks = mark(part, schema)
    rank = np.searchsorted(part.offsets, marks.slot, side="right") - 1
    position = part.starts[rank] + marks.slot - part.offsets[rank]
    spans: dict[int, list[EventSpan]] = {}
    for index, label in np.unique(np.stack([rank, marks.label], 1), axis=0).tolist():
        if (name := marks.labels[label]) in marks.names:
            times = position[(rank == index) & (marks.label == label)]
            spans.setdefault(int(series[index]), []).extend(_spans(calendar, times, visible(name)))
    return {index: sorted(found) for index, found in spans.items()}


def _spans(calendar: Calendar, positions: Integers, name: str) -> Iterator[EventSpan]:
    """Runs of neighbouring positions, each half a step longer on both sides."""
    for run in np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1):
        before, first = calendar.wall(np.array([run[0] - 1, run[0]]))
        last, after = calendar.wall(np.array([run[-1], run[-1] + 1]))
        yield float(first + before) / 2, float(last + after) / 2, name
