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

Kind = Literal["text", "whole", "number", "flag", "date", "time", "instant", "other"]
LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones without an error
CREATED: dict[Kind, str] = {
    "text": "TEXT", "whole": "BIGINT", "number": "DOUBLE PRECISION", "flag": "BOOLEAN", "date": "DATE",
    "time": "TIMESTAMP", "instant": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
SAID: dict[Kind, str] = {
    "text": "text", "whole": "whole numbers", "number": "numbers", "flag": "booleans", "date": "dates",
    "time": "times without a zone", "instant": "times with a zone", "other": "values of another type",
}  # fmt: skip
PYTHON_KINDS: dict[type, Kind] = {
    str: "text", UUID: "text", int: "whole", float: "number", Decimal: "number", bool: "flag", date: "date",
    datetime: "time",
}  # fmt: skip
CLOCK = r"[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
# text that a column of another kind can take without loss
WRITTEN: dict[Kind, str] = {
    "whole": r"^(0|-?[1-9]\d*)$",
    "date": r"^\d{4}-\d\d-\d\d$",
    "time": rf"^\d{{4}}-\d\d-\d\d({CLOCK})?$",
    "instant": rf"^\d{{4}}-\d\d-\d\d{CLOCK}(Z|[+-]\d\d(:?\d\d)?)$",
}


@dataclass(frozen=True)
class Target:
    """A table by name.

    Attributes
    ----------
    section : section of the job, for messages
    schema : None is the one that the database takes by default
    name : name of the table
    """

    section: str
    schema: str | None
    name: str

    @property
    def quoted(self) -> str:
        """The name as SQL."""
        return ".".join(quoted(part) for part in (self.schema, self.name) if part)

    @property
    def place(self) -> str:
        """The name for messages."""
        return f"{self.section}.table {self.schema + '.' if self.schema else ''}{self.name}"


def quoted(name: str) -> str:
    """A name as SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def target_of(table: str, section: str, dialect: str) -> Target:
    """Read ``table`` or ``schema.table``.

    Raises
    ------
    UsageError
        If a name is empty, too long, or there are more than two.
    """
    parts = table.split(".")
    if len(parts) > 2:
        raise UsageError(f"{section}.table {table}: write table or schema.table, without further dots")
    for part in parts:
        check_name(part, f"{section}.table", dialect)
    return Target(section, parts[0] if len(parts) == 2 else None, parts[-1])


def check_name(name: str, place: str, dialect: str) -> None:
    """Refuse what cannot be the name of a table or column."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    if not length or "\0" in name:
        raise UsageError(f"{place}: {name!r} cannot be a name in a database; name it otherwise")
    if dialect == "postgresql" and length > LONGEST_NAME:
        raise UsageError(f"{place}: '{name}' has {length} bytes, PostgreSQL takes {LONGEST_NAME}; name it shorter")


def kind_of(array: pa.DataType) -> Kind:
    """What kind of values a column of Arrow holds."""
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
    """Create the table where there is none, else check that the columns fit; return them as the table takes them.

    Raises
    ------
    UsageError
        If the table lacks columns or a unique index over the keys.
    BadData
        If the type of a column does not fit.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(target.name, schema=target.schema):
        _create(connection, target, columns, keys)
        return columns
    found = {
        column["name"]: _existing_kind(column["type"]) for column in inspector.get_columns(target.name, target.schema)
    }
    lacking = [name for name in columns.column_names if name not in found]
    if lacking:
        hint = did_you_mean(lacking[0], list(found))
        raise UsageError(
            f"{target.place} lacks the columns {', '.join(lacking)}{hint}; add them, or write to another table"
        )
    _check_unique(inspector, target, keys)
    fitted = [
        _fitted(column, found[name], f"{target.place}, column '{name}'", connection.dialect.name)
        for name, column in zip(columns.column_names, columns.columns, strict=True)
    ]
    return pa.table(fitted, names=columns.column_names)


def _create(connection: sa.Connection, target: Target, columns: pa.Table, keys: Sequence[str]) -> None:
    lines = []
    for field in columns.schema:
        kind = kind_of(field.type)
        # SQLAlchemy and others know no SQLite type of the longer name; the text says the offset
        kind = "time" if kind == "instant" and connection.dialect.name == "sqlite" else kind
        lines.append(f"{quoted(field.name)} {CREATED[kind]}{' NOT NULL' if field.name in keys else ''}")
    lines.append(f"PRIMARY KEY ({', '.join(map(quoted, keys))})")
    if (
        target.schema
        and connection.dialect.name == "postgresql"
        and not sa.inspect(connection).has_schema(target.schema)
    ):
        execute(connection, f"CREATE SCHEMA {quoted(target.schema)}")
    execute(connection, f"CREATE TABLE {target.quoted} ({', '.join(lines)})")


def execute(connection: sa.Connection, sql: str) -> None:
    """Run a statement just as it is written."""
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def _existing_kind(declared: Any) -> Kind:
    try:
        kind = PYTHON_KINDS.get(declared.python_type, "other")
    except NotImplementedError:
        return "other"
    return "instant" if kind == "time" and getattr(declared, "timezone", False) else kind


def _check_unique(inspector: sa.Inspector, target: Target, keys: Sequence[str]) -> None:
    where = (target.name, target.schema)
    unique = [inspector.get_pk_constraint(*where)["constrained_columns"]]
    unique += [constraint["column_names"] for constraint in inspector.get_unique_constraints(*where)]
    unique += [index["column_names"] for index in inspector.get_indexes(*where) if index["unique"]]  # type: ignore[misc]
    if not any(set(columns) == set(keys) for columns in unique):
        raise UsageError(
            f"{target.place} has no primary key or unique index over exactly {', '.join(keys)}; "
            "add one, or write to another table"
        )


def _fitted(column: pa.ChunkedArray, there: Kind, place: str, dialect: str) -> pa.ChunkedArray:
    """A column as an existing one takes it, without loss."""
    here = kind_of(column.type)
    misfit = BadData(
        f"{place} holds {SAID[there]}, the forecasts {SAID[here]}; change its type, or write to another table"
    )
    if dialect == "sqlite" and there == "time" and here == "instant":
        return column
    if dialect == "sqlite" and (there == "other" or (there == "text" and here in ("time", "instant", "date"))):
        return column
    if here == there or (here, there) in {("whole", "number"), ("date", "time"), ("text", "other")}:
        return column
    if (here, there) == ("time", "date"):
        days = column.cast(pa.date32(), safe=False)
        if not pc.all(pc.equal(days.cast(column.type), column), min_count=0).as_py():
            raise misfit
        return days
    if here == "text" and there in WRITTEN:
        odd = column.filter(pc.invert(pc.match_substring_regex(column, WRITTEN[there])))
        if len(odd):
            raise misfit
        return column
    raise misfit
