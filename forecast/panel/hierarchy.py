"""Sums of series as further series of a panel, so that forecasts of both can be made to agree."""

from dataclasses import replace

import numpy as np

from forecast.errors import BadData, Setting, UsageError, Words, did_you_mean
from forecast.panel.panel import (
    ALWAYS,
    SUM,
    Numbers,
    Panel,
    Vintages,
    joined,
    running_sums,
    runs,
    stacked,
)
from forecast.panel.schema import Schema
from forecast.tables.table import Flags, Integers

ALL = "all"  # the sum of all series alone; in capitals where a column has that name
MOST_SUMS = (
    2000  # series that are sums, as the cost of a forecast grows with the cube of their number
)

Levels = tuple[tuple[str, ...], ...]


def hierarchy_levels(given: tuple[str, ...], schema: Schema) -> Levels:
    """The id columns of each level of sums that a user names, the grand total with them."""
    ids = schema.ids
    if not schema.dated:
        raise UsageError(
            "rows without dates have no sums", setting=Setting("hierarchy"), cure="leave it out"
        )
    levels: list[tuple[str, ...]] = [()]
    for text in given:
        if text.lower() == ALL and text not in ids:
            continue
        names = tuple(part.strip() for part in text.split(","))
        for name in names:
            if name not in ids:
                problem = f"'{name}' is no id column{did_you_mean(name, list(ids)) or '; there are ' + ', '.join(ids)}"
                cure = Words("name all id columns, such as ", Setting("id", ",".join((name, *ids))))
                raise UsageError(problem, setting=Setting("hierarchy", text), cure=cure)
        if set(names) >= set(ids):
            raise UsageError(
                "nothing is summed",
                setting=Setting("hierarchy", text),
                cure="leave out an id column",
            )
        levels.append(tuple(name for name in ids if name in names))
    return tuple(dict.fromkeys(levels))


def with_sums(panel: Panel, ids: tuple[str, ...], levels: Levels) -> Panel:
    """The panel, and after its series the sums of each level; their ids are blank where they are summed over.

    A sum_slot is observed where all its series are that have begun and have not ended. Covariates are means. Raises
    `BadData` for series with a blank id, which would be taken for sums, and `UsageError` for too many sums.
    """
    if SUM in panel.status or not levels:
        return panel
    if any("" in names for names in panel.ids):
        raise BadData("a series has a blank id, as sums would have", cure="fill it in")
    groups: dict[tuple[str, ...], list[int]] = {}
    for level in levels:
        kept = [name in level for name in ids]
        for series, names in enumerate(panel.ids):
            if not panel.status or panel.status[series] != "missing":
                key = tuple(name if keep else "" for name, keep in zip(names, kept, strict=True))
                groups.setdefault(key, []).append(series)
    if len(groups) > MOST_SUMS:
        problem = f"{len(groups):,} sums are more than {MOST_SUMS:,}"
        raise UsageError(problem, setting=Setting("hierarchy"), cure="name coarser levels")
    return stacked(
        [panel, *(_sum(panel, key, np.array(members)) for key, members in groups.items())]
    )


def members_of(panel: Panel) -> tuple[Integers, Flags]:
    """The sums among the series of a panel, and which series each adds up, [sums, series]."""
    sums = np.flatnonzero(np.array(panel.status) == SUM)
    columns = [np.array(names, object) for names in zip(*panel.ids, strict=True)]
    alone = np.array(panel.status) != SUM
    found = np.zeros((len(sums), len(panel)), bool)
    for row, number in enumerate(sums):
        same = (
            column == name for column, name in zip(columns, panel.ids[number], strict=True) if name
        )
        found[row] = np.logical_and.reduce([alone, *same])
    return sums, found


def _sum(panel: Panel, ids: tuple[str, ...], members: Integers) -> Panel:
    """A panel of one series, the sum of some of another panel that all end at the same time."""
    start = int(panel.starts[members].min())
    size = int((panel.starts + panel.lengths)[members].max()) - start + panel.ahead
    sizes = np.diff(panel.offsets)[members]
    slots = runs(panel.offsets[members], sizes)[1]
    sum_slot = np.repeat(panel.starts[members] - start, sizes) + panel.positions[slots]
    ended = np.array(panel.status)[members] == "ended"
    last = np.where(ended, (panel.lengths - panel.trailing_gap())[members], panel.lengths[members])
    over = panel.positions[slots] >= np.repeat(last, sizes)
    seen = panel.observed[slots]
    values = np.bincount(sum_slot, np.where(seen, panel.values[slots], 0.0), size)
    unknown = np.bincount(sum_slot, ~seen & ~over, size) > 0
    observed = ~unknown & (np.bincount(sum_slot, seen, size) > 0)

    def means(table: Numbers) -> Numbers:
        """Columns of slots [slots, columns] as means of the members, [size, columns]; NaN where all are blank."""
        parts = [np.zeros((size, 0))]
        for column in table[slots].T:
            count = np.bincount(sum_slot, ~np.isnan(column), size)
            total = np.bincount(sum_slot, np.nan_to_num(column), size)
            parts.append(np.where(count > 0, total / np.maximum(count, 1), np.nan)[:, None])
        return np.concatenate(parts, 1)

    return replace(
        panel,
        ids=(ids,),
        order=np.zeros(1, np.int64),
        offsets=np.array([0, size]),
        starts=np.array([start]),
        values=np.where(observed, values, 0.0),
        observed=observed,
        known=means(panel.known),
        past=means(panel.past),
        static=np.full((1, panel.static.shape[1]), np.nan),
        status=(SUM,),
        spread=None,
        lowest=None if panel.lowest is None else np.array([panel.lowest[members].sum()]),
        counted=None if panel.counted is None else np.array([False]),
        vintages=None
        if panel.vintages is None
        else _mean_vintages(panel, panel.vintages, slots, sum_slot),
    )


def _mean_vintages(
    panel: Panel, vintages: Vintages, slots: Integers, sum_slot: Integers
) -> Vintages:
    """Means of known columns over the slots of each sum_slot, as they became known one after another."""
    slot, column = np.nonzero(~np.isnan(vintages.blanked(panel.known)))
    always = Vintages(slot, column, np.full(len(slot), ALWAYS), panel.known[slot, column])
    every, sum_slot_of = joined([vintages, always]), np.full(len(panel.known), -1)
    sum_slot_of[slots] = sum_slot
    first = np.diff(every.slot, prepend=-1).astype(bool) | np.diff(every.column, prepend=-1).astype(
        bool
    )
    change = every.value - np.where(first, 0.0, np.roll(every.value, 1))
    sum_slot = sum_slot_of[every.slot]
    key = sum_slot * panel.known.shape[1] + every.column
    listed = np.isin(
        key, key[: len(vintages)]
    )  # the others of a sum_slot whose values all were known always
    order = np.lexsort((every.available, key))
    order = order[((sum_slot >= 0) & listed)[order]]
    key, available = key[order], every.available[order]
    groups = np.append(np.flatnonzero(np.diff(key, prepend=-1)), len(key))
    total, count = (
        running_sums(part[order], groups) for part in (change, first.astype(np.float64))
    )
    newest = np.append((np.diff(key) != 0) | (np.diff(available) != 0), True)[: len(key)]
    means = Vintages(sum_slot[order], every.column[order], available, total / count)
    return means.where(newest)
