"""The logger of the package; messages that are held back, or logged once for all parts of some work."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("forecast")

Listener = Callable[[logging.LogRecord], bool]
"""Is given each message of a block, and says whether it goes on."""
Listeners = ContextVar[tuple[Listener, ...]]
"""Those of a thread, the innermost block first."""

REWRITING: Listeners = ContextVar("rewriting", default=())  # before any other sees a message
_LISTENING: Listeners = ContextVar("listening", default=())


def _passes(record: logging.LogRecord) -> bool:
    return all(listener(record) for listener in (*REWRITING.get(), *_LISTENING.get()))


log.addFilter(_passes)  # for good: all threads share the logger, and each has listeners of its own


@contextmanager
def listening(listener: Listener, listeners: Listeners = _LISTENING) -> Iterator[None]:
    """Give a listener what this thread says in the block."""
    token = listeners.set((listener, *listeners.get()))
    try:
        yield
    finally:
        listeners.reset(token)


@contextmanager
def held_back() -> Iterator[list[logging.LogRecord]]:
    """Hold back what this thread says, in a list."""
    records: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    with listening(hold):
        yield records


def log_kinds(records: Sequence[logging.LogRecord]) -> None:
    """Log the first of the messages of each kind, and how many there were."""
    counts = Counter((record.levelno, record.msg) for record in records)
    for record in records:
        if count := counts.pop((record.levelno, record.msg), 0):
            if count > 1:
                args = record.args if isinstance(record.args, tuple) else ()
                record.msg, record.args = f"{record.msg} (the first of %d such messages about parts)", (*args, count)
            log.handle(record)
