"""Sum or average the rows of a finer table over the periods of a coarser grid."""

import logging
from contextlib import suppress

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.frequency import infer_calendar
from forecast.errors import BadData, Setting, Unavailable, Words
from forecast.panel.panel import Flags, Numbers, runs
from forecast.panel.schema import Schema
from forecast.reading.observations import Rows
from forecast.tables.distinct import distinct
from forecast.tables.table import Table

logger = logging.getLogger("forecast")

MAX_STEPS = 10_000_000  # of a finer grid, to count the values that a period should have
MAX_ROWS = 100_000_000  # zeros of absent rows included


def aggregated(table: Table, observed: Rows, blank: Rows, schema: Schema, calendar: Calendar) -> Rows:
    """Values by series and period of `calendar`: sum, mean or last value; times of the rows are grid positions then.

    A period at the end of the table that is not complete is left out, and for a sum one at its start too. Blank values
    never count. Absent rows that mean zero become zeros before the periods are formed, if the rows lie on a regular
    grid. Where absent rows are unknown, a sum is that of the present rows, with a warning.
    """
    zero, name = schema.missing == "zero", schema.calendar.name
    fine: Calendar | None = None  # the grid on which the rows lie, if they do
    with suppress(BadData):
        spec = infer_calendar(observed.timestamps, observed.series, None, schema.time_format, name=table.name)
        fine = Calendar(spec, schema.time_format.zone)
    low, high = _whole_periods(table, observed, fine, schema, calendar)
    rows = observed
    if fine is not None and zero and schema.aggregate != "sum":
        rows = _with_zeros(table, observed, blank, fine)
    positions = calendar.positions(rows.timestamps)
    complete = np.flatnonzero((positions >= low) & (positions <= high))
    if not len(complete):
        problem = Words("no period of ", Setting("freq", name), " is complete")
        raise BadData(problem, place=table.name, cure=Words("pass a finer ", Setting("freq")))
    complete = complete[np.argsort(rows.timestamps[complete], kind="stable")]
    series, positions = rows.series[complete], positions[complete]
    result = Rows(series, positions, rows.values[complete]).combined(schema.aggregate or "sum")
    if schema.aggregate == "sum":
        counts = Rows(series, positions, np.ones(len(series))).combined("sum").values
        lacks = _have_blanks(result, blank, calendar) if zero else _lack_steps(result, counts, observed, fine, calendar)
        if lacks.any():
            text = "%s: %d of %d sums lack values of their period of %s; what is missing counts as 0."
            logger.warning(text, table.name, lacks.sum(), len(lacks), name)
    return result


def _whole_periods(
    table: Table, rows: Rows, fine: Calendar | None, schema: Schema, calendar: Calendar
) -> tuple[int, int]:
    """The first and the last period that the table covers to its end, and for a sum from its start."""
    unique = distinct(rows.timestamps)
    if fine is not None:
        ends = fine.positions(unique[[0, -1]])
        before, after = fine.times(ends[:1] - 1), fine.times(ends[1:] + 1)
    else:
        step = int(np.median(np.diff(unique))) if len(unique) > 1 else 0
        before, after = unique[:1] - step, unique[-1:] + step
    low, high = calendar.positions(unique[[0, -1]]).tolist()
    cut_first = schema.aggregate == "sum" and int(calendar.positions(before)[0]) == low
    cut_last = int(calendar.positions(after)[0]) == high
    text = "%s: the %s period of %s is not complete; it is left out."
    for word in ["first"] * cut_first + ["last"] * cut_last:
        logger.warning(text, table.name, word, schema.calendar.name)
    return low + cut_first, high - cut_last


def _with_zeros(table: Table, rows: Rows, blank: Rows, fine: Calendar) -> Rows:
    """The rows, and a zero for each step of the finer grid that has none after the first row of its series."""
    steps, empty = fine.positions(rows.timestamps), fine.positions(blank.timestamps)
    last = int(steps.max())
    series = np.concatenate([rows.series, blank.series[empty <= last]])
    taken = np.concatenate([steps, empty[empty <= last]])
    first = np.full(int(series.max()) + 1, last + 1)
    np.minimum.at(first, series, taken)
    lengths = last + 1 - first
    if (count := int(lengths.sum())) > MAX_ROWS:
        problem = f"with a zero for each absent row it has {count:,} rows, more than fit in memory"
        cure = Words("pass ", Setting("aggregate", "sum"), ", or a table of fewer series")
        raise Unavailable(problem, place=table.name, cure=cure)
    starts, step = runs(first, lengths)
    absent = np.ones(count, bool)
    absent[starts[series] + taken - first[series]] = False
    owner, step = np.repeat(np.arange(len(lengths)), lengths)[absent], fine.times(step[absent])
    values = np.concatenate([rows.values, np.zeros(len(owner))])
    return Rows(np.concatenate([rows.series, owner]), np.concatenate([rows.timestamps, step]), values)


def _have_blanks(sums: Rows, blank: Rows, calendar: Calendar) -> Flags:
    """[sums], whether a blank value lies in their period."""
    positions = calendar.positions(blank.timestamps)
    periods = np.union1d(sums.timestamps, positions)
    keys = blank.series * len(periods) + np.searchsorted(periods, positions)
    return np.isin(sums.series * len(periods) + np.searchsorted(periods, sums.timestamps), keys)


def _lack_steps(sums: Rows, counts: Numbers, observed: Rows, fine: Calendar | None, calendar: Calendar) -> Flags:
    """[sums], whether they are over fewer values, `counts`, than their period has steps of the finer grid."""
    low, high = (0, MAX_STEPS) if fine is None else fine.positions(distinct(observed.timestamps)[[0, -1]])
    if fine is None or high - low >= MAX_STEPS:
        return np.zeros(len(counts), bool)
    steps = calendar.positions(fine.times(np.arange(low, high + 1)))
    return np.asarray(counts < np.bincount(steps - steps[0])[sums.timestamps - steps[0]])
