"""Many series as one flat array plus offsets, a mask of observed values, and covariates beside."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

ALWAYS = -(2**62)  # in the place of an origin: the value was known at all of them
Id = tuple[str, ...]
"""The id of a series, one text for each id column."""
Ids = tuple[Id, ...]
ARRAYS = ("order", "offsets", "starts", "values", "observed", "known", "past", "static")
"""The arrays that every panel has."""
BY_SLOT = ("values", "observed", "known", "past", "spread", "vintages")
BY_SERIES = ("starts", "static", "lowest", "counted")
SUM = "sum"  # the status of a series that is a sum of others, see `hierarchy`
SKIPPED = ("ended", "missing", SUM)  # the statuses of series that get no forecast of their own
VALUES_AT_ONCE = 1_000_000  # values that are laid out side by side
LARGEST_COUNT = 100  # whole numbers up to here are counts, whose intervals hold whole ones only


@dataclass(frozen=True)
class Vintages:
    """Values of cells of known columns, each from an origin on.

    They ascend by slot, column and origin, and no three of these come twice. A cell without any has
    one value at all origins.
    """

    slot: Integers  # [vintages]
    column: Integers  # index among the known columns
    available: Integers  # grid position of the first origin at which the value is known, or ALWAYS
    value: Numbers

    def __len__(self) -> int:
        return len(self.slot)

    def __getitem__(self, slots: Integers) -> "Vintages":
        """Those of ascending slots, which are numbered anew."""
        chosen = self.where(np.isin(self.slot, slots))
        return replace(chosen, slot=np.searchsorted(slots, chosen.slot))

    def where(self, chosen: Flags | Integers) -> "Vintages":
        return Vintages(*(array[chosen] for array in vars(self).values()))

    def newest(self) -> "Vintages":
        """Those in ascending order; of several of a cell and an origin, the last one."""
        keys = np.stack([self.available, self.column, self.slot])
        order = np.lexsort(keys)
        differs = np.diff(keys[:, order], append=-2)
        return self.where(order[np.any(differs, axis=0)])

    def until(self, origins: Integers) -> "Vintages":
        """Those that were known at the origins [slots]."""
        return self.where(self.available <= origins[self.slot])

    def at(self, known: Numbers, origins: Integers) -> Numbers:
        """The known columns [slots, columns] as of origins [slots], NaN where nothing was known."""
        result = self.blanked(known)
        then = self.until(origins)
        result[then.slot, then.column] = then.value  # of several the last one stays, the newest
        return result

    def blanked(self, known: Numbers) -> Numbers:
        """The known columns [slots, columns], NaN where a cell has vintages."""
        result = known.copy()
        result[self.slot, self.column] = np.nan
        return result


def joined(parts: list[Vintages]) -> Vintages:
    """Vintages one after another."""
    fields = [vars(part).values() for part in parts]
    return Vintages(*map(np.concatenate, zip(*fields, strict=True)))


@dataclass(frozen=True)
class Panel:
    """Series on one calendar grid, stored end to end.

    A *slot* is an index into the flat arrays of all series, a *position* one into the slots of its
    series, and a *grid position* a step of the calendar; `calendar` and `reading` know only the
    last, and call it position, too. Series `i` occupies the slots ``offsets[i]:offsets[i + 1]``.
    Its first slot lies at grid position ``starts[i]``, its last observed-or-masked past slot is its
    origin, and ``ahead`` more slots follow for the future, unobserved.
    """

    ids: Ids  # ascending; the order in which everything downstream sees the series
    order: Integers  # [series], those of the input in its order, as indices into `ids`
    offsets: Integers  # [series + 1]
    starts: Integers  # [series]
    ahead: int
    values: Numbers  # [slots], in the target's own unit, 0 where not observed
    observed: Flags  # [slots]
    known: (
        Numbers  # [slots, columns], NaN where blank; also of future slots, as known at the origin
    )
    past: Numbers  # [slots, columns] of covariates, NaN where blank and in the future slots
    static: Numbers  # [series, columns], NaN where blank
    # by series: ok, constant, short, new, gone; or ended, missing, sum, which get no forecast
    status: tuple[str, ...] = ()
    # [slots], `expanding_std` of whole series, where the panel is only a tail of them
    spread: Floats | None = None
    # [series], lowest value seen elsewhere: by the fit, or before the tail
    lowest: Numbers | None = None
    # [series], whether all values seen elsewhere are counts, see `counts`
    counted: Flags | None = None
    # of known columns; None where each cell has one value at all origins
    vintages: Vintages | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def first_slots(self) -> Integers:
        """[series]"""
        return self.offsets[:-1]

    @property
    def sizes(self) -> Integers:
        """[series], slots of each series, those of the future included."""
        return np.diff(self.offsets)

    @property
    def lengths(self) -> Integers:
        """[series], past slots of each series."""
        return self.sizes - self.ahead

    @property
    def origins(self) -> Integers:
        """[series], grid position of the last past slot of each series."""
        return self.starts + self.lengths - 1

    @property
    def skipped(self) -> Flags:
        """[series], whether each gets no forecast."""
        return np.isin(self.status, SKIPPED)

    def slots(self, series: int) -> slice:
        first, end = self.offsets[series : series + 2].tolist()
        return slice(first, end - self.ahead)

    @property
    def series_of_slots(self) -> Integers:
        """[slots], the series of each."""
        series = np.arange(len(self))
        return np.repeat(series, self.sizes)

    @property
    def positions(self) -> Integers:
        """[slots], the position of each in its series, from 0 on."""
        return steps_within(self.sizes)

    def before(self, limit: Integers) -> Flags:
        """[slots], whether each lies before position `limit` [series] of its series."""
        limits = np.repeat(limit, self.sizes)
        return np.asarray(self.positions < limits)

    def trailing_gap(self) -> Integers:
        """[series], past slots after the last observed value; all of them where there is none."""
        rank = np.where(self.observed, self.positions, -1)
        newest = np.maximum.reduceat(rank, self.first_slots)
        return self.lengths - 1 - newest

    @property
    def newest(self) -> int:
        """Grid position of the newest observed value of all series."""
        newest = self.origins - self.trailing_gap()
        return int(newest.max())

    def lowest_seen(self) -> Numbers:
        """[series], the lowest value of the whole past; infinite where none was observed."""
        values = np.where(self.observed, self.values, np.inf)
        seen = np.minimum.reduceat(values, self.first_slots)
        return seen if self.lowest is None else np.minimum(seen, self.lowest)

    def floor(self) -> Numbers:
        """[series], lower bound of forecasts: 0, or minus infinity where values lie below it."""
        return np.where(self.lowest_seen() >= 0, 0.0, -np.inf)

    def counts(self) -> Flags:
        """[series], whether all values are whole numbers from 0 to 100, as of rare sales."""
        whole = self.values == np.floor(self.values)
        whole &= (self.values >= 0) & (self.values <= LARGEST_COUNT)
        counts = np.logical_and.reduceat(whole | ~self.observed, self.first_slots)
        return np.asarray(counts if self.counted is None else counts & self.counted)

    def select(self, series: Integers) -> "Panel":
        """The panel of some of the series, given as ascending indices."""
        offsets, slots = runs(self.offsets[series], self.sizes[series])
        rank = np.full(len(self), -1, np.int64)
        rank[series] = np.arange(len(series))
        order = rank[self.order]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in series),
            order=order[order >= 0],
            offsets=offsets,
            status=tuple(self.status[i] for i in series) if self.status else (),
            **self._taken(BY_SLOT, slots),
            **self._taken(BY_SERIES, series),
        )

    def tail(self, steps: int | Integers) -> "Panel":
        """The last `steps` past slots of every series, or [series], and its future slots."""
        lengths = np.minimum(self.lengths, steps)
        cut = self.lengths - lengths
        offsets, slots = runs(self.first_slots + cut, lengths + self.ahead)
        arrays = self._taken(BY_SLOT, slots)
        arrays["spread"] = self.expanding_std()[slots]
        return replace(
            self,
            offsets=offsets,
            starts=self.starts + cut,
            lowest=self.lowest_seen(),
            counted=self.counts(),
            **arrays,
        )

    def until(self, origin: int | Integers) -> "Panel":
        """The panel as it stood at an earlier origin, without later values.

        The origin is the grid position of the last past slot, one for all series or [series]; a
        series that starts later is left out. Known columns stay, as known then; they cover the
        whole future if the origin is at least `ahead` slots before the end.
        """
        lengths = np.minimum(origin - self.starts + 1, self.lengths)
        begun = self.select(np.flatnonzero(lengths > 0))
        lengths = lengths[lengths > 0]
        sizes = lengths + self.ahead
        offsets, slots = runs(begun.first_slots, sizes)
        newest = np.repeat(begun.first_slots + lengths - 1, sizes)
        arrays = begun._taken(BY_SLOT, slots)
        future = slots > newest
        arrays["values"][future] = 0.0
        arrays["observed"][future] = False
        arrays["past"][future] = np.nan
        if begun.spread is not None:
            arrays["spread"] = begun.spread[np.minimum(slots, newest)]
        if begun.vintages is not None:
            vintages = arrays["vintages"]
            origins = np.repeat(begun.starts + lengths - 1, sizes)
            arrays["known"] = vintages.at(arrays["known"], origins)
            arrays["vintages"] = vintages.until(origins)
        return replace(begun, offsets=offsets, **arrays)

    def _taken(self, names: tuple[str, ...], indices: Integers) -> dict[str, Any]:
        """Elements of arrays, by name; None where the panel has none."""
        arrays = ((name, getattr(self, name)) for name in names)
        return {name: None if array is None else array[indices] for name, array in arrays}

    def expanding_std(self) -> Floats:
        """[slots], standard deviation of the values of the series up to and with each slot."""
        if self.spread is not None:
            return self.spread
        seen = self.observed
        if not len(seen):
            return np.zeros(0, np.float32)
        slot = np.where(seen, np.arange(len(seen)), len(seen) - 1)
        first = np.minimum.reduceat(slot, self.first_slots)
        base = np.repeat(self.values[first], self.sizes)
        moved = np.where(seen, self.values - base, 0.0)
        # in units of the largest, sums keep their digits, however small the values are
        size = np.maximum.reduceat(np.abs(moved), self.first_slots)
        unit = np.repeat(np.where(size > 0, size, 1.0), self.sizes)
        moved /= unit
        count = running_sums(seen.astype(np.float64), self.offsets)
        count = np.maximum(count, 1.0)
        mean = running_sums(moved, self.offsets) / count
        variance = running_sums(moved**2, self.offsets) / count - mean**2
        deviation = np.sqrt(np.maximum(variance, 0.0))
        return np.asarray(deviation * unit, np.float32)


def running_sums(values: Numbers, offsets: Integers) -> Numbers:
    """[slots], sums of values from the start of their series.

    None depends, even in its last bits, on other series.
    """
    sizes = np.diff(offsets)
    if len(sizes) and (sizes == sizes[0]).all():
        rows = values.reshape(len(sizes), -1)  # [series, steps]
        return np.cumsum(rows, 1).ravel()
    order = np.argsort(sizes, kind="stable")  # those of nearly one length together
    sums = np.empty_like(values)
    at_once = max(1, VALUES_AT_ONCE // int(sizes.max(initial=1)))
    for low in range(0, len(order), at_once):
        series = order[low : low + at_once]
        step = np.arange(sizes[series].max())
        inside = step < sizes[series, None]
        slots = np.where(inside, offsets[series, None] + step, 0)  # [series, longest]
        sums[slots[inside]] = np.cumsum(values[slots], 1)[inside]
    return sums


def series_index(fitted: Ids, ids: Ids) -> Integers:
    """The index of each of `ids` among the series of the fit, counted from 1; 0 for a new one."""
    rank = {names: number for number, names in enumerate(fitted, start=1)}
    ranks = [rank.get(names, 0) for names in ids]
    return np.array(ranks, np.int64)


def steps_within(sizes: Integers) -> Integers:
    """[slots], the position of each slot in its run, of runs of these sizes end to end."""
    if len(sizes) and (sizes == sizes[0]).all():
        return np.tile(np.arange(sizes[0]), len(sizes))
    ends = np.cumsum(sizes)
    return np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)


def runs(starts: Integers, sizes: Integers) -> tuple[Integers, Integers]:
    """Offsets of runs of slots end to end, [runs + 1], and the slots, by first slot and size."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    shifts = np.repeat(starts - offsets[:-1], sizes)
    return offsets, shifts + np.arange(offsets[-1])


def stacked(panels: list[Panel]) -> Panel:
    """Panels of the same columns and future as one; the same id may then come several times."""
    first = panels[0]
    arrays: dict[str, Any] = {}
    for name in (*BY_SLOT[:-1], *BY_SERIES):  # without vintages
        if getattr(first, name) is not None:
            arrays[name] = np.concatenate([getattr(panel, name) for panel in panels])
    order: list[Integers] = []
    offsets = [first.offsets[:1]]
    vintages: list[Vintages] = []
    series = slots = 0
    for panel in panels:
        order.append(panel.order + series)
        offsets.append(panel.offsets[1:] + slots)
        if panel.vintages is not None:
            vintages.append(replace(panel.vintages, slot=panel.vintages.slot + slots))
        series += len(panel)
        slots += int(panel.offsets[-1])
    return replace(
        first,
        ids=tuple(name for panel in panels for name in panel.ids),
        order=np.concatenate(order),
        offsets=np.concatenate(offsets),
        status=tuple(word for panel in panels for word in panel.status),
        vintages=joined(vintages) if vintages else None,
        **arrays,
    )
