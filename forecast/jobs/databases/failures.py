"""Turn what a database or its driver says into one of our errors, without its secrets."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from forecast.errors import (
    BadData,
    CannotCreate,
    ForecastError,
    NoInput,
    StorageFailure,
    Unavailable,
    UsageError,
)

Access = Literal["read", "write"]


class Situation(NamedTuple):
    """What went wrong: the error for a source, the error for what is written, and how to mend it."""

    read: type[ForecastError]
    write: type[ForecastError]
    mend: str


AWAY = Situation(
    Unavailable, Unavailable, "check that the server runs, and the host, port, user, password and database of {}.url"
)
MEMORY = Situation(Unavailable, Unavailable, "give the database of {}.url more memory, or select fewer rows")
DENIED = Situation(NoInput, CannotCreate, "check what the user of {}.url may do, and the permissions of its files")
MISSING = Situation(NoInput, CannotCreate, "check the names in section {}")
WRONG = Situation(UsageError, UsageError, "correct section {} of the job")
DATA = Situation(BadData, BadData, "correct the data, or the types in the database of {}.url")
DAMAGED = Situation(BadData, StorageFailure, "restore the database of {}.url")
STORAGE = Situation(StorageFailure, StorageFailure, "check the disk of the database of {}.url and its free space")
BUSY = Situation(StorageFailure, StorageFailure, "another process holds the database of {}.url; run again later")

# by the beginning of the SQLSTATE, the longest that fits
SQLSTATES = {
    "08": AWAY, "28": AWAY, "3D": AWAY, "57": AWAY, "53300": AWAY, "53": MEMORY, "53100": STORAGE, "58": STORAGE,
    "XX": STORAGE, "XX001": DAMAGED, "XX002": DAMAGED, "40": BUSY, "55": BUSY, "25006": DENIED, "42501": DENIED,
    "42P01": MISSING, "3F": MISSING, "21": DATA, "22": DATA, "23": DATA, "54": DATA,
}  # fmt: skip
# by the primary result code of SQLite
SQLITE_CODES = {
    3: DENIED, 5: BUSY, 6: BUSY, 7: MEMORY, 8: DENIED, 10: STORAGE, 11: DAMAGED, 13: STORAGE, 14: DENIED, 15: BUSY,
    18: DATA, 19: DATA, 20: DATA, 22: STORAGE, 23: DENIED, 26: DAMAGED,
}  # fmt: skip
# by the classes that every driver has (PEP 249)
CLASSES = {
    "DataError": DATA, "IntegrityError": DATA, "InternalError": STORAGE, "OperationalError": AWAY,
    "InterfaceError": AWAY, "ProgrammingError": WRONG, "NotSupportedError": WRONG, "DatabaseError": AWAY,
}  # fmt: skip
LONGEST = 300  # characters of what a database says


@dataclass(frozen=True)
class Place:
    """Where an error belongs.

    Attributes
    ----------
    section : section of the job, for messages
    access : whether the database is the source of data or is written to
    secrets : texts that no message may hold
    """

    section: str
    access: Access
    secrets: tuple[str, ...]

    def error(self, situation: Situation, said: str) -> ForecastError:
        """The error for a situation; `said` is what the database says about it."""
        kind = situation.read if self.access == "read" else situation.write
        return kind(f"{self.section}.url: {self.cleaned(said)}; {situation.mend.format(self.section)}")

    def cleaned(self, said: str) -> str:
        """The first line, cut to a readable length, without secrets."""
        line = said.strip().splitlines()[0] if said.strip() else "the database says nothing more"
        for secret in sorted(self.secrets, key=len, reverse=True):
            line = line.replace(secret, "***")
        return line[:LONGEST].rstrip(" .:;")


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Raise errors of databases as ours; all others pass."""
    try:
        yield
    except Exception as error:
        if (found := _forecast_error(error, place)) is None:
            raise
        raise found from None  # what it came from may hold rows and the URL


def _forecast_error(error: Exception, place: Place) -> ForecastError | None:
    names = [kind.__name__ for kind in type(error).__mro__]
    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps the errors of drivers
    if isinstance(cause, ForecastError) or not ("SQLAlchemyError" in names or set(names) & set(CLASSES)):
        return None
    return place.error(_situation(cause), _said(cause))


def _situation(error: BaseException) -> Situation:
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        fitting = [start for start in SQLSTATES if state.startswith(start)]
        return SQLSTATES[max(fitting, key=len)] if fitting else WRONG
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return MISSING if str(error).startswith("no such table") else SQLITE_CODES.get(code & 0xFF, WRONG)
    for kind in type(error).__mro__:
        if kind.__name__ in CLASSES:
            return CLASSES[kind.__name__]
    return WRONG


def _said(error: BaseException) -> str:
    context = getattr(getattr(error, "diag", None), "context", None) or ""
    at = re.match(r"COPY .*, line (\d+), column (.*?)(?:: |$)", context)
    first = str(error).strip().partition("\n")[0]
    return f"row {at[1]}, column {at[2]}: {first}" if at else first
