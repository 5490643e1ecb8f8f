"""Turn errors of databases and drivers into ours, without secrets."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from forecast.databases.redaction import Redactor
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

Role = Literal["source", "sink"]


class Situation(NamedTuple):
    """The error, its cure, and the error of a sink if it is another one."""

    error: type[ForecastError]
    cure: str
    of_sink: type[ForecastError] | None = None


AWAY = Situation(
    Unavailable, "check that the server runs, and host, port, user, password and database"
)
SLOW = Situation(Unavailable, "make the statement faster, or give it more time (statement_timeout)")
OUT_OF_MEMORY = Situation(
    Unavailable, "give the database more memory, or read and write less at once"
)
DENIED = Situation(NoInput, "check the permissions of the user, and those of files", CannotCreate)
ABSENT_OBJECT = Situation(NoInput, "check the name, or create it", CannotCreate)
WRONG = Situation(UsageError, "correct the job, or the database")
BAD_DATA = Situation(BadData, "correct the data, or a type in the database")
DAMAGED_DATABASE = Situation(
    BadData, "check that it is the right file; restore it if it is damaged", StorageFailure
)
STORAGE = Situation(StorageFailure, "check the disk and its free space, then run again")
BUSY = Situation(Busy, "another process is writing; run again later")

# by the beginning of the SQLSTATE; the longest match counts
SQLSTATES = {
    "08": AWAY, "28": AWAY, "3D": AWAY, "57": AWAY, "53300": AWAY, "53": OUT_OF_MEMORY,
    "53100": STORAGE, "58": STORAGE, "XX": STORAGE, "40": BUSY, "55P03": BUSY, "55006": BUSY,
    "25006": DENIED, "42501": DENIED, "42P01": ABSENT_OBJECT, "3F": ABSENT_OBJECT,
    "21": BAD_DATA, "22": BAD_DATA, "23": BAD_DATA, "54": BAD_DATA, "57014": SLOW,
}  # fmt: skip
# by the primary result code of SQLite
SQLITE_CODES = {
    3: DENIED, 5: BUSY, 6: BUSY, 7: OUT_OF_MEMORY, 8: DENIED, 10: STORAGE, 11: DAMAGED_DATABASE, 13: STORAGE,
    14: DENIED, 15: BUSY, 18: BAD_DATA, 19: BAD_DATA, 20: BAD_DATA, 22: STORAGE, 23: DENIED, 26: DAMAGED_DATABASE,
}  # fmt: skip
# by the exception classes of every driver (PEP 249), and of SQLAlchemy
CLASSES = {
    "DataError": BAD_DATA, "IntegrityError": BAD_DATA, "InternalError": STORAGE, "OperationalError": AWAY,
    "InterfaceError": AWAY, "ProgrammingError": WRONG, "NotSupportedError": WRONG,
    "DatabaseError": AWAY, "SQLAlchemyError": WRONG,
}  # fmt: skip
MAX_MESSAGE_LENGTH = 300  # characters of a database's message


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
        situation = _situation(cause)
        if situation is None:
            raise
        place = (
            key if ledger or situation in (SLOW, ABSENT_OBJECT, WRONG, BAD_DATA) else f"{role}.url"
        )
        message = redact(_message(cause))[:MAX_MESSAGE_LENGTH].rstrip(" .:;")
        kind = (role == "sink" and situation.of_sink) or situation.error
        cure = situation.cure
        if ledger and situation in (ABSENT_OBJECT, WRONG, DAMAGED_DATABASE):
            kind = ledger
            cure = "it is no ledger, or damaged; move it away to start a new one"
        # the cause may contain rows and the URL
        raise kind(message, place=place, cure=cure) from None


def _situation(error: BaseException) -> Situation | None:
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return SQLSTATES.get(state) or SQLSTATES.get(state[:2], WRONG)
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        missing = str(error).startswith("no such table")
        return ABSENT_OBJECT if missing else SQLITE_CODES.get(code & 0xFF, WRONG)
    if isinstance(error, UnicodeError) or str(error).startswith("Could not decode"):
        return BAD_DATA
    for kind in type(error).__mro__:
        if kind.__name__ in CLASSES:
            return CLASSES[kind.__name__]
    return None


def _message(error: BaseException) -> str:
    """The first line of an error's message, after the row and column that were being sent."""
    context = getattr(getattr(error, "diag", None), "context", None) or ""
    sent = re.match(r"COPY \w+, line (\d+), column (.*?)(?:: |$)", context)
    first = str(error).strip().partition("\n")[0]
    return f"row {sent[1]}, column {sent[2]}: {first}" if sent else first
