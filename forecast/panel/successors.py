"""Start series with the past of others: of those that they replace, or of series like them."""

from collections.abc import Iterable
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, did_you_mean
from forecast.logs import log
from forecast.panel.events import (
    EPOCH_DAY,
    cell_texts,
    day_spans,
    parse_days,
    refuse_others,
    side_table,
)
from forecast.panel.hierarchy import sum_series
from forecast.panel.panel import BY_SLOT, Id, Numbers, Panel, join_panels
from forecast.panel.schema import Names, Schema, Succession, build_calendar
from forecast.tables.cells import parse_numbers
from forecast.tables.table import Table, require_columns

SUCCESSOR_COLUMNS = ("replaces", "like", "from", "share")
REPLACES, LIKE, FROM, SHARE = SUCCESSOR_COLUMNS
NO_ROW = "'%s', which starts on %s, has no row of its own"
LEAST_SHARE = 0.001  # and its inverse is the largest


def read_successors(source: Any, schema: Schema) -> tuple[Succession, ...]:
    """Read the rows of a table, a frame or a file, each after those that its past rests on.

    Id columns name the series that starts, `replaces` or `like` the other one, by its ids joined
    with slashes. `from` is the first day of the series. `share` multiplies what is lent; if blank,
    it is 1, or what other rows leave of a replaced series. Without a table, or rows, there are no
    successors.
    """
    if source is None or isinstance(source, tuple):  # those of an earlier fit
        return source or ()
    table = side_table(source, "successors")
    if table is None:
        return ()
    refuse_others(table, schema, SUCCESSOR_COLUMNS, "successors")
    require_columns(table, (*schema.ids, FROM))
    texts = dict.fromkeys(SUCCESSOR_COLUMNS, [""] * len(table))
    texts |= {name: cell_texts(table, name) for name in table.names}
    days = parse_days(table, FROM, schema, may_be_blank=False)
    shares, totals = _shares(table, np.array(texts[REPLACES]))
    rows: list[Succession] = []
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for number, day in enumerate(days):
        replaced = texts[REPLACES][number]
        like = texts[LIKE][number]
        row = Succession(
            ids=tuple(texts[name][number] for name in schema.ids),
            of=replaced or like,
            replaces=bool(replaced),
            day=day,
            share=shares[number],
        )
        alike = [other for other in rows if other.ids == row.ids]
        problem = ""
        if row.replaces == bool(like):
            problem = f"a row has either {REPLACES} or {LIKE}"
        elif replaced and totals[number] > 1 + 1e-6:  # as shares have few digits
            problem = f"the shares of '{replaced}' add up to {totals[number]:g}, which is above 1"
        elif not LEAST_SHARE <= row.share <= 1 / LEAST_SHARE:
            problem = (
                f"a share is a number from {LEAST_SHARE:g} to {1 / LEAST_SHARE:g}, and this "
                f"one is {row.share:g}"
            )
        elif any(other.of == row.of or other.day != day for other in alike):
            problem = "an earlier row has the same two series, or another date"
        if problem:
            raise BadData(f"'{row.name}': {problem}", place=table.place(number))
        sorter.add(row.name, row.of)
        rows.append(row)
    try:
        names = list(sorter.static_order())
    except CycleError as error:
        raise BadData(
            f"a series cannot start with its own past: {' -> '.join(error.args[1])}",
            place=table.name,
            cure="take one of these rows out",
        ) from None
    return tuple(sorted(rows, key=lambda row: (names.index(row.name), row.ids)))


def _shares(table: Table, replaced: NDArray[np.str_]) -> tuple[Numbers, Numbers]:
    """The share of each row, and the sum of those given of the series that it replaces, [rows].

    Rows without a share have the same part each of what is left of that series.
    """
    shares = np.full(len(table), np.nan)
    if SHARE in table.names:
        shares = parse_numbers(table, SHARE)
    blank = np.isnan(shares)
    _, old = np.unique(replaced, return_inverse=True)
    totals = np.bincount(old, np.where(blank, 0.0, shares))[old].astype(float)
    left = (1 - totals) / np.maximum(np.bincount(old, blank)[old], 1)
    return np.where(blank, np.where(replaced == "", 1.0, left), shares), totals


def lend_histories(panel: Panel, schema: Schema, table: str) -> Panel:
    """Return a panel in which series start with the past of others.

    A series that others have replaced by the next step is left out, unless these have no row by
    then. If this is still to come, both have forecasts: 0 after the end of the one, and before the
    start of the other. Raises BadData if the table lacks what is to be lent.
    """
    if not schema.successions:
        return panel
    first = int(panel.starts.min())
    now = panel.origin + 1
    steps = np.arange(first, now + panel.ahead)
    last_days = day_spans(build_calendar(schema), steps)[1]
    panel = replace(panel, shut=np.zeros(len(panel.values), bool))
    number = {ids: series for series, ids in enumerate(panel.ids)}
    named = _by_joined_name([*panel.ids, *(row.ids for row in schema.successions)])
    new: dict[Id, Panel] = {}

    def find(ids: Id) -> Panel | None:
        if ids in new or ids not in number:
            return new.get(ids)
        return panel.select(np.array([number[ids]]))

    def lender(row: Succession) -> Id:
        found = named.get(row.of, [(row.of,)])
        _refuse_collision(row, len(found), table)
        return found[0]

    ends: dict[Id, tuple[Panel, int]] = {}  # the series that are replaced, and where they end
    for ids, group in groupby(schema.successions, attrgetter("ids")):
        rows = list(group)
        lenders = list(map(lender, rows))
        day = rows[0].day.toordinal() - EPOCH_DAY
        begin = first + int(np.searchsorted(last_days, day))
        own = find(ids)
        if begin == first and own is not None and find(lenders[0]) is None:
            continue  # nothing is lent any more
        parts = []
        replaced = {}
        for row, old_ids in zip(rows, lenders, strict=True):
            other = find(old_ids)
            if other is None or other.starts[0] >= begin:
                raise _nothing_to_lend(row, table)
            parts.append(replace(other, values=other.values * row.share))
            if row.replaces:
                replaced[old_ids] = other, begin
        if begin < now and own is None:
            _warn_of_absence(rows[0], replaced, table)
            if replaced:
                continue
        ends |= replaced
        if begin in steps:  # else it starts after the horizon
            new[ids] = _start_series(ids, parts, own, begin)

    return _end_series(panel, new, ends, table)


def _by_joined_name(every_ids: list[Id]) -> dict[str, list[Id]]:
    named: dict[str, list[Id]] = {}
    for ids in dict.fromkeys(every_ids):
        named.setdefault("/".join(ids), []).append(ids)
    return named


def _end_series(
    panel: Panel, new: dict[Id, Panel], ends: dict[Id, tuple[Panel, int]], table: str
) -> Panel:
    """Add the series that start, and leave those out that are replaced by the next step."""
    new = dict(new)
    now = panel.origin + 1
    over = {ids for ids, (_, begin) in ends.items() if begin <= now}
    for ids, (old, begin) in ends.items():
        is_over = ~old.before(begin - old.starts)
        new[ids] = replace(old, shut=is_over | np.asarray(old.shut))
        if count := (old.observed & is_over).sum():
            log.warning(
                "%s: %d values of '%s' are left out, as another series replaces it",
                table,
                count,
                "/".join(ids),
            )
    whole = join_panels([panel, *new.values()])
    # the newest of several series with the same ids
    number = {ids: series for series, ids in enumerate(whole.ids) if ids not in over}
    return whole.select(np.array([number[ids] for ids in sorted(number)]))


def _refuse_collision(row: Succession, count: int, table: str) -> None:
    """Refuse the joined name of several series."""
    if count > 1:
        raise BadData(
            f"'{row.of}' is the name of {count} series, as ids hold slashes",
            place=table,
            setting=Setting("successors"),
            cure="write another character in the place of the slashes within ids",
        )


def _nothing_to_lend(row: Succession, table: str) -> BadData:
    return BadData(
        f"no row of '{row.of}' lies before {row.day}, when '{row.name}' starts",
        place=table,
        setting=Setting("successors"),
        cure="correct the name or the date, or keep such rows in the table",
    )


def _warn_of_absence(row: Succession, replaced: Iterable[Id], table: str) -> None:
    """Warn of a series that should have started, and of those that go on in its place."""
    names = ", ".join(map("/".join, replaced))
    kept = f"{names} goes on; " if names else ""
    log.warning("%s: " + NO_ROW + "; %scheck its name", table, row.name, row.day, kept)


def refuse_absent(panel: Panel, schema: Schema, table: str) -> None:
    """Refuse series that should have replaced others of a panel by now, and have no row."""
    over = {row.of for row in schema.successions}
    for row in schema.successions:
        _, last_days = day_spans(build_calendar(schema), np.array([panel.origin]))
        is_due = row.day.toordinal() - EPOCH_DAY <= last_days[0]
        is_unseen = row.ids not in panel.ids and row.name not in over
        if row.replaces and is_due and is_unseen:
            names = list(map("/".join, panel.ids))
            raise BadData(
                NO_ROW % (row.name, row.day) + did_you_mean(row.name, names),
                place=table,
                setting=Setting("successors"),
                cure="correct the name or the date, or add its row, which may be blank",
            )


def _start_series(ids: Names, parts: list[Panel], own: Panel | None, begin: int) -> Panel:
    """A series that has the sum of others before position `begin`, and then values of its own."""
    lent = sum_series(join_panels(parts), ids, np.arange(len(parts)))
    is_lent = lent.before(begin - lent.starts)
    lent = replace(
        lent,
        values=np.where(is_lent, lent.values, 0.0),
        observed=lent.observed & is_lent,
        past=np.where(is_lent[:, None], lent.past, np.nan),
        static=parts[0].static,
        status=(),
        shut=is_lent & ~lent.before(lent.lengths),
    )
    if own is None:
        return lent
    slots = np.arange(len(lent.values))  # its steps from its start on; both end together
    first_own = max(begin, own.starts[0]) - lent.starts[0]
    slots[first_own:] += len(own.values)
    cells = join_panels([lent, own]).take_arrays(BY_SLOT, slots)
    return replace(lent, static=own.static, **cells)


def likely_successors(panel: Panel, schema: Schema) -> list[dict[str, str]]:
    """Return rows of a table of successors: series that start where one beside them has ended.

    The start of a series lies within a season of the last value of the other one. They differ in
    one id column, or have the same static columns.
    """
    if schema.successions or not schema.dated:
        return []
    rows = []
    ids = np.array(panel.ids)  # [series, columns]
    ends = panel.origins - panel.trailing_gap()
    first_days, _ = day_spans(build_calendar(schema), panel.starts)
    days = first_days.astype("datetime64[D]").astype(str)
    for series in np.flatnonzero(panel.starts > panel.starts.min()):
        is_near = np.abs(panel.starts[series] - ends) <= schema.shortest_season
        is_like = (ids != ids[series]).sum(1) == 1
        if schema.static:
            is_like |= (panel.static == panel.static[series]).all(1)
        has_ended = ends < panel.origins
        for other in np.flatnonzero(is_near & is_like & has_ended)[:1]:
            row = dict(zip(schema.ids, ids[series], strict=True))
            rows.append(row | {REPLACES: "/".join(ids[other]), FROM: days[series]})
    return rows
