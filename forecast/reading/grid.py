"""Place observed values on a grid: one for each series and position."""

import logging
from dataclasses import dataclass

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.formatting import format_timestamp
from forecast.calendar.parsing import parse_timestamp
from forecast.errors import BadData, Setting, UsageError
from forecast.panel.naming import series_name
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.panel.schema import Schema
from forecast.reading.aggregation import aggregated
from forecast.reading.observations import Observations, Rows
from forecast.tables.cells import LARGEST
from forecast.tables.distinct import distinct
from forecast.tables.table import Table

logger = logging.getLogger("forecast")

MIN_TIMES, FAR = 4, 10  # of more times than these, one is an outlier if it is so many spans of the others away
MIN_ABSENT = 0.5  # share of absent rows from which on a table of counts looks sparse
MAX_ZEROS = 0.1  # a table with more zeros than this has no reason to leave others out


@dataclass(frozen=True)
class Grid:
    """Observed values by series and grid position, and the slots that hold them."""

    series: Integers  # [observed], ascending, then by position; no slot twice
    positions: Integers
    values: Numbers
    blank_series: Integers  # [blanks], slots that have rows, but no value
    blank_positions: Integers
    first: Integers  # [series], position of the first slot; the origin where there is no value
    origins: Integers  # [series], position of the last past slot
    counts: Integers  # [series], observed values
    zeros: Flags  # [series], whether slots without rows hold zeros


def fill(
    table: Table,
    cells: Observations,
    schema: Schema,
    calendar: Calendar,
    origin: str | None = None,
    reach: int | None = None,
) -> Grid:
    """Place observed values on the grid: one for each series and position; none after `origin`.

    A part of a table, which may have no value, has a `reach`: the newest time of a value of the whole, see `reach_of`.
    BadData if a whole table has no value, UsageError if `origin` is no time, or lies before all values.
    """
    rows, use = Rows(cells.series, cells.timestamps, cells.values), np.isfinite(cells.values)
    if reach is None and not use.any():
        raise BadData(f"{table.name}: no series has a value; the target is blank in every row")
    last = None if origin is None else _cut_at(table, cells, use, schema, origin)
    if last is not None:
        rows, use = rows.select(cells.timestamps <= last), use[cells.timestamps <= last]
    observed, blank = rows.select(use), rows.select(~use)
    if schema.on_duplicate != "error":
        observed = observed.combined(schema.on_duplicate)
    positions = calendar.positions(observed.timestamps)
    if reach is None:
        _refuse_outlier(table, cells, observed.timestamps, positions, schema)
    placed = Rows(observed.series, positions, observed.values)
    if schema.aggregate is not None:
        placed = aggregated(table, observed, blank, schema, calendar)
    placed = placed.combined("first")
    series, positions, values = placed.series, placed.timestamps, placed.values
    _refuse_overflow(table, cells, series, calendar.times(positions[np.abs(values) > LARGEST]), values, schema)
    counts = np.bincount(series, minlength=len(cells.ids)).astype(np.int64)
    present, ends = counts > 0, np.cumsum(counts)
    # where absent rows are zeros, the series go on to the origin, wherever their own values end
    ends_at = [last if schema.missing == "zero" and schema.aggregate is None else None, reach]
    times = np.array([time for time in ends_at if time is not None], np.int64)
    end = int(np.concatenate([positions, calendar.positions(times)]).max())
    final, first, lasts = (np.full(len(counts), end) for _ in range(3))
    first[present], lasts[present] = positions[(ends - counts)[present]], positions[ends[present] - 1]
    blank = blank.select(calendar.positions(blank.timestamps) <= end)
    empty = calendar.positions(blank.timestamps)
    zeros = _zeros_from(first, present, blank.series, empty, schema)
    return Grid(
        series=series,
        positions=positions,
        values=values,
        blank_series=blank.series,
        blank_positions=empty,
        first=first,
        origins=lasts if schema.layout == "rows" else final,
        counts=counts,
        zeros=zeros,
    )


def _zeros_from(first: Integers, present: Flags, blank_series: Integers, empty: Integers, schema: Schema) -> Flags:
    """[series], whether absent rows mean zeros; a blank cell moves the first slot of its series, in `first`."""
    if schema.missing != "zero" or schema.layout == "rows":
        return np.zeros(len(first), bool)
    zeros = present.copy()
    if schema.layout == "long":  # in a wide table a blank cell is no row of its series
        zeros[blank_series] = True
        np.minimum.at(first, blank_series, empty)
    return zeros


def _cut_at(table: Table, cells: Observations, use: Flags, schema: Schema, origin: str) -> int:
    """The time of the origin: later rows are not used."""
    last, setting = parse_timestamp(origin, schema.time_format), Setting("origin", origin)
    newest = int(cells.timestamps[use].max())
    if not (use & (cells.timestamps <= last)).any():
        first = format_timestamp(int(cells.timestamps.min()), schema.time_format)
        raise UsageError(f"lies before all values of {table.name}, which start at {first}", setting=setting)
    if last > newest:
        end = format_timestamp(newest, schema.time_format)
        logger.warning("%s: ends at %s, before %s; forecasts start after its end", table.name, end, setting)
    return min(last, newest)


def _refuse_outlier(table: Table, cells: Observations, times: Integers, positions: Integers, schema: Schema) -> None:
    """Refuse a time that lies far from all the others: 9999-12-31 would end all series long before the origin."""
    unique = distinct(positions)
    if len(unique) <= MIN_TIMES or schema.layout == "rows":
        return
    ends = [(unique[1] - unique[0], unique[-1] - unique[1], unique[0])] if schema.layout == "wide" else []
    for gap, span, outlier in (*ends, (unique[-1] - unique[-2], unique[-2] - unique[0], unique[-1])):
        if gap > FAR * max(span, FAR):
            time = int(times[np.argmax(positions == outlier)])
            place = table.place(int(np.argmax(cells.row_timestamps == time)), schema.time)
            problem = (
                f"{format_timestamp(time, schema.time_format)} lies {gap:,} steps from all other times, which span"
            )
            raise BadData(f"{place}: {problem} {span:,}", cure="correct it, or remove the row")


def _refuse_overflow(
    table: Table, cells: Observations, series: Integers, times: Integers, values: Numbers, schema: Schema
) -> None:
    """Refuse sums that are too large; `times` are those of the values that are."""
    if len(times):
        first = int(np.argmax(np.abs(values) > LARGEST))
        name = series_name(cells.ids[int(series[first])]) or "the series"
        raise BadData(
            f"{table.name}: the sum of the rows of {name} at {format_timestamp(int(times[0]), schema.time_format)} is "
            f"too large ({values[first]:.1e}); numbers up to {LARGEST:.0e} can be forecast: use a larger unit"
        )


def warn_sparse(name: str, grid: Grid, schema: Schema) -> None:
    """Warn where counts are mostly absent and absent rows are unknown; name the setting that makes them zeros."""
    if schema.missing == "zero" or schema.layout == "rows":
        return
    share = _absent_share(grid)
    counts = (grid.values >= 0).all() and (grid.values == np.floor(grid.values)).all()
    if share > MIN_ABSENT and counts and (grid.values == 0).mean() < MAX_ZEROS:
        text = (
            "%s: it looks like a table of counts that leaves out what is zero: whole numbers, and %.0f %% of the rows "
            "are absent. They are read as unknown; pass %s if they mean zero"
        )
        logger.warning(text, name, np.floor(100 * share), Setting("missing", "zero"))


def _absent_share(grid: Grid) -> float:
    """The share of steps without a row, between the first and the last value of each series."""
    present = np.flatnonzero(grid.counts)
    ends = np.cumsum(grid.counts)[present]
    first, last = grid.positions[ends - grid.counts[present]], grid.positions[ends - 1]
    steps = int((last - first + 1).sum())
    low, high = np.full(len(grid.counts), 1), np.zeros(len(grid.counts), np.int64)
    low[present], high[present] = first, last
    series, positions = grid.blank_series, grid.blank_positions
    inside = (positions >= low[series]) & (positions <= high[series])
    blank = np.unique(np.stack([series[inside], positions[inside]]), axis=1).shape[1]
    return float(max(0, steps - len(grid.positions) - blank) / max(steps, 1))
