"""Refuse content that is no table, with an error that names what it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from forecast.errors import BadData, ForecastError, Setting, Words
from forecast.tables.encoding import line_at, utf16_guess

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
    (re.compile(rb'(\[\s*)?\{\s*("|\})'), "JSON; write the table as CSV or Parquet"),
)
TAR_MARK = slice(257, 262)


def foreign_kind(data: bytes) -> str | None:
    """What content is and how to mend it, where it is surely neither delimited text nor Parquet; else None."""
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    if data[TAR_MARK] == b"ustar":
        return "a tar archive; unpack it and give one of its files"
    text = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in TEXTS if pattern.match(text)), None)


def refuse_nul(data: bytes, name: str) -> None:
    """Refuse text with a NUL byte, and name its likely cause."""
    position = data.find(b"\0")
    if position >= 0:
        raise BadData(Words(f"{name} line {line_at(data, position)} ", _nul_cause(data, position)))


def _nul_cause(data: bytes, position: int) -> str | Words:
    if guess := utf16_guess(data):
        return Words("holds a NUL byte; pass ", Setting("encoding", guess))
    if not data[position:].strip(b"\0\r\n"):
        return "and all that follows are NUL bytes: was the writer cut off? copy the file again"
    letter = position - data.rfind(b"\n", 0, position)
    return f"holds a NUL byte (character {letter}); remove it, if this is text at all"


@contextmanager
def undamaged(name: str) -> Iterator[None]:
    """Report an archive as damaged where reading it fails: libraries raise errors of many kinds for that."""
    try:
        yield
    except (ForecastError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of libraries in Rust
            raise
        reason = " ".join(str(error).split())[:200]
        raise BadData(f"{name} is cut, damaged or encrypted ({reason}); copy it again or unpack it") from None
