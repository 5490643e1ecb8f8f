"""The table that an upsert writes to: create it, or check that the rows fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from forecast.errors import BadData, UsageError, did_you_mean
from forecast.jobs.databases.opening import exclude_others, run

Kind = Literal["text", "whole", "number", "flag", "date", "time", "instant", "other"]
MAX_NAME_BYTES = 63  # bytes; PostgreSQL cuts longer ones without an error
CREATED: dict[Kind, str] = {
    "text": "TEXT", "whole": "BIGINT", "number": "DOUBLE PRECISION", "flag": "BOOLEAN", "date": "DATE",
    "time": "TIMESTAMP", "instant": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
KIND_WORDS: dict[Kind, str] = {
    "text": "text", "whole": "whole numbers", "number": "numbers", "flag": "booleans", "date": "dates",
    "time": "times without a zone", "instant": "times with a zone", "other": "values of another type",
}  # fmt: skip
PYTHON_KINDS: dict[type, Kind] = {
    str: "text", UUID: "text", int: "whole", float: "number", Decimal: "number", bool: "flag", date: "date",
    datetime: "time",
}  # fmt: skip
# kinds of values, and kinds of columns that store them without loss
FITTING = {("whole", "number"), ("date", "time"), ("text", "other")}
FITTING_SQLITE = {(here, there) for here in ("date", "time", "instant") for there in ("time", "text", "other")}
WHOLE = r"^(0|-?[1-9][0-9]*)$"


@dataclass(frozen=True)
class Target:
    """A table by name.

    Attributes
    ----------
    schema : None for the default schema of the database
    name : name of the table
    """

    schema: str | None
    name: str

    @property
    def quoted(self) -> str:
        """The name as SQL."""
        return ".".join(quoted(part) for part in (self.schema, self.name) if part)

    @property
    def place(self) -> str:
        """The name for messages."""
        return f"sink.table {self.schema + '.' if self.schema else ''}{self.name}"


def quoted(name: str) -> str:
    """A name as SQL, with any characters."""
    return '"' + name.replace('"', '""') + '"'


def target_of(table: str, dialect: str) -> Target:
    """Read ``table`` or ``schema.table``.

    Raises
    ------
    UsageError
        If a name is empty, too long, or there are more than two.
    """
    parts = table.split(".")
    if len(parts) > 2:
        raise UsageError(f"sink.table {table}: write table or schema.table, without further dots")
    for part in parts:
        check_name(part, "sink.table", dialect)
    return Target(parts[0] if len(parts) == 2 else None, parts[-1])


def check_name(name: str, place: str, dialect: str) -> None:
    """Refuse a text that cannot be the name of a table or column."""
    if problem := problem_of(name, dialect):
        raise UsageError(f"{place}: {problem}; choose another name")


def problem_of(name: str, dialect: str) -> str | None:
    """Why a text cannot be the name of a table or column; None if it can."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    if not length or "\0" in name:
        return f"{name!r} is not a name in a database"
    if dialect == "postgresql" and length > MAX_NAME_BYTES:
        return f"'{name}' has {length} bytes, and PostgreSQL takes {MAX_NAME_BYTES}"
    return None


def kind_of(array: pa.DataType) -> Kind:
    """The kind of values in a column of Arrow."""
    tests: list[tuple[Callable[[pa.DataType], bool], Kind]] = [
        (pa.types.is_boolean, "flag"),
        (pa.types.is_integer, "whole"),
        (pa.types.is_floating, "number"),
        (pa.types.is_date, "date"),
    ]
    for test, kind in tests:
        if test(array):
            return kind
    if pa.types.is_timestamp(array):
        return "time" if array.tz is None else "instant"
    return "text"


def prepare(connection: sa.Connection, target: Target, columns: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Create a missing table, or check that the columns fit an existing one; return the columns in its types.

    Raises
    ------
    UsageError
        If the table lacks columns or a unique index over the keys.
    BadData
        If the type of a column does not fit.
    """
    if not sa.inspect(connection).has_table(target.name, schema=target.schema):
        exclude_others(connection)
    inspector = sa.inspect(connection)  # a new one, as another process may have created the table meanwhile
    if not inspector.has_table(target.name, schema=target.schema):
        _create(connection, target, columns, keys)
        return columns
    kinds = {
        column["name"]: _existing_kind(column["type"]) for column in inspector.get_columns(target.name, target.schema)
    }
    lacking = [name for name in columns.column_names if name not in kinds]
    if lacking:
        hint = did_you_mean(lacking[0], list(kinds))
        raise UsageError(
            f"{target.place} lacks columns, add them or write to another table: {', '.join(lacking)}{hint}"
        )
    _check_unique(inspector, target, keys)
    fitted = [
        _fitted(column, kinds[name], f"{target.place}, column '{name}'", connection.dialect.name)
        for name, column in zip(columns.column_names, columns.columns, strict=True)
    ]
    return pa.table(fitted, names=columns.column_names)


def _create(connection: sa.Connection, target: Target, columns: pa.Table, keys: Sequence[str]) -> None:
    lines = []
    for field in columns.schema:
        kind = kind_of(field.type)
        # SQLite has no type with a zone that SQLAlchemy and others know; the text contains the offset
        kind = "time" if kind == "instant" and connection.dialect.name == "sqlite" else kind
        lines.append(f"{quoted(field.name)} {CREATED[kind]}{' NOT NULL' if field.name in keys else ''}")
    lines.append(f"PRIMARY KEY ({', '.join(map(quoted, keys))})")
    if (
        target.schema
        and connection.dialect.name == "postgresql"
        and not sa.inspect(connection).has_schema(target.schema)
    ):
        run(connection, f"CREATE SCHEMA {quoted(target.schema)}")
    run(connection, f"CREATE TABLE {target.quoted} ({', '.join(lines)})")


def _existing_kind(declared: Any) -> Kind:
    try:
        kind = PYTHON_KINDS.get(declared.python_type, "other")
    except NotImplementedError:
        return "other"
    return "instant" if kind == "time" and getattr(declared, "timezone", False) else kind


def _check_unique(inspector: sa.Inspector, target: Target, keys: Sequence[str]) -> None:
    where = (target.name, target.schema)
    indexes = inspector.get_indexes(*where, include_auto_indexes=True)  # SQLite creates one for each constraint
    unique = [inspector.get_pk_constraint(*where)["constrained_columns"]]
    unique += [index["column_names"] for index in indexes if index["unique"]]  # type: ignore[misc]
    if not any(set(columns) == set(keys) for columns in unique):
        raise UsageError(
            f"{target.place} has no primary key or unique index over exactly {', '.join(keys)}; "
            "add one, or write to another table"
        )


def _fitted(column: pa.ChunkedArray, there: Kind, place: str, dialect: str) -> pa.ChunkedArray:
    """A column in the type of the existing one, without loss."""
    here = kind_of(column.type)
    if column.null_count == len(column):
        return column
    if here == there or (here, there) in FITTING or (dialect == "sqlite" and (here, there) in FITTING_SQLITE):
        return column
    if (here, there) == ("time", "date"):
        days = column.cast(pa.date32(), safe=False)
        if pc.all(pc.equal(days.cast(column.type), column), min_count=0).as_py():
            return days
    if (here, there) == ("text", "whole") and pc.all(pc.match_substring_regex(column, WHOLE), min_count=0).as_py():
        return column  # ids
    raise BadData(
        f"{place} is of {KIND_WORDS[there]}, the forecasts have {KIND_WORDS[here]}; change its type, or "
        "write to another table"
    )
