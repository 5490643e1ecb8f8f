"""Dates as whole numbers: 20240131, 202401 and 2024."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.cells import TimeCells, without_point
from forecast.calendar.notations import Candidate, Notation
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Integers
from forecast.tables.texts import pa

FORMS = (
    ("%Y%m%d", 19000101, 21001231, "a date yyyymmdd"),
    ("%Y%m", 190001, 210012, "a month yyyymm"),
    ("%Y", 1900, 2100, "a year"),
)
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period")


def _candidates(cells: TimeCells) -> Iterator[Candidate]:
    if cells.numbers is None:
        return
    kind = "epoch" if cells.kind == "number" else "text"
    for pattern, first, last, words in FORMS:
        inside = (first <= cells.numbers) & (cells.numbers <= last)
        exists = inside & patterns.parse(cells.whole, pattern).exists if inside.any() else inside
        named = cells.name.lower() in YEAR_NAMES
        sure = named if pattern == "%Y" else len(cells.texts) > 2
        yield Candidate(TimeFormat.model_validate({"kind": kind, "pattern": pattern}), exists, sure, words)


def _read(texts: list[str], time_format: TimeFormat) -> Integers:
    return patterns.parse(pa.array(map(without_point, texts), pa.string()), time_format.pattern or "%Y").wall


def _write(wall: Integers, time_format: TimeFormat) -> NDArray[np.object_]:
    return np.array(patterns.write(wall, wall, time_format.pattern or "%Y-%m-%d"), object)


NOTATION = Notation("text", _candidates, _read, _write)
