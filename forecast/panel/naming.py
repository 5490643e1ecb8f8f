"""Name series in messages and outputs, and share them out by a hash of their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from unicodedata import normalize

import numpy as np

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.panel.panel import Flags, Id, Ids, Integers
from forecast.tables.writing import Column

NAMED = 5  # series that a message names
MAX_LENGTH = 200  # letters of a name that a message shows


def series_name(ids: Id) -> str:
    """One series: FLORAL/292, or an empty text where series have no ids; a long name is cut."""
    name = "/".join(ids)
    if len(name) > MAX_LENGTH:
        return f"{name[:MAX_LENGTH]}..."
    return name or "''" * bool(ids)


def series_names(series: Sequence[Id], most: int = NAMED) -> str:
    """The first of several series: FLORAL/292, FLORAL/356, ..."""
    names = [series_name(ids) for ids in series[: most + 1]]
    return first_names(names, most)


def first_names(names: Sequence[str], most: int) -> str:
    more = ", ..." if len(names) > most else ""
    return ", ".join(names[:most]) + more


def first_alike(names: Iterable[Id]) -> tuple[Id, Id] | None:
    """The first two names that differ only in blanks, invisible characters and case."""
    seen = dict[str, Id]()
    for name in names:
        folded = normalize("NFKC", "/".join(name)).casefold()
        visible = "".join(filter(str.isprintable, folded)).replace(" ", "")
        first = seen.setdefault(visible, name)
        if first != name:
            return first, name
    return None


def find_series(ids: Sequence[Id], name: str) -> int:
    """The index of the series that a user names, as messages name it; `UsageError` for others."""
    names = list(map("/".join, ids))
    if name in names:
        return names.index(name)
    hint = did_you_mean(name, names) or f"; there are {series_names(ids)}"
    raise UsageError(f"no such series{hint}", setting=Setting("series", name))


def repeated_ids(ids: Sequence[Id], names: Id, steps: int) -> dict[str, Column]:
    """The id columns of an output with `steps` rows for each series, by name: [series * steps]."""
    columns = {}
    for name, *parts in zip(names, *ids, strict=True):
        texts = np.array(parts, object)
        columns[name] = Column(np.repeat(texts, steps))
    return columns


@dataclass(frozen=True)
class Shard:
    """Shard `number`, counted from 1, of `count`; see `shard_numbers`."""

    number: int
    count: int

    @classmethod
    def named(cls, name: str) -> "Shard":
        """The shard that the settings write as 3/16."""
        number, count = name.split("/")
        return cls(int(number), int(count))

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
    if name is None:
        return np.ones(len(ids), bool)
    return Shard.named(name).holds(ids)


def only_in_shard(words: dict[Id, str], name: str | None) -> dict[Id, str]:
    """Those of some words about series that are about series of a shard."""
    ids = tuple(words)
    held = np.flatnonzero(in_shard(ids, name))
    return {ids[series]: words[ids[series]] for series in held}
