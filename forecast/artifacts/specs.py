"""Shapes and bounds of stored arrays, declared on the fields of dataclasses that hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from forecast.tables.cells import MAX_VALUE

Record = TypeVar("Record")
FINITE = np.finfo(np.float64).max
SMALLEST_NORMAL = np.finfo(np.float64).tiny  # the smallest number above 0 with full precision


@dataclass(frozen=True)
class Spec:
    """The shape and bounds of a stored array; the type of its numbers is that of the field.

    `shape` has a word for each axis: a number, or the name of a size, such as ``"series horizon"``.
    If a size is not given, the first array with this name defines it.
    """

    shape: str
    low: float = -FINITE
    high: float = FINITE
    below: str = ""  # the name of a size that the numbers must be below, as indices are
    nan: bool = False  # whether the numbers may include NaN

    def lengths(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(int(word) if word.isdigit() else sizes[word] for word in self.shape.split())

    def check(self, name: str, array: NDArray[Any], kind: type, sizes: dict[str, int]) -> None:
        """Raise ValueError if an array does not match; new sizes are added to `sizes`."""
        for word, length in zip(self.shape.split(), array.shape, strict=False):
            sizes.setdefault(word, length)
        shape = self.lengths(sizes)
        if array.dtype != kind or array.shape != shape:
            raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}, not of {shape}")
        high = sizes[self.below] - 1 if self.below else self.high
        inside = (array >= self.low) & (array <= high)  # NaN never is
        if self.nan:
            inside |= np.isnan(array)
        if not inside.all():
            raise ValueError(f"'{name}' must hold numbers from {self.low:.3g} to {high:.3g}")


def of_values(shape: str, low: float = -MAX_VALUE, nan: bool = False) -> Spec:
    """Return the spec of an array of values, whose bounds are those of values in tables."""
    return Spec(shape, low, MAX_VALUE, nan=nan)


def get_specs(record: type) -> dict[str, tuple[type, Spec]]:
    """Return the number type and the spec of each array of a dataclass, by field."""
    specs = {}
    for name, hint in get_type_hints(record, include_extras=True).items():
        for spec in getattr(hint, "__metadata__", ()):
            array_type, _ = get_args(hint)
            kind = get_args(array_type)[-1]  # a number type since numpy 2.5, a dtype before
            kind = (*get_args(kind), kind)[0]
            specs[name] = kind, spec
    return specs


def build_record(
    record: type[Record],
    arrays: Mapping[str, NDArray[Any]],
    sizes: Mapping[str, int],
    **other_fields: Any,
) -> Record:
    """Build a dataclass from arrays; ValueError if one of them does not match its spec."""
    specs = get_specs(record)
    if arrays.keys() != specs.keys():
        raise ValueError(f"the arrays are not {', '.join(specs)}")

    sizes = {**sizes}
    for name, (kind, spec) in specs.items():
        spec.check(name, arrays[name], kind, sizes)
    return record(**arrays, **other_fields)


def from_lists(
    record: type[Record], lists: Mapping[str, Any], sizes: Mapping[str, int], **other_fields: Any
) -> Record:
    """Build a dataclass like `build_record`, from the nested lists of a JSON text.

    Fields without a spec are taken as they are, unless `other_fields` has them.
    """
    specs = get_specs(record)
    plain = {name: value for name, value in lists.items() if name not in specs}
    arrays: dict[str, NDArray[Any]] = {}
    for name, (kind, spec) in specs.items():
        array = np.array(lists[name])
        if not array.size:
            array = np.zeros_like(array, kind).reshape(spec.lengths(sizes))
        arrays[name] = array.astype(kind, casting="same_kind")  # a float never becomes an integer
    return build_record(record, arrays, sizes, **(plain | other_fields))


def as_lists(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as plain lists, which JSON can hold; None is left out."""
    lists = {}
    for name, value in vars(record).items():
        if is_dataclass(value):
            value = as_lists(value)
        if value is not None:
            lists[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return lists
