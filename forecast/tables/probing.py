"""Refuse what is no table by its beginning, before the rest is read or unpacked."""

from forecast.errors import BadData, Setting, Words
from forecast.tables.arrow import PARQUET
from forecast.tables.encoding import UTF16_MARKS, line_at, utf16_guess

ENOUGH = 1 << 26  # bytes that hold the end of a first line, if there is one


def refuse_by_beginning(data: bytes, name: str, told: bool) -> None:
    """Refuse content that no reading on can make a table.

    Parameters
    ----------
    data : the first `ENOUGH` bytes
    name : what messages call the table
    told : whether the encoding was given

    Raises
    ------
    BadData
        If it is text with a NUL byte, with blanks only, or without an end of its first line.
    """
    if told or data.startswith((PARQUET, *UTF16_MARKS)):
        return
    refuse_nul(data, name)
    size = f"{len(data) >> 20} MiB"
    if data.isspace():
        raise BadData(f"{name} begins with {size} of blanks; is this a table at all?")
    if b"\n" not in data and b"\r" not in data:
        raise BadData(f"{name} line 1 is longer than {size}; is this a table at all?")


def refuse_nul(data: bytes, name: str) -> None:
    """Refuse text that holds a NUL byte, and say what it may come from.

    Raises
    ------
    BadData
        With its line.
    """
    position = data.find(b"\0")
    if position >= 0:
        raise BadData(Words(f"{name} line {line_at(data, position)} ", _nul_trouble(data, position)))


def _nul_trouble(data: bytes, position: int) -> str | Words:
    if guess := utf16_guess(data):
        return Words("holds a NUL byte; pass ", Setting("encoding", guess))
    if not data[position:].strip(b"\0\r\n"):
        return "and all that follows are NUL bytes: was the writer cut off? copy the file again"
    letter = position - data.rfind(b"\n", 0, position)
    return f"holds a NUL byte (character {letter}); remove it, if this is text at all"
