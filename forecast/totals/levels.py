"""What is summed: over which groups of series, and over which periods."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

import numpy as np

from forecast.errors import Setting, UsageError, Words, did_you_mean
from forecast.panel.hierarchy import ALL as ALL
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import Every, SumSettings
from forecast.tables.writing import refuse_clash
from forecast.totals.periods import check_period

SERIES = "series"  # each series alone
STEP = "step"  # no sum over time

PERIODS: tuple[Every, ...] = get_args(Every)

Key = tuple[str, ...]


@dataclass(frozen=True)
class Level:
    by: tuple[str, ...]  # columns whose values name a group; none for all series together
    group: str  # how the user calls the groups
    every: Every | None  # period, None for each step

    @property
    def name(self) -> str:
        """What the column `level` contains: ``region/month``."""
        return self.group if self.every is None else f"{self.group}/{self.every}"


def levels_of(settings: SumSettings, schema: Schema) -> list[Level]:
    """All pairs of groups and periods that are asked for."""
    groups = dict[tuple[str, ...], str]()
    for name in settings.sum_by or (SERIES,):
        by = _columns(name, schema)
        groups.setdefault(by, name if name in (ALL, SERIES) else ",".join(by))
    found = [Level(by, name, every) for (by, name), every in product(groups.items(), _periods(settings, schema))]
    for level in found:
        if level.every is None and set(schema.ids) <= set(level.by):
            cure = "leave out an id column, or name a period"
            problem = "each group would be one series, and nothing is summed"
            raise UsageError(problem, setting=Setting("sum_by", level.group), cure=cure)
    return found


def checked_levels(settings: SumSettings, schema: Schema, columns: Sequence[str]) -> list[Level]:
    """`levels_of` a table of sums that has some `columns` beside levels, ids and times; none may have two meanings."""
    levels = levels_of(settings, schema)
    refuse_clash(key_columns(levels, schema) + schema.time, ["level", *columns], "sums")
    return levels


def _periods(settings: SumSettings, schema: Schema) -> tuple[Every | None, ...]:
    """The periods that a user names, each once; None for each step alone."""
    for every in settings.sum_every:
        check_period(schema, every)
    if not settings.sum_every and not schema.dated:
        problem = "the rows have no dates, and each series its own end"
        raise UsageError(problem, setting=Setting("sum_by"), cure=Words("add ", Setting("sum_every", "horizon")))
    return tuple(dict.fromkeys(settings.sum_every)) or (None,)


def _columns(name: str, schema: Schema) -> tuple[str, ...]:
    """The columns that a user names, in the order of the table."""
    if name in (ALL, SERIES) and name not in schema.ids:
        return () if name == ALL else schema.ids
    known = (*schema.ids, *schema.static)
    parts = [part.strip() for part in name.split(",")]
    for part in parts:
        if part not in known:
            hint = did_you_mean(part, list(known)) or (f"; there are {', '.join(known)}, and {ALL}" if known else "")
            cure = Words("name all id columns where it is one, such as ", Setting("id", ",".join((part, *schema.ids))))
            problem = f"'{part}' is no id column and no static one{hint}"
            raise UsageError(problem, setting=Setting("sum_by", name), cure=cure)
    return tuple(column for column in known if column in parts)


def key_columns(levels: list[Level], schema: Schema) -> tuple[str, ...]:
    """The columns of a table of sums that name groups: all id columns, and static ones by which something is summed."""
    return schema.ids + tuple(name for name in schema.static if any(name in level.by for level in levels))


def keys_of(panel: Panel, schema: Schema, series: np.ndarray, by: tuple[str, ...]) -> Iterator[Key]:
    """The group that each series belongs to: its values of the columns `by`."""
    columns = [_texts(panel, schema, name) for name in by]
    for number in series.tolist():
        yield tuple(column[number] for column in columns)


def _texts(panel: Panel, schema: Schema, name: str) -> list[str]:
    """The values of an id or static column, [series], '' where blank."""
    if name in schema.ids:
        column = schema.ids.index(name)
        return [ids[column] for ids in panel.ids]
    values, words = panel.static[:, schema.static.index(name)].tolist(), schema.categories.get(name)
    if words is None:
        return ["" if value != value else f"{value:.15g}" for value in values]
    return [words[int(value) - 1] if value >= 1 else "" for value in values]
