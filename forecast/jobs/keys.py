"""The key of a job in a ledger that jobs share, and the rows that jobs of 0.1.0 left there under their names alone."""

import json
from dataclasses import dataclass

from forecast.jobs.ledger import Connect, Connection
from forecast.jobs.owner import Owner


def key_of(job: str, owner: Owner | None) -> str:
    """The key of a job in a shared ledger: no other job has it, since no two stores share their id."""
    return job if owner is None else f"{job}@{owner.id}"


def move_old_rows(connect: Connect, job: str, key: str, versions: set[str]) -> None:
    """Give rows under the name of a job to the key of the job that left them, until a run has ended well under the key.

    Parameters
    ----------
    connect : opens a transaction of a ledger whose tables are there
    versions : those of the job's store: they tell its rows from those of another job of that name
    """
    with connect() as connection:
        if connection.execute("SELECT 1 FROM forecast_values WHERE job = :key LIMIT 1", {"key": key}):
            return
        taken = {
            as_of for (as_of,) in connection.execute("SELECT as_of FROM forecast_runs WHERE job = :key", {"key": key})
        }
        rows = connection.execute("SELECT as_of, record FROM forecast_runs WHERE job = :job", {"job": job})
        own = _own(sorted(_Run.of(as_of, record) for as_of, record in rows), versions)
        used = versions | {version for run in own for version in (run.version, run.fitted) if version}
        moves = [{"key": key, "job": job, "as_of": run.as_of} for run in own if (run.as_of,) not in taken]
        for table in ("forecast_runs", "forecast_values", "forecast_scores"):
            _execute(connection, f"UPDATE {table} SET job = :key WHERE job = :job AND as_of = :as_of", moves)
        fits = connection.execute("SELECT as_of, version FROM forecast_fits WHERE job = :job", {"job": job})
        moves = [{"key": key, "job": job, "as_of": as_of} for as_of, version in fits if version in used]
        _execute(connection, "UPDATE forecast_fits SET job = :key WHERE job = :job AND as_of = :as_of", moves)


@dataclass(frozen=True, order=True)
class _Run:
    """What tells whose a run was: the version that forecast, the one that it fitted, the pipeline file's sha256."""

    as_of: str
    version: str
    fitted: str
    file: str

    @classmethod
    def of(cls, as_of: str, record: str) -> "_Run":
        found = json.loads(record)
        fit = found.get("fit") or {}
        return cls(as_of, found.get("version") or "", fit.get("version") or "", found.get("pipeline_sha256") or "")


def _own(runs: list[_Run], versions: set[str]) -> list[_Run]:
    """The runs of the job whose store holds some versions; `runs` are in the order of their instants.

    A store drops its oldest versions, so that a run by another version is one of before, or one of another job if it
    came after a run by a version that is there. The pipeline file tells where the version cannot.
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
