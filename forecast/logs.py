"""The logger of the package; messages that are held back, or logged once for all parts of some work."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("forecast")

_holder: ContextVar[list[logging.LogRecord] | None] = ContextVar("holder", default=None)


@contextmanager
def held_back(logger: logging.Logger) -> Iterator[list[logging.LogRecord]]:
    """Hold back what this thread says to a logger, in a list."""
    records: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        if _holder.get() is not records:
            return True
        records.append(record)
        return False

    token = _holder.set(records)
    logger.addFilter(hold)
    try:
        yield records
    finally:
        logger.removeFilter(hold)
        _holder.reset(token)


def log_kinds(logger: logging.Logger, records: Sequence[logging.LogRecord]) -> None:
    """Log the first of the messages of each kind, and how many there were."""
    counts = Counter((record.levelno, record.msg) for record in records)
    for record in records:
        if count := counts.pop((record.levelno, record.msg), 0):
            if count > 1:
                args = record.args if isinstance(record.args, tuple) else ()
                record.msg, record.args = f"{record.msg} (the first of %d such messages about parts)", (*args, count)
            logger.handle(record)
