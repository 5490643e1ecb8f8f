"""Turn what one version of a fitted forecaster holds into files and back; nothing read here can run code."""

import hashlib
import io
import json
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from forecast.errors import ArtifactRefused, ForecastError, Setting, Unavailable, Words

MANIFEST = "MANIFEST.json"

Arrays = dict[str, NDArray[Any]]
Part = TypeVar("Part")

# Most bytes of each file: what a reader is ready to hold in memory.
LIMITS = {
    MANIFEST: 2**20,
    "config.json": 2**24,
    "scaler.joblib": 2**27,
    "model.safetensors": 2**31,
    "history.safetensors": 2**31,
    "calibration.safetensors": 2**30,
    "base.safetensors": 2**31,
}
REQUIRED = {"config.json", "scaler.joblib", "model.safetensors", "history.safetensors"}

_DEPTH = 32
_STEPS = 8_000_000  # of a pickle: more than millions of series take; each costs time before a byte is believed
_GROUPS = 2_000_000  # lists and objects of a JSON text; an empty one takes 3 bytes there and 80 in memory
_HEADER = 2**22  # bytes of the names and shapes of arrays
_NESTED = (dict, list, tuple)
_PROTOCOL = 4  # pinned: joblib's default follows the version of Python
_WEIGHT_TYPES = ("float32",)
_ARRAY_TYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
_OPCODES = {
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
}


@dataclass(frozen=True)
class Contents:
    """What one version holds.

    Attributes
    ----------
    config : what was inferred, settings, plan, members; dicts with text keys, lists, text, finite numbers, None
    weights : float32 arrays by name, all finite
    scaler : fitted statistics, made of the same built-in values as `config`
    history : arrays of bool, uint8, int32, int64, float32 or float64 by name
    calibration : arrays as in `history`, None where there is no calibration
    base : arrays as in `history`: what a later fit can go on from, None where there is nothing
    run : settings of training that the manifest holds, since the same plan gives the same artifact without them
    """

    config: dict[str, Any]
    weights: dict[str, NDArray[np.float32]]
    scaler: dict[str, Any]
    history: Arrays
    calibration: Arrays | None = None
    base: Arrays | None = None
    run: dict[str, Any] = field(default_factory=dict)


def encode(contents: Contents) -> dict[str, bytes]:
    """Return the files of a version by name; equal contents give equal bytes.

    Tuples become lists. What `decode` would refuse is not written.

    Raises
    ------
    TypeError, ValueError
        If `contents` holds other types than it may, or numbers that are not finite.
    Unavailable
        If a file would be larger than a reader accepts.
    """
    files = {
        "config.json": dump_json(contents.config),
        "model.safetensors": _dump_tensors(contents.weights, _WEIGHT_TYPES),
        "scaler.joblib": _dump_plain(contents.scaler),
        "history.safetensors": dump_arrays(contents.history),
    }
    if contents.calibration is not None:
        files["calibration.safetensors"] = dump_arrays(contents.calibration)
    if contents.base is not None:
        files["base.safetensors"] = dump_arrays(contents.base)
    for name, data in files.items():
        if len(data) > LIMITS[name]:
            raise Unavailable(
                f"{name} would have {len(data):,} bytes, more than the {LIMITS[name]:,} that an artifact may hold",
                cure=Words(
                    "fit fewer series at once, a shorter ", Setting("lookback"), " or fewer ", Setting("members")
                ),
            )
    return files


def decode(files: Mapping[str, bytes], where: str = "") -> Contents:
    """Return the contents of a version from its files.

    Parameters
    ----------
    files : bytes by file name; the manifest is not among them
    where : path that messages put before a file's name, with its separator

    Raises
    ------
    ArtifactRefused
        If a file is missing, unknown, damaged, or holds anything but plain values and arrays of known types.
    """
    for name in sorted(REQUIRED - files.keys()):
        raise ArtifactRefused(f"{where}{name}: is missing; use another version of the store, or fit again")
    for name in sorted(files.keys() - (LIMITS.keys() - {MANIFEST})):
        raise ArtifactRefused(f"{where}{name}: does not belong to an artifact; it was not read")

    def part(name: str, parse: Callable[[bytes], Part]) -> Part:
        return parse_strictly(f"{where}{name}", files[name], parse)

    def optional(name: str) -> Arrays | None:
        return part(name, load_arrays) if name in files else None

    return Contents(
        config=part("config.json", load_json),
        weights=part("model.safetensors", _load_weights),
        scaler=part("scaler.joblib", _load_plain),
        history=part("history.safetensors", load_arrays),
        calibration=optional("calibration.safetensors"),
        base=optional("base.safetensors"),
    )


def artifact_hash(files: Mapping[str, bytes]) -> str:
    """Return the sha256, in hexadecimal, over names and sha256s of the files, the manifest left out."""
    return combined_hash({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def combined_hash(digests: Mapping[str, str]) -> str:
    """Return the artifact's hash from the sha256 of each file; as `artifact_hash`, without the bytes."""
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests) if name != MANIFEST]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def parse_strictly(shown: str, data: bytes, parse: Callable[[bytes], Part]) -> Part:
    """Return ``parse(data)``; whatever a parser raises is an `ArtifactRefused` that names the file `shown`."""
    try:
        return parse(data)
    except (ForecastError, MemoryError):  # refused already, a signal that came meanwhile, or no fault of the file
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ArtifactRefused(
            f"{shown}: cannot be trusted: {reason}; restore the file, use another version of the store, or fit again"
        ) from error


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
    return _as_dict(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _as_dict(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError(f"holds {type(value).__name__} where names and values are expected")
    return value


def _dump_plain(value: dict[str, Any]) -> bytes:
    # pickle writes an object that occurs twice once: equal values have equal bytes only after a round trip
    canonical = json.loads(dump_json(value))
    file = io.BytesIO()
    joblib.dump(canonical, file, compress=0, protocol=_PROTOCOL)
    return file.getvalue()


class _PlainUnpickler(pickle.Unpickler):
    """Builds built-in values and knows no class and no function."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"asks for {module_name}.{global_name}, and only plain values are read")


def _load_plain(data: bytes) -> dict[str, Any]:
    steps = _check_opcodes(data)
    value = _PlainUnpickler(io.BytesIO(data)).load()
    check_plain(value, most=steps)  # a value takes a step, so more of them are copies made to swell
    return _as_dict(value)


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


def check_plain(value: Any, most: int | None = None) -> None:
    """Raise TypeError or ValueError for all but dicts, lists, text, bools, None, 64-bit integers and finite floats.

    Parameters
    ----------
    value : keys of its dicts are text
    most : values that there may be in it
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


def dump_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays by name as safetensors; raises TypeError and ValueError for types and names that are not known."""
    return _dump_tensors(arrays, _ARRAY_TYPES)


def _dump_tensors(arrays: Mapping[str, NDArray[Any]], types: tuple[str, ...]) -> bytes:
    _check_arrays(arrays, types)
    # safetensors takes the memory as it lies: strided, Fortran or big-endian arrays would come back as other numbers
    plain = {
        name: np.asarray(arrays[name], dtype=arrays[name].dtype.newbyteorder("<"), order="C") for name in sorted(arrays)
    }
    return save_tensors(plain)


def _load_weights(data: bytes) -> dict[str, NDArray[np.float32]]:
    return _load_tensors(data, _WEIGHT_TYPES)


def load_arrays(data: bytes) -> Arrays:
    """Return the arrays of safetensors, each in its own memory; raises as its parser does."""
    return _load_tensors(data, _ARRAY_TYPES)


def _load_tensors(data: bytes, types: tuple[str, ...]) -> Arrays:
    """Arrays by name, each writeable, in its own memory."""
    if len(data) >= 8 and int.from_bytes(data[:8], "little") > _HEADER:
        raise ValueError(f"its header says that it is larger than {_HEADER:,} bytes")
    arrays = {name: np.require(array, requirements="W") for name, array in load_tensors(data).items()}
    _check_arrays(arrays, types)
    return arrays


def _check_arrays(arrays: Mapping[str, NDArray[Any]], types: tuple[str, ...]) -> None:
    """Refuse names and types that are not known, weights that are not finite, bools that are neither 0 nor 1."""
    for name, array in arrays.items():
        if type(name) is not str or name.startswith("__"):
            raise ValueError(f"an array cannot have the name {name!r}")
        if array.dtype.name not in types:
            raise TypeError(f"array '{name}' is {array.dtype.name}, not one of {', '.join(types)}")
        if types is _WEIGHT_TYPES and not np.isfinite(array).all():
            raise ValueError(f"array '{name}' holds numbers that are not finite")
        if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"array '{name}' holds bytes that are neither true nor false")
