"""The stages of a fit, from choosing what it rests on to what is saved; only what trains networks imports torch."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from forecast.engine.requests import FitRequest
from forecast.engine.sums import reconciling, rehearsed, with_joint_errors
from forecast.ensemble.baseline_forecasts import (
    BaselineForecasts,
    affordable_baselines,
    base_name,
    context_length,
)
from forecast.ensemble.candidates import candidates_for, check_plan, compared_with
from forecast.ensemble.ensemble import Ensemble, choose_ensemble
from forecast.ensemble.names import AUTO, PRETRAINED, check_model, is_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.events.closed import Closed, find_closed, fixed_values, unless_contradicted
from forecast.events.effects import Effects, adjusted_panel, fit_effects
from forecast.events.kinds import has_events, steps_of_shifts, without_shifts
from forecast.inference.contents import read_plan
from forecast.inference.fitted import (
    CPU_DEVICES,
    RESTORED_SETTINGS,
    RUN_SETTINGS,
    Base,
    Config,
    Fitted,
)
from forecast.inference.predictor import median_of_members
from forecast.intervals.calibration import warn_uncalibrated
from forecast.logs import log
from forecast.metrics.metrics import naive_errors
from forecast.metrics.quantiles import LEVELS
from forecast.models import model_class
from forecast.panel.hierarchy import hierarchy_levels, with_sums
from forecast.panel.panel import SUM, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.panel.season import lags_and_lookback, most_lookback
from forecast.parallel import processes
from forecast.reading.comparing import mean_level
from forecast.registry import plugins
from forecast.settings import TrainSettings
from forecast.training.context import TrainingContext, WarmStart
from forecast.training.plan import Plan, compared_windows
from forecast.training.split import Split, split_windows, validation_windows
from forecast.windows.inputs import (
    Inputs,
    Statistics,
    Transform,
    fit_power,
    fit_statistics,
    make_inputs,
    transformed,
)

TOO_SHORT = "the longest series has %d values, too few to learn a horizon of %d from"
MIN_VALUES = 4  # of the longest series, which also needs as many as the horizon has steps
FEW_STEPS = 100  # a network that a budget cuts earlier has learned little
SUMS_SHARE = 0.05  # of a budget, for the errors that intervals of sums rest on


@dataclass(frozen=True)
class Prepared:
    inputs: Inputs
    split: Split
    validation: ValidationSet
    statistics: Statistics
    trained_series: Integers  # those that get a forecast: training sees no others
    lookback: int
    context: int  # steps that baselines look back
    transform: Transform  # of the target, from what is not held out
    closed: Closed  # from the same
    trains: bool  # whether networks are trained, for which there must be enough past


def prepare(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    name: str,
    earlier: Fitted | None,
    given_lags: tuple[int, ...] | None = None,
) -> Prepared:
    """Choose what `Prepared` holds without a look at what is held out; lookback and power are those of `earlier`."""
    horizon, longest = panel.ahead, int(panel.lengths.max())
    lags, lookback = lags_and_lookback(panel, schema.season, settings.lookback)
    if given_lags is not None:
        lags = given_lags
    if earlier is not None:
        lookback = earlier.config.lookback
    if lookback > most_lookback(longest):
        raise UsageError(
            f"it is far longer than the longest series of {name}, which has {longest} steps",
            setting=Setting("lookback", lookback),
            cure=Words("pass ", Setting("lookback", most_lookback(longest)), " or less"),
        )
    trained_series = np.flatnonzero(~panel.skipped)
    selected = panel.select(trained_series)
    _require_values(int(selected.lengths.max()), horizon, name, settings)
    base = None if earlier is None else earlier.base
    gaps = selected.trailing_gap() if schema.dated else None
    unseen = None if base is None else int(panel.origins.max() + 1 - base.trained_until.max())
    spacing = lags[0] if lags else 1
    split_for = partial(
        split_windows, selected.lengths, lookback, horizon, spacing, gaps=gaps, unseen=unseen
    )
    trains = not is_baseline(settings.model)
    split = split_for(trains)
    if _may_train_nothing(settings) and not split.held_out.any():
        trains, split = False, split_for(False)
    season = schema.shortest_season
    unshifted = without_shifts(selected, schema)
    power = (
        earlier.config.power
        if earlier
        else fit_power(settings.transform, unshifted, season, split.train_end)
    )
    not_held_out = np.zeros(len(panel), np.int64)
    not_held_out[trained_series] = split.train_end
    closed = find_closed(panel, schema, not_held_out)
    effects = find_effects(panel, schema, closed, not_held_out)
    transform = Transform(power, effects, fixed_values(closed.of(trained_series), selected, schema))
    statistics = fit_statistics(selected, schema, split.train_end)
    inputs = make_inputs(
        selected,
        schema,
        statistics,
        transform=transform,
        lags=lags,
        levels=LEVELS,
        ids=panel.ids,
        horizon=horizon,
    )
    context = context_length(lookback, lags, longest)
    validation = ValidationSet.of(
        inputs, validation_windows(split), lookback, power, settings.metric, context
    )
    return Prepared(
        inputs,
        split,
        validation,
        statistics,
        trained_series,
        lookback,
        context,
        transform,
        closed,
        trains,
    )


def find_effects(panel: Panel, schema: Schema, closed: Closed, before: Integers) -> Effects | None:
    """What events do, estimated from positions before `before` [series]; None without events."""
    if not has_events(schema):
        return None
    return fit_effects(
        without_shifts(panel, schema), schema, before, fixed_values(closed, panel, schema)
    )


def _require_values(longest: int, horizon: int, name: str, settings: TrainSettings) -> None:
    """Refuse series that are too short for the horizon, unless the pretrained network can forecast them."""
    if settings.model == PRETRAINED or longest >= max(horizon, MIN_VALUES):
        return
    if _may_train_nothing(settings) and PRETRAINED in settings.baselines and longest > 1:
        problem = f"{TOO_SHORT}: the forecast rests on the pretrained network and simple baselines"
        log.warning(problem, longest, horizon)
        return
    raise _too_short(longest, horizon, longest if longest >= MIN_VALUES else 0, name, PRETRAINED)


def _too_short(longest: int, horizon: int, learnable: int, name: str, model: str) -> BadData:
    """The error of series from which a horizon of at most `learnable` steps can be learned, or none."""
    shorter = (Setting("horizon", learnable), " or less, or ") if learnable > 0 else ()
    needless = ", which needs no past to learn from" if model == PRETRAINED else ""
    cure = Words("pass ", *shorter, Setting("model", model), needless)
    return BadData(TOO_SHORT % (longest, horizon), place=name, cure=cure)


def _may_train_nothing(settings: TrainSettings) -> bool:
    """Whether baselines alone may forecast where no value is left to choose networks by."""
    return settings.model == AUTO and settings.steps is None and bool(compared_with(settings))


if TYPE_CHECKING:
    from forecast.training.fitting import Fitter
    from forecast.training.loop import Trained


@dataclass(frozen=True)
class PanelFit:
    """One fit of a panel, stage by stage: hold out, train, compare, weigh, calibrate; a rehearsal trains nothing."""

    panel: Panel  # with a horizon of future slots
    schema: Schema  # how the table was read
    name: str  # of the table, for messages
    request: FitRequest
    deadline: float | None = None  # `time.monotonic()` at which training must be over

    @property
    def settings(self) -> TrainSettings:
        return self.request.settings

    def run(self) -> Fitted:
        settings, panel = self.settings, self.panel
        levels = hierarchy_levels(settings.hierarchy, self.schema) if settings.hierarchy else ()
        if levels:
            panel = with_sums(panel, self.schema.ids, levels)
            trained = ["ok" if word == SUM else word for word in panel.status]
            fitted = replace(self, panel=replace(panel, status=tuple(trained)))._fit()
            fitted = replace(fitted, history=replace(fitted.history, status=panel.status))
            fitted = reconciling(fitted, panel, levels, settings.device)
        else:
            fitted = self._fit()
        if not self.request.sums:
            return fitted
        if self.request.rehearsal is not None:
            fitted, seconds = rehearsed(fitted, panel, settings.device)
            self.request.rehearsal.seconds += seconds
            return fitted
        until = (
            None if self.deadline is None else self.deadline + SUMS_SHARE * (settings.budget or 0.0)
        )
        return with_joint_errors(fitted, panel, settings.device, until)

    def _fit(self) -> Fitted:
        settings = self.settings
        if (
            settings.device not in CPU_DEVICES
        ):  # refused where it is missing, also if no network is trained
            from forecast.training.devices import pick_device

            pick_device(settings.device)
        plan = read_plan(settings.plan) if settings.plan else None
        ready, start = self._prepare(plan)
        # baselines before training, so that the deadline holds for them too
        comparison_windows = compared_windows(settings.budget) if plan is None else plan.compared
        limits = {"compared": comparison_windows, "origins": None if plan is None else plan.origins}
        names = affordable_baselines(compared_with(settings), ready.inputs, comparison_windows)
        baselines = BaselineForecasts.of(
            ready.inputs,
            ready.validation,
            names,
            ready.context,
            comparison_windows,
            self.request.callbacks.on_baseline,
        )
        skip = not ready.trains or (
            settings.model == AUTO and baselines.skip_networks(ready.validation)
        )
        if plan is None and start is None and skip:
            plan = Plan(members=())
        trained: list[Trained] = []
        if not is_baseline(settings.model) and (plan is None or len(plan.members) > 0):
            plan, trained = self._train(ready, plan, start)
        plan = (plan or Plan(members=())).model_copy(update=limits)
        networks = [  # those that differ in their seed only are one
            (
                plan.members[numbers[0]].model,
                median_of_members([trained[number].held_out for number in numbers]),
            )
            for numbers in plan.groups()
        ]
        ensemble = choose_ensemble(ready.inputs, ready.validation, networks, baselines)
        warn_uncalibrated(len(ready.validation))
        return self._collect(ready, ensemble, plan, trained)

    def _prepare(self, plan: Plan | None) -> tuple[Prepared, WarmStart | None]:
        """The panel made ready, and the networks of the earlier fit that training continues, where they fit."""
        settings, start, earlier = self.settings, None, self.request.earlier
        from_scratch = not settings.warm_start or (plan is not None and plan.started_from is None)
        if from_scratch or is_baseline(settings.model):
            earlier = None
        ready = prepare(self.panel, self.schema, settings, self.name, earlier, self.request.lags)
        if earlier is not None:
            from forecast.engine.warm_start import start_of

            found = start_of(earlier, self._fitter(ready), self.schema, self.panel.ids)
            if isinstance(found, str):
                log.warning(
                    "training starts from scratch: the earlier fit cannot be continued, since %s",
                    found,
                )
                ready = prepare(self.panel, self.schema, settings, self.name, None)
            else:
                start = found
        if plan is not None and plan.started_from != (None if start is None else start.hash):
            raise UsageError(
                f"the plan continues the networks of another artifact, {str(plan.started_from)[:12]}",
                setting=Setting("plan", settings.plan),
                cure=Words(
                    "pass ", Setting("warm_start", True), ", and make that version the live one"
                ),
            )
        return ready, start

    def _fitter(self, ready: Prepared) -> "Fitter":
        from forecast.training.fitting import Fitter

        return Fitter.of(ready.inputs, ready.split, self.settings)

    def _train(
        self, ready: Prepared, plan: Plan | None, start: WarmStart | None
    ) -> "tuple[Plan, list[Trained]]":
        """Train networks; the plan that is returned repeats it."""
        from forecast.training.devices import one_thread, process_group
        from forecast.training.halving import train_networks
        from forecast.training.resume import data_key, plan_key

        most, horizon = int(ready.inputs.panel.lengths.max()), ready.inputs.horizon
        if most < horizon + 2:
            raise _too_short(most, horizon, most - 2, self.name, AUTO)
        settings, lags, schema, fitter = (
            self.settings,
            ready.inputs.lags,
            self.schema,
            self._fitter(ready),
        )
        check_model(settings.model)
        if plan is not None:
            check_plan(plan, settings)
        store = None
        if (
            self.request.checkpoints is not None and processes() == 1
        ):  # several must all begin at the same step
            key = plan_key(settings, plan, fitter.device, None if start is None else start.hash)
            store = self.request.checkpoints.open(data_key(self.panel, schema), key)
        context = TrainingContext(
            self.deadline, self.request.callbacks.on_step, store, rehearsal=self.request.rehearsal
        )
        longest = int(np.median(ready.split.train_end)) // 2
        columns = bool(schema.known or schema.past or schema.static)
        season, known = lags[0] if lags else 1, bool(schema.known)
        candidates = candidates_for(
            settings, ready.lookback, longest, season, fitter.count, columns, known
        )
        middle = ready.inputs.levels.index(0.5)

        def loss(quantiles: Numbers) -> float:
            return ready.validation.mean_loss(quantiles[..., middle])

        with one_thread(), process_group(fitter.device, settings):
            plan, trained = train_networks(fitter, candidates, loss, context, plan, start)
        cuts = [
            member.cut
            for member in plan.members
            if member.cut and not model_class(member.model).rows_at_once
        ]
        if cuts and min(cuts) < FEW_STEPS:
            problem = "the budget ended training after %d steps, too few to learn much from; pass a larger %s"
            log.warning(problem, min(cuts), Setting("budget"))
        return plan, trained

    def _collect(
        self, ready: Prepared, ensemble: Ensemble, plan: Plan, trained: "list[Trained]"
    ) -> Fitted:
        """Everything that a forecast needs; closed slots and effects now come from all values."""
        panel, schema, settings, lags = self.panel, self.schema, self.settings, ready.inputs.lags
        forecasting = [number for group in ensemble.networks for number in plan.groups()[group]]
        pasts = [plan.members[number].lookback + max(lags, default=0) for number in forecasting]
        # roughness takes values a season before
        pasts += [ensemble.steps_back, ready.lookback + (lags[0] if lags else panel.ahead)]
        closed = unless_contradicted(ready.closed, panel, schema, panel.lengths)
        effects = find_effects(panel, schema, closed, np.where(panel.skipped, 0, panel.lengths))
        index, fixed = series_index(panel.ids, panel.ids), fixed_values(closed, panel, schema)
        without_effects, _ = adjusted_panel(panel, schema, effects, index, fixed)
        spread = transformed(without_effects, ready.transform.power).spread
        unshifted, back = without_shifts(panel, schema), steps_of_shifts(panel, schema, max(pasts))
        trained_until = panel.starts.copy()
        trained_until[ready.trained_series] += ready.split.train_end
        names = {*(member.model for member in plan.members), *map(base_name, ensemble.components)}
        return Fitted(
            config=Config(
                table=schema,
                settings=settings.model_dump(exclude=RUN_SETTINGS, exclude_defaults=True),
                plan=plan,
                horizon=panel.ahead,
                lookback=ready.lookback,
                context_length=ensemble.context_length,
                lags=lags,
                levels=LEVELS,
                power=ready.transform.power,
                train_end=position_texts(
                    schema, calendar_of(schema), panel.origins.max(keepdims=True)
                )[0],
                components=ensemble.components,
                networks=ensemble.networks,
                scores=ensemble.scores,
                validation=tuple(member.validation for member in trained),
                trained_steps=tuple(member.steps for member in trained),
                packages={
                    name: entry.package for name, entry in plugins().items() if name in names
                },
            ),
            statistics=ready.statistics,
            level=mean_level(panel, ready.lookback + max(lags, default=0)),
            naive_error=naive_errors(
                unshifted.values, unshifted.observed, unshifted.offsets, schema.shortest_season
            ),
            ensemble=ensemble,
            history=replace(panel, spread=spread).tail(back),
            network_weights=[trained[number].weights for number in forecasting],
            base=Base([trained[number].base for number in forecasting], trained_until),
            run=settings.model_dump(include=RESTORED_SETTINGS, exclude_defaults=True),
            effects=effects,
            closed=closed,
        )
