"""What runs SQL, and opens transactions, as types that need no SQLAlchemy."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

Row = tuple[Any, ...]
# of parameters :name, or of each of several executions
Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Execute = Callable[..., list[Row]]  # runs SQL with Values, if any, in an open transaction
# opens a transaction; with reads=TABLES it creates nothing
Connect = Callable[..., AbstractContextManager[Execute]]


def no_tables(sql: str, parameters: Values = ()) -> list[Row]:
    """What reading finds before anything was written."""
    return []
