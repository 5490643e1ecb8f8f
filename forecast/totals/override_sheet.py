"""A sheet of forecasts and of their sums with blank cells, which people fill in as overrides."""

import numpy as np

from forecast.calendar.calendar import is_daily_or_finer
from forecast.calendar.zones import DAY
from forecast.errors import UsageError
from forecast.inference.forecasting import Columns, Forecasts
from forecast.inference.overrides import DAYS, OVERRIDE_COLUMNS
from forecast.panel.events import day_spans
from forecast.panel.panel import Integers, Numbers
from forecast.panel.schema import Schema, build_calendar
from forecast.totals.sums import Totals


def sheet_columns(forecasts: Forecasts, schema: Schema, totals: Totals | None) -> Columns:
    """A row for each sum, then one for each forecast: its keys, first and last day, and the forecast.

    Raises `UsageError` for steps finer than days, which days do not name.
    """
    spec = schema.calendar
    if spec.kind == "steps" or (
        is_daily_or_finer(spec) and spec.kind == "seconds" and spec.every < DAY
    ):
        raise UsageError("a sheet of overrides has days, and the steps are no days or longer ones")
    keys = (*schema.ids, *schema.static)
    panel = forecasts.panel
    names: list[tuple[str, ...]] = []
    first: list[Integers] = []
    last: list[Integers] = []
    numbers: list[Numbers] = []
    for groups in [] if totals is None else totals.groups:
        periods = groups.periods
        begin = panel.origin + 1 + periods.edges[:-1]
        begin[0] = periods.first
        for key in groups.number_groups():
            of_key = dict(zip(groups.level.by, key, strict=True))
            names += [tuple(of_key.get(name, "") for name in keys)] * len(periods)
            first.append(begin)
            last.append(panel.origin + periods.edges[1:])
    if totals is not None:
        numbers += [totals.numbers(groups, totals.output)[:, 0] for groups in totals.groups]
    steps = np.arange(1, forecasts.numbers.shape[1] + 1)
    for series in forecasts.series.tolist():
        alone = (*panel.ids[series], *[""] * len(schema.static))
        names += [alone] * len(steps)
        first.append(panel.origins[series] + steps)
        last.append(panel.origins[series] + steps)
    numbers.append(forecasts.numbers[..., 0].ravel())
    calendar = build_calendar(schema)
    days = (
        day_spans(calendar, np.concatenate(first))[0],
        day_spans(calendar, np.concatenate(last))[1],
    )
    columns: Columns = dict(
        zip(keys, np.array(names, object).reshape(-1, len(keys)).T, strict=True)
    )
    for name, day in zip(DAYS, days, strict=True):
        columns[name] = day.astype("datetime64[D]").astype(str).astype(object)
    columns["forecast"] = np.concatenate(numbers)
    blank = np.full(len(names), "", object)
    return columns | dict.fromkeys(OVERRIDE_COLUMNS, blank)
