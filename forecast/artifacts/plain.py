"""Plain values and their JSON: dicts, lists, text, bools, None, 64-bit integers and finite floats, nothing else."""

import json
import math
from typing import Any

_DEPTH = 32
_GROUPS = 2_000_000  # lists and objects of a JSON text; an empty one takes 3 bytes there and 80 in memory


def dump_json(value: dict[str, Any]) -> bytes:
    """JSON text, the same bytes for equal values whatever the order of their keys."""
    check_plain(value)
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def load_json(data: bytes) -> dict[str, Any]:
    """Return the object in JSON text; raises ValueError for repeated keys, NaN, infinity, and endless nesting."""
    if data.count(b"[") + data.count(b"{") > _GROUPS:
        raise ValueError(f"holds more than {_GROUPS:,} lists and objects")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEPTH} levels") from None
    check_plain(value)
    if type(value) is not dict:
        raise TypeError(f"holds {type(value).__name__} where names and values are expected")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def check_plain(value: Any, depth: int = 1) -> None:
    """Raise TypeError or ValueError for all but dicts, lists, text, bools, None, 64-bit integers and finite floats."""
    kind = type(value)
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    if kind is int and not -(2**63) <= value < 2**63:
        raise ValueError("an integer does not fit 64 bits")
    if kind is str:
        value.encode()  # half of a surrogate pair could never be written to a table
    elif kind in (dict, list, tuple):
        if depth > _DEPTH:
            raise ValueError(f"nested deeper than {_DEPTH} levels")
        for key in value if kind is dict else ():
            if type(key) is not str:
                raise TypeError("a key is not text")
            check_plain(key)
        for inner in value.values() if kind is dict else value:
            check_plain(inner, depth + 1)
    elif kind not in (bool, int, float) and value is not None:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not a plain value")
