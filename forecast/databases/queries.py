"""Run a query and return its rows as a frame."""

from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from forecast.databases.connecting import BATCH_ROWS, transaction
from forecast.errors import BadData, UsageError
from forecast.tables.storage import arrow_frame


def read_query(url: str, sql: str) -> pd.DataFrame:
    """Run the query of a job's source, one SELECT without placeholders, in a read-only transaction.

    In the frame, dates and times are datetimes, aware ones in the zone of the database's session. Decimals are numbers:
    integers if none has a decimal place, and text if such integers exceed 64 bits. NULL is a missing value; types that
    tables do not have (UUID, JSON, times of day) become text, and binary data are refused with BadData.
    """
    with transaction(url, "source") as connection:
        # a named cursor leaves rows on the server until they are fetched
        named = ("forecast",) if connection.dialect.name == "postgresql" else ()
        # the driver's own cursor, as SQLAlchemy's rows take twice the time
        with closing(connection.connection.cursor(*named)) as cursor:
            cursor.execute(sql)  # without parameters: colons and percent signs in the query are not placeholders
            if cursor.description is None:
                raise UsageError("source.sql returns no rows; write one SELECT")
            names = [column[0] for column in cursor.description]
            pieces: list[list[pa.Array]] = [[] for _ in names]
            while rows := cursor.fetchmany(BATCH_ROWS):
                for name, column, values in zip(names, pieces, zip(*rows, strict=True), strict=True):
                    column.append(_array(values, f"source.sql, column '{name}'"))
    return arrow_frame(pa.table([_joined(arrays) for arrays in pieces], names=names))


def _array(values: Sequence[Any], place: str) -> pa.Array:
    types = {type(value) for value in values} - {type(None)}
    if types & {bytes, bytearray, memoryview}:
        raise BadData(f"{place} contains binary data; leave the column out, or convert it in the query")
    try:
        if Decimal in types and types <= {int, float, Decimal}:
            kind = pa.int64() if all(value is None or _is_whole(value) for value in values) else pa.float64()
            number = int if kind == pa.int64() else float
            return pa.array([None if value is None else number(value) for value in values], kind)
        if types <= {int, float} or (len(types) == 1 and types <= {bool, str, date, datetime}):
            return pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError):  # dates that no clock has, integers beyond 64 bits
        values = [value if value is None or not isinstance(value, Decimal) else int(value) for value in values]
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _is_whole(value: int | float | Decimal) -> bool:
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0 if isinstance(value, int) else -1
    return isinstance(exponent, int) and exponent >= 0  # NaN has none


def _joined(arrays: list[pa.Array]) -> pa.ChunkedArray:
    """Join the pieces of one column; pieces of different types become numbers, or else text."""
    types = {array.type for array in arrays} - {pa.null()} or {pa.null()}
    numbers = pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()
    common = types.pop() if len(types) == 1 else numbers
    return pa.chunked_array([array.cast(common) for array in arrays], common)
