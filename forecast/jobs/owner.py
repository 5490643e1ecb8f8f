"""Whose a store is: the first job that runs with it owns it, and another job is refused before any work."""

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

LARGEST = 100_000  # bytes of the file

Text = Annotated[str, Field(max_length=10_000)]


class Owner(BaseModel):
    """The job that a store belongs to, as the file OWNER in the store says.

    Attributes
    ----------
    id : of the store, random: no two stores share it
    store : where the store lay when the job claimed it
    job : its name
    file : its pipeline file
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    store: Text
    job: Text
    file: Text


def owner_of(store: str) -> Owner | None:
    """The job that a store belongs to; None where no job has run with it yet.

    Raises
    ------
    ArtifactRefused
        If the file that says it is damaged.
    """
    data = Store(store).note(OWNER, LARGEST)
    try:
        return None if data is None else Owner.model_validate_json(data)
    except ValidationError:
        raise ArtifactRefused(
            f"{Path(store) / OWNER}: does not say whose the store is; remove it, and the next job that runs owns it"
        ) from None


def claim(store: str, job: str, file: str, take_over: bool = False) -> Owner:
    """Make sure that a locked store belongs to a job; one that belongs to nobody becomes its own.

    A job is the same one if its pipeline file is the same, or has the same name and the old file is gone: it was moved.

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
        If the file that says so cannot be read or written.
    """
    place, file = _text(os.path.abspath(store)), _text(os.path.abspath(file))
    found = owner_of(store)
    if found is not None and not _same(found, job, file):
        if not take_over:
            raise UsageError(
                f"{store}: this store belongs to job '{found.job}' ({found.file}), whose versions this job would use; "
                f"write another folder as store at the top of {file}, or pass --take-over if this job replaces that one"
            )
        log.warning("%s: job '%s' takes the store over from job '%s' (%s)", store, job, found.job, found.file)
    known = found is not None and not _copied(found, place)
    owner = Owner(id=found.id if found and known else secrets.token_hex(6), store=place, job=job, file=file)
    if owner != found:
        replace_file(Path(store) / OWNER, (json.dumps(owner.model_dump(), ensure_ascii=False) + "\n").encode())
    return owner


def _text(path: str) -> str:
    """A path as JSON can hold it, whatever its bytes are."""
    return path.encode(errors="backslashreplace").decode()


def _same(owner: Owner, job: str, file: str) -> bool:
    if owner.file == file:
        return True
    try:
        return os.path.samefile(owner.file, file)
    except (FileNotFoundError, NotADirectoryError):  # it was moved, or is another one
        return owner.job == job
    except OSError:
        return False


def _copied(owner: Owner, place: str) -> bool:
    """Whether the store is a copy of one that is still there."""
    try:
        if owner.store == place or os.path.samefile(owner.store, place):
            return False
        other = owner_of(owner.store)
    except (OSError, ForecastError):  # nothing is there, or no store that could be the first one
        return False
    return other is not None and other.id == owner.id
