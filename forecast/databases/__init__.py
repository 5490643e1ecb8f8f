"""Databases: read a query, upsert rows into a table, open transactions for the ledger."""

import importlib
from typing import TYPE_CHECKING, Any

from forecast.errors import INSTALL, Unavailable

if TYPE_CHECKING:
    from forecast.databases.connecting import connect, read_query
    from forecast.databases.upserts import rehearse, upsert

__all__ = ["connect", "read_query", "rehearse", "upsert"]


def __getattr__(name: str) -> Any:  # a job without a database works without SQLAlchemy
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "upserts" if name in ("rehearse", "upsert") else "connecting"
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
    raise Unavailable("url: a database needs the package sqlalchemy", cure=INSTALL.format("db"))
