"""Refuse content that is no table or does not fit into memory, and decode text to UTF-8."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from forecast.errors import BadData, ForecastError, Setting, Unavailable, UsageError, Words
from forecast.logs import log

KINDS = {  # how foreign content begins, and how to mend it
    rb"BZh": "a bzip2 archive; unpack it",
    rb"\xfd7zXZ": "an xz archive; unpack it",
    rb"\x28\xb5\x2f\xfd": "a zstandard archive; unpack it",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    rb"(?s).{257}ustar": "a tar archive; unpack it and give one of its files",
    rb"\xd0\xcf\x11\xe0": "an old spreadsheet, or one with a password; save it as plain .xlsx, or export it as CSV",
    rb"%PDF-": "a PDF document; export the table as CSV",
    rb"SQLite format 3\0": "a SQLite database; export the table as CSV",
    rb"ARROW1": "an Arrow (Feather) file; write it as Parquet or CSV",
    rb"\x89HDF": "an HDF5 file; write the table as Parquet or CSV",
    rb"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull`",
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?html": "a web page, perhaps of a sign-in; download the table again",
    rb"(?i)(\xef\xbb\xbf)?\s*<\?xml": "XML, perhaps an error of the server; export the table as CSV",
}
JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*["}]')
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
SAMPLE = 1 << 18
DAMAGED = "is cut, damaged or encrypted ({}); copy it again or unpack it"
CELL_PEAK, MEMORY_SHARE = (
    80,
    0.8,
)  # bytes of a cell at the peak of a fit; share of the free memory that it may take


def foreign_kind(data: bytes) -> str | None:
    """What content is and how to mend it, where it is surely neither delimited text nor Parquet; else None."""
    return next((kind for start, kind in KINDS.items() if re.match(start, data[:1000])), None)


@contextmanager
def readable(name: str, problem: str = DAMAGED) -> Iterator[None]:
    """Refuse a file that libraries fail to read, for which they raise errors of many kinds."""
    try:
        yield
    except (ForecastError, MemoryError):
        raise
    except BaseException as error:
        if (
            not isinstance(error, Exception) and type(error).__name__ != "PanicException"
        ):  # of libraries in Rust
            raise
        raise BadData(f"{name} {problem.format(reason(error))}") from None


def to_utf8(data: bytes, name: str, encoding: str | None) -> bytes:
    """The text in UTF-8, without a byte order mark; `encoding` None stands for UTF-8, or what the mark says."""
    marked = None
    if encoding is None and data.startswith(UTF16_MARKS):
        marked = "utf-32" if data.startswith(b"\xff\xfe\0\0") else "utf-16"
        setting = Setting("encoding")
        log.warning(
            "%s: read as %s, by its mark; write UTF-8 or pass %s to say so",
            name,
            marked.upper(),
            setting,
        )
    try:
        text = data.decode(encoding or marked or "utf-8")
        return (
            text.removeprefix("\ufeff").encode()
            if encoding or marked
            else data.removeprefix(UTF8_MARK)
        )
    except UnicodeError as error:
        start, known = getattr(error, "start", 0), encoding or (marked or "utf-8").upper()
        cut = (
            "; is the file cut? copy it again"
            if re.search("end of data|truncated", str(error))
            else ""
        )
        guess = None if encoding or marked else _guessed_encoding(data, start)
        cure = Words("pass " if guess else "pass another ", Setting("encoding", guess))
        raise BadData(
            f"is not {known} text{cut}", place=f"{name} line {line_at(data, start)}", cure=cure
        ) from None
    except (LookupError, ValueError):
        setting = Setting("encoding", encoding)
        raise UsageError(
            "is no text encoding; give one such as utf-8 or cp1252", setting=setting
        ) from None


def _guessed_encoding(data: bytes, start: int) -> str | None:
    sample = data[max(0, start - SAMPLE // 2) : start + SAMPLE // 2]
    if guess := utf16_guess(sample):
        return guess
    # single accented letters among ASCII: a Western text; charset-normalizer is unsure of short ones
    if max(map(len, re.findall(rb"[\x80-\xff]+", sample))) <= 2 and not re.search(
        rb"[\x81\x8d\x8f\x90\x9d]", sample
    ):
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
    """Refuse a table that takes more bytes at the peak of reading than are `free`, by default now."""
    free = free_memory() if free is None else free
    if needed > free:
        sizes = f"{needed / 2**30:.1f} GiB of memory or more to read, and {free / 2**30:.1f} GiB are free"
        raise Unavailable(f"{name} takes {sizes}; {cure}split it by series or shorten its history")


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far; 0 where the system does not say."""
    with suppress(OSError):
        if peak := re.search(
            r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii")
        ):
            return int(peak[1]) * 1024
    return 0


def free_memory() -> int:
    """Free bytes: the available memory of the system, within the limit of the container."""
    free = 1 << 33  # for systems without these files
    with suppress(OSError):
        if available := re.search(
            r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii")
        ):
            free = int(available[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit.isdigit():
            free = min(
                free,
                int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii")),
            )
    return free


def reason(error: BaseException) -> str:
    """The first line of an error of a library's."""
    return str(error).partition("\n")[0][:200]
