"""Fit a forecaster: read the table, hold out, train, choose, and collect what forecasts need."""

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from forecast.effects.chain import fit_effects, remove_effects
from forecast.effects.closed import drop_contradictions, fixed_values
from forecast.effects.kinds import remove_shifts, steps_of_shifts
from forecast.effects.newest import steps_compared
from forecast.engine.exporting import add_exports
from forecast.engine.holdout import HeldOut
from forecast.engine.requests import FitRequest, FitTask, ReadPanel, TableFile
from forecast.engine.sums import add_joint_errors, choose_reconciliation
from forecast.engine.train import held_out_and_start, train
from forecast.ensemble.baseline_forecasts import BaselineForecasts, affordable_baselines, base_name
from forecast.ensemble.candidates import compared_with
from forecast.ensemble.ensemble import Ensemble, choose_ensemble
from forecast.ensemble.names import AUTO, PRETRAINED, check_names, is_baseline
from forecast.inference.fitted import CPU_DEVICES, RESTORED_SETTINGS, RUN_SETTINGS, Config, Fitted
from forecast.inference.forecasting import warn_of_newest_values
from forecast.inference.predictor import EXTRA_PACKAGES, pick_engine, require_engine
from forecast.intervals.calibration import warn_uncalibrated
from forecast.metrics.metrics import naive_errors
from forecast.metrics.quantiles import LEVELS
from forecast.panel.comparing import mean_level
from forecast.panel.hierarchy import Levels, append_sums, hierarchy_levels
from forecast.panel.infer import Reading, check_to_fit, describe_reading, read
from forecast.panel.large import sample_series
from forecast.panel.panel import SUM, Panel, series_index
from forecast.panel.schema import position_texts
from forecast.registry import plugins
from forecast.tables.table import Table
from forecast.totals.periods import extend_to_periods
from forecast.training.plan import Plan
from forecast.windows.inputs import transform_values

if TYPE_CHECKING:
    from forecast.training.loop import Trained


@dataclass(frozen=True)
class BudgetShares:
    """How much of a budget is reserved for the work after training."""

    sums: float = 0.05  # share for the past errors from which intervals of sums are estimated
    exports: float = 0.08  # share for exports
    exports_seconds: float = 2.0  # seconds for exports, at least
    most_exports: float = 1 / 6  # share for exports, at most
    rest: float = 1.0  # seconds for the comparison with baselines and for saving
    least_baselines: float = 1.0  # seconds for baselines, at least; half of what is left, at most


BUDGET_SHARES = BudgetShares()


def fit(request: FitRequest) -> Fitted:
    """Fit a forecaster to a table.

    Raises `UsageError` or `BadData` if a setting is wrong or contradicts the table, or if the table
    cannot be used.
    """
    settings = request.settings
    _check_engine(request)
    deadline = compute_deadline(request)
    reading = request.source
    if not isinstance(reading, Reading | ReadPanel):
        reading = read_to_fit(request)
    task = FitTask(reading.panel, reading.schema, reading.name, request, deadline)
    levels = hierarchy_levels(settings.hierarchy, task.schema) if settings.hierarchy else ()
    panel = append_sums(task.panel, task.schema.ids, levels)
    fitted = _fit_hierarchy(task, panel, levels) if levels else _fit_panel(task)
    if isinstance(reading, Reading):
        warn_of_newest_values(fitted, reading.panel, reading.name)
    if request.sums:
        fitted = _add_joint_errors(task, fitted, panel)
    if request.exports:
        fitted = add_exports(fitted)
        # an engine that cannot run them is refused before they are saved
        if fitted.ensemble.networks:
            pick_engine(fitted, settings.engine, settings.device)
    return fitted


def read_to_fit(request: FitRequest) -> Reading:
    """Read the table of a request, and infer what its settings leave open.

    If the table does not fit into memory, an evenly spaced sample of its series is read.
    """
    settings = request.settings
    check_names(settings)
    _check_engine(request)
    source = request.source
    how = request.table
    if isinstance(source, TableFile):
        # a sample may lack series whose past others get
        sample = None
        if not how.successors:
            sample = sample_series(source.path, source.text, how, settings.seed)
        source = source.load() if sample is None else sample
    if not isinstance(source, Table):
        raise TypeError("it has been read")
    reading = read(
        source,
        how,
        horizon=settings.horizon,
        lookback=settings.lookback,
        reserved=request.reserved,
        future=request.future,
    )
    check_to_fit(reading)
    if settings.horizon is None:
        reading = extend_to_periods(reading, request.periods)
    if request.callbacks.on_read is not None:
        request.callbacks.on_read(describe_reading(reading))
    return reading


def _check_engine(request: FitRequest) -> None:
    """Refuse, before any work, to save what the engine could not run."""
    if request.saves:
        require_engine(request.settings.engine, request.settings.model)


def compute_deadline(request: FitRequest) -> float | None:
    """When training must be over, in the seconds of `time.monotonic()`; None without a budget."""
    budget = request.settings.budget
    if budget is None:
        return None
    started = time.monotonic() if request.started is None else request.started
    share = 1 - BUDGET_SHARES.sums * request.sums
    deadline = started + share * budget
    if not request.saves:
        return deadline
    exports = 0.0
    if all(map(find_spec, EXTRA_PACKAGES)):
        least = min(BUDGET_SHARES.exports_seconds, BUDGET_SHARES.most_exports * budget)
        exports = max(BUDGET_SHARES.exports * budget, least)
    return deadline - exports - BUDGET_SHARES.rest


def _fit_hierarchy(task: FitTask, panel: Panel, levels: Levels) -> Fitted:
    """Train on series and on their sums, which `panel` has after its series.

    Forecasts are reconciled with those of the sums if that lowers past errors.
    """
    trained = tuple("ok" if word == SUM else word for word in panel.status)
    all_trained = replace(panel, status=trained)
    fitted = _fit_panel(replace(task, panel=all_trained))
    history = replace(fitted.history, status=panel.status)
    fitted = replace(fitted, history=history)
    return choose_reconciliation(fitted, panel, levels, task.settings.device)


def _fit_panel(task: FitTask) -> Fitted:
    """Run the stages of a fit."""
    settings = task.settings
    if settings.device not in CPU_DEVICES:  # a missing one is refused, even if nothing is trained
        from forecast.training.devices import pick_device

        pick_device(settings.device)
    began = time.monotonic()
    held_out, start = held_out_and_start(task)
    until = None
    if task.deadline is not None:
        # effects are estimated again from all values, on a machine as busy as now
        now = time.monotonic()
        deadline = task.deadline + began - now
        task = replace(task, deadline=deadline)
        until = now + max(BUDGET_SHARES.least_baselines, (deadline - now) / 2)
    at_once = settings.model == PRETRAINED
    names = affordable_baselines(compared_with(settings), held_out.inputs, at_once)
    baselines = BaselineForecasts.compute(
        held_out.inputs,
        held_out.validation,
        names,
        held_out.context,
        until,
        task.request.callbacks.on_baseline,
    )
    plan = Plan(members=())
    trained = list["Trained"]()
    # networks are trained if they can learn and may help
    trains = start is not None
    if not trains:
        is_needless = settings.model == AUTO and baselines.skip_networks(held_out.validation)
        trains = held_out.trains and not is_needless
    if trains and not is_baseline(settings.model):
        plan, trained = train(task, held_out, start)

    networks = []  # networks that differ only in their seed count as one
    for numbers in plan.groups():
        of_seeds = [trained[number].held_out for number in numbers]
        quantiles = np.median(of_seeds, 0)
        networks.append((plan.members[numbers[0]].model, quantiles))
    ensemble = choose_ensemble(
        held_out.inputs, held_out.validation, networks, baselines, held_out.context
    )
    warn_uncalibrated(len(held_out.validation))
    return collect(task, held_out, ensemble, plan, trained)


def _add_joint_errors(task: FitTask, fitted: Fitted, panel: Panel) -> Fitted:
    """The forecaster with the past errors that intervals of sums need, as far as time allows."""
    settings = task.settings
    until = None
    if task.deadline is not None and settings.budget is not None:
        until = task.deadline + BUDGET_SHARES.sums * settings.budget
    return add_joint_errors(fitted, panel, settings.device, until)


def collect(
    task: FitTask, held_out: HeldOut, ensemble: Ensemble, plan: Plan, trained: "list[Trained]"
) -> Fitted:
    """Everything that a forecast needs; closed slots and effects are estimated from all values."""
    panel = task.panel
    schema = task.schema
    closed = drop_contradictions(held_out.effects.closed, panel, schema, panel.lengths)
    past_ends = np.where(panel.skipped, 0, panel.lengths)
    lags = held_out.inputs.lags
    columns = held_out.effects.columns
    saves = task.request.saves
    effects = fit_effects(panel, schema, lags, past_ends, closed, columns, with_draws=saves)
    fixed = fixed_values(closed, panel, schema)
    own_index = series_index(panel.ids, panel.ids)
    adjusted = remove_effects(panel, schema, effects, own_index, fixed)
    power = held_out.inputs.power
    spread = transform_values(adjusted.panel, power).spread

    forecasting = [number for group in ensemble.networks for number in plan.groups()[group]]
    naive_error = naive_errors(remove_shifts(panel, schema), schema.shortest_season)
    # the largest number of past steps that any part of a forecast reads
    longest_lag = max(lags, default=0)
    lookbacks = [plan.members[number].lookback + longest_lag for number in forecasting]
    season = lags[0] if lags else panel.ahead  # roughness takes values a season before
    compared = steps_compared(schema.shortest_season)
    steps_seen = max(*lookbacks, ensemble.steps_back, held_out.lookback + season, compared)
    if effects.columns is not None:
        steps_seen += effects.columns.reach
    steps_back = steps_of_shifts(panel, schema, steps_seen)
    trained_until = panel.starts.copy()
    trained_until[held_out.trained_series] += held_out.split.train_end
    models = {member.model for member in plan.members}
    models |= set(map(base_name, ensemble.components))
    end = panel.origins.max(keepdims=True)
    config = Config(
        table=schema,
        settings=task.settings.model_dump(exclude=RUN_SETTINGS, exclude_defaults=True),
        plan=plan,
        horizon=panel.ahead,
        lags=lags,
        levels=LEVELS,
        power=power,
        train_end=position_texts(schema, end)[0],
        validation=tuple(member.validation for member in trained),
        trained_steps=tuple(member.steps for member in trained),
        packages={name: entry.package for name, entry in plugins().items() if name in models},
    )
    return Fitted(
        config=config,
        statistics=held_out.statistics,
        level=mean_level(panel, held_out.lookback + longest_lag),
        naive_error=naive_error,
        ensemble=ensemble,
        history=replace(panel, spread=spread).tail(steps_back),
        network_weights=[trained[number].weights for number in forecasting],
        base_weights=[trained[number].base for number in forecasting],
        trained_until=trained_until,
        run=task.settings.model_dump(include=RESTORED_SETTINGS, exclude_defaults=True),
        effects=effects,
    )
