"""Administer a store: the job that owns it, its versions and the live one, the status of its jobs."""

import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast import databases
from forecast.artifacts.store import LOCK, OWNER, Store, runs_folder, stores_nearby
from forecast.calendar.spec import as_text
from forecast.checks.table import age_text, duration_text
from forecast.databases.queries import Execute
from forecast.durable import is_held, make_directory, replace_file
from forecast.errors import (
    ArtifactRefused,
    CannotCreate,
    ForecastError,
    NoInput,
    Setting,
    UsageError,
    Words,
)
from forecast.jobs.pipeline import ROWS, Pipeline, target_of
from forecast.ledger.ledger import ALWAYS, KILLED, MAX_RECORDS, Ledger, open_file, series_text
from forecast.ledger.ledger import FILE as LEDGER_FILE
from forecast.ledger.record import Record
from forecast.logs import log
from forecast.settings import FILE, marked, seconds_of

ROLLED_BACK, BY_HAND = "rolled back", "promoted by hand"
MISSED_RUNS, MIN_INTERVAL = (
    3,
    600.0,
)  # missed runs that are reported, and seconds between two runs that make a schedule
FINE, PARTIAL, STALE = 0, 3, 4  # exit codes of `forecast status`


class Owner(BaseModel):
    """The job that a store belongs to, from the file OWNER in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]  # random, of the store
    store: str  # its path when the job claimed it
    job: str
    file: str  # the pipeline file

    def __str__(self) -> str:
        return f"job '{self.job}' ({self.file})"


def owner_of(store: str, note: str = OWNER) -> Owner | None:
    """The job that a store belongs to, or what else a note is about; None if no job has run with it yet."""
    data = Store(store).note(note, most=100_000)
    try:
        return None if data is None else Owner.model_validate_json(data)
    except ValidationError:
        cure = "remove it, and the next job that runs is the owner"
        raise ArtifactRefused("is damaged", place=Path(store) / note, cure=cure) from None


@contextmanager
def claimed(pipeline: Pipeline, take_over: bool = False) -> Iterator[None]:
    """Make sure that a locked store belongs to a job; one without an owner becomes the job's, unless it is refused.

    It is the same job if it has the same pipeline file, or the same name and the old pipeline file no longer exists.
    With `take_over` it may take the store from another job; else that is a UsageError.
    """
    if not pipeline.file:  # made in Python
        yield
        return
    before = owner_to_replace(pipeline, take_over)
    owner = _claimant(pipeline)
    store_id = (
        secrets.token_hex(6) if before is None or _is_copy(before, owner.store) else before.id
    )
    owner = owner.model_copy(update={"id": store_id})
    note = Path(pipeline.store) / OWNER
    if owner != before:
        replace_file(note, owner.model_dump_json().encode())
    try:
        yield
    except UsageError:  # refused, as it is for its sink
        if owner != before:
            note.unlink() if before is None else replace_file(
                note, before.model_dump_json().encode()
            )
        raise


def owner_to_replace(pipeline: Pipeline, take_over: bool) -> Owner | None:
    """The job that a store has belonged to; UsageError if it is another one, unless this job is to take the store."""
    claimant = _claimant(pipeline)
    before = owner_of(pipeline.store)
    if before is None or not pipeline.file or _is_same(before, claimant):
        return before
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
    """A job as the owner of its store, which has no id yet."""
    paths = (
        os.path.abspath(path).encode(errors="backslashreplace")
        for path in (pipeline.store, pipeline.file)
    )
    store, file = (path.decode() for path in paths)
    return Owner(id="0" * 12, store=store, job=pipeline.hidden(pipeline.name or "job"), file=file)


def claim_sinks(pipeline: Pipeline, series: Iterable[tuple[str, ...]], write: bool = False) -> None:
    """Refuse files and tables of sums that another job writes, and a table where it writes some of these series.

    With `write`, a note beside a file and a table of the database say from now on that they are this job's.
    """
    if not pipeline.file or pipeline._take_over is None:
        return
    owner = owner_of(pipeline.store) or _claimant(pipeline)
    text, sinks = owner.model_dump_json(), list(pipeline.sinks.values())
    for path in (Path(path) for sink in sinks for path in marked(sink, FILE).values()):
        note = f".{path.name}.owner"
        _refuse_others(pipeline, owner, [owner_of(str(path.parent), note)], str(path))
        if write:
            make_directory(path.parent)
            replace_file(path.with_name(note), text.encode())
    if (url := pipeline.sink.url) is None:
        return
    claimed = {sink.table: [()] for sink in sinks if sink.table is not None} | {
        pipeline.sink.table: series
    }
    try:
        with databases.connect(url, reads=() if write else (ROWS,)) as execute:
            if write:
                columns = "target TEXT, series TEXT, owner TEXT, PRIMARY KEY (target, series)"
                execute(f"CREATE TABLE IF NOT EXISTS {ROWS} ({columns})")
            for table, names in claimed.items():
                target = target_of(str(table))
                rows = [
                    {"target": target, "series": name, "owner": text}
                    for name in map(series_text, names)
                ]
                before = dict(
                    execute(
                        f"SELECT series, owner FROM {ROWS} WHERE target = :target",
                        {"target": target},
                    )
                )
                others = {before[row["series"]] for row in rows if row["series"] in before}
                _refuse_others(
                    pipeline, owner, map(Owner.model_validate_json, others), f"sink.table {target}"
                )
                if write and (new := [row for row in rows if before.get(row["series"]) != text]):
                    execute(f"DELETE FROM {ROWS} WHERE target = :target AND series = :series", new)
                    execute(f"INSERT INTO {ROWS} VALUES (:target, :series, :owner)", new)
    except CannotCreate as error:
        log.warning(
            "which job writes which rows cannot be recorded, so that other jobs may replace them: %s",
            error,
        )


def _refuse_others(
    pipeline: Pipeline, owner: Owner, found: Iterable[Owner | None], place: str
) -> None:
    for other in (
        other for other in found if other and other.id != owner.id and other.file != owner.file
    ):
        written = f"is written by {other}"
        if not pipeline._take_over:
            cure = Words(
                "write elsewhere, or pass ", Setting("take_over"), " if this job replaces that one"
            )
            raise UsageError(written, place=place, cure=cure)
        log.warning("%s %s, and job '%s' takes it over", place, written, owner.job)


def _is_same(owner: Owner, claimant: Owner) -> bool:
    try:
        return owner.file == claimant.file or os.path.samefile(owner.file, claimant.file)
    except (FileNotFoundError, NotADirectoryError):  # the file was moved, or it is another job
        return owner.job == claimant.job
    except OSError:
        return False


def _is_copy(owner: Owner, place: str) -> bool:
    with suppress(OSError, ForecastError):  # there is no store any more
        if owner.store != place and not os.path.samefile(owner.store, place):
            original = owner_of(owner.store)
            return original is not None and original.id == owner.id
    return False


def versions_of(artifact: str, pipeline: Pipeline | None = None) -> list[dict[str, Any]]:
    """List the versions of a store, oldest first: id, hash, time, whether it is live, and the notes of its jobs."""
    store = Store(artifact)
    live = store.current()
    notes = {
        fit.version: f"{ledger.job}: {'' if fit.promoted else 'not live: '}{fit.reason}"
        for ledger in _ledgers(artifact, pipeline)
        for fit in ledger.fits(unfinished=True)
    }
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
    """Make the version live whose id or hash begins so, record that in the ledger, and return its id."""
    store = Store(artifact)
    versions = (
        store.versions() if version else []
    )  # before the lock, which would create a missing folder
    found = [
        info.id for info in versions if info.id.startswith(version) or info.hash.startswith(version)
    ]
    if len(found) > 1 and version not in found:
        raise UsageError(
            f"{version} may mean {len(found)} versions: {', '.join(found[:3])}; give more of the id"
        )
    if version not in found:
        version = (
            found[0] if found else store.load(version)[1].id
        )  # which raises: there is no such version
    with store.lock(wait) as writer:
        store.load(version)
        for ledger in _ledgers(
            artifact, pipeline
        ):  # first: else the next run would promote its own
            _mark(ledger, version, True, BY_HAND)
        writer.promote(version)
    return version


def rollback(artifact: str, wait: float, pipeline: Pipeline | None = None) -> tuple[str, str]:
    """Make the version before the live one live, but none that the gate refused; returns the one that was, and is."""
    store = Store(artifact)
    store.current()
    with store.lock(wait) as writer:
        live, ledgers = store.current(), _ledgers(artifact, pipeline)
        refused = set[str]().union(*(ledger.refused() for ledger in ledgers))
        older = [
            version.id
            for version in store.versions()
            if version.id < live and version.id not in refused
        ]
        if not older:
            raise NoInput(f"{artifact}: there is no version before {live} to go back to")
        store.load(older[-1])
        for ledger in ledgers:
            _mark(ledger, live, False, ROLLED_BACK)
        writer.promote(older[-1])
    return live, older[-1]


def _mark(ledger: Ledger, version: str, promoted: bool, done: str) -> None:
    """Record a change by hand behind the verdict of the gate, in the place of an earlier change by hand."""
    if fits := ledger.fits(unfinished=True):
        verdict = next((fit.reason for fit in reversed(fits) if fit.version == version), "")
        for note in (BY_HAND, ROLLED_BACK):
            verdict = verdict.removesuffix(note).removesuffix("; ")
        ledger.mark(version, promoted, f"{verdict}; {done}" if verdict else done)


def status_of(
    ledger: Ledger, store: str, as_of: datetime | None = None, runs: int = 10
) -> dict[str, Any]:
    """The status of a job now or at a time, from its ledger, with its newest runs; NoInput if it had not run."""
    now, until = as_of or datetime.now(UTC), ALWAYS if as_of is None else as_text(as_of)
    all_runs = ledger.runs(MAX_RECORDS, until)
    running = bool(all_runs) and all_runs[0].exit_code == KILLED and is_held(Path(store) / LOCK)
    newest_runs = all_runs[running:][:runs]
    if not newest_runs:
        when = (
            "has not run yet; run `forecast run JOB.toml`"
            if as_of is None
            else f"had not run at {until}"
        )
        raise NoInput(f"job '{ledger.job}' {when}")
    # runs that are dated in the future, as by a clock that was ahead, say nothing of what came after them
    newest = next((run for run in newest_runs if run.as_of <= as_text(now)), newest_runs[0])
    read = next((run for run in newest_runs if run.data_age is not None), None)
    age, limit, code = None, None, newest.exit_code
    if read is not None and read.data_age is not None:
        age = read.data_age + (now - datetime.fromisoformat(read.as_of)).total_seconds()
        limit = read.limits.get("error_after")
    stale = code == STALE or (age is not None and limit is not None and age >= seconds_of(limit))
    problems = [newest.error or "some series were left out"] if code not in (FINE, STALE) else []
    last = max(all_runs, key=lambda run: run.started)
    if last.ahead_of_clock:
        problems.append(f"the run as of {last.as_of} is dated ahead of its clock")
    problems += (
        [f"the data are {'stale' if age is None else age_text(age)}"]
        if stale
        else _missed(newest_runs, now)
    )
    warnings = len(newest.warnings)
    well = f"it ran, with {warnings} warning{'s' * (warnings > 1)}" if warnings else "all is well"
    if as_of is not None:
        live = next((run.version for run in all_runs if run.settled), None)
    else:
        live = None if Store(store).empty else Store(store).current()
    names = (
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
    return {
        "job": ledger.job,
        "code": STALE if stale else PARTIAL if problems else FINE,
        "said": "; ".join(problems) or well,
        "live": live,
        "owner": str(owner_of(store) or ""),
        "data_end": None if read is None else read.data_end,
        "data_age": age,  # of that end now, in seconds
        "runs": [{name: getattr(run, name) for name in names} for run in newest_runs],
        "days": [asdict(day) for day in ledger.days(14, before=until + ALWAYS)],
        "totals": next((run.totals for run in newest_runs if run.totals), []),
        "actuals": next((run.actuals for run in newest_runs if run.actuals), {}),
    }


def run_note(run: dict[str, Any]) -> str:
    """What is to be said of a run of a status: its error, the series that it left out, or why it fitted; else ""."""
    fit, skipped = (run["fit"] or {}).get("why"), ", ".join(run["skipped"] or {})
    left_out = f"left out: {skipped}" if skipped and run["exit_code"] == PARTIAL else ""
    return run["error"] or left_out or (f"fit: {fit}" if fit else "")


def _missed(runs: list[Record], now: datetime) -> list[str]:
    """The problem, if any, that runs came at regular intervals and now are missing."""
    starts = [datetime.fromisoformat(run.started) for run in runs]
    intervals = sorted((later - earlier).total_seconds() for later, earlier in pairwise(starts))
    usual = intervals[len(intervals) // 2] if len(intervals) >= MISSED_RUNS else 0
    elapsed = (now - max(starts)).total_seconds()
    if usual < MIN_INTERVAL or elapsed <= MISSED_RUNS * usual:
        return []
    return [
        f"no run for {duration_text(elapsed)}; before, there was one every {duration_text(usual)}"
    ]


def ledger_of(pipeline: Pipeline) -> Ledger:
    """The ledger of a job: the file beside its store, or in the database of its sink."""
    name, url = pipeline.name or "job", pipeline.sink.url
    if pipeline.ledger != "sink" or url is None:
        return Ledger(
            pipeline.hidden(name),
            partial(open_file, runs_folder(pipeline.store) / LEDGER_FILE),
            name,
        )
    owner = owner_of(pipeline.store)
    key = (
        name if owner is None else f"{name}@{owner.id}"
    )  # several jobs share a database, and each store has its id

    @contextmanager
    def connect(reads: Collection[str] = ()) -> Iterator[Execute]:
        # messages hold no secrets, whoever opens it
        where = f"job '{name}': its ledger in the database"
        with pipeline.hidden.kept_out(), databases.connect(url, reads, where) as execute:
            yield execute

    return Ledger(pipeline.hidden(name), connect, key)


def ledgers_of(artifact: str) -> list[Ledger]:
    """The ledgers of all jobs that ran with a store; NoInput if there are none."""
    if ledgers := _ledgers(artifact):
        return ledgers
    near = stores_nearby(Path(artifact)) if Store(artifact).empty else ""
    cure = f"name a pipeline file, or a store with --artifact{near}"
    raise NoInput(f"{runs_folder(artifact)}: no job has run with this store; {cure}")


def _ledgers(artifact: str, pipeline: Pipeline | None = None) -> list[Ledger]:
    """The ledgers beside a store, and that of `pipeline`, which need not be there."""
    path = runs_folder(artifact) / LEDGER_FILE
    connect = partial(open_file, path)
    beside = [Ledger(job, connect) for job in Ledger("", connect).jobs()] if path.exists() else []
    return (
        [*beside, ledger_of(pipeline)]
        if pipeline is not None and pipeline.ledger == "sink"
        else beside
    )
