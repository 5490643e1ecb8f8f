"""Tables in databases: a query as source, an upsert as sink, transactions for the ledger."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forecast.errors import Unavailable

if TYPE_CHECKING:
    import pandas as pd

    from forecast.jobs.databases.opening import Transaction
    from forecast.series.table import Table


def read_query(url: str, sql: str, section: str = "source") -> "Table":
    """Run a query and take what it returns as a table.

    Parameters
    ----------
    url : SQLAlchemy URL of any database whose driver is installed; ``postgresql://`` is read through psycopg
    sql : one SELECT. It is sent as it is: no placeholder is looked for in it. The transaction is read-only
    section : section of the job that holds `url` and `sql`, for messages

    Returns
    -------
    The table. Dates and times are datetimes, aware ones in the zone of the database's session; decimals are numbers,
    whole where none has a decimal place, text where they are whole and longer than 64 bits; text stays text and NULL
    is a missing value.

    Raises
    ------
    UsageError
        If the URL cannot be read, its dialect is not known, or the query is wrong or no SELECT.
    NoInput
        If the file of an SQLite database or a table is not there, or may not be read.
    BadData
        If the query returns no rows, two columns of one name, or binary data.
    Unavailable
        If the extra ``db`` or a driver is not installed, or the server cannot be reached or refuses the password.
    StorageFailure
        If reading fails half-way.
    """
    _require_extra(section)
    from forecast.jobs.databases.queries import read

    return read(url, sql, section)


def upsert(url: str, table: str, frame: "pd.DataFrame", keys: Sequence[str], section: str = "sink") -> int:
    """Insert the rows of a frame, or update those whose keys are there already, in one transaction.

    A second run with the same frame changes nothing; a process that is killed leaves the table as it was.

    Parameters
    ----------
    url : URL of an SQLite or PostgreSQL database; the file of an SQLite database is created where there is none
    table : ``table`` or ``schema.table``; it and its schema are created where there is none, with `keys` as primary key
    frame : one column for each to be written; missing values become NULL, periods text
    keys : columns that tell rows apart, without missing values; an existing table needs them as primary key or under a
        unique index
    section : section of the job that holds `url` and `table`, for messages

    Returns
    -------
    The number of rows written.

    Raises
    ------
    UsageError
        If the URL cannot be read or is of another database, a name cannot be used, a key is no column, or the table
        lacks columns, has others types or no unique index over the keys.
    BadData
        If a key is missing or comes twice, or the database refuses a value.
    CannotCreate
        If the file or table cannot be created or written.
    Unavailable
        If the extra ``db`` is not installed, or the server cannot be reached or refuses the password.
    StorageFailure
        If the disk is full or broken, or another process holds a lock for too long.
    """
    _require_extra(section)
    from forecast.jobs.databases.upserts import write

    return write(url, table, frame, keys, section)


@contextmanager
def connect(url: str, section: str = "ledger") -> "Iterator[Transaction]":
    """Open a transaction: committed at the end of the ``with``, rolled back if an exception ends it.

    Parameters
    ----------
    url : URL of a database; the file of an SQLite database is created where there is none
    section : section of the job that holds `url`, for messages

    Raises
    ------
    UsageError, BadData, CannotCreate, Unavailable, StorageFailure
        As `upsert`.
    """
    _require_extra(section)
    from forecast.jobs.databases.opening import Transaction, transaction

    with transaction(url, section, "write") as connection:
        yield Transaction(connection)


def _require_extra(section: str) -> None:
    try:
        import sqlalchemy  # noqa: F401
    except ImportError:
        raise Unavailable(f"{section}.url needs the packages of the extra db: pip install 'forecast[db]'") from None
