"""The fitted forecaster as plain arrays, and lines of text on how good its candidates were."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from forecast.artifacts.specs import NOT_SAVED, Spec
from forecast.effects.chain import Effects
from forecast.effects.closed import closed_groups
from forecast.effects.columns import describe_columns
from forecast.effects.event_effects import EFFECTS_NAMED, describe_effects, unseen_events
from forecast.ensemble.ensemble import CHOSEN, NETWORKS, Ensemble
from forecast.intervals.joint_errors import JointErrors
from forecast.panel.panel import SUM, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.settings import Stored, TrainSettings
from forecast.training.plan import Member, Plan
from forecast.windows.inputs import Statistics

# settings that decide the plan or where it runs; `Config.settings` lacks them, as the plan holds
# what they led to
RUN_SETTINGS = {
    "budget",
    "steps",
    "members",
    "batch_size",
    "jobs",
    "device",
    "engine",
    "warm_start",
}
# settings in `Fitted.run`: loading restores them, so that a new fit takes as long. The device is
# left out, as it may no longer exist
RESTORED_SETTINGS = RUN_SETTINGS - {"device", "engine"}
CPU_DEVICES = ("auto", "cpu")  # devices that every machine has
# the naive baseline in words; without a season it is the last value
NAIVE = {"seasonal-naive": "seasonal naive", "last": "the last value"}
# quantiles of the ratios of errors in held-out windows of a single series: of the ratios in the next
# horizon of 38 series, at two origins each, 74 % lay between them
RANGE = (0.02, 0.98)
ROUNDING_SHARE = 1e-9  # errors below this share of the largest one are rounding errors

NetworkWeights = dict[str, NDArray[np.float32]]


class Config(Stored):
    """Everything inferred and chosen at fit, beside the ensemble."""

    table: Schema
    settings: dict[str, Any] = Field(
        description="settings of training, those of RUN_SETTINGS left out"
    )
    plan: Plan = Field(description="of the networks that were trained")
    horizon: Annotated[int, Field(ge=1, le=100_000)]
    lags: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(
        max_length=50, description="seasons whose lagged values the network sees"
    )
    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        max_length=99, description="quantile levels of the network"
    )
    power: float = Field(ge=0, le=1, description="exponent of the target's transform")
    train_end: str = Field(description="the last time at fit, as the table writes it")
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


@dataclass(frozen=True)
class Filled:
    """Missing values of the past, and their forecasts."""

    series: Annotated[Integers, Spec("values", low=0, below="series")]
    age: Annotated[Integers, Spec("values", low=0)]  # number of steps before the newest value
    # how many steps ahead each value was forecast, counted from 0
    step: Annotated[Integers, Spec("values", low=0, below="horizon")]
    quantiles: Annotated[Numbers, Spec("values levels")]


@dataclass(frozen=True)
class BegunPeriods:
    """Periods that had begun at the end of the fit: their sums so far, and missing values."""

    steps: Annotated[Integers, Spec("periods", low=1)]  # that each has had by then
    sums: Annotated[Numbers, Spec("periods series")]  # of the observed values
    missing: Filled  # values of the longest of these periods


@dataclass(frozen=True)
class Fitted:
    """A fitted forecaster. What it saves is described by its fields, see `artifacts.specs`."""

    config: Config
    statistics: Statistics  # of the covariates
    # mean absolute value over the newest lookback, by which a change of unit is noticed
    level: Annotated[Numbers, Spec("series", low=0)]
    # in-sample error of seasonal naive, the unit of scaled errors; NaN for a short series
    naive_error: Annotated[Numbers, Spec("series", low=0, nan=True)]
    ensemble: Ensemble
    history: Panel  # the newest part of each series, enough to forecast
    effects: Effects
    # of each of `network_members`
    network_weights: Annotated[list[NetworkWeights], NOT_SAVED]
    # the same before training on held-out values, from which a later warm start begins
    base_weights: Annotated[list[NetworkWeights], NOT_SAVED]
    # grid position of the first value that these have not seen
    trained_until: Annotated[Integers, Spec("series")]
    # past errors of all series at common origins, for sums; None where none were asked for
    joint: JointErrors | None = None
    begun: BegunPeriods | None = None
    # the settings among RESTORED_SETTINGS that are not at their default
    run: Annotated[dict[str, Any], NOT_SAVED] = field(default_factory=dict)
    # whether successors were named after the fit
    needs_table: Annotated[bool, NOT_SAVED] = False
    # unchecked ONNX files of networks, and in `unexported` why a network has none, both by the
    # number of the network in `network_weights`
    exports: Annotated[dict[int, bytes], NOT_SAVED] = field(default_factory=dict)
    unexported: Annotated[dict[int, str], NOT_SAVED] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[tuple[str, ...], ...]:
        """The ids of the series, without summed series."""
        if not self.config.sums:
            return self.history.ids
        pairs = zip(self.history.ids, self.history.status, strict=True)
        return tuple(ids for ids, status in pairs if status != SUM)

    @property
    def schema(self) -> Schema:
        return self.config.table

    def settings(self) -> TrainSettings:
        return TrainSettings.check(self.config.settings)

    def members(self) -> list[list[Member]]:
        """The members of each group of networks that has a weight in the ensemble."""
        groups = self.config.plan.groups()
        members = self.config.plan.members
        return [[members[number] for number in groups[group]] for group in self.ensemble.networks]

    @property
    def network_members(self) -> list[Member]:
        """The members of all groups of networks that have a weight, in one list."""
        return [member for members in self.members() for member in members]


def list_models(fitted: Fitted) -> list[str]:
    return fitted.ensemble.names(np.arange(len(fitted.ensemble.weights) - 1))


def describe_fit(fitted: Fitted) -> list[str]:
    """Lines of text on the ensemble, and its skill against seasonal naive on held-out values."""
    losses = fitted.ensemble.window_losses if len(fitted.ids) == 1 else None
    scores = verdict(fitted.ensemble.scores, len(fitted.ensemble.components), losses)
    lines = [f"model    {_models_line(fitted)}", f"guard    {scores}"]
    if fitted.config.sums:
        sums = len(fitted.history) - len(fitted.ids)
        agree = "are made to agree with theirs"
        result = agree if fitted.config.reconciles else "stay, as theirs do not lower errors"
        lines.append(f"sums     {sums:,} sums were trained on; forecasts of series {result}")
    effects = fitted.effects
    if len(effects.closed):
        groups = closed_groups(effects.closed, fitted.schema)
        shown = [f"{count:,} series {where}, always {value:g}" for count, where, value in groups]
        more = f", and {len(groups) - EFFECTS_NAMED} more" if len(groups) > EFFECTS_NAMED else ""
        lines.append(f"closed   {'; '.join(shown[:EFFECTS_NAMED])}{more}")
    if effects.events is not None:
        line = describe_effects(effects.events)
        unseen = unseen_events(fitted.history, fitted.schema, effects.events)
        if unseen:
            names = ", ".join(unseen[:EFFECTS_NAMED])
            line += f"; without effect, as the past has not shown them: {names}"
        lines.append(f"effects  {line}")
    if effects.columns is not None:
        label = "columns " if fitted.schema.known else "calendar"
        columns = describe_columns(effects.columns, fitted.schema)
        lines.append(f"{label} {columns}")
    return lines


def _models_line(fitted: Fitted) -> str:
    mixtures = Counter(map(counted_models, list_models(fitted))).most_common()
    mixture, count = mixtures[0]
    others = len(mixtures) - 1
    if not others:
        return mixture
    series = len(fitted.ensemble.weights) - 1
    rest = f"{others} other mixture{'s' * (others > 1)} for the rest"
    return f"{mixture} for {count:,} of {series:,} series, {rest}"


def rank_candidates(fitted: Fitted) -> list[str]:
    """Lines with the mean held-out losses of candidates and of the choice, the best first."""
    scores = fitted.ensemble.scores
    if CHOSEN not in scores:
        return []
    metric = fitted.settings().metric.upper()
    names = sorted(scores, key=lambda name: scores[name])
    texts = [f"{scores[name]:.3g}" for name in names]
    width = max(map(len, [metric, *texts]))
    lines = [f"{metric:>{width}}  on held-out values"]
    for text, name in zip(texts, names, strict=True):
        lines.append(f"{text:>{width}}  {name}")
    return lines


def counted_models(model: str) -> str:
    """The name of an ensemble that counts repeats: 2 segrnn + theta for segrnn+segrnn+theta."""
    counts = Counter(model.split("+"))
    return " + ".join(f"{n} {name}" if n > 1 else name for name, n in counts.items())


def verdict(
    scores: dict[str, float], forecasting: int, window_losses: dict[str, Numbers] | None = None
) -> str:
    """How good an ensemble of `forecasting` components is, in at most 120 characters.

    `window_losses` are those of a single series, see `Ensemble`; they tell how errors vary.
    """
    if CHOSEN not in scores:
        return "no values could be held out to compare candidates on"
    candidates = len(scores.keys() - {CHOSEN, NETWORKS})
    used = f"{forecasting} of {candidates} candidates {'is' if forecasting == 1 else 'are'} used"
    return f"{_compare(scores, window_losses)}; {used}"


def _compare(scores: dict[str, float], window_losses: dict[str, Numbers] | None) -> str:
    """How the choice compares with the naive baseline."""
    chosen = scores[CHOSEN]
    mean_error = f"mean error {chosen:.3g} on held-out values"
    label = next((label for label in NAIVE if label in scores), None)
    if label is None:
        return mean_error
    naive = scores[label]
    name = NAIVE[label]
    rounding = ROUNDING_SHARE * max(1e-3, *scores.values())
    if naive <= rounding:
        exact = f"exact on held-out values, as {name} is"
        if chosen <= rounding:
            return exact
        return f"{mean_error}, where {name} is exact"

    ratios = np.array([chosen / naive])
    where = "held-out values"
    if window_losses:
        naive_losses = window_losses[label]
        is_used = naive_losses > rounding
        ratios = window_losses[CHOSEN][is_used] / naive_losses[is_used]
        where = "one held-out window" if len(ratios) == 1 else f"{len(ratios):,} held-out windows"
    gains = 1 - np.quantile(ratios, RANGE)
    high, low = np.rint(100 * gains).tolist()
    return f"error {_range(low, high)} {name} on {where}"


def _range(low: float, high: float) -> str:
    """From how many percent to how many percent an error lies below another one, in words."""
    most = "over 99" if high > 99 else f"{abs(high):,.0f}"
    if low < 0 < high:
        return f"{-low:,.0f} % above to {most} % below"
    if low == high:
        return f"{most} % {'below' if high > 0 else 'above'}" if high else "the same as"
    if high > 0:
        return f"{low:,.0f} to {most} % below"
    return f"{most} to {-low:,.0f} % above"
