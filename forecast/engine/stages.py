"""The order of the stages of a fit; only what trains networks imports torch."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from forecast.artifacts.resume import Checkpoints
from forecast.ensemble.baseline_forecasts import BaselineForecasts, context_length
from forecast.ensemble.calibration import say_uncalibrated
from forecast.ensemble.candidates import candidates_for, check_plan, compared_with
from forecast.ensemble.ensemble import Ensemble, Group, choose_ensemble
from forecast.ensemble.names import AUTO, PRETRAINED, check_model, is_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.evaluation.backtest import Fold
from forecast.evaluation.metrics import error_units
from forecast.evaluation.quantiles import LEVELS
from forecast.events.closed import Closed, find_closed, fixed_values, unless_contradicted
from forecast.events.effects import Effects, fit_effects, ordinary_panel
from forecast.events.marks import has_events
from forecast.inference.contents import read_plan
from forecast.inference.engines import EXTRA_PACKAGES
from forecast.inference.fitted import EVERYWHERE, RESTORED, RUN_ONLY, Base, Config, Fitted
from forecast.inference.predictor import median_of_members
from forecast.panel.lookback import lags_and_lookback, most_lookback
from forecast.panel.panel import Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.parallel import processes
from forecast.reading.comparing import mean_level
from forecast.settings import TrainSettings
from forecast.training.checkpoint import CheckpointStore
from forecast.training.context import OnStep, TrainingContext, WarmStart
from forecast.training.plan import Plan, compared_windows
from forecast.training.rehearsal import Rehearsal
from forecast.training.split import Split, split_windows, validation_windows
from forecast.windows.covariates import Statistics, fit_statistics
from forecast.windows.inputs import Inputs, Transform, make_inputs
from forecast.windows.transforms import fit_power, transformed

if TYPE_CHECKING:
    from forecast.training.fitting import Fitter
    from forecast.training.loop import Trained

log = logging.getLogger("forecast")

MIN_VALUES = 4  # of the longest series, which also needs as many as the horizon has steps
FEW_STEPS = 100  # a network that a budget cuts earlier has hardly learned
EXPORTS_SHARE = 0.08  # of a budget, in which networks are exported
RESERVE = 1.0  # seconds of a budget that remain for the comparison with baselines and for saving


@dataclass(frozen=True)
class Callbacks:
    """Functions that receive the progress of long work.

    Attributes
    ----------
    on_read : receives what was read and inferred, as lines, before training
    on_fold : receives the progress of a backtest after each fit with its forecasts
    on_step : receives the progress of training after each step
    """

    on_read: Callable[[list[str]], None] | None = None
    on_fold: Callable[[Fold], None] | None = None
    on_step: OnStep | None = None


NO_CALLBACKS = Callbacks()


@dataclass(frozen=True)
class _Prepared:
    """A panel that is ready for training, and the choices for it."""

    inputs: Inputs
    split: Split
    settings: TrainSettings
    validation: ValidationSet
    statistics: Statistics
    used: Integers  # the series that get a forecast
    lookback: int
    context: int  # steps that baselines look back
    transform: Transform  # of the target, from what is not held out
    closed: Closed  # from the same
    trains: bool  # networks, if the plan has some

    def fitter(self) -> "Fitter":
        """What trains networks on it."""
        from forecast.training.fitting import Fitter

        return Fitter.of(self.inputs, self.split, self.settings)


def deadline_of(settings: TrainSettings, started: float) -> float | None:
    """When training must be over, if the budget counts from `started`; both as `time.monotonic()` has it."""
    if settings.budget is None:
        return None
    share = EXPORTS_SHARE if all(map(find_spec, EXTRA_PACKAGES)) else 0.0
    return started + (1 - share) * settings.budget - RESERVE


def save_by(settings: TrainSettings, started: float) -> float | None:
    """When a forecaster must be saved, its exports made, if the budget counts from `started`."""
    return None if settings.budget is None else started + settings.budget - RESERVE


@dataclass(frozen=True)
class _How:
    """How a fit is done, see `fit_panel`; with a rehearsal nothing is trained."""

    deadline: float | None = None
    on_step: OnStep | None = None
    checkpoints: Checkpoints | None = None
    earlier: Fitted | None = None
    rehearsal: Rehearsal | None = None


def rehearse_panel(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    name: str,
    deadline: float | None = None,
    earlier: Fitted | None = None,
) -> tuple[Fitted, Rehearsal]:
    """Do all that `fit_panel` does but train; what networks would be trained, and how long that would take.

    The forecaster that comes back has networks of the right size that know nothing.
    """
    rehearsal = Rehearsal()
    how = _How(deadline=deadline, earlier=earlier, rehearsal=rehearsal)
    return _fit_panel(panel, schema, settings, name, how), rehearsal


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
    deadline : `time.monotonic()` at which training must be over, see `deadline_of`
    on_step : receives the progress after each training step
    checkpoints : where training writes what it can resume from; by default nowhere
    earlier : a fit whose networks this one continues under the setting `warm_start`, where they fit

    Raises
    ------
    BadData
        If the series are too short for the horizon.
    UsageError
        If the plan continues other networks than those of `earlier`.
    """
    return _fit_panel(panel, schema, settings, name, _How(deadline, on_step, checkpoints, earlier))


def _fit_panel(panel: Panel, schema: Schema, settings: TrainSettings, name: str, how: _How) -> Fitted:
    if settings.device not in EVERYWHERE:
        _check_device(settings.device)
    earlier = how.earlier
    plan = read_plan(settings.plan) if settings.plan else None
    from_scratch = not settings.warm_start or (plan is not None and plan.started_from is None)
    if from_scratch or is_baseline(settings.model):
        earlier = None
    ready, start = _prepare_from(earlier, panel, schema, settings, name)
    started_from = None if start is None else start.hash
    _check_start(plan, started_from, settings)
    # before training, so that the deadline holds for it too
    compared = compared_windows(settings.budget) if plan is None else plan.compared
    names = compared_with(settings)
    baselines = BaselineForecasts.of(ready.inputs, ready.validation, names, ready.context, compared)
    suffice = not ready.trains or (settings.model == AUTO and baselines.suffice(ready.validation))
    if plan is None and start is None and suffice:
        plan = Plan(members=())
    trained: list[Trained] = []
    if not is_baseline(settings.model) and (plan is None or len(plan.members) > 0):
        _require_windows(ready, name)
        fitter, store = ready.fitter(), None
        if how.checkpoints is not None and processes() == 1:  # several must all begin at the same step
            store = _checkpoint_store(how.checkpoints, fitter, panel, plan, started_from)
        context = TrainingContext(deadline=how.deadline, on_step=how.on_step, checkpoints=store)
        if how.rehearsal is not None:
            from forecast.training.trial_steps import trial_fitter

            fitter, context = trial_fitter(fitter, context, how.rehearsal)
        plan, trained = _train(ready, fitter, context, plan, start)
    plan = (plan or Plan(members=())).model_copy(update={"compared": compared})
    ensemble = _choose(ready, baselines, plan, trained)
    return _collect(panel, schema, settings, ready, ensemble, plan, trained)


def _check_device(device: str) -> None:
    """Refuse a device that is missing, also where no network is trained."""
    from forecast.training.devices import pick_device

    pick_device(device)


def _check_start(plan: Plan | None, started_from: str | None, settings: TrainSettings) -> None:
    """Refuse a plan that continues other networks."""
    if plan is not None and plan.started_from != started_from:
        raise UsageError(
            f"the plan continues the networks of another artifact, {str(plan.started_from)[:12]}",
            setting=Setting("plan", settings.plan),
            cure=Words("pass ", Setting("warm_start", True), ", and make that version the live one"),
        )


def _checkpoint_store(
    checkpoints: Checkpoints, fitter: "Fitter", panel: Panel, plan: Plan | None, started_from: str | None
) -> CheckpointStore | None:
    """Where training writes its state, named by all that decides its result."""
    from forecast.training.keys import data_key, plan_key

    data = data_key(panel, fitter.inputs.schema)
    return checkpoints.open(data, plan_key(fitter.settings, plan, fitter.device, started_from))


def _train(
    ready: _Prepared, fitter: "Fitter", context: TrainingContext, plan: Plan | None, start: WarmStart | None
) -> "tuple[Plan, list[Trained]]":
    """Train networks; the plan that is returned repeats it."""
    from forecast.training.devices import threads
    from forecast.training.distributed import process_group
    from forecast.training.halving import train_networks

    settings, lags = ready.settings, ready.inputs.lags
    check_model(settings.model)
    if plan is not None:
        check_plan(plan, settings)
    longest = int(np.median(ready.split.train_end)) // 2
    schema = ready.inputs.schema
    columns = bool(schema.known or schema.past or schema.static)
    candidates = candidates_for(settings, ready.lookback, longest, lags[0] if lags else 1, fitter.count, columns)
    middle = ready.inputs.levels.index(0.5)

    def loss(quantiles: Numbers) -> float:
        return ready.validation.mean_loss(quantiles[..., middle])

    with threads(1), process_group(fitter.device, settings):
        plan, trained = train_networks(fitter, candidates, loss, context, plan, start)
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
    """A panel that is ready, and the networks of an earlier fit that training continues, where they fit."""
    ready = _prepare(panel, schema, settings, name, earlier)
    if earlier is None:
        return ready, None
    from forecast.engine.warm_start import start_of

    start = start_of(earlier, ready.fitter(), schema, panel.ids)
    if isinstance(start, str):
        log.warning("training starts from scratch: the earlier fit cannot be continued, since %s", start)
        return _prepare(panel, schema, settings, name, None), None
    return ready, start


def _require_windows(ready: _Prepared, name: str) -> None:
    """Refuse series that hold no window to train on."""
    longest, horizon = int(ready.inputs.panel.lengths.max()), ready.inputs.horizon
    if longest < horizon + 2:
        shorter = (Setting("horizon", longest - 2), " or less, or ") if longest > 2 else ()
        raise _too_short(longest, horizon, name, Words("pass ", *shorter, Setting("model", "auto")))


def _require_values(longest: int, horizon: int, name: str, settings: TrainSettings) -> None:
    """Refuse series that are too short for the horizon, unless the pretrained network can forecast them."""
    if settings.model == PRETRAINED or longest >= max(horizon, MIN_VALUES):
        return
    if _may_train_nothing(settings) and PRETRAINED in settings.baselines and longest > 1:
        problem = "the longest series has %d values, too few to learn a horizon of %d from: the forecast rests on the"
        log.warning(f"{problem} pretrained network and simple baselines", longest, horizon)
        return
    shorter = (Setting("horizon", longest), " or less, or ") if longest >= MIN_VALUES else ()
    cure = Words("pass ", *shorter, Setting("model", PRETRAINED), ", which needs no past to learn from")
    raise _too_short(longest, horizon, name, cure)


def _too_short(longest: int, horizon: int, name: str, cure: Words) -> BadData:
    problem = f"the longest series has {longest} values, too few to learn a horizon of {horizon} from"
    return BadData(problem, place=name, cure=cure)


def _prepare(panel: Panel, schema: Schema, settings: TrainSettings, name: str, earlier: Fitted | None) -> _Prepared:
    """Choose windows, validation split and transform; lookback and power of the transform are those of `earlier`."""
    horizon, longest = panel.ahead, int(panel.lengths.max())
    lags, lookback = lags_and_lookback(panel, schema.season, settings.lookback)
    if earlier is not None:
        lookback = earlier.config.lookback
    if lookback > most_lookback(longest):
        raise UsageError(
            f"it is far longer than the longest series of {name}, which has {longest} steps",
            setting=Setting("lookback", lookback),
            cure=Words("pass ", Setting("lookback", most_lookback(longest)), " or less"),
        )
    used = np.flatnonzero(~panel.skipped)
    selected = panel.select(used)
    _require_values(int(selected.lengths.max()), horizon, name, settings)
    gaps = None if schema.layout == "rows" else selected.trailing_gap()
    unseen = (
        None if earlier is None or earlier.base is None else int(panel.origins.max() + 1 - earlier.base.until.max())
    )
    split, trains = _split(selected.lengths, gaps, unseen, lookback, horizon, lags[0] if lags else 1, settings)
    season = schema.shortest_season
    power = earlier.config.power if earlier else fit_power(settings.transform, selected, season, split.train_end)
    statistics = fit_statistics(selected, schema, split.train_end)
    closed = find_closed(panel, schema, _before(panel, used, split.train_end))
    effects = _effects(panel, schema, closed, used, split.train_end)
    transform = Transform(power, effects, fixed_values(closed.of(used), selected, schema))
    inputs = make_inputs(
        selected, schema, statistics, transform=transform, lags=lags, levels=LEVELS, ids=panel.ids, horizon=horizon
    )
    validation = ValidationSet.of(inputs, validation_windows(split), lookback, power, settings.metric)
    context = context_length(lookback, lags, longest)
    return _Prepared(
        inputs, split, settings, validation, statistics, used, lookback, context, transform, closed, trains
    )


def _split(
    lengths: Integers,
    gaps: Integers | None,
    unseen: int | None,
    lookback: int,
    horizon: int,
    season: int,
    settings: TrainSettings,
) -> tuple[Split, bool]:
    """The split of the windows, and whether networks train; not where no value is left to choose them by."""
    trains = not is_baseline(settings.model)
    split = split_windows(lengths, lookback, horizon, season, trains, gaps, unseen)
    if _may_train_nothing(settings) and not split.held_out.any():
        trains = False
        split = split_windows(lengths, lookback, horizon, season, trains, gaps, unseen)
    return split, trains


def _may_train_nothing(settings: TrainSettings) -> bool:
    """Whether baselines alone may forecast where no value is left to choose networks by."""
    return settings.model == AUTO and settings.steps is None and bool(compared_with(settings))


def _before(panel: Panel, used: Integers, before: Integers) -> Integers:
    """[series], the slots before `before` [used] of the series `used`, and none of others."""
    limit = np.zeros(len(panel), np.int64)
    limit[used] = before
    return limit


def _effects(panel: Panel, schema: Schema, closed: Closed, used: Integers, before: Integers) -> Effects | None:
    """What events do, estimated from the slots before `before` [used] of the series `used`; None without events."""
    if not has_events(schema):
        return None
    return fit_effects(panel, schema, _before(panel, used, before), fixed_values(closed, panel, schema))


def _choose(ready: _Prepared, baselines: BaselineForecasts, plan: Plan, trained: "list[Trained]") -> Ensemble:
    """Compare networks and baselines, weigh and calibrate them."""
    groups = []
    for members in plan.groups():
        quantiles = median_of_members([trained[number].held_out for number in members])
        groups.append(Group(plan.members[members[0]].model, quantiles))
    ensemble = choose_ensemble(ready.inputs, ready.validation, groups, baselines)
    say_uncalibrated(len(ready.validation))
    return ensemble


def _collect(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    ready: _Prepared,
    ensemble: Ensemble,
    plan: Plan,
    trained: "list[Trained]",
) -> Fitted:
    """Collect everything that a forecast needs."""
    lookback, lags, groups = ready.lookback, ready.inputs.lags, plan.groups()
    forecasting = [number for group in ensemble.networks for number in groups[group]]
    pasts = [plan.members[number].lookback + max(lags, default=0) for number in forecasting]
    pasts.append(lookback + (lags[0] if lags else panel.ahead))  # how rough it is takes values a season before
    closed = unless_contradicted(ready.closed, panel, schema, panel.lengths)
    effects = _effects(panel, schema, closed, ready.used, panel.lengths[ready.used])
    index, fixed = series_index(panel.ids, panel.ids), fixed_values(closed, panel, schema)
    ordinary, _ = ordinary_panel(panel, schema, effects, index, fixed)
    spread = transformed(ordinary, ready.transform.power).spread
    until = panel.starts.copy()
    until[ready.used] += ready.split.train_end
    return Fitted(
        config=Config(
            table=schema,
            settings=settings.model_dump(exclude=RUN_ONLY, exclude_defaults=True),
            plan=plan,
            horizon=panel.ahead,
            lookback=lookback,
            context_length=ensemble.context_length,
            lags=lags,
            levels=LEVELS,
            power=ready.transform.power,
            train_end=position_texts(schema, calendar_of(schema), panel.origins.max(keepdims=True))[0],
            components=ensemble.components,
            networks=ensemble.networks,
            scores=ensemble.scores,
            validation=tuple(member.validation for member in trained),
            trained_steps=tuple(member.steps for member in trained),
        ),
        statistics=ready.statistics,
        level=mean_level(panel.tail(lookback + max(lags, default=0))),
        seasonal_error=error_units(panel.values, panel.observed, panel.offsets, schema.shortest_season),
        ensemble=ensemble,
        history=replace(panel, spread=spread).tail(max(ensemble.steps_back, *pasts)),
        network_weights=[trained[number].weights for number in forecasting],
        base=Base([trained[number].base for number in forecasting], until),
        run=settings.model_dump(include=RESTORED, exclude_defaults=True),
        effects=effects,
        closed=closed,
    )
