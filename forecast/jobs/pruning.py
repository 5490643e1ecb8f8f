"""Bound the ledger of a job: delete what is older than its newest runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

MAX_RUNS = 200  # runs of a job whose forecasts and scores are stored; of older ones, the newest score of each day
MAX_RECORDS = 1_000  # runs of a job, and fits, that are stored at all

Row = tuple[Any, ...]
Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Connection(Protocol):
    """One transaction of a database."""

    def execute(self, sql: str, parameters: Values = ...) -> list[Row]:
        """Run a statement with named parameters, or once for each of a list of them; return its rows."""


def prune(connection: Connection, job: str) -> None:
    """Delete the forecasts of old runs, scores of days that newer runs scored too, then whole runs and fits."""
    oldest = _oldest(connection, job, "SELECT DISTINCT as_of FROM forecast_values", MAX_RUNS)
    _delete(connection, "forecast_values", oldest)
    # each run scores a stretch of days up to its own
    scored = "SELECT MIN(day) FROM forecast_scores WHERE job = :job AND as_of >= :oldest"
    _delete(connection, "forecast_scores", oldest, f"AND day >= ({scored})")
    oldest = _oldest(connection, job, "SELECT as_of FROM forecast_runs", MAX_RECORDS)
    for table in ("forecast_runs", "forecast_scores"):
        _delete(connection, table, oldest)
    _delete(connection, "forecast_fits", _oldest(connection, job, "SELECT as_of FROM forecast_fits", MAX_RECORDS))


def _oldest(connection: Connection, job: str, times: str, count: int) -> dict[str, str]:
    """The job, and the oldest of its newest `count` times."""
    sql = f"SELECT MIN(as_of) FROM ({times} WHERE job = :job ORDER BY as_of DESC LIMIT :count) AS newest"
    ((oldest,),) = connection.execute(sql, {"job": job, "count": count})
    return {"job": job, "oldest": oldest or ""}


def _delete(connection: Connection, table: str, oldest: dict[str, str], condition: str = "") -> None:
    connection.execute(f"DELETE FROM {table} WHERE job = :job AND as_of < :oldest {condition}", oldest)
