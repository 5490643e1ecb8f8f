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
    """The job that a store belongs to, from the file OWNER in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]  # random, of the store
    store: Text  # its path when the job claimed it
    job: Text
    file: Text  # the pipeline file


def owner_of(store: str) -> Owner | None:
    """The job that a store belongs to; None if no job has run with it yet."""
    data, cure = Store(store).note(OWNER, MAX_BYTES), "remove it, and the next job that runs owns the store"
    try:
        return None if data is None else Owner.model_validate_json(data)
    except ValidationError:
        raise ArtifactRefused(f"{Path(store) / OWNER}: is damaged; {cure}") from None


def ledger_key(job: str, store: str) -> str:
    """The key of a job in a ledger that several jobs share; it is unique, as each store has its own id."""
    owner = owner_of(store)
    return job if owner is None else f"{job}@{owner.id}"


def claim(store: str, job: str, file: str, take_over: bool = False) -> None:
    """Make sure that a locked store belongs to a job; a store without an owner becomes the job's.

    It is the same job if it has the same pipeline file, or the same name and the old pipeline file no longer exists.
    With `take_over` it may take the store from another job; else that is a UsageError.
    """
    place, file = (os.path.abspath(path).encode(errors="backslashreplace").decode() for path in (store, file))
    before = owner_of(store)
    if before is not None and not _is_same(before, job, file):
        if not take_over:
            raise UsageError(
                f"{store}: this store belongs to job '{before.job}' ({before.file}); write another folder as store at "
                f"the top of {file}, or pass --take-over if this job replaces that one"
            )
        log.warning("%s: job '%s' takes the store over from job '%s' (%s)", store, job, before.job, before.file)
    store_id = secrets.token_hex(6) if before is None or _is_copy(before, place) else before.id
    owner = Owner(id=store_id, store=place, job=job, file=file)
    if owner != before:
        replace_file(Path(store) / OWNER, (json.dumps(owner.model_dump(), ensure_ascii=False) + "\n").encode())


def _is_same(owner: Owner, job: str, file: str) -> bool:
    try:
        return owner.file == file or os.path.samefile(owner.file, file)
    except (FileNotFoundError, NotADirectoryError):  # the file was moved, or it is another job
        return owner.job == job
    except OSError:
        return False


def _is_copy(owner: Owner, place: str) -> bool:
    """Whether the store at a place is a copy of one that still exists."""
    try:
        if owner.store == place or os.path.samefile(owner.store, place):
            return False
        original = owner_of(owner.store)
    except (OSError, ForecastError):  # there is no store any more
        return False
    return original is not None and original.id == owner.id
