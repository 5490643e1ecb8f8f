"""Open a transaction in the database of a URL, and read the rows of a query in one."""

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from forecast.databases.failures import Role, translate_errors
from forecast.databases.queries import Execute, Row, Values, no_tables
from forecast.databases.redaction import Redactor
from forecast.durable import check_folder
from forecast.errors import (
    INSTALL,
    ArtifactRefused,
    BadData,
    NoInput,
    Unavailable,
    UsageError,
)
from forecast.tables.contents import free_memory, require_memory
from forecast.tables.storage import PARQUET_MEMORY_FACTOR, arrow_frame

DATABASE_PATIENCE = 60  # seconds to wait for another process that writes
ADVISORY_LOCK = 0x666F7265  # number of this application's advisory lock in PostgreSQL
FETCHED_ROWS = 50_000  # rows that are fetched or sent at once
CONNECT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": DATABASE_PATIENCE},
    "postgresql": {
        "application_name": "forecast",
        "connect_timeout": 10,
        # nothing is prepared: a connection pool may send each statement to another session
        "prepare_threshold": None,
        # a lost server is noticed within two minutes, not hours
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 6,
    },
}
# used whatever driver a URL names: others take other options, and may lack COPY or be asynchronous
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


@contextmanager
def connect(url: str, reads: Collection[str] = (), ledger: str = "") -> Iterator[Execute]:
    """Open a transaction for the ledger in the database of a job's sink.

    `reads` are tables that are only read.
    """
    if reads and _missing_file(_parse_url(url, "sink")):
        yield no_tables
        return
    with transaction(url, "sink", "read" if reads else "write", ledger) as connection:

        def execute(sql: str, parameters: Values = ()) -> list[Row]:
            result = connection.execute(sa.text(sql), parameters or None)
            return [tuple(row) for row in result] if result.returns_rows else []

        if not reads:
            exclude_others(connection)
        yield execute if all(map(sa.inspect(connection).has_table, reads)) else no_tables


@contextmanager
def transaction(
    url: str, role: Role, purpose: Literal["write", "rehearse", "read"] = "write", ledger: str = ""
) -> Iterator[sa.Connection]:
    """Open a transaction: committed at the end if it writes, else rolled back, as by an exception.

    One that reads can change nothing in SQLite and PostgreSQL. A rehearsal creates no SQLite file.
    Errors are of the classes that `failures.py` lists.
    """
    parsed = _parse_url(url, role)
    reads = purpose == "read"
    file = _missing_file(parsed)
    if purpose == "rehearse" and file:
        check_folder(file.parent, f"sink.url: {file}")
        parsed = sa.make_url("sqlite://")  # in memory
    redact = Redactor()
    for secret in (parsed.password or "", *chain.from_iterable(parsed.normalized_query.values())):
        redact.add(str(secret))
    with translate_errors(role, f"{role}.url", redact):
        connection = _engine(parsed, role, reads).connect()
    key = ledger or ("source.sql" if role == "source" else "sink.table")
    with connection, translate_errors(role, key, redact, ArtifactRefused if ledger else None):
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.execution_options(postgresql_readonly=reads)
        with connection.begin() as changes:
            if postgresql:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DATABASE_PATIENCE}s'")
            yield connection
            if purpose != "write":
                changes.rollback()


def read_query(url: str, sql: str) -> pd.DataFrame:
    """Run the query of a job's source in a transaction that is rolled back.

    It is one SELECT without placeholders. In the frame, dates and times are datetimes, aware ones
    in the zone of the database's session. Decimals are numbers: integers if none has a decimal
    place, and text if such integers exceed 64 bits. NULL is a missing value; types that tables do
    not have (UUID, JSON, times of day) become text. Binary data are refused with BadData, and rows
    that do not fit into memory with Unavailable.
    """
    free = free_memory()
    stored = 0  # bytes
    with transaction(url, "source", "read") as connection:
        # a named cursor leaves rows on the server until they are fetched
        named = ("forecast",) if connection.dialect.name == "postgresql" else ()
        # the driver's own cursor, as SQLAlchemy's rows take twice the time
        with closing(connection.connection.cursor(*named)) as cursor:
            # without parameters: colons and percent signs in the query are not placeholders
            cursor.execute(sql)
            if cursor.description is None:
                raise UsageError("source.sql returns no rows; write one SELECT")
            names = [column[0] for column in cursor.description]
            pieces: list[list[pa.Array]] = [[] for _ in names]
            while rows := cursor.fetchmany(FETCHED_ROWS):
                columns = zip(*rows, strict=True)
                for name, piece, values in zip(names, pieces, columns, strict=True):
                    piece.append(_array(values, f"source.sql, column '{name}'"))
                    stored += piece[-1].nbytes
                require_memory(PARQUET_MEMORY_FACTOR * stored, "source.sql", free)
    return arrow_frame(pa.table([_join_pieces(piece) for piece in pieces], names=names))


def exclude_others(connection: sa.Connection) -> None:
    """Wait until no other transaction of this application can create a table.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))


def _missing_file(url: sa.URL) -> Path | None:
    path = Path(url.database or "")
    return path if url.get_backend_name() == "sqlite" and not path.exists() else None


def _parse_url(url: str, role: Role) -> sa.URL:
    """Parse a URL; messages show its scheme only, as a password may be anywhere in a wrong one."""
    scheme, separator, rest = url.strip().partition("://")
    dialect = scheme.partition("+")[0]
    scheme = DRIVERS.get(dialect, scheme)
    unescaped = rest.count("@") > 1 or "@" in rest.partition("?")[2]
    try:
        if not separator or (dialect != "sqlite" and unescaped):
            raise ValueError
        parsed = sa.make_url(f"{scheme}://{rest}")
        parsed.get_dialect()
    except sa.exc.NoSuchModuleError:
        problem = f"SQLAlchemy does not know the database '{scheme}'"
        raise UsageError(f"{role}.url: {problem}") from None
    except (sa.exc.ArgumentError, ValueError):
        example = "postgresql://user:password@host:port/database or sqlite:///path"
        escapes = "%40 for @, %3A for :, %2F for /, %3F for ? and %25 for %"
        cure = f"write {example}, and in a user or password {escapes}"
        raise UsageError(f"{role}.url is not the URL of a database; {cure}") from None
    if dialect == "sqlite":
        return _sqlite_url(parsed, role)
    if role == "sink" and parsed.get_backend_name() != "postgresql":
        problem = f"forecasts are written to SQLite and PostgreSQL, not to {dialect}"
        raise UsageError(f"sink.url: {problem}")
    return parsed


def _engine(url: sa.URL, role: Role, reads: bool) -> sa.Engine:
    dialect = url.get_backend_name()
    options = CONNECT_ARGUMENTS.get(dialect, {})
    arguments = {name: value for name, value in options.items() if name not in url.query}
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments
        )
    except ImportError as error:
        driver = f"install a driver for {dialect}"
        cure = INSTALL.format("db") if dialect == "postgresql" else driver
        problem = f"{error.name or 'the driver'} cannot be imported"
        raise Unavailable(f"{role}.url: {problem}", cure=cure) from None
    if dialect == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def forbid_changes(connection: Any, _: object) -> None:
            if reads:
                connection.execute("PRAGMA query_only = ON")
                # ATTACH and VACUUM INTO would create a file
                connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            # Python's driver would begin only where a row changes: too late
            connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _sqlite_url(url: sa.URL, role: Role) -> sa.URL:
    """The URL of an SQLite file; only a sink may create the file."""
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:") or url.host or url.username:
        raise UsageError(f"{role}.url must name the file of an SQLite database: sqlite:///path")
    # the driver would ignore other options, with warnings; they may be secrets
    timeout = str(url.query.get("timeout", "0"))
    if set(url.query) - {"timeout"} or not re.fullmatch(r"\d{1,6}(\.\d+)?", timeout):
        problem = "SQLite has no passwords and no options but ?timeout=SECONDS"
        raise UsageError(f"{role}.url: {problem}; remove the others")
    if role == "sink":
        return url
    if not Path(path).exists():
        cure = "correct the path, or create the database"
        raise NoInput(f"{role}.url: {path} does not exist; {cure}")
    # not mode=ro: the unfinished transaction of a killed writer must be rolled back before reading
    return url.set(database=f"file:{quote(path)}").update_query_dict({"mode": "rw", "uri": "true"})


def _array(values: Sequence[Any], place: str) -> pa.Array:
    types = {type(value) for value in values} - {type(None)}
    if types & {bytes, bytearray, memoryview}:
        cure = "leave the column out, or convert it in the query"
        raise BadData(f"{place} contains binary data; {cure}")
    try:
        if Decimal in types and types <= {int, float, Decimal}:
            return _of_decimals(values)
        if types <= {int, float} or (len(types) == 1 and types <= {bool, str, date, datetime}):
            return pa.array(values)
    # dates that no clock has, integers beyond 64 bits
    except (pa.ArrowException, OverflowError, ValueError):
        values = [int(value) if isinstance(value, Decimal) else value for value in values]
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _of_decimals(values: Sequence[Any]) -> pa.Array:
    """Integers where no number has a decimal place, else floats."""
    exponents = [Decimal(value).as_tuple().exponent for value in values if value is not None]
    # those of NaN are text
    whole = all(isinstance(exponent, int) and exponent >= 0 for exponent in exponents)
    number = int if whole and not any(isinstance(value, float) for value in values) else float
    numbers = [None if value is None else number(value) for value in values]
    return pa.array(numbers, pa.int64() if number is int else pa.float64())


def _join_pieces(arrays: list[pa.Array]) -> pa.ChunkedArray:
    """Join the pieces of one column; pieces of different types become numbers, or else text."""
    types = {array.type for array in arrays} - {pa.null()} or {pa.null()}
    numbers = pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()
    common = types.pop() if len(types) == 1 else numbers
    try:
        return pa.chunked_array([array.cast(common) for array in arrays], common)
    except pa.ArrowInvalid:  # an integer without a float: text, as where both are in one piece
        return pa.chunked_array([array.cast(pa.string()) for array in arrays], pa.string())
