"""Turn the bytes of a text into UTF-8, and say in which line and encoding they may be where they are not."""

import logging
import re

import numpy as np

from forecast.errors import BadData, UsageError

UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
SAMPLE = 1 << 18

log = logging.getLogger("forecast")


def to_utf8(data: bytes, name: str, encoding: str | None) -> bytes:
    """The text in UTF-8, without a mark in front; `encoding` is what it has, None where it is to be told by a mark."""
    if encoding is None and data.startswith(UTF16_MARKS):
        encoding = "utf-32" if data.startswith(b"\xff\xfe\0\0") else "utf-16"
        log.warning("%s: read as %s, by its mark; write UTF-8 or pass --encoding to say so", name, encoding.upper())
    try:
        text = data.decode(encoding or "utf-8")
        return data.removeprefix(UTF8_MARK) if encoding is None else text.removeprefix("\ufeff").encode()
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = line_at(data, start)
        if encoding is not None:
            raise BadData(f"{name} line {line} is not {encoding} text; pass another --encoding") from None
        guess = _guessed_encoding(data, start)
        hint = f"pass --encoding {guess}, if that is it" if guess else "pass --encoding"
        raise BadData(f"{name} line {line} is not UTF-8 text; {hint}") from None
    except (LookupError, ValueError):
        raise UsageError(f"--encoding {encoding!r} is no text encoding; give one such as utf-8 or cp1252") from None


def _guessed_encoding(data: bytes, start: int) -> str | None:
    sample = data[max(0, start - SAMPLE // 2) : start + SAMPLE // 2]
    if guess := utf16_guess(sample):
        return guess
    # single accented letters among ASCII: a Western text; charset-normalizer is unsure of short ones
    if max(map(len, re.findall(rb"[\x80-\xff]+", sample))) <= 2 and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else None


def utf16_guess(data: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of mostly Latin text is NUL."""
    sample = np.frombuffer(data[:4096], np.uint8)
    if len(sample) >= 2 and np.mean(sample[1::2] == 0) > 0.5:
        return "utf-16-le"
    return "utf-16-be" if len(sample) >= 2 and np.mean(sample[0::2] == 0) > 0.5 else None


def line_at(data: bytes, position: int) -> int:
    """Number of the line, from 1, in which the byte at `position` stands."""
    before = data[:position]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1
