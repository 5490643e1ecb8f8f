"""Groups of series: those with the same values of id and static columns."""

from collections.abc import Iterable, Iterator

import numpy as np

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema

ALL = "all"  # names the grand total; if a column is called so, write it in capitals
EACH_SERIES = "series"  # the grouping in which each series is a group
Key = tuple[str, ...]


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
            cure = f"fit with all id columns where it is one, such as {ids}"
            problem = f"'{column}' is no id column and no static one{hint}"
            raise UsageError(problem, setting=setting, cure=cure)
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
