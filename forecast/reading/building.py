"""Build the panel of a table: series on one grid, gaps masked, covariates beside them."""

import logging

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.clock_change import zone_cure
from forecast.calendar.formatting import format_timestamp
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes
from forecast.errors import BadData, Setting, Unavailable, Words
from forecast.events.kinds import has_kind
from forecast.panel.naming import series_name
from forecast.panel.panel import Flags, Integers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.columns import covariates, future_covariates, place_values, static_values
from forecast.reading.dated import DatedTable
from forecast.reading.grid import Grid
from forecast.reading.normalising import normalised
from forecast.reading.observations import Observations
from forecast.reading.status import observed_spans
from forecast.reading.vintages import fixed, has_vintages, with_vintages
from forecast.tables.distinct import distinct, repeats
from forecast.tables.table import Table, rows_text

logger = logging.getLogger("forecast")

MAX_CELLS = 250_000_000  # of values and covariates: about 4 GB with what training adds


def build_panel(table: Table, schema: Schema, observations: Observations, grid: Grid, horizon: int) -> Panel:
    """Lay the values of a grid end to end, with the covariates of their table beside them.

    All series end at one origin, the last time at which any of them was observed; in a `rows` table each ends at its
    own last value. Each starts at its own first observed value. Rows after the origin give known covariates of the
    future. Statuses are left open, see `with_status`. `Unavailable` if the panel would not fit in memory.
    """
    calendar = calendar_of(schema)
    lengths = grid.origins - grid.first + 1
    sizes = lengths + horizon
    steps = int(sizes.sum())
    if steps * (2 + len(schema.known) + len(schema.past)) > MAX_CELLS:
        series = f"{len(observations.ids):,} series on the grid {schema.calendar.name} from first to last time"
        cure = Words("pass a coarser ", Setting("freq"), " with ", Setting("aggregate"))
        raise Unavailable(f"{series} need {steps:,} steps, more than fit in memory", place=table.name, cure=cure)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    slot = offsets[grid.series] + grid.positions - grid.first[grid.series]
    values, observed = np.zeros(offsets[-1]), _zeros_at(grid, offsets, sizes, lengths)
    values[slot], observed[slot] = grid.values + 0.0, True  # turns -0.0 into 0.0
    rows = [covariates(table, schema, observations, calendar, names) for names in (schema.known, schema.past)]
    known, past = place_values(rows[0], offsets, grid.first), place_values(rows[1], offsets, grid.first, lengths)
    static = static_values(table, schema, observations)
    ids, order = observations.ids, observations.order
    return Panel(ids, order, offsets, grid.first, horizon, values, observed, known, past, static)


def with_future(
    panel: Panel, future: Table, schema: Schema, times: ParsedTimes | None = None, instant: int | None = None
) -> Panel:
    """The panel with columns known in advance from a table of the future, whose times may have been parsed before."""
    if not schema.known:
        return panel
    if has_vintages(future := normalised(future), schema):
        return with_vintages(panel, DatedTable(future, schema.time, times, schema, instant), schema)
    rows = future_covariates(future, schema, panel.ids, calendar_of(schema), times)
    return fixed(panel, place_values(rows, panel.offsets, panel.starts))


def check_rows(table: Table, observations: Observations, schema: Schema, whole: bool = True) -> None:
    """Refuse times off the grid, or twice in a series; warn of rows out of order. A part may be coarser."""
    if schema.dated:
        _check_order(table, observations, schema)
        if schema.aggregate is None:
            _check_on_grid(table, observations, schema, calendar_of(schema), whole)


def _check_order(table: Table, observations: Observations, schema: Schema) -> None:
    """Refuse rows that come twice, and warn of rows that are not in the order of time."""
    times = observations.row_timestamps
    series = observations.series if schema.layout == "long" else np.zeros(len(times), np.int64)
    order = np.argsort(series, kind="stable")
    steps = np.diff(times[order])[np.diff(series[order]) == 0]
    if (steps < 0).any():
        logger.warning("%s: sorted by time; %s came after a later one.", table.name, rows_text((steps < 0).sum()))
    elif (steps > 0).all():
        return
    twice, rule = repeats(series, times), Setting("on_duplicate", schema.on_duplicate)
    count = rows_text(twice.sum())
    if twice.any() and schema.on_duplicate != "error":
        logger.warning("%s: times that repeat: %s; settled by %s.", table.name, count, rule)
    elif twice.any() and schema.aggregate is None:
        row = int(np.argmax(twice))
        first = table.line(int(np.argmax((series == series[row]) & (times == times[row]))))
        names = f" for {', '.join(observations.ids[series[row]])}" if schema.layout == "long" and schema.ids else ""
        problem = f"{format_timestamp(int(times[row]), schema.time_format)} comes twice{names}, first in {first}"
        how = Setting("on_duplicate", "first"), " (or last, mean, sum); at fit, ", Setting("id")
        zone = zone_cure(times[twice], schema.time_format.zone)
        cure = Words(*zone, "pass ", *how, " names the columns that tell series apart")
        raise BadData(f"{problem} ({count} like that)", place=table.place(row, schema.time), cure=cure)


def _check_on_grid(table: Table, observations: Observations, schema: Schema, calendar: Calendar, whole: bool) -> None:
    """Refuse times between those of the grid, and a whole table of a coarser frequency."""
    name, unique = schema.calendar.name, distinct(observations.row_timestamps)
    off = unique[~calendar.on_grid(unique)]
    steps = np.diff(calendar.positions(unique))
    coarser = whole and len(steps) > 2 and int(steps.min()) > 1
    if not len(off) and not coarser:
        return
    try:
        other = infer_calendar(unique, np.zeros(len(unique), np.int64), None, schema.time_format).name
    except BadData:
        other = name
    looks = f" (its frequency looks like {other})" if other != name else ""
    cure = Words("bring it to the frequency of the fit, or fit again, with another ", Setting("freq"))
    if len(off):
        row = int(np.argmax(observations.row_timestamps == off[0]))
        more = f"nor do {len(off) - 1} other times of the table{looks}"
        problem = f"{table.value(row, schema.time)} does not lie on the grid {name}, {more}"
        raise BadData(problem, place=table.place(row, schema.time), cure=cure)
    if int(np.gcd.reduce(steps)) > 1 or other != name:
        problem = f"all times lie {steps.min()} steps of the grid {name} or more apart: the table is coarser than that"
        raise BadData(f"{problem}{looks}", place=table.name, cure=cure)


def _zeros_at(grid: Grid, offsets: Integers, sizes: Integers, lengths: Integers) -> Flags:
    """[slots], where the absence of a row means zero: in the past of such a series, where it has no blank cell."""
    position = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    zeros = np.repeat(grid.zeros, sizes) & (position < np.repeat(lengths, sizes))
    step = grid.blank_positions - grid.first[grid.blank_series]
    inside = (step >= 0) & (step < lengths[grid.blank_series])
    zeros[(offsets[grid.blank_series] + step)[inside]] = False
    return zeros


def warn_gaps(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of missing values between the first and the last of a series."""
    spans, counts = observed_spans(panel)
    gaps = np.where(counts > 0, spans - counts, 0)
    if gaps.any():
        series = int(np.argmax(gaps > 0))
        position = panel.starts[[series]] + np.argmin(panel.observed[panel.slots(series)])
        (time,) = position_texts(schema, calendar_of(schema), position)
        first = f"{series_name(panel.ids[series])} at {time}".removeprefix(" at ")
        text = "%s: %d of %d values are missing, in %d of %d series (the first: %s): blank, or without a row%s."
        ignored = ", or ignored by events" if has_kind(schema, "ignore") else ""
        logger.warning(text, name, gaps.sum(), spans.sum(), (gaps > 0).sum(), len(gaps), first, ignored)
