"""Insert or update the rows of a frame in one transaction, or try out whether that succeeds."""

import io
import secrets
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from forecast.databases.connecting import FETCHED_ROWS, exclude_others, transaction
from forecast.errors import BadData, UsageError, did_you_mean

TableRows = tuple[str, pd.DataFrame, Sequence[str]]  # a table, rows for it, and its keys
PLAIN_INTEGER = r"^(0|-?[1-9][0-9]*)$"
MAX_NAME_BYTES = 63  # PostgreSQL cuts longer ones without an error
SQL_TYPES: dict[pa.DataType, Any] = {
    pa.string(): sa.Text(),
    pa.int64(): sa.BigInteger(),
    pa.float64(): sa.DOUBLE_PRECISION(),
    pa.bool_(): sa.Boolean(),
    pa.date32(): sa.Date(),
    pa.timestamp("us"): sa.TIMESTAMP(),
    pa.timestamp("us", "UTC"): sa.TIMESTAMP(timezone=True),
}


def upsert(
    url: str, table: str, frame: pd.DataFrame, keys: Sequence[str], *others: TableRows
) -> int:
    """Insert rows into the table of a job's sink, or update those whose keys exist, in one go.

    `table`, or ``schema.table``, is created if it is missing, with `keys` as primary key, like the
    file of an SQLite database; an existing table needs a primary key or unique index over them.
    Missing values become NULL, and SQLite gets times as text in ISO 8601, aware ones in UTC.
    `others` are further tables of the same database.

    Returns the number of rows of `frame`. Raises UsageError if a name or the existing table does
    not fit; BadData if a value cannot be stored; otherwise an
    error of the class that `failures.py` lists.
    """
    with transaction(url, "sink") as connection:
        for rows in ((table, frame, keys), *others):
            _upsert(connection, *rows)
    return len(frame)


def rehearse(url: str, table: str, frame: pd.DataFrame, keys: Sequence[str]) -> bool:
    """Try an `upsert` out and roll it back; whether the table exists.

    It tries the table itself: a copy would have neither its permissions nor its foreign keys and
    triggers. UsageError stands for BadData, as the rows are only a sample.
    """
    try:
        with transaction(url, "sink", "rehearse") as connection:
            return _upsert(connection, table, frame, keys)
    except BadData as error:
        raise UsageError(str(error)) from None


def _upsert(
    connection: sa.Connection, table: str, frame: pd.DataFrame, keys: Sequence[str]
) -> bool:
    place = f"sink.table {table}"
    schema, dot, name = table.rpartition(".")
    if not name or "." in schema or (dot and not schema):
        raise UsageError(f"{place}: write table or schema.table, without further dots")
    rows = pa.table(
        {str(column): _arrow(frame[column], f"{place}, column '{column}'") for column in frame}
    )
    target = _table(name, rows.column_names, schema or None)
    in_postgresql = connection.dialect.name == "postgresql"
    if in_postgresql:
        _refuse_long_names([schema, name, *rows.column_names], place)
    exists = _has_table(connection, target)
    if not exists:
        exclude_others(connection)
    if exists or _has_table(connection, target):  # another process may have created it meanwhile
        rows = _match_types(connection, target, rows, keys, place)
    else:
        _create(connection, target, rows, keys)
    send = _send_to_postgresql if in_postgresql else _send_to_sqlite
    send(connection, target, rows, keys)
    return exists


def _refuse_long_names(names: Sequence[str], place: str) -> None:
    sizes = {name: len(name.encode()) for name in names}
    long = [f"'{name}' has {size} bytes" for name, size in sizes.items() if size > MAX_NAME_BYTES]
    if long:
        limit = f"PostgreSQL takes {MAX_NAME_BYTES}"
        raise UsageError(f"{place}: {', '.join(long)}, and {limit}; rename them in the input")


def _create(
    connection: sa.Connection, target: sa.TableClause, rows: pa.Table, keys: Sequence[str]
) -> None:
    if target.schema and not sa.inspect(connection).has_schema(target.schema):
        connection.execute(sa.schema.CreateSchema(target.schema))
    columns = [
        sa.Column(
            field.name, SQL_TYPES[field.type], nullable=field.name not in keys, autoincrement=False
        )
        for field in rows.schema
    ]
    key = sa.PrimaryKeyConstraint(*keys)
    table = sa.Table(target.name, sa.MetaData(), *columns, key, schema=target.schema)
    table.create(connection)


def _table(name: str, columns: Sequence[str], schema: str | None = None) -> sa.TableClause:
    """A table without types, so that values reach the driver as they are, under quoted names."""
    quoted: list[sa.ColumnClause[Any]] = [sa.column(_quote(column)) for column in columns]
    return sa.table(_quote(name), *quoted, schema=schema and _quote(schema))


def _quote(name: str) -> sa.quoted_name:
    return sa.quoted_name(name, quote=True)


def _arrow(values: "pd.Series[Any]", place: str) -> Any:
    try:
        array = pa.array(values, from_pandas=True)
        kind = array.type if array.type in SQL_TYPES else pa.string()
        if pa.types.is_timestamp(array.type):
            kind = pa.timestamp("us", array.type.tz and "UTC")
        elif pa.types.is_integer(array.type):
            kind = pa.int64()
        return array.cast(kind)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise BadData(f"{place} cannot be stored: {str(error).splitlines()[0]}") from None


def _has_table(connection: sa.Connection, target: sa.TableClause) -> bool:
    return sa.inspect(connection).has_table(target.name, schema=target.schema)


def _match_types(
    connection: sa.Connection,
    target: sa.TableClause,
    rows: pa.Table,
    keys: Sequence[str],
    place: str,
) -> pa.Table:
    """The rows for an existing table, with dates where it has dates.

    Types that would change values are refused.
    """
    inspector = sa.inspect(connection)
    where = (target.name, target.schema)
    types = {column["name"]: column["type"] for column in inspector.get_columns(*where)}
    lacking = [name for name in rows.column_names if name not in types]
    if lacking:
        hint = did_you_mean(lacking[0], list(types))
        cure = f"add them or write to another table: {', '.join(lacking)}{hint}"
        raise UsageError(f"{place} lacks columns, {cure}")
    # SQLite creates an index for each constraint
    indexes = inspector.get_indexes(*where, include_auto_indexes=True)
    unique: list[Any] = [index["column_names"] for index in indexes if index["unique"]]
    unique.append(inspector.get_pk_constraint(*where)["constrained_columns"])
    if not any(set(key) == set(keys) for key in unique):
        lack = f"has no primary key or unique index over exactly {', '.join(keys)}"
        raise UsageError(f"{place} {lack}; add one, or write to another table")
    in_postgresql = connection.dialect.name == "postgresql"
    for position, name in enumerate(rows.column_names):
        values = rows[name]
        declared = types[name]
        if problem := _misfit(values, declared, in_postgresql):
            cure = "change its type, or write to another table"
            raise UsageError(f"{place}, column '{name}' {problem}; {cure}")
        if pa.types.is_timestamp(values.type) and isinstance(declared, sa.Date):
            rows = rows.set_column(position, name, values.cast(pa.date32()))
    return rows


def _misfit(values: Any, declared: Any, in_postgresql: bool) -> str:
    """Why values would change in a column of a declared type; '' where they fit."""
    if pa.types.is_timestamp(values.type):
        zone = bool(values.type.tz)
        if isinstance(declared, sa.Date):
            days = values.cast(pa.date32(), safe=False).cast(values.type)
            return "" if days.equals(values) else "is of dates, the forecasts have times of day"
        if isinstance(declared, sa.DateTime) and in_postgresql and declared.timezone != zone:
            return f"is of times with{'out' if zone else ''} a zone, unlike the forecasts"
    if pa.types.is_string(values.type) and isinstance(declared, sa.Integer):  # ids
        whole = pc.all(pc.match_substring_regex(values, PLAIN_INTEGER)).as_py() is not False
        return "" if whole else "is of whole numbers, the forecasts have text"
    return ""


def _send_to_sqlite(
    connection: sa.Connection, target: sa.TableClause, rows: pa.Table, keys: Sequence[str]
) -> None:
    statement = str(_build_upsert(sqlite.insert(target), keys).compile(dialect=connection.dialect))
    for batch in rows.to_batches(FETCHED_ROWS):
        values = map(_sqlite_values, batch.columns)
        connection.exec_driver_sql(statement, list(zip(*values, strict=True)))


def _sqlite_values(column: pa.Array) -> list[Any]:
    """Values as SQLite stores them: times as text in ISO 8601, aware ones in UTC."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.string())
    elif pa.types.is_timestamp(column.type):
        # each time has one text, as it may be a key
        column = pc.replace_substring_regex(column.cast(pa.string()), r"\.000000", "")
        column = pc.replace_substring_regex(column, "Z$", "+00:00")
    return column.to_pylist()  # type: ignore[no-any-return]


def _send_to_postgresql(
    connection: sa.Connection, target: sa.TableClause, rows: pa.Table, keys: Sequence[str]
) -> None:
    """Send all rows to a temporary table first, as COPY takes a quarter of the time of INSERT."""
    temporary = _table(f"forecast_{secrets.token_hex(8)}", rows.column_names)
    empty = sa.select(target).compile(dialect=connection.dialect)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {temporary.name} ON COMMIT DROP AS {empty} WITH NO DATA"
    )
    into = f"COPY {temporary.name} FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    # text has quotes, even empty text; NULL has none
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    driver: Any = connection.connection
    with closing(driver.cursor()) as cursor, cursor.copy(into) as copy:
        for batch in rows.to_batches(FETCHED_ROWS):
            buffer = io.BytesIO()
            pyarrow.csv.write_csv(batch, buffer, options)
            copy.write(buffer.getvalue())
    # in the order of the keys, so that two simultaneous runs cannot deadlock
    in_order = sa.select(temporary).order_by(*(temporary.c[key] for key in keys))
    insert = postgresql.insert(target).from_select(rows.column_names, in_order)
    connection.execute(_build_upsert(insert, keys))


def _build_upsert(insert: Any, keys: Sequence[str]) -> Any:
    """An insert of either dialect that updates the rows whose keys exist."""
    index = [insert.excluded[key] for key in keys]
    columns = [column for column in insert.excluded if column.name not in keys] or index[:1]
    updates = {column.name: column for column in columns}
    return insert.on_conflict_do_update(index_elements=index, set_=updates)
