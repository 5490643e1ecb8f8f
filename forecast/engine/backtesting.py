"""Backtest a table: fit its panel as it stood at origins in the past, forecast, and compare with the actual values."""

import time
from dataclasses import dataclass, replace

import numpy as np

from forecast.engine.stages import NO_CALLBACKS, Callbacks, PanelFit
from forecast.errors import BadData, Setting, Words
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.baseline_models import Fit, Predict
from forecast.evaluation.measures import REFERENCE
from forecast.evaluation.origins import choose_origins
from forecast.evaluation.quantiles import LEVELS
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.panel.lookback import lags_and_lookback
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.panel.season import panel_seasons
from forecast.reading.comparing import warn_seen_origins
from forecast.reading.reading import Reading
from forecast.reading.status import with_status
from forecast.settings import BacktestSettings, TrainSettings
from forecast.training.context import OnStep


@dataclass
class _ModelFit:
    """Fits a model at origins of a backtest; with a warm start each fit goes on from the one before it."""

    settings: TrainSettings
    schema: Schema
    name: str
    on_step: OnStep | None
    fitted: Fitted | None = None

    def __call__(self, past: Panel) -> Predict:
        settings, schema = self.settings, self.schema
        deadline = None if settings.budget is None else time.monotonic() + settings.budget
        _, lookback = lags_and_lookback(past, schema.season, settings.lookback)
        past = with_status(past, schema, lookback)
        if past.skipped.all():
            problem = "at the oldest origin no series is left to forecast"
            raise BadData(problem, place=self.name, cure=Words("pass fewer ", Setting("windows")))
        self.fitted = PanelFit(past, schema, settings, self.name, deadline, self.on_step, earlier=self.fitted).run()
        return Predictor(self.fitted, settings.device).predict_quantiles


def backtest_reading(
    reading: Reading,
    settings: TrainSettings,
    rolling: BacktestSettings,
    models: tuple[str, ...] = (),
    predictor: Predictor | None = None,
    *,
    season_given: bool = False,
    jobs: int = 1,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Backtest:
    """Forecast from rolling origins in the past of a table, and compare with the actual values.

    Each fit sees what lies before its origin and nothing else, the season that is inferred included.
    `models` are by default that of `settings`, or what `predictor` was fitted as, which forecasts as it is, without a
    fit. With `season_given` the season of the reading was not inferred; `jobs` fits run side by side.
    """
    panel, schema = reading.panel, reading.schema
    missing = np.array(panel.status) == "missing"
    missing_ids = tuple(panel.ids[i] for i in np.flatnonzero(missing))
    panel = panel.select(np.flatnonzero(~missing))
    origins = choose_origins(panel, rolling.windows, rolling.step, reading.name, predictor is not None)
    levels: tuple[float, ...] = LEVELS
    model, fits, seen = settings.model, dict[str, Fit](), 0
    if predictor is not None:
        config, frozen = predictor.fitted.config, predictor.predict_quantiles
        seen = warn_seen_origins(panel, predictor.fitted.history, origins, config.train_end)
        model, levels = predictor.fitted.settings().model, config.levels
        fits[model] = lambda past: frozen
    elif not season_given:
        schema = schema.model_copy(update={"season": panel_seasons(panel.until(origins[0]), schema.calendar)})
    refit = rolling.refit and predictor is None
    jobs = 1 if rolling.refit and settings.warm_start else jobs  # each fit goes on from the one before it
    on_step = callbacks.on_step if jobs == 1 else None  # it stays in this process
    for name in models or (model,):
        if name not in fits and name != REFERENCE:
            chosen = settings.model_copy(update={"model": name, "jobs": settings.jobs if jobs == 1 else 1})
            fits[name] = _ModelFit(chosen, schema, reading.name, on_step)
    result = backtest(panel, schema, fits, origins, levels, refit=refit, jobs=jobs, on_fold=callbacks.on_fold)
    return replace(result, missing=missing_ids, seen=seen)
