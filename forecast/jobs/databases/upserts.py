"""Insert or update the rows of a frame in one transaction."""

import io
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from forecast.errors import BadData, UsageError
from forecast.jobs.databases.opening import BATCH_ROWS, dialect_of, run, transaction
from forecast.jobs.databases.targets import Target, check_name, prepare, quoted, target_of
from forecast.tables.headers import duplicates, listed


def write(url: str, table: str, frame: pd.DataFrame, keys: Sequence[str]) -> int:
    """Upsert the rows of a frame; see `forecast.jobs.databases.upsert`."""
    dialect = dialect_of(url, "sink")
    senders = {"sqlite": _send_to_sqlite, "postgresql": _send_to_postgresql}
    if dialect not in senders:
        raise UsageError(f"sink.url: forecasts are written to SQLite and PostgreSQL, not to {dialect}")
    target = target_of(table, dialect)
    columns = arranged(frame, keys, target, dialect)
    with transaction(url, "sink") as connection:
        fitted = prepare(connection, target, columns, keys)
        if len(fitted):
            senders[dialect](connection, target, fitted, keys)
    return len(frame)


def arranged(frame: pd.DataFrame, keys: Sequence[str], target: Target, dialect: str) -> pa.Table:
    """The frame as columns of Arrow; its names and keys are checked."""
    names = [str(name) for name in frame.columns]
    for name in names:
        check_name(name, f"{target.place}, column", dialect)
    if repeated := duplicates([name.lower() for name in names] if dialect == "sqlite" else names):
        raise UsageError(f"{target.place}: several columns are called {listed(repeated)}; rename them")
    if not keys or (unknown := [key for key in keys if key not in names]):
        raise UsageError(f"{target.place}: the keys must be columns, {listed(unknown) if keys else 'at least one'}")
    arrays = [_array(frame.iloc[:, place], f"{target.place}, column '{name}'") for place, name in enumerate(names)]
    columns = pa.table(arrays, names=names)
    for key in keys:
        if columns[key].null_count:
            row = pc.index(columns[key].is_null(), True).as_py() + 1
            raise BadData(f"{target.place}, column '{key}': row {row} has no value, and it is a key")
    repeated = columns.select(list(keys)).to_pandas().duplicated().to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        values = ", ".join(f"{key} {columns[key][row].as_py()}" for key in keys)
        raise BadData(f"{target.place}: row {row + 1} has the keys of an earlier row ({values})")
    return columns


def _array(values: "pd.Series[Any]", place: str) -> pa.ChunkedArray:
    """A column of Arrow: booleans, 64-bit numbers, dates, times in microseconds or text; NaN becomes missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    try:
        if isinstance(values.dtype, pd.PeriodDtype):
            values = values.astype(str).where(values.notna())
        try:
            array = pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            missing = values.isna()
            array = pa.array([None if gap else str(value) for value, gap in zip(values, missing, strict=True)])
        array = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
        return array.cast(_stored(array.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeEncodeError) as error:
        raise BadData(f"{place} cannot be stored: {str(error).splitlines()[0]}") from None


def _stored(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if pa.types.is_boolean(kind) or pa.types.is_date(kind):
        return pa.bool_() if pa.types.is_boolean(kind) else pa.date32()
    return pa.string()


def _statement(target: Target, names: Sequence[str], keys: Sequence[str], rows: str) -> str:
    updates = [f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in names if name not in keys]
    action = f"DO UPDATE SET {', '.join(updates)}" if updates else "DO NOTHING"
    columns = ", ".join(map(quoted, names))
    return f"INSERT INTO {target.quoted} ({columns}) {rows} ON CONFLICT ({', '.join(map(quoted, keys))}) {action}"


def _send_to_sqlite(connection: sa.Connection, target: Target, columns: pa.Table, keys: Sequence[str]) -> None:
    names = columns.column_names
    statement = _statement(target, names, keys, f"VALUES ({', '.join('?' * len(names))})")
    with closing(_cursor(connection)) as cursor:
        for batch in columns.to_batches(BATCH_ROWS):
            cursor.executemany(statement, zip(*map(_sqlite_values, batch.columns), strict=True))


def _sqlite_values(column: pa.Array) -> list[Any]:
    """Values as SQLite stores them: times as text in ISO 8601, aware ones in UTC."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.string())
    elif pa.types.is_timestamp(column.type):
        # each instant has one text, as it may be a key
        column = pc.replace_substring_regex(column.cast(pa.string()), r"\.000000", "")
        column = pc.replace_substring_regex(column, "Z$", "+00:00")
    return column.to_pylist()  # type: ignore[no-any-return]


def _send_to_postgresql(connection: sa.Connection, target: Target, columns: pa.Table, keys: Sequence[str]) -> None:
    """Send all rows to a temporary table first, as COPY is many times faster than INSERT."""
    names = ", ".join(map(quoted, columns.column_names))
    temporary = f"forecast_{secrets.token_hex(8)}"  # it would hide another table of its name
    source = f"SELECT {names} FROM {target.quoted} WITH NO DATA"
    run(connection, f"CREATE TEMPORARY TABLE {temporary} ON COMMIT DROP AS {source}")
    into = f"COPY {temporary} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    with closing(_cursor(connection)) as cursor, cursor.copy(into) as copy:
        for piece in _csv(columns):
            copy.write(piece)
    # in the order of the keys, so that two simultaneous runs cannot deadlock
    order = ", ".join(map(quoted, keys))
    rows = f"SELECT {names} FROM {temporary} ORDER BY {order}"
    run(connection, _statement(target, columns.column_names, keys, rows))


def _cursor(connection: sa.Connection) -> Any:
    """A cursor of the driver, which sends rows one by one and knows COPY."""
    return connection.connection.cursor()


def _csv(columns: pa.Table) -> Iterator[bytes]:
    # text has quotes, even empty text; NULL has none
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    for batch in columns.to_batches(BATCH_ROWS):
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(batch, buffer, options)
        yield buffer.getvalue()
