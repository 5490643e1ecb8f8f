"""Refuse an output that would replace a file that is read, or a file of the store."""

import os
from collections.abc import Mapping
from pathlib import Path

from forecast.artifacts.find_stores import POINTER
from forecast.artifacts.store import LOCK, OWNER, RESUME
from forecast.errors import UsageError

FOLDER = ".runs"  # suffix of the store's name


def check_apart(output: str | None, read: Mapping[str, str | None], store: str | None = None) -> None:
    """Refuse an output that would replace a file that is read or one of the store; `read` are paths by their names."""
    if output is None:
        return
    for name, path in read.items():
        if path is None or not os.path.exists(path):
            continue
        if os.path.exists(output) and os.path.samefile(output, path):
            raise UsageError(f"{output} is {name}, and the output would replace it; write to another file")
        if os.path.isdir(path) and _place_below(path, output) is not None:
            raise UsageError(f"{output} is in the folder of {name}, and would be read with it; write elsewhere")
    if store is None:
        return
    place = _place_below(store, output)
    in_store = place is not None and (place[0] in (POINTER, OWNER, LOCK, RESUME) or place[0].startswith("v-"))
    if in_store or _place_below(str(runs_folder(store)), output) is not None:
        raise UsageError(f"{output} would replace a file of the store {store}; write to a file elsewhere")


def _place_below(folder: str, file: str) -> tuple[str, ...] | None:
    """The parts of the path of a file below a folder; None if it is elsewhere."""
    whole, base = Path(os.path.realpath(file)), Path(os.path.realpath(folder))
    return whole.relative_to(base).parts if base in whole.parents else None


def runs_folder(store: str) -> Path:
    """The folder of the ledger and the newest record of a store."""
    return Path(f"{Path(store)}{FOLDER}")
