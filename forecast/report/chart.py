"""What a chart shows of forecasts beside the series that they continue; and the chart in characters of a terminal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.errors import BadData, visible
from forecast.events.kinds import has_events, mark
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import ForecastOptions, Forecasts
from forecast.logs import log
from forecast.metrics.metrics import mase, naive_errors_until
from forecast.panel.naming import find_series, series_name
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.saved import SavedForecasts
from forecast.settings import PictureSettings
from forecast.windows.origins import values_at

EventSpan = tuple[float, float, str]  # the first and the last time of an event, and its name
DOTS = np.array(
    [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]
)  # of one character of Braille, by row
BRAILLE = np.array([chr(0x2800 + code) for code in range(256)])
UNICODE = {"history": "⣀⠤⠒", "forecast": "⣀⠤⠒", "actual": "●", "shades": "░▒", "edge": "│"}
PLAIN = {
    "history": "*",
    "forecast": "+",
    "actual": "o",
    "shades": ".:",
    "edge": "|",
}  # without Unicode
HEIGHT = 12  # lines of one series
Style = Callable[[str, str], str]


@dataclass(frozen=True)
class PlotData:
    """Forecasts beside the series that they continue, in the order of the input."""

    panel: Panel
    schema: Schema
    series: Integers  # [forecasts], indices into the panel
    first: Integers  # [forecasts], grid position of the first forecast
    numbers: Numbers  # [forecasts, horizon, 1 + 2 * levels], the point, then the ends of each interval; NaN without one
    levels: tuple[float, ...]  # of the intervals, in percent
    naive_error: Numbers  # [forecasts], the unit of MASE
    total: int  # series that could be forecast, of which these may be some
    notes: tuple[str, ...] = ()  # [forecasts], a line for each, or none at all

    @property
    def ids(self) -> Ids:
        return tuple(self.panel.ids[i] for i in self.series)

    @property
    def usual_history(self) -> int:
        """Steps of the past that are drawn by default: three horizons, two seasons, and 40 steps at least."""
        return max(3 * int(self.numbers.shape[1]), 2 * self.schema.shortest_season, 40)


def plot_of_forecasts(forecasts: Forecasts, fitted: Fitted, levels: tuple[float, ...]) -> PlotData:
    """Forecasts that were just made, with intervals of `levels` percent."""
    panel, schema, series = forecasts.panel, fitted.config.table, forecasts.series
    error = (
        fitted.naive_error
    )  # of whole series, where the panel has only the tail of those of the fit
    if panel.spread is None:
        error = naive_errors_until(panel, panel.origins, schema.shortest_season)[0]
    total = int((~panel.skipped).sum())
    return PlotData(
        panel,
        schema,
        series,
        panel.origins[series] + 1,
        forecasts.numbers,
        levels,
        error[series],
        total,
    )


def plot_of_history(fitted: Fitted) -> PlotData:
    """The series of the fit that could be forecast, without forecasts."""
    panel = fitted.history
    series = panel.order[~panel.skipped[panel.order]]
    numbers = np.full((len(series), fitted.config.horizon, 1), np.nan)
    first, naive_error = panel.origins[series] + 1, fitted.naive_error[series]
    return PlotData(
        panel, fitted.config.table, series, first, numbers, (), naive_error, len(series)
    )


def plot_of_table(
    panel: Panel, schema: Schema, made: SavedForecasts, naive_error: Numbers | None = None
) -> PlotData:
    """Saved forecasts beside the series of a panel, with their naive errors, by default those before each forecast."""
    row = series_index(made.ids, panel.ids) - 1
    series = panel.order[row[panel.order] >= 0]
    row = row[series]
    if naive_error is None:
        last = panel.origins.copy()
        last[series] = made.first[row] - 1
        naive_error = naive_errors_until(panel, last, schema.shortest_season)[0]
    first, numbers = made.first[row], made.numbers[row]
    return PlotData(
        panel, schema, series, first, numbers, made.intervals, naive_error[series], len(series)
    )


def series_to_draw(panel: Panel, settings: PictureSettings) -> ForecastOptions:
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


def chart_of(
    data: PlotData, settings: PictureSettings, actuals: Panel | None = None, name: str = ""
) -> Chart:
    """The chart of some series, with actual values of their panel, or of `actuals`, which messages call `name`."""
    panel, schema, horizon = data.panel, data.schema, data.numbers.shape[1]
    actual = actuals_at(panel if actuals is None else actuals, data.ids, data.first, horizon)
    if actuals is not None and not np.isfinite(actual).any():
        log.warning("%s has no value at the times of the forecasts", name)
    point, worst = data.numbers[..., 0], False
    errors = mase(np.where(np.isfinite(point), actual, np.nan), point, data.naive_error, 1)
    if settings.series:
        chosen = [find_series(panel.ids, series) for series in settings.series]
        rows = series_index(data.ids, tuple(panel.ids[i] for i in chosen)) - 1
    else:
        rows = np.arange(min(settings.count, len(data.series)))
        if worst := bool(np.isfinite(errors).any() and len(data.series) > settings.count):
            rows = np.argsort(-np.where(np.isfinite(errors), errors, -1), kind="stable")[
                : settings.count
            ]
        chosen = data.series[rows].tolist()
    if not chosen:
        raise BadData("no series has a forecast, so there is nothing to draw")
    marked = tuple(
        event.model_copy(update={"kind": "effect"}) for event in schema.dated_events
    )  # all kinds alike
    marking = schema.model_copy(update={"dated_events": marked})
    events = _events(panel, marking, chosen) if has_events(marking) else {}
    charts = []
    for series, row in zip(chosen, rows.tolist(), strict=True):
        note, values = (
            f"no forecast{f': {panel.status[series]}' if panel.status else ''}",
            np.full(horizon, np.nan),
        )
        if row >= 0:
            note, values = _note(data, row, actual[row], errors[row]), actual[row]
        charts.append(
            _series_chart(
                data, settings.history, (series, row), note, values, events.get(series, [])
            )
        )
    value = schema.target or "" if schema.layout == "long" else ""
    time, steps = visible(", ".join(schema.time)), schema.calendar.kind == "steps"
    return Chart(
        tuple(charts), tuple(sorted(data.levels)), steps, time, visible(value), data.total, worst
    )


def _note(data: PlotData, row: int, actual: Numbers, error: float) -> str:
    """What is noted of a series, and how good its forecast was where there are actual values, in a line."""
    numbers, parts = data.numbers[row], [*data.notes[row : row + 1]]
    seen = np.isfinite(actual) & np.isfinite(numbers[:, 0])
    if seen.any() and np.isfinite(error):
        parts.append(f"MASE {error:.2f}")
    if seen.any() and data.levels:
        level = min(data.levels)
        low, high = numbers[:, 1 + 2 * data.levels.index(level) :].T[:2]
        inside = int((seen & (actual >= low) & (actual <= high)).sum())
        parts.append(f"{inside} of {seen.sum()} values in {level:g} %")
    return ", ".join(filter(None, parts))


def _series_chart(
    data: PlotData,
    history: int | None,
    chosen: tuple[int, int],
    note: str,
    actual: Numbers,
    events: list[EventSpan],
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
    return SeriesChart(
        name, note, times[:steps], past, times[steps:], numbers[:, 0], low, high, actual, shown
    )


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


def terminal_lines(
    chart: Chart, width: int, unicode: bool = True, style: Style = lambda text, kind: text
) -> list[str]:
    """A chart as lines of text of `width` characters, Braille or ASCII; `style` colours a text by its kind."""
    labels, marks = [_labels(series) for series in chart.series], UNICODE if unicode else PLAIN
    left = max(len(label) for numbers in labels for label in numbers.values()) + 2
    across, lines = max(width - left - 1, 8), list[str]()
    for series, numbers in zip(chart.series, labels, strict=True):
        lines += [
            "",
            style(series.name, "title")
            + (style(f"  {series.note}", "note") if series.note else ""),
        ]
        for row, text in enumerate(_drawing(series, across, unicode, style)):
            lines.append(f"{numbers.get(row, ''):>{left - 2}} {marks['edge']}{text}")
        lines.append(" " * left + _times(chart, series, across))
    parts = [(marks[kind], kind, kind) for kind in ("history", "forecast")]
    parts += [
        (marks["shades"][level != max(chart.levels)] * 2, "interval", f"{level:g} %")
        for level in chart.levels
    ]
    if any(np.isfinite(series.actual).any() for series in chart.series):
        parts.append((marks["actual"], "actual", "actual"))
    lines, used = [*lines, ""], width
    for symbol, kind, name in parts:
        shown, size = f"{style(symbol, kind)} {name}", len(symbol) + 1 + len(name)
        if used + 3 + size <= width:
            lines[-1], used = f"{lines[-1]}   {shown}", used + 3 + size
        else:
            lines, used = [*lines, shown], size
    return lines


def _range(series: SeriesChart) -> tuple[float, float]:
    values = np.concatenate(
        [series.past, series.forecast, series.low.ravel(), series.high.ravel(), series.actual]
    )
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    apart = max(1.0, abs(low) / 10) if low == high else 0.0  # a flat line lies in the middle
    return low - apart, high + apart


def _labels(series: SeriesChart) -> dict[int, str]:
    low, high = _range(series)
    middle = (HEIGHT // 2 + 0.5) / HEIGHT
    numbers = {0: high, HEIGHT // 2: high * (1 - middle) + low * middle, HEIGHT - 1: low}
    return {
        line: f"{value:,.4g}"
        if abs(value) < 1e4
        else f"{value:,.0f}"
        if abs(value) < 1e8
        else f"{value:.3g}"
        for line, value in numbers.items()
    }


def _drawing(series: SeriesChart, width: int, unicode: bool, style: Style) -> list[str]:
    """The lines of a drawing; actual values cover lines, and lines cover intervals."""
    (low, high), first, last = _range(series), float(series.past_times[0]), float(series.times[-1])

    def to_dots(times: Integers, values: Numbers) -> tuple[Numbers, Numbers]:
        """Columns and rows in dots; 2 by 4 dots are a character. Halves do not overflow."""
        columns = np.asarray((times - first) / max(last - first, 1) * (2 * width - 1), np.float64)
        return columns, (high / 2 - values / 2) / (high / 2 - low / 2) * (4 * HEIGHT - 1)

    marks = UNICODE if unicode else PLAIN
    characters, kinds = np.full((HEIGHT, width), " "), np.full((HEIGHT, width), "", object)
    middle, cells = 4 * np.arange(HEIGHT)[:, None] + 1.5, 2 * np.arange(width) + 0.5
    # a single step begins at the last value, as it would be too narrow to be seen
    start = (
        slice(-1, None) if len(series.times) == 1 and np.isfinite(series.past[-1]) else slice(0, 0)
    )
    times, before = np.append(series.past_times[start], series.times), series.past[start]
    for rank, interval in enumerate(reversed(range(series.low.shape[1]))):  # the widest comes first
        columns, top = to_dots(times, np.append(before, series.high[:, interval]))
        _, bottom = to_dots(times, np.append(before, series.low[:, interval]))
        if (seen := np.isfinite(top) & np.isfinite(bottom)).any():
            at, high_at, low_at = columns[seen], top[seen], bottom[seen]
            inside = (middle >= np.interp(cells, at, high_at)) & (
                middle <= np.interp(cells, at, low_at)
            )
            inside &= (cells >= at[0] - 1) & (cells <= at[-1] + 1)
            characters[inside], kinds[inside] = marks["shades"][min(rank, 1)], "interval"
    past, ahead = (
        to_dots(series.past_times, series.past),
        to_dots(times, np.append(before, series.forecast)),
    )
    for kind, points in (("history", past), ("forecast", ahead)):
        codes = (_line(*points, width).reshape(HEIGHT, 4, width, 2) * DOTS[:, None]).sum((1, 3))
        on = codes > 0
        characters[on], kinds[on] = BRAILLE[codes[on]] if unicode else marks[kind], kind
    columns, rows = to_dots(series.times, series.actual)
    seen = np.isfinite(rows)
    on = (
        np.minimum(rows[seen].astype(int) // 4, HEIGHT - 1),
        np.minimum(columns[seen].astype(int) // 2, width - 1),
    )
    characters[on], kinds[on] = marks["actual"], "actual"
    lines = []
    for texts, names in zip(characters, kinds, strict=True):
        runs = groupby(range(width), key=lambda column: names[column])
        lines.append("".join(style("".join(texts[list(run)]), kind) for kind, run in runs))
    return lines


def _line(columns: Numbers, rows: Numbers, width: int) -> Flags:
    """The dots of a line through points, [4 * height, 2 * width]; a point that is not finite is a gap."""
    dots = np.zeros((4 * HEIGHT, 2 * width), bool)
    for i in np.flatnonzero(np.isfinite(rows)):
        before = i - 1 if i and np.isfinite(rows[i - 1]) else i
        count = int(max(abs(columns[i] - columns[before]), abs(rows[i] - rows[before]))) + 2
        column = np.round(np.linspace(columns[before], columns[i], count)).astype(int)
        row = np.round(np.linspace(rows[before], rows[i], count)).astype(int)
        dots[np.clip(row, 0, 4 * HEIGHT - 1), np.clip(column, 0, 2 * width - 1)] = True
    return dots


def _times(chart: Chart, series: SeriesChart, width: int) -> str:
    """The first time, that of the first forecast, and the last, below the drawing, as short as all times allow."""
    times = np.concatenate([series.past_times, series.times]).astype(np.int64)
    first, start, last = shown = times[[0, len(series.past_times), -1]]
    texts = list(map(str, shown.tolist()))
    if not chart.numbered:
        exact = times.astype("datetime64[s]")
        unit = next(
            unit
            for unit in ("Y", "M", "D", "m", "s")
            if (exact.astype(f"datetime64[{unit}]") == exact).all()
        )
        texts = [
            str(time).replace("T", " ")
            for time in shown.astype("datetime64[s]").astype(f"datetime64[{unit}]")
        ]
    middle, line = (
        round(float(start - first) / max(float(last - first), 1) * (width - 1)),
        " " * width,
    )
    for text, column in (
        (texts[0], 0),
        (texts[2], width - len(texts[2])),
        (texts[1], middle - len(texts[1]) // 2),
    ):
        end = column + len(text)
        if column >= 0 and end <= width and not line[max(column - 1, 0) : end + 1].strip():
            line = line[:column] + text + line[end:]
    return line.rstrip()
