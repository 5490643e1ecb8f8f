"""The fitted forecaster as plain arrays, all that a forecast needs; and in lines, how good its candidates were."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from forecast.ensemble.ensemble import CHOSEN, NETWORKS, Ensemble
from forecast.events.closed import NONE_CLOSED, Closed, closed_groups
from forecast.events.effects import NAMED, Effects, describe_effects, unseen_events
from forecast.intervals.joint_errors import JointErrors
from forecast.panel.panel import SUM, Panel
from forecast.panel.schema import Schema
from forecast.settings import Stored, TrainSettings
from forecast.training.plan import Member, Plan
from forecast.windows.inputs import Statistics

RUN_SETTINGS = {
    "budget",
    "steps",
    "plan",
    "members",
    "batch_size",
    "jobs",
    "device",
    "engine",
    "warm_start",
}
"""Settings that decide the plan or where it runs: `Config.settings` lacks them, as the plan holds the result."""

RESTORED_SETTINGS = RUN_SETTINGS - {"plan", "device", "engine"}
"""Those in `Fitted.run`, which loading restores, so that a new fit takes as long; plan file and device may be gone."""

CPU_DEVICES = ("auto", "cpu")  # devices that every machine has

Steps = Annotated[int, Field(ge=1, le=100_000)]
Season = Annotated[int, Field(ge=1, le=1_000_000)]
NAIVE = {
    "seasonal-naive": "seasonal naive",
    "last": "the last value",
}  # the latter where there is no season
ROUNDING = 1e-9, 1e-12  # an error below this share of the largest one, or below this, is rounding


class Config(Stored, populate_by_name=True):
    """Everything inferred and chosen at fit."""

    table: Schema
    settings: dict[str, Any] = Field(
        description="settings of training, those of RUN_SETTINGS left out"
    )
    plan: Plan = Field(description="of the networks that were trained")
    horizon: Steps
    lookback: Steps = Field(
        description="steps that a window's scale is taken from, and the least that a network sees"
    )
    context_length: Steps = Field(alias="memory", description="steps that a baseline looks back")
    lags: tuple[Season, ...] = Field(description="seasons whose lagged values the network sees")
    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        description="quantile levels of the network"
    )
    power: float = Field(ge=0, le=1, description="exponent of the target's transform")
    train_end: str = Field(description="the last time at fit, as the table writes it")
    components: tuple[str, ...] = Field(min_length=1, description="what the forecast is mixed from")
    networks: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        description="the groups of the plan's members that the first components are, by number"
    )
    scores: dict[str, float] = Field(
        description="mean loss of each component on held-out windows, and of the choice"
    )
    validation: tuple[float | None, ...] = Field(description="best held-out loss of each member")
    trained_steps: tuple[int, ...] = Field(description="steps that each member took")
    sums: tuple[tuple[str, ...], ...] = Field(
        (), description="id columns of the levels of sums that were trained on"
    )
    reconciles: bool = Field(
        False, description="whether forecasts are made to agree with those of the sums"
    )
    packages: dict[str, str] = Field(
        {}, description="of models that other packages bring, the package and version"
    )

    def members(self) -> list[list[Member]]:
        """The members of each group of networks that has a weight in the forecast."""
        groups = self.plan.groups()
        return [[self.plan.members[number] for number in groups[group]] for group in self.networks]


@dataclass(frozen=True)
class Base:
    """The networks before their last steps, which train on held-out values too: where a later warm start begins."""

    weights: list[dict[str, NDArray[np.float32]]]
    trained_until: NDArray[
        np.int64
    ]  # [series], grid position of the first value that they have not seen


@dataclass(frozen=True)
class Filled:
    """Missing values of the past, and what was forecast of them."""

    series: NDArray[np.int64]  # [values]
    age: NDArray[np.int64]  # [values], steps before the newest value
    step: NDArray[np.int64]  # [values], by how many each was forecast ahead, from 0
    quantiles: NDArray[np.float64]  # [values, levels]

    def where(self, flags: NDArray[np.bool_]) -> "Filled":
        return Filled(*(getattr(self, each.name)[flags] for each in fields(self)))


@dataclass(frozen=True)
class Fitted:
    config: Config
    statistics: Statistics  # of the covariates
    level: NDArray[
        np.float64
    ]  # [series], mean absolute value over the last lookback, which shows a change of unit
    naive_error: NDArray[
        np.float64
    ]  # [series], error of the seasonal naive forecast in sample, NaN if too short
    ensemble: Ensemble
    history: Panel  # the tail of each series, enough for a forecast
    network_weights: list[
        dict[str, NDArray[np.float32]]
    ]  # of each member of networks with a weight, group by group
    base: Base | None = None
    run: dict[str, Any] = field(
        default_factory=dict
    )  # those of RESTORED_SETTINGS that are not the defaults
    effects: Effects | None = None  # of holidays and events
    closed: Closed = NONE_CLOSED  # positions of a season at which series have one value
    # networks as unchecked ONNX files, and why one has none, by number among those of `network_weights`
    exports: dict[int, bytes] = field(default_factory=dict)
    unexported: dict[int, str] = field(default_factory=dict)
    joint: JointErrors | None = (
        None  # of all series at common origins, for sums; older versions lack them
    )
    to_date: dict[int, NDArray[np.float64]] = field(
        default_factory=dict
    )  # by steps of a period: [series], their sum
    filled: Filled | None = None  # the missing values of these periods

    @property
    def ids(self) -> tuple[tuple[str, ...], ...]:
        """The ids of its series, without those that are sums."""
        if not self.config.sums:
            return self.history.ids
        pairs = zip(self.history.ids, self.history.status, strict=True)
        return tuple(ids for ids, status in pairs if status != SUM)

    def settings(self) -> TrainSettings:
        return TrainSettings.check(self.config.settings)


def models_of(fitted: Fitted) -> list[str]:
    return fitted.ensemble.names(np.arange(1, len(fitted.ensemble.weights)))


def describe_fit(fitted: Fitted) -> list[str]:
    """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
    counts, series = (
        Counter(map(counted_models, models_of(fitted))).most_common(),
        len(fitted.ensemble.weights) - 1,
    )
    name, count = counts[0]
    if len(counts) > 1:
        others = len(counts) - 1
        name = f"{name} for {count:,} of {series:,} series, {others} other mixture{'s' * (others > 1)} for the rest"
    sentence = verdict(fitted.config.scores, len(fitted.config.components))
    lines = [f"model    {name}", f"guard    {sentence}"]
    if fitted.config.sums:
        count = len(fitted.history) - len(fitted.ids)
        way = (
            "are made to agree with theirs"
            if fitted.config.reconciles
            else "stay, as theirs do not lower errors"
        )
        lines.append(f"sums     {count:,} sums were trained on; forecasts of series {way}")
    groups = closed_groups(fitted.closed, fitted.config.table)
    if groups:
        named = [
            f"{count:,} series {where}, always {value:g}" for count, where, value in groups[:NAMED]
        ]
        more = f", and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
        lines.append(f"closed   {'; '.join(named)}{more}")
    if fitted.effects is not None:
        unseen = unseen_events(fitted.history, fitted.config.table, fitted.effects)
        more = (
            f"; without effect, as the past has not shown them: {', '.join(unseen[:NAMED])}"
            if unseen
            else ""
        )
        lines.append(f"effects  {describe_effects(fitted.effects)}{more}")
    return lines


def ranking_of(fitted: Fitted) -> list[str]:
    """The candidates and the choice with their mean losses on held-out values, the best first, as lines of a table."""
    scores, metric = fitted.config.scores, fitted.settings().metric
    if not scores:
        return []
    rows = [
        (f"{score:.3g}", name) for name, score in sorted(scores.items(), key=lambda item: item[1])
    ]
    width = max(len(metric), *(len(score) for score, _ in rows))
    return [
        f"{metric.upper():>{width}}  on held-out values",
        *(f"{score:>{width}}  {name}" for score, name in rows),
    ]


def counted_models(model: str) -> str:
    """A mixture with repeated networks counted: 2 segrnn + theta for segrnn+segrnn+theta."""
    return " + ".join(
        f"{count} {name}" if count > 1 else name
        for name, count in Counter(model.split("+")).items()
    )


def verdict(scores: dict[str, float], forecasting: int) -> str:
    """In one sentence of at most 120 characters, how good an ensemble of so many candidates is, from their scores."""
    if not scores:
        return "no values could be held out to compare candidates on"
    candidates = len(scores.keys() - {CHOSEN, NETWORKS})
    used = f"{forecasting} of {candidates} candidates {'is' if forecasting == 1 else 'are'} used"
    rounding = max(ROUNDING[0] * max(scores.values()), ROUNDING[1])
    return f"{_compared(scores, rounding)}; {used}"


def _compared(scores: dict[str, float], rounding: float) -> str:
    """How the choice compares; errors up to `rounding` are none."""
    chosen, label = scores[CHOSEN], next((label for label in NAIVE if label in scores), None)
    if label is None:
        return f"mean error {chosen:.3g} on held-out values"
    naive, name = scores[label], NAIVE[label]
    if naive <= rounding:
        exact = f"exact on held-out values, as {name} is"
        return (
            exact
            if chosen <= rounding
            else f"mean error {chosen:.3g} on held-out values, where {name} is exact"
        )
    percent = round(100 * (1 - chosen / naive))
    share, way = (
        "over 99" if percent > 99 else f"{abs(percent):,}",
        "below" if percent > 0 else "above",
    )
    return f"error {f'{share} % {way}' if percent else 'the same as'} {name} on held-out values"
