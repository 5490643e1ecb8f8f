"""Open a database by its URL, for one transaction."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import sqlalchemy as sa

from forecast.errors import NoInput, Unavailable, UsageError, did_you_mean
from forecast.jobs.databases.failures import Access, Place, translated

PATIENCE = 10  # seconds to wait for a server to answer
LOCK_PATIENCE = 30  # seconds to wait for another writer of an SQLite file
SECRET_KEYS = ("pass", "secret", "token", "key", "odbc")


class Transaction:
    """A transaction that takes plain SQL."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(
        self, sql: str, parameters: Mapping[str, object] | Sequence[Mapping[str, object]] = ()
    ) -> list[tuple[Any, ...]]:
        """Run a statement, once for each of several sets of parameters; return its rows.

        Parameters
        ----------
        sql : one statement with parameters as ``:name``
        parameters : their values; a list of several runs the statement for each of them, and not at all where empty
        """
        if isinstance(parameters, list) and not parameters:
            return []
        result = self._connection.execute(sa.text(sql), parameters or None)  # type: ignore[arg-type]
        return [tuple(row) for row in result] if result.returns_rows else []


@contextmanager
def transaction(url: str, section: str, access: Access) -> Iterator[sa.Connection]:
    """Open a database: committed at the end, rolled back if an exception ends it, read-only for a source.

    Raises
    ------
    ForecastError
        Of the kind that fits, in place of every error of the database, also of those inside the ``with``.
    """
    parsed = _parsed(url, section)
    with translated(Place(section, access, _secrets(parsed))):
        engine = _engine(parsed, section, access)
        try:
            with engine.connect() as connection:
                if access == "read" and engine.dialect.name == "postgresql":
                    connection.execution_options(postgresql_readonly=True)
                with connection.begin():
                    yield connection
        finally:
            engine.dispose()


def dialect_of(url: str, section: str) -> str:
    """The name of the database that a URL is of: ``sqlite``, ``postgresql``."""
    return _parsed(url, section).get_backend_name()


def _parsed(url: str, section: str) -> sa.URL:
    """Read a URL; no message shows any of it but the scheme, as a wrong one may have its password anywhere."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise UsageError(
            f"{section}.url is not the URL of a database; write postgresql://user:password@host:port/database "
            "or sqlite:///path"
        )
    dialect = scheme.partition("+")[0]
    if dialect in ("postgres", "postgresql"):
        dialect, scheme = "postgresql", "postgresql+psycopg"  # the driver of the extra; all others take other options
    unclear = UsageError(
        f"{section}.url cannot be read; the port must be a number, and in a user or password write "
        "%40 for @, %2F for /, %3A for :, %25 for %"
    )
    if dialect != "sqlite" and rest.count("@") > 1:
        raise unclear
    try:
        parsed = sa.make_url(f"{scheme}://{rest}")
        parsed.get_dialect()
    except sa.exc.NoSuchModuleError:
        hint = did_you_mean(dialect, ["postgresql", "sqlite", "mysql", "mariadb", "oracle", "mssql"])
        raise UsageError(f"{section}.url: '{scheme}' is no database that SQLAlchemy knows{hint}") from None
    except (sa.exc.ArgumentError, ValueError):
        raise unclear from None
    return parsed


def _secrets(url: sa.URL) -> tuple[str, ...]:
    values = [str(url.password)] if url.password else []
    for key, value in url.normalized_query.items():
        if any(part in key.lower() for part in SECRET_KEYS):
            values += value
    return tuple({form for value in values for form in (value, quote(value, ""), quote_plus(value)) if form})


def _engine(url: sa.URL, section: str, access: Access) -> sa.Engine:
    arguments: dict[str, Any] = {}
    dialect = url.get_backend_name()
    if dialect == "sqlite":
        url = _sqlite_url(url, section, access)
        arguments = {"timeout": LOCK_PATIENCE} if "timeout" not in url.query else {}
    elif dialect == "postgresql":
        defaults = {"connect_timeout": PATIENCE, "application_name": "forecast", "client_encoding": "UTF8"}
        arguments = {name: value for name, value in defaults.items() if name not in url.query}
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments)
    except ImportError as error:
        extra = "pip install 'forecast[db]'" if dialect == "postgresql" else f"install a driver for {dialect}"
        raise Unavailable(f"{section}.url: {error.name or 'the driver'} cannot be imported; {extra}") from None
    except (sa.exc.ArgumentError, TypeError):
        raise UsageError(
            f"{section}.url has options that the driver does not take; correct what follows its ?"
        ) from None
    if dialect == "sqlite":
        _take_over_transactions(engine, access)
    return engine


def _sqlite_url(url: sa.URL, section: str, access: Access) -> sa.URL:
    """The URL of a file that is created only where that is meant."""
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:"):
        raise UsageError(f"{section}.url must name the file of an SQLite database: sqlite:///path")
    if access == "write":
        return url
    if not Path(path).exists():
        raise NoInput(f"{section}.url: {path} does not exist; correct the path, or create the database")
    # not mode=ro: what a killed writer left half-done has to be rolled back before reading
    return url.set(database=f"file:{quote(path)}").update_query_dict({"mode": "rw", "uri": "true"})


def _take_over_transactions(engine: sa.Engine, access: Access) -> None:
    """Begin transactions ourselves: Python's driver leaves CREATE TABLE, and what precedes the first row, outside."""

    @sa.event.listens_for(engine, "connect")
    def leave_to_us(connection: Any, _: object) -> None:
        connection.isolation_level = None
        if access == "read":
            connection.execute("PRAGMA query_only = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if access == "write" else "BEGIN")
