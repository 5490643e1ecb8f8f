"""Turn a fitted forecaster into the contents of a version, and back; contents are checked before they are used."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from forecast.artifacts.format import Arrays, Contents
from forecast.artifacts.plain import load_json
from forecast.artifacts.store import Store
from forecast.errors import ArtifactRefused, ForecastError, NoInput, Setting, Unavailable, UsageError
from forecast.events.closed import NEVER, Closed
from forecast.events.effects import Effects
from forecast.inference.checks import (
    LATER,
    Shapes,
    check_arrays,
    check_config,
    check_settings,
    read_by_series,
    read_closed,
    read_effects,
    read_ensemble,
    read_history,
    read_statistics,
)
from forecast.inference.fitted import RESTORED, RUN_ONLY, Base, Config, Exports, Fitted
from forecast.panel.panel import ARRAYS
from forecast.settings import TrainSettings
from forecast.training.plan import Plan

SCALER = {"statistics", "level", "seasonal_error"}  # what the scaler of every version holds


def to_contents(fitted: Fitted) -> Contents:
    """The contents of a version of the fitted forecaster."""
    panel, ensemble, base = fitted.history, fitted.ensemble, fitted.base
    history: Arrays = {
        **{name: getattr(panel, name) for name in ARRAYS},
        "spread": panel.expanding_std(),
        "lowest": panel.lowest_seen(),
        **({} if panel.counted is None else {"counted": panel.counted}),
        "ids": np.frombuffer(json.dumps([panel.ids, panel.status], ensure_ascii=False).encode(), np.uint8).copy(),
    }
    return Contents(
        config=fitted.config.model_dump(mode="json", by_alias=True),
        weights=_joined(fitted.network_weights),
        scaler={
            "statistics": fitted.statistics.model_dump(mode="json"),
            "level": fitted.level.tolist(),
            "seasonal_error": [value if np.isfinite(value) else None for value in fitted.seasonal_error.tolist()],
            **({} if fitted.effects is None else {"effects": plain(fitted.effects)}),
            **({"closed": plain(fitted.closed)} if len(fitted.closed) else {}),
        },
        history=history,
        calibration={
            "shares": ensemble.weights,
            "errors": ensemble.errors,
            "margins": ensemble.calibration.margins,
            "joint": ensemble.calibration.joint,
            "coverage": ensemble.calibration.coverage,
            "windows": np.array([ensemble.calibration.windows], np.int64),
            **{name: np.array([getattr(ensemble.calibration, name)], np.float32) for name in LATER},
            "roughness": np.array([ensemble.calibration.slope, ensemble.calibration.usual], np.float32),
        },
        base=None if base is None else {"until": base.until, **_joined(base.weights)},
        pretrained=None if ensemble.network is None else ensemble.network.data,
        exports=fitted.exports.files,
        unexported=fitted.exports.missing,
        run=fitted.run,
    )


def from_contents(contents: Contents) -> Fitted:
    """The forecaster of a version; `ArtifactRefused` where a part has other names, types, sizes or bounds."""
    try:
        return _read(contents)
    except MemoryError:  # no fault of the artifact
        raise
    except ForecastError as error:
        if isinstance(error, ArtifactRefused | Unavailable):
            raise
        reason = str(error)
    except Exception as error:
        reason = str(error) or type(error).__name__
    reason = " ".join(reason.split("\n")[0].split())[:200]
    raise ArtifactRefused(f"the artifact does not hold a valid forecaster: {reason}; fit it again")


def _read(contents: Contents) -> Fitted:
    config = Config.model_validate(contents.config)
    check_config(config)
    check_settings(TrainSettings.check(config.settings))
    if config.settings.keys() & RUN_ONLY or contents.scaler.keys() - {"effects", "closed"} != SCALER:
        raise ValueError("it holds unknown settings or statistics")
    history = read_history(contents.history, config)
    return Fitted(
        config=config,
        statistics=read_statistics(contents.scaler["statistics"], config),
        level=read_by_series(contents.scaler["level"], len(history)),
        seasonal_error=read_by_series(contents.scaler["seasonal_error"], len(history)),
        ensemble=read_ensemble(contents.calibration or {}, config, len(history), contents.pretrained),
        history=history,
        network_weights=_parted(contents.weights, config),
        base=None if contents.base is None else _read_base(contents.base, contents.weights, config, len(history)),
        effects=read_effects(contents.scaler["effects"], len(history)) if "effects" in contents.scaler else None,
        closed=read_closed(contents.scaler["closed"], len(history)) if "closed" in contents.scaler else NEVER,
        exports=_read_exports(contents, config),
        run=TrainSettings.check(contents.run).model_dump(include=RESTORED, exclude_defaults=True),
    )


def plain(found: Effects | Closed) -> dict[str, Any]:
    """What a fit found as lists and numbers."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    arrays = {name: value.tolist() for name, value in values.items() if isinstance(value, np.ndarray)}
    return {**values, **arrays, **{name: list(value) for name, value in values.items() if isinstance(value, tuple)}}


def _joined(members: list[dict[str, NDArray[np.float32]]]) -> Arrays:
    """The weights of all members in one dictionary, each name with the member's number before it."""
    return {f"{i}/{name}": array for i, member in enumerate(members) for name, array in member.items()}


def _parted(arrays: Arrays, config: Config) -> list[dict[str, NDArray[np.float32]]]:
    """The weights of each member, from the dictionary that `_joined` makes."""
    weights: dict[str, dict[str, NDArray[np.float32]]]
    weights = {str(number): {} for number in range(sum(map(len, config.members())))}
    for key, array in arrays.items():
        member, _, name = key.partition("/")
        if member not in weights:
            raise ValueError(f"there is no network for the weights '{key[:80]}'")
        weights[member][name] = array
    return list(weights.values())


def _read_exports(contents: Contents, config: Config) -> Exports:
    """Exported networks, which are not parsed before they are used."""
    networks = range(sum(map(len, config.members())))
    if any(number not in networks for number in (*contents.exports, *contents.unexported)):
        raise ValueError("there is no network for an export")
    if contents.exports.keys() & contents.unexported.keys():
        raise ValueError("a network has an export, and has none")
    return Exports(contents.exports, contents.unexported)


def _read_base(arrays: Arrays, weights: Arrays, config: Config, count: int) -> Base:
    shapes: Shapes = {name: (array.shape, np.float32) for name, array in weights.items()}
    check_arrays("the base", arrays, {**shapes, "until": ((count,), np.int64)})
    return Base(_parted({name: array for name, array in arrays.items() if name != "until"}, config), arrays["until"])


def read_plan(path: str) -> Plan:
    """The plan in a file: a plan, or a version's config.json; or that of the live version in a store.

    Raises `NoInput` where there is no such file, and `UsageError` where it holds no plan.
    """
    place, setting = Path(path), Setting("plan", path)
    try:
        if place.is_dir():
            return from_contents(Store(place).load()[0]).config.plan
        given = load_json(place.read_bytes())
    except OSError as error:
        raise NoInput((error.strerror or "cannot be read").lower(), setting=setting) from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", setting=setting) from None
    try:
        return Plan.model_validate(given.get("plan", given))
    except ValidationError as error:
        raise UsageError(f"holds no plan: {str(error.errors()[0]['msg']).lower()}", setting=setting) from None
