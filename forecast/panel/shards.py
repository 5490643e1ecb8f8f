"""Shards: parts of a panel by a hash of the ids, the same on every machine and in every release."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from forecast.panel.panel import Flags, Ids, Integers


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
    return np.fromiter((1 + int.from_bytes(code, "little") % count for code in hashes), np.int64, len(ids))


def in_shard(ids: Ids, name: str | None) -> Flags:
    """[series], which of them belong to the shard of this name; without a name all."""
    return np.ones(len(ids), bool) if name is None else Shard.named(name).holds(ids)


def only_in_shard(words: dict[tuple[str, ...], str], name: str | None) -> dict[tuple[str, ...], str]:
    """Those of some words about series that are about series of a shard."""
    return {ids: word for (ids, word), held in zip(words.items(), in_shard(tuple(words), name), strict=True) if held}
