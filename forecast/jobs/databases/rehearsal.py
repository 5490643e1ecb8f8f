"""Try out whether a table takes rows like those of a job, before the work that makes them; nothing stays of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from forecast.errors import BadData, CannotCreate, UsageError
from forecast.jobs.databases.opening import dialect_of, missing_file, transaction
from forecast.jobs.databases.targets import LONGEST_NAME, Target, prepare, target_of
from forecast.jobs.databases.upserts import arranged

SYSTEM = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}  # columns that every table of PostgreSQL has


def rehearse(url: str, table: str, frame: pd.DataFrame, keys: Sequence[str]) -> bool:
    """Refuse what an upsert of such rows would fail by; see `forecast.jobs.databases.rehearse`."""
    dialect = dialect_of(url, "sink")
    target = target_of(table, dialect)
    wrong = refused_names([str(name) for name in frame.columns], dialect)
    if wrong:
        raise UsageError(f"{target.place} cannot have these columns: {'; '.join(wrong)}; rename them in the input")
    try:
        columns = arranged(frame, keys, target, dialect)
        file = missing_file(url)
        if file is not None:
            _check_folder_of(file)
            return False
        with transaction(url, "sink", rehearsal=True) as connection:
            there = sa.inspect(connection).has_table(target.name, schema=target.schema)
            fitted = prepare(connection, target, columns, keys)
            if there:
                _check_columns(sa.inspect(connection).get_columns(target.name, target.schema), fitted, target, dialect)
    except BadData as error:  # of the table there, not of the data, as no row is meant yet
        raise UsageError(str(error)) from None
    return there


def _check_folder_of(file: Path) -> None:
    """Refuse the file of a new database that cannot be created."""
    folder = next(one for one in file.absolute().parents if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise CannotCreate(f"sink.url: {file} cannot be created: {folder} is no folder that may be written")


def refused_names(names: Sequence[str], dialect: str) -> list[str]:
    """Names that a database takes for no column, each with the reason."""
    found, seen = [], dict[str, str]()
    for name in names:
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            length = 0
        other = seen.setdefault(name.lower() if dialect == "sqlite" else name, name)
        if not length or "\0" in name:
            found.append(f"{name!r} is no name in a database")
        elif dialect == "postgresql" and length > LONGEST_NAME:
            found.append(f"'{name}' has {length} bytes, and PostgreSQL takes {LONGEST_NAME}")
        elif dialect == "postgresql" and name in SYSTEM:
            found.append(f"'{name}' is a column of PostgreSQL's own")
        elif other != name:
            found.append(f"'{name}' and '{other}' are one name in SQLite")
    return found


def _check_columns(there: Sequence[Any], columns: pa.Table, target: Target, dialect: str) -> None:
    """Refuse a table that wants values for other columns, or shorter texts."""
    needed = [
        one["name"]
        for one in there
        if one["name"] not in columns.column_names
        and not (one["nullable"] or one.get("default") or one.get("identity") or one.get("computed"))
        and one.get("autoincrement") is not True
    ]
    if needed:
        raise UsageError(
            f"{target.place} needs values in columns that forecasts do not have: {', '.join(needed)}; "
            "give them a default, or write to another table"
        )
    for one in there:
        most = getattr(one["type"], "length", None)
        column = columns[one["name"]] if one["name"] in columns.column_names else None
        if dialect == "sqlite" or most is None or column is None or not pa.types.is_string(column.type):
            continue
        longest = pc.max(pc.utf8_length(column)).as_py() or 0
        if longest > most:
            raise UsageError(
                f"{target.place}, column '{one['name']}' takes {most} characters, and there are texts of {longest}; "
                "change its type, or write to another table"
            )
