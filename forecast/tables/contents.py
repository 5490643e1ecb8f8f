"""Refuse content that is no table or does not fit into memory, and decode text to UTF-8."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from forecast.errors import BadData, ForecastError, Setting, Unavailable, UsageError
from forecast.logs import log

FOREIGN_KINDS = {  # how foreign content begins, and how to mend it
    rb"BZh": "a bzip2 archive; unpack it",
    rb"\x28\xb5\x2f\xfd": "a zstandard archive; unpack it",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    rb"(?s).{257}ustar": "a tar archive; unpack it and give one of its files",
    rb"\xd0\xcf\x11\xe0": (
        "an old spreadsheet, or one with a password; save it as plain .xlsx, or export it as CSV"
    ),
    rb"%PDF-": "a PDF document; export the table as CSV",
    rb"SQLite format 3\0": "a SQLite database; export the table as CSV",
    rb"ARROW1": "an Arrow (Feather) file; write it as Parquet or CSV",
    rb"\x89HDF": "an HDF5 file; write the table as Parquet or CSV",
    rb"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull`",
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?html": (
        "a web page, perhaps of a sign-in; download the table again"
    ),
    rb"(?i)(\xef\xbb\xbf)?\s*<\?xml": (
        "XML, perhaps an error of the server; export the table as CSV"
    ),
}
JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*["}]')
SAMPLE_BYTES = 1 << 18
DAMAGED_FILE = "is cut, damaged or encrypted ({}); copy it again or unpack it"
CELL_PEAK = 80  # bytes for each cell at the peak of a fit
MEMORY_SHARE = 0.8  # a fit may take this share of the free memory


def foreign_kind(data: bytes) -> str | None:
    """Say what content is and how to mend it, if it is surely not a readable table; else None."""
    return next(
        (kind for start, kind in FOREIGN_KINDS.items() if re.match(start, data[:1000])), None
    )


@contextmanager
def readable(name: str, problem: str = DAMAGED_FILE) -> Iterator[None]:
    """Refuse a file that libraries fail to read, for which they raise errors of many kinds."""
    try:
        yield
    except (ForecastError, MemoryError):
        raise
    except BaseException as error:
        of_rust = type(error).__name__ == "PanicException"
        if not isinstance(error, Exception) and not of_rust:
            raise
        raise BadData(f"{name} {problem.format(reason(error))}") from None


def to_utf8(data: bytes, name: str, encoding: str | None) -> bytes:
    """Convert a text to UTF-8, without a byte order mark.

    If `encoding` is None, the mark decides; without a mark, it is UTF-8.
    """
    marked = None
    if encoding is None and data.startswith((b"\xff\xfe", b"\xfe\xff")):
        marked = "utf-32" if data.startswith(b"\xff\xfe\0\0") else "utf-16"
        text = "%s: read as %s, by its mark; write UTF-8 or pass %s to say so"
        log.warning(text, name, marked.upper(), Setting("encoding"))
    wanted = encoding or marked
    try:
        decoded = data.decode(wanted or "utf-8")
        if wanted:
            return decoded.removeprefix("\ufeff").encode()
        return data.removeprefix(b"\xef\xbb\xbf")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        known = encoding or (marked or "utf-8").upper()
        is_cut = re.search("end of data|truncated", str(error))
        cut = "; is the file cut? copy it again" if is_cut else ""
        guess = None if wanted else _guessed_encoding(data, start)
        cure = f"{'pass ' if guess else 'pass another '}{Setting('encoding', guess)}"
        place = f"{name} line {line_at(data, start)}"
        raise BadData(f"is not {known} text{cut}", place=place, cure=cure) from None
    except (LookupError, ValueError):
        problem = "is no text encoding; give one such as utf-8 or cp1252"
        raise UsageError(problem, setting=Setting("encoding", encoding)) from None


def _guessed_encoding(data: bytes, start: int) -> str | None:
    sample = data[max(0, start - SAMPLE_BYTES // 2) : start + SAMPLE_BYTES // 2]
    if guess := utf16_guess(sample):
        return guess
    # single accented letters among ASCII are of a Western text, where charset-normalizer is unsure
    longest = max(map(len, re.findall(rb"[\x80-\xff]+", sample)))
    if longest <= 2 and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample):
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


def require_memory(needed: float, name: str, free: int | None = None, cure: str = "") -> None:
    """Refuse a table that takes more bytes at the peak of reading than are `free`, or free now."""
    free = free_memory() if free is None else free
    if needed > free:
        needs = f"{needed / 2**30:.1f} GiB of memory or more to read"
        problem = f"{name} takes {needs}, and {free / 2**30:.1f} GiB are free"
        raise Unavailable(f"{problem}; {cure}split it by series or shorten its history")


def free_memory() -> int:
    """Return the available bytes of memory, within the limit of the container."""
    free = _kibibytes("/proc/meminfo", "MemAvailable") * 1024 or 1 << 33
    with suppress(OSError):
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii")
        if limit.isdigit():
            free = min(free, int(limit) - int(used))
    return free


def _kibibytes(file: str, entry: str) -> int:
    """A number of one of Linux's lists; 0 on other systems."""
    with suppress(OSError):
        text = Path(file).read_text(encoding="ascii")
        if number := re.search(rf"{entry}:\s+(\d+)", text):
            return int(number[1])
    return 0


def reason(error: BaseException) -> str:
    """Return the first line of the message of a library's error."""
    return str(error).partition("\n")[0][:200]
