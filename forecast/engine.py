"""The order of the stages: from a panel to a fitted forecaster, and from that to quantiles."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.artifacts.resume import Checkpoints, data_key, plan_key
from forecast.ensemble.auto import compared_with, train_networks
from forecast.ensemble.baseline_forecasts import BaselineForecasts, context_length
from forecast.ensemble.calibration import say_few_scores
from forecast.ensemble.ensemble import Group, choose_ensemble
from forecast.ensemble.names import AUTO, is_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.evaluation.metrics import error_units
from forecast.evaluation.quantiles import LEVELS
from forecast.inference.fitted import RESTORED, RUN_ONLY, Base, Config, Fitted, read_plan
from forecast.inference.warm_start import start_of
from forecast.models.shared.model import RecurrentModel
from forecast.panel.building import calendar_of, format_positions
from forecast.panel.comparing import mean_level
from forecast.panel.covariates import Statistics, fit_statistics
from forecast.panel.panel import SKIPPED, Panel
from forecast.panel.schema import Schema
from forecast.panel.spans import choose_lags, choose_lookback, most_lookback
from forecast.panel.transforms import fit_power, transformed, undo_power
from forecast.settings import TrainSettings
from forecast.training.devices import memory, pick_device, threads
from forecast.training.fitting import Fitter, Start
from forecast.training.holding import choose_spans, held_out_places
from forecast.training.inputs import Inputs, network_shape
from forecast.training.loop import Progress, Trained
from forecast.training.members import median_of_members, network_quantiles, rebuild
from forecast.training.plan import Plan

log = logging.getLogger("forecast")

COMMON = 95.0  # the interval, in percent, whose calibration fit speaks of
FEWEST = 4  # values that a forecast needs at least, and as many as the horizon has steps
LEAST_STEPS = 100  # a budget that ends training earlier leaves a network that has hardly learned
CHUNK = 8192  # windows that are forecast at once


@dataclass(frozen=True)
class _Ready:
    """A panel made ready for training, and what was chosen on the way."""

    fitter: Fitter
    validation: ValidationSet
    statistics: Statistics
    kept: NDArray[np.int64]
    lookback: int
    context: int
    power: float


def fit_panel(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    name: str,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    earlier: Fitted | None = None,
) -> Fitted:
    """Hold out, train, compare, blend and calibrate.

    Parameters
    ----------
    panel : with a horizon of future slots
    schema : how the table was read
    settings : of training
    name : of the table, for messages
    deadline : `time.monotonic()` at which training must be over
    on_step : is given the progress after each training step
    checkpoints : where training keeps what it can go on from; by default nowhere
    earlier : a fit whose networks this one goes on from, where they fit; by default it starts from scratch

    Raises
    ------
    BadData
        If the series are too short for the horizon.
    UsageError
        If the plan goes on from other networks than those of `earlier`.
    """
    plan = read_plan(settings.plan) if settings.plan else None
    if is_baseline(settings.model) or (plan is not None and plan.started_from is None):
        earlier = None
    ready, start = _make_ready_from(earlier, panel, schema, settings, name)
    started_from = None if start is None else start.hash
    if plan is not None and plan.started_from != started_from:
        raise UsageError(
            f"it goes on from the artifact {plan.started_from}",
            setting=Setting("plan", settings.plan),
            cure=Words("pass ", Setting("warm_start", True), ", and make that version the live one"),
        )
    # before training, so that the deadline holds for it too
    baselines = BaselineForecasts.of(ready.fitter.inputs, ready.validation, compared_with(settings), ready.context)
    keep = None
    if plan is None and start is None and settings.model == AUTO and baselines.suffice(ready.validation):
        plan = Plan(members=())
    train = not is_baseline(settings.model) and (plan is None or len(plan.members) > 0)
    if train:
        _require_windows(ready, name)
    if checkpoints is not None and train:
        device = ready.fitter.inputs.device
        keep = checkpoints.open(data_key(panel, schema), plan_key(settings, plan, device, started_from))
    trained = list[Trained]()
    if train:
        plan, trained = train_networks(
            ready.fitter, ready.validation, ready.lookback, plan, deadline, on_step, keep, start
        )
    if any(one.cut is not None and one.cut < LEAST_STEPS for one in trained):
        fewest = min(one.steps for one in trained)
        log.warning(
            "the budget ended training after %d steps, too few to learn much from; pass a larger %s",
            fewest,
            Setting("budget"),
        )
    return _put_together(panel, schema, settings, ready, baselines, plan or Plan(members=()), trained)


def _make_ready_from(
    earlier: Fitted | None, panel: Panel, schema: Schema, settings: TrainSettings, name: str
) -> tuple[_Ready, Start | None]:
    """A panel made ready, and the networks of an earlier fit that training goes on from, where they fit."""
    ready = _make_ready(panel, schema, settings, name, earlier)
    start = None if earlier is None else start_of(earlier, ready.fitter, schema, panel.ids)
    if isinstance(start, str):
        log.warning("training starts from scratch: the earlier fit cannot be continued, since %s", start)
        return _make_ready(panel, schema, settings, name, None), None
    return ready, start


def _require_windows(ready: _Ready, name: str) -> None:
    """Refuse series that hold no window to train on."""
    longest, horizon = int(ready.fitter.inputs.panel.lengths.max()), ready.fitter.inputs.horizon
    if longest < horizon + 2:
        shorter = (Setting("horizon", longest - 2), " or less, or ") if longest > 2 else ()
        raise BadData(
            f"the longest series has {longest} values, too few to learn a horizon of {horizon} from",
            place=name,
            cure=Words("pass ", *shorter, Setting("model", "auto")),
        )


def _make_ready(panel: Panel, schema: Schema, settings: TrainSettings, name: str, earlier: Fitted | None) -> _Ready:
    """Choose windows, what is held out and transforms; lookback and power of the transform are those of `earlier`."""
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
    kept = np.flatnonzero(~np.isin(panel.status, SKIPPED))
    used = panel.select(kept)
    if (most := int(used.lengths.max())) < max(horizon, FEWEST):
        if most >= FEWEST:
            cure = Words("pass ", Setting("horizon", most), " or less")
        else:
            cure = Words("whatever the ", Setting("horizon"), f", at least {FEWEST} are needed")
        raise BadData(
            f"the longest series has {most} values, too few to learn a horizon of {horizon} from",
            place=name,
            cure=cure,
        )
    season = schema.season[0] if schema.season else 1
    spans = choose_spans(used.lengths, lookback, horizon, lags[0] if lags else 1)
    power = fit_power(settings.transform, used, season) if earlier is None else earlier.config.power
    statistics = fit_statistics(used, schema, spans.train_end)
    inputs = Inputs.of(
        used,
        schema,
        statistics,
        power=power,
        lags=lags,
        levels=LEVELS,
        ids=panel.ids,
        loss=settings.loss,
        horizon=horizon,
        device=pick_device(settings.device),
    )
    fitter = Fitter(inputs, spans, held_out_places(spans), settings)
    validation = ValidationSet.of(inputs, fitter.places, lookback, power, settings.metric)
    return _Ready(fitter, validation, statistics, kept, lookback, context_length(lookback, lags, longest), power)


def _put_together(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    ready: _Ready,
    baselines: BaselineForecasts,
    plan: Plan,
    trained: list[Trained],
) -> Fitted:
    """Compare, blend, calibrate; then collect what predict needs."""
    inputs, lookback, lags = ready.fitter.inputs, ready.lookback, ready.fitter.inputs.lags
    groups = plan.groups()
    ensemble = choose_ensemble(
        inputs,
        ready.validation,
        [
            Group(
                plan.members[group[0]].model,
                median_of_members([trained[i].held_out.numpy() for i in group]),
            )
            for group in groups
        ],
        baselines,
    )
    say_few_scores(ensemble.calibration.windows, len(ready.validation), COMMON)
    used_members = [number for group in ensemble.networks for number in groups[group]]
    seen = [plan.members[number].lookback + max(lags, default=0) for number in used_members]
    spread = transformed(panel, ready.power).spread
    until = panel.starts.copy()
    until[ready.kept] += ready.fitter.spans.train_end
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
            power=ready.power,
            train_end=str(format_positions(schema, calendar_of(schema), panel.origins.max(keepdims=True))[0]),
            components=ensemble.components,
            networks=ensemble.networks,
            scores=ensemble.scores,
            validation=tuple(one.validation for one in trained),
            trained_steps=tuple(one.steps for one in trained),
        ),
        statistics=ready.statistics,
        level=mean_level(panel.tail(lookback + max(lags, default=0))),
        seasonal_error=error_units(
            panel.values, panel.observed, panel.offsets, schema.season[0] if schema.season else 1
        ),
        ensemble=ensemble,
        history=replace(panel, spread=spread).tail(max(ensemble.context_length, lookback, *seen)),
        weights=[_arrays(trained[i].weights) for i in used_members],
        base=Base([_arrays(trained[i].base) for i in used_members], until),
        run=settings.model_dump(include=RESTORED, exclude_defaults=True),
    )


def _arrays(weights: dict[str, torch.Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: value.numpy() for name, value in weights.items()}


class Engine:
    """A fitted forecaster at work: its networks rebuilt on a device.

    Parameters
    ----------
    fitted : what predict needs
    device : where the networks run

    Attributes
    ----------
    networks : the members of each group of networks that has a share in the forecast
    """

    def __init__(self, fitted: Fitted, device: torch.device) -> None:
        self.fitted, self.device = fitted, device
        self.networks: list[list[RecurrentModel]] = []
        config, saved = fitted.config, iter(fitted.weights)
        for group in config.members():
            shape = network_shape(
                config.table,
                config.horizon,
                group[0].lookback,
                config.lags,
                config.levels,
                len(fitted.history),
                fitted.settings().loss,
            )
            weights = [{name: torch.from_numpy(array) for name, array in next(saved).items()} for _ in group]
            self.networks.append([rebuild(group[0], shape, one, device) for one in weights])

    def quantiles(
        self,
        panel: Panel,
        series: NDArray[np.int64],
        position: NDArray[np.int64] | None = None,
        joint: bool = False,
    ) -> NDArray[np.float64]:
        """Quantiles of what comes after windows, [windows, horizon, levels], in the target's own unit.

        Parameters
        ----------
        panel : of any series, values as they were read
        series, position : [windows], each a series and the slot that its past ends before; default the newest
        joint : widen the intervals so that they hold whole paths

        Raises
        ------
        Unavailable
            If memory runs out.
        """
        inputs, config = self._inputs(panel), self.fitted.config
        place = panel.lengths[series] if position is None else position
        places = np.ascontiguousarray(series), np.ascontiguousarray(place)
        seed = self.fitted.settings().seed
        parts = [np.zeros((0, config.horizon, len(config.levels)))]
        for start in range(0, len(series), CHUNK):
            some = places[0][start : start + CHUNK], places[1][start : start + CHUNK]
            with threads(1), memory():
                networks = [
                    median_of_members([network_quantiles(one, inputs.windows(members[0]), some, seed) for one in group])
                    for members, group in zip(config.members(), self.networks, strict=True)
                ]
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite the forecaster refuses
                mixed = self.fitted.ensemble.quantiles(inputs, some, inputs.numbers[some[0]], networks, joint)
                parts.append(undo_power(mixed, config.power))
        return np.concatenate(parts)

    def attention(self, panel: Panel, series: NDArray[np.int64]) -> NDArray[np.float64]:
        """The weight of each step of the newest past of each of `series`, [series, lookback].

        Raises
        ------
        UsageError
            If no network has attention.
        """
        for members, networks in zip(self.fitted.config.members(), self.networks, strict=True):
            weigh = getattr(networks[0], "attention", None)
            if weigh is not None:
                windows = self._inputs(panel).windows(members[0])
                index = torch.from_numpy(np.ascontiguousarray(series)).to(windows.device)
                with torch.no_grad():
                    weights = weigh(windows.batch(index, windows.lengths[index]))
                return np.asarray(weights.cpu().double().numpy())
        raise UsageError(
            "no network with attention forecasts here",
            cure=Words("fit with ", Setting("model", "attention-lstm"), " and ", Setting("guard", False)),
        )

    def _inputs(self, panel: Panel) -> Inputs:
        config = self.fitted.config
        return Inputs.of(
            panel,
            config.table,
            self.fitted.statistics,
            power=config.power,
            lags=config.lags,
            levels=config.levels,
            ids=self.fitted.history.ids,
            loss=self.fitted.settings().loss,
            horizon=config.horizon,
            device=self.device,
        )
