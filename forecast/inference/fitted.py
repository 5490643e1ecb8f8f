"""The fitted forecaster as plain arrays: all that a forecast needs."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from forecast.ensemble.ensemble import Ensemble
from forecast.ensemble.joint_errors import JointErrors
from forecast.events.closed import NEVER, Closed
from forecast.events.effects import Effects
from forecast.panel.panel import SUM, Panel
from forecast.panel.schema import Schema
from forecast.settings import Stored, TrainSettings
from forecast.training.plan import Member, Plan
from forecast.windows.inputs import Statistics, Transform

RUN_SETTINGS = {"budget", "steps", "plan", "members", "batch_size", "jobs", "device", "engine", "warm_start"}
"""Settings that decide the plan or where it runs: `Config.settings` lacks them, as the plan holds the result."""

RESTORED_SETTINGS = RUN_SETTINGS - {"plan", "device", "engine"}
"""Those in `Fitted.run`, which loading restores, so that a new fit takes as long; plan file and device may be gone."""

CPU_DEVICES = ("auto", "cpu")  # devices that every machine has

Steps = Annotated[int, Field(ge=1, le=100_000)]


class Config(Stored):
    """Everything inferred and chosen at fit."""

    model_config = ConfigDict(populate_by_name=True)

    table: Schema
    settings: dict[str, Any] = Field(description="settings of training, those of RUN_SETTINGS left out")
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
    sums: tuple[tuple[str, ...], ...] = Field((), description="id columns of the levels of sums that were trained on")
    reconciles: bool = Field(False, description="whether forecasts are made to agree with those of the sums")
    packages: dict[str, str] = Field({}, description="of models that other packages bring, the package and version")

    def members(self) -> list[list[Member]]:
        """The members of each group of networks that has a weight in the forecast."""
        groups = self.plan.groups()
        return [[self.plan.members[number] for number in groups[group]] for group in self.networks]


@dataclass(frozen=True)
class Base:
    """The networks before their last steps, which train on held-out values too: where a later warm start begins."""

    weights: list[dict[str, NDArray[np.float32]]]
    trained_until: NDArray[np.int64]  # [series], grid position of the first value that they have not seen


@dataclass(frozen=True)
class Exports:
    """Networks as ONNX files, by their index among those of `Fitted.network_weights`."""

    files: dict[int, bytes] = field(default_factory=dict)  # unchecked; `forecast.inference.onnx` checks them
    missing: dict[int, str] = field(default_factory=dict)  # why a network has none


@dataclass(frozen=True)
class Filled:
    """Missing cells of the past, and what was forecast of them."""

    series: NDArray[np.int64]  # [cells]
    age: NDArray[np.int64]  # [cells], steps before the newest value
    step: NDArray[np.int64]  # [cells], by how many each was forecast ahead, from 0
    quantiles: NDArray[np.float64]  # [cells, levels]

    def where(self, flags: NDArray[np.bool_]) -> "Filled":
        return Filled(*(getattr(self, each.name)[flags] for each in fields(self)))


@dataclass(frozen=True)
class Fitted:
    """All that predict needs."""

    config: Config
    statistics: Statistics  # of the covariates
    level: NDArray[np.float64]  # [series], mean absolute value over the last lookback, which shows a change of unit
    seasonal_error: NDArray[np.float64]  # [series], error of the seasonal naive forecast in sample, NaN if too short
    ensemble: Ensemble
    history: Panel  # the tail of each series, enough for a forecast
    network_weights: list[dict[str, NDArray[np.float32]]]  # of each member of networks with a weight, group by group
    base: Base | None = None
    run: dict[str, Any] = field(default_factory=dict)  # those of RESTORED_SETTINGS that are not the defaults
    effects: Effects | None = None  # of holidays and events
    closed: Closed = NEVER  # positions of a season at which series have one value
    exports: Exports = field(default_factory=Exports)
    joint: JointErrors | None = None  # of all series at common origins, for sums; older versions lack them
    to_date: dict[int, NDArray[np.float64]] = field(
        default_factory=dict
    )  # by the steps of a period: [series], their sum
    filled: Filled | None = None  # the missing cells of these periods

    @property
    def ids(self) -> tuple[tuple[str, ...], ...]:
        """The ids of its series, without those that are sums."""
        if not self.config.sums:
            return self.history.ids
        pairs = zip(self.history.ids, self.history.status, strict=True)
        return tuple(ids for ids, status in pairs if status != SUM)

    @property
    def transform(self) -> Transform:
        """What is done to the target before networks and baselines see it."""
        return Transform(self.config.power, self.effects)

    def settings(self) -> TrainSettings:
        """The settings of training, defaults included."""
        return TrainSettings.check(self.config.settings)
