"""Name series in messages and outputs, and share them out by a hash of their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from unicodedata import normalize

import numpy as np

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.panel.panel import Flags, Ids, Integers
from forecast.tables.writing import Column

NAMED = 5  # series that a message names
MAX_LENGTH = 200  # letters of a name that a message shows


def series_name(ids: tuple[str, ...]) -> str:
    """One series: FLORAL/292, or an empty text where series have no ids; a long name is cut."""
    name = "/".join(ids)
    if len(name) > MAX_LENGTH:
        return f"{name[:MAX_LENGTH]}..."
    return name or "''" * bool(ids)


def series_names(series: Sequence[tuple[str, ...]], most: int = NAMED) -> str:
    """The first of several series: FLORAL/292, FLORAL/356, ..."""
    return first_names([series_name(ids) for ids in series[: most + 1]], most)


def first_names(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def first_alike(names: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The first two names that differ only in blanks, invisible characters and case."""
    seen = dict[str, tuple[str, ...]]()
    for name in names:
        folded = normalize("NFKC", "/".join(name)).casefold()
        visible = "".join(filter(str.isprintable, folded)).replace(" ", "")
        first = seen.setdefault(visible, name)
        if first != name:
            return first, name
    return None


def find_series(ids: Sequence[tuple[str, ...]], name: str) -> int:
    """The index of the series that a user names, as messages name it; `UsageError` for others."""
    shown = list(map(series_name, ids))
    for names in (list(map("/".join, ids)), shown):
        if name in names:
            return names.index(name)
    hint = did_you_mean(name, shown) or f"; there are {series_names(ids)}"
    raise UsageError(f"no such series{hint}", setting=Setting("series", name))


def repeated_ids(
    ids: Sequence[tuple[str, ...]], names: tuple[str, ...], steps: int
) -> dict[str, Column]:
    """The id columns of an output with `steps` rows for each series, by name: [series * steps]."""
    columns = {}
    for name, *parts in zip(names, *ids, strict=True):
        columns[name] = Column(np.repeat(np.array(parts, object), steps))
    return columns


@dataclass(frozen=True)
class Shard:
    """Shard `number`, counted from 1, of `count`; see `shard_numbers`."""

    number: int
    count: int

    @classmethod
    def named(cls, name: str) -> "Shard":
        """The shard that the settings write as 3/16."""
        return cls(*map(int, name.split("/")))

    def holds(self, ids: Ids) -> Flags:
        """[series], which of them belong to this shard."""
        return np.asarray(shard_numbers(ids, self.count) == self.number)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def shard_numbers(ids: Ids, count: int) -> Integers:
    """[series], the shard of each: 1 + h mod count, h the BLAKE2b hash of its id.

    The hash has 8 bytes, the lowest first, and is that of the UTF-8 text of the id, whose parts are
    joined by the character 31.
    """
    numbers = np.empty(len(ids), np.int64)
    for series, parts in enumerate(ids):
        text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=8).digest()
        numbers[series] = 1 + int.from_bytes(digest, "little") % count
    return numbers


def in_shard(ids: Ids, name: str | None) -> Flags:
    """[series], which of them belong to the shard of this name; without a name all."""
    return np.ones(len(ids), bool) if name is None else Shard.named(name).holds(ids)


def only_in_shard(
    words: dict[tuple[str, ...], str], name: str | None
) -> dict[tuple[str, ...], str]:
    """Those of some words about series that are about series of a shard."""
    held = in_shard(tuple(words), name)
    return {ids: word for (ids, word), inside in zip(words.items(), held, strict=True) if inside}
