"""Numbers and names in messages that add up over the parts of a table, and messages of parts as one."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock

from forecast.errors import as_argument, render

PART: ContextVar[int] = ContextVar("part", default=0)
"""The number of the part of a table that is at work."""

_IN_PARTS: ContextVar[bool] = ContextVar("in_parts", default=False)


class Count(int):
    """A number that adds up over the parts."""


class Total(Count):
    """A number that adds up; a message with a total of 0 is logged, too."""


class Most(int):
    """A number of which the largest holds for all parts."""


class First(str):
    """A text about the first of several series, in the order of their names; empty if there is no such series."""


@dataclass(frozen=True)
class Names:
    """The first of several names, in their order.

    Attributes
    ----------
    names : one more than are shown, where there are more
    most : so many are shown
    """

    names: tuple[str, ...]
    most: int

    @classmethod
    def of(cls, names: Sequence[str], most: int) -> "Names":
        """Some of all names."""
        return cls(tuple(names[: most + 1]), most)

    def __str__(self) -> str:
        return ", ".join(self.names[: self.most]) + (", ..." if len(self.names) > self.most else "")


class Rows(Count):
    """A number of rows: ``1 row`` or ``7 rows``."""

    def __str__(self) -> str:
        return f"{int(self):,} row{'s' * (self != 1)}"


@contextmanager
def messages_as_one(logger: logging.Logger) -> Iterator[None]:
    """Hold back the messages of a logger, and hand on those of all parts of a table as one; after an error none."""
    held: dict[object, logging.LogRecord] = {}
    ranks: dict[object, tuple[int, int]] = {}  # the first part that says it, and what it says before
    lock = Lock()

    def hold(record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        key = record.levelno, str(record.msg), tuple(_fixed(arg) for arg in args)
        with lock:
            if key in held:
                record.args = _together(held[key].args, args)
            rank = PART.get(), len(held)
            held[key], ranks[key] = record, min(rank, ranks.get(key, rank))
        return False

    logger.addFilter(hold)
    token = _IN_PARTS.set(True)
    try:
        yield
    finally:
        _IN_PARTS.reset(token)
        logger.removeFilter(hold)
    for key in sorted(held, key=ranks.__getitem__):
        first = _leading(held[key].args)
        if first != 0 or isinstance(first, Total):
            logger.handle(held[key])


@contextmanager
def messages_of_part(logger: logging.Logger, number: int) -> Iterator[list[logging.LogRecord]]:
    """Hold back the messages of a part that is at work in another process than `messages_as_one`, for `hand_on`."""
    records: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        if PART.get() != number:
            return True
        records.append(record)
        return False

    tokens = PART.set(number), _IN_PARTS.set(True)
    logger.addFilter(hold)
    try:
        yield records
    finally:
        logger.removeFilter(hold)
        PART.reset(tokens[0])
        _IN_PARTS.reset(tokens[1])


def hand_on(records: Sequence[logging.LogRecord], logger: logging.Logger, number: int) -> None:
    """Log the messages of a part, by its number."""
    token = PART.set(number)
    for record in records:
        logger.handle(record)
    PART.reset(token)


@contextmanager
def without_messages(logger: logging.Logger) -> Iterator[None]:
    """Drop the messages of a logger: what is read here is read again."""

    def drop(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)


def matters(count: int) -> bool:
    """Whether a message that begins with this number is to be logged: not 0, unless it adds up with other parts."""
    return count > 0 or _IN_PARTS.get()


def _leading(args: object) -> int | None:
    """The first number that adds up."""
    return next((arg for arg in args if isinstance(arg, Count)), None) if isinstance(args, tuple) else None


def _fixed(arg: object) -> str:
    """What two messages have in common if they say the same of two parts."""
    return type(arg).__name__ if isinstance(arg, Count | Most | First | Names) else render(arg, as_argument)


def _together(before: object, now: tuple[object, ...]) -> tuple[object, ...]:
    """The arguments of a message about two parts."""
    if not isinstance(before, tuple):
        return now
    return tuple(map(_both, before, now))


def _both(before: object, now: object) -> object:
    """What holds for two parts."""
    if isinstance(before, Count) and isinstance(now, Count):
        return type(before)(before + now)
    if isinstance(before, Most) and isinstance(now, Most):
        return max(before, now)
    if isinstance(before, Names) and isinstance(now, Names):
        return Names.of(sorted(before.names + now.names), before.most)
    if isinstance(before, First) and isinstance(now, First):
        return min(before or now, now or before)
    return before
