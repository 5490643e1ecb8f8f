"""The last stage of a fit: collect everything that a forecast needs."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.engine.holdout import HeldOut, find_columns, find_effects
from forecast.engine.requests import FitTask
from forecast.ensemble.baseline_forecasts import base_name
from forecast.ensemble.ensemble import Ensemble
from forecast.events.closed import drop_contradictions, fixed_values
from forecast.events.columns import remove_columns
from forecast.events.effects import adjusted_panel
from forecast.events.kinds import remove_shifts, steps_of_shifts
from forecast.events.newest import steps_compared
from forecast.inference.fitted import RESTORED_SETTINGS, RUN_SETTINGS, Config, Fitted
from forecast.metrics.metrics import naive_errors
from forecast.metrics.quantiles import LEVELS
from forecast.panel.comparing import mean_level
from forecast.panel.panel import series_index
from forecast.panel.schema import position_texts
from forecast.registry import plugins
from forecast.training.plan import Plan
from forecast.windows.inputs import transform_values

if TYPE_CHECKING:
    from forecast.training.loop import Trained


def collect(
    task: FitTask, held_out: HeldOut, ensemble: Ensemble, plan: Plan, trained: "list[Trained]"
) -> Fitted:
    """Everything that a forecast needs; closed slots and effects are estimated from all values."""
    panel = task.panel
    schema = task.schema
    closed = drop_contradictions(held_out.closed, panel, schema, panel.lengths)
    past_ends = np.where(panel.skipped, 0, panel.lengths)
    effects = find_effects(panel, schema, closed, past_ends)
    fixed = fixed_values(closed, panel, schema)
    own_index = series_index(panel.ids, panel.ids)
    adjusted, _ = adjusted_panel(panel, schema, effects, own_index, fixed)
    transform = replace(held_out.transform, effects=effects, fixed=fixed)
    lags = held_out.inputs.lags
    columns = find_columns(panel, schema, transform, lags, past_ends, with_draws=task.request.saves)
    adjusted, _ = remove_columns(adjusted, None, schema, columns, own_index)
    spread = transform_values(adjusted, held_out.transform.power).spread

    forecasting = [number for group in ensemble.networks for number in plan.groups()[group]]
    naive_error = naive_errors(remove_shifts(panel, schema), schema.shortest_season)
    # the largest number of past steps that any part of a forecast reads
    longest_lag = max(lags, default=0)
    lookbacks = [plan.members[number].lookback + longest_lag for number in forecasting]
    season = lags[0] if lags else panel.ahead  # roughness takes values a season before
    compared = steps_compared(schema.shortest_season)
    steps_seen = max(*lookbacks, ensemble.steps_back, held_out.lookback + season, compared)
    if columns is not None:
        steps_seen += columns.reach
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
        power=held_out.transform.power,
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
        column_effects=columns,
        closed=closed,
    )
