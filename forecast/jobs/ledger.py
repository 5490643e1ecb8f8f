"""The ledger of a job: its runs, fits and forecasts, and the scores of these forecasts."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.databases.transactions import Connect, Execute, Row, Values, no_tables
from forecast.durable import make_directory, remove_quietly, temporary_beside, write_new
from forecast.errors import ArtifactRefused, Busy, CannotCreate, StorageFailure

FILE = "ledger.db"
MAX_SERIES = 2_000  # series of a run whose forecasts are stored; of more, an even selection
MAX_RUNS = 200  # runs of a job whose forecasts and scores are stored; of older ones, the newest score of each day
MAX_RECORDS = 1_000  # runs of a job, and fits, that are stored at all
KILLED = 137  # exit code of a run that began and did not end: that of SIGKILL
LOCK_PATIENCE = 30.0  # seconds to wait for another process that writes
UNFINISHED = "its run has not ended"  # the reason of a fit until its run is in the ledger: no other part of it counts
ALWAYS = "9"  # sorts after every time
MOVES = 2  # `promoted` of a fit whose run makes it the live version right after

RAW = ("raw_median", "raw_lo_80", "raw_hi_80", "raw_lo_95", "raw_hi_95")  # missing in tables that 0.2.0 made
COLUMNS_0_2 = 11  # of forecast_values, without RAW
NUMBERS = ("forecast", "lo_80", "hi_80", "lo_95", "hi_95", "unit", *RAW)
# in SQL that SQLite and PostgreSQL share; the columns job and as_of come first
TABLES = {
    "forecast_runs": "exit_code INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (job, as_of)",
    "forecast_fits": "version TEXT NOT NULL, promoted INTEGER NOT NULL, reason TEXT NOT NULL, settings TEXT NOT NULL, "
    "PRIMARY KEY (job, as_of)",
    "forecast_values": "series TEXT NOT NULL, step INTEGER NOT NULL, instant BIGINT NOT NULL, "
    "forecast DOUBLE PRECISION NOT NULL, "
    + "".join(f"{name} DOUBLE PRECISION, " for name in NUMBERS[1:])
    + "PRIMARY KEY (job, as_of, series, step)",
    "forecast_scores": "day TEXT NOT NULL, count INTEGER NOT NULL, mase DOUBLE PRECISION, bias DOUBLE PRECISION, "
    "coverage_80 DOUBLE PRECISION, coverage_95 DOUBLE PRECISION, PRIMARY KEY (job, as_of, day)",
}


@dataclass(frozen=True)
class StoredForecasts:
    """Forecasts of one or several runs, one row for each series and step."""

    as_of: NDArray[np.str_]  # [rows], time of the run
    series: NDArray[np.str_]  # [rows], ids as JSON
    step: NDArray[np.int64]  # [rows], from 1
    instant: NDArray[np.int64]  # [rows], time of the value on the clock of the table
    numbers: NDArray[np.float64]  # [rows, 5], forecast, lo_80, hi_80, lo_95, hi_95, as the output has them
    unit: NDArray[np.float64]  # [rows], in-sample error of the seasonal naive forecast of the series
    raw: NDArray[np.float64]  # [rows, 5], the same of each value alone, uncorrected; NaN in rows that 0.2.0 wrote

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True)
class FitEntry:
    """One fit of a job."""

    as_of: str
    version: str
    promoted: bool
    reason: str
    settings: str  # a digest
    moves: bool = False  # whether its run makes it live; not so of a fit as of a time before that of the live version


@dataclass(frozen=True)
class DayScore:
    """Scores of the forecasts for one day, errors in units of the seasonal naive error; too high if `bias` > 0."""

    day: str
    count: int
    mase: float | None
    bias: float | None
    coverage_80: float | None
    coverage_95: float | None


class Ledger:
    """The ledger of one job, whose rows have its name or another key; each method is one transaction."""

    def __init__(self, job: str, connect: Connect, key: str | None = None) -> None:
        self.job, self.key = job, key or job
        self._connect = connect

    def add_run(
        self, at: str, code: int, record: str, forecasts: StoredForecasts | None, days: list[DayScore], *fits: FitEntry
    ) -> None:
        """Record a run, its fit, its forecasts and the scores of earlier ones; it replaces a run of the same time."""
        with self._writing() as execute:
            self._replace(execute, "forecast_runs", at, [{"exit_code": code, "record": record}])
            for fit in fits:
                self._replace_fit(execute, fit)
            if forecasts is not None:
                self._replace(execute, "forecast_values", at, _value_rows(forecasts))
                self._replace(execute, "forecast_scores", at, [asdict(day) for day in days])
            _prune(execute, self.key)

    def add_fit(self, entry: FitEntry) -> None:
        """Record a fit; it replaces one of the same time."""
        with self._writing() as execute:
            self._replace_fit(execute, entry)

    def mark(self, version: str, promoted: bool, reason: str) -> None:
        """Change whether a fit was promoted, and the reason; no run makes its version live after that."""
        sql = "UPDATE forecast_fits SET promoted = :promoted, reason = :reason WHERE job = :job AND version = :version"
        values = {"job": self.key, "version": version, "promoted": int(promoted), "reason": reason}
        with self._writing() as execute:
            execute(f"UPDATE forecast_fits SET promoted = 1 WHERE job = :job AND promoted = {MOVES}", {"job": self.key})
            execute(sql, values)

    def jobs(self) -> list[str]:
        """Names of all jobs in the ledger."""
        return [name for (name,) in self._read("SELECT DISTINCT job FROM forecast_runs ORDER BY job")]

    def runs(self, count: int, until: str = ALWAYS, since: str = "") -> list[tuple[str, int, dict[str, Any]]]:
        """The newest runs, newest first: time, exit code and record."""
        sql = "SELECT as_of, exit_code, record FROM forecast_runs WHERE job = :job AND as_of BETWEEN :since AND :until"
        rows = self._read(f"{sql} ORDER BY as_of DESC LIMIT :count", until=until, since=since, count=count)
        return [(as_of, code, json.loads(record)) for as_of, code, record in rows]

    def fits(self, until: str = ALWAYS, unfinished: bool = False) -> list[FitEntry]:
        """The fits until a time, inclusive, oldest first; those whose run has not ended only if they are asked for."""
        sql = (
            "SELECT as_of, version, promoted, reason, settings FROM forecast_fits WHERE job = :job AND as_of <= :until"
        )
        rows = self._read(f"{sql} ORDER BY as_of", until=until)
        fits = [FitEntry(at, version, sign > 0, why, used, sign == MOVES) for at, version, sign, why, used in rows]
        return [fit for fit in fits if unfinished or fit.reason != UNFINISHED]

    def refused(self) -> set[str]:
        """The versions that the gate, the user or the end of a run kept from going live."""
        newest = {fit.version: fit.promoted for fit in self.fits(unfinished=True)}
        return {version for version, promoted in newest.items() if not promoted}

    def owed(self) -> str | None:
        """The version that the newest run with a promoted fit makes live, unless a user has chosen another since."""
        return next((fit.version for fit in reversed(self.fits()) if fit.moves), None)

    def forecasts(self, before: str, runs: int) -> StoredForecasts:
        """The forecasts of the newest `runs` runs before a time."""
        condition = "job = :job AND as_of < :before"
        oldest = _oldest("forecast_values", runs, condition)
        sql = f"SELECT * FROM forecast_values WHERE {condition} AND as_of >= {oldest} ORDER BY as_of, series, step"
        columns = list(zip(*self._read(sql, before=before), strict=True)) or [()] * (COLUMNS_0_2 + len(RAW))
        numbers = [np.array(column, np.float64) for column in columns[5:]]  # NULL becomes NaN
        raw = numbers[6:] or [np.full(len(columns[0]), np.nan)] * len(RAW)
        as_of, series = (np.array(column, np.str_) for column in columns[1:3])
        step, instant = (np.array(column, np.int64) for column in columns[3:5])
        return StoredForecasts(as_of, series, step, instant, np.stack(numbers[:5], 1), numbers[5], np.stack(raw, 1))

    def days(self, count: int, before: str = ALWAYS) -> list[DayScore]:
        """The scores of the newest days, newest first, from the newest run before a time that scored the day."""
        names = ", ".join(field.name for field in fields(DayScore))
        newest = "SELECT MAX(as_of) FROM forecast_scores WHERE job = :job AND day = found.day AND as_of < :before"
        sql = f"SELECT {names} FROM forecast_scores AS found WHERE job = :job AND as_of = ({newest})"
        rows = self._read(f"{sql} ORDER BY day DESC LIMIT :count", count=count, before=before)
        return [DayScore(*row) for row in rows]

    def _read(self, sql: str, **values: Any) -> list[Row]:
        with self._connect(read=True) as execute:
            return execute(sql, {"job": self.key, **values})

    @contextmanager
    def _writing(self) -> Iterator[Execute]:
        """Open one transaction that writes, and create missing tables."""
        with self._connect() as execute:
            for table, columns in TABLES.items():
                execute(f"CREATE TABLE IF NOT EXISTS {table} (job TEXT NOT NULL, as_of TEXT NOT NULL, {columns})")
            # one row comes back even where there are no forecasts
            (row,) = execute("SELECT found.* FROM (SELECT 1) AS always LEFT JOIN forecast_values AS found ON 1 = 0")
            for name in RAW if len(row) == COLUMNS_0_2 else ():
                execute(f"ALTER TABLE forecast_values ADD COLUMN {name} DOUBLE PRECISION")
            yield execute

    def _replace(self, execute: Execute, table: str, as_of: str, rows: list[dict[str, Any]]) -> None:
        """Store the rows of a run in the place of those that are there."""
        key = {"job": self.key, "as_of": as_of}
        execute(f"DELETE FROM {table} WHERE job = :job AND as_of = :as_of", key)
        if rows:
            names = [*key, *rows[0]]
            marks = ", ".join(f":{name}" for name in names)
            execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", [{**key, **row} for row in rows])

    def _replace_fit(self, execute: Execute, fit: FitEntry) -> None:
        promoted = MOVES if fit.moves else int(fit.promoted)
        row = {"version": fit.version, "promoted": promoted, "reason": fit.reason, "settings": fit.settings}
        self._replace(execute, "forecast_fits", fit.as_of, [row])


def series_text(ids: tuple[str, ...]) -> str:
    """The ids of a series as JSON."""
    return json.dumps(ids, ensure_ascii=False, separators=(",", ":"))


def _value_rows(forecasts: StoredForecasts) -> list[dict[str, Any]]:
    unit = [value if value == value else None for value in forecasts.unit.tolist()]  # not every database has NaN
    columns = [forecasts.series.tolist(), forecasts.step.tolist(), forecasts.instant.tolist()]
    columns += [*forecasts.numbers.T.tolist(), unit, *forecasts.raw.T.tolist()]
    names = ("series", "step", "instant", *NUMBERS)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _oldest(table: str, count: int, condition: str = "job = :job") -> str:
    """A subquery: the oldest of the newest `count` times in a table; NULL where it has none."""
    times = f"SELECT DISTINCT as_of FROM {table} WHERE {condition} ORDER BY as_of DESC LIMIT {count}"
    return f"(SELECT MIN(as_of) FROM ({times}) AS newest)"


def _prune(execute: Execute, job: str) -> None:
    """Delete the forecasts of old runs, scores of days that newer runs scored too, then whole runs and fits."""
    oldest = "(SELECT MIN(as_of) FROM forecast_values WHERE job = :job)"
    # each run scores a stretch of days up to its own
    scored = f"(SELECT MIN(day) FROM forecast_scores WHERE job = :job AND as_of >= {oldest})"
    for table, condition in (
        ("forecast_values", f"as_of < {_oldest('forecast_values', MAX_RUNS)}"),
        ("forecast_scores", f"as_of < {oldest} AND day >= {scored}"),
        ("forecast_scores", f"as_of < {_oldest('forecast_runs', MAX_RECORDS)}"),
        ("forecast_runs", f"as_of < {_oldest('forecast_runs', MAX_RECORDS)}"),
        ("forecast_fits", f"as_of < {_oldest('forecast_fits', MAX_RECORDS)}"),
    ):
        execute(f"DELETE FROM {table} WHERE job = :job AND {condition}", {"job": job})


@contextmanager
def open_file(path: Path, read: bool = False) -> Iterator[Execute]:
    """Open one transaction of the ledger in a file: committed at the end of the block, rolled back if it raises.

    Raises Busy if another process writes for longer than half a minute, ArtifactRefused if the file is no ledger.
    """
    if not read:
        make_directory(path.parent)
    elif not path.exists():
        yield no_tables
        return
    # not mode=ro: the unfinished transaction of a killed run must be rolled back before reading
    target = f"{path.absolute().as_uri()}?mode={'rw' if read else 'rwc'}"
    try:
        with closing(sqlite3.connect(target, timeout=LOCK_PATIENCE, isolation_level=None, uri=True)) as connection:

            def execute(sql: str, parameters: Values = ()) -> list[Row]:
                once = isinstance(parameters, Mapping) or not parameters
                return (connection.execute if once else connection.executemany)(sql, parameters).fetchall()

            execute("PRAGMA query_only = ON" if read else "PRAGMA synchronous = FULL")
            execute("BEGIN" if read else "BEGIN IMMEDIATE")
            tables = {name for (name,) in execute("SELECT name FROM sqlite_master")}
            yield no_tables if read and not TABLES.keys() <= tables else execute
            execute("COMMIT")
    except sqlite3.Error as error:
        raise _meaning(error, path) from error


def _meaning(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{path}: another process writes to it; try again later")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        cure = "check the disk; move the file away to start a new one"  # its read errors are reported as damage too
        return ArtifactRefused(f"{path}: is not a ledger, or damaged ({error}); {cure}")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        probe = temporary_beside(path)  # SQLite does not say whether the disk is full; a StorageFailure passes
        try:
            with suppress(CannotCreate):
                write_new(probe, b"", shown=path)
        finally:
            remove_quietly(probe)
        return CannotCreate(f"{path}: cannot be opened ({error}); check the folder and its permissions")
    return StorageFailure(f"{path}: {error}; check the disk and its free space, then run again")
