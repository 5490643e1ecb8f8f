"""Open a transaction in the database of a URL."""

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import sqlalchemy as sa

from forecast.databases.failures import Role, translated
from forecast.databases.redaction import Redactor
from forecast.databases.transactions import Execute, Row, Values, no_tables
from forecast.durable import check_folder
from forecast.errors import INSTALL, ArtifactRefused, NoInput, Unavailable, UsageError, did_you_mean

Purpose = Literal["write", "rehearse", "read"]

LOCK_PATIENCE = 60  # seconds to wait for another process that writes
LOCK = 0x666F7265  # number of this application's advisory lock in PostgreSQL
BATCH_ROWS = 50_000  # rows that are fetched or sent at once
# a lost server is noticed within two minutes, not hours
KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6}
# nothing is prepared: a connection pool in between may send each statement to another session
POSTGRESQL: dict[str, Any] = {
    "application_name": "forecast",
    "connect_timeout": 10,
    "prepare_threshold": None,
    **KEEPALIVES,
}
# used whatever driver a URL names: others take other options, and may lack COPY or be asynchronous
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


@contextmanager
def connect(url: str, reads: Collection[str] = (), ledger: str = "") -> Iterator[Execute]:
    """Open a transaction for the ledger in the database of a job's sink; `reads` are tables that are only read."""
    if reads and _missing_file(_parsed(url, "sink")):
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
def transaction(url: str, role: Role, purpose: Purpose = "write", ledger: str = "") -> Iterator[sa.Connection]:
    """Open a transaction: committed at the end, rolled back if an exception ends it, read-only for a source.

    A rehearsal is always rolled back, and creates no SQLite file. Errors are of the classes that `failures.py` lists.
    """
    parsed, reads, redact = _parsed(url, role), role == "source" or purpose == "read", Redactor()
    if purpose == "rehearse" and (file := _missing_file(parsed)):
        check_folder(file.parent, f"sink.url: {file}")
        parsed = sa.make_url("sqlite://")  # in memory
    for secret in (parsed.password or "", *chain.from_iterable(parsed.normalized_query.values())):
        redact.add(str(secret))
    with translated(role, f"{role}.url", redact):
        connection = _engine(parsed, role, reads).connect()
    key = ledger or ("source.sql" if role == "source" else "sink.table")
    with connection, translated(role, key, redact, ArtifactRefused if ledger else None):
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.execution_options(postgresql_readonly=reads)
        with connection.begin() as changes:
            if postgresql:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}s'")
            yield connection
            if purpose != "write":
                changes.rollback()


def exclude_others(connection: sa.Connection) -> None:
    """Wait until no other transaction of this application can create a table; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def _missing_file(url: sa.URL) -> Path | None:
    """The file of the SQLite database of a sink if it does not exist yet."""
    path = Path(url.database or "")
    return path if url.get_backend_name() == "sqlite" and not path.exists() else None


def _parsed(url: str, role: Role) -> sa.URL:
    """Parse a URL; messages show its scheme only, as the password of a wrong URL may be anywhere."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        example = "postgresql://user:password@host:port/database or sqlite:///path"
        raise UsageError(f"{role}.url is not the URL of a database; write {example}")
    dialect = scheme.partition("+")[0]
    scheme = DRIVERS.get(dialect, scheme)
    try:
        if dialect != "sqlite" and (rest.count("@") > 1 or "@" in rest.partition("?")[2]):
            raise ValueError
        parsed = sa.make_url(f"{scheme}://{rest}")
        parsed.get_dialect()
    except sa.exc.NoSuchModuleError:
        hint = did_you_mean(dialect, ["postgresql", "sqlite", "mysql", "mariadb", "oracle", "mssql"])
        raise UsageError(f"{role}.url: SQLAlchemy does not know the database '{scheme}'{hint}") from None
    except (sa.exc.ArgumentError, ValueError):
        cure = "in a user or password write %40 for @, %3A for :, %2F for /, %3F for ? and %25 for %"
        raise UsageError(f"{role}.url cannot be read; the port must be a number, and {cure}") from None
    if dialect == "sqlite":
        return _sqlite_url(parsed, role)
    if role == "sink" and parsed.get_backend_name() != "postgresql":
        raise UsageError(f"sink.url: forecasts are written to SQLite and PostgreSQL, not to {dialect}")
    return parsed


def _engine(url: sa.URL, role: Role, reads: bool) -> sa.Engine:
    dialect = url.get_backend_name()
    options: dict[str, Any] = {"sqlite": {"timeout": LOCK_PATIENCE}, "postgresql": POSTGRESQL}.get(dialect, {})
    arguments = {name: value for name, value in options.items() if name not in url.query}
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments)
    except ImportError as error:
        remedy = INSTALL.format("db") if dialect == "postgresql" else f"install a driver for {dialect}"
        raise Unavailable(f"{role}.url: {error.name or 'the driver'} cannot be imported; {remedy}") from None
    if dialect == "sqlite":
        _begin_at_once(engine, reads)
    return engine


def _sqlite_url(url: sa.URL, role: Role) -> sa.URL:
    """The URL of an SQLite file; only a sink may create the file."""
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:") or url.host or url.username:
        raise UsageError(f"{role}.url must name the file of an SQLite database: sqlite:///path")
    options = url.query.items()  # the driver would ignore others, with warnings; they may be secrets
    if not all(name == "timeout" and re.fullmatch(r"\d{1,6}(\.\d+)?", str(value)) for name, value in options):
        raise UsageError(f"{role}.url: SQLite has no passwords and no options but ?timeout=SECONDS; remove the others")
    if role == "sink":
        return url
    if not Path(path).exists():
        raise NoInput(f"{role}.url: {path} does not exist; correct the path, or create the database")
    # not mode=ro: the unfinished transaction of a killed writer must be rolled back before reading
    return url.set(database=f"file:{quote(path)}").update_query_dict({"mode": "rw", "uri": "true"})


def _begin_at_once(engine: sa.Engine, reads: bool) -> None:
    """Begin transactions explicitly: Python's driver begins them when a row changes, too late for CREATE TABLE."""
    if reads:

        @sa.event.listens_for(engine, "connect")
        def forbid_changes(connection: Any, _: object) -> None:
            connection.execute("PRAGMA query_only = ON")
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # ATTACH and VACUUM INTO would create a file

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
