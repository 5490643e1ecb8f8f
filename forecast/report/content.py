"""Choose the series of a picture, and collect what it shows of them."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.errors import BadData, visible
from forecast.evaluation.measures import in_sample_errors
from forecast.evaluation.saved import POINT, SavedForecasts
from forecast.events.marks import has_events, mark
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, Wanted
from forecast.panel.naming import find_series, series_name
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.report.picture import Drawn, Picture, Span
from forecast.settings import INTERVALS, PictureSettings
from forecast.tables.writing import interval_columns

log = logging.getLogger("forecast")

HORIZONS = 3  # of history that are drawn by default
SEASONS = 2  # at least
FEWEST = 40  # steps, at least


@dataclass(frozen=True)
class Drawable:
    """Forecasts beside the series that they continue.

    Attributes
    ----------
    panel, schema : of the series
    series : [forecasts], indices into the panel, in the order of the input
    first : [forecasts], grid position of the first forecast of each
    numbers : [forecasts, horizon, 1 + 2 * levels], the point forecast, then the ends of each interval
    levels : of the intervals, in percent
    scale : [forecasts], the unit of MASE
    total : series that could be forecast, of which these may be some; default these
    """

    panel: Panel
    schema: Schema
    series: Integers
    first: Integers
    numbers: Numbers
    levels: tuple[float, ...]
    scale: Numbers
    total: int | None = None

    @property
    def ids(self) -> Ids:
        """Of the series with a forecast."""
        return tuple(self.panel.ids[i] for i in self.series)


def series_without_errors(panel: Panel, settings: PictureSettings) -> Wanted:
    """The series of a picture without values that came, which would tell the worst: those named, or the first.

    Raises
    ------
    UsageError
        If a series is not there.
    """
    if settings.series:
        named = np.array([find_series(panel.ids, each) for each in settings.series], np.int64)
        return Wanted(panel.order[np.isin(panel.order, named) & ~panel.skipped[panel.order]])
    return Wanted(panel.order[~panel.skipped[panel.order]][: settings.count])


def drawable_forecasts(forecasts: Forecasts, fitted: Fitted, levels: tuple[float, ...]) -> Drawable:
    """Forecasts that were just made.

    Parameters
    ----------
    levels : of the intervals that they have, in percent
    """
    panel, schema, series = forecasts.panel, fitted.config.table, forecasts.series
    names = (POINT, *interval_columns(levels))
    columns = [np.asarray(forecasts.columns[name], np.float64) for name in names]
    numbers = np.stack(columns, -1).reshape(*forecasts.quantiles.shape[:2], len(names))
    if panel is fitted.history:  # only a tail of the series the fit measured
        scale = fitted.seasonal_error[series]
    else:
        scale = in_sample_errors(panel, panel.origins, schema.shortest_season)[0][series]
    total = int((~panel.skipped).sum())
    return Drawable(panel, schema, series, panel.origins[series] + 1, numbers, levels, scale, total)


def drawable_history(fitted: Fitted) -> Drawable:
    """The series of the fit that could be forecast, without forecasts."""
    panel, schema = fitted.history, fitted.config.table
    series = panel.order[~panel.skipped[panel.order]]
    numbers = np.full((len(series), fitted.config.horizon, 1), np.nan)
    return Drawable(panel, schema, series, panel.origins[series] + 1, numbers, (), fitted.seasonal_error[series])


def drawable_stored(fitted: Fitted, ids: Sequence[tuple[str, ...]], instants: Integers, numbers: Numbers) -> Drawable:
    """Forecasts that were made before, beside the series of a fit; those of other series are left out.

    Parameters
    ----------
    ids : [rows], of each forecast's series; the rows of a series follow each other, the first step first
    instants : [rows], times on the clock of the table
    numbers : [rows, 5], the forecast, then the ends of the intervals of 80 and 95 %
    """
    panel, schema = fitted.history, fitted.config.table
    own = tuple(dict.fromkeys(ids))
    steps = len(ids) // max(len(own), 1)
    first = calendar_of(schema).positions(instants[::steps])
    place = series_index(own, panel.ids) - 1
    series = panel.order[place[panel.order] >= 0]
    place = place[series]
    by_series = numbers.reshape(len(own), steps, numbers.shape[1])
    return Drawable(panel, schema, series, first[place], by_series[place], INTERVALS, fitted.seasonal_error[series])


def drawable_saved(saved: SavedForecasts, panel: Panel, schema: Schema) -> Drawable:
    """Forecasts of a file, beside a table of values."""
    place = series_index(saved.ids, panel.ids) - 1
    series = panel.order[place[panel.order] >= 0]
    place = place[series]
    last = panel.origins.copy()
    last[series] = saved.first[place] - 1
    scale = in_sample_errors(panel, last, schema.shortest_season)[0][series]
    return Drawable(panel, schema, series, saved.first[place], saved.by_series()[place], saved.intervals, scale)


def picture_of(drawable: Drawable, settings: PictureSettings, actual: Panel | None = None, name: str = "") -> Picture:
    """What a picture of some series shows.

    Parameters
    ----------
    settings : which series, and how much of their past
    actual : values that came later; default those of the drawable's own panel
    name : of the table of these values, for messages

    Raises
    ------
    UsageError
        If a series is not there.
    """
    ids, horizon = drawable.ids, drawable.numbers.shape[1]
    came = values_at(drawable.panel if actual is None else actual, ids, drawable.first, horizon)
    if actual is not None and not np.isfinite(came).any():
        log.warning("%s has no value at the times of the forecasts", name)
    errors = _mase(drawable, came)
    worst = False
    if settings.series:
        chosen = [find_series(drawable.panel.ids, each) for each in settings.series]
        place = series_index(ids, tuple(drawable.panel.ids[i] for i in chosen)) - 1
    else:
        place = np.arange(min(settings.count, len(ids)))
        if worst := bool(np.isfinite(errors).any() and len(ids) > settings.count):
            place = np.argsort(-np.where(np.isfinite(errors), errors, -1), kind="stable")[: settings.count]
        chosen = drawable.series[place].tolist()
    if not chosen:
        raise BadData("no series has a forecast, so there is nothing to draw")
    spans = _events(drawable.panel, drawable.schema, chosen)
    schema, levels = drawable.schema, tuple(sorted(drawable.levels))
    drawn = []
    for series, row in zip(chosen, place.tolist(), strict=True):
        note = _note(drawable, row, came[row], errors[row]) if row >= 0 else _why(drawable.panel, series)
        values = came[row] if row >= 0 else np.full(horizon, np.nan)
        drawn.append(_drawn(drawable, settings, (series, row), note, values, spans.get(series, [])))
    value = schema.target or "" if schema.layout == "long" else ""
    kind = schema.calendar.kind == "steps"
    total = len(ids) if drawable.total is None else drawable.total
    return Picture(tuple(drawn), levels, kind, visible(", ".join(schema.time)), visible(value), total, worst)


def values_at(panel: Panel, ids: Ids, first: Integers, steps: int) -> Numbers:
    """Observed values of some series at grid positions, [series, steps], NaN where none was observed.

    Parameters
    ----------
    ids : of the series, which need not be in the panel
    first : [series], grid position of the first step
    """
    rank = series_index(panel.ids, ids) - 1
    step = first[:, None] + np.arange(steps) - panel.starts[rank][:, None]
    inside = (rank >= 0)[:, None] & (step >= 0) & (step < panel.lengths[rank][:, None])
    slot = panel.offsets[rank][:, None] + np.where(inside, step, 0)
    return np.where(inside & panel.observed[slot], panel.values[slot], np.nan)


def _mase(drawable: Drawable, came: Numbers) -> Numbers:
    """[forecasts], NaN without values."""
    error = np.abs(came - drawable.numbers[..., 0])
    count = np.isfinite(error).sum(1)
    scale = np.where(drawable.scale > 0, drawable.scale, np.nan)
    return np.asarray(np.where(count > 0, np.nansum(error, 1) / np.maximum(count, 1), np.nan) / scale)


def _note(drawable: Drawable, row: int, came: Numbers, error: float) -> str:
    """How good the forecast of a series was, in a line; "" where no value came."""
    seen = np.isfinite(came) & np.isfinite(drawable.numbers[row, :, 0])
    if not seen.any():
        return ""
    parts = [f"MASE {error:.2f}"] if np.isfinite(error) else []
    if drawable.levels:
        level = min(drawable.levels)
        low, high = (drawable.numbers[row, :, 1 + 2 * drawable.levels.index(level) + side] for side in (0, 1))
        inside = int((seen & (came >= low) & (came <= high)).sum())
        parts.append(f"{inside} of {seen.sum()} values in {level:g} %")
    return ", ".join(parts)


def _why(panel: Panel, series: int) -> str:
    """Why a series has no forecast."""
    return f"no forecast: {panel.status[series]}" if panel.status else "no forecast"


def _drawn(
    drawable: Drawable,
    settings: PictureSettings,
    chosen: tuple[int, int],
    note: str,
    came: Numbers,
    spans: list[Span],
) -> Drawn:
    """One series; `chosen` are its indices in the panel and in the forecasts, -1 without one."""
    (series, row), panel, schema = chosen, drawable.panel, drawable.schema
    calendar, horizon = calendar_of(schema), drawable.numbers.shape[1]
    first = drawable.first[row] if row >= 0 else panel.origins[series] + 1
    steps = settings.history or max(HORIZONS * horizon, SEASONS * schema.shortest_season, FEWEST)
    steps = int(np.clip(first - panel.starts[series], 1, steps))
    past = values_at(panel, (panel.ids[series],), np.array([first - steps]), steps)[0]
    times = calendar.wall(first + np.arange(-steps, horizon))
    numbers = drawable.numbers[row] if row >= 0 else np.full(drawable.numbers.shape[1:], np.nan)
    order = np.argsort(drawable.levels)
    name = series_name(panel.ids[series]) or schema.target or ""
    return Drawn(
        name=visible(name),
        note=note,
        past_times=times[:steps],
        past=past,
        times=times[steps:],
        forecast=numbers[:, 0],
        low=numbers[:, 1::2][:, order],
        high=numbers[:, 2::2][:, order],
        actual=came,
        events=tuple(span for span in spans if span.last >= times[0] and span.first <= times[-1]),
    )


def _events(panel: Panel, schema: Schema, chosen: list[int]) -> dict[int, list[Span]]:
    """The events of some series, by index into the panel; neighbouring days of one event are one span."""
    if not has_events(schema):
        return {}
    calendar, series = calendar_of(schema), np.unique(np.array(chosen, np.int64))
    part = panel.select(series)
    marks = mark(part, schema)
    own = np.isin(marks.label, [place for place, label in enumerate(marks.labels) if label in marks.names])
    slot, label = marks.slot[own], marks.label[own]
    rank = np.searchsorted(part.offsets, slot, side="right") - 1
    position = part.starts[rank] + slot - part.offsets[rank]
    spans: dict[int, list[Span]] = {}
    for place in range(len(series)):
        here = rank == place
        named = [(name, position[here & (label == number)]) for number, name in enumerate(marks.labels)]
        found = [span for name, times in named if len(times) for span in _spans(calendar, times, visible(name))]
        spans[int(series[place])] = sorted(found, key=lambda span: (span.first, span.name))
    return spans


def _spans(calendar: Calendar, positions: Integers, name: str) -> Iterator[Span]:
    """Runs of neighbouring positions, each half a step longer on both sides."""
    for run in np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1):
        before, first = calendar.wall(np.array([run[0] - 1, run[0]]))
        last, after = calendar.wall(np.array([run[-1], run[-1] + 1]))
        yield Span(float(first + before) / 2, float(last + after) / 2, name)
