"""Choose, before any training, what a fit rests on: windows, what is held out, transform, closed slots, events."""

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np

from forecast.ensemble.baseline_forecasts import context_length
from forecast.ensemble.candidates import compared_with
from forecast.ensemble.names import AUTO, PRETRAINED, is_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.evaluation.quantiles import LEVELS
from forecast.events.closed import Closed, find_closed, fixed_values
from forecast.events.effects import Effects, fit_effects
from forecast.events.kinds import has_events, levelled
from forecast.inference.fitted import Fitted
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.panel.season import lags_and_lookback, most_lookback
from forecast.settings import TrainSettings
from forecast.training.split import Split, split_windows, validation_windows
from forecast.windows.inputs import Inputs, Statistics, Transform, fit_power, fit_statistics, make_inputs

log = logging.getLogger("forecast")

TOO_SHORT = "the longest series has %d values, too few to learn a horizon of %d from"
MIN_VALUES = 4  # of the longest series, which also needs as many as the horizon has steps


@dataclass(frozen=True)
class Prepared:
    """A panel that is ready for training, and the choices for it."""

    inputs: Inputs
    split: Split
    validation: ValidationSet
    statistics: Statistics
    trained_series: Integers  # those that get a forecast: training sees no others
    lookback: int
    context: int  # steps that baselines look back
    transform: Transform  # of the target, from what is not held out
    closed: Closed  # from the same
    trains: bool  # networks, if the plan has some


def prepare(panel: Panel, schema: Schema, settings: TrainSettings, name: str, earlier: Fitted | None) -> Prepared:
    """Choose what `Prepared` holds without a look at what is held out; lookback and power are those of `earlier`."""
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
    trained_series = np.flatnonzero(~panel.skipped)
    selected = panel.select(trained_series)
    _require_values(int(selected.lengths.max()), horizon, name, settings)
    base = None if earlier is None else earlier.base
    gaps = selected.trailing_gap() if schema.dated else None
    unseen = None if base is None else int(panel.origins.max() + 1 - base.trained_until.max())
    split_for = partial(
        split_windows, selected.lengths, lookback, horizon, lags[0] if lags else 1, gaps=gaps, unseen=unseen
    )
    trains = not is_baseline(settings.model)
    split = split_for(trains)
    if _may_train_nothing(settings) and not split.held_out.any():
        trains, split = False, split_for(False)
    season = schema.shortest_season
    plain = levelled(selected, schema)
    power = earlier.config.power if earlier else fit_power(settings.transform, plain, season, split.train_end)
    closed = find_closed(panel, schema, before_split(panel, trained_series, split.train_end))
    effects = find_effects(panel, schema, closed, trained_series, split.train_end)
    transform = Transform(power, effects, fixed_values(closed.of(trained_series), selected, schema))
    statistics = fit_statistics(selected, schema, split.train_end)
    inputs = make_inputs(
        selected, schema, statistics, transform=transform, lags=lags, levels=LEVELS, ids=panel.ids, horizon=horizon
    )
    validation = ValidationSet.of(inputs, validation_windows(split), lookback, power, settings.metric)
    context = context_length(lookback, lags, longest)
    return Prepared(inputs, split, validation, statistics, trained_series, lookback, context, transform, closed, trains)


def before_split(panel: Panel, chosen: Integers, before: Integers) -> Integers:
    """[series], a limit of positions: `before` [chosen] for the `chosen` series, 0 for others."""
    limit = np.zeros(len(panel), np.int64)
    limit[chosen] = before
    return limit


def find_effects(panel: Panel, schema: Schema, closed: Closed, chosen: Integers, before: Integers) -> Effects | None:
    """What events do, estimated from positions before `before` of the `chosen` series; None without events."""
    if not has_events(schema):
        return None
    fixed = fixed_values(closed, panel, schema)
    return fit_effects(levelled(panel, schema), schema, before_split(panel, chosen, before), fixed)


def require_windows(ready: Prepared, name: str) -> None:
    """Refuse series that hold no window to train on."""
    longest, horizon = int(ready.inputs.panel.lengths.max()), ready.inputs.horizon
    if longest < horizon + 2:
        shorter = (Setting("horizon", longest - 2), " or less, or ") if longest > 2 else ()
        raise _too_short(longest, horizon, name, *shorter, Setting("model", "auto"))


def _require_values(longest: int, horizon: int, name: str, settings: TrainSettings) -> None:
    """Refuse series that are too short for the horizon, unless the pretrained network can forecast them."""
    if settings.model == PRETRAINED or longest >= max(horizon, MIN_VALUES):
        return
    if _may_train_nothing(settings) and PRETRAINED in settings.baselines and longest > 1:
        problem = f"{TOO_SHORT}: the forecast rests on the pretrained network and simple baselines"
        log.warning(problem, longest, horizon)
        return
    shorter = (Setting("horizon", longest), " or less, or ") if longest >= MIN_VALUES else ()
    raise _too_short(
        longest, horizon, name, *shorter, Setting("model", PRETRAINED), ", which needs no past to learn from"
    )


def _too_short(longest: int, horizon: int, name: str, *instead: str | Setting) -> BadData:
    return BadData(TOO_SHORT % (longest, horizon), place=name, cure=Words("pass ", *instead))


def _may_train_nothing(settings: TrainSettings) -> bool:
    """Whether baselines alone may forecast where no value is left to choose networks by."""
    return settings.model == AUTO and settings.steps is None and bool(compared_with(settings))
