"""Name series in messages and outputs, and share them out by a hash of their names."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from unicodedata import normalize

import numpy as np

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.panel.panel import Id, Ids, Integers
from forecast.tables.writing import Column

SERIES_NAMED = 5  # the number of series that a message lists by name
MAX_NAME_LENGTH = 200  # the number of letters of a name that a message shows


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
