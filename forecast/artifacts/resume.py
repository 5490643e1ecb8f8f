"""Checkpoints of fits that were stopped: a folder for each fit in `.resume/` of a store, named by data and plan."""

import hashlib
import json
import logging
import re
from pathlib import Path

import numpy as np
import torch

from forecast.artifacts.files import open_folder, read_file, refused, remove
from forecast.artifacts.format import dump_arrays, load_arrays, parse_strictly
from forecast.artifacts.plain import dump_json, load_json
from forecast.durable import TEMPORARY, make_directory, replace_file
from forecast.errors import ArtifactRefused, CannotCreate, ForecastError, Setting, StorageFailure
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TrainSettings
from forecast.training.plan import Plan
from forecast.training.states import State

log = logging.getLogger("forecast")

FORMAT = 1
KEEP = 3  # fits whose checkpoints stay
MOST = 2**33  # bytes that a reader is ready to hold in memory
FREE = {"jobs", "device", "plan", "warm_start"}  # settings that change nothing, or whose outcome is looked at instead

_DIGITS = 16  # of each sha256 in a folder's name
_FOLDER = re.compile(rf"[0-9a-f]{{{_DIGITS}}}-[0-9a-f]{{{_DIGITS}}}")


def data_key(panel: Panel, schema: Schema) -> str:
    """The sha256 of all that a fit sees of the data, in hexadecimal."""
    digest = hashlib.sha256(schema.model_dump_json().encode())
    digest.update(json.dumps([panel.ids, panel.status, panel.ahead]).encode())
    for name in ("order", "offsets", "starts", "values", "observed", "known", "past", "static"):
        array = getattr(panel, name)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def plan_key(settings: TrainSettings, plan: Plan | None, device: torch.device, started_from: str | None = None) -> str:
    """The sha256, in hexadecimal, of all but the data that decides what a fit does, to the last bit.

    Parameters
    ----------
    plan : to be repeated
    device : where the networks run
    started_from : hash of the artifact whose networks it goes on from
    """
    facts = {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json", exclude=FREE),
        "plan": None if plan is None else plan.model_dump(mode="json"),
        "device": device.type,
        "started_from": started_from,
        "machine": [torch.backends.cpu.get_cpu_capability(), str(torch.__version__), np.__version__],
    }
    return hashlib.sha256(dump_json(facts)).hexdigest()


class Checkpoint:
    """The states of one fit, each in a file: a line with the sha256 of what follows and the size of its first part,
    then JSON, then safetensors.

    It is written by one process, or by several that each write names of their own.

    Parameters
    ----------
    folder : of this fit; created with the first state
    resume : whether states that are there already are read
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        self._folder, self._resume, self._broken = folder, resume, False

    def read(self, name: str) -> State | None:
        """The state that was kept under a name; None where there is none, or, with a warning, none to be trusted."""
        if not self._resume:
            return None
        shown = self._folder / name
        try:
            with open_folder(self._folder, links=False) as folder:
                data = read_file(folder, name, shown, MOST)
            return parse_strictly(str(shown), data, _parse)
        except FileNotFoundError:
            return None
        except (OSError, ForecastError) as error:
            log.warning("%s: is not used, and what it holds starts anew: %s", shown, error)
            return None

    def write(self, name: str, state: State) -> None:
        """Keep a state; a disk that takes none costs the checkpoint, not the fit."""
        facts = dump_json(state.facts)
        body = facts + dump_arrays(state.arrays)
        try:
            make_directory(self._folder)
            replace_file(self._folder / name, [f"{_sha256(body)} {len(facts)}\n".encode(), body])
        except (CannotCreate, StorageFailure) as error:
            if not self._broken:
                log.warning("no checkpoint can be written, and a stop would lose what was trained: %s", error)
            self._broken = True


class Checkpoints:
    """Where fits into a store keep what they can go on from; `Writer.checkpoints` makes one.

    Parameters
    ----------
    root : the folder of checkpoints, in a store whose lock is held
    resume : whether a fit goes on from what is there; else it starts anew
    """

    def __init__(self, root: Path, resume: bool = False) -> None:
        self._root, self._resume = root, resume
        self._opened: Path | None = None

    def open(self, data: str, plan: str) -> Checkpoint | None:
        """The checkpoint of the fit with these keys; says what a resumed fit goes on from, and prunes old ones.

        Parameters
        ----------
        data, plan : of `data_key` and `plan_key`

        Returns
        -------
        None where the folder cannot be used.
        """
        folder = self._root / f"{data[:_DIGITS]}-{plan[:_DIGITS]}"
        try:
            found = self._folders()
        except ArtifactRefused as error:
            log.warning("no checkpoint is kept: %s", error)
            return None
        self._say(folder, found)
        for old in [one for one in found if one != folder][KEEP - 1 :]:
            remove(old)
        for left_behind in self._root.glob(f"*/{TEMPORARY}"):
            remove(left_behind)
        self._opened = folder
        return Checkpoint(folder, self._resume)

    def discard(self) -> None:
        """Remove the checkpoint of the fit that was saved."""
        if self._opened is not None and self._opened.is_dir():
            remove(self._opened)
            try:
                self._root.rmdir()
            except OSError:  # others are kept in it
                return

    def _folders(self) -> list[Path]:
        """The checkpoints that are there, the newest first."""
        if not self._root.is_dir():
            return []
        places = [self._root, *(one for one in self._root.iterdir() if _FOLDER.fullmatch(one.name))]
        for place in places:
            if place.is_symlink():  # a store from elsewhere must not choose what is written to
                raise refused(place, "is a symbolic link")
        return sorted(places[1:], key=lambda one: one.stat().st_mtime, reverse=True)

    def _say(self, folder: Path, found: list[Path]) -> None:
        root = self._root
        if not self._resume:
            if folder in found:
                resume = Setting("resume", True)
                log.info("training starts at the beginning; %s would go on from %s", resume, folder)
        elif folder in found:
            log.info("resume   from %s", folder)
        elif not found:
            log.info("nothing to resume in %s; training starts at the beginning", root)
        elif any(one.name[:_DIGITS] == folder.name[:_DIGITS] for one in found):
            log.warning("the checkpoint in %s belongs to another plan or other settings; training starts anew", root)
        else:
            log.warning("the checkpoint in %s belongs to other data; training starts anew", root)


def _parse(data: bytes) -> State:
    head, _, body = data.partition(b"\n")
    digest, size = head.decode("ascii").split(" ")
    if _sha256(body) != digest:
        raise ValueError("differs from its checksum")
    return State(load_json(body[: int(size)]), load_arrays(body[int(size) :]))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
