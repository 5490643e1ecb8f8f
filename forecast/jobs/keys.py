"""The key of a job in a ledger that several jobs share, and rows of 0.1.0, whose key was the name alone."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from forecast.jobs.owner import Owner
from forecast.jobs.pruning import Connection


def key_of(job: str, owner: Owner | None) -> str:
    """The key of a job in a shared ledger; it is unique, as each store has its own id."""
    return job if owner is None else f"{job}@{owner.id}"


def move_old_rows(
    connect: Callable[[], AbstractContextManager[Connection]], job: str, key: str, versions: set[str]
) -> None:
    """Move the rows of a job that 0.1.0 wrote under its name to its key, unless a run has succeeded under the key.

    Parameters
    ----------
    connect : opens a transaction of a ledger that has its tables
    versions : versions of the job's store, which tell its rows from those of another job with the same name
    """
    with connect() as connection:
        if connection.execute("SELECT 1 FROM forecast_values WHERE job = :key LIMIT 1", {"key": key}):
            return
        taken = {
            as_of for (as_of,) in connection.execute("SELECT as_of FROM forecast_runs WHERE job = :key", {"key": key})
        }
        rows = connection.execute("SELECT as_of, record FROM forecast_runs WHERE job = :job", {"job": job})
        runs = _runs_of_store(sorted(_Run.of(as_of, record) for as_of, record in rows), versions)
        used = versions | {version for run in runs for version in (run.version, run.fitted) if version}
        moves = [{"key": key, "job": job, "as_of": run.as_of} for run in runs if (run.as_of,) not in taken]
        for table in ("forecast_runs", "forecast_values", "forecast_scores"):
            _execute(connection, f"UPDATE {table} SET job = :key WHERE job = :job AND as_of = :as_of", moves)
        fits = connection.execute("SELECT as_of, version FROM forecast_fits WHERE job = :job", {"job": job})
        moves = [{"key": key, "job": job, "as_of": as_of} for as_of, version in fits if version in used]
        _execute(connection, "UPDATE forecast_fits SET job = :key WHERE job = :job AND as_of = :as_of", moves)


@dataclass(frozen=True, order=True)
class _Run:
    """What identifies the job of a run: version that forecast, version that it fitted, sha256 of the pipeline file."""

    as_of: str
    version: str
    fitted: str
    file: str

    @classmethod
    def of(cls, as_of: str, record: str) -> "_Run":
        values = json.loads(record)
        fit = values.get("fit") or {}
        return cls(as_of, values.get("version") or "", fit.get("version") or "", values.get("pipeline_sha256") or "")


def _runs_of_store(runs: list[_Run], versions: set[str]) -> list[_Run]:
    """The runs, in the order of their times, of the job whose store has these versions.

    A store drops its oldest versions. So a run with an unknown version is an old run of this job, or a run of another
    job if it came after a run with a known version. Where the version does not decide, the pipeline file does.
    """
    sure = [run for run in runs if run.version in versions]
    if not sure:
        return []
    foreign = [run for run in runs if run.version and run.version not in versions and run.as_of > sure[0].as_of]
    if not foreign:
        return runs
    files = {run.file for run in sure} - {run.file for run in foreign}
    return [run for run in runs if run.version in versions or run.file in files]


def _execute(connection: Connection, sql: str, values: list[dict[str, str]]) -> None:
    if values:
        connection.execute(sql, values)
