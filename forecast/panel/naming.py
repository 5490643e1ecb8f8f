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
    return f"{name[:MAX_LENGTH]}..." if len(name) > MAX_LENGTH else name or "''" * bool(ids)


def series_names(series: Sequence[tuple[str, ...]], most: int = NAMED) -> str:
    """The first of several series: FLORAL/292, FLORAL/356, ..."""
    return first_names([series_name(ids) for ids in series[: most + 1]], most)


def first_names(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def first_alike(names: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The first two different names that look alike: but for blanks around parts, invisible characters and case."""
    seen = dict[tuple[str, ...], tuple[str, ...]]()
    for name in names:
        folded = (normalize("NFKC", part).casefold() for part in name)
        like = seen.setdefault(
            tuple("".join(filter(str.isprintable, part)).strip() for part in folded), name
        )
        if like != name:
            return like, name
    return None


def find_series(ids: Sequence[tuple[str, ...]], name: str) -> int:
    """The index of the series that a user names, as messages name it; `UsageError` for an unknown name."""
    names = list(map(series_name, ids))
    for known in (list(map("/".join, ids)), names):
        if name in known:
            return known.index(name)
    some = "" if (hint := did_you_mean(name, names)) else f"; there are {series_names(ids)}"
    raise UsageError(f"no such series{hint}{some}", setting=Setting("series", name))


def repeated_ids(
    ids: Sequence[tuple[str, ...]], names: tuple[str, ...], steps: int
) -> dict[str, Column]:
    """The id columns `names` of an output with `steps` rows for each series, by name: [series * steps]."""
    return {
        name: Column(np.repeat(np.array(parts, object), steps))
        for name, *parts in zip(names, *ids, strict=True)
    }


@dataclass(frozen=True)
class Shard:
    """Shard `number`, counted from 1, of `count`; `shard_numbers` says which series belong to it."""

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
    """[series], the shard of each: 1 + h mod count, h the BLAKE2b hash of its id, 8 bytes long, lowest byte first.

    It is that of the UTF-8 text of the id, whose parts are joined by the character 31.
    """
    texts = ("\x1f".join(parts).encode("utf-8", "surrogatepass") for parts in ids)
    hashes = (blake2b(text, digest_size=8).digest() for text in texts)
    return np.fromiter(
        (1 + int.from_bytes(code, "little") % count for code in hashes), np.int64, len(ids)
    )


def in_shard(ids: Ids, name: str | None) -> Flags:
    """[series], which of them belong to the shard of this name; without a name all."""
    return np.ones(len(ids), bool) if name is None else Shard.named(name).holds(ids)


def only_in_shard(
    words: dict[tuple[str, ...], str], name: str | None
) -> dict[tuple[str, ...], str]:
    """Those of some words about series that are about series of a shard."""
    return {
        ids: word
        for (ids, word), held in zip(words.items(), in_shard(tuple(words), name), strict=True)
        if held
    }
