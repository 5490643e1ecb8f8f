"""The different values of an array, and which of them each element is: by hashing, faster than sorting a long array."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def distinct(values: Integers) -> Integers:
    """The different values, ascending."""
    return values if (np.diff(values) > 0).all() else np.sort(np.asarray(pc.unique(pa.array(values)), np.int64))


def encoded(values: Integers) -> tuple[Integers, Integers]:
    """Codes [n], and the different values in the order in which they come first."""
    dictionary = pc.dictionary_encode(pa.array(values))
    return np.asarray(dictionary.indices, np.int64), np.asarray(dictionary.dictionary, np.int64)


def repeats(*keys: NDArray[Any]) -> NDArray[np.bool_]:
    """[rows], whether an earlier row has the same in all of these arrays [rows]; NaN equals NaN."""
    order = np.lexsort(keys)  # stable: of equal rows the first one stays in front
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        before, after = key[order][:-1], key[order][1:]
        same &= (before == after) | ((before != before) & (after != after))
    flags = np.zeros(len(order), bool)
    flags[order[1:][same]] = True
    return flags
