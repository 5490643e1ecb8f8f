"""Hostile values: what a sound file may say of models, times, series and shares that there cannot be."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors

from workshop.campaigns._stores import (
    Case,
    network_files,
    packed,
    plain_files,
    with_file,
    write_store,
)

# what changes forecasts, as other weights would, and neither runs anything nor takes much
BELIEVED = (
    'config: settings.model "os.system"',
    "config: components [",
    "config: scores {",
    'table: calendar {"kind": "weekdays", "weekdays": [9, 9]}',
    'table: layout "long"',
    "table: target ",
    "table: season [",
    "table: categories {",
    "table: series [",
    "history: an order that names one series twice",
    "history: no smallest values",
    "history: an array too few",
)


def cases() -> Iterator[Case]:
    """Every case, by kind."""
    for kind in (_configs, _scalers, _histories, _mixtures):
        for case in kind():
            if case.name.startswith(BELIEVED):
                case = replace(case, harmless="its forecasts are others, as with other weights")
            yield case


def _changed(path: str, value: Any, network: bool = False) -> Callable[[Path], object]:
    """A store whose config has another value at a path such as ``plan.members.0.model``."""

    def write(place: Path) -> None:
        files = dict(network_files() if network else plain_files())
        config = json.loads(files["config.json"])
        at, steps = config["config"], path.split(".")
        if steps[0] in config["ensemble"]:
            at = config["ensemble"]
        for step in steps[:-1]:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if isinstance(at, list):
            at[int(steps[-1])] = value
        else:
            at[steps[-1]] = value
        files["config.json"] = json.dumps(config).encode()
        write_store(place, files)

    return write


def _configs() -> Iterator[Case]:
    for name in (
        "os.system",
        "../x",
        "__init__",
        "shared",
        "shared.model",
        "gru\n",
        "GRU",
        "",
        "gru.Network",
        "x" * 10**6,
    ):
        yield Case(
            f"config: model {name[:20]!r}", _changed("plan.members.0.model", name, network=True)
        )
    for path, value in (
        ("settings.model", "os.system"),
        ("settings.device", "cuda"),
        ("settings.jobs", 10**6),
        ("settings.seed", -1),
        ("settings.learning_rate", 1e300),
        ("settings.params", {"hidden_size": {"a": 1}}),
        ("settings.__class__", "os.system"),
        ("plan.members.0.params.hidden_size", 10**9),
        ("plan.members.0.params.hidden_size", 4096),
        ("plan.members.0.params.hidden_size", -1),
        ("plan.members.0.params.hidden_size", 0),
        ("plan.members.0.params.hidden_size", "os.system"),
        ("plan.members.0.params.hidden_size", 1e30),
        ("plan.members.0.params.layers", 10**9),
        ("plan.members.0.params.layers", 16),
        ("plan.members.0.params", {"hidden_size": 4096, "layers": 16}),
        ("plan.members.0.params.kind", "os.system"),
        ("plan.members.0.params.__init__", 1),
        ("plan.members.0.params", []),
        ("plan.members.0.lookback", 10**9),
        ("plan.members.0.lookback", 100_000),
        ("plan.members.0.lookback", 0),
        ("plan.members.0.scaling", "os.system"),
        ("plan.members.0.batch_size", -1),
        ("plan.members", []),
        (
            "plan.members",
            [
                {
                    "model": "gru",
                    "lookback": 1,
                    "batch_size": 1,
                    "steps": 1,
                    "refit_steps": 0,
                    "validate_every": 1,
                }
            ]
            * 10_000,
        ),
        ("networks", [0] * 100_000),
        ("networks", [-1]),
        ("networks", [10**6]),
        ("networks", [0, 0]),
        ("horizon", 10**9),
        ("horizon", 99_999),
        ("horizon", 0),
        ("horizon", -1),
        ("lags", [10**9]),
        ("lags", [0]),
        ("lags", [2] * 10_000),
        ("levels", []),
        ("levels", [0.5] * 9),
        ("levels", [0.9, 0.5, 0.1] * 3),
        ("levels", [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95]),
        ("power", -1),
        ("power", 2),
        ("components", []),
        ("components", ["os.system"]),
        ("components", [""]),
        ("components", ["-"]),
        ("components", ["last-12"]),
        ("components", ["lstm"]),
        ("scores", {"gru": 1.0}),
        ("train_end", {"a": 1}),
    ):
        shown = json.dumps(value)
        yield Case(f"config: {path} {shown[:40]}", _changed(path, value, network=True))
    yield from _tables()


def _tables() -> Iterator[Case]:
    for path, value in (
        ("calendar.kind", "os.system"),
        ("calendar.every", 0),
        ("calendar.every", 2**62),
        ("calendar.anchor", 2**62),
        ("calendar.anchor", -(2**62)),
        ("calendar.day", 99),
        ("calendar.offset", -1),
        ("calendar", {"kind": "weekdays", "weekdays": []}),
        ("calendar", {"kind": "weekdays", "weekdays": [9, 9]}),
        ("calendar", {"kind": "steps", "anchor": 2**62}),
        ("time_format.kind", "os.system"),
        ("time_format.zone", "../../../../etc/passwd"),
        ("time_format.zone", "/etc/passwd"),
        ("time_format.zone", "+99:99"),
        ("time_format.zone", "x" * 10**7),
        ("time_format.pattern", "%s" * 1000),
        ("time_format.pattern", "%Y" + "x" * 10**7),
        ("time_format.pattern", "%999999999d"),
        ("time_format.unit", "os"),
        ("time_format", {"kind": "period", "pattern": "os.system"}),
        ("ids", []),
        ("ids", ["month"]),
        ("ids", ["a", "b"]),
        ("ids", [{"a": 1}]),
        ("time", "series"),
        ("layout", "os.system"),
        ("layout", "long"),
        ("target", "passengers"),
        ("season", [0]),
        ("season", [-(2**60)]),
        ("known", ["a"]),
        ("static", ["a"] * 1000),
        ("categories", {"a": ["b"]}),
        ("series", ["a", "a"]),
    ):
        shown = json.dumps(value)
        yield Case(f"table: {path} {shown[:40]}", _changed(f"table.{path}", value))
    yield Case("table: target null", _changed("table.target", None, network=True))
    for name in ("os.system", "HolidayBase", "list_supported_countries", "__class__", "x" * 10**7):
        yield Case(f"table: holidays {name[:40]}", _changed("table.holidays", name, network=True))


# Statistics, history, mixture


def _scalers() -> Iterator[Case]:
    for name, path, value in (
        ("statistics of no column", "statistics", "os.system"),
        ("a key too many", "hook", "os.system"),
    ):
        yield Case(
            f"statistics: {name}", lambda place, path=path, value=value: _stated(place, path, value)
        )
    for name, changes in {
        "levels below 0": {"level": _put(-1, 0)},
        "a level too many": {"level": lambda array: np.append(array, 1.0)},
        "levels in lists": {"level": lambda array: array[:, None]},
        "a level that is infinite": {"level": _put(np.inf, 0)},
        "an error of -1": {"naive_error": _put(-1, 0)},
        "a lookback of 10**9": {"ensemble.lookback": lambda array: np.array(10**9)},
        "a lookback of 100,000": {"ensemble.lookback": lambda array: np.array(100_000)},
        "a context of 100,000": {"ensemble.context_length": lambda array: np.array(100_000)},
        "ends of too few series": {"trained_until": lambda array: array[:-1]},
        "ends that are no whole numbers": {"trained_until": lambda array: array.astype(np.float32)},
        "no ends": {"trained_until": None},
    }.items():
        yield Case(f"statistics: {name}", _arrays("arrays.safetensors", changes))
    for name, data in {
        "a number of 2,000 digits": b'{"config": [1' + b"0" * 2000 + b"]}",
        "1e999": b'{"config": [1e999]}',
        "200,000 lists in each other": b'{"config": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "3,000,000 lists": b'{"config": [' + b"[]," * 3_000_000 + b"1]}",
        "a list": b"[]",
        "nothing": b"",
        "two objects": b"{}{}",
        "UTF-16": '{"config": []}'.encode("utf-16"),
        "half of a surrogate pair": b'{"config": "\\ud800"}',
    }.items():
        yield Case(f"config: {name}", with_file("config.json", data))


def _stated(place: Path, path: str, value: Any) -> None:
    files = dict(network_files())
    tree = json.loads(files["config.json"])
    at, steps = tree, path.split(".")
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = value
    files["config.json"] = json.dumps(tree).encode()
    write_store(place, files)


def _arrays(name: str, changes: dict[str, Any]) -> Callable[[Path], object]:
    """A store whose arrays in a file are changed by functions of them; None takes one away."""

    def write(place: Path) -> None:
        files = dict(network_files())
        arrays = load_tensors(files[name])
        for key, change in changes.items():
            if change is None:
                del arrays[key]
            else:
                arrays[key] = np.asarray(change(np.array(arrays.get(key, np.zeros(0, np.float32)))))
        files[name] = packed(arrays)
        write_store(place, files)

    return write


def _put(value: Any, at: Any = 0) -> Callable[[Any], Any]:
    def put(array: Any) -> Any:
        array[at] = value
        return array

    return put


def _texts(**changes: Any) -> Callable[[Path], object]:
    """A store whose history has other texts."""
    return lambda place: _stated(place, "history", {**_history(), **changes})


def _history() -> dict[str, Any]:
    history: dict[str, Any] = json.loads(network_files()["config.json"])["history"]
    return history


def _histories() -> Iterator[Case]:
    big = 2**63 - 1
    for name, changes in {
        "offsets that wrap around": {"offsets": _put([0, big, -big + 10, 195], slice(None))},
        "offsets beyond the end": {"offsets": _put(10**12, -1)},
        "offsets below 0": {"offsets": _put(-5, 0)},
        "offsets that fall": {"offsets": _put(10**6, 1)},
        "starts far apart": {"starts": _put(-(10**15), 0)},
        "starts at 2**63": {"starts": _put(big, slice(None))},
        "starts at -2**63": {"starts": _put(-big - 1, slice(None))},
        "starts 10,000 years ago": {"starts": lambda array: array - 3_650_000 * 10},
        "an order that names one series twice": {"order": _put(0, slice(None))},
        "an order beyond the end": {"order": _put(10**9, 0)},
        "values that are infinite": {"values": _put(np.inf, 0)},
        "values that are NaN": {"values": _put(np.nan, 0)},
        "values of 1e300": {"values": _put(1e300, 0)},
        "values in single precision": {"values": lambda array: array.astype(np.float32)},
        "covariates of 1e300": {"past": _put(1e300, (slice(None), 1))},
        "spread below 0": {"spread": _put(-1, 0)},
        "spread that is infinite": {"spread": _put(np.inf, 0)},
        "spread that is NaN": {"spread": _put(np.nan, 0)},
        "a smallest value that is NaN": {"lowest": _put(np.nan, 0)},
        "no smallest values": {"lowest": None},
        "smallest values of too few series": {"lowest": lambda array: array[:-1]},
        "counts of too few series": {"counted": lambda array: array[:-1]},
        "counts that are numbers": {"counted": lambda array: array.astype(np.int64)},
        "codes of no category": {"past": _put(99, (slice(None), 0))},
        "codes below 0": {"past": _put(-1, (slice(None), 0))},
        "codes of 1e30": {"static": _put(1e30, (0, 0))},
        "covariates that are infinite": {"past": _put(np.inf, (slice(None), 1))},
        "flags that are 2": {"observed": lambda array: (array.view(np.uint8) + 1).view(np.bool_)},
        "an array too many": {"hook": lambda array: array},
        "an array too few": {"spread": None},
        "whole numbers as values": {"values": lambda array: array.astype(np.int64)},
        "values in two dimensions": {"values": lambda array: array[:, None]},
        "too few values": {"values": lambda array: array[:-1]},
    }.items():
        own = {f"history.{key}": change for key, change in changes.items()}
        yield Case(f"history: {name}", _arrays("arrays.safetensors", own))
    for name, texts in {
        "ids that are numbers": {"ids": [[1], [2], [3]]},
        "ids that are dicts": {"ids": [[{}], [{}], [{}]]},
        "too few ids": {"ids": [["a"], ["b"]], "status": ["ok"] * 2},
        "a status too few": {"status": ["ok"]},
        "no series": {"ids": [], "status": []},
    }.items():
        yield Case(f"history: {name}", _texts(**texts))
    formulas = [["=cmd|' /C calc'!A0"], ["@SUM(1)"], ["-1+1"]]
    yield Case(
        "history: ids that are formulas",
        _texts(ids=formulas),
        harmless="ids are text; --excel-safe keeps a spreadsheet from running them",
    )
    yield Case(
        "history: no value was observed",
        _arrays("arrays.safetensors", {"history.observed": _put(False, slice(None))}),
        harmless="masked values are what a blank series has",
    )


def _mixtures() -> Iterator[Case]:
    nan, inf = np.nan, np.inf
    for name, changes in {
        "weights that are NaN": {"weights": _put(nan, (0, 0))},
        "weights below 0": {"weights": _put(-1, (0, 0))},
        "weights of too few series": {"weights": lambda array: array[:-1]},
        "weights of another component": {
            "weights": lambda array: np.concatenate([array, array], 1) / 2
        },
        "errors that are infinite": {"errors": _put(inf, (0, 0, 0))},
        "margins that are NaN": {"calibration.margins": _put(nan, (0, 0))},
        "margins of another horizon": {"calibration.margins": lambda array: array[:-1]},
        "coverage of text": {"calibration.coverage": lambda array: array.view(np.uint8)},
        "windows below 0": {"calibration.windows": lambda array: np.array(-1)},
        "windows that are many": {"calibration.windows": lambda array: np.repeat(array, 9)},
        "an array too many": {"hook": lambda array: array},
        "an array too few": {"calibration.coverage": None},
    }.items():
        own = {f"ensemble.{key}": change for key, change in changes.items()}
        yield Case(f"calibration: {name}", _arrays("arrays.safetensors", own))
    for name, changes in {
        "weights that are NaN": {"base/0/decoder.direct.weight": _put(nan, (0, 0))},
        "weights of 64 bits": {
            "base/0/decoder.direct.weight": lambda array: array.astype(np.float64)
        },
        "weights for a network called 99": {"base/99/a": lambda array: array},
    }.items():
        yield Case(f"base: {name}", _arrays("weights.safetensors", changes))
    yield Case(
        "weights: none of a network",
        lambda place: write_store(place, {**network_files(), "weights.safetensors": packed({})}),
    )
    yield Case(
        "weights: of another shape",
        _arrays("weights.safetensors", {"0/decoder.direct.weight": lambda array: array.T.copy()}),
    )
    yield Case(
        "weights: for a network called -1",
        _arrays("weights.safetensors", {"-1/a": lambda array: array}),
    )
    yield Case(
        "weights: as large as float32 goes",
        _arrays(
            "weights.safetensors",
            {
                "0/decoder.direct.weight": _put(3e38, slice(None)),
                "0/decoder.direct.bias": _put(3e38, slice(None)),
            },
        ),
    )
    yield Case(
        "two artifacts in one",
        lambda place: write_store(
            place, {**plain_files(), "config.json": network_files()["config.json"]}
        ),
    )
