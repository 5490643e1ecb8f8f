"""The logger of the package; messages can be held back, logged once, or rid of secrets."""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from forecast.errors import ForecastError, Message, StorageFailure, as_flag, render

MASK = "***"

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


class Redactor:
    """Secrets, and the text to show instead of each; call it to remove them from a message.

    Values of the environment become ${NAME}, addresses ***.
    """

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def add(self, text: str, shown: str = MASK, parts: bool = False) -> None:
        """Hide a text, its lines, and the password of an address.

        With `parts` also user, host and path of the address.
        """
        for part in {text, *text.splitlines(), *_parts(text, parts)}:
            for form in _forms(part):
                # a shorter secret, such as 7, occurs in messages by chance, as do our own words
                if len(form) >= 3 and form.lower() not in {"forecast", "sqlite", "postgresql"}:
                    self._shown.setdefault(form.lower(), shown)

    def __call__(self, message: str) -> str:
        if not self._shown:
            return message
        longest_first = sorted(self._shown, key=len, reverse=True)
        pattern = re.compile("|".join(map(_pattern, longest_first)), re.IGNORECASE)
        return pattern.sub(lambda match: self._shown.get(match[0].lower(), MASK), message)

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Remove secrets from what this thread logs in the block, and from errors that end it."""

        def rewrite(record: logging.LogRecord) -> bool:
            record.msg = self(Message.from_record(record).render(as_flag))
            record.args = None
            return True

        try:
            with add_listener(rewrite):
                yield
        except BaseException as error:
            text = render(error, as_flag)
            if self(text) == text:
                raise
            # the first error contains the secret
            if isinstance(error, ForecastError):
                raise type(error)(self(text)) from None
            if isinstance(error, OSError):
                text = f"{error.filename or 'input or output'}: {error.strerror}"
                raise StorageFailure(self(text)) from None
            raise RuntimeError(self(f"{type(error).__name__}: {text}")) from None


def _forms(text: str) -> set[str]:
    """The ways to write a text: as it is, quoted by Python or JSON, and escaped in an address."""
    forms: set[str] = set()
    for plain in {text, text.strip(), os.path.normpath(text) if text else ""}:
        forms |= {plain, repr(plain)[1:-1], json.dumps(plain)[1:-1]}
        forms |= {quote(plain, ""), quote_plus(plain), unquote(plain)}
    return forms


def _parts(text: str, every: bool) -> set[str]:
    """Password and query values of an address; if `every`, also user, host and path."""
    if "://" not in text:
        return set()
    try:
        url = urlsplit(text)
        parts = {url.password, *(value for _, value in parse_qsl(url.query))}
        if every:
            parts |= {url.username, url.hostname, url.path.strip("/")}
    except ValueError:
        return set()
    return {part for part in parts if part}


def _pattern(text: str) -> str:
    """A pattern that matches a text; a short text is matched as a whole word only."""
    escaped = re.escape(text)
    if len(text) >= 8:
        return escaped
    before = r"(?<!\w)" if text[0].isalnum() else ""
    after = r"(?!\w)" if text[-1].isalnum() else ""
    return before + escaped + after
