"""The owner of a store: the first job that runs with it. Other jobs are refused before any work."""

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast.artifacts.store import OWNER, Store
from forecast.durable import replace_file
from forecast.errors import ArtifactRefused, ForecastError, UsageError

log = logging.getLogger("forecast")

MAX_BYTES = 100_000  # of the file

Text = Annotated[str, Field(max_length=10_000)]


class Owner(BaseModel):
    """The job that a store belongs to, from the file OWNER in the store.

    Attributes
    ----------
    id : random id of the store
    store : path of the store when the job claimed it
    job : name of the job
    file : its pipeline file
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    store: Text
    job: Text
    file: Text


def owner_of(store: str) -> Owner | None:
    """The job that a store belongs to; None if no job has run with it yet.

    Raises
    ------
    ArtifactRefused
        If the file OWNER is damaged.
    """
    data = Store(store).note(OWNER, MAX_BYTES)
    try:
        return None if data is None else Owner.model_validate_json(data)
    except ValidationError:
        raise ArtifactRefused(
            f"{Path(store) / OWNER}: is damaged; remove it, and the next job that runs owns the store"
        ) from None


def claim(store: str, job: str, file: str, take_over: bool = False) -> Owner:
    """Make sure that a locked store belongs to a job; a store without an owner becomes the job's.

    It is the same job if it has the same pipeline file, or the same name and the old pipeline file no longer exists.

    Parameters
    ----------
    job : name of the job
    file : its pipeline file
    take_over : whether it may take the store from another job

    Raises
    ------
    UsageError
        If the store belongs to another job.
    ArtifactRefused, CannotCreate, StorageFailure
        If the file OWNER cannot be read or written.
    """
    place, file = _text(os.path.abspath(store)), _text(os.path.abspath(file))
    before = owner_of(store)
    if before is not None and not _same(before, job, file):
        if not take_over:
            raise UsageError(
                f"{store}: this store belongs to job '{before.job}' ({before.file}); write another folder as store at "
                f"the top of {file}, or pass --take-over if this job replaces that one"
            )
        log.warning("%s: job '%s' takes the store over from job '%s' (%s)", store, job, before.job, before.file)
    same_store = before is not None and not _copied(before, place)
    owner = Owner(id=before.id if before and same_store else secrets.token_hex(6), store=place, job=job, file=file)
    if owner != before:
        replace_file(Path(store) / OWNER, (json.dumps(owner.model_dump(), ensure_ascii=False) + "\n").encode())
    return owner


def _text(path: str) -> str:
    """A path as valid text, whatever its bytes are."""
    return path.encode(errors="backslashreplace").decode()


def _same(owner: Owner, job: str, file: str) -> bool:
    if owner.file == file:
        return True
    try:
        return os.path.samefile(owner.file, file)
    except (FileNotFoundError, NotADirectoryError):  # the file was moved, or it is another job
        return owner.job == job
    except OSError:
        return False


def _copied(owner: Owner, place: str) -> bool:
    """Whether the store is a copy of a store that still exists."""
    try:
        if owner.store == place or os.path.samefile(owner.store, place):
            return False
        other = owner_of(owner.store)
    except (OSError, ForecastError):  # there is no store any more
        return False
    return other is not None and other.id == owner.id
