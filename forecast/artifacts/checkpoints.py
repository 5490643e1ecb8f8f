"""Checkpoints of fits: a folder for each fit in `.resume/` of a store, by data and plan."""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from forecast.artifacts.format import dump_arrays, dump_json, load_arrays, load_json, parse_strictly
from forecast.durable import (
    TEMPORARY,
    check_kind,
    make_directory,
    read_file,
    refused,
    remove,
    replace_file,
)
from forecast.errors import CannotCreate, ForecastError, Setting, StorageFailure
from forecast.logs import log

KEEP = 3  # the checkpoints of so many fits are kept
MAX_BYTES = 2**33  # largest size of a checkpoint, which is read into memory

_DIGITS = 16  # so many digits of each sha256 are in the name of a folder
_FOLDER = re.compile(rf"[0-9a-f]{{{_DIGITS}}}-[0-9a-f]{{{_DIGITS}}}")


@dataclass(frozen=True)
class Checkpoint:
    """The state of training: plain values, which JSON can hold, and arrays, both by name."""

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class Checkpoints:
    """The checkpoints of a fit, in a folder for its data and plan.

    The caller holds the lock of the store.
    """

    def __init__(self, root: Path, resume: bool = False) -> None:
        self._root = root
        self._resume = resume
        self._folder = root
        self._write_failed = False

    def open(self, data: str, plan: str) -> Self | None:
        """Open the folder of the fit with these keys; None if the folder cannot be used.

        Folders of old fits are pruned.
        """
        folder = self._root / f"{data[:_DIGITS]}-{plan[:_DIGITS]}"
        folders = [path for path in self._root.glob("*") if _FOLDER.fullmatch(path.name)]
        for path in (self._root, *folders):
            if path.is_symlink():  # a store from elsewhere must not choose what is written to
                log.warning("no checkpoint is written: %s", refused(path, "is a symbolic link"))
                return None

        if folder in folders and self._resume:
            log.info("resume   from %s", folder)
        elif folder in folders:
            resume = Setting("resume", True)
            log.info("training starts at the beginning; %s would go on from %s", resume, folder)
        elif self._resume and folders:
            problem = "the checkpoint in %s belongs to other data, another plan or other settings"
            log.warning(f"{problem}; training starts anew", self._root)
        elif self._resume:
            log.info("nothing to resume in %s; training starts at the beginning", self._root)
        others = [path for path in folders if path != folder]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in (*others[KEEP - 1 :], *self._root.glob(f"*/{TEMPORARY}")):
            remove(path)
        self._folder = folder
        return self

    def discard(self) -> None:
        if self._folder != self._root and self._folder.is_dir():
            remove(self._folder)
            with suppress(OSError):  # it holds those of other fits
                self._root.rmdir()

    def read(self, name: str) -> Checkpoint | None:
        """Read a checkpoint by name; None if it is missing or, with a warning, damaged."""
        if not self._resume:
            return None
        path = self._folder / name
        try:
            check_kind(self._folder)
            return parse_strictly(str(path), read_file(path, MAX_BYTES), _parse)
        except FileNotFoundError:
            return None
        except (OSError, ForecastError) as error:
            log.warning("%s: is not used, and its training starts anew: %s", path, error)
            return None

    def write(self, name: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; if the disk fails, the fit continues without it."""
        facts = dump_json(checkpoint.facts)
        body = facts + dump_arrays(checkpoint.arrays)
        try:
            make_directory(self._folder)
            head = f"{hashlib.sha256(body).hexdigest()} {len(facts)}\n"
            replace_file(self._folder / name, [head.encode(), body])
        except (CannotCreate, StorageFailure) as error:
            if not self._write_failed:
                problem = "no checkpoint can be written, and a stop would lose what was trained"
                log.warning("%s: %s", problem, error)
            self._write_failed = True


def _parse(data: bytes) -> Checkpoint:
    head, _, body = data.partition(b"\n")
    digest, size = head.decode("ascii").split(" ")
    if hashlib.sha256(body).hexdigest() != digest:
        raise ValueError("differs from its checksum")
    facts = load_json(body[: int(size)])
    return Checkpoint(facts, load_arrays(body[int(size) :]))
