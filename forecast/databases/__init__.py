"""Databases: read a query, upsert rows into a table, open transactions for the ledger."""

import importlib
from typing import TYPE_CHECKING, Any

from forecast.errors import INSTALL, Unavailable

if TYPE_CHECKING:
    from forecast.databases.connecting import connect
    from forecast.databases.queries import read_query
    from forecast.databases.upserts import rehearse, upsert

__all__ = ["connect", "read_query", "rehearse", "upsert"]

_MODULES = {"connect": "connecting", "read_query": "queries", "rehearse": "upserts", "upsert": "upserts"}


def __getattr__(name: str) -> Any:  # a job without a database works without SQLAlchemy
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
    raise Unavailable("url: a database needs the package sqlalchemy", cure=INSTALL.format("db"))
