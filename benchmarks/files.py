"""Find the data files of a benchmark by their names."""

from pathlib import Path


def find_file(folder: Path, name: str, where: str) -> Path:
    """A file of that name anywhere below a folder, the one with the shortest path where there are several.

    Raises
    ------
    ValueError
        If there is none; the message says where to get it.
    """
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), str(path)))
    if not found:
        raise ValueError(f"--data {folder}: no file {name} in it; get it from {where}")
    return found[0].resolve()
