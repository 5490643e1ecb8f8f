"""The logger of the package; messages can be held back, or logged once for many parts."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("forecast")

Listener = Callable[[logging.LogRecord], object]
"""Is given each message of a block, and says whether it goes on."""

# the innermost block first
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())
# for good: all threads share the logger, and each has listeners of its own
log.addFilter(lambda record: all(listener(record) for listener in _listeners.get()))


@contextmanager
def add_listener(listener: Listener) -> Iterator[None]:
    """Pass what this thread logs in the block to a listener."""
    token = _listeners.set((listener, *_listeners.get()))
    try:
        yield
    finally:
        _listeners.reset(token)


@contextmanager
def held_back() -> Iterator[list[logging.LogRecord]]:
    """Hold back what this thread logs in the block, and collect it in a list."""
    records: list[logging.LogRecord] = []
    with add_listener(records.append):  # which returns None: no message goes on
        yield records


def log_kinds(records: Sequence[logging.LogRecord]) -> None:
    """Log the first of the messages of each kind, and how many there were."""
    counts = Counter((record.levelno, record.msg) for record in records)
    for record in records:
        if count := counts.pop((record.levelno, record.msg), 0):
            if count > 1:
                args = record.args if isinstance(record.args, tuple) else ()
                record.msg = f"{record.msg} (the first of %d such messages about parts)"
                record.args = (*args, count)
            log.handle(record)
