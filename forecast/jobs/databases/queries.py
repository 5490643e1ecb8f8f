"""Run a query and return its rows as a frame."""

from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from numbers import Number
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from forecast.errors import BadData, UsageError
from forecast.jobs.databases.opening import BATCH_ROWS, transaction
from forecast.tables.arrow import arrow_frame


def read(url: str, sql: str) -> pd.DataFrame:
    """Run one SELECT; see `forecast.jobs.databases.read_query`."""
    with transaction(url, "source") as connection, closing(_cursor(connection)) as cursor:
        # without parameters: colons and percent signs in the query are not placeholders
        cursor.execute(sql)
        if cursor.description is None:
            raise UsageError("source.sql returns no rows; write one SELECT")
        names = [column[0] for column in cursor.description]
        chunks: list[list[pa.Array]] = [[] for _ in names]
        while rows := cursor.fetchmany(BATCH_ROWS):
            for name, column, values in zip(names, chunks, zip(*rows, strict=True), strict=True):
                column.append(_array(values, f"source.sql, column '{name}'"))
    return arrow_frame(pa.table([_joined(arrays) for arrays in chunks], names=names))


def _cursor(connection: sa.Connection) -> Any:
    """A cursor of the driver, as SQLAlchemy's rows take twice the time."""
    if connection.dialect.name == "postgresql":
        # a named cursor leaves rows on the server until they are fetched
        return connection.connection.cursor("forecast")
    return connection.connection.cursor()


def _array(values: Sequence[Any], place: str) -> pa.Array:
    """The values of one column; types that tables do not have become text."""
    try:
        array = pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _mixed(values, place)
    kind = array.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise BadData(f"{place} contains binary data; leave the column out, or convert it in the query")
    if pa.types.is_decimal(kind):
        return _decimals(values, kind.scale)
    known = (
        pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string,
        pa.types.is_timestamp, pa.types.is_date,
    )  # fmt: skip
    return array if any(test(kind) for test in known) else _texts(values)


def _decimals(values: Sequence[Decimal | None], places: int) -> pa.Array:
    """Decimals as numbers; integers, which may be ids, keep all digits."""
    if places:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    try:
        return pa.array([None if value is None else int(value) for value in values], pa.int64())
    except OverflowError:
        return pa.array([None if value is None else str(int(value)) for value in values])


def _mixed(values: Sequence[Any], place: str) -> pa.Array:
    present = [value for value in values if value is not None]
    if any(isinstance(value, bytes | memoryview) for value in present):
        raise BadData(f"{place} contains binary data; leave the column out, or convert it in the query")
    if all(isinstance(value, Number) and not isinstance(value, bool) for value in present):
        if any(float(value) % 1 != 0 for value in present):  # NaN and infinity too
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        return _texts([None if value is None else int(value) for value in values])
    return _texts(values)


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _joined(arrays: list[pa.Array]) -> pa.ChunkedArray:
    """Join the pieces of one column; pieces of different types become numbers, or else text."""
    kinds = {array.type for array in arrays} - {pa.null()}
    if len(kinds) > 1:
        numeric = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
        kinds = {pa.float64() if numeric else pa.string()}
    kind = kinds.pop() if kinds else pa.null()
    return pa.chunked_array([array if array.type == kind else array.cast(kind) for array in arrays], kind)
