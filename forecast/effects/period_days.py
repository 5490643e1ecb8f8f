"""The days of months and quarters: how many of each weekday they have, and how much of Easter."""

import numpy as np
from dateutil.easter import easter

from forecast.calendar.calendar import named_holidays
from forecast.calendar.spec import CalendarSpec
from forecast.panel.events import day_spans
from forecast.panel.panel import Integers, Numbers
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import holiday_columns

TRADING_DAYS, EASTER = "trading days", "Easter"
"""What the effects of these columns are called."""
WEEKDAYS = 7
PERIOD_DAYS = WEEKDAYS + 1  # columns
MOST_MONTHS = 3  # of a period whose days differ enough
BEFORE_EASTER = 8  # days before Easter that it acts on, as X-13ARIMA-SEATS has them
MONDAY = 3  # 1970-01-01 was so many days after a Monday


def has_period_days(calendar: CalendarSpec) -> bool:
    return calendar.kind == "months" and calendar.every <= MOST_MONTHS


def count_period_days(position: Integers, schema: Schema) -> Numbers:
    """Mondays to Sundays of the periods at grid positions, and the share of Easter, [steps, 8].

    Public holidays count as Sundays. Easter acts on the days before it (Findley et al. 1998, New
    capabilities and methods of the X-12-ARIMA seasonal-adjustment program).
    """
    unique, inverse = np.unique(position, return_inverse=True)
    first, last = day_spans(build_calendar(schema), unique)
    weekday = np.arange(WEEKDAYS)
    before, until = ((day[:, None] + MONDAY - weekday) // WEEKDAYS for day in (first - 1, last))
    counts = (until - before).astype(np.float64)
    if schema.holidays and not holiday_columns(schema.holidays):
        named = named_holidays(int(first.min()), int(last.max()), schema.holidays)
        days = np.unique([day for day, _ in named]).astype(np.int64)
        period = np.searchsorted(first, days, side="right") - 1
        np.subtract.at(counts, (period, (days + MONDAY) % WEEKDAYS), 1.0)
        np.add.at(counts[:, -1], period, 1.0)

    span = np.array([first.min(), last.max()], "datetime64[D]").tolist()
    sundays = [easter(year) for year in range(span[0].year, span[1].year + 2)]
    end = np.array(sundays, "datetime64[D]").astype(np.int64) - 1  # [years], the last day of each
    start = end - BEFORE_EASTER + 1
    shared = np.minimum(last[:, None], end) - np.maximum(first[:, None], start) + 1
    share = np.maximum(shared, 0).sum(1) / BEFORE_EASTER
    return np.column_stack([counts, share])[inverse]
