"""Databases: read a query, upsert rows into a table, open transactions for the ledger."""

import io
import re
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from forecast.durable import check_folder
from forecast.errors import (
    INSTALL,
    ArtifactRefused,
    BadData,
    NoInput,
    Unavailable,
    UsageError,
    did_you_mean,
)
from forecast.logs import Redactor
from forecast.tables.sql import Execute, Role, Row, Values, no_tables, translate_errors
from forecast.tables.storage import PARQUET_MEMORY_FACTOR, arrow_frame, free_memory, require_memory

try:
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite
except ModuleNotFoundError:
    problem = "url: a database needs the package sqlalchemy"
    raise Unavailable(problem, cure=INSTALL.format("db")) from None

DATABASE_PATIENCE = 60  # seconds to wait for another process that writes
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
# used whatever driver a URL names: others take other options, and may be asynchronous
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
SQL_TYPES: dict[pa.DataType, Any] = {
    pa.string(): sa.Text(),
    pa.int64(): sa.BigInteger(),
    pa.float64(): sa.DOUBLE_PRECISION(),
    pa.bool_(): sa.Boolean(),
    pa.date32(): sa.Date(),
    pa.timestamp("us"): sa.TIMESTAMP(),
    pa.timestamp("us", "UTC"): sa.TIMESTAMP(timezone=True),
}
MAX_NAME_BYTES = 63  # PostgreSQL cuts longer ones without an error
TableRows = tuple[str, pd.DataFrame, Sequence[str]]  # a table, rows for it, and its keys


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
            _exclude_others(connection)
        yield execute if all(map(sa.inspect(connection).has_table, reads)) else no_tables


@contextmanager
def transaction(
    url: str, role: Role, purpose: Literal["write", "rehearse", "read"] = "write", ledger: str = ""
) -> Iterator[sa.Connection]:
    """Open a transaction: committed at the end if it writes, else rolled back, as by an exception.

    One that reads can change nothing in SQLite and PostgreSQL. A rehearsal creates no SQLite file.
    Errors are of the classes that `sql.py` lists.
    """
    parsed = _parse_url(url, role)
    reads = purpose == "read"
    file = _missing_file(parsed)
    if purpose == "rehearse" and file:
        check_folder(file.parent, f"sink.url: {file}")
        parsed = sa.make_url("sqlite://")  # in memory
    redact = Redactor()
    secrets = [parsed.password or "", *chain.from_iterable(parsed.normalized_query.values())]
    # an unescaped password in the query is taken for several parameters
    secrets += re.split("[&=]", url.partition("password=")[2])
    for secret in secrets:
        redact.add(str(secret))
    with translate_errors(role, f"{role}.url", redact):
        connection = _engine(parsed, role, reads).connect()
    key = ledger or ("source.sql" if role == "source" else "sink.table")
    with connection, translate_errors(role, key, redact, ArtifactRefused if ledger else None):
        in_postgresql = connection.dialect.name == "postgresql"
        if in_postgresql:
            connection.execution_options(postgresql_readonly=reads)
        with connection.begin() as changes:
            if in_postgresql:
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
                    piece.append(_read_values(values, f"source.sql, column '{name}'"))
                    stored += piece[-1].nbytes
                require_memory(PARQUET_MEMORY_FACTOR * stored, "source.sql", free)
    return arrow_frame(pa.table([_join_pieces(piece) for piece in pieces], names=names))


def upsert(
    url: str, table: str, frame: pd.DataFrame, keys: Sequence[str], *others: TableRows
) -> int:
    """Insert rows into the table of a job's sink, or update those whose keys exist, in one go.

    `table`, or ``schema.table``, is created if it is missing, with `keys` as primary key, like the
    file of an SQLite database; an existing table needs a primary key or unique index over them.
    Missing values become NULL, and SQLite gets times as text in ISO 8601, aware ones in UTC.
    `others` are further tables of the same database.

    Returns the number of rows of `frame`. Raises UsageError if a name or the existing table does
    not fit; BadData if a value cannot be stored; otherwise an error of the class that `sql.py`
    lists.
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


def _exclude_others(connection: sa.Connection) -> None:
    """Wait until no other transaction of this application can create a table.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        # by the number of this application's advisory lock
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x666F7265)))


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
        raise UsageError(
            f"{role}.url is not the URL of a database; write "
            "postgresql://user:password@host:port/database or sqlite:///path, and in a user or "
            "password %40 for @, %3A for :, %2F for /, %3F for ? and %25 for %"
        ) from None
    if dialect == "sqlite":
        return _sqlite_url(parsed, role)
    if role == "sink" and parsed.get_backend_name() != "postgresql":
        problem = f"forecasts are written to SQLite and PostgreSQL, not to {dialect}"
        raise UsageError(f"sink.url: {problem}")
    return parsed


def _sqlite_url(url: sa.URL, role: Role) -> sa.URL:
    """The URL of an SQLite file; only a sink may create the file."""
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:") or url.host or url.username:
        raise UsageError(f"{role}.url must name the file of an SQLite database: sqlite:///path")
    # the driver would ignore other options, with warnings; they may be secrets
    timeout = str(url.query.get("timeout", "0"))
    if set(url.query) - {"timeout"} or not re.fullmatch(r"\d{1,6}(\.\d+)?", timeout):
        raise UsageError(
            f"{role}.url: SQLite has no passwords and no options but ?timeout=SECONDS; remove "
            "the others"
        )
    if role == "sink":
        return url
    if not Path(path).exists():
        raise NoInput(
            f"{role}.url: {path} does not exist; correct the path, or create the database"
        )
    # not mode=ro: the unfinished transaction of a killed writer must be rolled back before reading
    return url.set(database=f"file:{quote(path)}").update_query_dict({"mode": "rw", "uri": "true"})


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
        raise Unavailable(
            f"{role}.url: {error.name or 'the driver'} cannot be imported", cure=cure
        ) from None
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


def _read_values(values: Sequence[Any], place: str) -> pa.Array:
    types = {type(value) for value in values} - {type(None)}
    if types & {bytes, bytearray, memoryview}:
        raise BadData(
            f"{place} contains binary data; leave the column out, or convert it in the query"
        )
    try:
        if Decimal in types and types <= {int, float, Decimal}:
            return _read_decimals(values)
        if types <= {int, float} or (len(types) == 1 and types <= {bool, str, date, datetime}):
            return pa.array(values)
    # dates that no clock has, integers beyond 64 bits
    except (pa.ArrowException, OverflowError, ValueError):
        values = [int(value) if isinstance(value, Decimal) else value for value in values]
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _read_decimals(values: Sequence[Any]) -> pa.Array:
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


def _upsert(
    connection: sa.Connection, table: str, frame: pd.DataFrame, keys: Sequence[str]
) -> bool:
    """Upsert rows in a transaction; whether the table was there."""
    place = f"sink.table {table}"
    schema, dot, name = table.rpartition(".")
    if not name or "." in schema or (dot and not schema):
        raise UsageError(f"{place}: write table or schema.table, without further dots")
    columns = {}
    for column in frame:
        columns[str(column)] = _stored_values(frame[column], f"{place}, column '{column}'")
    rows = pa.table(columns)
    in_postgresql = connection.dialect.name == "postgresql"
    for part in (schema, name, *rows.column_names) if in_postgresql else ():
        size = len(part.encode())
        if size > MAX_NAME_BYTES:
            raise UsageError(
                f"{place}: '{part}' has {size} bytes, and PostgreSQL takes {MAX_NAME_BYTES}; "
                "rename it in the input"
            )
    target = _name_table(name, rows.column_names, schema or None)
    exists = _has_table(connection, target)
    if not exists:
        _exclude_others(connection)
    if exists or _has_table(connection, target):  # another process may have created it meanwhile
        rows = _match_types(connection, target, rows, keys, place)
    else:
        _create(connection, target, rows, keys)
    send = _send_to_postgresql if in_postgresql else _send_to_sqlite
    send(connection, target, rows, keys)
    return exists


def _name_table(name: str, columns: Sequence[str], schema: str | None = None) -> sa.TableClause:
    """A table without types, so that values reach the driver as they are, under quoted names."""
    quoted = partial(sa.quoted_name, quote=True)
    named: list[sa.ColumnClause[Any]] = [sa.column(quoted(column)) for column in columns]
    return sa.table(quoted(name), *named, schema=schema and quoted(schema))


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


def _stored_values(values: "pd.Series[Any]", place: str) -> Any:
    """A column as a type of `SQL_TYPES`."""
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
        raise UsageError(
            f"{place} has no primary key or unique index over exactly {', '.join(keys)}; add one, "
            "or write to another table"
        )
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
        whole = pc.match_substring_regex(values, r"^(0|-?[1-9][0-9]*)$")
        if pc.all(whole).as_py() is False:
            return "is of whole numbers, the forecasts have text"
    return ""


def _send_to_sqlite(
    connection: sa.Connection, target: sa.TableClause, rows: pa.Table, keys: Sequence[str]
) -> None:
    statement = _build_upsert(sqlite.insert(target), keys).compile(dialect=connection.dialect)
    for batch in rows.to_batches(FETCHED_ROWS):
        columns = map(_sqlite_values, batch.columns)
        connection.exec_driver_sql(str(statement), list(zip(*columns, strict=True)))


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
    """Send all rows to a temporary table first, as COPY takes a sixth of the time of INSERT."""
    temporary = _name_table(f"forecast_{secrets.token_hex(8)}", rows.column_names)
    empty = sa.select(target).compile(dialect=connection.dialect)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {temporary.name} ON COMMIT DROP AS {empty} WITH NO DATA"
    )
    # text has quotes, even empty text; NULL has none
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    into = f"COPY {temporary.name} FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
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
