"""Turn the contents of a version into files and back; nothing read here can run code."""

import hashlib
import json
import math
import platform
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from forecast.errors import ArtifactRefused, ForecastError, Setting, Unavailable, Words

_DEPTH = 32
_GROUPS = (
    2_000_000  # lists and objects of a JSON text; an empty one takes 3 bytes there and 80 in memory
)
MANIFEST = "MANIFEST.json"
PRETRAINED = "pretrained.safetensors"
FORMAT, NEEDS = (
    3,
    ">=0.3",
)  # of what is written, and the forecast versions that read it; format 2 is read, too
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
_PACKAGES = (
    "forecast",
    "joblib",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "torch",
)
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_VERSION = re.compile(r"v-([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-[0-9a-f]{8}")
Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,2})$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def dump_json(value: dict[str, Any]) -> bytes:
    """JSON text, the same bytes for equal values whatever the order of their keys."""
    check_json(value)
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def load_json(data: bytes) -> dict[str, Any]:
    """Return the object in JSON text; raises ValueError for repeated keys, NaN, infinity, and endless nesting."""
    if data.count(b"[") + data.count(b"{") > _GROUPS:
        raise ValueError(f"holds more than {_GROUPS:,} lists and objects")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEPTH} levels") from None
    check_json(value)
    if type(value) is not dict:
        raise TypeError(f"holds {type(value).__name__} where names and values are expected")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def check_json(value: Any, depth: int = 1) -> None:
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
            check_json(key)
        for inner in value.values() if kind is dict else value:
            check_json(inner, depth + 1)
    elif kind not in (bool, int, float) and value is not None:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not a plain value")


@dataclass(frozen=True)
class Contents:
    config: dict[
        str, Any
    ]  # schema, settings, plan, choices: dicts with text keys, lists, text, finite numbers, None
    weights: dict[str, NDArray[np.float32]]  # all finite
    scaler: dict[str, Any]  # fitted statistics, made of the same built-in values as `config`
    history: Arrays  # of bool, uint8, int32, int64, float32 or float64
    calibration: Arrays | None = None
    base: Arrays | None = None  # from which a later fit can continue
    pretrained: bytes | None = (
        None  # the file of the pretrained network, if it serves; whoever uses it checks it
    )
    # ONNX files of the networks, by number; whoever uses them checks them. They follow from the weights, and have no
    # part in the artifact's hash
    exports: dict[int, bytes] = field(default_factory=dict)
    unexported: dict[int, str] = field(
        default_factory=dict
    )  # why a network has no export; in the manifest
    run: dict[str, Any] = field(
        default_factory=dict
    )  # settings that change no artifact of a plan; in the manifest


def most_bytes(name: str) -> int:
    """Bytes that a file of a version may have; -1 where no file has this name."""
    return LARGEST_EXPORT if EXPORT.fullmatch(name) else LIMITS.get(name, -1)


def artifact_hash(files: Mapping[str, bytes]) -> str:
    """The sha256, in hexadecimal, over names and sha256s of the files, without the manifest and exports."""
    return combined_hash({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def combined_hash(digests: Mapping[str, str]) -> str:
    """`artifact_hash` from the sha256 of each file."""
    names = sorted(name for name in digests if name != MANIFEST and not EXPORT.fullmatch(name))
    return hashlib.sha256(
        "".join(f"{digests[name]}  {name}\n" for name in names).encode()
    ).hexdigest()


def parse_strictly(shown: str, data: bytes, parse: Callable[[bytes], Part]) -> Part:
    """Return ``parse(data)``; whatever a parser raises is an `ArtifactRefused` that names the file `shown`."""
    try:
        return parse(data)
    except (
        ForecastError,
        MemoryError,
    ):  # refused already, a signal that came meanwhile, or no fault of the file
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
    return save_tensors(
        {name: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for name, a in named}
    )


def load_arrays(data: bytes, types: tuple[str, ...] = _ARRAYS) -> Arrays:
    """Return the arrays of safetensors, each writeable, in its own memory; raises as its parser does."""
    if len(data) >= 8 and int.from_bytes(data[:8], "little") > _HEADER:
        raise ValueError(f"its header says that it is larger than {_HEADER:,} bytes")
    arrays = {
        name: np.require(array, requirements="W") for name, array in load_tensors(data).items()
    }
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
    "model.safetensors": (
        "weights",
        partial(dump_arrays, types=_WEIGHTS),
        partial(load_arrays, types=_WEIGHTS),
    ),
    "scaler.json": ("scaler", dump_json, load_json),
    "history.safetensors": ("history", dump_arrays, load_arrays),
    "calibration.safetensors": ("calibration", dump_arrays, load_arrays),
    "base.safetensors": ("base", dump_arrays, load_arrays),
    PRETRAINED: ("pretrained", bytes, bytes),
}


def encode(contents: Contents) -> dict[str, bytes]:
    """The files of a version by name, equal for equal contents; TypeError or ValueError for what `decode` refuses."""
    parts = _PARTS.items()
    files = {
        name: dump(part)
        for name, (key, dump, _) in parts
        if (part := getattr(contents, key)) is not None
    }
    files |= {f"network-{number}.onnx": data for number, data in contents.exports.items()}
    for name, data in files.items():
        if len(data) > most_bytes(name):
            raise Unavailable(
                f"{name} would have {len(data):,} bytes, more than the {most_bytes(name):,} that an artifact may hold",
                cure=Words(
                    "fit fewer series, a shorter ",
                    Setting("lookback"),
                    " or fewer ",
                    Setting("members"),
                ),
            )
    return files


def decode(files: Mapping[str, bytes], where: str = "") -> Contents:
    """The contents of a version from its files without the manifest; may raise ArtifactRefused."""
    for name in REQUIRED:
        if name not in files:
            raise ArtifactRefused(
                f"{where}{name}: is missing; use another version of the store, or fit again"
            )
    for name in sorted(files):
        if name == MANIFEST or most_bytes(name) < 0:
            raise ArtifactRefused(f"{where}{name}: does not belong to an artifact; it was not read")
    known = [(name, part, load) for name, (part, _, load) in _PARTS.items() if name in files]
    parts = {
        part: parse_strictly(f"{where}{name}", files[name], load) for name, part, load in known
    }
    exports = {
        int(found[1]): data for name, data in files.items() if (found := EXPORT.fullmatch(name))
    }
    return Contents(**parts, exports=exports)


class FileEntry(BaseModel, frozen=True, extra="forbid", strict=True):
    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(BaseModel, frozen=True, extra="forbid", strict=True):
    """What a version is made of, and with which packages it was made."""

    format: int = Field(ge=2)
    needs: str = Field(description="the forecast versions that read this format")
    version: str = Field(description="name of the version's folder")
    created: str = Field(description="when it was saved, ISO 8601, UTC")
    hash: Sha256 = Field(description="the artifact's hash")
    files: dict[str, FileEntry]
    packages: dict[str, str]
    run: dict[str, bool | int | float] = Field(
        {}, description="settings of training that are not part of the hash"
    )
    unexported: dict[
        Number, Annotated[str, Field(max_length=300)]
    ] = {}  # why networks have no export


def dump_manifest(
    files: Mapping[str, bytes],
    version: str,
    created: str,
    run: Mapping[str, Any] = {},
    reasons: Mapping[int, str] = {},
) -> bytes:
    """The manifest of a version that is made of `files`; `reasons` say why networks have no export."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = Manifest(
        format=FORMAT,
        needs=NEEDS,
        version=version,
        created=created,
        hash=combined_hash(digests),
        files={
            name: FileEntry(size=len(files[name]), sha256=digest)
            for name, digest in digests.items()
        },
        packages={"python": platform.python_version(), **installed()},
        run=dict(run),
        unexported={str(network): reason for network, reason in reasons.items()},
    )
    return dump_json(manifest.model_dump())


def load_manifest(data: bytes, shown: str) -> Manifest:
    return parse_strictly(shown, data, lambda data: _parsed(load_json(data), shown))


def _parsed(value: dict[str, Any], shown: str) -> Manifest:
    number, needs = value.get("format"), value.get("needs")
    if type(number) is int and number > FORMAT:
        release = (
            needs
            if type(needs) is str and re.fullmatch(r">=[0-9]+(\.[0-9]+){0,3}", needs)
            else ", a newer one"
        )
        raise ArtifactRefused(
            f"{shown}: has format {number}, and this forecast reads up to {FORMAT}; it needs forecast{release}: "
            "upgrade, or fit again"
        )
    if type(number) is int and number == 1:
        raise ArtifactRefused(
            f"{shown}: was made by forecast 0.1.0; move the store elsewhere, and fit again"
        )
    manifest = Manifest.model_validate(value)
    for name, entry in manifest.files.items():
        if name == MANIFEST or entry.size > most_bytes(name):
            raise ValueError(f"file {name!r} is unknown or too large")
    if (
        combined_hash({name: entry.sha256 for name, entry in manifest.files.items()})
        != manifest.hash
    ):
        raise ValueError("the artifact's hash does not follow from those of its files")
    return manifest


def installed() -> dict[str, str]:
    """Versions of the packages that forecasts depend on, as far as they are installed."""
    versions = {}
    for name in _PACKAGES:
        with suppress(
            metadata.PackageNotFoundError, OSError
        ):  # e.g. forecast itself, run from a checkout
            versions[name] = metadata.version(name)
    return {
        name: version for name, version in versions.items() if version
    }  # None where its record is damaged


def version_id(created: datetime, suffix: str) -> str:
    """Return the id of a version that is saved at `created` (UTC); ids sort in the order of saving."""
    stamp = _STAMP.replace(
        "%Y", f"{created.year:04d}"
    )  # strftime writes years before 1000 without zeros
    return f"v-{created.strftime(stamp)}-{suffix}"


def saved_at(version: str) -> datetime | None:
    """When the version with this id was saved; None where it is not a version id."""
    match = _VERSION.fullmatch(version)
    try:
        return None if match is None else datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
