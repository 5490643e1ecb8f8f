"""Whole numbers: dates without separators such as 20240131, 202401 and 2024, epoch numbers, and counted steps."""

from collections.abc import Iterator

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import TimeCells, whole_numbers
from forecast.calendar.notations import Candidate, Notation
from forecast.calendar.notations.spreadsheet import USUAL
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers

YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")
EPOCH_NAMES = ("timestamp", "epoch", "unix", "unixtime", "unix_time", "time", "datetime", "date", "ts", "ds", "t")
STEP_NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # epoch seconds of 1980 and 2100

# format, first and last number, names of columns that surely hold it (without any, three different numbers are enough)
FORMS: list[tuple[TimeFormat, int, int, tuple[str, ...]]] = [
    (TimeFormat(pattern="%Y%m%d"), 19000101, 21001231, ()),
    (TimeFormat(pattern="%Y%m"), 190001, 210012, ()),
    (TimeFormat(pattern="%Y"), 1900, 2100, YEAR_NAMES),
]
for unit, size in UNITS.items():
    epoch = TimeFormat.model_validate({"kind": "epoch", "unit": unit, "zone": "UTC"})
    FORMS.append((epoch, EARLIEST * size, LATEST * size - 1, EPOCH_NAMES))


def _candidates(cells: TimeCells, certain: bool) -> Iterator[Candidate]:
    numbers, name = cells.numbers, cells.name.lower()
    if numbers is None:
        return
    for time_format, first, last, names in FORMS:
        if certain and not (name in names if names else len(numbers) > 2):
            continue
        fits = (first <= numbers) & (numbers <= last)
        if fits.any() and time_format.pattern:
            fits &= patterns.parse(cells.plain().array, time_format.pattern).exists
            time_format = time_format.model_copy(update={"kind": "epoch" if cells.kind == "number" else "text"})
        if fits.any():
            yield Candidate(time_format, fits)
    if certain and name not in STEP_NAMES:
        return
    eight_digits = {len(text) for text in cells.plain().texts} == {8}
    if not eight_digits and numbers.min() <= USUAL[0] and np.abs(numbers).max() < EARLIEST:
        yield Candidate(TimeFormat(kind="integer"), np.ones(len(numbers), bool))


def _read(texts: list[str], time_format: TimeFormat) -> Integers:
    return whole_numbers(texts) // UNITS[time_format.unit or "s"]


def _write(wall: Integers, time_format: TimeFormat) -> Integers:
    return wall * UNITS[time_format.unit or "s"]


NOTATION = Notation(("epoch", "integer"), _candidates, _read, _write)
