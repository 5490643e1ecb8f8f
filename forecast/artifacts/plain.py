"""Plain values and their JSON: dicts, lists, text, bools, None, 64-bit integers and finite floats, nothing else."""

import json
import math
from typing import Any, NoReturn

_DEPTH = 32
_GROUPS = 2_000_000  # lists and objects of a JSON text; an empty one takes 3 bytes there and 80 in memory
_NESTED = (dict, list, tuple)


def dump_json(value: dict[str, Any]) -> bytes:
    """Return `value` as JSON text, the same bytes for equal values whatever the order of their keys."""
    check_plain(value)
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def load_json(data: bytes) -> dict[str, Any]:
    """Return the object in JSON text; raises ValueError for repeated keys, NaN, infinity, and endless nesting."""
    if data.count(b"[") + data.count(b"{") > _GROUPS:
        raise ValueError(f"holds more than {_GROUPS:,} lists and objects")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEPTH} levels") from None
    check_plain(value, most=len(data))
    return as_dict(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def as_dict(value: Any) -> dict[str, Any]:
    """The value itself; TypeError where it is no dict."""
    if type(value) is not dict:
        raise TypeError(f"holds {type(value).__name__} where names and values are expected")
    return value


def check_plain(value: Any, most: int | None = None) -> None:
    """Raise TypeError or ValueError for all but dicts, lists, text, bools, None, 64-bit integers and finite floats.

    Parameters
    ----------
    value : keys of its dicts are text
    most : upper bound of the values in it
    """
    _check_leaf(value)
    seen = 1
    waiting = [(value, 1)] if type(value) in _NESTED else []
    while waiting:
        item, depth = waiting.pop()
        seen += len(item)
        if depth > _DEPTH:
            raise ValueError(f"nested deeper than {_DEPTH} levels")
        if most is not None and seen > most:
            raise ValueError("holds more values than its size allows")
        if type(item) is dict:
            for key in item:
                if type(key) is not str:
                    raise TypeError("a key is not text")
                _check_leaf(key)
        for below in item.values() if type(item) is dict else item:
            if type(below) in _NESTED:
                waiting.append((below, depth + 1))
            else:
                _check_leaf(below)


def _check_leaf(item: Any) -> None:
    kind = type(item)
    if kind is float:
        if not math.isfinite(item):
            raise ValueError(f"{item} is not a finite number")
    elif kind is int:
        if not -(2**63) <= item < 2**63:
            raise ValueError("an integer does not fit 64 bits")
    elif kind is str:
        if not item.isascii():
            item.encode()  # half of a surrogate pair could never be written to a table
    elif kind is not bool and item is not None and kind not in _NESTED:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not a plain value")
