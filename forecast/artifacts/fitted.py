"""A fitted forecaster as the contents of a version, and back; what comes back is checked before it is used."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast.artifacts.format import Arrays, Contents, load_json
from forecast.artifacts.store import Store
from forecast.errors import ArtifactRefused, NoInput, UsageError
from forecast.evaluation.calibration import Calibration
from forecast.selection.mixture import Mixture
from forecast.series.covariates import Statistics
from forecast.series.panel import Panel
from forecast.series.schema import Schema
from forecast.settings import TrainSettings
from forecast.training.plan import Member, Plan

RUN_ONLY = {"budget", "steps", "plan", "members", "batch_size", "jobs", "device"}
"""Settings that say how the plan came about or where it ran; the plan holds what became of them."""

Steps = Annotated[int, Field(ge=1, le=100_000)]


class Config(BaseModel):
    """What was inferred and chosen at fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    table: Schema
    settings: dict[str, Any] = Field(description="settings of training, those of RUN_ONLY left out")
    plan: Plan = Field(description="of the networks that were trained")
    horizon: Steps
    lookback: Steps = Field(description="steps that a window's scale is taken from, and the least that a network sees")
    memory: Steps = Field(description="steps that a baseline looks back")
    lags: tuple[Steps, ...] = Field(description="seasons whose lagged values the network sees")
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
class Fitted:
    """All that predict needs.

    Attributes
    ----------
    config : what was inferred and chosen
    statistics : of the covariates
    level : [series], mean absolute value over the last lookback at fit, by which a change of unit is noticed
    seasonal_error : [series], in-sample error of the seasonal naive forecast, the unit of MASE; NaN where there is none
    mixture : what forecasts, and what calibration adds
    history : the tail of each series, enough for a forecast
    weights : one dictionary per member of the networks that have a share, group by group
    """

    config: Config
    statistics: Statistics
    level: NDArray[np.float64]
    seasonal_error: NDArray[np.float64]
    mixture: Mixture
    history: Panel
    weights: list[dict[str, NDArray[np.float32]]]

    def settings(self) -> TrainSettings:
        """The settings of training, with the defaults in place of those that were left out."""
        return TrainSettings.check(self.config.settings)


def to_contents(fitted: Fitted) -> Contents:
    """What a version of the fitted forecaster holds."""
    panel, mixture = fitted.history, fitted.mixture
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
        "ids": np.frombuffer(json.dumps([panel.ids, panel.status], ensure_ascii=False).encode(), np.uint8).copy(),
    }
    return Contents(
        config=fitted.config.model_dump(mode="json"),
        weights={f"{i}/{name}": array for i, member in enumerate(fitted.weights) for name, array in member.items()},
        scaler={
            "statistics": fitted.statistics.model_dump(mode="json"),
            "level": fitted.level.tolist(),
            "seasonal_error": [value if np.isfinite(value) else None for value in fitted.seasonal_error.tolist()],
        },
        history=history,
        calibration={
            "shares": mixture.shares,
            "errors": mixture.errors,
            "margins": mixture.calibration.margins,
            "joint": mixture.calibration.joint,
            "coverage": mixture.calibration.coverage,
            "windows": np.array([mixture.calibration.windows], np.int64),
        },
    )


def from_contents(contents: Contents) -> Fitted:
    """The fitted forecaster of a version.

    Raises
    ------
    ArtifactRefused
        If a part does not have the names, types, sizes or bounds that it must have.
    """
    try:
        config = Config.model_validate(contents.config)
        TrainSettings.check(config.settings)
        history = _history(contents.history, config)
        count = len(history)
        statistics = Statistics.model_validate(contents.scaler["statistics"])
        level = np.array(contents.scaler["level"], np.float64)
        unit = np.array([np.nan if v is None else v for v in contents.scaler["seasonal_error"]], np.float64)
        if level.shape != (count,) or unit.shape != (count,):
            raise ValueError("levels and seasonal errors must be one for each series")
        widths = [(statistics.known, config.table.known), (statistics.past, config.table.past)]
        if any(
            len(a) != len(b) or any(s <= 0 for _, s in a)
            for a, b in [*widths, (statistics.static, config.table.static)]
        ):
            raise ValueError("statistics must be one for each covariate, their deviations above 0")
        mixture = _mixture(contents.calibration or {}, config, count)
        weights: list[dict[str, NDArray[np.float32]]] = [{} for group in config.members() for _ in group]
        for key, array in contents.weights.items():
            member, _, name = key.partition("/")
            weights[int(member)][name] = array
    except (ValidationError, KeyError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, ArtifactRefused):
            raise
        reason = str(error).split("\n")[0]
        raise ArtifactRefused(f"the artifact does not hold a forecaster as it must: {reason}; fit it again") from None
    return Fitted(config, statistics, level, unit, mixture, history, weights)


def read_plan(path: str) -> Plan:
    """The plan in a file: a plan, or a version's config.json; or that of the live version in a store.

    Raises
    ------
    NoInput
        If there is no such file.
    UsageError
        If it holds no plan.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return from_contents(Store(place).load()[0]).config.plan
        found = load_json(place.read_bytes())
    except OSError as error:
        raise NoInput(f"--plan {path}: {(error.strerror or 'cannot be read').lower()}") from None
    except ValueError as error:
        raise UsageError(f"--plan {path}: not JSON: {error}") from None
    try:
        return Plan.model_validate(found.get("plan", found))
    except ValidationError as error:
        raise UsageError(f"--plan {path}: holds no plan: {str(error.errors()[0]['msg']).lower()}") from None


def _mixture(arrays: Arrays, config: Config, count: int) -> Mixture:
    components, levels = len(config.components), len(config.levels)
    shapes = {
        "shares": (count + 1, components),
        "errors": (components, config.horizon, levels),
        "margins": (config.horizon, levels),
        "joint": (levels,),
        "coverage": (levels,),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32 or not np.isfinite(arrays[name]).all():
            raise ValueError(f"calibration '{name}' must be finite numbers of shape {shape}")
    if (arrays["shares"] < 0).any() or not np.allclose(arrays["shares"].sum(1), 1, atol=1e-5):
        raise ValueError("the shares of each series must add up to 1")
    windows = arrays["windows"]
    if windows.shape != (1,) or windows.dtype != np.int64:
        raise ValueError("the number of held-out windows must be one number")
    calibration = Calibration(arrays["margins"], arrays["joint"], arrays["coverage"], int(windows[0]))
    return Mixture(
        components=config.components,
        networks=config.networks,
        shares=arrays["shares"],
        errors=arrays["errors"],
        calibration=calibration,
        lookback=config.lookback,
        memory=config.memory,
        scores=config.scores,
    )


def _history(arrays: Arrays, config: Config) -> Panel:
    ids, status = json.loads(arrays["ids"].tobytes().decode())
    count = len(ids)
    offsets = arrays["offsets"]
    types = {"order": np.int64, "offsets": np.int64, "starts": np.int64, "observed": np.bool_}
    for name, array in arrays.items():
        if name != "ids" and array.dtype != types.get(name, np.float32):
            raise ValueError(f"history '{name}' has type {array.dtype}")
    if offsets.shape != (count + 1,) or offsets[0] != 0 or (np.diff(offsets) <= config.horizon).any():
        raise ValueError("history offsets must rise from 0 by more than the horizon")
    slots = int(offsets[-1])
    shapes = {
        "order": (count,),
        "starts": (count,),
        "values": (slots,),
        "observed": (slots,),
        "spread": (slots,),
        "known": (slots, len(config.table.known)),
        "past": (slots, len(config.table.past)),
        "static": (count, len(config.table.static)),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"history '{name}' has shape {arrays[name].shape}, not {shape}")
    if sorted(arrays["order"].tolist()) != list(range(count)) or len(status) != count:
        raise ValueError("history order must name each series once")
    if not np.isfinite(arrays["values"]).all() or not (arrays["spread"] >= 0).all():
        raise ValueError("history values must be finite")
    return Panel(
        ids=tuple(tuple(str(part) for part in one) for one in ids),
        ahead=config.horizon,
        status=tuple(str(word) for word in status),
        offsets=offsets,
        **{name: arrays[name] for name in shapes},
    )
