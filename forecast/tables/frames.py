"""Turn plain columns into what pandas users get: indexes and frames, with the types that the input had."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

import pandas as pd
from numpy.typing import NDArray

from forecast.errors import BadData

Unit = Literal["s", "ms", "us", "ns"]
Frame = pd.DataFrame


@dataclass(frozen=True)
class Column:
    """A column of an output: text (objects), numbers, or datetime64[s], [rows]."""

    values: NDArray[Any]
    unit: Unit = "s"  # that datetimes get
    zone: tzinfo | None = None  # in which datetimes of UTC are shown
    period: str | None = None  # frequency of periods, of which the datetimes are starts

    def index(self) -> "pd.Index[Any]":
        if self.values.dtype.kind != "M":
            # also without a row text has the type of text
            values = self.values.tolist() or [""] if self.values.dtype.kind == "O" else self.values
            plain: pd.Index[Any] = pd.Index(values)[: len(self.values)]
            return plain
        times = pd.DatetimeIndex(self.values)
        if self.period is not None:
            return pd.PeriodIndex(times, freq=self.period)
        times = times.as_unit(self.unit)
        return times if self.zone is None else times.tz_localize("UTC").tz_convert(self.zone)

    def texts(self) -> list[str]:
        return [str(value) for value in self.index()]


def frames_of(parts: Iterable[Mapping[str, Column | NDArray[Any]]], name: str) -> Iterator[pd.DataFrame]:
    """The columns of each part of a table as a frame; refuses a column of another type in one part than in another."""
    first = None
    for columns in parts:
        frame = frame_of(columns)
        first = frame.dtypes if first is None else first
        if (frame.dtypes != first).any():
            raise BadData("a column has another type in one part than in another", place=name)
        yield frame


def stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of frames of the same columns, one after another."""
    return pd.concat(frames, ignore_index=True)


def frame_of(columns: Mapping[str, Column | NDArray[Any]]) -> pd.DataFrame:
    """Columns by name as a frame; without rows they have the same types."""
    plain = {name: column if isinstance(column, Column) else Column(column) for name, column in columns.items()}
    return pd.DataFrame({name: column.index() for name, column in plain.items()})
