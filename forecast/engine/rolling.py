"""Rolling origins, for backtests and as a splitter for scikit-learn."""

from collections.abc import Iterator
from numbers import Integral

import numpy as np

from forecast.errors import BadData, Message, Setting, UsageError
from forecast.logs import log
from forecast.panel.dated import dated_table
from forecast.panel.panel import Integers, Panel
from forecast.settings import TableSettings
from forecast.tables.reading import Data, table_from_frame

DEFAULT_ORIGINS = 8  # enough to even out luck at one origin, and few enough to wait for


def choose_origins(
    panel: Panel, windows: int | None, step: int | None, name: str, fixed: bool = False
) -> Integers:
    """Grid positions of rolling origins, [origins, series], the oldest first.

    The newest origin lies a horizon before the end of each series. By default there are 8 origins
    at a distance of one horizon, or fewer, so that half of the steps are left to the first fit. The
    horizon is `fixed` if it is that of a fitted forecaster.
    """
    horizon = panel.ahead
    longest = panel.longest
    step = step or horizon
    first = horizon + 2  # fewest steps of the first fit
    if longest < first + horizon:
        largest = max((longest - 2) // 2, 0)
        way = "fit with" if fixed else "pass"
        less = f"{way} {Setting('horizon', largest)}{' or less' if largest > 1 else ''}"
        needed = f"needs at least {first + horizon}: {first} to fit, {horizon} to compare"
        problem = f"the longest series has {longest} steps, and a backtest with a horizon of"
        raise BadData(
            f"{problem} {horizon} {needed}", place=name, cure=less if largest else "add rows"
        )
    asked = windows or DEFAULT_ORIGINS
    least_past = first if windows else max(first, (longest + 1) // 2)
    room = longest - horizon - least_past
    count = max(1, min(asked, room // step + 1))
    if count < asked:
        text = "%s: %d origins instead of %d, as the longest series has %d steps%s"
        closer = room // (asked - 1)
        more = Message("; for all of them pass %s", (Setting("step", closer),))
        cure = more if closer > 0 else ""
        log.warning(text, name, count, asked, longest, cure)
    return panel.origins - horizon - step * np.arange(count)[::-1, None]


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
        self,
        windows: int = 3,
        horizon: int = 1,
        step: int | None = None,
        time: str | tuple[str, ...] | None = None,
    ) -> None:
        counts: dict[str, object] = {
            "windows": windows,
            "horizon": horizon,
            "step": 1 if step is None else step,
        }
        for name, value in counts.items():
            if not isinstance(value, Integral) or value < 1:
                raise UsageError(
                    "a whole number of 1 or more is needed", setting=Setting(name, value)
                )
        self.windows = windows
        self.horizon = horizon
        self.step = step
        self.time = time

    def split(
        self, X: Data, y: object = None, groups: object = None
    ) -> Iterator[tuple[Integers, Integers]]:
        """Row numbers of the training and the test part for each origin, the oldest first."""
        table = table_from_frame(X)
        times = dated_table(table, TableSettings.check({"time": self.time})).times
        if times is None:
            raise UsageError(
                "a table with a series in each row has no rows of earlier and later times to split"
            )
        unique, rank = np.unique(times.timestamps, return_inverse=True)
        step = self.step or self.horizon
        oldest = len(unique) - self.horizon - step * (self.windows - 1)
        if oldest < 1:
            needed = f"{self.windows} origins with a horizon of {self.horizon}"
            raise UsageError(f"{needed} need more than {len(unique)} different times")
        for first in range(oldest, oldest + step * self.windows, step):
            train = rank < first
            test = ~train & (rank < first + self.horizon)
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        return self.windows
