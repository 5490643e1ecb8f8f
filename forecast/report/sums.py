"""Sums of forecasts beside the sums of the past: as plot data, as one chart, and as a section of a report."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from forecast.errors import Setting, UsageError
from forecast.evaluation.measures import in_sample_errors
from forecast.evaluation.saved import POINT
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import Predictor
from forecast.panel.panel import Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.report.chart import Chart, chart_of
from forecast.report.gallery import Gallery
from forecast.report.page import Part, Section, Table, number
from forecast.report.plot_data import PlotData
from forecast.settings import INTERVALS, OutputSettings, PictureSettings, SumSettings
from forecast.tables.frames import Column
from forecast.tables.writing import interval_columns
from forecast.totals.history import past_sums, schema_of_sums
from forecast.totals.levels import ALL
from forecast.totals.periods import period_keys, periods_of
from forecast.totals.sums import Totals

ROWS = 60  # of a table of sums that a report has
TEXT = "A sum has a distribution of its own: `forecast` is its median, and `mean` the sum of the means of the series."


def plots_of_sums(totals: Totals, past: Panel, actuals: Panel | None = None) -> Iterator[tuple[PlotData, Panel | None]]:
    """The sums over each period but the horizon, beside those of the past, and the actual ones."""
    frame = {name: np.asarray(getattr(column, "values", column)) for name, column in totals.columns().items()}
    fitted, schema, ends = totals.fitted, totals.schema, totals.output.levels
    for every in dict.fromkeys(groups.level.every for groups in totals.groups if groups.level.every != "horizon"):
        same = [groups for groups in totals.groups if groups.level.every == every]
        levels, periods = [groups.level for groups in same], same[0].periods
        if every == "day" and schema.calendar.kind == "weekdays":  # each step is a day
            every = None
        own, before = schema_of_sums(schema, every), past_sums(fitted, past, schema, levels, every)
        later = actuals and past_sums(fitted, actuals, schema, levels, every, exact=True)
        ids, rows = list[tuple[str, ...]](), list[int]()
        for level in levels:
            of_level = np.flatnonzero(frame["level"] == level.name)
            keys = list(zip(*(frame[name][of_level[:: len(periods)]] for name in level.by), strict=True)) or [()]
            ids, rows = [*ids, *((level.group, *key) for key in keys)], [*rows, *of_level.tolist()]
        numbers = np.stack([frame[name][rows] for name in (POINT, *interval_columns(ends))], -1).astype(np.float64)
        numbers, series = numbers.reshape(len(ids), len(periods), -1), series_index(before.ids, tuple(ids)) - 1
        first = np.full(len(ids), periods.first)
        first = first if every is None else period_keys(calendar_of(schema), first, every)
        scale = in_sample_errors(before, before.origins, own.shortest_season)[0][series]
        so_far = frame["observed"][rows][:: len(periods)].tolist()
        notes = tuple(f"per {every}" * bool(every) + f", {number(value)} so far" * bool(value) for value in so_far)
        yield PlotData(before, own, series, first, numbers, ends, scale, len(ids), notes), later


def chart_of_sums(totals: Totals, past: Panel, settings: PictureSettings, actuals: Panel | None, name: str) -> Chart:
    """The chart of sums, one period after another; parameters as of `plots_of_sums` and `chart_of`."""
    charts = [chart_of(data, settings, later, name) for data, later in plots_of_sums(totals, past, actuals)]
    if not charts:
        problem, setting = "a sum over the horizon is one number, and no line", Setting("sum_every", "horizon")
        raise UsageError(problem, setting=setting, cure="name a shorter period, or leave it out")
    series = tuple(series for chart in charts for series in chart.series)
    return replace(charts[0], series=series, total=sum(chart.total for chart in charts))


def sums_section(predictor: Predictor, forecasts: Forecasts, asked: list[SumSettings]) -> Section:
    """Charts and tables of sums of forecasts; where none are asked for, of all series over a usual period."""
    schema, panel, horizon = predictor.fitted.config.table, forecasts.panel, predictor.fitted.config.horizon
    parts: list[Part] = [TEXT]
    for settings in asked or [_usual_sums(schema, panel, horizon)]:
        totals = Totals(predictor, schema, settings, OutputSettings(levels=INTERVALS), None)
        try:
            totals.add(forecasts)
        except UsageError:  # no such period ends within the horizon tonight
            continue
        parts += [Gallery(data, "", {}, data.notes, searched=False) for data, _ in plots_of_sums(totals, panel)]
        columns = totals.columns()
        texts = [column.texts() if isinstance(column, Column) else column.tolist() for column in columns.values()]
        parts.append(Table(f"Sums, at most {ROWS}", tuple(columns), tuple(zip(*texts, strict=True))[:ROWS]))
    return Section("Sums of the forecasts", tuple(parts))


def _usual_sums(schema: Schema, panel: Panel, horizon: int) -> SumSettings:
    """All series together, over the longest period that a horizon reaches to its end and a panel has a whole one of."""
    for every in ("year", "quarter", "month", "week"):
        with suppress(UsageError):  # of a table that has no such periods
            periods = periods_of(schema, int(panel.origins.max()), horizon, every)
            before, now = period_keys(calendar_of(schema), np.array([panel.starts.min() - 1, periods.first]), every)
            if len(periods) and before < now - 1:
                return SumSettings(sum_by=(ALL,), sum_every=(every,))
    return SumSettings(sum_by=(ALL,), sum_every=("horizon",))
