"""The data of a chart: series, and the forecasts that continue them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.effects.kinds import has_events, mark
from forecast.errors import BadData, visible
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, forecast_series
from forecast.logs import log
from forecast.metrics.metrics import mase, naive_errors_until
from forecast.panel.panel import (
    Ids,
    Integers,
    Numbers,
    Panel,
    find_series,
    ids_at,
    series_index,
    series_name,
)
from forecast.panel.saved import SavedForecasts
from forecast.panel.schema import Schema, build_calendar, position_texts
from forecast.settings import OutputSettings, PictureSettings, find_intervals
from forecast.windows.origins import find_values, values_at

EventSpan = tuple[float, float, str]
"""The first and the last time of an event, and its name."""


@dataclass(frozen=True)
class PlotData:
    """Forecasts beside the series that they continue, in the order of the input."""

    panel: Panel
    schema: Schema
    series: Integers  # [forecasts], indices into the panel
    first: Integers  # [forecasts], grid position of the first forecast
    numbers: Numbers  # [forecasts, horizon, 1 + columns], point and quantiles; NaN if missing
    columns: dict[str, float]  # the levels of the quantiles by column
    naive_error: Numbers  # [forecasts], the unit of MASE
    total: int  # number of series that could be forecast, of which these may be a part
    notes: tuple[str, ...] = ()  # [forecasts], a line for each series, or empty

    @property
    def ids(self) -> Ids:
        return ids_at(self.panel, self.series)

    @property
    def horizon(self) -> int:
        return int(self.numbers.shape[1])

    @property
    def intervals(self) -> dict[float, tuple[int, int]]:
        """The last axis of `numbers` at both ends of intervals, by level, the lowest first."""
        intervals = sorted(find_intervals(self.columns).items())
        return {level: (1 + low, 1 + high) for level, (low, high) in intervals}

    @property
    def usual_history(self) -> int:
        """The number of past steps that are drawn by default."""
        return max(3 * self.horizon, 2 * self.schema.shortest_season, 40)


def plot_of_forecasts(forecasts: Forecasts, fitted: Fitted, output: OutputSettings) -> PlotData:
    """The plot data of new forecasts, with the intervals of an output."""
    panel = forecasts.panel
    schema = fitted.schema
    series = forecasts.series
    first = panel.origins[series] + 1
    naive_error = fitted.naive_error
    if panel.spread is None:  # the panel holds whole series, not the tails of those of the fit
        naive_error = naive_errors_until(panel, panel.origins, schema.shortest_season)[0]
    total = int((~panel.skipped).sum())
    unit = naive_error[series]
    return PlotData(panel, schema, series, first, forecasts.numbers, output.columns, unit, total)


def plot_of_history(fitted: Fitted) -> PlotData:
    """The plot data of the series of the fit that could be forecast, without forecasts."""
    panel = fitted.history
    series = forecast_series(panel)
    first = panel.origins[series] + 1
    schema = fitted.schema
    shape = (len(series), fitted.config.horizon, 1)
    numbers = np.full(shape, np.nan)
    unit = fitted.naive_error[series]
    return PlotData(panel, schema, series, first, numbers, {}, unit, len(series))


def plot_of_table(panel: Panel, schema: Schema, saved: SavedForecasts) -> PlotData:
    """The plot data of saved forecasts beside the series of a panel.

    A naive error is that of the values before the forecast.
    """
    rows = series_index(saved.ids, panel.ids)
    series = panel.order[rows[panel.order] >= 0]
    rows = rows[series]
    first = saved.first[rows]
    last = panel.origins.copy()
    last[series] = first - 1
    naive_error = naive_errors_until(panel, last, schema.shortest_season)[0]
    numbers = saved.numbers[rows]
    unit = naive_error[series]
    return PlotData(panel, schema, series, first, numbers, saved.columns, unit, len(series))


def series_to_draw(panel: Panel, settings: PictureSettings) -> Integers:
    """The series to forecast for a chart: those that are named, or else the first ones.

    This is for charts without actual values, by which the worst forecasts could be chosen.
    """
    candidates = forecast_series(panel)
    if not settings.series:
        return candidates[: settings.count]
    named = [find_series(panel.ids, name) for name in settings.series]
    return candidates[np.isin(candidates, named)]


@dataclass(frozen=True)
class SeriesChart:
    """The chart of one series.

    Times are seconds since 1970-01-01 by the wall clock, or numbered steps.
    """

    name: str  # as messages name the series
    note: str  # a line below the name, or ""
    past_times: Integers  # [steps]
    past: Numbers  # [steps], values before the first forecast, NaN where missing
    times: Integers  # [horizon]
    forecast: Numbers  # [horizon], NaN for steps without a forecast
    low: Numbers  # [horizon, levels], lower ends of the intervals; upper ends follow
    high: Numbers
    actual: Numbers  # [horizon], actual values at the forecast times; NaN if there are none
    events: tuple[EventSpan, ...] = ()  # in the order of time
    # the first time, the time of the first forecast, and the last time, as text
    labels: tuple[str, ...] = ("", "", "")

    @property
    def times_ahead(self) -> Integers:
        """The times of the horizon, after the last past time, at which forecast lines begin."""
        return np.append(self.past_times[-1], self.times)

    def from_past(self, values: Numbers) -> Numbers:
        """The values [horizon], after the last past value; without values, all are missing."""
        if not np.isfinite(values).any():
            return np.append(np.nan, values)
        return np.append(self.past[-1], values)

    def values(self) -> Numbers:
        """All values that are drawn, without missing ones."""
        arrays = (self.past, self.forecast, self.actual, self.low, self.high)
        values: Numbers = np.concatenate([array.ravel() for array in arrays])
        return values[np.isfinite(values)]


@dataclass(frozen=True)
class Chart:
    series: tuple[SeriesChart, ...]
    levels: tuple[float, ...]  # interval levels in percent, ascending
    numbered: bool  # whether times are numbers of steps
    time: str  # name of the time axis
    value: str  # name of the value axis; "" if the names of the series say it
    total: int  # number of series that could be drawn
    worst: bool = False  # whether the series with the largest errors were chosen

    @property
    def has_actuals(self) -> bool:
        return any(np.isfinite(series.actual).any() for series in self.series)


def build_chart(
    data: PlotData, settings: PictureSettings, actuals: Panel | None = None, name: str = ""
) -> Chart:
    """The chart of some series, with the actual values of their panel, or of `actuals`.

    `name` is what messages call the table of `actuals`.
    """
    panel = data.panel
    schema = data.schema
    actual = find_values(actuals or panel, data.ids, data.first, data.horizon)
    if actuals is not None and not np.isfinite(actual).any():
        log.warning("%s has no value at the times of the forecasts", name)
    point = data.numbers[..., 0]
    forecast_actual = np.where(np.isfinite(point), actual, np.nan)
    errors = mase(forecast_actual, point, data.naive_error, 1)

    worst = False
    if settings.series:
        drawn = np.array([find_series(panel.ids, series) for series in settings.series])
        rows = series_index(data.ids, ids_at(panel, drawn))
    else:
        rows = np.arange(len(data.series))
        compared = bool(np.isfinite(errors).any())
        worst = compared and len(rows) > settings.count
        if worst:
            sizes = np.nan_to_num(errors, nan=-1.0)
            rows = np.argsort(-sizes, kind="stable")
        rows = rows[: settings.count]
        drawn = data.series[rows]
    if not len(drawn):
        raise BadData("no series has a forecast, so there is nothing to draw")

    charts = []
    for series, row in zip(drawn.tolist(), rows.tolist(), strict=True):
        charts.append(_series_chart(data, settings.history, series, row, actual, errors))
    return Chart(
        series=tuple(charts),
        levels=tuple(data.intervals),
        numbered=schema.calendar.kind == "steps",
        time=visible(", ".join(schema.time)),
        value=visible(schema.target or "") if schema.layout == "long" else "",
        total=data.total,
        worst=worst,
    )


def _note(data: PlotData, row: int, actual: Numbers, error: float) -> str:
    """A line on a series: its note, and the error of its forecast if there are actual values."""
    numbers = data.numbers[row]
    notes = [note for note in data.notes[row : row + 1] if note]
    scored = np.isfinite(actual) & np.isfinite(numbers[:, 0])
    if scored.any() and np.isfinite(error):
        notes.append(f"MASE {error:.2f}")
    if scored.any() and data.intervals:
        level, ends = next(iter(data.intervals.items()))
        low, high = numbers.T[list(ends)]
        inside = scored & (actual >= low) & (actual <= high)
        notes.append(f"{inside.sum()} of {scored.sum()} values in {level:g} %")
    return ", ".join(notes)


def _series_chart(
    data: PlotData, history: int | None, series: int, row: int, actual: Numbers, errors: Numbers
) -> SeriesChart:
    """The chart of a series of the panel; `row` is the row of its forecast, or -1."""
    panel = data.panel
    if row < 0:
        first = panel.origins[series] + 1
        numbers = np.full(data.numbers.shape[1:], np.nan)
        values = np.full(data.horizon, np.nan)
        status = panel.status[series] if panel.status else ""
        note = f"no forecast: {status}" if status else "no forecast"
    else:
        first = data.first[row]
        numbers = data.numbers[row]
        values = actual[row]
        note = _note(data, row, values, errors[row])
    available = first - panel.starts[series]
    steps = int(np.clip(available, 1, history or data.usual_history))
    start = np.array([first - steps])
    past = values_at(panel, np.array([series]), start, steps)[0]
    calendar = build_calendar(data.schema)
    times = calendar.wall(first + np.arange(-steps, data.horizon))
    shown = first + np.array([-steps, 0, data.horizon - 1])
    labels = position_texts(data.schema, shown)
    ends = np.array(list(data.intervals.values()), np.int64).reshape(-1, 2)
    events = [
        (start, end, event)
        for start, end, event in _events(panel, data.schema, series)
        if end >= times[0] and start <= times[-1]
    ]
    return SeriesChart(
        name=visible(series_name(panel.ids[series]) or data.schema.target or ""),
        note=note,
        past_times=times[:steps],
        past=past,
        times=times[steps:],
        forecast=numbers[:, 0],
        low=numbers[:, ends[:, 0]],
        high=numbers[:, ends[:, 1]],
        actual=values,
        events=tuple(events),
        labels=tuple(visible(label.removesuffix(" 00:00:00")) for label in labels),
    )


def _events(panel: Panel, schema: Schema, series: int) -> list[EventSpan]:
    """The events of a series, of any kind; consecutive days of one event form one span."""
    alike = [event.model_copy(update={"kind": "effect"}) for event in schema.dated_events]
    schema = schema.model_copy(update={"dated_events": tuple(alike)})
    if not has_events(schema):
        return []
    panel = panel.select(np.array([series]))
    marks = mark(panel, schema)
    spans = list[EventSpan]()
    for label in np.unique(marks.label).tolist():
        if (name := marks.labels[label]) in marks.names:
            positions = panel.starts[0] + marks.slot[marks.label == label]
            spans += _spans(build_calendar(schema), positions, visible(name))
    return sorted(spans)


def _spans(calendar: Calendar, positions: Integers, name: str) -> Iterator[EventSpan]:
    """Spans of consecutive positions, each extended by half a step on both sides."""
    breaks = np.flatnonzero(np.diff(positions) > 1) + 1
    for run in np.split(positions, breaks):
        around = np.array([run[0] - 1, run[0], run[-1], run[-1] + 1])
        before, first, last, after = calendar.wall(around).tolist()
        yield (before + first) / 2, (last + after) / 2, name
