"""Refuse an output that would replace a file that is read, or a file of the store."""

import os
from collections.abc import Mapping
from pathlib import Path

from forecast.artifacts.find_stores import POINTER
from forecast.artifacts.store import LOCK, OWNER, RESUME
from forecast.errors import UsageError

FOLDER = ".runs"  # suffix of the store's name
_STORE_FILES = (POINTER, OWNER, LOCK, RESUME)


def check_apart(output: str | None, read: Mapping[str, str | None], store: str | None = None) -> None:
    """Refuse an output that would replace a file that is read, or a file of the store.

    Parameters
    ----------
    output : the file that will be written, if any
    read : files and folders that are read, by their names in messages
    store : the folder of saved versions

    Raises
    ------
    UsageError
        If the output is one of these files, is in one of these folders, or has the name of a file of the store.
    """
    if output is None:
        return
    for name, path in read.items():
        if path is None or not os.path.exists(path):
            continue
        if os.path.exists(output) and os.path.samefile(output, path):
            raise UsageError(f"{output} is {name}, and the output would replace it; write to another file")
        if os.path.isdir(path) and _below(output, path) is not None:
            raise UsageError(
                f"{output} is in the folder of {name}, and would be read with it; write to a file elsewhere"
            )
    if store is None:
        return
    place = _below(output, store)
    in_runs = _below(output, str(runs_folder(store))) is not None
    if in_runs or (place is not None and _is_store_file(place.parts[0])):
        raise UsageError(f"{output} would replace a file of the store {store}; write to a file elsewhere")


def _is_store_file(name: str) -> bool:
    """Whether a store has a file or folder of this name at its top: pointer, lock, a version."""
    return name in _STORE_FILES or name.startswith("v-")


def _below(file: str, folder: str) -> Path | None:
    """The path of a file relative to a folder that contains it; None if the folder does not."""
    whole, base = Path(os.path.realpath(file)), Path(os.path.realpath(folder))
    return whole.relative_to(base) if base in whole.parents else None


def runs_folder(store: str) -> Path:
    """The folder of the ledger and the newest record of a store."""
    return Path(f"{Path(store)}{FOLDER}")
