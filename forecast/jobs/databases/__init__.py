"""Tables in databases: a query as source, an upsert as sink, transactions for the ledger."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forecast.errors import Unavailable

if TYPE_CHECKING:
    import pandas as pd

    from forecast.jobs.databases.opening import Transaction


def read_query(url: str, sql: str) -> "pd.DataFrame":
    """Run the query of a job's source.

    Parameters
    ----------
    url : URL of any database that SQLAlchemy has a driver for; PostgreSQL is always read through psycopg
    sql : one SELECT, sent as it is: no placeholder is looked for in it. Its transaction is read-only

    Returns
    -------
    One column for each of the query. Dates and times are datetimes, aware ones in the zone of the database's session.
    Decimals are numbers: whole ones where none has a decimal place, text where they are also too long for 64 bits.
    Text stays text, NULL is a missing value, and what no table has (UUID, JSON, times of day) is text.

    Raises
    ------
    UsageError
        If the URL cannot be read, its dialect is not known, or the query is wrong or no SELECT.
    NoInput
        If the file of an SQLite database or a table is not there, or may not be read.
    BadData
        If a column holds binary data, or the database cannot compute or deliver a value.
    Unavailable
        If the extra ``db`` or a driver is not installed, or the server is not there, goes or refuses the password.
    Busy
        If another process holds a lock for too long.
    StorageFailure
        If the disk of the database fails.
    """
    _require_extra("source")
    from forecast.jobs.databases.queries import read

    return read(url, sql)


def upsert(url: str, table: str, frame: "pd.DataFrame", keys: Sequence[str]) -> int:
    """Insert the rows of a frame into the table of a job's sink, or update those whose keys are there already.

    All in one transaction: a second run with the same frame changes nothing, a killed one leaves the table as it was.

    Parameters
    ----------
    url : URL of an SQLite or PostgreSQL database; the file of an SQLite database is created where there is none
    table : ``table`` or ``schema.table``; both are created where they are missing, with `keys` as primary key
    frame : its columns; missing values become NULL. SQLite gets times as text in ISO 8601, those with a zone in UTC
    keys : columns that tell rows apart, without missing values; a table that is there needs them as its primary key or
        under a unique index

    Returns
    -------
    The number of rows written.

    Raises
    ------
    UsageError
        If the URL cannot be read or is of another database, a name cannot be used, a key is no column, or the table
        lacks columns or a unique index over the keys.
    BadData
        If a key is missing or comes twice, a column of the table has another type, or the database refuses a value.
    CannotCreate
        If the file, schema or table cannot be created or written.
    Unavailable, Busy, StorageFailure
        As `read_query`.
    """
    _require_extra("sink")
    from forecast.jobs.databases.upserts import write

    return write(url, table, frame, keys)


def rehearse(url: str, table: str, frame: "pd.DataFrame", keys: Sequence[str]) -> bool:
    """Refuse what an `upsert` of rows like those of a frame would fail by; nothing is written, and no table made.

    Parameters
    ----------
    url, table, keys : as for `upsert`
    frame : rows of the same columns and types, whose texts are those to come

    Returns
    -------
    Whether the table is there already.

    Raises
    ------
    UsageError
        If the database refuses a name, all of which are named, or the table there does not fit.
    CannotCreate, Unavailable, Busy, StorageFailure
        As `upsert`.
    """
    _require_extra("sink")
    from forecast.jobs.databases.rehearsal import rehearse as rehearse_now

    return rehearse_now(url, table, frame, keys)


@contextmanager
def connect(url: str) -> "Iterator[Transaction]":
    """Open a transaction in the database of a job's sink, which no other of its kind can enter meanwhile.

    It is committed at the end of the ``with``, and rolled back if an exception ends it.

    Parameters
    ----------
    url : as for `upsert`

    Raises
    ------
    UsageError, BadData, CannotCreate, Unavailable, Busy, StorageFailure
        As `upsert`, also from within the ``with``.
    """
    _require_extra("sink")
    from forecast.jobs.databases.opening import Transaction, exclude_others, transaction

    with transaction(url, "sink") as connection:
        exclude_others(connection)
        yield Transaction(connection)


def _require_extra(role: str) -> None:
    try:
        import sqlalchemy  # noqa: F401
    except ImportError:
        raise Unavailable(f"{role}.url needs the packages of the extra db: pip install 'forecast[db]'") from None
