"""Arrays of text in plain Python, with the few functions of Arrow that reading a CSV takes: for where Arrow is missing.

`forecast.tables.texts` picks one of the two. What is the same there and here has Arrow's names; None is a missing text.
"""

import builtins
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ArrowInvalid(ValueError):
    """A text is not what it is to be read as."""


class Scalar:
    """One value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def as_py(self) -> Any:
        return self.value


class Array:
    """Texts, numbers or booleans, None where one is missing."""

    type = "text"

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values if isinstance(values, list) else list(values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: int | slice) -> Any:
        return Array(self.values[at]) if isinstance(at, slice) else Scalar(self.values[at])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype)

    @property
    def null_count(self) -> int:
        return sum(value is None for value in self.values)

    def is_valid(self) -> "Array":
        return Array([value is not None for value in self.values])

    def filter(self, mask: Iterable[Any]) -> "Array":
        flags = mask.values if isinstance(mask, Array) else mask
        return Array([value for value, kept in zip(self.values, flags, strict=True) if kept])

    def cast(self, kind: str) -> "Array":
        return cast(self, kind)

    def to_numpy(self, zero_copy_only: bool = True) -> NDArray[Any]:
        values = self.values
        if values and builtins.all(isinstance(value, bool) for value in values):
            return np.array(values, np.bool_)
        if builtins.any(isinstance(value, float) for value in values) or None in values:
            return np.array([np.nan if value is None else value for value in values], np.float64)
        return np.array(values)

    def to_pylist(self) -> list[Any]:
        return list(self.values)


ChunkedArray = type("ChunkedArray", (), {})  # which nothing here makes


def array(values: Any, kind: str = "", from_pandas: bool = False) -> Array:
    if not from_pandas:
        return Array(values.tolist() if isinstance(values, np.ndarray) else values)
    return Array([None if blank else str(value) for value, blank in zip(values, values.isna(), strict=True)])


def string() -> str:
    return "text"


large_string = string


def float64() -> str:
    return "float"


def int64() -> str:
    return "int"


def concat_arrays(arrays: Sequence[Array]) -> Array:
    return Array([value for one in arrays for value in one.values])


def cast(cells: Array, kind: str) -> Array:
    if kind == "text":
        return cells
    read: Callable[[str], Any] = float if kind == "float" else int
    try:
        return Array([None if value is None else _read(value, read) for value in cells.values])
    except ValueError as error:
        raise ArrowInvalid(str(error)) from None


def _read(text: str, read: Callable[[str], Any]) -> Any:
    if "_" in text or text != text.strip() or not text.isascii():  # which Python would read, and Arrow not
        raise ValueError(f"'{text}' is no number")
    return read(text)


def equal(cells: Array, other: Any) -> Array:
    return _each(lambda value: value == other, cells)


def not_equal(cells: Array, other: Any) -> Array:
    return _each(lambda value: value != other, cells)


def if_else(mask: Array, yes: Any, no: Any) -> Array:
    count = len(mask)
    chosen = zip(mask.values, _spread(yes, count), _spread(no, count), strict=True)
    return Array([first if flag else second for flag, first, second in chosen])


def fill_null(cells: Array, filling: Any) -> Array:
    return Array([filling if value is None else value for value in cells.values])


def match_substring_regex(cells: Array, pattern: str) -> Array:
    found = _compiled(pattern).search
    return _each(lambda value: found(value) is not None, cells)


def match_substring(cells: Array, part: str) -> Array:
    return _each(lambda value: part in value, cells)


def replace_substring_regex(cells: Array, pattern: str, replacement: str) -> Array:
    return _each(lambda value: _compiled(pattern).sub(replacement, value), cells)


def replace_substring(cells: Array, part: str, replacement: str) -> Array:
    return _each(lambda value: value.replace(part, replacement), cells)


def extract_regex(cells: Array, pattern: str) -> Array:
    """Named groups of each text as a dictionary, None where it does not match."""
    found = [None if value is None else _compiled(pattern).search(value) for value in cells.values]
    return Array([None if match is None else {k: v or "" for k, v in match.groupdict().items()} for match in found])


def struct_field(groups: Array, name: str) -> Array:
    return _each(lambda value: value[name], groups)


def utf8_trim_whitespace(cells: Array) -> Array:
    return _each(str.strip, cells)


def utf8_trim(cells: Array, characters: str) -> Array:
    return _each(lambda value: value.strip(characters), cells)


def utf8_lower(cells: Array) -> Array:
    return _each(str.lower, cells)


def ascii_lower(cells: Array) -> Array:
    return _each(lambda value: value.lower() if value.isascii() else re.sub("[A-Z]+", _lower, value), cells)


def utf8_is_upper(cells: Array) -> Array:
    return _each(str.isupper, cells)


def utf8_length(cells: Array) -> Array:
    return _each(len, cells)


def utf8_rpad(cells: Array, width: int, filling: str) -> Array:
    return _each(lambda value: value.ljust(width, filling), cells)


def starts_with(cells: Array, start: str) -> Array:
    return _each(lambda value: value.startswith(start), cells)


def is_in(cells: Array, value_set: Array) -> Array:
    members = set(value_set.values)
    return Array([value in members for value in cells.values])


def index_in(cells: Array, value_set: Array) -> Array:
    places = {value: place for place, value in enumerate(value_set.values)}
    return Array([places.get(value) for value in cells.values])


def or_(first: Array, second: Array) -> Array:
    return Array([a or b for a, b in zip(first.values, second.values, strict=True)])


def invert(mask: Array) -> Array:
    return Array([not value for value in mask.values])


def all(mask: Array, min_count: int = 1) -> Scalar:
    return Scalar(False not in mask.values and len(mask) >= min_count)


def any(mask: Array, min_count: int = 1) -> Scalar:
    return Scalar(True in mask.values)


def min(numbers: Array) -> Scalar:
    return Scalar(np.min(numbers.values).item() if numbers.values else None)


def max(numbers: Array) -> Scalar:
    return Scalar(np.max(numbers.values).item() if numbers.values else None)


def unique(cells: Array) -> Array:
    return Array(list(dict.fromkeys(cells.values)))


def _each(function: Callable[[Any], Any], cells: Array) -> Array:
    return Array([None if value is None else function(value) for value in cells.values])


def _spread(values: Any, count: int) -> Sequence[Any]:
    return values.values if isinstance(values, Array) else [values] * count


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""A pattern of Arrow's in Python's words: ``$`` is the very end, ``\x{2212}`` a character, ``\d`` is ASCII."""
    pattern = re.sub(r"\\x\{([0-9a-fA-F]+)\}", lambda code: re.escape(chr(int(code[1], 16))), pattern)
    return re.compile(re.sub(r"(?<!\\)\$(?![^\[]*\])", r"\\Z", pattern), re.ASCII)
