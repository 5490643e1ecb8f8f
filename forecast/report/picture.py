"""What a picture shows, as plain arrays: each series with its past, forecast, intervals, later values and events."""

from dataclasses import dataclass

from forecast.panel.panel import Integers, Numbers


@dataclass(frozen=True)
class Span:
    """An event, from its first time to its last."""

    first: float
    last: float
    name: str


@dataclass(frozen=True)
class Drawn:
    """One series of a picture.

    Times are seconds since 1970-01-01 by the wall clock, or numbered steps.

    Attributes
    ----------
    name : as messages name the series
    note : a line below the name, or ""
    past_times, past : [steps], values before the first forecast, NaN where missing
    times : [horizon]
    forecast : [horizon], NaN without one
    low, high : [horizon, levels], ends of the intervals, in the order of the levels
    actual : [horizon], values at the times of the forecast, NaN where there is none
    events : in the order of time
    """

    name: str
    note: str
    past_times: Integers
    past: Numbers
    times: Integers
    forecast: Numbers
    low: Numbers
    high: Numbers
    actual: Numbers
    events: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Picture:
    """Series that are drawn beside each other.

    Attributes
    ----------
    series : in the order in which they are drawn
    levels : of the intervals in percent, ascending
    steps : whether times are numbered steps
    time : name of the time axis
    value : name of the values, or "" where the names of the series say it
    total : series that could be drawn
    worst : whether the series with the largest errors were chosen
    """

    series: tuple[Drawn, ...]
    levels: tuple[float, ...]
    steps: bool
    time: str
    value: str
    total: int
    worst: bool = False
