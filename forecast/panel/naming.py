"""Name series: in messages by their ids joined by /, in outputs by a column for each part of the id."""

from collections.abc import Iterable, Sequence
from unicodedata import normalize

import numpy as np

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.tables.frames import Column

NAMED = 5  # series that a message names
LONGEST = 200  # letters of a name that a message shows


def series_name(ids: tuple[str, ...]) -> str:
    """One series: FLORAL/292, or an empty text where series have no ids; a long name is cut."""
    name = "/".join(ids)
    return f"{name[:LONGEST]}..." if len(name) > LONGEST else name or "''" * bool(ids)


def series_names(series: Sequence[tuple[str, ...]], most: int = NAMED) -> str:
    """The first of several series: FLORAL/292, FLORAL/356, ..."""
    return first_names([series_name(ids) for ids in series[: most + 1]], most)


def first_names(names: Sequence[str], most: int) -> str:
    """The first of several names."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def first_alike(names: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The first two different names that look alike: but for blanks around parts, invisible characters and case."""
    seen = dict[tuple[str, ...], tuple[str, ...]]()
    for name in names:
        folded = (normalize("NFKC", part).casefold() for part in name)
        like = seen.setdefault(tuple("".join(filter(str.isprintable, part)).strip() for part in folded), name)
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


def repeated_ids(ids: Sequence[tuple[str, ...]], names: tuple[str, ...], steps: int) -> dict[str, Column]:
    """The id columns `names` of an output with `steps` rows for each series, by name: [series * steps]."""
    return {name: Column(np.repeat(np.array(parts, object), steps)) for name, *parts in zip(names, *ids, strict=True)}
