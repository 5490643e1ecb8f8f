"""Read what format 1 holds otherwise: the scaler, plain values in a pickle, and the history in single precision."""

import io
import pickle
import pickletools
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.plain import as_dict, check_plain

_STEPS = 8_000_000  # of a pickle: more than millions of series take; each costs time before a byte is believed
_PROTOCOL = 4
_OPCODES = {
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
}
_WIDENED = ("values", "known", "past", "static")


class _PlainUnpickler(pickle.Unpickler):
    """Builds built-in values and knows no class and no function."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"asks for {module_name}.{global_name}, and only plain values are read")


def load_scaler(data: bytes) -> dict[str, Any]:
    """Return the plain values in a pickle; raises for anything else before a byte of it is run."""
    steps = _check_opcodes(data)
    value = _PlainUnpickler(io.BytesIO(data)).load()
    check_plain(value, most=steps)  # a value takes a step, so more of them are copies made to swell
    return as_dict(value)


def _check_opcodes(data: bytes) -> int:
    """Refuse a pickle before it is run: compressed, or made of more than the steps that build plain values.

    Returns
    -------
    The number of its steps.
    """
    if data[:2] != bytes([0x80, _PROTOCOL]):
        raise ValueError("compressed, or not written by forecast")
    steps, end = 0, 0
    for steps, (opcode, _, position) in enumerate(pickletools.genops(data)):
        if opcode.name not in _OPCODES:
            raise ValueError(f"holds {opcode.name}, and only plain values are read")
        if steps > _STEPS:
            raise ValueError(f"takes more than {_STEPS:,} steps to read")
        end = (position or 0) + 1
    if end != len(data):
        raise ValueError("bytes follow its end")
    return steps


def migrated(history: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The history as newer formats hold it: in double precision, and with the smallest values, which are unknown."""
    unknown = np.full(history["starts"].shape if "starts" in history else 0, -np.inf)
    return {"lowest": unknown} | {
        name: array.astype(np.float64) if name in _WIDENED and array.dtype == np.float32 else array
        for name, array in history.items()
    }
