"""Formats of times, and what is inferred from some."""

from typing import Any

import numpy as np
import pandas as pd

from forecast.calendar.frequency import infer_calendar
from forecast.calendar.spec import CalendarSpec, TimeFormat
from forecast.calendar.zones import Integers

NAIVE = TimeFormat(kind="text", pattern="%Y-%m-%d %H:%M:%S")
BERLIN = TimeFormat(kind="text", pattern="%Y-%m-%d %H:%M:%S", zone="Europe/Berlin")
STEPS = TimeFormat(kind="integer")


def seconds(index: Any) -> Integers:
    """Seconds since 1970 of datetimes: UTC where they have a zone."""
    return np.asarray(pd.DatetimeIndex(index).as_unit("s").asi8, np.int64)


def inferred(
    timestamps: Integers, freq: str | None = None, form: TimeFormat = NAIVE, **options: Any
) -> CalendarSpec:
    return infer_calendar(timestamps, np.zeros(len(timestamps), np.int64), freq, form, **options)
