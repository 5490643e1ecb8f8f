"""Build the panel of a table: series on one grid, gaps masked, covariates beside them."""

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.calendar import Calendar
from forecast.calendar.formatting import format_columns, format_instant, format_times
from forecast.calendar.frequency import infer_calendar
from forecast.errors import BadData, Setting, Unavailable, Words
from forecast.panel.columns import covariates, place_values, static_values
from forecast.panel.grid import Grid, fill, warn_sparse
from forecast.panel.naming import series_name, series_names
from forecast.panel.observations import Observations, observe
from forecast.panel.panel import SKIPPED, Flags, Integers, Panel
from forecast.panel.schema import Schema
from forecast.tables.distinct import distinct, repeats
from forecast.tables.frames import Column
from forecast.tables.table import Table

logger = logging.getLogger("forecast")

LARGEST = 250_000_000  # cells of values and covariates: about 4 GB with what training adds
NAMED = 3


def build_panel(
    table: Table,
    schema: Schema,
    *,
    ahead: int,
    future: Table | None = None,
    origin: str | None = None,
    lookback: int | None = None,
) -> Panel:
    """Build the panel of a table.

    All series end at one origin, the last time at which any of them was observed; in a `rows` table each ends at its
    own last value. Each starts at its own first observed value.

    Parameters
    ----------
    table : the table; rows after the origin give known covariates of the future
    schema : how to read it
    ahead : future slots after the origin
    future : more rows of known covariates; without id columns they hold for all series
    origin : forecast from this time: values after it are not used
    lookback : steps that a forecast looks back; without it no series has the status ended or short, see `judge`

    Raises
    ------
    BadData
        If times lie off the grid, rows come twice, no series has enough values, or a cell cannot be read.
    UsageError
        If `origin` is no time, or lies before all values.
    Unavailable
        If the panel would not fit in memory.
    """
    calendar = calendar_of(schema)
    cells = observe(table, schema)
    _settle_rows(table, cells, schema)
    _refuse_off_grid(table, cells, schema, calendar)
    grid = fill(table, cells, schema, calendar, origin)
    lengths = grid.origins - grid.first + 1
    sizes = lengths + ahead
    width = 2 + len(schema.known) + len(schema.past)
    if int(sizes.sum()) * width > LARGEST:
        raise Unavailable(
            f"{len(cells.ids):,} series on the grid {schema.calendar.name} from first to last time need "
            f"{int(sizes.sum()):,} steps, more than fit in memory",
            place=table.name,
            cure=Words("pass a coarser ", Setting("freq"), " with ", Setting("aggregate")),
        )
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    slot = offsets[grid.series] + grid.positions - grid.first[grid.series]
    values, observed = np.zeros(offsets[-1]), _zeros_at(grid, offsets, sizes, lengths)
    values[slot], observed[slot] = grid.values + 0.0, True  # turns -0.0 into 0.0
    found = [covariates(table, schema, cells, calendar, schema.known)]
    if future is not None:
        found.append(covariates(future, schema, cells, calendar, schema.known, future=True))
    past = [covariates(table, schema, cells, calendar, schema.past)]
    panel = Panel(
        ids=cells.ids,
        order=cells.order,
        offsets=offsets,
        starts=grid.first,
        ahead=ahead,
        values=values,
        observed=observed,
        known=place_values(found, len(schema.known), offsets, grid.first, sizes),
        past=place_values(past, len(schema.past), offsets, grid.first, sizes, lengths),
        static=static_values(table, schema, cells),
    )
    _say(table, panel, schema)
    panel = replace(panel, status=_status(panel, schema))
    if lookback is not None:
        return judge(panel, schema, lookback, table.name)
    warn_sparse(table.name, grid, schema)
    return panel


def judge(panel: Panel, schema: Schema, lookback: int, name: str) -> Panel:
    """Mark the series that are shorter than a lookback, and those that ended more than a lookback before the origin.

    Raises
    ------
    BadData
        If no series is left to forecast.
    """
    words = np.array(panel.status, object)
    words[(words == "ok") & (panel.lengths < lookback)] = "short"
    words[(words != "missing") & (panel.silent() > lookback)] = "ended"
    _say_words(panel.ids, words, schema, name)
    return replace(panel, status=tuple(words.tolist()))


def judge_again(panel: Panel, schema: Schema, lookback: int, name: str) -> Panel:
    """Give the series of a panel that was cut at an origin the status that they had there, without a word.

    Raises
    ------
    BadData
        If no series is left to forecast.
    """
    words = np.array(_status(panel, schema), object)
    words[(words == "ok") & (panel.lengths < lookback)] = "short"
    words[(words != "missing") & (panel.silent() > lookback)] = "ended"
    if np.isin(words, SKIPPED).all():
        problem = "at the oldest origin no series is left to forecast"
        raise BadData(problem, place=name, cure=Words("pass fewer ", Setting("windows")))
    return replace(panel, status=tuple(words.tolist()))


def add_future(panel: Panel, future: Table, schema: Schema) -> Panel:
    """The panel with known covariates from a table of the future; raises as `build_panel` does."""
    none = np.zeros(0, np.int64)
    cells = Observations(panel.ids, panel.order, none, none, np.zeros(0), none, none)
    found = covariates(future, schema, cells, calendar_of(schema), schema.known, future=True)
    given = place_values([found], len(schema.known), panel.offsets, panel.starts, np.diff(panel.offsets))
    return replace(panel, known=np.where(np.isnan(given), panel.known, given))


def calendar_of(schema: Schema) -> Calendar:
    """The grid of a schema, with the zone of its times."""
    return Calendar(schema.calendar, schema.time_format.zone, schema.holidays)


def format_positions(schema: Schema, calendar: Calendar, positions: Integers) -> Column:
    """Write grid positions [n] the way in which the table wrote its times; steps in a `rows` table.

    Times of several columns are written as one text; `time_columns_at` writes them into their columns.
    """
    return format_times(calendar.times(positions), schema.time_format)


def position_texts(schema: Schema, calendar: Calendar, positions: Integers) -> list[str]:
    """Grid positions [n] as text, for messages."""
    return format_positions(schema, calendar, positions).texts()


def time_columns_at(schema: Schema, calendar: Calendar, positions: Integers) -> dict[str, Column]:
    """The time columns of grid positions [n], as the table has them."""
    if len(schema.time) == 1:
        return {schema.time[0]: format_positions(schema, calendar, positions)}
    columns = format_columns(calendar.times(positions), schema.time_format)
    return dict(zip(schema.time, columns, strict=True))


def _settle_rows(table: Table, cells: Observations, schema: Schema) -> None:
    """Refuse rows that come twice, and say if rows are not in the order of time."""
    if schema.layout == "rows":
        return
    series = cells.series if schema.layout == "long" else np.zeros(len(cells.row_instants), np.int64)
    order = np.argsort(series, kind="stable")
    steps = np.diff(cells.row_instants[order])
    steps = steps[np.diff(series[order]) == 0]
    if (steps < 0).any():
        late = rows_of(int((steps < 0).sum()))
        logger.warning("%s: sorted by time; %s came after a later one.", table.name, late)
    elif (steps > 0).all():
        return
    twice = repeats(series, cells.row_instants)
    if twice.any() and (schema.aggregate is None or schema.on_duplicate != "error"):
        if schema.on_duplicate == "error":
            raise duplicate(table, schema.time, cells, int(np.argmax(twice)), schema, int(twice.sum()))
        count = rows_of(int(twice.sum()))
        logger.warning(
            "%s: times that repeat: %s; settled by %s.", table.name, count, Setting("on_duplicate", schema.on_duplicate)
        )


def duplicate(
    table: Table, time: tuple[str, ...], cells: Observations, row: int, schema: Schema, count: int
) -> BadData:
    """Say which row repeats a time."""
    same = cells.row_instants == cells.row_instants[row]
    names = ""
    if schema.layout == "long" and schema.ids:
        names = f" for {', '.join(cells.ids[int(cells.series[row])])}"
        same &= cells.series == cells.series[row]
    return BadData(
        f"{format_instant(int(cells.row_instants[row]), schema.time_format)} comes twice{names}, first in "
        f"{table.line(int(np.argmax(same)))} ({rows_of(count)} like that)",
        place=table.place(row, time),
        cure=Words(
            "pass ",
            Setting("on_duplicate", "first"),
            " (or last, mean, sum); at fit, ",
            Setting("id"),
            " names the columns that tell series apart",
        ),
    )


def rows_of(count: int) -> str:
    """``1 row`` or ``7 rows``."""
    return f"{count:,} row{'s' * (count != 1)}"


def _refuse_off_grid(table: Table, cells: Observations, schema: Schema, calendar: Calendar) -> None:
    """Refuse times between those of the grid, and times of a coarser frequency."""
    if schema.layout == "rows" or schema.aggregate is not None:
        return
    name, unique = schema.calendar.name, distinct(cells.row_instants)
    off = unique[~calendar.on_grid(unique)]
    if len(off):
        row = int(np.argmax(cells.row_instants == off[0]))
        found = _frequency_of(unique, schema)
        other = f"; the table's frequency looks like {found}" if found not in (None, name) else ""
        raise BadData(
            f"{table.place(row, schema.time)}: {table.value(row, schema.time)} does not lie on the grid {name}, "
            f"nor do {len(off) - 1} other times{other}; bring the table to the frequency of the fit, or fit again"
        )
    steps = np.diff(calendar.positions(unique))
    if len(steps) > 2 and int(steps.min()) > 1:
        found = _frequency_of(unique, schema)
        if int(np.gcd.reduce(steps)) > 1 or found not in (None, name):
            looks = f" (its frequency looks like {found})" if found else ""
            raise BadData(
                f"all times lie {steps.min()} steps of the grid {name} or more apart: the table is coarser than "
                f"that{looks}",
                place=table.name,
                cure=Words("bring it to the frequency of the fit, or fit again, with another ", Setting("freq")),
            )


def _frequency_of(unique: Integers, schema: Schema) -> str | None:
    """The frequency that times alone would have, None where they have none."""
    try:
        return infer_calendar(unique, np.zeros(len(unique), np.int64), None, schema.time_format).name
    except BadData:
        return None


def _zeros_at(grid: Grid, offsets: Integers, sizes: Integers, lengths: Integers) -> Flags:
    """[slots], where the absence of a row means zero: in the past of such a series, where it has no blank cell."""
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    zeros = np.repeat(grid.zeros, sizes) & (place < np.repeat(lengths, sizes))
    step = grid.blank_positions - grid.first[grid.blank_series]
    inside = (step >= 0) & (step < lengths[grid.blank_series])
    zeros[(offsets[grid.blank_series] + step)[inside]] = False
    return zeros


def _spans(panel: Panel) -> tuple[Integers, Integers]:
    """[series], slots from the first to the last observed value, 1 where there is none; and observed values."""
    counts = np.add.reduceat(panel.observed, panel.offsets[:-1], dtype=np.int64)
    return np.maximum(panel.lengths - panel.silent(), 1), counts


def _status(panel: Panel, schema: Schema) -> tuple[str, ...]:
    """One word for each series, the gravest that holds."""
    first, (spans, counts) = panel.offsets[:-1], _spans(panel)
    lowest = np.minimum.reduceat(np.where(panel.observed, panel.values, np.inf), first)
    highest = np.maximum.reduceat(np.where(panel.observed, panel.values, -np.inf), first)
    words = np.full(len(panel), "ok", object)
    words[(lowest == highest) & (counts > 1)] = "constant"
    words[(counts == 0) | ((spans - counts) / spans > schema.max_missing)] = "missing"
    return tuple(words.tolist())


def _say(table: Table, panel: Panel, schema: Schema) -> None:
    """Warn of gaps."""
    spans, counts = _spans(panel)
    gaps = np.where(counts > 0, spans - counts, 0)
    if gaps.any():
        series = int(np.argmax(gaps > 0))
        place = int(panel.starts[series] + np.argmin(panel.observed[panel.slots(series)]))
        shown = format_instant(int(calendar_of(schema).times(np.array([place]))[0]), schema.time_format)
        name = series_name(panel.ids[series])
        logger.warning(
            "%s: %d of %d values are missing, in %d of %d series (the first: %s); they are masked.",
            table.name,
            gaps.sum(),
            spans.sum(),
            (gaps > 0).sum(),
            len(gaps),
            f"{name} at {shown}".removeprefix(" at "),
        )


def _say_words(ids: tuple[tuple[str, ...], ...], words: NDArray[np.object_], schema: Schema, name: str) -> None:
    """Warn of series that are constant or get no forecast; refuse if none is left."""
    most = f"{schema.max_missing:.0%}"
    for word, meaning in (
        ("constant", "have only one value"),
        ("ended", "ended more than a lookback before the last time and get no forecast"),
        ("missing", Words(f"miss more than {most} of their values (", Setting("max_missing"), ") and get no forecast")),
    ):
        found = np.flatnonzero(words == word)
        if len(found):
            names = series_names([ids[i] for i in found], NAMED)
            logger.warning("%s: %d series %s: %s", name, len(found), meaning, names or "the only one")
    if np.isin(words, SKIPPED).all():
        raise BadData(
            f"no series is left to forecast: each misses more than {schema.max_missing:.0%} of its values or ended "
            "long ago",
            place=name,
            cure=Words(
                "pass a higher ",
                Setting("max_missing"),
                ", a coarser ",
                Setting("freq"),
                " with ",
                Setting("aggregate"),
                ", or ",
                Setting("missing", "zero"),
                " if absent rows mean zero",
            ),
        )
