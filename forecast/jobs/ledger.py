"""Keep the ledger of a job: its runs, fits and forecasts, and the scores of these forecasts."""

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from forecast.durable import make_directory, remove_quietly, temporary_beside, write_new
from forecast.errors import ArtifactRefused, CannotCreate
from forecast.jobs.record import Record
from forecast.logs import Redactor, log
from forecast.tables.sql import Connect, Execute, Row, Values, no_tables, translate_errors
from forecast.tables.table import Flags, Integers

# so many rows of a run are enough for corrections: the share of values inside an interval varies
# hardly more over them than over all rows
MAX_SAMPLE = 10_000
PUBLISHED = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]  # the columns of the output
# the median and the interval ends before any correction
RAW = ["raw_median", *(f"raw_{name}" for name in PUBLISHED[1:])]
# The columns of stored forecasts:
# - series: the ids as JSON, a categorical column
# - step: the step of the forecast, from 1
# - instant: the time of the value, on the clock of the table
# - unit: the seasonal naive error of the series
LEDGER_COLUMNS = ["series", "step", "instant", *PUBLISHED, "unit", *RAW]
# The columns of stored forecasts of sums:
# - series: the level of the sums and the group, as JSON
# - step: the number of the period
# - first, instant: the first and the last time of the period
SUM_COLUMNS = ["series", "step", "first", "instant", *PUBLISHED]
TEXTS = pa.dictionary(pa.int32(), pa.string())
# What runs knew in advance: `series` holds the ids as JSON, `word` the category or "", `origin` and
# `time` are on the clock of the table.
KNOWN_COLUMNS = pa.schema(
    dict.fromkeys(["zone", "series", "column", "word"], TEXTS)
    | {"origin": pa.int64(), "time": pa.int64(), "value": pa.float64()}
)
DAMAGE_ERRORS = (ValueError, LookupError, TypeError, AttributeError, OSError, NotImplementedError)
LEDGER_FILE = "ledger.db"
FRAME_ROWS = 20_000  # `Ledger.forecasts` yields frames of about this many rows
# the forecasts and scores of this many runs are kept; of older runs, only scores of days that no
# newer run has scored
MAX_RUNS = 90
WHOLE_RUNS = 3  # so many of the newest runs keep all their forecasts
# older runs keep theirs, too, as long as there are at most so many, counted from the newest run
WHOLE_FORECASTS = 3_400_000
MAX_RECORDS = 1_000  # the records of this many runs are kept, and this many fits
KILLED = 137  # exit code of a run that began and did not end: that of SIGKILL
LEDGER_PATIENCE = 30.0  # seconds to wait for another process that writes
# the reason of a fit until its run is in the ledger; until then, the fit is not valid
UNFINISHED_RUN = "its run has not ended"
AFTER_ALL_TIMES = "9"  # sorts after every time
LIVE = 2  # value of `promoted` for a fit that its own run makes the live version

# written in SQL that SQLite and PostgreSQL share; the columns job and as_of come first
LEDGER_TABLES = {
    "forecast_runs": "exit_code INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (job, as_of)",
    "forecast_fits": "version TEXT NOT NULL, promoted INTEGER NOT NULL, reason TEXT NOT NULL, "
    "settings TEXT NOT NULL, PRIMARY KEY (job, as_of)",
    # Parquet
    "forecast_cells": "count INTEGER NOT NULL, cells BYTEA NOT NULL, PRIMARY KEY (job, as_of)",
    "forecast_scores": "day TEXT NOT NULL, count INTEGER NOT NULL, mase DOUBLE PRECISION, "
    "bias DOUBLE PRECISION, coverage_80 DOUBLE PRECISION, coverage_95 DOUBLE PRECISION, "
    "PRIMARY KEY (job, as_of, day)",
}
# these have the columns of forecast_cells, and are created when they are first needed
TOTALS_TABLE = "forecast_totals"  # forecasts of sums
INPUTS_TABLE = "forecast_inputs"  # the data that runs forecast from, see `jobs/replay.py`
# values known in advance that a run had and no earlier run had, see `jobs/inputs.py`
KNOWN_TABLE = "forecast_known"
# forecasts that the table of overrides changed, see `inference/overrides.py`
OVERRIDES = "forecast_overrides"
# the forecasts of the newest blocked run, and the data that it forecast from
BLOCKED = "forecast_blocked"
BLOCKED_INPUTS = "forecast_blocked_inputs"
KEEP = {
    BLOCKED: 1,
    BLOCKED_INPUTS: 1,
    TOTALS_TABLE: MAX_RUNS,
    INPUTS_TABLE: 10,
    KNOWN_TABLE: 4_000,
    OVERRIDES: MAX_RECORDS,
}  # the newest so many runs keep them
Kept = pd.DataFrame | None
More = Mapping[str, pd.DataFrame | bytes] | None  # by table


def pack_forecasts(forecasts: pd.DataFrame) -> bytes:
    """Pack forecasts, or sums of them, as Parquet; raw numbers are float32 if there are many."""
    raw = forecasts.columns.intersection(RAW)
    precision = np.float32 if len(forecasts) > 2 * MAX_SAMPLE else np.float64
    frame = forecasts.astype(dict.fromkeys(raw, precision) | {"step": np.int32})
    frame["series"] = forecasts["series"].cat.remove_unused_categories()
    return _parquet(pa.Table.from_pandas(frame, preserve_index=False))


def packed_known(columns: Mapping[str, Any]) -> bytes:
    """Pack the values that a run knew in advance; they have the columns of KNOWN_COLUMNS."""
    return _parquet(pa.table(columns, KNOWN_COLUMNS))


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    pq.write_table(table, sink, compression="zstd", use_dictionary=texts)
    return bytes(sink.getvalue())


def _stored_table(data: bytes) -> pa.Table:
    """Read packed forecasts, sums or known values; raises one of DAMAGE_ERRORS if they are damaged."""
    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    number = table.column_names.index("series")
    return table.set_column(number, "series", table["series"].cast(TEXTS))


def _build_frame(tables: list[pa.Table]) -> pd.DataFrame:
    table = pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
    return pd.DataFrame(table.to_pandas())


def sample_rows(forecasts: pd.DataFrame, run: Integers | None = None) -> Flags:
    """[rows], whether a row belongs to the sample of its run, which is enough for corrections.

    The sample is all rows of a small run, and every 2nd, 4th, 8th, ... row of a larger one. Which
    rows are sampled depends on the ids of their series, not on other series, so that the samples of
    two runs have most of their rows in common. `run` [rows] is the number of the run of each row;
    without it, all rows belong to one run.
    """
    series = forecasts["series"].cat
    run = np.zeros(len(forecasts), np.int64) if run is None else run
    rows_of_run = np.bincount(run)
    every = np.array(
        [1 << max(0, (count - 1) // MAX_SAMPLE).bit_length() for count in rows_of_run.tolist()]
    )
    first = np.array([zlib.crc32(name.encode()) for name in series.categories], np.int64)
    number = first[series.codes] + forecasts["step"].to_numpy()
    return np.asarray(number % every[run] == 0)


def series_number(rows: pd.DataFrame, names: Sequence[str], column: str = "series") -> Integers:
    """[rows], the index of each series in `names`, which are ids as JSON; -1 if it is not there."""
    series = rows[column].cat
    return np.asarray(pd.Index(names).get_indexer(series.categories)[series.codes])


@dataclass(frozen=True)
class FitEntry:
    as_of: str
    version: str
    promoted: bool
    reason: str
    settings: str  # those that decide the result, as JSON
    # whether its run makes it the live version; a promoted fit does not go live if the live version
    # is from a later time
    goes_live: bool = False


@dataclass(frozen=True)
class DayScore:
    """The scores of a day, in units of the seasonal naive error.

    Forecasts were too high on average if `bias` is above 0.
    """

    day: str
    count: int
    mase: float | None
    bias: float | None
    coverage_80: float | None
    coverage_95: float | None


class Ledger:
    """The ledger of one job.

    Its rows are stored under the name of the job, or under another `key`. Each method is one
    transaction.
    """

    def __init__(self, job: str, connect: Connect, key: str | None = None) -> None:
        self.job = job
        self.key = key or job
        self._connect = connect
        self._named: set[str] = set()  # warnings of damage that were given already

    def add_run(
        self,
        run: Record,
        forecasts: Kept = None,
        days: Sequence[DayScore] = (),
        fit: FitEntry | None = None,
        more: More = None,
    ) -> None:
        """Record a run and what belongs to it; this replaces a run as of the same time.

        `more` holds, by table, frames of sums or packed bytes.
        """
        at = run.as_of
        more = more or {}
        if run.ahead_of_clock:  # later runs would learn from its forecasts
            forecasts = None
            more = {}
        with self._open_transaction(*more) as execute:
            row = {"exit_code": run.exit_code, "record": run.model_dump_json()}
            self._replace(execute, "forecast_runs", at, [row])
            if fit is not None:
                self._replace_fit(execute, fit)
            if forecasts is not None:
                self._store(execute, at, forecasts)
                self._replace(execute, "forecast_scores", at, [asdict(day) for day in days])
            for table, new in more.items():
                if isinstance(new, bytes):
                    self._replace(execute, table, at, [{"count": len(new), "cells": new}])
                else:
                    self._store(execute, at, new, table)
            _prune(execute, self.key, more)

    def add_fit(self, fit: FitEntry) -> None:
        """Record a fit; this replaces a fit as of the same time."""
        with self._open_transaction() as execute:
            self._replace_fit(execute, fit)

    def mark(self, version: str, promoted: bool, reason: str) -> None:
        """Change whether a version counts as promoted, and why.

        After this, no unfinished run makes its version live any more.
        """
        sql = "UPDATE forecast_fits SET promoted = :promoted, reason = :reason"
        sql = f"{sql} WHERE job = :job AND version = :version"
        values = {"job": self.key, "version": version, "promoted": int(promoted), "reason": reason}
        with self._open_transaction() as execute:
            execute(
                f"UPDATE forecast_fits SET promoted = 1 WHERE job = :job AND promoted = {LIVE}",
                {"job": self.key},
            )
            execute(sql, values)

    def jobs(self) -> list[str]:
        return [
            name for (name,) in self._read("SELECT DISTINCT job FROM forecast_runs ORDER BY job")
        ]

    def runs(self, count: int, until: str = AFTER_ALL_TIMES) -> list[Record]:
        """Return the newest runs, newest first; runs ahead of their clock come last.

        Damaged records are left out.
        """
        sql = "SELECT as_of, exit_code, record FROM forecast_runs"
        sql = f"{sql} WHERE job = :job AND as_of <= :until"
        rows = self._read(f"{sql} ORDER BY as_of DESC LIMIT :count", until=until, count=count)
        runs = []
        for as_of, code, text in rows:
            try:
                record = Record.model_validate_json(text)
            except ValidationError:
                self._warn("record", as_of)
            else:
                runs.append(record.model_copy(update={"as_of": as_of, "exit_code": code}))
        return sorted(runs, key=lambda run: run.ahead_of_clock)

    def fits(self, until: str = AFTER_ALL_TIMES, unfinished: bool = False) -> list[FitEntry]:
        """Return the fits up to and including a time, oldest first.

        Fits whose run has not ended are included only if `unfinished`.
        """
        sql = "SELECT as_of, version, promoted, reason, settings FROM forecast_fits"
        rows = self._read(f"{sql} WHERE job = :job AND as_of <= :until ORDER BY as_of", until=until)
        fits = [
            FitEntry(at, version, sign > 0, why, used, sign == LIVE)
            for at, version, sign, why, used in rows
        ]
        return [fit for fit in fits if unfinished or fit.reason != UNFINISHED_RUN]

    def list_refusals(self) -> set[str]:
        """Return the versions that the gate, the user or a failed run kept from going live."""
        newest = {fit.version: fit.promoted for fit in self.fits(unfinished=True)}
        return {version for version, promoted in newest.items() if not promoted}

    def forecasts(
        self, before: str, runs: int, table: str = "forecast_cells"
    ) -> Iterator[pd.DataFrame]:
        """Yield the forecasts, or those of another table, of runs before a time, oldest first.

        These are the newest `runs` runs that have any. Each frame holds several whole runs, about
        FRAME_ROWS rows together, with the times of the runs in the column `as_of`. Damaged runs are
        left out.
        """
        sql = f"SELECT DISTINCT as_of FROM {table} WHERE job = :job AND as_of < :before"
        sql = f"{sql} ORDER BY as_of DESC"
        batch = []
        rows = 0
        with self._connect(reads=(table,)) as execute:
            newest = execute(f"{sql} LIMIT {runs}", {"job": self.key, "before": before})
            for (at,) in reversed(newest):
                stored = self._load(execute, table, at)
                if stored is None:
                    continue
                as_of = pa.DictionaryArray.from_arrays(np.zeros(len(stored), np.int32), [at])
                batch.append(stored.append_column("as_of", as_of))
                rows += len(stored)
                if rows >= FRAME_ROWS:
                    yield _build_frame(batch)
                    batch = []
                    rows = 0
        if batch:
            yield _build_frame(batch)

    def of_run(self, at: str, table: str = "forecast_cells") -> Kept:
        """Return the forecasts of a run, or those of another table; None if it has none."""
        newest = next(self.forecasts(at + AFTER_ALL_TIMES, 1, table), None)
        return None if newest is None or newest["as_of"].iloc[0] != at else newest

    def inputs(self, at: str, table: str = INPUTS_TABLE) -> bytes | None:
        """Return the packed inputs of a run, the data it forecast from; None if not stored."""
        sql = f"SELECT cells FROM {table} WHERE job = :job AND as_of = :at"
        rows = self._read(sql, table, at=at)
        return bytes(rows[0][0]) if rows else None

    def known(self, after: str, before: str = AFTER_ALL_TIMES) -> pd.DataFrame:
        """Return the values that runs between two times knew in advance, oldest run first.

        Damaged values are left out.
        """
        sql = f"SELECT as_of, cells FROM {KNOWN_TABLE} WHERE job = :job"
        sql = f"{sql} AND as_of > :after AND as_of < :before ORDER BY as_of"
        tables = [KNOWN_COLUMNS.empty_table()]
        for at, cells in self._read(sql, KNOWN_TABLE, after=after, before=before):
            try:
                tables.append(_stored_table(cells))
            except DAMAGE_ERRORS:
                self._warn("known values", at)
        return _build_frame(tables)

    def days(self, count: int, before: str = AFTER_ALL_TIMES) -> list[DayScore]:
        """Return the scores of the newest days, newest first.

        The scores of a day come from the newest run that scored it.
        """
        names = ", ".join(field.name for field in fields(DayScore))
        before_then = "WHERE job = :job AND as_of < :before"
        last = f"SELECT day, MAX(as_of) AS as_of FROM forecast_scores {before_then} GROUP BY day"
        sql = f"SELECT {names} FROM forecast_scores JOIN ({last}) AS newest USING (day, as_of)"
        order = "WHERE job = :job ORDER BY day DESC LIMIT :count"
        rows = self._read(f"{sql} {order}", count=count, before=before)
        return [DayScore(*row) for row in rows]

    def _read(self, sql: str, table: str = "forecast_runs", **values: Any) -> list[Row]:
        with self._connect(reads=(table,)) as execute:
            return execute(sql, {"job": self.key, **values})

    def _load(self, execute: Execute, table: str, at: str) -> pa.Table | None:
        """Load the forecasts of a run from a table; warn and return None if they are damaged."""
        sql = f"SELECT cells FROM {table} WHERE job = :job AND as_of = :at"
        rows = execute(sql, {"job": self.key, "at": at})
        try:
            return _stored_table(rows[0][0])
        except DAMAGE_ERRORS:
            self._warn("forecasts", at)
            return None

    def _warn(self, what: str, at: str) -> None:
        of_run = f"job '{self.job}': the {what} of the run as of {at}"
        problem = f"{of_run} in the ledger are damaged, and left out"
        if problem not in self._named:
            log.warning("%s", problem)
        self._named.add(problem)

    @contextmanager
    def _open_transaction(self, *more: str) -> Iterator[Execute]:
        """Open a transaction that writes, and create missing tables.

        `more` names further tables that have the columns of forecast_cells.
        """
        with self._connect() as execute:
            for table, columns in (
                LEDGER_TABLES | dict.fromkeys(more, LEDGER_TABLES["forecast_cells"])
            ).items():
                key = "job TEXT NOT NULL, as_of TEXT NOT NULL"
                execute(f"CREATE TABLE IF NOT EXISTS {table} ({key}, {columns})")
            yield execute

    def _replace(
        self, execute: Execute, table: str, as_of: str, rows: list[dict[str, Any]]
    ) -> None:
        """Replace the stored rows of a run by these."""
        key = {"job": self.key, "as_of": as_of}
        execute(f"DELETE FROM {table} WHERE job = :job AND as_of = :as_of", key)
        if rows:
            names = [*key, *rows[0]]
            marks = ", ".join(f":{name}" for name in names)
            execute(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
                [{**key, **row} for row in rows],
            )

    def _store(
        self, execute: Execute, at: str, forecasts: pd.DataFrame, table: str = "forecast_cells"
    ) -> None:
        """Store the forecasts or sums of a run, and reduce those of older runs to samples."""
        rows = (
            [{"count": len(forecasts), "cells": pack_forecasts(forecasts)}]
            if len(forecasts)
            else []
        )
        self._replace(execute, table, at, rows)
        kept = execute(
            f"SELECT as_of, count FROM {table} WHERE job = :j ORDER BY as_of DESC", {"j": self.key}
        )
        totals = np.cumsum([count for _, count in kept])
        for (older, count), total in list(zip(kept, totals, strict=True))[WHOLE_RUNS:]:
            if total <= WHOLE_FORECASTS or count <= 2 * MAX_SAMPLE:  # no sample is sampled again
                continue
            stored = self._load(execute, table, older)
            sample = pd.DataFrame()
            if stored is not None:
                whole = _build_frame([stored])
                sample = whole[sample_rows(whole)]
            self._store(execute, older, sample, table)

    def _replace_fit(self, execute: Execute, fit: FitEntry) -> None:
        promoted = LIVE if fit.goes_live else int(fit.promoted)
        row = {
            "version": fit.version,
            "promoted": promoted,
            "reason": fit.reason,
            "settings": fit.settings,
        }
        self._replace(execute, "forecast_fits", fit.as_of, [row])


def series_text(ids: tuple[str, ...]) -> str:
    return json.dumps(ids, ensure_ascii=False, separators=(",", ":"))


def _prune(execute: Execute, job: str, more: Collection[str]) -> None:
    """Delete old forecasts, runs and fits, and old scores of days that newer runs also scored."""
    newest = "SELECT as_of FROM forecast_{} WHERE job = :job ORDER BY as_of DESC LIMIT {}"
    counts = {"cells": MAX_RUNS, "runs": MAX_RECORDS, "fits": MAX_RECORDS}
    counts |= {table.removeprefix("forecast_"): KEEP[table] for table in more}
    oldest = {
        name: f"(SELECT MIN(as_of) FROM ({newest.format(name, counts[name])}) AS newest)"
        for name in counts
    }
    scored = f"(SELECT day FROM forecast_scores WHERE job = :job AND as_of >= {oldest['cells']})"
    for table, condition in (
        ("scores", f"as_of < {oldest['cells']} AND day IN {scored}"),
        ("scores", f"as_of < {oldest['runs']}"),
        *((name, f"as_of < {oldest[name]}") for name in counts),
    ):
        execute(f"DELETE FROM forecast_{table} WHERE job = :job AND {condition}", {"job": job})


@contextmanager
def open_file(path: Path, reads: Collection[str] = ()) -> Iterator[Execute]:
    """Open one transaction on a ledger in a file; it is rolled back if the block raises.

    If `reads` names tables, the transaction only reads; if one of these tables is missing, its
    queries find no rows. Raises Busy if another process writes for longer than half a minute, and
    ArtifactRefused if the file is not a ledger.
    """
    if not reads:
        make_directory(path.parent)
    elif not path.exists():
        yield no_tables
        return
    # not mode=ro: the unfinished transaction of a killed run must be rolled back before reading
    target = f"{path.absolute().as_uri()}?mode={'rw' if reads else 'rwc'}"
    opened = partial(
        sqlite3.connect, target, timeout=LEDGER_PATIENCE, isolation_level=None, uri=True
    )
    with _translate_errors(path), closing(opened()) as connection:

        def execute(sql: str, parameters: Values = ()) -> list[Row]:
            once = isinstance(parameters, Mapping) or not parameters
            return (connection.execute if once else connection.executemany)(
                sql, parameters
            ).fetchall()

        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        execute("PRAGMA query_only = ON" if reads else "PRAGMA synchronous = FULL")
        execute("BEGIN" if reads else "BEGIN IMMEDIATE")
        tables = {name for (name,) in execute("SELECT name FROM sqlite_master")}
        yield execute if tables.issuperset(reads) else no_tables
        execute("COMMIT")


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        with translate_errors("sink", str(path), Redactor(), ArtifactRefused):
            yield
    except CannotCreate:
        # SQLite does not say whether the disk is full; if it is, this raises StorageFailure
        probe = temporary_beside(path)
        try:
            with suppress(CannotCreate):
                write_new(probe, b"", shown=path)
        finally:
            remove_quietly(probe)
        raise
