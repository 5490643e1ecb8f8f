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
from forecast.panel.schema import Schema, position_texts
from forecast.reading.aggregation import aggregated
from forecast.reading.observations import Observations, Rows
from forecast.tables.cells import MAX_VALUE
from forecast.tables.distinct import distinct
from forecast.tables.table import Table

logger = logging.getLogger("forecast")

MIN_TIMES = 4  # of so many different times or fewer, none is an outlier
FAR = 10  # the first or last of more is one if its distance from the others is so many times what they span
MIN_ABSENT = 0.5  # share of absent rows from which on a table of counts looks sparse
MAX_ZEROS = 0.1  # a table with more zeros than this has no reason to leave others out
LOOKS_SPARSE = (
    "%s: it looks like a table of counts that leaves out what is zero: whole numbers, and %.0f %% of the rows are "
    "absent. They are read as unknown; pass %s if they mean zero"
)


@dataclass(frozen=True)
class Grid:
    """Observed values by series and grid position, which is what all positions here are."""

    series: Integers  # [observed], ascending, then by position; no pair twice
    positions: Integers
    values: Numbers
    blank_series: Integers  # [blanks], those of rows without a value
    blank_positions: Integers
    first: Integers  # [series], first position; the origin where there is no value
    origins: Integers  # [series], last position of the past
    counts: Integers  # [series], observed values
    zeros: Flags  # [series], whether positions without rows hold zeros


def fill(
    table: Table, observations: Observations, schema: Schema, calendar: Calendar, origin: str | None, reach: int | None
) -> Grid:
    """Place observed values on the grid: one for each series and position; none after `origin`.

    A part of a table, which may have no value, has a `reach`: the newest time of a value of the whole, see `reach_of`.
    """
    rows = Rows(observations.series, observations.timestamps, observations.values)
    use = np.isfinite(rows.values)
    if reach is None and not use.any():
        raise BadData("no series has a value; the target is blank in every row", place=table.name)
    last = None if origin is None else _cut_at(table, observations, use, schema, origin)
    if last is not None:
        rows, use = rows.select(observations.timestamps <= last), use[observations.timestamps <= last]
    observed, blank = rows.select(use), rows.select(~use)
    if schema.on_duplicate != "error":
        observed = observed.combined(schema.on_duplicate)
    positions = calendar.positions(observed.timestamps)
    if reach is None:
        _refuse_outlier(table, observations, observed.timestamps, positions, schema)
    placed = Rows(observed.series, positions, observed.values)  # its `timestamps` are grid positions
    if schema.aggregate is not None:
        placed = aggregated(table, observed, blank, schema, calendar)
    placed = placed.combined("first")
    series, positions, values = placed.series, placed.timestamps, placed.values
    if len(large := np.flatnonzero(np.abs(values) > MAX_VALUE)):
        (time,) = position_texts(schema, calendar, positions[large[:1]])
        name = series_name(observations.ids[series[large[0]]]) or "the series"
        problem = f"the sum of the rows of {name} at {time} is too large ({values[large[0]]:.1e})"
        cure = f"numbers up to {MAX_VALUE:.0e} can be forecast: use a larger unit"
        raise BadData(problem, place=table.name, cure=cure)
    counts = np.bincount(series, minlength=len(observations.ids)).astype(np.int64)
    present, ends = counts > 0, np.cumsum(counts)
    # where absent rows are zeros, the series go on to the origin, wherever their own values end
    ends_at = [last if schema.missing == "zero" and schema.aggregate is None else None, reach]
    times = np.array([time for time in ends_at if time is not None], np.int64)
    end = int(np.concatenate([positions, calendar.positions(times)]).max())
    common_end, first, own_end = (np.full(len(counts), end) for _ in range(3))
    first[present], own_end[present] = positions[(ends - counts)[present]], positions[ends[present] - 1]
    blank = blank.select(calendar.positions(blank.timestamps) <= end)
    empty = calendar.positions(blank.timestamps)
    zeros = present & (schema.missing == "zero" and schema.dated)
    if schema.missing == "zero" and schema.layout == "long":  # in a wide table a blank cell is no row of its series
        zeros[blank.series] = True
        np.minimum.at(first, blank.series, empty)
    origins = common_end if schema.dated else own_end
    return Grid(series, positions, values, blank.series, empty, first, origins, counts, zeros)


def _cut_at(table: Table, observations: Observations, use: Flags, schema: Schema, origin: str) -> int:
    """The time of the origin: later rows are not used."""
    last, setting = parse_timestamp(origin, schema.time_format), Setting("origin", origin)
    newest = int(observations.timestamps[use].max())
    if not (use & (observations.timestamps <= last)).any():
        first = format_timestamp(int(observations.timestamps.min()), schema.time_format)
        raise UsageError(f"lies before all values of {table.name}, which start at {first}", setting=setting)
    if last > newest:
        end = format_timestamp(newest, schema.time_format)
        logger.warning("%s: ends at %s, before %s; forecasts start after its end", table.name, end, setting)
    return min(last, newest)


def _refuse_outlier(table: Table, found: Observations, times: Integers, positions: Integers, schema: Schema) -> None:
    """Refuse a time that lies far from all the others: 9999-12-31 would end all series long before the origin."""
    unique = distinct(positions)
    if len(unique) <= MIN_TIMES or not schema.dated:
        return
    ends = [(unique[1] - unique[0], unique[-1] - unique[1], unique[0])] if schema.layout == "wide" else []
    for gap, span, outlier in (*ends, (unique[-1] - unique[-2], unique[-2] - unique[0], unique[-1])):
        if gap > FAR * max(span, FAR):
            time = int(times[np.argmax(positions == outlier)])
            place = table.place(int(np.argmax(found.row_timestamps == time)), schema.time)
            text = format_timestamp(time, schema.time_format)
            problem = f"{text} lies {gap:,} steps from all other times, which span {span:,}"
            raise BadData(problem, place=place, cure="correct it, or remove the row")


def warn_sparse(name: str, grid: Grid, schema: Schema) -> None:
    """Warn where counts are mostly absent and absent rows are unknown; name the setting that makes them zeros."""
    if schema.missing == "zero" or not schema.dated:
        return
    counts = (grid.values >= 0).all() and (grid.values == np.floor(grid.values)).all()
    if counts and (grid.values == 0).mean() < MAX_ZEROS and (share := _absent_share(grid)) > MIN_ABSENT:
        logger.warning(LOOKS_SPARSE, name, np.floor(100 * share), Setting("missing", "zero"))


def _absent_share(grid: Grid) -> float:
    """The share of steps without a row, between the first and the last value of each series."""
    present, low, high = grid.counts > 0, np.ones_like(grid.counts), np.zeros_like(grid.counts)
    ends = np.cumsum(grid.counts)[present]
    low[present], high[present] = grid.positions[ends - grid.counts[present]], grid.positions[ends - 1]
    steps = int((high - low + 1).sum())
    series, positions = grid.blank_series, grid.blank_positions
    inside = (positions >= low[series]) & (positions <= high[series])
    blank = np.unique(np.stack([series[inside], positions[inside]]), axis=1).shape[1]
    return float(max(0, steps - len(grid.positions) - blank) / max(steps, 1))
