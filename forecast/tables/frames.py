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
    """A column of an output.

    Attributes
    ----------
    values : [rows], text (objects), numbers, or datetime64[s]
    unit : resolution that datetimes get
    zone : in which datetimes of UTC are shown; None where they have none
    period : frequency of periods, named as pandas does, of which the datetimes are starts
    """

    values: NDArray[Any]
    unit: Unit = "s"
    zone: tzinfo | None = None
    period: str | None = None

    def index(self) -> "pd.Index[Any]":
        """The column as pandas holds it."""
        if self.values.dtype.kind == "O":
            return _texts(self.values)
        if self.values.dtype.kind != "M":
            numbers: pd.Index[Any] = pd.Index(self.values)
            return numbers
        times = pd.DatetimeIndex(self.values)
        if self.period is not None:
            return pd.PeriodIndex(times, freq=self.period)
        times = times.as_unit(self.unit)
        return times if self.zone is None else times.tz_localize("UTC").tz_convert(self.zone)

    def texts(self) -> list[str]:
        """Each value as pandas writes it."""
        return [str(value) for value in self.index()]


def frames_of(parts: Iterable[Mapping[str, Column | NDArray[Any]]], name: str) -> Iterator[pd.DataFrame]:
    """The columns of each part of a table as a frame; messages call the table `name`.

    Raises
    ------
    BadData
        If a column has another type in one part than in another.
    """
    first = None
    for columns in parts:
        frame = frame_of(columns)
        first = frame.dtypes if first is None else first
        if (frame.dtypes != first).any():
            raise BadData("a column has another type in one part than in another", place=name)
        yield frame


def frame_of(columns: Mapping[str, Column | NDArray[Any]]) -> pd.DataFrame:
    """Columns by name as a frame; without rows they have the same types."""
    return pd.DataFrame({name: _plain(column) for name, column in columns.items()})


def _plain(column: Column | NDArray[Any]) -> "pd.Index[Any] | NDArray[Any]":
    if isinstance(column, Column):
        return column.index()
    return column if len(column) or column.dtype.kind != "O" else _texts(column)


def _texts(values: NDArray[Any]) -> "pd.Index[Any]":
    """Texts as pandas holds them, also where there are none."""
    index: pd.Index[Any] = pd.Index(values.tolist() or [""])[: len(values)]
    return index
