"""What a baseline's file declares to the registry."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from forecast.pretrained.forecasting import Network
from forecast.registry import find_entry

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

Forecast = Callable[[Values, Mask, int, int], Values]
"""From pasts [windows, context], whether each value was observed, horizon and season (1: none) to
points [windows, horizon].

The last column is the newest step. Values are at most 1 in size (see `as_read`), and 0 where not
observed. Each window has at least one observed value, and spans at least one season.
"""

Quantiles = Callable[
    [Network | None, Values, Mask, int, tuple[int, ...], tuple[float, ...]], Values
]
"""From a pretrained network (None: the one that ships), pasts and whether each value was observed,
both as above, horizon, all seasons that each window spans, and quantile levels to quantiles
[windows, horizon, levels].
"""

ForecastSeries = Callable[[Values, Mask, Values, int, Counts, int, tuple[int, ...]], Values]
"""From the values of one series, whether each was observed, its columns known in advance [steps +
horizon, columns], the position of the first step on the calendar grid, the positions in the
series before which windows end [windows], horizon and all seasons of the data to points
[windows, horizon]. A window knows values and columns up to its end, and columns of its horizon;
its forecast depends on nothing else, and on no more than `Method.context` steps.
"""


@dataclass(frozen=True)
class Method:
    forecast: Forecast | None = None  # None: it forecasts by `forecast_series`
    # among the baselines that run by default; None: it runs only when asked for
    default_rank: int | None = None
    repeats_season: bool = False  # so that it comes once for each season of the data
    # the baseline that it equals where there is no season: one of both is left out
    without_season: str | None = None
    extra: str | None = None  # the optional dependency that it needs
    about: Callable[[], str] | None = None  # says in a few words what it is
    # its own; by default they are its points plus quantiles of its past errors
    quantiles: Quantiles | None = None
    # for many windows of a series, with known columns; slow
    forecast_series: ForecastSeries | None = None
    # operations by steps of a series, known columns, horizon and season, if by default it takes
    # part where worth them
    cost: Callable[[float, int, int, int], float] | None = None
    context: int = 0  # steps of the past that it sees, if more than others do
    # it sees values as they were read, not brought to at most 1: whole numbers may be counts
    as_read: bool = False
    threads: bool = True  # whether several threads may forecast at once
    # it sees closed slots at the mean of the others, having no season that would hold their value
    evens: bool = False
    # it sees windows without the line that they clearly follow, which is put back
    straightens: bool = False


@cache
def baseline_method(name: str) -> Method:
    """The method with a name.

    An unknown name raises `UsageError`, which suggests the nearest one.
    """
    method: Method = find_entry("baselines", name).load()
    return method
