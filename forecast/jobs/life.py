"""The life of a store: its versions, which one is live, and how its jobs have been doing."""

from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from forecast.artifacts.nearby import nearby
from forecast.artifacts.store import LOCK, Store
from forecast.errors import NoInput, UsageError
from forecast.jobs.checks import aged, shown
from forecast.jobs.ledger import FILE, KILLED, DayScore, Ledger, open_file, runs_folder
from forecast.lock import is_held
from forecast.settings import seconds_of

ROLLED_BACK, BY_HAND = "rolled back", "promoted by hand"
RUNS_MISSED, LEAST_GAP = 3, 600.0  # runs that stay out, and seconds between two that count as a rhythm
DAYS = 14  # of scores that a status shows

FINE, PARTIAL, STALE = 0, 3, 4


def versions_of(artifact: str, own: Ledger | None = None) -> list[dict[str, Any]]:
    """The versions of a store, oldest first: id, hash, time, whether it is live, and what its jobs said of it.

    Parameters
    ----------
    own : a ledger that does not lie beside the store

    Raises
    ------
    NoInput
        If there is no store.
    ArtifactRefused
        If it is damaged.
    """
    store = Store(artifact)
    live = store.current()
    notes = {}
    for ledger in _ledgers(artifact, own):
        for fit in ledger.fits("9"):
            reason = "; ".join(_verdict_and_hand(fit.reason))
            notes[fit.version] = f"{ledger.job}: {'' if fit.promoted else 'not live: '}{reason}"
    return [
        {
            "version": one.id,
            "hash": one.hash,
            "created": one.created.isoformat(),
            "live": one.id == live,
            "note": notes.get(one.id, ""),
        }
        for one in store.versions()
    ]


def promote(artifact: str, version: str, wait: float = 0.0, own: Ledger | None = None) -> str:
    """Make a version the live one, and note it in the ledger.

    Parameters
    ----------
    version : its id, or the beginning of it or of its hash
    own : a ledger that does not lie beside the store

    Returns
    -------
    The id.

    Raises
    ------
    NoInput, UsageError, ArtifactRefused, Busy
        As the store does.
    """
    store = Store(artifact)
    version = _whole_id(store, version)  # refused before a lock is taken, and before a folder could be made
    with store.lock(wait) as writer:
        writer.promote(version)
        for ledger in _ledgers(artifact, own):
            _mark(ledger, version, True, BY_HAND)
    return version


def _whole_id(store: Store, short: str) -> str:
    """The id that a part of one, or of a hash, stands for."""
    known = store.versions()
    found = [one.id for one in known if short and (one.id.startswith(short) or one.hash.startswith(short))]
    if len(found) > 1 and short not in found:
        raise UsageError(f"{short} may mean {len(found)} versions: {', '.join(found[:3])}; give more of the id")
    if not found:
        store.check_id(short)
        return store.load(short)[1].id  # which says that there is none
    return short if short in found else found[0]


def _verdict_and_hand(reason: str) -> list[str]:
    """Why a fit went live or not, and what was done to it by hand last, if anything."""
    words = reason.split("; ")
    verdict = [one for one in words if one not in (BY_HAND, ROLLED_BACK)]
    return ["; ".join(verdict)] * bool(verdict) + [one for one in words[-1:] if one not in verdict]


def _mark(ledger: Ledger, version: str, promoted: bool, done: str) -> None:
    """Note in a ledger what was done to a version by hand; it takes the place of what was done before."""
    for reason in {fit.reason for fit in ledger.fits("9") if fit.version == version}:
        ledger.mark(version, promoted, "; ".join([*_verdict_and_hand(reason)[:1], done]))


def rollback(artifact: str, wait: float = 0.0, own: Ledger | None = None) -> tuple[str, str]:
    """Make the version before the live one live; versions that a gate kept back are passed over.

    Parameters
    ----------
    own : a ledger that does not lie beside the store

    Returns
    -------
    The version that was live, and the one that is.

    Raises
    ------
    NoInput
        If there is none before it.
    """
    store = Store(artifact)
    store.current()
    with store.lock(wait) as writer:
        live = store.current()
        ledgers = _ledgers(artifact, own)
        refused = {fit.version for ledger in ledgers for fit in ledger.fits("9") if not fit.promoted}
        older = [one.id for one in store.versions() if one.id < live and one.id not in refused]
        if not older:
            raise NoInput(f"{artifact}: there is no version before {live} to go back to")
        writer.promote(older[-1])
        for ledger in ledgers:
            _mark(ledger, live, False, ROLLED_BACK)
    return live, older[-1]


@dataclass(frozen=True)
class Status:
    """How a job has been doing.

    Attributes
    ----------
    job : its name
    code : 0 all is well, 3 the newest run failed or was partial, 4 its data are stale
    said : why, in words
    live : version
    data_end, data_age : of the newest run that read data; seconds now
    runs : newest first: as_of, exit_code, version, seconds, error
    days : newest first
    """

    job: str
    code: int
    said: str
    live: str | None
    data_end: str | None
    data_age: float | None
    runs: list[dict[str, Any]]
    days: list[DayScore]

    def as_json(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return asdict(self)


def status_of(ledger: Ledger, store: str, now: datetime, runs: int = 10) -> Status:
    """How a job has been doing, by its ledger.

    Raises
    ------
    NoInput
        If it has never run.
    """
    found = ledger.runs(runs + 1)
    if found and found[0][1] == KILLED and is_held(Path(store) / LOCK):
        found = found[1:]  # it has not ended yet
    found = found[:runs]
    if not found:
        raise NoInput(f"job '{ledger.job}' has not run yet; run `forecast run JOB.toml`")
    _, code, newest = found[0]
    read = next((record for _, _, record in found if record.get("data_age") is not None), {})
    age = read.get("data_age")
    if age is not None:
        age += (now - datetime.fromisoformat(read["as_of"])).total_seconds()
    stale = code == STALE or _reached(age, read, "error_after")
    said = [newest.get("error") or "some series were left out"] if code not in (FINE, STALE) else []
    said += [f"the data are {'stale' if age is None else aged(age)}"] if stale else []
    said += [] if stale else _late(found, now)
    verdict = STALE if stale else PARTIAL if said else FINE
    warned = len(newest.get("warnings", []))
    said = said or ["all is well" + (f", with {warned} warning(s): {newest['warnings'][0]}" if warned else "")]
    names = ("as_of", "exit_code", "version", "seconds", "error", "fit", "warnings", "intervals", "skipped")
    live = None if Store(store).empty else Store(store).current()
    shown_runs = [{name: record.get(name) for name in names} for _, _, record in found]
    days = ledger.days(DAYS)
    return Status(ledger.job, verdict, "; ".join(said), live, read.get("data_end"), age, shown_runs, days)


def _reached(age: float | None, record: dict[str, Any], name: str) -> bool:
    limit = record.get("limits", {}).get(name)
    return age is not None and limit is not None and age >= seconds_of(limit)


def _late(runs: list[tuple[str, int, dict[str, Any]]], now: datetime) -> list[str]:
    """That runs came at a steady rhythm, and stay out."""
    started = [datetime.fromisoformat(record["started"]) for _, _, record in runs]
    gaps = sorted((one - other).total_seconds() for one, other in pairwise(started))
    if len(gaps) < RUNS_MISSED:
        return []
    usual, silence = gaps[len(gaps) // 2], (now - max(started)).total_seconds()
    if usual < LEAST_GAP or silence <= RUNS_MISSED * usual:
        return []
    return [f"no run for {shown(silence)}, and they came every {shown(usual)}"]


def ledgers_of(artifact: str) -> list[Ledger]:
    """The ledgers of all jobs that ran with a store.

    Raises
    ------
    NoInput
        If none did.
    """
    found = _ledgers(artifact)
    if not found:
        near = nearby(Path(artifact)) if Store(artifact).empty else ""
        raise NoInput(
            f"{runs_folder(artifact)}: no job has run with this store; name a pipeline file, or a store with "
            f"--artifact{near}"
        )
    return found


def _ledgers(artifact: str, own: Ledger | None = None) -> list[Ledger]:
    path = runs_folder(str(Path(artifact))) / FILE
    more = [] if own is None else [own]
    if not path.exists():
        return more
    connect = partial(open_file, path)
    return [*(Ledger(job, connect) for job in Ledger("", connect).jobs()), *more]
