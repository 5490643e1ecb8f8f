"""Restrict a table to what was known at a time: no unfinished periods, no later vintages."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.calendar import Calendar
from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import STEP_KIND, TimeSettings, as_text, on_clock
from forecast.calendar.zones import timestamps_at, wall_clock
from forecast.errors import BadData, Setting
from forecast.logs import held_back, log
from forecast.panel.dated import DatedTable
from forecast.panel.observations import (
    column_values,
    find_slots,
    id_codes,
    locate_rows,
    wide_columns,
)
from forecast.panel.panel import (
    BEFORE_ALL_ORIGINS,
    Flags,
    Integers,
    Numbers,
    Panel,
    Vintages,
    join_vintages,
)
from forecast.panel.roles import AVAILABLE_AT
from forecast.panel.schema import Schema, build_calendar
from forecast.tables.table import Table, encode, repeats, require_columns


def is_left_out(schema: Schema, name: str, level: int = logging.WARNING) -> bool:
    """Whether the last period, which is not complete, is left out; log what is done with it."""
    if schema.unfinished == "keep":
        return False
    log.log(
        level,
        "%s: the last period of %s is not complete (%s)",
        name,
        schema.calendar.name,
        Setting("unfinished", schema.unfinished),
    )
    return schema.unfinished == "leave out"


def known_by(dated: DatedTable, schema: Schema, instant: datetime | None = None) -> DatedTable:
    """Return the table as it could be known at an instant.

    Of later rows, only the columns known in advance are kept. If the schema leaves out unfinished
    periods, a row counts as later until its period is over. Without an instant, it is now; but a
    table that has values later than now is not restricted.
    """
    now = instant or datetime.now(UTC)
    end = on_clock(now, schema.time_format)
    parsed = dated.times
    if parsed is None or end is None or dated.instant is not None:
        return dated
    if instant is not None:
        dated = replace(dated, instant=end)
    table = dated.table
    calendar = build_calendar(schema)
    times = parsed.timestamps
    positions = calendar.positions(times)
    unfinished = calendar.ends(positions) > end
    if not unfinished.any():
        return dated
    later = times > end if instant is not None else calendar.ends(positions - 1) > end
    targets = _targets(table, schema)
    rows = table.rows(unfinished)
    filled = np.logical_or.reduce([rows.texts(name) != "" for name in targets])
    if instant is None and (unfinished.all() or filled[later[unfinished]].any()):
        return dated
    leaves_out = schema.unfinished == "leave out"
    if filled[~later[unfinished]].any():
        level = logging.INFO if instant is not None and leaves_out else logging.WARNING
        is_left_out(schema, table.name, level)
    removed = unfinished if leaves_out else later
    if removed.all():
        raise BadData(
            f"every row lies after {as_text(now)}, the time of the run, or in a period that is not "
            "over then",
            place=table.name,
        )
    if not schema.known:
        return dated.rows(~removed)
    frame = table.frame.copy()
    blank = "" if table.text else np.nan
    for name in (*targets, *schema.past):
        frame[name] = frame[name].where(~removed, blank)
    return replace(dated, table=replace(table, frame=frame))


def _targets(table: Table, schema: Schema) -> list[str]:
    return [str(schema.target)] if schema.layout == "long" else wide_columns(table, schema)


def has_vintages(table: Table, schema: Schema) -> bool:
    """Whether the rows of a table say when values known in advance became available."""
    taken = {*schema.keys, schema.target, *schema.series}
    taken.update((*schema.known, *schema.past, *schema.static))
    return bool(schema.known) and AVAILABLE_AT in table.names and AVAILABLE_AT not in taken


def one_row_a_time(dated: DatedTable, schema: Schema) -> DatedTable:
    """Reduce a table with vintages to one row for each series and time.

    The table with all rows is kept as `vintages`. Other columns, such as the target, have the value
    of the row that has one. Raises BadData if two rows of a time have different values there.
    """
    dated = known_by(dated.vintages or dated, schema)
    table = dated.table
    if dated.times is None or not has_vintages(table, schema):
        return dated
    series = id_codes(table, schema.id_columns)[1]
    times = dated.times_by(schema)
    settings = dated.settings if times else schema
    times = times or parse_times(table, schema.time, schema.time_settings, series)
    key = series * len(table) + encode(times.timestamps)[0]
    _, first_rows, cell_of_row = np.unique(key, return_index=True, return_inverse=True)
    kept = np.zeros(len(table), bool)
    kept[first_rows] = True
    frame = table.rows(kept).frame.copy()
    once = (*_targets(table, schema), *schema.past, *schema.static)
    for column in dict.fromkeys((*once, *schema.known)):
        with held_back():  # warnings come later, when the column is read again
            values = column_values(table, column, schema)
        filled = np.flatnonzero(~np.isnan(values))
        source = first_rows.copy()  # [cells], the first row with a value
        source[cell_of_row[filled[::-1]]] = filled[::-1]
        source = source[cell_of_row]
        wrong = filled[values[filled] != values[source[filled]]]
        if len(wrong) and column in once:
            row = wrong[0]
            other = source[row]
            value = f"another value for the same time, {table.value(other, (column,))}"
            raise BadData(
                f"{table.line(other)} has {value}",
                place=table.place(row, column),
                cure=f"rows that differ in {AVAILABLE_AT} have the same value there, or none",
            )
        frame[column] = table.frame[column].iloc[source[kept]].array
    whole = replace(dated, times=times, settings=settings)
    table = replace(table.rows(kept), frame=frame)
    return replace(whole, table=table, times=times.rows(kept), vintages=whole)


def add_vintages(panel: Panel, dated: DatedTable, schema: Schema, whole: bool = False) -> Panel:
    """Add the vintages of a table to a panel; the times of the table may not be parsed yet.

    A row that does not say when it became available is known from its own step on. A column without
    any vintages is not changed. At an origin, what became available up to the end of its step is
    known. If the table has an `instant` after the end of the newest step, what became available up
    to then is known at the newest origin, and earlier origins get the same delay. `whole` says that
    the table holds all values of the panel.
    """
    table = dated.table
    calendar = build_calendar(schema)
    names = [name for name in schema.known if name in table.names]
    partial = names and has_vintages(table, schema)
    require_columns(table, (*schema.time, *(names if partial else schema.known)))
    series, timestamps = locate_rows(table, schema, panel.ids, dated.times)
    positions = calendar.positions(timestamps)
    has_stamp, stamps = _available_times(table, schema)
    rank = np.where(has_stamp, stamps, np.inf)
    available = positions.copy()
    delay = 0  # how long after the end of the newest step a run forecasts
    if dated.instant is not None:
        newest = panel.origins.max(keepdims=True)
        (end,) = calendar.ends(newest).tolist()
        delay = max(0, dated.instant - end)
    available[has_stamp] = _steps_known_at(stamps[has_stamp] - delay, calendar)
    always = []
    for name in names:
        values = column_values(table, name, schema)
        used = ~np.isnan(values)
        if series is not None:
            used &= series >= 0
        rows = np.flatnonzero(used)
        # of several rows for the same period or time, the last one counts
        by_rank = np.lexsort((timestamps[rows], rank[rows]))
        rows = rows[by_rank]
        series_of_rows = None if series is None else series[rows]
        if schema.on_duplicate == "error" and schema.aggregate is None:
            keys = [timestamps[rows], rank[rows]]
            if series_of_rows is not None:
                keys.append(series_of_rows)
            _refuse_conflicts(table, name, rows, keys, values[rows])
        slot, index = find_slots(panel, series_of_rows, positions[rows])
        rows = rows[index]
        column = schema.known.index(name)
        columns = np.full(len(slot), column)
        new = Vintages(slot, columns, available[rows], values[rows])
        if has_stamp[rows].any():
            if whole:  # the table holds all values of the column, so that earlier ones are dropped
                known = panel.known.copy()
                known[:, column] = np.nan
                panel = replace(panel, known=known)
            panel = merge_vintages(panel, new)
        else:
            always.append(new)
    return panel if whole or not always else _known_always(panel, join_vintages(always))


def _steps_known_at(stamps: Integers, calendar: Calendar) -> Integers:
    """Return the first grid position at whose end each thing is known, [stamps].

    `stamps` are the times at which the things became available.
    """
    position = calendar.positions(stamps)
    after_last_step = calendar.ends(position - 1) < stamps
    after_own_step = calendar.ends(position) < stamps
    return position - 1 + after_last_step + after_own_step


def _refuse_conflicts(
    table: Table, name: str, rows: Integers, keys: list[NDArray[Any]], values: Numbers
) -> None:
    """Refuse different values of the same cell that became available at the same time."""
    conflicts = repeats(*keys) & ~repeats(*keys, values)
    if not conflicts.any():
        return
    conflict = np.argmax(conflicts)
    same = np.logical_and.reduce([key == key[conflict] for key in keys])
    both = rows[[np.argmax(same), conflict]]
    first, other = sorted(both.tolist())
    what = f", time and {AVAILABLE_AT}" if AVAILABLE_AT in table.names else " and time"
    raise BadData(
        f"{table.line(first)} has another value for the same series{what}",
        place=table.place(other, name),
        cure=f"keep one of the two, or pass {Setting('on_duplicate', 'last')}",
    )


def _available_times(table: Table, schema: Schema) -> tuple[Flags, Integers]:
    """Return which rows say when they became available, and when, [rows] each.

    The times are on the clock of the table, and 0 for the other rows.
    """
    stamps = np.zeros(len(table), np.int64)
    has_stamp = np.zeros(len(table), bool)
    if has_vintages(table, schema):
        codes, texts = table.distinct(AVAILABLE_AT)
        present = [bool(text.strip()) for text in texts]
        has_stamp = np.array(present)[codes]
    if not has_stamp.any():
        return has_stamp, stamps
    place = table.place(np.argmax(has_stamp), AVAILABLE_AT)
    if schema.time_format.kind == STEP_KIND:
        problem = "the times of the table are steps, with which no date can be compared"
        raise BadData(problem, place=place, cure="rename the column, or give the table dates")
    zone = schema.time_format.zone
    clock = zone or schema.timezone
    pivot = schema.time_format.pivot
    settings = TimeSettings(timezone=clock, dst="later", fractions=True, pivot=pivot)
    parsed = parse_times(table.rows(has_stamp), (AVAILABLE_AT,), settings)
    times = parsed.timestamps
    written = parsed.format.zone
    if zone is not None and written is None:  # dates alone
        times = timestamps_at(times, zone, "later")[0]
    elif zone is None and written is not None:
        if clock is None:
            problem = f"it has a zone ({written}), and the times of the table have none"
            raise BadData(problem, place=place, cure=f"pass {Setting('timezone')}")
        times = wall_clock(times, clock)
    stamps[has_stamp] = times
    return has_stamp, stamps


def merge_vintages(panel: Panel, new: Vintages, strict: bool = True) -> Panel:
    """Add vintages to a panel; of several for the same cell and origin, the last is the newest.

    If `strict`, other values of the same columns that have no vintages yet are known from their own
    step on. Otherwise, a cell has its present value at origins for which no vintage says what was
    known.
    """
    vintages = [] if panel.vintages is None else [panel.vintages]
    origins = np.repeat(panel.origins, panel.sizes)
    replaced = np.zeros(panel.known.shape, bool)
    replaced[slice(None) if strict else new.slot, new.column] = True
    known = panel.vintages.blank_vintages(panel.known) if panel.vintages else panel.known
    slot, column = np.nonzero(replaced & ~np.isnan(known))
    steps = panel.grid_positions[slot]
    if not strict:
        steps = np.minimum(steps, origins[slot])
    now = Vintages(slot, column, steps, panel.known[slot, column])
    if not strict:
        always = np.full(len(slot), BEFORE_ALL_ORIGINS)
        vintages.append(replace(now, available=always))
    every = join_vintages([*vintages, new, now]).newest()
    known = every.at(np.where(replaced, np.nan, panel.known), origins)
    changing = every.until(origins).drop_constant_cells()
    return replace(panel, known=known, vintages=changing if len(changing) else None)


def _known_always(panel: Panel, values: Vintages) -> Panel:
    """Set values of cells for all origins, whatever was known about these cells before."""
    known = panel.known.copy()
    known[values.slot, values.column] = values.value
    vintages = panel.vintages
    if vintages is not None:
        replaced = np.zeros(known.shape, bool)
        replaced[values.slot, values.column] = True
        vintages = vintages.where(~replaced[vintages.slot, vintages.column])
    return replace(panel, known=known, vintages=vintages)


def describe_vintages(panel: Panel, schema: Schema) -> list[str]:
    """Say in one line how old the newest values known in advance are at the origin.

    Without vintages, there is no line.
    """
    vintages = panel.vintages
    if vintages is None or not len(vintages):
        return []
    first_ahead = panel.lengths[panel.series_of_slots[vintages.slot]]
    ahead = panel.positions[vintages.slot] >= first_ahead
    issued = vintages.available[ahead]
    columns = np.unique(vintages.column)
    names = ", ".join(schema.known[column] for column in columns)
    age = panel.origin - issued.max() if len(issued) else "none"
    return [
        f"known    {names}: {len(vintages):,} vintages; age of the newest at the origin in "
        f"steps: {age}"
    ]
