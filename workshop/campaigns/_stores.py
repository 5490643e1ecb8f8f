"""Stores as someone would write them who means harm: any files, with manifests and checksums that fit them."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast import Forecaster
from forecast.artifacts.format import FORMAT, combined_hash, encode
from forecast.engine.exporting import add_exports
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted
from forecast.tables.synthetic import synthesize

VERSION = "v-20300101T000000.000000Z-0123abcd"
DATA = Path(__file__).parents[2] / "data"
NAMES = ("config.json", "arrays.safetensors", "weights.safetensors")
TYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int32": "I32",
    "int64": "I64",
    "float32": "F32",
    "float64": "F64",
}


@dataclass(frozen=True)
class Case:
    """One hostile store.

    Attributes
    ----------
    name : what it tries
    write : puts the store into a folder
    harmless : None, or why it may be accepted: someone honest could have written it
    """

    name: str
    write: Callable[[Path], object]
    harmless: str | None = None


def write_store(place: Path, files: Mapping[str, bytes], manifest: bytes | None = None) -> Path:
    """Write one live version that agrees with itself; returns its folder."""
    folder = place / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    data = signed(files) if manifest is None else manifest
    (folder / "MANIFEST.json").write_bytes(data)
    (place / "CURRENT").write_text(f"{VERSION} {hashlib.sha256(data).hexdigest()}\n")
    return folder


def signed(files: Mapping[str, bytes], number: int | None = None) -> bytes:
    """A manifest that fits the files, of any format; default their own."""
    entries = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    manifest = {
        "format": FORMAT if number is None else number,
        "needs": ">=0.1",
        "version": VERSION,
        "created": "2030-01-01T00:00:00+00:00",
        "hash": combined_hash({name: str(entry["sha256"]) for name, entry in entries.items()}),
        "files": entries,
        "packages": {},
    }
    return json.dumps(manifest).encode()


@cache
def passengers() -> pd.DataFrame:
    """The monthly sample."""
    return pd.read_csv(DATA / "air_passengers.csv")


@cache
def shops() -> pd.DataFrame:
    """Three shops, with numbers and categories beside the target."""
    frame = synthesize("seasonal", series=3, length=60, seed=3).rename(
        columns={"series": "shop", "value": "units"}
    )
    day = frame.groupby("shop").cumcount()
    frame["day"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).dt.strftime(
        "%Y-%m-%d"
    )
    frame["weekend"] = np.where(day % 7 > 4, "yes", "no")
    frame["price"] = 10 + (day * 7 % 11) / 10
    frame["size"] = frame["shop"].map({"s001": "small", "s002": "large", "s003": "small"})
    return frame[["shop", "day", "units", "weekend", "price", "size"]]


@cache
def plain_files() -> dict[str, bytes]:
    """The files of a baseline that forecasts the monthly sample."""
    return encode(to_contents(Forecaster(model="last").fit(passengers()).fitted_))


class Runs:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@cache
def network_files() -> dict[str, bytes]:
    """The files of a small network that forecasts three shops."""
    return encode(to_contents(_network()))


@cache
def exported_files() -> dict[str, bytes]:
    """The same files with an export of the network; without one where the extra `onnx` is not installed."""
    return encode(to_contents(add_exports(_network())))


@cache
def _network() -> Fitted:
    model = Forecaster(
        model="gru",
        params={"hidden_size": 4},
        steps=5,
        horizon=5,
        guard=False,
        time="day",
        id=("shop",),
        target=("units",),
        past=("weekend", "price"),
        static=("size",),
    )
    return model.fit(shops()).fitted_


def tensors(header: Any, payload: bytes = b"") -> bytes:
    """A safetensors file from its header, an object or JSON text, and what follows it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + payload


def packed(arrays: Mapping[str, Any]) -> bytes:
    """A safetensors file of any arrays, with none of the checks that the product's own writer makes."""
    header, parts, start = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        kind = TYPES.get(array.dtype.name, "F16")
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [start, start + len(data)],
        }
        parts.append(data)
        start += len(data)
    return tensors(header, b"".join(parts))


def with_file(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], object]:
    """A store in which one file holds `data`; what is large is made when it is needed."""
    return lambda place: write_store(
        place, {**plain_files(), name: data if isinstance(data, bytes) else data()}
    )
