"""Administer a store: list its versions, choose the live one, report the status of its jobs."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from forecast import databases
from forecast.artifacts.store import LOCK, Store, runs_folder, stores_nearby
from forecast.calendar.spec import as_text
from forecast.checks.table import aged, duration_text
from forecast.databases.redaction import Redactor
from forecast.databases.transactions import Execute
from forecast.durable import is_held
from forecast.errors import NoInput, UsageError
from forecast.jobs.owner import ledger_key
from forecast.jobs.pipeline import Pipeline
from forecast.ledger.ledger import ALWAYS, FILE, KILLED, MAX_RECORDS, DayScore, Ledger, open_file
from forecast.settings import STORE, seconds_of

ROLLED_BACK, BY_HAND = "rolled back", "promoted by hand"
MISSED_RUNS, MIN_INTERVAL = 3, 600.0  # missed runs that are reported, and seconds between two runs that make a schedule
SHOWN_DAYS = 14  # scored days that a status shows

FINE, PARTIAL, STALE = 0, 3, 4  # exit codes of `forecast status`


def versions_of(artifact: str, elsewhere: Ledger | None = None) -> list[dict[str, Any]]:
    """List the versions of a store, oldest first: id, hash, time, whether it is live, and the notes of its jobs.

    Here and below, `elsewhere` is a ledger that is not beside the store.
    """
    store = Store(artifact)
    live = store.current()
    notes = {
        fit.version: f"{ledger.job}: {'' if fit.promoted else 'not live: '}{fit.reason}"
        for ledger in _ledgers(artifact, elsewhere)
        for fit in ledger.fits(unfinished=True)
    }
    names = ("version", "hash", "created", "live", "note")
    facts = ((v.id, v.hash, v.created.isoformat(), v.id == live, notes.get(v.id, "")) for v in store.versions())
    return [dict(zip(names, values, strict=True)) for values in facts]


def promote(artifact: str, version: str, wait: float = STORE.wait, elsewhere: Ledger | None = None) -> str:
    """Make the version live whose id or hash begins so, record that in the ledger, and return its id."""
    store = Store(artifact)
    version = _whole_id(store, version)  # before the lock, which would create a missing folder
    with store.lock(wait) as writer:
        store.load(version)
        for ledger in _ledgers(artifact, elsewhere):  # first: else the next run would promote its own
            _mark(ledger, version, True, BY_HAND)
        writer.promote(version)
    return version


def rollback(artifact: str, wait: float = STORE.wait, elsewhere: Ledger | None = None) -> tuple[str, str]:
    """Make the version before the live one live, but none that the gate refused; returns the one that was, and is."""
    store = Store(artifact)
    store.current()
    with store.lock(wait) as writer:
        live = store.current()
        ledgers = _ledgers(artifact, elsewhere)
        refused = set[str]().union(*(ledger.refused() for ledger in ledgers))
        older = [version.id for version in store.versions() if version.id < live and version.id not in refused]
        if not older:
            raise NoInput(f"{artifact}: there is no version before {live} to go back to")
        store.load(older[-1])
        for ledger in ledgers:
            _mark(ledger, live, False, ROLLED_BACK)
        writer.promote(older[-1])
    return live, older[-1]


def _whole_id(store: Store, short: str) -> str:
    """The id of the version whose id or hash begins so."""
    versions = store.versions() if short else []
    found = [version.id for version in versions if version.id.startswith(short) or version.hash.startswith(short)]
    if short in found:
        return short
    if len(found) > 1:
        raise UsageError(f"{short} may mean {len(found)} versions: {', '.join(found[:3])}; give more of the id")
    return found[0] if found else store.load(short)[1].id  # which raises: there is no such version


def _mark(ledger: Ledger, version: str, promoted: bool, done: str) -> None:
    """Record a change by hand behind the verdict of the gate, in the place of an earlier change by hand."""
    fits = ledger.fits(unfinished=True)
    if fits:
        verdict = next((fit.reason for fit in reversed(fits) if fit.version == version), "")
        for note in (BY_HAND, ROLLED_BACK):
            verdict = verdict.removesuffix(note).removesuffix("; ")
        ledger.mark(version, promoted, f"{verdict}; {done}" if verdict else done)


@dataclass(frozen=True)
class Status:
    """The status of a job."""

    job: str
    code: int  # 0 all is well, 3 the newest run failed or was partial, 4 the data are stale
    said: str  # the reason
    live: str | None  # version
    data_end: str | None  # in the newest run that read some data
    data_age: float | None  # of that end now, in seconds
    runs: list[dict[str, Any]]  # newest first: as_of, exit_code, version, seconds, error
    days: list[DayScore]  # newest first
    totals: list[dict[str, Any]]  # by level, in the newest run that found some
    actuals: dict[str, Any]  # values since the run before beside its intervals, in the newest run that had some


def status_of(ledger: Ledger, store: str, as_of: datetime | None = None, runs: int = 10) -> Status:
    """The status of a job now or at a time, from its ledger, with its newest runs; NoInput if it had not run."""
    now, until = as_of or datetime.now(UTC), ALWAYS if as_of is None else as_text(as_of)
    newest_runs = ledger.runs(runs + 1, until)
    running = bool(newest_runs) and newest_runs[0][1] == KILLED and is_held(Path(store) / LOCK)
    newest_runs = newest_runs[running:][:runs]
    if not newest_runs:
        when = "has not run yet; run `forecast run JOB.toml`" if as_of is None else f"had not run at {until}"
        raise NoInput(f"job '{ledger.job}' {when}")
    # runs that are dated in the future, as by a clock that was ahead, say nothing of what came after them
    _, code, newest = next((run for run in newest_runs if run[0] <= as_text(now)), newest_runs[0])
    read = next((record for _, _, record in newest_runs if record.get("data_age") is not None), {})
    age, limit = read.get("data_age"), read.get("limits", {}).get("error_after")
    if age is not None:
        age += (now - datetime.fromisoformat(read["as_of"])).total_seconds()
    stale = code == STALE or (age is not None and limit is not None and age >= seconds_of(limit))
    problems = [newest.get("error") or "some series were left out"] if code not in (FINE, STALE) else []
    problems += [f"the data are {'stale' if age is None else aged(age)}"] if stale else _missed(newest_runs, now)
    warnings = newest.get("warnings", [])
    well = f"it ran, with {len(warnings)} warning{'s' if len(warnings) > 1 else ''}" if warnings else "all is well"
    live = None if as_of is not None or Store(store).empty else Store(store).current()
    if as_of is not None:
        live = next((run["version"] for *_, run in ledger.runs(MAX_RECORDS, until) if run["settled"]), None)
    names = ("as_of", "exit_code", "version", "seconds", "error", "fit", "warnings", "intervals", "skipped")
    return Status(
        job=ledger.job,
        code=STALE if stale else PARTIAL if problems else FINE,
        said="; ".join(problems) or well,
        live=live,
        data_end=read.get("data_end"),
        data_age=age,
        runs=[{name: record.get(name) for name in names} for _, _, record in newest_runs],
        days=ledger.days(SHOWN_DAYS, before=until + ALWAYS),
        totals=next((record["totals"] for _, _, record in newest_runs if record["totals"]), []),
        actuals=next((record["actuals"] for _, _, record in newest_runs if record["actuals"]), {}),
    )


def noted(run: dict[str, Any]) -> str:
    """What is to be said of a run of a status: its error, the series that it left out, or why it fitted; else ""."""
    fit, skipped = (run["fit"] or {}).get("why"), ", ".join(run["skipped"] or {})
    left_out = f"left out: {skipped}" if skipped and run["exit_code"] == PARTIAL else ""
    return run["error"] or left_out or (f"fit: {fit}" if fit else "")


def _missed(runs: list[tuple[str, int, dict[str, Any]]], now: datetime) -> list[str]:
    """The problem, if any, that runs came at regular intervals and now are missing."""
    starts = [datetime.fromisoformat(record["started"]) for _, _, record in runs]
    intervals = sorted((later - earlier).total_seconds() for later, earlier in pairwise(starts))
    usual = intervals[len(intervals) // 2] if len(intervals) >= MISSED_RUNS else 0
    elapsed = (now - max(starts)).total_seconds()
    if usual < MIN_INTERVAL or elapsed <= MISSED_RUNS * usual:
        return []
    return [f"no run for {duration_text(elapsed)}; before, there was one every {duration_text(usual)}"]


def ledger_of(pipeline: Pipeline) -> Ledger:
    """The ledger of a job: the file beside its store, or in the database of its sink."""
    name = pipeline.name or "job"
    if pipeline.ledger == "sink" and pipeline.sink.url is not None:
        connect = partial(_connect, pipeline.hidden, pipeline.sink.url, name)
        return Ledger(pipeline.hidden(name), connect, ledger_key(name, pipeline.store))
    return Ledger(pipeline.hidden(name), partial(open_file, runs_folder(pipeline.store) / FILE), name)


@contextmanager
def _connect(hidden: Redactor, url: str, job: str, reads: Collection[str] = ()) -> Iterator[Execute]:
    # messages hold no secrets, whoever opens it
    with hidden.kept_out(), databases.connect(url, reads, f"job '{job}': its ledger in the database") as execute:
        yield execute


def ledgers_of(artifact: str) -> list[Ledger]:
    """The ledgers of all jobs that ran with a store; NoInput if there are none."""
    if ledgers := _ledgers(artifact):
        return ledgers
    near = stores_nearby(Path(artifact)) if Store(artifact).empty else ""
    cure = f"name a pipeline file, or a store with --artifact{near}"
    raise NoInput(f"{runs_folder(artifact)}: no job has run with this store; {cure}")


def _ledgers(artifact: str, elsewhere: Ledger | None = None) -> list[Ledger]:
    path = runs_folder(artifact) / FILE
    connect = partial(open_file, path)
    beside = [Ledger(job, connect) for job in Ledger("", connect).jobs()] if path.exists() else []
    return beside if elsewhere is None else [*beside, elsewhere]
