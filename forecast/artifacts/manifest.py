"""The manifest of a version: files and checksums, format, packages, name and time."""

import hashlib
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from forecast.artifacts.format import FORMAT, MANIFEST, combined_hash, format_of, most_bytes, parse_strictly
from forecast.artifacts.plain import dump_json, load_json
from forecast.errors import ArtifactRefused

NEEDS = {2: ">=0.2", 3: ">=0.3"}  # the forecast versions that read a format

_PACKAGES = ("forecast", "joblib", "numpy", "pandas", "pydantic", "safetensors", "scikit-learn", "torch")
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_VERSION = re.compile(r"v-([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-[0-9a-f]{8}")

Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,2})$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(BaseModel):
    """What a version is made of, and with which packages it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int = Field(ge=2)
    needs: str = Field(description="the forecast versions that read this format")
    version: str = Field(description="name of the version's folder")
    created: str = Field(description="when it was saved, ISO 8601, UTC")
    hash: Sha256 = Field(description="the artifact's hash")
    files: dict[str, FileEntry]
    packages: dict[str, str]
    run: dict[str, bool | int | float] = Field({}, description="settings of training that are not part of the hash")
    unexported: dict[Number, Annotated[str, Field(max_length=300)]] = {}  # why networks have no export


def dump_manifest(
    files: Mapping[str, bytes], version: str, created: str, run: Mapping[str, Any] = {}, reasons: Mapping[int, str] = {}
) -> bytes:
    """The manifest of a version that is made of `files`; `reasons` say why networks have no export."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    number = FORMAT if reasons else format_of(files)
    manifest = Manifest(
        format=number,
        needs=NEEDS[number],
        version=version,
        created=created,
        hash=combined_hash(digests),
        files={name: FileEntry(size=len(files[name]), sha256=digest) for name, digest in digests.items()},
        packages={"python": platform.python_version(), **installed()},
        run=dict(run),
        unexported={str(network): reason for network, reason in reasons.items()},
    )
    return dump_json(manifest.model_dump(exclude=None if reasons else {"unexported"}))  # which older releases refuse


def load_manifest(data: bytes, shown: str) -> Manifest:
    """Return the manifest in `data`, which messages call `shown`."""
    return parse_strictly(shown, data, lambda data: _parsed(load_json(data), shown))


def _parsed(value: dict[str, Any], shown: str) -> Manifest:
    number, needs = value.get("format"), value.get("needs")
    if type(number) is int and number > FORMAT:
        release = needs if type(needs) is str and re.fullmatch(r">=[0-9]+(\.[0-9]+){0,3}", needs) else ", a newer one"
        raise ArtifactRefused(
            f"{shown}: has format {number}, and this forecast reads up to {FORMAT}; it needs forecast{release}: "
            "upgrade, or fit again"
        )
    if type(number) is int and number == 1:
        raise ArtifactRefused(f"{shown}: was made by forecast 0.1.0; move the store elsewhere, and fit again")
    manifest = Manifest.model_validate(value)
    for name, entry in manifest.files.items():
        if name == MANIFEST or entry.size > most_bytes(name):
            raise ValueError(f"file {name!r} is unknown or too large")
    if combined_hash({name: entry.sha256 for name, entry in manifest.files.items()}) != manifest.hash:
        raise ValueError("the artifact's hash does not follow from those of its files")
    return manifest


def installed() -> dict[str, str]:
    """Versions of the packages that forecasts depend on, as far as they are installed."""
    versions = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError, OSError):  # e.g. forecast itself, run from a checkout
            versions[name] = metadata.version(name)
    return {name: version for name, version in versions.items() if version}  # None where its record is damaged


def version_id(created: datetime, suffix: str) -> str:
    """Return the id of a version that is saved at `created` (UTC); ids sort in the order of saving."""
    stamp = _STAMP.replace("%Y", f"{created.year:04d}")  # strftime writes years before 1000 without zeros
    return f"v-{created.strftime(stamp)}-{suffix}"


def saved_at(version: str) -> datetime | None:
    """When the version with this id was saved; None where it is not a version id."""
    match = _VERSION.fullmatch(version)
    try:
        return None if match is None else datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
