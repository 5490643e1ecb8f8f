"""Keep an output apart from what is read: forecasts never take the place of a table, a pipeline file or a store."""

import os
from collections.abc import Mapping
from pathlib import Path

from forecast.artifacts.nearby import POINTER
from forecast.artifacts.store import LOCK, OWNER, RESUME
from forecast.errors import UsageError
from forecast.jobs.ledger import runs_folder

_OWN = (POINTER, OWNER, LOCK, RESUME)


def check_apart(output: str | None, read: Mapping[str, str | None], store: str | None = None) -> None:
    """Refuse an output that would replace what is read, or a file of the store.

    Parameters
    ----------
    output : the file that is going to be written, if any
    read : files and folders that are read, by what a message calls them
    store : the folder of saved versions

    Raises
    ------
    UsageError
        If the output is one of these files, lies in one of these folders, or has the place of a file of the store.
    """
    if output is None:
        return
    for name, path in read.items():
        if path is None or not os.path.exists(path):
            continue
        if os.path.exists(output) and os.path.samefile(output, path):
            raise UsageError(f"{output} is {name}, which the output would replace; write to another file")
        if os.path.isdir(path) and _below(output, path) is not None:
            raise UsageError(
                f"{output} lies in the folder of {name}, and would be read with it; write to a file elsewhere"
            )
    if store is None:
        return
    place = _below(output, store)
    if _below(output, str(runs_folder(store))) is not None or (place is not None and _is_own(place.parts[0])):
        raise UsageError(f"{output} has the place of a file of the store {store}; write to a file elsewhere")


def _is_own(name: str) -> bool:
    """Whether a file or folder of this name at the top of a store is one of its own: pointer, lock, a version."""
    return name in _OWN or name.startswith("v-")


def _below(file: str, folder: str) -> Path | None:
    """The path of a file from a folder that it lies in; None where it lies elsewhere."""
    whole, base = Path(os.path.realpath(file)), Path(os.path.realpath(folder))
    return whole.relative_to(base) if base in whole.parents else None
