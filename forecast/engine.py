"""The order of the stages of a fit: hold out, train, compare, weigh, calibrate."""

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.resume import Checkpoints
from forecast.ensemble.calibration import say_few_scores
from forecast.ensemble.candidates import candidates_for, check_plan, compared_with
from forecast.ensemble.components import memory_of
from forecast.ensemble.judge import Judge
from forecast.ensemble.mixture import Group, Mixture, Rivals, choose_mixture
from forecast.ensemble.names import AUTO, check_model, is_baseline
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.evaluation.metrics import error_units
from forecast.evaluation.quantiles import LEVELS
from forecast.inference.contents import read_plan
from forecast.inference.fitted import RESTORED, RUN_ONLY, Base, Config, Fitted
from forecast.inference.quantiles import median_of_members
from forecast.inference.warm_start import start_of
from forecast.panel.building import calendar_of, format_positions
from forecast.panel.comparing import mean_level
from forecast.panel.covariates import Statistics, fit_statistics
from forecast.panel.inputs import Inputs
from forecast.panel.lookback import choose_lags, choose_lookback, most_lookback
from forecast.panel.panel import SKIPPED, Panel
from forecast.panel.schema import Schema
from forecast.panel.transforms import fit_power, transformed
from forecast.settings import TrainSettings
from forecast.training.checkpoint import CheckpointStore
from forecast.training.context import OnStep, TrainingContext, WarmStart
from forecast.training.fitting import Fitter
from forecast.training.halving import train_networks
from forecast.training.keys import data_key, plan_key
from forecast.training.loop import Trained
from forecast.training.plan import Plan
from forecast.training.split import split_windows

log = logging.getLogger("forecast")

REPORTED_LEVEL = 95.0  # the interval, in percent, whose calibration fit reports
MIN_VALUES = 4  # of the longest series, which also needs as many as the horizon has steps
FEW_STEPS = 100  # a network that a budget cuts earlier has hardly learned


@dataclass(frozen=True)
class _Prepared:
    """A panel made ready for training, and the choices made for it.

    Attributes
    ----------
    used : [used series], the series that get a forecast
    lookback : steps
    memory : steps that baselines look back
    power : exponent of the target's transform
    """

    fitter: Fitter
    judge: Judge
    statistics: Statistics
    used: NDArray[np.int64]
    lookback: int
    memory: int
    power: float


def fit_panel(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    name: str,
    deadline: float | None = None,
    on_step: OnStep | None = None,
    checkpoints: Checkpoints | None = None,
    earlier: Fitted | None = None,
) -> Fitted:
    """Hold out, train, compare, weigh and calibrate.

    Parameters
    ----------
    panel : with a horizon of future slots
    schema : how the table was read
    settings : of training
    name : of the table, for messages
    deadline : `time.monotonic()` at which training must be over
    on_step : receives the progress after each training step
    checkpoints : where training writes what it can resume from; by default nowhere
    earlier : a fit whose networks this one continues, where they fit; by default it starts from scratch

    Raises
    ------
    BadData
        If the series are too short for the horizon.
    UsageError
        If the plan continues other networks than those of `earlier`.
    """
    plan = read_plan(settings.plan) if settings.plan else None
    if is_baseline(settings.model) or (plan is not None and plan.started_from is None):
        earlier = None
    ready, start = _prepare_from(earlier, panel, schema, settings, name)
    started_from = None if start is None else start.hash
    _check_start(plan, started_from, settings)
    # before training, so that the deadline holds for it too
    rivals = Rivals.of(
        ready.fitter.inputs, ready.judge, compared_with(settings), lookback=ready.lookback, memory=ready.memory
    )
    if plan is None and start is None and settings.model == AUTO and rivals.suffice(ready.judge):
        plan = Plan(members=())
    trained = list[Trained]()
    if not is_baseline(settings.model) and (plan is None or len(plan.members) > 0):
        _require_windows(ready, name)
        store: CheckpointStore | None = None
        if checkpoints is not None:
            device = ready.fitter.device
            store = checkpoints.open(data_key(panel, schema), plan_key(settings, plan, device, started_from))
        context = TrainingContext(deadline=deadline, on_step=on_step, checkpoints=store)
        plan, trained = _train(ready, context, plan, start)
    mixture = _choose(ready, rivals, plan or Plan(members=()), trained)
    return _collect(panel, schema, settings, ready, mixture, plan or Plan(members=()), trained)


def _check_start(plan: Plan | None, started_from: str | None, settings: TrainSettings) -> None:
    """Refuse a plan that continues other networks."""
    if plan is not None and plan.started_from != started_from:
        raise UsageError(
            f"it goes on from the artifact {plan.started_from}",
            setting=Setting("plan", settings.plan),
            cure=Words("pass ", Setting("warm_start", True), ", and make that version the live one"),
        )


def _train(
    ready: _Prepared, context: TrainingContext, plan: Plan | None, start: WarmStart | None
) -> tuple[Plan, list[Trained]]:
    """Train networks; the plan that is returned repeats it."""
    fitter, settings, lags = ready.fitter, ready.fitter.settings, ready.fitter.inputs.lags
    check_model(settings.model)
    if plan is not None:
        check_plan(plan, settings)
    longest = int(np.median(fitter.split.train_end)) // 2
    candidates = candidates_for(settings, ready.lookback, longest, lags[0] if lags else 1)
    middle = fitter.inputs.levels.index(0.5)
    plan, trained = train_networks(
        fitter, candidates, lambda quantiles: ready.judge.mean(quantiles[..., middle]), context, plan, start
    )
    if any(member.cut is not None and member.cut < FEW_STEPS for member in trained):
        fewest = min(member.steps for member in trained)
        log.warning(
            "the budget ended training after %d steps, too few to learn much from; pass a larger %s",
            fewest,
            Setting("budget"),
        )
    return plan, trained


def _prepare_from(
    earlier: Fitted | None, panel: Panel, schema: Schema, settings: TrainSettings, name: str
) -> tuple[_Prepared, WarmStart | None]:
    """A panel made ready, and the networks of an earlier fit that training continues, where they fit."""
    ready = _prepare(panel, schema, settings, name, earlier)
    start = None if earlier is None else start_of(earlier, ready.fitter, schema, panel.ids)
    if isinstance(start, str):
        log.warning("training starts from scratch: the earlier fit cannot be continued, since %s", start)
        return _prepare(panel, schema, settings, name, None), None
    return ready, start


def _require_windows(ready: _Prepared, name: str) -> None:
    """Refuse series that hold no window to train on."""
    longest, horizon = int(ready.fitter.inputs.panel.lengths.max()), ready.fitter.inputs.horizon
    if longest < horizon + 2:
        shorter = (Setting("horizon", longest - 2), " or less, or ") if longest > 2 else ()
        raise BadData(
            f"the longest series has {longest} values, too few to learn a horizon of {horizon} from",
            place=name,
            cure=Words("pass ", *shorter, Setting("model", "auto")),
        )


def _require_values(longest: int, horizon: int, name: str) -> None:
    """Refuse series that are too short for the horizon."""
    if longest >= max(horizon, MIN_VALUES):
        return
    if longest >= MIN_VALUES:
        cure = Words("pass ", Setting("horizon", longest), " or less")
    else:
        cure = Words("whatever the ", Setting("horizon"), f", at least {MIN_VALUES} are needed")
    raise BadData(
        f"the longest series has {longest} values, too few to learn a horizon of {horizon} from",
        place=name,
        cure=cure,
    )


def _prepare(panel: Panel, schema: Schema, settings: TrainSettings, name: str, earlier: Fitted | None) -> _Prepared:
    """Choose windows, validation split and transform; lookback and power of the transform are those of `earlier`."""
    horizon, longest = panel.ahead, int(panel.lengths.max())
    lags = choose_lags(panel, schema.season)
    lookback = settings.lookback or choose_lookback(horizon, lags, longest)
    if earlier is not None:
        lookback = earlier.config.lookback
    if lookback > most_lookback(longest):
        raise UsageError(
            f"the longest series of {name} has only {longest} steps",
            setting=Setting("lookback", lookback),
            cure=Words("pass ", Setting("lookback", most_lookback(longest)), " or less"),
        )
    used = np.flatnonzero(~np.isin(panel.status, SKIPPED))
    selected = panel.select(used)
    _require_values(int(selected.lengths.max()), horizon, name)
    season = schema.season[0] if schema.season else 1
    split = split_windows(selected.lengths, lookback, horizon, lags[0] if lags else 1)
    power = fit_power(settings.transform, selected, season) if earlier is None else earlier.config.power
    statistics = fit_statistics(selected, schema, split.train_end)
    inputs = Inputs.of(
        selected,
        schema,
        statistics,
        power=power,
        lags=lags,
        levels=LEVELS,
        ids=panel.ids,
        horizon=horizon,
    )
    fitter = Fitter.of(inputs, split, settings)
    judge = Judge.of(inputs, fitter.index, power, settings.metric)
    return _Prepared(fitter, judge, statistics, used, lookback, memory_of(lookback, lags, longest), power)


def _choose(ready: _Prepared, rivals: Rivals, plan: Plan, trained: list[Trained]) -> Mixture:
    """Compare networks and baselines, weigh and calibrate them."""
    groups = [
        Group(
            plan.members[members[0]].model,
            len(members),
            median_of_members([trained[number].held_out for number in members]),
        )
        for members in plan.groups()
    ]
    mixture = choose_mixture(
        ready.fitter.inputs, ready.judge, groups, rivals, lookback=ready.lookback, memory=ready.memory
    )
    say_few_scores(mixture.calibration.windows, len(ready.judge.places[0]), REPORTED_LEVEL)
    return mixture


def _collect(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    ready: _Prepared,
    mixture: Mixture,
    plan: Plan,
    trained: list[Trained],
) -> Fitted:
    """Collect everything that a forecast needs."""
    lookback, lags, groups = ready.lookback, ready.fitter.inputs.lags, plan.groups()
    forecasting = [number for group in mixture.networks for number in groups[group]]
    pasts = [plan.members[number].lookback + max(lags, default=0) for number in forecasting]
    spread = transformed(panel, ready.power).spread
    until = panel.starts.copy()
    until[ready.used] += ready.fitter.split.train_end
    return Fitted(
        config=Config(
            table=schema,
            settings=settings.model_dump(exclude=RUN_ONLY, exclude_defaults=True),
            plan=plan,
            horizon=panel.ahead,
            lookback=lookback,
            memory=mixture.memory,
            lags=lags,
            levels=LEVELS,
            power=ready.power,
            train_end=str(format_positions(schema, calendar_of(schema), panel.origins.max(keepdims=True))[0]),
            components=mixture.components,
            networks=mixture.networks,
            scores=mixture.scores,
            validation=tuple(member.validation for member in trained),
            trained_steps=tuple(member.steps for member in trained),
        ),
        statistics=ready.statistics,
        level=mean_level(panel.tail(lookback + max(lags, default=0))),
        seasonal_error=error_units(
            panel.values, panel.observed, panel.offsets, schema.season[0] if schema.season else 1
        ),
        mixture=mixture,
        history=replace(panel, spread=spread).tail(max(mixture.memory, lookback, *pasts)),
        weights=[trained[number].weights for number in forecasting],
        base=Base([trained[number].base for number in forecasting], until),
        run=settings.model_dump(include=RESTORED, exclude_defaults=True),
    )
