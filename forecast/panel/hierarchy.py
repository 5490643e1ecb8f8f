"""Group series by their id and static columns, and add the sums of groups to a panel."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from forecast.errors import BadData, Setting, UsageError, did_you_mean
from forecast.panel.panel import (
    BEFORE_ALL_ORIGINS,
    SUM,
    Integers,
    Numbers,
    Panel,
    Vintages,
    join_panels,
    join_vintages,
    running_sums,
    runs,
)
from forecast.panel.schema import Names, Schema
from forecast.tables.table import Flags

MOST_SUMS = 2000  # the cost of a forecast grows with the cube of the number of sums

Levels = tuple[Names, ...]
ALL = "all"  # names the grand total; if a column is called so, write it in capitals
EACH_SERIES = "series"  # the grouping in which each series is a group
Key = tuple[str, ...]


def hierarchy_levels(given: Names, schema: Schema) -> Levels:
    """Return the id columns of each level of sums that a user names, and of the grand total."""
    ids = schema.ids
    if not schema.dated:
        raise UsageError(
            "rows without dates have no sums", setting=Setting("hierarchy"), cure="leave it out"
        )
    levels: list[Names] = [()]
    for text in given:
        setting = Setting("hierarchy", text)
        names = find_columns(text, schema, setting)
        if not set(names) < set(ids):
            raise UsageError("nothing is summed", setting=setting, cure="name some id columns")
        levels.append(names)
    return tuple(dict.fromkeys(levels))


def append_sums(panel: Panel, ids: Names, levels: Levels) -> Panel:
    """Append the sums of each level to the series of a panel.

    The id of a sum is blank in the columns that are summed over. A cell of a sum is observed if all
    its series are observed there that have begun and have not ended. Covariates of a sum are means.
    Raises `BadData` if a series has a blank id, as it would be taken for a sum, and `UsageError` if
    there are too many sums.
    """
    if SUM in panel.status or not levels:
        return panel
    if any("" in names for names in panel.ids):
        raise BadData("a series has a blank id, as sums would have", cure="fill it in")
    members: dict[Names, list[int]] = {}
    for level in levels:
        kept = [name in level for name in ids]
        for series, names in enumerate(panel.ids):
            if not panel.status or panel.status[series] != "missing":
                key = tuple(name if keep else "" for name, keep in zip(names, kept, strict=True))
                members.setdefault(key, []).append(series)
    if len(members) > MOST_SUMS:
        raise UsageError(
            f"{len(members):,} sums are more than {MOST_SUMS:,}",
            setting=Setting("hierarchy"),
            cure="name coarser levels",
        )
    sums = [sum_series(panel, key, np.array(series)) for key, series in members.items()]
    return join_panels([panel, *sums])


def find_members(panel: Panel) -> tuple[Integers, Flags]:
    """Return the sums among the series of a panel, and the members of each, [sums, series]."""
    is_sum = np.array(panel.status) == SUM
    sums = np.flatnonzero(is_sum)
    members = np.tile(~is_sum, (len(sums), 1))
    for names in zip(*panel.ids, strict=True):
        column = np.array(names, object)
        of_sums = column[sums, None]
        members &= (of_sums == "") | (of_sums == column)
    return sums, members


def sum_series(panel: Panel, ids: Names, members: Integers) -> Panel:
    """Sum some series of a panel into a panel of one series; all must end at the same time.

    In a panel without statuses, series may have ended before.
    """
    starts = panel.starts[members]
    sizes = panel.sizes[members]
    start = int(starts.min())
    size = int((starts + sizes).max()) - start
    _, slots = runs(panel.offsets[members], sizes)
    steps = panel.positions[slots]
    cell = steps + np.repeat(starts - start, sizes)  # [slots], the slot of the sum
    status = np.array(panel.status or ["ended"] * len(panel))
    ended = status[members] == "ended"
    last = panel.lengths[members]
    last[ended] -= panel.trailing_gap()[members][ended]
    is_over = steps >= np.repeat(last, sizes)
    seen = panel.observed[slots]
    seen_cell = cell[seen]
    values = np.bincount(seen_cell, panel.values[slots][seen], size)
    counts = np.bincount(seen_cell, minlength=size)
    unknown = np.bincount(cell[~seen & ~is_over], minlength=size)
    observed = (unknown == 0) & (counts > 0)
    lowest = panel.lowest
    if lowest is not None:
        lowest = lowest[members].sum(keepdims=True)
    vintages = panel.vintages
    if vintages is not None:
        cell_of_slot = np.full(len(panel.known), -1)
        cell_of_slot[slots] = cell
        vintages = _mean_vintages(panel.known, vintages, cell_of_slot)
    return replace(
        panel,
        ids=(ids,),
        # those of its first member, as most holidays are those of all regions of a country
        regions=panel.regions[members[0] : members[0] + 1],
        order=np.zeros(1, np.int64),
        offsets=np.array([0, size]),
        starts=np.array([start]),
        values=np.where(observed, values, 0.0),
        observed=observed,
        known=_means(panel.known[slots], cell, size),
        past=_means(panel.past[slots], cell, size),
        static=np.full((1, panel.static.shape[1]), np.nan),
        status=(SUM,),
        spread=None,
        shut=np.zeros(size, bool),
        lowest=lowest,
        counted=None if panel.counted is None else np.array([False]),
        vintages=vintages,
    )


def _means(values: Numbers, cell: Integers, size: int) -> Numbers:
    """Average columns [slots, columns] by cell, [size, columns]; NaN if all values are blank."""
    means = np.full((size, values.shape[1]), np.nan)
    for number, column in enumerate(values.T):
        seen = ~np.isnan(column)
        counts = np.bincount(cell[seen], minlength=size)
        totals = np.bincount(cell[seen], column[seen], size)
        used = counts > 0
        means[used, number] = totals[used] / counts[used]
    return means


def _mean_vintages(known: Numbers, vintages: Vintages, cell_of_slot: Integers) -> Vintages:
    """Average columns known in advance [slots, columns] by cell, and return vintages of the means.

    A mean gets a new vintage whenever one of its values does. `cell_of_slot` is -1 for slots that
    belong to no cell.
    """
    slot, column = np.nonzero(~np.isnan(vintages.blank_vintages(known)))
    available = np.full(len(slot), BEFORE_ALL_ORIGINS)
    always = Vintages(slot, column, available, known[slot, column])
    every = join_vintages([vintages, always])
    steps = np.diff([every.slot, every.column], prepend=-1)
    is_first = np.any(steps, axis=0)
    before = np.roll(every.value, 1)
    before[is_first] = 0.0
    means = replace(every, slot=cell_of_slot[every.slot])
    group = means.slot * known.shape[1] + means.column
    changing = np.isin(group, group[: len(vintages)])  # of other cells all was always known
    changing &= means.slot >= 0
    order = np.flatnonzero(changing)
    order = order[np.lexsort((every.available[order], group[order]))]
    group = group[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    edges = np.append(starts, len(group))
    change = every.value - before
    totals = running_sums(change[order], edges)
    counts = running_sums(is_first[order].astype(np.float64), edges)
    return replace(means.where(order), value=totals / counts).newest()


def find_columns(name: str, schema: Schema, setting: Setting) -> Key:
    """The id and static columns that a `setting` names, comma-separated; all ids for `series`."""
    word = name.lower()
    if word in (ALL, EACH_SERIES) and name not in schema.ids:
        return () if word == ALL else schema.ids
    grouping = (*schema.ids, *schema.static)
    columns = [column.strip() for column in name.split(",")]
    for column in columns:
        if column in (ALL, EACH_SERIES) and column not in grouping:
            problem = f"'{column}' is no column, and stands alone"
            raise UsageError(problem, setting=setting, cure=f"name '{column}' without others")
        if column not in grouping:
            names = [*grouping, ALL]
            hint = did_you_mean(column, names) or f"; there are {', '.join(names)}"
            ids = Setting("id", ",".join((column, *schema.ids)))
            problem = f"'{column}' is no id column and no static one{hint}"
            raise UsageError(
                problem,
                setting=setting,
                cure=f"fit with all id columns where it is one, such as {ids}",
            )
    return tuple(column for column in grouping if column in columns)


def iterate_keys(
    panel: Panel, schema: Schema, by: Key, series: Integers | slice = slice(None)
) -> Iterator[Key]:
    """The group key of each series: its values of the columns `by`, '' if blank."""
    columns = [_texts(panel, schema, name) for name in by]
    for number in np.arange(len(panel))[series].tolist():
        yield tuple(column[number] for column in columns)


def _texts(panel: Panel, schema: Schema, name: str) -> list[str]:
    if name in schema.ids:
        column = schema.ids.index(name)
        return [ids[column] for ids in panel.ids]
    values = panel.static[:, schema.static.index(name)].tolist()
    words = schema.categories.get(name)
    if words is None:
        return ["" if value != value else f"{value:.15g}" for value in values]
    return [words[int(value) - 1] if value >= 1 else "" for value in values]


def rows_of_keys(keys: Iterable[Key]) -> dict[Key, list[int]]:
    """The rows that have each key, from the key of each row."""
    rows = dict[Key, list[int]]()
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows
