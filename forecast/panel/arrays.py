"""One way to compute with arrays of numpy and of torch: the functions of the array API standard."""

from typing import Any

import numpy as np

Array = Any  # of numpy or of torch

_STANDARD = hasattr(np, "unstack")  # numpy 2.1 and newer has all functions of the standard itself


def array_namespace(array: Array) -> Any:
    """The functions for an array; for numpy they come without a package that takes longer to import than to run."""
    if _STANDARD and isinstance(array, np.ndarray):
        return np
    import array_api_compat

    return array_api_compat.array_namespace(array)


def device_of(array: Array) -> Any:
    """Where an array lies."""
    return getattr(array, "device", "cpu")  # older arrays of numpy do not say
