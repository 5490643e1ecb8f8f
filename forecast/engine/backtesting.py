"""Backtest a table: fit its panel as it stood at origins in the past, forecast, and compare with the actual values."""

import time
from dataclasses import dataclass, replace

import numpy as np

from forecast.engine.backtest import OUTPUT, Backtest, Fit, Predict, backtest
from forecast.engine.rolling import choose_origins
from forecast.engine.stages import NO_CALLBACKS, SUMS_SHARE, Callbacks, PanelFit
from forecast.ensemble.names import is_baseline
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.events.kinds import without_shifts
from forecast.inference.forecasting import Forecasts, means_of
from forecast.inference.predictor import Predictor
from forecast.logs import log
from forecast.metrics.metrics import REFERENCE
from forecast.metrics.quantiles import LEVELS
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.panel.season import lags_and_lookback, panel_seasons
from forecast.parallel import on_cluster, workers
from forecast.reading.comparing import warn_seen_origins, with_status
from forecast.reading.reading import Reading
from forecast.settings import BacktestSettings, SumSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.writing import Frame, frame_of, stacked
from forecast.totals.comparing import actual_sums, check_sums, measures_by_level, spans_of
from forecast.totals.sums import Totals, warn_of_sums
from forecast.training.context import OnStep


@dataclass
class _ModelFit:
    """Fits a model at origins of a backtest; with a warm start each fit goes on from the one before it."""

    settings: TrainSettings
    schema: Schema
    name: str
    on_step: OnStep | None
    sums: SumSettings | None  # that are asked for
    predictor: Predictor | None = None  # of the newest fit
    frozen: bool = False  # whether that is the only one

    def __call__(self, past: Panel) -> Predict:
        if self.predictor is not None and self.frozen:
            return self.predictor.predict_quantiles
        settings, schema, sums = self.settings, self.schema, self.sums is not None
        share = 1 - SUMS_SHARE * sums
        deadline = None if settings.budget is None else time.monotonic() + share * settings.budget
        _, lookback = lags_and_lookback(past, schema.season, settings.lookback)
        past = with_status(past, schema, lookback)
        if past.skipped.all():
            problem = "at the oldest origin no series is left to forecast"
            raise BadData(problem, place=self.name, cure=Words("pass fewer ", Setting("windows")))
        earlier = None if self.predictor is None else self.predictor.fitted
        fit = PanelFit(
            past, schema, settings, self.name, deadline, self.on_step, earlier=earlier, sums=sums
        )
        self.predictor = Predictor(fit.run(), settings.device)
        return self.predictor.predict_quantiles

    def add_up(self, panel: Panel, origins: Integers, quantiles: Numbers) -> Frame | None:
        """Sums of the forecasts from some origins, [windows, horizon, levels]; see `Backtest.sums`."""
        predictor, schema, frames, done = self.predictor, self.schema, list[Frame](), 0
        if self.sums is None or predictor is None:
            return None
        lookback = predictor.fitted.config.lookback
        for origin in origins:
            past = with_status(panel.until(origin), schema, lookback)
            series, end = np.flatnonzero(~past.skipped), past.origins.max(keepdims=True)
            mine, done = quantiles[done : done + len(past)][series], done + len(past)
            means = means_of(mine, predictor.fitted, past, series)
            totals = Totals(predictor, self.sums, OUTPUT, None)
            try:
                totals.add(Forecasts(past, series, mine, mine, means, mine, mine))
                frame = frame_of(totals.columns()).assign(
                    origin=position_texts(schema, calendar_of(schema), end)[0]
                )
            except (UsageError, BadData):  # no period ends within the horizon, or no series is left
                continue
            warn_of_sums(totals)
            table = table_from_frame(frame, "sums")
            found, _ = actual_sums(
                table, spans_of(table, schema, self.name), panel, schema, lookback
            )
            frames.append(frame.assign(actual=found[:, 0], naive=found[:, 1]))
        return stacked(frames) if frames else None


def backtest_reading(
    reading: Reading,
    settings: TrainSettings,
    rolling: BacktestSettings,
    models: tuple[str, ...] = (),
    predictor: Predictor | None = None,
    *,
    season_given: bool = False,
    sums: SumSettings | None = None,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Backtest:
    """Forecast from rolling origins in the past of a table, and compare with the actual values.

    `models` are by default that of `settings`, or what `predictor` was fitted as, which forecasts as it is. Without
    `season_given` each fit infers the season. Forecasts of networks, or of the first baseline, are compared by `sums`.
    """
    panel, schema = reading.panel, reading.schema
    missing = np.array(panel.status) == "missing"
    missing_ids = tuple(panel.ids[i] for i in np.flatnonzero(missing))
    panel = panel.select(np.flatnonzero(~missing))
    origins = choose_origins(
        panel, rolling.windows, rolling.step, reading.name, predictor is not None
    )
    if sums is not None:
        check_sums(schema, sums, origins.max(1), panel.ahead)
    levels: tuple[float, ...] = LEVELS
    model, fits, seen = settings.model, dict[str, Fit](), 0
    if predictor is not None:
        config = predictor.fitted.config
        seen = warn_seen_origins(panel, predictor.fitted.history, origins, config.train_end)
        model, levels = predictor.fitted.settings().model, config.levels
        fits[model] = _ModelFit(settings, schema, reading.name, None, sums, predictor, frozen=True)
    elif not season_given:
        past = without_shifts(panel.until(origins[0]), schema)
        schema = schema.model_copy(update={"season": panel_seasons(past, schema.calendar)})
    refit = rolling.refit and predictor is None
    jobs = settings.jobs or (workers() if on_cluster() else 1)
    jobs = (
        1 if rolling.refit and settings.warm_start else jobs
    )  # each fit goes on from the one before it
    on_step = callbacks.on_step if jobs == 1 else None  # it stays in this process
    names = [name for name in models or (model,) if name != REFERENCE]
    summed = [name for name in names if not is_baseline(name)] or names[:1]
    for name in names:
        if name not in fits:
            chosen = settings.model_copy(
                update={"model": name, "jobs": settings.jobs if jobs == 1 else 1}
            )
            fits[name] = _ModelFit(
                chosen, schema, reading.name, on_step, sums if name in summed else None
            )
    result = backtest(
        panel, schema, fits, origins, levels, refit=refit, jobs=jobs, on_fold=callbacks.on_fold
    )
    totals = None if result.sums is None else measures_by_level(result.sums)
    if panel.vintages is not None:
        of_model = result.overall.set_index("model").loc[(*names, REFERENCE)[0]]
        text = (
            "known    %s: MASE %.4g with the values known at each origin, %.4g with the final ones"
        )
        log.info(text, of_model.name, of_model["mase"], of_model["mase_final"])
    elif schema.known:
        log.info(
            "known    %s: forecasts get the final values, as if they had been known",
            ", ".join(schema.known),
        )
    return replace(result, missing=missing_ids, seen=seen, totals=totals)
