"""Sums of forecasts beside the sums of the past: as plot data, as one chart, and as a section of a report."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK
from forecast.errors import Setting, UsageError
from forecast.events.closed import with_fixed
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import Predictor, fixed_of
from forecast.metrics.metrics import naive_errors_until
from forecast.panel.panel import Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.saved import POINT
from forecast.report.chart import Chart, PlotData, chart_of
from forecast.report.page import Gallery, Part, Section, Table, number
from forecast.settings import INTERVALS, Every, OutputSettings, PictureSettings, SumSettings
from forecast.tables.writing import Column, interval_columns
from forecast.totals.periods import ALL, MONDAY, MONTHS, Level, keys_of, period_keys, periods_of
from forecast.totals.sums import Totals
from forecast.windows.origins import values_at

AT_ONCE = 2048  # series
TEXT = "A sum has a distribution of its own: `forecast` is its median, and `mean` the sum of the means of the series."


def schema_of_sums(schema: Schema, every: Every | None) -> Schema:
    """The schema of sums, on whose calendar the positions are the numbers of `period_keys`."""
    spec = schema.calendar
    if every == "day" or (every == "week" and (spec.kind != "seconds" or spec.every % WEEK)):
        length, anchor = (DAY, 0) if every == "day" else (WEEK, -MONDAY * DAY)
        spec = CalendarSpec(kind="seconds", every=length, anchor=anchor)
    elif months := MONTHS.get(every or ""):
        spec = CalendarSpec(kind="months", every=months)
    season = schema.season if every is None else season_candidates(spec)
    without_events = {"ids": ("sum",), "holidays": None, "dated_events": ()}
    return schema.model_copy(update={**without_events, "calendar": spec, "season": season})


def past_sums(
    fitted: Fitted,
    panel: Panel,
    schema: Schema,
    levels: list[Level],
    every: Every | None,
    exact: bool = False,
) -> Panel:
    """The sums of the values of a panel over a period, for each group of some levels: ids are that level and its key.

    A gap counts as the newest value a whole number of seasons before it, unless sums are to be `exact`. One is unknown
    where the panel lacks a part of the period, and where the newest values of a series are missing that has not ended.
    """
    panel = with_fixed(panel, fixed_of(fitted, panel))
    end, steps = int(panel.origins.max()) + 1, int(panel.origins.max() - panel.starts.min()) + 1
    keys = np.arange(end - steps - 1, end + 1)
    keys = keys if every is None else period_keys(calendar_of(schema), keys, every)
    edges = np.flatnonzero(np.diff(keys[1:-1], prepend=keys[1] - 1))
    periods, status = keys[1:-1][edges], np.array(panel.status or [""] * len(panel))
    ended, everyone = (
        (status == "ended") | (panel.trailing_gap() > fitted.config.lookback),
        status != "missing",
    )
    every_series = np.arange(len(panel))
    of_series = [
        [(level.group, *key) for key in keys_of(panel, schema, every_series, level.by)]
        for level in levels
    ]
    ids = tuple(sorted(set().union(*of_series)))
    number = {name: i for i, name in enumerate(ids)}
    found = np.zeros((3, len(ids), len(periods)))  # sums, cells of them, and cells that are unknown
    for start in range(0, len(panel), AT_ONCE):
        series = start + np.flatnonzero(everyone[start : start + AT_ONCE])
        values = values_at(
            panel, series, panel.origins[series] + 1 - steps, steps
        )  # [series, steps]
        seen = np.isfinite(values)
        begun = np.maximum.accumulate(seen, 1)
        inside = begun & np.maximum.accumulate(seen[:, ::-1], 1)[:, ::-1]
        whole = fill_gaps(np.where(seen, values, 0.0), seen, schema.shortest_season)
        unknown = begun & ~seen & (exact | ~inside) & ~(ended[series, None] & ~inside)
        parts = np.stack([np.where(inside, whole, 0.0), inside, unknown])
        for names in of_series:
            codes = np.array([number[names[i]] for i in series], np.int64)
            np.add.at(found, np.s_[:, codes], np.add.reduceat(parts, edges, axis=2))  # type: ignore[arg-type]
    observed = (found[1] > 0) & (found[2] == 0) & (periods != keys[0]) & (periods != keys[-1])
    size, values, none = (
        len(ids),
        np.where(observed, found[0], 0.0).ravel(),
        np.zeros((observed.size, 0)),
    )
    offsets, starts, marks = (
        np.arange(size + 1) * len(periods),
        np.full(size, periods[0]),
        observed.ravel(),
    )
    return Panel(
        ids,
        np.arange(size),
        offsets,
        starts,
        0,
        values,
        marks,
        none,
        none,
        none[:size],
        ("ok",) * size,
    )


def plots_of_sums(
    totals: Totals, past: Panel, actuals: Panel | None = None
) -> Iterator[tuple[PlotData, Panel | None]]:
    """The sums over each period but the horizon, beside those of the past, and the actual ones."""
    frame = {
        name: np.asarray(getattr(column, "values", column))
        for name, column in totals.columns().items()
    }
    fitted, schema, ends = totals.fitted, totals.schema, totals.output.levels
    for every in dict.fromkeys(
        groups.level.every for groups in totals.groups if groups.level.every != "horizon"
    ):
        same = [groups for groups in totals.groups if groups.level.every == every]
        levels, periods = [groups.level for groups in same], same[0].periods
        if every == "day" and schema.calendar.kind == "weekdays":  # each step is a day
            every = None
        sums_schema, before = (
            schema_of_sums(schema, every),
            past_sums(fitted, past, schema, levels, every),
        )
        later = actuals and past_sums(fitted, actuals, schema, levels, every, exact=True)
        ids, rows = list[tuple[str, ...]](), list[int]()
        for level in levels:
            of_level = np.flatnonzero(frame["level"] == level.name)
            keys = list(
                zip(*(frame[name][of_level[:: len(periods)]] for name in level.by), strict=True)
            ) or [()]
            ids, rows = [*ids, *((level.group, *key) for key in keys)], [*rows, *of_level.tolist()]
        numbers = np.stack(
            [frame[name][rows] for name in (POINT, *interval_columns(ends))], -1
        ).astype(np.float64)
        numbers, series = (
            numbers.reshape(len(ids), len(periods), -1),
            series_index(before.ids, tuple(ids)) - 1,
        )
        first = np.full(len(ids), periods.first)
        first = first if every is None else period_keys(calendar_of(schema), first, every)
        naive_error = naive_errors_until(before, before.origins, sums_schema.shortest_season)[0][
            series
        ]
        so_far = frame["observed"][rows][:: len(periods)].tolist()
        notes = tuple(
            f"per {every}" * bool(every) + f", {number(value)} so far" * bool(value)
            for value in so_far
        )
        yield (
            PlotData(
                before, sums_schema, series, first, numbers, ends, naive_error, len(ids), notes
            ),
            later,
        )


def chart_of_sums(
    totals: Totals, past: Panel, settings: PictureSettings, actuals: Panel | None, name: str
) -> Chart:
    """The chart of sums, one period after another; parameters as of `plots_of_sums` and `chart_of`."""
    charts = [
        chart_of(data, settings, later, name)
        for data, later in plots_of_sums(totals, past, actuals)
    ]
    if not charts:
        problem, setting = (
            "a sum over the horizon is one number, and no line",
            Setting("sum_every", "horizon"),
        )
        raise UsageError(problem, setting=setting, cure="name a shorter period, or leave it out")
    series = tuple(series for chart in charts for series in chart.series)
    return replace(charts[0], series=series, total=sum(chart.total for chart in charts))


def sums_section(predictor: Predictor, forecasts: Forecasts, asked: list[SumSettings]) -> Section:
    """Charts and tables of sums of forecasts; where none are asked for, of all series over a usual period."""
    schema, panel, horizon = (
        predictor.fitted.config.table,
        forecasts.panel,
        predictor.fitted.config.horizon,
    )
    parts: list[Part] = [TEXT]
    for settings in asked or [_usual_sums(schema, panel, horizon)]:
        totals = Totals(predictor, settings, OutputSettings(levels=INTERVALS), None)
        try:
            totals.add(forecasts)
        except UsageError:  # no such period ends within the horizon tonight
            continue
        parts += [
            Gallery(data, "", {}, data.notes, searched=False)
            for data, _ in plots_of_sums(totals, panel)
        ]
        columns = totals.columns()
        texts = [
            column.texts() if isinstance(column, Column) else column.tolist()
            for column in columns.values()
        ]
        parts.append(
            Table("Sums, at most 60", tuple(columns), tuple(zip(*texts, strict=True))[:60])
        )
    return Section("Sums of the forecasts", tuple(parts))


def _usual_sums(schema: Schema, panel: Panel, horizon: int) -> SumSettings:
    """All series together, over the longest period that a horizon reaches to its end and a panel has a whole one of."""
    for every in ("year", "quarter", "month", "week"):
        with suppress(UsageError):  # of a table that has no such periods
            periods = periods_of(schema, int(panel.origins.max()), horizon, every)
            before, now = period_keys(
                calendar_of(schema), np.array([panel.starts.min() - 1, periods.first]), every
            )
            if len(periods) and before < now - 1:
                return SumSettings(sum_by=(ALL,), sum_every=(every,))
    return SumSettings(sum_by=(ALL,), sum_every=("horizon",))
