"""Administer a store: the job that owns it, its versions, and the status of its jobs."""

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast.artifacts.store import LOCK, OWNER, Store, runs_folder
from forecast.calendar.spec import as_text
from forecast.durable import is_held, make_directory, replace_file
from forecast.errors import ArtifactRefused, CannotCreate, NoInput, Setting, UsageError
from forecast.jobs.checks.age import age_text, duration_text
from forecast.jobs.ledger import (
    AFTER_ALL_TIMES,
    KILLED,
    MAX_RECORDS,
    Ledger,
    open_file,
    series_text,
)
from forecast.jobs.ledger import LEDGER_FILE as LEDGER_FILE
from forecast.jobs.monitoring import gauges
from forecast.jobs.pipeline import OWNERS_TABLE, Pipeline, strip_schema
from forecast.jobs.record import Record
from forecast.logs import log
from forecast.panel.panel import Ids
from forecast.settings import Facts, parse_duration
from forecast.tables.sql import Execute

MISSED_RUNS = 3  # from so many missed runs on, a status reports them
MIN_INTERVAL = 600.0  # fewest seconds between two runs of a schedule

# exit codes of `forecast status`
FINE_STATUS = 0
PARTIAL = 3
STALE_INTERVALS = 4

# the fields of a run that a status shows
FIELDS_SHOWN = (
    "as_of",
    "exit_code",
    "version",
    "seconds",
    "error",
    "fit",
    "warnings",
    "intervals",
    "skipped",
)


class Owner(BaseModel):
    """The job that a store or a file belongs to, from the note in the store or beside the file."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]  # a random id
    job: str
    file: str  # the pipeline file

    def __str__(self) -> str:
        return f"job '{self.job}' ({self.file})"


def read_owner(folder: str, note: str = OWNER) -> Owner | None:
    """The job that a store or a file belongs to, by a note; None before the first run."""
    data = Store(folder).note(note, most=100_000)
    try:
        return None if data is None else Owner.model_validate_json(data)
    except ValidationError:
        cure = "remove it, and the next job that runs is the owner"
        raise ArtifactRefused("is damaged", place=Path(folder) / note, cure=cure) from None


def claim(pipeline: Pipeline, take_over: bool) -> None:
    """Make sure that a locked store belongs to a job; a store without an owner becomes the job's.

    The owner is the same job if it has the same pipeline file, or the same name and its pipeline
    file no longer exists. A store of another job raises `UsageError`, unless the pipeline is to
    take it over.
    """
    if not pipeline.file:  # made in Python
        return
    before = owner_to_replace(pipeline, take_over)
    owner = _claimant(pipeline)
    if before is not None and _is_same(before, owner):
        owner = owner.model_copy(update={"id": before.id})
    if owner != before:
        replace_file(Path(pipeline.store) / OWNER, owner.model_dump_json().encode())


def owner_to_replace(pipeline: Pipeline, take_over: bool) -> Owner | None:
    """The job that a store has belonged to; raises `UsageError` if it is another job's to keep."""
    claimant = _claimant(pipeline)
    before = read_owner(pipeline.store)
    if before is None or not pipeline.file or _is_same(before, claimant):
        return before
    if not Store(pipeline.store).versions():  # its runs have failed
        return None
    if not take_over:
        raise UsageError(
            f"this store belongs to {before}",
            place=pipeline.store,
            cure=f"write another folder as store at the top of {claimant.file}, "
            "or pass --take-over if this job replaces that one",
        )
    log.warning("%s: job '%s' takes the store over from %s", pipeline.store, claimant.job, before)
    return before


def _claimant(pipeline: Pipeline) -> Owner:
    """A job as the owner of a store that it has not owned before."""
    file = os.path.realpath(pipeline.file).encode(errors="backslashreplace").decode()
    return Owner(
        id=secrets.token_hex(6),
        job=pipeline.shown_name,
        file=file,
    )


def _is_same(owner: Owner, claimant: Owner) -> bool:
    if owner.file == claimant.file:
        return True
    return owner.job == claimant.job and not os.path.exists(owner.file)  # the file was moved


def claim_sinks(pipeline: Pipeline, series: Ids, take_over: bool, write: bool = False) -> None:
    """Refuse files and tables of sums of another job, and tables in which it writes these series.

    None is refused if the job is to `take_over` what is another's.

    With `write`, the job claims them: by a note beside a file, and in a table of the database.
    """
    if not pipeline.file:  # made in Python
        return
    owner = read_owner(pipeline.store) or _claimant(pipeline)
    for sink in pipeline.sinks.values():
        if sink.path is None:
            continue
        path = Path(sink.path)
        note = f".{path.name}.owner"
        _refuse_other(owner, read_owner(str(path.parent), note), sink.path, take_over)
        if write:
            make_directory(path.parent)
            replace_file(path.with_name(note), owner.model_dump_json().encode())
    if pipeline.sink.url is None:
        return
    from forecast.tables.databases import connect

    try:
        reads = () if write else (OWNERS_TABLE,)
        with connect(pipeline.sink.url, reads) as execute:
            if write:
                columns = "target TEXT, series TEXT, owner TEXT, PRIMARY KEY (target, series)"
                execute(f"CREATE TABLE IF NOT EXISTS {OWNERS_TABLE} ({columns})")
            for sink in pipeline.sinks.values():
                if sink.table is not None:
                    names = series if sink is pipeline.sink else ((),)
                    target = strip_schema(sink.table)
                    _claim_rows(owner, target, names, execute, take_over, write)
    except CannotCreate as error:
        text = "which job writes which rows cannot be recorded, so that other jobs may replace them"
        log.warning("%s: %s", text, error)


def _claim_rows(
    owner: Owner, target: str, series: Ids, execute: Execute, take_over: bool, write: bool
) -> None:
    text = owner.model_dump_json()
    rows = [{"target": target, "series": series_text(ids), "owner": text} for ids in series]
    sql = f"SELECT series, owner FROM {OWNERS_TABLE} WHERE target = :target"
    before: dict[str, str] = dict(execute(sql, {"target": target}))
    for other in {before.get(row["series"], text) for row in rows}:
        claimed_by = Owner.model_validate_json(other)
        _refuse_other(owner, claimed_by, f"sink.table {target}", take_over)
    new = [row for row in rows if before.get(row["series"]) != text]
    if write and new:
        execute(f"DELETE FROM {OWNERS_TABLE} WHERE target = :target AND series = :series", new)
        execute(f"INSERT INTO {OWNERS_TABLE} VALUES (:target, :series, :owner)", new)


def _refuse_other(owner: Owner, other: Owner | None, place: str, take_over: bool) -> None:
    if other is None or other.id == owner.id or other.file == owner.file:
        return
    if not take_over:
        cure = f"write elsewhere, or pass {Setting('take_over')} if this job replaces that one"
        raise UsageError(f"is written by {other}", place=place, cure=cure)
    log.warning("%s is written by %s, and job '%s' takes it over", place, other, owner.job)


def list_versions(artifact: str, pipeline: Pipeline | None = None) -> list[Facts]:
    """The versions of a store, oldest first, with the notes of its jobs."""
    store = Store(artifact)
    live = store.current()
    notes = {}
    for ledger in _ledgers(artifact, pipeline):
        for fit in ledger.fits(unfinished=True):
            refusal = "" if fit.promoted else "not live: "
            notes[fit.version] = f"{ledger.job}: {refusal}{fit.reason}"
    return [
        {
            "version": info.id,
            "hash": info.hash,
            "created": info.created.isoformat(),
            "live": info.id == live,
            "note": notes.get(info.id, ""),
        }
        for info in store.versions()
    ]


def promote(artifact: str, version: str, wait: float, pipeline: Pipeline | None = None) -> str:
    """Make the version live whose id or hash begins with `version`; returns its id."""
    store = Store(artifact)
    # before the lock, which would create a missing folder
    version = _whole_id(store, version)
    with store.lock(wait) as writer:
        store.load(version)
        # first, or the next run would promote its own version
        for ledger in _ledgers(artifact, pipeline):
            ledger.mark(version, True, "promoted by hand")
        writer.promote(version)
    return version


def _whole_id(store: Store, begin: str) -> str:
    """The id of the version whose id or hash begins with `begin`."""
    versions = store.versions() if begin else []
    ids = [info.id for info in versions if info.id.startswith(begin) or info.hash.startswith(begin)]
    if begin in ids:
        return begin
    if len(ids) > 1:
        several = f"{begin} may mean {len(ids)} versions: {', '.join(ids[:3])}"
        raise UsageError(several, cure="give more of the id")
    if ids:
        return ids[0]
    return store.load(begin)[1].id  # raises, as there is no such version


def rollback(artifact: str, wait: float, pipeline: Pipeline | None = None) -> tuple[str, str]:
    """Make the last version before the live one live that the gate did not refuse.

    Returns the ids of both.
    """
    store = Store(artifact)
    store.current()
    with store.lock(wait) as writer:
        live = store.current()
        ledgers = _ledgers(artifact, pipeline)
        refused = set[str]().union(*(ledger.list_refusals() for ledger in ledgers))
        older = [info.id for info in store.versions() if info.id < live]
        allowed = [version for version in older if version not in refused]
        if not allowed:
            raise NoInput(f"{artifact}: there is no version before {live} to go back to")
        store.load(allowed[-1])
        for ledger in ledgers:
            ledger.mark(live, False, "rolled back")
        writer.promote(allowed[-1])
    return live, allowed[-1]


def build_status(
    ledger: Ledger, store: str, runs: int = 10, as_of: datetime | None = None
) -> Facts:
    """The status of a job now or at `as_of`, with its newest runs; `NoInput` if it had not run."""
    now = as_of or datetime.now(UTC)
    until = AFTER_ALL_TIMES if as_of is None else as_text(as_of)
    all_runs = ledger.runs(MAX_RECORDS, until)
    running = bool(all_runs) and all_runs[0].exit_code == KILLED and is_held(Path(store) / LOCK)
    ended = all_runs[running:]
    newest_runs = ended[:runs]
    if not newest_runs:
        when = "has not run yet; run `forecast run JOB.toml`"
        if as_of is not None:
            when = f"had not run at {until}"
        raise NoInput(f"job '{ledger.job}' {when}")

    # the newest run that is not dated in the future, as runs are whose clock was ahead
    not_ahead = (run for run in newest_runs if run.as_of <= as_text(now))
    newest = next(not_ahead, newest_runs[0])
    read = next((run for run in newest_runs if run.data_age is not None), None)
    age = None
    stale = newest.exit_code == STALE_INTERVALS
    if read is not None and read.data_age is not None:
        since_run = now - datetime.fromisoformat(read.as_of)
        age = read.data_age + since_run.total_seconds()
        limit = read.limits.get("error_after")
        stale |= limit is not None and age >= parse_duration(limit)

    problems = []
    if newest.exit_code not in (FINE_STATUS, STALE_INTERVALS):
        problems.append(newest.error or "some series were left out")
    last = max(all_runs, key=lambda run: run.started)
    if last.ahead_of_clock:
        problems.append(f"the run as of {last.as_of} is ahead of its clock")
    if stale:
        problems.append(f"the data are {'stale' if age is None else age_text(age)}")
    else:
        problems += _find_missed_runs(newest_runs, now)
    code = FINE_STATUS
    if problems:
        code = PARTIAL
    if stale:
        code = STALE_INTERVALS
    warnings = len(newest.warnings)
    fine = f"it ran, with {warnings} warning{'s' * (warnings > 1)}" if warnings else "all is well"
    if as_of is not None:
        live = next((run.version for run in all_runs if run.settled), None)
    else:
        live = None if Store(store).empty else Store(store).current()
    days = ledger.days(14, before=until + AFTER_ALL_TIMES)
    return {
        "job": ledger.job,
        "code": code,
        "said": "; ".join(problems) or fine,
        "live": live,
        "owner": str(read_owner(store) or ""),
        "data_end": None if read is None else read.data_end,
        "data_age": age,  # seconds from the end of the data to now
        "runs": [{name: getattr(run, name) for name in FIELDS_SHOWN} for run in newest_runs],
        "days": [asdict(day) for day in days],
        "gauges": gauges(ended, days, age),
        "totals": next((run.totals for run in newest_runs if run.totals), []),
        "at_lag": next((run.at_lag for run in newest_runs if run.at_lag), {}),
        "actuals": next((run.actuals for run in newest_runs if run.actuals), {}),
    }


def run_note(run: Facts) -> str:
    """The error of a run, the series that it skipped, or why it fitted; else ""."""
    if run["error"]:
        return str(run["error"])
    if run["skipped"] and run["exit_code"] == PARTIAL:
        return f"left out: {', '.join(run['skipped'])}"
    why = (run["fit"] or {}).get("why")
    return f"fit: {why}" if why else ""


def _find_missed_runs(runs: list[Record], now: datetime) -> list[str]:
    """The problem that runs used to come at regular intervals and are now missing, if so."""
    starts = [datetime.fromisoformat(run.started) for run in runs]
    intervals = sorted((later - earlier).total_seconds() for later, earlier in pairwise(starts))
    if len(intervals) < MISSED_RUNS:
        return []
    usual = intervals[len(intervals) // 2]
    elapsed = (now - max(starts)).total_seconds()
    if usual < MIN_INTERVAL or elapsed <= MISSED_RUNS * usual:
        return []
    before = f"before, there was one every {duration_text(usual)}"
    return [f"no run for {duration_text(elapsed)}; {before}"]


def open_ledger(pipeline: Pipeline) -> Ledger:
    """The ledger of a job: the file beside its store, or in the database of its sink."""
    name = pipeline.name or "job"
    shown = pipeline.shown_name
    url = pipeline.sink.url
    if pipeline.ledger != "sink" or url is None:
        return Ledger(shown, partial(open_file, runs_folder(pipeline.store) / LEDGER_FILE), name)

    from forecast.tables.databases import connect

    @contextmanager
    def open_transaction(reads: Collection[str] = ()) -> Iterator[Execute]:
        # messages must not show secrets, whoever opens the ledger
        where = f"job '{name}': its ledger in the database"
        with pipeline.hidden.kept_out(), connect(url, reads, where) as execute:
            yield execute

    # jobs can share a database, in which the id of the store tells them apart
    owner = read_owner(pipeline.store)
    return Ledger(shown, open_transaction, name if owner is None else f"{name}@{owner.id}")


def open_ledgers(artifact: str) -> list[Ledger]:
    """The ledgers of all jobs that ran with a store; NoInput if there are none."""
    ledgers = _ledgers(artifact)
    if not ledgers:
        problem = f"{runs_folder(artifact)}: no job has run with this store"
        cure = f"name a pipeline file, or a store with {Setting('artifact')}"
        raise NoInput(problem, cure=cure)
    return ledgers


def _ledgers(artifact: str, pipeline: Pipeline | None = None) -> list[Ledger]:
    """The ledgers beside a store, and that of `pipeline`, which need not exist."""
    path = runs_folder(artifact) / LEDGER_FILE
    connect = partial(open_file, path)
    ledgers = []
    if path.exists():
        ledgers = [Ledger(job, connect) for job in Ledger("", connect).jobs()]
    if pipeline is not None and pipeline.ledger == "sink":
        ledgers.append(open_ledger(pipeline))
    return ledgers
