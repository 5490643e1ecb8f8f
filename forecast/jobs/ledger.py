"""The ledger of a job: its runs, fits and forecasts, and the scores of these forecasts."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.durable import make_directory, remove_quietly, temporary_beside, write_new
from forecast.errors import ArtifactRefused, Busy, CannotCreate, StorageFailure
from forecast.jobs.pruning import Connection, Row, Values, prune

FILE = "ledger.db"
MAX_SERIES = 2_000  # series of a run whose forecasts are stored; of more, an even selection
KILLED = 137  # exit code of a run that began and did not end: that of SIGKILL
LOCK_PATIENCE = 30.0  # seconds to wait for another process that writes
UNFINISHED = "its run has not ended"  # the reason of a fit until its run is in the ledger: no other part of it counts
ALL_FITS = "9"  # sorts after every instant
MOVES = 2  # `promoted` of a fit whose run makes it the live version right after

TABLES = ("forecast_runs", "forecast_fits", "forecast_values", "forecast_scores")
PUBLISHED = ("forecast", "lo_80", "hi_80", "lo_95", "hi_95")
RAW = ("raw_median", "raw_lo_80", "raw_hi_80", "raw_lo_95", "raw_hi_95")  # missing in rows that 0.2.0 wrote
COLUMNS_0_2 = 11  # of the table of forecasts, without RAW
_RAW_COLUMNS = ", ".join(f"{name} DOUBLE PRECISION" for name in RAW)
# plain SQL that SQLite and PostgreSQL share
_CREATE = (
    "CREATE TABLE IF NOT EXISTS forecast_runs (job TEXT NOT NULL, as_of TEXT NOT NULL, exit_code INTEGER NOT NULL, "
    "record TEXT NOT NULL, PRIMARY KEY (job, as_of))",
    "CREATE TABLE IF NOT EXISTS forecast_fits (job TEXT NOT NULL, as_of TEXT NOT NULL, version TEXT NOT NULL, "
    "promoted INTEGER NOT NULL, reason TEXT NOT NULL, settings TEXT NOT NULL, PRIMARY KEY (job, as_of))",
    "CREATE TABLE IF NOT EXISTS forecast_values (job TEXT NOT NULL, as_of TEXT NOT NULL, series TEXT NOT NULL, "
    "step INTEGER NOT NULL, instant BIGINT NOT NULL, forecast DOUBLE PRECISION NOT NULL, lo_80 DOUBLE PRECISION, "
    "hi_80 DOUBLE PRECISION, lo_95 DOUBLE PRECISION, hi_95 DOUBLE PRECISION, unit DOUBLE PRECISION, "
    f"{_RAW_COLUMNS}, PRIMARY KEY (job, as_of, series, step))",
    "CREATE TABLE IF NOT EXISTS forecast_scores (job TEXT NOT NULL, as_of TEXT NOT NULL, day TEXT NOT NULL, "
    "count INTEGER NOT NULL, mase DOUBLE PRECISION, bias DOUBLE PRECISION, coverage_80 DOUBLE PRECISION, "
    "coverage_95 DOUBLE PRECISION, PRIMARY KEY (job, as_of, day))",
)


@dataclass(frozen=True)
class StoredForecasts:
    """Forecasts of one or several runs, one row for each series and step.

    Attributes
    ----------
    as_of : [rows], time of the run
    series : [rows], ids as JSON
    step, instant : [rows], step of the horizon from 1, and its time on the clock of the table
    numbers : [rows, 5], forecast, lo_80, hi_80, lo_95, hi_95, as the output has them
    unit : [rows], in-sample error of the seasonal naive forecast of the series
    raw : [rows, 5], median, lo_80, hi_80, lo_95, hi_95 of each value alone, before any correction and bound; NaN in
        ledgers that did not have them
    """

    as_of: NDArray[np.str_]
    series: NDArray[np.str_]
    step: NDArray[np.int64]
    instant: NDArray[np.int64]
    numbers: NDArray[np.float64]
    unit: NDArray[np.float64]
    raw: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True)
class FitEntry:
    """One fit of a job: when, which version, whether it was promoted and why, and a digest of its settings.

    Attributes
    ----------
    moves : whether its run makes it the live version; not so of a fit as of a time before that of the live one
    """

    as_of: str
    version: str
    promoted: bool
    reason: str
    settings: str
    moves: bool = False


@dataclass(frozen=True)
class DayScore:
    """Scores of the forecasts for one day; `bias`, in units of the seasonal error, is above 0 if they were too high."""

    day: str
    count: int
    mase: float | None
    bias: float | None
    coverage_80: float | None
    coverage_95: float | None


@contextmanager
def open_file(path: Path, read: bool = False) -> Iterator["Connection"]:
    """Open one transaction of the ledger in a file: committed at the end of the block, rolled back if it raises.

    Parameters
    ----------
    read : only read, and change and create nothing; a missing ledger is an empty one

    Raises
    ------
    Busy
        If another process writes for longer than half a minute.
    CannotCreate, StorageFailure
        If it cannot be created, read or written.
    ArtifactRefused
        If the file is not a ledger, or damaged.
    """
    if not read:
        make_directory(path.parent)
    elif not path.exists():
        with empty_ledger() as empty:
            yield empty
        return
    try:
        # not mode=ro: the unfinished transaction of a killed run must be rolled back before reading
        target = f"{path.absolute().as_uri()}?mode=rw" if read else path
        connection = sqlite3.connect(target, timeout=LOCK_PATIENCE, isolation_level=None, uri=read)
    except sqlite3.Error as error:
        raise _meaning(error, path) from error
    try:
        connection.execute("PRAGMA query_only = ON" if read else "PRAGMA synchronous = FULL")
        connection.execute("BEGIN" if read else "BEGIN IMMEDIATE")
        if read and not _has_tables(connection):
            with empty_ledger() as empty:
                yield empty
        else:
            yield _File(connection)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _meaning(error, path) from error
    finally:
        connection.close()


@contextmanager
def empty_ledger() -> Iterator["Connection"]:
    """A transaction of a ledger without a run."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in _CREATE:
            connection.execute(statement)
        yield _File(connection)


def _has_tables(connection: sqlite3.Connection) -> bool:
    """Whether a run has begun to write; all tables are created together."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return names.issuperset(TABLES)


class _File:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Values = ()) -> list[Row]:
        if isinstance(parameters, Mapping):
            return self._connection.execute(sql, dict(parameters)).fetchall()
        if not parameters:
            return self._connection.execute(sql).fetchall()
        self._connection.executemany(sql, [dict(values) for values in parameters])
        return []


def _meaning(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{path}: another process writes to it; try again later")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        # SQLite reports read errors of the disk as damage too
        return ArtifactRefused(
            f"{path}: is not a ledger, or damaged ({error}); check the disk; move the file away to start a new one"
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return _full(path) or CannotCreate(f"{path}: cannot be opened ({error}); check the folder and its permissions")
    return StorageFailure(f"{path}: {error}; check the disk and its free space, then run again")


def _full(path: Path) -> Exception | None:
    """The error of writing a file beside `path` if the disk is full or broken, which SQLite does not report."""
    probe = temporary_beside(path)
    try:
        write_new(probe, b"", shown=path)
    except StorageFailure as error:
        return error
    except CannotCreate:
        return None
    finally:
        remove_quietly(probe)
    return None


class Ledger:
    """The ledger of one job; each method is one transaction.

    Parameters
    ----------
    job : name of the job
    connect : opens a transaction
    key : key of its rows; default the name
    """

    def __init__(self, job: str, connect: "Connect", key: str | None = None) -> None:
        self.job, self.key = job, key or job
        self._connect = connect

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """Open one transaction that writes, and create missing tables."""
        with self._connect() as connection:
            for statement in _CREATE:
                connection.execute(statement)
            if not _has_raw(connection):
                for name in RAW:
                    connection.execute(f"ALTER TABLE forecast_values ADD COLUMN {name} DOUBLE PRECISION")
            yield connection

    def add_fit(self, entry: FitEntry) -> None:
        """Record a fit; it replaces one of the same time."""
        with self.open() as connection:
            self._add_fit(connection, entry)

    def _add_fit(self, connection: Connection, entry: FitEntry) -> None:
        columns = ("job", "as_of", "version", "promoted", "reason", "settings")
        promoted = MOVES if entry.moves else int(entry.promoted)
        values = {name: value for name, value in vars(entry).items() if name != "moves"}
        values |= {"job": self.key, "promoted": promoted}
        connection.execute(_upsert("forecast_fits", columns, 2), values)

    def fits(self, until: str, unfinished: bool = False) -> list[FitEntry]:
        """The fits until a time, inclusive, oldest first; those whose run has not ended only if they are asked for."""
        sql = (
            "SELECT as_of, version, promoted, reason, settings FROM forecast_fits "
            "WHERE job = :job AND as_of <= :until ORDER BY as_of"
        )
        with self._connect(read=True) as connection:
            rows = connection.execute(sql, {"job": self.key, "until": until})
        fits = [FitEntry(at, version, sign > 0, why, used, sign == MOVES) for at, version, sign, why, used in rows]
        return [fit for fit in fits if unfinished or fit.reason != UNFINISHED]

    def refused(self) -> set[str]:
        """The versions that the gate, the user or the end of a run kept from going live."""
        newest = {fit.version: fit.promoted for fit in self.fits(ALL_FITS, unfinished=True)}
        return {version for version, promoted in newest.items() if not promoted}

    def owed(self) -> str | None:
        """The version that the newest run with a promoted fit makes live, unless a user has chosen another since."""
        return next((fit.version for fit in reversed(self.fits(ALL_FITS)) if fit.moves), None)

    def add_run(
        self,
        as_of: str,
        exit_code: int,
        record: str,
        forecasts: StoredForecasts | None,
        scores: list[DayScore],
        fit: FitEntry | None = None,
    ) -> None:
        """Record a run, its fit, its forecasts and the scores of earlier ones; it replaces a run of the same time."""
        key = {"job": self.key, "as_of": as_of}
        with self.open() as connection:
            run = {**key, "exit_code": exit_code, "record": record}
            connection.execute(_upsert("forecast_runs", tuple(run), 2), run)
            if fit is not None:
                self._add_fit(connection, fit)
            if forecasts is not None:
                self._add_forecasts(connection, key, forecasts, scores)
            prune(connection, self.key)

    def _add_forecasts(
        self, connection: Connection, key: dict[str, str], forecasts: StoredForecasts, scores: list[DayScore]
    ) -> None:
        """Store the forecasts of a run, and the scores of earlier ones, in the place of those that are there."""
        for table in ("forecast_values", "forecast_scores"):
            connection.execute(f"DELETE FROM {table} WHERE job = :job AND as_of = :as_of", key)
        names = (*PUBLISHED, *RAW)
        slots = zip(forecasts.series.tolist(), forecasts.step.tolist(), forecasts.instant.tolist(), strict=True)
        both = np.concatenate([forecasts.numbers, forecasts.raw], 1)
        numbers = zip(both.tolist(), forecasts.unit.tolist(), strict=True)
        rows = [
            {**key, "series": series, "step": step, "instant": instant, **dict(zip(names, row, strict=True)),
             "unit": unit if unit == unit else None}  # not every database has NaN
            for (series, step, instant), (row, unit) in zip(slots, numbers, strict=True)
        ]  # fmt: skip
        if rows:
            connection.execute(_insert("forecast_values", tuple(rows[0])), rows)
        days = [{**key, **vars(score)} for score in scores]
        if days:
            connection.execute(_insert("forecast_scores", tuple(days[0])), days)

    def runs(self, count: int, until: str = "9", since: str = "") -> list[tuple[str, int, dict[str, Any]]]:
        """The newest runs, newest first: time, exit code and record."""
        sql = (
            "SELECT as_of, exit_code, record FROM forecast_runs WHERE job = :job AND as_of <= :until "
            "AND as_of >= :since ORDER BY as_of DESC LIMIT :count"
        )
        with self._connect(read=True) as connection:
            rows = connection.execute(sql, {"job": self.key, "until": until, "since": since, "count": count})
        return [(as_of, code, json.loads(record)) for as_of, code, record in rows]

    def forecasts(self, before: str, runs: int) -> StoredForecasts:
        """The forecasts of the newest `runs` runs before a time."""
        sql = (
            "SELECT as_of, series, step, instant, unit, {numbers} FROM forecast_values "
            "WHERE job = :job AND as_of < :before AND as_of >= COALESCE((SELECT MIN(as_of) FROM (SELECT DISTINCT as_of "
            "FROM forecast_values WHERE job = :job AND as_of < :before ORDER BY as_of DESC LIMIT :runs) AS newest), '')"
            " ORDER BY as_of, series, step"
        )
        with self._connect(read=True) as connection:
            raw = RAW if _has_raw(connection) else ("NULL",) * len(RAW)
            sql = sql.format(numbers=", ".join((*PUBLISHED, *raw)))
            rows = connection.execute(sql, {"job": self.key, "before": before, "runs": runs})
        columns = list(zip(*rows, strict=True)) or [()] * 15
        return StoredForecasts(
            np.array(columns[0], np.str_),
            np.array(columns[1], np.str_),
            np.array(columns[2], np.int64),
            np.array(columns[3], np.int64),
            np.array(columns[5:10], np.float64).T.reshape(-1, 5),
            np.array(columns[4], np.float64),
            np.array(columns[10:], np.float64).T.reshape(-1, 5),
        )

    def days(self, count: int, before: str = "9") -> list[DayScore]:
        """The scores of the newest days, newest first, from the newest run before a time that scored the day."""
        sql = (
            "SELECT day, count, mase, bias, coverage_80, coverage_95 FROM forecast_scores AS found WHERE job = :job "
            "AND as_of = (SELECT MAX(as_of) FROM forecast_scores WHERE job = :job AND day = found.day "
            "AND as_of < :before) ORDER BY day DESC LIMIT :count"
        )
        with self._connect(read=True) as connection:
            rows = connection.execute(sql, {"job": self.key, "count": count, "before": before})
        return [DayScore(*row) for row in rows]

    def mark(self, version: str, promoted: bool, reason: str) -> None:
        """Change whether a fit was promoted, and the reason; no run makes its version live after that."""
        settled = f"UPDATE forecast_fits SET promoted = 1 WHERE job = :job AND promoted = {MOVES}"
        sql = "UPDATE forecast_fits SET promoted = :promoted, reason = :reason WHERE job = :job AND version = :version"
        values = {"job": self.key, "version": version, "promoted": int(promoted), "reason": reason}
        with self.open() as connection:
            connection.execute(settled, {"job": self.key})
            connection.execute(sql, values)

    def jobs(self) -> list[str]:
        """Names of all jobs in the ledger."""
        with self._connect(read=True) as connection:
            return [name for (name,) in connection.execute("SELECT DISTINCT job FROM forecast_runs ORDER BY job")]


class Connect(Protocol):
    """Opens one transaction; one that only reads finds a missing ledger empty, and creates none."""

    def __call__(self, read: bool = False) -> AbstractContextManager[Connection]: ...


def series_text(ids: tuple[str, ...]) -> str:
    """The ids of a series as JSON."""
    return json.dumps(ids, ensure_ascii=False, separators=(",", ":"))


def _has_raw(connection: Connection) -> bool:
    """Whether the table of forecasts has the columns RAW; one row comes back even where it is empty."""
    (row,) = connection.execute("SELECT kept.* FROM (SELECT 1) AS one LEFT JOIN forecast_values AS kept ON 1 = 0")
    return len(row) > COLUMNS_0_2


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"


def _upsert(table: str, columns: tuple[str, ...], keys: int) -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns[keys:])
    return f"{_insert(table, columns)} ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {changed}"
