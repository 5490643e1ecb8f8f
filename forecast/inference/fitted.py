"""A fitted forecaster as the contents of a version, and back; what comes back is checked before it is used."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast.artifacts.format import Arrays, Contents
from forecast.artifacts.plain import load_json
from forecast.artifacts.store import Store
from forecast.ensemble.ensemble import Ensemble
from forecast.errors import ArtifactRefused, ForecastError, NoInput, Setting, Unavailable, UsageError
from forecast.inference.checks import (
    check_config,
    check_settings,
    read_by_series,
    read_ensemble,
    read_history,
    read_statistics,
)
from forecast.panel.covariates import Statistics
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TrainSettings
from forecast.training.plan import Member, Plan

RUN_ONLY = {"budget", "steps", "plan", "members", "batch_size", "jobs", "device", "warm_start"}
"""Settings that say how the plan came about or where it ran; the plan holds what became of them."""

RESTORED = RUN_ONLY - {"plan", "device"}
"""Those that a loaded forecaster has again: a new fit takes as long. A file may be gone, a device too."""

Steps = Annotated[int, Field(ge=1, le=100_000)]


class Config(BaseModel):
    """What was inferred and chosen at fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    table: Schema
    settings: dict[str, Any] = Field(description="settings of training, those of RUN_ONLY left out")
    plan: Plan = Field(description="of the networks that were trained")
    horizon: Steps
    lookback: Steps = Field(description="steps that a window's scale is taken from, and the least that a network sees")
    context_length: Steps = Field(alias="memory", description="steps that a baseline looks back")
    lags: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(
        description="seasons whose lagged values the network sees"
    )
    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(description="quantile levels of the network")
    power: float = Field(ge=0, le=1, description="exponent of the target's transform")
    train_end: str = Field(description="the last time at fit, as the table writes it")
    components: tuple[str, ...] = Field(min_length=1, description="what the forecast is mixed from")
    networks: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        description="the groups of the plan's members that the first components are, by number"
    )
    scores: dict[str, float] = Field(description="mean loss of each component on held-out windows, and of the choice")
    validation: tuple[float | None, ...] = Field(description="best held-out loss of each member")
    trained_steps: tuple[int, ...] = Field(description="steps that each member took")

    def members(self) -> list[list[Member]]:
        """The members of each group of networks that has a share in the forecast."""
        groups = self.plan.groups()
        return [[self.plan.members[number] for number in groups[group]] for group in self.networks]


@dataclass(frozen=True)
class Base:
    """What a later fit can go on from without a look at what it holds out.

    Attributes
    ----------
    weights : as those of `Fitted`, before they were trained on what was held out
    until : [series], grid position of the first value that they have not seen
    """

    weights: list[dict[str, NDArray[np.float32]]]
    until: NDArray[np.int64]


@dataclass(frozen=True)
class Fitted:
    """All that predict needs.

    Attributes
    ----------
    config : what was inferred and chosen
    statistics : of the covariates
    level : [series], mean absolute value over the last lookback at fit, by which a change of unit is noticed
    seasonal_error : [series], in-sample error of the seasonal naive forecast, the unit of MASE; NaN where there is none
    ensemble : weights of networks and baselines, and their calibration
    history : the tail of each series, enough for a forecast
    weights : one dictionary per member of the networks that have a share, group by group
    base : None in an artifact that was written without
    run : those of the settings RESTORED that are not the defaults
    """

    config: Config
    statistics: Statistics
    level: NDArray[np.float64]
    seasonal_error: NDArray[np.float64]
    ensemble: Ensemble
    history: Panel
    weights: list[dict[str, NDArray[np.float32]]]
    base: Base | None = None
    run: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> TrainSettings:
        """The settings of training, with the defaults in place of those that were left out."""
        return TrainSettings.check(self.config.settings)


def to_contents(fitted: Fitted) -> Contents:
    """What a version of the fitted forecaster holds."""
    panel, ensemble, base = fitted.history, fitted.ensemble, fitted.base
    history: Arrays = {
        "order": panel.order,
        "offsets": panel.offsets,
        "starts": panel.starts,
        "values": panel.values,
        "observed": panel.observed,
        "known": panel.known,
        "past": panel.past,
        "static": panel.static,
        "spread": panel.own_spread(),
        "lowest": panel.smallest(),
        "ids": np.frombuffer(json.dumps([panel.ids, panel.status], ensure_ascii=False).encode(), np.uint8).copy(),
    }
    return Contents(
        config=fitted.config.model_dump(mode="json", by_alias=True),
        weights=_joined(fitted.weights),
        scaler={
            "statistics": fitted.statistics.model_dump(mode="json"),
            "level": fitted.level.tolist(),
            "seasonal_error": [value if np.isfinite(value) else None for value in fitted.seasonal_error.tolist()],
        },
        history=history,
        calibration={
            "shares": ensemble.weights,
            "errors": ensemble.errors,
            "margins": ensemble.calibration.margins,
            "joint": ensemble.calibration.joint,
            "coverage": ensemble.calibration.coverage,
            "windows": np.array([ensemble.calibration.windows], np.int64),
        },
        base=None if base is None else {"until": base.until, **_joined(base.weights)},
        run=fitted.run,
    )


def from_contents(contents: Contents) -> Fitted:
    """The fitted forecaster of a version.

    Raises
    ------
    ArtifactRefused
        If a part does not have the names, types, sizes or bounds that it must have.
    """
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
    raise ArtifactRefused(f"the artifact does not hold a forecaster as it must: {reason}; fit it again")


def _read(contents: Contents) -> Fitted:
    config = Config.model_validate(contents.config)
    check_config(config)
    check_settings(TrainSettings.check(config.settings))
    if config.settings.keys() & RUN_ONLY or contents.scaler.keys() != {"statistics", "level", "seasonal_error"}:
        raise ValueError("it holds other settings or statistics than it must")
    history = read_history(contents.history, config)
    return Fitted(
        config=config,
        statistics=read_statistics(contents.scaler["statistics"], config),
        level=read_by_series(contents.scaler["level"], len(history)),
        seasonal_error=read_by_series(contents.scaler["seasonal_error"], len(history)),
        ensemble=read_ensemble(contents.calibration or {}, config, len(history)),
        history=history,
        weights=_parted(contents.weights, config),
        base=None if contents.base is None else _read_base(contents.base, contents.weights, config, len(history)),
        run=TrainSettings.check(contents.run).model_dump(include=RESTORED, exclude_defaults=True),
    )


def _joined(members: list[dict[str, NDArray[np.float32]]]) -> Arrays:
    """The weights of all members in one dictionary, the number of each before their names."""
    return {f"{i}/{name}": array for i, member in enumerate(members) for name, array in member.items()}


def _parted(arrays: Arrays, config: Config) -> list[dict[str, NDArray[np.float32]]]:
    """What `_joined` joined."""
    weights: dict[str, dict[str, NDArray[np.float32]]]
    weights = {str(number): {} for number in range(sum(map(len, config.members())))}
    for key, array in arrays.items():
        member, _, name = key.partition("/")
        if member not in weights:
            raise ValueError(f"there is no network for the weights '{key[:80]}'")
        weights[member][name] = array
    return list(weights.values())


def _read_base(arrays: Arrays, weights: Arrays, config: Config, count: int) -> Base:
    until = arrays["until"]
    if until.shape != (count,) or until.dtype != np.int64:
        raise ValueError("the base must say of each series how far it has seen it")
    own = {name: array for name, array in arrays.items() if name != "until"}
    if {name: array.shape for name, array in own.items()} != {name: array.shape for name, array in weights.items()}:
        raise ValueError("the base must have the weights of the networks")
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in own.values()):
        raise ValueError("the weights of the base must be finite numbers")
    return Base(_parted(own, config), until)


def read_plan(path: str) -> Plan:
    """The plan in a file: a plan, or a version's config.json; or that of the live version in a store.

    Raises
    ------
    NoInput
        If there is no such file.
    UsageError
        If it holds no plan.
    """
    place, setting = Path(path), Setting("plan", path)
    try:
        if place.is_dir():
            return from_contents(Store(place).load()[0]).config.plan
        found = load_json(place.read_bytes())
    except OSError as error:
        raise NoInput((error.strerror or "cannot be read").lower(), setting=setting) from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", setting=setting) from None
    try:
        return Plan.model_validate(found.get("plan", found))
    except ValidationError as error:
        raise UsageError(f"holds no plan: {str(error.errors()[0]['msg']).lower()}", setting=setting) from None
