"""Find stores near a path without one, so that the error can name them."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

POINTER = "CURRENT"
DEPTH = 2  # folders below the one in which a store was looked for
LOOKED_AT, NAMED = 2_000, 5


def nearby(path: Path) -> str:
    """The stores near `path`, as the end of a message; an empty text where there are none."""
    folder = path.parent if path.parent.is_dir() else Path()
    found = [os.path.normpath(one) for one in islice(_folders(folder, DEPTH), LOOKED_AT) if (one / POINTER).is_file()]
    if not found:
        return ""
    return f"; stores nearby: {', '.join(found[:NAMED])}{', ...' if len(found) > NAMED else ''}"


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """The folders in a folder, nearer ones first; neither hidden ones nor links."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))
    except OSError:
        return
    inside = [folder / name for name in names if not name.startswith(".")]
    yield from inside
    if depth > 1:
        for one in inside:
            yield from _folders(one, depth - 1)
