"""Backtest: forecast from rolling origins in the past, and measure against what came."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from forecast.errors import Message, collected_messages
from forecast.evaluation.baseline_models import Fit, baseline_fit
from forecast.evaluation.measures import (
    REFERENCE,
    Evaluation,
    ForecastRows,
    Measures,
    forecast_rows,
    in_sample_errors,
    measure_tables,
)
from forecast.evaluation.origins import PastsAtOrigins, cut
from forecast.evaluation.quantiles import bounded, free_numbers, raised, say_raised
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.parallel import side_by_side
from forecast.settings import OutputSettings

log = logging.getLogger("forecast")

OUTPUT = OutputSettings()  # the intervals whose coverage and width are measured
MAX_SLOTS = 50_000_000  # of panels at all their origins that one call of a model gets


@dataclass(frozen=True)
class Fold:
    """Progress of a backtest: `done` of `folds` are over, the newest of them by `model`."""

    done: int
    folds: int
    model: str


@dataclass(frozen=True)
class BacktestResult:
    """The measures of a backtest, and each forecast beside its value.

    Attributes
    ----------
    panel, schema : the series that were forecast, and how they were read
    origins : [origins, series], grid positions
    missing : ids of series that were left out
    seen : origins before the end of the fit of a forecaster that is judged as it is
    """

    measures: Measures
    rows: ForecastRows
    panel: Panel
    schema: Schema
    origins: Integers
    missing: tuple[tuple[str, ...], ...] = ()
    seen: int = 0


@dataclass(frozen=True)
class _Result:
    """Forecasts of one model at some origins, [windows, horizon, levels], the seconds they took, and log messages."""

    quantiles: Numbers
    fit_seconds: float
    predict_seconds: float
    messages: list[tuple[int, Message]]


@dataclass
class _Collected:
    """Forecasts of all models and the seconds they took, by model, filled fold by fold."""

    numbers: dict[str, Numbers]  # [series, origins, horizon, 1 + 2 * intervals]
    fit_seconds: dict[str, float]
    predict_seconds: dict[str, float]
    raised: Flags  # [series], whether the bound at 0 raised a forecast
    logged: set[tuple[str, Message]] = field(default_factory=set)

    def add(self, model: str, rows: Flags, windows: PastsAtOrigins, result: _Result, levels: tuple[float, ...]) -> None:
        """Add a fold's forecasts of some windows, and log its messages, each once a model."""
        series, origin, floor = windows.series[rows], windows.origin[rows], windows.panel.floor()[rows]
        free = free_numbers(result.quantiles, levels, OUTPUT, windows.panel.counts()[rows])
        self.numbers[model][series, origin] = bounded(free, OUTPUT, floor)
        self.raised[series] |= raised(free, OUTPUT, floor)
        self.fit_seconds[model] += result.fit_seconds
        self.predict_seconds[model] += result.predict_seconds
        for level, message in result.messages:
            if (model, message) not in self.logged:
                log.log(level, "%s: %s", model, message)
            self.logged.add((model, message))


def backtest(
    panel: Panel,
    schema: Schema,
    models: dict[str, Fit],
    origins: Integers,
    levels: tuple[float, ...],
    *,
    refit: bool = False,
    jobs: int = 1,
    on_fold: Callable[[Fold], None] | None = None,
) -> BacktestResult:
    """Forecast from rolling origins, and measure against what came; seasonal naive is always among the models.

    A model is fitted on, and forecasts from, panels that end at the origin: nothing later can reach it. The unit of
    MASE, RMSSE, widths and interval scores is the in-sample error of seasonal naive before the oldest origin, one for
    all origins, so that a series that begins later has none and does not count there. The measures overall hold the
    seconds of fits and forecasts, too.

    Parameters
    ----------
    panel : with a horizon of future slots
    schema : how the table was read
    models : what fits and predicts, by name
    origins : [origins, series], from `choose_origins`
    levels : quantile levels of the forecasts
    refit : fit at each origin; by default the fit at the oldest origin forecasts from all of them
    jobs : pairs of model and fit side by side
    on_fold : called when one of them is over
    """
    season = schema.shortest_season
    models = {REFERENCE: baseline_fit(REFERENCE, season, levels), **models}
    folds = [np.array([i]) for i in range(len(origins))] if refit else [np.arange(len(origins))]
    tasks = [(name, fold) for name in models for fold in folds]
    results = side_by_side(((_run_fold, (panel, models[name], origins[fold]), {}) for name, fold in tasks), jobs)
    windows = cut(panel, origins)
    size = (len(panel), len(origins), panel.ahead)
    shape = (*size, 1 + 2 * len(OUTPUT.levels))
    collected = _Collected(
        numbers={name: np.full(shape, np.nan) for name in models},
        fit_seconds=dict.fromkeys(models, 0.0),
        predict_seconds=dict.fromkeys(models, 0.0),
        raised=np.zeros(len(panel), bool),
    )
    for done, ((name, fold), result) in enumerate(zip(tasks, results, strict=True), start=1):
        collected.add(name, np.isin(windows.origin, fold), windows, result, levels)
        if on_fold is not None:
            on_fold(Fold(done, len(tasks), name))
    say_raised(int(collected.raised.sum()), len(panel))
    actual = np.full(size, np.nan)
    actual[windows.series, windows.origin] = windows.actual
    scale, squared = in_sample_errors(panel, origins[0], season)
    evaluation = Evaluation(panel, schema, actual, collected.numbers, OUTPUT.levels, scale, squared)
    seconds = {name: np.array(list(getattr(collected, name).values())) for name in ("fit_seconds", "predict_seconds")}
    measures = measure_tables(evaluation)
    measures = replace(measures, overall={**measures.overall, **seconds})
    return BacktestResult(measures, forecast_rows(evaluation, origins), panel, schema, origins)


def _run_fold(panel: Panel, fit: Fit, origins: Integers) -> _Result:
    """Fit at the oldest of some origins, and forecast from all of them at once."""
    with collected_messages(log) as messages:
        start = time.perf_counter()
        predict = fit(panel.until(origins[0]))
        fitted = time.perf_counter()
        together = max(1, MAX_SLOTS // len(panel.values))
        parts = [predict(cut(panel, origins[low : low + together]).panel) for low in range(0, len(origins), together)]
        return _Result(np.concatenate(parts), fitted - start, time.perf_counter() - fitted, messages)
