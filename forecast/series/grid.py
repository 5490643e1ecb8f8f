"""Bring observed values to a grid: one for each series and position."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, UsageError, Words
from forecast.series.calendar import Calendar
from forecast.series.cells import LARGEST
from forecast.series.frequency import infer_calendar, show
from forecast.series.observations import Observations, combine
from forecast.series.panel import Flags, Integers
from forecast.series.schema import Schema
from forecast.series.stamps import parse_instant
from forecast.series.table import Table
from forecast.series.zones import distinct

logger = logging.getLogger("forecast")

OTHERS, FAR = 4, 10  # a time is lonely where it is this many times the span of this many others away from them
MOST_STEPS = 10_000_000  # of a finer grid that are counted


@dataclass(frozen=True)
class Grid:
    """Observed values by series and grid position, and the slots that hold them.

    Attributes
    ----------
    series, positions, values : [observed], ascending by series, then position; no slot twice
    first, last : [series], position of the first and last observed value; the origin where there is none
    origins : [series], position of the last past slot
    counts : [series], observed values
    """

    series: Integers
    positions: Integers
    values: NDArray[np.float64]
    first: Integers
    last: Integers
    origins: Integers
    counts: Integers


def fill(table: Table, cells: Observations, schema: Schema, calendar: Calendar, origin: str | None = None) -> Grid:
    """Bring observed values to the grid: one for each series and position.

    Raises
    ------
    BadData
        If no value is observed.
    UsageError
        If `origin` is no time, or lies before all values.
    """
    use = np.isfinite(cells.values)
    if not use.any():
        raise BadData(f"{table.name}: no series has a value; the target is blank in every row")
    if origin is not None:
        last = parse_instant(origin, schema.time_format)
        newest = int(cells.instants[use].max())
        use &= cells.instants <= last
        if not use.any():
            first = show(int(cells.instants.min()), schema.time_format)
            raise UsageError(
                f"lies before all values of {table.name}, which start at {first}", setting=Setting("origin", origin)
            )
        if last > newest:
            end = show(newest, schema.time_format)
            setting = Setting("origin", origin)
            logger.warning("%s: ends at %s, before %s; forecasts start after its end", table.name, end, setting)
    series, instants, values = cells.series[use], cells.instants[use], cells.values[use]
    if schema.on_duplicate != "error":
        keys, times = _keys(series, instants)
        keys, values = combine(keys, values, schema.on_duplicate)
        series, instants = keys // len(times), times[keys % len(times)]
    positions = calendar.positions(instants)
    _refuse_outlier(table, cells, instants, positions, schema)
    if schema.aggregate is not None:
        whole = _whole_periods(table, series, instants, positions, schema, calendar)
        order = np.argsort(instants[whole], kind="stable")
        series, positions, values = series[whole][order], positions[whole][order], values[whole][order]
    keys, places = _keys(series, positions)
    keys, values = combine(keys, values, schema.aggregate or "first")
    series, positions = keys // len(places), places[keys % len(places)]
    _refuse_overflow(table, cells, series, calendar.times(positions[np.abs(values) > LARGEST]), values, schema)
    counts = np.bincount(series, minlength=len(cells.ids)).astype(np.int64)
    seen, ends = counts > 0, np.cumsum(counts)
    final = np.full(len(counts), positions.max())
    starts, lasts = final.copy(), final.copy()
    starts[seen], lasts[seen] = positions[(ends - counts)[seen]], positions[ends[seen] - 1]
    return Grid(series, positions, values, starts, lasts, lasts if schema.layout == "rows" else final, counts)


def _keys(series: Integers, times: Integers) -> tuple[Integers, Integers]:
    """One number for each series and time, ascending by both, and the different times that it counts."""
    unique = distinct(times)
    return series * len(unique) + np.searchsorted(unique, times), unique


def _refuse_outlier(table: Table, cells: Observations, instants: Integers, positions: Integers, schema: Schema) -> None:
    """Refuse a time that lies far from all the others: 9999-12-31 would end all series long before the origin."""
    unique = distinct(positions)
    if len(unique) <= OTHERS or schema.layout == "rows":
        return
    ends = [(unique[1] - unique[0], unique[-1] - unique[1], unique[0])] if schema.layout == "wide" else []
    for gap, span, lonely in (*ends, (unique[-1] - unique[-2], unique[-2] - unique[0], unique[-1])):
        if gap > FAR * max(span, FAR):
            instant = int(instants[np.argmax(positions == lonely)])
            place = table.place(int(np.argmax(cells.row_instants == instant)), schema.time)
            raise BadData(
                f"{place}: {show(instant, schema.time_format)} lies {gap:,} steps from all other times, which span "
                f"{span:,}; correct it, or remove the row"
            )


def _refuse_overflow(
    table: Table, cells: Observations, series: Integers, times: Integers, values: NDArray[np.float64], schema: Schema
) -> None:
    """Refuse sums that are too large; `times` are those of the values that are."""
    if len(times):
        first = int(np.argmax(np.abs(values) > LARGEST))
        name = ", ".join(cells.ids[int(series[first])])
        raise BadData(
            f"{table.name}: the sum of the rows of {name or 'the series'} at {show(int(times[0]), schema.time_format)} "
            f"is too large ({values[first]:.1e}); numbers up to {LARGEST:.0e} can be forecast: use a larger unit"
        )


def _whole_periods(
    table: Table, series: Integers, instants: Integers, positions: Integers, schema: Schema, calendar: Calendar
) -> Flags:
    """[cells], whether they lie in a period that the table covers to its end (and for a sum from its start)."""
    unique = distinct(instants)
    fine: Calendar | None = None  # of irregular times
    try:
        spec = infer_calendar(instants, series, None, schema.time_format, name=table.name)
        fine = Calendar(spec, schema.time_format.zone)
        ends = fine.positions(unique[[0, -1]])
        before, after = fine.times(ends[:1] - 1), fine.times(ends[1:] + 1)
    except BadData:
        step = int(np.median(np.diff(unique))) if len(unique) > 1 else 0
        before, after = unique[:1] - step, unique[-1:] + step
    low, high = int(positions.min()), int(positions.max())
    whole = np.ones(len(positions), bool)
    for position, beyond, word in ((low, before, "first"), (high, after, "last")):
        if int(calendar.positions(beyond)[0]) != position or (word == "first" and schema.aggregate != "sum"):
            continue
        whole &= positions != position
        logger.warning(
            "%s: the %s period of %s is not complete; it is left out.", table.name, word, schema.calendar.name
        )
    if schema.aggregate == "sum" and fine is not None and ends[1] - ends[0] < MOST_STEPS:
        steps = calendar.positions(fine.times(np.arange(ends[0], ends[1] + 1)))
        _say_partial_sums(table, series[whole], positions[whole], steps, schema.calendar.name)
    if not whole.any():
        problem = Words("no period of ", Setting("freq", schema.calendar.name), " is complete")
        raise BadData(problem, place=table.name, cure=Words("pass a finer ", Setting("freq")))
    return whole


def _say_partial_sums(table: Table, series: Integers, positions: Integers, steps: Integers, name: str) -> None:
    """Warn of sums over fewer values than their period has steps; `steps` holds the period of each step."""
    keys, places = _keys(series, positions)
    found, counts = np.unique(keys, return_counts=True)
    expected = np.bincount(steps - steps[0])[places[found % len(places)] - steps[0]]
    partial = counts < expected
    if partial.any():
        logger.warning(
            "%s: %d of %d sums lack values of their period of %s; what is missing counts as 0.",
            table.name,
            partial.sum(),
            len(found),
            name,
        )
