"""Hold many series as one flat array and offsets, a mask of observed values, covariates and names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Annotated, Any
from unicodedata import normalize

import numpy as np

from forecast.artifacts.specs import Spec, of_values
from forecast.errors import Setting, UsageError, did_you_mean
from forecast.tables.table import Flags as Flags
from forecast.tables.table import Floats as Floats
from forecast.tables.table import Integers as Integers
from forecast.tables.table import Numbers as Numbers
from forecast.tables.writing import Column

BEFORE_ALL_ORIGINS = -(
    2**62
)  # stands for an origin before all others: the value was known at every origin
Id = tuple[str, ...]
"""The id of a series, one text for each id column."""
Ids = tuple[Id, ...]
BY_SLOT = ("values", "observed", "known", "past", "spread", "shut", "vintages")
BY_SERIES = ("starts", "static", "lowest", "counted")
SUM = "sum"  # the status of a series that is a sum of others, see `hierarchy`
SKIPPED = ("ended", "missing", SUM)  # the statuses of series that get no forecast of their own
NOISE = 1e-12  # a standard deviation below this share of the largest value is rounding error

SERIES_NAMED = 5  # the number of series that a message lists by name
MAX_NAME_LENGTH = 200  # the number of letters of a name that a message shows


@dataclass(frozen=True)
class Vintages:
    """Vintages: the values that cells of columns known in advance had at different origins.

    Each vintage says which value was known from an origin on, until a newer vintage of the same
    cell. Vintages are sorted by slot, column and origin, without duplicates of these three. A cell
    without vintages has the same value at all origins.
    """

    slot: Annotated[Integers, Spec("vintages", low=0, below="slots")]
    # index among the columns known in advance
    column: Annotated[Integers, Spec("vintages", low=0, below="known")]
    # grid position of the first origin at which the value is known, or BEFORE_ALL_ORIGINS
    available: Annotated[Integers, Spec("vintages", BEFORE_ALL_ORIGINS, -BEFORE_ALL_ORIGINS)]
    value: Annotated[Numbers, of_values("vintages")]

    def __len__(self) -> int:
        return len(self.slot)

    def __getitem__(self, slots: Integers) -> "Vintages":
        """Return the vintages of some slots, which are numbered anew from 0."""
        owner, numbers = find_entries(slots, self.slot)
        return replace(self.where(numbers), slot=owner)

    def where(self, chosen: Flags | Integers) -> "Vintages":
        return Vintages(*(array[chosen] for array in vars(self).values()))

    def newest(self) -> "Vintages":
        """Sort the vintages; of several for the same cell and origin, keep only the last."""
        keys = np.stack([self.available, self.column, self.slot])
        order = np.lexsort(keys)
        differs = np.diff(keys[:, order], append=-2)
        return self.where(order[np.any(differs, axis=0)])

    def drop_constant_cells(self) -> "Vintages":
        """Return the vintages of cells whose value was not the same at all origins."""
        cell = self.slot * (1 + self.column.max(initial=0)) + self.column
        _, first, number = np.unique(cell, return_index=True, return_inverse=True)
        oldest = first[number]
        differs = self.available[oldest] > BEFORE_ALL_ORIGINS
        differs |= self.value != self.value[oldest]
        return self.where(np.isin(number, number[differs]))

    def until(self, origins: Integers) -> "Vintages":
        """Return the vintages that were known at the origins [slots]."""
        return self.where(self.available <= origins[self.slot])

    def at(self, known: Numbers, origins: Integers) -> Numbers:
        """Return columns known in advance [slots, columns] as they were known at origins [slots].

        The result is NaN where nothing was known yet.
        """
        result = self.blank_vintages(known)
        then = self.until(origins)
        # of several vintages of a cell, the last assignment wins, which is the newest
        result[then.slot, then.column] = then.value
        return result

    def blank_vintages(self, known: Numbers) -> Numbers:
        """Return columns known in advance [slots, columns], NaN where a cell has vintages."""
        result = known.copy()
        result[self.slot, self.column] = np.nan
        return result


def join_vintages(parts: list[Vintages]) -> Vintages:
    """Concatenate vintages."""
    fields = [vars(part).values() for part in parts]
    return Vintages(*map(np.concatenate, zip(*fields, strict=True)))


@dataclass(frozen=True)
class Panel:
    """Series on one calendar grid, stored end to end.

    A *slot* is an index into the flat arrays of all series. A *position* is an index into the slots
    of one series. A *grid position* is a step of the calendar; the folder `calendar` uses
    only grid positions, and calls them positions. Series `i` has the slots
    ``offsets[i]:offsets[i + 1]``. Its first slot lies at grid position ``starts[i]``. Its last past
    slot, observed or not, is its origin. After it follow ``ahead`` unobserved slots of the future.
    """

    # ascending; the order in which everything downstream sees the series
    ids: Annotated[Ids, Spec("series")]
    # indices into `ids`, in the order in which the input has the series
    order: Annotated[Integers, Spec("series", low=0, below="series")]
    offsets: Annotated[Integers, Spec("series+1", low=0)]  # first slot of each, number of slots
    starts: Annotated[Integers, Spec("series")]  # grid position of the first slot
    ahead: int  # number of future slots of each series
    values: Annotated[Numbers, of_values("slots")]  # in the target's own unit, 0 if not observed
    observed: Annotated[Flags, Spec("slots")]
    # values known in advance, as known at the origin; here and below, NaN where blank
    known: Annotated[Numbers, of_values("slots known", nan=True)]
    past: Annotated[Numbers, of_values("slots past", nan=True)]  # NaN in future slots
    static: Annotated[Numbers, of_values("series static", nan=True)]
    # of each series: ok, constant, short, successor, like, new or gone; or ended, missing or sum,
    # which get no forecast
    status: Annotated[tuple[str, ...], Spec("series")] = ()
    # of each series: the code of the region whose holidays it has, '' for none; () if all have the
    # same
    regions: tuple[str, ...] = ()
    # the standard deviation of the values up to each slot, see `expanding_std`; set if the panel is
    # a tail of longer series, whose earlier values count, too
    spread: Annotated[Floats, of_values("slots", low=0)] | None = None
    # the lowest value that is not in the panel: one that the fit saw, or one before the tail
    lowest: Annotated[Numbers, Spec("series", -np.inf, np.inf)] | None = None
    # whether all values that are not in the panel are counts, see `is_count`
    counted: Annotated[Flags, Spec("series")] | None = None
    # of the columns known in advance; None if each cell has the same value at all origins
    vintages: Vintages | None = None
    # steps to forecast at which the series has not begun, or is over; None if there are none
    shut: Annotated[Flags, Spec("slots")] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def first_slots(self) -> Integers:
        """[series], the first slot of each series."""
        return self.offsets[:-1]

    @property
    def sizes(self) -> Integers:
        """[series], the number of slots of each series, future slots included."""
        return np.diff(self.offsets)

    @property
    def lengths(self) -> Integers:
        """[series], the number of past slots of each series."""
        return self.sizes - self.ahead

    @property
    def counts(self) -> Integers:
        """[series], the number of observed values of each series."""
        return np.add.reduceat(self.observed, self.first_slots, dtype=np.int64)

    @property
    def longest(self) -> int:
        """The number of past slots of the longest series; 1 without series."""
        return int(self.lengths.max(initial=1))

    @property
    def origins(self) -> Integers:
        """[series], the grid position of the last past slot of each series."""
        return self.starts + self.lengths - 1

    @property
    def origin(self) -> int:
        """The grid position of the last past slot of all series."""
        return int(self.origins.max())

    @property
    def skipped(self) -> Flags:
        """[series], whether the series gets no forecast."""
        return np.isin(self.status, SKIPPED)

    def slots(self, series: int) -> slice:
        first, end = self.offsets[series : series + 2].tolist()
        return slice(first, end - self.ahead)

    @property
    def series_of_slots(self) -> Integers:
        """[slots], the index of the series of each slot."""
        series = np.arange(len(self))
        return np.repeat(series, self.sizes)

    @property
    def positions(self) -> Integers:
        """[slots], the position of each slot in its series, from 0."""
        return steps_within(self.sizes)

    @property
    def grid_positions(self) -> Integers:
        """[slots], the grid position of each slot."""
        return np.repeat(self.starts, self.sizes) + self.positions

    def known_at(self, slots: Integers, origins: Integers) -> Numbers:
        """Columns known in advance of slots [slots], as they were known at origins [slots]."""
        known = self.known[slots]
        return known if self.vintages is None else self.vintages[slots].at(known, origins)

    @property
    def settled(self) -> Numbers:
        """[slots, columns], columns known in advance, as they were known at the end of each step."""
        if self.vintages is None:
            return self.known
        return self.vintages.at(self.known, self.grid_positions)

    def extremes(self, values: Numbers, counted: Flags) -> tuple[Numbers, Numbers]:
        """[series], the lowest and the highest of the counted values [slots].

        Without any these are plus and minus infinity.
        """
        low = np.where(counted, values, np.inf)
        high = np.where(counted, values, -np.inf)
        first = self.first_slots
        return np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)

    def before(self, limit: Integers) -> Flags:
        """[slots], whether the slot lies before position `limit` [series] of its series."""
        limits = np.repeat(limit, self.sizes)
        return self.positions < limits

    def trailing_gap(self) -> Integers:
        """[series], the number of past slots after the last observed value.

        It counts all past slots if no value is observed.
        """
        rank = np.where(self.observed, self.positions, -1)
        newest = np.maximum.reduceat(rank, self.first_slots)
        return self.lengths - 1 - newest

    @property
    def newest(self) -> int:
        """The grid position of the newest observed value of all series."""
        newest = self.origins - self.trailing_gap()
        return int(newest.max())

    def find_minimum(self) -> Numbers:
        """[series], the lowest value of the whole past; infinity if no value was observed."""
        values = np.where(self.observed, self.values, np.inf)
        seen = np.minimum.reduceat(values, self.first_slots)
        return seen if self.lowest is None else np.minimum(seen, self.lowest)

    def floor(self) -> Numbers:
        """[series], the lower bound of forecasts: 0, or minus infinity if a value is below 0."""
        return np.where(self.find_minimum() >= 0, 0.0, -np.inf)

    def is_count(self) -> Flags:
        """[series], whether all values are counts: whole numbers from 0 to 100."""
        whole = self.values == np.floor(self.values)
        whole &= (self.values >= 0) & (self.values <= 100)
        counts = np.logical_and.reduceat(whole | ~self.observed, self.first_slots)
        return counts if self.counted is None else counts & self.counted

    def select(self, series: Integers) -> "Panel":
        """Return the panel of some of the series, given as ascending indices."""
        offsets, slots = runs(self.offsets[series], self.sizes[series])
        rank = np.full(len(self), -1, np.int64)
        rank[series] = np.arange(len(series))
        order = rank[self.order]
        return replace(
            self,
            ids=ids_at(self, series),
            order=order[order >= 0],
            offsets=offsets,
            status=tuple(self.status[i] for i in series) if self.status else (),
            regions=tuple(self.regions[i] for i in series) if self.regions else (),
            **self.take_arrays(BY_SLOT, slots),
            **self.take_arrays(BY_SERIES, series),
        )

    def tail(self, steps: int | Integers) -> "Panel":
        """Return the last `steps` past slots of every series, and its future slots.

        `steps` is one number for all series, or [series].
        """
        lengths = np.minimum(self.lengths, steps)
        cut = self.lengths - lengths
        offsets, slots = runs(self.first_slots + cut, lengths + self.ahead)
        arrays = self.take_arrays(BY_SLOT, slots)
        arrays["spread"] = self.expanding_std()[slots]
        return replace(
            self,
            offsets=offsets,
            starts=self.starts + cut,
            lowest=self.find_minimum(),
            counted=self.is_count(),
            **arrays,
        )

    def until(self, origin: int | Integers) -> "Panel":
        """Return the panel as it was at an earlier origin, without later values.

        The origin is the grid position of the last past slot, one for all series or [series]. A
        series that starts later is left out. Columns known in advance have the values that were
        known at that origin. They cover the whole future if the origin is at least `ahead` slots
        before the end.
        """
        lengths = np.minimum(origin - self.starts + 1, self.lengths)
        has_begun = lengths > 0
        begun = self.select(np.flatnonzero(has_begun))
        lengths = lengths[has_begun]
        sizes = lengths + self.ahead
        offsets, slots = runs(begun.first_slots, sizes)
        newest = np.repeat(begun.first_slots + lengths - 1, sizes)
        arrays = begun.take_arrays(BY_SLOT, slots)
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

    def take_arrays(self, names: tuple[str, ...], indices: Integers) -> dict[str, Any]:
        """Return elements of some arrays, by name of the array; None for an array that is None."""
        arrays = ((name, getattr(self, name)) for name in names)
        return {name: None if array is None else array[indices] for name, array in arrays}

    def expanding_std(self) -> Floats:
        """[slots], the standard deviation of the series' values up to and including each slot."""
        if self.spread is not None:
            return self.spread
        seen = self.observed
        if not len(seen):
            return np.zeros(0, np.float32)
        slot = np.where(seen, np.arange(len(seen)), len(seen) - 1)
        first = np.minimum.reduceat(slot, self.first_slots)
        base = np.repeat(self.values[first], self.sizes)
        moved = np.where(seen, self.values - base, 0.0)
        # in units of the largest value, sums keep their digits, however small the values are
        size = np.maximum.reduceat(np.abs(moved), self.first_slots)
        size = np.where(size > 0, size, 1.0)
        unit = np.repeat(size, self.sizes)
        moved /= unit
        count = running_sums(seen.astype(np.float64), self.offsets)
        count = np.maximum(count, 1.0)
        mean = running_sums(moved, self.offsets) / count
        mean_square = running_sums(moved**2, self.offsets) / count
        variance = mean_square - mean**2
        deviation = np.sqrt(np.maximum(variance, 0.0))
        return np.asarray(deviation * unit, np.float32)


def running_sums(values: Numbers, offsets: Integers) -> Numbers:
    """Return sums of values from the start of their series, [slots].

    The sums of a series do not depend on other series, not even in their last bits.
    """
    sizes = np.diff(offsets)
    if len(sizes) and (sizes == sizes[0]).all():
        rows = values.reshape(len(sizes), -1)  # [series, steps]
        return np.cumsum(rows, 1).ravel()
    order = np.argsort(sizes, kind="stable")  # series of similar length are summed together
    sums = np.empty_like(values)
    at_once = max(1, 1_000_000 // int(sizes.max(initial=1)))
    for low in range(0, len(order), at_once):
        series = order[low : low + at_once]
        step = np.arange(sizes[series].max())
        inside = step < sizes[series, None]
        slots = np.where(inside, offsets[series, None] + step, 0)  # [series, longest]
        totals = np.cumsum(values[slots], 1)
        sums[slots[inside]] = totals[inside]
    return sums


def series_index(fitted: Ids, ids: Ids) -> Integers:
    """Return the index of each of `ids` among the series of the fit, [ids]; -1 for a new one."""
    rank = {names: number for number, names in enumerate(fitted)}
    ranks = [rank.get(names, -1) for names in ids]
    return np.array(ranks, np.int64)


def ids_at(panel: Panel, series: Integers) -> Ids:
    """Return the ids of the series of a panel at the indices `series`."""
    return tuple(panel.ids[number] for number in series)


def steps_within(sizes: Integers) -> Integers:
    """Return the position of each slot in its run, [slots]; runs of `sizes` lie end to end."""
    if len(sizes) and (sizes == sizes[0]).all():
        return np.tile(np.arange(sizes[0]), len(sizes))
    ends = np.cumsum(sizes)
    return np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)


def runs(starts: Integers, sizes: Integers) -> tuple[Integers, Integers]:
    """Lay runs of slots end to end, and return their offsets [runs + 1] and all their slots.

    Each run is given by its first slot and its size.
    """
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    shifts = np.repeat(starts - offsets[:-1], sizes)
    return offsets, shifts + np.arange(offsets[-1])


def find_entries(keys: Integers, ascending: Integers) -> tuple[Integers, Integers]:
    """Find the entries of an ascending array that equal each key.

    Return the index of the key of each of these entries, and that of the entry.
    """
    low = np.searchsorted(ascending, keys)
    counts = np.searchsorted(ascending, keys, "right") - low
    _, numbers = runs(low, counts)
    return np.repeat(np.arange(len(keys)), counts), numbers


def join_panels(panels: list[Panel]) -> Panel:
    """Join panels with the same columns and the same number of future slots.

    The same id may then occur several times.
    """
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
        regions=tuple(region for panel in panels for region in panel.regions),
        vintages=join_vintages(vintages) if vintages else None,
        **arrays,
    )


def column_statistics(columns: Numbers) -> tuple[Numbers, Numbers]:
    """Return the mean and standard deviation of columns [rows, ...], without NaN.

    The standard deviation of a constant column is exactly 0.
    """
    seen = np.isfinite(columns)
    count = np.maximum(seen.sum(0), 1)
    # in units of the largest value, so that squares cannot overflow
    tiny = np.finfo(float).tiny
    largest = np.abs(columns).max(0, where=seen, initial=tiny)
    values = np.where(seen, columns / largest, 0.0)
    mean = values.sum(0) / count
    squares = seen * (values - mean) ** 2
    deviation = np.sqrt(squares.sum(0) / count)
    return mean * largest, deviation * largest * (deviation > NOISE)


def series_name(ids: Id) -> str:
    """Name a series, such as FLORAL/292, or '' if series have no ids; a long name is cut."""
    name = "/".join(ids)
    if len(name) > MAX_NAME_LENGTH:
        return f"{name[:MAX_NAME_LENGTH]}..."
    return name or "''" * bool(ids)


def series_key(ids: Id) -> str:
    """Name a series as no other one of a table: with \\/ for slashes in ids before the last."""
    *before, last = ids or ("",)
    return "/".join([*(part.replace("/", "\\/") for part in before), last])


def series_names(series: Sequence[Id], most: int = SERIES_NAMED) -> str:
    """Name the first of several series: FLORAL/292, FLORAL/356, ..."""
    names = [series_name(ids) for ids in series[: most + 1]]
    return first_names(names, most)


def first_names(names: Sequence[str], most: int) -> str:
    more = ", ..." if len(names) > most else ""
    return ", ".join(names[:most]) + more


def first_alike(names: Iterable[Id]) -> tuple[Id, Id] | None:
    """Return the first two names that differ only in blanks, invisible characters and case."""
    seen = dict[Id, Id]()
    for name in names:
        folded = [normalize("NFKC", part).casefold() for part in name]
        visible = tuple("".join(filter(str.isprintable, part.replace(" ", ""))) for part in folded)
        first = seen.setdefault(visible, name)
        if first != name:
            return first, name
    return None


def find_series(ids: Sequence[Id], name: str) -> int:
    """Return the index of the series that a user names as messages do; else `UsageError`."""
    names = list(map("/".join, ids))
    if name in names:
        return names.index(name)
    hint = did_you_mean(name, names) or f"; there are {series_names(ids)}"
    raise UsageError(f"no such series{hint}", setting=Setting("series", name))


def repeated_ids(ids: Sequence[Id], names: Id, steps: int) -> dict[str, Column]:
    """Return the id columns of an output with `steps` rows for each series, [series * steps]."""
    columns = {}
    for name, *parts in zip(names, *ids, strict=True):
        texts = np.array(parts, object)
        columns[name] = Column(np.repeat(texts, steps))
    return columns


def shard_numbers(ids: Ids, count: int) -> Integers:
    """Return the number of the shard of each series, [series].

    It is 1 + h mod count, where h is the BLAKE2b hash of the id. The hash has 8 bytes, the lowest
    first. It is taken of the id as UTF-8, whose parts are joined by the character 31.
    """
    numbers = np.empty(len(ids), np.int64)
    for series, parts in enumerate(ids):
        text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=8).digest()
        numbers[series] = 1 + int.from_bytes(digest, "little") % count
    return numbers
