"""Records: dataclasses whose fields say the shape, type and bounds of what is saved of them.

The arrays and numbers of a record become arrays by name, those of a record in it under
``field.name``. Everything else becomes values that JSON can hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from forecast.artifacts.format import Arrays
from forecast.tables.cells import MAX_VALUE

Record = TypeVar("Record")
FINITE = np.finfo(np.float64).max
SMALLEST_NORMAL = np.finfo(np.float64).tiny  # the smallest number above 0 with full precision
NOT_SAVED = "not saved"  # marks a field that is left out, and has a default
NUMBER_TYPES: dict[Any, type] = {float: np.float64, int: np.int64, bool: np.bool_}


@dataclass(frozen=True)
class Spec:
    """The shape and bounds of an array, whose number type is that of the field.

    `shape` has a word for each axis: a number, or the name of a size, such as ``"series horizon"``;
    ``"series+1"`` is one more. If a size is not given, the first array with this name defines it. A
    number has no axis. Of texts only the length is checked.
    """

    shape: str = ""
    low: float = -FINITE
    high: float = FINITE
    below: str = ""  # the name of a size that the numbers must be below, as indices are
    nan: bool = False  # whether the numbers may include NaN

    def check(
        self, name: str, array: NDArray[Any], kind: type | None, sizes: dict[str, int]
    ) -> None:
        """Raise ValueError if an array does not match; new sizes are added to `sizes`."""
        words = self.shape.split()
        for word, length in zip(words, array.shape, strict=False):
            sizes.setdefault(word.removesuffix("+1"), length)
        shape = tuple(self._length(word, sizes) for word in words)
        if array.shape != shape or kind not in (None, array.dtype):
            raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}, not of {shape}")
        if kind is None:
            return
        high = sizes[self.below] - 1 if self.below else self.high
        inside = (array >= self.low) & (array <= high)  # NaN never is
        if self.nan:
            inside |= np.isnan(array)
        if not inside.all():
            raise ValueError(f"'{name}' must hold numbers from {self.low:.3g} to {high:.3g}")

    @staticmethod
    def _length(word: str, sizes: Mapping[str, int]) -> int:
        if word.isdigit():
            return int(word)
        return sizes[word.removesuffix("+1")] + word.endswith("+1")


def of_values(shape: str, low: float = -MAX_VALUE, nan: bool = False) -> Spec:
    """Return the spec of an array of values, whose bounds are those of values in tables."""
    return Spec(shape, low, MAX_VALUE, nan=nan)


@dataclass(frozen=True)
class SavedField:
    name: str
    hint: Any
    record: type | None  # the dataclass that the field holds, if any
    spec: Spec | None
    number: type | None  # number type of an array or a number


@cache
def saved_fields(record: Any) -> list[SavedField]:
    fields = []
    for name, hint in get_type_hints(record, include_extras=True).items():
        options = [option for option in get_args(hint) if option is not type(None)]
        is_optional = type(None) in get_args(hint)
        inner = options[0] if is_optional else hint
        marks = getattr(inner, "__metadata__", ())
        if NOT_SAVED in marks:
            continue
        plain = get_args(inner)[0] if get_origin(inner) is Annotated else inner
        specs = [mark for mark in marks if isinstance(mark, Spec)]
        number = NUMBER_TYPES.get(plain)
        if get_origin(plain) in (np.ndarray, NDArray):
            kind = get_args(plain)[-1]  # a number type since numpy 2.5, a dtype before
            number = (*get_args(kind), kind)[0]
        nested: Any = plain if is_dataclass(plain) else None
        spec = specs[0] if specs else Spec() if number else None
        fields.append(SavedField(name, hint, nested, spec, number))
    return fields


def split_record(record: Any) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a dataclass by name, and its other values; None is left out."""
    arrays: Arrays = {}
    values: dict[str, Any] = {}
    kind: Any = type(record)
    for field in saved_fields(kind):
        value = getattr(record, field.name)
        if value is None:
            continue
        if field.record is not None:
            inner, values[field.name] = split_record(value)
            arrays |= {f"{field.name}.{name}": array for name, array in inner.items()}
        elif field.number is not None:
            arrays[field.name] = np.asarray(value, field.number)
        else:
            values[field.name] = TypeAdapter(field.hint).dump_python(value, mode="json")
    return arrays, values


def build_record(
    record: type[Record],
    arrays: Mapping[str, NDArray[Any]],
    values: Mapping[str, Any],
    sizes: Mapping[str, int],
    **not_saved: Any,
) -> Record:
    """Build a dataclass from what `split_record` returns; ValueError if a part does not match.

    `not_saved` has fields that are not saved, of the dataclass or of records in it.
    """
    sizes = {**sizes}
    rest = dict(arrays)
    fields: dict[str, Any] = {}
    kind: Any = record
    for field in saved_fields(kind):
        name = field.name
        if field.record is not None:
            if name in values:
                prefix = f"{name}."
                own = [key for key in rest if key.startswith(prefix)]
                inner = {key.removeprefix(prefix): rest.pop(key) for key in own}
                fields[name] = build_record(field.record, inner, values[name], sizes, **not_saved)
        elif field.number is not None and field.spec is not None:
            if name in rest:
                array = rest.pop(name)
                field.spec.check(name, array, field.number, sizes)
                fields[name] = array if field.spec.shape else array.item()
        elif name in values:
            fields[name] = TypeAdapter(field.hint).validate_python(values[name])
            if field.spec is not None:
                field.spec.check(name, np.empty(len(fields[name])), None, sizes)
    unknown = [*rest, *values.keys() - fields.keys()]
    if unknown:
        raise ValueError(f"there is no '{min(unknown)[:80]}' in {record.__name__}")
    own_names = kind.__dataclass_fields__.keys() & not_saved.keys()
    return record(**fields, **{name: not_saved[name] for name in own_names})
