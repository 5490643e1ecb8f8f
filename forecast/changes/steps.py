"""The arithmetic of a change of forecasts: a part for each step, by cells, groups of them and sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.settings import SumSettings
from forecast.totals.periods import key_columns, keys_of, levels_of, period_keys

REPLAYED, SERIES, HISTORY, ACTUALS, KNOWN = "replayed", "series", "revised history", "new actuals", "known columns"
EVENTS, REFIT, BOUNDS = "events", "refit", "bounds and rounding"
INTERVALS, FALLBACK, REST = "interval corrections", "fallback", "not reproduced"  # the first never change a point
STEPS = (SERIES, HISTORY, ACTUALS, KNOWN, EVENTS, REFIT, BOUNDS, INTERVALS, FALLBACK, REST)
"""In the order in which they are taken. The first is what series add to sums that are new, or take that are gone."""


@dataclass(frozen=True)
class Changes:
    """How forecasts that a run published changed to those of a later run, at the times that both have."""

    ids: Ids
    series: Integers  # [cells], indices into `ids`
    times: Integers  # [cells], timestamps
    old: Numbers  # [cells], 0 of a new series
    new: Numbers  # [cells], 0 of a series that is gone
    both: Flags  # [cells], whether the series is neither
    parts: Numbers  # [STEPS, cells], which add up to the change

    @property
    def size(self) -> float | None:
        """The change from one cycle to the next: sum |new - old| over sum |old|; None where that is 0."""
        return self._share((self.new - self.old)[self.both])

    def steps(self) -> list[dict[str, Any]]:
        """Each step: by how much it changed the sum of all, and sum |part| over what `size` is a share of."""
        rows = zip(STEPS, self.parts.sum(1).tolist(), map(self._share, self.parts), strict=True)
        return [{"step": name, "change": total, "size": size} for name, total, size in rows if name != REST or size]

    def rows(self, names: list[dict[str, Any]], groups: Integers) -> list[dict[str, Any]]:
        """Named sums over `groups` [cells], indices into the names: old, new, change, |new - old|, and the steps."""
        whole = self.old, self.new, self.new - self.old, np.abs(self.new - self.old)
        sums = np.stack([np.bincount(groups, numbers, len(names)) for numbers in (*whole, *self.parts)], 1).tolist()
        heads = ("old", "new", "change", "moved")
        found = (
            dict(zip(heads, row, strict=False)) | {"steps": dict(zip(STEPS, row[4:], strict=True))} for row in sums
        )
        return [{**name, **row} for name, row in zip(names, found, strict=True)]

    def _share(self, moved: Numbers) -> float | None:
        whole = float(np.abs(self.old)[self.both].sum())
        return float(np.abs(moved).sum()) / whole if whole else None


def parted(old: Numbers, new: Numbers, both: Flags, points: Mapping[str, Numbers], fallback: Flags) -> Numbers:
    """[STEPS, cells], the change by each step, from the `points` after it of the cells that `both` have."""
    parts = np.zeros((len(STEPS), len(old)))
    parts[0, ~both] = (new - old)[~both]
    first = last = points.get(REPLAYED, old[both])
    for name in (name for name in STEPS if name in points):
        parts[STEPS.index(name), both] = points[name] - last
        last = points[name]
    parts[-1, both] = (first - old[both]) + (new[both] - last)
    parts[STEPS.index(FALLBACK), fallback] = parts[-1, fallback]
    parts[-1, fallback] = 0.0
    return parts


def rows_of_sums(changes: Changes, settings: SumSettings, schema: Schema, panels: Sequence[Panel]) -> Any:
    """Rows by level, ids and first time; static columns are of the last panel with a series; errors of `levels_of`."""
    rows, levels, calendar = list[dict[str, Any]](), levels_of(settings, schema), calendar_of(schema)
    times, place = np.unique(changes.times, return_inverse=True)
    positions = calendar.positions(times)
    for level in levels:
        named, every = (dict(zip(schema.ids, ids, strict=True)) for ids in changes.ids), level.every
        keys = {ids: tuple(name.get(by, "") for by in level.by) for ids, name in zip(changes.ids, named, strict=True)}
        for panel in panels:
            keys |= dict(zip(panel.ids, keys_of(panel, schema, np.arange(len(panel)), level.by), strict=True))
        period = positions if every is None else 0 * positions
        if every not in (None, "horizon"):
            period = period_keys(calendar, positions, every)
        _, first, period = np.unique(period, return_index=True, return_inverse=True)
        pairs = [(keys[changes.ids[i]], at) for i, at in zip(changes.series, period[place].tolist(), strict=True)]
        numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
        texts, names = position_texts(schema, calendar, positions[first]), list[dict[str, Any]]()
        for key, at in numbers:
            ids = dict.fromkeys(key_columns(levels, schema), "") | dict(zip(level.by, key, strict=True))
            names.append({"level": level.name, **ids, "time": texts[at]})
        rows += changes.rows(names, np.array([numbers[pair] for pair in pairs], np.int64))
    return rows
