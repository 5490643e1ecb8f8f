"""A table as it was known at a time: without what was not over, and with columns as they were known in advance."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import STEPS, as_text, on_clock
from forecast.calendar.zones import timestamps_at, wall_clock
from forecast.errors import BadData, Setting, Words
from forecast.logs import held_back, log
from forecast.panel.panel import ALWAYS, Flags, Integers, Numbers, Panel, Vintages, joined
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.dated import DatedTable
from forecast.reading.observations import column_values, id_codes, rows_of, slots_of, wide_columns
from forecast.reading.roles import AVAILABLE_AT
from forecast.tables.headers import refuse_missing
from forecast.tables.table import Table, encoded, repeats


def is_left_out(schema: Schema, name: str, level: int = logging.WARNING) -> bool:
    """Whether the last period, which is not complete, is left out; a message of a level says what is done."""
    if schema.unfinished == "keep":
        return False
    setting = Setting("unfinished", schema.unfinished)
    log.log(
        level, "%s: the last period of %s is not complete (%s)", name, schema.calendar.name, setting
    )
    return schema.unfinished == "leave out"


def known_by(dated: DatedTable, schema: Schema, instant: datetime | None = None) -> DatedTable:
    """The table as it could be known at an instant: no later row, or one with blank targets for what is known ahead.

    Where the schema leaves out what is unfinished, a row is later until its period is over. Without an instant it is
    now, of which a table says nothing that has later values.
    """
    now = instant or datetime.now(UTC)
    end = on_clock(now, schema.time_format)
    if dated.times is None or end is None or dated.instant is not None:
        return dated
    table, times = dated.table, dated.times.timestamps
    if instant is not None:
        dated = replace(dated, instant=end)
    calendar = calendar_of(schema)
    positions = calendar.positions(times)
    late = calendar.ends(positions) > end
    if not late.any():
        return dated
    targets = [str(schema.target)] if schema.layout == "long" else wide_columns(table, schema)
    late_rows = table.rows(late)
    filled = np.logical_or.reduce([late_rows.texts(name) != "" for name in targets])
    later = calendar.ends(positions - 1) > end if instant is None else times > end
    if instant is None and (filled[later[late]].any() or late.all()):
        return dated
    leaves_out = schema.unfinished == "leave out"
    if filled[~later[late]].any():
        is_left_out(
            schema,
            table.name,
            logging.INFO if instant is not None and leaves_out else logging.WARNING,
        )
    late = late if leaves_out else later
    if late.all():
        why = "lies after" if later.all() else "belongs to a period that is not over at"
        raise BadData(f"every row {why} {as_text(now)}, the time of the run", place=table.name)
    if not schema.known:
        return dated.rows(~late)
    frame = table.frame.copy()
    for name in (*targets, *schema.past):
        frame[name] = frame[name].where(~late, "" if table.text else np.nan)
    return replace(dated, table=replace(table, frame=frame))


def has_vintages(table: Table, schema: Schema) -> bool:
    """Whether the rows of a table say when its known columns became available."""
    taken = {
        *schema.keys,
        schema.target,
        *schema.series,
        *schema.known,
        *schema.past,
        *schema.static,
    }
    return bool(schema.known) and AVAILABLE_AT in table.names and AVAILABLE_AT not in taken


def one_row_a_time(dated: DatedTable, schema: Schema) -> DatedTable:
    """The table with one row for each series and time, beside that of all vintages, if it has some.

    Its other columns have the value of the row that has one; BadData if two rows of a time have different values.
    """
    dated = known_by(dated.vintages or dated, schema)
    if dated.times is None or not has_vintages(dated.table, schema):
        return dated
    table, long, same = dated.table, schema.layout == "long", dated.times_by(schema)
    series = id_codes(table, schema.ids if long else ())[1]
    times = same or parse_times(table, schema.time, schema.time_settings, series)
    key = series * len(table) + encoded(times.timestamps)[0]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    kept = np.zeros(len(table), bool)
    kept[first] = True
    targets = [str(schema.target)] if long else wide_columns(table, schema)
    frame = table.rows(kept).frame.copy()
    for column in dict.fromkeys([*targets, *schema.past, *schema.static, *schema.known]):
        with held_back():  # it is read again
            values = column_values(table, column, schema)
        filled, source = np.flatnonzero(~np.isnan(values)), first.copy()
        source[group[filled[::-1]]] = filled[::-1]
        wrong = filled[values[filled] != values[source[group[filled]]]]
        if len(wrong) and column not in schema.known:
            other = int(source[group[wrong[0]]])
            problem = f"{table.line(other)} has another value for the same time, {table.value(other, (column,))}"
            cure = f"rows that differ in {AVAILABLE_AT} have the same value there, or none"
            raise BadData(problem, place=table.place(int(wrong[0]), column), cure=cure)
        frame[column] = table.frame[column].iloc[source[group[kept]]].array
    whole = replace(dated, times=times, settings=dated.settings if same else schema)
    return replace(
        whole, table=replace(table.rows(kept), frame=frame), times=times.rows(kept), vintages=whole
    )


def with_vintages(panel: Panel, dated: DatedTable, schema: Schema, whole: bool = False) -> Panel:
    """The panel with the vintages of a table, whose times may be left to be parsed; `whole` if it holds all values.

    A row without a time in the column counts from its own step on; a column without any vintage is as before. What
    became available up to the end of a step is known at it; at the newest one, what did up to the table's `instant`,
    and at earlier ones what did as long after their ends.
    """
    table, instant, calendar = dated.table, dated.instant, calendar_of(schema)
    names = [name for name in schema.known if name in table.names]
    refuse_missing(
        table, (*schema.time, *(names if names and has_vintages(table, schema) else schema.known))
    )
    series, timestamps = rows_of(table, schema, panel.ids, dated.times)
    positions, end = (
        calendar.positions(timestamps),
        int(calendar.ends(panel.origins.max(keepdims=True))[0]),
    )
    given, stamps = _available_times(table, schema)
    available, rank = positions.copy(), np.full(len(table), np.inf)
    moved = stamps[given] - max(0, (end if instant is None else instant) - end)
    inside = calendar.positions(moved)  # known from the end of a step on
    available[given] = (
        inside
        - 1
        + sum((calendar.ends(inside + shift) < moved).astype(np.int64) for shift in (-1, 0))
    )
    rank[given] = stamps[given]
    unique, always = (
        schema.on_duplicate == "error" and schema.aggregate is None,
        np.full(panel.known.shape, np.nan),
    )
    keys = (np.zeros(len(table), np.int64) if series is None else series, timestamps, rank)
    for name in names:
        column, values = schema.known.index(name), column_values(table, name, schema)
        rows = np.flatnonzero(~np.isnan(values) & (keys[0] >= 0))
        rows = rows[
            np.argsort(timestamps[rows], kind="stable")
        ]  # of a period of several rows the last one holds
        same = [key[rows] for key in keys]
        tied = repeats(*same) & ~repeats(*same, values[rows]) if unique else np.zeros(0, bool)
        if tied.any():  # different values of one cell that became available at one time
            row = rows[np.argmax(tied)]
            other = next(
                int(r)
                for r in rows
                if all(key[r] == key[row] for key in keys) and values[r] != values[row]
            )
            same_time = f", time and {AVAILABLE_AT}" if AVAILABLE_AT in table.names else " and time"
            problem = f"{table.line(other)} has another value for the same series{same_time}"
            cure = Words("keep one of the two, or pass ", Setting("on_duplicate", "last"))
            raise BadData(problem, place=table.place(int(row), name), cure=cure)
        slot, index = slots_of(panel, None if series is None else series[rows], positions[rows])
        found_rows = rows[index]
        if given[rows].any():
            rest = panel.known.copy()
            rest[:, column] = np.nan if whole else rest[:, column]  # all its rows are in the table
            found = Vintages(
                slot, np.full(len(found_rows), column), available[found_rows], values[found_rows]
            )
            panel = added(replace(panel, known=rest), found, rank[found_rows])
        else:
            always[slot, column] = values[found_rows]
    return panel if whole else fixed(panel, always)


def _available_times(table: Table, schema: Schema) -> tuple[Flags, Integers]:
    """Which rows say when they became available, and when, on the clock of the table; [rows] both."""
    if not has_vintages(table, schema):
        return np.zeros(len(table), bool), np.zeros(len(table), np.int64)
    codes, texts = table.distinct(AVAILABLE_AT)
    given, stamps = (
        ~np.array([text.strip() == "" for text in texts], bool)[codes],
        np.zeros(len(table), np.int64),
    )
    if not given.any():
        return given, stamps
    place, zone = table.place(int(np.argmax(given)), AVAILABLE_AT), schema.time_format.zone
    if schema.time_format.kind == STEPS:
        problem = "the times of the table are steps, with which no date can be compared"
        raise BadData(problem, place=place, cure="rename the column, or give the table dates")
    clock = zone or schema.timezone
    settings = replace(
        schema.time_settings,
        date_format=None,
        timezone=clock,
        dst="later",
        fractions=True,
        fitted=None,
    )
    parsed = parse_times(table.rows(given), (AVAILABLE_AT,), settings)
    found, written = parsed.timestamps, parsed.format.zone
    if zone is not None and written is None:  # dates alone
        found = timestamps_at(found, zone, "later")[0]
    elif zone is None and written is not None:
        if clock is None:
            problem = f"it has a zone ({written}), and the times of the table have none"
            raise BadData(problem, place=place, cure=Words("pass ", Setting("timezone")))
        found = wall_clock(found, clock)
    stamps[given] = found
    return given, stamps


def added(panel: Panel, new: Vintages, rank: Numbers, strict: bool = True) -> Panel:
    """The panel with more vintages; of several of a cell and an origin the one of the highest rank is the newest.

    If they are `strict`, other values of their columns that have no vintages yet are known from their own step on.
    Otherwise a cell has its value of now where no vintage says what was known.
    """
    old, cell, origins = (
        panel.vintages,
        np.zeros(panel.known.shape, bool),
        panel.origins[panel.series_of_slots],
    )
    cell[slice(None) if strict else new.slot, new.column] = True
    slot, column = np.nonzero(
        cell & ~np.isnan(panel.known if old is None else old.blanked(panel.known))
    )
    own, count = (panel.starts[panel.series_of_slots] + panel.positions)[slot], len(slot)
    now = Vintages(
        slot, column, own if strict else np.minimum(own, origins[slot]), panel.known[slot, column]
    )
    before = replace(now, available=np.full(count, ALWAYS)).where(np.full(count, not strict))
    parts = [*([] if old is None else [old]), before, new, now]
    ranks = [np.full(sum(map(len, parts[:-2])), -np.inf), rank, np.full(count, np.inf)]
    found = joined(parts)
    found = found.where(
        np.lexsort((np.concatenate(ranks), found.available, found.column, found.slot))
    )
    same = (np.diff(part) == 0 for part in (found.slot, found.column, found.available))
    found = found.where(np.append(~np.logical_and.reduce([*same]), True)[: len(found)])
    known = np.where(cell, np.nan, panel.known)
    return replace(panel, known=found.at(known, origins), vintages=found.until(origins))


def fixed(panel: Panel, given: Numbers) -> Panel:
    """The panel with values [slots, known], NaN for none, that are known at all origins."""
    blank, vintages = np.isnan(given), panel.vintages
    if vintages is not None:
        vintages = vintages.where(blank[vintages.slot, vintages.column])
    return replace(panel, known=np.where(blank, panel.known, given), vintages=vintages)


def describe_vintages(panel: Panel, schema: Schema) -> list[str]:
    """How old the newest values of known columns are at the origin, as a line; none without vintages."""
    vintages = panel.vintages
    if vintages is None:
        return []
    ahead = panel.positions[vintages.slot] >= panel.lengths[panel.series_of_slots[vintages.slot]]
    issued = vintages.available[ahead]
    names = ", ".join(schema.known[column] for column in np.unique(vintages.column))
    age = f"{panel.origins.max() - issued.max()}" if len(issued) else "none"
    return [
        f"known    {names}: {len(vintages):,} vintages; age of the newest at the origin in steps: {age}"
    ]
