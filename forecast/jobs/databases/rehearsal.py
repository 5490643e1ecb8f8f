"""Check whether a table accepts rows like those of a job, before the job computes them; nothing is written."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from forecast.durable import check_folder
from forecast.errors import BadData, UsageError
from forecast.jobs.databases.opening import dialect_of, missing_file, transaction
from forecast.jobs.databases.targets import Target, prepare, problem_of, target_of
from forecast.jobs.databases.upserts import arranged

SYSTEM_COLUMNS = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}  # of every table of PostgreSQL


def rehearse(url: str, table: str, frame: pd.DataFrame, keys: Sequence[str]) -> bool:
    """Check that an upsert of such rows would succeed; see `forecast.jobs.databases.rehearse`."""
    dialect = dialect_of(url, "sink")
    target = target_of(table, dialect)
    refused = refused_names([str(name) for name in frame.columns], dialect)
    if refused:
        raise UsageError(f"{target.place} cannot have these columns: {'; '.join(refused)}; rename them in the input")
    try:
        columns = arranged(frame, keys, target, dialect)
        file = missing_file(url)
        if file is not None:
            check_folder(file.parent, f"sink.url: {file}")
            return False
        with transaction(url, "sink", "rehearse") as connection:
            exists = sa.inspect(connection).has_table(target.name, schema=target.schema)
            fitted = prepare(connection, target, columns, keys)
            if exists:
                _check_columns(sa.inspect(connection).get_columns(target.name, target.schema), fitted, target, dialect)
    except BadData as error:  # the existing table is wrong, not the data: these rows are only a sample
        raise UsageError(str(error)) from None
    return exists


def refused_names(names: Sequence[str], dialect: str) -> list[str]:
    """Names that a database does not accept for a column, each with the reason."""
    refused, seen = [], dict[str, str]()
    for name in names:
        other = seen.setdefault(name.lower() if dialect == "sqlite" else name, name)
        if problem := problem_of(name, dialect):
            refused.append(problem)
        elif dialect == "postgresql" and name in SYSTEM_COLUMNS:
            refused.append(f"'{name}' is a system column of PostgreSQL")
        elif other != name:
            refused.append(f"'{name}' and '{other}' are one name in SQLite")
    return refused


def _check_columns(existing: Sequence[Any], columns: pa.Table, target: Target, dialect: str) -> None:
    """Refuse a table that needs values in other columns, or shorter texts."""
    needed = [
        column["name"]
        for column in existing
        if column["name"] not in columns.column_names
        and not (column["nullable"] or column.get("default") or column.get("identity") or column.get("computed"))
        and column.get("autoincrement") is not True
    ]
    if needed:
        raise UsageError(
            f"{target.place} needs values in columns that forecasts do not have: {', '.join(needed)}; "
            "give them a default, or write to another table"
        )
    for column in existing:
        name, limit = column["name"], getattr(column["type"], "length", None)
        texts = columns[name] if name in columns.column_names else None
        if dialect == "sqlite" or limit is None or texts is None or not pa.types.is_string(texts.type):
            continue
        longest = pc.max(pc.utf8_length(texts)).as_py() or 0
        if longest > limit:
            raise UsageError(
                f"{target.place}, column '{name}' takes {limit} characters, and there are texts of {longest}; "
                "change its type, or write to another table"
            )
