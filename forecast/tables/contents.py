"""Refuse bytes that are no table, with an error that names what they are, and decode those of a text to UTF-8."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from forecast.errors import BadData, ForecastError, Setting, UsageError, Words
from forecast.tables.storage import reason

STARTS = {
    b"BZh": "a bzip2 archive; unpack it",
    b"\xfd7zXZ": "an xz archive; unpack it",
    b"\x28\xb5\x2f\xfd": "a zstandard archive; unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet, or one with a password; save it as plain .xlsx, or export it as CSV",
    b"%PDF-": "a PDF document; export the table as CSV",
    b"SQLite format 3\0": "a SQLite database; export the table as CSV",
    b"ARROW1": "an Arrow (Feather) file; write it as Parquet or CSV",
    b"\x89HDF": "an HDF5 file; write the table as Parquet or CSV",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull`",
}
TEXTS = (
    (re.compile(rb"<(!doctype html|html)", re.I), "a web page, perhaps of a sign-in; download the table again"),
    (re.compile(rb"<\?xml", re.I), "XML, perhaps an error of the server; export the table as CSV"),
)
JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*["}]')
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
SAMPLE = 1 << 18
DAMAGED = "is cut, damaged or encrypted ({}); copy it again or unpack it"
SHOWN = 40  # bytes of a line in a message

log = logging.getLogger("forecast")


def foreign_kind(data: bytes) -> str | None:
    """What content is and how to mend it, where it is surely neither delimited text nor Parquet; else None."""
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    if data[257:262] == b"ustar":
        return "a tar archive; unpack it and give one of its files"
    text = data[:1000].removeprefix(UTF8_MARK).lstrip()
    return next((kind for pattern, kind in TEXTS if pattern.match(text)), None)


def refuse_nul(data: bytes, name: str) -> None:
    position = data.find(b"\0")
    if position >= 0:
        guess = utf16_guess(data)
        cure: object = Words("pass ", Setting("encoding", guess)) if guess else "copy the file again, or remove it"
        raise BadData("holds a NUL byte", place=f"{name} line {line_at(data, position)}", cure=cure)


@contextmanager
def readable(name: str, problem: str = DAMAGED) -> Iterator[None]:
    """Refuse a file that libraries fail to read, for which they raise errors of many kinds."""
    try:
        yield
    except (ForecastError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of libraries in Rust
            raise
        raise BadData(f"{name} {problem.format(reason(error))}") from None


def to_utf8(data: bytes, name: str, encoding: str | None) -> bytes:
    """The text in UTF-8, without a byte order mark; `encoding` None stands for UTF-8, or what the mark says."""
    marked = None
    if encoding is None and data.startswith(UTF16_MARKS):
        marked = "utf-32" if data.startswith(b"\xff\xfe\0\0") else "utf-16"
        setting = Setting("encoding")
        log.warning("%s: read as %s, by its mark; write UTF-8 or pass %s to say so", name, marked.upper(), setting)
    if not (encoding or marked) and _is_utf8(data):
        return data.removeprefix(UTF8_MARK)
    try:
        text = data.decode(encoding or marked or "utf-8")
        return text.removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise BadData(_not_that_text(data, name, encoding, marked, error)) from None
    except (LookupError, ValueError):
        problem, cure = "is no text encoding", "give one such as utf-8 or cp1252"
        raise UsageError(problem, setting=Setting("encoding", encoding), cure=cure) from None


def _is_utf8(data: bytes) -> bool:
    ends = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:  # without the copy that decoding makes
        pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _not_that_text(data: bytes, name: str, encoding: str | None, marked: str | None, error: Any) -> Words:
    """The error for a text in another encoding: the line, and which encoding it may be."""
    start = getattr(error, "start", 0)
    where = f"{name} line {line_at(data, start)}"
    cut = "; is the file cut? copy it again" if re.search("end of data|truncated", str(error)) else ""
    if known := encoding or (marked and marked.upper()):
        return Words(f"{where} is not {known} text{cut}; pass another ", Setting("encoding"))
    guess, line = _guessed_encoding(data, start), ""
    if guess:
        first = max(data.rfind(b"\n", 0, start) + 1, start - SHOWN // 2)
        shown = data[first : first + SHOWN].partition(b"\n")[0].decode(guess, "replace").strip()
        line = f", if {shown!r} is what it says"
    return Words(f"{where} is not UTF-8 text{cut}; pass ", Setting("encoding", guess), line)


def _guessed_encoding(data: bytes, start: int) -> str | None:
    sample = data[max(0, start - SAMPLE // 2) : start + SAMPLE // 2]
    if guess := utf16_guess(sample):
        return guess
    # single accented letters among ASCII: a Western text; charset-normalizer is unsure of short ones
    if max(map(len, re.findall(rb"[\x80-\xff]+", sample))) <= 2 and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample):
        return "cp1252"
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best else None


def utf16_guess(data: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of mostly Latin text is NUL."""
    for offset, guess in ((1, "utf-16-le"), (0, "utf-16-be")):
        letters = data[offset:4096:2]
        if letters.count(0) > len(letters) / 2:
            return guess
    return None


def line_at(data: bytes, position: int) -> int:
    """Number of the line, from 1, in which the byte at `position` stands."""
    before = data[:position]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1
