"""Turn a fitted forecaster into the contents of a version, and back; contents are checked before they are used."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from forecast.artifacts.format import Arrays, Contents, load_json
from forecast.artifacts.store import Store
from forecast.errors import ArtifactRefused, NoInput, Setting, Unavailable, UsageError
from forecast.events.closed import NONE_CLOSED, Closed
from forecast.events.effects import Effects
from forecast.inference import checks
from forecast.inference.fitted import RESTORED_SETTINGS, RUN_SETTINGS, Base, Config, Fitted
from forecast.panel.panel import ARRAYS
from forecast.settings import TrainSettings
from forecast.training.plan import Plan

SCALER = {"statistics", "level", "seasonal_error"}  # what the scaler of every version holds


def to_contents(fitted: Fitted) -> Contents:
    panel, ensemble, base = fitted.history, fitted.ensemble, fitted.base
    calibration = ensemble.calibration
    history: Arrays = {
        **{name: getattr(panel, name) for name in ARRAYS},
        "spread": panel.expanding_std(),
        "lowest": panel.lowest_seen(),
        **({} if panel.counted is None else {"counted": panel.counted}),
        **(
            {}
            if panel.vintages is None
            else {checks.VINTAGE + name: of for name, of in vars(panel.vintages).items()}
        ),
        "ids": np.frombuffer(
            json.dumps([panel.ids, panel.status], ensure_ascii=False).encode(), np.uint8
        ).copy(),
    }
    return Contents(
        config=fitted.config.model_dump(mode="json", by_alias=True),
        weights=_joined(fitted.network_weights),
        scaler={
            "statistics": fitted.statistics.model_dump(mode="json"),
            "level": fitted.level.tolist(),
            "seasonal_error": [
                value if np.isfinite(value) else None for value in fitted.naive_error.tolist()
            ],
            **({} if fitted.effects is None else {"effects": as_lists(fitted.effects)}),
            **({"closed": as_lists(fitted.closed)} if len(fitted.closed) else {}),
        },
        history=history,
        calibration={
            "shares": ensemble.weights,
            "errors": ensemble.errors,
            "step_shares": ensemble.step_shares,
            **{
                name: getattr(calibration, name)
                for name in ("margins", "coverage", "relative", "growth")
            },
            "windows": np.array([calibration.windows], np.int64),
            **{
                name: np.array([getattr(calibration, attribute)], np.float32)
                for attribute, (name, *_) in checks.LATER.items()
            },
            "roughness": np.array([calibration.slope, calibration.mean_roughness], np.float32),
            **_sums(fitted),
        },
        base=None if base is None else {"until": base.trained_until, **_joined(base.weights)},
        pretrained=None if ensemble.network is None else ensemble.network.data,
        exports=fitted.exports,
        unexported=fitted.unexported,
        run=fitted.run,
    )


def from_contents(contents: Contents) -> Fitted:
    """The forecaster of a version; `ArtifactRefused` where a part has other names, types, sizes or bounds."""
    try:
        return _read(contents)
    except (
        MemoryError,
        ArtifactRefused,
        Unavailable,
    ):  # the first and the last are no fault of the artifact
        raise
    except Exception as error:
        reason = " ".join((str(error) or type(error).__name__).split("\n")[0].split())[:200]
    raise ArtifactRefused(f"the artifact does not hold a valid forecaster: {reason}; fit it again")


def _read(contents: Contents) -> Fitted:
    config, scaler = Config.model_validate(contents.config), contents.scaler
    checks.check_config(config)
    if config.settings.keys() & RUN_SETTINGS or scaler.keys() - {"effects", "closed"} != SCALER:
        raise ValueError("it holds unknown settings or statistics")
    networks = set(range(sum(map(len, config.members()))))
    exports, missing = contents.exports, contents.unexported
    if not networks >= exports.keys() | missing.keys() or exports.keys() & missing.keys():
        raise ValueError("there is no network for an export, or one has an export and has none")
    history = checks.read_history(contents.history, config)
    count = len(history)
    calibration = dict(contents.calibration or {})
    joint, to_date, filled = checks.read_sums(calibration, config, count)
    weights, base = _parted(contents.weights, config), None
    if contents.base is not None:
        specs = {
            name: checks.Spec(array.shape, np.float32) for name, array in contents.weights.items()
        }
        checks.check_arrays(
            "the base", contents.base, {**specs, "until": checks.Spec((count,), np.int64)}
        )
        earlier = {name: array for name, array in contents.base.items() if name != "until"}
        base = Base(_parted(earlier, config), contents.base["until"])
    return Fitted(
        config=config,
        statistics=checks.read_statistics(scaler["statistics"], config),
        level=checks.read_by_series(scaler["level"], count),
        naive_error=checks.read_by_series(scaler["seasonal_error"], count),
        ensemble=checks.read_ensemble(calibration, config, count, contents.pretrained),
        history=history,
        network_weights=weights,
        base=base,
        effects=checks.read_effects(scaler["effects"], count) if "effects" in scaler else None,
        closed=checks.read_closed(scaler["closed"], count) if "closed" in scaler else NONE_CLOSED,
        exports=exports,
        unexported=missing,
        joint=joint,
        to_date=to_date,
        filled=filled,
        run=TrainSettings.check(contents.run).model_dump(
            include=RESTORED_SETTINGS, exclude_defaults=True
        ),
    )


def _sums(fitted: Fitted) -> Arrays:
    if fitted.joint is None:
        return {}
    found: Arrays = {
        "joint_errors": fitted.joint.values,
        "joint_stride": np.array([fitted.joint.stride], np.int64),
    }
    if fitted.filled is not None:
        found |= {f"{checks.TO_DATE}{steps}": numbers for steps, numbers in fitted.to_date.items()}
        found |= {
            f"{checks.FILLED}{name}": numbers for name, numbers in vars(fitted.filled).items()
        }
    return found


def as_lists(found: Effects | Closed) -> dict[str, Any]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    arrays = {
        name: value.tolist() for name, value in values.items() if isinstance(value, np.ndarray)
    }
    return {
        **values,
        **arrays,
        **{name: list(value) for name, value in values.items() if isinstance(value, tuple)},
    }


def _joined(members: list[dict[str, NDArray[np.float32]]]) -> Arrays:
    """The weights of all members in one dictionary, each name with the member's number before it."""
    return {
        f"{i}/{name}": array for i, member in enumerate(members) for name, array in member.items()
    }


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


def read_plan(path: str) -> Plan:
    """The plan in a file: a plan, or a version's config.json; or that of the live version in a store."""
    file, setting = Path(path), Setting("plan", path)
    try:
        if file.is_dir():
            return from_contents(Store(file).load()[0]).config.plan
        given = load_json(file.read_bytes())
        return Plan.model_validate(given.get("plan", given))
    except OSError as error:
        raise NoInput((error.strerror or "cannot be read").lower(), setting=setting) from None
    except ValidationError as error:
        raise UsageError(
            f"holds no plan: {str(error.errors()[0]['msg']).lower()}", setting=setting
        ) from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", setting=setting) from None
