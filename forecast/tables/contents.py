"""Tell content that is no table at all, so that the error says what it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from forecast.errors import BadData, ForecastError

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


def foreign(data: bytes) -> str | None:
    """What content is, and how to mend it, where it is surely no delimited text and no Parquet; else None."""
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    if data[TAR_MARK] == b"ustar":
        return "a tar archive; unpack it and give one of its files"
    text = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in TEXTS if pattern.match(text)), None)


@contextmanager
def undamaged(name: str) -> Iterator[None]:
    """Say that an archive is damaged where reading it fails: libraries raise errors of many kinds for that."""
    try:
        yield
    except (ForecastError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(name, error) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of a library in Rust, which has no better name for it
            raise
        raise _damaged(name, error) from None


def _damaged(name: str, error: BaseException) -> BadData:
    reason = " ".join(str(error).split())[:200]
    return BadData(f"{name} is cut, damaged or encrypted ({reason}); copy it again or unpack it")
