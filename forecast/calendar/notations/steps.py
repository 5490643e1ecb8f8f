"""Steps that are only counted: 1, 2, 3."""

from collections.abc import Iterator

import numpy as np

from forecast.calendar.cells import TimeCells, whole_numbers
from forecast.calendar.notations import Candidate, Notation
from forecast.calendar.notations.epoch import EARLIEST
from forecast.calendar.notations.spreadsheet import USUAL
from forecast.calendar.spec import TimeFormat

NAMES = ("step", "t", "time", "ds", "period", "index", "hour", "week")


def _candidates(cells: TimeCells) -> Iterator[Candidate]:
    if cells.numbers is None:
        return
    low, high = int(cells.numbers.min()), int(cells.numbers.max())
    dates = {len(text) for text in cells.whole.to_pylist()} == {8}
    if not dates and low <= USUAL[0] and max(high, -low) < EARLIEST:
        yield Candidate(TimeFormat(kind="integer"), np.ones(len(cells.texts), bool), cells.name.lower() in NAMES)


NOTATION = Notation("integer", _candidates, lambda texts, _: whole_numbers(texts), lambda steps, _: steps)
