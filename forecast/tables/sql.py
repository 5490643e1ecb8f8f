"""What runs SQL, and its errors as ours, without secrets; works without SQLAlchemy."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, NamedTuple

from forecast.errors import (
    BadData,
    Busy,
    CannotCreate,
    ForecastError,
    NoInput,
    StorageFailure,
    Unavailable,
    UsageError,
)
from forecast.logs import Redactor

Role = Literal["source", "sink"]
Row = tuple[Any, ...]
# of parameters :name, or of each of several executions
Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Execute = Callable[..., list[Row]]  # runs SQL with Values, if any, in an open transaction
# opens a transaction; with reads=TABLES it creates nothing
Connect = Callable[..., AbstractContextManager[Execute]]


class Failure(NamedTuple):
    """What errors of a database mean, and how to mend it."""

    # SQLSTATEs or their first two digits, SQLite's names, and exception classes of PEP 249, which
    # every driver and SQLAlchemy have
    codes: str
    error: type[ForecastError]
    cure: str
    of_sink: type[ForecastError] | None = None  # where it is another one
    of_statement: bool = False  # and not of the database at the URL
    no_ledger: bool = False  # a ledger that raises it is none


FAILURES = (
    Failure(
        "08 53300 OperationalError InterfaceError",
        Unavailable,
        "check that the server runs, and host, port, user, password and database",
    ),
    Failure(
        "53 57014",
        Unavailable,
        "make the statement faster, or give it more time (statement_timeout) and memory",
        of_statement=True,
    ),
    Failure(
        "25006 42501 SQLITE_PERM SQLITE_READONLY SQLITE_CANTOPEN",
        NoInput,
        "check the permissions of the user, and those of files",
        of_sink=CannotCreate,
    ),
    Failure(
        "42P01 3F",
        NoInput,
        "check the name, or create it",
        of_sink=CannotCreate,
        of_statement=True,
        no_ledger=True,
    ),
    Failure(
        "SQLITE_ERROR ProgrammingError NotSupportedError SQLAlchemyError",
        UsageError,
        "correct the job, or the database",
        of_statement=True,
        no_ledger=True,
    ),
    Failure(
        "21 54 DataError IntegrityError UnicodeError",
        BadData,
        "correct the data, or a type in the database",
        of_statement=True,
    ),
    Failure(
        "DatabaseError",
        BadData,
        "check that it is the right file; restore it if it is damaged",
        of_sink=StorageFailure,
        no_ledger=True,
    ),
    Failure(
        "53100 58 SQLITE_FULL SQLITE_IOERR InternalError",
        StorageFailure,
        "check the disk and its free space, then run again",
    ),
    Failure(
        "40 55 SQLITE_BUSY SQLITE_LOCKED",
        Busy,
        "another process is writing; run again later",
    ),
)


def no_tables(sql: str, parameters: Values = ()) -> list[Row]:
    """What reading finds before anything was written."""
    return []


@contextmanager
def translate_errors(
    role: Role, key: str, redact: Redactor, ledger: type[ForecastError] | None = None
) -> Iterator[None]:
    """Raise errors of databases as ours, named `key` where the database works.

    `ledger` is the error of a damaged ledger.
    """
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps the errors of drivers
        failure = _find_failure(cause)
        if failure is None:
            raise
        message = redact(_message(cause))[:300].rstrip(" .:;")
        place = key if ledger or failure.of_statement else f"{role}.url"
        kind = (role == "sink" and failure.of_sink) or failure.error
        cure = failure.cure
        if ledger and failure.no_ledger:
            kind = ledger
            cure = "it is no ledger, or damaged; move it away to start a new one"
        # the cause may contain rows and the URL
        raise kind(message, place=place, cure=cure) from None


def _find_failure(error: BaseException) -> Failure | None:
    """The failure that an error means, by its code, or else by its class; None of others."""
    code = getattr(error, "sqlstate", None)
    if code is None:
        name = getattr(error, "sqlite_errorname", "")
        code = "_".join(name.split("_")[:2])  # without what it was doing, as SQLITE_IOERR_WRITE
    if str(error).startswith("no such table"):
        code = "42P01"
    elif str(error).startswith("Could not decode"):
        code = "DataError"
    classes = [kind.__name__ for kind in type(error).__mro__]
    for key in (code, code[:2], *classes):
        for failure in FAILURES:
            if key in failure.codes.split():
                return failure
    return None


def _message(error: BaseException) -> str:
    """The first line of an error's message, after the row and column that were being sent."""
    context = getattr(getattr(error, "diag", None), "context", None) or ""
    sent = re.match(r"COPY \w+, line (\d+), column (.*?)(?:: |$)", context)
    first = str(error).strip().partition("\n")[0]
    return f"row {sent[1]}, column {sent[2]}: {first}" if sent else first
