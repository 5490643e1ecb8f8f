"""Find stores near a path without one, so that the error can name them."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

POINTER = "CURRENT"
MAX_FOLDERS, NAMED = 2_000, 5


def stores_nearby(path: Path) -> str:
    """The stores near `path`, as the end of a message; an empty text where there are none."""
    folder = path.parent if path.parent.is_dir() else Path()
    stores = [os.path.normpath(path) for path in islice(_folders(folder), MAX_FOLDERS) if (path / POINTER).is_file()]
    if not stores:
        return ""
    return f"; stores nearby: {', '.join(stores[:NAMED])}{', ...' if len(stores) > NAMED else ''}"


def _folders(folder: Path, levels: int = 2) -> Iterator[Path]:
    """The folders in a folder, nearer ones first; neither hidden ones nor links."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    inside = [folder / name for name in names if not name.startswith(".")]
    yield from inside
    for path in inside if levels > 1 else ():
        yield from _folders(path, levels - 1)
