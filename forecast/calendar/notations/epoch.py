"""Epoch numbers: seconds, milliseconds, microseconds or nanoseconds since 1970-01-01 UTC."""

from collections.abc import Iterator

from forecast.calendar.cells import TimeCells, whole_numbers
from forecast.calendar.notations import Candidate, Notation
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
NAMES = ("timestamp", "epoch", "unix", "unixtime", "unix_time", "time", "datetime", "date", "ts", "ds", "t")
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # seconds of 1980 and 2100


def _candidates(cells: TimeCells) -> Iterator[Candidate]:
    if cells.numbers is None:
        return
    for unit, size in UNITS.items():
        fits = (cells.numbers >= EARLIEST * size) & (cells.numbers < LATEST * size)
        time_format = TimeFormat.model_validate({"kind": "epoch", "unit": unit, "zone": "UTC"})
        yield Candidate(time_format, fits, cells.name.lower() in NAMES, f"an epoch number in {UNIT_NAMES[unit]}")


def _read(texts: list[str], time_format: TimeFormat) -> Integers:
    return whole_numbers(texts) // UNITS[time_format.unit or "s"]


def _write(wall: Integers, time_format: TimeFormat) -> Integers:
    return wall * UNITS[time_format.unit or "s"]


NOTATION = Notation("epoch", _candidates, _read, _write)
