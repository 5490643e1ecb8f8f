"""One family of errors, each with the exit code that the command line returns for it."""

LONGEST = 100  # characters of a word that may be a typo


class ForecastError(Exception):
    """Something a user can mend. The message says what, where and how to mend it."""

    exit_code = 1


class UsageError(ForecastError, ValueError):
    """A setting, flag or argument that cannot be used."""

    exit_code = 2


class StaleData(ForecastError):
    """The newest value of the table is older than the user allows."""

    exit_code = 4


class BadData(ForecastError, ValueError):
    """The table can be opened, and what stands in it cannot be used."""

    exit_code = 65


class NoInput(ForecastError):
    """A file, folder or artifact that is needed is not there."""

    exit_code = 66


class Unavailable(ForecastError):
    """A device, memory or an optional dependency that is not to be had."""

    exit_code = 69


class CannotCreate(ForecastError):
    """The place for an output cannot be written."""

    exit_code = 73


class StorageFailure(ForecastError):
    """Reading or writing failed half-way: disk full, I/O error."""

    exit_code = 74


class Busy(ForecastError):
    """Another process holds the lock of the store."""

    exit_code = 75


class ArtifactRefused(ForecastError):
    """A store or an artifact in it is damaged, foreign, unsafe or too new."""

    exit_code = 76


class Interrupted(BaseException):
    """Ended by SIGINT or SIGTERM; `exit_code` is 128 plus the signal's number.

    It may be raised anywhere, and like KeyboardInterrupt it must pass by those who catch any Exception.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"ended by signal {signal_number}; what was saved before is untouched")
        self.exit_code = 128 + signal_number


def did_you_mean(word: str, choices: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `choices`, or ``""``."""
    import difflib

    if len(word) > LONGEST:  # the comparison takes time by the square of it
        return ""
    near = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
