"""Open a transaction in the database of a URL."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, quote_plus

import sqlalchemy as sa

from forecast.errors import NoInput, Unavailable, UsageError, did_you_mean
from forecast.jobs.databases.failures import Place, Role, translated

Purpose = Literal["write", "rehearse", "read"]

LOCK_PATIENCE = 60  # seconds to wait for another process that writes
LOCK = 0x666F7265  # number of this application's advisory lock in PostgreSQL
BATCH_ROWS = 50_000  # rows that are fetched or sent at once
POSTGRESQL_OPTIONS = {
    "application_name": "forecast",
    "connect_timeout": 10,
    # a lost server is noticed within two minutes, not hours
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    # a connection pool in between may send each statement to another session
    "prepare_threshold": None,
}
WORK: dict[Role, str] = {"source": "source.sql", "sink": "sink.table"}  # the keys of a job that messages name
# used whatever driver a URL names: others take other options, and may lack COPY or be asynchronous
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
SQLITE_OPTIONS = {"timeout"}
SECRET_OPTIONS = ("pass", "secret", "token", "key", "odbc")


class Transaction:
    """A transaction that runs plain SQL."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(
        self, sql: str, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] = ()
    ) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows, if any.

        Parameters
        ----------
        sql : one statement with parameters as ``:name``
        parameters : their values; for a sequence of such the statement is run once for each
        """
        values = parameters if isinstance(parameters, Mapping) else [dict(row) for row in parameters]
        result = self._connection.execute(sa.text(sql), values or None)
        return [tuple(row) for row in result] if result.returns_rows else []


@contextmanager
def transaction(url: str, role: Role, purpose: Purpose = "write") -> Iterator[sa.Connection]:
    """Open a transaction: committed at the end, rolled back if an exception ends it, read-only for a source.

    Parameters
    ----------
    purpose : a rehearsal always rolls back, as even a commit without changes would write to an SQLite file

    Raises
    ------
    ForecastError
        In place of every error of the database, also of errors inside the ``with`` block.
    """
    parsed, reads = _parsed(url, role), role == "source" or purpose == "read"
    secrets = _secrets(parsed)
    with translated(Place(role, f"{role}.url", secrets)):
        engine = _engine(parsed, role, reads)
        connection = engine.connect()
    try:
        with translated(Place(role, WORK[role], secrets)):
            if engine.dialect.name == "postgresql":
                connection.execution_options(postgresql_readonly=reads)
            with connection.begin() as changes:
                if engine.dialect.name == "postgresql":
                    run(connection, f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}s'")
                yield connection
                if purpose != "write":
                    changes.rollback()
    finally:
        connection.close()


def run(connection: sa.Connection, sql: str) -> None:
    """Run a statement as it is: colons and percent signs are not placeholders."""
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def exclude_others(connection: sa.Connection) -> None:
    """Wait until no other transaction of this application can create a table; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        run(connection, f"SELECT pg_advisory_xact_lock({LOCK})")


def has_tables(connection: sa.Connection, names: Sequence[str]) -> bool:
    """Whether a database has all of some tables."""
    inspector = sa.inspect(connection)
    return all(inspector.has_table(name) for name in names)


def dialect_of(url: str, role: Role) -> str:
    """The kind of database that a URL names: ``sqlite``, ``postgresql``."""
    return _parsed(url, role).get_backend_name()


def missing_file(url: str) -> Path | None:
    """The file of the SQLite database of a sink if it does not exist yet, else None."""
    parsed = _parsed(url, "sink")
    if parsed.get_backend_name() != "sqlite":
        return None
    path = Path(_sqlite_url(parsed, "sink").database or "")
    return None if path.exists() else path


def _parsed(url: str, role: Role) -> sa.URL:
    """Parse a URL; messages show its scheme only, as the password of a wrong URL may be anywhere."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        raise UsageError(
            f"{role}.url is not the URL of a database; write postgresql://user:password@host:port/database "
            "or sqlite:///path"
        )
    dialect = scheme.partition("+")[0]
    scheme = DRIVERS.get(dialect, scheme)
    unclear = UsageError(
        f"{role}.url cannot be read; the port must be a number, and in a user or password write "
        "%40 for @, %3A for :, %2F for /, %3F for ? and %25 for %"
    )
    if dialect != "sqlite" and (rest.count("@") > 1 or "@" in rest.partition("?")[2]):
        raise unclear
    try:
        parsed = sa.make_url(f"{scheme}://{rest}")
        parsed.get_dialect()
    except sa.exc.NoSuchModuleError:
        hint = did_you_mean(dialect, ["postgresql", "sqlite", "mysql", "mariadb", "oracle", "mssql"])
        raise UsageError(f"{role}.url: SQLAlchemy does not know the database '{scheme}'{hint}") from None
    except (sa.exc.ArgumentError, ValueError):
        raise unclear from None
    return parsed


def _secrets(url: sa.URL) -> tuple[str, ...]:
    values = [str(url.password)] if url.password else []
    for option, given in url.normalized_query.items():
        if any(part in option.lower() for part in SECRET_OPTIONS):
            values += given
    return tuple({form for value in values for form in (value, quote(value, ""), quote_plus(value)) if form})


def _engine(url: sa.URL, role: Role, reads: bool) -> sa.Engine:
    dialect = url.get_backend_name()
    defaults: dict[str, Any] = {}
    if dialect == "sqlite":
        url = _sqlite_url(url, role)
        defaults = {"timeout": LOCK_PATIENCE}
    elif dialect == "postgresql":
        defaults = POSTGRESQL_OPTIONS
    arguments = {name: value for name, value in defaults.items() if name not in url.query}
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments)
    except ImportError as error:
        remedy = "pip install 'forecast[db]'" if dialect == "postgresql" else f"install a driver for {dialect}"
        raise Unavailable(f"{role}.url: {error.name or 'the driver'} cannot be imported; {remedy}") from None
    if dialect == "sqlite":
        _take_over_transactions(engine, reads)
    return engine


def _sqlite_url(url: sa.URL, role: Role) -> sa.URL:
    """The URL of an SQLite file; only a sink may create the file."""
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:") or url.host or url.username:
        raise UsageError(f"{role}.url must name the file of an SQLite database: sqlite:///path")
    if not url.query.keys() <= SQLITE_OPTIONS:  # the driver would ignore them, with warnings; they may be secrets
        raise UsageError(
            f"{role}.url: SQLite has no passwords, and of the options after the path only ?timeout=SECONDS works; "
            "remove the others"
        )
    if role == "sink":
        return url
    if not Path(path).exists():
        raise NoInput(f"{role}.url: {path} does not exist; correct the path, or create the database")
    # not mode=ro: the unfinished transaction of a killed writer must be rolled back before reading
    return url.set(database=f"file:{quote(path)}").update_query_dict({"mode": "rw", "uri": "true"})


def _take_over_transactions(engine: sa.Engine, reads: bool) -> None:
    """Begin transactions explicitly: Python's driver begins them when a row changes, too late for CREATE TABLE."""
    if reads:

        @sa.event.listens_for(engine, "connect")
        def forbid_changes(connection: Any, _: object) -> None:
            connection.execute("PRAGMA query_only = ON")
            connection.set_authorizer(_stay_in_this_file)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _stay_in_this_file(action: int, *_: object) -> int:
    """Refuse to attach another file, as ATTACH and VACUUM INTO would create it."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
