"""What the fuzzer does with the loader: its bytes become files of a store, or changes of a sound one, signed anew."""

import json
import random
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors

from forecast import Forecaster
from forecast.artifacts.format import MANIFEST, decode, dump_manifest, load_manifest, parse_strictly
from forecast.artifacts.graph import check_graph
from forecast.artifacts.store import Store
from forecast.errors import ForecastError
from forecast.inference.contents import from_contents
from workshop.campaigns._choices import Choices
from workshop.campaigns._stores import (
    NAMES,
    VERSION,
    exported_files,
    network_files,
    packed,
    passengers,
    plain_files,
    shops,
    write_store,
)

STORED = 8  # of so many artifacts one is read from a store, and made to forecast
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 12, 255, 1000, 99_999, 100_001, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64),
    *(0.0, -0.5, 0.5, 1e-300, 1e308, 1.5, "", "last", "gru", "os.system", "../x", "__init__", "\ud800", "=1+1"),
    *("UTC", "Europe/Berlin", "../../etc/passwd", "%Y-%m-%d", "%" * 9, "%999999999d", "D", "h", "weekdays", "seconds"),
    *([], {}, [[]], [0], [1, 2], ["last"], {"a": 1}, [12] * 40, [""]),
]  # fmt: skip


def one(data: bytes, place: Path) -> None:
    """Give the loader what `data` says, in a store at `place`; all but a ForecastError is a finding."""
    choices = Choices(data)
    kind = choices.whole(0, len(_KINDS) - 1)
    try:
        _KINDS[kind](choices, place)
    except ForecastError:
        return


def seeds() -> list[bytes]:
    """Inputs to begin with: each real file as raw bytes, and some changes of each kind."""
    found = []
    for network, files in enumerate((plain_files(), network_files())):
        manifest = dump_manifest(files, VERSION, "2030-01-01T00:00:00+00:00")
        found.append(manifest + bytes([0]))  # decisions are taken from the end
        found += [files[name] + bytes([network, 2 + at]) for at, name in enumerate(NAMES)]
    found.append(f"{VERSION} {'0' * 64}\n".encode() + bytes([1]))
    chance = random.Random(0)
    found += [
        chance.randbytes(chance.randint(4, 60)) + bytes([kind])
        for kind in (8, 9, 10, 11)
        for _ in range(20)
    ]
    return found


def _manifest(choices: Choices, place: Path) -> None:
    load_manifest(choices.raw(1 << 16), MANIFEST)


def _pointer(choices: Choices, place: Path) -> None:
    (place / "CURRENT").write_bytes(choices.raw(300))
    Store(place).current()


def _raw(at: int) -> Callable[[Choices, Path], None]:
    def run(choices: Choices, place: Path) -> None:
        files = dict(network_files() if choices.flag() else plain_files())
        files[NAMES[at]] = choices.raw(1 << 16)
        _load(files, choices, place)

    return run


def _patched(choices: Choices, place: Path) -> None:
    files = dict(network_files() if choices.flag() else plain_files())
    name = NAMES[choices.whole(0, len(NAMES) - 1)]
    data = bytearray(files[name])
    for _ in range(choices.whole(1, 4)):
        start = choices.whole(0, len(data))
        new = choices.raw(choices.whole(0, 12))
        data[start : start + choices.whole(0, 12)] = new
    files[name] = bytes(data)
    _load(files, choices, place)


def _values(choices: Choices, place: Path) -> None:
    """Change the config as a tree: the JSON stays sound, what it says does not."""
    files = dict(network_files() if choices.flag() else plain_files())
    name = "config.json"
    tree = json.loads(files[name])
    for _ in range(choices.whole(1, 3)):
        _change(tree, choices)
    files[name] = json.dumps(tree).encode()
    _load(files, choices, place)


def _arrays(choices: Choices, place: Path) -> None:
    """Change arrays of the weights, the history or the calibration: types, shapes, values, names."""
    files = dict(network_files() if choices.flag() else plain_files())
    name = NAMES[choices.whole(2, len(NAMES) - 1)]
    arrays = load_tensors(files[name])
    for _ in range(choices.whole(1, 3)):
        keys = sorted(arrays) or [""]
        key = keys[choices.whole(0, len(keys) - 1)]
        array = np.array(arrays.get(key, np.zeros(0, np.float32)))
        action = choices.whole(0, 6)
        if action == 0:
            arrays.pop(key, None)
        elif action == 1:
            arrays[choices.text(6)] = array
        elif action == 2:
            kinds = [np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64, np.float16]
            with np.errstate(all="ignore"):
                arrays[key] = array.astype(kinds[choices.whole(0, 6)])
        elif action == 3:
            arrays[key] = array.reshape(-1)[: choices.whole(0, max(array.size, 1))]
        elif action == 4:
            arrays[key] = np.repeat(array[None], choices.whole(0, 3), 0)
        elif array.size:
            flat = array.reshape(-1)
            at = choices.whole(0, array.size - 1)
            new = choices.raw(array.dtype.itemsize).ljust(array.dtype.itemsize, b"\0")
            flat[at : at + 1 if action == 5 else None] = np.frombuffer(new, array.dtype)[0]
            arrays[key] = flat.reshape(array.shape)
    files[name] = packed(arrays)
    _load(files, choices, place)


def _graph(choices: Choices, place: Path) -> None:
    """Patch an export; only the check reads it, which must refuse what it does not know."""
    data = bytearray(exported_files().get("network-0.onnx", b""))
    for _ in range(choices.whole(1, 4)):
        start = choices.whole(0, len(data))
        data[start : start + choices.whole(0, 12)] = choices.raw(choices.whole(0, 12))
    parse_strictly("network-0.onnx", bytes(data), check_graph)


def _load(files: dict[str, bytes], choices: Choices, place: Path) -> None:
    """Read these files to the end, and some of them from a store, which forecasts where it is accepted."""
    if choices.whole(0, STORED - 1) != STORED // 2:
        from_contents(decode(files))
        return
    write_store(place, files)
    forecaster = Forecaster.load(str(place))
    forecaster.describe()
    forecaster.predict()
    forecaster.predict(shops() if len(forecaster.fitted_.history) > 1 else passengers())


def _change(tree: Any, choices: Choices) -> None:
    """Replace, remove or add one value somewhere in a tree of dictionaries and lists."""
    at = tree
    while True:
        keys = sorted(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            break
        key = keys[choices.whole(0, len(keys) - 1)]
        if isinstance(at[key], dict | list) and at[key] and choices.whole(0, 3):
            at = at[key]
            continue
        action = choices.whole(0, 9)
        if action == 0:
            del at[key]
        elif action == 1:
            at[key] = choices.text(8)
        elif action == 2:
            at[key] = choices.whole(-(2**63), 2**63 - 1)
        elif action == 3:
            at[key] = choices.real()
        elif action == 4 and isinstance(at, list):
            at.extend(at[:] * choices.whole(1, 3))
        elif action == 5 and isinstance(at, dict):
            at[choices.text(8)] = at[key]
        else:
            at[key] = deepcopy(VALUES[choices.whole(0, len(VALUES) - 1)])
        return


_KINDS = [
    _manifest,
    _pointer,
    *(_raw(at) for at in range(len(NAMES))),
    _patched,
    _values,
    _arrays,
    _graph,
]
