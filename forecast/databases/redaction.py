"""Keep secrets out of messages: values of the environment become ${NAME}, addresses ***."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from forecast.errors import ForecastError, Message, StorageFailure, as_flag, render
from forecast.logs import add_listener

MIN_LENGTH = 3  # characters; a shorter secret, such as 7, occurs in messages by chance
MIN_PART_LENGTH = 8  # characters of a secret that is hidden inside longer words too
NEVER_HIDDEN = {"forecast", "sqlite", "postgresql"}  # words of our own messages
MASK = "***"


class Redactor:
    """Secrets, and the text to show instead of each; call it to remove them from a message."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def add(self, text: str, shown: str = MASK, parts: bool = False) -> None:
        """Hide a text, its lines, and the password of an address.

        With `parts` also user, host and path of the address.
        """
        for part in {text, *text.splitlines(), *_parts(text, parts)}:
            for form in _forms(part):
                if len(form) >= MIN_LENGTH and form.lower() not in NEVER_HIDDEN:
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
    if len(text) >= MIN_PART_LENGTH:
        return escaped
    before = r"(?<!\w)" if text[0].isalnum() else ""
    after = r"(?!\w)" if text[-1].isalnum() else ""
    return before + escaped + after
