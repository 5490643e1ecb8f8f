"""The owner of a store: the first job that runs with it. Other jobs are refused before any work."""

import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast import databases
from forecast.artifacts.store import OWNER, Store
from forecast.durable import make_directory, replace_file
from forecast.errors import ArtifactRefused, CannotCreate, ForecastError, Setting, UsageError, Words
from forecast.jobs.pipeline import Pipeline, target_of
from forecast.ledger.ledger import series_text
from forecast.settings import FILE, marked

log = logging.getLogger("forecast")

MAX_BYTES = 100_000  # of the file
ROWS = "forecast_owners"  # table of a database: which job writes the rows of which series
Text = Annotated[str, Field(max_length=10_000)]


class Owner(BaseModel):
    """The job that a store belongs to, from the file OWNER in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]  # random, of the store
    store: Text  # its path when the job claimed it
    job: Text
    file: Text  # the pipeline file


def owner_of(store: str, note: str = OWNER) -> Owner | None:
    """The job that a store belongs to, or what else a note is about; None if no job has run with it yet."""
    data, cure = Store(store).note(note, MAX_BYTES), "remove it, and the next job that runs is the owner"
    try:
        return None if data is None else Owner.model_validate_json(data)
    except ValidationError:
        raise ArtifactRefused(f"{Path(store) / note}: is damaged; {cure}") from None


def ledger_key(job: str, store: str) -> str:
    """The key of a job in a ledger that several jobs share; it is unique, as each store has its own id."""
    owner = owner_of(store)
    return job if owner is None else f"{job}@{owner.id}"


@contextmanager
def claimed(store: str, job: str, file: str, take_over: bool = False) -> Iterator[None]:
    """Make sure that a locked store belongs to a job; one without an owner becomes the job's, unless it is refused.

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
    note = Path(store) / OWNER
    if owner != before:
        replace_file(note, owner.model_dump_json().encode())
    try:
        yield
    except UsageError:  # refused, as it is for its sink
        if owner != before:
            note.unlink() if before is None else replace_file(note, before.model_dump_json().encode())
        raise


def claim_sinks(pipeline: Pipeline, series: Iterable[tuple[str, ...]], write: bool = False) -> None:
    """Refuse files and tables of sums that another job writes, and a table where it writes some of these series.

    With `write`, a note beside a file and a table of the database say from now on that they are this job's.
    """
    if not pipeline.file or pipeline._take_over is None:
        return
    owner = owner_of(pipeline.store) or Owner(id="0" * 12, store="", job="", file=os.path.abspath(pipeline.file))
    text, sinks = owner.model_dump_json(), list(pipeline.sinks.values())
    for path in (Path(path) for sink in sinks for path in marked(sink, FILE).values()):
        note = f".{path.name}.owner"
        _refuse_others(pipeline, owner, [owner_of(str(path.parent), note)], str(path))
        if write:
            make_directory(path.parent)
            replace_file(path.with_name(note), text.encode())
    if (url := pipeline.sink.url) is None:
        return
    claimed = {sink.table: [()] for sink in sinks if sink.table is not None} | {pipeline.sink.table: series}
    try:
        with databases.connect(url, reads=() if write else (ROWS,)) as execute:
            if write:
                columns = "target TEXT, series TEXT, owner TEXT, PRIMARY KEY (target, series)"
                execute(f"CREATE TABLE IF NOT EXISTS {ROWS} ({columns})")
            for table, names in claimed.items():
                target = target_of(str(table))
                rows = [{"target": target, "series": name, "owner": text} for name in map(series_text, names)]
                before = dict(execute(f"SELECT series, owner FROM {ROWS} WHERE target = :target", {"target": target}))
                others = {before[row["series"]] for row in rows if row["series"] in before}
                _refuse_others(pipeline, owner, map(Owner.model_validate_json, others), f"sink.table {target}")
                if write and (new := [row for row in rows if before.get(row["series"]) != text]):
                    execute(f"DELETE FROM {ROWS} WHERE target = :target AND series = :series", new)
                    execute(f"INSERT INTO {ROWS} VALUES (:target, :series, :owner)", new)
    except CannotCreate as error:
        log.warning("which job writes which rows cannot be recorded, so that other jobs may replace them: %s", error)


def _refuse_others(pipeline: Pipeline, owner: Owner, found: Iterable[Owner | None], place: str) -> None:
    for other in (other for other in found if other and other.id != owner.id and other.file != owner.file):
        written = f"is written by job '{other.job}' ({other.file})"
        if not pipeline._take_over:
            cure = Words("write elsewhere, or pass ", Setting("take_over"), " if this job replaces that one")
            raise UsageError(written, place=place, cure=cure)
        log.warning("%s %s, and job '%s' takes it over", place, written, owner.job)


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
