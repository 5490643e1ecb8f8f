"""The first stage of a fit: choose what is held out, and what follows from the values before."""

from dataclasses import dataclass

import numpy as np

from forecast.effects.chain import Effects, fit_effects
from forecast.effects.closed import find_closures, fixed_values
from forecast.effects.kinds import remove_shifts
from forecast.engine.requests import FitTask
from forecast.ensemble.baseline_forecasts import context_length
from forecast.ensemble.candidates import can_learn, compared_with
from forecast.ensemble.names import AUTO, PRETRAINED, is_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.errors import BadData, Setting, UsageError
from forecast.inference.fitted import Fitted
from forecast.logs import log
from forecast.metrics.quantiles import LEVELS
from forecast.panel.panel import Integers, Panel
from forecast.panel.season import lags_and_lookback, most_lookback
from forecast.settings import TrainSettings
from forecast.training.split import Split, split_windows, validation_windows
from forecast.windows.inputs import (
    Inputs,
    Statistics,
    Transform,
    fit_power,
    fit_statistics,
    make_inputs,
)

TOO_SHORT = "the longest series has %d values, too few to learn a horizon of %d from"
ON_BASELINES = TOO_SHORT + ": the forecast rests on the pretrained network and simple baselines"
# fewest values of the longest series, which also needs at least a horizon of them
MIN_FITTED_VALUES = 4


@dataclass(frozen=True)
class HeldOut:
    inputs: Inputs
    split: Split
    validation: ValidationSet
    statistics: Statistics
    trained_series: Integers  # indices of the series that get a forecast; no others are trained on
    lookback: int
    context: int  # past steps that baselines read
    effects: Effects  # from values that are not held out
    trains: bool  # whether networks are trained: only if there is enough past


def hold_out(task: FitTask, earlier: Fitted | None) -> HeldOut:
    """Choose the content of `HeldOut` without looking at held-out values.

    Lookback and power transform are those of the `earlier` fit, if there is one.
    """
    panel = task.panel
    schema = task.schema
    lags, lookback = lags_and_lookback(panel, schema.season, task.settings.lookback)
    if task.request.lags is not None:
        lags = task.request.lags
    if earlier is not None:
        lookback = earlier.ensemble.lookback
    most = most_lookback(panel.longest)
    if lookback > most:
        problem = f"it is far longer than the longest series of {task.name}"
        raise UsageError(
            f"{problem}, which has {panel.longest} steps",
            setting=Setting("lookback", lookback),
            cure=f"pass {Setting('lookback', most)} or less",
        )
    trained_series = np.flatnonzero(~panel.skipped)
    selected = panel.select(trained_series)
    _require_values(task, selected.longest)
    split, trains = _split(task, selected, lags, lookback, earlier)

    past_ends = np.zeros(len(panel), np.int64)  # [series], end of the values that are not held out
    past_ends[trained_series] = split.train_end
    closed = find_closures(panel, schema, past_ends)
    if earlier is None:
        unshifted = remove_shifts(selected, schema)
        season = schema.shortest_season
        power = fit_power(task.settings.transform, unshifted, season, split.train_end)
    else:
        power = earlier.config.power
    earlier_columns = None if earlier is None else earlier.effects.columns
    effects = fit_effects(panel, schema, lags, past_ends, closed, earlier_columns)
    fixed = fixed_values(closed.select(trained_series), selected, schema)
    statistics = fit_statistics(selected, schema, split.train_end)
    inputs = make_inputs(
        selected,
        schema,
        statistics,
        transform=Transform(power, effects, fixed),
        lags=lags,
        levels=LEVELS,
        ids=panel.ids,
        horizon=panel.ahead,
    )
    context = context_length(lookback, lags, panel.longest)
    windows = validation_windows(split)
    validation = ValidationSet.measure(inputs, windows, lookback, task.settings.metric, context)
    return HeldOut(
        inputs,
        split,
        validation,
        statistics,
        trained_series,
        lookback,
        context,
        effects,
        trains,
    )


def too_short(task: FitTask, longest: int, learnable: int, model: str) -> BadData:
    """The error for short series, from which at most `learnable` steps can be learned."""
    shorter = f"{Setting('horizon', learnable)} or less, or " if learnable > 0 else ""
    needless = ", which needs no past to learn from" if model == PRETRAINED else ""
    cure = f"pass {shorter}{Setting('model', model)}{needless}"
    return BadData(TOO_SHORT % (longest, task.panel.ahead), place=task.name, cure=cure)


def _require_values(task: FitTask, longest: int) -> None:
    """Refuse series that are too short, unless the pretrained network can forecast them."""
    settings = task.settings
    horizon = task.panel.ahead
    if settings.model == PRETRAINED or longest >= max(horizon, MIN_FITTED_VALUES):
        return
    if _may_skip_training(settings) and PRETRAINED in settings.baselines and longest > 1:
        log.warning(ON_BASELINES, longest, horizon)
        return
    learnable = longest if longest >= MIN_FITTED_VALUES else 0
    raise too_short(task, longest, learnable, PRETRAINED)


def _split(
    task: FitTask,
    selected: Panel,
    lags: tuple[int, ...],
    lookback: int,
    earlier: Fitted | None,
) -> tuple[Split, bool]:
    """What is held out, and whether networks are trained on the rest."""
    unseen = None
    if earlier is not None:
        unseen = int(task.panel.origin + 1 - earlier.trained_until.max())

    def split(trains: bool) -> Split:
        return split_windows(
            selected.lengths,
            lookback,
            task.panel.ahead,
            lags[0] if lags else 1,
            trains,
            gaps=selected.trailing_gap() if task.schema.dated else None,
            unseen=unseen,
        )

    trains = not is_baseline(task.settings.model)
    held_out = split(trains)
    if not _may_skip_training(task.settings):
        return held_out, trains
    windows = int(held_out.count(held_out_too=False).sum())
    learnable = earlier is not None or can_learn(task.settings, task.schema, len(selected), windows)
    if learnable and held_out.held_out.any():
        return held_out, trains
    return split(trains=False), False


def _may_skip_training(settings: TrainSettings) -> bool:
    """Whether baselines may forecast alone if no value is left to choose networks by."""
    return settings.model == AUTO and settings.steps is None and bool(compared_with(settings))
