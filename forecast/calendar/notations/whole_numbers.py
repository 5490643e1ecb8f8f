"""Whole numbers: dates without separators such as 20240131, 202401 and 2024, epoch numbers, and counted steps."""

from collections.abc import Iterator

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import TimeCells, whole_numbers
from forecast.calendar.notations import Candidate, Notation
from forecast.calendar.notations.spreadsheet import USUAL
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers

DATES = (("%Y%m%d", 19000101, 21001231, "date yyyymmdd"), ("%Y%m", 190001, 210012, "month yyyymm"),
         ("%Y", 1900, 2100, "year"))  # fmt: skip
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")
EPOCH_NAMES = ("timestamp", "epoch", "unix", "unixtime", "unix_time", "time", "datetime", "date", "ts", "ds", "t")
STEP_NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # epoch seconds of 1980 and 2100


def _candidates(cells: TimeCells) -> Iterator[Candidate]:
    numbers, name = cells.numbers, cells.name.lower()
    if numbers is None:
        return
    kind = "epoch" if cells.kind == "number" else "text"
    for pattern, first, last, words in DATES:
        fits = (first <= numbers) & (numbers <= last)
        if fits.any():
            fits &= patterns.parse(cells.whole, pattern).exists
        sure = name in YEAR_NAMES if pattern == "%Y" else len(numbers) > 2
        yield Candidate(TimeFormat.model_validate({"kind": kind, "pattern": pattern}), fits, sure, f"a {words}")
    for unit, size in UNITS.items():
        fits = (EARLIEST * size <= numbers) & (numbers < LATEST * size)
        time_format = TimeFormat.model_validate({"kind": "epoch", "unit": unit, "zone": "UTC"})
        yield Candidate(time_format, fits, name in EPOCH_NAMES, f"an epoch number in {UNIT_NAMES[unit]}")
    eight_digits = {len(text) for text in cells.whole.to_pylist()} == {8}
    if not eight_digits and numbers.min() <= USUAL[0] and np.abs(numbers).max() < EARLIEST:
        yield Candidate(TimeFormat(kind="integer"), np.ones(len(numbers), bool), name in STEP_NAMES)


def _read(texts: list[str], time_format: TimeFormat) -> Integers:
    return whole_numbers(texts) // UNITS.get(time_format.unit or "", 1)


def _write(wall: Integers, time_format: TimeFormat) -> Integers:
    return wall * UNITS.get(time_format.unit or "", 1)


NOTATION = Notation(("epoch", "integer"), _candidates, _read, _write)
