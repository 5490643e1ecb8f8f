"""One family of errors, each with its exit code; the settings they name are written by the face that shows them."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

LONGEST = 100  # characters of a word that may be a typo
_ARGUMENTS = {"artifact": "store"}  # arguments of the Python API that have another name than the flag


@dataclass(frozen=True)
class Setting:
    """A setting that a message names: ``--horizon 30`` on the command line, ``horizon=30`` in Python.

    Attributes
    ----------
    name : as the settings spell it
    value : None where the message names the setting alone
    """

    name: str
    value: object = None

    def told(self, write: "Write") -> str:
        """The setting as a face writes it."""
        return write(self)

    def __str__(self) -> str:
        return as_argument(self)


Write = Callable[[Setting], str]


class Words:
    """A text that names settings: its parts one after the other. As a string it is written for Python."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def told(self, write: Write) -> str:
        """The text as a face writes it."""
        return "".join(told(part, write) for part in self.parts)

    def __str__(self) -> str:
        return self.told(as_argument)


class ForecastError(Exception):
    """Something a user can mend. The message says what, where and how to mend it.

    Attributes
    ----------
    problem : what is wrong, text or `Words`
    setting : the setting that it is about, which begins the message
    place : where it is, such as file, line and column, which begins the message
    cure : how to mend it, text or `Words`, which ends the message
    """

    exit_code = 1

    def __init__(
        self, problem: object = "", *, setting: Setting | None = None, place: object = "", cure: object = ""
    ) -> None:
        super().__init__(problem)
        self.problem, self.setting, self.place, self.cure = problem, setting, place, cure

    def told(self, write: Write) -> str:
        """The message as a face writes it."""
        place, cure = told(self.place, write), told(self.cure, write)
        setting = "" if self.setting is None else f"{write(self.setting)}: "
        return f"{place and f'{place}: '}{setting}{told(self.problem, write)}{cure and f'; {cure}'}"

    def __str__(self) -> str:
        return self.told(as_argument)


class WrongSplit(BaseException):
    """scikit-learn cross-validates on rows that do not come after those of the fit.

    Like KeyboardInterrupt it passes by those who catch any Exception: scikit-learn would print a traceback for each
    fold, and choose among numbers that mean nothing.
    """


def told(part: object, write: Write) -> str:
    """A part of a message as a face writes it."""
    return part.told(write) if isinstance(part, NAMING) else str(part)


@dataclass(frozen=True)
class Message:
    """What a record of the log says: a text with places for its arguments, which may name settings."""

    text: str
    args: tuple[object, ...] = ()

    def told(self, write: "Write") -> str:
        """The message as a face writes it."""
        if not self.args:
            return self.text
        return self.text % tuple(told(arg, write) if isinstance(arg, NAMING) else arg for arg in self.args)

    def __str__(self) -> str:
        return self.told(as_argument)


NAMING = Setting, Words, ForecastError, Message
"""What a face writes in its own way."""


def message_in(record: logging.LogRecord) -> Message:
    """The message of a record of the log."""
    args = record.args if isinstance(record.args, tuple) else ()
    return Message(str(record.msg), args) if args else Message(record.getMessage())


def message_of(record: logging.LogRecord, write: Write) -> str:
    """The message of a record of the log as a face writes it."""
    return message_in(record).told(write)


def as_argument(setting: Setting) -> str:
    """A setting as Python writes it: ``horizon=30``, or ``horizon=`` where no value is named."""
    name = _ARGUMENTS.get(setting.name, setting.name)
    return f"{name}=" if setting.value is None else f"{name}={setting.value!r}"


def as_flag(setting: Setting) -> str:
    """A setting as the command line writes it: ``--horizon 30``, ``--no-guard``, ``-p hidden_size=8``."""
    name, value = setting.name.replace("_", "-"), setting.value
    if name == "params":
        return " ".join(
            ["-p", *(f"{knob}={one}" for knob, one in value.items())] if isinstance(value, dict) else ["-p"]
        )
    if value is None or isinstance(value, bool):
        return f"--no-{name}" if value is False else f"--{name}"
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    if not re.fullmatch(r"[\w.,:;+/@|-]+", text):
        text = f'"{text}"' if "'" in text or not text.strip() else f"'{text}'"
    return f"--{name} {text}"


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
