"""Keep secrets out of messages: what came from the environment is shown as ${NAME}, addresses as ***."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from forecast.errors import ForecastError, StorageFailure, as_flag, message_of, told

SHORTEST = 3  # characters; a shorter text, such as 7, cannot be told from what else a message says
OWN_WORDS = {"forecast", "sqlite", "postgresql"}  # messages hold them anyway
WHOLE_WORD = 8  # characters from which on a text is hidden inside a longer word too
MASK = "***"


class Hidden:
    """Texts that no message may show, and what is shown instead; calling it returns a message without them."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, text: str, shown: str = MASK, parts: bool = False) -> None:
        """Hide a text, its lines, its password if it is an address, and the forms in which messages quote these.

        Parameters
        ----------
        shown : what messages show instead
        parts : hide user, host and path of an address too
        """
        for part in {text, *text.splitlines(), *_parts(text, parts)}:
            for form in _forms(part):
                if len(form) >= SHORTEST and form.lower() not in OWN_WORDS:
                    self._shown.setdefault(form.lower(), shown)
        self._pattern = None

    def __call__(self, message: str) -> str:
        """The message without what is hidden."""
        if not self._shown:
            return message
        if self._pattern is None:
            texts = sorted(self._shown, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_guarded, texts)), re.IGNORECASE)
        return self._pattern.sub(lambda found: self._shown.get(found[0].lower(), MASK), message)

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Hide the texts in all that is logged in the block, and in errors that end it."""

        def rewrite(record: logging.LogRecord) -> bool:
            record.msg, record.args = self(message_of(record, as_flag)), None
            return True

        logger = logging.getLogger("forecast")
        logger.addFilter(rewrite)
        try:
            yield
        except Exception as error:
            other = self._without(error)
            if other is None:
                raise
            raise other from None  # the first one holds what is hidden
        finally:
            logger.removeFilter(rewrite)

    def _without(self, error: Exception) -> Exception | None:
        """An error that says the same without what is hidden; None where nothing has to be hidden."""
        text = told(error, as_flag)
        if self(text) == text:
            return None
        if isinstance(error, ForecastError):
            return type(error)(self(text))
        if isinstance(error, OSError):
            return StorageFailure(self(f"{error.filename or 'input or output'}: {error.strerror}"))
        return RuntimeError(self(f"{type(error).__name__}: {text}"))


def _forms(text: str) -> set[str]:
    """A text as messages may quote it."""
    plain = {text, text.strip(), os.path.normpath(text) if text else ""}
    return plain | {
        form
        for one in plain
        for form in (repr(one)[1:-1], json.dumps(one)[1:-1], quote(one, ""), quote_plus(one), unquote(one))
    }


def _parts(text: str, every: bool) -> set[str]:
    """Password and query values of an address; with `every` also user, host and path."""
    if "://" not in text:
        return set()
    try:
        found = urlsplit(text)
        parts = {found.password, *(value for _, value in parse_qsl(found.query))}
        parts |= {found.username, found.hostname, found.path.strip("/")} if every else set()
    except ValueError:
        return set()
    return {part for part in parts if part}


def _guarded(text: str) -> str:
    """A pattern that finds a text; a short one only where it is a word of its own."""
    if len(text) >= WHOLE_WORD:
        return re.escape(text)
    before, after = (r"(?<!\w)" if text[0].isalnum() else ""), (r"(?!\w)" if text[-1].isalnum() else "")
    return f"{before}{re.escape(text)}{after}"
