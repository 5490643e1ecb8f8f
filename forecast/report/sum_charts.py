"""Sums of forecasts beside sums of the past: plot data, a chart, and a section of a report."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK
from forecast.errors import UsageError
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import Predictor, fill_closed_values
from forecast.metrics.metrics import naive_errors_until
from forecast.panel.hierarchy import ALL, iterate_keys
from forecast.panel.panel import Ids, Integers, Panel, series_index
from forecast.panel.schema import Schema, build_calendar
from forecast.report.chart import Chart, PlotData, build_chart
from forecast.report.page import Gallery, PageTable, Part, Section, number
from forecast.settings import Every, OutputSettings, PictureSettings, SumSettings
from forecast.tables.writing import Column
from forecast.totals.periods import (
    MONTHS_BY_PERIOD,
    SUNDAY,
    Level,
    build_refusal,
    find_periods,
    period_keys,
    steps_ahead,
)
from forecast.totals.sums import SUM_COLUMNS, Groups, Totals
from forecast.windows.origins import values_at

CHART_SERIES_AT_ONCE = 2048  # series that are added at once
TEXT = "A sum has its own distribution: `forecast` is its median, and `mean` the sum of the means."


def schema_of_sums(schema: Schema, every: Every | None) -> Schema:
    """The schema of sums; positions on its calendar are the period numbers of `period_keys`."""
    spec = schema.calendar
    if every == "day":
        spec = CalendarSpec(kind="seconds", every=DAY)
    elif every == "week" and (spec.kind != "seconds" or spec.every % WEEK):
        spec = CalendarSpec(kind="seconds", every=WEEK, anchor=SUNDAY * DAY)
    elif every in MONTHS_BY_PERIOD:
        spec = CalendarSpec(kind="months", every=MONTHS_BY_PERIOD[every])
    season = schema.season if every is None else season_candidates(spec)
    update = {"calendar": spec, "season": season, "ids": ("sum",)}
    return schema.model_copy(update={**update, "holidays": None, "dated_events": ()})


def _period_numbers(schema: Schema, positions: Integers, every: Every | None) -> Integers:
    if every is None:
        return positions
    return period_keys(build_calendar(schema), positions, every)


def past_sums(
    fitted: Fitted,
    panel: Panel,
    levels: list[Level],
    every: Every | None,
    exact: bool = False,
) -> Panel:
    """A panel of the past sums over a period, with a series for each group of some levels of sums.

    Its ids are the level of the sum and the key of the group. A missing value is replaced by the
    newest value a whole number of seasons before it, unless sums are to be `exact`. A sum is
    unknown if the panel lacks a part of the period, or if a series that has not ended lacks its
    newest values.
    """
    schema = fitted.schema
    panel = fill_closed_values(fitted, panel)
    newest = panel.origin
    steps = newest + 1 - int(panel.starts.min())
    positions = np.arange(newest - steps, newest + 2)  # with one position more on either side
    numbers = _period_numbers(schema, positions, every)
    periods, edges = np.unique(numbers[1:-1], return_index=True)
    complete = (periods != numbers[0]) & (periods != numbers[-1])

    status = np.array(panel.status or ["ok"] * len(panel))
    ended = (status == "ended") | (panel.trailing_gap() > fitted.ensemble.lookback)
    names_by_level = []
    for level in levels:
        keys = iterate_keys(panel, schema, level.by)
        names_by_level.append(tuple((level.group, *key) for key in keys))
    ids = tuple(sorted(set().union(*names_by_level)))
    codes_by_level = [series_index(ids, names) for names in names_by_level]
    totals = np.zeros((2, len(ids), len(periods)))
    sums, cells = totals
    for start in range(0, len(panel), CHART_SERIES_AT_ONCE):
        series = start + np.flatnonzero(status[start : start + CHART_SERIES_AT_ONCE] != "missing")
        first = panel.origins[series] + 1 - steps
        values = values_at(panel, series, first, steps)  # [series, steps]
        seen = np.isfinite(values)
        begun = np.maximum.accumulate(seen, 1)
        to_come = np.maximum.accumulate(seen[:, ::-1], 1)
        over = ~to_come[:, ::-1]
        inside = begun & ~over
        gaps = exact & inside & ~seen
        awaited = begun & over & ~ended[series, None]
        filled = fill_gaps(np.where(seen, values, 0.0), seen, schema.shortest_season)
        filled = np.where(inside, filled, 0.0)
        filled[gaps | awaited] = np.nan
        added = np.add.reduceat(np.stack([filled, inside]), edges, axis=2)
        for codes in codes_by_level:
            np.add.at(totals, np.s_[:, codes[series]], added)  # type: ignore[arg-type]
    observed = (cells > 0) & np.isfinite(sums) & complete
    none = np.zeros((observed.size, 0))
    return Panel(
        ids=ids,
        order=np.arange(len(ids)),
        offsets=np.arange(len(ids) + 1) * len(periods),
        starts=np.full(len(ids), periods[0]),
        ahead=0,
        values=np.where(observed, sums, 0.0).ravel(),
        observed=observed.ravel(),
        known=none,
        past=none,
        static=none[: len(ids)],
        status=("ok",) * len(ids),
    )


def plots_of_sums(
    totals: Totals, past: Panel, actuals: Panel | None = None
) -> Iterator[tuple[PlotData, Panel | None]]:
    """Plot data of the sums over each kind of period of a calendar, and actual sums, if any."""
    fitted = totals.fitted
    schema = totals.schema
    by_period: dict[Every | None, list[Groups]] = {}
    for groups in totals.groups:
        every = groups.level.every
        if every is None or steps_ahead(every, 1) is None:
            by_period.setdefault(every, []).append(groups)
    for every, same in by_period.items():
        periods = same[0].periods
        levels = [groups.level for groups in same]
        ids: Ids = ()
        for groups in same:
            ids += tuple((groups.level.group, *key) for key in groups.number_groups())
        numbers = np.concatenate([totals.numbers(groups, totals.output) for groups in same])
        numbers = numbers.reshape(len(ids), len(periods), -1)
        so_far = numbers[:, 0, -len(SUM_COLUMNS) + 1].tolist()
        if every == "day" and schema.calendar.kind == "weekdays":  # each step is a day
            every = None
        period = "" if every is None else f"per {every}"
        notes = [period] * len(ids)
        for i, value in enumerate(so_far):
            if value:
                notes[i] = f"{period}, {number(value)} so far".removeprefix(", ")

        before = past_sums(fitted, past, levels, every)
        sums_schema = schema_of_sums(schema, every)
        series = series_index(before.ids, ids)
        unit = naive_errors_until(before, before.origins, sums_schema.shortest_season)[0]
        first = np.full(len(ids), periods.first)
        without_means = np.delete(numbers[..., : -len(SUM_COLUMNS) + 1], 1, -1)
        plot = PlotData(
            panel=before,
            schema=sums_schema,
            series=series,
            first=_period_numbers(schema, first, every),
            numbers=without_means,
            columns=totals.output.columns,
            naive_error=unit[series],
            total=len(ids),
            notes=tuple(notes),
        )
        yield plot, actuals and past_sums(fitted, actuals, levels, every, exact=True)


def chart_of_sums(
    totals: Totals, past: Panel, settings: PictureSettings, actuals: Panel | None, name: str
) -> Chart:
    """The chart of sums, one period after another; see `plots_of_sums` and `build_chart`."""
    plots = plots_of_sums(totals, past, actuals)
    charts = [build_chart(data, settings, later, name) for data, later in plots]
    if not charts:
        every = totals.settings.sum_every[0]
        problem = f"a sum over the {every} is one number, and no line"
        cure = "name a period of the calendar, or leave it out"
        raise build_refusal(every, problem, cure)
    series = tuple(series for chart in charts for series in chart.series)
    total = sum(chart.total for chart in charts)
    return replace(charts[0], series=series, total=total)


def sums_section(predictor: Predictor, forecasts: Forecasts, asked: list[SumSettings]) -> Section:
    """Charts and tables of sums of forecasts.

    If no period that is asked for ends within their horizon, these are the sums of all series over
    a usual one.
    """
    horizon = forecasts.numbers.shape[1]
    parts: list[Part] = [TEXT]
    usual = _usual_sums(predictor.fitted.schema, forecasts.panel, horizon)
    for settings in [*asked, usual]:
        if settings is usual and len(parts) > 1:
            break
        totals = Totals(predictor, settings, OutputSettings(), horizon)
        try:
            totals.add(forecasts)
        except UsageError:  # no such period ends within this horizon
            continue
        for data, _ in plots_of_sums(totals, forecasts.panel):
            parts.append(Gallery(data, {}, data.notes, searched=False))
        columns = totals.columns()
        cells = []
        for column in columns.values():
            texts = column.texts() if isinstance(column, Column) else column.tolist()
            cells.append(texts)
        rows = tuple(zip(*cells, strict=True))
        parts.append(PageTable("Sums, at most 60", tuple(columns), rows[:60]))
    return Section("Sums of the forecasts", tuple(parts))


def _usual_sums(schema: Schema, panel: Panel, horizon: int) -> SumSettings:
    """The sum of all series over the longest suitable period.

    A whole period must lie within the horizon, and another one within the panel.
    """
    origin = panel.origin
    for every in ("year", "quarter", "month", "week"):
        with suppress(UsageError):  # the table has no such periods
            periods = find_periods(schema, origin, horizon, every)
            ends = np.array([panel.starts.min() - 1, periods.first])
            before, now = period_keys(build_calendar(schema), ends, every)
            if len(periods) and before < now - 1:
                return SumSettings(sum_by=(ALL,), sum_every=(every,))
    return SumSettings(sum_by=(ALL,), sum_every=("horizon",))
