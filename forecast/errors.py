"""Errors with exit codes; settings in messages look like options or Python arguments, depending on the user."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_TYPO_LENGTH = 100  # characters; comparing longer words takes too long
_ARGUMENTS = {"artifact": "store"}  # arguments of the Python API whose names differ from the options


@dataclass(frozen=True)
class Setting:
    """A setting in a message: ``--horizon 30`` on the command line, ``horizon=30`` in Python.

    Attributes
    ----------
    name : its name in the settings
    value : None if the message names the setting without a value
    """

    name: str
    value: object = None

    def told(self, write: "Write") -> str:
        """The setting as `write` shows it."""
        return write(self)

    def __str__(self) -> str:
        return as_argument(self)


Write = Callable[[Setting], str]

INCOMPLETE = 3  # the exit code where some series got no forecast


class Words:
    """A text with settings in it, as a sequence of parts; `str` shows settings as Python arguments."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def told(self, write: Write) -> str:
        """The text with its settings as `write` shows them."""
        return "".join(told(part, write) for part in self.parts)

    def __str__(self) -> str:
        return self.told(as_argument)


class ForecastError(Exception):
    """An error that the user can correct. The message says what is wrong, where, and how to correct it.

    Attributes
    ----------
    problem : what is wrong, text or `Words`
    setting : the setting that is wrong, at the start of the message
    place : file, line or column, at the start of the message
    cure : how to correct it, text or `Words`, at the end of the message
    """

    exit_code = 1

    def __init__(
        self, problem: object = "", *, setting: Setting | None = None, place: object = "", cure: object = ""
    ) -> None:
        super().__init__(problem)
        self.problem, self.setting, self.place, self.cure = problem, setting, place, cure

    def told(self, write: Write) -> str:
        """The message with its settings as `write` shows them."""
        place, cure = told(self.place, write), told(self.cure, write)
        setting = "" if self.setting is None else f"{write(self.setting)}: "
        return f"{place and f'{place}: '}{setting}{told(self.problem, write)}{cure and f'; {cure}'}"

    def __str__(self) -> str:
        return self.told(as_argument)


class WrongSplit(BaseException):
    """scikit-learn cross-validates on rows that are not after those of the fit.

    Like KeyboardInterrupt it is not an Exception: scikit-learn would catch that, print a traceback for each fold, and
    choose among meaningless numbers.
    """


def told(part: object, write: Write) -> str:
    """A part of a message with its settings as `write` shows them."""
    return part.told(write) if isinstance(part, NAMING) else str(part)


@dataclass(frozen=True)
class Message:
    """A log message: a format string and its arguments, which may contain settings."""

    text: str
    args: tuple[object, ...] = ()

    def told(self, write: "Write") -> str:
        """The message with its settings as `write` shows them."""
        if not self.args:
            return self.text
        return self.text % tuple(told(arg, write) if isinstance(arg, NAMING) else arg for arg in self.args)

    def __str__(self) -> str:
        return self.told(as_argument)


NAMING = Setting, Words, ForecastError, Message
"""Types that `write` shows."""


def message_in(record: logging.LogRecord) -> Message:
    """The message of a log record."""
    args = record.args if isinstance(record.args, tuple) else ()
    return Message(str(record.msg), args) if args else Message(record.getMessage())


@contextmanager
def collected_messages(log: logging.Logger) -> Iterator[list[tuple[int, Message]]]:
    """Hold back the messages of a logger, with their levels: those of other processes would be lost."""
    messages: list[tuple[int, Message]] = []

    def collect(record: logging.LogRecord) -> bool:
        messages.append((record.levelno, message_in(record)))
        return False

    log.addFilter(collect)
    try:
        yield messages
    finally:
        log.removeFilter(collect)


def message_of(record: logging.LogRecord, write: Write) -> str:
    """The message of a log record with its settings as `write` shows them."""
    return message_in(record).told(write)


def as_argument(setting: Setting) -> str:
    """A setting as a Python argument: ``horizon=30``, or ``horizon=`` without a value."""
    name = _ARGUMENTS.get(setting.name, setting.name)
    return f"{name}=" if setting.value is None else f"{name}={setting.value!r}"


def as_flag(setting: Setting) -> str:
    """A setting as an option of the command line: ``--horizon 30``, ``--no-guard``, ``-p hidden_size=8``."""
    name, value = setting.name.replace("_", "-"), setting.value
    if name == "params":
        return " ".join(
            ["-p", *(f"{knob}={one}" for knob, one in value.items())] if isinstance(value, dict) else ["-p"]
        )
    if value is None or isinstance(value, bool):
        return f"--no-{name}" if value is False else f"--{name}"
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    if not re.fullmatch(r"[\w.,:+/@-]+", text):
        text = f'"{text}"' if "'" in text or not text.strip() else f"'{text}'"
    return f"--{name} {text}"


class UsageError(ForecastError, ValueError):
    """A setting, option or argument is wrong."""

    exit_code = 2


class StaleData(ForecastError):
    """The newest value of the table is older than the user allows."""

    exit_code = 4


class BadData(ForecastError, ValueError):
    """The table can be opened, but its content cannot be used."""

    exit_code = 65


class NoInput(ForecastError):
    """A file, folder or saved version does not exist."""

    exit_code = 66


class Unavailable(ForecastError):
    """A device, memory or an optional dependency is not available."""

    exit_code = 69


class CannotCreate(ForecastError):
    """An output cannot be created."""

    exit_code = 73


class StorageFailure(ForecastError):
    """Reading or writing failed: disk full, I/O error."""

    exit_code = 74


class Busy(ForecastError):
    """Another process holds the store."""

    exit_code = 75


class ArtifactRefused(ForecastError):
    """A store or a version in it is damaged, foreign, unsafe or too new."""

    exit_code = 76


class Interrupted(BaseException):
    """Ended by SIGINT or SIGTERM; `exit_code` is 128 plus the signal's number.

    It may be raised anywhere. Like KeyboardInterrupt it is not an Exception, so that nothing catches it by accident.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"ended by signal {signal_number}; what was saved before is untouched")
        self.exit_code = 128 + signal_number


def visible(text: str, keep: str = "") -> str:
    """A text with its unprintable characters escaped, as ids and names may contain some; those in `keep` stay."""
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def did_you_mean(word: str, choices: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `choices`, capitals or not, or ``""``."""
    import difflib

    if len(word) > MAX_TYPO_LENGTH:
        return ""
    lower = {choice.lower(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return f"; did you mean '{lower[near[0]]}'?" if near else ""
