"""Rolling origins as a scikit-learn splitter, for tables whose rows carry a time."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting, UsageError
from forecast.reading.dated import dated_table, normalised
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame

Rows = NDArray[np.int64]


class RollingOrigin:
    """Train on all rows up to an origin, test on the horizon after it; usable as ``cv=``.

    Parameters
    ----------
    windows : number of origins
    horizon : distinct times in each test part
    step : times between two origins; default one horizon
    time : the time column or columns; default inferred
    """

    def __init__(
        self, windows: int = 3, horizon: int = 1, step: int | None = None, time: str | tuple[str, ...] | None = None
    ) -> None:
        counts: dict[str, Any] = {"windows": windows, "horizon": horizon, "step": 1 if step is None else step}
        for name, value in counts.items():
            if not isinstance(value, Integral) or value < 1:
                raise UsageError("a whole number of 1 or more is needed", setting=Setting(name, value))
        self.windows, self.horizon, self.step, self.time = windows, horizon, step, time

    def split(self, X: Any, y: None = None, groups: None = None) -> Iterator[tuple[Rows, Rows]]:
        """Row numbers of the training and the test part for each origin, the oldest first."""
        table = normalised(table_from_frame(X))
        if len(table) != len(X):
            raise UsageError("a table of years by months has no row for each time; unfold it before it is split")
        times = dated_table(table, TableSettings.check({"time": self.time})).times
        if times is None:
            raise UsageError("a table with a series in each row has no rows of earlier and later times to split")
        unique, rank = np.unique(times.timestamps, return_inverse=True)
        step = self.step or self.horizon
        oldest = len(unique) - self.horizon - step * (self.windows - 1)
        if oldest < 1:
            raise UsageError(
                f"{self.windows} origins with a horizon of {self.horizon} need more than {len(unique)} different times"
            )
        for first in range(oldest, oldest + step * self.windows, step):
            test = (rank >= first) & (rank < first + self.horizon)
            yield np.flatnonzero(rank < first), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: None = None, groups: None = None) -> int:
        return self.windows
