"""Hostile values: what a sound file may say of models, times, series and shares that there cannot be."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors

from tests.faults._stores import Case, network_files, packed, plain_files, with_file, write_store


def cases() -> Iterator[Case]:
    """Every case, by kind."""
    for kind in (_configs, _scalers, _histories, _mixtures):
        yield from kind()


def _changed(path: str, value: Any, network: bool = False) -> Callable[[Path], object]:
    """A store whose config has another value at a path such as ``plan.members.0.model``."""

    def write(place: Path) -> None:
        files = dict(network_files() if network else plain_files())
        config = json.loads(files["config.json"])
        at, steps = config, path.split(".")
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
        ("lookback", 10**9),
        ("lookback", 100_000),
        ("memory", 10**9),
        ("memory", 100_000),
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
        ("a deviation of 0", "statistics.past", [[0.0, 0.0], [0.0, 1.0]]),
        ("a deviation below 0", "statistics.past", [[0.0, -1.0], [0.0, 1.0]]),
        ("a mean above all values that are read", "statistics.past", [[1e300, 1.0], [0.0, 1.0]]),
        ("statistics of too many columns", "statistics.past", [[0.0, 1.0]] * 100),
        ("statistics of no column", "statistics.past", []),
        ("statistics that are text", "statistics", "os.system"),
        ("levels that are text", "level", ["1", "2", "3"]),
        ("levels below 0", "level", [-1.0, 1.0, 1.0]),
        ("a level too many", "level", [1.0] * 4),
        ("levels in lists", "level", [[1.0], [1.0], [1.0]]),
        ("a seasonal error of -1", "seasonal_error", [-1.0, None, None]),
        ("a key too many", "hook", "os.system"),
    ):
        yield Case(
            f"scaler: {name}", lambda place, path=path, value=value: _scaled(place, path, value)
        )
    for value in (float("nan"), float("inf"), -float("inf")):
        yield Case(
            f"scaler: a level of {value}",
            lambda place, value=value: _scaled(place, "level", [value, 1.0, 1.0]),
        )
    for name, data in {
        "a key that comes twice": b'{"level": [1.0], "level": [2.0]}',
        "a number of 2,000 digits": b'{"level": [1' + b"0" * 2000 + b"]}",
        "1e999": b'{"level": [1e999]}',
        "200,000 lists in each other": b'{"level": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "3,000,000 lists": b'{"level": [' + b"[]," * 3_000_000 + b"1]}",
        "a list": b"[]",
        "nothing": b"",
        "two objects": b"{}{}",
        "UTF-16": '{"level": []}'.encode("utf-16"),
        "half of a surrogate pair": b'{"level": "\\ud800"}',
    }.items():
        yield Case(f"scaler: {name}", with_file("scaler.json", data))


def _scaled(place: Path, path: str, value: Any) -> None:
    files = dict(network_files())
    tree = json.loads(files["scaler.json"])
    at, steps = tree, path.split(".")
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = value
    files["scaler.json"] = json.dumps(tree).encode()
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


def _ids(value: Any) -> Callable[[Any], Any]:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda array: np.frombuffer(text, np.uint8)


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
        "no series": {
            **{
                key: (lambda array: array[:0])
                for key in (
                    "order",
                    "starts",
                    "values",
                    "observed",
                    "spread",
                    "known",
                    "past",
                    "static",
                )
            },
            "offsets": lambda array: array[:1],
            "ids": _ids([[], []]),
        },
        "ids nested deep": {"ids": _ids(b"[" * 100_000 + b"]" * 100_000)},
        "ids that are no JSON": {"ids": _ids(b"os.system")},
        "ids that are numbers": {"ids": _ids([[[1], [2], [3]], ["ok"] * 3])},
        "ids that are dicts": {"ids": _ids([[[{}], [{}], [{}]], ["ok"] * 3])},
        "one id twice": {"ids": _ids([[["a"], ["a"], ["b"]], ["ok"] * 3])},
        "ids of two parts": {"ids": _ids([[["a", "x"], ["b", "x"], ["c", "x"]], ["ok"] * 3])},
        "too few ids": {"ids": _ids([[["a"], ["b"]], ["ok"] * 2])},
        "a status too few": {"ids": _ids([[["a"], ["b"], ["c"]], ["ok"]])},
        "half of a surrogate pair as an id": {
            "ids": _ids(b'[[["\\ud800"],["b"],["c"]],["ok","ok","ok"]]')
        },
        "NaN as an id": {"ids": _ids(b'[[[NaN],["b"],["c"]],["ok","ok","ok"]]')},
    }.items():
        yield Case(f"history: {name}", _arrays("history.safetensors", changes))
    formulas = [["=cmd|' /C calc'!A0"], ["@SUM(1)"], ["-1+1"]]
    yield Case(
        "history: ids that are formulas",
        _arrays("history.safetensors", {"ids": _ids([formulas, ["ok"] * 3])}),
        harmless="ids are text; --excel-safe keeps a spreadsheet from running them",
    )
    yield Case(
        "history: no value was observed",
        _arrays("history.safetensors", {"observed": _put(False, slice(None))}),
        harmless="masked values are what a blank series has",
    )


def _mixtures() -> Iterator[Case]:
    nan, inf = np.nan, np.inf
    for name, changes in {
        "shares that are NaN": {"shares": _put(nan, (0, 0))},
        "shares below 0": {"shares": _put(-1, (0, 0))},
        "shares above 1": {"shares": _put(5, (0, 0))},
        "shares of too few series": {"shares": lambda array: array[:-1]},
        "shares of another component": {
            "shares": lambda array: np.concatenate([array, array], 1) / 2
        },
        "errors that are infinite": {"errors": _put(inf, (0, 0, 0))},
        "margins that are NaN": {"margins": _put(nan, (0, 0))},
        "margins of another horizon": {"margins": lambda array: array[:-1]},
        "coverage of text": {"coverage": lambda array: array.view(np.uint8)},
        "windows below 0": {"windows": _put(-1, 0)},
        "windows that are many": {"windows": lambda array: np.repeat(array, 9)},
        "an array too many": {"hook": lambda array: array},
        "an array too few": {"coverage": None},
    }.items():
        yield Case(f"calibration: {name}", _arrays("calibration.safetensors", changes))
    yield Case(
        "calibration: none",
        lambda place: write_store(
            place,
            {
                name: data
                for name, data in plain_files().items()
                if name != "calibration.safetensors"
            },
        ),
    )
    for name, changes in {
        "weights of another shape": {"0/decoder.direct.weight": lambda array: array.T.copy()},
        "weights that are NaN": {"0/decoder.direct.weight": _put(nan, (0, 0))},
        "weights of 64 bits": {"0/decoder.direct.weight": lambda array: array.astype(np.float64)},
        "weights too few": {"0/decoder.direct.weight": None},
        "weights for a network called 99": {"99/a": lambda array: array},
        "ends of too few series": {"until": lambda array: array[:-1]},
        "ends that are no whole numbers": {"until": lambda array: array.astype(np.float32)},
        "no ends": {"until": None},
    }.items():
        yield Case(f"base: {name}", _arrays("base.safetensors", changes))
    yield Case(
        "base: ends at 2**63",
        _arrays("base.safetensors", {"until": _put(2**63 - 1, slice(None))}),
        harmless="a later fit compares them, and goes on from the base or does not",
    )
    yield Case(
        "weights: none of a network",
        lambda place: write_store(place, {**network_files(), "model.safetensors": packed({})}),
    )
    yield Case(
        "weights: of another shape",
        _arrays("model.safetensors", {"0/decoder.direct.weight": lambda array: array.T.copy()}),
    )
    yield Case(
        "weights: for a network called -1",
        _arrays("model.safetensors", {"-1/a": lambda array: array}),
    )
    yield Case(
        "weights: as large as float32 goes",
        _arrays(
            "model.safetensors",
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
