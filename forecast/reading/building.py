"""Build the panel of a table: series on one grid, gaps masked, covariates beside them."""

import logging
from dataclasses import replace

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.formatting import format_timestamp
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes
from forecast.errors import BadData, Setting, Unavailable, Words
from forecast.panel.naming import series_name
from forecast.panel.panel import Flags, Integers, Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.columns import covariates, future_covariates, place_values, static_values
from forecast.reading.grid import Grid
from forecast.reading.normalising import normalised
from forecast.reading.observations import Observations
from forecast.reading.status import observed_spans
from forecast.tables.distinct import distinct, repeats
from forecast.tables.table import Table, rows_text

logger = logging.getLogger("forecast")

MAX_CELLS = 250_000_000  # of values and covariates: about 4 GB with what training adds


def build_panel(table: Table, schema: Schema, cells: Observations, grid: Grid, horizon: int) -> Panel:
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
        raise Unavailable(
            f"{len(cells.ids):,} series on the grid {schema.calendar.name} from first to last time need {steps:,} "
            "steps, more than fit in memory",
            place=table.name,
            cure=Words("pass a coarser ", Setting("freq"), " with ", Setting("aggregate")),
        )
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    slot = offsets[grid.series] + grid.positions - grid.first[grid.series]
    values, observed = np.zeros(offsets[-1]), _zeros_at(grid, offsets, sizes, lengths)
    values[slot], observed[slot] = grid.values + 0.0, True  # turns -0.0 into 0.0
    known = covariates(table, schema, cells, calendar, schema.known)
    past = covariates(table, schema, cells, calendar, schema.past)
    return Panel(
        ids=cells.ids,
        order=cells.order,
        offsets=offsets,
        starts=grid.first,
        ahead=horizon,
        values=values,
        observed=observed,
        known=place_values(known, offsets, grid.first),
        past=place_values(past, offsets, grid.first, lengths),
        static=static_values(table, schema, cells),
    )


def with_future(panel: Panel, future: Table, schema: Schema, times: ParsedTimes | None = None) -> Panel:
    """The panel with columns known in advance from a table of the future, whose times may have been parsed before."""
    if not schema.known:
        return panel
    future = normalised(future)
    rows = future_covariates(future, schema, panel.ids, calendar_of(schema), times)
    given = place_values(rows, panel.offsets, panel.starts)
    return replace(panel, known=np.where(np.isnan(given), panel.known, given))


def check_rows(table: Table, cells: Observations, schema: Schema, whole: bool = True) -> None:
    """Refuse times off the grid, or twice in a series; warn of rows out of order. A part may be coarser."""
    if schema.layout != "rows":
        _check_order(table, cells, schema)
        if schema.aggregate is None:
            _check_on_grid(table, cells, schema, calendar_of(schema), whole)


def _check_order(table: Table, cells: Observations, schema: Schema) -> None:
    """Refuse rows that come twice, and warn of rows that are not in the order of time."""
    series = cells.series if schema.layout == "long" else np.zeros(len(cells.row_timestamps), np.int64)
    order = np.argsort(series, kind="stable")
    steps = np.diff(cells.row_timestamps[order])
    steps = steps[np.diff(series[order]) == 0]
    if (steps < 0).any():
        late = rows_text((steps < 0).sum())
        logger.warning("%s: sorted by time; %s came after a later one.", table.name, late)
    elif (steps > 0).all():
        return
    twice = repeats(series, cells.row_timestamps)
    if twice.any() and (schema.aggregate is None or schema.on_duplicate != "error"):
        if schema.on_duplicate == "error":
            raise _duplicate(table, schema, cells, int(np.argmax(twice)), int(twice.sum()))
        count = rows_text(twice.sum())
        logger.warning(
            "%s: times that repeat: %s; settled by %s.", table.name, count, Setting("on_duplicate", schema.on_duplicate)
        )


def _duplicate(table: Table, schema: Schema, cells: Observations, row: int, count: int) -> BadData:
    """The error of a row that repeats a time."""
    same = cells.row_timestamps == cells.row_timestamps[row]
    names = ""
    if schema.layout == "long" and schema.ids:
        names = f" for {', '.join(cells.ids[int(cells.series[row])])}"
        same &= cells.series == cells.series[row]
    how = Setting("on_duplicate", "first"), " (or last, mean, sum); at fit, ", Setting("id")
    return BadData(
        f"{format_timestamp(int(cells.row_timestamps[row]), schema.time_format)} comes twice{names}, first in "
        f"{table.line(int(np.argmax(same)))} ({rows_text(count)} like that)",
        place=table.place(row, schema.time),
        cure=Words("pass ", *how, " names the columns that tell series apart"),
    )


def _check_on_grid(table: Table, cells: Observations, schema: Schema, calendar: Calendar, whole: bool) -> None:
    """Refuse times between those of the grid, and a whole table of a coarser frequency."""
    name, unique = schema.calendar.name, distinct(cells.row_timestamps)
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
    if len(off):
        row = int(np.argmax(cells.row_timestamps == off[0]))
        raise BadData(
            f"{table.value(row, schema.time)} does not lie on the grid {name}, nor do {len(off) - 1} other times of "
            f"the table{looks}",
            place=table.place(row, schema.time),
            cure="bring the table to the frequency of the fit, or fit again",
        )
    if int(np.gcd.reduce(steps)) > 1 or other != name:
        raise BadData(
            f"all times lie {steps.min()} steps of the grid {name} or more apart: the table is coarser than "
            f"that{looks}",
            place=table.name,
            cure=Words("bring it to the frequency of the fit, or fit again, with another ", Setting("freq")),
        )


def _zeros_at(grid: Grid, offsets: Integers, sizes: Integers, lengths: Integers) -> Flags:
    """[slots], where the absence of a row means zero: in the past of such a series, where it has no blank cell."""
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    zeros = np.repeat(grid.zeros, sizes) & (place < np.repeat(lengths, sizes))
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
        position = int(panel.starts[series] + np.argmin(panel.observed[panel.slots(series)]))
        time = format_timestamp(int(calendar_of(schema).times(np.array([position]))[0]), schema.time_format)
        first = f"{series_name(panel.ids[series])} at {time}".removeprefix(" at ")
        text = "%s: %d of %d values are missing, in %d of %d series (the first: %s); they are masked."
        logger.warning(text, name, gaps.sum(), spans.sum(), (gaps > 0).sum(), len(gaps), first)
