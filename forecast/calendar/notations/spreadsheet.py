"""Day numbers of a spreadsheet: 45000 is 2023-03-15, 45000.5 its noon; read only where the user says so."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.notations import Notation
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import DAY, Integers

DAY_NUMBERS = "spreadsheet"  # as `date_format`
USUAL = (25_000, 60_000)  # of 1968 to 2064
EPOCH_DAY = 25_569  # the day number of 1970-01-01
END = 2_958_466  # the day number after the year 9999
SHAPE = re.compile(r"\d{1,7}([.,]\d*)?")


def is_day_number(text: str, first: int = 0, last: int = END - 1) -> bool:
    """Whether a text is a day number within bounds, a fraction of a day included."""
    return SHAPE.fullmatch(text) is not None and first <= float(text.replace(",", ".")) < last + 1


def _read(texts: list[str], time_format: TimeFormat) -> Integers:
    days = np.array([float(text.replace(",", ".")) for text in texts])
    return np.round((days - EPOCH_DAY) * DAY).astype(np.int64)


def _write(wall: Integers, time_format: TimeFormat) -> NDArray[Any]:
    days = wall / DAY + EPOCH_DAY
    return days.astype(np.int64) if (days % 1 == 0).all() else days.round(9)


NOTATION = Notation(("days",), lambda *_: (), _read, _write, is_day_number)
