"""Insert or update the rows of a frame in one transaction, or try out whether that would succeed."""

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

from forecast.databases.connecting import BATCH_ROWS, exclude_others, transaction
from forecast.errors import BadData, UsageError, did_you_mean

TableRows = tuple[str, pd.DataFrame, Sequence[str]]  # a table, rows for it, and its keys
WHOLE = r"^(0|-?[1-9][0-9]*)$"
MAX_NAME_BYTES = 63  # bytes; PostgreSQL cuts longer ones without an error
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
    """Insert the rows of a frame into the table of a job's sink, and update those whose keys exist, in one transaction.

    `table`, or ``schema.table``, is created if it is missing, with `keys` as primary key, like the file of an SQLite
    database; an existing table needs a primary key or unique index over them. Missing values become NULL, and SQLite
    gets times as text in ISO 8601, aware ones in UTC. `others` are further tables of the same database.

    Returns the number of rows of `frame`. Raises UsageError if a name or the existing table does not fit; BadData if a
    key is missing or repeated, or a value cannot be stored; otherwise an error of the class that `failures.py` lists.
    """
    with transaction(url, "sink") as connection:
        for rows in ((table, frame, keys), *others):
            _upsert(connection, *rows)
    return len(frame)


def rehearse(url: str, table: str, frame: pd.DataFrame, keys: Sequence[str]) -> bool:
    """Try an `upsert` out and roll it back; returns whether the table exists. UsageError stands for BadData.

    It tries the table itself: a copy would have neither its permissions nor its foreign keys and triggers.
    """
    try:
        with transaction(url, "sink", "rehearse") as connection:
            return _upsert(connection, table, frame, keys)
    except (
        BadData
    ) as error:  # the existing table is wrong, not the data: these rows are only a sample
        raise UsageError(str(error)) from None


def _upsert(
    connection: sa.Connection, table: str, frame: pd.DataFrame, keys: Sequence[str]
) -> bool:
    place, names = f"sink.table {table}", [str(name) for name in frame]
    schema, dot, name = table.rpartition(".")
    if not name or "." in schema or (dot and not schema):
        raise UsageError(f"{place}: write table or schema.table, without further dots")
    rows = pa.table(
        {column: _arrow(frame[column], f"{place}, column '{column}'") for column in names}
    )
    keyed = frame[list(keys)]
    if (wrong := (keyed.isna().any(axis=1) | keyed.duplicated()).to_numpy()).any():
        row = int(wrong.argmax())
        values = ", ".join(f"{key} {value}" for key, value in keyed.iloc[row].items())
        raise BadData(
            f"{place}: row {row + 1} has an incomplete key or that of an earlier row ({values})"
        )
    target = _table(name, names, schema or None)
    in_postgresql = connection.dialect.name == "postgresql"
    sizes = {name: len(name.encode()) for name in (schema, name, *names)} if in_postgresql else {}
    if long := ", ".join(
        f"'{name}' has {size} bytes" for name, size in sizes.items() if size > MAX_NAME_BYTES
    ):
        raise UsageError(
            f"{place}: {long}, and PostgreSQL takes {MAX_NAME_BYTES}; rename them in the input"
        )
    exists = _has_table(connection, target)
    if not exists:
        exclude_others(connection)
    if exists or _has_table(connection, target):  # another process may have created it meanwhile
        rows = _fitted(connection, target, rows, keys, place)
    else:
        if schema and not sa.inspect(connection).has_schema(schema):
            connection.execute(sa.schema.CreateSchema(schema))
        types = zip(names, rows.schema.types, strict=True)
        columns = [
            sa.Column(each, SQL_TYPES[kind], nullable=each not in keys, autoincrement=False)
            for each, kind in types
        ]
        key = sa.PrimaryKeyConstraint(*keys)
        sa.Table(name, sa.MetaData(), *columns, key, schema=target.schema).create(connection)
    (_send_to_postgresql if in_postgresql else _send_to_sqlite)(connection, target, rows, keys)
    return exists


def _table(name: str, columns: Sequence[str], schema: str | None = None) -> sa.TableClause:
    """A table without types, so that values reach the driver as they are; all its names are quoted."""
    quoted: list[sa.ColumnClause[Any]] = [
        sa.column(sa.quoted_name(column, quote=True)) for column in columns
    ]
    return sa.table(
        sa.quoted_name(name, quote=True),
        *quoted,
        schema=schema and sa.quoted_name(schema, quote=True),
    )


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


def _fitted(
    connection: sa.Connection,
    target: sa.TableClause,
    rows: pa.Table,
    keys: Sequence[str],
    place: str,
) -> pa.Table:
    """The rows for an existing table, with dates where it has dates; types that would change values are refused."""
    inspector, where = sa.inspect(connection), (target.name, target.schema)
    types = {column["name"]: column["type"] for column in inspector.get_columns(*where)}
    if lacking := [name for name in rows.column_names if name not in types]:
        hint = did_you_mean(lacking[0], list(types))
        raise UsageError(
            f"{place} lacks columns, add them or write to another table: {', '.join(lacking)}{hint}"
        )
    indexes = inspector.get_indexes(
        *where, include_auto_indexes=True
    )  # SQLite creates one for each constraint
    unique: list[list[Any]] = [index["column_names"] for index in indexes if index["unique"]]
    unique.append(inspector.get_pk_constraint(*where)["constrained_columns"])
    if not any(set(key) == set(keys) for key in unique):
        lack = f"has no primary key or unique index over exactly {', '.join(keys)}"
        raise UsageError(f"{place} {lack}; add one, or write to another table")
    zones = connection.dialect.name == "postgresql"
    for i, (name, values) in enumerate(zip(rows.column_names, rows.columns, strict=True)):
        declared, is_time, problem = types[name], pa.types.is_timestamp(values.type), ""
        if is_time and isinstance(declared, sa.Date):
            days = values.cast(pa.date32(), safe=False)
            rows = rows.set_column(i, name, days)
            problem = (
                ""
                if days.cast(values.type).equals(values)
                else "is of dates, the forecasts have times of day"
            )
        elif (
            is_time
            and isinstance(declared, sa.DateTime)
            and zones
            and declared.timezone != bool(values.type.tz)
        ):
            problem = (
                f"is of times with{'' if declared.timezone else 'out'} a zone, unlike the forecasts"
            )
        elif isinstance(declared, sa.Integer) and pa.types.is_string(values.type):  # ids
            whole = pc.all(pc.match_substring_regex(values, WHOLE)).as_py() is not False
            problem = "" if whole else "is of whole numbers, the forecasts have text"
        if problem:
            raise UsageError(
                f"{place}, column '{name}' {problem}; change its type, or write to another table"
            )
    return rows


def _send_to_sqlite(
    connection: sa.Connection, target: sa.TableClause, rows: pa.Table, keys: Sequence[str]
) -> None:
    statement = str(_replacing(sqlite.insert(target), keys).compile(dialect=connection.dialect))
    for batch in rows.to_batches(BATCH_ROWS):
        connection.exec_driver_sql(
            statement, list(zip(*map(_sqlite_values, batch.columns), strict=True))
        )


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
    with closing(connection.connection.cursor()) as cursor, cursor.copy(into) as copy:  # type: ignore[attr-defined]
        for batch in rows.to_batches(BATCH_ROWS):
            buffer = io.BytesIO()
            pyarrow.csv.write_csv(batch, buffer, options)
            copy.write(buffer.getvalue())
    # in the order of the keys, so that two simultaneous runs cannot deadlock
    in_order = sa.select(temporary).order_by(*(temporary.c[key] for key in keys))
    insert = postgresql.insert(target).from_select(rows.column_names, in_order)
    connection.execute(_replacing(insert, keys))


def _replacing(insert: Any, keys: Sequence[str]) -> Any:
    """An insert of either dialect that updates the rows whose keys exist."""
    index = [insert.excluded[key] for key in keys]
    columns = [column for column in insert.excluded if column.name not in keys] or [
        insert.excluded[keys[0]]
    ]
    updates = {column.name: column for column in columns}
    return insert.on_conflict_do_update(index_elements=index, set_=updates)
