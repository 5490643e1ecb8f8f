"""Break a CSV in the ways that exports break."""

from random import Random

KINDS = (
    *(
        "cut",
        "empty",
        "header only",
        "column renamed",
        "word",
        "thousands",
        "NUL",
        "latin-1",
        "header again",
    ),
    *("impossible day", "two values", "long row"),
)
BAD_DATA = (65,)
MAYBE_WHOLE = (0, 3, 4, 65)  # a file that is cut between two rows is whole


def broken(data: bytes, kind: str, random: Random) -> tuple[bytes, tuple[int, ...]]:
    """The broken bytes, and the exit codes with which a run may end."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines) // 2, len(lines) - 2)
    head, _, value = lines[at].rpartition(b",")
    station, _, _ = head.rpartition(b",")
    if kind == "cut":
        return data[: random.randrange(len(data) // 2, len(data))], MAYBE_WHOLE
    if kind == "empty":
        return b"", BAD_DATA
    if kind == "header only":
        return lines[0] + b"\n", BAD_DATA
    if kind == "column renamed":
        return data.replace(b"load", b"last", 1), BAD_DATA
    if kind == "two values":
        lines.insert(at, head + b",1" + value)
    elif kind == "header again":
        lines.insert(at, lines[0])
    else:
        lines[at] = {
            "word": head + b",offline",
            "thousands": head + b',"1,204.5"',
            "NUL": head + b",1\0",
            "latin-1": b"K\xf6ln" + lines[at],
            "impossible day": station + b",2025-02-30 12:00," + value,
            "long row": lines[at] + b",1",
        }[kind]
    return b"\n".join(lines), BAD_DATA
