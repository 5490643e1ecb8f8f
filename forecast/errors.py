"""Errors with exit codes; their settings are shown as options or as Python arguments."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

INCOMPLETE = 3  # the exit code where some series got no forecast
INSTALL = "`pip install '.[{}]'` in the folder of this project"  # with the name of an extra
ARGUMENTS = {"artifact": "store", "sum_by": "by", "sum_every": "every"}  # of other names in Python
START, END = "\ue000", "\ue001"  # of a setting within a text
SETTING_MARK = re.compile(rf"{START}(\w+)=([^{END}]*){END}")
MAX_TYPO_LENGTH = 100  # characters; comparing longer words takes too long


class Rendered:
    """What messages consist of; `str` shows its settings as Python arguments."""

    def render(self, write: "Write") -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.render(as_argument)


@dataclass(frozen=True)
class Setting(Rendered):
    """A setting in a message: ``--horizon 30``, in Python ``horizon=30``; None names it alone."""

    name: str
    value: object = None

    def render(self, write: "Write") -> str:
        return write(self)

    def __format__(self, _: str) -> str:
        """The setting within a text, which `render` writes."""
        return f"{START}{self.name}={json.dumps(self.value, default=_to_plain)}{END}"


Write = Callable[[Setting], str]


class ForecastError(Rendered, Exception):
    """An error that the user can correct: place, setting, problem and cure."""

    exit_code = 1

    def __init_subclass__(cls, exit_code: int | None = None) -> None:
        cls.exit_code = cls.exit_code if exit_code is None else exit_code

    def __init__(
        self,
        problem: object = "",
        *,
        setting: Setting | None = None,
        place: object = "",
        cure: object = "",
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.setting = setting
        self.place = place
        self.cure = cure

    def render(self, write: Write) -> str:
        text = render(self.problem, write)
        if self.setting is not None:
            text = f"{write(self.setting)}: {text}"
        if self.place:
            text = f"{render(self.place, write)}: {text}"
        cure = render(self.cure, write)
        return f"{text}; {cure}" if cure else text


@contextmanager
def collect_errors(errors: list[ForecastError]) -> Iterator[None]:
    """Put an error that is raised in the block into a list, to go on without it."""
    try:
        yield
    except ForecastError as error:
        errors.append(error)


def together(errors: Sequence[ForecastError]) -> ForecastError:
    """Return the first error, with the others after its cure."""
    first, *others = errors
    first.cure = "; also, ".join(render(part, format) for part in (first.cure, *others))
    return first


@dataclass(frozen=True)
class Message(Rendered):
    """A log message: a format string and its arguments, which may contain settings."""

    text: str
    args: tuple[object, ...] = ()

    @classmethod
    def from_record(cls, record: logging.LogRecord) -> "Message":
        args = record.args if isinstance(record.args, tuple) else ()
        return cls(str(record.msg), args) if args else cls(record.getMessage())

    def render(self, write: Write) -> str:
        shown = tuple(arg.render(write) if isinstance(arg, Rendered) else arg for arg in self.args)
        return render(self.text % shown if shown else self.text, write)


def render(part: object, write: Write) -> str:
    """A part of a message, with its settings as `write` shows them."""
    if isinstance(part, Rendered):
        return part.render(write)

    def show(found: re.Match[str]) -> str:
        try:
            value = json.loads(found[2])
        except ValueError:  # no setting, but a cell of a table
            return found[0]
        return write(Setting(found[1], tuple(value) if isinstance(value, list) else value))

    return SETTING_MARK.sub(show, str(part))


def _to_plain(value: object) -> object:
    """A value that JSON lacks: a whole number of numpy as one of Python, anything else as text."""
    return int(value) if isinstance(value, Integral) else str(value)


def as_argument(setting: Setting) -> str:
    """A setting as a Python argument: ``horizon=30``, or ``horizon=`` without a value."""
    if setting.name == "future_template":
        return "future_template()"
    name = ARGUMENTS.get(setting.name, setting.name)
    return f"{name}=" if setting.value is None else f"{name}={setting.value!r}"


def as_flag(setting: Setting) -> str:
    """A setting as an option: ``--horizon 30``, ``--no-guard``, ``-p hidden_size=8``."""
    name = setting.name.replace("_", "-")
    value = setting.value
    if name == "params":
        entries = value.items() if isinstance(value, dict) else ()
        return " ".join(["-p", *(f"{key}={entry}" for key, entry in entries)])
    if value is None or isinstance(value, bool):
        return f"--no-{name}" if value is False else f"--{name}"
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    if not re.fullmatch(r"[\w.,:+/@-]+", text):
        text = f'"{text}"' if "'" in text or not text.strip() else f"'{text}'"
    return f"--{name} {text}"


class UsageError(ForecastError, ValueError, exit_code=2):
    """A setting, option or argument is wrong."""


class StaleData(ForecastError, exit_code=4):
    """The newest value of the table is older than the user allows."""


class Blocked(ForecastError, exit_code=5):
    """A check of forecasts keeps them from being published."""


class BadData(ForecastError, ValueError, exit_code=65):
    """The table can be opened, but its content cannot be used."""


class NoRows(BadData):
    """The table has a header at most."""


class NoInput(ForecastError, exit_code=66):
    """A file, folder or saved version does not exist."""


class Unavailable(ForecastError, exit_code=69):
    """A device, memory or an optional dependency is not available."""


class CannotCreate(ForecastError, exit_code=73):
    """An output cannot be created."""


class StorageFailure(ForecastError, exit_code=74):
    """Reading or writing failed: disk full, I/O error."""


class Busy(ForecastError, exit_code=75):
    """Another process holds the store."""


class ArtifactRefused(ForecastError, exit_code=76):
    """A store or a version in it is damaged, foreign, unsafe or too new."""


class Interrupted(BaseException):
    """The process was ended by SIGINT or SIGTERM.

    Like KeyboardInterrupt, this is not an Exception, so that no handler of Exception catches it.
    """

    received: ClassVar["Interrupted | None"] = None

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"ended by signal {signal_number}; what was saved before is untouched")
        self.exit_code = 128 + signal_number
        Interrupted.received = self


def raise_if_interrupted() -> None:
    """End here if a signal came and other code dropped its exception, as imports in C may."""
    if Interrupted.received is not None:
        raise Interrupted.received


def one_line(error: BaseException) -> str:
    """What an error of another package says, on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def visible(text: str, keep: str = "") -> str:
    """A text with its unprintable characters escaped but for those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def did_you_mean(word: str, choices: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `choices`, capitals or not, or ``""``."""
    if len(word) > MAX_TYPO_LENGTH:
        return ""
    import difflib  # here, as a command's help needs none

    lower = {choice.lower(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return f"; did you mean '{lower[near[0]]}'?" if near else ""
