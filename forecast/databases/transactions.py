"""What a transaction is to those who use one: a function that runs SQL."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]
Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Execute(Protocol):
    """Runs a statement with parameters as ``:name``, or once for each of several, and returns its rows."""

    def __call__(self, sql: str, parameters: Values = ...) -> list[Row]: ...


class Connect(Protocol):
    """Opens one transaction; one that only reads creates nothing, and is `no_tables` where there are none yet."""

    def __call__(self, read: bool = False) -> AbstractContextManager[Execute]: ...


def no_tables(sql: str, parameters: Values = ()) -> list[Row]:
    """What reading finds before anything was written."""
    return []
