"""Turn the contents of a version into files and back; nothing read here can run code."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from forecast.artifacts.plain import dump_json, load_json
from forecast.errors import ArtifactRefused, ForecastError, Setting, Unavailable, Words

MANIFEST = "MANIFEST.json"
PRETRAINED = "pretrained.safetensors"
FORMAT = 3  # the newest, of a version that holds a pretrained network or exported ones; others have format 2

Arrays = dict[str, NDArray[Any]]
Part = TypeVar("Part")

# bytes of each file, which are read into memory
LIMITS = {
    MANIFEST: 2**20,
    "config.json": 2**24,
    "scaler.json": 2**27,
    "model.safetensors": 2**31,
    "history.safetensors": 2**31,
    "calibration.safetensors": 2**30,
    "base.safetensors": 2**31,
    PRETRAINED: 2**23,
}
EXPORT = re.compile(r"network-(0|[1-9][0-9]{0,2})\.onnx")  # a network, exported, by its number
LARGEST_EXPORT = 2**27  # bytes
REQUIRED = ("config.json", "history.safetensors", "model.safetensors", "scaler.json")

_HEADER = 2**22  # bytes of the names and shapes of arrays
_WEIGHTS = ("float32",)
_ARRAYS = ("bool", "uint8", "int32", "int64", "float32", "float64")


@dataclass(frozen=True)
class Contents:
    """The contents of one version."""

    config: dict[str, Any]  # schema, settings, plan, choices: dicts with text keys, lists, text, finite numbers, None
    weights: dict[str, NDArray[np.float32]]  # all finite
    scaler: dict[str, Any]  # fitted statistics, made of the same built-in values as `config`
    history: Arrays  # of bool, uint8, int32, int64, float32 or float64
    calibration: Arrays | None = None
    base: Arrays | None = None  # from which a later fit can continue
    pretrained: bytes | None = None  # the file of the pretrained network, if it serves; whoever uses it checks it
    # ONNX files of the networks, by number; whoever uses them checks them. They follow from the weights, and have no
    # part in the artifact's hash
    exports: dict[int, bytes] = field(default_factory=dict)
    unexported: dict[int, str] = field(default_factory=dict)  # why a network has no export; in the manifest
    run: dict[str, Any] = field(default_factory=dict)  # settings that change no artifact of a plan; in the manifest


def most_bytes(name: str) -> int:
    """Bytes that a file of a version may have; -1 where no file has this name."""
    return LARGEST_EXPORT if EXPORT.fullmatch(name) else LIMITS.get(name, -1)


def format_of(files: Collection[str]) -> int:
    """The format of a version that has these files: the oldest one that can hold them."""
    return FORMAT if any(name == PRETRAINED or EXPORT.fullmatch(name) for name in files) else 2


def artifact_hash(files: Mapping[str, bytes]) -> str:
    """The sha256, in hexadecimal, over names and sha256s of the files, without the manifest and exports."""
    return combined_hash({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def combined_hash(digests: Mapping[str, str]) -> str:
    """`artifact_hash` from the sha256 of each file."""
    names = sorted(name for name in digests if name != MANIFEST and not EXPORT.fullmatch(name))
    return hashlib.sha256("".join(f"{digests[name]}  {name}\n" for name in names).encode()).hexdigest()


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


def dump_arrays(arrays: Mapping[str, NDArray[Any]], types: tuple[str, ...] = _ARRAYS) -> bytes:
    """Return arrays by name as safetensors; raises TypeError and ValueError for types and names that are not known."""
    _check_arrays(arrays, types)
    # safetensors takes the memory as it lies: strided, Fortran or big-endian arrays would come back as other numbers
    named = sorted(arrays.items())
    return save_tensors({name: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for name, a in named})


def load_arrays(data: bytes, types: tuple[str, ...] = _ARRAYS) -> Arrays:
    """Return the arrays of safetensors, each writeable, in its own memory; raises as its parser does."""
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
        if types is _WEIGHTS and not np.isfinite(array).all():
            raise ValueError(f"array '{name}' holds numbers that are not finite")
        if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"array '{name}' holds bytes that are neither true nor false")


# the part of the contents in each file, how it is written, and how it is read
_PARTS: dict[str, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "config.json": ("config", dump_json, load_json),
    "model.safetensors": ("weights", partial(dump_arrays, types=_WEIGHTS), partial(load_arrays, types=_WEIGHTS)),
    "scaler.json": ("scaler", dump_json, load_json),
    "history.safetensors": ("history", dump_arrays, load_arrays),
    "calibration.safetensors": ("calibration", dump_arrays, load_arrays),
    "base.safetensors": ("base", dump_arrays, load_arrays),
    PRETRAINED: ("pretrained", bytes, bytes),
}


def encode(contents: Contents) -> dict[str, bytes]:
    """Return the files of a version by name; equal contents give equal bytes, and tuples become lists.

    What `decode` would refuse raises TypeError or ValueError; a file larger than it accepts raises Unavailable.
    """
    parts = _PARTS.items()
    files = {name: dump(part) for name, (key, dump, _) in parts if (part := getattr(contents, key)) is not None}
    files |= {f"network-{number}.onnx": data for number, data in contents.exports.items()}
    for name, data in files.items():
        if len(data) > most_bytes(name):
            raise Unavailable(
                f"{name} would have {len(data):,} bytes, more than the {most_bytes(name):,} that an artifact may hold",
                cure=Words("fit fewer series, a shorter ", Setting("lookback"), " or fewer ", Setting("members")),
            )
    return files


def decode(files: Mapping[str, bytes], where: str = "", number: int = FORMAT) -> Contents:
    """Return the contents of a version from its files by name, without the manifest; `number` is their format.

    Raises ArtifactRefused if a file is missing, unknown, damaged, or holds anything but plain values and arrays of
    known types.
    """
    for name in REQUIRED:
        if name not in files:
            raise ArtifactRefused(f"{where}{name}: is missing; use another version of the store, or fit again")
    for name in sorted(files):
        if name == MANIFEST or most_bytes(name) < 0 or format_of([name]) > number:
            raise ArtifactRefused(f"{where}{name}: does not belong to an artifact; it was not read")
    known = [(name, part, load) for name, (part, _, load) in _PARTS.items() if name in files]
    parts = {part: parse_strictly(f"{where}{name}", files[name], load) for name, part, load in known}
    exports = {int(found[1]): data for name, data in files.items() if (found := EXPORT.fullmatch(name))}
    return Contents(**parts, exports=exports)
