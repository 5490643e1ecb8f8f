"""Databases: read a query, upsert rows into a table, open transactions for the ledger."""

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
    sql : one SELECT, sent as it is, without placeholders. Its transaction is read-only

    Returns
    -------
    A frame with the columns of the query. Dates and times are datetimes, aware ones in the zone of the database's
    session. Decimals are numbers: integers if none has a decimal place, and text if such integers exceed 64 bits. Text
    stays text, NULL is a missing value, and other types (UUID, JSON, times of day) become text.

    Raises
    ------
    ForecastError
        Of the class that `failures.py` lists for a source; BadData for binary data; Unavailable without extra ``db``.
    """
    _require_extra("source")
    from forecast.jobs.databases.queries import read

    return read(url, sql)


def upsert(url: str, table: str, frame: "pd.DataFrame", keys: Sequence[str]) -> int:
    """Insert the rows of a frame into the table of a job's sink; update rows whose keys exist.

    All in one transaction: a second run with the same frame changes nothing, a killed run leaves the table unchanged.

    Parameters
    ----------
    url : URL of an SQLite or PostgreSQL database; a missing file of an SQLite database is created
    table : ``table`` or ``schema.table``; both are created if they are missing, with `keys` as primary key
    frame : its columns; missing values become NULL. SQLite gets times as text in ISO 8601, aware ones in UTC
    keys : columns that identify rows, without missing values; an existing table needs a primary key or unique index
        over them

    Returns
    -------
    The number of rows written.

    Raises
    ------
    UsageError
        If the database is of another kind, a name cannot be used, or the table lacks columns or an index over the keys.
    BadData
        If a key is missing or repeated, or a value or its type does not fit.
    ForecastError
        Otherwise of the class that `failures.py` lists for a sink; Unavailable without the extra ``db``.
    """
    _require_extra("sink")
    from forecast.jobs.databases.upserts import write

    return write(url, table, frame, keys)


def rehearse(url: str, table: str, frame: "pd.DataFrame", keys: Sequence[str]) -> bool:
    """Check that an `upsert` of rows like those of a frame would succeed; write nothing, and create no table.

    Parameters
    ----------
    url, table, keys : as for `upsert`
    frame : rows with the same columns, types and ids

    Returns
    -------
    Whether the table exists.

    Raises
    ------
    UsageError
        If the database refuses names, all of which are listed, or the existing table does not fit.
    ForecastError
        Otherwise as `upsert`.
    """
    _require_extra("sink")
    from forecast.jobs.databases.rehearsal import rehearse as rehearse_now

    return rehearse_now(url, table, frame, keys)


@contextmanager
def connect(url: str) -> "Iterator[Transaction]":
    """Open a transaction in the database of a job's sink, and exclude other transactions of this kind.

    It is committed at the end of the ``with`` block, and rolled back if an exception ends the block.

    Parameters
    ----------
    url : as for `upsert`

    Raises
    ------
    ForecastError
        As `upsert`, also from within the block.
    """
    _require_extra("sink")
    from forecast.jobs.databases.opening import Transaction, exclude_others, transaction

    with transaction(url, "sink") as connection:
        exclude_others(connection)
        yield Transaction(connection)


@contextmanager
def read_tables(url: str, tables: Sequence[str]) -> "Iterator[Transaction | None]":
    """Open a transaction in the database of a job's sink that changes and creates nothing.

    Parameters
    ----------
    url : as for `upsert`
    tables : that are read; where one of them is missing, the transaction is None

    Raises
    ------
    ForecastError
        As `upsert`, also from within the block.
    """
    _require_extra("sink")
    from forecast.jobs.databases.opening import Transaction, has_tables, missing_file, transaction

    if missing_file(url) is not None:
        yield None
        return
    with transaction(url, "sink", "read") as connection:
        yield Transaction(connection) if has_tables(connection, tables) else None


def _require_extra(role: str) -> None:
    try:
        import sqlalchemy  # noqa: F401
    except ImportError:
        raise Unavailable(f"{role}.url needs the packages of the extra db: pip install 'forecast[db]'") from None
