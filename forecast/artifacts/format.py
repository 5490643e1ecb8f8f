"""Turn the contents of a version into files and back; nothing read here can run code."""

import hashlib
import json
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
from pydantic_core import from_json
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from forecast.errors import (
    ArtifactRefused,
    ForecastError,
    Setting,
    Unavailable,
    one_line,
)
from forecast.version import __version__

FORMAT = 9
NEEDS = ">=0.3"  # the versions of this package that can read it
MANIFEST = "MANIFEST.json"
PRETRAINED_FILE = "pretrained.safetensors"
# bytes of each file, which are read into memory
SIZE_LIMITS = {
    MANIFEST: 2**20,
    "config.json": 2**28,
    "arrays.safetensors": 2**32,
    "weights.safetensors": 2**32,
    PRETRAINED_FILE: 2**23,
}
EXPORT = re.compile(r"network-(0|[1-9][0-9]{0,2})\.onnx")  # a network, exported, by its number
LARGEST_EXPORT = 2**27  # bytes
# most lists and objects in a JSON text; an empty one takes 3 bytes there, and 80 in memory
_GROUPS = 2_000_000
_HEADER = 2**22  # most bytes of the names and shapes of arrays
_WEIGHTS = ("float32",)
_ARRAYS = ("bool", "uint8", "int32", "int64", "float32", "float64")
_PACKAGES = (
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

Arrays = dict[str, NDArray[Any]]
Part = TypeVar("Part")
Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,2})$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def dump_json(value: dict[str, Any]) -> bytes:
    """JSON text, the same bytes for equal values whatever the order of their keys."""
    return (json.dumps(value, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def load_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON text that must be an object.

    Raises ValueError for NaN, infinity, halves of surrogate pairs, and too deep nesting.
    """
    if data.count(b"[") + data.count(b"{") > _GROUPS:
        raise ValueError(f"holds more than {_GROUPS:,} lists and objects")
    value = from_json(data, allow_inf_nan=False)
    if type(value) is not dict:
        raise TypeError(f"holds {type(value).__name__} where names and values are expected")
    return value


@dataclass(frozen=True)
class Contents:
    """All that a version holds.

    JSON values are dicts with text keys, lists, text, finite numbers, bools and None.
    """

    config: dict[str, Any]  # schema, settings, plan, choices, names
    arrays: Arrays  # fitted statistics, the newest past, calibration
    weights: dict[str, NDArray[np.float32]]  # weights of the networks, all finite
    # the file of the pretrained network, if it serves; whoever uses it checks it
    pretrained: bytes | None = None
    # ONNX files of the networks, by number; whoever uses them checks them. They follow from the
    # weights, and have no part in the artifact's hash
    exports: dict[int, bytes] = field(default_factory=dict)
    # both are written into the manifest: why networks have no export, by number; and settings that
    # do not change the artifact of a plan
    unexported: dict[int, str] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)


def most_bytes(name: str) -> int:
    """Return the largest size of a file of a version in bytes; -1 if no file has this name."""
    return LARGEST_EXPORT if EXPORT.fullmatch(name) else SIZE_LIMITS.get(name, -1)


def artifact_hash(files: Mapping[str, bytes]) -> str:
    """Return the sha256 over names and sha256s of all files but the manifest and exports."""
    return combined_hash({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def combined_hash(digests: Mapping[str, str]) -> str:
    """`artifact_hash` from the sha256 of each file."""
    lines = [
        f"{digest}  {name}\n"
        for name, digest in sorted(digests.items())
        if name != MANIFEST and not EXPORT.fullmatch(name)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def parse_strictly(shown: str, data: bytes, parse: Callable[[bytes], Part]) -> Part:
    """``parse(data)``, whose exceptions become an `ArtifactRefused` that names the file `shown`."""
    try:
        return parse(data)
    except (ForecastError, MemoryError):  # refused already, or no fault of the file
        raise
    except Exception as error:
        raise ArtifactRefused(
            f"{shown}: cannot be trusted: {one_line(error)}",
            cure="restore the file, use another version of the store, or fit again",
        ) from error


def dump_arrays(arrays: Mapping[str, NDArray[Any]], types: tuple[str, ...] = _ARRAYS) -> bytes:
    """Arrays by name as safetensors; TypeError and ValueError for unknown types and names."""
    _check_arrays(arrays, types)
    plain = {}
    for name, array in sorted(arrays.items()):
        # the memory is taken as it lies: strided, Fortran or big-endian arrays would come back as
        # other numbers
        plain[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return save_tensors(plain)


def load_arrays(data: bytes, types: tuple[str, ...] = _ARRAYS) -> Arrays:
    """The arrays of safetensors, each writeable, in its own memory; raises as its parser does."""
    if len(data) >= 8 and int.from_bytes(data[:8], "little") > _HEADER:
        raise ValueError(f"its header says that it is larger than {_HEADER:,} bytes")
    tensors = load_tensors(data)
    arrays = {name: np.require(array, requirements="W") for name, array in tensors.items()}
    _check_arrays(arrays, types)
    return arrays


def _check_arrays(arrays: Mapping[str, NDArray[Any]], types: tuple[str, ...]) -> None:
    """Refuse unknown types, weights that are not finite, bools that are neither 0 nor 1."""
    for name, array in arrays.items():
        if name.startswith("__"):
            raise ValueError(f"an array cannot have the name {name!r}")
        if array.dtype.name not in types:
            raise TypeError(f"array '{name}' is {array.dtype.name}, not one of {', '.join(types)}")
        if types is _WEIGHTS and not np.isfinite(array).all():
            raise ValueError(f"array '{name}' holds numbers that are not finite")
        if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"array '{name}' holds bytes that are neither true nor false")


def encode(contents: Contents) -> dict[str, bytes]:
    """The files of a version by name, the same bytes for equal contents.

    TypeError or ValueError for what `decode` refuses.
    """
    files = {
        "config.json": dump_json(contents.config),
        "arrays.safetensors": dump_arrays(contents.arrays),
        "weights.safetensors": dump_arrays(contents.weights, _WEIGHTS),
    }
    if contents.pretrained is not None:
        files[PRETRAINED_FILE] = contents.pretrained
    files |= {f"network-{number}.onnx": data for number, data in contents.exports.items()}
    for name, data in files.items():
        limit = most_bytes(name)
        if len(data) > limit:
            lookback = Setting("lookback")
            raise Unavailable(
                f"{name} would have {len(data):,} bytes, more than the {limit:,} that it may have",
                cure=f"fit fewer series, a shorter {lookback} or fewer {Setting('members')}",
            )
    return files


def decode(files: Mapping[str, bytes], where: str = "") -> Contents:
    """The contents of a version from its files without the manifest; may raise ArtifactRefused."""
    loaders: dict[str, Callable[[bytes], Any]] = {
        "config.json": load_json,
        "arrays.safetensors": load_arrays,
        "weights.safetensors": partial(load_arrays, types=_WEIGHTS),
    }
    parts = {}
    for name, load in loaders.items():
        if name not in files:
            cure = "use another version of the store, or fit again"
            raise ArtifactRefused(f"{where}{name}: is missing", cure=cure)
        parts[name.partition(".")[0]] = parse_strictly(f"{where}{name}", files[name], load)
    exports = {}
    for name in sorted(files.keys() - {*loaders, PRETRAINED_FILE}):
        export = EXPORT.fullmatch(name)
        if export is None:
            raise ArtifactRefused(f"{where}{name}: does not belong to an artifact; it was not read")
        exports[int(export[1])] = files[name]
    return Contents(**parts, pretrained=files.get(PRETRAINED_FILE), exports=exports)


class FileEntry(BaseModel, frozen=True, extra="forbid", strict=True):
    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(BaseModel, frozen=True, extra="forbid", strict=True):
    """What a version is made of, and with which packages it was made."""

    format: int = Field(ge=FORMAT)
    needs: str = Field(description="the forecast versions that read this format")
    version: str = Field(description="name of the version's folder")
    created: str = Field(description="when it was saved, ISO 8601, UTC")
    hash: Sha256 = Field(description="the artifact's hash")
    files: dict[str, FileEntry]
    packages: dict[str, str]
    run: dict[str, bool | int | float] = Field(
        {}, description="settings of training that are not part of the hash"
    )
    unexported: dict[Number, Annotated[str, Field(max_length=300)]] = Field(
        {}, description="why networks have no export"
    )


def dump_manifest(
    files: Mapping[str, bytes],
    version: str,
    created: str,
    run: Mapping[str, Any] = {},
    reasons: Mapping[int, str] = {},
) -> bytes:
    """The manifest of a version; `reasons` say why networks have no export."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = Manifest(
        format=FORMAT,
        needs=NEEDS,
        version=version,
        created=created,
        hash=combined_hash(digests),
        files={
            name: FileEntry(size=len(data), sha256=digests[name]) for name, data in files.items()
        },
        packages={"python": platform.python_version(), **find_package_versions()},
        run=dict(run),
        unexported={str(network): reason for network, reason in reasons.items()},
    )
    return dump_json(manifest.model_dump())


def load_manifest(data: bytes, shown: str) -> Manifest:
    return parse_strictly(shown, data, partial(_parse_manifest, shown=shown))


def _parse_manifest(data: bytes, shown: str) -> Manifest:
    value = load_json(data)
    number = value.get("format")
    if type(number) is int and number > FORMAT:
        version = re.fullmatch(r">=[0-9.]{1,20}", str(value.get("needs")))
        raise ArtifactRefused(
            f"{shown}: has format {number}, and this forecast reads up to {FORMAT}; it needs "
            f"forecast{version[0] if version else ', a newer one'}",
            cure="upgrade, or fit again",
        )
    if type(number) is int and 0 < number < FORMAT:
        cure = "move the store elsewhere, and fit again"
        raise ArtifactRefused(f"{shown}: was made by an older forecast", cure=cure)

    manifest = Manifest.model_validate(value)
    for name, entry in manifest.files.items():
        if name == MANIFEST or entry.size > most_bytes(name):
            raise ValueError(f"file {name!r} is unknown or too large")
    digests = {name: entry.sha256 for name, entry in manifest.files.items()}
    if combined_hash(digests) != manifest.hash:
        raise ValueError("the artifact's hash does not follow from those of its files")
    return manifest


def find_package_versions() -> dict[str, str]:
    """Versions of the packages that forecasts depend on, as far as they are installed."""
    versions = {"forecast": __version__}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError, OSError):
            version = metadata.version(name)
            if version:  # None where its record is damaged
                versions[name] = version
    return versions


def version_id(created: datetime, suffix: str) -> str:
    """The id of a version saved at `created` (UTC); ids sort in the order of saving."""
    # strftime writes years before 1000 without zeros
    stamp = _STAMP.replace("%Y", f"{created.year:04d}")
    return f"v-{created.strftime(stamp)}-{suffix}"


def saved_at(version: str) -> datetime | None:
    """When the version with this id was saved; None where it is not a version id."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    with suppress(ValueError):
        return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    return None
